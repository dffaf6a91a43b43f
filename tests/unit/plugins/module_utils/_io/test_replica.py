# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    HostError,
    InputError,
    Unreachable,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import replica
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer, Host, compose, parse
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of

DEFAULTS = {name: spec.get("default") for name, spec in replica.ARGUMENT_SPEC.items()}


@pytest.fixture
def host():
    return Host(action_of("ca_info"), {"inventory_hostname": "cp1"})


def options(**given):
    assert given.keys() <= DEFAULTS.keys()
    return {**DEFAULTS, **{name: str(value) for name, value in given.items()}}


@pytest.mark.parametrize("seconds", ["", "²", "9" * 15, "9" * 5000, "-1"])
def test_a_file_time_that_no_calendar_has_is_none(seconds):
    assert replica._since(seconds) is None
    assert replica._since("0") == "1970-01-01T00:00:00Z"


def test_line_numbers_that_are_none_are_passed_over():
    assert replica._lines("3:A=1\n²:B=2\n" + "9" * 5000 + ":C=3\nx") == [(3, "A=1")]


def test_nothing_asked_is_no_round_trip_and_no_claim(host):
    found = replica.gather(host, options(name="one"))
    assert host.round_trips == 0
    assert (found["name"], found["reachable"], found["error"]) == ("one", True, "")
    assert found["active_ca"] is found["auto_ca_gen"] is found["acceptable_ca_count"] is None
    assert found["pool"] == {"raw": None, "entries": [], "line": None, "error": ""}
    assert found["ours"] == found["legacy_dir"] == found["chain"] == []


@pytest.mark.parametrize(("error", "reachable"), [(Unreachable, False), (HostError, True), (InputError, True)])
def test_not_read_has_the_shape_of_one_that_was(host, error, reachable):
    found = replica.not_read("cp1", options(address="cp1.test:8443"), error("cp1: why"))
    assert found.keys() == replica.gather(host, options()).keys()
    assert (found["name"], found["address"], found["reachable"]) == ("cp1", "cp1.test:8443", reachable)
    errors = (found["error"], found["listener_error"], found["active_ca_error"])
    assert {*errors, found["pool"]["error"], found["boot"]["error"]} == {"cp1: why"}
    assert found["listening"] is False and found["boot"]["loaded_count"] is None


def test_what_may_not_be_seen_of_the_storage_is_said():
    words = "permission denied; is become missing?"
    hidden = {"storage.error": b"unreadable"}
    found = replica._storage(Answer(0, hidden, "", ""), "/certs", "/legacy")
    assert found["error"] == found["key"]["error"] == f"/certs: {words}"
    partly = {"storage.mode": b"711 cc", "storage.key_error": b"unreadable", "storage.copies_error": b"unreadable"}
    found = replica._storage(Answer(0, partly, "", ""), "/certs", "/legacy")
    assert (found["error"], found["mode"], found["owner"]) == ("", "711", "cc")
    assert found["key"]["error"] == f"/certs/ca.key: {words}"
    assert found["key_copies_error"] == "/legacy: a file in it may not be read; is become missing?"


def shown(certs, legacy, *changes, **how):
    """What the script prints about the storage, with texts of it replaced."""
    script = replica._STORAGE.replace("@ENTRIES@", "9") + "qz_storage\n"
    for before, after in changes:
        assert before in script
        script = script.replace(before, after)
    text = compose(script, {"certs_dir": str(certs), "legacy_dir": str(legacy)}, "mark")
    done = subprocess.run(["/bin/sh"], input=text, capture_output=True, text=True, check=True, cwd="/", **how)
    sections, code, _lack = parse(done.stdout, "mark")
    assert code == 0 and done.stderr == ""
    return Answer(0, sections, "", "")


def test_a_mount_point_with_blanks_is_found_among_the_mounts(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "91 27 8:17 / /srv/cc\\040data rw,relatime shared:2 - xfs /dev/sdb1 rw\n"
        "92 91 8:18 / /srv/cc\\040data/more rw - tmpfs tmpfs rw\n"
    )
    changes = (
        ("/proc/self/mountinfo", str(mounts)),
        ('$(stat -L -c %m -- "$certs_dir" 2>/dev/null)', "'/srv/cc data'"),
    )
    found = replica._storage(shown(tmp_path, tmp_path, *changes), str(tmp_path), str(tmp_path))
    assert (found["mount"], found["file_system"]) == ("/srv/cc data", "xfs")
    gone = shown(tmp_path, tmp_path, ("/proc/self/mountinfo", "/nonexistent"))
    assert replica._storage(gone, str(tmp_path), "")["file_system"] == ""


def test_what_another_user_may_not_see_is_said():
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        certs, legacy = pathlib.Path(home) / "certs", pathlib.Path(home) / "legacy"
        for place in (certs, legacy):
            place.mkdir()
        (legacy / "a.key").write_text("")
        (legacy / "a.key").chmod(0)
        (certs / "ca.key").write_text("")
        os.chmod(home, 0o755)
        # Root may read everything, so that the script is run as somebody else then.
        how = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        certs.chmod(0o755)
        answer = shown(certs, legacy, **how)
        assert answer.text("storage.copies_error") == "unreadable" and "storage.key" in answer.sections
        certs.chmod(0)
        legacy.chmod(0)
        answer = shown(certs, legacy, **how)
        assert (answer.text("storage.key_error"), answer.text("storage.copies_error")) == ("unreadable",) * 2
        os.chmod(home, 0)
        answer = shown(certs, legacy, **how)
        assert answer.text("storage.error") == "unreadable"
        for place in (home, certs, legacy):
            os.chmod(place, 0o700)


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_ours_are_the_legacy_directory_and_the_old_files_of_the_panel(host, tmp_path, end):
    certs, legacy = tmp_path / "certs", tmp_path / "legacy"
    assert replica.gather(host, options(certs_dir=f"{certs}{end}"))["ours"] == [f"{certs}/ca.crt.old"]
    both = replica.gather(host, options(certs_dir=f"{certs}{end}", legacy_dir=f"{legacy}{end}"))
    assert both["ours"] == [f"{legacy}/", f"{certs}/ca.crt.old"]
    assert host.round_trips == 2


def test_what_the_panel_put_aside_counts_as_legacy_and_nothing_else_does(host, tmp_path, make_ca):
    ca = make_ca()
    for name in ("ca.crt", "ca.crt.old", "ca.crt.old.2", "server.crt"):
        (tmp_path / name).write_bytes(ca.pem)
    found = replica.gather(host, options(certs_dir=tmp_path))
    assert [entry["path"] for entry in found["legacy_dir"]] == [f"{tmp_path}/ca.crt.old", f"{tmp_path}/ca.crt.old.2"]
    assert all(entry["path"].startswith(tuple(found["ours"])) for entry in found["legacy_dir"])


def test_the_first_certificate_of_the_file_is_the_active_one(host, tmp_path, make_ca):
    first, second = make_ca(), make_ca()
    (tmp_path / "ca.crt").write_bytes(first.pem + second.pem)
    assert replica.gather(host, options(certs_dir=tmp_path))["active_ca"]["sha256"] == first.cert.sha256


@pytest.mark.parametrize(("value", "flag"), [("1", True), ("On", True), ("0", False), ("", False), ("maybe", False)])
def test_auto_generation_is_on_only_when_it_says_so(host, tmp_path, value, flag):
    env = tmp_path / "env"
    env.write_text(f"CC_ALLOW_AUTO_CA_GEN=true\nCC_ALLOW_AUTO_CA_GEN={value}\n")
    assert replica.gather(host, options(env_file=env))["auto_ca_gen"] is flag


@pytest.mark.parametrize("name", ["A B", "A.*", "1A", "A\n", ""])
@pytest.mark.parametrize("option", ["variable", "auto_ca_gen_variable"])
def test_a_variable_goes_into_a_pattern_so_it_must_be_a_name(host, option, name):
    with pytest.raises(InputError, match=f"{option} should be the name of an environment variable"):
        replica.gather(host, options(env_file="/no/such/env", **{option: name}))
    assert host.round_trips == 0
