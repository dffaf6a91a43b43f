# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An accident from outside: at each of its phases every identity with every pin at each replica, by real handshakes."""

from __future__ import annotations

import pytest
from witness import Witness

from quazzar_lab import pki
from quazzar_matrix import golang

pytestmark = pytest.mark.integration


def test_the_matrix_before_during_and_after_an_accident(fleet, tmp_path):
    made = fleet(2, "W2")
    witness = Witness(made, tmp_path / "witness")
    witness.keep("node01", "minted before", "old")
    witness.mint(pki.make_ca(), "stranger", "outside")  # a CA of the product's name that nobody here made
    witness.look("before", old=made.pair(1))

    made.accident()
    cas = {"old": made.pair(1), "new": made.pair(2)}
    witness.look("accident", **cas)

    assert made.play("grace_open").report["grace_window"]["open"]
    witness.look("window", **cas)
    assert made.play("nodes_reregister").report["finished"]
    witness.keep("node01", "minted during", "new")
    witness.look("window", " after the nodes have moved", **cas)

    assert made.play("grace_close").report["finished"]
    witness.mint(made.pair(2), "minted after", "new")
    witness.look("strip", **cas)

    witness.settle("W2")
    assert [len(matrix.cells) for matrix in witness.found] == [
        identities * pins * 2 * (2 if golang.available() else 1)
        for identities, pins in ((2, 1), (2, 4), (2, 4), (3, 4), (4, 4))
    ]
    witness.refused_everywhere("minted before")


def test_the_matrix_of_a_planned_rotation(fleet, tmp_path, digest):
    made = fleet(2, "W2")
    witness = Witness(made, tmp_path / "witness", "W2 planned")
    witness.keep("node01", "minted before", "old")
    witness.mint(pki.make_ca(), "stranger", "outside")
    witness.look("before", old=made.pair(1))
    named = {"quazzar_replaced_ca": digest(made.active())}

    # the controller is lost when both CAs are trusted, and again when the new one is active and no node has moved
    play = made.begin("ca_replace", **named)
    play.until(r"PLAY \[Move \| Try on the canary")
    play.kill()
    new = pki.load_pair(made.layout.cp / "staged/ca.crt", made.layout.cp / "staged/ca.key")
    cas = {"old": made.pair(1), "new": new}
    witness.mint(new, "minted early", "new")  # nobody should have one yet; who has is let in
    witness.look("window", **cas)
    play = made.begin("ca_replace", **named)
    play.until(r"(?s)PLAY \[Activate \| Take.*PLAY \[Move \| Plan")
    play.kill()
    witness.look("active", **cas)

    assert made.play("ca_replace", **named).report["finished"]
    witness.keep("node01", "minted after", "new")
    witness.look("strip", **cas)
    witness.settle("W2-planned")
    witness.refused_everywhere("minted before")
