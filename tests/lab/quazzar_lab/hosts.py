# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab on hosts of its own: each replica and each node is a machine with systemd, OpenSSH, sudo, and no Python.

usage: python -m quazzar_lab.hosts COMMAND --dir DIRECTORY ...; --help says more. ``network`` and ``down`` are called
from outside, everything else from where the hosts can be reached: ``inside`` prints the words to put before a command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import inventory, lab, pki, replicas
from .base import control, layout_of, load, names_of, options_of
from .machines import Machines, missing, run
from .options import Options, parse
from .paths import (
    API_PORT,
    CONTROL_PORT,
    MTLS_PORT,
    Layout,
    balancer_address,
    control_address,
    replica_address,
    write_atomic,
    write_json,
)
from .processes import LabError

#: Of every lab on hosts: each is on a network of its own.
BLOCK = "10.77"
HOME = Path(__file__).resolve().parent.parent
UNITS = HOME / "hosts"
LOGIN = "deploy"
#: Below the lab's directory; all replicas mount it, as a volume of a network
VOLUME = "cp/volume"
OPTIONS = (f"certs_dir={VOLUME}/certs", f"legacy_dir={VOLUME}/legacy")
LINK_SECONDS = 120.0
POLL_SECONDS = 0.1
LINE_FORM = "-o cat --no-pager"


class HostLab:
    """The lab in a directory of hosts; what `quazzar_lab.start` calls, and what a scenario does with it."""

    def __init__(self, directory: str | Path) -> None:
        self.dir = Path(directory).resolve()
        self.machines = Machines(self.dir)
        self.layout = layout_of(self.dir / "lab")
        self.facts = {"dir": str(self.dir)}

    # what the lab calls

    def bring_up(self, layout: Layout, made: dict[str, Any]) -> None:
        """Every host with its units, which systemd starts by itself."""
        (layout.root / VOLUME / "certs").mkdir(parents=True, exist_ok=True)
        shared = {
            "opt/quazzar/runtime": Path(self.machines.facts["runtime"]),
            "opt/quazzar/code": HOME,
            "opt/quazzar/lab": layout.root,
        }
        for number, name in enumerate(names_of(made), 1):
            binds = {**shared, "var/lib/quazzar-cc": layout.root / VOLUME}
            self._prepare(name, replica_address(made["block"], number), "quazzar-cc", binds)
            environment = self.machines.upper(name) / "etc/quazzar-cc/cc.env"
            environment.parent.mkdir(parents=True)
            write_atomic(environment, layout.env_file(name, options_of(layout)).read_bytes(), 0o640)
        for node in made["nodes"]:
            self._prepare(node["name"], node["address"], "quazzar-agent", shared)
            for folder, mode in (("var/lib/quazzar/certs", 0o755), ("var/log/quazzar", 0o755)):
                (self.machines.upper(node["name"]) / folder).mkdir(mode=mode, parents=True)
        # The balancer is there first: a replica is up when that sends it connections.
        self.machines.start(*names_of(made), *(node["name"] for node in made["nodes"]))

    def _prepare(self, name: str, address: str, unit: str, binds: dict[str, Path]) -> None:
        self.machines.add(name, address, binds)
        etc = self.machines.upper(name) / "etc"
        text = (UNITS / f"{unit}.service").read_text(encoding="utf-8").format(name=name, address=address)
        system = etc / "systemd/system"
        write_atomic(system / f"{unit}.service", text)
        (system / "multi-user.target.wants").mkdir()
        (system / "multi-user.target.wants" / f"{unit}.service").symlink_to(f"/etc/systemd/system/{unit}.service")
        write_atomic(etc / "hostname", f"{name}\n")
        write_atomic(etc / "hosts", f"127.0.0.1 localhost\n{address} {name}\n")
        write_atomic(etc / "ssh/authorized_keys" / LOGIN, (self.dir / "id_ed25519.pub").read_bytes())

    def statuses(self, made: dict[str, Any]) -> list[dict[str, Any]]:
        return [answer for node in made["nodes"] for answer in self._ask(made, node, "/status").get("nodes", [])]

    def _ask(self, made: dict[str, Any], node: dict[str, Any], path: str) -> dict[str, Any]:
        if self.machines.init(node["name"]) is None:
            return {}
        door = {"url": f"http://{node['address']}:{CONTROL_PORT}", "token": made["control"]["token"]}
        try:
            return dict(control({"control": door}, "GET", path))
        except LabError:
            return {}

    def write_inventory(self, layout: Layout, options: Options, made: dict[str, Any]) -> None:
        """What a user would write for such a fleet; paths on hosts are the product's, so most are not named."""
        block = made["block"]
        balancer = balancer_address(block)
        places = {name: replica_address(block, number) for number, name in enumerate(names_of(made), 1)}
        known = f"-o UserKnownHostsFile={self.dir / 'known_hosts'} -o KexAlgorithms=curve25519-sha256"
        general = {
            "ansible_user": LOGIN,
            "ansible_ssh_private_key_file": str(self.dir / "id_ed25519"),
            "ansible_ssh_common_args": f"{known} -o ConnectTimeout=10",
            "quazzar_cp_platform": "env_file",
            "quazzar_cp_mtls_address": f"{balancer}:{MTLS_PORT}",
            "quazzar_cp_server_name": str(options.get("server_name")),
            "quazzar_cp_endpoints": {name: f"{address}:{MTLS_PORT}" for name, address in places.items()},
            "quazzar_cp_api_url": f"https://{balancer}:{API_PORT}{options.get('api_prefix')}",
            "quazzar_cp_api_ca": str(layout.root / "api-ca.crt"),
            "quazzar_cp_username": made["cp_users"][0]["username"],
            "quazzar_cp_password": made["cp_users"][0]["password"],
            "quazzar_registry_complete": True,
            # Four times the lab's own, so that a slow machine is not called a node without a link.
            "quazzar_heartbeat_interval": 2,
            "quazzar_probe_hold": 0.4,
            "quazzar_register_wait": 10,
            "quazzar_report_dir": str(layout.root / "reports"),
        }
        nodes = {
            node["name"]: {
                "ansible_host": node["address"],
                "quazzar_os_api_key": node["api_key"],
            }
            for node in made["nodes"]
        }
        panel = {
            "quazzar_cp_env_file": "/etc/quazzar-cc/cc.env",
            "quazzar_cp_restart_command": "systemctl restart quazzar-cc",
            "quazzar_cp_log_command": f"journalctl -u quazzar-cc {LINE_FORM}",
        }
        agent = {"quazzar_node_log_command": f"journalctl -u quazzar-agent -n 500 {LINE_FORM}"}
        replica_hosts = {name: {"ansible_host": address} for name, address in places.items()}
        tree = {
            "all": {
                "vars": general,
                "children": {
                    "quazzar_nodes": {"vars": agent, "hosts": nodes},
                    "quazzar_cp": {"vars": panel, "hosts": replica_hosts},
                },
            }
        }
        inventory.write_tree(layout, tree)

    # life

    def network(self, base: Path, runtime: Path) -> None:
        """The bridge, with the balancer's address first: it is what the replicas see connections come from."""
        self.machines.create(base, [balancer_address(BLOCK), control_address(BLOCK)])
        write_json(self.machines.file, {**self.machines.facts, "runtime": str(runtime)})
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "quazzar-hosts", "-f", self.dir / "id_ed25519")

    def up(self, nodes: int, values: list[str], count: int = 2) -> dict[str, Any]:
        """A healthy fleet: every node has had a heartbeat delivered."""
        return lab.start(
            str(self.layout.root),
            replicas=count,
            nodes=nodes,
            block=BLOCK,
            values=parse(["heartbeat=0.5", *OPTIONS, *values]),
            with_ssh=False,
            ssh_login="",
            timeout=LINK_SECONDS,
            hosts=self,
        )

    def clear(self) -> None:
        """End the lab and its hosts; the network stays, for the next ones."""
        if self.layout.lab_file.exists():
            lab.stop(str(self.layout.root))
        self.machines.clear()
        shutil.rmtree(self.layout.root, ignore_errors=True)

    def down(self) -> None:
        """Leave nothing but what is kept for a look: the directory itself is the caller's."""
        if self.machines.file.exists():
            self.clear()
            self.machines.destroy()

    # what a scenario does

    def accident(self) -> list[dict[str, str]]:
        """The volume with the CA is lost; the replicas start one after the other, and the first makes a new one."""
        replicas.lose_ca(str(self.layout.root))
        made = load(self.layout)
        for name in names_of(made):
            self.machines.run_on(name, "systemctl", "restart", "quazzar-cc")
        replicas.remember_ca(self.layout, options_of(self.layout), made)
        return lab.ca_history(self.layout)

    def remember(self) -> list[dict[str, str]]:
        """Every CA so far, the oldest first, the one that is active now included."""
        replicas.remember_ca(self.layout, options_of(self.layout), load(self.layout))
        return lab.ca_history(self.layout)

    def links(self) -> dict[str, bool]:
        """Which nodes have a link; a node that is off has none."""
        made = load(self.layout)
        found = {node["name"]: False for node in made["nodes"]}
        return found | {status["name"]: status["connected"] for status in self.statuses(made)}

    def until_links(self, *, connected: bool) -> None:
        """Wait until all nodes that are on have a link, or none has."""
        deadline = time.monotonic() + LINK_SECONDS
        while True:
            links = {name: value for name, value in self.links().items() if self.machines.init(name)}
            if links and all(value == connected for value in links.values()):
                return
            if time.monotonic() > deadline:
                raise LabError(f"links after {LINK_SECONDS:.0f} s: {links}, expected {connected} for all")
            time.sleep(POLL_SECONDS)

    def missed(self, since: float) -> dict[str, int]:
        """Beats lost after a link was up, without those for which the machine gave the lab no CPU."""
        made, found = load(self.layout), {}
        for node in made["nodes"]:
            for name, entry in self._ask(made, node, f"/beats?since={since}").get("nodes", {}).items():
                found[name] = max(0, entry["missed_since_up"] - entry["starved"])
        return found

    def active(self) -> str:
        """SHA-256 of the CP's active CA."""
        certs = self.layout.certs("cp1", options_of(self.layout))
        return pki.fingerprint(pki.load_certificates((certs / "ca.crt").read_bytes())[0])


def parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").partition("\n\n")[0]
    top = argparse.ArgumentParser(prog="python -m quazzar_lab.hosts", description=about)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("--dir", required=True, help="the directory of the hosts")
        return made

    network = add("network", "make the network of a directory; from outside")
    for tree in ("base", "runtime"):
        network.add_argument(f"--{tree}", required=True, type=Path, help="a tree of tests/lab/debian/trees.py")
    add("inside", "print the words before a command that is to reach the hosts")
    up = add("up", "start hosts and the lab on them")
    up.add_argument("--nodes", type=int, default=3)
    up.add_argument("--replicas", type=int, default=2)
    up.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    add("clear", "end the lab and its hosts, keep the network")
    add("down", "end all of it; from outside")
    add("accident", "the CA is lost and made anew")
    add("active", "print the SHA-256 of the active CA")
    add("remember", "print every CA so far, the oldest first, as JSON")
    links = add("links", "print which nodes have a link, as JSON")
    links.add_argument("--wait", choices=["up", "down"], help="until all nodes that are on have one, or none has")
    add("missed", "print the beats lost after a link was up").add_argument("--since", type=float, required=True)
    for name, text in (("off", "switch hosts off, as a power cut does"), ("on", "switch hosts on")):
        add(f"power-{name}", text).add_argument("hosts", nargs="+", metavar="HOST")
    execute = add("exec", "run a command on a host as root, past its sshd")
    execute.add_argument("host")
    execute.add_argument("words", nargs=argparse.REMAINDER)
    return top


def _answer(made: HostLab, arguments: argparse.Namespace) -> Any:
    """Do what was asked; what is returned is printed."""
    command = arguments.command
    if command == "links":
        if arguments.wait:
            made.until_links(connected=arguments.wait == "up")
        return made.links()
    calls = {
        "network": lambda: made.network(arguments.base.resolve(), arguments.runtime.resolve()),
        "inside": lambda: " ".join(made.machines.inside),
        "up": lambda: made.up(arguments.nodes, arguments.option, arguments.replicas)["inventory"],
        "clear": made.clear,
        "down": made.down,
        "accident": made.accident,
        "active": made.active,
        "remember": made.remember,
        "missed": lambda: made.missed(arguments.since),
        "power-off": lambda: made.machines.stop(*arguments.hosts),
        "power-on": lambda: made.machines.start(*arguments.hosts),
    }
    return calls[command]()


def main() -> int:
    arguments = parser().parse_args()
    made = HostLab(arguments.dir)
    try:
        if problem := missing():
            raise LabError(problem)
        if arguments.command == "exec":
            words = [word for word in arguments.words if word != "--"]
            return subprocess.run([*made.machines.on(arguments.host), *words], check=False).returncode
        answer = _answer(made, arguments)
    except (LabError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if answer is not None:
        print(answer if isinstance(answer, str) else json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
