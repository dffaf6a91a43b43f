# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The Control Panel's registry of nodes, as plain data.

The registry decides who must have moved before a legacy CA may go, so two things matter more than convenience:
a list that may be incomplete says so together with the reason, and a value that cannot be understood is an error
instead of a guess.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .errors import InputError

DEFAULT_INACTIVE = ("decommissioned", "deleted")

_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?\s?(?:([Zz])|([+-])(\d{2}):?(\d{2}))?\Z"
)
# An epoch in milliseconds is larger than this, an epoch in seconds is not before the year 5138.
_MILLISECONDS_FROM = 1e11
_LEAP_SECOND = 60


@dataclass(frozen=True)
class Instance:
    """One node as the Control Panel knows it. ``last_seen`` is by the Control Panel's clock, None = never."""

    id: str
    name: str
    status: str
    last_seen: datetime | None
    tenant: str
    active: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "last_seen": None if self.last_seen is None else format_time(self.last_seen),
            "tenant": self.tenant,
            "active": self.active,
        }


@dataclass(frozen=True)
class Listing:
    """What one set of credentials saw. ``total`` is what the summary says, None when it could not be learned."""

    tenant: str
    instances: tuple[Instance, ...]
    total: int | None
    total_problem: str = ""


@dataclass(frozen=True)
class Registry:
    """Every listing together. ``complete`` is never true without a reason to believe it."""

    instances: tuple[Instance, ...]
    summary_total: int | None
    complete: bool
    incomplete_reason: str
    duplicates: tuple[tuple[str, tuple[str, ...]], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "instances": [instance.as_dict() for instance in self.instances],
            "summary_total": self.summary_total,
            "complete": self.complete,
            "incomplete_reason": self.incomplete_reason,
            "duplicates": [{"name": name, "ids": list(ids)} for name, ids in self.duplicates],
        }


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with Z, whole seconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(value: Any, what: str) -> datetime | None:
    """An aware UTC datetime out of RFC 3339 text or an epoch in seconds or milliseconds.

    None, an empty text and Go's zero time (year 1) all mean "never". A time without an offset is UTC: the product's
    API documents RFC 3339 in UTC. Anything else is an InputError that names ``what``.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        # YAML turns an unquoted time into a datetime of its own.
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc)
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if value == 0:
                return None
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
        if isinstance(value, str):
            return _parse_text(value.strip())
    except (ValueError, OverflowError):
        pass
    raise InputError(
        f"{what}: expected a time in RFC 3339 (2026-01-31T09:30:00Z) or an epoch in seconds, found {str(value)[:60]!r}"
    )


def _parse_text(text: str) -> datetime | None:
    match = _RFC3339.match(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, _zulu, sign, offset_hours, offset_minutes = match.groups()[6:]
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    # Python has no second 60; the second before is early by one, which never makes a node look fresher than it is.
    moment = datetime(
        year, month, day, hour, minute, min(second, 59) if second == _LEAP_SECOND else second, microsecond, timezone.utc
    )
    if year == 1:
        return None
    if sign:
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
        moment = moment - offset if sign == "+" else moment + offset
    return moment


def instances_from_rows(
    rows: Any,
    *,
    tenant: str,
    active_statuses: Collection[str],
    inactive_statuses: Collection[str],
    variable: str,
    source: str,
) -> tuple[Instance, ...]:
    """Instances out of ``rows``, a list of mappings with id, name, status, last_seen and maybe tenant.

    ``variable`` is the name of the option that shaped the rows and ``source`` the URL or file they came from; both
    only serve the error messages. A row without id and name could be any node, so it is an error, never skipped.
    """
    if not isinstance(rows, list):
        raise InputError(
            f"{variable}: expected a list of instances from {source}, found {describe(rows)}. "
            f"Set {variable} to the JMESPath expression that yields the list."
        )
    return tuple(
        _instance(row, number, tenant, active_statuses, inactive_statuses, f"{variable} on {source}")
        for number, row in enumerate(rows)
    )


def _instance(
    row: Any, number: int, tenant: str, active: Collection[str], inactive: Collection[str], where: str
) -> Instance:
    if not isinstance(row, Mapping):
        raise InputError(
            f"{where}: item {number} should be a mapping with id, name, status and last_seen, found {describe(row)}"
        )
    texts = {key: _text(row.get(key), f"{where}: {key} of item {number}") for key in ("id", "name", "status", "tenant")}
    if not texts["id"] and not texts["name"]:
        raise InputError(
            f"{where}: item {number} has neither id nor name. Correct the expression: which keys hold them?"
        )
    return Instance(
        id=texts["id"] or texts["name"],
        name=texts["name"] or texts["id"],
        status=texts["status"],
        last_seen=parse_time(row.get("last_seen"), f"{where}: last_seen of item {number}"),
        tenant=texts["tenant"] or tenant,
        active=is_active(texts["status"], active, inactive),
    )


def _text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"{what}: expected text, found {describe(value)}")


def is_active(status: str, active: Collection[str], inactive: Collection[str]) -> bool:
    """Whether a status counts. A list of active statuses decides alone; without one everything not inactive counts,
    so that a status nobody thought of keeps the gate closed instead of hiding a node."""
    folded = status.casefold()
    if active:
        return folded in {name.casefold() for name in active}
    return folded not in {name.casefold() for name in inactive}


def describe(value: Any) -> str:
    """The shape of a value for an error message: its kind and its keys or length, never its content."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, Mapping):
        keys = ", ".join(sorted(str(key) for key in value)[:8])
        return f"a mapping with the keys: {keys}" if keys else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    names = {str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def merge(
    listings: Sequence[Listing], *, stated_complete: bool, by_file: bool = False, variable: str = "registry_complete"
) -> Registry:
    """One registry out of what each set of credentials saw.

    The list proves nothing unless it is complete: a JWT is scoped to a tenant and a list may be cut. So every length
    must equal its summary's total, and somebody must state that all tenants were asked: the operator by ``variable``,
    or by credentials for each of several tenants. An export has no summary: there the operator's word is needed.
    """
    merged: dict[tuple[str, str], Instance] = {}
    for listing in listings:
        for instance in listing.instances:
            merged.setdefault((instance.id, instance.name), instance)
    instances = tuple(merged.values())
    totals = [listing.total for listing in listings]
    known = [total for total in totals if total is not None]
    reason = _incomplete(listings, stated_complete=stated_complete, by_file=by_file, variable=variable)
    return Registry(
        instances=instances,
        summary_total=sum(known) if known and len(known) == len(totals) else None,
        complete=not reason,
        incomplete_reason=reason,
        duplicates=duplicates(instances),
    )


def _incomplete(listings: Sequence[Listing], *, stated_complete: bool, by_file: bool, variable: str) -> str:
    if not listings:
        return "nothing was asked"
    if by_file:
        return "" if stated_complete else f"an export cannot show that it is whole: state {variable}: true if it is"
    for listing in listings:
        of_tenant = f" of tenant {listing.tenant}" if listing.tenant else ""
        if listing.total is None:
            return f"the total{of_tenant} is not known: {listing.total_problem or 'the summary has none'}"
        if listing.total != len(listing.instances):
            return (
                f"the list{of_tenant} has {len(listing.instances)} instances but the summary counts {listing.total}: "
                "the list may be cut, use fleet_file with a whole export"
            )
    if stated_complete:
        return ""
    if len(listings) == 1:
        return (
            "the Control Panel's answers are scoped to a tenant: "
            f"state {variable}: true if there is no other one, or give credentials for every tenant"
        )
    seen = {frozenset(instance.id for instance in listing.instances) for listing in listings}
    if len(seen) == 1:
        return (
            f"all {len(listings)} credentials see the same instances, so they do not show every tenant: "
            f"state {variable}: true if there is no other one"
        )
    return ""


def duplicates(instances: Iterable[Instance]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Names that more than one active instance of a tenant bears, with their ids: what a re-registration that makes a
    new instance leaves behind."""
    by_name: dict[tuple[str, str], list[str]] = {}
    for instance in instances:
        if instance.active:
            by_name.setdefault((instance.tenant, instance.name), []).append(instance.id)
    return tuple((name, tuple(ids)) for (_tenant, name), ids in sorted(by_name.items()) if len(ids) > 1)


def arrivals(
    instances: Iterable[Instance], names: Sequence[str], after: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of ``names`` (a name or an id each) were seen after ``after``: (arrived, missing), in their order.

    ``after`` is a time by the Control Panel's clock, like ``last_seen``. Both may have been cut to whole seconds on
    their way (an HTTP Date header is), so a heartbeat of the very same second proves nothing: it may have come before.
    """
    floor = after + timedelta(seconds=1) if after.microsecond == 0 else after
    fresh: set[str] = set()
    for instance in instances:
        if instance.last_seen is not None and instance.last_seen >= floor:
            fresh.update((instance.id, instance.name))
    return tuple(n for n in names if n in fresh), tuple(n for n in names if n not in fresh)
