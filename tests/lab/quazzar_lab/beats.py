# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The count of one node's heartbeats, as the node sees it."""

from __future__ import annotations

import itertools
import time
from array import array
from typing import Any

from .logs import stamp

STARVED_SHARE = 0.2


def _overlap(start: float, end: float, stalls: list[tuple[float, float]]) -> float:
    return sum(max(0.0, min(end, until) - max(start, since)) for since, until in stalls)


class BeatLog:
    """When beats were delivered, and which were missed and why. All times are wall clock."""

    def __init__(self) -> None:
        self.delivered = array("d")
        self.missed: list[tuple[float, str]] = []
        self.late = 0

    def hit(self) -> None:
        self.delivered.append(time.time())

    def miss(self, started: float, reason: str) -> None:
        self.missed.append((started, reason))

    def report(self, since: float, interval: float, stalls: list[tuple[float, float]]) -> dict[str, Any]:
        """Since a moment: what was delivered, what was missed, the longest time without a delivered beat.

        ``missed_since_up`` counts from the first delivered beat on: what a restored link lost again. ``without_link``
        is the time, in seconds, before that first beat when beats were missed there. ``starved`` are those of
        ``missed_since_up`` during which the machine let a process of the lab stand still (see stalls).
        """
        hits = [at for at in self.delivered if at >= since]
        misses = [(at, why) for at, why in self.missed if at >= since]
        first = hits[0] if hits else None
        after = [item for item in misses if first is not None and item[0] >= first]
        before = [item for item in misses if first is None or item[0] < first]
        edges = [*hits, time.time()] if hits else []
        gaps = [later - earlier for earlier, later in itertools.pairwise(edges)]
        end = first if first is not None else time.time()
        return {
            "delivered": len(hits),
            "missed": len(misses),
            "missed_at": [stamp(at) for at, _why in misses],
            "missed_since_up": len(after),
            "missed_since_up_at": [stamp(at) for at, _why in after],
            "starved": sum(_overlap(at, at + interval, stalls) > STARVED_SHARE * interval for at, _why in after),
            "last_reason": misses[-1][1] if misses else "",
            "without_link": round(end - before[0][0], 3) if before else 0.0,
            "longest_gap": round(max(gaps), 3) if gaps else None,
            "first_delivered": stamp(first) if first is not None else None,
            "last_delivered": stamp(hits[-1]) if hits else None,
            "up": bool(self.delivered) and time.time() - self.delivered[-1] < 2.5 * interval,
            "late": self.late,
        }
