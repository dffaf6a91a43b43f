# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a lab comes to life: its directory, its certificates, its description, its processes."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any, Protocol

from . import auth, inventory, pki, processes, ssh
from .base import TENANTS, control, layout_of, names_of, new_ca, options_of
from .options import Options
from .paths import (
    API_PORT,
    CLAIM_PORT,
    CONTROL_PORT,
    MTLS_PORT,
    NODE_PORT,
    Layout,
    balancer_address,
    control_address,
    node_address,
    replica_address,
    write_atomic,
    write_json,
)
from .processes import LabError
from .replicas import remember_ca
from .store import Store

LEASE_SECONDS = 3600
SPARE_ADDRESSES = 16
AUTO_BLOCKS = range(40, 120)
ENV_TEXT = """\
# Quazzar Control Center, read at its start
CC_LOG_LEVEL=debug
CC_PUBLIC_URL="https://cp.quazzar.test:8444"
{auto}
# outgoing mail
CC_SMTP_FROM='Control Center <noreply@quazzar.test>'
"""


class ControlPanel(Protocol):
    """A CP that runs elsewhere: not as processes beside the nodes, but in pods."""

    #: what lab.json and the inventory say about it: namespace, kind, name, container, kubeconfig, context
    facts: dict[str, str]

    def bring_up(self, layout: Layout, lab: dict[str, Any]) -> None:
        """Start it and what stands before it. All files are there; it returns when the CP serves."""


class Hosts(Protocol):
    """Hosts of their own, on which the replicas and the nodes run as units."""

    #: what lab.json says about them: the directory
    facts: dict[str, str]

    def bring_up(self, layout: Layout, lab: dict[str, Any]) -> None:
        """Start them all. All files are there."""

    def statuses(self, lab: dict[str, Any]) -> list[dict[str, Any]]:
        """What the nodes say of themselves, as the process of all nodes would; one that does not answer is left out."""

    def write_inventory(self, layout: Layout, options: Options, lab: dict[str, Any]) -> None:
        """The inventory that such a fleet has."""


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _claimed(wanted: str) -> Iterator[str]:
    """A block that no other lab has; ``auto`` is any.

    Its processes listen only after a while (pods take their time), so a socket that no second one can bind keeps others
    away until then.
    """
    numbers = secrets.SystemRandom().sample(AUTO_BLOCKS, len(AUTO_BLOCKS))
    in_use = ""
    for block in [f"127.{number}" for number in numbers] if wanted == "auto" else [wanted]:
        with socket.socket() as claim:
            try:
                claim.bind((control_address(block), CLAIM_PORT))
            except OSError:
                in_use = f"{control_address(block)}:{CLAIM_PORT}"
                continue
            places = (
                (balancer_address(block), MTLS_PORT),
                (balancer_address(block), API_PORT),
                (control_address(block), CONTROL_PORT),
                (node_address(block, 1), NODE_PORT),
            )
            in_use = next((f"{address}:{port}" for address, port in places if not _free(address, port)), "")
            if not in_use:
                yield block
                return
    if wanted == "auto":
        raise LabError(f"no free block of loopback addresses between 127.{AUTO_BLOCKS[0]} and 127.{AUTO_BLOCKS[-1]}")
    raise LabError(f"{in_use} is in use: another lab runs on block {wanted}; use --block auto")


def new_node(number: int, name: str, block: str, tenant: str, options: Options) -> dict[str, Any]:
    other = options.get("instance_names") == "other"
    return {
        "name": name,
        "address": node_address(block, number),
        "api_key": f"qzr_{secrets.token_urlsafe(24)}",
        "viewer_key": f"qzr_{secrets.token_urlsafe(24)}",
        "cp_name": f"edge-{secrets.token_hex(3)}" if other else name,
        "tenant": tenant,
    }


def _fresh(layout: Layout) -> None:
    """Refuse a running lab, clear away a stopped one, refuse a directory that is not ours."""
    if layout.lab_file.exists():
        alive = [name for name in processes.known(layout) if processes.pid_of(layout, name)]
        if alive:
            raise LabError(f"{layout.root}: a lab runs here already ({', '.join(alive)}); stop it first")
        shutil.rmtree(layout.root)
    elif layout.root.exists() and any(layout.root.iterdir()):
        raise LabError(f"{layout.root}: not empty and not a lab; choose another directory")
    for path in (
        layout.root,
        layout.run,
        layout.logs,
        layout.data,
        layout.nodes,
        layout.cp / "etc",
        layout.root / "reports",
    ):
        path.mkdir(parents=True, exist_ok=True)
    layout.hidden.mkdir(mode=0o700, exist_ok=True)


def _api_certificates(layout: Layout, options: Options, block: str, count: int) -> None:
    """The API's own CA (a public one in real life) and the outside CA of world W3."""
    api_ca, outside = pki.make_ca("Lab API CA"), pki.make_ca("Lab Outside CA")
    write_atomic(layout.root / "api-ca.crt", api_ca.pem)
    write_atomic(layout.root / "system-ca.crt", outside.pem)
    name = str(options.get("server_name"))
    addresses = [balancer_address(block), *(replica_address(block, number) for number in range(1, 10))]
    for ca, home, stem, names, hosts in (
        (api_ca, "api", "api", [name], addresses),
        (
            api_ca,
            "api",
            "os",
            ["os.quazzar.test"],
            [node_address(block, number) for number in range(1, count + SPARE_ADDRESSES + 1)],
        ),
        (outside, "outside", "server", [name, f"register.{name}"], []),
    ):
        key = pki.new_key()
        cert = pki.issue(ca, names[0], key.public_key(), server_names=names, addresses=hosts)
        pki.Pair(cert, key).write(layout.cp / home / f"{stem}.crt", layout.cp / home / f"{stem}.key")


def _environment(layout: Layout, options: Options, names: list[str], *, with_files: bool) -> None:
    """What a replica finds at its first start: its KEY=VALUE file, and a CA unless it makes one by itself."""
    auto = (
        "# the first start made the CA by itself\nCC_ALLOW_AUTO_CA_GEN=true"
        if options.get("auto_ca_gen")
        else ("# the CA is on the volume, or there is none")
    )
    for name in names if with_files else []:
        write_atomic(layout.env_file(name, options), ENV_TEXT.format(auto=auto), 0o640)
    if not options.get("auto_ca_gen"):
        pair = new_ca(options)
        for name in names:
            home = layout.certs(name, options)
            pair.write(home / "ca.crt", home / "ca.key")


def start(
    directory: str,
    *,
    replicas: int,
    nodes: int,
    block: str,
    values: dict[str, Any],
    with_ssh: bool,
    ssh_login: str,
    timeout: float,
    elsewhere: ControlPanel | None = None,
    hosts: Hosts | None = None,
) -> dict[str, Any]:
    """Start everything; returns when every node has had a delivered heartbeat.

    ``elsewhere``: in place of replicas. ``hosts``: in place of processes on this machine; the block is then theirs.
    """
    layout = layout_of(directory)
    with contextlib.nullcontext(block) if hosts else _claimed(block) as own:
        _fresh(layout)
        write_json(layout.options, values)
        write_json(layout.faults, [])
        options = options_of(layout)
        lab = _describe(layout, options, own, replicas, nodes, values)
        lab |= {"ssh": with_ssh, "ssh_login": ssh_login, "kubernetes": elsewhere.facts if elsewhere else None}
        lab |= {"hosts": hosts.facts} if hosts else {}
        _api_certificates(layout, options, own, nodes)
        _environment(layout, options, names_of(lab), with_files=elsewhere is None)
        write_atomic(layout.data / "jwt.key", secrets.token_hex(32) + "\n", 0o600)
        store = Store(layout.data / "registry.sqlite")
        for user in lab["cp_users"]:
            store.add_user(user["username"], user["password"], user["tenant"], user["role"], user["totp_secret"])
        tokens = {tenant: store.mint_token(tenant, expires_in=LEASE_SECONDS, max_uses=None) for tenant in TENANTS}
        if with_ssh:
            ssh.prepare_client(layout)
            for node in lab["nodes"]:
                ssh.prepare_node(layout, node["name"], node["address"])
        write_json(layout.lab_file, lab, 0o600)
        write_json(
            layout.nodes_file,
            {
                "block": own,
                "nodes": [spec_of(node) for node in lab["nodes"]],
                "os_users": lab["os_users"],
                "ssh": with_ssh,
                "control_token": lab["control"]["token"],
                "tokens": {tenant: pair[1] for tenant, pair in tokens.items()},
            },
            0o600,
        )
        write_atomic(layout.secrets, "\n".join([*lab["secrets"], *(pair[1] for pair in tokens.values())]) + "\n", 0o600)
        try:
            _bring_up(layout, options, lab, timeout, elsewhere, hosts)
        except BaseException:
            processes.stop(layout, *processes.known(layout), gracefully=False)
            raise
        for number, _token in tokens.values():
            store.revoke_token(number)
        store.close()
        remember_ca(layout, options, lab)
        (hosts.write_inventory if hosts else inventory.write)(layout, options, lab)
        return lab


def _describe(
    layout: Layout, options: Options, block: str, replicas: int, count: int, values: dict[str, Any]
) -> dict[str, Any]:
    width = max(2, len(str(count)))
    second = int(options.get("tenant_b"))
    nodes = [
        new_node(number, f"node{number:0{width}d}", block, TENANTS[number > count - second], options)
        for number in range(1, count + 1)
    ]
    cp_users = [
        {
            "username": f"{role}@{tenant.removeprefix('tenant_')}.test",
            "password": secrets.token_urlsafe(18),
            "tenant": tenant,
            "role": role,
            "totp_secret": auth.new_totp_secret(),
        }
        for tenant, role in ((TENANTS[0], "admin"), (TENANTS[1], "admin"), (TENANTS[0], "viewer"))
    ]
    os_users = {
        role: {"password": secrets.token_urlsafe(18), "role": role, "totp_secret": auth.new_totp_secret()}
        for role in ("admin", "operator", "viewer")
    }
    control = {"url": f"http://{control_address(block)}:{CONTROL_PORT}", "token": secrets.token_urlsafe(24)}
    known = [user[key] for user in [*cp_users, *os_users.values()] for key in ("password", "totp_secret")]
    known += [node[key] for node in nodes for key in ("api_key", "viewer_key")]
    known.append(control["token"])
    return {
        "dir": str(layout.root),
        "block": block,
        "replicas": replicas,
        "nodes": nodes,
        "options": values,
        "cp_users": cp_users,
        "os_users": os_users,
        "control": control,
        "secrets": known,
        "secrets_file": str(layout.secrets),
        "inventory": str(layout.inventory),
        "started": time.time(),
        "api_url": f"https://{balancer_address(block)}:{API_PORT}{options.get('api_prefix')}",
        "api_ca": str(layout.root / "api-ca.crt"),
        "system_ca": str(layout.root / "system-ca.crt"),
        "mtls_address": f"{balancer_address(block)}:{MTLS_PORT}",
        "server_name": options.get("server_name"),
        "endpoints": {
            f"cp{number}": f"{replica_address(block, number)}:{MTLS_PORT}" for number in range(1, replicas + 1)
        },
        "env_files": {f"cp{number}": str(layout.env_file(f"cp{number}", options)) for number in range(1, replicas + 1)},
        "certs_dirs": {f"cp{number}": str(layout.certs(f"cp{number}", options)) for number in range(1, replicas + 1)},
        "legacy_dir": str(layout.root / options.get("legacy_dir")),
        "hidden": str(layout.hidden),
        "logs": str(layout.logs),
    }


def spec_of(node: dict[str, Any]) -> dict[str, Any]:
    return {key: node[key] for key in ("name", "address", "api_key", "viewer_key", "cp_name", "tenant")}


def _bring_up(
    layout: Layout,
    options: Options,
    lab: dict[str, Any],
    timeout: float,
    elsewhere: ControlPanel | None,
    hosts: Hosts | None,
) -> None:
    block = lab["block"]
    names = [] if elsewhere or hosts else names_of(lab)
    if elsewhere:
        elsewhere.bring_up(layout, lab)
    for name in names:
        processes.start_replica(layout, options, block, name)
    if not elsewhere:
        balanced = {"CC_LAB_BLOCK": block, "CC_LAB_REPLICAS": str(lab["replicas"])}
        processes.spawn(layout, "balancer", "balancer", balanced)
    if hosts:
        hosts.bring_up(layout, lab)
    else:
        processes.spawn(layout, "nodes", "nodes", {})
    for name in names:
        processes.wait_replica(layout, block, name)

    def all_up() -> bool:
        try:
            nodes = hosts.statuses(lab) if hosts else control(lab, "GET", "/status")["nodes"]
        except LabError:
            return False
        return len(nodes) == len(lab["nodes"]) and all(node["delivered"] for node in nodes)

    processes.wait(
        "the first heartbeat of every node",
        all_up,
        timeout,
        layout.logs / ("balancer.stderr" if hosts else "nodes.stderr"),
        lambda: processes.pid_of(layout, "balancer" if hosts else "nodes") is not None,
    )
