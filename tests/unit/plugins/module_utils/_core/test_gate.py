# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import gate
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Evidence, Node, Settings
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import (
    ACTIVE,
    DAY,
    NOW,
    OLD,
    OLDER,
    SWITCHED,
    ca,
    entry,
    evidence,
    instance,
    legacy,
    node,
    registry,
    replica,
    unreachable,
    waiver,
)

MINUTE = timedelta(minutes=1)


def blocked(found: Node, **more: t.Any) -> str:
    """Why this one node blocks the gate; empty when it does not."""
    decided = gate.decide(evidence(found, **more))
    return decided.blocked[0].reason if decided.blocked else ""


def reasons(**more: t.Any) -> str:
    decided = gate.decide(evidence(node(), **more))
    assert not decided.open or not decided.reasons
    return "; ".join(decided.reasons)


def test_it_opens_when_every_node_is_proven() -> None:
    decided = gate.decide(evidence(node(), node("n2", pins=(OLD, ACTIVE))))
    assert decided == gate.Gate(True, (), (), ("n1", "n2"), ())


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (legacy(), "its leaf is not by the active CA"),
        (node(pins=(OLD,)), "its pin does not hold the active CA"),
        (node(pins=()), "its pin does not hold the active CA"),
        (node(leaf_not_after=NOW - DAY), "its client certificate has expired"),
        (node(leaf_by=frozenset(), leaf_error="/x: no such file"), "/x: no such file"),
        (
            node(to_cp="refused", to_cp_detail="unable to verify"),
            "refuses the CP's server certificate (unable to verify)",
        ),
        (node(to_node="refused", to_node_detail="alert 42"), "is refused by the CP (alert 42)"),
        (node(to_node="unknown", to_node_detail="no ticket"), "the handshake proves nothing (no ticket)"),
        (node(beat=False), "its files verify, but its agent's heartbeat has not reached the CP: not proven"),
        (
            node(beat=None),
            "its files verify, but nothing shows whether its agent's heartbeat reaches the CP: not proven",
        ),
        (node(taken_at=NOW - 16 * MINUTE), "its evidence is older than quazzar_evidence_max_age"),
        (node(taken_at=None), "its evidence is older than quazzar_evidence_max_age"),
        (unreachable(), "no route"),
        (Node("n1", instances=(instance("n1"),)), "not examined in this run"),
    ],
)
def test_what_blocks_a_node(found: Node, why: str) -> None:
    assert blocked(found) == why


def test_evidence_at_its_greatest_age_still_counts() -> None:
    assert blocked(node(taken_at=NOW - 15 * MINUTE)) == ""
    assert blocked(node(taken_at=NOW - 2 * MINUTE), settings=Settings(evidence_max_age=MINUTE))


class TestGone:
    def test_a_node_that_the_registry_does_not_know_and_that_shows_no_life(self) -> None:
        assert blocked(unreachable(instances=())) == ""
        assert blocked(unreachable(instances=(instance("n1", active=False),))) == ""

    @pytest.mark.parametrize("life", [{"to_node": "accepted"}, {"agent": "connected"}])
    def test_it_is_not_gone_while_it_shows_life(self, life: dict[str, str]) -> None:
        quiet = {"to_cp": "refused", "to_node": "refused", "agent": "disconnected", "beat": None, "instances": ()}
        assert blocked(legacy(**quiet)) == ""
        assert blocked(legacy(**{**quiet, **life})) == "its leaf is not by the active CA"

    @pytest.mark.parametrize("list_of", [None, registry(complete=False), registry(error="HTTP 500")])
    def test_a_list_that_proves_nothing_makes_nobody_gone(self, list_of: t.Any) -> None:
        assert blocked(unreachable(instances=()), registry=list_of) == "no route"

    def test_a_wrong_name_does_not_hide_the_instance(self) -> None:
        found = evidence(
            unreachable(instances=()), strangers=(instance("other"),), registry=registry(instance("other"))
        )
        decided = gate.decide(found)
        assert not decided.open
        assert decided.blocked[0].node == "other"
        assert "in the CP's registry (inst_other, online) but not in the inventory" in decided.blocked[0].reason


class TestNamesakes:
    def test_what_an_earlier_registration_left_behind_is_no_second_machine(self) -> None:
        before = instance("n1", id="inst_old", last_seen=NOW - 5 * MINUTE)
        assert blocked(node(instances=(before, instance("n1", last_seen=NOW + MINUTE)))) == ""

    def test_two_that_send_heartbeats_are_two_machines(self) -> None:
        two = (instance("n1", id="a", last_seen=NOW + MINUTE), instance("n1", id="b", last_seen=NOW + MINUTE))
        assert (
            blocked(node(instances=two))
            == "several instances of its name send heartbeats (a, b): set quazzar_instance_id"
        )

    def test_their_clocks_are_the_control_panels(self) -> None:
        ahead = registry(clock=NOW + 60 * MINUTE)
        before = instance("n1", id="a", last_seen=NOW + 58 * MINUTE)
        now = instance("n1", id="b", last_seen=NOW + 61 * MINUTE)
        assert blocked(node(instances=(before, now)), registry=ahead) == ""
        assert blocked(node(instances=(now, now)), registry=ahead)

    def test_instances_of_several_tenants_are_never_one_machine(self) -> None:
        two = (instance("n1", id="a"), instance("n1", id="b", tenant="blue", last_seen=NOW - 9 * DAY))
        assert "instances of several tenants bear its name (a, b)" in blocked(node(instances=two))

    def test_a_deleted_one_does_not_count(self) -> None:
        two = (instance("n1", id="a"), instance("n1", id="b", tenant="blue", active=False))
        assert blocked(node(instances=two)) == ""


class TestExpiry:
    def test_a_legacy_leaf_that_has_expired_needs_no_trust(self) -> None:
        assert blocked(legacy(leaf_not_after=NOW - 6 * MINUTE)) == ""
        assert blocked(legacy(leaf_not_after=NOW - 4 * MINUTE)), "within the skew of clocks it may still be taken"

    def test_a_leaf_that_nobody_has_seen_lives_as_long_as_the_last_one_could(self) -> None:
        settled = Settings(leaf_lifetime=90 * DAY)
        for switched, free in ((NOW - 91 * DAY, True), (NOW - 90 * DAY, False), (None, False)):
            assert (blocked(unreachable(), switched_at=switched, settings=settled) == "") is free

    def test_an_expired_leaf_of_the_active_ca_says_nothing_about_legacy_leaves(self) -> None:
        assert blocked(node(leaf_not_after=NOW - DAY)) == "its client certificate has expired"

    def test_the_day_is_named(self) -> None:
        (found,) = gate.decide(evidence(legacy())).blocked
        assert found.until == NOW + 80 * DAY + 5 * MINUTE
        (found,) = gate.decide(evidence(unreachable())).blocked
        assert found.until == SWITCHED + 90 * DAY + 5 * MINUTE
        (found,) = gate.decide(evidence(unreachable(), switched_at=None)).blocked
        assert found.until is None

    def test_it_frees_a_stranger_too(self) -> None:
        old = evidence(node(), strangers=(instance("s1"),), switched_at=NOW - 91 * DAY)
        assert gate.decide(old).open
        assert not gate.decide(replace(old, switched_at=NOW - 80 * DAY)).open


class TestWaivers:
    def test_it_is_an_exception_for_one_name(self) -> None:
        decided = gate.decide(evidence(unreachable(), unreachable("n2"), waivers=(waiver("n1"),)))
        assert decided.waived == ("n1",)
        assert [item.node for item in decided.blocked] == ["n2"]

    def test_a_stranger_can_have_one(self) -> None:
        decided = gate.decide(evidence(node(), strangers=(instance("s1"),), waivers=(waiver("s1"),)))
        assert decided.open and decided.waived == ("s1",)

    def test_one_that_ends_while_the_run_lasts_holds_until_its_end(self) -> None:
        """What was done behind the open gate is done."""
        over = replace(waiver("n1"), expires=NOW - MINUTE)
        assert gate.decide(evidence(unreachable(), waivers=(over,))).open

    def test_a_proven_node_does_not_use_it_up(self) -> None:
        assert gate.decide(evidence(node(), waivers=(waiver("n1"),))).passed == ("n1",)


class TestFleet:
    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ({"registry": None}, "the CP's registry was not read"),
            ({"registry": registry(error="HTTP 401")}, "the CP's registry was not read: HTTP 401"),
            ({"registry": registry(complete=False, incomplete_reason="cut")}, "not known to be complete: cut"),
            ({"registry": registry(taken_at=NOW - 16 * MINUTE)}, "read too long ago"),
            ({"active": None}, "the active CA is not known"),
            ({"replicas": ()}, "no replica of the CP was examined"),
            ({"replicas": (replica(listening=False, error="refused"),)}, "replica cp1 does not serve: refused"),
            ({"replicas": (replica(), replica("cp2", active=OLD))}, "replica cp2 is not known to hold the active CA"),
            ({"replicas": (replica(active=None, error="denied"),)}, "not known to hold the active CA: denied"),
        ],
    )
    def test_what_closes_it_for_all(self, more: dict[str, t.Any], why: str) -> None:
        assert why in reasons(**more)

    def test_somebody_still_issues_from_a_legacy_ca(self) -> None:
        late = legacy("n2", leaf_not_before=SWITCHED + 6 * MINUTE)
        assert gate.late_leaves(evidence(node(), late)) == ("n2",)
        assert "somebody still issues from it: n2" in gate.decide(evidence(node(), late)).reasons[0]
        assert gate.late_leaves(evidence(legacy(leaf_not_before=SWITCHED + 4 * MINUTE))) == ()
        assert gate.late_leaves(evidence(late, switched_at=None)) == ()

    def test_a_foreign_leaf_is_not_late(self) -> None:
        foreign = legacy("n2", "unheard of", leaf_not_before=NOW)
        assert gate.late_leaves(evidence(foreign)) == ()


class TestNegativeProof:
    pooled = (replica(pool=[entry(OLD)]),)

    def test_no_strip_without_an_identity_to_prove_it_by(self) -> None:
        assert "quazzar_legacy_probes: 0" in reasons(replicas=self.pooled)
        kept = evidence(node(kept_identity=True), replicas=self.pooled)
        assert gate.decide(kept).open

    @pytest.mark.parametrize(
        "wrong", [{"kept_by": frozenset({OLDER})}, {"kept_by": frozenset()}, {"kept_not_after": NOW}]
    )
    def test_one_of_another_ca_and_one_that_has_expired_prove_nothing(self, wrong: dict[str, t.Any]) -> None:
        found = gate.decide(evidence(node(kept_identity=True, **wrong), replicas=self.pooled))
        says = f"keeps a legacy identity by the CA {OLD[:16]} that has not expired"
        assert not found.open and says in found.reasons[0]

    def test_each_ca_needs_one_of_its_own(self) -> None:
        both = (replica(pool=[entry(OLD), entry(OLDER)]),)
        found = gate.decide(evidence(node(kept_identity=True), replicas=both))
        assert len(found.reasons) == 1 and OLDER[:16] in found.reasons[0]
        other = node("n2", kept_identity=True, kept_by=frozenset({OLDER}))
        assert gate.decide(evidence(node(kept_identity=True), other, replicas=both)).open

    def test_unless_the_operator_wants_none(self) -> None:
        assert reasons(replicas=self.pooled, settings=Settings(legacy_probes=0)) == ""

    def test_where_nothing_is_stripped_nothing_is_to_be_proven(self) -> None:
        assert reasons(replicas=(replica(pool=[entry(OLD, retirable=False)]),)) == ""

    def test_an_expired_ca_cannot_be_proven(self) -> None:
        over = {ACTIVE: ca(ACTIVE), OLD: ca(OLD, until=NOW - DAY)}
        assert reasons(replicas=self.pooled, cas=over) == ""


ONE_WRONG: tuple[dict[str, t.Any], ...] = (
    {"examined": False},
    {"reachable": False},
    {"taken_at": NOW - DAY},
    {"pins": (OLD,)},
    {"leaf_by": frozenset({OLD})},
    {"leaf_not_after": NOW - MINUTE},
    {"to_cp": "refused"},
    {"to_node": "unknown"},
    {"beat": False},
    {"beat": None},
)


@st.composite
def any_evidence(draw: st.DrawFn) -> Evidence:
    """Evidence of any kind, possible or not."""
    keys = st.sampled_from([ACTIVE, OLD, OLDER])
    times = st.sampled_from([None, NOW - 200 * DAY, NOW - 2 * DAY, NOW - 16 * MINUTE, NOW, NOW + 60 * DAY])
    nodes = []
    for number in range(draw(st.integers(0, 3))):
        name = f"n{number}"
        own = tuple(
            instance(
                name,
                id=f"{name}.{n}",
                active=draw(st.booleans()),
                last_seen=draw(times),
                tenant=draw(st.sampled_from("ab")),
            )
            for n in range(draw(st.integers(0, 2)))
        )
        nodes.append(
            Node(
                name,
                examined=draw(st.booleans()),
                reachable=draw(st.booleans()),
                taken_at=draw(times),
                pins=tuple(draw(st.lists(keys, max_size=2))),
                leaf_by=frozenset(draw(st.sets(keys, max_size=2))),
                leaf_error=draw(st.sampled_from(["", "", "unreadable"])),
                leaf_not_before=draw(times),
                leaf_not_after=draw(times),
                to_cp=draw(st.sampled_from(["ok", "ok", "refused", "unknown"])),
                to_node=draw(st.sampled_from(["accepted", "accepted", "refused", "unknown"])),
                agent=draw(st.sampled_from(["connected", "disconnected", "unknown"])),
                beat=draw(st.sampled_from([True, True, False, None])),
                kept_identity=draw(st.booleans()),
                instances=own,
            )
        )
        if draw(st.sampled_from([True, True, False])):
            # Proven but for one thing: a gate that forgets one of its questions shows on these.
            wrong = draw(st.sampled_from([{}, {}, *ONE_WRONG]))
            nodes[-1] = node(name, **{"kept_identity": True, "instances": own or (instance(name),), **wrong})
    names = [n.name for n in nodes] + ["s1"]
    listed = registry(
        taken_at=draw(st.sampled_from([NOW, NOW, NOW - 2 * DAY])), complete=draw(st.sampled_from([True, True, False]))
    )
    return evidence(
        *nodes,
        strangers=(instance("s1"),) if draw(st.booleans()) else (),
        registry=draw(st.sampled_from([listed, listed, None])),
        waivers=tuple(waiver(name) for name in draw(st.sets(st.sampled_from(names), max_size=2))),
        switched_at=draw(times),
        replicas=(replica(pool=draw(st.sampled_from([(), (entry(OLD),)]))),),
    )


def may_be_harmed(found: Node, seen: Evidence) -> bool:
    """The gate's sentence in docs/architecture.md, said once more and in another way."""
    fresh = found.taken_at is not None and seen.now - found.taken_at <= seen.settings.evidence_max_age
    proven = (
        found.examined and found.reachable and fresh and ACTIVE in found.pins and ACTIVE in found.leaf_by
        and not (found.leaf_not_after and found.leaf_not_after < seen.now)
        and found.to_cp == "ok" and found.to_node == "accepted" and found.beat is True
    )  # fmt: skip
    gone = seen.registry is not None and seen.registry.complete and not any(i.active for i in found.instances)
    end = found.leaf_not_after or (seen.switched_at and seen.switched_at + seen.settings.leaf_lifetime)
    over = ACTIVE not in found.leaf_by and end is not None and end + seen.settings.clock_skew < seen.now
    return not (proven or gone or over or found.name in {w.node for w in seen.waivers})


@settings(max_examples=400, deadline=None)
@given(any_evidence())
def test_it_never_opens_while_somebody_may_be_harmed(seen: Evidence) -> None:
    decided = gate.decide(seen)
    named = {item.node for item in decided.blocked} | set(decided.passed) | set(decided.waived)
    assert named == {n.name for n in seen.nodes} | {i.name for i in seen.strangers}, "every name has its answer"
    if not decided.open:
        assert decided.reasons or decided.blocked, "a closed gate says why"
        return
    assert seen.registry is not None and seen.registry.complete and seen.registry.taken_at == NOW
    assert [n.name for n in seen.nodes if may_be_harmed(n, seen)] == []
    strangers = [Node(i.name, instances=(i,)) for i in seen.strangers]
    assert [n.name for n in strangers if may_be_harmed(n, seen)] == []
