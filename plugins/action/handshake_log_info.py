# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import loglines
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import EvidenceError, RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import logs
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

# RFC 1918, RFC 6598, loopback, link-local, and their like in IPv6.
INTERNAL = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"]
INTERNAL += ["fc00::/7", "::1/128", "fe80::/10"]

ARGUMENT_SPEC: dict[str, Any] = {
    "log_command": {"type": "str"},
    "text": {"type": "str"},
    "patterns": {"type": "dict", "default": {}},
    "boot_pattern": {"type": "str", "default": logs.DEFAULT_BOOT_PATTERN},
    "internal_cidrs": {"type": "list", "elements": "str", "default": INTERNAL},
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
        boot = logs.pattern(options["boot_pattern"], "boot_pattern")
        loglines.compile_patterns(options["patterns"])
        text = options["text"] if options["text"] is not None else self.read(options)
        found = loglines.count(text, patterns=options["patterns"])
        lines, since_boot = logs.since_boot(text, boot)
        this_boot = loglines.count("\n".join(lines), patterns=options["patterns"]).by_class.get("grace_boot", 0)
        sources = {name: dict(found.by_source.get(name, {})) for name in _CLASSES}
        outside = {name: loglines.outside(seen, options["internal_cidrs"]) for name, seen in sources.items()}
        return {
            "changed": False,
            "summary": loglines.summary(found.by_class, outside),
            "lines": found.lines,
            "counts": {name: found.by_class.get(name, 0) for name in _CLASSES},
            "sources": sources,
            "outside_sources": outside,
            "symptom_count": found.symptom_count,
            "boot": {"loaded_count": this_boot, "since_boot": since_boot},
            "last": dict(found.last),
            "error": "",
        }

    def read(self, options: dict[str, Any]) -> str:
        seconds = max(1, int(options["timeout"]))
        variables = {"log_command": options["log_command"], "log_timeout": str(seconds)}
        answer = self.host.run(logs.SCRIPT + "qz_read_log\nreturn 0\n", variables, timeout=60 + seconds)
        text, error = logs.read(answer, seconds)
        if text is None:
            raise EvidenceError(f"{self.host.name}: {error}")
        return text

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        # null, not 0: nobody has looked.
        unknown = dict.fromkeys(("lines", "counts", "sources", "outside_sources", "symptom_count"))
        boot = {"loaded_count": None, "since_boot": False}
        summary = f"its log was not read ({error})"
        return {"changed": False, "summary": summary, **unknown, "boot": boot, "last": {}, "error": str(error)}


_CLASSES = (*loglines.CLASSES, "other")
