# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The lock of a run: who holds it, and whether another run may have it.

On Kubernetes it is a Lease (lease.py). Elsewhere it is a directory on a host of the Control Panel. In it is one of two
directories, C(exclusive) or C(shared), and in that one file for each run that holds the lock. The name of the file says
what decides, C(<end>.<run id>): so a renewal is a rename, and a name that was read is either still there or means
nothing any more. What the file holds is for people, for telling whether the process of the run still lives, and for
those who share the lock: what the run has done. Times are seconds since the epoch by the clock of that host.

Runs that share the lock at a time are one wave. Whoever ends before the others leaves its entry behind, marked as
ended, so that its failures still count. It holds nothing, does not expire, and goes with the last of the wave.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import typing as t
from datetime import datetime, timezone

from .errors import InputError

EXCLUSIVE, SHARED = "exclusive", "shared"
KINDS = (EXCLUSIVE, SHARED)

#: How much of a file is looked at.
MAX_ENTRY = 4096

_RUN_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
# Eleven digits last until the year 5138, and every calendar holds them.
_NAME = re.compile(rf"([0-9]{{1,11}})\.({_RUN_ID})\Z")
_TIMES = range(100_000_000_000)
_TEXT = 200


@dataclasses.dataclass(frozen=True)
class Process:
    """The ansible-playbook of a run. ``machine``: one boot of one kernel, and one namespace of process ids in it,
    because neither host names nor ids of processes tell two containers apart. ``start``: what that kernel says of its
    start."""

    machine: str
    user: int
    pid: int
    start: int


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of the nodes of a run: to be moved or lost before, moved, failed or lost; and how many it moves a minute."""

    planned: int = 0
    done: int = 0
    bad: int = 0
    rate: int = 0


@dataclasses.dataclass(frozen=True)
class Wave:
    """``runs``: how many others share the lock now. ``counts``: the sums of those, and of those of the wave that have
    ended, which move nothing any more."""

    runs: int = 0
    counts: Counts = Counts()


@dataclasses.dataclass(frozen=True)
class Holder:
    """One file. ``run_id`` is empty when its name is none of ours, ``since``, ``process`` and ``counts`` are None when
    unknown. ``ended``: it holds nothing any more."""

    kind: str
    name: str
    run_id: str
    until: int
    who: str
    since: int | None = None
    process: Process | None = None
    counts: Counts | None = None
    ended: bool = False

    def line(self) -> str:
        """As in: ca_rotate by root on control01 (run 17, exclusive, since …, until …)."""
        facts = [f"run {self.run_id}"] if self.run_id else []
        facts += [self.kind] + ([f"since {moment(self.since)}"] if self.since is not None else [])
        return f"{self.who} ({', '.join([*facts, f'until {moment(self.until)}'])})"


@dataclasses.dataclass(frozen=True)
class Decision:
    """``blocking``: those who must let go first. ``over``: what goes away, because its time is over or its process has
    ended. ``mine``: what the run itself holds already."""

    blocking: tuple[Holder, ...]
    over: tuple[Holder, ...]
    mine: Holder | None


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_run_id(text: str) -> bool:
    return bool(re.fullmatch(_RUN_ID, text))


def checked_run_id(run_id: str) -> str:
    if not is_run_id(run_id):
        raise InputError(
            f"run_id is {run_id!r}, expected up to 64 letters, digits and any of ._:- with a letter or digit in front"
        )
    return run_id


def checked_end(now: int, expires_in: int) -> int:
    if expires_in < 1 or now + expires_in not in _TIMES:
        raise InputError(f"expires_in is {expires_in}, expected a number of seconds from 1 on")
    return now + expires_in


def name(until: int, run_id: str) -> str:
    return f"{until}.{run_id}"


def content(holder: Holder) -> str:
    """The text of a file: one line of JSON."""
    said = {"run": holder.run_id, "who": holder.who, "since": holder.since, **extras(holder)}
    return json.dumps(said, sort_keys=True) + "\n"


def extras(holder: Holder) -> dict[str, t.Any]:
    """What not every entry has, as it is written."""
    process = {"process": dataclasses.asdict(holder.process)} if holder.process else {}
    counts = {"counts": dataclasses.asdict(holder.counts)} if holder.counts else {}
    return {**process, **counts, **({"ended": True} if holder.ended else {})}


def parse(kind: str, file: str, text: bytes, *, modified: int, expires_in: int) -> Holder:
    """One file. A name that is none of ours holds the lock as well, until it is older than ``expires_in``: it may be
    the work of somebody who wants the rotation to wait."""
    found = _NAME.match(file)
    if found is None:
        until = min(modified + expires_in, _TIMES[-1])
        return Holder(kind, file, "", until, f"the file {shown(f'{kind}/{file}')}, which is no entry of a lock")
    until, run_id = int(found.group(1)), found.group(2)
    said = _mapping(text)
    who = said.get("who")
    return Holder(
        kind=kind,
        name=file,
        run_id=run_id,
        until=until,
        who=who_of(who),
        since=_number(said.get("since")),
        process=process_of(said.get("process")),
        counts=counts_of(said.get("counts")),
        ended=said.get("ended") is True,
    )


def who_of(value: t.Any) -> str:
    return shown(value if isinstance(value, str) else "") or "a run that left no name"


def _mapping(text: bytes) -> dict[str, t.Any]:
    try:
        said = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _number(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _TIMES else None


def process_of(value: t.Any) -> Process | None:
    said = value if isinstance(value, dict) else {}
    machine, numbers = said.get("machine"), [_number(said.get(key)) for key in ("user", "pid", "start")]
    user, pid, start = numbers
    if not isinstance(machine, str) or not machine or user is None or not pid or start is None:
        return None
    return Process(machine, user, pid, start)


def counts_of(value: t.Any) -> Counts | None:
    said = value if isinstance(value, dict) else {}
    numbers = [_number(said.get(field.name)) for field in dataclasses.fields(Counts)]
    known = [number for number in numbers if number is not None]
    return Counts(*known) if len(known) == len(numbers) else None


def renewed(mine: Holder | None, run: Holder) -> Holder:
    """The next entry of a run whose entry is ``mine`` now (None: it takes the lock). What it said of itself when it
    took the lock stays, and so do its counts until it says others."""
    if mine is None:
        return run
    counts = run.counts or mine.counts
    return dataclasses.replace(mine, kind=run.kind, name=run.name, until=run.until, counts=counts, ended=run.ended)


def wave(holders: t.Iterable[Holder], run_id: str, decision: Decision) -> Wave:
    """What the others do or have done that share the lock with this run. Who has died does not count any more: the run
    that is started in its place tries the same nodes. What an ended run did not get to is planned by that one too."""
    others = [each for each in holders if each.run_id != run_id and each.kind == SHARED and each not in decision.over]
    alive = [holder for holder in others if not holder.ended]
    return Wave(
        len(alive),
        Counts(
            planned=sum(_planned(holder.counts, holder.ended) for holder in others if holder.counts),
            done=sum(holder.counts.done for holder in others if holder.counts),
            bad=sum(holder.counts.bad for holder in others if holder.counts),
            rate=sum(holder.counts.rate for holder in alive if holder.counts),
        ),
    )


def _planned(counts: Counts, ended: bool) -> int:
    return counts.done + counts.bad if ended else counts.planned


def shown(text: str) -> str:
    """A text that somebody else wrote, fit for a terminal."""
    flat = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(flat.split())[:_TEXT].rstrip()


def decide(holders: t.Iterable[Holder], run_id: str, kind: str, *, now: int, ended: t.Container[str] = ()) -> Decision:
    """``ended``: names of files whose process is known to have ended. Shared locks can be had side by side. What runs
    left that have ended in peace does not expire: it goes when nobody is left of their wave, or when the lock is to be
    exclusive."""
    everybody = tuple(holders)
    own = sorted((holder for holder in everybody if holder.run_id == run_id), key=lambda holder: holder.until)
    mine = own[-1] if own else None
    others = [holder for holder in everybody if holder.run_id != run_id]
    dead = [holder for holder in others if not holder.ended and (holder.until <= now or holder.name in ended)]
    alone = kind == EXCLUSIVE or (mine is None and all(holder.ended or holder in dead for holder in others))
    over = [holder for holder in others if holder in dead or (holder.ended and alone)]
    # Beside a run that died while it made its shared lock exclusive; to ask for a shared one again puts that right.
    beside = kind == SHARED and mine is not None and mine.kind == EXCLUSIVE
    alive = [holder for holder in others if holder not in over and not holder.ended]
    blocking = [holder for holder in alive if EXCLUSIVE in (kind, holder.kind) and not beside]
    return Decision(tuple(blocking), (*own[:-1], *over), mine)


def refusal(blocking: t.Sequence[Holder], host: str, path: str) -> str:
    """Why the lock cannot be had, by whom, and what to do."""
    # By name: a run that lives renews its lock, and then has another one.
    known = all(holder.run_id for holder in blocking)
    files = [f"{path}/{holder.kind}/{holder.name}" for holder in blocking]
    removal = shlex.join(["rm", *files] if known else ["rm", "-r", path])
    return held(blocking, f"{host}: {path}", host, removal)


def held(blocking: t.Sequence[Holder], where: str, clock: str, removal: str) -> str:
    """``clock``: whose times these are. ``removal``: the command that takes away what was read, and nothing newer."""
    until = moment(max(holder.until for holder in blocking))
    return (
        f"{where}: another run holds the lock: {'; '.join(holder.line() for holder in blocking)}."
        f" Let it finish and run again; if it is dead, its lock expires by itself at {until} (the clock of {clock}), or"
        f" remove it there at once: {removal}"
    )


def loss(run_id: str, where: str, blocking: t.Sequence[Holder]) -> str:
    """The lock was there, and is not any more."""
    now = f" It is held by {'; '.join(holder.line() for holder in blocking)}." if blocking else ""
    return (
        f"{where}: run {run_id} holds the lock no more: it expired and was taken over, or somebody removed it."
        f"{now} What was done so far stays; run the same playbook again when no other run is at work"
    )


def taken_over(holder: Holder, *, now: int) -> str:
    """What is said of a lock that was somebody else's."""
    if holder.until <= now:
        return f"the lock of {holder.line()} had expired"
    pid = holder.process.pid if holder.process else "?"
    return f"the lock of {holder.line()} was left by process {pid} of this controller, which has ended"
