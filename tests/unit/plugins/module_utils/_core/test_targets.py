# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import plan, targets
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Claim, Evidence, Node, Settings
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import (
    ACTIVE,
    DAY,
    NOW,
    OLD,
    OLDER,
    THEIRS,
    ca,
    entry,
    evidence,
    instance,
    legacy,
    node,
    replica,
    taken,
    unreachable,
)

ACCEPTED = (Claim(OLD, OLD, "backup"),)


def of(seen: Evidence) -> dict[str, t.Any]:
    """The targets, with keys in the place of certificates."""
    return targets.of(plan.make(seen), taken(seen))


def test_only_what_is_trusted_is_placed_and_only_where_it_is_missing() -> None:
    replicas = (replica("cp1", pool=[entry(OLD)]), replica("cp2", beside={OLD: "/certs/ca.crt.old"}), replica("cp3"))
    found = of(evidence(legacy(), legacy("n2", THEIRS), claims=ACCEPTED, replicas=replicas))
    name = f"{OLD[:16]}.crt"
    assert found["place"] == {
        "cp1": [],
        "cp2": [{"name": name, "pem": OLD, "there": "/certs/ca.crt.old"}],
        "cp3": [{"name": name, "pem": OLD, "there": ""}],
    }
    assert found["fetch"] == [{"key": THEIRS, "holders": ["n2"]}]


def test_only_what_is_ours_is_retired() -> None:
    pool = [entry(THEIRS, retirable=False, path="/etc/theirs.pem"), entry(OLD, path="/legacy/old.crt")]
    assert of(evidence(node(), replicas=(replica(pool=pool),)))["retire"] == {"cp1": ["/legacy/old.crt"]}


@pytest.mark.parametrize(
    ("replicas", "more", "done"),
    [
        ((replica(),), {}, True),
        ((replica(pool=[entry(THEIRS, retirable=False)]),), {}, True),
        ((replica(pool=[entry(OLD)]),), {}, False),
        ((replica(advertised=2),), {}, False),
        ((replica(active=None),), {}, False),
    ],
)
def test_what_only_served_the_grace_window_goes_after_the_strip(
    replicas: t.Any, more: dict[str, t.Any], done: bool
) -> None:
    found = of(evidence(node(pins=(ACTIVE, OLD), kept_identity=True), replicas=replicas, **more))
    assert found["narrow_pins"] == ["n1"]
    assert bool(found["narrow_now"]) is done
    assert bool(found["forget_identity"]) is done


def test_only_a_kept_identity_of_a_ca_that_leaves_proves_that_it_is_refused() -> None:
    nodes = (
        node("n1", kept_identity=True),
        node("n2", kept_identity=True, kept_by=frozenset({OLDER})),
        node("n3", kept_identity=True, kept_not_after=NOW - DAY),
    )
    seen = evidence(*nodes, replicas=(replica(pool=[entry(OLD)]),))
    assert of(seen)["kept_identity"] == ["n1"]
    both = (replica("cp1", pool=[entry(OLD)]), replica("cp2", pool=[entry(OLDER)]))
    assert of(replace(seen, replicas=both))["kept_identity"] == ["n1", "n2"]
    # a revocation proves what it is about, wherever the pool names that CA
    for pool in ([entry(OLD), entry(OLDER)], [entry(OLD)], []):
        bad = replace(seen, replicas=(replica(pool=pool),), settings=Settings(compromised=frozenset({OLDER})))
        assert targets.of(plan.make_revoke(bad), taken(bad))["kept_identity"] == ["n2"]


@pytest.mark.parametrize(("possible", "now"), [(True, ["cp1"]), (False, [])])
def test_a_server_certificate_is_renewed_only_where_a_command_can(possible: bool, now: list[str]) -> None:
    found = of(evidence(node(), replicas=(replica(world="W1"),), settings=Settings(flip_possible=possible)))
    assert (found["flip"], found["flip_now"]) == (["cp1"], now)


class TestWitnesses:
    def of(self, *nodes: Node, **more: t.Any) -> dict[str, list[str]]:
        return of(evidence(*nodes, claims=(*ACCEPTED, Claim(OLDER, OLDER, "backup")), **more))["witnesses"]

    def test_two_for_each_ca(self) -> None:
        nodes = [*(legacy(f"a{n}") for n in range(3)), legacy("b0", OLDER), *(node(f"c{n}") for n in range(3))]
        found = self.of(*nodes)
        assert (sorted(found["legacy"]), found["current"]) == (["a0", "a1", "b0"], ["c0", "c1"])

    def test_not_one_that_is_refused_for_another_reason(self) -> None:
        over, gone = legacy("a0", leaf_not_after=NOW - DAY), unreachable("a1")
        assert self.of(over, gone, legacy("a2"))["legacy"] == ["a2"]
        assert self.of(node(leaf_not_after=NOW - DAY))["current"] == []

    def test_those_with_a_link_first(self) -> None:
        odd, down = legacy("a0", to_cp="unknown", to_node="unknown"), legacy("a1", to_node="refused")
        assert self.of(odd, down, legacy("a2"))["legacy"] == ["a2", "a1"]

    def test_a_ca_that_has_expired_has_none(self) -> None:
        over = {ACTIVE: ca(ACTIVE), OLD: ca(OLD, until=NOW - DAY)}
        assert self.of(legacy(), cas=over)["legacy"] == []


def test_acceptance_can_be_shown_only_where_the_pool_names_the_ca() -> None:
    nodes = (node("n1", kept_identity=True), node("n2", kept_identity=True, kept_by=frozenset({OLDER})))
    three = (replica("cp1", pool=[entry(OLD)]), replica("cp2", pool=[entry(OLD), entry(OLDER)]), replica("cp3"))
    found = of(evidence(*nodes, replicas=three))
    assert found["held_identity"] == {"cp1": ["n1"], "cp2": ["n1", "n2"], "cp3": []}


def test_lost_is_what_was_tried() -> None:
    assert of(evidence(unreachable("n1"), Node("n2"), node("n3")))["lost"] == ["n1"]


def test_a_node_stays_with_its_tenant() -> None:
    blue = node("n1", instances=(instance("n1", tenant="blue"), instance("n1", tenant="red", active=False)))
    assert of(evidence(blue, node("n2")))["tenants"] == {"n1": "blue"}


def test_what_a_replica_means_for_its_roll() -> None:
    seen = evidence(node(), replicas=(replica(world="W1", advertised=2, active_sha256="ab12"),))
    assert targets.judged(taken(seen)) == {
        "cp1": {
            "name": "cp1",
            "address": "cp:8443",
            "listening": True,
            "error": "",
            "active": "ab12",
            "world": "W1",
            "serves_active": False,
            "stale": True,
            "stale_reason": "expected the listener to advertise 1 CA names, found 2",
            "differ": False,
        }
    }


class TestReplicasOfOneHost:
    """The pods of a workload: what is done to one of them is done to their host, once."""

    def pods(self, *found: t.Any) -> tuple[t.Any, ...]:
        return tuple(replace(each, name=f"cp/{each.name}", runs_on="cp") for each in found)

    def test_an_act_is_done_to_their_host(self) -> None:
        pods = self.pods(replica("a"), replica("b"))
        found = of(evidence(legacy("n1"), legacy("n2"), replicas=pods, claims=ACCEPTED))
        assert found["open_window"] == ["cp"] and list(found["place"]) == ["cp"]
        assert [item["pem"] for item in found["place"]["cp"]] == [OLD]

    def test_what_one_of_them_lacks_is_placed(self) -> None:
        pods = self.pods(replica("a", pool=[entry(OLD)]), replica("b"))
        found = of(evidence(legacy("n1"), legacy("n2"), replicas=pods, claims=ACCEPTED))
        assert [item["pem"] for item in found["place"]["cp"]] == [OLD]

    def test_a_file_is_there_when_all_of_them_can_read_it(self) -> None:
        old = {OLD: "/certs/ca.crt.old"}
        for pods, there in (
            ((replica("a", beside=old), replica("b", beside=old)), "/certs/ca.crt.old"),
            ((replica("a", beside=old), replica("b")), ""),
        ):
            seen = evidence(legacy("n1"), legacy("n2"), replicas=self.pods(*pods), claims=ACCEPTED)
            assert [item["there"] for item in of(seen)["place"]["cp"]] == [there]

    def test_what_is_retired_from_any_of_them_is_retired_from_their_host(self) -> None:
        pods = self.pods(replica("a", pool=[entry(OLD)]), replica("b", pool=[entry(OLD), entry(OLDER)]))
        found = of(evidence(node("n1", kept_identity=True), replicas=pods))
        assert found["close_window"] == ["cp"]
        assert found["retire"] == {"cp": [entry(OLD).path, entry(OLDER).path]}

    def test_they_are_judged_together(self) -> None:
        down = replica("b", "W1", listening=False, error="refused", advertised=2, address="10.1.0.8:8443")
        judged = targets.judged(taken(evidence(node(), replicas=self.pods(replica("a"), down))))
        assert list(judged) == ["cp"]
        assert judged["cp"]["listening"] is False and judged["cp"]["error"] == "refused"
        # who it is that does not serve, and where
        assert (judged["cp"]["name"], judged["cp"]["address"]) == ("cp/b", "10.1.0.8:8443")
        assert judged["cp"]["active"] == "", "nobody could read it"
        assert judged["cp"]["world"] == "mixed" and judged["cp"]["serves_active"] is False
        assert judged["cp"]["stale"] and judged["cp"]["differ"] is False
        other = replica("b", active=OLD)
        assert targets.judged(taken(evidence(node(), replicas=self.pods(replica("a"), other))))["cp"]["differ"]


NOTHING: dict[str, t.Any] = {
    act: []
    for act in (
        "open_window", "bundle_test", "flip_first", "push_pins", "keep_identity", "register", "flip", "flip_now",
        "close_window", "narrow_pins", "narrow_now", "forget_identity", "stage", "activate", "reactivate", "unstage",
        "forget_previous",
    )
}  # fmt: skip


@pytest.mark.parametrize(
    ("act", "locks"),
    [
        ("open_window", {"open": "exclusive", "rotate": "exclusive"}),
        ("bundle_test", {"reregister": "shared", "rotate": "exclusive"}),
        ("push_pins", {"reregister": "shared", "rotate": "exclusive"}),
        ("keep_identity", {"reregister": "shared", "rotate": "exclusive"}),
        ("register", {"reregister": "shared", "rotate": "exclusive"}),
        # it restarts replicas
        ("flip_first", {"reregister": "exclusive", "rotate": "exclusive"}),
        ("flip_now", {"close": "exclusive", "rotate": "exclusive"}),
        ("close_window", {"close": "exclusive", "rotate": "exclusive"}),
        ("narrow_now", {"close": "exclusive", "rotate": "exclusive"}),
        ("forget_identity", {"close": "exclusive", "rotate": "exclusive"}),
        # nothing can be done about these yet
        ("flip", {}),
        ("narrow_pins", {}),
    ],
)
def test_each_act_is_done_under_a_lock(act: str, locks: dict[str, str]) -> None:
    goals = ["drift", "open", "reregister", "close", "rotate"]
    found = {goal: targets.lock(goal, {**NOTHING, act: ["x"]}) for goal in goals}
    assert {goal: kind for goal, kind in found.items() if kind} == locks
    assert not any(targets.lock(goal, NOTHING) for goal in goals)


@pytest.mark.parametrize("goal", ["reregister", "rescue"])
def test_a_slice_that_has_only_lost_nodes_shares_the_lock_so_that_they_count(goal: str) -> None:
    lost = {**NOTHING, "lost": ["x"]}
    assert targets.lock(goal, lost, sliced=True) == "shared"
    assert targets.lock(goal, lost) == targets.lock("rotate", lost, sliced=True) == ""
    assert targets.lock(goal, {**NOTHING, "lost": []}, sliced=True) == ""


def test_every_act_that_is_handed_out_has_a_lock() -> None:
    """A new act that no lock covers would be done by two runs at once."""
    no_acts = {"fetch", "place", "retire", "bundle", "test_bundle", "registration_pin", "kept_identity", "active_ca",
               "held_identity", "known_cas", "witnesses", "tenants", "lost", "server_sample", "leaves_marked",
               "next_ca", "revoked"}  # fmt: skip
    assert set(of(evidence(node()))) - no_acts == set(NOTHING)


def test_a_plan_that_registers_asks_for_a_lock_that_can_be_shared() -> None:
    found = of(evidence(legacy(), claims=ACCEPTED, replicas=(replica(pool=[entry(OLD)]),)))
    assert (targets.lock("open", found), targets.lock("reregister", found)) == ("", "shared")
    assert targets.lock("drift", found) == ""


def test_a_rescue_shares_the_lock_and_a_revocation_is_alone() -> None:
    assert targets.lock("rescue", {**NOTHING, "register": ["n1"]}) == "shared"
    for act in ("close_window", "push_pins", "flip", "register", "stage", "activate", "unstage", "forget_previous"):
        assert targets.lock("revoke", {**NOTHING, act: ["x"]}) == "exclusive"


def test_a_mark_of_what_is_revoked_is_left_by_a_revocation_only() -> None:
    for revoking, names in ((True, [f"{OLD[:16]}.revoked"]), (False, [])):
        seen = evidence(legacy(), settings=Settings(compromised=frozenset({OLD}), revoking=revoking))
        assert [item["name"] for item in of(seen)["revoked"]] == names


def test_a_planned_rotation_and_the_way_back_are_alone() -> None:
    for act in (
        "stage",
        "open_window",
        "activate",
        "push_pins",
        "register",
        "flip_now",
        "close_window",
        "forget_previous",
    ):
        assert targets.lock("replace", {**NOTHING, act: ["x"]}) == "exclusive"
    for act in ("open_window", "reactivate", "push_pins", "close_window", "unstage", "forget_previous"):
        assert targets.lock("rollback", {**NOTHING, act: ["x"]}) == "exclusive"
    assert targets.lock("rollback", {**NOTHING, "register": ["n1"]}) == ""
