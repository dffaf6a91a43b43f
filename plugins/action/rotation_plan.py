# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.rotation_plan; its documentation is in plugins/modules/rotation_plan.py."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import (
    intake,
    plan,
    replacement,
    report,
    targets,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import fleet_evidence, interrupt
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, Result, utc_now

CLAIM = {
    "source": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
}

PROOF = {
    "node": {"type": "str", "required": True},
    "replica": {"type": "str", "required": True},
    "accepted_before": {"type": "bool", "default": False},
    "after": {"type": "str", "required": True, "choices": ["accepted", "refused", "unknown"]},
    "detail": {"type": "str", "default": ""},
    "at": {"type": "str", "default": ""},
}

REVOCATION = {
    "worked": {"type": "bool", "default": False},
    "tokens": {"type": "str", "choices": ["open", "revoked", "confirmed"], "default": "open", "no_log": False},
    "leaves": {"type": "list", "elements": "dict", "default": []},
    "token_ids": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "problems": {"type": "list", "elements": "str", "default": []},
}

WAIVER = {name: {"type": "str", "required": True} for name in ("node", "reason", "owner", "expires")}

RUN = {
    "id": {"type": "str", "default": ""},
    "started": {"type": "str", "default": ""},
    "ticket": {"type": "str", "default": ""},
    "owner": {"type": "str", "default": ""},
    "halt": {"type": "str", "default": ""},
    "negative_proof": {"type": "list", "elements": "dict", "options": PROOF, "default": []},
    "revocation": {"type": "dict", "options": REVOCATION},
    "waivers": {"type": "list", "elements": "dict", "options": WAIVER},
}

MAKERS = {
    "rescue": plan.make_rescue,
    "revoke": replacement.make_revoke,
    "replace": replacement.make_replace,
    "rollback": replacement.make_rollback,
}


class ActionModule(EvidenceAction):
    _requires_connection = False

    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        "goal": {"type": "str", "choices": list(report.GOALS), "default": "drift"},
        "nodes": {"type": "list", "elements": "str", "required": True},
        "share": {"type": "list", "elements": "str", "default": []},
        "sliced": {"type": "bool", "default": False},
        "cp_hosts": {"type": "list", "elements": "str", "required": True},
        "node_var": {"type": "str", "default": "__fleet_evidence_node"},
        "replica_var": {"type": "str", "default": "__controlplane_replica"},
        "registry_host": {"type": "str", "default": "localhost"},
        "registry_var": {"type": "str", "default": "__fleet_evidence_registry"},
        "claims": {"type": "list", "elements": "dict", "options": CLAIM, "default": []},
        "claim_files": {"type": "list", "elements": "path", "default": []},
        "claim_headers": {"type": "list", "elements": "path", "default": []},
        "legacy_fingerprints": {"type": "list", "elements": "str", "default": []},
        "legacy_quorum": {"type": "int", "default": 2},
        "legacy_probes": {"type": "int", "default": 2},
        "retirable_paths": {"type": "list", "elements": "str", "default": []},
        "pin_bundle": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "bundle_works": {"type": "str", "choices": ["unknown", "yes", "no"], "default": "unknown"},
        "roll_reissues": {"type": "bool", "default": False},
        "flip_possible": {"type": "bool", "default": False},
        "evidence_max_age": {"type": "str", "default": "15m"},
        "clock_skew": {"type": "str", "default": "5m"},
        "leaf_lifetime": {"type": "str", "default": "90d"},
        "switched_at": {"type": "str"},
        "heartbeat_interval": {"type": "str", "default": "60s"},
        "heartbeat_source": {"type": "str", "choices": ["registry", "agent"], "default": "registry"},
        "waivers_file": {"type": "path"},
        "rescued": {"type": "list", "elements": "str", "default": []},
        "compromised": {"type": "list", "elements": "str", "default": []},
        "compromised_at": {"type": "str"},
        "replaced": {"type": "list", "elements": "str", "default": []},
        "bridged": {"type": "bool", "default": False},
        "run": {"type": "dict", "options": RUN, "default": {}},
    }

    def perform(self, options: dict[str, t.Any]) -> Result:
        goal = options["goal"]
        raw = fleet_evidence.raw_evidence(options, self.task_vars["hostvars"])
        taken = intake.gather(raw, fleet_evidence.settings(options), utc_now())
        made = MAKERS.get(goal, plan.make)(taken.evidence)
        handed_out = targets.of(made, taken)
        if goal == "revoke" and report.proof_failed(taken.evidence, options["run"]):
            handed_out["forget_identity"] = []  # the next run tries again with them
        document = report.document(made, taken.evidence, goal=goal, extra=options["run"])
        return {
            "changed": False,
            "world": made.world,
            "phase": made.phase,
            "stops": list(made.stops) + (["a stop was asked for with Ctrl-C"] if interrupt.requested() else []),
            "warnings_found": report.warnings(made, goal),
            "idle": made.idle,
            "finished": document["finished"],
            "unfinished": document["unfinished"],
            "up": [node.name for node in taken.evidence.nodes if node.up],
            "gate_open": made.gate.open,
            "damage": [dataclasses.asdict(item) for item in report.costs(made, taken.evidence, goal)],
            "lines": report.plan_lines(made, taken.evidence, goal),
            "gate_lines": report.gate_lines(made.gate),
            "ready": made.ready,
            "ready_lines": report.activation_lines(made),
            "drift_lines": report.drift_lines(made, taken.evidence),
            "summary_lines": report.summary_lines(made, taken.evidence, document),
            "replicas": targets.judged(taken),
            "targets": handed_out,
            "lock": targets.lock(goal, handed_out, sliced=taken.evidence.settings.sliced),
            "report": document,
        }
