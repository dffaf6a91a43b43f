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
