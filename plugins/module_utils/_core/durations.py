# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Durations as operators write them: ``90``, ``"90s"``, ``"15m"``, ``"36h"``, ``"90d"``."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import InputError

_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([smhd])\s*)?\Z")
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse(value: str | int | float, what: str) -> timedelta:
    """A number alone means seconds. InputError naming ``what`` for anything else, a negative number included."""
    found = None if isinstance(value, bool) else _FORM.match(str(value))
    if found is None:
        raise InputError(f"{what}: expected a duration such as 90, '15m', '36h' or '90d', found {value!r}")
    try:
        return timedelta(**{_UNITS[found.group(2) or ""]: float(found.group(1))})
    except OverflowError:
        raise InputError(f"{what}: {value!r} is too long for a duration") from None
