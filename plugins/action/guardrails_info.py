# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.guardrails_info; its documentation is in plugins/modules/guardrails_info.py."""

from __future__ import annotations

import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import (
    durations,
    guardrails,
    guardrails_facts,
    guardrails_report,
    intake,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.certificates import normalise_fingerprint
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Settings
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import fleet_evidence
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, Result, utc_now

RUN = {
    "id": {"type": "str", "default": ""},
    "started": {"type": "str", "default": ""},
    "ticket": {"type": "str", "default": ""},
    "owner": {"type": "str", "default": ""},
}


class ActionModule(EvidenceAction):
    _requires_connection = False

    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        "nodes": {"type": "list", "elements": "str", "required": True},
        "cp_hosts": {"type": "list", "elements": "str", "required": True},
        "node_var": {"type": "str", "default": "__fleet_evidence_node"},
        "replica_var": {"type": "str", "default": "__controlplane_replica"},
        "log_var": {"type": "str", "default": "__controlplane_logs"},
        "registry_host": {"type": "str", "default": "localhost"},
        "registry_var": {"type": "str", "default": "__fleet_evidence_registry"},
        "legacy_fingerprints": {"type": "list", "elements": "str", "default": []},
        "leaf_lifetime": {"type": "str", "default": "90d"},
        "clock_skew": {"type": "str", "default": "5m"},
        "drift_lines": {"type": "int", "default": 10},
        "backup": {"type": "dict", "default": {}},
        "backup_max_age": {"type": "str", "default": "30d"},
        "run": {"type": "dict", "options": RUN, "default": {}},
    }

    def perform(self, options: dict[str, t.Any]) -> Result:
        hostvars = self.task_vars["hostvars"]
        replicas, hosts = fleet_evidence.replicas(options, hostvars)
        logs = {name: fleet_evidence.result(hostvars, name, options["log_var"]) for name in options["cp_hosts"]}
        taken = intake.gather(self._raw(options, hostvars, replicas, hosts), self._settings(options), utc_now())
        workloads = fleet_evidence.workloads(options, hostvars)
        facts = guardrails_facts.read(taken, replicas, logs, options["backup"], self._limits(options), workloads)
        checked = guardrails.check(facts)
        now = taken.evidence.now
        return {
            "changed": False,
            "kept": not checked.broken,
            "broken": guardrails_report.broken_lines(checked),
            "unknown": [rule.id for rule in checked.unknown],
            "lines": guardrails_report.lines(checked, now),
            "report": guardrails_report.document(checked, now, options["run"]),
        }

    @staticmethod
    def _raw(
        options: dict[str, t.Any], hostvars: t.Any, replicas: dict[str, t.Any], hosts: dict[str, str]
    ) -> intake.Raw:
        nodes = options["nodes"]
        registry = fleet_evidence.registered(hostvars, options["registry_host"], options["registry_var"], "registry")
        return intake.Raw(
            nodes={name: fleet_evidence.registered(hostvars, name, options["node_var"], "node") for name in nodes},
            replicas=replicas,
            hosts=hosts,
            registry=registry or None,
            identities={name: fleet_evidence.identity(hostvars, name) for name in nodes},
            named=frozenset(normalise_fingerprint(text) for text in options["legacy_fingerprints"]),
        )

    @staticmethod
    def _settings(options: dict[str, t.Any]) -> Settings:
        return Settings(
            leaf_lifetime=durations.parse(options["leaf_lifetime"], "leaf_lifetime"),
            clock_skew=durations.parse(options["clock_skew"], "clock_skew"),
        )

    @staticmethod
    def _limits(options: dict[str, t.Any]) -> guardrails.Limits:
        return guardrails.Limits(
            backup_max_age=durations.parse(options["backup_max_age"], "backup_max_age"),
            drift_lines=options["drift_lines"],
        )
