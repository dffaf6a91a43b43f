# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's inventory: every variable that a user of the collection would set for a CP like this one."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from . import ssh
from .base import names_of
from .options import Options
from .paths import (
    API_PORT,
    MTLS_PORT,
    NODE_PORT,
    SSH_PORT,
    Layout,
    balancer_address,
    replica_address,
    write_atomic,
)

PACKAGE_PARENT = Path(__file__).resolve().parent.parent


def lab_command(layout: Layout, *words: str) -> str:
    """The lab's own command line as one shell line."""
    return shlex.join(
        ["env", f"PYTHONPATH={PACKAGE_PARENT}", sys.executable, "-m", "quazzar_lab", *words, "--dir", str(layout.root)]
    )


def _yaml(value: Any, indent: int = 0) -> str:
    """Block YAML of nested mappings; every scalar and list as JSON, which YAML reads as it is."""
    if not isinstance(value, dict):
        return f" {json.dumps(value)}\n"
    if not value:
        return " {}\n"
    lines = "" if indent == 0 else "\n"
    for key, item in value.items():
        lines += " " * indent + f"{key}:" + _yaml(item, indent + 2)
    return lines


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _node(layout: Layout, options: Options, lab: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    root = layout.nodes / node["name"]
    scheme = "https" if options.get("os_https") else "http"
    values = {
        "ansible_connection": "local",
        "quazzar_node_ca_path": str(root / options.get("node_ca_path")),
        "quazzar_node_cert_path": str(root / options.get("node_cert_path")),
        "quazzar_node_key_path": str(root / options.get("node_key_path")),
        "quazzar_node_log_command": f"cat {shlex.quote(str(root / options.get('node_log_path')))}",
        "quazzar_kept_identity_dir": str(root / "var/lib/quazzar/rotation-probe"),
        "quazzar_os_url": f"{scheme}://{node['address']}:{NODE_PORT}",
        "quazzar_os_api_key": node["api_key"],
    }
    if lab["ssh"]:
        known = shlex.quote(str(layout.root / "ssh/known_hosts"))
        values |= {
            "ansible_connection": "ssh",
            "ansible_host": node["address"],
            "ansible_port": SSH_PORT,
            "ansible_user": lab["ssh_login"] or ssh.login(),
            "ansible_ssh_private_key_file": str(layout.root / "ssh/id_ed25519"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o KexAlgorithms=curve25519-sha256",
        }
    return values


def _replica(layout: Layout, options: Options, name: str) -> dict[str, Any]:
    log = shlex.quote(str(layout.logs / f"{name}.boot.log"))
    certs = layout.certs(name, options)
    own = "" if options.get("certs_volume") == "shared" else f"-{name}"
    # Only a CP of world W4 sends a further certificate along.
    bridge = {"quazzar_cp_bridge_path": str(layout.cp / "bridge/bridge.crt")} if options.get("world") == "W4" else {}
    return bridge | {
        "ansible_connection": "local",
        "quazzar_staged_ca_dir": str(layout.cp / f"staged{own}"),
        "quazzar_previous_ca_dir": str(layout.cp / f"previous{own}"),
        "quazzar_cp_env_file": str(layout.env_file(name, options)),
        "quazzar_cp_restart_command": lab_command(layout, "restart", name),
        "quazzar_cp_flip_command": lab_command(layout, "flip", name),
        "quazzar_cp_log_command": f"cat {log}",
        "quazzar_cp_certs_dir": str(certs),
        "quazzar_legacy_ca_dir": str(layout.root / options.get("legacy_dir")),
    }


def _pods(lab: dict[str, Any]) -> dict[str, Any]:
    """The one host that stands for all pods: the controller itself, which asks the API server."""
    facts = lab["kubernetes"]
    kind = {"quazzar_k8s_kind": facts["kind"]} if facts["kind"] != "Deployment" else {}
    return kind | {
        "ansible_connection": "local",
        "quazzar_k8s_namespace": facts["namespace"],
        "quazzar_k8s_deployment": facts["name"],
        "quazzar_k8s_container": facts["container"],
        "quazzar_k8s_kubeconfig": facts["kubeconfig"],
        "quazzar_k8s_context": facts["context"],
    }


def _replicas(layout: Layout, options: Options, lab: dict[str, Any]) -> dict[str, Any]:
    if lab.get("kubernetes"):
        return {name: _pods(lab) for name in names_of(lab)}
    return {name: _replica(layout, options, name) for name in names_of(lab)}


def _platform(lab: dict[str, Any]) -> dict[str, Any]:
    """Pods are found through the API server; everything else has addresses that somebody has to name."""
    if lab.get("kubernetes"):
        return {"quazzar_cp_platform": "kubernetes"}
    addresses = {
        name: f"{replica_address(lab['block'], number)}:{MTLS_PORT}" for number, name in enumerate(names_of(lab), 1)
    }
    return {"quazzar_cp_platform": "env_file", "quazzar_cp_endpoints": addresses}


def variables(layout: Layout, options: Options, lab: dict[str, Any]) -> dict[str, Any]:
    """What holds for the whole fleet. Open points that the lab plays otherwise are left to the tests to adapt."""
    block = lab["block"]
    balancer = balancer_address(block)
    # World W3: the agents verify the CP by the system's store (this file) and not by their pin.
    outside = {"quazzar_node_server_trust": str(layout.root / "system-ca.crt")} if options.get("world") == "W3" else {}
    return outside | {
        **_platform(lab),
        "ansible_python_interpreter": sys.executable,
        "quazzar_nodes": "quazzar_nodes",
        "quazzar_cp_hosts": names_of(lab),
        "quazzar_cp_mtls_address": f"{balancer}:{MTLS_PORT}",
        "quazzar_cp_server_name": str(options.get("server_name")),
        "quazzar_cp_api_url": f"https://{balancer}:{API_PORT}{options.get('api_prefix')}",
        "quazzar_cp_api_ca": str(layout.root / "api-ca.crt"),
        "quazzar_cp_username": lab["cp_users"][0]["username"],
        "quazzar_cp_password": lab["cp_users"][0]["password"],
        "quazzar_registry_complete": True,
        "quazzar_heartbeat_interval": _number(options.get("heartbeat")),
        "quazzar_node_become": bool(lab["ssh_login"]),
        "quazzar_cp_become": False,
        "quazzar_report_dir": str(layout.root / "reports"),
    }


def write(layout: Layout, options: Options, lab: dict[str, Any]) -> None:
    """Write inventory.yml; it holds credentials, so only its owner reads it."""
    listed = [node for node in lab["nodes"] if node.get("listed", True)]
    tree = {
        "all": {
            "vars": variables(layout, options, lab),
            "children": {
                "quazzar_nodes": {"hosts": {node["name"]: _node(layout, options, lab, node) for node in listed}},
                "quazzar_cp": {"hosts": _replicas(layout, options, lab)},
            },
        }
    }
    write_tree(layout, tree)


def write_tree(layout: Layout, tree: dict[str, Any]) -> None:
    """Write this as inventory.yml, for its owner alone."""
    text = "---\n# Written by the lab; addresses, paths and credentials are this lab's own.\n" + _yaml(tree)
    write_atomic(layout.inventory, text, 0o600)
