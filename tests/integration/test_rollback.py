# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back, rehearsed from every phase of a rotation. No node that was up loses its link by it."""

from __future__ import annotations

import shutil
import time

import pytest
from witness import Witness

from quazzar_lab import lab, pki

pytestmark = pytest.mark.integration


def pins(made) -> set[bytes]:
    return {made.node_file(name, "ca.crt").read_bytes() for name in made.names}


#: Where the controller is lost, what the plan of the way back says, and what it costs in restarts.
PHASES = [
    pytest.param(r"PLAY \[Open \| ", "take its pair away: cp1, cp2", id="staged"),
    pytest.param(r"PLAY \[Activate \| Ask", "take the staged CA out of the pin of 3 nodes", id="taught"),
    pytest.param(r"(?s)PLAY \[Activate \| Make.*PLAY \[Activate \| Make", "the active CA again", id="half active"),
    pytest.param(r"(?s)PLAY \[Activate \| Take.*PLAY \[Move \| Plan", "the active CA again", id="active"),
]


@pytest.mark.long
def test_back_from_every_phase_before_a_node_has_moved(fleet, digest, tmp_path):
    made = fleet(3, "W2")
    old, pools, since = made.active(), made.environments(), time.time()
    witness, cas = Witness(made, tmp_path / "witness", "W2 planned"), {"old": made.pair(1)}
    witness.keep("node01", "minted before", "old")
    named = {"quazzar_replaced_ca": digest(old)}
    for phase in PHASES:
        until, says = phase.values
        play = made.begin("ca_replace", **named)
        play.until(until)
        play.kill()
        assert made.beside(), phase.id
        if phase.id == "active":
            cas["new"] = pki.load_pair(made.certs() / "ca.crt", made.certs() / "ca.key")
            witness.mint(cas["new"], "minted early", "new")
            witness.look("active", " before the way back", **cas)

        before = made.digest()
        run = made.play("rotation_rollback", "--check", "--diff")
        assert run.says(says), phase.id
        assert made.digest() == before, phase.id
        run = made.play("rotation_rollback")
        assert run.report["finished"] and set(run.states.values()) == {"current"}, phase.id
        assert made.active() == old and pins(made) == {old} and made.beside() == set(), phase.id
        assert made.environments() == pools and made.loaded() == {"cp1": [], "cp2": []}, phase.id
        assert made.missed(since) == {}, phase.id

    # the CA that was taken back lets nobody in
    witness.look("before", " after the way back", **cas)
    witness.settle("rollback")
    witness.refused_everywhere("minted early")
    settled = made.digest()
    run = made.play("rotation_rollback")
    assert set(run.changed.values()) == {0} and run.says("Nothing to do.")
    assert made.digest() == settled


def test_once_a_node_has_moved_the_active_ca_stays(fleet, digest, tmp_path):
    made = fleet(3, "W1")
    made.group_vars["all"] |= {"quazzar_batches": [1]}
    old, since = made.active(), time.time()
    named = {"quazzar_replaced_ca": digest(old)}
    play = made.begin("ca_replace", **named)
    play.until(r"1 of 3 nodes done")
    play.kill()
    new = made.active()
    assert new != old and made.beside() == {"previous"}

    # No waiver makes up for what was seen of a node.
    waivers = tmp_path / "waivers.yml"
    waivers.write_text("- {node: node01, reason: flooded, owner: ops, expires: 2099-01-01}\n")
    run = made.play("rotation_rollback", quazzar_waivers_file=str(waivers))
    reason = "the active CA is not replaced by the one before, some nodes would lose their link by that: "
    assert run.says(reason) and run.says("has been registered by another CA; the trust pool is widened instead")
    assert made.active() == new and run.report["finished"]
    assert all(digest(old) in pool for pool in made.loaded().values())
    assert made.missed(since) == {}

    # forward is always open
    run = made.play("ca_replace", **named)
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.beside() == set() and made.loaded() == {"cp1": [], "cp2": []}

    # After the strip: nothing that is known needs the old CA, so it is put back only when it is named.
    run = made.play("rotation_rollback")
    assert set(run.changed.values()) == {0} and made.loaded() == {"cp1": [], "cp2": []}
    run = made.play("rotation_rollback", quazzar_legacy_ca_fingerprints=[digest(old)])
    assert run.report["finished"] and run.report["grace_window"]["open"]
    assert made.loaded() == {"cp1": [digest(old)], "cp2": [digest(old)]}
    assert made.active() == new and made.missed(since) == {}
    run = made.play("grace_close", quazzar_legacy_probes=0)
    assert run.report["finished"] and made.loaded() == {"cp1": [], "cp2": []}
    made.connected()
    assert made.missed(since) == {}


def test_after_the_strip_a_node_that_was_left_behind_is_let_in_again(fleet, tmp_path):
    made = fleet(3, "W4")
    waivers = tmp_path / "waivers.yml"
    waivers.write_text("- {node: node03, reason: in storage, owner: ops, expires: 2099-01-01}\n")
    made.group_vars["all"] |= {"quazzar_waivers_file": str(waivers)}
    made.accident()
    made.power_off("node03")
    run = made.play("ca_rotate")
    assert run.report["finished"] and run.states["node03"] == "unreachable"
    made.power_on("node03")
    made.disconnected("node03")

    run = made.play("rotation_rollback", quazzar_legacy_ca_fingerprints=[made.cas()[0]["sha256"]])
    assert run.report["finished"] and run.states["node03"] in {"legacy", "bridged"}
    made.connected()
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}


def test_a_window_that_nodes_live_on_is_closed_only_by_who_lets_them_go(fleet, tmp_path):
    """No node has moved, and the pair before is not at hand: what the runbook says of the way back."""
    made = fleet(2, "W4", replicas=1)
    made.accident()
    run = made.play("grace_open")
    assert run.report["finished"]
    made.connected()
    since, pools = time.time(), made.environments()

    run = made.play("rotation_rollback")
    assert run.report["finished"] and run.says("Nothing to do.") and run.report["grace_window"]["open"]
    run = made.play("grace_close", status=2)
    assert {entry["reason"] for entry in run.blocked.values()} == {"its leaf is not by the active CA"}
    assert made.environments() == pools and made.missed(since) == {}

    waivers = tmp_path / "waivers.yml"
    waivers.write_text("".join(f"- {{node: {n}, reason: x, owner: ops, expires: 2099-01-01}}\n" for n in made.names))
    run = made.play("grace_close", quazzar_waivers_file=str(waivers), quazzar_legacy_probes=0)
    assert run.says("node01, node02 without a link (the CP refuses the node) until rescued: a waiver lets the strip go")
    assert run.report["finished"] and made.loaded() == {"cp1": []}
    made.disconnected()
    run = made.play("nodes_rescue")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    made.connected()


def test_an_accident_is_undone_when_the_pair_is_at_hand_and_no_node_has_moved(fleet):
    made = fleet(3, "W2")
    old, pools = made.active(), made.environments()
    backup = lab.backup_ca(str(made.dir), "")
    made.accident()
    made.disconnected()
    previous = made.layout.cp / "previous"
    previous.mkdir(mode=0o700)
    for path in backup:
        shutil.copy2(path, previous)

    tokens, since = made.tokens(), time.time()
    run = made.play("rotation_rollback")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.active() == old and pins(made) == {old} and made.beside() == set()
    assert made.environments() == pools and made.tokens() == tokens
    made.connected()
    assert made.missed(since) == {}
