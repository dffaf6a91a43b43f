# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are hosts, without a container engine: for each a file system, an address and a systemd of its own.

A host is namespaces (mount, pid, uts, ipc, network, cgroup), an overlay over a common base (see ../debian/trees.py), a
directory of its own in cgroup2, and systemd as process 1. All hosts of a directory are on one bridge, which is in a
network namespace of its own, so that several directories may use the same addresses side by side. Who wants to reach a
host starts there (`inside`). Needs root. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .paths import read_json, write_json
from .processes import LabError

BOOT = Path(__file__).resolve().parent.parent / "hosts/boot.sh"
NAMESPACES = Path("/run/netns")
#: Of the machine, shared by all directories of hosts: who runs, and the setting that was found
SHARED = Path("/run/quazzar-hosts")
INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
#: Each systemd takes several; with a usual 128 the twentieth hangs without a word.
ENOUGH_INSTANCES = 8192
BOOT_SECONDS = 120.0
END_SECONDS = 20.0
POLL_SECONDS = 0.05
GOOD_STATES = ("running", "degraded")
# Kept until they end, so that a process that starts hosts and goes on reaps them.
_STARTED: dict[str, subprocess.Popen[bytes]] = {}


def missing() -> str:
    """Why there can be no hosts here; empty when there can."""
    if os.geteuid() != 0:
        return "real hosts are made of namespaces, which needs root"
    for tool, package in (
        ("mmdebstrap", "mmdebstrap"),
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("ip", "iproute2"),
        ("ssh", "openssh-client"),
    ):
        if not shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            return f"real hosts: {tool} is not installed (Debian, Ubuntu: apt-get install {package})"
    if _cgroups() is None:
        return "real hosts: no cgroup2 is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)"
    tried = subprocess.run(
        ["unshare", "-m", "-p", "-f", "-u", "-i", "-n", "-C", "true"], capture_output=True, text=True, check=False
    )
    return f"real hosts: {tried.stderr.strip()}" if tried.returncode else ""


def _cgroups() -> Path | None:
    """Where cgroup2 is mounted."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _source, target, kind, *_rest = line.split()
        if kind == "cgroup2" and os.access(target, os.W_OK):
            return Path(target)
    return None


def run(*words: str | Path, quiet: bool = False) -> str:
    """A program of this machine; a LabError holds what it said when it fails."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode and not quiet:
        said = (done.stderr + done.stdout).strip()
        raise LabError(f"{' '.join(map(str, words))} ended with {done.returncode}: {said}")
    return done.stdout


@contextlib.contextmanager
def _shared() -> Iterator[None]:
    SHARED.mkdir(exist_ok=True)
    with open(SHARED / "lock", "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _claim(identity: str) -> None:
    """Have enough inotify instances for as long as anybody has hosts."""
    with _shared():
        kept = SHARED / "max_user_instances"
        if not kept.exists():
            kept.write_text(INSTANCES.read_text(encoding="ascii"), encoding="ascii")
        if int(INSTANCES.read_text(encoding="ascii")) < ENOUGH_INSTANCES:
            INSTANCES.write_text(str(ENOUGH_INSTANCES), encoding="ascii")
        (SHARED / f"{identity}.run").touch()


def _release(identity: str) -> None:
    """The last one puts the setting back."""
    with _shared():
        (SHARED / f"{identity}.run").unlink(missing_ok=True)
        kept = SHARED / "max_user_instances"
        if kept.exists() and not list(SHARED.glob("*.run")):
            INSTANCES.write_text(kept.read_text(encoding="ascii"), encoding="ascii")
            kept.unlink()


class Machines:
    """The hosts of one directory. What there is stands in its hosts.json, so that another process can go on."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.file = directory / "hosts.json"

    @property
    def facts(self) -> dict[str, Any]:
        if not self.file.exists():
            raise LabError(f"{self.dir}: no hosts here")
        return dict(read_json(self.file))

    def home(self, name: str) -> Path:
        return self.dir / "hosts" / name

    def upper(self, name: str) -> Path:
        """What a host has beyond the base: its own /etc and /var. To be written to before its first start only."""
        return self.home(name) / "upper"

    def _network(self, name: str) -> str:
        return f"{self.facts['id']}-{name}"

    def _cgroup(self, *below: str) -> Path:
        base = _cgroups()
        if base is None:
            raise LabError("no cgroup2 is mounted")
        return base.joinpath(self.facts["id"], *below)

    # the network

    def create(self, base: Path, addresses: Sequence[str]) -> None:
        """The bridge, and this machine's own addresses on it: the first is where connections come from."""
        if self.file.exists():
            raise LabError(f"{self.dir}: there are hosts here already; take them down first")
        self.dir.mkdir(parents=True, exist_ok=True)
        identity = f"qz{secrets.token_hex(3)}"
        write_json(self.file, {"id": identity, "base": str(base), "hosts": {}})
        _claim(identity)
        run("ip", "netns", "add", identity)
        for words in (
            ["link", "set", "lo", "up"],
            ["link", "add", "br0", "type", "bridge"],
            ["link", "set", "br0", "up"],
            *(["address", "add", f"{address}/16", "dev", "br0"] for address in addresses),
        ):
            run("ip", "-n", identity, *words)
        self._cgroup().mkdir()

    @property
    def inside(self) -> list[str]:
        """The words before a command that is to run where the hosts can be reached."""
        return ["nsenter", f"--net={NAMESPACES / self.facts['id']}"]

    # hosts

    def add(self, name: str, address: str, binds: dict[str, Path]) -> None:
        """A host that is to be; ``binds``: what it sees of this machine, by where. Fill `upper`, then `start` it."""
        facts = self.facts
        facts["hosts"][name] = {"address": address}
        write_json(self.file, facts)
        here = self.home(name)
        for part in ("upper/etc/ssh", "work", "root"):
            (here / part).mkdir(parents=True)
        (here / "binds").write_text("".join(f"{source} {target}\n" for target, source in binds.items()), "utf-8")
        key = self.upper(name) / "etc/ssh/ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key)
        public = key.with_name(f"{key.name}.pub").read_text(encoding="ascii").split()[:2]
        with open(self.dir / "known_hosts", "a", encoding="ascii") as known:
            known.write(f"{address} {' '.join(public)}\n")
        bridge, own = facts["id"], self._network(name)
        run("ip", "netns", "add", own)
        run("ip", "-n", bridge, "link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", own)
        run("ip", "-n", bridge, "link", "set", f"v-{name}", "master", "br0")
        for words in (
            ["link", "set", "lo", "up"],
            ["address", "add", f"{address}/16", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
        ):
            run("ip", "-n", own, *words)

    def start(self, *names: str) -> None:
        """Switch hosts on; returns when the systemd of each has started what it is to start."""
        for name in names:
            run("ip", "-n", self.facts["id"], "link", "set", f"v-{name}", "up")
            group = self._cgroup(name)
            group.mkdir(exist_ok=True)
            # Into its cgroup first, so that this is the root of what the host sees.
            enter = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'
            unshare = ["unshare", "-m", "-p", "-f", "-u", "-i", "-C", "--kill-child"]
            with open(self.home(name) / "boot.log", "ab") as log:
                process = _STARTED[f"{self.dir}/{name}"] = subprocess.Popen(
                    [
                        *("sh", "-c", enter, "sh", str(group)),
                        *("nsenter", f"--net={NAMESPACES / self._network(name)}"),
                        *(*unshare, str(BOOT), name, self.facts["base"], str(self.home(name))),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                )
            # The child of unshare, which is the host's process 1, is found by it.
            write_json(self.home(name) / "unshare.json", {"pid": process.pid})
        deadline = time.monotonic() + BOOT_SECONDS
        for name in names:
            while (state := self.state(name)) not in GOOD_STATES:
                if time.monotonic() > deadline:
                    log = (self.home(name) / "boot.log").read_text(encoding="utf-8", errors="replace")
                    raise LabError(f"host {name} is {state} after {BOOT_SECONDS:.0f} s: {log[-2000:]}")
                time.sleep(POLL_SECONDS)

    def init(self, name: str) -> int | None:
        """The pid of the host's process 1, as this machine counts; None: it is off."""
        file = self.home(name) / "unshare.json"
        if not file.exists():
            return None
        pid = read_json(file)["pid"]
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def on(self, name: str) -> list[str]:
        """The words before a command that is to run on a host as root, past its sshd."""
        pid = self.init(name)
        if pid is None:
            raise LabError(f"host {name} is off")
        return ["nsenter", "-t", str(pid), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "--"]

    def run_on(self, name: str, *words: str, quiet: bool = False) -> str:
        return run(*self.on(name), *words, quiet=quiet)

    def state(self, name: str) -> str:
        """What the host's systemd says of itself; ``off`` and ``booting`` are ours."""
        pid = self.init(name)
        if pid is None:
            return "off"
        if "systemd" not in Path(f"/proc/{pid}/comm").read_text(encoding="ascii"):
            return "booting"
        return self.run_on(name, "systemctl", "is-system-running", quiet=True).strip() or "booting"

    def stop(self, *names: str) -> None:
        """Switch hosts off, as a power cut does. Their file systems stay, and nobody answers at their addresses."""
        for name in names:
            run("ip", "-n", self.facts["id"], "link", "set", f"v-{name}", "down", quiet=True)
            _end(self._cgroup(name))
            _reap()
            (self.home(name) / "unshare.json").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all hosts with their files: an old upper directory would make the next host the old one."""
        facts = self.facts
        for name in facts["hosts"]:
            _end(self._cgroup(name))
            run("ip", "-n", facts["id"], "link", "delete", f"v-{name}", quiet=True)
            run("ip", "netns", "delete", self._network(name), quiet=True)
        _reap()
        shutil.rmtree(self.dir / "hosts", ignore_errors=True)
        (self.dir / "known_hosts").unlink(missing_ok=True)
        write_json(self.file, {**facts, "hosts": {}})

    def destroy(self) -> None:
        """Leave nothing: no process, mount, cgroup, namespace or setting. Not to be called from inside."""
        self.clear()
        identity = self.facts["id"]
        _end(self._cgroup())
        # What was started inside has no cgroup of its own: connections that ssh keeps open, for example.
        for pid in run("ip", "netns", "pids", identity, quiet=True).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", identity, quiet=True)
        _release(identity)
        self.file.unlink()


def _reap() -> None:
    """Forget those that have ended; only a child of ours is waited for."""
    for name, process in list(_STARTED.items()):
        if process.poll() is not None:
            del _STARTED[name]


def _end(group: Path) -> None:
    """Kill all in a cgroup and below, and remove it. SIGTERM would not do: unshare does not hear it."""
    if not group.is_dir():
        return
    (group / "cgroup.kill").write_text("1", encoding="ascii")
    deadline = time.monotonic() + END_SECONDS
    folders = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
    for folder in [*folders, group]:
        while True:
            try:
                folder.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise LabError(f"{folder}: processes do not end: {error}") from None
                time.sleep(POLL_SECONDS)
