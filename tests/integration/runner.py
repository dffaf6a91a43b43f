# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as AWX runs them: ansible-runner with a private data directory, which is all that a job has.

In it are the operators' project, the inventory as a script that prints JSON, and variables in one file. Neither
group_vars nor a directory for reports: what a job leaves behind are its events, and in the last one its artefact.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from fleets import PLAY_SECONDS, Fleet

PROJECT = Path(__file__).resolve().parents[2] / "extensions" / "awx" / "project"
SCRIPT = "#!{python}\n# -*- coding: utf-8 -*-\nprint({text!r})\n"


class Awx:
    """What AWX knows of a fleet: its hosts, and the variables of every job."""

    def __init__(self, fleet: Fleet, **variables: Any) -> None:
        self.fleet = fleet
        tree = yaml.safe_load(fleet.layout.inventory.read_text(encoding="utf-8"))["all"]
        self.groups = {name: dict(group["hosts"]) for name, group in tree["children"].items()}
        #: As text, like the answers to a survey. Numbers and lists of its own variables AWX keeps as they are.
        self.variables = {**tree["vars"], **fleet.group_vars["all"], **variables}
        self.variables["quazzar_report_dir"] = ""
        for name, value in self.variables.items():
            if isinstance(value, (bool, float)):
                self.variables[name] = str(value).lower()
            elif isinstance(value, dict):
                self.variables[name] = json.dumps(value)
        self.jobs: list[Job] = []

    def inventory(self, hosts: Iterable[str]) -> dict[str, Any]:
        """As AWX makes it for a job; a slice has fewer hosts, and a group without any is left out."""
        wanted = set(hosts)
        groups = {name: [host for host in group if host in wanted] for name, group in self.groups.items()}
        known = {host: values for group in self.groups.values() for host, values in group.items() if host in wanted}
        return {
            **{name: {"hosts": hosts} for name, hosts in groups.items() if hosts},
            "all": {"hosts": sorted(wanted), "children": [name for name, hosts in groups.items() if hosts]},
            "_meta": {"hostvars": known},
        }

    def start(
        self, playbook: str, *, hosts: Iterable[str] = (), limit: str = "", check: bool = False, **extra: Any
    ) -> Job:
        """`hosts`: those of a slice; else all of them."""
        everybody = [host for group in self.groups.values() for host in group]
        job = Job(self, playbook, self.inventory(hosts or everybody), limit, check, {**self.variables, **extra})
        self.jobs.append(job)
        return job

    def run(self, playbook: str, *, status: str = "successful", **how: Any) -> Job:
        return self.start(playbook, **how).finish(status)


class Job:
    def __init__(
        self, awx: Awx, playbook: str, inventory: dict[str, Any], limit: str, check: bool, extra: dict[str, Any]
    ) -> None:
        self.name = f"{len(awx.jobs):02d}-{playbook}"
        self.home = awx.fleet.work / "jobs" / self.name
        self.made = self.home / "artifacts" / self.name
        shutil.copytree(PROJECT, self.home / "project")
        (self.home / "inventory").mkdir()
        script = self.home / "inventory" / "hosts"
        script.write_text(SCRIPT.format(python=sys.executable, text=json.dumps(inventory)), encoding="utf-8")
        script.chmod(0o700)
        (self.home / "env").mkdir()
        (self.home / "env" / "extravars").write_text(json.dumps(extra), encoding="utf-8")
        words = [*(["--limit", limit] if limit else []), *(["--check"] if check else [])]
        if words:
            (self.home / "env" / "cmdline").write_text(" ".join(words), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "ansible_runner",
            "run",
            str(self.home),
            "-p",
            f"{playbook}.yml",
            "-i",
            self.name,
        ]
        self.process = subprocess.Popen(
            command,
            env=awx.fleet._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        found = self.made / "stdout"
        return found.read_text(encoding="utf-8", errors="replace") if found.exists() else ""

    @property
    def text(self) -> str:
        """Its output on one line, without colours."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.output)
        return re.sub(r"\\(.)", r"\1", " ".join(plain.split()))

    def says(self, words: str) -> bool:
        return words in self.text

    def events(self) -> list[dict[str, Any]]:
        paths = sorted((self.made / "job_events").glob("*-*.json"), key=lambda path: int(path.name.split("-")[0]))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths if "partial" not in path.name]

    @property
    def artefacts(self) -> dict[str, Any]:
        """What AWX keeps of it and gives to the jobs that come after."""
        (last,) = [event for event in self.events() if event["event"] == "playbook_on_stats"]
        return dict(last["event_data"]["artifact_data"])

    @property
    def report(self) -> dict[str, Any]:
        (report,) = self.artefacts.values()
        return dict(report)

    def until(self, pattern: str) -> None:
        began = time.monotonic()
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, f"it ended without {pattern}:\n{self.output[-6000:]}"
            assert time.monotonic() - began < PLAY_SECONDS, f"no {pattern} in time:\n{self.output[-6000:]}"
            time.sleep(0.05)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        there: list[int] = []
        # One that was listed may have ended since, and one that was not stopped yet may have started another.
        while more := [pid for pid in [self.process.pid, *below(self.process.pid)] if pid not in there]:
            for pid in more:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            there += more
        try:
            yield
        finally:
            for pid in there:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """The container of the job is gone, with everything in it."""
        for pid in [*below(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def finish(self, status: str = "successful") -> Job:
        try:
            self.process.wait(PLAY_SECONDS)
        finally:
            if self.process.poll() is None:
                self.kill()
        found = (self.made / "status").read_text(encoding="utf-8")
        assert found == status, f"{self.name}: {found}, expected {status}:\n{self.output[-9000:]}"
        return self

    def files(self) -> dict[str, bytes]:
        """What it left behind, for whoever may look at a job."""
        return {f"{self.name}/{path.name}": path.read_bytes() for path in self.made.rglob("*") if path.is_file()}


def below(pid: int) -> list[int]:
    """The processes that this one has started, and those that they have; each of them may have a session of its own."""
    found, parents = [], {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    wanted = {pid}
    while more := {child for child, parent in parents.items() if parent in wanted} - wanted:
        found += sorted(more)
        wanted |= more
    return found
