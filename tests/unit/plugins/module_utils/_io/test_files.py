# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import files
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer, Host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of


@pytest.fixture
def host():
    return Host(action_of("trust_file"), {"inventory_hostname": "node-7"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a pin's place.crt"


def there(host, path, **options):
    return files.CertificateFile(host, {"path": str(path), **options})


def test_differs_by_content_or_by_mode(host, path):
    assert there(host, path).differs(b"one\n")
    path.write_bytes(b"one\n")
    path.chmod(0o640)
    for options, content, differs in (
        ({}, b"one\n", False),
        ({}, b"one", True),
        ({"mode": "0640"}, b"one\n", False),
        ({"mode": "640"}, b"one\n", False),
        ({"mode": "0644"}, b"one\n", True),
        ({"owner": "nobody-here"}, b"one\n", True),
        ({"owner": str(path.stat().st_uid), "group": str(path.stat().st_gid)}, b"one\n", False),
    ):
        assert there(host, path, **options).differs(content) is differs, (options, content)


def test_what_is_expected_at_the_time_of_writing(host, path):
    assert there(host, path).expected == "absent"
    path.write_bytes(b"")
    assert there(host, path).expected == hashlib.sha256(b"").hexdigest()


def test_what_a_power_cut_has_left_of_an_earlier_write_goes_with_the_next(host, path):
    left = path.with_name(f".quazzar-{path.name}.aB3dE6gH")
    others = path.with_name(".quazzar-another.crt.aB3dE6gH")
    for file in (left, others):
        file.write_bytes(b"half\n")
    there(host, path).write(b"whole\n", backup="", make_directory=False)
    assert sorted(found.name for found in path.parent.iterdir()) == [others.name, path.name]


def test_neither_written_nor_removed_when_it_changed_since_it_was_read(host, path):
    path.write_bytes(b"read\n")
    old = there(host, path)
    path.write_bytes(b"somebody else's\n")
    for change in (old.remove, lambda: old.write(b"new\n", backup="", make_directory=False)):
        with pytest.raises(HostError, match=r"node-7: .*changed while it was worked on.*nothing was changed"):
            change()
    assert path.read_bytes() == b"somebody else's\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_appeared_since_is_not_overwritten(host, path):
    none = there(host, path)
    path.write_bytes(b"somebody else's\n")
    with pytest.raises(HostError):
        none.write(b"new\n", backup="", make_directory=False)
    assert path.read_bytes() == b"somebody else's\n"


def test_a_missing_directory_is_named_unless_it_may_be_made(host, path):
    there(host, path).refuse_missing_directory(False)
    deeper = there(host, path.parent / "no" / "ca.crt")
    deeper.refuse_missing_directory(True)
    with pytest.raises(HostError, match=f"node-7: .*the directory {path.parent}/no does not exist"):
        deeper.refuse_missing_directory(False)


def test_rubbish_counts_as_empty_and_says_why(host, path):
    path.write_bytes(b"<html>geheim</html>\n")
    bundle = there(host, path).bundle()
    assert (bundle.certificates, bundle.form) == ((), "empty")
    assert "HTML" in bundle.notes[0] and "geheim" not in bundle.notes[0]


def test_a_diff_shows_digests_and_dates_never_bytes(make_ca):
    first, second = make_ca(name="First CA"), make_ca(name="Second CA")
    lines = files.summary([first.cert, second.cert]).splitlines()
    assert [line.split()[0] for line in lines] == [first.cert.sha256, second.cert.sha256]
    assert "CN=First CA" in lines[0] and lines[0].endswith(f"{first.cert.not_after:%Y-%m-%dT%H:%M:%SZ}")
    assert files.summary([]) == ""


@pytest.mark.parametrize(("code", "fails"), [(None, False), ("0", False), ("1", True), ("124", True)])
def test_only_a_restart_that_was_run_can_fail(code, fails):
    sections = {} if code is None else {"restart.rc": code.encode(), "restart": b"x" * 400 + b"\n the  end\n"}
    if not fails:
        files.refuse_failed_restart("node-7", Answer(0, sections, "", ""))
        return
    with pytest.raises(HostError) as caught:
        files.refuse_failed_restart("node-7", Answer(0, sections, "", ""))
    assert f"the file was changed, and stays so, but the restart command ended with exit status {code}: x" in str(
        caught.value
    )
    assert str(caught.value).endswith(
        "x the end; mend that command (of a node: quazzar_node_restart_command), and run it again"
    )
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("mode", [420, "rw", "0999", "00644", "64", True])
def test_a_mode_that_yaml_has_eaten_is_refused(mode):
    with pytest.raises(InputError, match="octal digits in quotes"):
        files.checked_mode(mode)


@given(st.one_of(st.text(max_size=20), st.text(max_size=20).map("/{}".format)))
def test_a_path_is_taken_as_it_is_or_refused_by_its_option(text):
    if text.startswith("/") and not text.endswith("/") and "\n" not in text:
        assert files.checked_path(text, "backup") == text
        return
    with pytest.raises(InputError, match=r"^backup is "):
        files.checked_path(text, "backup")
