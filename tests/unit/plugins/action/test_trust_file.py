# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import subprocess

import pytest

from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import act


@pytest.fixture(scope="module")
def cas(make_ca):
    return make_ca(), make_ca()


@pytest.fixture
def place(tmp_path):
    where = tmp_path / 'with space, quote\' and "$x"'
    where.mkdir()
    return where / "ca.crt"


def digests(*cas):
    return [ca.cert.sha256 for ca in cas]


def put(path, *cas, **options):
    return act("trust_file", path=str(path), certificates=[ca.pem.decode() for ca in cas], **options)


def tree(directory):
    return {
        p: (p.lstat().st_mode, p.lstat().st_ino, p.read_bytes())
        for p in pathlib.Path(directory).rglob("*")
        if p.is_file()
    }


def test_twelve_steps(place, cas):
    old, new = cas
    for wanted, before, after in (
        ({"cas": (old,)}, [], digests(old)),
        ({"cas": (new, old)}, digests(old), digests(new, old)),
        ({"cas": (), "state": "absent"}, digests(new, old), []),
    ):
        options = {"state": wanted.get("state", "present")}
        for _turn in range(2):
            untouched = tree(place.parent)
            predicted = put(place, *wanted["cas"], check=True, diff=True, **options)
            assert predicted["changed"]
            assert predicted["previous_sha256"] == before
            assert predicted["sha256"] == after
            assert tree(place.parent) == untouched
        done = put(place, *wanted["cas"], diff=True, **options)
        assert {k: predicted[k] for k in ("changed", "sha256", "previous_sha256", "diff")} == {
            k: done[k] for k in ("changed", "sha256", "previous_sha256", "diff")
        }
        untouched = tree(place.parent)
        again = put(place, *wanted["cas"], **options)
        assert not again["changed"]
        assert again["previous_sha256"] == after
        assert tree(place.parent) == untouched
        assert not put(place, *wanted["cas"], check=True, **options)["changed"]
        assert "BEGIN" not in str(done["diff"])
    assert list(place.parent.iterdir()) == []


def test_content_is_exactly_the_certificates(place, cas):
    put(place, *cas)
    assert place.read_bytes() == cas[0].pem + cas[1].pem
    assert stat.S_IMODE(place.stat().st_mode) == 0o644


def test_what_was_there_keeps_owner_and_mode_but_not_its_time(place, cas):
    place.write_bytes(cas[0].pem)
    place.chmod(0o440)
    if os.geteuid() == 0:
        os.chown(place, 12345, 23456)
    os.utime(place, (1, 1))
    before = place.stat()
    assert put(place, *cas)["changed"]
    after = place.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_mtime > before.st_mtime
    assert after.st_ino != before.st_ino


def test_mode_owner_and_group_can_be_set_and_are_kept_to(place, cas):
    assert put(place, *cas, mode="0600")["changed"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert not put(place, *cas, mode="0600")["changed"]
    assert put(place, *cas, mode="640")["changed"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    if os.geteuid() == 0:
        assert put(place, *cas, owner="nobody", group="23456")["changed"]
        assert (place.stat().st_uid, place.stat().st_gid) != (0, 0)
        assert place.stat().st_gid == 23456
        assert not put(place, *cas, owner="nobody", group="23456")["changed"]
    failed = put(place, *cas, owner="nobody-of-that-name")
    assert failed["failed"]
    assert "owner nobody-of-that-name" in failed["msg"]


def test_a_link_is_followed(place, cas, tmp_path):
    target = tmp_path / "real.crt"
    target.write_bytes(cas[0].pem)
    place.symlink_to(target)
    assert put(place, cas[1])["changed"]
    assert place.is_symlink()
    assert target.read_bytes() == cas[1].pem
    assert not put(place, cas[1])["changed"]


def test_a_link_to_nothing_yet(place, cas, tmp_path):
    place.symlink_to(tmp_path / "later.crt")
    assert put(place, cas[1])["changed"]
    assert place.is_symlink()
    assert (tmp_path / "later.crt").read_bytes() == cas[1].pem


def test_directory(place, cas):
    deeper = place.parent / "legacy" / "x.crt"
    for check in (True, False):
        refused = put(deeper, cas[0], check=check)
        assert refused["failed"]
        assert "does not exist" in refused["msg"]
        assert "node-7" in refused["msg"]
    assert put(deeper, cas[0], make_directory=True, check=True)["changed"]
    assert not deeper.parent.exists()
    assert put(deeper, cas[0], make_directory=True)["changed"]
    assert stat.S_IMODE(deeper.parent.stat().st_mode) == 0o755
    assert put(place.parent / "a" / "b" / "c.crt", cas[0], make_directory=True)["failed"]
    is_directory = put(place.parent, cas[0])
    assert is_directory["failed"]
    assert "is a directory" in is_directory["msg"]


def test_backup_is_made_once(place, cas):
    copy = place.parent / "before it all"
    place.write_bytes(b"what was there\n")
    place.chmod(0o640)
    assert put(place, cas[0], backup=str(copy))["backup"] == str(copy)
    assert copy.read_bytes() == b"what was there\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert put(place, cas[1], backup=str(copy))["backup"] == ""
    assert copy.read_bytes() == b"what was there\n"


@pytest.mark.skipif(
    shutil.which("mount") is None or os.geteuid() != 0, reason="mounting a small file system needs root"
)
def test_a_full_disk_leaves_the_old_file(tmp_path, make_ca, cas):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(disk)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        path = disk / "ca.crt"
        path.write_bytes(cas[0].pem)
        failed = put(path, *(make_ca(name="n" * 60) for _turn in range(20)))
        assert failed["failed"]
        assert "full" in failed["msg"]
        assert "nothing was changed" in failed["msg"]
        assert path.read_bytes() == cas[0].pem
        assert list(disk.iterdir()) == [path]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_restart_command(place, cas):
    seen = place.parent / "restarted"
    command = "cat <'{}' >>'{}'".format(*(str(p).replace("'", "'\"'\"'") for p in (place, seen)))
    put(place, cas[0], restart_command=command, check=True)
    assert not seen.exists()
    put(place, cas[0], restart_command=command)
    put(place, cas[0], restart_command=command)
    assert seen.read_bytes() == cas[0].pem
    failed = put(place, cas[1], restart_command="echo no such unit; exit 5")
    assert failed["failed"]
    assert "exit status 5" in failed["msg"]
    assert "no such unit" in failed["msg"]


@pytest.mark.parametrize("what", ["key", "nothing", "text", "relative", "mode"])
def test_refused(place, cas, what):
    good = cas[0].pem.decode()
    options = {
        "key": {"certificates": [good + cas[0].key_pem.decode()]},
        "nothing": {"certificates": []},
        "text": {"certificates": [good, "x"]},
        "relative": {"certificates": [good], "path": "ca.crt"},
        "mode": {"certificates": [good], "mode": 420},
    }[what]
    found = act("trust_file", **{"path": str(place), **options})
    assert found["failed"]
    assert "PRIVATE" not in str(found)
    assert not place.exists()


def test_the_same_certificate_twice_is_written_once(place, cas):
    assert put(place, cas[0], cas[1], cas[0])["sha256"] == digests(*cas)
