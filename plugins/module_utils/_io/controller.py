# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The process of this run on the controller, and whether that of another run has ended.

By Linux's /proc. Where there is none nothing is known of any process, and a lock that was left behind just expires.
"""

from __future__ import annotations

import contextlib
import getpass
import multiprocessing
import os
import pathlib
import socket

from .._core.run_lock import Process
from . import command_line

_PROC = pathlib.Path("/proc")
_DEAD = ("Z", "X")


def process() -> Process | None:
    """The ansible-playbook of this run: an action runs in a worker, which is forked from it."""
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent else os.getpid()
    machine = _machine()
    found = _stat(pid) if pid else None
    if not machine or not pid or found is None:
        return None
    return Process(machine, os.getuid(), pid, found[1])


def has_ended(other: Process) -> bool:
    """True only when that is certain: a process of the same user, kernel and namespace that is not there any more."""
    if other.machine != _machine() or other.user != os.getuid():
        return False
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # the number may be one that no process has
        return False
    found = _stat(other.pid)
    return found is not None and (found[0] in _DEAD or found[1] != other.start)


def who() -> str:
    """What other runs are told: the playbook, the user and the controller."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without an account, as in containers
        user = str(os.getuid())
    return f"{command_line.playbooks()} by {user} on {socket.gethostname()}"


def _machine() -> str:
    """One boot of one kernel, and the namespace in which its ids of processes are meant. Empty when unknown."""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}" if boot else ""
    return ""


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start of a process. Source: proc_pid_stat(5); the name in parentheses may hold anything."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[19])
    return None
