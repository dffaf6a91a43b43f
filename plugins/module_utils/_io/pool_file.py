# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""One variable in a KEY=VALUE file on a host. Only the lines that mention it travel; the host copies the others."""

from __future__ import annotations

import re
import typing as t

from .._core import pool
from .._core.errors import HostError, InputError
from . import scripts
from .files import checked_path
from .host import Answer, Host, whole

ARGUMENT_SPEC: dict[str, t.Any] = {
    "env_file": {"type": "str", "required": True},
    "variable": {"type": "str", "default": "CC_TRUST_ADDITIONAL_CA_CERTS"},
    "add": {"type": "list", "elements": "str", "default": []},
    "remove": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "create": {"type": "bool", "default": False},
    "tolerate": {"type": "bool", "default": False},
}

_READ = (
    scripts.REPLACE
    + r"""
qz_cr=$(printf '\r')
qz_hits=
qz_number=0
if [ -d "${o_path%/*}/" ]; then qz_put dir yes; fi
if [ -f "$o_path" ] && [ -r "$o_path" ]; then
  while IFS= read -r qz_line || [ -n "$qz_line" ]; do
    qz_number=$((qz_number + 1))
    case $qz_line in *"$o_variable"*) qz_hits="$qz_hits $qz_number" ;; esac
    case $qz_line in *"$qz_cr") qz_put crlf yes ;; esac
  done <"$o_path"
  qz_put sum "$(qz_sum "$o_path")"
  qz_put size "$(stat -Lc %s -- "$o_path")"
  qz_put count "$qz_number"
  qz_put hits "$qz_hits"
  # Empty when the last byte is a line end: $(...) takes it away.
  qz_put end "$(tail -c 1 -- "$o_path")"
  for qz_hit in $qz_hits; do head -n "$qz_hit" -- "$o_path" | tail -n 1 | qz_emit "line.$qz_hit"; done
elif [ -e "$o_path" ]; then qz_put error "cannot be read: not a file, or permission denied (is become missing?)"
else qz_put error missing
fi
"""
)

# o_from: lines that come before, 0 for none; o_after: number of the first line that comes after, empty for none.
_WRITE = (
    scripts.REPLACE
    + r"""
qz_content() {
  if [ "$o_from" -gt 0 ]; then head -n "$o_from" -- "$o_path" || return 1; fi
  printf '%s' "$o_text"
  if [ -n "$o_after" ]; then tail -n "+$o_after" -- "$o_path"; fi
}
if qz_why=$(qz_content | qz_replace "$o_path" "$o_expected" "" "" "")
then qz_put written 1
else qz_put why "$qz_why"
fi
"""
)

_NEEDED = "the coreutils' head, tail and stat are needed there"


class PoolFile:
    """The variable as it stands in the file of a host."""

    def __init__(self, host: Host, options: t.Mapping[str, t.Any]) -> None:
        self._host = host
        self._path = checked_path(options["env_file"], "env_file")
        self._name = options["variable"]
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self._name):
            raise InputError(f"variable is {self._name!r}, which is not the name of an environment variable")
        answer = host.run(_READ, {"o_path": self._path, "o_variable": self._name})
        error = answer.text("error")
        self._missing = error == "missing"
        if self._missing and answer.text("dir") != "yes":
            raise HostError(f"{self._where}: its directory does not exist; correct env_file")
        if self._missing and not options["create"]:
            raise HostError(f"{self._where}: no such file; correct env_file, or set create to make it")
        if error and not self._missing:
            raise HostError(f"{self._where}: {error}")
        self._sum = answer.text("sum")
        self._size = 0 if self._missing else self._whole(answer.text("size"), "size")
        self._count = 0 if self._missing else self._whole(answer.text("count"), "count of lines")
        self._open_end = answer.text("end") != ""
        # Bytes that are not UTF-8 must come back as they went.
        self._lines = [
            (self._whole(number, "lines"), self._line(answer, number).decode("utf-8", "surrogateescape"))
            for number in answer.text("hits").split()
        ]
        self._line_end = "\r\n" if answer.text("crlf") and self._crlf_throughout() else "\n"
        try:
            found = pool.find_assignments(self._lines, self._name)
        except InputError as problem:
            raise InputError(f"{self._where}: {problem}") from None
        self.assignment = found[-1] if found else None

    def _whole(self, text: str, what: str) -> int:
        number = whole(text)
        if number is None:
            raise HostError(f"{self._where}: the host told no {what} of it, but {text[:40]!r}; {_NEEDED}")
        return number

    def _line(self, answer: Answer, number: str) -> bytes:
        # Without it the variable would look as if it were not set.
        if f"line.{number}" not in answer.sections:
            raise HostError(f"{self._where}: the host did not send line {number[:40]}; {_NEEDED}")
        return answer.sections[f"line.{number}"]

    def _crlf_throughout(self) -> bool:
        return all(text.rstrip("\n").endswith("\r") for unused, text in self._lines)

    @property
    def _where(self) -> str:
        return f"{self._host.name}: {self._path}"

    @property
    def value(self) -> str:
        return self.assignment.value if self.assignment else ""

    def new_value(self, options: t.Mapping[str, t.Any]) -> str:
        """The value after the change; without the whole variable for state=absent."""
        if options["state"] == "absent":
            return ""
        return pool.with_entries(self.value, options["add"], options["remove"])

    def new_line(self, value: str) -> str | None:
        """The line after the change, None when there is to be none.

        The line goes with its last entry when nothing else would be lost or come into force by that: no comment on
        it, and no earlier assignment of the same variable.
        """
        if not value and (self.assignment is None or (self._alone() and "#" not in self.assignment.suffix)):
            return None
        return pool.render(self.assignment, self._name, value)

    def _alone(self) -> bool:
        return sum(1 for unused, text in self._lines if not text.lstrip().startswith("#")) == 1

    def old_line(self) -> str | None:
        return self.assignment.line if self.assignment else None

    def line_number(self, line: str | None) -> int | None:
        if line is None:
            return None
        return self.assignment.number if self.assignment else self._count + 1

    def write(self, line: str | None) -> None:
        """Put the line in the place of the old one, or at the end; None takes the old one out."""
        if self.assignment is None:
            start, after, old = self._count, "", ""
            text = ("\n" if self._open_end else "") + (line or "") + self._line_end
        else:
            number = self.assignment.number
            last = number == self._count
            end = "" if last and self._open_end else "\n"
            start, after, old = number - 1, "" if last else str(number + 1), self.assignment.line + end
            text = "" if line is None else line + end
        size = self._size + len(_bytes(text)) - len(_bytes(old))
        variables = {
            "o_path": self._path,
            "o_expected": "absent" if self._missing else self._sum,
            "o_from": str(start),
            "o_after": after,
            "o_text": text,
            "o_size": str(size),
        }
        answer = self._host.run(_WRITE, variables)
        if answer.text("written") != "1":
            raise HostError(
                f"{self._where}: {answer.text('why') or answer.stderr.strip() or 'not written'}; nothing was changed"
            )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
