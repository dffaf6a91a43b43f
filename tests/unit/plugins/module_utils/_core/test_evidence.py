# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import timedelta

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Claim
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import (
    ACTIVE,
    DAY,
    NOW,
    OLD,
    OLDER,
    OVER,
    THEIRS,
    ca,
    entry,
    evidence,
    instance,
    node,
    replica,
)

REFUSED = ("it signed no leaf",)


def test_only_both_directions_and_a_heartbeat_are_up() -> None:
    assert node().up
    assert not node(to_cp="refused").up
    assert not node(to_node="unknown").up
    assert not node(beat=None).up


def test_the_latest_of_its_instances_is_the_last_sign_of_life() -> None:
    two = (instance("n1", last_seen=NOW - DAY), instance("n1", last_seen=NOW), instance("n1", last_seen=None))
    assert node(instances=two).last_seen == NOW
    assert node(instances=()).last_seen is None


def test_the_active_ca_in_the_pool_is_no_legacy_ca() -> None:
    seen = evidence(replicas=(replica(pool=[entry(ACTIVE), entry(OLD)]),))
    assert seen.pool_keys == {OLD}
    assert seen.trusted_legacy == {OLD}


def test_what_a_claim_is_worth() -> None:
    seen = evidence(claims=(Claim(OLD, OLD, "a"), Claim(OLDER, OLDER, "b", REFUSED)))
    assert (seen.accepted, seen.refused, seen.trusted_legacy) == ({OLD}, {OLDER}, {OLD})
    pooled = evidence(claims=(Claim(OLDER, OLDER, "b", REFUSED),), replicas=(replica(pool=[entry(OLDER)]),))
    assert pooled.refused == frozenset(), "whoever runs the CP has decided on that one"


def test_an_expired_ca_is_trusted_for_nothing() -> None:
    over = {OVER: ca(OVER, until=NOW - timedelta(seconds=1)), THEIRS: ca(THEIRS, until=NOW - DAY)}
    claim = Claim(OVER, OVER, "backup", ("it expired on 2026-05-03",), outdated=True)
    seen = evidence(cas=over, claims=(claim,))
    assert (seen.trusted_legacy, seen.outdated, seen.unproven) == (frozenset(), {OVER}, frozenset())
    pooled = evidence(cas=over, replicas=(replica(pool=[entry(OVER)]),))
    assert (pooled.trusted_legacy, pooled.outdated) == (frozenset(), {OVER})


def test_a_pool_is_read_with_what_is_ours_in_it() -> None:
    theirs = entry(THEIRS, retirable=False)
    one = replica(pool=[theirs, entry(OLD)])
    assert one.pool_keys == {THEIRS, OLD}
    assert [item.keys for item in one.retirable] == [(OLD,)]
    assert one.expected_cas == 3
    assert replica(pool=[theirs], advertised=3).stale_reason == "expected the listener to advertise 2 CA names, found 3"
