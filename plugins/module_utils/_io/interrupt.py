# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Ctrl-C as a request: the current set of nodes is finished, then the run stops, reports, and says how to go on.

Ansible's own answer to Ctrl-C is to end at once, in the middle of a batch and without a report. The handler is
installed in the main process (by the lookup that a play keyword asks); tasks see the flag because workers are forked.
"""

from __future__ import annotations

import signal
import sys
import threading
import typing as t

_asked = threading.Event()


def requested() -> bool:
    return _asked.is_set()


def arm() -> None:
    """Take the first Ctrl-C as a request; the second one does what Ansible does. Only the main thread may do this."""
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGINT)
    if getattr(previous, "asks_to_stop", False):
        return

    def handler(number: int, frame: t.Any) -> None:
        _asked.set()
        signal.signal(signal.SIGINT, previous if previous is not None else signal.default_int_handler)
        sys.stderr.write("\nStopping after the current set of nodes; Ctrl-C again stops at once.\n")
        sys.stderr.flush()

    handler.asks_to_stop = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, handler)
