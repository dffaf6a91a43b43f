# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import plan, replacement, report, targets
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Claim, Evidence, Settings
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core import fleets
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import (
    DAY,
    NOW,
    SWITCHED,
    ca,
    digest,
    entry,
    evidence,
    instance,
    node,
    registry,
    replica,
    unreachable,
    waiver,
)

BEFORE, NEXT = digest("the CA to be replaced"), digest("the next CA")
NAMED = Settings(replaced=frozenset({BEFORE}), flip_possible=True)


@dataclass
class SimNode:
    name: str
    pins: tuple[str, ...] = (BEFORE,)
    leaf: str = BEFORE
    reachable: bool = True
    takes: str = "bundle"
    kept: str = ""


@dataclass
class SimReplica:
    """``files``: the pool in its environment file. ``signer`` and ``pool``: what its process has read at its start."""

    name: str
    files: tuple[str, ...] = ()
    signer: str = BEFORE
    pool: frozenset[str] = frozenset()
    serves: str = BEFORE


@dataclass
class World:
    """A Control Panel that shares one directory of certificates among its replicas, and a fleet whose links follow from
    files and processes. ``renews``: a restart renews the server certificate from the active CA (W2), else a flip does
    it (W1). ``bridged``: it sends a bridge along."""

    nodes: list[SimNode]
    replicas: list[SimReplica]
    renews: bool = True
    bridged: bool = False
    waived: tuple[str, ...] = ()
    settings: Settings = NAMED
    active: str = BEFORE
    staged: bool = False
    previous: str | None = None
    bundle_works: bool | None = None
    files: tuple[str, ...] = field(default=(), repr=False)

    def up(self, one: SimNode) -> bool:
        held = one.pins if one.takes == "bundle" else one.pins[:1]
        return all(
            one.leaf in {each.signer, *each.pool}
            and (each.serves in held or (self.bridged and each.serves == NEXT and BEFORE in held))
            for each in self.replicas
        )

    def links(self) -> set[str]:
        return {one.name for one in self.nodes if self.up(one)}

    def evidence(self) -> Evidence:
        found = tuple(self._seen(one) for one in self.nodes)
        known = {BEFORE: ca(BEFORE), NEXT: ca(NEXT)} if self._next_is_known() else {BEFORE: ca(BEFORE)}
        return evidence(
            *found,
            active=self.active,
            cas=known,
            claims=(Claim(BEFORE, BEFORE, "named"),),
            replicas=tuple(self._shown(each) for each in self.replicas),
            registry=registry(*(i for n in found for i in n.instances)),
            waivers=tuple(waiver(name) for name in self.waived),
            settings=replace(self.settings, bundle_works=self.bundle_works, bridged=self.bridged),
            switched_at=SWITCHED if self.active == NEXT else SWITCHED - 200 * DAY,
        )

    def _next_is_known(self) -> bool:
        return self.staged or NEXT in (self.active, self.previous) or any(NEXT in e.files for e in self.replicas)

    def _seen(self, one: SimNode) -> t.Any:
        if not one.reachable:
            return unreachable(one.name, instances=(instance(one.name),))
        up = self.up(one)
        return node(
            one.name, pins=one.pins, leaf_by=frozenset({one.leaf}), leaf_not_before=SWITCHED - DAY,
            to_cp="ok" if up else "refused", to_node="accepted" if up else "refused", beat=up,
            kept_identity=bool(one.kept), kept_by=frozenset({one.kept}),
            sample="ok" if self.staged and NEXT in one.pins else "refused" if self.staged else "unknown",
            instances=(instance(one.name),),
        )  # fmt: skip

    def _shown(self, each: SimReplica) -> t.Any:
        bridge = self.bridged and each.serves == NEXT
        world = "W4" if bridge else "W2" if each.serves == self.active else "W1"
        return replica(
            each.name, world, tuple(entry(key) for key in each.files), active=self.active, serving_root=each.serves,
            staged=NEXT if self.staged else None, previous=self.previous,
        )  # fmt: skip

    def planned(self, goal: str) -> tuple[plan.Plan, dict[str, t.Any]]:
        seen = self.evidence()
        made = {"replace": replacement.make_replace, "rollback": replacement.make_rollback}[goal](seen)
        return made, targets.of(made, fleets.taken(seen))

    def do(self, goal: str, act: str, most: int) -> tuple[list[str], frozenset[str]]:
        """One kind of act on the first ``most`` of its hosts, as the roles do it. -> hosts, nodes that it may cost."""
        made, found = self.planned(goal)
        hosts = [] if made.stops else list(found[act])[:most]
        if (act == "activate" and not made.ready) or (act in {"flip_now", "close_window"} and self._closed(goal, made)):
            return [], frozenset()
        seen = self.evidence()
        names = {act, "flip"} if act == "flip_now" else {act}
        costs = {name for item in plan.damage(made, seen) if item.act in names for name in item.nodes}
        for host in hosts:
            getattr(self, f"_{act}")(host, found)
        if act == "activate" and hosts == found[act]:
            self.staged = False
        return hosts, frozenset(costs)

    def _closed(self, goal: str, made: plan.Plan) -> bool:
        return goal == "replace" and not made.gate.open

    def _restart(self, each: SimReplica) -> None:
        each.signer, each.pool = self.active, frozenset(each.files)
        if self.renews:
            each.serves = self.active

    def _cp(self, name: str) -> SimReplica:
        return next(each for each in self.replicas if each.name == name)

    def _node(self, name: str) -> SimNode:
        return next(one for one in self.nodes if one.name == name)

    def _stage(self, name: str, found: dict[str, t.Any]) -> None:
        self.staged = True

    def _open_window(self, name: str, found: dict[str, t.Any]) -> None:
        each = self._cp(name)
        each.files = tuple(dict.fromkeys((*each.files, *(item["pem"] for item in found["place"][name]))))
        self._restart(each)

    def _bundle_test(self, name: str, found: dict[str, t.Any]) -> None:
        canary = self._node(name)
        before = canary.pins
        canary.pins = tuple(found["test_bundle"])
        self.bundle_works = self.up(canary)
        if not self.bundle_works:
            canary.pins = before

    def _push_pins(self, name: str, found: dict[str, t.Any]) -> None:
        self._node(name).pins = tuple(found["bundle"])

    def _activate(self, name: str, found: dict[str, t.Any]) -> None:
        if self.active != NEXT:
            self.previous, self.active = self.active, NEXT
        self._restart(self._cp(name))

    def _reactivate(self, name: str, found: dict[str, t.Any]) -> None:
        if self.active != self.previous:
            self.active, self.staged = t.cast(str, self.previous), True
        self._restart(self._cp(name))

    def _keep_identity(self, name: str, found: dict[str, t.Any]) -> None:
        self._node(name).kept = self._node(name).leaf

    def _register(self, name: str, found: dict[str, t.Any]) -> None:
        one = self._node(name)
        one.leaf, one.pins = self.active, tuple(found["registration_pin"]) or (self.active,)

    def _flip_first(self, name: str, found: dict[str, t.Any]) -> None:
        self._flip_now(name, found)

    def _flip_now(self, name: str, found: dict[str, t.Any]) -> None:
        self._restart(self._cp(name))
        self._cp(name).serves = self.active

    def _close_window(self, name: str, found: dict[str, t.Any]) -> None:
        each = self._cp(name)
        each.files = tuple(key for key in each.files if entry(key).path not in found["retire"][name])
        self._restart(each)

    def _narrow_now(self, name: str, found: dict[str, t.Any]) -> None:
        self._node(name).pins = (found["active_ca"],)

    def _forget_identity(self, name: str, found: dict[str, t.Any]) -> None:
        self._node(name).kept = ""

    def _forget_previous(self, name: str, found: dict[str, t.Any]) -> None:
        self.previous = None

    def _unstage(self, name: str, found: dict[str, t.Any]) -> None:
        self.staged = False


#: In the order of the playbooks, the plan made again before each.
FORWARD = (
    "stage", "open_window", "bundle_test", "push_pins", "activate", "flip_first", "keep_identity", "register",
    "flip_now", "close_window", "narrow_now", "forget_identity", "forget_previous",
)  # fmt: skip
BACK = ("open_window", "reactivate", "bundle_test", "push_pins", "close_window", "unstage", "forget_previous")
MANY = 99


def run(world: World, goal: str, rounds: int = 4) -> None:
    for _round in range(rounds):
        for act in FORWARD if goal == "replace" else BACK:
            before = world.links()
            hosts, costs = world.do(goal, act, MANY)
            assert before - world.links() <= costs, (goal, act, hosts, world)


worlds = st.builds(
    World,
    nodes=st.lists(st.tuples(st.booleans(), st.sampled_from(["bundle"] * 4 + ["first"])), min_size=1, max_size=4).map(
        lambda rows: [SimNode(f"n{n}", reachable=at or n == 0, takes=takes) for n, (at, takes) in enumerate(rows)]
    ),
    replicas=st.integers(1, 3).map(lambda count: [SimReplica(f"cp{n}") for n in range(count)]),
    renews=st.booleans(),
    bridged=st.booleans(),
    waived=st.sampled_from([(), ("n1",)]),
)


#: Runs as they may be: some acts left out or done to some hosts only, as after a failure or a kill.
runs = st.lists(
    st.tuples(
        st.sampled_from(["replace"] * 4 + ["rollback"]),
        st.lists(st.sampled_from([0, 0, 1, MANY, MANY, MANY, MANY]), min_size=len(FORWARD), max_size=len(FORWARD)),
    ),
    min_size=1,
    max_size=4,
)


@given(worlds, runs)
def test_no_act_of_a_planned_rotation_or_of_its_way_back_takes_a_link_that_was_not_predicted(world, runs):
    """However it is cut off, and whichever way it is gone on."""
    # Agents of one fleet are of one kind: what the canary shows holds for all.
    kind = world.nodes[0].takes
    for one in world.nodes:
        one.takes = kind
    for goal, done in runs:
        for act, most in zip(FORWARD if goal == "replace" else BACK, done, strict=False):
            before = world.links()
            hosts, costs = world.do(goal, act, most)
            assert before - world.links() <= costs, (goal, act, hosts, world)
            # The staged pair stays until every replica runs with it.
            assert world.staged or world.active == BEFORE or all(each.signer == NEXT for each in world.replicas)


@given(worlds)
def test_it_comes_to_its_end_and_is_not_begun_again(world):
    for one in world.nodes:
        one.reachable, one.takes = True, "bundle"
    run(world, "replace")
    made, found = world.planned("replace")
    assert world.active == NEXT and not world.staged and world.previous is None
    assert {(one.leaf, one.pins) for one in world.nodes} == {(NEXT, (NEXT,))}
    assert [each.files for each in world.replicas] == [()] * len(world.replicas)
    assert made.idle and not targets.lock("replace", found), made


@given(worlds, st.integers(0, 60))
def test_the_way_back_comes_to_an_end_from_wherever_it_begins(world, cut):
    for one in world.nodes:
        one.reachable, one.takes = True, "bundle"
    for number in range(cut):
        act = FORWARD[number % len(FORWARD)]
        world.do("replace", act, 1 + number % 2)
    moved = any(one.leaf == NEXT for one in world.nodes)
    run(world, "rollback")
    made, found = world.planned("rollback")
    assert world.links() == {one.name for one in world.nodes}
    assert not targets.lock("rollback", found), made
    if not moved and (world.previous or world.active == BEFORE):
        assert world.active == BEFORE and not world.staged
        assert {one.pins for one in world.nodes} == {(BEFORE,)}


@given(worlds)
def test_planning_again_after_nothing_gives_the_same(world):
    for goal in ("replace", "rollback"):
        assert world.planned(goal) == world.planned(goal)


def staged(*nodes: t.Any, **more: t.Any) -> Evidence:
    """Everything trusts both CAs, and nothing is active but the one before."""
    pool = (entry(BEFORE), entry(NEXT))
    fields = {
        "active": BEFORE, "cas": {BEFORE: ca(BEFORE), NEXT: ca(NEXT)}, "settings": replace(NAMED, bundle_works=True),
        "replicas": tuple(
            replica(name, "W2", pool, active=BEFORE, serving_root=BEFORE, staged=NEXT) for name in ("cp1", "cp2")
        ), **more,
    }  # fmt: skip
    return evidence(*nodes, **fields)


def taught(name: str = "n1", **more: t.Any) -> t.Any:
    return node(name, **{"pins": (BEFORE, NEXT), "leaf_by": frozenset({BEFORE}), "sample": "ok", **more})


class TestActivation:
    def test_it_is_ready_when_every_node_is(self):
        made = replacement.make_replace(staged(taught("n1"), taught("n2")))
        assert made.bundle_test is None and made.next_ca == NEXT
        assert made.ready and made.phase == "ready to activate" and made.activate == ("cp1", "cp2")
        assert {name: found.name for name, found in made.states.items()} == {"n1": "ahead", "n2": "ahead"}

    def test_what_was_never_tried_on_an_agent_is_tried_first(self):
        made = replacement.make_replace(staged(taught("n1"), taught("n2"), settings=NAMED))
        assert made.bundle_test == "n1" and made.activation.open and not made.ready

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"pins": (BEFORE,)}, "its pin does not hold the staged CA"),
            ({"sample": "refused", "sample_detail": "unable to get local issuer certificate"},
             "it is not shown that it would take a server certificate by the staged CA (unable to get local issuer"),
            ({"sample": "unknown"}, "by the staged CA (it was not asked)"),
            ({"beat": False}, "its files verify, but its agent's heartbeat has not reached the CP: not proven"),
            ({"leaf_not_after": NOW - DAY}, "its client certificate has expired"),
            ({"taken_at": NOW - DAY}, "its evidence is older than quazzar_evidence_max_age"),
            ({"leaf_by": frozenset(), "leaf_error": "no such file"}, "no such file"),
        ],
    )  # fmt: skip
    def test_one_node_that_is_not_keeps_it_waiting_unless_waived(self, change, reason):
        seen = staged(taught("n1"), taught("n2", **change))
        made = replacement.make_replace(seen)
        assert not made.ready and [item.node for item in made.activation.blocked] == ["n2"]
        assert reason in made.activation.blocked[0].reason
        assert f"n2: {made.activation.blocked[0].reason}" in report.unfinished(made, seen, "replace")
        assert report.activation_lines(made)[0].startswith("Not ready: the active CA stays")
        assert replacement.make_replace(replace(seen, waivers=(waiver("n2"),))).activation.open

    def test_what_is_only_in_the_registry_waits_however_old_its_leaf_may_be(self):
        made = replacement.make_replace(staged(taught(), strangers=(instance("ghost"),)))
        assert not made.ready and [item.node for item in made.activation.blocked] == ["ghost"]

    def test_pins_do_not_matter_where_the_control_panel_serves_from_outside(self):
        outside = tuple(
            replica(n, "W3", (entry(BEFORE), entry(NEXT)), active=BEFORE, staged=NEXT) for n in ("cp1", "cp2")
        )
        made = replacement.make_replace(staged(node(pins=(BEFORE,), leaf_by=frozenset({BEFORE})), replicas=outside))
        assert made.ready and made.push_pins == ()

    def test_it_waits_for_a_replica_that_does_not_trust_both(self):
        half = (
            replica("cp1", "W2", (entry(BEFORE), entry(NEXT)), active=BEFORE, serving_root=BEFORE, staged=NEXT),
            replica("cp2", "W2", (entry(BEFORE),), active=BEFORE, serving_root=BEFORE, staged=NEXT),
        )
        made = replacement.make_replace(staged(taught(), replicas=half))
        assert not made.ready and made.open_window == ("cp2",)


class TestStops:
    def stops(self, seen: Evidence, maker: t.Any = replacement.make_replace) -> str:
        return "; ".join(maker(seen).stops)

    def test_the_ca_has_to_be_named_and_known(self):
        assert "no CA is named to be replaced: set quazzar_replaced_ca" in self.stops(staged(settings=Settings()))
        wrong = Settings(replaced=frozenset({digest("nobody knows it")}))
        seen = staged(taught(), settings=wrong, replicas=(replica(active=BEFORE, serving_root=BEFORE),))
        assert "which is neither the active CA" in self.stops(seen)

    def test_pairs_that_are_of_no_use(self):
        one = replica("cp1", active=BEFORE, serving_root=BEFORE, staged_error="its key is missing")
        assert self.stops(staged(taught(), replicas=(one,))).startswith(
            "replica cp1: the staged pair is of no use: its key is missing; remove it or mend it"
        )
        two = [
            replica(n, active=BEFORE, serving_root=BEFORE, staged=s) for n, s in (("cp1", NEXT), ("cp2", fleets.OLD))
        ]
        assert "the replicas hold different staged CAs (cp1: " in self.stops(staged(taught(), replicas=tuple(two)))
        broken = replica("cp1", active=BEFORE, serving_root=BEFORE, staged=NEXT, key_matches=False)
        assert "the key of the active CA does not belong to its certificate, so it would not start again" in self.stops(
            staged(taught(), replicas=(broken,))
        )

    def test_a_server_certificate_that_go_refuses_is_mended_first(self):
        why = ("its certificate (CN=cp) has no subject alternative name",)
        one = replica("cp1", active=BEFORE, serving_root=BEFORE, refused_by_go=why)
        assert self.stops(staged(taught(), replicas=(one,))).startswith(
            f"replica cp1: {why[0]}, so nodes in Go would not take it from any CA: mend that first"
        )

    def test_a_change_that_was_cut_off_between_replicas_goes_on(self):
        """cp1 was changed, cp2 not yet, each with a directory of its own."""
        pool = (entry(BEFORE), entry(NEXT))
        halfway = (
            replica("cp1", "W2", pool, active=NEXT, serving_root=NEXT, staged=NEXT, previous=BEFORE, key_matches=False),
            replica("cp2", "W1", pool, active=BEFORE, serving_root=BEFORE, staged=NEXT),
        )
        seen = staged(taught(), replicas=halfway, active=NEXT)
        made = replacement.make_replace(seen)
        assert made.stops == () and made.phase == "activating" and made.activate == ("cp1", "cp2") and made.ready
        assert made.register == () and made.open_window == ()
        back = replacement.make_rollback(seen)
        assert back.stops == () and back.reactivate == ("cp1", "cp2")

    def test_an_earlier_rotation_is_finished_first(self):
        """After the activation somebody reads the digest of the active CA once more and begins with that."""
        again = Settings(replaced=frozenset({NEXT}))
        pool = (entry(BEFORE), entry(NEXT))
        one = replica("cp1", "W2", pool, active=NEXT, serving_root=NEXT, previous=BEFORE)
        stops = self.stops(staged(taught(), replicas=(one,), active=NEXT, settings=again))
        assert "so an earlier rotation is not finished: go on with that one as quazzar_replaced_ca" in stops

    def test_the_pair_before_stays_until_the_gate_is_open(self):
        one = replica("cp1", "W2", (), active=NEXT, serving_root=NEXT, previous=BEFORE)
        lost = unreachable("n1")
        made = replacement.make_replace(staged(lost, replicas=(one,), active=NEXT))
        assert made.forget_previous == () and not made.gate.open
        done = replacement.make_replace(
            staged(node(pins=(NEXT,), leaf_by=frozenset({NEXT})), replicas=(one,), active=NEXT)
        )
        assert done.forget_previous == ("cp1",) and done.gate.open

    def test_a_replica_that_still_runs_with_what_was_put_back_is_no_reason_to_stop(self):
        """cp2 did not come up with the new CA, the shared files are back, cp1 has not been restarted since."""
        pool = (entry(BEFORE), entry(NEXT))
        behind = (
            replica("cp1", "W1", pool, active=BEFORE, serving_root=NEXT, staged=NEXT, previous=BEFORE),
            replica("cp2", "W2", pool, active=BEFORE, serving_root=BEFORE, staged=NEXT, previous=BEFORE),
        )
        seen = staged(taught(), replicas=behind)
        made = replacement.make_replace(seen)
        assert made.stops == () and made.ready
        back = replacement.make_rollback(seen)
        assert (back.stops, back.reactivate, back.next_ca, back.unstage) == ((), ("cp1", "cp2"), BEFORE, ())

    def test_replicas_that_differ_without_a_reason_stop_it(self):
        odd = (
            replica("cp1", active=NEXT, serving_root=NEXT, staged=NEXT),
            replica("cp2", active=fleets.OLDER, serving_root=fleets.OLDER, staged=NEXT),
        )
        assert "the replicas hold different active CAs" in self.stops(staged(taught(), replicas=odd, active=NEXT))

    def test_every_other_playbook_leaves_a_planned_rotation_alone(self):
        stops = self.stops(staged(taught()), plan.make)
        assert (
            f"a planned rotation is under way, the CA {NEXT[:16]} is staged on cp1, cp2: go on with ca_replace" in stops
        )

    def test_agents_that_take_no_bundle(self):
        seen = staged(node(pins=(BEFORE,), leaf_by=frozenset({BEFORE})), settings=NAMED)
        told = replace(seen, settings=replace(NAMED, bundle_works=False))
        assert "the agents do not take a bundle, so they cannot trust the staged CA" in self.stops(told)
        for accepted in ({"pin_bundle": "never"}, {"bridged": True}):
            assert self.stops(replace(told, settings=replace(told.settings, **accepted))) == ""
        never = replace(seen, settings=replace(NAMED, pin_bundle="never"))
        made = replacement.make_replace(never)
        assert made.ready and [(item.act, item.nodes) for item in plan.damage(made, never)] == [("activate", ("n1",))]

    def test_whom_a_waiver_lets_behind_unseen_may_lose_its_link(self):
        """What it pins is not known, and nobody could teach it the staged CA."""
        seen = staged(
            taught("n1"), unreachable("n2"), waivers=(waiver("n2"), waiver("n3")), strangers=(instance("n3"),)
        )
        made = replacement.make_replace(seen)
        (cost,) = plan.damage(made, seen)
        assert made.ready and (cost.act, cost.nodes, cost.direction) == ("activate", ("n2", "n3"), "to_cp")
        assert cost.until == "rescued: a waiver lets it go ahead"
        bridged = replace(seen, settings=replace(seen.settings, bridged=True))
        assert plan.damage(replacement.make_replace(bridged), bridged) == ()


class TestRevocationOfTheActiveCa:
    BAD = Settings(compromised=frozenset({BEFORE}), revoking=True, flip_possible=True)

    def seen(self, *replicas: t.Any, **more: t.Any) -> Evidence:
        fields = {
            "active": BEFORE, "cas": {BEFORE: ca(BEFORE), NEXT: ca(NEXT)}, "settings": self.BAD, "replicas": replicas
        }  # fmt: skip
        return evidence(taught("n1", pins=(BEFORE,)), **{**fields, **more})

    def test_another_takes_its_place_and_nothing_trusts_it_meanwhile(self):
        bare = [replica(name, "W2", active=BEFORE, serving_root=BEFORE) for name in ("cp1", "cp2")]
        made = replacement.make_revoke(self.seen(*bare))
        assert (made.stage, made.activate, made.stops) == (("cp1", "cp2"), ("cp1", "cp2"), ()) and not made.ready
        assert (made.place, made.open_window, made.push_pins, made.register, made.pin) == ((), (), (), (), ())
        holding = [replace(each, staged=NEXT) for each in bare]
        made = replacement.make_revoke(self.seen(*holding))
        assert made.stage == () and made.ready and made.next_ca == NEXT
        (cost,) = plan.damage(made, self.seen(*holding))
        assert (cost.act, cost.nodes, cost.direction) == ("activate", ("n1",), "to_node")
        lines = report.plan_lines(made, self.seen(*holding))
        assert "2. write it as the only pin of 1 node, re-register each at full speed" in lines
        assert report.unfinished(made, self.seen(*holding), "revoke")[:2] == [
            "replica cp1: the compromised CA is still the active one",
            "replica cp2: the compromised CA is still the active one",
        ]

    def test_what_was_cut_off_in_between_goes_on(self):
        half = (
            replica("cp1", "W2", active=NEXT, serving_root=NEXT, staged=NEXT, previous=BEFORE),
            replica("cp2", "W2", active=BEFORE, serving_root=BEFORE, staged=NEXT),
        )
        for replicas, active in ((half, NEXT), (half[::-1], BEFORE)):
            made = replacement.make_revoke(self.seen(*replicas, active=active))
            assert made.stops == () and made.ready and set(made.activate) == {"cp1", "cp2"} and made.stage == ()

    def test_then_it_is_revoked_as_any_other_and_its_pair_goes(self):
        done = [replica(name, "W2", active=NEXT, serving_root=NEXT, previous=BEFORE) for name in ("cp1", "cp2")]
        made = replacement.make_revoke(self.seen(*done, active=NEXT))
        assert (made.register, made.push_pins, made.keep_identity) == (("n1",), ("n1",), ("n1",))
        assert made.forget_previous == ("cp1", "cp2") and made.activate == () and made.pin == (NEXT,)
        back = replacement.make_rollback(self.seen(*done, active=NEXT))
        assert back.reactivate == () and BEFORE not in {*back.place, *back.pin}

    def test_a_staged_ca_may_be_the_compromised_one(self):
        stolen = Settings(compromised=frozenset({NEXT}), revoking=True)
        both = (entry(BEFORE), entry(NEXT))
        holding = [replica(n, "W2", both, active=BEFORE, serving_root=BEFORE, staged=NEXT) for n in ("cp1", "cp2")]
        seen = self.seen(*holding, settings=stolen)
        made = replacement.make_revoke(replace(seen, nodes=(taught("n1"),)))
        assert made.unstage == ("cp1", "cp2") and made.retire == dict.fromkeys(("cp1", "cp2"), (entry(NEXT).path,))
        assert made.push_pins == ("n1",) and made.pin == (BEFORE,)
        going = replace(seen, settings=replace(NAMED, compromised=frozenset({NEXT})))
        assert any("the staged CA is compromised: remove its pair" in s for s in replacement.make_replace(going).stops)

    def test_a_planned_rotation_under_way_is_not_cut_short_by_another_ca(self):
        half = (
            replica("cp1", "W2", active=NEXT, serving_root=NEXT, staged=NEXT, previous=BEFORE),
            replica("cp2", "W2", active=BEFORE, serving_root=BEFORE, staged=NEXT),
        )
        other = self.seen(*half, active=NEXT, settings=replace(self.BAD, compromised=frozenset({digest("third")})))
        assert any("hold different active CAs" in stop for stop in replacement.make_revoke(other).stops)


class TestRollback:
    def test_whoever_lives_on_the_staged_ca_is_registered_first(self):
        """A replica ran with it for a while, and was put back."""
        on_it = taught("n2", leaf_by=frozenset({NEXT}))
        stops = "; ".join(replacement.make_rollback(staged(taught("n1"), on_it)).stops)
        assert stops.startswith("the staged CA signed the leaf of n2: register it by the active CA first, with")
        pool = (entry(BEFORE), entry(NEXT))
        tried = (replica("cp1", "W2", pool, active=BEFORE, serving_root=BEFORE, staged=NEXT, previous=BEFORE),)
        hidden = replacement.make_rollback(staged(taught("n1"), unreachable("n2"), replicas=tried))
        assert "; ".join(hidden.stops).startswith("n2 cannot be looked at, and may have been registered by the staged")
        # it was never active: nobody can have a leaf by it
        assert replacement.make_rollback(staged(taught("n1"), unreachable("n2"))).stops == ()

    def test_another_pair_than_the_active_ones_is_kept_for_a_further_step_back(self):
        pool = (entry(BEFORE), entry(NEXT))
        one = (replica("cp1", "W2", pool, active=BEFORE, serving_root=BEFORE, staged=NEXT, previous=fleets.OLD),)
        made = replacement.make_rollback(staged(taught("n1"), replicas=one))
        assert made.unstage == ("cp1",) and made.forget_previous == ()

    def test_a_copy_of_the_active_pair_goes_also_when_all_else_is_done(self):
        """The run was cut off between the staged pair and the copy."""
        one = (replica("cp1", "W2", (), active=BEFORE, serving_root=BEFORE, previous=BEFORE),)
        seen = staged(node(pins=(BEFORE,), leaf_by=frozenset({BEFORE})), replicas=one)
        made = replacement.make_rollback(seen)
        assert made.forget_previous == ("cp1",)
        assert "replica cp1: a copy of the active pair is still there" in report.unfinished(made, seen, "rollback")

    def test_every_replica_needs_the_pair_before(self):
        pool = (entry(BEFORE), entry(NEXT))
        uneven = (
            replica("cp1", "W2", pool, active=NEXT, serving_root=NEXT, previous=BEFORE),
            replica("cp2", "W2", pool, active=NEXT, serving_root=NEXT),
        )
        made = replacement.make_rollback(staged(taught("n1"), replicas=uneven, active=NEXT))
        assert "; ".join(made.stops).startswith(f"replica cp2: the pair of the CA before ({BEFORE[:16]}) is not beside")

    @pytest.mark.parametrize(
        "read", [None, registry(complete=False, incomplete_reason="cut"), registry(error="401")], ids=str
    )
    def test_a_registry_that_says_too_little_may_hide_who_moved(self, read):
        made = replacement.make_rollback(self.moved_fleet(taught("n1"), registry=read))
        assert made.reactivate == () and any("the CP's registry says too little" in line for line in made.warnings)

    def moved_fleet(self, *nodes: t.Any, previous: str | None = BEFORE, **more: t.Any) -> Evidence:
        pool = (entry(BEFORE), entry(NEXT))
        return evidence(
            *nodes, active=NEXT, cas={BEFORE: ca(BEFORE), NEXT: ca(NEXT)}, claims=(Claim(BEFORE, BEFORE, "named"),),
            replicas=(replica("cp1", "W2", pool, active=NEXT, serving_root=NEXT, previous=previous),), **more,
        )  # fmt: skip

    def test_the_ca_before_becomes_active_again_while_every_node_lives_on_it(self):
        made = replacement.make_rollback(self.moved_fleet(taught("n1"), taught("n2")))
        assert made.reactivate == ("cp1",) and not made.stops

    def stays(self, why: str, *nodes: t.Any, **more: t.Any) -> None:
        made = replacement.make_rollback(self.moved_fleet(taught("n1"), *nodes, **more))
        assert made.reactivate == () and made.stops == ()
        (line,) = [text for text in made.warnings if text.startswith("the active CA is not replaced by the one before")]
        assert why in line

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"leaf_by": frozenset({NEXT})}, "has been registered by another CA"),
            ({"leaf_by": frozenset()}, "has been registered by another CA"),
            ({"pins": (NEXT,)}, "does not pin the CA before"),
            ({"pins": (NEXT,), "leaf_by": frozenset(), "leaf_error": "no such file"}, "does not pin the CA before"),
            ({"leaf_by": frozenset({NEXT}), "taken_at": NOW - DAY}, "has been registered by another CA"),
        ],
    )
    def test_once_one_was_seen_to_have_moved_it_stays_whatever_a_waiver_says(self, change, why):
        self.stays(f"n2 {why}", taught("n2", **change))
        self.stays(f"n2 {why}", taught("n2", **change), waivers=(waiver("n2"),))

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"reachable": False}, "cannot be looked at"),
            ({"examined": False, "reachable": False}, "cannot be looked at"),
            ({"leaf_by": frozenset(), "leaf_error": "no such file"}, "cannot be looked at"),
            ({"pins": (), "pin_error": "no such file"}, "cannot be looked at"),
            ({"taken_at": NOW - DAY}, "was looked at too long ago"),
            ({"instances": (instance("n2"), instance("n2", id="inst_2", tenant="beta"))}, "is not alone: instances of"),
        ],
    )
    def test_whom_nobody_can_look_at_may_have_moved_unless_a_waiver_says_otherwise(self, change, why):
        self.stays(f"n2 {why}", taught("n2", **change))
        waived = self.moved_fleet(taught("n1"), taught("n2", **change), waivers=(waiver("n2"),))
        assert replacement.make_rollback(waived).reactivate == ("cp1",)

    def test_a_stranger_may_have_moved_too(self):
        self.stays("ghost is not in the inventory", strangers=(instance("ghost"),))
        waived = self.moved_fleet(taught(), strangers=(instance("ghost"),), waivers=(waiver("ghost"),))
        assert replacement.make_rollback(waived).reactivate == ("cp1",)

    def test_a_waiver_helps_where_the_staged_ca_may_have_signed_unseen(self):
        pool = (entry(BEFORE), entry(NEXT))
        tried = (replica("cp1", "W2", pool, active=BEFORE, serving_root=BEFORE, staged=NEXT, previous=BEFORE),)
        seen = staged(taught("n1"), unreachable("n2"), replicas=tried, waivers=(waiver("n2"),))
        assert replacement.make_rollback(seen).stops == ()
        # What was seen of a node has nothing to do with the staged CA, so it asks for no waiver.
        other = taught("n2", leaf_by=frozenset({fleets.OLDER}))
        assert replacement.make_rollback(staged(taught("n1"), other, replicas=tried)).stops == ()

    def test_without_the_pair_before_it_says_why_it_stays(self):
        moved = node("n2", pins=(NEXT,), leaf_by=frozenset({NEXT}))
        made = replacement.make_rollback(self.moved_fleet(taught("n1"), moved, previous=None))
        assert any("the pair of the CA before is not at hand" in line for line in made.warnings)

    def test_a_named_ca_is_let_in_again_although_nothing_known_needs_it(self):
        seen = self.moved_fleet(node(pins=(NEXT,), leaf_by=frozenset({NEXT})), previous=None)
        empty = replace(seen, replicas=(replica("cp1", "W2", (), active=NEXT, serving_root=NEXT),))
        made = replacement.make_rollback(empty)
        assert made.open_window == ("cp1",) and made.place == (BEFORE,)
        assert replacement.make_rollback(replace(empty, claims=())).open_window == ()

    def test_nothing_of_a_rotation_goes_on(self):
        made = replacement.make_rollback(self.moved_fleet(taught("n1"), taught("n2", leaf_by=frozenset({NEXT}))))
        assert (made.register, made.flip, made.close_window, made.narrow_pins, made.keep_identity) == ((),) * 5
