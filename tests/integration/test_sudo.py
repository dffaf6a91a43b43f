# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Becoming another user by a real sudo, over a real OpenSSH server, and the sudoers of docs/sudo.md."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleets import open_home
from quazzar_lab import inventory, pki, ssh
from quazzar_lab.paths import Layout, replica_address

pytestmark = [
    pytest.mark.integration,
    pytest.mark.ssh,
    pytest.mark.sudo,
    pytest.mark.skipif(
        not shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin") or not shutil.which("ssh"),
        reason="no OpenSSH server and client here (Debian, Ubuntu: apt-get install openssh-server)",
    ),
]
PAGE = Path(__file__).parents[2] / "docs" / "sudo.md"
RESTART = "systemctl restart quazzar-cc"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Short and open, for ssh's control sockets and for those who log in."""
    with open_home() as home:
        yield home


@pytest.fixture
def server() -> Iterator[Callable[..., dict[str, Any]]]:
    """Start an sshd: server(layout, name, address) -> the connection variables of its host."""
    running: list[subprocess.Popen[bytes]] = []

    def start(layout: Layout, name: str, address: str) -> dict[str, Any]:
        ssh.prepare_node(layout, name, address)
        running.append(subprocess.Popen(ssh.command(layout, name), stdin=subprocess.DEVNULL))
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection((address, ssh.SSH_PORT), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline and running[-1].poll() is None, "its sshd does not answer"
                time.sleep(0.1)
        known = f"UserKnownHostsFile={layout.root}/ssh/known_hosts"
        common = f"-o ControlMaster=no -o {known} -o KexAlgorithms=curve25519-sha256"
        return {
            "ansible_connection": "ssh",
            "ansible_host": address,
            "ansible_port": ssh.SSH_PORT,
            "ansible_ssh_private_key_file": str(layout.root / "ssh/id_ed25519"),
            "ansible_ssh_common_args": common,
        }

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def documented(part: int, **instead: str) -> list[str]:
    """The lines of one sudoers block of docs/sudo.md, for a login whose name is not known yet."""
    block = re.findall(r"^```sudoers\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[part]
    for old, new in {"rotation": "@NAME@", **instead}.items():
        assert old in block
        block = block.replace(old, new)
    return block.splitlines()


def letters() -> str:
    return "".join(secrets.choice(string.ascii_lowercase) for _turn in range(32))


def say(variables: dict[str, Any], login: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command over ssh as this login."""
    words = ["ssh", "-F", "none", "-i", variables["ansible_ssh_private_key_file"], "-o", "BatchMode=yes"]
    words += [*variables["ansible_ssh_common_args"].split(), "-p", str(ssh.SSH_PORT), "-l", login]
    return subprocess.run(
        [*words, variables["ansible_host"], command],
        input="id -u\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def put_in_place(
    home: Path, environment: dict[str, str], hosts: dict[str, dict[str, Any]], pem: str, *words: str
) -> dict[str, dict[str, Any]]:
    """What trust_file says on each host of a file of its own, ``<home>/files/<host>/ca.crt``, written with become."""
    (home / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    arguments = {"path": f"{home}/files/{{{{ inventory_hostname }}}}/ca.crt", "certificates": [pem]}
    module = ["-m", "quazzar.ca_rotation.trust_file", "-a", json.dumps(arguments)]
    done = subprocess.run(
        ["ansible", "all", "-b", "-i", home / "hosts.json", *module, *words],
        env={**environment, "ANSIBLE_HOME": str(home / "ansible"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout
    found = {}
    for match in re.finditer(r"^(\S+) \| [A-Z!]+ => ", said, re.MULTILINE):
        found[match[1]] = json.JSONDecoder().raw_decode(said[match.end() :])[0]
    assert set(found) == set(hosts), said + done.stderr
    assert not [host for host in hosts.values() if host.get("ansible_become_password", "\0") in said]
    return found


def test_each_way_of_sudo(
    tmp_path: Path,
    ansible_environment: dict[str, str],
    server: Callable[..., dict[str, Any]],
    person: Callable[..., tuple[str, str]],
) -> None:
    layout = Layout(tmp_path / "lab")
    layout.logs.mkdir(parents=True)
    ssh.prepare_client(layout)
    at = server(layout, "host", "127.0.77.1")
    free, asked = "@NAME@ ALL=(root) NOPASSWD: ALL", "@NAME@ ALL=(root) ALL"
    service, _unused = person()
    recorded = f"Defaults:@NAME@ log_input, log_output, iolog_dir={tmp_path}/recorded-@NAME@"
    hosts: dict[str, dict[str, Any]] = {}
    logins: dict[str, str] = {}

    def case(name: str, *lines: str, password: str | None = None, **more: Any) -> None:
        logins[name], right = person(*lines)
        given = {"ansible_become_password": right if password == "right" else password} if password else {}
        hosts[name] = {**at, "ansible_user": logins[name], **given, **more}
        place = tmp_path / "files" / name / "ca.crt"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"old\n")
        place.chmod(0o640)
        os.chown(place, 12345, 23456)

    case("no-password", free)
    case("no-pty", "Defaults:@NAME@ !use_pty, !env_reset, !secure_path", free)
    case("lecture", "Defaults:@NAME@ use_pty, lecture=always, env_reset", asked, password="right")
    case("recorded", recorded, free)
    case("not-recorded", recorded, *documented(0))
    case("older-sudo", *documented(1, QUAZZAR=f"QZ{secrets.token_hex(4).upper()}"))
    case("another-user", f"@NAME@ ALL=({service}) NOPASSWD: ALL", ansible_become_user=service)
    good = set(hosts)
    case("wrong-password", asked, password=secrets.token_urlsafe(18))
    case("missing-password", asked)
    case("terminal", "Defaults:@NAME@ requiretty", free)
    case("nobody-there", free, ansible_become_user="qz-nobody-there")
    case("not-in-sudoers", password="right")
    case("other-command", "@NAME@ ALL=(root) /usr/bin/id", password="right")
    case("other-command-free", "@NAME@ ALL=(root) NOPASSWD: /usr/bin/id")
    case("other-root", f"@NAME@ ALL=({service}) ALL", password="right")
    own = tmp_path / "files" / "another-user"
    for path in (own, own / "ca.crt"):
        shutil.chown(path, service, service)
    pem = pki.pem(pki.make_ca("Another CA").cert).decode()

    before = {path: path.read_bytes() for path in tmp_path.glob("files/*/*")}
    checked = put_in_place(tmp_path, ansible_environment, hosts, pem, "--check")
    assert {path: path.read_bytes() for path in tmp_path.glob("files/*/*")} == before
    done = put_in_place(tmp_path, ansible_environment, hosts, pem)
    for name in hosts:
        place = tmp_path / "files" / name / "ca.crt"
        assert list(place.parent.iterdir()) == [place]
        status = place.stat()
        if name == "another-user":
            assert place.owner() == service
        else:
            assert (status.st_uid, status.st_gid) == (12345, 23456)
        assert status.st_mode & 0o777 == 0o640
        assert checked[name]["changed"] is (name in good), checked[name]
        assert done[name]["changed"] is (name in good), done[name]
        assert place.read_bytes() == (pem.encode() if name in good else b"old\n")
    allow = "its sudoers must allow this login the command '/bin/sh -c echo BECOME-SUCCESS-<32 letters> ; /bin/sh'"
    words = {
        "wrong-password": "the become password was refused",
        "missing-password": "become needs a password, none was given",
        "terminal": "requiretty",
        "nobody-there": "no such user to become",
        "not-in-sudoers": allow,
        "other-command": allow,
        "other-command-free": allow,
        "other-root": allow,
    }
    assert [done[name]["msg"] for name, text in words.items() if text not in done[name]["msg"]] == []
    assert all(done[name]["msg"].startswith(f"{name}: ") for name in words)
    # What sudo records holds the script, and so its secrets, unless the sudoers of the page are in force.
    kept = {name: b"".join(map(Path.read_bytes, files_of(tmp_path, login))) for name, login in logins.items()}
    assert kept["recorded"] and not kept["not-recorded"]


def files_of(home: Path, login: str) -> list[Path]:
    return [path for path in (home / f"recorded-{login}").rglob("*") if path.is_file()]


def restart_program(made: Any, home: Path) -> Path:
    """What stands for systemctl restart."""
    program = home / "restart-quazzar-cc"
    program.write_text(f"#!/bin/sh\nexec {inventory.lab_command(made.layout, 'restart', 'cp1')}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_only_the_two_commands(
    ssh_fleet: Callable[..., Any],
    server: Callable[..., dict[str, Any]],
    person: Callable[..., tuple[str, str]],
    tmp_path: Path,
) -> None:
    program = tmp_path / "restart-quazzar-cc"
    login, _unused = person(*documented(0, **{RESTART: str(program)}))
    made = ssh_fleet(2, "W2", login=login, replicas=1)
    restart_program(made, tmp_path)
    at = server(made.layout, "cp1", replica_address(made.facts["block"], 1))
    made.host_vars["cp1"] = {**at, "ansible_user": login, "quazzar_cp_restart_command": str(program)}
    made.group_vars["all"]["quazzar_cp_become"] = True
    made.env_file().chmod(0o640)
    os.chown(made.env_file(), 12345, 23456)
    pool = made.environments()

    def sudo(command: str) -> subprocess.CompletedProcess[str]:
        return say(at, login, f"sudo -H -S -n {command}")

    good = f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()} ; /bin/sh'"
    assert sudo(f"-u root {good}").stdout.endswith("\n0\n")
    for command in (
        "cat /etc/shadow",
        "-i",
        "-s",
        "/bin/sh",
        "/bin/sh -c id",
        "/bin/bash",
        f"{program}",
        f"-u daemon {good}",
        f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()} ; id'",
        f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()} ; id ; /bin/sh'",
        f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()}; id; echo BECOME-SUCCESS-{letters()} ; /bin/sh'",
        f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()} ; /bin/sh -c id'",
        f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()} ; {program} x'",
        f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()[1:]} ; /bin/sh'",
        f"/bin/sh -ic 'echo BECOME-SUCCESS-{letters()} ; /bin/sh'",
    ):
        refused = sudo(command)
        assert (refused.returncode, refused.stdout) == (1, ""), command
        assert "a password is required" in refused.stderr, refused.stderr

    made.accident()
    made.disconnected()
    before = made.digest()
    made.play("ca_rotate", "--check")
    assert made.digest() == before

    # a restart that the sudoers do not have: the pool is put back, and the reason is told
    made.host_vars["cp1"]["quazzar_cp_restart_command"] = f"{program} now"
    run = made.play("ca_rotate", status=2)
    assert made.environments() == pool and len(made.boots("cp1")) == 2
    assert run.says(f"Not finished: cp1: expected quazzar_cp_restart_command ({program} now) to end with exit status 0")
    assert run.says(
        f"'/bin/sh -c echo BECOME-SUCCESS-<32 letters> ; {program} now', as docs/sudo.md of this collection"
    )

    made.host_vars["cp1"]["quazzar_cp_restart_command"] = str(program)
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.environments() == pool and made.loaded() == {"cp1": []}
    status = made.env_file().stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (12345, 23456, 0o640)
    assert len(made.boots("cp1")) >= 3  # for the new CA, for the window, and without it


def test_a_login_without_a_root_shell(
    ssh_fleet: Callable[..., Any],
    server: Callable[..., dict[str, Any]],
    person: Callable[..., tuple[str, str]],
    tmp_path: Path,
) -> None:
    program = tmp_path / "restart-quazzar-cc"
    service, _unused = person()
    lines = documented(2, **{f"/usr/bin/{RESTART}": str(program)}, **{RESTART: str(program)}, **{"quazzar-cc": service})
    login, _unused = person(*(line.replace(f"restart-{service}", program.name) for line in lines))
    made = ssh_fleet(2, "W2", replicas=1)
    restart_program(made, tmp_path)
    at = server(made.layout, "cp1", replica_address(made.facts["block"], 1))
    made.host_vars["cp1"] = {
        **at,
        "ansible_user": login,
        "ansible_become_user": service,
        "quazzar_cp_become": True,
        "quazzar_cp_restart_command": f"sudo -n {program}",
    }
    made.accident()
    made.disconnected()
    pool = made.environments()
    # What is the service's own where it runs as this user.
    legacy = made.layout.root / "cp"
    for path in (made.env_file(), made.env_file().parent, legacy, *legacy.rglob("*")):
        shutil.chown(path, service, service)

    for who, command in ((login, "-u root /bin/sh"), (login, str(program)), (login, f"-u {service} id")):
        assert say(at, who, f"sudo -n {command}").returncode == 1, command
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.environments() == pool and made.loaded() == {"cp1": []}
    assert made.env_file().owner() == service and len(made.boots("cp1")) >= 3

    # Nothing but the restart is root's, and without it the run says what it lacks.
    inside = f"/bin/sh -c 'echo BECOME-SUCCESS-{letters()} ; /bin/sh'"
    assert say(at, login, f"sudo -n -u {service} {inside}").stdout.splitlines()[-1] != "0"
