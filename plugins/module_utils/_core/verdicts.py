# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The words in which a prevention rule says what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
#: From bad to good: a rule is as good as the worst thing that was found.
VERDICTS = (FAIL, UNKNOWN, PASS)

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Point:
    """What was found of one subject (a replica, a node, a certificate). Without a remedy that of the rule holds."""

    subject: str
    verdict: str
    found: str
    remedy: str = ""


_SHOWN = 5


def names(all_names: Sequence[str]) -> str:
    """Some of them, and how many more."""
    more = f" and {len(all_names) - _SHOWN} more" if len(all_names) > _SHOWN else ""
    return ", ".join(all_names[:_SHOWN]) + more


def count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def days(span: timedelta) -> str:
    span = max(span, timedelta(0))
    return count(span // _DAY, "day") if span >= _DAY else count(int(span.total_seconds()) // 3600, "hour")
