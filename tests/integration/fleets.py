# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scenarios are made of: a running lab, the inventory beside it, playbooks of the installed collection."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from quazzar_lab import faults, lab, pki
from quazzar_lab.options import parse
from quazzar_lab.processes import LabError

PLAY_SECONDS = 900.0  # nothing takes that long; a run that hangs must not hold up the others
SETTLE_SECONDS = 60.0
SHOWN_LINES = 70
CLOSED_PORT = 9
RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)
#: Of a lab's directory, what changes by itself while everything runs: logs, beats in the registry, session tokens.
LIVELY = re.compile(r"^(logs|reports|run|cp/data)/|^secrets\.txt$|^nodes/[^/]+/var/log/")


@dataclasses.dataclass
class Run:
    """What a playbook left behind. `text` is its output on one line, without the escapes of JSON strings."""

    status: int
    output: str
    report: dict[str, Any]
    seconds: float

    @property
    def text(self) -> str:
        return re.sub(r"\\(.)", r"\1", " ".join(self.output.split()))

    @property
    def tail(self) -> str:
        return "\n".join(self.output.splitlines()[-SHOWN_LINES:])

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks of every host."""
        return {host: int(re.search(r"changed=(\d+)", counts)[1]) for host, counts in RECAP.findall(self.output)}

    @property
    def states(self) -> dict[str, str]:
        return {node["name"]: node["state"] for node in self.report["nodes"]}

    @property
    def blocked(self) -> dict[str, dict[str, Any]]:
        return {entry["node"]: entry for entry in self.report["gate"]["blocked"]}

    @property
    def batches(self) -> list[str]:
        """The progress lines, one a batch."""
        return re.findall(r"\d+ of \d+ nodes done, [^\"]*", self.output)

    def says(self, words: str) -> bool:
        return words in self.text


class Play:
    """A playbook that runs in a process group of its own."""

    def __init__(self, fleet: Fleet, name: str, words: list[str], environment: dict[str, str]) -> None:
        self.fleet = fleet
        self.log = fleet.work / f"{len(list(fleet.work.glob('*.log'))):02d}-{name}.log"
        self.reports = set(fleet.reports())
        self.began = time.monotonic()
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                [*fleet.controller, "ansible-playbook", *words, f"quazzar.ca_rotation.{name}"],
                cwd=fleet.work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, pattern: str) -> None:
        """Wait until its output matches."""
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, f"it ended without {pattern}:\n{self.output[-6000:]}"
            assert time.monotonic() - self.began < PLAY_SECONDS, f"no {pattern} in time:\n{self.output[-6000:]}"
            time.sleep(0.05)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing new is begun meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """What a power cut does to the controller. Workers have sessions of their own since ansible-core 2.19."""
        for pid in workers(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C once, as ansible-playbook itself gets it."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> Run:
        try:
            status = self.process.wait(PLAY_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"not finished after {PLAY_SECONDS:.0f} s:\n{self.output[-6000:]}")
        new = [path for path in self.fleet.reports() if path not in self.reports]
        report = json.loads(new[-1].read_text(encoding="utf-8")) if new else {}
        return Run(status, self.output, report, time.monotonic() - self.began)


def workers(pid: int) -> list[int]:
    """The processes that this one has forked and that are still the same program."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            if parent == pid and b"ansible-playbook" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


class Fleet:
    """A running lab, the inventory beside it, and what the scenarios do with both."""

    def __init__(self, work: Path, environment: Mapping[str, str]) -> None:
        self.work = work
        self.dir = work / "lab"
        self.layout = lab.layout_of(self.dir)
        # Most of a scenario is waiting, so what it waits for comes fast. Beats come twice a second; a slow machine gets
        # four times that until a run calls one missing. Where a replica shows within 0.4 s neither that it accepts nor
        # that it refuses, the probe is made again with a longer hold. What fails to be registered here fails at once,
        # so there is no point in waiting a minute for its new leaf.
        self.group_vars: dict[str, dict[str, Any]] = {
            "all": {"quazzar_heartbeat_interval": 2, "quazzar_probe_hold": 0.4, "quazzar_register_wait": 10}
        }
        self.host_vars: dict[str, dict[str, Any]] = {}
        #: what runs ansible-playbook, when it is not to run as we do
        self.controller: list[str] = []
        config = work / "ansible.cfg"
        # Polling for results a thousand times a second costs a tenth of what a run computes.
        settings = "forks = 25\ninternal_poll_interval = 0.01\nlocalhost_warning = false\n"
        config.write_text(f"[defaults]\n{settings}", encoding="utf-8")
        self._environment = {
            **environment,
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_HOME": str(work / "ansible"),
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }

    # the lab

    def start(self, nodes: int, world: str, options: list[str], replicas: int, heartbeat: float, **more: Any) -> None:
        values = parse([f"world={world}", f"heartbeat={heartbeat}", *options])
        how = {"replicas": replicas, "nodes": nodes, "values": values, "with_ssh": False, "ssh_login": "", **more}
        for last in (False, False, True):
            try:
                # Another worker may take the block between the look at it and the start.
                lab.start(str(self.dir), block="auto", timeout=120, **how)  # type: ignore[arg-type]
            except LabError as error:
                if last or "in use" not in str(error):
                    raise
            else:
                return

    @property
    def facts(self) -> dict[str, Any]:
        return lab.load(self.layout)

    @property
    def names(self) -> list[str]:
        return [node["name"] for node in self.facts["nodes"]]

    def accident(self) -> None:
        """The volume with the CA is lost, and the CP makes a new one."""
        lab.regenerate_ca(str(self.dir))

    def fault(self, target: str, fault: str, **fields: Any) -> None:
        faults.add(self.layout.faults, target, fault, **fields)

    def power_off(self, name: str) -> None:
        """The host is gone: no agent, no API, and no connection for Ansible."""
        self.fault(name, "down")
        address = next(node["address"] for node in self.facts["nodes"] if node["name"] == name)
        self.host_vars[name] = {"ansible_connection": "ssh", "ansible_host": address, "ansible_port": CLOSED_PORT}

    def power_on(self, name: str) -> None:
        del self.host_vars[name]
        self.clear(name, "down")

    def clear(self, target: str | None = None, fault: str | None = None) -> None:
        faults.clear(self.layout.faults, target, fault)

    def option(self, *pairs: str) -> None:
        lab.set_options(str(self.dir), parse(list(pairs)))

    def cas(self) -> list[dict[str, str]]:
        """Every CA of the CP, the oldest first: path and sha256."""
        return lab.ca_history(self.layout)

    def pair(self, number: int = 1) -> pki.Pair:
        """A CA of the CP with its key, which only the lab still has."""
        stem = self.layout.hidden / f"ca-{number}"
        return pki.load_pair(stem.with_suffix(".crt"), stem.with_suffix(".key"))

    def certs(self, replica: str = "cp1") -> Path:
        """Where this replica has its active pair."""
        return self.layout.certs(replica, lab.options_of(self.layout))

    def copy_ca_to_cp2(self) -> None:
        """Replicas with volumes of their own begin with one CA, as a person has copied it there."""
        for name in ("ca.crt", "ca.key"):
            shutil.copy2(self.certs() / name, self.certs("cp2") / name)
        shutil.rmtree(self.certs("cp2") / "server")
        lab.restart(str(self.dir), "cp2")
        assert self.play("nodes_rescue", quazzar_rescue_nodes=self.names).report["finished"]
        self.connected()

    def active(self, replica: str = "cp1") -> bytes:
        """The certificate of the active CA, as it lies there now."""
        return (self.certs(replica) / "ca.crt").read_bytes()

    def beside(self) -> set[str]:
        """What lies beside the active pair for a planned rotation."""
        return {path.name for path in self.layout.cp.iterdir() if path.name.startswith(("staged", "previous"))}

    def links(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in lab.control(self.facts, "GET", "/status")["nodes"]}

    def until(self, good: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (value := good()):
            assert time.monotonic() < deadline, f"{what} did not happen within {SETTLE_SECONDS:.0f} s: {self.links()}"
            time.sleep(0.1)
        return value

    def connected(self, *names: str) -> None:
        """Wait until these nodes (default: all) have their link."""
        wanted = set(names or self.names)
        self.until(lambda: all(node["connected"] for name, node in self.links().items() if name in wanted), "the link")

    def disconnected(self, *names: str) -> None:
        wanted = set(names or self.names)
        self.until(
            lambda: not any(node["connected"] for name, node in self.links().items() if name in wanted), "no link"
        )

    def node_file(self, name: str, part: str) -> Path:
        """part: ca.crt, client.crt or client.key."""
        return self.layout.nodes / name / "var/lib/quazzar/certs" / part

    def env_file(self, replica: str = "cp1") -> Path:
        return Path(self.facts["env_files"][replica])

    def environments(self) -> dict[str, bytes]:
        return {name: Path(path).read_bytes() for name, path in self.facts["env_files"].items()}

    def pool(self, replica: str = "cp1") -> str:
        """The value of the variable, as its file has it now; empty when it is not set."""
        found = re.findall(r"^(?:export )?CC_TRUST_ADDITIONAL_CA_CERTS=(.*)$", self.env_file(replica).read_text(), re.M)
        return found[-1] if found else ""

    def loaded(self) -> dict[str, list[str]]:
        """The additional CAs that each replica runs with."""
        return {name: replica["pool"] for name, replica in lab.status(str(self.dir))["replicas"].items()}

    def boots(self, replica: str) -> list[float]:
        """When this replica was ready after each of its starts, in seconds since the epoch."""
        text = (self.layout.logs / f"{replica}.log").read_text(encoding="utf-8")
        return [pki_time(moment) for moment in re.findall(r"^(\S+Z) INFO +ready", text, re.MULTILINE)]

    def beats(self, since: float) -> dict[str, dict[str, Any]]:
        return lab.beats(str(self.dir), since=since, mark=False)["nodes"]

    def missed(self, since: float) -> dict[str, list[str]]:
        """Beats lost after a link was up, without those for which the machine gave the lab no CPU."""
        return {
            name: [entry["last_reason"], *entry["missed_since_up_at"]]
            for name, entry in self.beats(since).items()
            if entry["missed_since_up"] > entry["starved"]
        }

    def registry(self) -> list[tuple[str, str]]:
        """Name and id of every instance that the CP knows."""
        return sorted((row["name"], row["id"]) for row in lab.registry(str(self.dir)).instances())

    def ghost(self, name: str, tenant: str = "") -> None:
        """An instance in the CP's registry without a node behind it."""
        lab.registry_edit(str(self.dir), "ghost", name, tenant)

    def delete(self, name: str) -> None:
        """Delete an instance at the CP."""
        lab.registry_edit(str(self.dir), "delete", name, "")

    def tokens(self) -> list[Any]:
        return lab.registry(str(self.dir)).tokens()

    def digest(self) -> dict[str, str]:
        """SHA-256 of every file of the lab, but of those that change by themselves."""
        found = {}
        for path in sorted(self.dir.rglob("*")):
            name = path.relative_to(self.dir).as_posix()
            if path.is_file() and not LIVELY.search(name):
                found[name] = f"{oct(path.stat().st_mode)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        return found

    # the playbooks

    def reports(self) -> list[Path]:
        return sorted((self.dir / "reports").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)

    def begin(self, name: str, *words: str, **extra: Any) -> Play:
        """Start a playbook. `extra` are extra vars; group_vars and host_vars of the fleet make a second inventory."""
        beside = self.work / "inventory"
        (beside / "group_vars").mkdir(parents=True, exist_ok=True)
        (beside / "hosts.json").write_text(json.dumps({"all": {"hosts": self.host_vars}}), encoding="utf-8")
        for group, values in self.group_vars.items():
            (beside / "group_vars" / f"{group}.json").write_text(json.dumps(values), encoding="utf-8")
        inventories = ["-i", str(self.layout.inventory), "-i", str(beside)]
        extras = ["-e", json.dumps(extra)] if extra else []
        return Play(self, name, [*inventories, *extras, *words], self._environment)

    def play(self, name: str, *words: str, status: int | None = 0, **extra: Any) -> Run:
        """Run a playbook to its end and hold its exit status to `status`; None: whatever it is."""
        run = self.begin(name, *words, **extra).finish()
        if status is not None:
            assert run.status == status, f"{name} ended with {run.status}, not {status}:\n{run.tail}"
        return run


def operators_shell(made: Fleet, home: Path) -> dict[str, str]:
    """An environment in which ssh, sudo, systemctl, journalctl and docker reach the lab's replicas.

    They know which one by QZ_HOST, which ssh sets. What the product's hosts would not know is refused with status 5.
    """
    home.mkdir()
    package = str(Path(lab.__file__).resolve().parents[1])
    python = f"env PYTHONPATH={package} {sys.executable} -m quazzar_lab"
    restart = f'{python} restart "$QZ_HOST" --dir {made.dir}'
    log = f'cat "{made.layout.logs}/$QZ_HOST.boot.log"'
    for name, text in (
        ("ssh", 'QZ_HOST=$1; export QZ_HOST; shift; exec sh -c "$*"'),
        ("sudo", 'exec "$@"'),
        (
            "systemctl",
            f'[ "$2" = quazzar-cc ] || exit 5\ncase $1 in stop) {python} stop-replica "$QZ_HOST" --dir {made.dir} ;;'
            f" start|restart) {restart} ;; *) exit 5 ;; esac",
        ),
        ("journalctl", f'case "$*" in "-u quazzar-cc "*) {log} ;; *) exit 5 ;; esac'),
        (
            "docker",
            'case "$*" in "compose --project-directory /opt/panel "*" panel") ;; *) exit 5 ;; esac\n'
            f'case "$*" in *" up -d "*"--force-recreate"*) {restart} ;; *" logs "*) {log} ;; *) exit 5 ;; esac',
        ),
    ):
        (home / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (home / name).chmod(0o755)
    beside = made.work / "inventory"
    return {
        **made._environment,
        "PATH": f"{home}:{made._environment['PATH']}",
        "ANSIBLE_INVENTORY": f"{made.layout.inventory},{beside}",
    }


def digest_of(pem: bytes) -> str:
    """SHA-256 of the first certificate."""
    return pki.fingerprint(pki.load_certificates(pem)[0])


def pki_time(text: str) -> float:
    """A time of the lab's logs in seconds since the epoch."""
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@contextlib.contextmanager
def open_home() -> Iterator[Path]:
    """A directory with a short path, which any user may enter."""
    home = Path(tempfile.mkdtemp(prefix="qz-", dir="/tmp"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
