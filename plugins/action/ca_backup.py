# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.ca_backup; its documentation is in plugins/modules/ca_backup.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import RotationError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import backups
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, failure

ARGUMENT_SPEC: dict[str, Any] = backups.ARGUMENT_SPEC


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        backup = backups.Backup(self.host, options, self._loader, self.task_vars)
        how: dict[str, Any] = {"reachable": True, "error": ""}
        try:
            backup.work(check=self.check_mode)
        except RotationError as error:
            # A backup that was written stays written, whatever comes after it: it is told with the failure.
            how = {"reachable": not isinstance(error, Unreachable), "error": str(error)}
            backup.failed(error)
            if not options["tolerate"]:
                how |= {key: value for key, value in failure(error).items() if key != "changed"}
        result = {**backup.result, **how}
        if self.wants_diff and result["changed"]:
            result["diff"] = backup.diff
        return result
