# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The plan: a pure function of the evidence and a clock that is handed in.

It says which world the CP is in, which phase the rotation has reached, what state every node is in, whether the gate is
open, and what is to be done next. Nothing is remembered: after any act, or after a kill, the same evidence gives the
same plan, and an act that was done is no longer proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from . import gate as gate_module
from .evidence import Evidence, Node, Replica
from .states import State, expired, is_foreign, leaf_is_active, pins_active, state

#: What is said of each world. Source: docs/architecture.md, "Worlds".
WORLDS = {
    "W1": "the CP serves from a legacy CA",
    "W2": "the CP serves from the active CA",
    "W3": "the CP serves from a CA outside of the rotation",
    "W4": "the CP serves a bridged chain, valid under the legacy and the active CA",
    "mixed": "the replicas disagree about the CA they serve from",
    "unknown": "no replica shows a certificate",
}


@dataclass(frozen=True)
class Preserve:
    """A legacy CA that is needed in the pool and not there yet, and the nodes that pin it (where to read it)."""

    key: str
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Damage:
    """What one kind of act costs: which nodes lose their link, in which direction, and until when.

    ``direction``: "to_cp", the node refuses the CP; "to_node", the CP refuses the node; "both".
    """

    act: str
    nodes: tuple[str, ...]
    direction: str
    until: str


@dataclass(frozen=True)
class Plan:
    world: str
    phase: str
    stops: tuple[str, ...]
    warnings: tuple[str, ...]
    states: dict[str, State]
    gate: gate_module.Gate
    needed: tuple[str, ...]
    preserve: tuple[Preserve, ...]
    open_window: tuple[str, ...]
    bundle_test: str | None
    push_pins: tuple[str, ...]
    keep_identity: tuple[str, ...]
    register: tuple[str, ...]
    flip: tuple[str, ...]
    flip_first: bool
    close_window: tuple[str, ...]
    retire: dict[str, tuple[str, ...]]
    narrow_pins: tuple[str, ...]
    waiting_without_link: tuple[str, ...]
    # CAs whose certificate is to be read from a node that pins it, whatever it is needed for.
    fetch: tuple[Preserve, ...] = ()
    # The CAs that belong into the pool of a replica whose window is opened, and those of a pin while the run lasts.
    place: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    # Of a planned rotation and the way back: replicas that get the next pair, start with it, get the one before again
    # (next_ca: the CA that they start with then), lose what lies beside the active pair.
    stage: tuple[str, ...] = ()
    activate: tuple[str, ...] = ()
    reactivate: tuple[str, ...] = ()
    next_ca: str | None = None
    unstage: tuple[str, ...] = ()
    forget_previous: tuple[str, ...] = ()
    activation: gate_module.Gate | None = None

    @property
    def ready(self) -> bool:
        """The staged CA may become the active one now: every replica trusts it, and nobody loses a link by it."""
        open_gate = self.activation is None or self.activation.open
        waits = self.stage or self.open_window or self.bundle_test
        return bool(self.activate) and not waits and open_gate

    @property
    def idle(self) -> bool:
        """Nothing is left to do for the CP and for the nodes that can be reached."""
        return not (
            self.stage
            or self.activate
            or self.reactivate
            or self.unstage
            or self.forget_previous
            or self.preserve
            or self.open_window
            or self.push_pins
            or self.register
            or self.flip
            or self.close_window
            or self.narrow_pins
        )


def make(evidence: Evidence) -> Plan:
    world = _world(evidence)
    needed = _needed(evidence)
    register = tuple(node.name for node in evidence.nodes if _needs_registration(node, evidence))
    push = lacking_pins(evidence)
    bundle_test = canary(evidence, world, push, register)
    decided = gate_module.decide(evidence)
    preserve = _preserve(evidence, needed)
    open_window = _open(evidence, needed)
    flip = tuple(
        replica.name
        for replica in evidence.replicas
        if world in {"W1", "mixed"} and replica.listening and replica.serving_root != evidence.active
    )
    close = tuple(replica.name for replica in evidence.replicas if _closes(replica, needed))
    narrow = tuple(node.name for node in evidence.nodes if _narrows(node, evidence, world))
    flip_first = bool(flip) and _flips_first(evidence, world, register)
    stops = (
        *_stops(evidence, world, register, preserve, bundle_test),
        *_forgetful(evidence, open_window, decided),
        *_beyond_its_slice(evidence, flip_first),
    )
    return Plan(
        world=world,
        phase=_phase(evidence, register, open_window, preserve, close, narrow, flip),
        stops=stops,
        warnings=tuple(_warnings(evidence, world, register, flip)),
        states={node.name: state(node, evidence) for node in evidence.nodes},
        gate=decided,
        needed=needed,
        preserve=preserve,
        open_window=open_window,
        bundle_test=bundle_test,
        push_pins=push,
        keep_identity=_keep(evidence, register, needed),
        register=register,
        flip=flip,
        flip_first=flip_first,
        close_window=close,
        retire={r.name: tuple(entry.path for entry in r.retirable) for r in evidence.replicas if r.name in close},
        narrow_pins=narrow,
        waiting_without_link=_without_link(evidence, world, push),
        fetch=tuple(need for need in preserve if need.key not in evidence.cas),
        place=tuple(key for key in needed if key in evidence.trusted_legacy),
        pin=bundle(evidence),
    )


def make_rescue(evidence: Evidence) -> Plan:
    """What brings back nodes that missed the window: a new registration, over the connection that Ansible has to them.

    It needs no legacy CA in the trust pool and changes nothing at the CP, so only what is wrong with the CP stops it.
    """
    made = make(evidence)
    chosen = evidence.settings.rescued or {node.name for node in evidence.nodes if not node.up}
    register = tuple(name for name in made.register if name in chosen)
    push = tuple(name for name in made.push_pins if name in chosen and name not in register)
    # World W1 when nobody has named the legacy CA: nodes take the CP by their pin, so the CA that it serves from is in
    # one, and belongs into those that a registration writes. Elsewhere no legacy CA is needed, nor asked to be proven.
    unnamed = made.world == "W3" and any(node.server_trust == "pin" and node.to_cp == "ok" for node in evidence.nodes)
    return replace(
        made,
        fetch=made.fetch if unnamed else (),
        stops=(*cp_stops(evidence, made.world, None), *_unprovable(evidence, made.world, register)),
        preserve=(), open_window=(), bundle_test=None, push_pins=push, keep_identity=(), register=register, flip=(),
        flip_first=False, close_window=(), narrow_pins=(), waiting_without_link=(),
    )  # fmt: skip


def make_revoke(evidence: Evidence) -> Plan:
    """What ends all trust in a compromised CA: at once and without asking the gate, because every minute of it is a
    minute for whoever holds its key. Nodes that live on it have no link until they are registered again."""
    made = make(evidence)
    bad = evidence.compromised
    retire = {
        replica.name: tuple(entry.path for entry in replica.pool if bad & frozenset(entry.keys))
        for replica in evidence.replicas
    }
    last_the_down = sorted(evidence.replicas, key=lambda replica: not replica.listening)
    close = tuple(replica.name for replica in last_the_down if retire[replica.name] or replica.forgets)
    by_name = {node.name: node for node in evidence.nodes}
    register = tuple(name for name in made.register if by_name[name].leaf_by & bad or not by_name[name].up)
    push = tuple(
        node.name
        for node in evidence.nodes
        if alive(node, evidence) and (bad & frozenset(node.pins) or not pins_active(node, evidence.active))
    )
    flip = tuple(r.name for r in evidence.replicas if r.listening and r.serving_root in bad)
    return replace(
        made,
        unstage=tuple(r.name for r in evidence.replicas if r.staged in bad),
        forget_previous=tuple(r.name for r in evidence.replicas if r.previous in bad),
        stops=tuple(_revoke_stops(evidence, made.world)),
        fetch=(), preserve=(), open_window=(), bundle_test=None, push_pins=push, register=register, flip=flip,
        flip_first=False,
        keep_identity=_keep(evidence, register, sorted(bad)),
        close_window=close, retire={name: retire[name] for name in close}, narrow_pins=(),
        waiting_without_link=tuple(name for name in register if by_name[name].up),
    )  # fmt: skip


def _revoke_stops(evidence: Evidence, world: str) -> list[str]:
    # A replica that is down lets nobody in, and must not keep the others from being closed to the thief.
    serving = tuple(replica for replica in evidence.replicas if replica.listening) or evidence.replicas
    stops = cp_stops(replace(evidence, replicas=serving), "" if world == "mixed" else world, None)
    if not evidence.compromised:
        stops.append("no CA is named to be revoked: set quazzar_compromised_cas to the SHA-256 of its certificate")
    if any(r.serving_root in evidence.compromised for r in evidence.replicas) and not evidence.settings.flip_possible:
        stops.append(
            "the CP serves from the compromised CA: renew its server certificate from the active CA first, or set"
            " quazzar_cp_flip_command"
        )
    return stops


def serving_roots(evidence: Evidence) -> tuple[str, ...]:
    """The CAs that a node's pin must hold to accept every replica's server certificate, in the replicas' order.

    Empty in W3 (the pin does not matter) and in W4 (either pin will do).
    """
    roots = [r.serving_root for r in evidence.replicas if r.serving_root and r.world in {"W1", "W2"}]
    roots = [root for root in roots if root not in evidence.compromised]
    if evidence.settings.roll_reissues and evidence.active and roots:
        roots.append(evidence.active)
    return tuple(dict.fromkeys(roots))


def bundle(evidence: Evidence, *, staged: str | None = None) -> tuple[str, ...]:
    """What a pin should hold while the rotation runs. First what the serving chain needs now (a reader that takes only
    the first certificate of a bundle then keeps its link), then the active CA, then the staged one where it is taught,
    then the legacy CAs still in need."""
    wanted = list(serving_roots(evidence))
    if evidence.active:
        wanted.append(evidence.active)
    if staged:
        wanted.append(staged)
    # Only what is proven: that a pool names a CA makes it good for clients, not for a Control Panel.
    wanted += [key for key in _needed(evidence) if key in evidence.accepted]
    return tuple(dict.fromkeys(key for key in wanted if key in evidence.cas))


def _world(evidence: Evidence) -> str:
    worlds = {replica.world for replica in evidence.replicas if replica.listening}
    if not worlds:
        return "unknown"
    return worlds.pop() if len(worlds) == 1 else "mixed"


def alive(node: Node, evidence: Evidence) -> bool:
    return node.examined and node.reachable and not is_foreign(node, evidence)


def _needed(evidence: Evidence) -> tuple[str, ...]:
    """The legacy CAs that some living leaf still needs in the trust pool. One that has expired helps no leaf."""
    keys = [
        key
        for node in evidence.nodes
        if node.reachable and not leaf_is_active(node, evidence.active) and not expired(node, evidence.now)
        for key in sorted(node.leaf_by)
    ]
    useless = evidence.refused | evidence.outdated | evidence.compromised
    return tuple(dict.fromkeys(key for key in keys if key not in useless))


def _preserve(evidence: Evidence, needed: tuple[str, ...]) -> tuple[Preserve, ...]:
    missing = [key for key in needed if key not in evidence.pool_keys]
    return tuple(
        Preserve(key, tuple(n.name for n in evidence.nodes if n.reachable and key in n.pins)[:3]) for key in missing
    )


def _open(evidence: Evidence, needed: tuple[str, ...]) -> tuple[str, ...]:
    if not needed:
        return ()
    return tuple(r.name for r in evidence.replicas if set(needed) - r.pool_keys or r.stale)


def _closes(replica: Replica, needed: tuple[str, ...]) -> bool:
    """A replica with an entry to retire, or one that still runs with an entry that its files name no more."""
    return bool(replica.retirable) or (replica.stale and not needed)


def _needs_registration(node: Node, evidence: Evidence) -> bool:
    if not alive(node, evidence):
        return False
    return not leaf_is_active(node, evidence.active) or expired(node, evidence.now)


def takes_bundles(evidence: Evidence) -> bool:
    return evidence.settings.pin_bundle != "never" and evidence.settings.bundle_works is not False


def registration_pin(evidence: Evidence, world: str) -> tuple[str, ...]:
    """What a pin must hold right after a registration. Empty: what the registration itself writes will do. So
    it is in W2 to W4, and nothing else is left where the agents take no bundle."""
    return bundle(evidence) if world in {"W1", "mixed"} and takes_bundles(evidence) else ()


def _flips_first(evidence: Evidence, world: str, register: tuple[str, ...]) -> bool:
    """Without a bundle no link outlives both the registration and the flip, but after the flip each registration can be
    proven at once."""
    if world not in {"W1", "mixed"} or takes_bundles(evidence):
        return False
    known = [node for node in evidence.nodes if alive(node, evidence)]
    return bool(register) or not all(node.up and pins_active(node, evidence.active) for node in known)


def damage(made: Plan, evidence: Evidence) -> tuple[Damage, ...]:
    """What the acts of this plan cost the nodes that are up, in the order of the acts. Of a node that cannot be looked
    at only what an act takes that goes ahead without it, by a waiver."""
    up = {node.name: node for node in evidence.nodes if node.up}
    found: list[Damage] = []

    def costs(act: str, names: Iterable[str], direction: str, until: str) -> None:
        nodes = tuple(names)
        if nodes:
            found.append(Damage(act, nodes, direction, until))

    alone = len(evidence.replicas) == 1
    # Whom a waiver lets behind is not waited for.
    waived = {item.node for item in evidence.waivers}
    unseen = [n.name for n in evidence.nodes if n.name in waived and not n.reachable]
    unseen += [each.name for each in evidence.strangers if each.name in waived]
    if alone and made.open_window:
        costs("open_window", up, "both", "the only replica serves again")
    if made.bundle_test in up:
        costs("bundle_test", [made.bundle_test or ""], "to_cp", "the pin is put back, where the agent takes no bundle")
    revoking = evidence.settings.revoking
    if revoking:
        _revocation_costs(made, evidence, costs)
    elif made.activate or made.reactivate:
        act = "activate" if made.activate else "reactivate"
        if alone:
            costs(act, up, "both", "the only replica serves again")
        # Of a CA that is not made yet nothing is pinned either, but it will be taught before.
        behind = [
            name
            for name, node in up.items()
            if made.next_ca and made.next_ca not in node.pins and (name in waived or not takes_bundles(evidence))
        ]
        if made.world in {"W2", "mixed"} and not evidence.settings.bridged:
            costs(act, behind, "to_cp", "re-registered")
            costs(act, unseen, "to_cp", "rescued: a waiver lets it go ahead")
    if made.flip_first and evidence.settings.flip_possible:
        blind = [name for name, node in up.items() if not pins_active(node, evidence.active)]
        costs("flip_first", blind, "to_cp", "re-registered")
    elif alone and made.flip:
        costs("flip", up, "both", "the only replica serves again")
    if made.flip and evidence.settings.flip_possible:
        # The gate waits for the pins of all others before the certificates are renewed.
        let_go = [name for name, node in up.items() if name in waived and not pins_active(node, evidence.active)]
        behind = unseen if made.flip_first else [*unseen, *let_go]
        costs("flip_first" if made.flip_first else "flip", behind, "to_cp", "rescued: a waiver lets it go ahead")
    if made.close_window and not revoking:
        if alone:
            costs("close_window", up, "both", "the only replica serves again")
        waived &= set(made.gate.waived)
        behind = [n.name for n in evidence.nodes if n.name in waived and not leaf_is_active(n, evidence.active)]
        strangers = [each.name for each in evidence.strangers if each.name in waived]
        costs("close_window", [*behind, *strangers], "to_node", "rescued: a waiver lets the strip go ahead")
    return tuple(found)


def _revocation_costs(made: Plan, evidence: Evidence, costs: Callable[[str, Iterable[str], str, str], None]) -> None:
    """A revocation waits for nobody: who lives on the compromised CA is without a link until its turn comes."""
    up = {node.name: node for node in evidence.nodes if node.up}
    alone = len(evidence.replicas) == 1
    if made.activate:
        costs("activate", up, "to_node", "re-registered")
        return
    if made.close_window:
        restarted = [replica for replica in evidence.replicas if replica.name in made.close_window]
        # Others may live on a CA that only the memory of a replica holds.
        kept = [replica.pool_keys | {evidence.active} for replica in restarted]
        cut = [n for n, node in up.items() if n in made.waiting_without_link or any(not node.leaf_by & k for k in kept)]
        costs("close_window", cut, "to_node", "re-registered")
        if alone:
            others = [name for name in up if name not in cut]
            costs("close_window", others, "both", "the only replica serves again")
    # The pin is written before the server certificate is renewed: for that long the thief is kept out, and the CP too.
    blind = [name for name in made.push_pins if name in up and name not in made.waiting_without_link]
    if any(replica.listening and replica.serving_root in evidence.compromised for replica in evidence.replicas):
        costs("push_pins", blind, "to_cp", "the server certificate is renewed")


def stripped(evidence: Evidence, made: Plan) -> bool:
    """No entry is left that the rotation would retire, in no file and in no process: what only served the grace window
    can go. Somebody else's entries stay for ever and are no reason to wait."""
    return not (made.close_window or made.needed or made.stops)


def lacking_pins(evidence: Evidence, *, staged: str | None = None) -> tuple[str, ...]:
    """Nodes whose pin lacks a CA that it needs now, or the staged one. A bundle is written only where the agents are
    known to take one."""
    roots = serving_roots(evidence) + ((staged,) if staged else ())
    bundles = takes_bundles(evidence)
    chosen: list[str] = []
    for node in evidence.nodes:
        if not alive(node, evidence) or node.leaf_error or expired(node, evidence.now):
            continue
        lacks = [key for key in roots if key not in node.pins]
        if leaf_is_active(node, evidence.active) and not pins_active(node, evidence.active):
            lacks.append(evidence.active or "")
        if lacks and (bundles or len(bundle(evidence, staged=staged)) == 1):
            chosen.append(node.name)
    return tuple(chosen)


def canary(evidence: Evidence, world: str, push: tuple[str, ...], register: tuple[str, ...]) -> str | None:
    """The canary on which it is tried whether the agents take a bundle, where a bundle is what the plan relies on.

    Its heartbeat decides, so it must be a node that the CP accepts (once the window is open), and the better its link
    is now, the less its silence can have another cause.
    """
    settings = evidence.settings
    if settings.pin_bundle != "auto" or settings.bundle_works is not None:
        return None
    if world == "W1" or (world == "mixed" and (settings.roll_reissues or settings.flip_possible)):
        candidates = push + register
    elif world == "W2":
        candidates = push
    else:
        candidates = ()
    accepted = evidence.trusted_legacy | {evidence.active}
    by_name = {node.name: node for node in evidence.nodes}
    able = [by_name[n] for n in candidates if by_name[n].leaf_by & accepted and not expired(by_name[n], evidence.now)]
    able.sort(key=lambda node: (not node.up, node.to_node != "accepted"))
    return able[0].name if able else None


def _keep(evidence: Evidence, register: tuple[str, ...], cas: Iterable[str]) -> tuple[str, ...]:
    """The nodes whose legacy identity is kept for the negative proof, as far as there are not enough kept already of
    each of these CAs: a probe proves nothing about another one. Where no other node will do a copy is replaced that
    proves nothing, neither for these nor for another CA that is to be retired."""
    by_name = {node.name: node for node in evidence.nodes}
    cas = tuple(cas)
    retirable = {key for replica in evidence.replicas for entry in replica.retirable for key in entry.keys}
    useful = {name for key in retirable.union(cas) for name in evidence.kept.get(key, ())}
    able = [by_name[name] for name in register if name not in useful and not expired(by_name[name], evidence.now)]
    able.sort(key=lambda node: node.kept_identity)
    chosen: list[str] = []
    for key in cas:
        missing = evidence.settings.legacy_probes - len(evidence.kept.get(key, ()))
        fit = [node.name for node in able if key in node.leaf_by and node.name not in chosen]
        chosen += fit[: max(missing, 0)]
    return tuple(chosen)


def _narrows(node: Node, evidence: Evidence, world: str) -> bool:
    """A proven node that pins more than the active CA, when no replica serves from another CA any more."""
    only_active = all(r.listening and r.serving_root == evidence.active for r in evidence.replicas)
    if not (only_active or world in {"W3", "W4"}):
        return False
    # The CP serves from a CA that nobody here knows any more, and the node takes it: what it takes it by is in its pin.
    if world == "W3" and node.server_trust == "pin" and node.to_cp == "ok":
        return False
    return (
        alive(node, evidence)
        and leaf_is_active(node, evidence.active)
        and pins_active(node, evidence.active)
        and bool(frozenset(node.pins) - {evidence.active})
    )


def _without_link(evidence: Evidence, world: str, push: tuple[str, ...]) -> tuple[str, ...]:
    """Nodes that have no link until they are registered again, because no pin is pushed to them."""
    if world not in {"W2", "mixed"}:
        return ()
    roots = set(serving_roots(evidence))
    return tuple(n.name for n in evidence.nodes if alive(n, evidence) and roots - set(n.pins) and n.name not in push)


def _phase(
    evidence: Evidence,
    register: tuple[str, ...],
    open_window: tuple[str, ...],
    preserve: tuple[Preserve, ...],
    close: tuple[str, ...],
    narrow: tuple[str, ...],
    flip: tuple[str, ...],
) -> str:
    if preserve or (open_window and register):
        return "drifted"
    if register:
        return "window open" if _needed(evidence) else "drifted"
    if close:
        return "moved"
    if flip or narrow:
        return "stripped"
    return "finished" if all(state(n, evidence).name == "current" for n in evidence.nodes) else "waiting for nodes"


def _stops(
    evidence: Evidence,
    world: str,
    register: tuple[str, ...],
    preserve: tuple[Preserve, ...],
    bundle_test: str | None,
) -> list[str]:
    stops = cp_stops(evidence, world, bundle_test)
    if evidence.staged:
        where = ", ".join(replica.name for replica in evidence.replicas if replica.staged)
        stops.append(
            f"a planned rotation is under way, the CA {evidence.cas[evidence.staged].sha256[:16]} is staged on {where}:"
            " go on with ca_replace, or take it back with rotation_rollback"
        )
    stops += pool_stops(evidence)
    late = gate_module.late_leaves(evidence)
    if late:
        when = evidence.switched_at.isoformat() if evidence.switched_at else ""
        stops.append(
            f"a legacy CA signed the leaves of {', '.join(late)} after the switch ({when}): somebody still issues from"
            " it; find out who, or correct quazzar_switched_at"
        )
    stops += _claim_stops(evidence)
    stops += [
        f"the certificate of the CA {need.key[:16]}, which leaves still need, is not at hand (nodes that pin it:"
        f" {', '.join(need.holders) or 'none'}): name a file that holds it in quazzar_legacy_ca_files"
        for need in preserve
        if need.key not in evidence.trusted_legacy
    ]
    settings = evidence.settings
    if world == "W1" and register and settings.pin_bundle == "auto" and settings.bundle_works is False:
        stops.append(
            "the agents do not take a bundle, and the CP serves from the legacy CA: every node would lose its link at"
            " its registration until the server certificate flips; set quazzar_pin_bundle: never to accept that"
        )
    if not settings.flip_possible:
        stops += _unprovable(evidence, world, register)
    return list(dict.fromkeys(stops))


def pool_stops(evidence: Evidence) -> list[str]:
    """What is wrong with a trust pool, so that a restart might fail."""
    stops: list[str] = []
    for replica in evidence.replicas:
        if replica.pool_error:
            stops.append(f"the trust pool of replica {replica.name} cannot be read: {replica.pool_error}")
        stops += [
            f"replica {replica.name}: its trust pool names {entry.path}, which cannot be used: {entry.error}; "
            "mend or remove that entry first, a restart might not come up with it"
            for entry in replica.pool
            if entry.error
        ]
    return stops


def cp_stops(evidence: Evidence, world: str, bundle_test: str | None) -> list[str]:
    """What is wrong with the CP itself: nothing could be proven, whatever is done."""
    stops: list[str] = []
    settings = evidence.settings
    if not evidence.replicas:
        stops.append("no replica of the CP was examined: set quazzar_cp_hosts or quazzar_cp_endpoints")
    for replica in evidence.replicas:
        if not replica.listening:
            where = f" ({replica.address})" if replica.address else ""
            stops.append(f"replica {replica.name}{where} does not serve: {replica.error}")
        if replica.active is None:
            stops.append(f"the active CA of replica {replica.name} cannot be read: {replica.error}")
    actives = {replica.active for replica in evidence.replicas if replica.active}
    if len(actives) > 1:
        stops.append(
            "the replicas hold different active CAs ("
            + ", ".join(f"{r.name}: {(r.active or 'none')[:16]}" for r in evidence.replicas)
            + "): give them one certs volume first"
        )
    stops += _trusted_though_compromised(evidence)
    # A flip that was interrupted leaves them so. It goes on, unless a bundle must be tried first: what a canary shows
    # while the replicas differ is chance.
    explained = settings.roll_reissues or (settings.flip_possible and bundle_test is None)
    if world == "mixed" and not (explained and _worlds_bridgeable(evidence)):
        stops.append(
            "the replicas serve from different CAs ("
            + ", ".join(f"{r.name}: {r.world}" for r in evidence.replicas)
            + "): make them agree, or set quazzar_cp_roll_reissues when a roll renews the server certificate"
        )
    examined = [node for node in evidence.nodes if node.reachable and not node.leaf_error]
    if world == "W3" and examined and all(node.to_cp == "refused" for node in examined):
        stops.append(
            "the CP serves from a CA outside of the rotation, and every node was asked to verify it by its pin: set"
            " quazzar_node_server_trust to what the agents verify it by (system, or the path of a file on the nodes)"
        )
    return stops


def _trusted_though_compromised(evidence: Evidence) -> list[str]:
    """Nothing but a revocation goes on while the CP trusts a CA whose key is in wrong hands."""
    if evidence.settings.revoking:
        return []
    remedy = "run ca_revoke, which ends that"
    return [
        f"the CA {evidence.cas[key].sha256[:16]} is compromised, and {where}: {remedy}"
        for key in sorted(evidence.compromised & frozenset(evidence.cas))
        for where in (
            *(f"replica {r.name} signs with it" for r in evidence.replicas if r.active == key),
            *(f"the trust pool of replica {r.name} names it" for r in evidence.replicas if key in r.pool_keys),
        )
    ]


def _unprovable(evidence: Evidence, world: str, register: tuple[str, ...]) -> list[str]:
    if world != "W1" or not register or takes_bundles(evidence):
        return []
    return [
        "no bundle is pinned, and the CP serves from the legacy CA: no registration could be proven; renew the server"
        " certificate from the active CA first, or set quazzar_cp_flip_command"
    ]


def _forgetful(evidence: Evidence, open_window: tuple[str, ...], decided: gate_module.Gate) -> list[str]:
    """A restart drops what only the memory of a replica holds. That harms nobody whose leaf was looked at, because the
    window is opened for it; it may be all that a node has at which nobody can look."""
    helped = {n.name for n in evidence.nodes if n.reachable and n.leaf_by & {evidence.active, *_needed(evidence)}}
    others = [entry.node for entry in decided.blocked if entry.node not in helped]
    return [
        f"replica {replica.name} has to be restarted, and its listener advertises {replica.forgets} CA(s) more than its"
        f" files name: {', '.join(others)} may need them and cannot be looked at; name the file again in"
        " CC_TRUST_ADDITIONAL_CA_CERTS, or make the nodes reachable or give them a waiver"
        for replica in evidence.replicas
        if others and replica.forgets and replica.name in open_window
    ]


def _beyond_its_slice(evidence: Evidence, flip_first: bool) -> list[str]:
    """Nodes that a slice does not look at would lose their link too, and nobody would be told."""
    settings = evidence.settings
    if not (settings.sliced and settings.flip_possible and flip_first):
        return []
    return [
        "no bundle is pinned, and the CP serves from a legacy CA: this run renews the server certificate for all nodes,"
        " also for those that are not in its slice: run it once without slices"
    ]


def _worlds_bridgeable(evidence: Evidence) -> bool:
    return {replica.world for replica in evidence.replicas if replica.listening} <= {"W1", "W2"}


def _claim_stops(evidence: Evidence) -> list[str]:
    """Refused claims stop the run when a leaf still relies on that CA and no other claim was accepted."""
    if evidence.trusted_legacy:
        return []
    return [
        f"{claim.source}: CA {claim.sha256[:16]} is not accepted as the legacy CA: {'; '.join(claim.refusals)}"
        for claim in evidence.claims
        if claim.key in evidence.unproven & _relied_on(evidence)
    ]


def _relied_on(evidence: Evidence) -> frozenset[str]:
    """Every CA, believed or not, by which a node that has not moved holds its leaf."""
    waiting = [n for n in evidence.nodes if n.reachable and not leaf_is_active(n, evidence.active)]
    return frozenset(key for node in waiting for key in node.leaf_by)


def _warnings(evidence: Evidence, world: str, register: tuple[str, ...], flip: tuple[str, ...]) -> list[str]:
    warnings: list[str] = list(evidence.notes)
    if evidence.switched_at is None:
        warnings.append("it is not known when the CA was switched: set quazzar_switched_at")
    for claim in evidence.claims:
        if not claim.key:
            warnings.append(f"{claim.source}: no certificate could be read: {'; '.join(claim.refusals)}")
        elif claim.key in evidence.refused & _relied_on(evidence) and (
            evidence.trusted_legacy or claim.key in evidence.outdated
        ):
            warnings.append(f"{claim.source}: CA {claim.sha256[:16]} stays untrusted: {'; '.join(claim.refusals)}")
        elif claim.unfit and not any(stop.startswith(f"{claim.source}: ") for stop in _claim_stops(evidence)):
            # Whoever named the file must hear of it, even where the CA came from elsewhere or no leaf needs it.
            warnings.append(f"{claim.source}: CA {claim.sha256[:16]} is not taken from it: {'; '.join(claim.refusals)}")
    for key in sorted(evidence.outdated & evidence.pool_keys):
        warnings.append(
            f"the trust pool names the CA {evidence.cas[key].sha256[:16]}, which has expired and helps no node"
        )
    for replica in evidence.replicas:
        if replica.auto_ca_gen:
            warnings.append(
                f"replica {replica.name} runs with CC_ALLOW_AUTO_CA_GEN: a lost volume makes a new CA silently"
            )
        if replica.loaded is None and replica.pool_keys:
            warnings.append(f"replica {replica.name}: its log does not show how many CAs it has loaded")
        warnings += [
            f"replica {replica.name}: {entry.path} holds a legacy CA and stays in the trust pool, because the"
            f" rotation did not"
            " put it there: name its SHA-256 in quazzar_legacy_ca_fingerprints if it is to go"
            for entry in replica.pool
            if not entry.retirable and frozenset(entry.keys) & evidence.accepted
        ]
    if _flips_first(evidence, world, register):
        warnings.append(
            "the CP serves from a legacy CA and no bundle is pinned: the server certificate is renewed first, and every"
            " node loses its link then, until its registration"
        )
    if flip and not evidence.settings.flip_possible:
        warnings.append(
            "the CP serves from a legacy CA and quazzar_cp_flip_command is not set: the pins keep that CA until the"
            " server certificate is renewed from the active CA"
        )
    if evidence.registry is not None and evidence.registry.complete:
        unknown = [n.name for n in evidence.nodes if n.name in register and not any(i.active for i in n.instances)]
        warnings += [
            f"{name}: the CP's registry does not know it, and its registration makes it a node of the fleet again:"
            " take it out of the inventory if it was deleted on purpose"
            for name in unknown
        ]
    by_pin = [node for node in evidence.nodes if node.server_trust == "pin" and node.to_cp == "ok"]
    if world == "W3" and by_pin and evidence.active:
        warnings.append(
            "the CP serves from a CA that nothing here proves, and nodes take it by their pin: renew the server"
            " certificate from the active CA; until then no pin is narrowed"
        )
    for node in evidence.nodes:
        if node.clock_skew is not None and abs(node.clock_skew) > evidence.settings.clock_skew.total_seconds():
            warnings.append(f"{node.name}: its clock is off by {node.clock_skew:.0f} s")
    return warnings
