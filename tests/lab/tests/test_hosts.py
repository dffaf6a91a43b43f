# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab on hosts has of its own, as far as it can be seen without a host (tests/molecule has the rest)."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from quazzar_lab import cp, hosts, machines, nodes
from quazzar_lab.base import layout_of
from quazzar_lab.options import Options
from quazzar_lab.paths import write_json

NODE = {"name": "node01", "address": "10.77.1.1", "api_key": "k", "viewer_key": "v", "cp_name": "node01", "tenant": "t"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("geteuid", lambda: 1000), "needs root"),
        (("which", lambda name, path="": None if name == "mmdebstrap" else name), "apt-get install mmdebstrap"),
    ],
)
def test_what_keeps_hosts_from_being_made_is_named(monkeypatch: Any, change: tuple[str, Any], said: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os if change[0] == "geteuid" else shutil, *change)
    assert said in machines.missing()


def test_a_replica_tells_systemd_that_it_serves(monkeypatch: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        threading.Thread(target=cp._notify, args=("READY=1",)).start()
        assert systemd.recv(100) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    cp._notify("READY=1")  # nobody to tell


def test_every_address_of_a_host_is_that_of_its_node(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    layout.run.mkdir()
    write_json(layout.options, {})
    write_json(layout.faults, [])
    settings = {"block": hosts.BLOCK, "nodes": [], "os_users": {}}
    node: Any = object()
    for alone, found in ((True, node), (False, None)):
        fleet = nodes.Fleet(layout, settings, alone=alone)
        fleet.nodes["node01"] = node
        assert fleet._find("127.0.0.1") is found


def test_the_units_have_no_place_left_to_fill_in() -> None:
    for file in sorted(hosts.UNITS.glob("*.service")):
        text = file.read_text(encoding="utf-8").format(name="node01", address="10.77.1.1")
        assert "{" not in text and "RootDirectory=/opt/quazzar/runtime" in text, file


def test_the_inventory_is_that_of_a_user(tmp_path: Path) -> None:
    made = hosts.HostLab(tmp_path)
    made.layout.root.mkdir()
    write_json(made.layout.options, {})
    user = {"username": "jo", "password": "secret"}
    made.write_inventory(
        made.layout,
        Options(made.layout.options),
        {"block": hosts.BLOCK, "replicas": 2, "nodes": [NODE], "cp_users": [user]},
    )
    children = yaml.safe_load(made.layout.inventory.read_text())["all"]["children"]
    assert children["quazzar_nodes"]["hosts"]["node01"]["ansible_host"] == "10.77.1.1"
    # The files of a node are where the product has them, and its API is asked on the node: nothing of both is named.
    assert not [key for key in children["quazzar_nodes"]["hosts"]["node01"] if "path" in key or "url" in key]
    assert children["quazzar_cp"]["vars"]["quazzar_cp_restart_command"] == "systemctl restart quazzar-cc"
    assert made.layout.inventory.stat().st_mode & 0o777 == 0o600
