# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole matrix of one phase: who asks whom with what, what came of it, and the table that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .material import SERVER_NAME, Identity
from .nodes import VERIFIERS, Question, Verdict
from .places import REPORTS


@dataclass(frozen=True)
class Cell:
    """One identity with one pin at one replica, by one verifier; ``found`` is what really happened."""

    identity: str
    pin: str
    replica: str
    verifier: str
    expected: Verdict
    found: Verdict

    @property
    def right(self) -> bool:
        return (self.found.to_cp, self.found.to_node) == (self.expected.to_cp, self.expected.to_node)

    def __str__(self) -> str:
        where = f"identity {self.identity}, pin {self.pin}, replica {self.replica}, {self.verifier}'s verifier"
        return (
            f"{where}: expected {self.expected.word!r}, found {self.found.word!r} ({self.found.detail or 'no detail'})"
        )


#: (identity, pin, replica, verifier) -> what must come of it, or None for a cell that says nothing here.
Truth = Callable[[str, str, str, str], "Verdict | None"]


@dataclass(frozen=True)
class Matrix:
    """Every cell of a phase."""

    phase: str
    cells: tuple[Cell, ...]

    @property
    def wrong(self) -> list[Cell]:
        return [cell for cell in self.cells if not cell.right]

    @property
    def table(self) -> str:
        """A line for each identity and pin, a column for each replica and verifier; a wrong cell has both words."""
        columns = list(dict.fromkeys((cell.replica, cell.verifier) for cell in self.cells))
        rows = list(dict.fromkeys((cell.identity, cell.pin) for cell in self.cells))
        shown = {(cell.identity, cell.pin, cell.replica, cell.verifier): _shown(cell) for cell in self.cells}
        head = ["identity", "pin", *(f"{replica} / {verifier}" for replica, verifier in columns)]
        body = [[*row, *(shown.get((*row, *column), "") for column in columns)] for row in rows]
        widths = [max(len(line[at]) for line in (head, *body)) for at in range(len(head))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in (head, *body)
        ]
        return "\n".join([self.phase, "-" * len(self.phase), *lines, ""])

    @property
    def counted(self) -> str:
        up = sum(1 for cell in self.cells if cell.found.word == "up")
        return f"{len(self.cells)} cells, {up} up, {len(self.cells) - up} refused, {len(self.wrong)} wrong"

    def check(self) -> None:
        """Raises AssertionError that names each wrong cell, with the table."""
        assert self.cells, f"{self.phase}: there is no cell in it"
        named = "\n".join(f"  {cell}" for cell in self.wrong)
        assert not self.wrong, (
            f"{self.phase}: {len(self.wrong)} of {len(self.cells)} cells are wrong\n{named}\n\n{self.table}"
        )


def _shown(cell: Cell) -> str:
    return cell.found.word if cell.right else f"!! {cell.found.word}, not {cell.expected.word}"


def settle(name: str, matrices: Sequence[Matrix]) -> None:
    """Print all tables, keep them in .build/reports/matrix, and fail when a cell of any is wrong."""
    text = "\n".join(f"{matrix.table}{matrix.counted}\n" for matrix in matrices)
    print(text)
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"{name}.txt").write_text(text, encoding="utf-8")
    problems = []
    for matrix in matrices:
        try:
            matrix.check()
        except AssertionError as error:
            problems.append(str(error))
    assert matrices and not problems, "\n\n".join(problems)


def observe(
    phase: str,
    replicas: Mapping[str, str],
    identities: Mapping[str, Identity],
    pins: Mapping[str, Path],
    truth: Truth,
    *,
    verifiers: Sequence[str] = tuple(VERIFIERS),
    server_name: str = SERVER_NAME,
) -> Matrix:
    """Every identity with every pin at every replica (name to host:port), of a lab or of listeners of one's own."""
    cells: list[Cell] = []
    for verifier in verifiers:
        wanted = [
            (identity, pin, replica, expected)
            for identity in identities
            for pin in pins
            for replica in replicas
            if (expected := truth(identity, pin, replica, verifier)) is not None
        ]
        questions = [
            Question(replicas[replica], server_name, pins[pin], identities[identity])
            for identity, pin, replica, _e in wanted
        ]
        for (identity, pin, replica, expected), found in zip(wanted, VERIFIERS[verifier](questions), strict=True):
            cells.append(Cell(identity, pin, replica, verifier, expected, found))
    return Matrix(phase, tuple(cells))
