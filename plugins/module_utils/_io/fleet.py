# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Read the Control Panel's registry: by its API with every tenant's credentials, or out of an exported file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .._core import registry
from .._core.errors import ApiError, InputError
from .cp_api import Client, TransportError, credentials_from, is_passing, search

DEFAULT_INSTANCES_QUERY = "[].{id: id, name: name, status: status, last_seen: last_heartbeat}"
DEFAULT_TOTAL_QUERY = "total || total_instances || instances"

ARGUMENT_SPEC: dict[str, Any] = {
    "instances_query": {"type": "str", "default": DEFAULT_INSTANCES_QUERY},
    "summary_total_query": {"type": "str", "default": DEFAULT_TOTAL_QUERY},
    "active_statuses": {"type": "list", "elements": "str", "default": []},
    "inactive_statuses": {"type": "list", "elements": "str", "default": list(registry.DEFAULT_INACTIVE)},
    "registry_complete": {"type": "bool", "default": False},
    "fleet_file": {"type": "path"},
}

_OWN_KEYS = frozenset(("id", "name", "status", "last_seen"))


@dataclass(frozen=True)
class Reading:
    """The registry at ``taken_at`` (controller's clock; a file's own age). ``clock`` is the Control Panel's clock."""

    taken_at: datetime
    clock: datetime | None
    source: str
    registry: registry.Registry

    def as_dict(self) -> dict[str, Any]:
        return {
            "taken_at": registry.format_time(self.taken_at),
            "clock": None if self.clock is None else registry.format_time(self.clock),
            "source": self.source,
            **self.registry.as_dict(),
        }


class Fleet:
    """One source of the registry, to be read as often as needed; the sessions with the API are kept between reads."""

    def __init__(self, options: Mapping[str, Any], now: Callable[[], datetime] | None = None) -> None:
        self._options = options
        self._now = now or (lambda: datetime.now(timezone.utc))
        self._file = str(options.get("fleet_file") or "")
        self._clients: tuple[Client, ...] = ()
        if not self._file:
            if not options.get("api_url"):
                raise ApiError("Where is the registry? Give api_url, or fleet_file with an exported list of instances.")
            self._clients = tuple(Client(options, credential) for credential in credentials_from(options))

    def read(self) -> Reading:
        return self._read_file() if self._file else self._read_api()

    def _rows(self, data: Any, tenant: str, source: str) -> tuple[registry.Instance, ...]:
        rows = data
        if not (self._file and _is_own_form(data)):
            rows = search(self._options["instances_query"], data, "instances_query")
            if rows is None:
                raise InputError(
                    f"instances_query ({self._options['instances_query']}) finds nothing in the answer of {source}, "
                    f"which is {registry.describe(data)}. Set instances_query to where the list is."
                )
        return registry.instances_from_rows(
            rows,
            tenant=tenant,
            active_statuses=self._options["active_statuses"],
            inactive_statuses=self._options["inactive_statuses"],
            variable="instances_query",
            source=source,
        )

    def _read_api(self) -> Reading:
        taken_at = self._now()
        listings = tuple(self._listing(client) for client in self._clients)
        merged = registry.merge(listings, stated_complete=bool(self._options["registry_complete"]))
        # The earliest clock: a heartbeat must not look newer than it is.
        clocks = [client.clock for client in self._clients if client.clock is not None]
        return Reading(taken_at, min(clocks) if clocks else None, "api", merged)

    def _listing(self, client: Client) -> registry.Listing:
        """The list and its total. They are two requests, so a node that joins in between makes them differ: the pair is
        read once more before the list is called cut."""
        for attempt in (1, 2):
            answer = client.get("fleet/instances")
            instances = self._rows(answer.data, client.credential.tenant, answer.url)
            total, problem = self._total(client)
            if total is None or total == len(instances) or attempt == 2:
                break
        return registry.Listing(client.credential.tenant, instances, total, problem)

    def _total(self, client: Client) -> tuple[int | None, str]:
        """The summary's total, or None and why. A summary that is not there only makes the registry incomplete."""
        try:
            answer = client.get("fleet/summary")
        except TransportError:
            raise
        except ApiError as exc:
            return None, str(exc)
        query = self._options["summary_total_query"]
        found = search(query, answer.data, "summary_total_query")
        if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
            return found, ""
        return None, (
            f"summary_total_query ({query}) should find a number in the answer of {answer.url}, "
            f"it found {registry.describe(found)} in {registry.describe(answer.data)}"
        )

    def _read_file(self) -> Reading:
        content, modified = _load(self._file)
        listing = registry.Listing("", self._rows(content, "", self._file), None)
        merged = registry.merge((listing,), stated_complete=bool(self._options["registry_complete"]), by_file=True)
        # What a file says is as old as the file, whenever it is read.
        return Reading(min(modified, self._now()), None, "file", merged)


def _is_own_form(data: Any) -> bool:
    """Whether an export is a list in the form of this collection's own answer, which needs no query."""
    return isinstance(data, list) and all(isinstance(row, Mapping) and set(row) >= _OWN_KEYS for row in data)


def _load(path: str) -> tuple[Any, datetime]:
    """An exported list, JSON or YAML, and the file's own time."""
    try:
        with open(path, encoding="utf-8") as handle:
            modified = datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, timezone.utc)
            text = handle.read()
    except (OSError, UnicodeDecodeError) as exc:
        words = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"fleet_file {path}: cannot be read on the controller ({words}). Export the instances again."
        ) from None
    try:
        # JSON first: YAML is slow on thousands of instances, and does not know every JSON escape.
        return json.loads(text), modified
    except (ValueError, RecursionError):
        pass
    try:
        return read_yaml(text), modified
    except ValueError as exc:
        raise InputError(f"fleet_file {path}: is neither JSON nor YAML ({exc}). Is the export whole?") from None


def read_yaml(text: str) -> Any:
    """The data in a YAML text. Raises ValueError for everything that is wrong with it, in one line."""
    # Here and not above: what a module of ansible-core may import on its own has no YAML.
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        problem = getattr(exc, "problem", None) or "not readable"
        raise ValueError(f"line {mark.line + 1}: {problem}" if mark is not None else problem) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


@dataclass(frozen=True)
class Arrival:
    """The last reading of a wait: whose heartbeat came after the wanted time, and whose did not."""

    reading: Reading
    arrived: tuple[str, ...]
    missing: tuple[str, ...]


def wait_for(
    fleet: Fleet,
    names: Sequence[str],
    after: datetime,
    *,
    timeout: float,
    interval: float,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Arrival:
    """Read the registry until every one of ``names`` was seen after ``after`` (Control Panel's clock), or time is up.

    A Control Panel that is being rolled answers nothing for a while: that costs time and is an error only when there
    is no reading at all at the end. What cannot get better by waiting (a refused login) is an error at once.
    """
    end = monotonic() + timeout
    last: Arrival | None = None
    while True:
        try:
            reading = fleet.read()
            last = Arrival(reading, *registry.arrivals(reading.registry.instances, names, after))
            if not last.missing:
                return last
        except ApiError as exc:
            if last is None and (not is_passing(exc) or monotonic() >= end):
                raise
        left = end - monotonic()
        if left <= 0 and last is not None:
            return last
        sleep(max(0.0, min(interval, left)))
