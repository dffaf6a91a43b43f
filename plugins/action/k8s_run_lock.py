# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.k8s_run_lock; its documentation is in plugins/modules/k8s_run_lock.py."""

from __future__ import annotations

import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes, lease_lock, lock


class ActionModule(lock.LockAction):
    _requires_connection = False

    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        **lock.ARGUMENT_SPEC,
        **{name: spec for name, spec in kubernetes.ARGUMENT_SPEC.items() if name != "container"},
        "lock_kind": lock.KIND,
    }

    def lock_of(self, options: dict[str, t.Any]) -> lease_lock.LeaseLock:
        return lease_lock.LeaseLock(kubernetes.Cluster(options), options)

    def path_of(self, options: dict[str, t.Any]) -> str:
        return lease_lock.path_of(options)
