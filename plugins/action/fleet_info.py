# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import durations, registry
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError, RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import cp_api, fleet, fleet_evidence
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, rfc3339, utc_now

ARGUMENT_SPEC: dict[str, Any] = {
    **cp_api.ARGUMENT_SPEC,
    **fleet.ARGUMENT_SPEC,
    "wait_for": {
        "type": "dict",
        "mutually_exclusive": [("names", "hosts")],
        "required_one_of": [("names", "hosts")],
        "options": {
            "names": {"type": "list", "elements": "str"},
            "hosts": {"type": "list", "elements": "str"},
            "node_var": {"type": "str"},
            "after": {"type": "str"},
            "heartbeat_interval": {"type": "str", "default": "60s"},
            "timeout": {"type": "float"},
            "interval": {"type": "float"},
        },
    },
    "tolerate": {"type": "bool", "default": False},
}


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        source = fleet.Fleet(options, utc_now)
        wanted = options["wait_for"]
        if wanted is None:
            return {"changed": False, "registry": {**source.read().as_dict(), "error": ""}}
        if self.check_mode:
            # Nothing was changed, so no heartbeat has to be newer than a change: when each was seen last tells enough.
            found = {**source.read().as_dict(), "error": "", "waited_for": [], "arrived": [], "missing": []}
            return {"changed": False, "registry": found, "arrived": [], "missing": []}
        by_name = self.awaited(wanted)
        beat = durations.parse(wanted["heartbeat_interval"], "wait_for.heartbeat_interval").total_seconds()
        after = registry.parse_time(wanted["after"], "wait_for.after") or source.read().clock
        if after is None:
            raise InputError("wait_for.after: the Control Panel tells no time (no Date header); give one in RFC 3339")
        arrival = fleet.wait_for(
            source,
            list(by_name),
            after,
            timeout=3 * beat if wanted["timeout"] is None else wanted["timeout"],
            interval=max(min(beat / 4, 5.0) if wanted["interval"] is None else wanted["interval"], 0.1),
        )
        arrived, missing = [by_name[name] for name in arrival.arrived], [by_name[name] for name in arrival.missing]
        found = {
            **arrival.reading.as_dict(),
            "error": "",
            "waited_for": list(by_name.values()),
            "arrived": arrived,
            "missing": missing,
        }
        return {"changed": False, "registry": found, "arrived": arrived, "missing": missing}

    def awaited(self, wanted: dict[str, Any]) -> dict[str, str]:
        """What to look for in the registry (an id or a name), and what to call it in the answer.

        A host whose files already fail the handshake cannot send a heartbeat: waiting for it would only cost time.
        """
        if wanted["names"] is not None:
            return {name: name for name in wanted["names"]}
        hostvars, found = self.task_vars["hostvars"], {}
        for host in wanted["hosts"]:
            if not wanted["node_var"] or fleet_evidence.handshake_up(hostvars, host, wanted["node_var"]):
                instance_id, name = fleet_evidence.identity(hostvars, host)
                found[instance_id or name] = host
        return found

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        wanted = options["wait_for"] or {}
        names = wanted.get("names") or wanted.get("hosts") or []
        nothing = registry.merge((), stated_complete=False).as_dict()
        found = {
            "taken_at": rfc3339(utc_now()),
            "clock": None,
            "source": "file" if options["fleet_file"] else "api",
            **nothing,
            "incomplete_reason": str(error),
            "error": str(error),
            "waited_for": names,
            "arrived": [],
            "missing": names,
        }
        return {"changed": False, "registry": found, "arrived": [], "missing": names, "error": str(error)}
