# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's commands do, in one place for the command line and for tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from . import inventory, processes
from .base import control, layout_of, load, names_of, options_of
from .fleet import (
    add_node,
    all_secrets,
    beats,
    mint_token,
    registry,
    registry_edit,
    remove_node,
    restart_agent,
    set_options,
)
from .paths import HEALTH_PORT, read_json, replica_address, write_json
from .processes import LabError
from .replicas import backup_ca, ca_history, flip, lose_ca, regenerate_ca, remember_ca, restart, stop_replica
from .start import start

__all__ = [
    "LabError",
    "add_node",
    "all_secrets",
    "backup_ca",
    "beats",
    "ca_history",
    "control",
    "flip",
    "inventory",
    "layout_of",
    "load",
    "lose_ca",
    "mint_token",
    "names_of",
    "options_of",
    "read_json",
    "regenerate_ca",
    "registry",
    "registry_edit",
    "remember_ca",
    "remove_node",
    "restart",
    "restart_agent",
    "set_options",
    "start",
    "status",
    "stop",
    "stop_replica",
    "write_json",
]


def stop(directory: str) -> list[str]:
    """End every process of the lab; the files stay for whoever wants to look."""
    layout = layout_of(directory)
    names = processes.known(layout)
    processes.stop(layout, *names, gracefully=False)
    return names


def status(directory: str) -> dict[str, Any]:
    """Replicas as they describe themselves, nodes, CAs."""
    layout = layout_of(directory)
    lab = load(layout)
    replicas = {}
    for number, name in enumerate(names_of(lab), 1):
        url = f"http://{replica_address(lab['block'], number)}:{HEALTH_PORT}/statusz"
        try:
            with urllib.request.urlopen(url, timeout=2) as got:
                replicas[name] = json.load(got)
        except (urllib.error.URLError, OSError):
            replicas[name] = {"name": name, "ready": False, "pid": processes.pid_of(layout, name)}
    try:
        nodes = control(lab, "GET", "/status")["nodes"]
    except LabError:
        nodes = []
    return {
        "dir": str(layout.root),
        "block": lab["block"],
        "options": read_json(layout.options),
        "faults": read_json(layout.faults),
        "replicas": replicas,
        "nodes": nodes,
        "cas": ca_history(layout),
        "running": [name for name in processes.known(layout) if processes.pid_of(layout, name)],
    }
