# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Files put in place on a host: read first, replaced only if they are still what was read, all or nothing."""

from __future__ import annotations

import hashlib
import re
import typing as t

from .._core.certificates import Bundle, Certificate, parse_bundle
from .._core.errors import HostError, InputError
from . import scripts
from .host import Answer, Host

_READ = (
    scripts.REPLACE
    + r"""
qz_file file "$o_path"
qz_put dir "$(if [ -d "${o_path%/*}/" ]; then printf yes; fi)"
qz_is() { [ -z "$2" ] || [ "$(stat -Lc "$1" -- "$o_path")" = "$2" ]; }
if [ -f "$o_path" ] && qz_is %a "${o_mode#0}" && { qz_is %U "$o_owner" || qz_is %u "$o_owner"; } &&
  { qz_is %G "$o_group" || qz_is %g "$o_group"; }; then qz_put same yes; fi
"""
)

_WRITE = (
    scripts.REPLACE
    + r"""
qz_dir=${o_path%/*}/
if [ "$o_make_dir" = 1 ] && [ ! -d "$qz_dir" ]; then
  if ! mkdir -m 0755 -- "$qz_dir" 2>/dev/null; then qz_put why "the directory $qz_dir cannot be made"; return 1; fi
fi
if [ -n "$o_backup" ] && [ -e "$o_path" ] && [ ! -e "$o_backup" ]; then
  if ! qz_why=$(cat -- "$o_path" | qz_replace "$o_backup" absent "" "" ""); then
    qz_put why "its backup $o_backup: $qz_why"
    return 1
  fi
  cp --attributes-only --preserve=mode,ownership -- "$o_path" "$o_backup" 2>/dev/null
  qz_put backup 1
fi
if ! qz_why=$(printf '%s' "$o_content" | qz_replace "$o_path" "$o_expected" "$o_mode" "$o_owner" "$o_group"); then
  qz_put why "$qz_why"
  return 1
fi
qz_put written 1
qz_restart
"""
)

_REMOVE = (
    scripts.REPLACE
    + r"""
if [ "$(qz_sum "$o_path")" != "$o_expected" ]; then qz_put why "changed while it was worked on; run again"; return 1; fi
if ! rm -f -- "$o_path" 2>/dev/null || [ -e "$o_path" ]; then
  qz_put why "cannot be removed: permission denied or read-only"
  return 1
fi
sync -- "${o_path%/*}/" 2>/dev/null
qz_put written 1
qz_restart
"""
)


def checked_path(path: str, option: str) -> str:
    """An absolute path that names a file. Raises InputError."""
    if not path.startswith("/") or path.endswith("/") or "\n" in path:
        raise InputError(f"{option} is {path!r}, expected the absolute path of a file")
    return path


def checked_mode(mode: t.Any) -> str:
    """An octal mode as text, or empty. YAML reads 0644 without quotes as the number 420: refused. Raises InputError."""
    if mode in (None, ""):
        return ""
    if not isinstance(mode, str) or not re.fullmatch(r"0?[0-7]{3}", mode):
        raise InputError(f'mode is {mode!r}, expected octal digits in quotes such as "0644"')
    return mode


class CertificateFile:
    """A certificate file on a host, for the action trust_file."""

    def __init__(self, host: Host, options: t.Mapping[str, t.Any]) -> None:
        self._host = host
        self._path = checked_path(options["path"], "path")
        self._options = options
        self._variables = {
            "o_path": self._path,
            "o_mode": checked_mode(options.get("mode")),
            "o_owner": options.get("owner") or "",
            "o_group": options.get("group") or "",
            "o_restart_command": options.get("restart_command") or "",
            "o_restart_timeout": "120",
        }
        answer = host.run(_READ, self._variables)
        self.content, error = answer.file("file")
        self.exists = self.content is not None
        if self.content is None and answer.text("file.error") not in ("missing", "dangling"):
            raise HostError(f"{host.name}: {error}")
        self._directory_exists = answer.text("dir") == "yes"
        self._attributes_right = answer.text("same") == "yes"

    @property
    def expected(self) -> str:
        return "absent" if self.content is None else hashlib.sha256(self.content).hexdigest()

    def bundle(self) -> Bundle:
        """What is there now. A file without a readable certificate counts as empty: it is going to be replaced."""
        try:
            return parse_bundle(self.content or b"")
        except InputError as error:
            return Bundle((), "empty", notes=(str(error),))

    def differs(self, content: bytes) -> bool:
        return content != self.content or not self._attributes_right

    def refuse_missing_directory(self, make: bool) -> None:
        if not self._directory_exists and not make:
            directory = self._path.rpartition("/")[0] or "/"
            raise HostError(
                f"{self._host.name}: {self._path}: the directory {directory} does not exist;"
                " create it, or correct the path"
            )

    def write(self, content: bytes, *, backup: str, make_directory: bool) -> Answer:
        variables = {
            **self._variables,
            "o_content": content.decode("ascii"),
            "o_expected": self.expected,
            "o_backup": checked_path(backup, "backup") if backup else "",
            "o_make_dir": "1" if make_directory else "0",
        }
        return self._finish(self._host.run(_WRITE, variables, timeout=180))

    def remove(self) -> Answer:
        return self._finish(self._host.run(_REMOVE, {**self._variables, "o_expected": self.expected}, timeout=180))

    def _finish(self, answer: Answer) -> Answer:
        if answer.text("written") != "1":
            why = answer.text("why") or answer.stderr.strip() or "not written"
            raise HostError(f"{self._host.name}: {self._path}: {why}; nothing was changed")
        refuse_failed_restart(self._host.name, answer)
        return answer


def refuse_failed_restart(name: str, answer: Answer) -> None:
    code = answer.text("restart.rc")
    if code not in ("", "0"):
        said = " ".join(answer.text("restart").split())
        raise HostError(
            f"{name}: the file was changed, and stays so, but the restart command ended with exit status {code}:"
            f" {said[-300:] or 'no output'}; mend that command (of a node: quazzar_node_restart_command), and run it"
            " again"
        )


def summary(certificates: t.Iterable[Certificate]) -> str:
    """What a diff shows of a file: never its bytes."""
    return "".join(
        f"{c.sha256} {c.subject} {c.not_before:%Y-%m-%dT%H:%M:%SZ} {c.not_after:%Y-%m-%dT%H:%M:%SZ}\n"
        for c in certificates
    )
