# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No token, password, key or session in any argument list, environment, temporary file or output."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import Listener, Os, act

COLLECTIONS = pathlib.Path(__file__).parents[4] / ".build" / "dev"
TOKEN = "einmal-geheim-token-4711"


class Watch:
    """Reads the argument lists and environments of all processes again and again."""

    def __init__(self):
        self.seen = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._stop.set()
        self._thread.join()

    def _look(self):
        mine = str(os.getpid())
        while not self._stop.is_set():
            for process in os.listdir("/proc"):
                if process.isdigit() and process != mine:
                    for name in ("cmdline", "environ"):
                        try:
                            self.seen.add(pathlib.Path("/proc", process, name).read_bytes())
                        except OSError:
                            continue
            time.sleep(0.002)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Every program of a node notes how it was called, and then does its work."""
    shims, log = tmp_path / "shims", tmp_path / "argv"
    shims.mkdir()
    log.touch()
    for name in ("curl", "openssl", "bash", "timeout", "cat", "head", "tail", "cp", "mv", "sha256sum", "tr", "base64"):
        real = shutil.which(name)
        if real:
            shim = shims / name
            shim.write_text(f'#!/bin/sh\n{{ printf "%s " {name} "$@"; env; echo; }} >>"{log}"\nexec {real} "$@"\n')
            shim.chmod(0o755)
    prelude = io_host._PRELUDE
    monkeypatch.setattr(io_host, "_PRELUDE", prelude.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={shims}:$PATH\n", 1))
    return log


class Node:
    def __init__(self, tmp_path, make_ca, make_leaf, *, tls=None, chunked=False):
        self.old, self.new = make_ca(), make_ca()
        self.home = tmp_path / "node"
        make_leaf(self.old, name="node-7").write(self.home, "client")
        (self.home / "ca.crt").write_bytes(self.old.pem)
        self.key = (self.home / "client.key").read_text().splitlines()[1]
        self.listener = Listener(tmp_path, make_leaf(self.new, name="cp", names=["cp.test"]), [self.old, self.new])
        self.make_leaf = make_leaf
        self.os = Os(self.register, tls=tls, chunked=chunked)

    def register(self, body):
        self.make_leaf(self.new, name="node-7").write(self.home, "client")
        (self.home / "ca.crt").write_bytes(self.new.pem)
        return 200, {}, {"echo": body["token"]}

    def close(self):
        self.os.close()
        self.listener.close()

    def secrets(self):
        return [TOKEN, self.os.api_key, 'pass"wort', 'pass\\"wort', self.os.jwt, self.os.temp, self.key]

    def options(self, **more):
        return {
            "ca_path": str(self.home / "ca.crt"),
            "cert_path": str(self.home / "client.crt"),
            "key_path": str(self.home / "client.key"),
            "kept_identity_dir": str(self.home / "kept"),
            "address": self.listener.address,
            "server_name": "cp.test",
            "hold": 0.6,
            "log_command": "true",
            "os_url": self.os.url,
            "token": TOKEN,
            "active_ca": self.new.pem.decode(),
            **more,
        }


@pytest.fixture
def node(tmp_path, make_ca, make_leaf):
    node = Node(tmp_path, make_ca, make_leaf)
    yield node
    node.close()


def without(monkeypatch, *tools):
    """A node on which these are not installed."""
    have = "qz_have() { case $1 in " + "|".join(tools) + ') return 1 ;; esac; command -v "$1" >/dev/null 2>&1; }\n'
    monkeypatch.setattr(io_host, "_PRELUDE", io_host._PRELUDE + have)


def credentials(node, how):
    if how == "key":
        return {"os_api_key": node.os.api_key}
    return {"os_username": node.os.user, "os_password": node.os.password}


def check(node, recorded, how, tool, **more):
    with Watch() as watch:
        found = act("node_registration", **node.options(**credentials(node, how), **more))
    assert found["outcome"] == "registered", found
    assert found["node"]["tools"]["http"] == tool and found["node"]["agent"]["status"] == "connected"
    lines = recorded.read_bytes()
    assert b"openssl " in lines and (tool != "curl" or b"curl " in lines)
    for secret in node.secrets():
        assert secret not in json.dumps(found)
        assert secret.encode() not in lines
        assert not any(secret.encode() in seen for seen in watch.seen)


@pytest.mark.parametrize("how", ["key", "login"])
def test_with_curl(node, recorded, how):
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    check(node, recorded, how, "curl")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("how", ["key", "login"])
def test_with_bash(tmp_path, make_ca, make_leaf, recorded, monkeypatch, how, chunked):
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    without(monkeypatch, "curl")
    node = Node(tmp_path, make_ca, make_leaf, chunked=chunked)
    check(node, recorded, how, "bash")
    node.close()


@pytest.mark.parametrize("tool", ["curl", "openssl"])
def test_over_https(tmp_path, make_ca, make_leaf, recorded, monkeypatch, tool):
    if not shutil.which(tool):
        pytest.skip(f"no {tool} here")
    if tool == "openssl":
        without(monkeypatch, "curl", "bash")
    ca = make_ca(name="API CA")
    ca.write(tmp_path / "api ca", "ca")
    node = Node(tmp_path, make_ca, make_leaf, tls=make_leaf(ca, name="os", names=["127.0.0.1"]).write(tmp_path, "os"))
    check(node, recorded, "login", tool, os_ca=str(tmp_path / "api ca" / "ca.crt"))
    # Without its CA the server is not believed, and gets nothing.
    before = len(node.os.requests)
    found = act("node_registration", force=True, tolerate=True, wait=1, **node.options(**credentials(node, "login")))
    assert found["outcome"] == "failed" and len(node.os.requests) == before
    node.close()


@pytest.mark.parametrize("tool", ["curl", "bash"])
def test_the_second_factor(node, recorded, monkeypatch, tool):
    if not shutil.which(tool):
        pytest.skip(f"no {tool} here")
    if tool == "bash":
        without(monkeypatch, "curl")
    from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import totp
    from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import utc_now

    seed = "JBSWY3DPEHPK3PXP"
    node.os.totp_code = lambda: totp.code(seed, utc_now())
    check(node, recorded, "login", tool, os_totp_secret=seed)
    assert seed.encode() not in recorded.read_bytes()


def test_without_any_tool(node, monkeypatch):
    without(monkeypatch, "curl", "bash")
    found = act("node_registration", tolerate=True, **node.options(**credentials(node, "key")))
    assert found["outcome"] == "failed" and "no curl" in found["detail"]
    assert "no curl" in found["node"]["agent"]["detail"]


def test_nothing_at_vvv_and_nothing_left_behind(node, tmp_path):
    """As a playbook, with as much said as an operator would ask for, when it works and when it does not."""
    left = tmp_path / "tmp"
    left.mkdir()
    options = node.options(**credentials(node, "login"))
    secret_vars = tmp_path / "vars.json"
    secret_vars.write_text(json.dumps({"options": options, "bad": {**options, "os_password": "falsch-geheim"}}))
    play = tmp_path / "play.yml"
    play.write_text(
        json.dumps(
            [
                {
                    "hosts": "localhost",
                    "gather_facts": False,
                    "tasks": [
                        {"quazzar.ca_rotation.node_registration": dict.fromkeys(options, "")}
                        | {"ignore_errors": True, "diff": True}
                    ],
                }
            ]
        )
    )
    for name, fine in (("bad", False), ("options", True)):
        text = json.loads(play.read_text())
        task = text[0]["tasks"][0]
        task["quazzar.ca_rotation.node_registration"] = {key: f"{{{{ {name}.{key} }}}}" for key in options}
        play.write_text(json.dumps(text))
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_HOME": str(tmp_path / "home"),
            "TMPDIR": str(left),
        }
        done = subprocess.run(
            [
                str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
                *("-vvv", "-i", "localhost,", "-c", "local", "-e", f"@{secret_vars}", str(play)),
            ],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert ('"outcome": "registered"' in printed) == fine, printed
        for secret in (*node.secrets(), "falsch-geheim"):
            assert secret not in printed
            for place in (left, tmp_path / "home", node.home):
                for path in place.rglob("*"):
                    if path.is_file() and path.name != "client.key":
                        assert secret.encode() not in path.read_bytes(), path
    assert not [path for path in node.home.iterdir() if path.name.startswith(".quazzar")]
