# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pool
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import pool_file
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = pool_file.ARGUMENT_SPEC


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        there = pool_file.PoolFile(self.host, options)
        value = there.new_value(options)
        # What is as it should be is not written in another style.
        gone = options["state"] == "absent" and there.assignment is not None
        before = there.old_line()
        line = there.new_line(value) if value != there.value or gone else before
        result: dict[str, Any] = {
            "changed": line != before,
            "value": value,
            "entries": list(pool.entries(value)),
            "previous_entries": list(pool.entries(there.value)),
            "line": there.line_number(line),
            "reachable": True,
            "error": "",
        }
        if self.wants_diff and result["changed"]:
            shown = {"before": before, "after": line}
            result["diff"] = {
                "before_header": options["env_file"],
                "after_header": options["env_file"],
                **{key: "" if text is None else text.rstrip("\r") + "\n" for key, text in shown.items()},
            }
        if result["changed"] and not self.check_mode:
            there.write(line)
        return result
