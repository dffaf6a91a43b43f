# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The gate: may the legacy CAs leave the trust pool? It opens on proof only (docs/architecture.md, "The gate")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .evidence import Evidence, Node
from .states import expired, leaf_is_active, link_reason, pins_active, state


@dataclass(frozen=True)
class Blocked:
    """One name that keeps the gate closed."""

    node: str
    state: str
    reason: str
    last_seen: datetime | None
    leaf_not_after: datetime | None
    until: datetime | None
    remedy: str


@dataclass(frozen=True)
class Gate:
    """``reasons`` concern the whole fleet, ``blocked`` single nodes; open means that both are empty."""

    open: bool
    reasons: tuple[str, ...]
    blocked: tuple[Blocked, ...]
    passed: tuple[str, ...]
    waived: tuple[str, ...]


def decide(evidence: Evidence) -> Gate:
    """May the legacy CAs be retired?"""
    return _decide(evidence, (*_fleet_reasons(evidence), *_no_probe(evidence)), _why_blocked, _free_at)


def decide_activation(evidence: Evidence, *, taught: bool) -> Gate:
    """May the staged CA become the active one? Only when nobody loses a link by it: every node has its own now, and,
    where it is ``taught``, pins the staged CA and would take a server certificate by it."""

    def why(node: Node, evidence: Evidence) -> str:
        return _why_not_ready(node, evidence, taught)

    # That a leaf will have expired some day is no comfort here: a certificate of the CP changes at once.
    return _decide(evidence, _fleet_reasons(evidence), why, lambda node, evidence: None)


def _decide(
    evidence: Evidence,
    reasons: tuple[str, ...] | list[str],
    why_blocked: Callable[[Node, Evidence], str],
    free_at: Callable[[Node, Evidence], datetime | None],
) -> Gate:
    waivers = {waiver.node for waiver in evidence.waivers}
    blocked: list[Blocked] = []
    passed: list[str] = []
    waived: list[str] = []
    for node in evidence.nodes:
        why = why_blocked(node, evidence)
        if not why:
            passed.append(node.name)
        elif node.name in waivers:
            waived.append(node.name)
        else:
            found = state(node, evidence)
            until = free_at(node, evidence)
            blocked.append(
                Blocked(node.name, found.name, why, node.last_seen, node.leaf_not_after, until, found.remedy)
            )
    for instance in evidence.strangers:
        if instance.name in waivers:
            waived.append(instance.name)
            continue
        until = free_at(Node(instance.name), evidence)
        if until is not None and until < evidence.now:
            passed.append(instance.name)
            continue
        blocked.append(
            Blocked(
                instance.name,
                "unreachable",
                f"in the CP's registry ({instance.id}, {instance.status}) but not in the inventory",
                instance.last_seen,
                None,
                until,
                "add it to the inventory, delete it at the CP, or give it a waiver",
            )
        )
    return Gate(not reasons and not blocked, tuple(reasons), tuple(blocked), tuple(passed), tuple(waived))


def late_leaves(evidence: Evidence) -> tuple[str, ...]:
    """Nodes whose leaf a legacy CA signed after the switch: somebody still issues from it."""
    if evidence.switched_at is None:
        return ()
    limit = evidence.switched_at + evidence.settings.clock_skew
    return tuple(
        node.name
        for node in evidence.nodes
        if node.leaf_not_before is not None
        and node.leaf_by & (evidence.trusted_legacy | _known_legacy(evidence))
        and not leaf_is_active(node, evidence.active)
        and node.leaf_not_before > limit
    )


def _known_legacy(evidence: Evidence) -> frozenset[str]:
    """One that is not believed is no legacy CA: whoever plants one dates its leaves as he likes, and stops nothing."""
    return frozenset(evidence.cas) - {evidence.active or ""} - evidence.unproven


def _fleet_reasons(evidence: Evidence) -> list[str]:
    reasons: list[str] = []
    if evidence.active is None:
        reasons.append("the active CA is not known")
    for replica in evidence.replicas:
        if not replica.listening:
            reasons.append(f"replica {replica.name} does not serve: {replica.error}")
        if replica.active is None or replica.active != evidence.active:
            reasons.append(
                f"replica {replica.name} is not known to hold the active CA: {replica.error or 'another one'}"
            )
    if not evidence.replicas:
        reasons.append("no replica of the CP was examined")
    late = late_leaves(evidence)
    if late:
        reasons.append(f"a legacy CA signed leaves after the switch, somebody still issues from it: {', '.join(late)}")
    reasons += registry_reasons(evidence)
    return reasons


def registry_reasons(evidence: Evidence) -> list[str]:
    """Why the CP's registry does not tell of every node that there is."""
    reasons: list[str] = []
    registry = evidence.registry
    if registry is None:
        reasons.append("the CP's registry was not read: give API access or quazzar_fleet_file")
    elif registry.error:
        reasons.append(f"the CP's registry was not read: {registry.error}")
    elif not registry.complete:
        reasons.append(f"the CP's registry is not known to be complete: {registry.incomplete_reason}")
    elif evidence.now - registry.taken_at > evidence.settings.evidence_max_age:
        reasons.append("the CP's registry was read too long ago")
    return reasons


def _no_probe(evidence: Evidence) -> list[str]:
    """The strip of each CA has to be proven by an identity of its that is refused after it, so there must be one."""
    retired = frozenset(key for replica in evidence.replicas for entry in replica.retirable for key in entry.keys)
    if evidence.settings.legacy_probes < 1:
        return []
    unproven = sorted((retired & evidence.trusted_legacy) - evidence.kept.keys())
    names = [evidence.cas[key].sha256 if key in evidence.cas else key for key in unproven]
    return [
        f"no node that answers keeps a legacy identity by the CA {name[:16]} that has not expired, so its strip could"
        " not be proven (not proven): set quazzar_legacy_probes: 0 to close the grace window without the negative proof"
        for name in names
    ]


def _free_at(node: Node, evidence: Evidence) -> datetime | None:
    """When every leaf that a legacy CA ever signed for this node has expired. None: not known."""
    if leaf_is_active(node, evidence.active):
        return None
    if node.leaf_not_after is not None:
        return node.leaf_not_after + evidence.settings.clock_skew
    if evidence.switched_at is None:
        return None
    return evidence.switched_at + evidence.settings.leaf_lifetime + evidence.settings.clock_skew


def _gone(node: Node, evidence: Evidence) -> bool:
    """The CP knows the node no more, and nothing shows that it lives."""
    registry = evidence.registry
    known = registry is not None and registry.complete and not registry.error
    alive = node.handshake_up or node.to_node == "accepted" or node.agent == "connected"
    return known and not alive and not any(instance.active for instance in node.instances)


def namesakes(node: Node, evidence: Evidence) -> str:
    """Why the instances of this node's name are not one machine. A second one may just be what an earlier registration
    left behind, but then it sends nothing any more after the node was examined."""
    active = [instance for instance in node.instances if instance.active]
    registry = evidence.registry
    if len(active) < 2 or registry is None:
        return ""
    ids = ", ".join(instance.id for instance in active)
    if len({instance.tenant for instance in active}) > 1:
        return f"instances of several tenants bear its name ({ids}): set quazzar_instance_id"
    # last_seen is by the CP's clock, the evidence by the controller's.
    ahead = registry.clock - registry.taken_at if registry.clock else timedelta(0)
    since = node.taken_at + ahead if node.taken_at else None
    beating = [i for i in active if i.last_seen is not None and (since is None or i.last_seen > since)]
    return f"several instances of its name send heartbeats ({ids}): set quazzar_instance_id" if len(beating) > 1 else ""


def _why_not_ready(node: Node, evidence: Evidence, taught: bool) -> str:
    """Empty when the staged CA may become active as far as this node is concerned."""
    if _gone(node, evidence):
        return ""
    doubles = namesakes(node, evidence)
    if doubles:
        return doubles
    if not node.examined or not node.reachable:
        return state(node, evidence).reason
    if too_old(node, evidence):
        return "its evidence is older than quazzar_evidence_max_age"
    if node.leaf_error and not node.leaf_by:
        return node.leaf_error
    if expired(node, evidence.now):
        return "its client certificate has expired"
    if taught and evidence.staged not in node.pins:
        return "its pin does not hold the staged CA"
    if taught and node.sample != "ok":
        why = node.sample_detail or "it was not asked"
        return f"it is not shown that it would take a server certificate by the staged CA ({why})"
    return link_reason(node)


def too_old(node: Node, evidence: Evidence) -> bool:
    return node.taken_at is None or evidence.now - node.taken_at > evidence.settings.evidence_max_age


def _why_blocked(node: Node, evidence: Evidence) -> str:
    """Empty when the node may not be harmed by the strip."""
    if _gone(node, evidence):
        return ""
    doubles = namesakes(node, evidence)
    if doubles:
        return doubles
    free_at = _free_at(node, evidence)
    if free_at is not None and free_at < evidence.now:
        return ""
    if not node.examined or not node.reachable:
        return state(node, evidence).reason
    if too_old(node, evidence):
        return "its evidence is older than quazzar_evidence_max_age"
    if node.leaf_error and not node.leaf_by:
        return node.leaf_error
    if not leaf_is_active(node, evidence.active):
        return "its leaf is not by the active CA"
    if expired(node, evidence.now):
        return "its client certificate has expired"
    if not pins_active(node, evidence.active):
        return "its pin does not hold the active CA"
    return link_reason(node)
