# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import signal
import threading
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.action.rotation_progress import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import format_time
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import interrupt
from ansible_collections.quazzar.ca_rotation.plugins.modules import rotation_progress as documented
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars

NODES = [f"n{number}" for number in range(10)]


def counted(outcomes: dict[str, str], agent: str = "connected", **args: t.Any) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {name: {} for name in NODES}
    for name, outcome in outcomes.items():
        found[name] = {"__node_reregister_result": {"outcome": outcome, "node": {"agent": {"status": agent}}}}
    began = format_time(datetime.now(timezone.utc) - timedelta(seconds=60))
    given = {"planned": NODES, "batches": [1, "50%"], "began": began, **args}
    return act(ActionModule, given, host="localhost", task_vars={"hostvars": hostvars(found)})


def test_one_batch_later() -> None:
    result = counted({"n0": "registered", "n1": "already", "n2": "failed"})
    assert not result.get("failed"), result
    assert (result["done"], result["bad"], result["left"]) == (["n0", "n1"], ["n2"], NODES[3:])
    assert result["msg"].startswith("2 of 10 nodes done, 7 left, 1 failed, ")
    assert (result["halt"], result["changed"]) == ("", False)


def test_a_registration_whose_heartbeat_did_not_come_is_not_proven() -> None:
    result = counted({"n0": "registered", "n1": "registered"}, not_proven=["n1", "n2"])
    assert (result["done"], result["bad"]) == (["n0"], ["n1"])


def test_the_agents_word_where_the_registry_has_none() -> None:
    assert counted({"n0": "registered"}, "connected", heartbeat_source="agent")["done"] == ["n0"]
    silent = counted({"n0": "registered"}, "unknown", heartbeat_source="agent")
    assert silent["bad"] == ["n0"]
    assert silent["halt"].startswith("the canary failed: n0")


def test_a_prediction_is_no_failure() -> None:
    assert counted({"n0": "predicted"}, "disconnected", heartbeat_source="agent")["bad"] == []


def test_a_halt_says_how_to_go_on() -> None:
    result = counted({"n0": "failed"}, resume="ansible-playbook rotate.yml")
    assert result["halt"] == "the canary failed: n0; to go on: ansible-playbook rotate.yml"


def test_the_canary_is_the_first_batch() -> None:
    failed = {"n0": "registered", "n1": "failed"}
    assert counted(failed)["halt"] == ""
    assert counted(failed, batches=["20%"])["halt"].startswith("the canary failed: n1")


def test_the_budget_is_a_share_of_all_nodes_that_the_run_began_with() -> None:
    lost = [f"x{number}" for number in range(10)]
    result = counted({"n0": "registered"}, lost=lost, failure_budget="50%")
    assert result["halt"] == "" and "failure budget 10 of 10 used" in result["msg"]
    assert counted({"n0": "registered"}, lost=lost, failure_budget={"nodes": 2, "percent": 2})["halt"]


def test_a_budget_or_a_time_that_is_none_is_a_message() -> None:
    assert "failure budget" in counted({}, failure_budget="some")["msg"]
    assert "began" in counted({}, began="earlier")["msg"]


def test_a_file_asks_for_a_stop(tmp_path: pathlib.Path) -> None:
    stop = tmp_path / "stop"
    assert counted({"n0": "registered"}, stop_file=str(stop))["halt"] == ""
    stop.touch()
    asked = counted({"n0": "registered"}, stop_file=str(stop))["halt"]
    assert asked.startswith(f"a stop was asked for by {stop}: remove that file first; to go on: ")
    assert counted(dict.fromkeys(NODES, "registered"), stop_file=str(stop))["halt"] == ""


def test_the_first_ctrl_c_asks_for_a_stop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(interrupt, "_asked", threading.Event())
    try:
        interrupt.arm()
        os.kill(os.getpid(), signal.SIGINT)
        assert counted({"n0": "registered"})["halt"].startswith("a stop was asked for with Ctrl-C")
        assert signal.getsignal(signal.SIGINT) is before, "the second one does what it always did"
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Ctrl-C again stops at once" in capsys.readouterr().err


def test_the_documentation_has_every_value_that_is_returned() -> None:
    assert set(yaml.safe_load(documented.RETURN)) == set(counted({})) - {"changed"}


def test_it_counts_what_runs_beside_it_have_done() -> None:
    beside = {"runs": 1, "planned": 90, "done": 3, "bad": 2, "rate": 6}
    result = counted({"n0": "registered", "n1": "failed"}, beside=beside)
    assert (
        result["halt"].startswith("the failure budget is used up: 3 nodes, 2 allowed") and result["counts"]["bad"] == 1
    )
    # a share of the budget is one of the nodes of all runs
    assert counted({"n0": "registered", "n1": "failed"}, beside=beside, failure_budget="3%")["halt"] == ""
    wrong = counted({"n0": "registered"}, beside={"runs": 1})
    assert wrong["failed"] and wrong["msg"].endswith("expected what run_lock returns as wave")


def test_it_says_how_long_the_next_batch_waits() -> None:
    began = format_time(datetime.now(timezone.utc))
    paced = {"rate_limit": 10, "batch": ["n0", "n1"], "batch_began": began}
    assert 10 <= counted({"n0": "registered"}, **paced)["pause"] <= 13
    beside = {"runs": 1, "planned": 90, "done": 3, "bad": 0, "rate": 6}
    assert 22 <= counted({"n0": "registered"}, beside=beside, **paced)["pause"] <= 25
    assert counted(dict.fromkeys(NODES, "registered"), **paced)["pause"] == 0


def test_batches_may_be_the_answer_to_a_survey() -> None:
    assert counted({"n0": "failed"}, batches='[1, "50%"]')["halt"].startswith("the canary failed: n0")
