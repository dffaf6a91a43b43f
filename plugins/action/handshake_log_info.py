# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import EvidenceError, RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import handshake_logs, logs
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = {
    "log_command": {"type": "str"},
    "text": {"type": "str"},
    **handshake_logs.COUNT_SPEC,
    "timeout": {"type": "float", "default": 15.0},
    "tolerate": {"type": "bool", "default": False},
}


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC
    SPEC_RULES: ClassVar[dict[str, Any]] = {
        "mutually_exclusive": [("log_command", "text")],
        "required_one_of": [("log_command", "text")],
    }

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        handshake_logs.check(options)
        text = options["text"] if options["text"] is not None else self.read(options)
        return {"changed": False, **handshake_logs.counted(text, options), "error": ""}

    def read(self, options: dict[str, Any]) -> str:
        seconds = max(1, int(options["timeout"]))
        variables = {"log_command": options["log_command"], "log_timeout": str(seconds)}
        answer = self.host.run(logs.SCRIPT + "qz_read_log\nreturn 0\n", variables, timeout=60 + seconds)
        text, error = logs.read(answer, seconds)
        if text is None:
            raise EvidenceError(f"{self.host.name}: {error}")
        return text

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        return {"changed": False, **handshake_logs.unread(error), "error": str(error)}
