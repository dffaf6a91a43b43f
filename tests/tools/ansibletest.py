# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test where only a package index can be reached.

usage: ansibletest.py [--venv DIR] sanity|units|integration [ansible-test's options ...]

ansible-test makes virtual environments for its tests and starts pip in them with a script from a host of its own. It
takes that script from its cache when it is there. So the cache is filled first, with pip's own wheel from the package
index and a few lines that run it. All of it lives in a home directory of its own: the user's is left alone.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from collection import copy
from common import BUILD, ROOT, TREE, VENV, ToolError, Word, environment, link_pythons, run, venv_python

# What ansible-test starts in place of the script it would download. It hands over the packages to install.
BOOTSTRAP = """\
import os
import sys

wheels = os.path.join(os.path.dirname(os.path.realpath(__file__)), "wheels")
(pip,) = [name for name in os.listdir(wheels) if name.startswith("pip-{version}-")]
sys.path.insert(0, os.path.join(wheels, pip))
from pip._internal.cli.main import main

arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--quiet", "--no-index", "--find-links", wheels, *arguments]))
"""

# Asked of the ansible-test at hand: the versions differ between releases of ansible-core.
ASK_FOR_PACKAGES = """\
import types
from ansible_test._internal.python_requirements import get_venv_packages
for name, version in get_venv_packages(types.SimpleNamespace(version="3.11")).items():
    print(name, version)
"""


def home(venv: Path) -> Path:
    """A home directory for ansible-test, with its cache filled; it serves every version of ansible-core."""
    folder = BUILD / "home"
    cache = folder / ".ansible" / "test" / "cache"
    wheels = cache / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    answer = run([venv_python(venv), "-c", ASK_FOR_PACKAGES], env=environment(venv)).stdout
    packages = dict(line.split() for line in answer.splitlines())
    for name, version in packages.items():
        if not any(wheels.glob(f"{name}-{version}-*.whl")):
            pip: list[Word] = [venv_python(venv), "-m", "pip", "--quiet", "--disable-pip-version-check"]
            wanted: list[Word] = ["--no-deps", "--only-binary", ":all:", "--dest", wheels, f"{name}=={version}"]
            run([*pip, "download", *wanted], env=environment(venv))
    script = cache / f"get_pip_{packages['pip'].replace('.', '_')}.py"
    script.write_text(BOOTSTRAP.replace("{version}", packages["pip"]), encoding="utf-8")
    _pip_settings(venv, folder / ".config" / "pip" / "pip.conf")
    return folder


def _pip_settings(venv: Path, target: Path) -> None:
    """Settings that the user gave pip by environment or in the home directory: neither reaches ansible-test."""
    listed = run([venv_python(venv), "-m", "pip", "config", "list"], env=environment(venv)).stdout
    settings = {"disable-pip-version-check": "true"}
    for line in listed.splitlines():
        found = re.fullmatch(r"(?:global|install|download|:env:)\.([a-z-]+)='(.*)'", line.strip())
        if found:
            settings[found.group(1)] = found.group(2)
    where = run([venv_python(venv), "-m", "pip", "cache", "dir"], env=environment(venv), check=False)
    if where.returncode == 0:
        settings["cache-dir"] = where.stdout.strip().splitlines()[-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)  # an index may be named with a password
    lines = [f"{name} = {' '.join(value.split())}\n" for name, value in sorted(settings.items())]
    target.write_text("[global]\n" + "".join(lines), encoding="utf-8")


def command(venv: Path, kind: str, *extra: str) -> tuple[list[str], dict[str, str]]:
    """The command to run in the copy of the collection, and its environment. `kind`: sanity, units or integration."""
    env = environment(venv, HOME=str(home(venv)))
    # A version manager's shims stand for interpreters that may not be there, and ansible-test takes their word for it.
    rest = [folder for folder in env["PATH"].split(os.pathsep) if folder and Path(folder).name != "shims"]
    env["PATH"] = os.pathsep.join([str(venv / "bin"), str(link_pythons()), *rest])
    del env["ANSIBLE_NOCOLOR"]
    return [str(venv / "bin" / "ansible-test"), kind, "--color", "no", *extra], env


def targets() -> list[str]:
    """The integration targets that are tests; what others depend on is hidden."""
    home_of_all = ROOT / "tests" / "integration" / "targets"
    folders = sorted(path for path in home_of_all.iterdir() if path.is_dir())
    return [folder.name for folder in folders if "hidden" not in (folder / "aliases").read_text("utf-8").splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=VENV)
    parser.add_argument("kind", choices=("sanity", "units", "integration"))
    options, extra = parser.parse_known_args()
    try:
        copy()
        shutil.rmtree(TREE / "tests" / "output", ignore_errors=True)
        words, env = command(options.venv.absolute(), options.kind, *extra)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return subprocess.run(words, cwd=TREE, env=env, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
