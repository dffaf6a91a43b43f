# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sshd per node on its own loopback address, started as the current user.

A session finds no Python: its PATH holds nothing but links to a shell, the core utilities, openssl, curl and sudo.
``date`` there is a small script, so that the fault ``clock`` reaches the node's own clock too.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from .paths import SSH_PORT, Layout, write_atomic

TOOLS = """
sh bash dash ash env cat cp mv rm ln ls mkdir rmdir mktemp chmod chown chgrp stat touch test [ true false echo printf
head tail tee tr cut sort uniq wc sleep timeout id whoami uname hostname sed grep egrep awk gawk mawk base64 sha256sum
dd od cmp diff find xargs readlink realpath dirname basename sync install expr seq tty nohup kill openssl curl sudo
flock ps
"""
CONFIG = """\
# made by the lab for {name}
ListenAddress {address}:{port}
HostKey {home}/host_key
PidFile {home}/sshd.pid
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
KexAlgorithms curve25519-sha256
UseDNS no
MaxStartups 200:30:400
MaxSessions 50
PrintMotd no
SetEnv PATH={bin} HOME={home}
Subsystem sftp internal-sftp
"""
DATE = """\
#!/bin/sh
# The node's clock: the lab's fault "clock" puts an offset in seconds into a file.
offset=0
[ -r "{home}/clock" ] && offset=$(cat "{home}/clock")
case "$*" in
  *-d*|*--date*|*-r*|-s*) exec {real} "$@" ;;
esac
exec {real} -d "@$(( $({real} +%s) + offset ))" "$@"
"""


class SshError(Exception):
    """What is missing for a node over SSH."""


def sshd_path() -> str:
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not found:
        raise SshError("sshd is not installed; on Debian or Ubuntu: apt-get install openssh-server")
    return found


def home(layout: Layout, name: str) -> Path:
    return layout.root / "ssh" / name


def command(layout: Layout, name: str) -> list[str]:
    """The argument list that runs a node's sshd in the foreground."""
    place = home(layout, name)
    return [sshd_path(), "-D", "-f", str(place / "sshd_config"), "-E", str(layout.logs / f"sshd-{name}.log")]


def _keygen(path: Path, comment: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], check=True)


def prepare_client(layout: Layout) -> None:
    """The controller's key, and the directory of links that a session's PATH is."""
    sshd_path()
    base = layout.root / "ssh"
    base.mkdir(mode=0o755, exist_ok=True)
    _keygen(base / "id_ed25519", "quazzar-lab")
    shutil.copy(base / "id_ed25519.pub", base / "authorized_keys")
    if os.geteuid() == 0:
        # sshd as root insists on this directory for its unprivileged half.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


def prepare_node(layout: Layout, name: str, address: str) -> None:
    """A host key, a configuration and a PATH for one node."""
    place = home(layout, name)
    links = place / "bin"
    links.mkdir(parents=True)
    for tool in TOOLS.split():
        real = shutil.which(tool)
        if real:
            (links / tool).symlink_to(real)
    real_date = shutil.which("date") or "/bin/date"
    write_atomic(links / "date", DATE.format(home=place, real=real_date), 0o755)
    _keygen(place / "host_key", name)
    text = CONFIG.format(
        name=name, address=address, port=SSH_PORT, home=place, bin=links, authorized=layout.root / "ssh/authorized_keys"
    )
    write_atomic(place / "sshd_config", text)
    public = (place / "host_key.pub").read_text(encoding="ascii").split()[:2]
    with open(layout.root / "ssh/known_hosts", "a", encoding="ascii") as known:
        known.write(f"[{address}]:{SSH_PORT} {' '.join(public)}\n")


def login() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name
