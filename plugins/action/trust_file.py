# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import files, node
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "certificates": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backup": {"type": "str"},
    "mode": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "make_directory": {"type": "bool", "default": False},
    "restart_command": {"type": "str"},
    "tolerate": {"type": "bool", "default": False},
}


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC
    SPEC_RULES: ClassVar[dict[str, Any]] = {"required_if": [("state", "present", ["certificates"])]}

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        certificates = node.certificates_of(options["certificates"] or [], "certificates")
        present = options["state"] == "present"
        if present and not certificates:
            raise InputError("certificates is empty; a file without a certificate would trust nobody: use state=absent")
        there = files.CertificateFile(self.host, options)
        before = there.bundle().certificates
        after = certificates if present else []
        content = "".join(certificate.pem() for certificate in after).encode("ascii")
        result: dict[str, Any] = {
            "changed": there.differs(content) if present else there.exists,
            "path": options["path"],
            "sha256": [certificate.sha256 for certificate in after],
            "previous_sha256": [certificate.sha256 for certificate in before],
            "backup": "",
            "reachable": True,
            "error": "",
        }
        if present:
            there.refuse_missing_directory(options["make_directory"])
        if self.wants_diff and result["changed"]:
            result["diff"] = {
                "before_header": options["path"],
                "after_header": options["path"],
                "before": files.summary(before),
                "after": files.summary(after),
            }
        if not result["changed"] or self.check_mode:
            return result
        if present:
            answer = there.write(content, backup=options["backup"] or "", make_directory=options["make_directory"])
            result["backup"] = options["backup"] if answer.text("backup") else ""
        else:
            there.remove()
        return result
