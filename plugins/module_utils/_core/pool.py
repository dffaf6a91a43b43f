# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The trust pool as text: one comma-separated variable in a KEY=VALUE file, edited without touching anything else.

Such a file is read by systemd (EnvironmentFile), by Compose (.env) or by a shell, which agree on plain lines only. What
they would read differently is refused with the number of its line instead of being edited by guessing. Only the lines
that mention the variable are needed: the others may hold secrets and never leave the Control Panel's host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InputError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: The rest of a line after a value: blanks, and a comment if it is set off by a blank.
_SUFFIX = re.compile(r"(?:[ \t]+#[^\r\n]*|[ \t]*)\r?\Z")
# Only from the first of several blanks: a long run of them would be tried from each one.
_UNQUOTED_END = re.compile(r"(?<![ \t])(?:[ \t]+#|[ \t]*\r?\Z)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: By quoting style: what ends a value, escapes or expands in it for one of the readers but not for the others.
_UNSAFE = {
    "": re.compile(r"[\\$`'\";&|<>()]"),
    '"': re.compile(r"[\\$`\"]"),
    "'": re.compile(r"'"),
}
#: A path made of these needs no quotes anywhere.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./:@%+=,-]*\Z")
#: No quoting style of all three readers carries these, a comma would end the entry.
_BAD_IN_PATH = re.compile(r"[\x00-\x1f\x7f,\\$`'\"]")
# Go's strconv.ParseBool, which is what such a server uses, and the words people write besides.
_TRUE = frozenset(("1", "t", "true", "y", "yes", "on"))


@dataclass(frozen=True)
class Assignment:
    """One line ``PREFIX QUOTE VALUE QUOTE SUFFIX``, together the line as it stands (without its line feed)."""

    number: int
    prefix: str
    quote: str
    value: str
    suffix: str

    @property
    def line(self) -> str:
        return f"{self.prefix}{self.quote}{self.value}{self.quote}{self.suffix}"


def is_true(value: str) -> bool:
    """Whether the value of a switch turns it on."""
    return value.strip().lower() in _TRUE


def find_assignments(lines: Sequence[tuple[int, str]], name: str) -> tuple[Assignment, ...]:
    """Every assignment of ``name`` among ``lines`` (number and text), in their order: the last one is in force.

    Comments and other variables are skipped. Raises InputError when the line in force cannot be edited safely; earlier
    ones that cannot be are left out, because nothing reads them.
    """
    if not _NAME.match(name):
        raise InputError(f"{name!r} is not the name of an environment variable")
    start = re.compile(r"[ \t]*(?:export[ \t]+)?" + re.escape(name) + r"[ \t]*(\+?)=")
    candidates = [(number, text, found) for number, text in lines if (found := start.match(text))]
    assignments: list[Assignment] = []
    for at, (number, text, found) in enumerate(candidates):
        try:
            assignments.append(_parse(number, found, text.rstrip("\n")[found.end() :]))
        except InputError as error:
            if at == len(candidates) - 1:
                raise InputError(f"line {number} sets {name} in a way that cannot be edited safely: {error}") from error
    return tuple(assignments)


def entries(value: str) -> tuple[str, ...]:
    """The paths in a value, in their order: without blanks around them, empty ones and repetitions."""
    return tuple(dict.fromkeys(element.strip() for element in value.split(",") if element.strip()))


def with_entries(value: str, add: Sequence[str], remove: Sequence[str]) -> str:
    """``value`` with ``add`` at its end and without ``remove``; every other entry stays byte for byte where it was.

    What is there already is not added again, what is absent needs no removal: nothing to do returns ``value`` itself.
    Raises InputError for a path that no reader of such a file would get back as it is.
    """
    for path in add:
        _check_path(path)
    both = sorted(set(add) & set(remove))
    if both:
        raise InputError(f"{', '.join(both)}: asked to be added and removed at once")
    kept = [element for element in value.split(",") if element.strip() and element.strip() not in remove]
    present = set(entries(value))
    new = [path for path in dict.fromkeys(add) if path not in present]
    if not new and not present & set(remove):
        return value
    changed = ",".join([*kept, *new])
    # Blanks that stood between two entries must not come to stand at an end, where only quotes would keep them.
    return changed.strip(" \t") if value == value.strip(" \t") else changed


def render(assignment: Assignment | None, name: str, new_value: str) -> str:
    """The line that gives ``name`` this value, in the style of the line that it replaces (None: a new one).

    Without a line feed. Quotes are added only when the value comes to need them. Raises InputError when the style of
    the line cannot carry the value.
    """
    if assignment is None:
        assignment = Assignment(0, f"{name}=", "", "", "")
    quote = assignment.quote
    # A line that does without quotes although it has blanks is for systemd or Compose, and stays so while it can.
    if not quote and not _PLAIN_PATH.match(new_value):
        quote = '"' if _PLAIN_PATH.match(assignment.value) or _UNSAFE[""].search(new_value) else ""
    found = _UNSAFE[quote].search(new_value) or _CONTROL.search(new_value)
    if found:
        raise InputError(f"{name} cannot hold {found.group(0)!r} in the quoting style of its line")
    if not quote and (new_value != new_value.strip(" \t") or re.search(r"[ \t]#", new_value)):
        raise InputError(f"{name} cannot hold blanks at an end, or before a #, without quotes")
    return Assignment(assignment.number, assignment.prefix, quote, new_value, assignment.suffix).line


def _parse(number: int, start: re.Match[str], rest: str) -> Assignment:
    if start.group(1):
        raise InputError("it appends with +=, which only a shell understands")
    blanks = rest[: len(rest) - len(rest.lstrip(" \t"))]
    quote = rest[len(blanks) : len(blanks) + 1]
    if quote in ("'", '"'):
        value, closing, suffix = rest[len(blanks) + 1 :].partition(quote)
        if not closing:
            raise InputError("its quotes are not closed on that line")
    else:
        quote = ""
        # Blanks between "=" and a comment belong to the comment, not before a value that may come to stand there.
        blanks = "" if _SUFFIX.match(rest) else blanks
        end = _UNQUOTED_END.search(rest, len(blanks))
        cut = end.start() if end else len(rest)
        value, suffix = rest[len(blanks) : cut], rest[cut:]
    if not _SUFFIX.match(suffix):
        raise InputError(f"something follows the closing quote: {suffix.strip()[:40]!r}")
    found = _UNSAFE[quote].search(value)
    if found:
        raise InputError(f"{found.group(0)!r} in it means something else to a shell than to systemd or Compose")
    found = _CONTROL.search(value)
    if found:
        raise InputError(f"there is a control character in it: {found.group(0)!r}")
    return Assignment(number, start.group(0) + blanks, quote, value, suffix)


def _check_path(path: str) -> None:
    found = _BAD_IN_PATH.search(path)
    if found:
        raise InputError(f"{path!r} cannot stand in a comma-separated list of paths: it holds {found.group(0)!r}")
    if not path.startswith("/") or path != path.strip():
        raise InputError(f"{path!r} cannot be added: expected an absolute path without blanks around it")
