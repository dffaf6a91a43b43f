# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The end of a log on a host, by the operator's own command. A log that is missing is never a log without lines."""

from __future__ import annotations

import re
import zlib

from .._core.errors import InputError
from .host import Answer

LIMIT = 4 * 1024 * 1024

# The documentation knows no line for the start of the process. This finds the usual "starting ..." of a server that
# names itself; where the log says something else boot_pattern is to be set.
DEFAULT_BOOT_PATTERN = (
    r"(?i)\bstarting\b.*\b(?:control (?:panel|center)|quazzar)|\b(?:control (?:panel|center)|quazzar)\b.*\bstarting\b"
)

# Wants log_command and log_timeout. The command's exit status travels as the last line, behind whatever it printed.
SCRIPT = r"""
qz_read_log() {
  qz_pack=cat
  if qz_have gzip; then qz_pack='gzip -c'; fi
  qz_put log.pack "$qz_pack"
  { timeout "$log_timeout" /bin/sh -c "$log_command" 2>&1; printf '\n%s' "$?"; } |
  tail -c @LIMIT@ | $qz_pack | qz_emit log
}
""".replace("@LIMIT@", str(LIMIT))

_TIMED_OUT = "124"
_GZIP = 16 + zlib.MAX_WBITS


def read(answer: Answer, log_timeout: int) -> tuple[str | None, str]:
    """(text, "") or (None, why there is no log)."""
    text, _newline, code = unpack(answer.sections.get("log", b""), answer.text("log.pack")).rpartition("\n")
    if code == _TIMED_OUT:
        return None, f"the log command did not end within {log_timeout} s; it must not follow the log"
    if code != "0" or not text.strip():
        reason = " ".join(text.split())[-200:] or "it printed nothing"
        return None, f"the log command gave no log (exit status {code or 'unknown'}): {reason}"
    return text, ""


def unpack(content: bytes, packed: str) -> str:
    """The log as text, never more than was asked for; empty when it cannot be unpacked."""
    if packed.startswith("gzip") and content:
        try:
            content = zlib.decompressobj(_GZIP).decompress(content, LIMIT)
        except zlib.error:
            return ""
    return content.decode("utf-8", "replace")


def pattern(text: str | None, option: str) -> re.Pattern[str] | None:
    """A regular expression out of an option, None when it is empty. InputError names the option."""
    try:
        return re.compile(text) if text else None
    except re.error as exc:
        raise InputError(f"{option} is not a regular expression ({exc}): {text}") from None


def since_boot(text: str, boot: re.Pattern[str] | None) -> tuple[list[str], bool]:
    """(the lines from the last start on, True), or (all lines, False) when no start is among them."""
    lines = text.splitlines()
    for number in range(len(lines) - 1, -1, -1):
        if boot is not None and boot.search(lines[number]):
            return lines[number:], True
    return lines, False
