# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Waivers: named, dated, written exceptions to the gate. One that names nobody, or is over, is an error when a run
begins. One that holds then holds for the whole run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from typing import Any

from .errors import InputError

_KEYS = ("node", "reason", "owner", "expires")


@dataclass(frozen=True)
class Waiver:
    """``expires`` is aware UTC; a run that begins up to and including that moment has the waiver."""

    node: str
    reason: str
    owner: str
    expires: datetime


def parse(data: Any, *, known_nodes: Collection[str], now: datetime) -> tuple[Waiver, ...]:
    """Read the data of a waivers file: a list of ``{node, reason, owner, expires}``, or None for an empty file.

    The list may stand under the key ``waivers``. ``expires`` is RFC 3339 or a date, which means the end of that day in
    UTC. Raises one InputError with everything that is wrong: a typing error must not become an exception for nobody.
    """
    if isinstance(data, Mapping) and set(data) == {"waivers"}:
        data = data["waivers"]
    if data is None:
        return ()
    if not isinstance(data, (list, tuple)):
        raise InputError("the waivers file must hold a list of {node, reason, owner, expires}")
    waivers: list[Waiver] = []
    problems: list[str] = []
    for number, item in enumerate(data, 1):
        try:
            waivers.append(_one(item, known_nodes, now))
        except InputError as error:
            problems.append(f"waiver {number}: {error}")
    names = [waiver.node for waiver in waivers]
    problems.extend(f"{name} has more than one waiver" for name in sorted({n for n in names if names.count(n) > 1}))
    if problems:
        raise InputError("; ".join(problems))
    return tuple(waivers)


def _one(item: Any, known_nodes: Collection[str], now: datetime) -> Waiver:
    if not isinstance(item, Mapping):
        raise InputError("expected a mapping with node, reason, owner and expires")
    unknown = sorted(str(key) for key in item if key not in _KEYS)
    missing = [key for key in _KEYS if item.get(key) is None or not str(item[key]).strip()]
    if unknown or missing:
        parts = [f"without {', '.join(missing)}"] * bool(missing) + [f"with unknown {', '.join(unknown)}"] * bool(
            unknown
        )
        raise InputError(" and ".join(parts))
    node, reason, owner = (str(item[key]).strip() for key in _KEYS[:3])
    if node not in known_nodes:
        raise InputError(f"{node} is neither in the inventory nor in the Control Panel's registry")
    expires = _moment(item["expires"])
    if expires < now:
        raise InputError(f"the one for {node} ended on {expires:%Y-%m-%dT%H:%M:%SZ}: renew it or remove it")
    return Waiver(node, reason, owner, expires)


def _moment(value: Any) -> datetime:
    """A YAML loader gives dates as such, JSON as text."""
    if isinstance(value, str):
        text = value.strip()
        try:
            # Python before 3.11 reads neither Z nor a date in datetime.fromisoformat.
            value = date.fromisoformat(text) if len(text) == len("2026-01-31") else _datetime(text)
        except ValueError as error:
            raise InputError(f"expires is {text!r}, expected a date or an RFC 3339 time") from error
    if isinstance(value, datetime):
        # YAML turns an offset into naive UTC in old loaders; RFC 3339 has no local times.
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, date):
        return datetime.combine(value, time(23, 59, 59), timezone.utc)
    raise InputError(f"expires is {value!r}, expected a date or an RFC 3339 time")


def _datetime(text: str) -> datetime:
    return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "Zz" else text)
