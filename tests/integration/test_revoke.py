# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CA whose key is in wrong hands: nothing trusts it any more, whoever loses a link by it, and every node is moved."""

from __future__ import annotations

import pytest
from witness import Witness

from quazzar_lab import lab, pki

pytestmark = pytest.mark.integration


def test_a_compromised_ca_is_trusted_by_nothing_any_more(fleet, tmp_path):
    made = fleet(4, "W1", options=["token_revoke_path=/api/fleet/tokens/{id}"])
    pools, witness = made.environments(), Witness(made, tmp_path / "witness", "W1")
    witness.keep("node01", "minted before", "old")
    witness.mint(pki.make_ca(), "stranger", "outside")
    made.accident()
    made.play("grace_open")
    made.connected()
    old = made.cas()[0]["sha256"]
    before = made.digest()

    # it has to be named, and --check names whose link it takes
    run = made.play("ca_revoke", status=2)
    assert run.says("no CA is named to be revoked: set quazzar_compromised_cas to the SHA-256 of its certificate")
    run = made.play("ca_revoke", "--check", "--diff", quazzar_compromised_cas=[old])
    assert run.says("1. take the compromised CA out of the trust pool, without asking the gate: cp1, cp2")
    cost = "node01, node02, node03, node04 without a link (the CP refuses the node) until re-registered"
    assert run.says(f"Damage: taking the CA out of the trust pool: {cost}")
    assert made.digest() == before

    # one node is down, and who revokes the tokens is open
    cas = {"old": made.pair(1), "new": made.pair(2)}
    witness.mint(made.pair(1), "forged", "old")  # by whoever has the key
    witness.look("window", " before the revocation", **cas)
    made.power_off("node04")
    stolen = {"quazzar_compromised_cas": [old], "quazzar_compromised_at": "2020-01-01T00:00:00Z"}
    run = made.play("ca_revoke", status=2, **stolen)
    assert made.loaded() == {"cp1": [], "cp2": []} and made.environments() == pools
    assert run.states == dict.fromkeys(["node01", "node02", "node03"], "current") | {"node04": "unreachable"}
    assert run.batches[-1].startswith("3 of 3 nodes done, 0 left, 0 failed") and len(run.batches) == 1
    revocation = run.report["revocation"]
    assert sorted(revocation["untrusted"]) == ["cp1", "cp2"] and 0 < revocation["seconds_to_untrust"] < run.seconds
    seconds = revocation["seconds_to_untrust"]
    assert run.says(f"Time to untrust, until the last replica refused it: {seconds} s from the start of the run.")
    assert [leaf["node"] for leaf in revocation["suspicious_leaves"]] == made.names[:3]
    assert revocation["pinned_by"] == [] and run.says("Its pins: not known of node04.")
    proofs = {(proof["replica"], proof["accepted_before"], proof["after"]) for proof in run.report["negative_proof"]}
    assert proofs == {("cp1", True, "refused"), ("cp2", True, "refused")}
    assert {proof["node"] for proof in run.report["negative_proof"]} == {"node01", "node02"}
    assert revocation["tokens"] == "open" and run.says("revoke every open registration token in the Control Panel")
    assert {name: made.node_file(name, "ca.crt").read_bytes() for name in made.names[:3]} == dict.fromkeys(
        made.names[:3], made.pair(2).pem
    )
    assert not list(made.layout.nodes.glob("*/var/lib/quazzar/rotation-probe/*"))
    made.connected("node01", "node02", "node03")
    witness.keep("node01", "minted after", "new")
    witness.look("strip", " after the revocation", **cas)
    witness.settle("revocation")
    for identity in ("minted before", "forged"):
        witness.refused_everywhere(identity)

    # whatever is run later knows that it is revoked, by the mark beside the CP
    for playbook in ("ca_rotate", "grace_open", "rotation_rollback"):
        made.play(playbook, status=None)
        assert made.loaded() == {"cp1": [], "cp2": []} and made.environments() == pools, playbook

    # it is back: moved by the next run, which revokes the tokens that are named
    made.power_on("node04")
    token = lab.mint_token(str(made.dir), tenant="", expires_in=None, uses=1)
    made.group_vars["all"]["quazzar_cp_token_revoke_request"] = {"method": "DELETE", "path": "fleet/tokens/{id}"}
    run = made.play("ca_revoke", quazzar_revoke_token_ids=[token["id"]], **stolen)
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert run.report["revocation"]["tokens"] == "revoked"
    assert run.says(f"Registration tokens: revoked by request, {token['id']}; any other is as good as before.")
    assert 0 < run.report["revocation"]["seconds_to_unpinned"] < run.seconds
    assert [row["revoked"] for row in made.tokens() if row["id"] == token["id"]] == [1]
    made.connected()

    # again: nothing to do
    run = made.play("ca_revoke", quazzar_tokens_revoked=True, **stolen)
    assert set(run.changed.values()) == {0} and run.says("Nothing to do.") and run.report["finished"]
    assert run.report["revocation"]["tokens"] == "confirmed"


def test_the_active_ca_is_compromised(fleet, digest):
    made = fleet(3, "W2")
    pools, old = made.environments(), made.cas()[0]["sha256"]
    stolen = {"quazzar_compromised_cas": [old], "quazzar_tokens_revoked": True}
    before = made.digest()
    run = made.play("drift_report", **stolen)
    assert run.says(f"the CA {old[:16]} is compromised, and replica cp1 signs with it: run ca_revoke, which ends that")
    run = made.play("ca_revoke", "--check", status=None, **stolen)
    assert run.says("1. have the pair of another CA beside the compromised one: cp1, cp2")
    cost = "node01, node02, node03 without a link (the CP refuses the node) until re-registered"
    assert run.says(f"Damage: making the new CA active: {cost}")
    assert made.digest() == before

    # cp2 does not come up with the new pair: it is left down, not put back
    made.fault("cp2", "no-boot", count=1)
    run = made.play("ca_revoke", status=2, **stolen)
    assert run.says("The CA before is compromised, so it was not put back on cp2.")
    assert digest(made.active("cp2")) != old and made.environments() == pools

    lab.restart(str(made.dir), "cp2")
    run = made.play("ca_revoke", **stolen)
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.environments() == pools and made.beside() == set() and digest(made.active()) != old
    assert sorted(run.report["revocation"]["untrusted"]) == ["cp1", "cp2"]
    assert all(made.node_file(name, "ca.crt").read_bytes() == made.active() for name in made.names)
    made.connected()

    # no second CA is made, also when it is not named again
    active = made.active()
    run = made.play("ca_revoke", **stolen)
    assert set(run.changed.values()) == {0} and run.says("Nothing to do.") and made.active() == active
    run = made.play("rotation_rollback", status=None)
    assert made.active() == active and made.environments() == pools


def test_a_replica_that_does_not_come_up_without_it_is_left_without_it(fleet):
    made = fleet(2, "W2")
    pools = made.environments()
    made.accident()
    made.play("grace_open")
    opened = made.environments()
    made.fault("cp1", "no-boot", count=1)
    run = made.play("ca_revoke", status=2, quazzar_compromised_cas=[made.cas()[0]["sha256"]])
    assert run.says("The compromised CA was not put back; replicas after cp1 were not touched and may still trust it.")
    assert made.environments() == {"cp1": pools["cp1"], "cp2": opened["cp2"]}
    assert run.batches == [] and any("cp2: the compromised CA is still in the" in r for r in run.report["unfinished"])

    lab.restart(str(made.dir), "cp1")
    run = made.play("ca_revoke", quazzar_compromised_cas=[made.cas()[0]["sha256"]], quazzar_tokens_revoked=True)
    assert run.report["finished"] and made.environments() == pools
    # by then cp1 had refused it without anybody having seen that it ever accepted it
    proofs = {(proof["replica"], proof["accepted_before"], proof["after"]) for proof in run.report["negative_proof"]}
    assert proofs == {("cp1", False, "refused"), ("cp2", True, "refused")}
    assert run.says("; that it was accepted before was not shown")
    made.connected()
