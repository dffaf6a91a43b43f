# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A witness in a scenario: at a phase it has every identity with every pin try every replica of the lab, for real."""

from __future__ import annotations

import shutil
from pathlib import Path

from quazzar_lab import pki
from quazzar_matrix import golang
from quazzar_matrix.material import Identity
from quazzar_matrix.matrix import Cell, Matrix, observe, settle
from quazzar_matrix.truth import WORLDS, truth_of


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

    def settle(self, name: str) -> None:
        """Hold every cell that was seen to the truth, and keep the tables."""
        settle(f"lab-{name}", self.found)

    def cells(self, identity: str) -> list[Cell]:
        """Those of one identity, when it was last looked."""
        return [cell for cell in self.found[-1].cells if cell.identity == identity]

    def refused_everywhere(self, identity: str) -> None:
        """Whatever it pins, and by every verifier: that is what a rotation is about."""
        cells = self.cells(identity)
        assert {cell.found.to_node for cell in cells} == {"refused"}
        assert {cell.replica for cell in cells} == {"cp1", "cp2"} and {cell.pin for cell in cells} >= {"old", "new"}
