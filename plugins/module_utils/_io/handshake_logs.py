# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Lines about handshakes in the log of a Control Panel, counted by class and source, as modules return them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core import loglines
from .._core.errors import RotationError
from . import logs

# RFC 1918, RFC 6598, loopback, link-local, and their like in IPv6.
INTERNAL = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"]
INTERNAL += ["fc00::/7", "::1/128", "fe80::/10"]

#: What is counted, whatever way the log comes.
COUNT_SPEC: dict[str, Any] = {
    "patterns": {"type": "dict", "default": {}},
    "boot_pattern": {"type": "str", "default": logs.DEFAULT_BOOT_PATTERN},
    "internal_cidrs": {"type": "list", "elements": "str", "default": INTERNAL},
}
_CLASSES = (*loglines.CLASSES, "other")


def check(options: Mapping[str, Any]) -> None:
    """InputError for an option that is no regular expression, before anything is asked."""
    logs.pattern(options["boot_pattern"], "boot_pattern")
    loglines.compile_patterns(options["patterns"])


def counted(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """-> summary, lines, counts, sources, outside_sources, symptom_count, boot, last"""
    found = loglines.count(text, patterns=options["patterns"])
    lines, since_boot = logs.since_boot(text, logs.pattern(options["boot_pattern"], "boot_pattern"))
    this_boot = loglines.count("\n".join(lines), patterns=options["patterns"]).by_class.get("grace_boot", 0)
    sources = {name: dict(found.by_source.get(name, {})) for name in _CLASSES}
    outside = {name: loglines.outside(seen, options["internal_cidrs"]) for name, seen in sources.items()}
    return {
        "summary": loglines.summary(found.by_class, outside),
        "lines": found.lines,
        "counts": {name: found.by_class.get(name, 0) for name in _CLASSES},
        "sources": sources,
        "outside_sources": outside,
        "symptom_count": found.symptom_count,
        "boot": {"loaded_count": this_boot, "since_boot": since_boot},
        "last": dict(found.last),
    }


def unread(error: RotationError) -> dict[str, Any]:
    """The same of a log that could not be read: null and not 0, for nobody has looked."""
    unknown = dict.fromkeys(("lines", "counts", "sources", "outside_sources", "symptom_count"))
    boot = {"loaded_count": None, "since_boot": False}
    return {"summary": f"its log was not read ({error})", **unknown, "boot": boot, "last": {}}
