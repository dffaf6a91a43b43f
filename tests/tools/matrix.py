# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test (sanity, units, integration) and the unit tests on every supported ansible-core; Molecule on two.

usage: matrix.py [CORE ...]     such as: matrix.py 2.16 2.21

Each combination has a virtual environment of its own under .build/matrix. One whose interpreter is missing is skipped,
and said so. Molecule runs on the two newest.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import checks
import collection
import cores
from common import REPORTS, Word, environment, venv_python


def combination(section: checks.Section, core: str, python: str) -> None:
    venv = checks.core_venv(section, core, python)
    if venv is None:
        return
    checks.sanity_tests(section, venv)
    checks.unit_tests(section, venv, checks.UNITS)
    checks.target_tests(section, venv)
    _unit(section, venv)
    if (core, python) in cores.NEWEST_TWO:
        cores.add_molecule(venv, core)
        checks.molecule(section, venv=venv)


def _unit(section: checks.Section, venv: Path) -> None:
    home = collection.link()
    report = REPORTS / f"matrix-{venv.name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command: list[Word] = [venv_python(venv), "-m", "pytest", "-q", "-n", "2", "-m", "not nightly and not ssh"]
    env = environment(venv, PYTHONPATH=str(home), ANSIBLE_COLLECTIONS_PATH=str(home))
    status, _output = checks.execute(
        section, "unit", [*command, f"--junitxml={report}", "tests/unit"], env=env, live=True, limit=30 * checks.MINUTE
    )
    before = len(section.failed)
    if (not checks.take_junit(section, report) or status) and len(section.failed) == before:
        section.fail("pytest", f"exit status {status}")


def main() -> int:
    wanted = sys.argv[1:] or [core for core, _python in cores.MATRIX]
    unknown = sorted({*wanted} - {core for core, _python in cores.MATRIX})
    if unknown:
        print(f"Not in the matrix: {', '.join(unknown)}\n{__doc__}", file=sys.stderr)
        return 2
    began = time.monotonic()
    done = []
    for core, python in cores.MATRIX:
        if core in wanted:
            done.append(checks.run_section(f"{core}-py{python}", combination, core, python))
    return checks.summary(done, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
