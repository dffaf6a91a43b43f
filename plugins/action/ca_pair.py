# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.ca_pair; its documentation is in plugins/modules/ca_pair.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import ca_pair
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = ca_pair.ARGUMENT_SPEC


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC
    SPEC_RULES: ClassVar[dict[str, Any]] = {"required_if": [("state", "active", ["keep_dir"])]}

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        work = {"present": ca_pair.present, "active": ca_pair.active, "absent": ca_pair.absent}[options["state"]]
        result = work(self.host, options, loader=self._loader, check=self.check_mode)
        diff = result.pop("diff")
        if self.wants_diff and result["changed"]:
            result["diff"] = diff
        return {**result, "reachable": True, "error": ""}
