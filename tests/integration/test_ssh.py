# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job over real OpenSSH: a server for each node, no Python on the nodes' PATH, with and without sudo."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleets import open_home
from quazzar_lab import ssh

pytestmark = [
    pytest.mark.integration,
    pytest.mark.ssh,
    pytest.mark.skipif(
        not shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin") or not shutil.which("ssh"),
        reason="no OpenSSH server and client here (Debian, Ubuntu: apt-get install openssh-server)",
    ),
]
CLOSED = "The gate is closed: the legacy CA stays in the trust pool."


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Short and open, for ssh's control sockets and for those who log in to a node."""
    with open_home() as home:
        yield home


def said_on(made: Any, name: str, command: str) -> str:
    """What a command prints on a node, as Ansible would log in."""
    base, address = made.layout.root / "ssh", next(n["address"] for n in made.facts["nodes"] if n["name"] == name)
    words = [
        "-F",
        "none",
        "-i",
        base / "id_ed25519",
        "-o",
        f"UserKnownHostsFile={base}/known_hosts",
        "-o",
        "BatchMode=yes",
    ]
    done = subprocess.run(
        ["ssh", *words, "-p", str(ssh.SSH_PORT), address, command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def test_accident(ssh_fleet: Callable[..., Any]) -> None:
    made = ssh_fleet(24, "W2", heartbeat=2)
    assert said_on(made, "node01", "command -v openssl; command -v python3 python perl").endswith("/openssl\n")
    pools = made.environments()
    made.accident()
    made.disconnected()

    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"} and len(run.states) == 24
    proofs = {(proof["node"], proof["replica"], proof["after"]) for proof in run.report["negative_proof"]}
    assert proofs == {(node, cp, "refused") for node in ("node01", "node02") for cp in ("cp1", "cp2")}
    assert made.environments() == pools and made.loaded() == {"cp1": [], "cp2": []}
    # nothing was left on a node, not even for a moment's use
    assert not list((made.layout.root / "ssh").glob("*/.ansible*"))
    assert not list(made.layout.nodes.glob("*/var/lib/quazzar/rotation-probe/*"))
    made.connected()
    opened = max(made.boots(name)[2] for name in ("cp1", "cp2"))
    assert made.missed(opened) == {}

    again = made.play("ca_rotate")
    assert set(again.changed.values()) == {0} and again.says("Nothing to do.")


def test_down(ssh_fleet: Callable[..., Any]) -> None:
    made = ssh_fleet(3, "W2")
    pools = made.environments()
    made.accident()
    made.fault("node03", "down")

    run = made.play("ca_rotate", status=2)
    assert run.says(CLOSED) and list(run.blocked) == ["node03"]
    assert run.blocked["node03"]["state"] == "unreachable"
    assert "Connection refused" in run.blocked["node03"]["reason"]
    assert run.states == {"node01": "current", "node02": "current", "node03": "unreachable"}
    old = made.cas()[0]["sha256"]
    assert made.loaded() == {"cp1": [old], "cp2": [old]}

    made.clear("node03", "down")
    made.until(lambda: said_on(made, "node03", "echo up") == "up\n", "its sshd")
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.environments() == pools and made.loaded() == {"cp1": [], "cp2": []}


@pytest.mark.sudo
def test_sudo(ssh_fleet: Callable[..., Any], person: Callable[..., tuple[str, str]]) -> None:
    # secure_path would lead past the PATH without Python
    free, _unused = person("Defaults:@NAME@ !secure_path", "@NAME@ ALL=(root) NOPASSWD: ALL")
    asked, password = person("Defaults:@NAME@ !secure_path", "@NAME@ ALL=(root) ALL")
    wrong = secrets.token_urlsafe(18)
    made = ssh_fleet(3, "W4", login=free)
    made.accident()
    with_sudo = {"quazzar_node_become": True, "ansible_user": asked}
    made.host_vars["node02"] = {**with_sudo, "ansible_become_password": password}
    made.host_vars["node03"] = {**with_sudo, "ansible_become_password": wrong}

    # a wrong password is a failed node, named, and neither a hang nor the end of the others
    run = made.play("ca_rotate", status=2)
    assert run.says(CLOSED) and list(run.blocked) == ["node03"]
    assert "the become password was refused (ansible_become_password)" in run.blocked["node03"]["reason"]
    assert (run.states["node01"], run.states["node02"]) == ("current", "current")

    # none at all
    del made.host_vars["node03"]["ansible_become_password"]
    run = made.play("drift_report")
    assert "become needs a password, none was given" in run.blocked["node03"]["reason"]

    made.host_vars["node03"]["ansible_become_password"] = password
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert not [secret for secret in (password, wrong) if secret in run.output]
    key = made.node_file("node02", "client.key").stat()
    assert (key.st_uid, key.st_mode & 0o777) == (0, 0o600)
