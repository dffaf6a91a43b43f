# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first batch finds what is wrong, and the failures of all batches are counted together."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

CLOSED = "The gate is closed: the legacy CA stays in the trust pool."


def test_a_canary_that_cannot_be_registered_ends_the_run(fleet):
    made = fleet(4, "W4")
    made.accident()
    made.fault("node01", "register-fail")

    run = made.play("ca_rotate", status=2)
    assert len(run.batches) == 1 and run.batches[0].startswith("0 of 4 nodes done, 3 left, 1 failed")
    assert any(reason.startswith("the canary failed: node01") for reason in run.report["unfinished"])
    assert run.says("node01: ") and run.says("500")
    assert run.says(CLOSED) and sorted(run.blocked) == made.names
    assert set(run.states.values()) == {"legacy"} and not run.report["finished"]
    assert len(made.loaded()["cp1"]) == len(made.loaded()["cp2"]) == 1

    # It dies after it was examined, and before its turn. (The window is open already.)
    made.clear()
    play = made.begin("ca_rotate")
    play.until(r"PLAY \[Move \| ")
    made.fault("node01", "down")
    run = play.finish()
    assert run.status == 2
    assert len(run.batches) == 1 and run.batches[0].startswith("0 of 4 nodes done, 3 left, 1 failed")
    assert any(reason.startswith("the canary failed: node01") for reason in run.report["unfinished"])
    assert run.says(CLOSED) and sorted(run.blocked) == made.names
    assert len(made.loaded()["cp1"]) == 1

    # It was dead before: taken out and counted, and the next node is the canary.
    made.clear()
    made.power_off("node01")
    run = made.play("ca_rotate", status=2)
    assert run.batches[0].startswith("1 of 3 nodes done, 2 left, 0 failed")
    assert "failure budget 1 of 2 used" in run.batches[0]
    assert run.batches[-1].startswith("3 of 3 nodes done")
    assert run.says(CLOSED) and list(run.blocked) == ["node01"]

    made.power_on("node01")
    assert made.play("ca_rotate").report["finished"]


def test_the_failure_budget_counts_over_all_batches(fleet):
    made = fleet(6, "W4")
    made.accident()
    made.group_vars["all"] |= {"quazzar_batches": [1], "quazzar_failure_budget": 1}
    made.fault("node02", "register-fail")
    made.fault("node04", "register-fail")

    # batches of one, as group_vars say
    run = made.play("ca_rotate", status=2)
    assert [line.split(",")[0] for line in run.batches] == [
        "1 of 6 nodes done",
        "1 of 6 nodes done",
        "2 of 6 nodes done",
        "2 of 6 nodes done",
    ]
    assert "failure budget 2 of 1 used" in run.batches[-1]
    halt = "the failure budget is used up: 2 nodes, 1 allowed (failed: node02, node04)"
    assert any(reason.startswith(halt) for reason in run.report["unfinished"])
    assert run.says(CLOSED) and sorted(run.blocked) == ["node02", "node04", "node05", "node06"]

    # a node that cannot be reached counts too; an extra var beats group_vars
    made.clear("node02")
    made.power_off("node05")
    run = made.play("ca_rotate", status=2, quazzar_batches=[1, 1, "100%"])
    assert [line.split(",")[0] for line in run.batches] == ["1 of 3 nodes done", "1 of 3 nodes done"]
    halt = "the failure budget is used up: 2 nodes, 1 allowed (failed: node04, unreachable before the first batch: node"
    assert any(reason.startswith(halt) for reason in run.report["unfinished"])

    made.clear()
    made.power_on("node05")
    run = made.play("ca_rotate", quazzar_batches=["100%"])
    assert [line.split(",")[0] for line in run.batches] == ["3 of 3 nodes done"]
    assert run.report["finished"]
