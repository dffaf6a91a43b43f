# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzz the readers of this collection.

usage: run.py [--count N] [--seed TEXT] [--start N] [--target NAME ...] [FILE ...]

N inputs (a million) are shared out among all targets, or for one --target are all its own. The seed is by default
today's date, so that each night looks at new ones; a seed and a number always make the same input. A FILE is an input
that was kept from a finding (give its --target). The exit status is 1 when something was found.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import resource
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1] / "tools"
#: More than this and Python itself says no, before the machine does.
ADDRESS_SPACE = 8 << 30


def _package(name: str):
    """A module of this directory, under the name that everything imports it by."""
    sys.path.append(str(TOOLS))
    sys.path.insert(0, str(importlib.import_module("collection").link()))
    return importlib.import_module(f"ansible_collections.quazzar.ca_rotation.tests.fuzz.{name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", default=datetime.date.today().isoformat())
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    engine, targets = _package("engine"), _package("targets").TARGETS
    unknown = sorted({*options.target} - {*targets})
    if unknown or (options.files and len(options.target) != 1):
        parser.error(f"--target is one of: {', '.join(targets)}")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    chosen = [targets[name] for name in options.target or targets]
    began, failed, whole = time.monotonic(), 0, 0
    if options.files:
        for path in options.files:
            text = engine.once(chosen[0], path.read_bytes())
            failed += bool(text)
            print(f"{path}: {text or 'nothing is wrong with it'}")
        return 1 if failed else 0
    print(
        f"seed {options.seed}\n{'target':<12}{'inputs':>9}{'read':>9}{'refused':>9}"
        f"{'failed':>8}{'seconds':>9}{'slowest':>9}"
    )
    for target in chosen:
        count = options.count if len(chosen) == 1 else -(-options.count * target.share // 1000)
        outcome = engine.run(target, options.seed, count, options.start)
        counts = outcome.counts
        print(
            f"{target.name:<12}{count:>9}{counts['read']:>9}{counts['refused']:>9}{counts['failed']:>8}"
            f"{outcome.seconds:>9.1f}{outcome.slowest[0]:>8.2f}s",
            flush=True,
        )
        failed, whole = failed + counts["failed"], whole + count
        for finding in outcome.findings.values():
            print(f"\n{finding}\n", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{whole} inputs in {time.monotonic() - began:.0f} s, {failed} failed; at most {peak} MiB of memory")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
