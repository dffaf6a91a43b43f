# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The releases of ansible-core that the collection supports, and a virtual environment for each."""

from __future__ import annotations

from pathlib import Path

from common import BUILD, ROOT, find_python, venv_python
from environment import virtual_environment

# The oldest that is supported, what Red Hat certifies on, what is current; each with a Python that it runs on
MATRIX = (("2.16", "3.10"), ("2.18", "3.11"), ("2.19", "3.11"), ("2.20", "3.12"), ("2.21", "3.13"))
# What holds on both of these holds, as a rule, on what lies between.
ENDS = (MATRIX[0], MATRIX[-1])
# What an operator who starts today has. Molecule's newest release runs on no older ones.
NEWEST_TWO = MATRIX[-2:]


def venv(core: str, python: str) -> Path | None:
    """Its virtual environment, made when it is not there yet; None when this machine has no such Python."""
    interpreter = find_python(python)
    if interpreter is None:
        return None
    folder = BUILD / "matrix" / f"{core}-py{python}"
    virtual_environment(ROOT / "test-requirements.txt", folder, str(interpreter), f"ansible-core=={core}.*")
    return folder


def add_molecule(folder: Path, core: str) -> None:
    """Bring Molecule into the virtual environment with this ansible-core, which stays."""
    virtual_environment(
        ROOT / "tests/molecule/requirements.txt", folder, str(venv_python(folder)), f"ansible-core=={core}.*"
    )
