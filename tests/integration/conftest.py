# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios: playbooks of the installed collection, run by ansible-playbook against a lab of real processes.

A test gets `fleet`, a function that starts a lab of its own on a free block of loopback addresses. What the tests know
of the product they know from the lab and from what a run prints and reports: nothing here imports from plugins/.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleets import Fleet, digest_of
from quazzar_lab import lab


@pytest.fixture
def digest() -> Callable[[bytes], str]:
    return digest_of


@pytest.fixture
def fleet(tmp_path: Path, ansible_environment: dict[str, str]) -> Iterator[Callable[..., Fleet]]:
    """Start a lab: fleet(nodes=4, world="W2", options=["reregister=new"], replicas=2, heartbeat=0.5)."""
    started: list[Fleet] = []

    def start(
        nodes: int = 4,
        world: str = "W2",
        *,
        options: list[str] | None = None,
        replicas: int = 2,
        heartbeat: float = 0.5,
    ) -> Fleet:
        work = tmp_path / str(len(started))
        work.mkdir()
        made = Fleet(work, ansible_environment)
        started.append(made)
        made.start(nodes, world, options or [], replicas, heartbeat)
        return made

    yield start
    for made in started:
        lab.stop(str(made.dir))


@pytest.fixture
def ssh_fleet(fleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """As ``fleet``, behind one sshd a node. ``login``: who logs in and becomes root there; empty: who runs the test."""
    start = lab.start

    def started(nodes: int, world: str, *, login: str = "", **more: Any) -> Any:
        monkeypatch.setattr(lab, "start", lambda *args, **kw: start(*args, **{**kw, **over_ssh}))
        over_ssh = {"with_ssh": True, "ssh_login": login}
        return fleet(nodes, world, **more)

    return started


@pytest.fixture
def person() -> Iterator[Callable[..., tuple[str, str]]]:
    """Make a user, with what a sudoers file says of them: (name, password). @NAME@ in its lines is the name."""
    if os.geteuid() != 0:
        pytest.skip("sudo on a node: users are made for it, which needs root")
    for tool in ("sudo", "useradd", "userdel"):
        if not shutil.which(tool):
            pytest.skip(f"sudo on a node: {tool} is not installed")
    with contextlib.ExitStack() as undo:

        def make(*lines: str) -> tuple[str, str]:
            name, password = f"qz-{secrets.token_hex(4)}", secrets.token_urlsafe(18)
            given = subprocess.run(
                ["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True
            )
            subprocess.run(
                ["useradd", "-M", "-d", "/nonexistent", "-s", "/bin/sh", "-p", given.stdout.strip(), name], check=True
            )
            # A connection that ssh has kept open is no reason to keep the user.
            undo.callback(subprocess.run, ["userdel", "-f", name], stderr=subprocess.DEVNULL, check=False)
            if lines:
                file = Path("/etc/sudoers.d") / name
                undo.callback(file.unlink, missing_ok=True)
                text = "\n".join(("Defaults:@NAME@ !mail_badpass", *lines, "")).replace("@NAME@", name)
                # A file that sudo cannot read would stop every sudo of this machine.
                subprocess.run(["visudo", "-c", "-q", "-f", "-"], input=text, text=True, check=True)
                file.write_text(text, encoding="ascii")
                file.chmod(0o440)
            return name, password

        yield make
