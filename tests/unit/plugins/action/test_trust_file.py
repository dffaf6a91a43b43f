# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import struct
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


# version 2; user::rw-, user:65534:r--, group::r--, mask::r--, other::---
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, who)
    for tag, bits, who in ((1, 6, 2**32 - 1), (2, 4, 65534), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1))
)
CONTEXT = b"system_u:object_r:cert_t:s0\0"


def test_access_lists_and_attributes_are_kept(place, cas):
    place.write_bytes(cas[0].pem)
    kept = {"system.posix_acl_access": ACL, "user.note": b"by us"}
    for name, value in kept.items():
        try:
            os.setxattr(place, name, value)
        except OSError:
            pytest.skip("the file system of the tests' directory keeps no access lists or no attributes")
    put(place, cas[1], check=True)
    assert place.read_bytes() == cas[0].pem
    put(place, cas[1])
    assert place.read_bytes() == cas[1].pem
    assert {name: os.getxattr(place, name) for name in kept} == kept


def test_attributes_that_cannot_be_kept_are_no_error(place, cas, tmp_path, monkeypatch):
    """docs/sudo.md says so: this cp is of another kind, or its file system takes none."""
    place.write_bytes(cas[0].pem)
    place.chmod(0o640)
    try:
        os.setxattr(place, "user.note", b"by us")
    except OSError:
        pytest.skip("the file system of the tests' directory keeps no attributes")
    instead_of("cp", 'case "$*" in *--preserve=all*) exit 1 ;; esac', tmp_path / "bin", monkeypatch)
    assert put(place, cas[1])["changed"]
    assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (cas[1].pem, 0o640)
    assert os.listxattr(place) == []


def labelled(place):
    """The kernel keeps the attribute without SELinux too, for root; what reads and writes it is the same."""
    try:
        os.setxattr(place, "security.selinux", CONTEXT)
    except OSError:
        pytest.skip("SELinux contexts can be set here neither by SELinux itself nor as root")
    if subprocess.run(["stat", "-c", "%C", place], capture_output=True, check=True).stdout == b"?\n":
        pytest.skip("the coreutils here are built without SELinux")


def instead_of(tool, body, directory, monkeypatch):
    """A program that stands in for a tool of the host: ``body``, and then the real one."""
    directory.mkdir(exist_ok=True)
    real = shutil.which(tool, path=os.environ["PATH"].removeprefix(f"{directory}:"))
    (directory / tool).write_text(f'#!/bin/sh\n{body}\nexec {real} "$@"\n', encoding="utf-8")
    (directory / tool).chmod(0o755)
    if not os.environ["PATH"].startswith(f"{directory}:"):
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.parametrize("cp", ["", 'case "$*" in *--preserve=all*) exit 1 ;; esac'], ids=["new cp", "old cp"])
def test_the_security_context_is_kept(place, cas, tmp_path, monkeypatch, cp):
    place.write_bytes(cas[0].pem)
    labelled(place)
    instead_of("cp", cp, tmp_path / "bin", monkeypatch)
    assert put(place, cas[1])["changed"]
    assert place.read_bytes() == cas[1].pem
    assert os.getxattr(place, "security.selinux") == CONTEXT


def test_a_context_that_cannot_be_kept_leaves_the_old_file(place, cas, tmp_path, monkeypatch):
    place.write_bytes(cas[0].pem)
    labelled(place)
    instead_of("cp", 'case "$*" in *--preserve=all*) exit 1 ;; esac', tmp_path / "bin", monkeypatch)
    instead_of("chcon", "exit 1", tmp_path / "bin", monkeypatch)
    failed = put(place, cas[1])
    assert (
        "node-7: " in failed["msg"]
        and "its SELinux context system_u:object_r:cert_t:s0 cannot be kept" in failed["msg"]
    )
    assert "nothing was changed" in failed["msg"]
    assert (place.read_bytes(), list(place.parent.iterdir())) == (cas[0].pem, [place])


def test_without_selinux_its_tools_are_not_called(place, cas, tmp_path, monkeypatch):
    place.write_bytes(cas[0].pem)
    instead_of("chcon", f"touch '{tmp_path}/called'; exit 1", tmp_path / "bin", monkeypatch)
    for context, ca in (("?", cas[1]), ("", cas[0])):
        instead_of("stat", f'[ "$2" != %C ] || {{ echo "{context}"; exit; }}', tmp_path / "bin", monkeypatch)
        assert put(place, ca)["changed"]
    assert not (tmp_path / "called").exists()


def test_another_name_of_the_file_keeps_what_it_had(place, cas):
    place.write_bytes(cas[0].pem)
    os.link(place, place.parent / "other name")
    put(place, cas[1])
    assert place.read_bytes() == cas[1].pem
    assert (place.parent / "other name").read_bytes() == cas[0].pem


@pytest.mark.parametrize("what", ["the file", "its directory"])
def test_what_nobody_may_change_stays_and_is_named(place, cas, what):
    place.write_bytes(cas[0].pem)
    locked = place if what == "the file" else place.parent
    if os.geteuid() != 0:
        place.parent.chmod(0o500)
    elif subprocess.run(["chattr", "+i", locked], capture_output=True, check=False).returncode:
        pytest.skip("files cannot be made immutable on the file system of the tests' directory")
    try:
        failed = put(place, cas[1])
    finally:
        place.parent.chmod(0o700) if os.geteuid() != 0 else subprocess.run(["chattr", "-i", locked], check=True)
    expected = (
        "immutable, or a mount of its own?" if locked == place and os.geteuid() == 0 else "no file can be made in"
    )
    assert expected in failed["msg"] and "nothing was changed" in failed["msg"] and str(place) in failed["msg"]
    assert (place.read_bytes(), list(place.parent.iterdir())) == (cas[0].pem, [place])


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
