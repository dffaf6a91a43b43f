# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts for the tests of this directory: two trees that are built once, a network for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quazzar_lab import machines
from quazzar_lab.hosts import HostLab

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("QUAZZAR_BUILD") or ROOT / ".build").resolve()
BUILDER = ROOT / "tests/lab/debian/trees.py"


@pytest.fixture(scope="session", autouse=True)
def possible() -> None:
    if problem := machines.missing():
        pytest.skip(problem)


@pytest.fixture(scope="session")
def trees(possible: None) -> tuple[Path, Path]:
    """The trees ``base`` and ``runtime``."""
    done = subprocess.run([sys.executable, BUILDER, BUILD / "debian"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    base, runtime = done.stdout.split()
    return Path(base), Path(runtime)


@pytest.fixture
def host_lab(trees: tuple[Path, Path]) -> Iterator[Callable[[], HostLab]]:
    """Make a network for hosts, in a directory whose path is short enough for ssh's sockets."""
    made: list[HostLab] = []

    def make() -> HostLab:
        one = HostLab(tempfile.mkdtemp(prefix="qz-", dir="/tmp"))
        made.append(one)
        one.network(*trees)
        return one

    yield make
    for one in made:
        one.down()
        shutil.rmtree(one.dir)
