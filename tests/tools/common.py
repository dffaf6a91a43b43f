# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tools have in common: where things are, and how to find interpreters and start programs.

Standard library only: the tools run before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Union

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE, NAME = "quazzar", "ca_rotation"
FQCN = f"{NAMESPACE}.{NAME}"

# Two runs in one checkout stay out of each other's way when each is given a directory of its own.
BUILD = Path(os.environ.get("QUAZZAR_BUILD") or ROOT / ".build").resolve()
DEV = ROOT / ".build" / "dev"
TREE = BUILD / "ansible_collections" / NAMESPACE / NAME
INSTALLED = BUILD / "installed"
LOGS = BUILD / "logs"
REPORTS = BUILD / "reports"
VENV = Path(os.environ.get("QUAZZAR_VENV") or ROOT / ".venv").absolute()

# From the oldest that the files in plugins/ must import on to the newest that an ansible-core of the matrix runs on
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


# The checkout may belong to somebody else, in a container for example; we only ask what is in it.
GIT = ("git", "-c", "safe.directory=*")

# Where we were started from must not matter.
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GIT_DIR", "GIT_WORK_TREE")


# In a form that an old python3 understands, so that it gets as far as being told that it is too old
Word = Union[str, Path]  # noqa: UP007


class ToolError(Exception):
    """Something that the person who runs the tool has to do first. The text says what."""


def venv_python(venv: Path = VENV) -> Path:
    return venv / "bin" / "python"


def environment(venv: Path = VENV, **extra: str) -> dict[str, str]:
    """The environment to run a program of `venv` in: its bin first on PATH, nothing of the user's Ansible settings.

    ansible-core and the tools around it start each other by name, hence PATH. What the user has set up for work with
    other inventories must not change what a test sees, hence a configuration file with nothing in it.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    for name in UNWANTED:
        env.pop(name, None)
    env["PATH"] = os.pathsep.join([str(venv / "bin"), env.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    env["ANSIBLE_CONFIG"] = str(Path(__file__).with_name("ansible.cfg"))
    env["ANSIBLE_NOCOLOR"] = "1"
    # ansible refuses to start in a locale that is not UTF-8
    if "utf" not in (env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or "").lower():
        env["LC_ALL"] = "C.UTF-8"
    env.update(extra)
    return env


def run(
    command: Sequence[Word],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    quiet: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run to the end and hand back what it printed; ToolError with all of that when it fails and `check` is set.

    Warnings come with the rest, unless `quiet` is set: then what is for people is left out, and stdout is data.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env=dict(env) if env is not None else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check and done.returncode:
        said = f"{done.stderr or ''}{done.stdout}".strip()
        raise ToolError(f"{' '.join(words)}\nended with {done.returncode}:\n{said}")
    return done


def shown(function: Callable[[], object]) -> int:
    """Print what it answers, or what somebody has to do first. The exit status of a tool is returned."""
    try:
        print(function())
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _version_of(program: str) -> str:
    """The version X.Y that this interpreter really has; empty when it does not start, or is but a manager's shim."""
    try:
        done = subprocess.run(
            [program, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.split()
    # A shim is a script that starts another program; ansible-test needs the program itself.
    if done.returncode or len(lines) != 2 or os.path.realpath(lines[1]) != os.path.realpath(program):
        return ""
    return lines[0]


def find_python(version: str) -> Path | None:
    """A real interpreter of this version (X.Y): from PATH, else from where version managers keep them side by side."""
    name = f"python{version}"
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = [os.path.join(folder, name) for folder in folders if folder]
    homes = [Path(sys.base_prefix).parent, Path.home() / ".local" / "share" / "uv" / "python"]
    homes += [Path(os.environ.get("PYENV_ROOT") or os.devnull) / "versions", *sorted(Path.home().glob(".*/versions"))]
    for home in homes:
        if home.is_dir():
            is_it = re.compile(rf"(^|-){re.escape(version)}(\.|-|$)")
            found = sorted((folder for folder in home.iterdir() if is_it.search(folder.name)), reverse=True)
            candidates.extend(str(folder / "bin" / name) for folder in found)
    candidates.append(sys.executable)
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and _version_of(candidate) == version:
            return Path(os.path.realpath(candidate))
    return None


def link_pythons() -> Path:
    """A directory that holds nothing but links to the real interpreters found, to be put on PATH."""
    folder = BUILD / "pythons"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for version in PYTHONS:
        found = find_python(version)
        if found is not None:
            (folder / f"python{version}").symlink_to(found)
    return folder


def project_files() -> list[Path]:
    """Every file of the project, relative to its root: what git tracks, and what is new and not ignored."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = run([*GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
        names = [Path(name) for name in listed.split("\0") if name]
    else:  # an unpacked archive
        names = []
        for folder, folders, files in os.walk(ROOT):
            here = Path(folder).relative_to(ROOT)
            hidden = "." if here == Path(".") else "__"
            folders[:] = [name for name in folders if not name.startswith((hidden, "__pycache__"))]
            names.extend(here / name for name in files)
    # git still lists a file that was just removed
    return sorted({name for name in names if os.path.lexists(ROOT / name)})
