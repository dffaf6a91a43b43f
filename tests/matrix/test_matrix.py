# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real handshakes: every identity with every pin at every replica, the cells that must pass and those that must not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from quazzar_matrix import golang, places
from quazzar_matrix.material import SERVER_NAME, Material
from quazzar_matrix.matrix import Matrix, observe, settle
from quazzar_matrix.nodes import VERIFIERS, Question, Verdict
from quazzar_matrix.truth import ROWS, WORLDS, Phase, truth_of

USABLE = ("openssl", "go") if golang.available() else ("openssl",)
PINS = "old new old+new new+old"
PHASES = [
    *(Phase(serves, trusts) for serves in ("old", "new", "bridged") for trusts in ("old", "new", "new+old", "old+new")),
    Phase("cn", "new+old"),
]


def test_go_is_here() -> None:
    """Without it half of the cells are missing from every other test, so it must be said by name."""
    if not golang.available():
        pytest.skip(f"{golang.MISSING}: no Go listener and no Go agent in the matrix")
    assert golang.binary("listener").exists() and golang.binary("agent").exists()


@pytest.mark.parametrize("key_ids", [True, False], ids=["key-ids", "no-key-ids"])
@pytest.mark.parametrize("same_names", [True, False], ids=["same-names", "distinct-names"])
def test_every_phase(tmp_path: Path, replicas, pins, same_names: bool, key_ids: bool) -> None:
    """Both orders of every bundle; the two CAs named alike and apart, with and without key identifiers."""
    material = Material(tmp_path, same_names=same_names, key_ids=key_ids)
    identities = {name: material.identity(name) for name in ("old", "new")}
    found: list[Matrix] = []
    for phase in PHASES:
        truth = truth_of(phase, ambiguous=same_names and not key_ids)
        with replicas(material, phase) as running:
            kind = f"{'same' if same_names else 'distinct'} names, {'' if key_ids else 'no '}key ids"
            title = f"{phase.title} ({kind})"
            found.append(observe(title, running, identities, pins(material, PINS), truth, verifiers=USABLE))
    settle(f"phases-{'same' if same_names else 'distinct'}-{'with' if key_ids else 'without'}-key-ids", found)


def test_tls_1_2(tmp_path: Path, replicas, pins) -> None:
    """There a refusal comes within the handshake."""
    material = Material(tmp_path)
    identities = {name: material.identity(name) for name in ("old", "new")}
    found = []
    for phase in (Phase("old", "old"), Phase("new", "new"), Phase("new", "new+old"), Phase("bridged", "new+old")):
        with replicas(material, phase, tls=("1.2",)) as running:
            every = pins(material, PINS)
            found.append(observe(phase.title, running, identities, every, truth_of(phase), verifiers=USABLE))
    settle("tls-1.2", found)


@pytest.mark.parametrize("world", WORLDS)
def test_the_way_through_each_world(tmp_path: Path, replicas, pins, world: str) -> None:
    """Identities minted before, during and after; each is there from its time on."""
    material = Material(tmp_path)
    signed_by = {"minted before": "old", "stranger": "outside"}
    found = []
    for name, phase in WORLDS[world].items():
        if name == "window":
            signed_by["minted during"] = "new"
        if name == "strip":
            signed_by["minted after"] = "new"
        identities = {each: material.identity(ca, each.replace(" ", "-")) for each, ca in signed_by.items()}
        with replicas(material, phase) as running:
            every = pins(material, "old new new+old outside")
            truth, title = truth_of(phase, signed_by=signed_by), f"{world}, {name}: {phase.title}"
            found.append(observe(title, running, identities, every, truth, verifiers=USABLE))
    settle(f"world-{world}", found)


def test_the_rows_of_the_table(tmp_path: Path, replicas, pins) -> None:
    """Each row by itself, as it stands in the table, by every pair of verifiers."""
    material = Material(tmp_path)
    lines, wrong = [], []
    for row, serves, trusts, leaf, pin, result in ROWS:
        phase = Phase(serves, trusts)
        with replicas(material, phase, tls=("1.2", "1.3")) as running:
            every = pins(material, pin)
            seen = observe(row, running, {leaf: material.identity(leaf)}, every, truth_of(phase), verifiers=USABLE)
        words = ", ".join(sorted({cell.found.word for cell in seen.cells}))
        given = f"{row:<4}{serves:<9}{trusts:<9}{leaf + ' / ' + pin:<15}"
        lines.append(f"{given}{result:<14}{words} ({len(seen.cells)})")
        wrong += [f"row {row}: {cell}" for cell in seen.cells if cell.found.word != result]
    head = f"{'row':<4}{'serves':<9}{'trusts':<9}{'leaf / pin':<15}{'must be':<14}is (handshakes)"
    places.REPORTS.mkdir(parents=True, exist_ok=True)
    (places.REPORTS / "rows.txt").write_text("\n".join([head, *lines]), encoding="utf-8")
    assert not wrong, "\n".join([*wrong, "", head, *lines])


@pytest.mark.parametrize("key_ids", [True, False], ids=["key-ids", "no-key-ids"])
def test_a_ca_renewed_over_its_key_is_the_same_ca(tmp_path: Path, replicas, pins, key_ids: bool) -> None:
    material = Material(tmp_path, key_ids=key_ids)
    identities = {name: material.identity(name) for name in ("old", "new")}
    found = []
    for pool in ("renewed", "renewed+new", "new+renewed", "renewed+old", "old+renewed"):
        phase = Phase("new", pool)
        with replicas(material, phase) as running:
            every = pins(material, "old renewed renewed+new new+renewed renewed+old old+renewed")
            truth = truth_of(phase, ambiguous=not key_ids)
            found.append(observe(phase.title, running, identities, every, truth, verifiers=USABLE))
    settle(f"renewed-{'with' if key_ids else 'without'}-key-ids", found)


@pytest.mark.parametrize("key_ids", [True, False], ids=["key-ids", "no-key-ids"])
@pytest.mark.parametrize("same_names", [True, False], ids=["same-names", "distinct-names"])
def test_a_legacy_ca_that_expired_helps_nobody(tmp_path: Path, replicas, pins, same_names: bool, key_ids: bool) -> None:
    """Not in the pool, not in a pin; and it harms nobody else there, whichever comes first."""
    material = Material(tmp_path, same_names=same_names, key_ids=key_ids)
    identities = {name: material.identity(name) for name in ("over", "new")}
    found = []
    for phase in (Phase("new", "new+over"), Phase("new", "over+new"), Phase("over", "new+over"), Phase("over", "over")):
        with replicas(material, phase) as running:
            every = pins(material, "over new new+over over+new")
            truth = truth_of(phase, ambiguous=same_names and not key_ids)
            found.append(observe(phase.title, running, identities, every, truth, verifiers=USABLE))
    settle(f"expired-{'same' if same_names else 'distinct'}-{'with' if key_ids else 'without'}-key-ids", found)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_a_reset_is_a_refusal_too(tmp_path: Path, replicas, pins, tls: str) -> None:
    material, phase = Material(tmp_path), Phase("new", "new")
    identities = {name: material.identity(name) for name in ("old", "new")}
    with replicas(material, phase, kinds=("openssl-abrupt",), tls=(tls,)) as running:
        every = pins(material, "old new")
        seen = observe(phase.title, running, identities, every, truth_of(phase), verifiers=USABLE)
    settle(f"reset-{tls}", [seen])
    refusals = [cell.found.detail for cell in seen.cells if cell.found.to_node == "refused"]
    assert refusals and not any("alert" in detail or "remote error" in detail for detail in refusals)


# --- the harness itself ----------------------------------------------------------------------------------------------


def test_a_wrong_cell_is_named_and_marked(tmp_path: Path, replicas, pins) -> None:
    material, phase = Material(tmp_path), Phase("new", "new+old")

    def believer(identity: str, pin: str, _replica: str, _verifier: str) -> Verdict | None:
        """That the pool heals both directions."""
        return None if identity == "new" else Verdict("ok", "accepted")

    identities = {name: material.identity(name) for name in ("old", "new")}
    with replicas(material, phase, kinds=("openssl",)) as running:
        seen = observe("belief", running, identities, pins(material, "old new+old"), believer, verifiers=("openssl",))
    with pytest.raises(AssertionError) as caught:
        settle("belief", [seen])
    (places.REPORTS / "belief.txt").unlink()
    message = str(caught.value)
    assert message.startswith("belief: 1 of 2 cells are wrong")
    assert (
        "identity old, pin old, replica openssl 1.3, openssl's verifier: expected 'up', found 'node refuses'" in message
    )
    assert "!! node refuses, not up" in message
    assert [(cell.identity, cell.pin) for cell in seen.cells] == [("old", "old"), ("old", "new+old")]


@pytest.mark.parametrize("verifier", USABLE)
def test_silence_proves_nothing(tmp_path: Path, verifier: str) -> None:
    material = Material(tmp_path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        asked = Question(address, SERVER_NAME, material.bundle("new"), material.identity("new"))
        (found,) = VERIFIERS[verifier]([asked])
    assert (found.to_cp, found.to_node, found.word) == ("unknown", "unknown", "unknown")


def test_a_matrix_without_cells_is_no_proof() -> None:
    with pytest.raises(AssertionError, match="there is no cell"):
        Matrix("empty", ()).check()
    with pytest.raises(AssertionError):
        settle("empty", [])
