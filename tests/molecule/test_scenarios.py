# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every scenario of extensions/molecule, by Molecule itself, each on hosts of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".build/logs"
SCENARIOS = sorted(path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml"))
SCENARIO_SECONDS = 1500  # on an idle machine none takes two minutes
SHOWN_LINES = 150


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(host_lab: Callable[[], Any], scenario: str) -> None:
    made = host_lab()
    programs = Path(sys.executable).parent
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_", "PYTEST_"))},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "tests/lab"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ANSIBLE_COLLECTIONS_PATH": os.environ.get("QUAZZAR_COLLECTIONS", str(ROOT / ".build/installed")),
        "ANSIBLE_HOME": str(made.dir / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "HOME": str(made.dir),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(made.dir / "molecule"),
        "QUAZZAR_HOSTS": str(made.dir),
    }
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"molecule-{scenario}.log"
    with open(log, "wb") as output:
        done = subprocess.run(
            [*made.machines.inside, "molecule", "test", "-s", scenario],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=SCENARIO_SECONDS,
            check=False,
        )
    text = log.read_text(encoding="utf-8", errors="replace")
    end = "\n".join(text.splitlines()[-SHOWN_LINES:])
    assert done.returncode == 0, f"{scenario} ended with {done.returncode}; all of it is in {log}\n{end}"
    # Molecule itself takes it for a success when its verifier finds no tests.
    assert re.search(r"^=+ \d+ passed in ", text, re.MULTILINE), f"{scenario} was not verified; see {log}\n{end}"
