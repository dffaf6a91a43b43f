# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replicas on the spot, and the tables at the end of the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quazzar_matrix import golang, places
from quazzar_matrix.material import Material
from quazzar_matrix.servers import listener
from quazzar_matrix.truth import Phase

#: Without Go there is one replica and one verifier less, and test_matrix.py says so.
KINDS = ("openssl", "go") if golang.available() else ("openssl",)

Replicas = Callable[..., contextlib.AbstractContextManager[dict[str, str]]]


@pytest.fixture
def replicas() -> Replicas:
    """``with replicas(material, phase) as running``: one of each kind that serves and trusts what the phase says."""

    @contextlib.contextmanager
    def start(
        material: Material, phase: Phase, *, kinds: tuple[str, ...] = KINDS, tls: tuple[str, ...] = ("1.3",)
    ) -> Iterator[dict[str, str]]:
        serves, trusts = material.server(phase.serves), material.bundle(*phase.trusts.split("+"))
        with contextlib.ExitStack() as stack:
            yield {
                f"{kind} {version}": stack.enter_context(listener(kind, serves, trusts, version))
                for kind in kinds
                for version in tls
            }

    return start


@pytest.fixture
def pins() -> Callable[[Material, str], dict[str, Path]]:
    """``pins(material, "old new old+new")`` -> their files."""
    return lambda material, names: {name: material.bundle(*name.split("+")) for name in names.split()}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The rows of the table, and where all the others are; a wrong cell is in the failure itself."""
    rows = places.REPORTS / "rows.txt"
    if any("test_matrix.py" in report.nodeid for report in terminalreporter.getreports("passed")) and rows.exists():
        terminalreporter.section("the two directions of trust")
        terminalreporter.write_line(rows.read_text(encoding="utf-8"))
        terminalreporter.write_line(f"Every cell of every phase: {places.REPORTS}")
