# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a target on inputs that a seed and a number determine, within bounds of time and memory."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.quazzar.ca_rotation.tests.fuzz.targets import Target

#: For one input. Seconds of the processor, so that a machine with other work to do finds nothing that is not there.
CPU_SECONDS = 5.0
#: What waits instead of working, or does not come back from C code: if so many inputs take that long by the clock, the
#: process ends, and prints where it was.
WALL_SECONDS, WALL_INPUTS = 600.0, 1000
#: What one input may add to the most that the process ever had.
MEMORY_MIB = 192
KEPT = Path(__file__).resolve().parents[2] / ".build" / "fuzz"


class TooSlow(BaseException):
    """Not an Exception, so that no handler in the code under test takes it for one of its own."""


@dataclass(frozen=True)
class Finding:
    """Why an input failed. ``place`` tells two findings apart: the error's kind, and the line that it came from."""

    target: str
    seed: str
    number: int
    place: str
    text: str
    path: Path

    def __str__(self) -> str:
        again = f"tests/fuzz/run.py --target {self.target}"
        numbered = f"--seed {self.seed} --start {self.number} --count 1"
        return f"{self.text}\nAgain: {again} {numbered}\n       {again} {self.path}"


@dataclass
class Outcome:
    """What a run of one target came to."""

    target: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, 0)


def made(target: Target, seed: str, number: int) -> bytes:
    """The input of this number."""
    return target.make(random.Random(f"{target.name}/{seed}/{number}"))


def run(target: Target, seed: str, count: int, start: int = 0) -> Outcome:
    """Check ``count`` inputs. Goes on after a finding; each kind is kept once."""
    outcome = Outcome(target.name)
    began = time.monotonic()
    with _timer():
        for number in range(start, start + count):
            if number % WALL_INPUTS == 0:
                faulthandler.dump_traceback_later(WALL_SECONDS, exit=True, file=sys.__stderr__)
            data = made(target, seed, number)
            before = time.thread_time()
            place, text = attempt(target, data, outcome)
            spent = time.thread_time() - before
            outcome.slowest = max(outcome.slowest, (spent, number))
            if text:
                outcome.counts["failed"] += 1
                if place not in outcome.findings:
                    path = _keep(data, f"{target.name}-{seed}-{number}")
                    outcome.findings[place] = Finding(target.name, seed, number, place, text, path)
    outcome.seconds = time.monotonic() - began
    return outcome


def once(target: Target, data: bytes) -> str:
    """What is wrong with what becomes of this input, in full; empty when nothing is."""
    with _timer():
        return attempt(target, data, Outcome(target.name))[1]


def attempt(target: Target, data: bytes, outcome: Outcome) -> tuple[str, str]:
    """("", "") or what is wrong with what became of this input: (where, in full)."""
    memory = _peak_from_here()
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        outcome.counts[target.check(data)] += 1
    except TooSlow:
        return _described(f"more than {CPU_SECONDS:g} s")
    except Exception:
        return _described("")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    grown = _peak() - memory
    return ("memory", f"{len(data)} bytes of input took {grown} MiB of memory") if grown > MEMORY_MIB else ("", "")


def _described(prefix: str) -> tuple[str, str]:
    kind, _error, trace = sys.exc_info()
    ours = [frame for frame in traceback.extract_tb(trace) if "ca_rotation" in frame.filename] or [None]
    last = ours[-1]
    place = f"{kind.__name__ if kind else ''} {Path(last.filename).name}:{last.lineno}" if last else "elsewhere"
    # The values in a message may be as long as the input.
    lines = [
        line if len(line) < 2000 else line[:1000] + " ... " + line[-900:]
        for line in traceback.format_exc().splitlines()
    ]
    shown = lines if len(lines) < 60 else [*lines[:20], "...", *lines[-30:]]
    return place, "\n".join([*([prefix] if prefix else []), *shown])


def _peak_from_here() -> int:
    """Forget the highest use of memory so far, where the system can: an input must not hide behind an older peak."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return _peak()


def _peak() -> int:
    """The highest use of memory, in MiB."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        found = next((int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM:")), 0)
        if found:
            return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextlib.contextmanager
def _timer() -> Iterator[None]:
    def ring(_signal: int, _frame: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGVTALRM, before)


def _keep(data: bytes, name: str) -> Path:
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{name}.bin"
    path.write_bytes(data)
    return Path(os.path.relpath(path))
