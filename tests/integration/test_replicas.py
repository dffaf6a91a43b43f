# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replicas that do not come up, do not read their files, disagree, or turn into another world at a roll."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def test_what_goes_wrong_at_a_roll_is_put_back_and_named(fleet):
    made = fleet(3, "W1")
    made.accident()
    pools = made.environments()

    # a file that the pool names is not there: a restart might not come up, so none is tried
    missing = f"{made.facts['legacy_dir']}/gone.crt"
    with open(made.env_file("cp2"), "a", encoding="utf-8") as file:
        file.write(f"CC_TRUST_ADDITIONAL_CA_CERTS={missing}\n")
    before = made.digest()
    run = made.play("ca_rotate", status=2)
    stop = next(reason for reason in run.report["stops"] if missing in reason)
    assert stop.startswith(f"replica cp2: its trust pool names {missing}, which cannot be used: ")
    assert stop.endswith("mend or remove that entry first, a restart might not come up with it")
    assert run.says(f"Stop: {stop}") and made.digest() == before
    made.env_file("cp2").write_bytes(pools["cp2"])

    # cp1 does not come up with the new pool: the old one is put back and the replica started again
    boots = {name: len(made.boots(name)) for name in pools}
    made.fault("cp1", "no-boot", count=1)
    run = made.play("ca_rotate", status=2)
    assert run.says("The trust pool of cp1 was put back as it was, and the CP restarted.")
    assert any("replica cp1 ended while it was started" in reason for reason in run.report["unfinished"])
    assert made.environments() == pools and made.loaded() == {"cp1": [], "cp2": []}
    assert {name: len(made.boots(name)) - count for name, count in boots.items()} == {"cp1": 1, "cp2": 0}
    assert set(run.states.values()) == {"stranded"}  # as before: no replica takes their leaf

    # cp1 comes up, but with the pool of before
    made.fault("cp1", "ignore-pool")
    run = made.play("ca_rotate", status=2)
    words = "cp1: expected the listener to advertise 2 CA names, found 1 after its restart."
    assert run.says(words) and any(words in reason for reason in run.report["unfinished"])
    assert made.environments() == pools and made.loaded() == {"cp1": [], "cp2": []}
    made.clear()

    # a roll signs the server certificate anew: the world is another one after it, and no node pins that CA yet
    made.option("reissue_at_boot=true")
    run = made.play("ca_rotate", status=2)
    assert run.says("cp1: this roll changed the CA of the server certificate")
    assert run.says("Set quazzar_cp_roll_reissues: true, so that the pins are widened first, and run again.")
    assert len(made.boots("cp2")) == boots["cp2"]
    assert made.environments() == pools

    made.group_vars["all"] |= {"quazzar_cp_roll_reissues": True}
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.environments() == pools
    made.connected()


def test_replicas_that_disagree_stop_the_run(fleet):
    made = fleet(2, "W2", options=["certs_volume=own", "auto_ca_gen=true"])
    made.accident()
    before = made.digest()
    run = made.play("ca_rotate", status=2)
    assert any(reason.startswith("the replicas hold different active CAs (cp1: ") for reason in run.report["stops"])
    assert run.says("give them one certs volume first") and made.digest() == before
