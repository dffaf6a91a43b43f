# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request, set and cleared while the lab runs.

One JSON file holds them; every process looks at its time stamp before use. A fault with a count wears out: whoever
meets it takes one off under a lock, so that two replicas do not use up the same one twice.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from .paths import locked, read_json, write_json

FAULTS: dict[str, str] = {
    "latency": "cp, cpN, node: every HTTP answer waits VALUE seconds",
    "http": "cp, cpN, node: answer with the status VALUE (401 402 403 404 409 429 500 503 ...); --retry-after for 429",
    "truncated-json": "cp, cpN, node: half of the JSON, then the end",
    "html": "cp, cpN, node: an HTML error page with status 200 (or VALUE)",
    "hang": "cp, cpN, node: no answer at all",
    "token-expired": "cp: every registration token counts as expired",
    "clock": "cp, cpN, node: the clock is wrong by VALUE seconds",
    "slow-register": "node: registration takes VALUE seconds longer",
    "register-noop": "node: says yes to a registration and does nothing",
    "register-fail": "node: registration fails with status VALUE (default 500)",
    "register-lost": "node: registers, then cuts the connection before the answer",
    "down": "node: agent, OS API and sshd are gone",
    "flapping": "node: down and up again every VALUE seconds",
    "agent-stopped": "node: no heartbeats; everything else works",
    "heartbeat-error": "cp, cpN: heartbeats are answered with status VALUE",
    "no-boot": "cpN: does not come up at its next start",
    "slow-boot": "cpN: comes up VALUE seconds later",
    "ignore-pool": "cpN: keeps the trust pool of the boot before",
    "reissue-at-boot": "cpN: signs its server leaf anew at its next start",
    "silent-boot": "cpN: does not log the pool at its start",
}


class Faults:
    """The faults that hold now, as one process sees them. ``names`` are those that its targets may have."""

    def __init__(self, path: Path, *names: str) -> None:
        self._path = path
        self._names = set(names)
        self._signature: tuple[int, int] | None = None
        self._faults: list[dict[str, Any]] = []

    def _read(self) -> list[dict[str, Any]]:
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return []
        signature = (stat.st_mtime_ns, stat.st_ino)
        if signature != self._signature:
            self._faults = read_json(self._path)
            self._signature = signature
        return self._faults

    def get(self, fault: str, *targets: str, path: str = "", method: str = "") -> dict[str, Any] | None:
        """The fault when it holds for one of the targets (and for the URL path); one is taken off its count."""
        names = self._names | set(targets)
        for item in self._read():
            if item["fault"] != fault or item["target"] not in names:
                continue
            if item.get("path") and not path.startswith(item["path"]):
                continue
            if item.get("method") and item["method"] != method:
                continue
            if item.get("count") is None or _take(self._path, item["id"]):
                return item
        return None

    def value(self, fault: str, *targets: str, default: float = 0.0) -> float:
        """A number that a fault carries; ``default`` when it does not hold."""
        item = self.get(fault, *targets)
        return default if item is None else float(item.get("value") or default)


def _lock(path: Path) -> Path:
    return path.with_name(".faults.lock")


def _load(path: Path) -> list[dict[str, Any]]:
    return list(read_json(path)) if path.exists() else []


def _take(path: Path, number: int) -> bool:
    with locked(_lock(path)):
        faults = _load(path)
        for item in faults:
            if item["id"] == number and item["count"] > 0:
                item["count"] -= 1
                write_json(path, [entry for entry in faults if entry.get("count") != 0])
                return True
    return False


def add(file: Path, target: str, fault: str, **fields: Any) -> None:
    """Make a fault hold. ``fields``: value, count, path, method, retry_after."""
    if fault.isdigit():
        fields["value"], fault = fault, "http"
    if fault not in FAULTS:
        raise ValueError(f"unknown fault {fault!r}; known: {', '.join(FAULTS)}")
    entry = {key: value for key, value in fields.items() if value is not None}
    with locked(_lock(file)):
        faults = _load(file)
        number = max((item["id"] for item in faults), default=0) + 1
        entry.update(id=number, target=target, fault=fault, since=time.time())
        write_json(file, [*faults, entry])


def clear(path: Path, target: str | None, fault: str | None) -> int:
    """Take faults away; how many went."""
    if fault and fault.isdigit():
        fault = "http"
    with locked(_lock(path)):
        faults = _load(path)
        kept = [item for item in faults if (target and item["target"] != target) or (fault and item["fault"] != fault)]
        write_json(path, kept)
        return len(faults) - len(kept)
