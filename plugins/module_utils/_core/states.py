# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What state a node is in, why, and what its operator can do about it. Words: docs/architecture.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .evidence import Evidence, Node

#: Every state, from the best to the worst: the order of a summary.
STATES = (
    "current",
    "bridged",
    "legacy",
    "split",
    "ahead",
    "stranded",
    "foreign",
    "expired",
    "unregistered",
    "unreachable",
)


@dataclass(frozen=True)
class State:
    name: str
    reason: str
    remedy: str = ""


def expired(node: Node, now: datetime) -> bool:
    return node.leaf_not_after is not None and node.leaf_not_after < now


def leaf_is_active(node: Node, active: str | None) -> bool:
    return active is not None and active in node.leaf_by


def pins_active(node: Node, active: str | None) -> bool:
    return active is not None and active in node.pins


def is_foreign(node: Node, evidence: Evidence) -> bool:
    """No CA that is believed signed its leaf, and it pins none: it may belong to another CP, or to an attacker. Unless
    the operator says that it is ours."""
    if node.name in evidence.settings.rescued:
        return False
    # Who may have enough leaves to be trusted again is another question: what lies beside the CP, or was named as
    # compromised, is a CA of this fleet's past.
    past = evidence.compromised.union(*(replica.beside for replica in evidence.replicas))
    doubted = evidence.unproven - past
    believed = (frozenset(evidence.cas) | past) - doubted
    return not (node.leaf_by - doubted) and not (frozenset(node.pins) & believed)


def link_reason(node: Node) -> str:
    """One sentence on the link, naming the direction that fails. Empty when the link is up and proven."""
    if node.to_cp == "refused" and node.to_node == "refused":
        return f"refuses the CP ({node.to_cp_detail}) and is refused by it ({node.to_node_detail})"
    if node.to_cp == "refused":
        return f"refuses the CP's server certificate ({node.to_cp_detail})"
    if node.to_node == "refused":
        return f"is refused by the CP ({node.to_node_detail})"
    if not node.handshake_up:
        return f"the handshake proves nothing ({node.to_cp_detail or node.to_node_detail or 'no answer'})"
    if node.beat is None:
        return "its files verify, but nothing shows whether its agent's heartbeat reaches the CP: not proven"
    if not node.beat:
        return "its files verify, but its agent's heartbeat has not reached the CP: not proven"
    return ""


def state(node: Node, evidence: Evidence) -> State:
    """The state of one node. The worst word that is true comes first, so that nobody reads 'current' on a dead link."""
    if not node.examined:
        return State("unreachable", "not examined in this run", "run again without a limit, or bring the host back")
    if not node.reachable:
        return State("unreachable", node.error or "no answer", "bring the host back, or give it a waiver")
    if node.leaf_error and not node.leaf_by:
        return State("unregistered", node.leaf_error, "register the node")
    if expired(node, evidence.now):
        return State("expired", "its client certificate has expired", "register the node again")
    if node.pin_error and not node.pins:
        return State("split", node.pin_error, "register the node again")
    if is_foreign(node, evidence):
        return State(
            "foreign", "neither its leaf nor its pin belongs to a CA that is known here", "name its CA, or register it"
        )
    if not node.up:
        return State("stranded", link_reason(node), _stranded_remedy(node, evidence))
    if evidence.staged and evidence.staged != evidence.active and evidence.staged in {*node.pins, *node.leaf_by}:
        return State("ahead", "trusts the staged CA beside the active one, link up")
    active_leaf, active_pin = leaf_is_active(node, evidence.active), pins_active(node, evidence.active)
    legacy_pin = bool(frozenset(node.pins) - {evidence.active})
    if active_leaf and not active_pin:
        return State("split", "its leaf is by the active CA, its pin is not", "push the pin")
    if not active_leaf and active_pin and not legacy_pin:
        return State("split", "it pins the active CA, its leaf is by another", "register the node again")
    if active_pin and legacy_pin:
        kind = "active" if active_leaf else "legacy"
        return State("bridged", f"pins the legacy and the active CA, leaf by the {kind} CA", "")
    if not active_leaf:
        return State("legacy", "on the legacy CA, link up", "register the node again")
    return State("current", "", "")


def _stranded_remedy(node: Node, evidence: Evidence) -> str:
    if node.handshake_up:
        return "restart its agent (quazzar_node_restart_command) and look again"
    if leaf_is_active(node, evidence.active) and pins_active(node, evidence.active):
        return "look at the CP's log for this node and at the path between them"
    return "register the node again"
