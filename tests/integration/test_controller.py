# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an inventory or a command line does to the controller: limits, and settings that are meant for the hosts."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def test_a_limit_keeps_the_controller_and_the_gate(fleet):
    made = fleet(4, "W4")
    made.accident()
    before = made.digest()

    # without the controller nothing would run, and all would look fine
    for name in (
        "drift_report",
        "ca_rotate",
        "grace_open",
        "nodes_reregister",
        "grace_close",
        "nodes_rescue",
        "ca_revoke",
    ):
        run = made.play(name, "--limit", "node01", status=None)
        assert run.status != 0
        assert run.says("--limit node01 leaves out the controller, which holds the plan, the gate and the report")
        assert run.says("Run it again with: --limit 'node01,cp1,cp2,localhost'")
    assert made.digest() == before

    # one node is no quorum for the legacy CA: its digest has to be named
    made.group_vars["all"]["quazzar_legacy_ca_fingerprints"] = [made.cas()[0]["sha256"]]
    # the corrected command moves what is inside, and the gate asks for the rest
    run = made.play("ca_rotate", "--limit", "node01,cp1,cp2,localhost", status=2)
    assert run.states == {"node01": "current"} | dict.fromkeys(["node02", "node03", "node04"], "unreachable")
    assert {name: entry["reason"] for name, entry in run.blocked.items()} == dict.fromkeys(
        ["node02", "node03", "node04"], "not examined in this run"
    )
    assert run.says("The gate is closed") and len(made.loaded()["cp1"]) == 1
    assert run.batches == [line for line in run.batches if "failure budget 0 of 2 used" in line]

    # without the replicas nothing can be known, and nothing is touched
    before = made.digest()
    run = made.play("ca_rotate", "--limit", "node02,localhost", status=2)
    assert any("replica cp1" in reason and "not examined" in reason for reason in run.report["unfinished"])
    assert made.digest() == before


def test_settings_of_the_hosts_do_not_leak_to_the_controller(fleet):
    made = fleet(3, "W4")
    made.accident()
    made.group_vars["all"] |= {
        "ansible_become": True,
        "ansible_become_user": "nobody-of-that-name",
        "ansible_connection": "ssh",
        "ansible_host": "192.0.2.1",
        "ansible_python_interpreter": "/nonexistent",
    }
    own = {"ansible_become": False, "ansible_connection": "local"}
    made.group_vars["quazzar_nodes"] = made.group_vars["quazzar_cp"] = own
    # also where the controller is a host of the inventory
    made.host_vars["localhost"] = {}
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.loaded() == {"cp1": [], "cp2": []}
