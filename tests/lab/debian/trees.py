# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two trees that hosts are made of (see archives.py), each built in half a minute and only once.

usage: trees.py DIRECTORY

``base``: what a host is, a Debian with systemd, OpenSSH and sudo, and without Python. ``runtime``: a Python with what
the lab imports, which the lab's own units on a host run in and nobody else can enter. Prints both paths; the name of
each holds a digest of how it was made. Needs root. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from archives import PYTHON, System, alone, archive, digest

SYSTEMS = {
    # Without a Python, as the nodes of a fleet are
    "base": System(
        "bookworm",
        (
            "systemd",
            "systemd-sysv",
            "dbus",
            "openssh-server",
            "sudo",
            "openssl",
            "curl",
            "iproute2",
            "procps",
        ),
    ),
    "runtime": PYTHON,
}
#: who logs in to a host, by key, and may become root
LOGIN = "deploy"
#: Where the runtime is on a host. Only root may enter the directory above it.
RUNTIME = "opt/quazzar/runtime"
#: Mount points of what a unit of the lab sees of its host and of the lab
WITHIN = ("lab", "opt/quazzar_lab", "var/lib/quazzar", "var/lib/quazzar-cc", "var/log/quazzar", "run/systemd")
#: Units that want hardware, a console or other hosts' time
MASKED = (
    "console-getty.service",
    "getty.target",
    "getty@.service",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-networkd.service",
    "systemd-logind.service",
    "systemd-timesyncd.service",
    "systemd-resolved.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-tmpfiles-clean.timer",
    "ssh.socket",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
    "systemd-remount-fs.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
)
FILES = {
    "etc/ssh/sshd_config.d/lab.conf": (
        "UseDNS no\nMaxStartups 200:30:400\nMaxSessions 50\nPasswordAuthentication no\nPermitRootLogin no\n"
        "UsePAM no\nAuthorizedKeysFile /etc/ssh/authorized_keys/%u\n",
        0o644,
    ),
    f"etc/sudoers.d/{LOGIN}": (f"{LOGIN} ALL=(root) NOPASSWD: ALL\n", 0o440),
    "etc/systemd/journald.conf.d/lab.conf": (
        "[Journal]\nStorage=volatile\nRateLimitBurst=0\nForwardToSyslog=no\nForwardToConsole=no\n",
        0o644,
    ),
    "etc/hosts": ("127.0.0.1 localhost\n", 0o644),
    "etc/machine-id": ("", 0o444),
    "etc/fstab": ("", 0o644),
}


def _digest() -> str:
    """Over all that decides what is in the trees."""
    systems = [(name, system.command) for name, system in SYSTEMS.items()]
    return digest(repr((systems, LOGIN, RUNTIME, WITHIN, MASKED, sorted(FILES.items()))).encode())


def _base(tree: Path) -> None:
    subprocess.run(["chroot", tree, "useradd", "-m", "-s", "/bin/bash", "-p", "*", LOGIN], check=True)
    for name, (text, mode) in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    for name in MASKED:
        path = tree / "etc/systemd/system" / name
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")
    for path in (tree / "etc/ssh").glob("ssh_host_*"):
        path.unlink()  # each host has its own
    (tree / "etc/systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")
    (tree / RUNTIME).mkdir(parents=True)
    (tree / RUNTIME).parent.chmod(0o700)


def _runtime(tree: Path) -> None:
    for name in WITHIN:
        (tree / name).mkdir(parents=True, exist_ok=True)


def trees(directory: Path) -> dict[str, Path]:
    """Build what is not there yet. -> the paths of ``base`` and ``runtime``"""
    found = {}
    with alone(directory):
        for name, system in SYSTEMS.items():
            path = directory / f"{name}-{_digest()}"
            if not path.is_dir():
                for old in directory.glob(f"{name}-*"):
                    shutil.rmtree(old)
                new = path.with_suffix(".new")
                new.mkdir()
                packed = archive(directory, system)
                subprocess.run(
                    [
                        "tar",
                        "--extract",
                        "--numeric-owner",
                        "--preserve-permissions",
                        "--file",
                        packed,
                        "--directory",
                        new,
                    ],
                    check=True,
                )
                (_base if name == "base" else _runtime)(new)
                new.rename(path)
            found[name] = path
    return found


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = trees(Path(os.path.abspath(sys.argv[1])))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no trees for hosts: {error}", file=sys.stderr)
        return 1
    print("\n".join(str(path) for path in found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
