# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Over a real OpenSSH server on loopback: nodes without Python, sudo in all its moods, and what is refused by name."""

from __future__ import annotations

import getpass
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import Listener, Os

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
COLLECTIONS = pathlib.Path(__file__).parents[4] / ".build" / "dev"
# Nothing of these may be needed on a node.
FOREIGN = ["python", "python3", "perl", "sed", "awk", "gawk", "mawk", "grep", "find", "xargs", "jq"]

pytestmark = [
    pytest.mark.ssh,
    pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="no OpenSSH server and client here"),
]


class Sshd:
    """sshd as a plain process. ``path`` comes first on the PATH of whoever logs in."""

    def __init__(self, home, path):
        self.home = home
        self.key = home / "user_key"
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        authorized = home / "authorized_keys"
        authorized.write_bytes((home / "user_key.pub").read_bytes())
        config = home / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {home}/host_key\nPidFile {home}/pid\n"
            f"AuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            f"PermitRootLogin yes\nUseDNS no\nSetEnv PATH={path}:/usr/bin:/bin\n"
        )
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("sshd did not start")

    def close(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def shared():
    """A directory that other users may enter; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory(prefix="quazzar-ssh-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture(scope="module")
def recorder(shared):
    """A directory of programs that no node needs; each writes down that it was called, and fails."""
    directory = shared / "foreign"
    directory.mkdir()
    calls = directory / "calls"
    calls.touch()
    calls.chmod(0o666)
    for name in FOREIGN:
        program = directory / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>{calls}\nexit 99\n')
        program.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def sshd(shared, recorder):
    home = shared / "sshd"
    home.mkdir()
    server = Sshd(home, recorder)
    yield server
    server.close()


def calls(recorder):
    return set((recorder / "calls").read_text().splitlines())


def log_in(sshd):
    """The bare login, because the user's own start-up files may call anything."""
    options = ["-o", f"UserKnownHostsFile={sshd.home}/known", "-o", "StrictHostKeyChecking=accept-new"]
    command = ["ssh", "-i", str(sshd.key), "-p", str(sshd.port), *options, "127.0.0.1", "true"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def run(sshd, tmp_path, hosts, module, args, *more):
    """One ad hoc run over several hosts; returns {host: result}, and all that was printed."""
    common = {
        "ansible_host": "127.0.0.1",
        "ansible_port": sshd.port,
        "ansible_user": getpass.getuser(),
        "ansible_ssh_private_key_file": str(sshd.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={sshd.home}/known -o StrictHostKeyChecking=accept-new"
        " -o KexAlgorithms=curve25519-sha256 -o ControlPath=none",
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"vars": common, "hosts": hosts}}))
    tree = tmp_path / "tree"
    command = [
        str(pathlib.Path(sys.executable).with_name("ansible")),
        *("all", "-i", str(inventory), "-f", "4", "-t", str(tree), "-m", f"quazzar.ca_rotation.{module}"),
        *("-a", json.dumps(args), *more),
    ]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    results = {path.name: json.loads(path.read_text()) for path in tree.glob("*")} if tree.exists() else {}
    return results, done.stdout + done.stderr


def test_a_node_without_python(sshd, tmp_path, recorder, make_ca, make_leaf):
    old, new = make_ca(), make_ca()
    home = tmp_path / "node"
    make_leaf(old, name="node-7").write(home, "client")
    (home / "ca.crt").write_bytes(old.pem)
    (home / "log").write_text("CC no longer trusts this node\n")
    listener = Listener(tmp_path, make_leaf(new, name="cp", names=["cp.test"]), [old, new])

    def register(body):
        make_leaf(new, name="node-7").write(home, "client")
        (home / "ca.crt").write_bytes(new.pem)
        return 200, {}, {}

    api = Os(register)
    args = {
        "ca_path": str(home / "ca.crt"),
        "cert_path": str(home / "client.crt"),
        "key_path": str(home / "client.key"),
        "kept_identity_dir": str(home / "kept"),
        "address": listener.address,
        "server_name": "cp.test",
        "os_url": api.url,
        "os_username": api.user,
        "os_password": api.password,
        "log_command": f"cat {home}/log",
        "token": "t-geheim",
        "active_ca": new.pem.decode(),
        "pin_certificates": [old.pem.decode(), new.pem.decode()],
    }
    log_in(sshd)
    bare = calls(recorder)
    results, printed = run(sshd, tmp_path, {"node-7": {}}, "node_registration", args, "-vvv")
    result = results["node-7"]
    assert result["outcome"] == "registered" and result["pin_written"], printed
    node = result["node"]
    assert node["agent"]["status"] == "connected" and node["log"]["symptom_count"] == 1
    assert abs(node["clock_skew"]) < 5
    assert calls(recorder) == bare
    assert "/bin/sh" in printed
    api.close()
    listener.close()


def test_a_lock_on_a_host_without_python(sshd, tmp_path, recorder):
    log_in(sshd)
    bare = calls(recorder)
    lock = tmp_path / "lock"
    for run_id in ("first", "second"):
        results, printed = run(sshd, tmp_path, {"cp1": {}}, "run_lock", {"path": str(lock), "run_id": run_id})
        assert results["cp1"]["changed"], printed
        assert [at.name.partition(".")[2] for at in lock.glob("*/*")] == [run_id]
    # ansible itself is the run, so the first one has ended
    (said,) = results["cp1"]["taken_over"]
    assert said.startswith("the lock of ansible by ") and said.endswith(" of this controller, which has ended")
    args = {"path": str(lock), "run_id": "second", "state": "absent"}
    results, printed = run(sshd, tmp_path, {"cp1": {}}, "run_lock", args)
    assert results["cp1"]["changed"] and not lock.exists(), printed
    assert calls(recorder) == bare


def test_what_is_refused_by_name_and_what_is_down(sshd, tmp_path):
    hosts = {
        "plain": {},
        "down": {"ansible_port": 1},
        "su": {"ansible_become": True, "ansible_become_method": "su", "ansible_become_password": "x"},
    }
    results, printed = run(sshd, tmp_path, hosts, "ca_info", {"paths": ["/no/such"], "tolerate": True})
    assert results["plain"]["reachable"] is True and "no such file" in results["plain"]["files"][0]["error"], printed
    assert results["down"]["reachable"] is False and "refused" in results["down"]["error"]
    assert "'ansible.builtin.su'" in results["su"]["error"] or "'su'" in results["su"]["error"]


def test_unreachable_is_ansibles_unreachable(sshd, tmp_path):
    results, printed = run(sshd, tmp_path, {"down": {"ansible_port": 1}}, "ca_info", {"paths": ["/x"]})
    assert "UNREACHABLE" in printed and results["down"]["unreachable"] is True


@pytest.fixture(scope="module")
def accounts():
    """Users with sudo: without a password, with one, and with requiretty. Taken away afterwards."""
    if os.geteuid() != 0:
        pytest.skip("making users with sudo needs root")
    if not all(map(shutil.which, ("sudo", "useradd", "userdel", "chpasswd"))):
        pytest.skip("no sudo, useradd, userdel or chpasswd here")
    suffix = f"{os.getpid():x}"[-5:]
    names = {kind: f"qz{kind}{suffix}" for kind in ("free", "pass", "tty")}
    password = "sudo-geheim-" + suffix
    sudoers = pathlib.Path(f"/etc/sudoers.d/qz{suffix}")
    try:
        for name in names.values():
            subprocess.run(["useradd", "-m", "-s", "/bin/sh", name], check=True, capture_output=True)
            subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True)
        sudoers.write_text(
            f"{names['free']} ALL=(ALL) NOPASSWD: ALL\n{names['pass']} ALL=(ALL) ALL\n"
            f"Defaults:{names['tty']} requiretty\n{names['tty']} ALL=(ALL) NOPASSWD: ALL\n"
        )
        sudoers.chmod(0o440)
        yield names, password
    finally:
        sudoers.unlink(missing_ok=True)
        for name in names.values():
            subprocess.run(["userdel", "-r", name], check=False, capture_output=True)


@pytest.mark.sudo
def test_sudo(sshd, shared, tmp_path, accounts, make_ca):
    names, password = accounts
    secret_file = shared / "root only.crt"
    secret_file.write_bytes(make_ca().pem)
    secret_file.chmod(0o600)
    become = {"ansible_become": True}
    hosts = {
        "none": {"ansible_user": names["free"]},
        "free": {"ansible_user": names["free"], **become},
        "pass": {"ansible_user": names["pass"], **become, "ansible_become_password": password},
        "wrong": {"ansible_user": names["pass"], **become, "ansible_become_password": "falsch-geheim"},
        "missing": {"ansible_user": names["pass"], **become},
        "tty": {"ansible_user": names["tty"], **become},
        # With a password Ansible would open a terminal here, and the script would not get through.
        "local": {
            "ansible_connection": "local",
            "ansible_become_user": names["free"],
            "ansible_become_password": password,
            **become,
        },
    }
    results, printed = run(sshd, tmp_path, hosts, "ca_info", {"paths": [str(secret_file)], "tolerate": True}, "-vvv")
    for name in ("free", "pass"):
        assert len(results[name]["files"][0]["certificates"]) == 1, (name, results[name], printed)
    for name in ("none", "local"):
        assert "permission denied" in results[name]["files"][0]["error"], (name, results[name])
    assert "become password was refused" in results["wrong"]["error"]
    assert "become needs a password" in results["missing"]["error"]
    assert "requiretty" in results["tty"]["error"]
    assert password not in printed and "falsch-geheim" not in printed
