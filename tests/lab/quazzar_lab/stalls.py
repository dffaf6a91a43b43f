# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments when the machine gave a process of the lab no CPU.

On a busy or virtual machine a process may stand still for a second, and a heartbeat is missed for no reason of the
CP's. Such a beat still counts as missed; that it fell into a standstill is said beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

from .paths import Layout

TICK_SECONDS = 0.05
STALL_SECONDS = 0.04
PRIORITY = -10


async def watch(layout: Layout, name: str) -> None:
    """Note each time that this process's loop came late without having used the CPU itself."""
    path = layout.run / f"stalls-{name}"
    while True:
        before, used = time.time(), time.process_time()
        await asyncio.sleep(TICK_SECONDS)
        late = time.time() - before - TICK_SECONDS
        if late > STALL_SECONDS and time.process_time() - used < late / 2:
            with contextlib.suppress(OSError), open(path, "a", encoding="ascii") as file:
                file.write(f"{before:.3f} {before + TICK_SECONDS + late:.3f}\n")


def read(layout: Layout) -> list[tuple[float, float]]:
    """All standstills of all processes of the lab."""
    found = []
    for path in layout.run.glob("stalls-*"):
        for line in path.read_text(encoding="ascii").splitlines():
            start, _space, end = line.partition(" ")
            found.append((float(start), float(end)))
    return found


def ordinary() -> None:
    """What the lab starts for its guests runs as any other process."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def prefer_me() -> None:
    """Where the user may: a higher priority than what is tested here, for nodes and CP have machines of their own."""
    with contextlib.suppress(OSError):
        os.nice(PRIORITY)
    # Processes are scheduled by session first; that weight is another file.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(PRIORITY), encoding="ascii")
