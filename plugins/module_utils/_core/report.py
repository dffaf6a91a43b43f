# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The report: the plan and its evidence for people (lines) and for programs (a JSON document with a schema)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import handshake
from .evidence import Evidence, Node
from .gate import Gate
from .plan import WORLDS, Damage, Plan, damage
from .registry import format_time, parse_time
from .states import STATES

#: Of the JSON document; the schema is docs/report.schema.json.
SCHEMA_VERSION = "1.0"

#: What a run may be for. "drift" only looks.
GOALS = ("drift", "open", "reregister", "close", "rotate", "rescue", "revoke", "replace", "rollback")


#: Characters of JSON. AWX keeps an artefact in its database, and hands it to every job that comes after.
ARTEFACT = 250_000
_CUTS = (3000, 1000, 300, 100, 30, 10, 3, 0)


def artefact(document: Mapping[str, Any], limit: int = ARTEFACT) -> dict[str, Any]:
    """A report of at most ``limit`` characters of JSON, with C(left_out): how many entries of each list are not in it,
    by its place. The longest lists are cut first, and of the nodes those go first that need nothing."""
    nodes = sorted(document.get("nodes", ()), key=lambda node: bool(node["state"] == "current"))
    ordered = {**document, **({"nodes": nodes} if nodes else {})}
    made: dict[str, Any] = {**document, "left_out": {}}
    for cut in _CUTS:
        if len(json.dumps(made)) <= limit:
            break
        left_out: Counter[str] = Counter()
        made = {**_cut(ordered, cut, "", left_out), "left_out": left_out}
        made["left_out"] = dict(left_out)
    return made


def _cut(value: Any, most: int, place: str, left_out: Counter[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _cut(item, most, f"{place}.{key}".lstrip("."), left_out) for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) > most:
        left_out[place] += len(value) - most
    return [_cut(item, most, place, left_out) for item in value[:most]]


def unfinished(plan: Plan, evidence: Evidence, goal: str) -> list[str]:
    """What the goal still lacks; empty means that it is reached and proven."""
    waived = set(plan.gate.waived)
    rest: list[str] = list(plan.stops)
    # The strip cannot harm a node with an expired leaf, so the gate lets it pass; but as long as it can be reached it
    # is
    # still to be registered again.
    settled = (set(plan.gate.passed) - set(plan.register)) | waived
    not_current = [
        f"{name}: {found.name}, {found.reason}"
        for name, found in plan.states.items()
        if found.name != "current" and name not in settled
    ]
    if goal == "rollback":
        return list(dict.fromkeys(rest + _not_back(plan, evidence)))
    if goal == "replace":
        if plan.stage or plan.activate:
            return list(dict.fromkeys(rest + _not_replaced(plan, evidence)))
        rest += [f"replica {name}: the pair of the CA before is still there" for name in plan.forget_previous]
        goal = "rotate"
    if goal in {"drift", "rotate", "close"}:
        rest += not_current
    if evidence.settings.share and goal in {"reregister", "rescue"}:
        # The runs beside this one answer for theirs, and the gate asks for all of them.
        not_current = [line for line, name in zip(not_current, _names(not_current)) if name in evidence.settings.share]
    if goal == "reregister":
        rest += [line for line, name in zip(not_current, _names(not_current)) if plan.states[name].name != "bridged"]
    if goal == "rescue":
        chosen = evidence.settings.rescued or {node.name for node in evidence.nodes if not node.up}
        rest += [
            line
            for line, name in zip(not_current, _names(not_current))
            if name in chosen and plan.states[name].name != "bridged"
        ]
    if goal == "revoke":
        rest += [f"replica {name}: the compromised CA is still the active one" for name in plan.activate]
        rest += not_current
        rest += [
            f"replica {name}: the compromised CA is still in the trust pool ({', '.join(paths) or 'in memory only'})"
            for name, paths in plan.retire.items()
        ]
        rest += [f"replica {name}: its server certificate is still by the compromised CA" for name in plan.flip]
        rest += [f"replica {r.name} does not serve: {r.error}" for r in evidence.replicas if not r.listening]
        beside = dict.fromkeys((*plan.unstage, *plan.forget_previous))
        rest += [f"replica {name}: the pair of the compromised CA still lies beside the active one" for name in beside]
    if goal in {"open", "reregister"}:
        rest += [f"replica {name}: the grace window is not open" for name in plan.open_window]
    if goal in {"drift", "rotate", "close"}:
        rest += [
            f"replica {replica.name}: the {_kind(entry.keys, evidence)} CA is still in the trust pool ({entry.path})"
            for replica in evidence.replicas
            for entry in replica.retirable
        ]
        rest += [f"replica {name}: its server certificate is still by a legacy CA" for name in plan.flip]
        rest += [f"{name}: pins a CA that is retired" for name in plan.narrow_pins if name not in _names(not_current)]
        rest += [f"{b.node}: {b.reason}" for b in plan.gate.blocked if b.node not in plan.states]
    if goal in {"rotate", "close"}:
        rest += list(plan.gate.reasons)
    return list(dict.fromkeys(rest))


def _kind(keys: Sequence[str], evidence: Evidence) -> str:
    return "staged" if evidence.staged and evidence.staged in keys else "legacy"


def _not_replaced(plan: Plan, evidence: Evidence) -> list[str]:
    """What a planned rotation lacks before the new CA is the active one everywhere."""
    active = evidence.cas.get(evidence.active or "")
    what = f"the CA {active.sha256[:16]}" if active else "the active CA"
    if plan.activation is None:
        names = ", ".join(plan.activate)
        return [f"the new CA {what[len('the CA ') :]} is not known to be what {names} run with: restart them"]
    rest = [f"{what} is still the active one ({plan.phase})", *plan.activation.reasons]
    return rest + [f"{item.node}: {item.reason}" for item in plan.activation.blocked]


def _not_back(plan: Plan, evidence: Evidence) -> list[str]:
    """What a rollback lacks: everything that it has still to do, and every node that answers and has no link."""
    rest = [f"replica {name}: the CA before is not active again" for name in plan.reactivate]
    if len({replica.active for replica in evidence.replicas if replica.active}) > 1:
        rest.append("the replicas hold different active CAs")
    rest += [f"replica {name}: the trust pool does not hold what nodes need" for name in plan.open_window]
    rest += [f"replica {name}: the staged CA is still in the trust pool" for name in plan.close_window]
    rest += [f"replica {name}: the staged pair is still there" for name in plan.unstage]
    rest += [f"replica {name}: a copy of the active pair is still there" for name in plan.forget_previous]
    waived = {waiver.node for waiver in evidence.waivers}
    return rest + [
        f"{node.name}: {plan.states[node.name].name}, {plan.states[node.name].reason}"
        for node in evidence.nodes
        if not node.up and node.name not in waived
    ]


def _names(lines: Sequence[str]) -> list[str]:
    return [line.split(": ", 1)[0] for line in lines]


#: The playbook that does only one part of the main job, by the goal of a run.
_PARTS = {
    "open": "grace_open",
    "reregister": "nodes_reregister",
    "rescue": "nodes_reregister",
    "close": "grace_close",
}
#: The part to which an act belongs that costs links.
_PART_OF = {
    "open_window": "grace_open",
    "bundle_test": "nodes_reregister",
    "flip_first": "nodes_reregister",
    "push_pins": "nodes_reregister",
    "flip": "grace_close",
    "close_window": "grace_close",
}


def plan_lines(plan: Plan, evidence: Evidence, goal: str = "rotate") -> list[str]:
    """The plan as an operator reads it before anything is touched.

    Of a run that does a part of the main job its own steps have numbers; the others stand below with the playbook that
    does them. ``drift`` shows the whole job.
    """
    part = _PARTS.get(goal)
    lines = [
        f"World {plan.world}: {WORLDS[plan.world]}. Phase: {plan.phase}.",
        f"Active CA: {_ca(evidence, evidence.active)}",
        f"Fleet: {fleet_line(plan)}",
    ]
    lines += [f"Stop: {stop}" for stop in plan.stops]
    lines += [f"Warning: {warning}" for warning in warnings(plan, goal)]
    lines += [f"Damage: {_damage(item)}" for item in costs(plan, evidence, goal)]
    steps = _steps(plan, evidence)
    own = [step for doer, step in steps if not doer or part in {None, doer}]
    if own:
        lines += [f"{number}. {step}" for number, step in enumerate(own, 1)]
    elif not plan.stops:
        lines.append("Nothing to do.")
    return lines + [f"Left to {doer}: {step}" for doer, step in steps if doer and part not in {None, doer}]


def warnings(plan: Plan, goal: str) -> list[str]:
    """What the plan warns of, and what a part of the main job leaves as it is."""
    without = [*plan.push_pins, *plan.waiting_without_link] if goal == "open" else []
    if not without:
        return list(plan.warnings)
    return [
        *plan.warnings,
        f"the grace window alone brings no link back to {_count(without)}: they refuse the CP until nodes_reregister"
        " has written their pins",
    ]


def costs(plan: Plan, evidence: Evidence, goal: str) -> list[Damage]:
    """The damage of what a run with this goal does."""
    part = _PARTS.get(goal)
    return [item for item in damage(plan, evidence) if part in {None, _PART_OF.get(item.act, part)}]


#: What an act is called in a line about its damage.
_ACTS = {
    "open_window": "opening the grace window",
    "bundle_test": "the try of a bundle",
    "flip_first": "renewing the server certificate",
    "flip": "renewing the server certificate",
    "close_window": "taking the CA out of the trust pool",
    "push_pins": "writing the pin",
    "activate": "making the new CA active",
    "reactivate": "making the CA before active again",
}
_DIRECTIONS = {"to_cp": "the node refuses the CP", "to_node": "the CP refuses the node", "both": "a restart"}


def _damage(item: Damage) -> str:
    return f"{_ACTS[item.act]}: {_list(item.nodes)} without a link ({_DIRECTIONS[item.direction]}) until {item.until}"


def _steps(plan: Plan, evidence: Evidence) -> list[tuple[str, str]]:
    """(the playbook that does this part of the main job, the step); no playbook for those of other jobs."""
    if evidence.settings.revoking:
        return [("", step) for step in _revoke_steps(plan, evidence)]
    if plan.stage or plan.activate:
        return [("", step) for step in _replace_steps(plan, evidence)]
    if plan.reactivate or plan.unstage:
        return [("", step) for step in _back_steps(plan, evidence)]
    return [
        *(("grace_open", step) for step in _open_steps(plan, evidence)),
        *(("nodes_reregister", step) for step in _move_steps(plan, evidence)),
        *(("grace_close", step) for step in _close_steps(plan, evidence)),
    ]


def _flip_step(plan: Plan) -> str:
    return f"renew the server certificate from the active CA: {', '.join(plan.flip)}"


def _open_steps(plan: Plan, evidence: Evidence) -> list[str]:
    steps: list[str] = []
    for need in plan.preserve:
        steps.append(f"place the legacy CA {_ca(evidence, need.key)} on the CP")
    if plan.open_window:
        steps.append(f"open the grace window, one replica at a time: {', '.join(plan.open_window)}")
    return steps


def _move_steps(plan: Plan, evidence: Evidence) -> list[str]:
    steps: list[str] = []
    if plan.bundle_test:
        steps.append(
            f"try on {plan.bundle_test} whether the agents take a bundle of CAs as their pin, else put it back"
        )
    if plan.flip and plan.flip_first and evidence.settings.flip_possible:
        steps.append(f"{_flip_step(plan)}; every node that was not re-registered loses its link then")
    if plan.push_pins:
        steps.append(f"push the pin to {_count(plan.push_pins)}: their link comes back before they are re-registered")
    if plan.waiting_without_link:
        steps.append(f"leave without a link until their turn: {_list(plan.waiting_without_link)}")
    if plan.register:
        keep = f"; {_list(plan.keep_identity)} keep a copy for the negative proof" if plan.keep_identity else ""
        steps.append(f"re-register {_count(plan.register)}{keep}")
    return steps


def _close_steps(plan: Plan, evidence: Evidence) -> list[str]:
    steps: list[str] = []
    if plan.flip and not plan.flip_first and evidence.settings.flip_possible:
        steps.append(_flip_step(plan))
    if plan.close_window:
        steps.append(f"when the gate opens, close the grace window: {', '.join(plan.close_window)}")
    elif plan.open_window:
        steps.append("when the gate opens, close the grace window again")
    if plan.narrow_pins:
        steps.append(f"narrow the pins of {_count(plan.narrow_pins)}")
    if plan.forget_previous:
        steps.append(f"take away the pair of the CA before: {', '.join(plan.forget_previous)}")
    return steps


def _replace_steps(plan: Plan, evidence: Evidence) -> list[str]:
    """A planned rotation, from where it is to its end."""
    steps: list[str] = []
    new = f"the new CA {_ca(evidence, evidence.staged)}" if evidence.staged else "the new CA"
    if plan.stage:
        steps.append(f"have the pair of the new CA beside the active one: {', '.join(plan.stage)}")
    if plan.stage or plan.open_window:
        steps.append(
            f"trust {new} and the one before in the pool, one replica at a time:"
            f" {', '.join(plan.open_window or plan.stage)}"
        )
    if plan.activation is not None:
        if plan.bundle_test:
            steps.append(f"try on {plan.bundle_test} whether the agents take a bundle of CAs as their pin")
        if plan.stage or plan.push_pins:
            named = _count(plan.push_pins) if plan.push_pins and not plan.stage else "every node"
            steps.append(f"teach {named} to trust both CAs, each proven by its heartbeat")
        steps.append("go on only when every node has its link and would take a server certificate by the new CA")
    steps.append(f"make {new} the active one, one replica at a time: {', '.join(plan.activate)}")
    steps.append(f"re-register {_count(list(plan.states))}, prove, close the window behind the gate, narrow the pins")
    return steps


def _back_steps(plan: Plan, evidence: Evidence) -> list[str]:
    steps: list[str] = []
    if plan.reactivate:
        if plan.open_window:
            steps.append(f"trust both CAs in the pool, one replica at a time: {', '.join(plan.open_window)}")
        steps.append(
            f"make {_ca(evidence, plan.next_ca)} the active CA again, one replica at a time:"
            f" {', '.join(plan.reactivate)}"
        )
        steps.append("then take the new CA out of every pin and every trust pool, and its pair away")
        return steps
    if plan.push_pins:
        steps.append(f"take the staged CA out of the pin of {_count(plan.push_pins)}")
    if plan.close_window:
        steps.append(f"take it out of the trust pool, one replica at a time: {', '.join(plan.close_window)}")
    steps.append(f"take its pair away: {', '.join(plan.unstage)}")
    return steps


def _revoke_steps(plan: Plan, evidence: Evidence) -> list[str]:
    steps: list[str] = []
    if plan.stage:
        steps.append(f"have the pair of another CA beside the compromised one: {', '.join(plan.stage)}")
    if plan.activate:
        new = f"the CA {_ca(evidence, evidence.staged)}" if evidence.staged else "it"
        steps.append(
            f"make {new} the active one, with nothing that still trusts the compromised one: {', '.join(plan.activate)}"
        )
        steps.append(f"write it as the only pin of {_count(list(plan.states))}, re-register each at full speed")
    if plan.close_window:
        steps.append(
            f"take the compromised CA out of the trust pool, without asking the gate: {', '.join(plan.close_window)}"
        )
    if plan.push_pins:
        steps.append(f"write the active CA as the pin of {_count(plan.push_pins)}")
    if plan.flip:
        steps.append(f"renew the server certificate from the active CA: {', '.join(plan.flip)}")
    if plan.register:
        keep = f"; {_list(plan.keep_identity)} keep a copy for the negative proof" if plan.keep_identity else ""
        steps.append(f"re-register {_count(plan.register)} at full speed{keep}")
    beside = list(dict.fromkeys((*plan.unstage, *plan.forget_previous)))
    if beside:
        steps.append(f"take away the pair of the compromised CA: {', '.join(beside)}")
    return steps


def fleet_line(plan: Plan) -> str:
    counts = Counter(found.name for found in plan.states.values())
    shown = ", ".join(f"{counts[name]} {name}" for name in STATES if counts[name])
    return f"{len(plan.states)} nodes: {shown}" if plan.states else "no nodes"


def gate_lines(gate: Gate, closed: str = "The gate is closed: the legacy CA stays in the trust pool.") -> list[str]:
    """What a blocked gate prints: each name with its state, reason, last sign of life, leaf expiry and remedy."""
    if gate.open:
        waived = f" ({_list(gate.waived)} by waiver)" if gate.waived else ""
        return [f"The gate is open: {_count(gate.passed)} proven{waived}."]
    lines = [closed] + [f"- {reason}" for reason in gate.reasons]
    for item in gate.blocked:
        lines.append(
            f"- {item.node}: {item.state}; {item.reason}; last seen {_when(item.last_seen)};"
            f" leaf expires {_known(item.leaf_not_after)}; free at {_known(item.until)}"
            + (f"; {item.remedy}" if item.remedy else "")
        )
    return lines


def activation_lines(plan: Plan) -> list[str]:
    """Whether the staged CA may become active, as an operator reads it. Empty when that is no question any more."""
    if plan.activation is None:
        return []
    return gate_lines(plan.activation, "Not ready: the active CA stays, because some node could lose its link.")


def drift_lines(plan: Plan, evidence: Evidence) -> list[str]:
    """Every node that is not current, with its reason and remedy."""
    nodes = {node.name: node for node in evidence.nodes}
    return [
        f"{name}: {found.name}; {found.reason}; last seen {_when(nodes[name].last_seen)}"
        + (f"; {found.remedy}" if found.remedy else "")
        for name, found in sorted(plan.states.items(), key=lambda row: (STATES.index(row[1].name), row[0]))
        if found.name != "current"
    ]


#: What is said of a negative proof, by whether the same replica accepted the same identity before.
_CONTROL = {True: ", and was accepted before", False: "; that it was accepted before was not shown"}


def summary_lines(plan: Plan, evidence: Evidence, document: Mapping[str, Any]) -> list[str]:
    """The end of a run, as an operator reads it."""
    on_legacy = sum(1 for node in evidence.nodes if node.reachable and evidence.active not in node.leaf_by)
    window = document["grace_window"]
    lines = [
        f"Fleet: {fleet_line(plan)}.",
        f"Nodes whose certificate is by a legacy CA: {on_legacy}.",
        f"Grace window: {'open' if window['open'] else 'closed'}"
        + (
            f" since {window['since']}, last legacy leaf expires {window['last_legacy_leaf_expires']}"
            if window["since"]
            else ""
        ),
    ]
    if evidence.staged:
        lines.append(f"Staged CA: {_ca(evidence, evidence.staged)}. Phase: {plan.phase}.")
    lines += [
        f"Negative proof: the legacy identity of {proof['node']} is {proof['after']} by {proof['replica']}"
        f" ({proof['detail']}){_CONTROL[bool(proof.get('accepted_before'))]}"
        for proof in document["negative_proof"]
    ]
    lines += _revocation_lines(document["revocation"])
    lines += [f"Duplicate instances of {item['name']}: {', '.join(item['ids'])}" for item in document["duplicates"]]
    lines += [f"Waiver: {w['node']} until {w['expires']}, {w['reason']} ({w['owner']})" for w in document["waivers"]]
    lines.append(
        "Finished." if document["finished"] else f"Not finished: {len(document['unfinished'])} points are open."
    )
    return lines


def document(plan: Plan, evidence: Evidence, *, goal: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON document. ``extra``: what the run itself knows (run id, start, ticket, owner, negative proof, halt)."""
    ours = {evidence.staged, evidence.active}
    former = [e for r in evidence.replicas for e in r.retirable if not (e.keys and set(e.keys) <= ours)]
    opened = [entry.since for entry in former if entry.since]
    since = min(opened) if opened else None
    legacy_leaves = [
        node.leaf_not_after for node in evidence.nodes if node.leaf_not_after and evidence.active not in node.leaf_by
    ]
    rest = unfinished(plan, evidence, goal)
    revocation = _revocation(evidence, extra) if goal == "revoke" else None
    if revocation:
        rest += revocation["open"]
    if extra.get("halt"):
        rest = list(dict.fromkeys([str(extra["halt"]), *rest]))
    return {
        "schema_version": SCHEMA_VERSION,
        "goal": goal,
        "taken_at": format_time(evidence.now),
        "finished": not rest,
        "unfinished": rest,
        "run": {key: str(extra.get(key) or "") for key in ("id", "started", "ticket", "owner")},
        "world": plan.world,
        "phase": plan.phase,
        "stops": list(plan.stops),
        "warnings": warnings(plan, goal),
        "cas": [
            {
                "key": key,
                "sha256": ca.sha256,
                "subject": ca.subject,
                "role": _role(key, evidence),
                "not_before": format_time(ca.not_before),
                "not_after": format_time(ca.not_after),
            }
            for key, ca in sorted(evidence.cas.items())
        ],
        "grace_window": {
            "open": bool(former) or bool(set(plan.needed) & evidence.pool_keys),
            "since": _time(since),
            "age_seconds": int((evidence.now - since).total_seconds()) if since else None,
            "last_legacy_leaf_expires": _time(max(legacy_leaves)) if legacy_leaves else None,
        },
        "replicas": [
            {
                "name": replica.name,
                "address": replica.address,
                "world": replica.world,
                "listening": replica.listening,
                "pool": [entry.path for entry in replica.pool],
                "advertised_cas": replica.advertised,
                "loaded_cas": replica.loaded,
            }
            for replica in evidence.replicas
        ],
        "counts": dict(Counter(found.name for found in plan.states.values())),
        "nodes": [_node(node, plan) for node in evidence.nodes],
        "not_in_inventory": [
            {"id": i.id, "name": i.name, "status": i.status, "last_seen": _time(i.last_seen)}
            for i in evidence.strangers
        ],
        "duplicates": [
            {"name": node.name, "ids": ids}
            for node in evidence.nodes
            for ids in [[i.id for i in node.instances if i.active]]
            if len(ids) > 1
        ],
        "gate": {
            "open": plan.gate.open,
            "reasons": list(plan.gate.reasons),
            "blocked": [
                {
                    "node": item.node,
                    "state": item.state,
                    "reason": item.reason,
                    "last_seen": _time(item.last_seen),
                    "leaf_not_after": _time(item.leaf_not_after),
                    "free_at": _time(item.until),
                    "remedy": item.remedy,
                }
                for item in plan.gate.blocked
            ],
            "waived": list(plan.gate.waived),
        },
        "waivers": [
            {"node": w.node, "reason": w.reason, "owner": w.owner, "expires": _time(w.expires)}
            for w in evidence.waivers
        ],
        "negative_proof": list(extra.get("negative_proof") or []),
        "revocation": revocation,
        "replacement": _replacement(plan, evidence, goal),
    }


def _replacement(plan: Plan, evidence: Evidence, goal: str) -> dict[str, Any] | None:
    """Where a planned rotation is; None where there is none."""
    if evidence.staged is None and goal != "replace":
        return None
    ready = plan.activation
    staged = evidence.cas.get(evidence.staged or "")
    return {
        "replaced": sorted(evidence.settings.replaced),
        "staged": staged.sha256 if staged else None,
        "phase": plan.phase,
        "ready": None if ready is None else ready.open,
        "reasons": [] if ready is None else list(ready.reasons),
        "blocked": [] if ready is None else [{"node": item.node, "reason": item.reason} for item in ready.blocked],
    }


def _revocation(evidence: Evidence, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a revocation owes: how long the compromised CA was trusted on, and what cannot be known."""
    told: Mapping[str, Any] = extra.get("revocation") or {}
    began = parse_time(str(extra.get("started") or ""), "started")
    proofs = extra.get("negative_proof") or ()
    shown = _refusing(proofs)
    refused: dict[str, datetime] = {}
    for proof in proofs:
        at = parse_time(str(proof.get("at") or ""), "at")
        if proof["after"] == "refused" and at is not None and proof["replica"] in shown:
            refused[proof["replica"]] = min(at, refused.get(proof["replica"], at))
    missing = _unproven(evidence, refused)
    holders = [node for node in evidence.nodes if frozenset(node.pins) & evidence.compromised]
    unseen = [node.name for node in evidence.nodes if not node.reachable or (node.pin_error and not node.pins)]
    looked = [node.taken_at for node in evidence.nodes if node.taken_at is not None]
    unpinned = max(looked) if looked and not holders and not unseen else None
    since = evidence.settings.compromised_at
    left = [str(problem) for problem in told.get("problems") or ()]
    kept = any(evidence.kept.get(key) for key in evidence.compromised)
    if (told.get("worked") or kept) and evidence.settings.legacy_probes and missing:
        left.append(f"not proven: no identity of the compromised CA was shown to be refused by {', '.join(missing)}")
    if told.get("tokens") == "open":
        left.append(
            "revoke every open registration token in the Control Panel, because whoever had the CA's key may hold one;"
            " then run this again with quazzar_tokens_revoked: true"
        )
    late = {str(leaf["node"]): dict(leaf) for leaf in told.get("leaves") or ()}
    for node in evidence.nodes:
        if since and node.leaf_not_before and node.leaf_not_before > since and node.leaf_by & evidence.compromised:
            late.setdefault(node.name, {"node": node.name, "not_before": _time(node.leaf_not_before)})
    measured = (max(refused.values()) - began).total_seconds() if refused and not missing and began else None
    return {
        "compromised": sorted(evidence.settings.compromised | evidence.revoked),
        "compromised_at": _time(since),
        "untrusted": {name: format_time(at) for name, at in sorted(refused.items())},
        "seconds_to_untrust": None if measured is None else int(measured),
        "seconds_to_unpinned": None if unpinned is None or began is None else int((unpinned - began).total_seconds()),
        "pinned_by": [node.name for node in holders],
        "pins_unknown": unseen,
        "tokens": str(told.get("tokens") or "open"),
        "token_ids": [str(each) for each in told.get("token_ids") or ()],
        "suspicious_leaves": list(late.values()),
        "open": left,
    }


def proof_failed(evidence: Evidence, extra: Mapping[str, Any]) -> bool:
    """Whether this run has tried to show that every replica refuses the compromised CA, and could not."""
    proofs = extra.get("negative_proof") or ()
    refused = _refusing(proofs)
    tried = bool(proofs or (extra.get("revocation") or {}).get("problems"))
    return tried and bool(_unproven(evidence, refused))


def _refusing(proofs: Iterable[Mapping[str, Any]]) -> set[str]:
    """The replicas that have refused. Behind a balancer stand several, so there nobody may have been accepted."""
    refused = {str(proof["replica"]) for proof in proofs if proof["after"] == "refused"}
    other = {str(proof["replica"]) for proof in proofs if proof["after"] != "refused"}
    return refused - {name for name in other if name.endswith(f"/{handshake.BALANCER}")}


def _unproven(evidence: Evidence, refused: Collection[str]) -> list[str]:
    """The replicas of which no refusal is among these; nodes without a way to the pods are refused by the balancer."""
    return [
        replica.name
        for replica in evidence.replicas
        if not {replica.name, f"{replica.host}/{handshake.BALANCER}"} & {*refused}
    ]


def _revocation_lines(revocation: Mapping[str, Any] | None) -> list[str]:
    if revocation is None:
        return []
    seconds = revocation["seconds_to_untrust"]
    late = revocation["suspicious_leaves"]
    took = "not measured in this run" if seconds is None else f"{seconds} s from the start of the run"
    ids = ", ".join(revocation["token_ids"])
    return [
        f"Time to untrust, until the last replica refused it: {took}.",
        f"Its pins: {_pins(revocation)}.",
        f"Registration tokens: {revocation['tokens']}"
        + (f" by request, {ids}; any other is as good as before." if ids else "."),
        f"Leaves by the compromised CA from after {revocation['compromised_at'] or 'an unknown time'}: "
        + (", ".join(f"{item['node']} ({item['not_before']})" for item in late) or "none seen")
        + ". Certificates that a thief has made for himself cannot be listed.",
    ]


def _pins(revocation: Mapping[str, Any]) -> str:
    """Where a forged Control Panel would still be believed."""
    if revocation["pinned_by"]:
        return f"still held by {_list(revocation['pinned_by'])}"
    if revocation["pins_unknown"]:
        return f"not known of {_list(revocation['pins_unknown'])}"
    seconds = revocation["seconds_to_unpinned"]
    return "not looked at" if seconds is None else f"no node holds one, seen {seconds} s from the start of the run"


def _node(node: Node, plan: Plan) -> dict[str, Any]:
    found = plan.states[node.name]
    return {
        "name": node.name,
        "state": found.name,
        "reason": found.reason,
        "remedy": found.remedy,
        "pins": list(node.pins),
        "leaf_by": sorted(node.leaf_by),
        "leaf_not_after": _time(node.leaf_not_after),
        "to_cp": node.to_cp,
        "to_node": node.to_node,
        "heartbeat": {True: "arrives", False: "missing", None: "unknown"}[node.beat],
        "last_seen": _time(node.last_seen),
        "clock_skew": node.clock_skew,
    }


def _role(key: str, evidence: Evidence) -> str:
    if key == evidence.active:
        return "active"
    if key == evidence.staged:
        return "staged"
    if key in evidence.outdated:
        return "expired"
    if key in evidence.refused:
        return "refused"
    if key in evidence.pool_keys:
        return "legacy"
    return "candidate" if key in evidence.trusted_legacy else "unknown"


def _ca(evidence: Evidence, key: str | None) -> str:
    ca = evidence.cas.get(key or "")
    return f"{ca.subject} (SHA-256 {ca.sha256[:16]}…, until {_when(ca.not_after)})" if ca else "unknown"


def _count(names: Sequence[str]) -> str:
    return "1 node" if len(names) == 1 else f"{len(names)} nodes"


def _list(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else format_time(moment)


def _known(moment: datetime | None) -> str:
    """A date that exists, whether we know it or not: a leaf does expire."""
    return "not known" if moment is None else format_time(moment)
