# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job: the CA's volume was lost, and 24 nodes move to the new CA. Once in each world that there is."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

NODES = 24
PROMISES = {
    "W1": "World W1: the CP serves from a legacy CA. Phase: drifted.",
    "W2": "World W2: the CP serves from the active CA. Phase: drifted.",
    "W3": "World W3: the CP serves from a CA outside of the rotation. Phase: drifted.",
    "W4": "World W4: the CP serves a bridged chain, valid under the legacy and the active CA. Phase: drifted.",
}


@pytest.mark.parametrize("world", ["W1", "W2", "W3", "W4"])
def test_the_accident_with_24_nodes(fleet, world):
    made = fleet(NODES, world, heartbeat=2)
    made.accident()
    made.disconnected()
    before, pools, tokens = made.digest(), made.environments(), made.tokens()

    # --check --diff shows the true plan and changes nothing
    checked = made.play("ca_rotate", "--check", "--diff")
    assert made.digest() == before
    assert made.tokens() == tokens
    assert checked.says(PROMISES[world])
    assert checked.says("1. place the legacy CA CN=Quazzar Control Center CA")
    assert checked.says("open the grace window, one replica at a time: cp1, cp2")
    assert checked.says(f"re-register {NODES} nodes; node01, node02 keep a copy for the negative proof")
    assert checked.says("when the gate opens, close the grace window again")
    assert checked.says("+CC_TRUST_ADDITIONAL_CA_CERTS=")
    assert made.loaded() == {"cp1": [], "cp2": []}

    # the rotation
    run = made.play("ca_rotate")
    assert set(run.states.values()) == {"current"} and len(run.states) == NODES
    assert run.report["finished"] and run.report["gate"]["open"]
    # W1 by the flip; of a bridged chain only the active CA still leads anywhere
    assert run.report["world"] == ("W3" if world == "W3" else "W2")
    proofs = {(proof["node"], proof["replica"], proof["after"]) for proof in run.report["negative_proof"]}
    assert proofs == {(node, cp, "refused") for node in ("node01", "node02") for cp in ("cp1", "cp2")}
    assert len(run.batches) == 6  # 1, 5 % (1), then 25 % (6) until all are done
    assert run.batches[-1].startswith(f"{NODES} of {NODES} nodes done, 0 left, 0 failed, ")
    assert run.says(f"Fleet: {NODES} nodes: {NODES} current.") and run.says("Finished.")

    # nothing of it stays behind
    assert made.environments() == pools
    assert made.loaded() == {"cp1": [], "cp2": []}
    assert {made.node_file(name, "ca.crt").read_bytes() for name in made.names} == {made.pair(2).pem}
    assert not list(made.layout.nodes.glob("*/var/lib/quazzar/rotation-probe/*"))

    # No beat was lost from the moment on at which every replica had the window open (or, for a node without a link
    # until then, from its first beat on). Boots: the first start, the accident, then the opening.
    opened = max(made.boots(name)[2] for name in ("cp1", "cp2"))
    made.connected()
    assert made.missed(opened) == {}

    # again: nothing to do
    restarts, settled = [made.boots(name) for name in ("cp1", "cp2")], made.digest()
    again = made.play("ca_rotate")
    assert set(again.changed.values()) == {0}
    assert again.says("Nothing to do.") and again.says("Phase: finished.")
    assert made.digest() == settled
    assert [made.boots(name) for name in ("cp1", "cp2")] == restarts
    assert made.missed(opened) == {}
