# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of a lab lies, and the small file habits that all its processes share."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MTLS_PORT = 8443
API_PORT = 8444
HEALTH_PORT = 8086
NODE_PORT = 8080
SSH_PORT = 2222
CONTROL_PORT = 8090
#: nothing ever listens there
CLAIM_PORT = 8099
NODES_PER_NET = 250
BALANCED = "balanced.json"


@dataclass(frozen=True)
class Layout:
    """The paths below a lab's directory."""

    root: Path

    @property
    def lab_file(self) -> Path:
        return self.root / "lab.json"

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.yml"

    @property
    def options(self) -> Path:
        return self.root / "options.json"

    @property
    def faults(self) -> Path:
        return self.root / "faults.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.txt"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def hidden(self) -> Path:
        """What only the lab itself knows: every CA pair that there was, for bridges and for the tests."""
        return self.root / "hidden"

    @property
    def cp(self) -> Path:
        return self.root / "cp"

    @property
    def data(self) -> Path:
        return self.cp / "data"

    @property
    def nodes(self) -> Path:
        return self.root / "nodes"

    @property
    def nodes_file(self) -> Path:
        return self.run / "nodes.json"

    def certs(self, replica: str, options: Any) -> Path:
        """The certs volume of a replica."""
        base = self.root / str(options.get("certs_dir"))
        return base if options.get("certs_volume") == "shared" else base.with_name(f"{base.name}-{replica}")

    def env_file(self, replica: str, options: Any) -> Path:
        """The KEY=VALUE file that a replica starts with."""
        name = "quazzar-cc.env" if options.get("env_file") == "shared" else f"{replica}.env"
        return self.cp / "etc" / name


def replica_address(block: str, number: int) -> str:
    """Replica 1 is BLOCK.0.1."""
    return f"{block}.0.{number}"


def balancer_address(block: str) -> str:
    return f"{block}.0.100"


def control_address(block: str) -> str:
    return f"{block}.0.200"


def node_address(block: str, number: int) -> str:
    """Node 1 is BLOCK.1.1, node 251 is BLOCK.2.1."""
    return f"{block}.{1 + (number - 1) // NODES_PER_NET}.{1 + (number - 1) % NODES_PER_NET}"


def write_atomic(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    payload = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    write_atomic(path, json.dumps(value, indent=2) + "\n", mode)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that other processes of the lab respect."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remember_secret(layout: Layout, *values: str) -> None:
    """Append run-time secrets (tokens, JWTs) to the list that secrecy tests look for."""
    with open(layout.secrets, "a", encoding="utf-8") as handle:
        handle.writelines(f"{value}\n" for value in values)
