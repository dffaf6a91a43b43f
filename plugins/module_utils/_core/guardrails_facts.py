# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""From what the evidence modules returned to the facts that the prevention rules ask for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from . import shapes
from .certificates import Certificate, parse_bundle, purpose
from .errors import InputError
from .guardrails import Backup, Dates, Facts, Limits, Log, Served, Storage
from .guardrails_workload import Claim, Flag, Workload
from .intake import Intake
from .registry import parse_time
from .shapes import Needed

Json = Mapping[str, Any]

_STORAGE = {
    "path": str,
    "error": str,
    "mount": str,
    "file_system": str,
    "container": bool,
    "mode": str,
    "owner": str,
    "key": {"path": str, "mode": str, "owner": str, "error": str},
    "key_copies": [str],
    "key_copies_error": str,
}
_WORKLOAD = {
    "title": str,
    "error": str,
    "replicas": int,
    "storage": {
        "path": str,
        "kind": str,
        "volume": str,
        "claims": [
            {
                "name": Needed(str),
                "found": bool,
                "error": str,
                "phase": str,
                "access_modes": [str],
                "storage_class": str,
                "volume": str,
                "reclaim_policy": str,
                "volume_error": str,
            }
        ],
        "conflicts": [str],
    },
    "auto_ca_gen": [
        {"container": Needed(str), "init": bool, "source": Needed(str), "on": bool, "hidden": bool, "error": str}
    ],
}
_LOG = {
    "counts": {"drift": int},
    "sources": {"drift": {}},
    "outside_sources": {"drift": {}},
    "error": str,
}
_BACKUP = {"path": str, "age_seconds": float, "current": bool, "judged": bool, "error": str}


def read(
    taken: Intake,
    replicas: Mapping[str, Json],
    logs: Mapping[str, Json],
    backup: Json | None,
    limits: Limits,
    workloads: Mapping[str, Json] | None = None,
) -> Facts:
    """``replicas`` are the results of cp_info by the replica's name, ``logs`` those of handshake_log_info by inventory
    name (empty: none), ``backup`` is that of ca_backup, ``workloads`` what k8s_cp_info says of the objects by the host
    that stands for them. Raises InputError when one has not the documented shape."""
    return Facts(
        evidence=taken.evidence,
        storage={name: _storage(name, result) for name, result in replicas.items() if result.get("storage")},
        served={name: _served(name, result) for name, result in replicas.items()},
        logs={name: _log(name, result) for name, result in logs.items() if result},
        dates={c.sha256: Dates(c.not_before, c.not_after, c.subject) for c in taken.catalogue.certificates()},
        backup=_backup(backup) if backup else None,
        limits=limits,
        workloads={host: _workload(host, found) for host, found in (workloads or {}).items()},
    )


def _storage(name: str, result: Json) -> Storage:
    found = result["storage"]
    shapes.check(found, _STORAGE, f"the evidence of replica {name}.storage")
    key = found.get("key") or {}
    return Storage(
        path=found.get("path") or "",
        error=found.get("error") or "",
        mount=found.get("mount") or "",
        file_system=found.get("file_system") or "",
        container=bool(found.get("container")),
        mode=found.get("mode") or "",
        owner=found.get("owner") or "",
        key_path=key.get("path") or "",
        key_mode=key.get("mode") or "",
        key_owner=key.get("owner") or "",
        key_error=key.get("error") or "",
        copies=tuple(found.get("key_copies") or ()),
        copies_error=found.get("key_copies_error") or "",
    )


def _workload(host: str, found: Json) -> Workload:
    shapes.check(found, _WORKLOAD, f"the workload of {host}")
    storage = found.get("storage") or {}
    # Without a list of its sources it is not a workload without one: nobody has looked. What else could not be read of
    # it is no matter here.
    unread = found.get("error") or "its objects were not read"
    return Workload(
        title=found.get("title") or "",
        error=unread if found.get("auto_ca_gen") is None else "",
        replicas=found.get("replicas") or 0,
        path=storage.get("path") or "",
        kind=storage.get("kind") or "",
        volume=storage.get("volume") or "",
        claims=tuple(_claim(each) for each in storage.get("claims") or ()),
        conflicts=tuple(storage.get("conflicts") or ()),
        flags=tuple(_flag(each) for each in found.get("auto_ca_gen") or ()),
    )


def _claim(found: Json) -> Claim:
    return Claim(
        name=found["name"],
        found=bool(found.get("found")),
        error=found.get("error") or "",
        phase=found.get("phase") or "",
        access_modes=tuple(found.get("access_modes") or ()),
        storage_class=found.get("storage_class") or "",
        volume=found.get("volume") or "",
        reclaim_policy=found.get("reclaim_policy") or "",
        volume_error=found.get("volume_error") or "",
    )


def _flag(found: Json) -> Flag:
    return Flag(
        container=found["container"],
        source=found["source"],
        on=found.get("on"),
        init=bool(found.get("init")),
        hidden=bool(found.get("hidden")),
        error=found.get("error") or "",
    )


def _served(name: str, result: Json) -> tuple[Served, ...]:
    shown = result.get("chain") or ()
    return tuple(_one(cert) for entry in shown for cert in parse_bundle(entry["pem"].encode()).certificates)


def _one(cert: Certificate) -> Served:
    extensions = purpose(cert)
    return Served(
        sha256=cert.sha256,
        subject=cert.subject,
        not_before=cert.not_before,
        not_after=cert.not_after,
        self_signed=cert.self_signed,
        signature_hash=cert.signature_hash,
        names=extensions.names,
        usages=extensions.usages,
    )


def _log(name: str, result: Json) -> Log:
    where = f"the log of replica {name}"
    shapes.check(result, _LOG, where)
    counts = result.get("counts")
    # Without numbers it is no log without lines: nobody has looked.
    if result.get("error") or not counts:
        return Log(error=str(result.get("error") or "its log was not read"))
    drift = int(counts.get("drift") or 0)
    sources = _numbers((result.get("sources") or {}).get("drift"), f"{where}: sources.drift")
    outside = _numbers((result.get("outside_sources") or {}).get("drift"), f"{where}: outside_sources.drift")
    return Log(drift=drift, nameless=max(0, drift - sum(sources.values())), outside=outside)


def _numbers(value: Json | None, where: str) -> dict[str, int]:
    found = dict(value or {})
    shapes.check(found, dict.fromkeys(found, int), where)
    return {str(address): int(number or 0) for address, number in found.items()}


def _backup(found: Json) -> Backup:
    shapes.check(found, _BACKUP, "backup")
    age = found.get("age_seconds")
    try:
        span = None if age is None else timedelta(seconds=age)
    except OverflowError:
        raise InputError(f"backup.age_seconds: {age} is too long for a duration") from None
    return Backup(
        path=found.get("path") or "",
        made_at=parse_time(found.get("made_at"), "backup.made_at"),
        age=span,
        current=bool(found.get("current")),
        error=found.get("error") or "",
        judged=bool(found.get("judged", not found.get("error"))),
    )
