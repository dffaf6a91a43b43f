# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What a lock on a host and one in a Lease have in common: how a run takes it, and the action."""

from __future__ import annotations

import abc
import dataclasses
import typing as t

from .._core import run_lock
from .._core.errors import HostError, InputError, RotationError
from .._core.run_lock import Decision, Holder
from . import controller
from .action import EvidenceAction, Result

#: The options of every lock but those that say where it is and of which kind.
ARGUMENT_SPEC: dict[str, t.Any] = {
    "run_id": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "renewed", "absent"], "default": "present"},
    "expires_in": {"type": "int", "default": 1800},
    "who": {"type": "str", "default": ""},
    "counts": {"type": "dict", "default": {}},
    "tolerate": {"type": "bool", "default": False},
}
KIND: dict[str, t.Any] = {"type": "str", "choices": list(run_lock.KINDS), "default": run_lock.EXCLUSIVE}


@dataclasses.dataclass(frozen=True)
class Found:
    """What a look at the lock has shown. ``source``: the whole object, where the lock is written back as one."""

    now: int
    holders: tuple[Holder, ...]
    decision: Decision
    source: t.Any = None


F = t.TypeVar("F", bound=Found)


class Lock(abc.ABC, t.Generic[F]):
    """The lock for one run. It is read, decided upon, and changed only if it still is what was read."""

    #: So often another run may be quicker. Each time that one gets on, so more means that something else is wrong.
    attempts = 10
    #: What else that may be.
    hindrance = "other runs change it all the time"

    def __init__(self, path: str, kind: str, options: t.Mapping[str, t.Any]) -> None:
        self.path = path
        self.kind = kind
        self.run_id = run_lock.checked_run_id(options["run_id"])
        self._expires_in = options["expires_in"]
        self._who = options["who"]
        self.counts = checked_counts(options.get("counts") or {})
        #: Whether the entry that is written next is one that holds nothing any more.
        self.ended = False
        run_lock.checked_end(0, self._expires_in)

    @property
    @abc.abstractmethod
    def where(self) -> str:
        """With which every message begins."""

    @abc.abstractmethod
    def look(self) -> F:
        """Who holds it. Raises HostError for what is there and is no lock: that stays untouched, however old."""

    @abc.abstractmethod
    def _held(self, found: F) -> str:
        """Why those who block it are in the way, and what to do."""

    @abc.abstractmethod
    def release(self) -> None:
        """Let go of what this run holds, and of nothing else."""

    @abc.abstractmethod
    def _changed(self, found: F) -> bool:
        """Take or renew it. False, with nothing changed, when it is not any more what was found."""

    def _decide(self, holders: t.Iterable[Holder], now: int) -> Decision:
        everybody = tuple(holders)
        ended = [holder.name for holder in everybody if holder.process and controller.has_ended(holder.process)]
        return run_lock.decide(everybody, self.run_id, self.kind, now=now, ended=ended)

    def refusal(self, found: F, *, renew: bool) -> str:
        """Why this run cannot have the lock; empty when it can. Raises HostError where there is no place for it."""
        decision = found.decision
        if renew and decision.mine is None:
            return run_lock.loss(self.run_id, self.where, decision.blocking)
        return self._held(found) if decision.blocking else ""

    def who(self) -> str:
        return self._who or controller.who()

    def until(self, found: F) -> int:
        return run_lock.checked_end(found.now, self._expires_in)

    def entry(self, found: F) -> Holder:
        """What is written for this run."""
        until = self.until(found)
        run = Holder(
            kind=self.kind,
            name=run_lock.name(until, self.run_id),
            run_id=self.run_id,
            until=until,
            who=run_lock.who_of(self.who()),
            since=found.now,
            process=controller.process(),
            counts=self.counts,
            ended=self.ended,
        )
        return run_lock.renewed(found.decision.mine, run)

    def leaving(self, found: F) -> list[Holder]:
        """Whose entries go when this run lets go: its own, and with the last of a wave those that had ended before."""
        own = [holder for holder in found.holders if holder.run_id == self.run_id]
        others = [holder for holder in found.holders if holder.run_id != self.run_id]
        if all(holder.ended for holder in others):
            return [*own, *others]
        return own

    def leave(self, found: F) -> None:
        """Let go of the lock. Where others still share it, what this run has done stays there for them to count."""
        mine = found.decision.mine
        together = mine and mine.counts and mine.kind == run_lock.SHARED
        if not together or not run_lock.wave(found.holders, self.run_id, found.decision).runs:
            self.release()
            return
        self.ended, self.kind = True, run_lock.SHARED
        self.take(renew=True)
        after = self.look()
        # Two may leave at once, each because of the other.
        if all(holder.ended for holder in after.holders):
            self.release()

    def take(self, *, renew: bool) -> F:
        """Take it or renew it. What is returned was true right before; with a refusal in it, nothing was changed."""
        for _turn in range(self.attempts):
            found = self.look()
            if self.refusal(found, renew=renew) or self._changed(found):
                return found
        raise self.beaten()

    def beaten(self) -> HostError:
        return HostError(f"{self.where}: could not be changed: {self.hindrance}")


def checked_counts(said: t.Mapping[str, t.Any]) -> run_lock.Counts | None:
    """None where nothing is said. Raises InputError for anything but the four numbers."""
    names = [field.name for field in dataclasses.fields(run_lock.Counts)]
    counts = run_lock.counts_of(dict(said)) if set(said) <= set(names) else None
    if said and counts is None:
        raise InputError(f"counts is {dict(said)!r}, expected {', '.join(names)}, each a number from 0 on")
    return counts


class LockAction(EvidenceAction):
    """The action of a lock; C(lock_of) says which one."""

    @abc.abstractmethod
    def lock_of(self, options: dict[str, t.Any]) -> Lock[t.Any]:
        """The lock that the options mean."""

    @abc.abstractmethod
    def path_of(self, options: dict[str, t.Any]) -> str:
        """What is returned as its path when there is no more to say of it."""

    def perform(self, options: dict[str, t.Any]) -> Result:
        lock = self.lock_of(options)
        if options["state"] == "absent":
            found = lock.look()
            if found.decision.mine and not self.check_mode:
                lock.leave(found)
            return self._result(lock, options, found, changed=found.decision.mine is not None)
        renew = options["state"] == "renewed"
        found = lock.look() if self.check_mode else lock.take(renew=renew)
        refused = lock.refusal(found, renew=renew)
        if refused:
            how = {"error": refused} if options["tolerate"] else {"failed": True, "msg": refused, "error": refused}
            return {**self._result(lock, options, found, changed=False), **how}
        mine = found.decision.mine
        changed = mine is None or mine.kind != lock.kind or bool(found.decision.over)
        return {**self._result(lock, options, found, changed=changed), "until": run_lock.moment(lock.until(found))}

    def _result(self, lock: Lock[t.Any], options: dict[str, t.Any], found: Found, *, changed: bool) -> Result:
        others = [holder for holder in found.holders if holder.run_id != lock.run_id and not holder.ended]
        wave = run_lock.wave(found.holders, lock.run_id, found.decision)
        gone = found.decision.over if changed and options["state"] != "absent" else ()
        result: Result = {
            "changed": changed,
            "path": lock.path,
            "until": "",
            "holders": [
                {
                    "run_id": holder.run_id,
                    "kind": holder.kind,
                    "who": holder.who,
                    "since": run_lock.moment(holder.since) if holder.since is not None else "",
                    "until": run_lock.moment(holder.until),
                }
                for holder in others
            ],
            "wave": {"runs": wave.runs, **dataclasses.asdict(wave.counts)},
            "taken_over": [run_lock.taken_over(holder, now=found.now) for holder in gone if holder in others],
            "reachable": True,
            "error": "",
        }
        if self.wants_diff and changed:
            result["diff"] = _diff(lock, found, stays=options["state"] != "absent")
        return result

    def tolerated(self, error: RotationError, options: dict[str, t.Any]) -> Result:
        nothing: Result = {"path": self.path_of(options), "until": "", "holders": [], "taken_over": [], "wave": {}}
        return {**super().tolerated(error, options), **nothing}


def _diff(lock: Lock[t.Any], found: Found, *, stays: bool) -> Result:
    """Without times: a prediction would differ from what is done a second later."""

    def lines(pairs: t.Iterable[tuple[str, str]]) -> str:
        return "".join(sorted(f"{kind} {run_id}\n" for kind, run_id in pairs))

    before = {(holder.kind, holder.run_id or holder.name) for holder in found.holders}
    after = {pair for pair in before if pair[1] != lock.run_id}
    if stays:
        after -= {(holder.kind, holder.run_id or holder.name) for holder in found.decision.over}
        after.add((lock.kind, lock.run_id))
    return {"before_header": lock.path, "after_header": lock.path, "before": lines(before), "after": lines(after)}
