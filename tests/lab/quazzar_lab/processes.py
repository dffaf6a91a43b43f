# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's processes: started detached, known by pid and start time, stopped without a trace."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .options import Options
from .paths import BALANCED, HEALTH_PORT, Layout, locked, read_json, replica_address, write_json

PACKAGE_PARENT = Path(__file__).resolve().parent.parent
BOOT_SECONDS = 20.0
STOP_SECONDS = 8.0
TAIL = 12
# Kept until they end, so that a test process that starts labs reaps them; a command line hands them on to init.
_CHILDREN: list[subprocess.Popen[bytes]] = []


class LabError(Exception):
    """Something that the user has to know; printed as one message."""


def _start_time(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def pid_of(layout: Layout, name: str) -> int | None:
    """The pid when that very process is alive."""
    path = layout.run / f"{name}.pid"
    if not path.exists():
        return None
    entry = read_json(path)
    return int(entry["pid"]) if entry["start"] and _start_time(entry["pid"]) == entry["start"] else None


def known(layout: Layout) -> list[str]:
    return sorted(path.stem for path in layout.run.glob("*.pid"))


def spawn(layout: Layout, name: str, module: str, environment: dict[str, str]) -> None:
    """Start a module of this package in a session of its own."""
    base = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if key in os.environ}
    base |= {"PYTHONPATH": str(PACKAGE_PARENT), "CC_LAB_ROOT": str(layout.root)}
    # An import reads all of the system's CAs, which nothing here needs: a tenth of a second at every start.
    base |= {"SSL_CERT_FILE": str(layout.root / "api-ca.crt"), "SSL_CERT_DIR": str(layout.run)}
    with open(layout.logs / f"{name}.stderr", "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"quazzar_lab.{module}"],
            env={**base, **environment},
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )
    _CHILDREN.append(process)
    write_json(layout.run / f"{name}.pid", {"pid": process.pid, "start": _start_time(process.pid)})


def stop(layout: Layout, *names: str, gracefully: bool = True) -> None:
    """Ask all to end, then make them; not ``gracefully``: no drain when the whole lab goes."""
    pids = {name: pid for name in names if (pid := pid_of(layout, name))}
    for name, pid in pids.items():
        # The nodes' process has children of its own to end.
        os.kill(pid, signal.SIGTERM if gracefully or name == "nodes" else signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while any(pid_of(layout, name) for name in pids) and time.monotonic() < deadline:
        time.sleep(0.03)
    for name, pid in pids.items():
        if pid_of(layout, name):
            os.killpg(pid, signal.SIGKILL)
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
    for name in names:
        (layout.run / f"{name}.pid").unlink(missing_ok=True)


def tail(path: Path) -> str:
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])


def wait(what: str, good: Callable[[], bool], seconds: float, log: Path, alive: Callable[[], bool]) -> None:
    """Poll until good; a LabError names what did not come and shows the end of its log."""
    deadline = time.monotonic() + seconds
    while not good():
        if not alive():
            raise LabError(f"{what} ended while it was started; the end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not come within {seconds:g} s; the end of {log}:\n{tail(log)}")
        time.sleep(0.05)


def parse_env(text: str, dialect: str) -> dict[str, str]:
    """A KEY=VALUE file as systemd reads it: comments, quotes, continued lines; ``export`` is let pass.

    compose: `` #`` ends an unquoted value, which systemd would keep.
    """
    values: dict[str, str] = {}
    for raw in text.replace("\r\n", "\n").replace("\\\n", "").splitlines():
        line = raw.strip()
        if not line or line[0] in "#;" or "=" not in line:
            continue
        key, _sign, value = line.removeprefix("export ").partition("=")
        value = value.strip()
        if value[:1] in ("'", '"'):
            lexer = shlex.shlex(value, posix=True, punctuation_chars=False)
            lexer.whitespace_split, lexer.commenters = True, "#" if dialect == "compose" else ""
            value = " ".join(lexer)
        elif dialect == "compose":
            value = value.partition(" #")[0].rstrip()
        values[key.strip()] = value
    return values


def ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{HEALTH_PORT}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start_replica(layout: Layout, options: Options, block: str, name: str, extra: dict[str, str] | None = None) -> None:
    """Start a replica with the environment that its KEY=VALUE file gives; does not wait."""
    number = int(name.removeprefix("cp"))
    file = layout.env_file(name, options)
    environment = parse_env(file.read_text(encoding="utf-8"), str(options.get("env_dialect")))
    environment |= {
        "CC_LAB_NAME": name,
        "CC_LAB_ADDRESS": replica_address(block, number),
        "CC_LAB_CERTS_DIR": str(layout.certs(name, options)),
    } | (extra or {})
    spawn(layout, name, "cp", environment)


def _balanced(layout: Layout, address: str) -> bool:
    file = layout.run / BALANCED
    return pid_of(layout, "balancer") is None or (file.exists() and address in read_json(file))


def wait_replica(layout: Layout, block: str, name: str) -> None:
    """Until it serves and the balancer sends it connections."""
    address = replica_address(block, int(name.removeprefix("cp")))
    wait(
        f"replica {name}",
        lambda: ready(address) and _balanced(layout, address),
        BOOT_SECONDS,
        layout.logs / f"{name}.log",
        lambda: pid_of(layout, name) is not None,
    )


def restart_replica(
    layout: Layout, options: Options, block: str, name: str, extra: dict[str, str] | None = None
) -> None:
    """What ``systemctl restart`` does: stop gracefully, start with the file as it is now, wait until it serves."""
    with locked(layout.run / f"{name}.restart.lock"):
        stop(layout, name)
        start_replica(layout, options, block, name, extra)
        wait_replica(layout, block, name)
