# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replicas and their CA: restarts, the accident, the flip, the backup."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from . import pki, processes
from .base import layout_of, load, names_of, new_ca, options_of
from .options import Options
from .paths import Layout, write_atomic
from .processes import LabError


def ca_history(layout: Layout) -> list[dict[str, str]]:
    """Every CA of this lab, the oldest first."""
    found = []
    for path in sorted(layout.hidden.glob("ca-*.crt")):
        cert = pki.load_certificates(path.read_bytes())[0]
        found.append({"path": str(path), "sha256": pki.fingerprint(cert), "subject": pki.common_name(cert.subject)})
    return found


def remember_ca(layout: Layout, options: Options, lab: dict[str, Any]) -> None:
    """Keep a hidden copy of each active CA pair: for bridges, and for what the tests mint with an old key."""
    known = {entry["sha256"] for entry in ca_history(layout)}
    for name in names_of(lab):
        home = layout.certs(name, options)
        if not (home / "ca.crt").exists():
            continue
        pair = pki.load_pair(home / "ca.crt", home / "ca.key")
        if pki.fingerprint(pair.cert) not in known:
            known.add(pki.fingerprint(pair.cert))
            stem = layout.hidden / f"ca-{len(known)}"
            pair.write(stem.with_suffix(".crt"), stem.with_suffix(".key"))


def lose_ca(directory: str) -> None:
    """The volume is lost: nothing is left on it. The directory itself stays, for it may be mounted in a container."""
    layout = layout_of(directory)
    lab, options = load(layout), options_of(layout)
    remember_ca(layout, options, lab)
    first = layout.certs(names_of(lab)[0], options)
    old = pki.load_pair(first / "ca.crt", first / "ca.key")
    for home in {layout.certs(name, options) for name in names_of(lab)}:
        for entry in home.iterdir():
            (shutil.rmtree if entry.is_dir() else Path.unlink)(entry)
    if options.get("world") == "W4":
        # The bridge needs the new CA before any replica serves, and the old key, which only the lab still has.
        pair = new_ca(options)
        for home in {layout.certs(name, options) for name in names_of(lab)}:
            pair.write(home / "ca.crt", home / "ca.key")
        bridge = pki.cross_sign(pair.cert, old, key_ids=options.get("key_ids"))
        write_atomic(layout.cp / "bridge/bridge.crt", pki.pem(bridge))


def regenerate_ca(directory: str) -> list[dict[str, str]]:
    """The accident: the volume is lost, auto-generation is on, the replicas start one after the other."""
    layout = layout_of(directory)
    lab, options = load(layout), options_of(layout)
    lose_ca(directory)
    for name in names_of(lab):
        processes.restart_replica(layout, options, lab["block"], name, {"CC_LAB_ACCIDENT": "1"})
    remember_ca(layout, options, lab)
    return ca_history(layout)


def restart(directory: str, name: str) -> None:
    layout = layout_of(directory)
    lab = load(layout)
    _known_replica(lab, name)
    processes.restart_replica(layout, options_of(layout), lab["block"], name)


def _known_replica(lab: dict[str, Any], name: str) -> None:
    if name not in names_of(lab):
        raise LabError(f"{name}: no such replica; there are {', '.join(names_of(lab))}")


def stop_replica(directory: str, name: str) -> None:
    layout = layout_of(directory)
    _known_replica(load(layout), name)
    processes.stop(layout, name)


def flip(directory: str, name: str) -> None:
    """World W1: throw the server certificate away; the restart mints one from the active CA."""
    layout = layout_of(directory)
    _known_replica(load(layout), name)
    for part in ("server.crt", "server.key"):
        (layout.cp / "server" / name / part).unlink(missing_ok=True)
    restart(directory, name)


def backup_ca(directory: str, target: str) -> list[str]:
    """Copy the active pair out of band."""
    layout = layout_of(directory)
    lab, options = load(layout), options_of(layout)
    home = Path(target) if target else layout.root / "backup"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = layout.certs(names_of(lab)[0], options)
    pki.load_pair(source / "ca.crt", source / "ca.key").write(home / "ca.crt", home / "ca.key")
    return [str(home / "ca.crt"), str(home / "ca.key")]
