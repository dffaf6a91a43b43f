# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An accident from outside: at each of its phases every identity with every pin at each replica, by real handshakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quazzar_lab import pki
from quazzar_matrix import golang
from quazzar_matrix.material import Identity
from quazzar_matrix.matrix import Matrix, observe, settle
from quazzar_matrix.truth import WORLDS, truth_of

pytestmark = pytest.mark.integration


class Witness:
    """Holds what is needed to ask the replicas of a lab: who is known at a phase, and which pins there can be."""

    def __init__(self, fleet, directory: Path, world: str = "W2") -> None:
        self._fleet, self._directory, self._world = fleet, directory, world
        self._identities: dict[str, Identity] = {}
        self._signed_by: dict[str, str] = {}
        self.found: list[Matrix] = []
        directory.mkdir()

    def keep(self, node: str, name: str, ca: str) -> None:
        """The node's own leaf and key as they are now."""
        made = Identity(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        shutil.copyfile(self._fleet.node_file(node, "client.crt"), made.cert)
        shutil.copyfile(self._fleet.node_file(node, "client.key"), made.key)
        self._identities[name], self._signed_by[name] = made, ca

    def mint(self, pair: pki.Pair, name: str, ca: str) -> None:
        made = Identity(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        key = pki.new_key()
        pki.Pair(pki.issue(pair, name, key.public_key()), key).write(made.cert, made.key)
        self._identities[name], self._signed_by[name] = made, ca

    def look(self, phase: str, when: str = "", **cas: pki.Pair) -> None:
        """The whole matrix of this phase. ``cas``: the CAs that there are by now."""
        pins = {}
        for names in ("old", "new", "old+new", "new+old"):
            if set(names.split("+")) <= set(cas):
                pins[names] = self._directory / f"{names}.pem"
                pins[names].write_bytes(b"".join(cas[name].pem for name in names.split("+")))
        facts = self._fleet.facts
        assert len(facts["endpoints"]) == 2
        self.found.append(
            observe(
                f"{self._world}, {phase}{when}: {WORLDS[self._world][phase].title}",
                facts["endpoints"],
                self._identities,
                pins,
                truth_of(WORLDS[self._world][phase], signed_by=self._signed_by),
                verifiers=("openssl", "go") if golang.available() else ("openssl",),
            )
        )


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

    settle("lab-W2", witness.found)
    assert [len(matrix.cells) for matrix in witness.found] == [
        identities * pins * 2 * (2 if golang.available() else 1)
        for identities, pins in ((2, 1), (2, 4), (2, 4), (3, 4), (4, 4))
    ]
    # the negative cells that the whole rotation is about: the old identity, at every replica, whatever it pins
    last = [cell for cell in witness.found[-1].cells if cell.identity == "minted before"]
    assert {cell.found.to_node for cell in last} == {"refused"} and {cell.replica for cell in last} == {"cp1", "cp2"}


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
    settle("lab-W2-planned", witness.found)
    last = [cell for cell in witness.found[-1].cells if cell.identity == "minted before"]
    assert {cell.found.to_node for cell in last} == {"refused"} and {cell.replica for cell in last} == {"cp1", "cp2"}
