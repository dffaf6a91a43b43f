# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set up what the checks and the demo need: system packages where that is allowed, and the virtual environment .venv.

usage: environment.py [--dev] [--for demo|test]

Run by the user's own python3, before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from common import ROOT, VENV, ToolError, Word, environment, run, venv_python

OLDEST = (3, 10)

# program -> (Debian package, what is lost without it; empty: nothing works without it)
PROGRAMS = {
    "openssl": ("openssl", ""),
    "sshd": ("openssh-server", "tests over a real OpenSSH server"),
    "ssh": ("openssh-client", "tests over a real OpenSSH server"),
    "sudo": ("sudo", "tests with sudo"),
    "strace": ("strace", "tests of the order in which a file gets to the disk"),
    "busybox": ("busybox", "tests of the host scripts with BusyBox's shell"),
    "curl": ("curl", "tests of registration with curl"),
    "go": ("golang-go", "tests against a Go TLS server and client"),
    "mmdebstrap": ("mmdebstrap", "tests on Kubernetes and on real hosts"),
    "ip": ("iproute2", "tests on real hosts, and of a controller that reaches of Kubernetes its API server alone"),
}
# Of no use without a cluster, but to root, who can have real hosts
NEEDED_FOR_KUBERNETES = ("mmdebstrap", "ip")
NEEDED_FOR_DEMO = ("openssl",)


def _missing_packages(programs: tuple[str, ...]) -> dict[str, str]:
    """package -> what is lost without it, for everything that this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    missing = {PROGRAMS[name][0]: PROGRAMS[name][1] for name in programs if not shutil.which(name, path=path)}
    if not venv_python().exists() and not importlib.util.find_spec("ensurepip"):
        # Debian splits the module off; its package is named after the version that python3 is.
        missing[f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"] = ""
    return missing


def system_packages(programs: tuple[str, ...]) -> None:
    """Install what is missing where nobody need be asked (root on Debian or Ubuntu), else say the line to run."""
    missing = _missing_packages(programs)
    if not missing:
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(sorted(missing))}"
    if os.geteuid() == 0 and shutil.which("apt-get") and not os.environ.get("QUAZZAR_NO_APT"):
        print(f"Installing what this machine lacks: {line}", flush=True)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=env, stdin=subprocess.DEVNULL, check=False)
        subprocess.run(line.split(), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        missing = _missing_packages(programs)
        if not missing:
            return
    line = f"apt-get install -y --no-install-recommends {' '.join(sorted(missing))}"
    if "" in missing.values():
        needed = ", ".join(sorted(package for package, lost in missing.items() if not lost))
        raise ToolError(f"This needs {needed}. On Debian and Ubuntu run\n\n    sudo {line}\n\nand start again.")
    for package, lost in sorted(missing.items()):
        print(f"Without the package {package} there are no {lost}.")
    print(f"To have them: sudo {line}", flush=True)


def _digest(requirements: Path, seen: set[Path] | None = None) -> str:
    """Over the file and all that it includes, so that a change in any of them is noticed."""
    seen = set() if seen is None else seen
    seen.add(requirements)
    text = requirements.read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode())
    for line in text.splitlines():
        if line.startswith("-r "):
            included = (requirements.parent / line[3:].strip()).resolve()
            if included not in seen:
                digest.update(_digest(included, seen).encode())
    return digest.hexdigest()


def virtual_environment(requirements: Path, venv: Path = VENV, python: str = sys.executable, *extra: str) -> None:
    """Bring `venv` up to what `requirements` and `extra` ask for. Costs nothing when it is there already."""
    interpreter = venv_python(venv)
    stamp = venv / f".installed-{requirements.stem}"
    wanted = f"{_digest(requirements)} {' '.join(extra)}\n"
    works = interpreter.exists() and run([interpreter, "-m", "pip", "-V"], check=False).returncode == 0
    if works and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    if not works:
        print(f"Making {os.path.relpath(venv, ROOT)} with {python}", flush=True)
        run([python, "-m", "venv", "--clear", venv], env=environment(venv))
    print(f"Installing {requirements.name} into {os.path.relpath(venv, ROOT)}", flush=True)
    install: list[Word] = [
        interpreter,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *extra,
        "-r",
        requirements,
    ]
    try:
        run(install, env=environment(venv))
    except ToolError as error:
        hint = "Is there a way to the Python package index? pip takes its settings from pip.conf and PIP_*."
        raise ToolError(f"{error}\n\n{hint}") from error
    stamp.write_text(wanted, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="also what checks style, types, documentation and licences")
    parser.add_argument("--for", dest="purpose", choices=("demo", "test"), default="test")
    options = parser.parse_args()
    try:
        if sys.version_info < OLDEST:
            found = sys.version.split()[0]
            raise ToolError(
                f"This needs Python {OLDEST[0]}.{OLDEST[1]} or newer, found {found}: make PYTHON=python3.12"
            )
        spared = () if os.environ.get("KUBECONFIG") or os.geteuid() == 0 else NEEDED_FOR_KUBERNETES
        wanted = tuple(name for name in PROGRAMS if name not in spared)
        system_packages(NEEDED_FOR_DEMO if options.purpose == "demo" else wanted)
        virtual_environment(ROOT / ("dev-requirements.txt" if options.dev else "test-requirements.txt"))
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
