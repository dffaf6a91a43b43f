# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at a lab at every boundary between two tasks, and kills its own run where it is told to.

Only the kill tests enable it. The environment variable QUAZZAR_BOUNDARIES names a JSON file that says what to do:

lab     the lab's directory
start   a file with the world as it was when the lab was made ready; the first run writes it
record  a file that gets one JSON object a line for each boundary
at      die at the boundary of this number; 0: nowhere
worlds  die at the first boundary at which the world has just become one of these
inside  [[task, seconds], ...]: die so long after the first of these tasks began, and not before
hosts   whether dying inside a task takes with it what the run has started on hosts

A boundary lies before each task, and one behind the last. Nothing of the run is at work there, so what a death leaves
is the world that was recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: boundaries
type: aggregate
short_description: looks at a lab at every boundary between two tasks
description: For the kill tests only.
"""

#: What changes by itself while everything runs; and the lock, which is looked at by itself.
LIVELY = re.compile(r"^(logs|run|hidden|ssh|cp/data|cp/rotation-lock)(/|$)|^secrets\.txt$|^nodes/[^/]+/var/log/")
RANDOM = re.compile(r"[0-9a-f]{12,}|\d{8}T\d{6}Z?(-[0-9a-f]+)?")


def world(lab: Path) -> dict[str, str]:
    """What a later run can find: files, the lock, the registry with its tokens, and since when processes run.

    Of the lock only who may enter counts: a renewal moves its end, and who comes after a dead run does not wait for it.
    """
    found = {}
    for path in lab.rglob("*"):
        name = path.relative_to(lab).as_posix()
        if not LIVELY.search(name) and path.is_file():
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    for path in (lab / "cp" / "rotation-lock").rglob("*"):
        found[f"the {path.parent.name} lock" if path.is_file() else "the directory of the lock"] = "there"
    for path in (lab / "run").glob("*.pid"):
        found[f"process {path.stem}"] = path.read_text(encoding="utf-8")
    registry = sqlite3.connect(f"file:{lab}/cp/data/registry.sqlite?mode=ro", uri=True, timeout=10)
    try:
        for table, columns in (
            ("instances", "id, name, tenant, registered_at, decommissioned, leaf_sha256"),
            ("tokens", "id, 'token', uses, revoked"),
        ):
            for number, name, *rest in registry.execute(f"SELECT {columns} FROM {table}"):
                found[f"{table} {name} {number}"] = repr(rest)
    finally:
        registry.close()
    return found


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is new (+), gone (-) or other, without the names that chance has given."""
    signs = {key: "-" if key not in after else "+" if key not in before else "" for key in before.keys() | after.keys()}
    other = (key for key in signs if before.get(key) != after.get(key))
    return sorted({signs[key] + RANDOM.sub("#", key) for key in other})


def power_off(*, hosts_too: bool) -> None:
    """Kill this run. Its workers have sessions of their own; what they have started on hosts may go on there."""
    parents, programs = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            programs[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in sorted(family - {os.getpid()}):
        if hosts_too or b"ansible-playbook" in programs[pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    os.kill(os.getpid(), signal.SIGKILL)


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "boundaries"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._told = json.loads(Path(os.environ["QUAZZAR_BOUNDARIES"]).read_text(encoding="utf-8"))
        self._lab, start = Path(self._told["lab"]), Path(self._told["start"])
        self._number, self._task, self._world = 0, "", world(self._lab)
        if not start.exists():
            start.write_text(json.dumps(self._world), encoding="utf-8")
        self._start = json.loads(start.read_text(encoding="utf-8"))

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._boundary("/".join(task.get_path().split("/")[-3:]), task.get_name())

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._boundary("", "the end")

    def _boundary(self, place: str, name: str) -> None:
        """What the task before this one has changed, and what of it differs from the beginning, names a world."""
        now, acted = world(self._lab), self._task
        changed = changes(self._world, now)
        since = hashlib.sha256(repr(changes(self._start, now)).encode()).hexdigest()[:8]
        self._number, self._world, self._task = self._number + 1, now, place
        became = f"{acted}: {', '.join(changed)} ({since})" if changed else ""
        dies = self._number == self._told["at"] or became in self._told["worlds"]
        enters = next((pair for pair in self._told["inside"] if pair[0] == place), None)
        line = {"number": self._number, "place": place, "name": name, "world": became, "dies": dies, "inside": enters}
        with open(self._told["record"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if dies:
            power_off(hosts_too=True)
        if enters:
            self._told |= {"inside": [], "worlds": []}
            timer = threading.Timer(enters[1], power_off, kwargs={"hosts_too": self._told["hosts"]})
            timer.daemon = True
            timer.start()
