# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Go programs of tests/lab/go, built when their source has changed."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import shutil
import subprocess
from pathlib import Path

from .places import GO_BUILT, GO_SOURCES

MISSING = "go is not installed (Debian: golang-go)"


def available() -> bool:
    return shutil.which("go") is not None


@functools.cache
def binary(name: str) -> Path:
    """The program of this name. Built in a place of its own for each source, so that two processes can share it."""
    source = GO_SOURCES / name
    digest = hashlib.sha256()
    for path in sorted(source.iterdir()):
        digest.update(path.read_bytes())
    version = subprocess.run(["go", "version"], check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    digest.update(version)
    path = GO_BUILT / f"{name}-{digest.hexdigest()[:16]}"
    GO_BUILT.mkdir(parents=True, exist_ok=True)
    with open(GO_BUILT / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            fresh = path.with_suffix(".new")
            command = ["go", "build", "-o", str(fresh), "."]
            subprocess.run(command, cwd=source, check=True, stdin=subprocess.DEVNULL)
            fresh.rename(path)
    return path
