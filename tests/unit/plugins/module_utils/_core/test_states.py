# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import states
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Claim, Node
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import (
    ACTIVE,
    DAY,
    NOW,
    OLD,
    OVER,
    PLANTED,
    ca,
    evidence,
    legacy,
    node,
    replica,
    unreachable,
)

PLANT = Claim(PLANTED, PLANTED, "n1's pin", ("it signed one leaf only",))


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (node(), "current"),
        (node(pins=(ACTIVE, OLD)), "bridged"),
        (legacy(pins=(ACTIVE, OLD)), "bridged"),
        (legacy(), "legacy"),
        (node(pins=(OLD,)), "split"),
        (legacy(pins=(ACTIVE,)), "split"),
        (node(pins=(), pin_error="/x: empty"), "split"),
        (legacy(to_node="refused", beat=False), "stranded"),
        (node(beat=False), "stranded"),
        (node(beat=None), "stranded"),
        (node(to_cp="unknown"), "stranded"),
        (node(pins=(PLANTED,), leaf_by=frozenset({PLANTED})), "foreign"),
        (node(pins=(), leaf_by=frozenset()), "foreign"),
        (node(leaf_not_after=NOW - DAY), "expired"),
        (legacy(leaf_not_after=NOW - DAY), "expired"),
        (node(leaf_by=frozenset(), leaf_error="/x: no such file"), "unregistered"),
        (unreachable(), "unreachable"),
        (Node("n1"), "unreachable"),
    ],
)
def test_the_state_of_a_node(found: Node, state: str) -> None:
    seen = states.state(found, evidence(found, claims=(PLANT,)))
    assert seen.name == state
    assert seen.name in states.STATES
    assert bool(seen.reason) is (state != "current")


def test_whoever_trusts_a_staged_ca_is_ahead_as_long_as_its_link_is_up() -> None:
    taught = node(pins=(ACTIVE, OLD))
    staged = (replica(staged=OLD),)
    assert states.state(taught, evidence(taught, replicas=staged)).name == "ahead"
    assert states.state(node(), evidence(node(), replicas=staged)).name == "current"
    dead = node(pins=(ACTIVE, OLD), beat=False)
    assert states.state(dead, evidence(dead, replicas=staged)).name == "stranded"
    # once it is active it is staged no more, whatever still lies there
    assert states.state(taught, evidence(taught, replicas=(replica(staged=ACTIVE),))).name == "bridged"


def test_nobody_reads_current_on_a_dead_link() -> None:
    found = node(to_cp="refused", to_cp_detail="unable to get local issuer", beat=False)
    seen = states.state(found, evidence(found))
    assert seen.name == "stranded"
    assert seen.reason == "refuses the CP's server certificate (unable to get local issuer)"
    assert "the CP's log" in seen.remedy


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (node(), ""),
        (
            node(to_cp="refused", to_cp_detail="a", to_node="refused", to_node_detail="b"),
            "refuses the CP (a) and is refused by it (b)",
        ),
        (node(to_node="refused", to_node_detail="alert 42"), "is refused by the CP (alert 42)"),
        (
            node(to_cp="unknown", to_cp_detail="connection timed out"),
            "the handshake proves nothing (connection timed out)",
        ),
        (node(to_node="unknown"), "the handshake proves nothing (no answer)"),
    ],
)
def test_the_reason_names_the_direction_that_fails(found: Node, reason: str) -> None:
    assert states.link_reason(found) == reason


def test_files_that_verify_prove_no_agent() -> None:
    for beat, word in ((False, "has not reached the CP"), (None, "nothing shows whether")):
        reason = states.link_reason(node(beat=beat))
        assert word in reason and reason.endswith("not proven")
        assert node(beat=beat).handshake_up and not node(beat=beat).up
    seen = states.state(node(beat=False), evidence(node(beat=False)))
    assert "restart its agent" in seen.remedy


def test_a_pin_of_ours_makes_a_node_ours() -> None:
    seen = evidence(claims=(PLANT,))
    assert states.is_foreign(node(pins=(PLANTED,), leaf_by=frozenset({PLANTED})), seen)
    assert not states.is_foreign(node(pins=(PLANTED, OLD), leaf_by=frozenset({PLANTED})), seen)


def test_an_expired_ca_of_ours_makes_nobody_foreign() -> None:
    over = Claim(OVER, OVER, "backup", ("it expired on 2026-05-03",), outdated=True)
    seen = evidence(claims=(over,), cas={ACTIVE: ca(ACTIVE), OVER: ca(OVER, until=NOW - DAY)})
    assert not states.is_foreign(legacy("n1", OVER), seen)
    unproven = replace(seen, claims=(replace(over, outdated=False, refusals=(*over.refusals, "nobody's")),))
    assert states.is_foreign(legacy("n1", OVER), unproven)


def test_a_node_outside_of_the_limit_is_not_blamed() -> None:
    seen = states.state(Node("n1"), evidence(Node("n1")))
    assert (seen.reason, "without a limit" in seen.remedy) == ("not examined in this run", True)
