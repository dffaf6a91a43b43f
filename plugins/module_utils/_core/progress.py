# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Progress of the re-registration: what a run has done, what is left, and whether it may go on.

Ansible's own counters cannot carry this: max_fail_percentage is per batch and blind to unreachable hosts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Outcomes of node_registration that use up the failure budget.
BAD = frozenset({"failed", "unreachable", "not proven"})


@dataclass(frozen=True)
class Progress:
    """``halt`` says why no further batch may start (empty: go on). ``rate`` is nodes per minute."""

    done: tuple[str, ...]
    bad: tuple[str, ...]
    left: tuple[str, ...]
    rate: float
    budget: int
    used: int
    halt: str

    @property
    def line(self) -> str:
        total = len(self.done) + len(self.bad) + len(self.left)
        return (
            f"{len(self.done)} of {total} nodes done, {len(self.left)} left, {len(self.bad)} failed,"
            f" {self.rate:.0f} nodes a minute, failure budget {self.used} of {self.budget} used"
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
) -> Progress:
    """``planned``: all nodes to move, in order. ``outcomes``: those tried so far. ``lost_before``: nodes that could not
    be reached before the first batch; they count against the budget from the start. ``canaries``: size of the first
    batch; no failure is forgiven there, because finding it is what the batch is for. ``seconds`` since the first batch
    began.
    """
    bad = tuple(name for name in planned if outcomes.get(name) in BAD)
    done = tuple(name for name in planned if name in outcomes and name not in bad)
    left = tuple(name for name in planned if name not in outcomes)
    used = len(bad) + len(lost_before)
    halt = ""
    bad_canaries = [name for name in planned[:canaries] if name in bad]
    if bad_canaries:
        halt = f"the canary failed: {', '.join(bad_canaries)}"
    elif used > budget:
        lost = f", unreachable before the first batch: {', '.join(lost_before)}" if lost_before else ""
        halt = (
            f"the failure budget is used up: {used} nodes, {budget} allowed (failed: {', '.join(bad) or 'none'}{lost})"
        )
    elif stop_requested and left:
        halt = stop_requested
    rate = len(done) / seconds * 60 if seconds > 0 else 0.0
    return Progress(done, bad, left, rate, budget, used, halt)
