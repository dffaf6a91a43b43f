# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.rotation_progress; its documentation is in plugins/modules/rotation_progress.py."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import batches, progress, run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import parse_time
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import command_line, fleet_evidence, interrupt
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, Result, utc_now


class ActionModule(EvidenceAction):
    _requires_connection = False

    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        "planned": {"type": "list", "elements": "str", "required": True},
        "lost": {"type": "list", "elements": "str", "default": []},
        "not_proven": {"type": "list", "elements": "str", "default": []},
        "outcome_var": {"type": "str", "default": "__node_reregister_result"},
        "failure_budget": {"type": "raw", "default": {"nodes": 2, "percent": 2}},
        "batches": {"type": "raw", "required": True},
        "began": {"type": "str", "required": True},
        "heartbeat_source": {"type": "str", "choices": ["registry", "agent"], "default": "registry"},
        "stop_file": {"type": "path"},
        "beside": {"type": "dict", "default": {}},
        "rate_limit": {"type": "int", "default": 0},
        "batch": {"type": "list", "elements": "str", "default": []},
        "batch_began": {"type": "str", "default": ""},
        "resume": {"type": "str", "default": ""},
    }

    def perform(self, options: dict[str, t.Any]) -> Result:
        planned, hostvars = options["planned"], self.task_vars["hostvars"]
        outcomes = {}
        for name in planned:
            found, agent = fleet_evidence.outcome(hostvars, name, options["outcome_var"])
            silent = name in options["not_proven"] or (options["heartbeat_source"] == "agent" and agent != "connected")
            if found:
                outcomes[name] = "not proven" if silent and found in DONE else found
        began, now = parse_time(options["began"], "began"), utc_now()
        batch_began = parse_time(options["batch_began"], "batch_began") if options["batch_began"] else now
        wave = self._wave(options["beside"])
        measured = progress.measure(
            planned,
            outcomes,
            lost_before=options["lost"],
            budget=batches.budget(options["failure_budget"], len(planned) + len(options["lost"]) + wave.counts.planned),
            canaries=(batches.resolve(options["batches"], len(planned)) or (0,))[0],
            seconds=(now - began).total_seconds() if began else 0.0,
            stop_requested=self._stop_request(options["stop_file"]),
            wave=wave,
        )
        resume = f"; to go on: {options['resume'] or command_line.resume()}"
        return {
            "changed": False,
            "msg": measured.line,
            "done": list(measured.done),
            "bad": list(measured.bad),
            "left": list(measured.left),
            "halt": measured.halt + resume if measured.halt else "",
            "counts": dataclasses.asdict(measured.counts),
            "pause": progress.pause(
                len(options["batch"]),
                limit=options["rate_limit"],
                runs=wave.runs + 1,
                seconds=(now - batch_began).total_seconds() if batch_began else 0.0,
            )
            if measured.left
            else 0,
        }

    @staticmethod
    def _wave(said: t.Mapping[str, t.Any]) -> run_lock.Wave:
        """As run_lock returned it; nothing where there is no lock."""
        numbers = {name: value for name, value in said.items() if name != "runs"}
        counts = run_lock.counts_of(numbers)
        if said and (counts is None or not isinstance(said.get("runs"), int)):
            raise InputError(f"beside is {dict(said)!r}, expected what run_lock returns as wave")
        return run_lock.Wave(said["runs"], counts) if said and counts else run_lock.Wave()

    @staticmethod
    def _stop_request(path: str | None) -> str:
        if interrupt.requested():
            return "a stop was asked for with Ctrl-C"
        return f"a stop was asked for by {path}: remove that file first" if path and os.path.exists(path) else ""


#: Outcomes that a missing heartbeat turns into "not proven".
DONE = frozenset({"registered", "already"})
