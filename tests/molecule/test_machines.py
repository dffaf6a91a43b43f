# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts themselves: what they are, what is left of them, and that one which is off answers nobody."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quazzar_lab import machines


def reaches(made: Any, address: str) -> bool:
    """Does the sshd at this address answer, seen from where the controller is."""
    words = ["ssh-keyscan", "-T", "2", "-t", "ed25519", address]
    done = subprocess.run([*made.machines.inside, *words], capture_output=True, text=True, check=False)
    return address in done.stdout


def traces(identity: str, directory: Path) -> dict[str, list[str]]:
    """What this machine has of the hosts in a directory: processes, mounts, cgroups, namespaces."""
    base = machines._cgroups()
    assert base is not None
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            commands.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return {
        "processes": [text for text in commands if str(directory) in text],
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if str(directory) in line],
        "cgroups": [str(path) for path in base.glob(f"{identity}*")],
        "namespaces": [path.name for path in machines.NAMESPACES.glob(f"{identity}*")],
        "claims": [path.name for path in machines.SHARED.glob(f"{identity}*")],
    }


def test_hosts_are_hosts_and_leave_nothing(host_lab: Callable[[], Any]) -> None:
    made = host_lab()
    one, two = ("10.77.1.1", "10.77.1.2")
    for name, address in (("one", one), ("two", two)):
        made.machines.add(name, address, {})
    made.machines.start("one", "two")
    identity = made.machines.facts["id"]
    found = traces(identity, made.dir)
    assert found["processes"] and found["cgroups"] and len(found["namespaces"]) == 3
    assert int(machines.INSTANCES.read_text()) >= machines.ENOUGH_INSTANCES

    # each has a systemd, an address, and an /etc and /var of its own
    assert made.machines.run_on("one", "cat", "/proc/1/comm") == "systemd\n"
    assert one in made.machines.run_on("one", "ip", "-o", "address")
    for path in ("/etc/mine", "/var/lib/mine"):
        made.machines.run_on("one", "touch", path)
        assert made.machines.run_on("two", "ls", path, quiet=True) == ""
        assert not (Path(made.machines.facts["base"]) / path[1:]).exists()
    assert made.machines.run_on("one", "sh", "-c", "command -v python3 python", quiet=True) == ""
    # and its processes are its own
    assert made.machines.run_on("one", "ps", "-e", "-o", "comm=").split().count("systemd") == 1

    # off is off, and back with the same files
    assert reaches(made, one) and reaches(made, two)
    made.machines.stop("one")
    assert made.machines.state("one") == "off" and not reaches(made, one) and reaches(made, two)
    made.machines.start("one")
    assert reaches(made, one) and made.machines.run_on("one", "ls", "/etc/mine") == "/etc/mine\n"

    # a host of the same name later is a new one
    made.machines.clear()
    made.machines.add("one", one, {})
    made.machines.start("one")
    assert made.machines.run_on("one", "ls", "/etc/mine", quiet=True) == ""

    made.down()
    assert traces(identity, made.dir) == {kind: [] for kind in found}
    assert not (made.dir / "hosts").exists()


def test_the_setting_of_the_machine_is_put_back_by_the_last(host_lab: Callable[[], Any]) -> None:
    first, second = host_lab(), host_lab()
    kept = machines.SHARED / "max_user_instances"
    before = kept.read_text()
    first.down()
    assert int(machines.INSTANCES.read_text()) >= machines.ENOUGH_INSTANCES and kept.read_text() == before
    others = [path for path in machines.SHARED.glob("*.run") if path.stem != second.machines.facts["id"]]
    second.down()
    if not others:  # tests beside this one may have hosts too
        assert machines.INSTANCES.read_text() == before and not kept.exists()
