# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from . import faults, lab
from .options import OptionError, option_table, parse, seconds
from .processes import LabError
from .ssh import SshError

EXAMPLES = """\
examples:
  python -m quazzar_lab start --dir /tmp/lab --nodes 24        a healthy fleet on two replicas
  python -m quazzar_lab regenerate-ca --dir /tmp/lab           the accident
  python -m quazzar_lab beats --dir /tmp/lab                   who lost its link, for how long
  python -m quazzar_lab set-fault --dir /tmp/lab --target node03 --fault down
  python -m quazzar_lab stop --dir /tmp/lab
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m quazzar_lab",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="A reference Quazzar Control Panel and OS nodes on loopback addresses, for tests and demos.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("--dir", required=True, help="the lab's directory")
        return made

    start = add("start", "start a lab; returns when every node has had a delivered heartbeat")
    start.add_argument("--replicas", type=int, default=2, help="replicas of the Control Panel (default 2)")
    start.add_argument("--nodes", type=int, default=24, help="OS nodes (default 24)")
    start.add_argument("--world", choices=["W1", "W2", "W3", "W4"], help="short for --option world=")
    start.add_argument("--block", default="127.20", help="loopback block, two octets, or auto (default 127.20)")
    start.add_argument("--heartbeat", type=float, help="seconds between two heartbeats of a node (default 1)")
    start.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="see: options")
    start.add_argument("--ssh", action="store_true", help="one sshd per node, no Python on its PATH")
    start.add_argument("--ssh-login", default="", metavar="USER", help="with --ssh: log in as this user (needs root)")
    start.add_argument("--timeout", type=float, default=60, help="seconds to wait for all nodes (default 60)")

    add("stop", "end every process of the lab; its files stay")
    add("status", "replicas, nodes, CAs").add_argument("--json", action="store_true")
    add("regenerate-ca", "the accident: the CA's volume is lost while auto-generation is on")
    for name, text in (
        ("restart", "restart a replica with its environment file as it is now, and wait for it"),
        ("stop-replica", "stop a replica gracefully"),
        ("flip", "world W1: drop a replica's server certificate and restart it"),
    ):
        add(name, text).add_argument("name", metavar="cpN")
    add("backup-ca", "copy the CA pair out of band").add_argument("--to", default="", help="default: DIR/backup")

    node = add("add-node", "a node joins")
    node.add_argument("name")
    node.add_argument("--unlisted", action="store_true", help="in the CP's registry, not in the inventory")
    node.add_argument("--tenant", default="")
    node = add("remove-node", "a node goes for good")
    node.add_argument("name")
    node.add_argument("--keep-instance", action="store_true", help="leave it in the CP's registry")
    node.add_argument("--keep-listed", action="store_true", help="leave it in the inventory")
    add("restart-agent", "restart a node's agent: it reads its files again").add_argument("name")

    fault = add("set-fault", "make something go wrong; the names: faults")
    fault.add_argument("--target", required=True, help="cp, cp1, nodes, node03, ...")
    fault.add_argument("--fault", required=True, help="a name of: faults; a number stands for http with that status")
    fault.add_argument("--value", help="seconds, a status: what the fault needs")
    fault.add_argument("--count", type=int, help="so many times, then it is gone")
    fault.add_argument("--path", help="HTTP faults: only for URL paths that begin so")
    fault.add_argument("--method", help="HTTP faults: only for this method")
    fault.add_argument("--retry-after", help="HTTP faults: the Retry-After header")
    fault = add("clear-fault", "end faults: of a target, of a name, or all")
    fault.add_argument("--target")
    fault.add_argument("--fault")
    add("set-option", "flip options of a running lab").add_argument("pairs", nargs="+", metavar="KEY=VALUE")

    counted = add("beats", "heartbeats since the mark, counted on both ends")
    counted.add_argument("--json", action="store_true")
    counted.add_argument("--since", type=float, help="seconds since the epoch, in place of the mark")
    counted.add_argument("--mark", action="store_true", help="count from now on; prints the count until now")

    token = add("mint-token", "a registration token, as a person makes it in the UI")
    token.add_argument("--tenant", default="")
    token.add_argument("--expires-in", help="30m, 90s, ...")
    token.add_argument("--uses", type=int)
    add("revoke-token", "revoke a token, as a person does in the UI").add_argument("id")
    add("tokens", "all registration tokens, without the secrets")
    row = add("registry", "change the CP's registry behind its back")
    row.add_argument("action", choices=["ghost", "decommission", "delete"])
    row.add_argument("name")
    row.add_argument("--tenant", default="")
    add("secrets", "every secret of the lab, one a line, for tests that look for leaks")
    commands.add_parser("options", help="the options, as a table")
    commands.add_parser("faults", help="the faults")
    return top


def _print_status(state: dict[str, Any]) -> None:
    up = sum(node["connected"] for node in state["nodes"])
    print(
        f"lab {state['dir']} on {state['block']}: {len(state['running'])} processes, "
        f"{up} of {len(state['nodes'])} nodes connected"
    )
    for name, replica in state["replicas"].items():
        if replica.get("ready"):
            print(
                f"  {name}  ready  CA {replica['active_ca'][:16]}  pool +{len(replica['pool'])}"
                f"  serving {' + '.join(item[:16] for item in replica['serving'])}"
            )
        else:
            print(f"  {name}  not ready")
    for number, ca in enumerate(state["cas"], 1):
        print(f"  CA {number}  {ca['sha256'][:16]}  {ca['subject']}")
    for node in state["nodes"]:
        if not node["connected"]:
            print(f"  {node['name']}  no link  {node['last_error']}")


def _print_beats(report: dict[str, Any]) -> None:
    for name, entry in report["nodes"].items():
        print(
            f"{name}  {'up  ' if entry['up'] else 'DOWN'}  delivered {entry['delivered']:5}"
            f"  missed {entry['missed']:4}"
            f"  since up {entry['missed_since_up']:3}  without link {entry['without_link']:7.1f} s"
            f"  longest gap {entry['longest_gap'] or 0:6.2f} s  at the CP {entry['cp_delivered_ever']}"
        )
    total = report["total"]
    print(
        f"total  {total['up']} of {total['nodes']} up, {total['delivered']} delivered, {total['missed']} missed, "
        f"{total['missed_since_up']} of them after the link was up "
        f"({total['starved']} while the machine gave the lab no CPU)"
    )


def _start(args: argparse.Namespace) -> None:
    pairs = list(args.option)
    pairs += [f"world={args.world}"] if args.world else []
    pairs += [f"heartbeat={args.heartbeat}"] if args.heartbeat else []
    made = lab.start(
        args.dir,
        replicas=args.replicas,
        nodes=args.nodes,
        block=args.block,
        values=parse(pairs),
        with_ssh=args.ssh,
        ssh_login=args.ssh_login,
        timeout=args.timeout,
    )
    print(f"lab on {made['block']}: {made['replicas']} replicas, {len(made['nodes'])} nodes, all with a heartbeat")
    print(f"inventory {made['inventory']}")


def _fault(args: argparse.Namespace) -> None:
    layout = lab.layout_of(args.dir)
    lab.load(layout)
    if args.command == "set-fault":
        faults.add(
            layout.faults,
            args.target,
            args.fault,
            value=args.value,
            count=args.count,
            path=args.path,
            method=args.method,
            retry_after=args.retry_after,
        )
    else:
        print(f"{faults.clear(layout.faults, args.target, args.fault)} cleared")


def _run(args: argparse.Namespace) -> None:  # noqa: PLR0912 - one line a command
    match args.command:
        case "start":
            _start(args)
        case "stop":
            print(f"stopped {', '.join(lab.stop(args.dir)) or 'nothing'}")
        case "status":
            state = lab.status(args.dir)
            print(json.dumps(state, indent=2)) if args.json else _print_status(state)
        case "regenerate-ca":
            history = lab.regenerate_ca(args.dir)
            print(f"active CA {history[-1]['sha256']}")
        case "restart":
            lab.restart(args.dir, args.name)
        case "stop-replica":
            lab.stop_replica(args.dir, args.name)
        case "flip":
            lab.flip(args.dir, args.name)
        case "backup-ca":
            print("\n".join(lab.backup_ca(args.dir, args.to)))
        case "add-node":
            node = lab.add_node(args.dir, args.name, listed=not args.unlisted, tenant=args.tenant)
            print(f"{node['name']} on {node['address']}")
        case "remove-node":
            lab.remove_node(args.dir, args.name, keep_instance=args.keep_instance, keep_listed=args.keep_listed)
        case "restart-agent":
            lab.restart_agent(args.dir, args.name)
        case "set-fault" | "clear-fault":
            _fault(args)
        case "set-option":
            lab.set_options(args.dir, parse(args.pairs))
        case "beats":
            report = lab.beats(args.dir, since=args.since, mark=args.mark)
            print(json.dumps(report, indent=2)) if args.json else _print_beats(report)
        case "mint-token":
            expires = seconds(args.expires_in) if args.expires_in else None
            print(json.dumps(lab.mint_token(args.dir, tenant=args.tenant, expires_in=expires, uses=args.uses)))
        case "revoke-token":
            if not lab.registry(args.dir).revoke_token(args.id):
                raise LabError(f"{args.id}: no such token")
        case "tokens":
            print(json.dumps(lab.registry(args.dir).tokens(), indent=2))
        case "registry":
            print(f"{lab.registry_edit(args.dir, args.action, args.name, args.tenant)} rows")
        case "secrets":
            print("\n".join(lab.all_secrets(args.dir)))
        case "options":
            print(option_table())
        case "faults":
            print("\n".join(f"{name:16} {text}" for name, text in faults.FAULTS.items()))


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        _run(args)
    except (LabError, OptionError, SshError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
