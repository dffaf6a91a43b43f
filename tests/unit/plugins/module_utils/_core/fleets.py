# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence without certificates, and a fleet that behaves as the trust table of docs/architecture.md says.

``World`` is the simulated truth: what lies in files and what the processes hold. ``World.evidence`` is what the modules
would find, ``World.apply`` does to it what the roles do with one kind of target. A CA is just its key, a text.
"""

from __future__ import annotations

import hashlib
import types
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import plan, targets
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import (
    Ca,
    Claim,
    Evidence,
    Node,
    PoolEntry,
    Registry,
    Replica,
    Settings,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import Instance
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.waivers import Waiver

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
SWITCHED = NOW - timedelta(hours=6)
DAY = timedelta(days=1)


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


ACTIVE, OLD, OLDER, PLANTED, THEIRS, OVER, OUTSIDE = (
    digest(name) for name in ("active", "old", "older", "planted", "somebody else's", "expired", "outside")
)


def ca(key: str, *, until: datetime = NOW + 1000 * DAY) -> Ca:
    return Ca(key, key, f"CN=Quazzar Control Center CA,O={key[:6]}", NOW - 300 * DAY, until)


def instance(name: str, *, active: bool = True, last_seen: datetime | None = NOW, **more: t.Any) -> Instance:
    fields = {"id": f"inst_{name}", "status": "online" if active else "deleted", "tenant": "", **more}
    return Instance(name=name, active=active, last_seen=last_seen, **fields)


def node(name: str = "n1", **more: t.Any) -> Node:
    """A node that is current and proven, but for what is said otherwise. What it keeps is by the legacy CA."""
    fields: dict[str, t.Any] = {
        "examined": True, "reachable": True, "taken_at": NOW, "pins": (ACTIVE,), "leaf_by": frozenset({ACTIVE}),
        "leaf_not_before": SWITCHED + timedelta(hours=1), "leaf_not_after": NOW + 80 * DAY, "to_cp": "ok",
        "to_node": "accepted", "agent": "connected", "beat": True, "instances": (instance(name),), **more,
    }  # fmt: skip
    if fields.get("kept_identity"):
        fields = {"kept_by": frozenset({OLD}), "kept_not_after": NOW + 80 * DAY, **fields}
    return Node(name, **fields)


def legacy(name: str = "n1", key: str = OLD, **more: t.Any) -> Node:
    """A node on a legacy CA, its link up."""
    fields = {"pins": (key,), "leaf_by": frozenset({key}), "leaf_not_before": SWITCHED - 10 * DAY, **more}
    return node(name, **fields)


def unreachable(name: str = "n1", **more: t.Any) -> Node:
    return Node(
        name, **{"examined": True, "error": "no route", "taken_at": NOW, "instances": (instance(name),), **more}
    )


def entry(key: str, **more: t.Any) -> PoolEntry:
    fields = {"path": f"/legacy/{key[:16]}.crt", "keys": (key,), "retirable": True, **more}
    return PoolEntry(**fields)


def replica(name: str = "cp1", world: str = "W2", pool: t.Iterable[PoolEntry] = (), **more: t.Any) -> Replica:
    root = {"W1": OLD, "W2": ACTIVE, "W4": ACTIVE}.get(world)
    fields: dict[str, t.Any] = {
        "address": "cp:8443", "listening": True, "error": "", "serving_root": root, "active": ACTIVE, "pool_error": "",
        "advertised": None, "loaded": None, **more,
    }  # fmt: skip
    return Replica(name=name, world=world, pool=tuple(pool), **fields)


def registry(*instances: Instance, **more: t.Any) -> Registry:
    fields = {"taken_at": NOW, "clock": NOW, "source": "api", "complete": True, **more}
    return Registry(instances=instances, **fields)


def waiver(name: str) -> Waiver:
    return Waiver(name, "in storage", "ops", NOW + DAY)


def evidence(*nodes: Node, **more: t.Any) -> Evidence:
    """Everything in order: one replica in W2, a complete registry, no claim."""
    known = [i for n in nodes for i in n.instances]
    fields: dict[str, t.Any] = {
        "now": NOW, "active": ACTIVE, "cas": {key: ca(key) for key in (ACTIVE, OLD, OLDER)}, "replicas": (replica(),),
        "registry": registry(*known), "switched_at": SWITCHED, "settings": Settings(), **more,
    }  # fmt: skip
    return Evidence(nodes=nodes, **fields)


def taken(seen: Evidence) -> t.Any:
    """What intake hands on, where each CA's certificate is just its key."""
    catalogue = types.SimpleNamespace(certificates=lambda: ())
    return types.SimpleNamespace(
        evidence=seen, pem=lambda key: key, catalogue=catalogue, server_sample="", leaves_marked=True
    )


@dataclass
class SimNode:
    name: str
    pins: tuple[str, ...] = (OLD,)
    leaf: str = OLD
    expires: datetime = NOW + 80 * DAY
    reachable: bool = True
    examined: bool = True
    works: bool = True
    registered: bool = True
    takes: str = "bundle"
    kept: str = ""


@dataclass
class SimReplica:
    """``serves``: the world of this replica; ``process``: the CAs in its memory."""

    name: str
    serves: str = "W2"
    files: tuple[PoolEntry, ...] = ()
    process: frozenset[str] = frozenset()

    def restart(self) -> None:
        self.process = frozenset(key for item in self.files for key in item.keys)

    def roots(self) -> frozenset[str]:
        """The CAs one of which a pin must hold. Empty: any pin will do."""
        return {"W1": frozenset({OLD}), "W2": frozenset({ACTIVE}), "W4": frozenset({ACTIVE, OLD})}.get(
            self.serves, frozenset()
        )


@dataclass
class World:
    nodes: list[SimNode]
    replicas: list[SimReplica]
    strangers: list[SimNode] = field(default_factory=list)
    settings: Settings = field(default_factory=lambda: Settings(flip_possible=True))
    waived: tuple[str, ...] = ()
    bundle_works: bool | None = None

    def accepts_cp(self, pins: t.Sequence[str]) -> bool:
        return all(not one.roots() or one.roots() & set(pins) for one in self.replicas)

    def accepted(self, one: SimNode) -> bool:
        if one.expires < NOW:
            return False
        return all(one.leaf in {ACTIVE, *each.process} - {OVER} for each in self.replicas)

    def up(self, one: SimNode) -> bool:
        """The truth about a link: by what the running agent holds, whoever can or cannot look at it."""
        held = {"bundle": one.pins, "first": one.pins[:1], "refuse": one.pins if len(one.pins) == 1 else ()}
        return one.works and self.accepted(one) and self.accepts_cp(held[one.takes])

    def links(self) -> set[str]:
        return {one.name for one in [*self.nodes, *self.strangers] if self.up(one)}

    def evidence(self) -> Evidence:
        found = tuple(self._seen(one) for one in self.nodes)
        strangers = tuple(instance(one.name) for one in self.strangers)
        known = [i for n in found for i in n.instances] + list(strangers)
        pooled = {key for each in self.replicas for item in each.files for key in item.keys}
        over = {OVER: ca(OVER, until=NOW - DAY)}
        return evidence(
            *found,
            cas={**{key: ca(key) for key in (ACTIVE, OLD, OLDER, PLANTED, *pooled - {OVER})}, **over},
            claims=(
                Claim(OLD, OLD, "backup"),
                Claim(OLDER, OLDER, "a pin"),
                Claim(PLANTED, PLANTED, "n1's pin", ("it signed the leaf of one node only",)),
                Claim(OVER, OVER, "an old backup", ("it expired on 2026-05-03",), outdated=True),
            ),
            replicas=tuple(self._shown(each) for each in self.replicas),
            strangers=strangers,
            registry=registry(*known),
            waivers=tuple(waiver(name) for name in self.waived),
            settings=replace(self.settings, bundle_works=self.bundle_works),
        )

    def _seen(self, one: SimNode) -> Node:
        known = (instance(one.name),) if one.registered else ()
        if not one.examined:
            return Node(one.name, instances=known)
        if not one.reachable:
            return unreachable(one.name, instances=known)
        old = SWITCHED - DAY if one.leaf != ACTIVE else SWITCHED + timedelta(hours=1)
        return node(
            one.name, pins=one.pins, leaf_by=frozenset({one.leaf}) - {OUTSIDE}, leaf_not_before=old,
            leaf_not_after=one.expires, to_cp="ok" if self.accepts_cp(one.pins) else "refused",
            to_node="accepted" if self.accepted(one) else "refused", beat=self.up(one) if known else None,
            kept_identity=bool(one.kept), kept_by=frozenset({one.kept}),
            instances=known, agent="connected" if self.up(one) else "disconnected",
        )  # fmt: skip

    def _shown(self, each: SimReplica) -> Replica:
        return replica(each.name, each.serves, each.files, advertised=1 + len(each.process - {ACTIVE}))

    def planned(self, maker: t.Any = plan.make) -> tuple[Evidence, plan.Plan, dict[str, t.Any]]:
        seen = self.evidence()
        made = maker(seen)
        return seen, made, targets.of(made, taken(seen))

    def apply(self, act: str, made: plan.Plan, targets: dict[str, t.Any]) -> list[str]:
        """Do one kind of act as the roles do it. Returns the hosts to which it was done."""
        if made.stops:
            return []
        hosts = list(targets[act])
        if act in {"flip_now", "close_window"} and not made.gate.open:
            return []
        for name in hosts:
            getattr(self, f"_{act}")(name, targets)
        return hosts

    def _replica(self, name: str) -> SimReplica:
        return next(each for each in self.replicas if each.name == name)

    def _node(self, name: str) -> SimNode:
        return next(each for each in self.nodes if each.name == name)

    def _open_window(self, name: str, targets: dict[str, t.Any]) -> None:
        each = self._replica(name)
        each.files += tuple(entry(item["pem"]) for item in targets["place"][name])
        self._roll(each)

    def _close_window(self, name: str, targets: dict[str, t.Any]) -> None:
        each = self._replica(name)
        each.files = tuple(item for item in each.files if item.path not in targets["retire"][name])
        self._roll(each)

    def _roll(self, each: SimReplica) -> None:
        each.restart()
        if self.settings.roll_reissues and each.serves == "W1":
            each.serves = "W2"

    def _flip_first(self, name: str, targets: dict[str, t.Any]) -> None:
        self._flip_now(name, targets)

    def _flip_now(self, name: str, targets: dict[str, t.Any]) -> None:
        self._replica(name).serves = "W2"
        self._replica(name).restart()

    def _bundle_test(self, name: str, targets: dict[str, t.Any]) -> None:
        canary = self._node(name)
        before = canary.pins
        canary.pins = tuple(targets["test_bundle"])
        self.bundle_works = self.up(canary)
        if not self.bundle_works:
            canary.pins = before

    def _push_pins(self, name: str, targets: dict[str, t.Any]) -> None:
        self._node(name).pins = tuple(targets["bundle"])

    def _keep_identity(self, name: str, targets: dict[str, t.Any]) -> None:
        self._node(name).kept = self._node(name).leaf

    def _register(self, name: str, targets: dict[str, t.Any]) -> None:
        one = self._node(name)
        one.leaf, one.expires, one.registered = ACTIVE, NOW + 90 * DAY, True
        one.pins = tuple(targets["registration_pin"]) or (ACTIVE,)

    def _narrow_now(self, name: str, targets: dict[str, t.Any]) -> None:
        self._node(name).pins = (targets["active_ca"],)

    def _forget_identity(self, name: str, targets: dict[str, t.Any]) -> None:
        self._node(name).kept = ""


#: The order in which ca_rotate does things; the plan is made again before each of them.
ACTS = (
    "open_window", "bundle_test", "flip_first", "push_pins", "keep_identity", "register", "flip_now", "close_window",
    "narrow_now", "forget_identity",
)  # fmt: skip
