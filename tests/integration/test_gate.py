# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the legacy CA in the trust pool, and what opens the gate again."""

from __future__ import annotations

import datetime as dt
import json

import pytest

pytestmark = pytest.mark.integration

CLOSED = "The gate is closed: the legacy CA stays in the trust pool."


def test_one_node_down_blocks_the_gate_until_it_is_back(fleet):
    made = fleet(4, "W2")
    pools = made.environments()
    made.accident()
    made.power_off("node03")

    run = made.play("ca_rotate", status=2)
    assert run.says(CLOSED)
    assert list(run.blocked) == ["node03"]
    entry = run.blocked["node03"]
    assert entry["state"] == "unreachable" and "Connection refused" in entry["reason"]
    assert entry["remedy"] == "bring the host back, or give it a waiver"
    assert entry["last_seen"] and entry["leaf_not_after"] is None
    # its leaf was never seen: 90 days and the clock skew after the switch it has expired for sure
    days = dt.datetime.fromisoformat(entry["free_at"].replace("Z", "+00:00")) - dt.datetime.now(dt.timezone.utc)
    assert dt.timedelta(days=89, hours=23) < days < dt.timedelta(days=90, hours=1)
    assert run.says(
        f"- node03: unreachable; {entry['reason']}; last seen {entry['last_seen']}; leaf expires not known; "
        f"free at {entry['free_at']}; bring the host back, or give it a waiver"
    )
    assert run.says(f"Not finished: {CLOSED}")
    assert run.states == {"node01": "current", "node02": "current", "node03": "unreachable", "node04": "current"}
    assert not run.report["finished"] and run.report["grace_window"]["open"]
    old = made.cas()[0]["sha256"]
    assert made.loaded() == {"cp1": [old], "cp2": [old]}
    assert {made.pool("cp1"), made.pool("cp2")} == {f"{made.facts['legacy_dir']}/{old[:16]}.crt"}

    # could it be closed now?
    asked = made.play("grace_close", "--check", status=2)
    assert asked.says(CLOSED) and asked.says("- node03: unreachable; ")
    assert asked.says("leaf expires not known; free at 20") and not asked.says("- node01: ")
    assert made.loaded() == {"cp1": [old], "cp2": [old]}

    made.power_on("node03")
    done = made.play("ca_rotate")
    assert set(done.states.values()) == {"current"} and done.report["finished"]
    assert len(done.batches) == 1 and done.batches[0].startswith("1 of 1 nodes done")
    assert made.environments() == pools and made.loaded() == {"cp1": [], "cp2": []}


def test_a_waiver_opens_the_gate_for_the_node_that_it_names(fleet):
    made = fleet(3, "W4")
    made.accident()
    made.power_off("node02")
    waivers = made.work / "waivers.yml"
    waiver = {"node": "node02", "reason": "flooded cellar", "owner": "jo", "expires": "2099-01-01T00:00:00Z"}

    waivers.write_text(json.dumps({"waivers": [{**waiver, "node": "node99"}]}), encoding="utf-8")
    before = made.digest()
    refused = made.play("ca_rotate", status=None, quazzar_waivers_file=str(waivers))
    assert refused.status != 0 and refused.says("node99") and refused.says(str(waivers))
    assert made.digest() == before

    # It ends before the run does, and an instance with one is deleted meanwhile.
    made.ghost("edge-lost")
    ends = f"{dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=20):%Y-%m-%dT%H:%M:%SZ}"
    waiver["expires"] = ends
    both = [waiver, {**waiver, "node": "edge-lost"}]
    waivers.write_text(json.dumps({"waivers": both}), encoding="utf-8")
    play = made.begin("ca_rotate", quazzar_waivers_file=str(waivers), quazzar_ticket="CHG-7", quazzar_owner="jo")
    play.until(r"PLAY \[Open \| ")
    made.delete("edge-lost")
    run = play.finish()
    assert run.status == 0, run.tail
    assert run.report["waivers"] == both and run.report["gate"]["waived"] == ["node02"] and run.report["finished"]
    assert run.says(f"Waiver: node02 until {ends}, flooded cellar (jo)")
    assert any(text.startswith("the waiver for edge-lost names nobody any more") for text in run.report["warnings"])
    assert run.says("The gate is open: 2 nodes proven (node02 by waiver).")
    assert (run.report["run"]["ticket"], run.report["run"]["owner"]) == ("CHG-7", "jo")
    assert made.loaded() == {"cp1": [], "cp2": []}


def test_what_only_the_registry_knows_keeps_the_gate_closed(fleet):
    made = fleet(4, "W4", options=["tenant_b=1"])
    made.accident()
    users = made.facts["cp_users"]
    both = [{"tenant": user["tenant"], **{key: user[key] for key in ("username", "password")}} for user in users[:2]]
    instances = made.registry()

    # Two tenants and the credentials of one: its list is whole by its own count, and not known to be all there is.
    made.group_vars["all"] |= {"quazzar_registry_complete": False}
    run = made.play("drift_report")
    reason = run.report["gate"]["reasons"][0]
    assert reason.startswith(
        "the CP's registry is not known to be complete: the Control Panel's answers are scoped to a"
    )

    # Credentials of both, each of which mints the tokens for its own nodes; and an instance that the inventory lacks.
    made.ghost("edge-lost", users[1]["tenant"])
    # Another one joins while the run lasts.
    play = made.begin("ca_rotate", quazzar_cp_credentials=both)
    play.until(r"PLAY \[Move \| ")
    made.ghost("edge-new", users[1]["tenant"])
    run = play.finish()
    assert run.status == 2, run.tail
    assert set(run.states.values()) == {"current"} and run.report["gate"]["reasons"] == []
    assert sorted(run.blocked) == ["edge-lost", "edge-new"]
    ghost, new = (dict(made.registry())[name] for name in ("edge-lost", "edge-new"))
    assert run.blocked["edge-new"]["reason"] == f"in the CP's registry ({new}, offline) but not in the inventory"
    made.delete("edge-new")
    assert run.blocked["edge-lost"]["reason"] == f"in the CP's registry ({ghost}, offline) but not in the inventory"
    assert run.blocked["edge-lost"]["remedy"] == "add it to the inventory, delete it at the CP, or give it a waiver"
    assert run.says("- edge-lost: unreachable; in the CP's registry (")
    assert len(made.loaded()["cp1"]) == 1
    # nobody has changed hands
    assert made.registry() == sorted([*instances, ("edge-lost", ghost)])

    # a list that is cut
    made.option("list_cap=2")
    run = made.play("drift_report", quazzar_cp_credentials=both)
    assert any("registry is not known to be complete" in reason for reason in run.report["gate"]["reasons"])
    made.option("list_cap=0")

    # the reverse: dead, and gone from the registry; nothing that the strip could harm
    made.delete("edge-lost")
    made.power_off("node02")
    made.delete("node02")
    run = made.play("grace_close", quazzar_cp_credentials=both)
    assert run.report["gate"]["open"] and run.report["finished"]
    assert made.loaded() == {"cp1": [], "cp2": []}
