# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import act

VARIABLE = "CC_TRUST_ADDITIONAL_CA_CERTS"
OLD = "/var/lib/quazzar-cc/legacy/aa.crt"


@pytest.fixture
def env(tmp_path):
    where = tmp_path / "etc's dir"
    where.mkdir()
    path = where / "cc env"
    path.write_bytes(b"# first\nDB_PASSWORD=hunter2-geheim\nCC_OTHER=1\n")
    return path


def pool(path, **options):
    found = act("trust_pool", env_file=str(path), **options)
    assert "hunter2" not in str(found)
    return found


def test_twelve_steps(env):
    start = env.read_bytes()
    for wanted, before, after in (
        ({"add": [OLD]}, [], [OLD]),
        ({"add": ["/b.crt"], "remove": [OLD]}, [OLD], ["/b.crt"]),
        ({"state": "absent"}, ["/b.crt"], []),
    ):
        content, inode = env.read_bytes(), env.stat().st_ino
        for _turn in range(2):
            predicted = pool(env, check=True, diff=True, **wanted)
            assert predicted["changed"]
            assert predicted["previous_entries"] == before
            assert predicted["entries"] == after
            assert env.read_bytes() == content
            assert env.stat().st_ino == inode
        done = pool(env, diff=True, **wanted)
        assert done == predicted
        content, inode = env.read_bytes(), env.stat().st_ino
        for check in (False, True):
            again = pool(env, check=check, diff=True, **wanted)
            assert not again["changed"]
            assert "diff" not in again
            assert again["entries"] == after
        assert env.read_bytes() == content
        assert env.stat().st_ino == inode
    assert env.read_bytes() == start
    assert list(env.parent.iterdir()) == [env]


def test_only_the_line_travels(env, monkeypatch):
    env.write_bytes(env.read_bytes() + f'export {VARIABLE}="/x.crt"  # who put this here\n'.encode())
    outputs = []
    parse = io_host.parse

    def spy(stdout, mark):
        sections = parse(stdout, mark)
        outputs.append(stdout + str(sections))
        return sections

    monkeypatch.setattr(io_host, "parse", spy)
    found = pool(env, add=[OLD], diff=True)
    assert found["diff"]["before"] == f'export {VARIABLE}="/x.crt"  # who put this here\n'
    assert found["diff"]["after"] == f'export {VARIABLE}="/x.crt,{OLD}"  # who put this here\n'
    assert len(outputs) == 2
    assert not any("hunter2" in text for text in outputs)
    assert found["line"] == 4


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"V=/n.crt\n"),
        (b"A=1", b"A=1\nV=/n.crt\n"),
        (b"A=1\r\nV=/a.crt\r\nB=2\r\n", b"A=1\r\nV=/a.crt,/n.crt\r\nB=2\r\n"),
        (b"V=/a.crt", b"V=/a.crt,/n.crt"),
        (b"A=1\nV=/a.crt,, /b.crt ,\nB=2", b"A=1\nV=/a.crt,,/n.crt\nB=2"),
        (b"V=/first.crt\nA=\xff\xfe\x81\nV='/a.crt'\n", b"V=/first.crt\nA=\xff\xfe\x81\nV='/a.crt,/n.crt'\n"),
        (b"# V=/x\nVV=1\n", b"# V=/x\nVV=1\nV=/n.crt\n"),
        (b"\n\nV=\n\n\n", b"\n\nV=/n.crt\n\n\n"),
    ],
)
def test_bytes_around_it_stay(env, before, after):
    env.write_bytes(before)
    found = pool(env, variable="V", add=["/n.crt"])
    assert found.get("changed"), found
    if b", /b.crt" in before:
        # What the core makes of blanks and empty entries is its own affair; the lines around must stay.
        assert env.read_bytes().startswith(b"A=1\nV=/a.crt")
        assert env.read_bytes().endswith(b"/n.crt\nB=2")
        return
    assert env.read_bytes() == after


def test_a_duplicate_does_not_come_into_force(env):
    env.write_bytes(b"V=/old.crt\nV=/n.crt\n")
    assert pool(env, variable="V", remove=["/n.crt"])["changed"]
    assert env.read_bytes() == b"V=/old.crt\nV=\n"
    assert pool(env, variable="V", add=["/m.crt"])["entries"] == ["/m.crt"]
    assert pool(env, variable="V", state="absent")["changed"]
    assert env.read_bytes() == b"V=/old.crt\nV=\n"
    assert not pool(env, variable="V", state="absent")["changed"]


def test_a_comment_is_kept(env):
    env.write_bytes(b"V=/n.crt # mine\n")
    pool(env, variable="V", remove=["/n.crt"])
    assert env.read_bytes() == b"V= # mine\n"
    assert not pool(env, variable="V", remove=["/n.crt"])["changed"]


def test_owner_mode_and_link(env, tmp_path):
    env.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(env, 0, 23456)
    link = tmp_path / "link"
    link.symlink_to(env)
    before = env.stat()
    assert pool(link, add=[OLD])["changed"]
    after = env.stat()
    assert link.is_symlink()
    assert OLD.encode() in env.read_bytes()
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (0o640, before.st_uid, before.st_gid)


def test_missing(env, tmp_path):
    found = pool(tmp_path / "no" / "env", add=[OLD], create=True)
    assert found["failed"]
    assert "directory does not exist" in found["msg"]
    absent = tmp_path / "env"
    found = pool(absent, add=[OLD])
    assert found["failed"]
    assert "no such file" in found["msg"]
    assert "node-7" in found["msg"]
    assert pool(absent, add=[OLD], create=True, check=True)["changed"]
    assert not absent.exists()
    assert pool(absent, add=[OLD], create=True)["changed"]
    assert absent.read_text() == f"{VARIABLE}={OLD}\n"
    assert pool(tmp_path, add=[OLD])["failed"]


@pytest.mark.parametrize(
    "options",
    [
        {"add": ["/a,b"]},
        {"add": ["relative"]},
        {"add": ["/a\nb"]},
        {"variable": "A B"},
        {"add": ["/a"], "remove": ["/a"]},
    ],
)
def test_refused(env, options):
    before = env.read_bytes()
    assert pool(env, **options)["failed"]
    assert pool(env, tolerate=True, **options)["error"]
    assert env.read_bytes() == before


def test_a_line_that_readers_would_not_agree_on(env):
    env.write_bytes(b"V=$HOME/x\n")
    found = pool(env, variable="V", add=["/n.crt"])
    assert found["failed"]
    assert "line 1" in found["msg"]
    assert "cc env" in found["msg"]
    assert env.read_bytes() == b"V=$HOME/x\n"


def test_a_file_that_changes_meanwhile_is_not_overwritten(env, monkeypatch):
    run = io_host.Host.run
    turns = []

    def racing(self, *args, **kwargs):
        turns.append(1)
        if len(turns) == 2:
            env.write_bytes(b"SOMEBODY=else\n")
        return run(self, *args, **kwargs)

    monkeypatch.setattr(io_host.Host, "run", racing)
    found = pool(env, add=[OLD])
    assert found["failed"]
    assert "changed while it was worked on" in found["msg"]
    assert env.read_bytes() == b"SOMEBODY=else\n"
    assert list(env.parent.iterdir()) == [env]


def test_a_large_file_stays_whole(env):
    lines = b"".join(b"K%d=%s\n" % (n, b"v" * 100) for n in range(3000))
    env.write_bytes(lines + b"V=/a.crt\n" + lines)
    assert pool(env, variable="V", add=["/n.crt"])["changed"]
    assert env.read_bytes() == lines + b"V=/a.crt,/n.crt\n" + lines
