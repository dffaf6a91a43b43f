# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios: playbooks of the installed collection, run by ansible-playbook against a lab of real processes.

A test gets `fleet`, a function that starts a lab of its own on a free block of loopback addresses. What the tests know
of the product they know from the lab and from what a run prints and reports: nothing here imports from plugins/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleets import Fleet, digest_of
from quazzar_lab import lab


@pytest.fixture
def digest() -> Callable[[bytes], str]:
    return digest_of


@pytest.fixture
def fleet(tmp_path: Path, ansible_environment: dict[str, str]) -> Iterator[Callable[..., Fleet]]:
    """Start a lab: fleet(nodes=4, world="W2", options=["reregister=new"], replicas=2, heartbeat=0.5)."""
    started: list[Fleet] = []

    def start(
        nodes: int = 4,
        world: str = "W2",
        *,
        options: list[str] | None = None,
        replicas: int = 2,
        heartbeat: float = 0.5,
    ) -> Fleet:
        work = tmp_path / str(len(started))
        work.mkdir()
        made = Fleet(work, ansible_environment)
        started.append(made)
        made.start(nodes, world, options or [], replicas, heartbeat)
        return made

    yield start
    for made in started:
        lab.stop(str(made.dir))
