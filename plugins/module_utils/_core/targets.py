# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The plan as the roles use it: for each act the hosts that it is done to, and the certificates that are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import intake, plan, run_lock, states
from .evidence import Evidence, Replica

#: What each goal acts upon, by the keys of the targets.
_OPEN = ("open_window",)
_MOVE = ("bundle_test", "flip_first", "push_pins", "keep_identity", "register")
_CLOSE = ("flip_now", "close_window", "narrow_now", "forget_identity")
_ACTS = {
    "open": _OPEN,
    "reregister": _MOVE,
    "close": _CLOSE,
    "rotate": (*_OPEN, *_MOVE, *_CLOSE),
    "rescue": _MOVE,
    "revoke": ("stage", "activate", "close_window", "flip", "forget_identity", "unstage", "forget_previous", *_MOVE),
    "replace": ("stage", *_OPEN, "activate", *_MOVE, *_CLOSE, "forget_previous"),
    "rollback": (*_OPEN, "reactivate", "bundle_test", "push_pins", "close_window", "unstage", "forget_previous"),
}


#: Nodes that register again get into nobody's way, so job slices of that may run side by side.
_SLICEABLE = frozenset({"reregister", "rescue"})


def lock(goal: str, targets: Mapping[str, Any], *, sliced: bool = False) -> str:
    """The kind of lock under which a run may do what the plan has for its goal; empty where that is nothing.

    Whatever restarts a replica must be alone. A slice whose nodes are all moved or lost shares the lock too, by which
    the others learn how many are lost.
    """
    tells = sliced and goal in _SLICEABLE and bool(targets["lost"])
    if not tells and not any(targets[act] for act in _ACTS.get(goal, ())):
        return ""
    beside_others = goal in _SLICEABLE and not targets["flip_first"]
    return run_lock.SHARED if beside_others else run_lock.EXCLUSIVE


def worst(replicas: Sequence[Replica]) -> Replica:
    """The first that does not serve, else the first of all."""
    return next((each for each in replicas if not each.listening), replicas[0])


def judged(taken: intake.Intake) -> dict[str, dict[str, Any]]:
    """What the evidence of the replicas of each host means, all of them together, for the roll that waits for them."""
    active = taken.evidence.active
    by_host: dict[str, list[Replica]] = {}
    for replica in taken.evidence.replicas:
        by_host.setdefault(replica.host, []).append(replica)
    return {
        host: {
            "name": worst(replicas).name,
            "address": worst(replicas).address,
            "listening": worst(replicas).listening,
            "error": worst(replicas).error,
            "active": replicas[0].active_sha256 or "",
            "world": replicas[0].world if len({each.world for each in replicas}) == 1 else "mixed",
            "serves_active": active is not None and all(each.serving_root == active for each in replicas),
            "stale": any(each.stale for each in replicas),
            "stale_reason": next((each.stale_reason for each in replicas if each.stale), ""),
            "differ": len({each.active for each in replicas}) > 1,
        }
        for host, replicas in by_host.items()
    }


def of(made: plan.Plan, taken: intake.Intake) -> dict[str, Any]:
    """What each act is to be done to: host names, and the public certificates that are to be written."""
    evidence = taken.evidence
    host_of = {replica.name: replica.host for replica in evidence.replicas}

    def hosts(names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(host_of[name] for name in names))

    bundle = [taken.pem(key) for key in made.pin]
    stripped = plan.stripped(evidence, made)
    retire: dict[str, list[str]] = {}
    for name, paths in made.retire.items():
        retire[host_of[name]] = list(dict.fromkeys([*retire.get(host_of[name], ()), *paths]))
    leaving = _leaving(evidence, made)
    return {
        "fetch": [{"key": need.key, "holders": list(need.holders)} for need in made.fetch],
        "open_window": hosts(made.open_window),
        "place": {host: _to_place(host, made, taken) for host in hosts(made.open_window)},
        "close_window": hosts(made.close_window),
        "retire": retire,
        "bundle_test": [made.bundle_test] if made.bundle_test else [],
        "bundle": bundle,
        # In W1, and before a planned rotation, the first certificate is the one that the agents know already: only the
        # other order is a test.
        "test_bundle": bundle[::-1] if made.world == "W1" or evidence.staged else bundle,
        "registration_pin": [taken.pem(key) for key in plan.registration_pin(evidence, made.world)],
        "push_pins": list(made.push_pins),
        "keep_identity": list(made.keep_identity),
        "kept_identity": _kept_of(leaving, evidence),
        "held_identity": {
            host: _kept_of(
                leaving & frozenset().union(*(r.pool_keys for r in evidence.replicas if r.host == host)), evidence
            )
            for host in hosts(host_of)
        },
        "register": list(made.register),
        "flip": hosts(made.flip),
        "flip_first": hosts(made.flip) if evidence.settings.flip_possible and made.flip_first else [],
        "flip_now": hosts(made.flip) if evidence.settings.flip_possible else [],
        "stage": hosts(made.stage),
        "activate": hosts(made.activate),
        "reactivate": hosts(made.reactivate),
        "unstage": hosts(made.unstage),
        "revoked": [
            {"name": f"{evidence.cas[key].sha256[:16]}.revoked", "pem": taken.pem(key), "there": ""}
            for key in sorted(evidence.compromised & frozenset(evidence.cas))
            if evidence.settings.revoking
        ],
        "forget_previous": hosts(made.forget_previous),
        "next_ca": evidence.cas[made.next_ca].sha256 if made.next_ca and made.next_ca in evidence.cas else "",
        "server_sample": taken.server_sample,
        "leaves_marked": taken.leaves_marked,
        "narrow_pins": list(made.narrow_pins),
        "narrow_now": list(made.narrow_pins) if stripped else [],
        "forget_identity": [node.name for node in evidence.nodes if node.kept_identity] if stripped else [],
        "active_ca": taken.pem(evidence.active) if evidence.active else "",
        "known_cas": [certificate.pem() for certificate in taken.catalogue.certificates()],
        "witnesses": _witnesses(taken),
        # By the credentials that list it: with another tenant's token a node would change hands.
        "tenants": {n.name: i.tenant for n in evidence.nodes for i in n.instances if i.active and i.tenant},
        # A host outside of --limit was not tried: it keeps the gate closed, but it is no failure.
        "lost": [node.name for node in evidence.nodes if node.examined and not node.reachable],
    }


def _to_place(host: str, made: plan.Plan, taken: intake.Intake) -> list[dict[str, str]]:
    """The CAs that some replica of a host does not trust yet. A file counts as there when all of them can read it."""
    evidence = taken.evidence
    replicas = [replica for replica in evidence.replicas if replica.host == host]
    found = []
    for key in made.place:
        if key in evidence.cas and any(key not in replica.pool_keys for replica in replicas):
            there = {replica.beside.get(key, "") for replica in replicas}
            path = there.pop() if len(there) == 1 else ""
            found.append({"name": f"{evidence.cas[key].sha256[:16]}.crt", "pem": taken.pem(key), "there": path})
    return found


def _leaving(evidence: Evidence, made: plan.Plan) -> frozenset[str]:
    """The CAs that the plan takes out of trust: what a revocation names, else what is retired."""
    retired = frozenset(
        key
        for replica in evidence.replicas
        for entry in replica.pool
        if entry.path in made.retire.get(replica.name, ())
        for key in entry.keys
    )
    return retired if retired and not retired & evidence.compromised else evidence.compromised


def _kept_of(cas: frozenset[str], evidence: Evidence) -> list[str]:
    """The nodes that keep an identity which shows whether any of these is still trusted, in the order of the fleet."""
    names = {name for key in cas for name in evidence.kept.get(key, ())}
    return [node.name for node in evidence.nodes if node.name in names]


def _witnesses(taken: intake.Intake) -> dict[str, list[str]]:
    """Two nodes for each CA on which a replica can prove that it accepts the old and the new identity."""
    evidence = taken.evidence
    alive = [n for n in evidence.nodes if n.reachable and not n.leaf_error and not states.expired(n, evidence.now)]
    # The better a node's own link was, the less its answer can be blamed on the node.
    alive.sort(key=lambda node: (not node.handshake_up, node.to_node == "unknown"))
    by_ca = {
        key: [node.name for node in alive if key in node.leaf_by and key not in evidence.compromised][:2]
        for key in [*sorted(evidence.trusted_legacy), evidence.active or ""]
    }
    legacy = [name for key in sorted(evidence.trusted_legacy) for name in by_ca[key]]
    return {"legacy": list(dict.fromkeys(legacy)), "current": by_ca[evidence.active or ""]}
