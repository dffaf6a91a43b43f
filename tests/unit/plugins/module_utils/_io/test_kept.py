# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kept
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer, Host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of


def said(**sections):
    contents = {name: value if isinstance(value, bytes) else value.encode() for name, value in sections.items()}
    return Answer(0, contents, "", "")


@pytest.fixture
def host():
    return Host(action_of("kept_identity"), {"inventory_hostname": "node-7"})


@pytest.fixture
def leaf(tmp_path, make_ca, make_leaf):
    leaf = make_leaf(make_ca(), name="node-7")
    leaf.write(tmp_path, "client")
    return leaf


@pytest.fixture
def options(tmp_path):
    home = {"dir": str(tmp_path / "kept"), "cert_path": str(tmp_path / "client.crt")}
    return {**home, "key_path": str(tmp_path / "client.key"), "state": "present", "replace": False}


@pytest.mark.parametrize(
    ("files", "to_keep", "to_drop"),
    [
        ({}, True, False),
        ({"kept_cert": "1"}, True, True),
        ({"kept_key": "1"}, True, True),
        ({"kept_cert": "1", "kept_key": "1"}, False, True),
        ({"empty": "1"}, True, True),
    ],
)
def test_half_a_copy_is_neither_there_nor_gone(files, to_keep, to_drop):
    assert kept.differs(said(**files), True) is to_keep
    assert kept.differs(said(**files), False) is to_drop


def test_the_digest_is_of_the_copy_when_it_is_whole_else_of_what_would_be_copied(make_ca, make_leaf):
    old, new = make_leaf(make_ca()), make_leaf(make_ca())
    both = {"kept": old.pem, "source": new.pem}
    assert kept.digest(said(**both, kept_cert="1", kept_key="1"), True) == old.cert.sha256
    assert kept.digest(said(**both, kept_cert="1"), True) == new.cert.sha256
    assert kept.digest(said(**both), False) == ""
    for unusable in ({}, {"source": b""}, {"source": b"no certificate"}):
        assert kept.digest(said(**unusable), True) == ""


def test_a_copy_is_replaced_only_when_that_is_asked_for(host, leaf, options, tmp_path, make_ca, make_leaf):
    kept.change(host, options)
    new = make_leaf(make_ca(), name="node-7")
    replace = {**options, "replace": True}
    assert not kept.differs(kept.read(host, replace), True, True)
    new.write(tmp_path, "client")
    answer = kept.read(host, options)
    assert not kept.differs(answer, True) and kept.digest(answer, True) == leaf.cert.sha256
    assert kept.differs(answer, True, True) and kept.digest(answer, True, True) == new.cert.sha256
    kept.change(host, replace)
    assert (tmp_path / "kept" / "client.crt").read_bytes() == new.pem
    (tmp_path / "client.crt").unlink()
    with pytest.raises(HostError, match="there is no identity to keep"):
        kept.read(host, replace)


def test_a_whole_copy_outlives_its_source(host, leaf, options, tmp_path):
    kept.change(host, options)
    for name in ("client.crt", "client.key"):
        (tmp_path / name).unlink()
    answer = kept.read(host, options)
    assert not kept.differs(answer, True)
    assert kept.digest(answer, True) == leaf.cert.sha256


def test_a_copy_of_which_the_key_is_gone_has_nothing_to_be_made_from(host, leaf, options, tmp_path):
    kept.change(host, options)
    (tmp_path / "kept" / "client.key").unlink()
    (tmp_path / "client.key").unlink()
    with pytest.raises(HostError, match=r"node-7: .*client\.key: cannot be read; there is no identity to keep"):
        kept.read(host, options)
    # To take the rest away needs no source.
    kept.change(host, {**options, "state": "absent"})
    assert not (tmp_path / "kept").exists()


def test_what_an_attempt_left_over_goes_with_the_copy(host, options, tmp_path):
    (tmp_path / "kept").mkdir()
    for name in ("client.key", "client.key.new", "client.crt.new"):
        (tmp_path / "kept" / name).write_text("left over")
    assert kept.differs(kept.read(host, {**options, "state": "absent"}), False)
    kept.change(host, {**options, "state": "absent"})
    assert not (tmp_path / "kept").exists()


def test_the_empty_directory_that_a_power_cut_has_left_goes_too(host, options, tmp_path):
    (tmp_path / "kept").mkdir()
    gone = {**options, "state": "absent"}
    assert kept.differs(kept.read(host, gone), False)
    kept.change(host, gone)
    assert not (tmp_path / "kept").exists() and not kept.differs(kept.read(host, gone), False)


def test_a_link_is_not_followed_to_remove_either(host, options, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "client.key").write_text("somebody's")
    (tmp_path / "kept").symlink_to(elsewhere)
    with pytest.raises(HostError, match=r"node-7: .*is a symbolic link"):
        kept.change(host, {**options, "state": "absent"})
    assert (elsewhere / "client.key").read_text() == "somebody's"


@pytest.mark.parametrize("option", ["dir", "cert_path", "key_path"])
def test_only_absolute_paths_reach_the_host(host, options, option):
    with pytest.raises(InputError, match=f"{option} is 'kept'"):
        kept.read(host, {**options, option: "kept"})
    assert host.round_trips == 0
