# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs at once: who may go on, who is refused, and what becomes of a lock that somebody left."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

LOCKED = r"TASK \[.*Remember which lock this run holds\]"
HELD = "another run holds the lock: "


def lock_of(made) -> Path:
    """Beside the directory of the legacy CAs, where nothing else is said."""
    return Path(made.facts["legacy_dir"]).parent / "rotation-lock"


def holders(made) -> list[str]:
    """Kind and run id of every entry."""
    lock = lock_of(made)
    return sorted(f"{at.parent.name} {at.name.partition('.')[2]}" for at in lock.rglob("*") if at.is_file())


@contextmanager
def paused(play) -> Iterator[None]:
    """A run that holds the lock, and lives, and does nothing meanwhile."""
    play.until(LOCKED)
    os.killpg(play.process.pid, signal.SIGSTOP)
    try:
        yield
    except BaseException:
        play.kill()
        raise
    os.killpg(play.process.pid, signal.SIGCONT)


def leave(made, seconds: float) -> Path:
    """The exclusive lock of a run on a controller that burnt down."""
    process = {"machine": "another boot", "user": os.getuid(), "pid": 2**22 + 1, "start": 1}
    said = {"run": "burnt", "who": "ca_rotate by ops on control07", "since": int(time.time()) - 60, "process": process}
    entry = lock_of(made) / "exclusive" / f"{int(time.time() + seconds)}.burnt"
    entry.parent.mkdir(parents=True)
    entry.write_text(json.dumps(said), encoding="utf-8")
    return entry


def test_the_second_of_two_rotations_is_refused(fleet):
    made = fleet(2, "W4")
    made.accident()
    first = made.begin("ca_rotate")
    with paused(first):
        (holder,) = holders(made)
        before = made.digest()
        run = made.play("ca_rotate", status=2)
        refusal = next(reason for reason in run.report["unfinished"] if HELD in reason)
        assert refusal.startswith(f"cp1: {lock_of(made)}: {HELD}quazzar.ca_rotation.ca_rotate by ")
        assert f"(run {holder.partition(' ')[2]}, exclusive, since " in refusal
        assert re.search(rf"or remove it there at once: rm {lock_of(made)}/exclusive/\d+\.", refusal)
        assert run.says(f"Not finished: {refusal}")
        assert set(run.changed.values()) == {0} and set(run.states.values()) == {"stranded"}

        # who only looks is told, and not kept from it
        run = made.play("ca_rotate", "--check")
        assert run.says(f"This plan could not be carried out now. cp1: {lock_of(made)}: {HELD}")
        assert not made.play("drift_report").says(HELD)
        assert made.digest() == before and holders(made) == [holder]
    run = first.finish()
    assert run.status == 0 and run.report["finished"] and set(run.states.values()) == {"current"}
    assert not lock_of(made).exists()

    # nothing to do, no lock
    leave(made, 600)
    assert made.play("ca_rotate").report["finished"]


def test_slices_of_a_registration_share_the_lock_and_keep_others_out(fleet):
    made = fleet(2, "W4")
    made.accident()
    made.play("grace_open")
    slices = {name: made.begin("nodes_reregister", "--limit", f"{name},cp1,cp2,localhost") for name in made.names}
    with paused(slices["node01"]), paused(slices["node02"]):
        there = holders(made)
        assert [entry.partition(" ")[0] for entry in there] == ["shared", "shared"]
        before = made.digest()
        run = made.play("grace_close", status=2)
        assert all(run.says(f"(run {entry.partition(' ')[2]}, shared, since ") for entry in there)
        assert made.digest() == before and holders(made) == there
    for name, play in slices.items():
        run = play.finish()
        (other,) = set(slices) - {name}
        # the gate and the end of the run look at the whole fleet
        assert run.status == 2 and run.says(f"Not finished: {other}: unreachable, not examined in this run."), run.tail
        assert [line.split(",")[0] for line in run.batches] == ["1 of 1 nodes done"]
    assert not lock_of(made).exists()
    run = made.play("grace_close")
    assert run.report["finished"] and set(run.states.values()) == {"current"} and not lock_of(made).exists()


def test_a_lock_that_was_left_expires_and_one_that_was_lost_ends_the_run(fleet):
    made = fleet(2, "W4", replicas=1)
    made.accident()
    pools = made.environments()

    # where no lock can be had nothing is touched
    before = made.digest()
    run = made.play("ca_rotate", status=2, quazzar_lock_dir=f"{made.work}/nowhere/lock")
    assert run.says(f"Not finished: cp1: {made.work}/nowhere/lock: its directory does not exist")
    assert made.digest() == before

    # of a dead controller nothing is known but when its lock expires
    entry = leave(made, 25)
    run = made.play("ca_rotate", status=2)
    assert run.says(f"{HELD}ca_rotate by ops on control07 (run burnt, exclusive, since ")
    assert entry.exists() and made.environments() == pools
    made.until(lambda: time.time() > int(entry.name.partition(".")[0]), "the expiry")

    # killed on this controller: the same operator does not have to wait
    play = made.begin("ca_rotate")
    play.until(LOCKED)
    killed = play.process.pid
    play.kill()
    assert "Taken over: the lock of ca_rotate by ops on control07 (run burnt, exclusive, since " in play.output
    assert len(holders(made)) == 1

    play = made.begin("ca_rotate")
    with paused(play):
        words = f"was left by process {killed} of this controller, which has ended"
        assert words in play.output
        # somebody thinks that it is dead
        next(lock_of(made).rglob("*.*")).unlink()
        (lock_of(made) / "exclusive").rmdir()
        entry = leave(made, 600)
    run = play.finish()
    assert run.status == 2
    lost = next(reason for reason in run.report["unfinished"] if "holds the lock no more" in reason)
    assert "It is held by ca_rotate by ops on control07 (run burnt, exclusive, " in lost
    assert made.environments() == pools and set(run.states.values()) == {"stranded"}
    assert holders(made) == ["exclusive burnt"]

    entry.rename(entry.with_name("1.burnt"))
    assert made.play("ca_rotate").report["finished"] and not lock_of(made).exists()
