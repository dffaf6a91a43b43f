# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test sanity and the unit tests on every supported ansible-core whose Python is on this machine.

usage: matrix.py [CORE ...]     such as: matrix.py 2.16 2.21

Each combination has a virtual environment of its own under .build/matrix. One whose interpreter is missing is skipped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import checks
import collection
from common import BUILD, REPORTS, ROOT, Word, environment, find_python, venv_python
from environment import virtual_environment

# The oldest that is supported, what Red Hat certifies on, what is current; each with a Python that it runs on
MATRIX = (("2.16", "3.10"), ("2.18", "3.11"), ("2.19", "3.11"), ("2.20", "3.12"), ("2.21", "3.13"))


def combination(section: checks.Section, core: str, python: str) -> None:
    interpreter = find_python(python)
    if interpreter is None:
        section.skip(section.name, f"there is no Python {python} on this machine")
        return
    venv = BUILD / "matrix" / f"{core}-py{python}"
    virtual_environment(ROOT / "test-requirements.txt", venv, str(interpreter), f"ansible-core=={core}.*")
    checks.sanity_tests(section, venv)
    _unit(section, venv)


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
    wanted = sys.argv[1:] or [core for core, _python in MATRIX]
    unknown = sorted({*wanted} - {core for core, _python in MATRIX})
    if unknown:
        print(f"Not in the matrix: {', '.join(unknown)}\n{__doc__}", file=sys.stderr)
        return 2
    done = []
    for core, python in MATRIX:
        if core in wanted:
            done.append(checks.run_section(f"{core}-py{python}", combination, core, python))
    return checks.summary(done)


if __name__ == "__main__":
    sys.exit(main())
