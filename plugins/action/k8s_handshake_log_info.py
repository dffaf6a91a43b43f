# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.k8s_handshake_log_info; its documentation is in the module of that name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import EvidenceError, RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import handshake_logs, kubernetes, logs, pods
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction


class ActionModule(EvidenceAction):
    _requires_connection = False

    ARGUMENT_SPEC: ClassVar[dict[str, Any]] = {
        **kubernetes.ARGUMENT_SPEC,
        **handshake_logs.COUNT_SPEC,
        "tolerate": {"type": "bool", "default": False},
    }

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        handshake_logs.check(options)
        texts = pods.read_logs(options, logs.LIMIT)
        each = {name: {**handshake_logs.counted(text, options), "error": ""} for name, text in texts.items()}
        if not each:
            raise EvidenceError(f"{self.host.name}: no live pod, so there is no log")
        return {
            "changed": False,
            **handshake_logs.counted("\n".join(texts.values()), options),
            "pods": each,
            "error": "",
        }

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        return {"changed": False, **handshake_logs.unread(error), "pods": {}, "error": str(error)}
