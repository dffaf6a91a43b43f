# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes behind a real sshd, without Python."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [
    pytest.mark.ssh,
    pytest.mark.skipif(not shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin"), reason="openssh-server is missing"),
]


def run(made: Any, name: str, command: str) -> subprocess.CompletedProcess[str]:
    base = made.layout.root / "ssh"
    return subprocess.run(
        [
            *("ssh", "-i", str(base / "id_ed25519"), "-p", "2222", "-o", f"UserKnownHostsFile={base}/known_hosts"),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5", "-F", "none"),
            *(made.node(name)["address"], command),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_session_has_tools_but_no_python(start_lab: Callable[..., Any]) -> None:
    made = start_lab(with_ssh=True)
    answer = run(
        made, "node01", "command -v sh bash openssl timeout base64 sleep; command -v python3 python perl; true"
    )
    assert len(answer.stdout.splitlines()) == 6, answer
    assert "python" not in answer.stdout
    assert 'ansible_connection: "ssh"' in made.layout.inventory.read_text(encoding="utf-8")

    made.fault("node01", "clock", value=3600)
    skew = made.until(lambda: int(run(made, "node01", "date +%s").stdout) - time.time() > 3500, "the clock")
    assert skew
    assert abs(int(run(made, "node02", "date +%s").stdout) - time.time()) < 5

    made.fault("node02", "down")
    made.until(lambda: run(made, "node02", "true").returncode == 255, "sshd gone")
    made.clear()
    made.until(lambda: run(made, "node02", "true").returncode == 0, "sshd back")
