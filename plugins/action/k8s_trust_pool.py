# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.k8s_trust_pool; its documentation is in plugins/modules/k8s_trust_pool.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pool, workload, workload_patch
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes, pods
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, rfc3339, utc_now


class ActionModule(EvidenceAction):
    _requires_connection = False

    ARGUMENT_SPEC: ClassVar[dict[str, Any]] = {
        **kubernetes.ARGUMENT_SPEC,
        **pods.POOL_SPEC,
        "variable": {"type": "str", "default": "CC_TRUST_ADDITIONAL_CA_CERTS"},
        "legacy_dir": {"type": "str", "default": ""},
        "add": {"type": "list", "elements": "str", "default": []},
        "remove": {"type": "list", "elements": "str", "default": []},
        "unmount": {"type": "bool", "default": False},
        "restart": {"type": "bool", "default": False},
        "files": {"type": "list", "elements": "str", "default": []},
    }

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        look = pods.Look(options)
        made = look.change(options["add"], options["remove"], options["files"], unmount=options["unmount"])
        patches = list(made.patches)
        if options["restart"] and not patches:
            patches = [workload_patch.restart(look.found, rfc3339(utc_now()))]
        title = workload.title(look.found)
        result: dict[str, Any] = {
            "changed": bool(patches),
            "title": title,
            "value": made.value,
            "entries": list(pool.entries(made.value)),
            "previous_entries": list(pool.entries(made.before)),
            "mounts": made.mounts,
            "missing": look.missing_files(options["files"]),
            "patches": [
                {
                    "kind": patch.kind,
                    "name": patch.name,
                    "secret": patch.hidden,
                    "definition": workload_patch.manifest(patch, look.cluster.namespace),
                }
                for patch in patches
            ],
            "forms": workload_patch.forms(look.cluster.namespace, made, look.variable, look.box),
        }
        if self.wants_diff and made.value != made.before:
            header = f"{title}, {look.variable}"
            lines = {"before": f"{made.before}\n", "after": f"{made.value}\n"}
            result["diff"] = {"before_header": header, "after_header": header, **lines}
        return result
