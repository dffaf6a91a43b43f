# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shell side of the lock over a real local connection: what is found, what is refused, what others do meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Host
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.run_lock import RunLock
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of


@pytest.fixture
def path(tmp_path):
    home = tmp_path / 'it\'s "here" $x'
    home.mkdir()
    return home / "the lock"


def lock(path, run_id="me", kind="exclusive", **more):
    options = {
        "path": str(path),
        "run_id": run_id,
        "kind": kind,
        "expires_in": 60,
        "who": f"{run_id} of a test",
        **more,
    }
    return RunLock(Host(action_of("run_lock"), {"inventory_hostname": "cp1"}), options)


def entries(path):
    return sorted(at.relative_to(path).as_posix().partition(".")[2] for at in path.rglob("*") if at.is_file())


def takes(mine, *, renew=False):
    """The refusal, empty when the lock was taken."""
    return mine.refusal(mine.take(renew=renew), renew=renew)


def test_nothing_is_left_beside_the_lock(path):
    assert takes(lock(path)) == ""
    assert takes(lock(path, "other"))
    lock(path).release()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("left", ["exclusive", "shared", ""])
@pytest.mark.parametrize("kind", ["exclusive", "shared"])
def test_what_an_interrupted_release_leaves_holds_nothing(path, left, kind):
    (path / left).mkdir(parents=True)
    assert takes(lock(path, kind=kind)) == ""
    assert [at.name for at in path.iterdir()] == [kind]
    assert entries(path) == ["me"]


@pytest.mark.parametrize("what", ["file", "link", "link to nothing", "pipe"])
def test_a_path_that_is_no_directory_is_left_alone(path, what):
    elsewhere = path.parent / "elsewhere"
    if what == "file":
        path.write_text("precious")
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere)
        if what == "link":
            elsewhere.mkdir()
    before = path.lstat()
    with pytest.raises(HostError, match=r"cp1: .*the lock: is a file or a link, a directory was expected; nothing was"):
        lock(path).take(renew=False)
    assert path.lstat() == before


@pytest.mark.parametrize(
    "name", ["ca.key", ".hidden", "..x", "exclusive.old", "exclusive/sub/", "shared/link", "shared"]
)
def test_somebody_elses_directory_is_never_touched_however_old(path, name):
    (path / "exclusive").mkdir(parents=True)
    if name != "shared":
        (path / "shared").mkdir()
    at = path / name
    if name.endswith("/"):
        at.mkdir()
    elif name.endswith("link"):
        at.symlink_to("/etc/passwd")
    else:
        at.write_text("precious")
        os.utime(at, (1, 1))
    expected = name.rstrip("/")
    for mine in (lock(path), lock(path, kind="shared")):
        with pytest.raises(HostError, match=r"expected a directory of its own for the lock, found ") as failed:
            mine.take(renew=False)
        assert repr(expected) in str(failed.value)
        with pytest.raises(HostError):
            mine.release()
    assert at.exists() or at.is_symlink()


@pytest.mark.parametrize("kind", ["exclusive", "shared"])
def test_a_stray_file_counts_until_it_is_old(path, kind):
    stray = path / kind / "half written \n 'entry'"
    stray.parent.mkdir(parents=True)
    stray.touch()
    refused = takes(lock(path))
    assert "the file " in refused and "which is no entry of a lock" in refused and "\n" not in refused
    os.utime(stray, (time.time() - 61, time.time() - 61))
    assert takes(lock(path)) == ""
    assert entries(path) == ["me"]


def test_an_empty_entry_is_judged_by_its_name(path):
    assert takes(lock(path, "first")) == ""
    (entry,) = (path / "exclusive").iterdir()
    entry.write_text("")
    assert "a run that left no name (run first, exclusive, until " in takes(lock(path))
    entry.rename(entry.with_name(f"{int(time.time()) - 1}.first"))
    assert takes(lock(path)) == ""


def test_a_directory_that_is_not_there(path):
    deeper = path / "a" / "b"
    with pytest.raises(HostError, match=r"its directory does not exist, or cannot be seen"):
        lock(deeper).take(renew=False)
    mine = lock(deeper)
    with pytest.raises(HostError, match=r"its directory does not exist"):
        mine.refusal(mine.look(), renew=False)
    lock(deeper).release()


@pytest.mark.parametrize("bad", [{"path": "lock"}, {"path": "/x/"}, {"expires_in": 0}, {"run_id": "a/b"}])
def test_options_that_cannot_be(path, bad):
    with pytest.raises(InputError):
        lock(**{"path": path, **bad})


def test_a_renewal_moves_the_end_and_keeps_the_rest(path):
    lock(path, expires_in=5).take(renew=False)
    (before,) = (path / "exclusive").iterdir()
    text = before.read_text()
    assert takes(lock(path, expires_in=500), renew=True) == ""
    (after,) = (path / "exclusive").iterdir()
    assert int(after.name.partition(".")[0]) > int(before.name.partition(".")[0]) + 400
    assert after.read_text() == text and '"who": "me of a test"' in text


def between(monkeypatch, act):
    """Have somebody else act after the look, and before the change, once."""
    real, turns = RunLock._changed, []

    def first(self, found):
        if not turns:
            turns.append(1)
            act()
        return real(self, found)

    monkeypatch.setattr(RunLock, "_changed", first)
    return turns


@pytest.mark.parametrize("kind", ["exclusive", "shared"])
def test_somebody_is_quicker(path, monkeypatch, kind):
    turns = between(monkeypatch, lambda: lock(path, "other", kind).take(renew=False))
    refused = takes(lock(path))
    assert "other of a test" in refused and turns
    assert entries(path) == ["other"]


def test_an_expired_lock_is_renewed_before_it_is_taken_over(path, monkeypatch):
    lock(path, "slow", expires_in=1).take(renew=False)
    time.sleep(2.1)
    between(monkeypatch, lambda: lock(path, "slow").take(renew=True))
    assert "slow of a test" in takes(lock(path))
    assert entries(path) == ["slow"]


def test_an_expired_lock_is_taken_over_before_it_is_renewed(path, monkeypatch):
    lock(path, "slow", expires_in=1).take(renew=False)
    time.sleep(2.1)
    between(monkeypatch, lambda: lock(path, "other").take(renew=False))
    refused = takes(lock(path, "slow"), renew=True)
    assert (
        refused.startswith(f"cp1: {path}: run slow holds the lock no more")
        and "It is held by other of a test" in refused
    )
    assert entries(path) == ["other"]


def test_somebody_joins_while_a_shared_lock_is_made_exclusive(path, monkeypatch):
    lock(path, kind="shared").take(renew=False)
    between(monkeypatch, lambda: lock(path, "other", "shared").take(renew=False))
    assert "other of a test" in takes(lock(path))
    assert entries(path / "shared") == ["me", "other"]


def test_nobody_joins_what_has_become_exclusive(path, monkeypatch):
    lock(path, "other", "shared").take(renew=False)
    between(monkeypatch, lambda: lock(path, "other", "exclusive").take(renew=True))
    assert "other of a test (run other, exclusive" in takes(lock(path, kind="shared"))
    assert entries(path / "exclusive") == ["other"]


def test_an_exclusive_lock_becomes_shared_again(path):
    lock(path).take(renew=False)
    assert takes(lock(path, kind="shared"), renew=True) == ""
    assert takes(lock(path, "other", "shared")) == ""
    assert entries(path / "shared") == ["me", "other"]


def test_what_a_run_left_that_died_while_it_made_its_lock_exclusive(path):
    for run_id in ("me", "dead"):
        lock(path, run_id, "shared").take(renew=False)
    (path / "shared").rename(path / "exclusive")
    assert "dead of a test" in takes(lock(path, "other", "shared"))
    assert takes(lock(path, kind="shared"), renew=True) == ""
    assert takes(lock(path, "other", "shared")) == ""
    assert entries(path / "shared") == ["dead", "me", "other"]


def test_only_a_renewal_asks_whether_it_is_still_there(path):
    assert "run me holds the lock no more: it expired and was taken over, or somebody removed it. What" in takes(
        lock(path), renew=True
    )
    assert not path.exists()


def test_a_release_takes_what_is_its_own(path):
    for run_id in ("me", "other"):
        lock(path, run_id, "shared").take(renew=False)
    lock(path, "nobody").release()
    assert entries(path) == ["me", "other"]
    lock(path).release()
    assert entries(path) == ["other"]
    lock(path, "other").release()
    assert not path.exists()


def test_others_that_are_always_quicker_end_in_an_error(path, monkeypatch):
    monkeypatch.setattr(RunLock, "_changed", lambda self, found: False)
    with pytest.raises(HostError, match=r"other runs change it all the time"):
        lock(path).take(renew=False)


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_and_a_read_only_one_take_no_lock(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=4", "none", str(disk)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        (disk / "a").touch()
        with pytest.raises(HostError, match=r"cp1: .*lock: could not be written in .*: the disk is full"):
            lock(disk / "lock").take(renew=False)
        assert [at.name for at in disk.iterdir()] == ["a"]
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(HostError, match=r"no directory can be made in .*: permission denied, read-only or full"):
            lock(disk / "lock").take(renew=False)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("clock", ["", "soon", "9" * 5000])
def test_a_clock_that_says_nothing(path, monkeypatch, clock):
    monkeypatch.setattr(run_lock, "_READ", run_lock._READ.replace('"$(date +%s)"', f'"{clock}"'))
    with pytest.raises(HostError, match=r"the clock of the host could not be read"):
        lock(path).look()
