# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The plans of a planned rotation and of the way back.

A planned rotation widens every trust before it changes a signer: the next CA's pair lies beside the CP (staged), both
CAs stand in every trust pool and every pin, each node has shown that it would take the next server certificate. Only
then the staged pair becomes the active one, replica by replica, and from there on it is a rotation like every other. As
long as the staged pair is there, not every replica is known to run with it: only a restart after the files have changed
shows that. So its removal is the last thing, and a run that was cut off restarts them all again.

The way back changes trust pools and pins. The active CA is replaced by the one before only as long as no node has been
registered by it: such a node pins the new one, and would be cut off. A waiver stands in for a node that nobody can look
at, never for one that was seen to have moved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import gate
from . import plan as plans
from .evidence import Evidence, Node, Replica
from .plan import Plan, alive, bundle, canary, cp_stops, lacking_pins, make, pool_stops, stripped, takes_bundles
from .states import link_reason

#: Everything that the plan of a rotation would do, not done.
_NOTHING: dict[str, Any] = {
    "preserve": (), "open_window": (), "bundle_test": None, "push_pins": (), "keep_identity": (), "register": (),
    "flip": (), "flip_first": False, "close_window": (), "retire": {}, "narrow_pins": (), "waiting_without_link": (),
    "place": (), "fetch": (),
}  # fmt: skip


def make_replace(evidence: Evidence) -> Plan:
    """What replaces the active CA by the next one without a lost link, from wherever it is now."""
    made = make(evidence)
    every = tuple(replica.name for replica in evidence.replicas)
    if evidence.staged is None and evidence.active not in evidence.replaced:
        # Every replica runs with the new CA: from here on it is a rotation.
        # Not before the gate: its key may be all that is left for nodes that nobody can look at now.
        rest = _pairs_before(evidence) if stripped(evidence, made) and made.gate.open else ()
        return replace(made, stops=(*made.stops, *_unknown_name(evidence)), forget_previous=rest)
    if evidence.activating:
        former = evidence.previous or next((key for key in evidence.replaced if key in evidence.cas), None)
        wanted = tuple(key for key in (evidence.staged, former) if key)
        return replace(
            made,
            **{**_NOTHING, "place": wanted, "open_window": _lacking(evidence, wanted)},
            phase="activating",
            stops=tuple(_replace_stops(evidence, made)),
            pin=bundle(evidence, staged=evidence.staged),
            activate=every,
            next_ca=evidence.staged,
        )
    taught = _taught(evidence)
    wanted = tuple(key for key in (evidence.staged, evidence.active) if key)
    push = lacking_pins(evidence, staged=evidence.staged if taught else None)
    stage = _to_stage(evidence)
    window = every if stage else _lacking(evidence, wanted)
    # Also where every pin holds both already: what was never tried on an agent is not known of it.
    ahead = tuple(n.name for n in evidence.nodes if evidence.staged in n.pins)
    test = canary(evidence, "W2", push or ahead, ()) if taught else None
    settled = not (stage or window or push)
    return replace(
        made,
        **{**_NOTHING, "place": wanted, "open_window": () if stage else window, "push_pins": push, "bundle_test": test},
        phase="ready to activate"
        if settled
        else "teaching"
        if evidence.staged and not (stage or window)
        else "staging",
        stops=tuple(_replace_stops(evidence, made)),
        warnings=(*made.warnings, *_without_proof(evidence)),
        pin=bundle(evidence, staged=evidence.staged if taught else None),
        stage=stage,
        activate=every,
        next_ca=evidence.staged,
        activation=gate.decide_activation(evidence, taught=taught),
    )


def make_revoke(evidence: Evidence) -> Plan:
    """What ends all trust in a compromised CA. Where that is the active one, another takes its place first, which is
    taught to nobody before: until then every node trusts whoever holds the stolen key."""
    held = {key for replica in evidence.replicas for key in (replica.active, replica.previous)}
    halfway = evidence.activating and bool(held & evidence.compromised)
    if not (halfway or evidence.active in evidence.compromised):
        return plans.make_revoke(evidence)
    known = {evidence.staged, *evidence.compromised}
    between = {replica.active for replica in evidence.replicas} <= known
    stops = [
        stop
        for stop in cp_stops(evidence, "", None)
        if not (between and stop.startswith("the replicas hold different active CAs"))
    ]
    return replace(
        make(evidence),
        **_NOTHING,
        phase="activating" if evidence.activating else "staging",
        stops=tuple(dict.fromkeys(stops + _staged_stops(evidence))),
        stage=() if evidence.activating else _to_stage(evidence),
        activate=tuple(replica.name for replica in evidence.replicas),
        next_ca=evidence.staged,
        pin=(),
    )


def make_rollback(evidence: Evidence) -> Plan:
    """What takes a rotation back, as far as no node loses its link by it."""
    made = make(evidence)
    made = replace(made, stops=tuple(_rollback_stops(evidence, made)))
    every = tuple(replica.name for replica in evidence.replicas)
    if evidence.staged and not evidence.activating:
        if any(replica.serving_root == evidence.staged for replica in evidence.replicas):
            # The files are back, but the process of a replica is not: the restart is all that is left to do.
            return replace(made, **_NOTHING, reactivate=every, next_ca=evidence.active)
        return _unstaged(evidence, made)
    former = None if evidence.previous in evidence.compromised else evidence.previous
    moved = _moved(evidence, former) if former else {}
    if former and not moved:
        wanted = tuple(key for key in (former, evidence.active) if key)
        return replace(
            made,
            **{**_NOTHING, "place": wanted, "open_window": _lacking(evidence, wanted)},
            phase="activating" if evidence.activating else made.phase,
            stops=(*made.stops, *_without_the_pair(evidence, former)),
            reactivate=every,
            next_ca=former,
        )
    return _widened(evidence, made, moved)


def _without_the_pair(evidence: Evidence, former: str) -> list[str]:
    """Replicas with directories of their own each need the pair before, else they would sign with different CAs."""
    return [
        f"replica {replica.name}: the pair of the CA before ({evidence.cas[former].sha256[:16]}) is not beside the"
        " active one, as it is on another replica: put it there too, or remove it everywhere"
        for replica in evidence.replicas
        if former not in (replica.previous, replica.active)
    ]


def _unstaged(evidence: Evidence, made: Plan) -> Plan:
    """Nobody lives on the staged CA: it leaves every pin, then every pool, then its pair goes."""
    ours = {evidence.staged, evidence.active}
    retire = {
        replica.name: tuple(entry.path for entry in replica.retirable if entry.keys and set(entry.keys) <= ours)
        for replica in evidence.replicas
    }
    close = tuple(r.name for r in evidence.replicas if retire[r.name] or r.stale)
    holders = tuple(n.name for n in evidence.nodes if alive(n, evidence) and evidence.staged in n.pins)
    return replace(
        made,
        **{**_NOTHING, "push_pins": holders, "close_window": close, "retire": {name: retire[name] for name in close}},
        phase="staging",
        stops=(*made.stops, *_still_needed(evidence)),
        pin=bundle(evidence),
        unstage=tuple(r.name for r in evidence.replicas if r.staged),
        forget_previous=_copies(evidence),
    )


def _still_needed(evidence: Evidence) -> list[str]:
    """Who lives on the staged CA, or may. It signs nothing, unless a replica ran with it for a while."""
    on_it = [n.name for n in evidence.nodes if evidence.staged in n.leaf_by]
    if on_it:
        return [
            f"the staged CA signed the leaf of {', '.join(on_it)}: register it by the active CA first, with"
            " nodes_rescue and quazzar_rescue_nodes, then run this again"
        ]
    # A copy of the active pair lies there only when another one was active in between.
    tried = any(replica.previous and replica.previous == evidence.active for replica in evidence.replicas)
    unknown = _unseen(evidence) if tried else {}
    return [
        f"{name} {why}, and may have been registered by the staged CA while a replica ran with it: make it reachable,"
        " or give it a waiver"
        for name, why in unknown.items()
    ]


def _widened(evidence: Evidence, made: Plan, moved: dict[str, str]) -> Plan:
    """Old and new leaves accepted, old and new server certificates too: where no node is without a link."""
    asked = tuple(key for key in evidence.cas if key in evidence.accepted and key not in _useless(evidence))
    wanted = tuple(dict.fromkeys((*made.needed, *asked, *(k for k in (evidence.staged,) if k))))
    place = tuple(key for key in wanted if key in evidence.trusted_legacy)
    return replace(
        made,
        **{
            **_NOTHING,
            "preserve": made.preserve,
            "fetch": made.fetch,
            "place": place,
            "open_window": _lacking(evidence, wanted),
            "bundle_test": made.bundle_test,
            "push_pins": made.push_pins,
        },
        forget_previous=_copies(evidence),
        warnings=(*made.warnings, *_why_forward(evidence, moved)),
    )


def _useless(evidence: Evidence) -> frozenset[str]:
    return frozenset({evidence.active or ""}) | evidence.outdated | evidence.compromised


def _why_forward(evidence: Evidence, moved: dict[str, str]) -> list[str]:
    """Why the CA before is not made active again."""
    if moved:
        named = "; ".join(f"{name} {why}" for name, why in list(moved.items())[:5])
        more = f" and {len(moved) - 5} more" if len(moved) > 5 else ""
        return [
            f"the active CA is not replaced by the one before, some nodes would lose their link by that: {named}{more};"
            " the trust pool is widened instead"
        ]
    on_active = [n.name for n in evidence.nodes if n.reachable and evidence.active in n.leaf_by]
    if made_since(evidence) and on_active:
        return [
            f"the active CA stays: {len(on_active)} node(s) have been registered by it, and the pair of the CA before"
            " is not at hand; the trust pool is widened instead"
        ]
    return []


def made_since(evidence: Evidence) -> bool:
    """Whether some node shows that there was a CA before the active one."""
    return any(n.reachable and n.leaf_by - {evidence.active} for n in evidence.nodes)


def _moved(evidence: Evidence, former: str) -> dict[str, str]:
    """The nodes that would not, or might not, survive it when the CA before became active again, and why. What was seen
    of a node outweighs its waiver."""
    seen = {node.name: _why_moved(node, former) for node in evidence.nodes}
    return {**_unseen(evidence), **{name: why for name, why in seen.items() if why}}


def _why_moved(node: Node, former: str) -> str:
    """What was seen of a node, however long ago. A file that could not be read says nothing."""
    if not node.examined or not node.reachable:
        return ""
    if former not in node.leaf_by and (node.leaf_by or not node.leaf_error):
        return "has been registered by another CA"
    if former not in node.pins and (node.pins or not node.pin_error):
        return "does not pin the CA before"
    return ""


def _unseen(evidence: Evidence) -> dict[str, str]:
    """Who may have been registered by any CA, since nobody could look, and why. A waiver excuses that."""
    waived = {waiver.node for waiver in evidence.waivers}
    found = {node.name: _why_unseen(node, evidence) for node in evidence.nodes}
    found.update({stranger.name: "is not in the inventory" for stranger in evidence.strangers})
    found = {name: why for name, why in found.items() if why and name not in waived}
    # A list that may be cut hides who moved.
    for why in gate.registry_reasons(evidence)[:1]:
        found["the CP's registry"] = f"says too little ({why})"
    return found


def _why_unseen(node: Node, evidence: Evidence) -> str:
    unread = (node.leaf_error and not node.leaf_by) or (node.pin_error and not node.pins)
    if not node.examined or not node.reachable or unread:
        return "cannot be looked at"
    if gate.too_old(node, evidence):
        return "was looked at too long ago"
    doubles = gate.namesakes(node, evidence)
    return f"is not alone: {doubles}" if doubles else ""


def _pairs_before(evidence: Evidence) -> tuple[str, ...]:
    return tuple(replica.name for replica in evidence.replicas if replica.previous)


def _copies(evidence: Evidence) -> tuple[str, ...]:
    """Replicas that keep a copy of the active pair. Another pair is what a further step back needs."""
    return tuple(r.name for r in evidence.replicas if r.previous and r.previous == r.active == evidence.active)


def _to_stage(evidence: Evidence) -> tuple[str, ...]:
    """Replicas without the staged pair, behind those that hold it: one of these gives it to the others."""
    if all(replica.staged for replica in evidence.replicas):
        return ()
    return tuple(r.name for r in sorted(evidence.replicas, key=lambda replica: not replica.staged))


def _lacking(evidence: Evidence, wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(r.name for r in evidence.replicas if set(wanted) - r.pool_keys or _stale(r, evidence))


def _stale(replica: Replica, evidence: Evidence) -> bool:
    # While the staged pair is being activated, files and process differ on purpose; the restart is yet to come.
    return replica.stale and not evidence.activating


def _taught(evidence: Evidence) -> bool:
    """Whether pins are widened: not where they do not matter, nor where the agents take no bundle."""
    return takes_bundles(evidence) and not all(replica.world == "W3" for replica in evidence.replicas)


def _without_proof(evidence: Evidence) -> list[str]:
    down = [node for node in evidence.nodes if node.reachable and link_reason(node)]
    return [
        f"{node.name}: {link_reason(node)}; the new CA is not made active before its link is proven, or it has a waiver"
        for node in down
    ]


def _replace_stops(evidence: Evidence, made: Plan) -> list[str]:
    # In the middle of the activation the replicas differ by plan, and when one was put back another may still run with
    # the staged CA; the rest of what can be wrong with them counts.
    between = evidence.activating and {r.active for r in evidence.replicas} <= {evidence.staged, *evidence.replaced}
    serving = any(replica.serving_root == evidence.staged for replica in evidence.replicas if replica.staged)
    planned = made.world == "mixed" and (evidence.activating or serving)
    stops = [
        stop
        for stop in cp_stops(evidence, "" if planned else made.world, None)
        if not (between and stop.startswith("the replicas hold different active CAs"))
    ]
    stops += pool_stops(evidence) + _unknown_name(evidence)
    stops += _pair_stops(evidence)
    settings = evidence.settings
    if evidence.staged and not evidence.activating and settings.bundle_works is False and not settings.bridged:
        stops += [
            "the agents do not take a bundle, so they cannot trust the staged CA beside the active one: each node would"
            " lose its link when the server certificate changes; set quazzar_pin_bundle: never to accept that, or"
            " quazzar_cp_bridge_path where the CP can send a bridge; or take it back with rotation_rollback"
        ] * (settings.pin_bundle == "auto")
    return list(dict.fromkeys(stops))


def _staged_stops(evidence: Evidence) -> list[str]:
    """What is wrong with the staged pair."""
    stops = [
        f"replica {replica.name}: the staged pair is of no use: {replica.staged_error}; remove it or mend it"
        for replica in evidence.replicas
        if replica.staged_error
    ]
    if evidence.staged in evidence.compromised:
        stops.append(
            "the staged CA is compromised: remove its pair from quazzar_staged_ca_dir, for another one to be made"
        )
    staged = {replica.staged for replica in evidence.replicas if replica.staged}
    if len(staged) > 1:
        stops.append(
            "the replicas hold different staged CAs ("
            + ", ".join(f"{r.name}: {(r.staged or 'none')[:16]}" for r in evidence.replicas)
            + "): remove all but one"
        )
    return stops


def _pair_stops(evidence: Evidence) -> list[str]:
    stops = _staged_stops(evidence)
    if not evidence.activating:
        stops += [
            f"replica {replica.name}: the pair of an earlier CA ({evidence.cas[replica.previous].sha256}) lies in"
            " quazzar_previous_ca_dir, so an earlier rotation is not finished: go on with that one as"
            " quazzar_replaced_ca, or move the pair away"
            for replica in evidence.replicas
            if replica.previous and replica.previous != replica.active and replica.previous in evidence.cas
        ]
        stops += [
            f"replica {replica.name}: {reason}, so nodes in Go would not take it from any CA: mend that first"
            for replica in evidence.replicas
            for reason in replica.refused_by_go
        ]
        stops += [
            f"replica {replica.name}: the key of the active CA does not belong to its certificate, so it would not"
            " start again: put the right pair back first"
            for replica in evidence.replicas
            if replica.key_matches is False
        ]
    return stops


def _unknown_name(evidence: Evidence) -> list[str]:
    """The CA to replace has to be named, so that a second run of a finished rotation does not begin another one."""
    active = evidence.cas.get(evidence.active or "")
    shown = active.sha256 if active else "not known"
    if not evidence.settings.replaced:
        return [
            "no CA is named to be replaced: set quazzar_replaced_ca to the SHA-256 of its certificate (the active CA is"
            f" {shown})"
        ]
    known = {ca.sha256 for ca in evidence.cas.values()} | set(evidence.cas)
    known.update(key for replica in evidence.replicas for key in replica.beside)
    if evidence.settings.replaced & known or evidence.active is None:
        return []
    return [
        f"quazzar_replaced_ca names {min(evidence.settings.replaced)}, which is neither the active CA ({shown}) nor one"
        " that lies beside the CP from before: correct it"
    ]


def _rollback_stops(evidence: Evidence, made: Plan) -> list[str]:
    """Only what makes it impossible to see, or to restart, a replica. That replicas differ is what this may have to
    mend, when one of them was changed by a rotation that was cut off."""
    known = {evidence.staged, evidence.previous, *evidence.replaced}
    halfway = evidence.activating or any(r.active in known for r in evidence.replicas)
    stops = [
        stop
        for stop in cp_stops(evidence, "" if made.world == "mixed" else made.world, None)
        if not (halfway and stop.startswith("the replicas hold different active CAs"))
    ]
    return list(dict.fromkeys(stops + pool_stops(evidence)))
