# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""A root-only copy of a node's identity on the node itself, for the negative proof (trust.md, The gate).

The key is copied by the node and never travels. A copy that is there stays as it is unless it is to be replaced: made
before the node was re-registered, it is the legacy identity, and the files it was made from may be the new one by now.
"""

from __future__ import annotations

import typing as t

from .._core.certificates import parse_bundle
from .._core.errors import HostError, InputError
from . import node
from .files import checked_path
from .host import Answer, Host

ARGUMENT_SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "dir": {"type": "str", "default": node.ARGUMENT_SPEC["kept_identity_dir"]["default"]},
    "cert_path": node.ARGUMENT_SPEC["cert_path"],
    "key_path": node.ARGUMENT_SPEC["key_path"],
    "replace": {"type": "bool", "default": False},
    "tolerate": {"type": "bool", "default": False},
}

CERT, KEY = "client.crt", "client.key"

_READ = r"""
qz_file source "$o_cert_path"
[ ! -r "$o_key_path" ] || qz_put key 1
qz_file kept "$o_dir/client.crt"
if [ -h "$o_dir" ]; then qz_put link 1; fi
if [ -e "$o_dir/client.key" ] || [ -h "$o_dir/client.key" ]; then qz_put kept_key 1; fi
if [ -e "$o_dir/client.crt" ] || [ -h "$o_dir/client.crt" ]; then qz_put kept_cert 1; fi
if [ -d "$o_dir" ] && qz_names=$(ls -A -- "$o_dir" 2>/dev/null) && [ -z "$qz_names" ]; then qz_put empty 1; fi
"""

# Both files under names of their own first, and the leaf last: a copy counts only when its leaf is there.
_KEEP = r"""
umask 077
if [ ! -d "$o_dir" ] && ! mkdir -m 0700 -- "$o_dir" 2>/dev/null; then
  qz_put why "the directory $o_dir cannot be made"
  return 1
fi
[ ! -h "$o_dir" ] || { qz_put why "$o_dir is a symbolic link"; return 1; }
chmod 0700 -- "$o_dir" 2>/dev/null || { qz_put why "$o_dir belongs to somebody else; is become missing?"; return 1; }
rm -f -- "$o_dir/client.crt" "$o_dir/client.key" "$o_dir/client.key.new" "$o_dir/client.crt.new"
trap 'rm -f -- "$o_dir/client.key.new" "$o_dir/client.crt.new"' EXIT
cd -- "$o_dir" || return 1
if cat -- "$o_key_path" >client.key.new 2>/dev/null && cat -- "$o_cert_path" >client.crt.new 2>/dev/null &&
   chmod 0600 client.key.new client.crt.new && sync client.key.new client.crt.new 2>/dev/null &&
   mv -fT client.key.new client.key && mv -fT client.crt.new client.crt
then
  sync . 2>/dev/null
  qz_put done 1
else
  rm -f client.key
  qz_put why "the copy in $o_dir could not be written: permission denied, read-only or full"
  return 1
fi
"""

_DROP = r"""
[ ! -h "$o_dir" ] || { qz_put why "$o_dir is a symbolic link"; return 1; }
rm -f -- "$o_dir/client.crt" "$o_dir/client.key" "$o_dir/client.key.new" "$o_dir/client.crt.new" 2>/dev/null
if [ -e "$o_dir/client.key" ] || [ -e "$o_dir/client.crt" ]; then
  qz_put why "the copy in $o_dir cannot be removed: permission denied or read-only"
  return 1
fi
rmdir -- "$o_dir" 2>/dev/null
qz_put done 1
"""


def _variables(options: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {
        "o_dir": checked_path(options["dir"], "dir"),
        "o_cert_path": checked_path(options["cert_path"], "cert_path"),
        "o_key_path": checked_path(options["key_path"], "key_path"),
    }


def read(host: Host, options: t.Mapping[str, t.Any]) -> Answer:
    """What is there. Raises HostError when a copy is wanted and there is nothing to copy."""
    answer = host.run(_READ, _variables(options))
    if options["state"] == "present" and (options["replace"] or not _complete(answer)):
        _unused, error = answer.file("source")
        if error:
            raise HostError(f"{host.name}: {error}; there is no identity to keep")
        if answer.text("key") != "1":
            raise HostError(f"{host.name}: {options['key_path']}: cannot be read; there is no identity to keep")
    return answer


def _complete(answer: Answer) -> bool:
    return answer.text("kept_cert") == "1" and answer.text("kept_key") == "1"


def differs(answer: Answer, wanted: bool, replace: bool = False) -> bool:
    if wanted:
        return not _complete(answer) or (replace and answer.file("kept")[0] != answer.file("source")[0])
    return "1" in (answer.text("kept_cert"), answer.text("kept_key"), answer.text("empty"))


def digest(answer: Answer, wanted: bool, replace: bool = False) -> str:
    """SHA-256 of the leaf that is kept, or is going to be; empty when none is, or it cannot be read."""
    if not wanted:
        return ""
    content, _unused = answer.file("kept" if _complete(answer) and not replace else "source")
    try:
        certificates = parse_bundle(content or b"").certificates
    except InputError:
        return ""
    return certificates[0].sha256 if certificates else ""


def change(host: Host, options: t.Mapping[str, t.Any]) -> None:
    answer = host.run(_KEEP if options["state"] == "present" else _DROP, _variables(options))
    if answer.text("done") != "1":
        raise HostError(f"{host.name}: {answer.text('why') or answer.stderr.strip() or 'nothing was done'}")
