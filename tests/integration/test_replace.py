# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A planned rotation: the active CA is replaced by a new one, and not one heartbeat is missed on the way."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from witness import Witness

from quazzar_lab import pki

pytestmark = pytest.mark.integration

#: In a run's output: the new CA is active, both are trusted, and no node has moved.
ACTIVE = r"(?s)PLAY \[Activate \| Take.*PLAY \[Move \| Plan"


def key_lines(*paths: Path) -> list[str]:
    return [line for path in paths for line in path.read_text().splitlines() if line and not line.startswith("-----")]


@pytest.mark.parametrize("world", ["W1", "W2", "W4"])
def test_a_planned_rotation_misses_no_heartbeat(fleet, world, digest, tmp_path):
    # In W1 a registration writes a pin that is right only a fifth of a second later: no beat of two seconds sees it.
    made = fleet(4, world, heartbeat=2 if world == "W1" else 0.5)
    old, pools, before, since = made.active(), made.environments(), made.digest(), time.time()
    named = {"quazzar_replaced_ca": digest(old)}
    witness, cas = Witness(made, tmp_path / "witness", f"{world} planned"), {"old": made.pair(1)}
    witness.keep("node01", "minted before", "old")

    checked = made.play("ca_replace", "--check", "--diff", **named)
    assert made.digest() == before and made.loaded() == {"cp1": [], "cp2": []}
    for step in (
        "Phase: staging.",
        "1. have the pair of the new CA beside the active one: cp1, cp2",
        "2. trust the new CA and the one before in the pool, one replica at a time: cp1, cp2",
        "3. teach every node to trust both CAs, each proven by its heartbeat",
        "4. go on only when every node has its link and would take a server certificate by the new CA",
        "5. make the new CA the active one, one replica at a time: cp1, cp2",
        "6. re-register 4 nodes, prove, close the window behind the gate, narrow the pins",
    ):
        assert checked.says(step), step

    play = made.begin("ca_replace", **named)
    play.until(ACTIVE)
    with play.paused():
        cas["new"] = pki.load_pair(made.certs() / "ca.crt", made.certs() / "ca.key")
        witness.mint(cas["new"], "minted early", "new")
        witness.look("active", **cas)
    run = play.finish()
    assert run.status == 0, run.tail
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert run.report["replacement"]["phase"] == "finished"
    new = made.active()
    assert new != old and made.active("cp2") == new
    assert {made.node_file(name, "ca.crt").read_bytes() for name in made.names} == {new}
    assert {proof["after"] for proof in run.report["negative_proof"]} == {"refused"}
    # nothing of it stays behind, and no word of a key was said
    assert made.environments() == pools and made.beside() == set()
    said = run.output + "".join(path.read_text() for path in made.reports())
    assert [line for line in key_lines(made.certs() / "ca.key", made.layout.hidden / "ca-1.key") if line in said] == []
    made.connected()
    assert made.missed(since) == {}
    witness.look("strip", **cas)
    witness.settle(f"{world}-planned-run")
    witness.refused_everywhere("minted before")
    # In W4 the bridge that the run has made let who pins one CA alone, whichever, verify every replica meanwhile.
    assert (made.layout.cp / "bridge/bridge.crt").exists() == (world == "W4")
    alone = [c for c in witness.found[0].cells if c.identity == "minted before" and c.pin == "old"]
    assert {cell.found.word for cell in alone} == {"node refuses" if world == "W2" else "up"}

    # again: nothing to do, and nothing is begun anew
    settled = made.digest()
    again = made.play("ca_replace", **named)
    assert set(again.changed.values()) == {0} and again.says("Nothing to do.") and again.report["finished"]
    assert made.digest() == settled
    assert made.missed(since) == {}


def test_what_must_not_begin_and_what_waits(fleet, tmp_path, digest):
    made = fleet(3, "W2", options=["certs_volume=own"])
    made.copy_ca_to_cp2()
    old, since = made.active(), time.time()

    # the CA has to be named, and known
    run = made.play("ca_replace", status=2)
    assert run.says(
        "no CA is named to be replaced: set quazzar_replaced_ca to the SHA-256 of its certificate (the active"
    )
    run = made.play("ca_replace", status=2, quazzar_replaced_ca="ab" * 32)
    assert run.says(f"quazzar_replaced_ca names {'ab' * 32}, which is neither the active CA ({digest(old)}) nor one")
    assert made.beside() == set() and made.loaded() == {"cp1": [], "cp2": []}

    # a node is off: everything is made ready, and the new CA waits for it
    named = {"quazzar_replaced_ca": digest(old)}
    made.power_off("node03")
    run = made.play("ca_replace", status=2, **named)
    assert run.says("Not ready: the active CA stays, because some node could lose its link.")
    assert run.report["replacement"]["phase"] == "ready to activate" and not run.report["replacement"]["ready"]
    assert [item["node"] for item in run.report["replacement"]["blocked"]] == ["node03"]
    assert made.active() == old == made.active("cp2") and made.beside() == {"staged-cp1", "staged-cp2"}
    staged = (made.layout.cp / "staged-cp1/ca.crt").read_bytes()
    assert (made.layout.cp / "staged-cp2/ca.key").read_bytes() == (made.layout.cp / "staged-cp1/ca.key").read_bytes()
    assert all(sorted(pool) == sorted([digest(old), digest(staged)]) for pool in made.loaded().values())
    # the canary keeps the order that was tried on it
    assert made.node_file("node01", "ca.crt").read_bytes() == staged + old
    assert made.node_file("node02", "ca.crt").read_bytes() == old + staged
    assert run.states == {"node01": "ahead", "node02": "ahead", "node03": "unreachable"}

    # meanwhile nothing else may close the window under it
    run = made.play("ca_rotate", status=2)
    assert run.says(f"a planned rotation is under way, the CA {digest(staged)[:16]} is staged on cp1, cp2: go on with")
    run = made.play("drift_report")
    assert run.says("2 ahead") and run.report["replacement"]["staged"] == digest(staged)

    # it is back: the same CA, no second one
    made.power_on("node03")
    made.connected()
    back = time.time()
    run = made.play("ca_replace", **named)
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.active() == staged == made.active("cp2") and made.beside() == set()
    assert {name: beats for name, beats in made.missed(since).items() if name != "node03"} == {}
    assert made.missed(back) == {}


def test_a_replica_that_does_not_come_up_with_the_new_ca_gets_the_old_one_back(fleet, digest):
    made = fleet(3, "W2")
    made.group_vars["all"] |= {"quazzar_cp_ready_timeout": 4}
    old, since = made.active(), time.time()
    named = {"quazzar_replaced_ca": digest(old)}
    play = made.begin("ca_replace", **named)
    play.until(r"PLAY \[Activate \| Ask")
    made.fault("cp1", "no-boot", count=1)
    run = play.finish()
    assert run.status == 2
    assert run.says("The CA of cp1 was put back as it was, and the CP restarted.")
    assert made.active() == old and made.boots("cp2")[2:] == []
    made.connected()

    made.clear()
    run = made.play("ca_replace", **named)
    assert run.report["finished"] and made.active() != old
    assert made.missed(since) == {}


def test_agents_that_take_no_bundle_are_not_cut_off_unasked(fleet, digest):
    made = fleet(3, "W2", options=["bundle=first"])
    old, pins = made.active(), {name: made.node_file(name, "ca.crt").read_bytes() for name in made.names}
    named = {"quazzar_replaced_ca": digest(old)}
    run = made.play("ca_replace", status=2, **named)
    assert run.says("the agents do not take a bundle, so they cannot trust the staged CA beside the active one")
    assert made.active() == old and pins == {name: made.node_file(name, "ca.crt").read_bytes() for name in made.names}

    # the operator accepts it, and is told whom it costs
    run = made.play("ca_replace", quazzar_pin_bundle="never", **named)
    cost = "node01, node02, node03 without a link (the node refuses the CP) until re-registered"
    assert run.says(f"Damage: making the new CA active: {cost}")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    made.connected()


def test_the_operators_own_pair_out_of_a_vault(fleet, digest, tmp_path):
    made = fleet(1, "W2", replicas=1)
    old, mine, secret = made.active(), pki.make_ca("Vendor CA"), tmp_path / "vault-password"
    secret.write_text("right and long enough\n")
    made._environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(secret)
    file = tmp_path / "next.vault"
    named = {"quazzar_replaced_ca": digest(old), "quazzar_new_ca_file": str(file)}

    def encrypted(pair: pki.Pair) -> None:
        file.write_bytes(pair.pem + pki.key_pem(pair.key))
        subprocess.run(["ansible-vault", "encrypt", str(file)], env=made._environment, check=True, capture_output=True)

    # in the clear, and a CA that is about to expire
    file.write_bytes(mine.pem + pki.key_pem(mine.key))
    run = made.play("ca_replace", status=2, **named)
    assert run.says("it is not encrypted: run ansible-vault encrypt on it, a CA key does not lie in the clear")
    assert made.active() == old and made.beside() == set() and made.loaded() == {"cp1": []}
    encrypted(pki.make_ca("Vendor CA", lifetime=24 * 3600.0))
    run = made.play("ca_replace", status=2, **named)
    assert run.says("before leaves that it would sign now")
    assert made.active() == old and made.beside() == set() and made.loaded() == {"cp1": []}

    encrypted(mine)
    play = made.begin("ca_replace", **named)
    play.until(r"PLAY \[Open \| ")
    play.kill()
    staged = made.layout.cp / "staged"
    assert (staged / "ca.crt").read_bytes() == mine.pem and made.active() == old
    assert pki.load_pair(staged / "ca.crt", staged / "ca.key").key.private_numbers() == mine.key.private_numbers()
