# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small pure helpers for the templates of the roles. Each is documented in a YAML file of its own beside this one."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import batches, handshake, report

Result = t.Mapping[str, t.Any]
#: With so many tries for each of two pods one is missed in one of 64 rounds, if the balancer takes either at random.
TRIES = 3


def failure_reason(result: Result) -> str:
    """Why a task failed, in one line; for a loop the reasons of the items that failed."""
    items = [item for item in result.get("results") or () if item.get("failed") or item.get("unreachable")]
    if items:
        return "; ".join(dict.fromkeys(failure_reason(item) for item in items))
    said = [str(result.get(key) or "").strip() for key in ("stderr", "stdout")]
    parts = (
        [str(result.get("msg") or "").strip(), *said]
        if result.get("rc") is not None
        else [str(result.get("msg") or "")]
    )
    return ": ".join(part for part in parts if part) or "a task failed without saying why"


def pin_claims(results: t.Sequence[Result]) -> list[dict[str, str]]:
    """Claims for rotation_plan out of the results of a loop of ca_info over nodes."""
    return [
        {"source": f"{result['item'][1]}:{shown['path']}", "content": certificate["pem"]}
        for result in results
        for shown in result.get("files") or ()
        for certificate in shown.get("certificates") or ()
    ]


def negative_proof(results: t.Sequence[Result], accepted_before: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
    """Entries for the report: what a replica said to the kept legacy identities after the strip. ``accepted_before``:
    the nodes whose kept identity it is known to have accepted. A refusal for another reason than trust is "unknown"."""
    return [_proof(result, result["item"][0] in accepted_before) for result in results]


def _proof(result: Result, accepted_before: bool) -> dict[str, t.Any]:
    node, replica = result["item"]
    shaken = result["node"]["handshake"]
    after, detail = str(shaken["to_node"]), str(shaken["to_node_detail"])
    if after == "refused" and not handshake.shows_distrust(detail, accepted_before=accepted_before):
        after = "unknown"
    return {
        "node": str(node),
        "replica": str(replica["name"]),
        "accepted_before": accepted_before,
        "after": after,
        "detail": detail,
        "at": str(result["node"].get("taken_at") or ""),
    }


def doors(result: Result, host: str, address: str, by_pod: bool = True) -> list[dict[str, str]]:
    """Where nodes are to try a replica, as name and address: a host of its own at ``address``, of a workload every live
    pod. Nodes with no way to the pods try ``address`` so often that each pod has to be met with luck only."""
    replicas = result.get("replicas") or ()
    if not replicas:
        return [{"name": host, "address": address}]
    if by_pod:
        return [{"name": f"{host}/{each['name']}", "address": str(each["address"])} for each in replicas]
    return [{"name": f"{host}/{handshake.BALANCER}", "address": address}] * (TRIES * len(replicas))


def slice_of(nodes: t.Sequence[str], spec: str) -> list[str]:
    """The nodes of one of several runs side by side, such as "2/5"; all where ``spec`` is empty."""
    return list(batches.share(nodes, spec))


def added_hosts(given: t.Any) -> dict[str, t.Any]:
    """Hosts with their variables that may be JSON text: as hosts and error. The error tells no value, which may be a
    password."""
    try:
        hosts = json.loads(given if given.strip() else "{}") if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return {"hosts": {}, "error": "text that is no JSON"}
    if hosts is None:
        return {"hosts": {}, "error": ""}
    if not isinstance(hosts, t.Mapping):
        found = "a list" if isinstance(hosts, list) else "a text" if isinstance(hosts, str) else "no mapping"
        return {"hosts": {}, "error": found}
    unfit = [str(name) for name, variables in hosts.items() if not isinstance(variables, t.Mapping)]
    if unfit:
        return {"hosts": {}, "error": f"no mapping for {', '.join(unfit)}"}
    return {"hosts": dict(hosts), "error": ""}


def artefact(document: Result) -> dict[str, t.Any]:
    """A report that is small enough for what AWX keeps of a job."""
    return report.artefact(document)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "failure_reason": failure_reason,
            "pin_claims": pin_claims,
            "negative_proof": negative_proof,
            "doors": doors,
            "slice_of": slice_of,
            "artefact": artefact,
            "added_hosts": added_hosts,
        }
