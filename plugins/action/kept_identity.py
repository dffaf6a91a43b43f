# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kept
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = kept.ARGUMENT_SPEC


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        found = kept.read(self.host, options)
        wanted = options["state"] == "present"
        asked = (found, wanted, options["replace"])
        result = {"changed": kept.differs(*asked), "dir": options["dir"], "sha256": kept.digest(*asked)}
        if result["changed"] and not self.check_mode:
            kept.change(self.host, options)
        return {**result, "reachable": True, "error": ""}
