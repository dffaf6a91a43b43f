# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import registration
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = registration.ARGUMENT_SPEC


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        work = registration.Registration(self.host, options)
        if work.proven(work.before) and not options["force"]:
            return registration.result("already", "", work.before)
        if self.check_mode:
            return registration.result("predicted", "would be registered again", work.before)
        outcome, detail, evidence, attempt = work.register()
        result = registration.result(outcome, detail, evidence, attempt)
        if outcome != "registered" and not options["tolerate"]:
            result.update(failed=True, msg=f"{self.host.name}: {detail}")
        return result

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        return registration.tolerated(error, options)
