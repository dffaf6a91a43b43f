# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.run_lock; its documentation is in plugins/modules/run_lock.py."""

from __future__ import annotations

import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.run_lock import RunLock


class ActionModule(lock.LockAction):
    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        **lock.ARGUMENT_SPEC,
        "path": {"type": "str", "required": True},
        "kind": lock.KIND,
    }

    def lock_of(self, options: dict[str, t.Any]) -> RunLock:
        return RunLock(self.host, options)

    def path_of(self, options: dict[str, t.Any]) -> str:
        return str(options["path"])
