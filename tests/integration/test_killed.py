# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller is killed at one task after the other, and the same playbook is run again.

Each run starts where the one before was killed, so that most of them start in the middle of something. When a rotation
comes to its end the CA is lost once more, until every boundary of a whole run has been one at which it was killed.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from quazzar_lab import lab, pki

pytestmark = pytest.mark.integration

BOUNDARY = re.compile(r"^TASK \[", re.MULTILINE)
NODE_FILES = {"ca.crt", "client.crt", "client.key"}


def boundaries(output: str) -> int:
    return len(BOUNDARY.findall(output))


def killed_at(play, number: int) -> bool:
    """Kill the run when it begins its task of this number; False when it has ended before."""
    while boundaries(play.output) < number:
        if play.process.poll() is not None:
            return False
        time.sleep(0.02)
    play.kill()
    return True


def nothing_is_half_done(made, partner: str, env_names: set[str]) -> None:
    """Every file is whole, nothing lies beside it, and somebody else's entry is where it was."""
    for name in made.names:
        folder = made.node_file(name, "ca.crt").parent
        assert {path.name for path in folder.iterdir()} == NODE_FILES
        assert pki.load_certificates((folder / "ca.crt").read_bytes())
        assert len(pki.load_certificates((folder / "client.crt").read_bytes())) == 1
    for replica in ("cp1", "cp2"):
        entries = made.pool(replica).split(",")
        assert partner in entries and len(entries) <= 2
        assert {path.name for path in made.env_file(replica).parent.iterdir()} == env_names
        for entry in entries:
            assert len(pki.load_certificates(Path(entry).read_bytes())) == 1


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_rotation_that_is_killed_again_and_again(fleet, step):
    made = fleet(3, "W2")
    partner = f"{made.layout.root}/partner.crt"
    Path(partner).write_bytes(pki.make_ca("Partner CA").pem)
    for replica in ("cp1", "cp2"):
        with open(made.env_file(replica), "a", encoding="utf-8") as file:
            file.write(f"CC_TRUST_ADDITIONAL_CA_CERTS={partner}\n")
        lab.restart(str(made.dir), replica)
    pools, env_names = made.environments(), {path.name for path in made.env_file("cp1").parent.iterdir()}

    # How many tasks there are is seen in a rotation that is left in peace.
    made.accident()
    whole = boundaries(made.play("ca_rotate").output)
    number, kills, before = step, 0, -1
    while number <= whole and kills > before:  # a run may be some tasks shorter than the one that was counted
        made.accident()
        made.disconnected()
        since, before = time.time(), kills
        while killed_at(play := made.begin("ca_rotate"), number):
            kills, number = kills + 1, number + step
            nothing_is_half_done(made, partner, env_names)
        run = play.finish()
        assert run.status == 0, f"after {kills} kills:\n{run.tail}"
        assert run.report["finished"] and set(run.states.values()) == {"current"}
        assert made.environments() == pools
        assert made.missed(since) == {}
    print(f"{kills} kills at every {step}. of {whole} tasks")
    assert kills >= whole // step - 1
