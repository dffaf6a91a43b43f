# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that missed the window come back over their own connection, each proven; the CP is not touched."""

from __future__ import annotations

import pytest

from quazzar_lab import lab, pki

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("world", ["W2", pytest.param("W4", marks=pytest.mark.nightly)])
def test_nodes_that_missed_the_window(fleet, world):
    made = fleet(4, world, replicas=1)
    made.accident()
    made.disconnected()
    files = made.environments()
    # node01's certificate has expired, too; node02 has missed the rotation before this one as well; and node03's files
    # do not show to whom it belongs
    mint, older = pki.make_ca, pki.make_ca("Quazzar Control Center CA")
    for name, signer, pinned, age in (
        ("node01", made.pair(1), made.pair(1), 7776000 + 3600),
        ("node02", older, older, 0),
        ("node03", mint("One CA"), mint("Another CA"), 0),
    ):
        key = pki.load_key(made.node_file(name, "client.key").read_bytes())
        leaf = pki.issue(signer, name, key.public_key(), backdate=age)
        made.node_file(name, "client.crt").write_bytes(pki.pem(leaf))
        made.node_file(name, "ca.crt").write_bytes(pinned.pem)

    before = made.digest()
    run = made.play("nodes_rescue", "--check", "--diff", status=None)
    assert run.says("1. re-register 3 nodes") and made.digest() == before
    run = made.play("nodes_rescue", status=2)
    assert {name for name, state in run.states.items() if state == "foreign"} == {"node03"}
    assert {run.states[name] for name in ("node01", "node02", "node04")} == {"current"}
    assert [reason.split(",")[0] for reason in run.report["unfinished"]] == ["node03: foreign"]
    assert run.batches[-1].startswith("3 of 3 nodes done, 0 left, 0 failed")

    # whose CA nobody knows is left alone until its operator names it
    run = made.play("nodes_rescue", quazzar_rescue_nodes=["node03"])
    assert run.report["finished"] and run.batches[-1].startswith("1 of 1 nodes done, 0 left, 0 failed")
    made.connected()
    # the CP was not touched: its first start, and the one of the accident
    assert len(made.boots("cp1")) == 2 and made.environments() == files and made.loaded() == {"cp1": []}

    # again: nothing to do; a name that is no host of the fleet is refused
    run = made.play("nodes_rescue")
    assert set(run.changed.values()) == {0} and run.says("Nothing to do.")
    run = made.play("nodes_rescue", status=2, quazzar_rescue_nodes=["node99"])
    assert run.says("quazzar_rescue_nodes names node99, which is no host of quazzar_nodes")


def test_a_node_that_was_off_during_the_whole_rotation(fleet):
    made = fleet(3, "W2")
    made.accident()
    made.power_off("node03")
    waivers = made.work / "waivers.yml"
    waivers.write_text("[{node: node03, reason: in the workshop, owner: Jo, expires: 2999-01-01}]", encoding="utf-8")
    run = made.play("ca_rotate", quazzar_waivers_file=str(waivers))
    assert run.report["finished"] and made.loaded() == {"cp1": [], "cp2": []}
    assert run.says("Waiver: node03 until 2999-01-01T23:59:59Z, in the workshop (Jo)")
    assert run.states == {"node01": "current", "node02": "current", "node03": "unreachable"}

    # Alone it is no quorum for its CA, but that CA still lies beside the CP: it is of this fleet.
    made.power_on("node03")
    made.until(lambda: made.links()["node03"]["up"], "node03")
    run = made.play("nodes_rescue")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert run.batches[-1].startswith("1 of 1 nodes done") and made.loaded() == {"cp1": [], "cp2": []}
    made.connected()


def test_rescue_while_the_control_panel_serves_from_the_legacy_ca(fleet):
    """World W1 without a window: whoever is registered pins both CAs until the server certificate is renewed."""
    made = fleet(3, "W1")
    pools = made.environments()
    made.accident()
    made.disconnected()
    run = made.play("nodes_rescue")
    assert run.report["finished"] and set(run.states.values()) == {"bridged"}
    made.connected()
    assert made.environments() == pools

    # No leaf proves the legacy CA any more, but the CP is verified by it: no pin may lose it before the flip.
    run = made.play("ca_rotate")
    assert set(run.states.values()) == {"bridged"} and set(run.changed.values()) == {0}
    assert run.says(
        "the CP serves from a CA that nothing here proves, and nodes take it by their pin: renew the server"
    )
    made.connected()
    for replica in ("cp1", "cp2"):
        lab.flip(str(made.dir), replica)
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"} and run.report["world"] == "W2"
