# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the CP and the nodes answer on a bad day."""

from __future__ import annotations

import pytest

from quazzar_lab import lab as lab_module

pytestmark = pytest.mark.integration


def test_a_rotation_on_a_bad_day(fleet):
    made = fleet(5, "W4")
    made.accident()

    # tokens that have expired when they are used
    made.fault("cp", "token-expired")
    run = made.play("ca_rotate", status=2)
    assert run.says("registration token expired")
    assert len(run.batches) == 1 and run.says("Not finished: the canary failed: node01")
    made.clear()

    # an answer that says yes, and nothing happens
    made.fault("node01", "register-noop")
    run = made.play("nodes_reregister", status=2)
    assert len(run.batches) == 1 and run.says("Not finished: the canary failed: node01")
    assert run.states["node01"] == "legacy"
    made.clear()

    # the session ends in the middle, the CP asks for patience, and a replica goes away while nodes register
    made.fault("cp", "401", count=1, path="/api/fleet/tokens")
    made.fault("cp", "401", count=1, path="/api/fleet/instances")
    made.fault("cp", "429", count=2, path="/api/fleet/tokens", retry_after="1")
    made.fault("node04", "slow-register", value="2")
    # and one node comes and goes: whatever becomes of it, the others are moved
    made.fault("node05", "flapping", value="1.5")
    play = made.begin("ca_rotate")
    play.until(r"1 of [45] nodes done")
    lab_module.restart(str(made.dir), "cp1")
    run = play.finish()
    assert run.status in (0, 2), run.tail
    assert {run.states[name] for name in made.names[:4]} == {"current"}
    assert all("node05" in reason for reason in run.report["unfinished"] if reason.startswith("node")), run.tail
    made.clear()
    made.connected(*made.names[:4])
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.loaded() == {"cp1": [], "cp2": []}
