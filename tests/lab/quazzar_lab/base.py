# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all commands share: a lab's description, and the door to the process of its nodes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from . import pki
from .options import Options
from .paths import Layout, read_json
from .processes import LabError

TENANTS = ("tenant_acme", "tenant_globex")


def layout_of(directory: str | Path) -> Layout:
    return Layout(Path(directory).resolve())


def load(layout: Layout) -> dict[str, Any]:
    if not layout.lab_file.exists():
        raise LabError(f"{layout.root}: no lab here (python -m quazzar_lab start --dir {layout.root})")
    return dict(read_json(layout.lab_file))


def options_of(layout: Layout) -> Options:
    return Options(layout.options)


def names_of(lab: dict[str, Any]) -> list[str]:
    """The replicas that have files here; pods share theirs, under one name."""
    if lab.get("kubernetes"):
        return ["cp"]
    return [f"cp{number}" for number in range(1, lab["replicas"] + 1)]


def new_ca(options: Options) -> pki.Pair:
    """A CA as the options want it."""
    return pki.make_ca(
        pki.ca_name(distinct=options.get("ca_names") == "distinct"),
        lifetime=options.seconds("ca_lifetime"),
        backdate=options.seconds("ca_backdate"),
        key_ids=options.get("key_ids"),
    )


def control(lab: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the process of the nodes."""
    request = urllib.request.Request(
        lab["control"]["url"] + path,
        method=method,
        data=json.dumps(body or {}).encode() if method == "POST" else None,
        headers={"X-Lab-Token": lab["control"]["token"], "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise LabError(f"nodes: {error.read().decode(errors='replace')}") from None
    except (urllib.error.URLError, OSError) as error:
        raise LabError(f"the process of the nodes does not answer: {error}") from None
