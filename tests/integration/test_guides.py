# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventories and the commands of the guides, as they stand there, against the lab.

Of an inventory the lab has to decide where things are; everything else stays, the commands on the hosts above all:
systemctl, journalctl, docker and ssh are programs on PATH that do to the lab's replicas what they would do to a host's.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleets import digest_of, operators_shell
from quazzar_lab import lab

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900.0
#: What a lab on one machine needs beside what the guides' inventories say: what has a default that it cannot have.
LAB_ONLY = {
    "ansible_connection", "ansible_python_interpreter", "quazzar_cp_api_ca", "quazzar_cp_become",
    "quazzar_cp_bridge_path", "quazzar_cp_certs_dir", "quazzar_cp_flip_command", "quazzar_cp_hosts",
    "quazzar_cp_platform", "quazzar_cp_server_name", "quazzar_heartbeat_interval", "quazzar_kept_identity_dir",
    "quazzar_legacy_ca_dir", "quazzar_node_become", "quazzar_node_ca_path", "quazzar_node_cert_path",
    "quazzar_node_key_path", "quazzar_node_log_command", "quazzar_nodes", "quazzar_os_url",
    "quazzar_previous_ca_dir", "quazzar_staged_ca_dir",
}  # fmt: skip
COMMANDS = ("quazzar_cp_restart_command", "quazzar_cp_log_command")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def documented(name: str) -> dict[str, Any]:
    """The complete inventory of a page."""
    blocks = re.findall(r"(?ms)^```yaml\n(.*?)^```", page(name))
    (tree,) = [tree for tree in map(yaml.safe_load, blocks) if "all" in tree]
    return tree["all"]


def commands(text: str) -> list[str]:
    """The lines of all blocks of commands, in their order."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    return [line for block in blocks for line in block.splitlines()]


def adapted(made: Any, name: str) -> dict[str, Any]:
    """The inventory of a page for this lab: the lab's addresses, paths and credentials, the page's everything else."""
    theirs, ours = documented(name), yaml.safe_load(made.layout.inventory.read_text(encoding="utf-8"))["all"]
    groups = {group: ours["children"][group]["hosts"] for group in ("quazzar_cp", "quazzar_nodes")}
    known = {*ours["vars"], *(key for hosts in groups.values() for host in hosts.values() for key in host)}
    assert known - {*theirs["vars"]} - LAB_ONLY == set(), f"{name}: its inventory lacks what this lab needs"
    for host, values in groups["quazzar_cp"].items():
        values.update({key: f"QZ_HOST={host} {theirs['vars'][key]}" for key in COMMANDS})
    for host, values in made.host_vars.items():
        groups["quazzar_nodes"][host].update(values)
    rest = {key: value for key, value in theirs["vars"].items() if key not in known and key != "ansible_user"}
    ours["vars"].update({**rest, **made.group_vars["all"]})
    return {"all": ours}


class Operator:
    """Somebody who types what a page says."""

    def __init__(self, made: Any, name: str, inventory: str) -> None:
        self.made, self.name, self.inventory = made, name, inventory
        self.environment = operators_shell(made, made.work / "operator")
        del self.environment["ANSIBLE_INVENTORY"]

    def types(self, command: str, status: int = 0) -> str:
        made = self.made
        text = yaml.safe_dump(adapted(made, self.name))
        (made.work / self.inventory).write_text(text, encoding="utf-8")
        real = re.sub(r"\bedge-0(\d\d)\b", r"node\1", command)
        real = real.replace("/var/lib/quazzar-cc", str(made.layout.cp)).replace(
            "/etc/quazzar-cc/cc.env", str(made.env_file())
        )
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", real], env=self.environment, cwd=made.work, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == status, (
            f"{command}\nended with {done.returncode}, not {status}:\n{done.stdout[-6000:]}"
        )
        return " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "replicas", "world"), [("docs/systemd.md", 2, "W4"), ("docs/compose.md", 1, "W1"), ("README.md", 2, "W2")]
)
def test_a_guide_from_its_inventory_to_the_end(fleet, name, replicas, world):
    made = fleet(2, world, replicas=replicas)
    typed = [command for command in commands(page(name)) if command.startswith("ansible-playbook")]
    assert [command.split()[3] for command in typed] == [
        f"quazzar.ca_rotation.{playbook}" for playbook in ("drift_report", "ca_rotate", "ca_rotate")
    ]
    operator = Operator(made, name, "inventory.yml")
    made.accident()
    made.disconnected()
    before = made.digest()
    # A vault password is asked for on a terminal; there is none here, and nothing that is encrypted.
    looked, planned, rotated = [command.replace(" --ask-vault-pass", "") for command in typed]
    report = operator.types(looked)
    assert "Nodes whose certificate is by a legacy CA: 2." in report
    # the log command of the page prints something
    assert "cp1: in its log: " in report, report[-3000:]
    assert "re-register 2 nodes" in operator.types(planned)
    assert made.digest() == before
    assert "Finished." in operator.types(rotated)
    made.connected()


#: Of the commands of the rehearsal, in their order: those that do not end with status 0.
STATUS = {
    "quazzar.ca_rotation.nodes_reregister --limit": 2,
    "quazzar.ca_rotation.grace_close --check": 2,
}


@pytest.mark.long
def test_a_rehearsal(fleet):
    # With one environment file for both the second replica's turn finds the change of the first one's in it.
    made = fleet(3, "W2", options=["env_file=shared"])
    text = page("docs/rehearsal.md").partition("## With a copy of your CP")[2]
    operator = Operator(made, "docs/systemd.md", "rehearsal.yml")
    (made.work / "vault-password.txt").write_text("of this rehearsal\n", encoding="utf-8")
    (waivers,) = re.findall(r"(?ms)^```yaml\n(.*?)^```", text)
    (made.work / "waivers.yml").write_text(waivers.replace("edge-003", "node03"), encoding="utf-8")
    said = {}
    for command in commands(text):
        if "grace_close --check" in command:
            made.power_off("node03")
        elif "nodes_rescue" in command:
            made.power_on("node03")
        # A copy of a lab is not how a CP should be run: some rule is broken.
        status = 2 if "guardrails_check" in command else next((STATUS[part] for part in STATUS if part in command), 0)
        said[command] = operator.types(command, status)
        if "systemctl start" in command:
            made.disconnected()
    answers = list(said.values())
    told = dict(zip(["backup", "stop", "lose", "allow", "start", "forbid"], answers[2:], strict=False))
    assert "restored in a drill on cp1, key and certificate belong together." in told["backup"]
    assert "CC_ALLOW_AUTO_CA_GEN" not in made.env_file().read_text(encoding="utf-8")
    lost = (made.layout.cp / "certs.lost/ca.crt").read_bytes()
    assert digest_of(lost) == made.cas()[0]["sha256"] != digest_of(made.active())

    def answer(part: str) -> str:
        return next(text for command, text in said.items() if part in command)

    assert "not examined in this run" in answer("--limit 'edge-001,quazzar_cp,localhost'")
    assert "- node03: " in answer("grace_close --check")
    assert "node03: " in answer("waivers.yml") and "Finished." in answer("waivers.yml")
    made.connected()
    assert {made.node_file(name, "ca.crt").read_bytes() for name in made.names} == {made.active()}


def test_the_rehearsal_in_the_lab(tmp_path, ansible_environment):
    """In a clone, by its own PATH; another directory and block than those of somebody who does it at the same time."""
    text = page("docs/rehearsal.md").partition("## With a copy of your CP")[0]
    typed = (
        "\n".join(commands(text))
        .replace("/tmp/lab", str(tmp_path / "lab"))
        .replace("--nodes 4", "--nodes 4 --block auto")
    )
    assert typed.startswith("make setup-demo\n") and typed.count(str(tmp_path)) == 7
    environment = {key: value for key, value in ansible_environment.items() if key != "ANSIBLE_COLLECTIONS_PATH"}
    try:
        done = subprocess.run(
            ["bash", "-eu", "-c", typed.replace("make setup-demo", "true", 1)], env=environment, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * SECONDS,
            check=False,
        )  # fmt: skip
    finally:
        lab.stop(str(tmp_path / "lab"))
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Finished." in done.stdout and "4 nodes: 4 current" in done.stdout
