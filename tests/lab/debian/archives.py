# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian systems as tar archives, by mmdebstrap: what images and hosts are made of. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MMDEBSTRAP = (
    "mmdebstrap",
    "--variant=minbase",
    "--format=tar",
    '--aptopt=Apt::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info", "locale", "man")),
)


@dataclass(frozen=True)
class System:
    """A release of Debian, and what is in it beyond the least that apt needs."""

    suite: str
    packages: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """All but where it goes to."""
        return [*MMDEBSTRAP, f"--include={','.join(self.packages)}", self.suite]


# The oldest Debian whose packages are as new as test-requirements.txt asks
PYTHON = System("trixie", ("openssl", "python3-aiohttp", "python3-cryptography", "python3-openssl"))


def digest(*parts: bytes) -> str:
    """A short one over all of them; where one ends matters."""
    found = hashlib.sha256()
    for part in parts:
        found.update(b"%d " % len(part) + part)
    return found.hexdigest()[:16]


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Only one process at a time builds in a directory, which is made; test workers may all ask at once."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "build.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def archive(directory: Path, system: System) -> Path:
    """Its tar, made in half a minute if the directory has none; one of other packages goes."""
    path = directory / f"debian-{system.suite}-{digest(' '.join(system.command).encode())}.tar"
    if not path.exists():
        for old in directory.glob(f"debian-{system.suite}-*"):
            old.unlink()
        new = path.with_suffix(".new")
        subprocess.run([*system.command, new], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
        new.rename(path)
    return path
