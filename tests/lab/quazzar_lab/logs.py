# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines of the CP and of the nodes: time, level, message, key=value pairs."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from pathlib import Path
from typing import Any


def stamp(at: float | None = None) -> str:
    """RFC 3339 UTC with milliseconds."""
    moment = dt.datetime.now(dt.timezone.utc) if at is None else dt.datetime.fromtimestamp(at, dt.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Log:
    """Appends lines to files: all boots in one, the current boot (as a journal shows it) in another.

    ``stdout``: there too, where a container's runtime looks for them.
    """

    def __init__(self, path: Path, boot: Path | None = None, level: str = "info", *, stdout: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files = [open(path, "a", encoding="utf-8", buffering=1)]  # noqa: SIM115 - lives as long as the process
        if boot is not None:
            boot.unlink(missing_ok=True)
            self._files.append(open(boot, "a", encoding="utf-8", buffering=1))  # noqa: SIM115
        if stdout:
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
            self._files.append(sys.stdout)  # type: ignore[arg-type]
        self._debug = level.lower() == "debug"

    def write(self, level: str, message: str, **fields: Any) -> None:
        if level == "DEBUG" and not self._debug:
            return
        extra = "".join(f" {key}={value}" for key, value in fields.items())
        for file in self._files:
            file.write(f"{stamp()} {level:<5} {message}{extra}\n")

    def debug(self, message: str, **fields: Any) -> None:
        self.write("DEBUG", message, **fields)

    def info(self, message: str, **fields: Any) -> None:
        self.write("INFO", message, **fields)

    def warn(self, message: str, **fields: Any) -> None:
        self.write("WARN", message, **fields)

    def error(self, message: str, **fields: Any) -> None:
        self.write("ERROR", message, **fields)


def to_stderr() -> None:
    """The lab's own trouble (not the product's words) goes to the process's stderr file."""
    form = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=form)
