# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agents that do not do what their files say: disk is not memory, and the heartbeat decides."""

from __future__ import annotations

import shlex
import sys

import pytest

from quazzar_lab import lab as lab_module

pytestmark = pytest.mark.integration

LAB_HOME = lab_module.inventory.PACKAGE_PARENT
NO_BUNDLE = (
    "the agents do not take a bundle, and the CP serves from the legacy CA: every node would lose its link at its"
    " registration until the server certificate flips; set quazzar_pin_bundle: never to accept that"
)
SILENT = "its files verify, but its agent's heartbeat has not reached the CP: not proven"


def restart_command(made) -> str:
    """How an operator's inventory restarts the agent of a node."""
    python, home, directory = (shlex.quote(str(word)) for word in (sys.executable, LAB_HOME, made.dir))
    return f"env PYTHONPATH={home} {python} -m quazzar_lab restart-agent {{{{ inventory_hostname }}}} --dir {directory}"


@pytest.mark.parametrize("agent", ["bundle=refuse", "bundle=first"])
def test_w1_stops_where_the_canary_takes_no_bundle(fleet, agent):
    made = fleet(3, "W1", options=[agent])
    made.accident()
    pins = [made.node_file(name, "ca.crt").read_bytes() for name in made.names]

    run = made.play("ca_rotate", status=2)
    assert NO_BUNDLE in run.report["unfinished"] and run.says(f"Not finished: {NO_BUNDLE}")
    assert run.batches == []
    # the canary has its own pin and its link again, nobody was registered, the window is open for whoever needs it
    assert [made.node_file(name, "ca.crt").read_bytes() for name in made.names] == pins
    made.connected()
    assert run.states["node02"] == run.states["node03"] == "legacy"
    assert len(made.loaded()["cp1"]) == len(made.loaded()["cp2"]) == 1

    # whoever accepts the loss has the certificate renewed first, so that every registration is proven at once
    run = made.play("ca_rotate", quazzar_pin_bundle="never")
    assert run.says("1. renew the server certificate from the active CA: cp1, cp2; every node that was not re-reg")
    assert run.batches[-1].startswith("3 of 3 nodes done, 0 left, 0 failed")
    assert run.report["finished"] and set(run.states.values()) == {"current"} and run.report["world"] == "W2"
    made.connected()


@pytest.mark.parametrize("agent", ["bundle=refuse", "agent_read=restart"])
def test_w2_registers_first_where_the_canary_takes_no_bundle(fleet, agent):
    made = fleet(3, "W2", options=[agent])
    made.accident()

    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert run.batches[-1].startswith("3 of 3 nodes done")
    assert run.says("leave without a link until their turn: node01, node02, node03")
    assert {made.node_file(name, "ca.crt").read_bytes() for name in made.names} == {made.pair(2).pem}
    made.connected()


def test_w1_with_agents_that_read_their_files_at_their_start_only(fleet):
    made = fleet(3, "W1", options=["agent_read=restart"], heartbeat=0.25)
    pools = made.environments()
    made.accident()

    # Without a restart command an agent may read its new pin before the bundle is written, and lose its link. Its
    # files are right all the same: what counts is the heartbeat, and who has none is never called proven.
    run = made.play("ca_rotate", status=None)
    silent = {name for name, link in made.links().items() if not link["connected"]}
    assert {name for name, state in run.states.items() if state == "stranded"} == silent
    assert all(run.blocked[name]["reason"] == SILENT for name in silent)
    assert (run.status == 0) == (run.report["finished"] and not silent)

    # with one the rotation finishes
    made.group_vars["quazzar_nodes"] = {"quazzar_node_restart_command": restart_command(made)}
    for name in silent:
        lab_module.restart_agent(str(made.dir), name)
    made.connected()
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.environments() == pools
    made.connected()


def test_a_handshake_without_a_heartbeat_is_not_proven(fleet):
    made = fleet(3, "W2", replicas=1)
    made.group_vars["all"]["quazzar_heartbeat_interval"] = 1
    made.fault("node02", "agent-stopped")
    made.disconnected("node02")
    made.until(lambda: made.beats(0)["node02"]["longest_gap"] > 3.5, "silence of more than three intervals")
    run = made.play("drift_report")
    node = next(node for node in run.report["nodes"] if node["name"] == "node02")
    assert (node["to_cp"], node["to_node"], node["heartbeat"]) == ("ok", "accepted", "missing")
    assert node["state"] == "stranded" and node["reason"] == SILENT
    assert run.says(f"node02: stranded; {SILENT}; last seen 20")
    assert run.states["node01"] == run.states["node03"] == "current" and not run.report["finished"]

    # the agent's own status says the same
    run = made.play("drift_report", quazzar_heartbeat_source="agent")
    assert {name: state for name, state in run.states.items() if state != "current"} == {"node02": "stranded"}
