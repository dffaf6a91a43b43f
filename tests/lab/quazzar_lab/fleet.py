# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that come and go, the registry behind the CP's back, tokens, options, the count of heartbeats."""

from __future__ import annotations

from typing import Any

from . import inventory, ssh
from .base import TENANTS, control, layout_of, load, options_of
from .paths import Layout, locked, node_address, read_json, remember_secret, write_json
from .processes import LabError
from .start import new_node, spec_of
from .store import Store


def _registry(layout: Layout) -> Store:
    return Store(layout.data / "registry.sqlite")


def registry(directory: str) -> Store:
    """The CP's registry, for the command line."""
    layout = layout_of(directory)
    load(layout)
    return _registry(layout)


def add_node(directory: str, name: str, *, listed: bool, tenant: str) -> dict[str, Any]:
    """A node that joins now, with a one-time token as the autoscaler has it."""
    layout = layout_of(directory)
    options = options_of(layout)
    with locked(layout.run / "lab.lock"):
        lab = load(layout)
        if any(node["name"] == name for node in lab["nodes"]):
            raise LabError(f"{name}: there is such a node already")
        used = {node["address"] for node in lab["nodes"]}
        number = next(n for n in range(1, 100000) if node_address(lab["block"], n) not in used)
        node = new_node(number, name, lab["block"], tenant or TENANTS[0], options) | {"listed": listed}
        if lab["ssh"]:
            ssh.prepare_node(layout, name, node["address"])
        _number, token = _registry(layout).mint_token(node["tenant"], expires_in=1800, max_uses=1)
        remember_secret(layout, token, node["api_key"], node["viewer_key"])
        control(lab, "POST", "/add", {"node": spec_of(node), "token": token})
        lab["nodes"].append(node)
        lab["secrets"] += [node["api_key"], node["viewer_key"]]
        write_json(layout.lab_file, lab, 0o600)
        inventory.write(layout, options, lab)
    return node


def remove_node(directory: str, name: str, *, keep_instance: bool, keep_listed: bool) -> None:
    """Take a node away for good."""
    layout = layout_of(directory)
    with locked(layout.run / "lab.lock"):
        lab = load(layout)
        node = next((item for item in lab["nodes"] if item["name"] == name), None)
        if node is None:
            raise LabError(f"{name}: no such node")
        control(lab, "POST", "/remove", {"name": name})
        if not keep_instance:
            _registry(layout).delete_instances(node["cp_name"])
        if not keep_listed:
            lab["nodes"].remove(node)
            write_json(layout.lab_file, lab, 0o600)
            inventory.write(layout, options_of(layout), lab)


def restart_agent(directory: str, name: str) -> None:
    control(load(layout_of(directory)), "POST", "/restart-agent", {"name": name})


def beats(directory: str, *, since: float | None, mark: bool) -> dict[str, Any]:
    """Heartbeats since the mark (or a moment), counted on both ends."""
    layout = layout_of(directory)
    lab = load(layout)
    report = control(lab, "GET", "/beats" if since is None else f"/beats?since={since}")
    rows = {row["id"]: row["beats"] for row in _registry(layout).instances()}
    for entry in report["nodes"].values():
        entry["cp_delivered_ever"] = rows.get(entry["instance_id"], 0)
    values = report["nodes"].values()
    report["total"] = {
        "nodes": len(report["nodes"]),
        "up": sum(entry["up"] for entry in values),
        "delivered": sum(entry["delivered"] for entry in values),
        "missed": sum(entry["missed"] for entry in values),
        "missed_since_up": sum(entry["missed_since_up"] for entry in values),
        "longest_gap": max((entry["longest_gap"] or 0.0 for entry in values), default=0.0),
        "starved": sum(entry["starved"] for entry in values),
        "without_link": max((entry["without_link"] for entry in values), default=0.0),
        "late": sum(entry["late"] for entry in values),
    }
    if mark:
        report["mark"] = control(lab, "POST", "/mark")["mark"]
    return dict(report)


def set_options(directory: str, values: dict[str, Any]) -> None:
    """Flip options of a running lab; those of a replica's boot count from its next restart."""
    layout = layout_of(directory)
    load(layout)
    with locked(layout.run / "lab.lock"):
        write_json(layout.options, read_json(layout.options) | values)


def mint_token(directory: str, *, tenant: str, expires_in: float | None, uses: int | None) -> dict[str, str]:
    """What a person does in the CP's UI."""
    layout = layout_of(directory)
    load(layout)
    number, token = _registry(layout).mint_token(tenant or TENANTS[0], expires_in=expires_in, max_uses=uses)
    remember_secret(layout, token)
    return {"id": number, "token": token}


def all_secrets(directory: str) -> list[str]:
    """Everything that must never show up anywhere else: credentials, tokens, JWTs, lines of private keys."""
    layout = layout_of(directory)
    found = dict.fromkeys(layout.secrets.read_text(encoding="utf-8").split())
    for path in [*layout.root.rglob("*.key"), *layout.root.glob("ssh/id_ed25519"), *layout.root.glob("ssh/*/host_key")]:
        lines = path.read_text(encoding="ascii").splitlines()
        found |= dict.fromkeys(line for line in lines if line and not line.startswith("-----"))
    return list(found)


def registry_edit(directory: str, action: str, name: str, tenant: str) -> int:
    """ghost: a row without a node; decommission, delete: by name or id."""
    layout = layout_of(directory)
    load(layout)
    store = _registry(layout)
    if action == "ghost":
        store.add_instance(tenant or TENANTS[0], name)
        return 1
    if action == "delete":
        return store.delete_instances(name)
    rows = [row for row in store.instances() if name in (row["id"], row["name"])]
    return sum(store.set_instance(row["id"], decommissioned=1) for row in rows)
