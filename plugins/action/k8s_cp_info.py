# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import pods, replica
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = pods.ARGUMENT_SPEC


class ActionModule(EvidenceAction):
    _requires_connection = False

    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"changed": False, **pods.gather(self.host.name, options)}

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        unread = replica.not_read(self.host.name, {**options, "name": "unknown", "address": ""}, error)
        return {"changed": False, "workload": None, "replicas": [unread]}
