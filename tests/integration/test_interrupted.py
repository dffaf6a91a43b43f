# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rotation that is killed, stopped or interrupted, and run again."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

NODES = 5


def test_a_killed_rotation_finds_its_place(fleet):
    made = fleet(NODES, "W2")
    pools = made.environments()
    made.accident()

    # the controller dies right after the window was opened, before any node was touched
    play = made.begin("ca_rotate")
    play.until(r"PLAY \[Move \| Try on the canary")
    play.kill()
    old = made.cas()[0]["sha256"]
    assert made.loaded() == {"cp1": [old], "cp2": [old]}
    assert len({made.node_file(name, "ca.crt").read_bytes() for name in made.names}) == 1

    # and again after the first batch
    play = made.begin("ca_rotate")
    play.until(r"1 of 5 nodes done")
    play.kill()
    assert "Phase: window open." in play.output
    assert [len(made.boots(name)) for name in ("cp1", "cp2")] == [3, 3]  # first start, accident, opening

    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert run.batches[-1].startswith("4 of 4 nodes done, 0 left, 0 failed")
    assert {proof["after"] for proof in run.report["negative_proof"]} == {"refused"}
    assert made.environments() == pools
    assert [len(made.boots(name)) for name in ("cp1", "cp2")] == [4, 4]


def test_a_stop_between_batches_reports_and_says_how_to_go_on(fleet):
    made = fleet(NODES, "W4")
    made.accident()
    stop = made.work / "stop"
    stop.touch()
    made.group_vars["all"] |= {"quazzar_batches": [1, 2, 1], "quazzar_stop_file": str(stop)}

    # a touch file
    run = made.play("ca_rotate", status=2)
    halt = f"a stop was asked for by {stop}: remove that file first; to go on: "
    assert [line.split(" nodes done")[0] for line in run.batches] == ["1 of 5"]
    assert any(reason.startswith(halt) for reason in run.report["unfinished"])
    assert run.says(f"Not finished: {halt}ansible-playbook ")
    assert run.says("The gate is closed") and run.says("Fleet: 5 nodes: 1 current, 4 legacy.")
    assert sorted(run.states.values()) == ["current", *["legacy"] * 4]
    stop.unlink()

    # Ctrl-C, once
    play = made.begin("ca_rotate")
    play.until(r"TASK \[.*Register the node again\]")
    play.interrupt()
    run = play.finish()
    assert run.status != 0
    assert run.says("Stopping after the current set of nodes; Ctrl-C again stops at once.")
    assert [line.split(" nodes done")[0] for line in run.batches] == ["1 of 4"]
    assert any(reason.startswith("a stop was asked for with Ctrl-C; to go on: ") for reason in run.report["unfinished"])
    assert sorted(run.states.values()) == ["current", "current", "legacy", "legacy", "legacy"]
    assert len(made.loaded()["cp1"]) == 1

    run = made.play("ca_rotate")
    assert [line.split(" nodes done")[0] for line in run.batches] == ["1 of 3", "3 of 3"]
    assert run.report["finished"] and set(run.states.values()) == {"current"}
