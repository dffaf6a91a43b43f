# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Read what the prevention rules ask of a workload. What the account may not read is said with it, and ends nothing."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from .._core import workload_guards
from .._core.errors import HostError, Unreachable
from .kubernetes import Cluster, Json

# | is no operator of such types before Python 3.10, where ansible-test imports this too.
Claims = dict[str, tuple[t.Optional[Json], str]]


def gather(
    cluster: Cluster,
    found: Json,
    box: Mapping[str, t.Any],
    options: Mapping[str, t.Any],
    replicas: Iterable[Mapping[str, t.Any]],
) -> dict[str, t.Any]:
    """-> storage, auto_ca_gen. ``replicas``: what was seen in the pods."""
    return {
        "storage": _storage(cluster, found, box, str(options["certs_dir"] or ""), replicas),
        "auto_ca_gen": _flags(cluster, found, str(options["auto_ca_gen_variable"])),
    }


def _storage(
    cluster: Cluster,
    found: Json,
    box: Mapping[str, t.Any],
    certs_dir: str,
    replicas: Iterable[Mapping[str, t.Any]],
) -> dict[str, t.Any] | None:
    if not certs_dir:
        return None
    seen = [str(each["storage"]["mount"]) for each in replicas]
    place = workload_guards.place(found, box, certs_dir, seen)
    shared, mine = workload_guards.shared_claims(found), workload_guards.claim_names(found, place["volume"])
    claims: Claims = {name: _tried(cluster.claim, name) for name in dict.fromkeys((*shared, *mine))}
    there = {name: claims[name][0] for name in shared}
    return {
        **place,
        "claims": [_claim(cluster, name, *claims[name]) for name in mine],
        "conflicts": list(
            workload_guards.conflicts(found, {name: claim for name, claim in there.items() if claim}, place)
        ),
    }


def _claim(cluster: Cluster, name: str, claim: Json | None, error: str) -> dict[str, t.Any]:
    bound = str(((claim or {}).get("spec") or {}).get("volumeName") or "")
    volume, volume_error = _tried(cluster.volume, bound) if bound else (None, "")
    return workload_guards.claim(name, claim, volume, error, volume_error)


def _flags(cluster: Cluster, found: Json, variable: str) -> list[dict[str, t.Any]]:
    known: dict[tuple[str, str], Json] = {}
    errors: dict[tuple[str, str], str] = {}
    for pair in workload_guards.references(found, variable):
        read, error = _tried(cluster.objects, [pair])
        known.update(read or {})
        if error:
            errors[pair] = error
    return workload_guards.flags(found, variable, known, errors)


def _tried(call: t.Callable[[t.Any], t.Any], wanted: t.Any) -> tuple[t.Any, str]:
    """What was read, or why it may not be."""
    try:
        return call(wanted), ""
    except Unreachable:
        raise
    except HostError as error:
        return None, str(error)
