# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Progress of the re-registration: what a run has done, what is left, and whether it may go on.

Runs that share the lock (run_lock.Wave) have one failure budget and one rate: each counts what the others have done.
Ansible's own counters cannot carry this: max_fail_percentage is per batch and blind to unreachable hosts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .run_lock import Counts, Wave

#: Nobody shares the lock.
ALONE = Wave()

#: Outcomes of node_registration that use up the failure budget.
BAD = frozenset({"failed", "unreachable", "not proven"})


@dataclass(frozen=True)
class Progress:
    """``halt`` says why no further batch may start (empty: go on). ``rate`` is nodes per minute of this run. ``used``
    and ``budget`` are those of all runs of the wave. ``counts``: of this run, for the others."""

    done: tuple[str, ...]
    bad: tuple[str, ...]
    left: tuple[str, ...]
    rate: float
    budget: int
    used: int
    halt: str
    counts: Counts
    wave: Wave

    @property
    def line(self) -> str:
        total = len(self.done) + len(self.bad) + len(self.left)
        return (
            f"{len(self.done)} of {total} nodes done, {len(self.left)} left, {len(self.bad)} failed,"
            f" {self.rate:.0f} nodes a minute, failure budget {self.used} of {self.budget} used{self._together}"
        )

    @property
    def _together(self) -> str:
        both = self.wave.counts
        if both == Counts() and not self.wave.runs:
            return ""
        moved, planned = len(self.done) + both.done, self.counts.planned + both.planned
        return (
            f"; with the runs beside it ({self.wave.runs} at work) {moved} of {planned},"
            f" {self.rate + both.rate:.0f} a minute"
        )


def measure(
    planned: Sequence[str],
    outcomes: Mapping[str, str],
    *,
    lost_before: Sequence[str],
    budget: int,
    canaries: int,
    seconds: float,
    stop_requested: str,
    wave: Wave = ALONE,
) -> Progress:
    """``planned``: all nodes to move, in order. ``outcomes``: those tried so far. ``lost_before``: nodes that could not
    be reached before the first batch; they count against the budget from the start. ``canaries``: size of the first
    batch; no failure is forgiven there, because finding it is what the batch is for. ``seconds`` since the first batch
    began. ``wave``: the runs beside this one; ``budget`` is that of all of them. Before the first batch only what they
    have done can halt the run.
    """
    bad = tuple(name for name in planned if outcomes.get(name) in BAD)
    done = tuple(name for name in planned if name in outcomes and name not in bad)
    left = tuple(name for name in planned if name not in outcomes)
    own = len(bad) + len(lost_before)
    used = own + wave.counts.bad
    began = bool(outcomes)
    halt = ""
    bad_canaries = [name for name in planned[:canaries] if name in bad]
    if bad_canaries:
        halt = f"the canary failed: {', '.join(bad_canaries)}"
    elif used > budget and (began or wave.counts.bad):
        lost = f", unreachable before the first batch: {', '.join(lost_before)}" if lost_before else ""
        halt = (
            f"the failure budget is used up: {used} nodes, {budget} allowed (failed: {', '.join(bad) or 'none'}{lost}"
            + (f", in runs beside this one: {wave.counts.bad})" if wave.counts.bad else ")")
        )
    elif stop_requested and left and began:
        halt = stop_requested
    rate = len(done) / seconds * 60 if seconds > 0 else 0.0
    counts = Counts(len(planned) + len(lost_before), len(done), own, round(rate))
    return Progress(done, bad, left, rate, budget, used, halt, counts, wave)


def pause(size: int, *, limit: int, runs: int, seconds: float) -> int:
    """How many seconds the next batch has to wait, so that ``runs`` runs register no more than ``limit`` nodes a minute
    together (0: as many as can be). ``size`` is that of the batch that ended, ``seconds`` since it began.

    Each run keeps to its part of the rate, so none has to know when another one registers what.
    """
    if limit < 1 or runs < 1:
        return 0
    return max(0, math.ceil(size * 60 * runs / limit - seconds))
