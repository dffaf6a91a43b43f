# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Read what the prevention rules ask of a workload. What the account may not read is said with it, and ends nothing."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from .._core import workload, workload_guards
from .._core.errors import HostError, Unreachable
from .kubernetes import Cluster, Json

Pair = tuple[str, str]


def gather(
    cluster: Cluster,
    found: Json,
    box: Mapping[str, t.Any],
    options: Mapping[str, t.Any],
    *,
    claims: Mapping[str, Json],
    objects: Mapping[Pair, Json],
    replicas: Iterable[Mapping[str, t.Any]],
) -> dict[str, t.Any]:
    """-> storage, auto_ca_gen. ``claims``, ``objects`` and ``replicas`` are what was read of the workload already."""
    mounts = [str(each["storage"]["mount"]) for each in replicas]
    return {
        "storage": _storage(cluster, found, box, str(options["certs_dir"] or ""), claims, mounts),
        "auto_ca_gen": _flags(cluster, found, str(options["auto_ca_gen_variable"]), objects),
    }


def _storage(
    cluster: Cluster,
    found: Json,
    box: Mapping[str, t.Any],
    certs_dir: str,
    claims: Mapping[str, Json],
    mounts: list[str],
) -> dict[str, t.Any] | None:
    if not certs_dir:
        return None
    place = workload_guards.place(found, box, certs_dir, mounts)
    return {
        **place,
        "claims": [_claim(cluster, name, claims) for name in workload_guards.claim_names(found, place["volume"])],
        "conflicts": list(workload_guards.conflicts(found, claims, place)),
    }


def _claim(cluster: Cluster, name: str, claims: Mapping[str, Json]) -> dict[str, t.Any]:
    claim, error = (claims[name], "") if name in claims else _tried(lambda: cluster.claim(name))
    bound = str(((claim or {}).get("spec") or {}).get("volumeName") or "")
    volume, volume_error = _tried(lambda: cluster.volume(bound)) if bound else (None, "")
    return workload_guards.claim(name, claim, volume, error, volume_error)


def _flags(cluster: Cluster, found: Json, variable: str, objects: Mapping[Pair, Json]) -> list[dict[str, t.Any]]:
    """Most containers refer to what was read for the CP's own; only the rest is asked for, one by one."""
    known, errors = dict(objects), {}
    for box, _init in workload_guards.boxes(found):
        for pair in workload.references(box, [variable]):
            if pair in known or pair in errors:
                continue
            read, error = _tried(lambda pair=pair: cluster.objects([pair]))  # type: ignore[misc]
            known.update(read or {})
            if error:
                errors[pair] = error
    return workload_guards.flags(found, variable, known, errors)


def _tried(call: t.Callable[[], t.Any]) -> tuple[t.Any, str]:
    """What was read, or why it may not be."""
    try:
        return call(), ""
    except Unreachable:
        raise
    except HostError as error:
        return None, str(error)
