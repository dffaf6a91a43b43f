# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The turns in which a lock is taken, without anything that holds one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.run_lock import Holder, Process
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import controller, lock

NOW = 1_780_000_000
DEAD = Process("boot pid:[1]", 0, 4711, 99)


class Turns(lock.Lock[lock.Found]):
    """A lock that shows another list of holders at each look, and says of each change what it is told to."""

    attempts = 3
    where = "cp1: /x"

    def __init__(self, looks: list[list[Holder]], changes: list[bool], **options: Any) -> None:
        super().__init__("/x", "exclusive", {"run_id": "me", "expires_in": 60, "who": "", **options})
        self.looks, self.changes = list(looks), list(changes)

    def look(self) -> lock.Found:
        holders = tuple(self.looks.pop(0))
        return lock.Found(NOW, holders, self._decide(holders, NOW))

    def _held(self, found: lock.Found) -> str:
        return "held"

    def _changed(self, found: lock.Found) -> bool:
        return self.changes.pop(0)

    def release(self) -> None:
        pytest.fail("nothing here lets go of it")


def holder(run_id: str, until: int = NOW + 60, process: Process | None = None) -> Holder:
    return Holder("exclusive", run_lock.name(until, run_id), run_id, until, f"{run_id} of somebody", process=process)


def test_it_is_looked_at_again_until_it_is_what_was_found() -> None:
    turns = Turns([[], [holder("x", NOW)], []], [False, False, True])
    assert turns.take(renew=False).holders == ()
    assert (turns.looks, turns.changes) == ([], [])


def test_with_a_refusal_nothing_is_changed() -> None:
    other = holder("other")
    for renew in (False, True):
        turns = Turns([[], [other]] if not renew else [[holder("me")], [other]], [False])
        found = turns.take(renew=renew)
        assert found.holders == (other,) and turns.changes == []
        loss = (
            "cp1: /x: run me holds the lock no more: it expired and was taken over, or somebody removed it. It is held"
        )
        assert turns.refusal(found, renew=renew).startswith(loss if renew else "held")


def test_others_that_are_always_quicker_end_in_an_error() -> None:
    turns = Turns([[]] * 4, [False] * 4)
    with pytest.raises(HostError, match=r"^cp1: /x: could not be changed: other runs change it all the time$"):
        turns.take(renew=False)
    assert len(turns.looks) == 1


def test_who_has_ended_is_asked_of_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "has_ended", lambda process: process == DEAD)
    left, lives = holder("left", process=DEAD), holder("lives", process=Process("boot pid:[1]", 0, 4712, 99))
    decision = Turns([[left, lives]], []).look().decision
    assert (decision.over, decision.blocking) == ((left,), (lives,))


@pytest.mark.parametrize("bad", [{"expires_in": 0}, {"run_id": "a/b"}])
def test_options_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Turns([], [], **bad)


def test_who_is_what_the_option_says_or_the_controller() -> None:
    assert Turns([], [], who="a job").who() == "a job"
    assert Turns([], []).who() == controller.who()


class Leaving(Turns):
    """One that is let go of, and writes down what becomes of it."""

    def __init__(self, looks: list[list[Holder]], **options: Any) -> None:
        super().__init__(looks, [True], **options)
        self.kind, self.done = "shared", ""

    def _changed(self, found: lock.Found) -> bool:
        self.done += f"{'ended' if self.ended else 'renewed'} "
        return super()._changed(found)

    def release(self) -> None:
        self.done += "released "


def sharing(run_id: str, counts: run_lock.Counts | None = None, *, ended: bool = False) -> Holder:
    return Holder("shared", run_lock.name(NOW + 60, run_id), run_id, NOW + 60, run_id, counts=counts, ended=ended)


ONE = run_lock.Counts(4, 3, 1, 9)


@pytest.mark.parametrize(
    ("before", "after", "done"),
    [
        # alone, or with nothing to tell: it goes
        ([sharing("me", ONE)], [], "released "),
        ([sharing("me", ONE), sharing("left", ONE, ended=True)], [], "released "),
        ([sharing("me"), sharing("other", ONE)], [], "released "),
        # others go on, and are to count it
        ([sharing("me", ONE), sharing("other", ONE)], [sharing("other", ONE)], "ended "),
        # both have left because of the other
        ([sharing("me", ONE), sharing("other", ONE)], [sharing("other", ONE, ended=True)], "ended released "),
    ],
)
def test_who_leaves_before_the_others_is_counted_on(before: list[Holder], after: list[Holder], done: str) -> None:
    turns = Leaving([before, before, [*after, sharing("me", ONE, ended=True)]])
    turns.leave(turns.look())
    assert turns.done == done


def test_with_the_last_of_a_wave_everything_goes() -> None:
    before = [sharing("me", ONE), sharing("left", ONE, ended=True)]
    turns = Turns([before, [*before, sharing("other")]], [])
    assert turns.leaving(turns.look()) == before
    assert turns.leaving(turns.look()) == before[:1]


@pytest.mark.parametrize("said", [{"planned": 1}, {"planned": 1, "done": 1, "bad": -1, "rate": 0}, {"x": 1}])
def test_counts_are_all_four_numbers_or_none(said: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^counts is .*, expected planned, done, bad, rate, each a number from 0 on$"):
        Turns([], [], counts=said)
    assert Turns([], [], counts={}).counts is None
