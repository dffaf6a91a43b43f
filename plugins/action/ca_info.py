# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.certificates import parse_bundle
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError, RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer

ARGUMENT_SPEC: dict[str, Any] = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "include_pem": {"type": "bool", "default": False},
    "tolerate": {"type": "bool", "default": False},
}


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        paths = options["paths"]
        variables = {f"o_path_{number}": path for number, path in enumerate(paths)}
        body = "\n".join(f'qz_file file_{number} "$o_path_{number}"' for number in range(len(paths)))
        answer = self.host.run(body, variables)
        files = [self.describe(answer, f"file_{n}", path, options["include_pem"]) for n, path in enumerate(paths)]
        return {"changed": False, "files": files, "reachable": True, "error": ""}

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        files = [self.shape(path, error=str(error)) for path in options["paths"]]
        return {"changed": False, "files": files, "reachable": False, "error": str(error)}

    @staticmethod
    def shape(path: str, **found: Any) -> dict[str, Any]:
        empty = {"path": path, "form": "", "certificates": [], "has_private_key": False, "notes": [], "error": ""}
        return {**empty, **found}

    def describe(self, answer: Answer, section: str, path: str, include_pem: bool) -> dict[str, Any]:
        content, error = answer.file(section)
        if content is None:
            return self.shape(path, error=error)
        try:
            bundle = parse_bundle(content)
        except InputError as problem:
            return self.shape(path, error=f"{path}: {problem}")
        shown = [{**c.as_dict(), **({"pem": c.pem()} if include_pem else {})} for c in bundle.certificates]
        return self.shape(
            path,
            form=bundle.form,
            certificates=shown,
            has_private_key=bundle.has_private_key,
            notes=list(bundle.notes),
        )
