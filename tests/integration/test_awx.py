# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs of AWX: all variables are extra variables, the report is an artefact, slices have one budget. See runner.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quazzar_lab import lab
from runner import Awx
from test_secrecy import leaks

pytestmark = pytest.mark.integration


def lock_of(made) -> Path:
    return Path(made.facts["legacy_dir"]).parent / "rotation-lock"


def test_the_workflow_in_two_slices(fleet):
    made = fleet(4, "W4")
    made.accident()
    awx = Awx(made, quazzar_failure_budget='{"nodes": 1, "percent": 0}', quazzar_batches="[1, 5]")

    look = awx.run("drift_report")
    assert set(look.artefacts) == {"quazzar_report_of_drift"}
    report = look.report
    assert {node["state"] for node in report["nodes"]} == {"stranded"} and report["left_out"] == {}
    assert not report["finished"] and report["run"]["id"]

    # AWX hands artefacts on as variables, and whoever may start a job may claim anything in one
    claimed = {"quazzar_report_of_drift": {**report, "finished": True, "nodes": [], "gate": {"open": True}}}
    opened = awx.run("grace_open", **claimed)
    assert opened.report["goal"] == "open" and opened.report["finished"]
    refused = awx.run("grace_close", status="failed", **claimed, **opened.artefacts)
    # a job that fails has its report too
    assert not refused.report["gate"]["open"] and len(refused.report["gate"]["blocked"]) == 4

    halves = [awx.start("nodes_reregister", quazzar_slice=f"{number}/2") for number in (1, 2)]
    for number, job in enumerate(halves, 1):
        job.finish()
        assert set(job.artefacts) == {f"quazzar_report_of_reregister_slice_{number}_of_2"}
        states = {node["name"]: node["state"] for node in job.report["nodes"]}
        mine = made.names[number - 1 :: 2]
        assert {name for name, state in states.items() if state == "current"} == set(mine)
        # the others are not its business, and the gate does not forget them
        assert job.report["finished"]
        assert {entry["node"] for entry in job.report["gate"]["blocked"]} == set(made.names) - set(mine)
    assert not lock_of(made).exists()

    answers = {"quazzar_legacy_probes": 2, "quazzar_ticket": "4711", "quazzar_owner": ""}
    asked = awx.run("grace_close", check=True, **answers)
    assert asked.report["gate"]["open"] and len(made.loaded()["cp1"]) == 1
    closed = awx.run("grace_close", **answers)
    assert closed.report["finished"] and closed.report["run"]["ticket"] == "4711"
    assert made.loaded() == {"cp1": [], "cp2": []}

    secrets = lab.all_secrets(str(made.dir))
    assert leaks({"here": f"x{secrets[0]}x".encode()}, secrets) == ["here"]
    for job in awx.jobs:
        assert len(job.events()) > 20
        assert leaks(job.files(), secrets) == []


def test_slices_have_one_budget_and_one_that_is_killed_is_started_again(fleet):
    made = fleet(6, "W4")
    made.accident()
    awx = Awx(made, quazzar_failure_budget="0", quazzar_batches="1", quazzar_nodes_per_minute="600")
    awx.run("grace_open")
    first, second = made.names[0::2], made.names[1::2]

    made.fault(first[1], "register-fail")
    beside = awx.start("nodes_reregister", quazzar_slice="2/2")
    beside.until("1 of 3 nodes done, 2 left")
    with beside.paused():
        failed = awx.run("nodes_reregister", status="failed", quazzar_slice="1/2")
        assert failed.says(f"the failure budget is used up: 1 nodes, 0 allowed (failed: {first[1]})")
        assert failed.says("failure budget 1 of 0 used; with the runs beside it (1 at work) 2 of 6, ")
        # it holds nothing any more, and its failure still counts
        assert {at.parent.name for at in lock_of(made).rglob("*.*") if at.is_file()} == {"shared"}
    beside.finish("failed")
    assert beside.says("the failure budget is used up: 1 nodes, 0 allowed (failed: none, in runs beside this one: 1)")
    moved = {node["name"] for node in beside.report["nodes"] if node["state"] == "current"}
    assert second[0] in moved and second[2] not in moved
    assert not lock_of(made).exists()

    # one half is killed; the other one does not wait for it
    made.clear()
    killed = awx.start("nodes_reregister", quazzar_slice="2/2")
    killed.until("nodes done, ")
    killed.kill()
    halves = [awx.start("nodes_reregister", quazzar_slice=f"{number}/2") for number in (1, 2)]
    assert all(job.finish().report["finished"] for job in halves)
    awx.run("grace_close")
    assert made.loaded() == {"cp1": [], "cp2": []} and not lock_of(made).exists()


def test_the_lost_nodes_of_a_slice_that_has_nothing_to_do_count_for_the_others(fleet):
    made = fleet(6, "W4")
    made.accident()
    first, second = made.names[0::2], made.names[1::2]
    awx = Awx(made, quazzar_failure_budget="0", quazzar_batches="1", quazzar_nodes_per_minute="600")
    awx.run("grace_open")
    awx.run("nodes_reregister", quazzar_slice="1/2")
    beside = awx.start("nodes_reregister", quazzar_slice="2/2")
    beside.until("1 of 3 nodes done, 2 left")
    with beside.paused():
        made.power_off(first[1])
        awx.groups["quazzar_nodes"][first[1]].update(made.host_vars[first[1]])
        awx.run("nodes_reregister", status="failed", quazzar_slice="1/2")
    beside.finish("failed")
    assert beside.says("the failure budget is used up: 1 nodes, 0 allowed (failed: none, in runs beside this one: 1)")
    moved = {node["name"] for node in beside.report["nodes"] if node["state"] == "current"}
    assert second[0] in moved and second[2] not in moved
    assert not lock_of(made).exists()


#: A slice is told by nothing but this: AWX runs slices as a workflow with the name of their job template.
SLICED = {"awx_job_template_name": "Quazzar", "awx_workflow_job_name": "Quazzar"}


def test_what_must_not_be_sliced_refuses_to_be(fleet):
    made = fleet(2, "W4")
    made.accident()
    awx = Awx(made)
    before = made.digest()
    for playbook in ("ca_rotate", "ca_backup"):
        job = awx.run(playbook, status="failed", hosts=["node01", "cp1"], **SLICED)
        assert job.says(
            "the job template Quazzar runs in slices (its workflow has the same name): this playbook must not be sliced"
        )
    job = awx.run("grace_open", status="failed", quazzar_slice="1/2")
    assert job.says("quazzar_slice is 1/2: this playbook must not be sliced")
    job = awx.run("nodes_reregister", status="failed", hosts=["node01", "cp1"], **SLICED)
    assert job.says("a slice of AWX has only some of the hosts, those of the Control Panel too")
    job = awx.run("nodes_reregister", status="failed", quazzar_cp_inventory="cp1: {ansible_host: hush}")
    assert job.says("expected a mapping of host to a mapping of variables (as text: JSON), found text that is no JSON")
    job = awx.run("nodes_reregister", status="failed", quazzar_slice="3/3")
    assert job.says("quazzar_slice is '3/3', but there are 2 nodes: use at most so many slices")
    job = awx.run("drift_report", status="failed", limit="node01")
    assert job.says("Run it again with: --limit 'node01,cp1,cp2,localhost'")
    assert made.digest() == before

    # a workflow of another name is no slice, and a slice may be one where it has the whole Control Panel
    awx.run("grace_open", awx_job_template_name="Quazzar", awx_workflow_job_name="Quazzar CA rotation")
    replicas = {"quazzar_cp_inventory": awx.groups["quazzar_cp"]}
    del awx.variables["quazzar_cp_hosts"]
    for number in (1, 2):
        # the group has its hosts in another order in each slice, and the lock is the same
        job = awx.run("nodes_reregister", hosts=[f"node0{number}", f"cp{number}"], **SLICED, **replicas)
        assert {node["name"]: node["state"] for node in job.report["nodes"]} == {f"node0{number}": "current"}
        assert set(re.findall(r"Ask for the lock\] \*+ \w+: \[\w+ -> (\w+)", job.text)) == {"cp1"}
    assert len(made.loaded()["cp2"]) == 1
