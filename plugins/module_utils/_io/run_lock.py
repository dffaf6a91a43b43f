# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The lock of a run on a host: read, decided upon by _core.run_lock, and changed only if it still is what was read.

Every change comes down to one rename or one rmdir, which the host does wholly or not at all:

* The lock is taken where nobody has it by renaming a directory that is ready, file and all, to its path. That works
  only while there is nothing at the path, or an empty directory.
* It is shared by renaming a file into C(shared). That works only while C(shared) is there, which no exclusive lock has.
* It is renewed by renaming its file, and one whose time is over is removed by the name that was read: of a renewal and
  a removal exactly one finds the file.
* A shared lock is made exclusive by renaming its directory. From then on nobody can join it; whoever is in it already
  is found by looking again, and then the name goes back.
"""

from __future__ import annotations

import dataclasses
import shlex
import typing as t

from .._core import run_lock
from .._core.errors import HostError
from .._core.run_lock import Holder
from . import lock
from .files import checked_path
from .host import Answer, Host

# Others may rename what is looked at between two tests, so something is odd only when a test says what it is.
_READ = r"""
qz_special() { [ -h "$1" ] || [ -p "$1" ] || [ -S "$1" ] || [ -b "$1" ] || [ -c "$1" ]; }
qz_open() { { [ -r "$1" ] && [ -x "$1" ]; } || [ ! -d "$1" ] || { [ -r "$1" ] && [ -x "$1" ]; }; }
qz_put now "$(date +%s)"
if [ -d "${o_path%/*}/" ]; then qz_put parent 1; fi
if qz_special "$o_path" || [ -f "$o_path" ]; then
  qz_put state "is a file or a link, a directory was expected"
  return 0
fi
qz_open "$o_path" || { qz_put state "permission denied; is become missing?"; return 0; }
for qz_at in "$o_path"/* "$o_path"/.[!.]* "$o_path"/..?*; do
  case $qz_at in
    "$o_path/exclusive" | "$o_path/shared") qz_special "$qz_at" || [ -f "$qz_at" ] ;;
    *) [ -e "$qz_at" ] || [ -h "$qz_at" ] ;;
  esac && qz_put foreign "${qz_at##*/}"
done
qz_count=0
for qz_kind in exclusive shared; do
  qz_open "$o_path/$qz_kind" || { qz_put state "permission denied; is become missing?"; return 0; }
  for qz_at in "$o_path/$qz_kind"/* "$o_path/$qz_kind"/.[!.]* "$o_path/$qz_kind"/..?*; do
    if [ -d "$qz_at" ] || qz_special "$qz_at"; then
      qz_put foreign "$qz_kind/${qz_at##*/}"
    elif [ -f "$qz_at" ]; then
      qz_count=$((qz_count + 1))
      qz_put "kind.$qz_count" "$qz_kind"
      qz_put "name.$qz_count" "${qz_at##*/}"
      qz_put "modified.$qz_count" "$(stat -c %Y -- "$qz_at" 2>/dev/null)"
      head -c "$o_max" -- "$qz_at" 2>/dev/null | qz_emit "text.$qz_count"
    fi
  done
done
"""

# Behind `set --` with the entries that go. o_from, o_old: what the run holds now; o_rewrite: its text changes as well,
# after the rename has shown that it is still held. No done and no why: look again.
# What is made ready beside the lock is there for a moment only, so what is an hour old was left by somebody who was
# killed. On a signal not every shell sees to EXIT.
_CHANGE = r"""
trap 'exit 1' HUP INT TERM
for qz_gone; do rm -f -- "$o_path/$qz_gone" 2>/dev/null; done
qz_now=$(date +%s)
for qz_at in "$o_path".new-????????; do
  qz_made=$(stat -c %Y -- "$qz_at" 2>/dev/null)
  if [ -n "$qz_made" ] && [ $((qz_now - qz_made)) -gt 3600 ]; then rm -rf -- "$qz_at" 2>/dev/null; fi
done
if [ -n "$o_old" ]; then
  if [ "$o_from" != "$o_kind" ]; then
    mv -fT -- "$o_path/$o_from" "$o_path/$o_kind" 2>/dev/null || return 0
    if [ "$o_kind" = exclusive ]; then
      for qz_at in "$o_path/exclusive"/* "$o_path/exclusive"/.[!.]*; do
        if [ "$qz_at" != "$o_path/exclusive/$o_old" ] && [ -e "$qz_at" ]; then
          mv -fT -- "$o_path/exclusive" "$o_path/shared" 2>/dev/null
          return 0
        fi
      done
    fi
  fi
  if [ "$o_old" = "$o_new" ]; then [ -f "$o_path/$o_kind/$o_new" ] || return 0
  else mv -fT -- "$o_path/$o_kind/$o_old" "$o_path/$o_kind/$o_new" 2>/dev/null || return 0; fi
  if [ -n "$o_rewrite" ]; then
    qz_made=$(mktemp "$o_path.new-XXXXXXXX" 2>/dev/null) ||
      { qz_put why "no file can be made beside it: permission denied, read-only or full"; return 1; }
    trap 'rm -f -- "$qz_made"' EXIT
    if ! { printf '%s' "$o_text" >"$qz_made" && chmod 0644 "$qz_made" &&
      [ "$(stat -c %s -- "$qz_made")" = "$o_size" ]; } 2>/dev/null
    then qz_put why "could not be written: the disk is full, or its quota"; return 1; fi
    [ -f "$o_path/$o_kind/$o_new" ] && mv -fT -- "$qz_made" "$o_path/$o_kind/$o_new" 2>/dev/null || return 0
  fi
  qz_put done 1
  return 0
fi
qz_dir=${o_path%/*}/
qz_made=$(mktemp -d "$o_path.new-XXXXXXXX" 2>/dev/null) ||
  { qz_put why "no directory can be made in $qz_dir: permission denied, read-only or full"; return 1; }
trap 'rm -rf -- "$qz_made"' EXIT
umask 022
if ! { chmod 0755 "$qz_made" && mkdir "$qz_made/$o_kind" && printf '%s' "$o_text" >"$qz_made/$o_kind/$o_new" &&
  [ "$(stat -c %s -- "$qz_made/$o_kind/$o_new")" = "$o_size" ]; } 2>/dev/null
then qz_put why "could not be written in $qz_dir: the disk is full, or its quota"; return 1; fi
sync -- "$qz_made/$o_kind/$o_new" 2>/dev/null
if [ "$o_kind" = shared ] && mv -fT -- "$qz_made/shared/$o_new" "$o_path/shared/$o_new" 2>/dev/null; then
  qz_put done 1
  return 0
fi
# Empty ones are what is left of a run that was interrupted while it let go.
rmdir -- "$o_path/exclusive" "$o_path/shared" 2>/dev/null
if mv -fT -- "$qz_made" "$o_path" 2>/dev/null; then qz_put done 1; fi
"""

# Behind `set --` with the entries of this run.
_RELEASE = r"""
for qz_gone; do
  rm -f -- "$o_path/$qz_gone" 2>/dev/null
  if [ -e "$o_path/$qz_gone" ]; then
    qz_put why "cannot be removed: permission denied or read-only; is become missing?"
    return 1
  fi
done
rmdir -- "$o_path/exclusive" "$o_path/shared" 2>/dev/null
rmdir -- "$o_path" 2>/dev/null
qz_put done 1
"""


@dataclasses.dataclass(frozen=True)
class Found(lock.Found):
    has_parent: bool = False


class RunLock(lock.Lock[Found]):
    """The lock at a path of a host, for one run."""

    hindrance = "permission denied, read-only, or other runs change it all the time"

    def __init__(self, host: Host, options: t.Mapping[str, t.Any]) -> None:
        super().__init__(checked_path(options["path"], "path"), options["kind"], options)
        self._host = host

    @property
    def where(self) -> str:
        return f"{self._host.name}: {self.path}"

    def look(self) -> Found:
        answer = self._host.run(_READ, {"o_path": self.path, "o_max": str(run_lock.MAX_ENTRY)})
        state, foreign = answer.text("state"), answer.text("foreign")
        if state:
            raise HostError(f"{self.where}: {state}; nothing was changed there")
        if foreign:
            raise HostError(
                f"{self.where}: expected a directory of its own for the lock, found {foreign!r} in it, which this"
                " collection has not put there; nothing was changed there. Name another directory, or see what that is"
                " and move it away"
            )
        now = answer.number("now")
        if now is None:
            raise HostError(f"{self.where}: the clock of the host could not be read (date +%s)")
        holders = tuple(self._holders(answer, now))
        decision, has_parent = self._decide(holders, now), answer.text("parent") == "1"
        return Found(now=now, holders=holders, decision=decision, has_parent=has_parent)

    def _holders(self, answer: Answer, now: int) -> t.Iterator[Holder]:
        number = 1
        while f"name.{number}" in answer.sections:
            yield run_lock.parse(
                answer.text(f"kind.{number}"),
                answer.sections[f"name.{number}"].decode("utf-8", "surrogateescape"),
                answer.sections.get(f"text.{number}", b""),
                modified=now if (modified := answer.number(f"modified.{number}")) is None else modified,
                expires_in=self._expires_in,
            )
            number += 1

    def refusal(self, found: Found, *, renew: bool) -> str:
        if not found.has_parent:
            raise HostError(
                f"{self.where}: its directory does not exist, or cannot be seen; create it, or correct the path"
            )
        return super().refusal(found, renew=renew)

    def _held(self, found: Found) -> str:
        return run_lock.refusal(found.decision.blocking, self._host.name, self.path)

    def _changed(self, found: Found) -> bool:
        mine, entry = found.decision.mine, self.entry(found)
        text = run_lock.content(entry)
        variables = {
            "o_path": self.path,
            "o_kind": self.kind,
            "o_from": mine.kind if mine else "",
            "o_old": mine.name if mine else "",
            "o_new": entry.name,
            "o_rewrite": "1" if mine and (mine.counts, mine.ended) != (entry.counts, entry.ended) else "",
            "o_text": text,
            "o_size": str(len(text.encode("utf-8", "surrogateescape"))),
        }
        answer = self._host.run(_with(found.decision.over, _CHANGE), variables)
        if answer.text("why"):
            raise HostError(f"{self.where}: {answer.text('why')}")
        return answer.text("done") == "1"

    def release(self) -> None:
        answer = self._host.run(_with(self.leaving(self.look()), _RELEASE), {"o_path": self.path})
        if answer.text("done") != "1":
            raise HostError(f"{self.where}: {answer.text('why') or answer.stderr.strip() or 'not removed'}")


def _with(holders: t.Iterable[Holder], body: str) -> str:
    """A script whose arguments are the files of these holders; a name may hold anything but a slash."""
    return " ".join(["set --", *(shlex.quote(f"{holder.kind}/{holder.name}") for holder in holders)]) + "\n" + body
