# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import pathlib
import re
import subprocess
import time

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import controller
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.action.test_trust_file import instead_of
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import act

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TAKERS = 12


@pytest.fixture
def path(tmp_path):
    home = tmp_path / 'with space, quote\' and "$x"'
    home.mkdir()
    return home / "lock"


def lock(path, run_id="me", **options):
    return act("run_lock", path=str(path), run_id=run_id, who=f"{run_id} of a test", **options)


def tree(directory):
    return {
        at.relative_to(directory).as_posix(): (at.lstat().st_ino, at.lstat().st_mode, at.lstat().st_mtime_ns)
        for at in pathlib.Path(directory).rglob("*")
    }


def comparable(result):
    return {name: result[name] for name in ("changed", "path", "holders", "taken_over", "error", "diff")}


def test_twelve_steps(path):
    """Create, change, delete; each in check mode and for real, each twice; and delete what is absent."""
    for _turn, check in itertools.product(range(2), (True, False)):
        assert not lock(path, state="absent", check=check)["changed"]
    for step, before, after in (
        ({}, "", "exclusive me\n"),
        ({"kind": "shared"}, "exclusive me\n", "shared me\n"),
        ({"state": "renewed"}, "shared me\n", "exclusive me\n"),
        ({"state": "absent"}, "exclusive me\n", ""),
    ):
        untouched = tree(path.parent)
        for _turn in range(2):
            predicted = lock(path, check=True, diff=True, **step)
            assert predicted["changed"]
            assert (predicted["diff"]["before"], predicted["diff"]["after"]) == (before, after)
            assert tree(path.parent) == untouched
        done = lock(path, diff=True, **step)
        assert comparable(done) == comparable(predicted)
        assert bool(TIME.fullmatch(done["until"])) is (step.get("state") != "absent")
        for _turn, check in itertools.product(range(2), (True, False)):
            again = lock(path, check=check, diff=True, **step)
            assert not again["changed"] and "diff" not in again
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("tolerate", [True, False])
def test_the_second_is_refused_and_told_of_the_first(path, check, tolerate):
    lock(path, "first")
    untouched = tree(path.parent)
    found = lock(path, "second", check=check, tolerate=tolerate)
    assert found.get("failed", False) is not tolerate
    assert not found["changed"] and found["until"] == "" and found["taken_over"] == []
    message = found["error"] if tolerate else found["msg"]
    assert message.startswith(
        f"node-7: {path}: another run holds the lock: first of a test (run first, exclusive, since "
    )
    assert " Let it finish and run again; if it is dead, its lock expires by itself at " in message
    (holder,) = found["holders"]
    assert (holder["run_id"], holder["kind"], holder["who"]) == ("first", "exclusive", "first of a test")
    assert TIME.fullmatch(holder["since"]) and TIME.fullmatch(holder["until"])
    assert tree(path.parent) == untouched


def test_nobody_can_remove_the_lock_of_somebody_else(path):
    lock(path, "first")
    untouched = tree(path.parent)
    assert not lock(path, "second", state="absent")["changed"]
    assert tree(path.parent) == untouched


def test_it_expires_and_is_taken_over_and_the_first_is_told(path):
    lock(path, "first", expires_in=3)
    assert lock(path, "second").get("failed")
    time.sleep(4.1)
    predicted = lock(path, "second", check=True)
    assert predicted["changed"] and not predicted.get("failed")
    found = lock(path, "second")
    assert found["changed"] and found["taken_over"] == predicted["taken_over"]
    (said,) = found["taken_over"]
    assert said.startswith("the lock of first of a test (run first, exclusive, ") and said.endswith(" had expired")
    for state in ("present", "renewed"):
        lost = lock(path, "first", state=state)
        assert lost["failed"] and "second of a test" in lost["msg"]
    assert lock(path, "second", state="absent")["changed"] and not path.exists()


def test_a_renewal_keeps_it_from_expiring(path):
    lock(path, "first", expires_in=3)
    for _turn in range(4):
        time.sleep(0.9)
        assert not lock(path, "first", state="renewed", expires_in=3)["changed"]
    assert lock(path, "second").get("failed")


def test_shared_locks_live_side_by_side(path):
    for run_id in ("one", "two", "three"):
        assert lock(path, run_id, kind="shared")["changed"]
    refused = lock(path, "alone", tolerate=True)
    assert sorted(holder["run_id"] for holder in refused["holders"]) == ["one", "three", "two"]
    assert all(f"{run_id} of a test (run {run_id}, shared" in refused["error"] for run_id in ("one", "two", "three"))
    # none of them can have it for itself
    assert lock(path, "one", state="renewed", tolerate=True)["error"]
    for run_id in ("one", "two", "three"):
        assert lock(path, run_id, kind="shared", state="absent")["changed"]
    assert lock(path, "alone")["changed"]
    assert lock(path, "one", kind="shared").get("failed")


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")
class TestTheProcessOfTheRun:
    @pytest.fixture
    def killed(self, path, monkeypatch):
        """A run that was killed while it held the lock."""
        process = subprocess.Popen(["sleep", "600"])
        mine = controller.process()
        start = controller._stat(process.pid)[1]
        monkeypatch.setattr(controller, "process", lambda: type(mine)(mine.machine, mine.user, process.pid, start))
        lock(path, "first")
        assert lock(path, "second").get("failed"), "it still lives"
        process.kill()
        process.wait()
        monkeypatch.undo()
        return process.pid

    def test_a_dead_run_of_this_controller_is_not_waited_for(self, path, killed):
        predicted = lock(path, "second", check=True)
        found = lock(path, "second")
        assert found["changed"] and found["taken_over"] == predicted["taken_over"]
        assert found["taken_over"][0].endswith(f"was left by process {killed} of this controller, which has ended")
        assert [holder["run_id"] for holder in found["holders"]] == ["first"]

    @pytest.mark.parametrize("what", ["machine", "user"])
    def test_that_of_another_controller_or_user_is(self, path, killed, monkeypatch, what):
        if what == "machine":
            monkeypatch.setattr(controller, "_machine", lambda: "another boot or container")
        else:
            monkeypatch.setattr(controller.os, "getuid", lambda: 4_000_000)
        assert lock(path, "second").get("failed")


def test_an_unreachable_host(path, monkeypatch):
    from ansible.errors import AnsibleConnectionFailure
    from ansible.plugins.connection.local import Connection

    def refuse(*_unused, **_also):
        raise AnsibleConnectionFailure("no route to host")

    monkeypatch.setattr(Connection, "exec_command", refuse)
    found = lock(path, tolerate=True)
    assert (found["reachable"], found["changed"], found["holders"]) == (False, False, [])
    assert "no route to host" in found["error"]
    assert lock(path)["unreachable"]


# --- many at once, each in a process of its own ----------------------------------------------------------------------


def compete(path, barrier, results, turns):
    """One competitor: each turn with other options, all of them at the same moment."""
    for number, options in enumerate(turns):
        barrier.wait()
        found = act("run_lock", path=str(path), tolerate=True, **options)
        results.put((number, options["run_id"], found["error"]))


def race(path, turns_of):
    """What each competitor was told, a dictionary from run to error for each turn."""
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(len(turns_of)), fork.Queue()
    workers = [fork.Process(target=compete, args=(path, barrier, results, turns)) for turns in turns_of]
    for worker in workers:
        worker.start()
    told = [{} for _turn in turns_of[0]]
    for _answer in range(sum(map(len, turns_of))):
        number, run_id, error = results.get(timeout=120)
        told[number][run_id] = error
    for worker in workers:
        worker.join()
    return told


def winners(told):
    return sorted(run_id for run_id, error in told.items() if not error)


def entries(path):
    return sorted(at.name.partition(".")[2] for at in path.rglob("*") if at.is_file())


def test_of_many_that_take_it_at_once_one_gets_it_again_and_again(path):
    rounds = 4
    turns = [
        [{"run_id": f"r{number}-{turn}", "state": state} for turn in range(rounds) for state in ("present", "absent")]
        for number in range(TAKERS)
    ]
    told = race(path, turns)
    for turn in range(rounds):
        assert len(winners(told[2 * turn])) == 1, told[2 * turn]
        assert set(told[2 * turn + 1].values()) == {""}
        losers = [error for error in told[2 * turn].values() if error]
        assert all(f"{path}: another run holds the lock: " in error for error in losers), losers
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("left", ["exclusive", "shared"])
def test_of_many_that_take_an_expired_one_over_one_gets_it(path, left):
    lock(path, "dead", kind=left, expires_in=1)
    time.sleep(2.1)
    (told,) = race(path, [[{"run_id": f"r{number}"}] for number in range(TAKERS)])
    assert len(winners(told)) == 1 and entries(path) == winners(told)


def test_an_expired_one_is_either_renewed_or_taken_over(path):
    lock(path, "slow", expires_in=1)
    time.sleep(2.1)
    slow = [{"run_id": "slow", "state": "renewed"}]
    (told,) = race(path, [slow, *([{"run_id": f"r{number}"}] for number in range(TAKERS - 1))])
    assert len(winners(told)) == 1 and entries(path) == winners(told)


def test_many_share_it_at_once(path):
    (told,) = race(path, [[{"run_id": f"r{number}", "kind": "shared"}] for number in range(TAKERS)])
    assert len(winners(told)) == TAKERS and entries(path) == winners(told)


def test_shared_and_exclusive_ones_never_have_it_together(path):
    turns = []
    for number in range(TAKERS):
        kind = "shared" if number % 3 else "exclusive"
        steps = [{"state": "present"}, {"state": "present"}, {"state": "absent"}] * 3
        turns.append([{"run_id": f"{kind}-{number}", "kind": kind, **step} for step in steps])
    for told in race(path, turns):
        got = winners(told)
        if len(got) < TAKERS:  # else all have let go
            assert len(got) == 1 or all(run_id.startswith("shared") for run_id in got), got
            assert got
    assert list(path.parent.iterdir()) == []


def test_of_many_that_share_it_none_becomes_exclusive_while_others_hold_on(path):
    for number in range(TAKERS):
        lock(path, f"r{number}", kind="shared")
    (told,) = race(path, [[{"run_id": f"r{number}", "state": "renewed"}] for number in range(TAKERS)])
    assert winners(told) == []
    assert entries(path / "shared") == sorted(f"r{number}" for number in range(TAKERS))
    # one lets go after the other, and all want to be the last
    turns = [[{"run_id": f"r{number}", "state": state} for state in ("renewed", "absent")] for number in range(3)]
    for number in range(3, TAKERS):
        lock(path, f"r{number}", state="absent")
    race(path, turns)
    assert list(path.parent.iterdir()) == []


def test_the_content_is_for_people_and_holds_no_option(path):
    lock(path, "me")
    (entry,) = (path / "exclusive").iterdir()
    said = json.loads(entry.read_text())
    assert (said["run"], said["who"]) == ("me", "me of a test")
    assert set(said) <= {"run", "who", "since", "process"}
    assert oct(entry.stat().st_mode & 0o777) == "0o644" and oct(path.stat().st_mode & 0o777) == "0o755"


def test_runs_that_share_it_count_what_the_others_have_done(path):
    one, two = ({"planned": 4, "done": 1, "bad": bad, "rate": 7} for bad in (2, 0))
    nobody = {"runs": 0, "planned": 0, "done": 0, "bad": 0, "rate": 0}
    assert lock(path, "a", kind="shared", counts=one)["wave"] == nobody
    assert lock(path, "b", kind="shared")["wave"] == {"runs": 1, **one}
    # what was said stays until something else is said
    lock(path, "b", kind="shared", state="renewed", counts=two)
    lock(path, "b", kind="shared", state="renewed")
    assert lock(path, "a", kind="shared", state="renewed")["wave"] == {"runs": 1, **two}
    # it lets go before the other one: it holds nothing, and counts
    lock(path, "a", state="absent")
    (entry,) = (path / "shared").glob("*.a")
    assert json.loads(entry.read_text())["ended"] is True and entry.stat().st_mode & 0o777 == 0o644
    found = lock(path, "b", kind="shared", state="renewed")
    # what it has left undone somebody else plans
    assert found["wave"] == {"runs": 0, **one, "planned": 3, "rate": 0}
    assert found["holders"] == [] and not found["changed"]
    # the other one may have it for itself then, and the last one leaves nothing
    lock(path, "c", kind="shared", counts=two)
    assert lock(path, "b", kind="exclusive", check=True, tolerate=True)["error"]
    lock(path, "c", state="absent")
    assert lock(path, "b", kind="exclusive")["error"] == ""
    assert [at.name.partition(".")[2] for at in path.rglob("*.*")] == ["b"]
    lock(path, "b", state="absent")
    assert list(path.parent.iterdir()) == []


def test_the_last_of_a_wave_takes_along_what_the_others_left(path):
    counts = {"planned": 4, "done": 1, "bad": 2, "rate": 7}
    for run_id in ("a", "b"):
        lock(path, run_id, kind="shared", counts=counts)
    for run_id in ("a", "b"):
        lock(path, run_id, state="absent")
    assert list(path.parent.iterdir()) == []


def test_what_is_stopped_by_a_signal_leaves_nothing(path, tmp_path, monkeypatch):
    # the others may be ignored in whatever runs these tests, and then no shell can trap them
    instead_of("sync", "kill -s TERM $PPID", tmp_path / "bin", monkeypatch)
    assert "the script ended before its last line" in lock(path)["msg"]
    assert list(path.parent.iterdir()) == []


def test_what_was_killed_is_taken_away_when_it_is_old(path, tmp_path, monkeypatch):
    instead_of("sync", "kill -s KILL $PPID", tmp_path / "bin", monkeypatch)
    assert "the script ended before its last line" in lock(path)["msg"]
    (left,) = path.parent.iterdir()
    assert left.name.startswith("lock.new-") and (left / "exclusive").is_dir()
    instead_of("sync", "", tmp_path / "bin", monkeypatch)
    others = [path.parent / name for name in ("lock.new-", "lock.new-ABCDEFGH.txt", "xlock.new-ABCDEFGH")]
    for other in others:
        other.write_text("precious")
        os.utime(other, (1, 1))
    # it may be the work of a run that is only slow
    assert lock(path)["changed"] and left.is_dir()
    lock(path, state="absent")
    old = time.time() - 3700
    os.utime(left, (old, old))
    assert lock(path)["changed"] and not left.exists()
    assert set(path.parent.iterdir()) == {path, *others}
