# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a Control Panel on Kubernetes: control-panel.yml with what a lab decides filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parent.parent / "kubernetes/control-panel.yml"
POOL_VARIABLE = "CC_TRUST_ADDITIONAL_CA_CERTS"
WORKLOADS = ("Deployment", "StatefulSet")
# A shell as PID 1 that ends when it is told to; a bare sleep would not.
IDLE = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]


@dataclass(frozen=True)
class Shape:
    """How a Control Panel is deployed."""

    kind: str = "Deployment"
    replicas: int = 2
    #: the pool variable at first; None: it is not there
    pool: str | None = None
    #: a second container, before the CP's own
    sidecar: bool = False
    #: an init container
    init: bool = False
    access_mode: str = "ReadWriteMany"
    #: for so many seconds a pod that was deleted serves on, listed as Running all the while
    linger: int = 0


def workload(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The one of them that makes the pods."""
    return next(item for item in objects if item["kind"] in WORKLOADS)


def _idle(name: str, image: str, command: list[str]) -> dict[str, Any]:
    return {"name": name, "image": image, "imagePullPolicy": "Never", "command": command}


def control_panel(
    namespace: str, directory: Path, certs: Path, image: str, *, auto_ca_gen: bool, shape: Shape
) -> list[dict[str, Any]]:
    """All objects, in the order to create them. ``directory`` is the lab's, on the cluster's node."""
    objects: list[dict[str, Any]] = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["items"]
    home, volume, claim, made = objects
    home["metadata"]["name"] = namespace
    volume["metadata"]["name"] = claim["spec"]["volumeName"] = f"{namespace}-certs"
    volume["spec"]["claimRef"]["namespace"] = namespace
    volume["spec"]["hostPath"]["path"] = str(certs)
    for item in (volume, claim):
        item["spec"]["accessModes"] = [shape.access_mode]
    for item in (claim, made):
        item["metadata"]["namespace"] = namespace
    spec = made["spec"]["template"]["spec"]
    made["spec"]["replicas"] = shape.replicas
    spec["volumes"][1]["hostPath"]["path"] = str(directory)
    container = spec["containers"][0]
    container["image"] = image
    if auto_ca_gen:
        container["env"].insert(0, {"name": "CC_ALLOW_AUTO_CA_GEN", "value": "true"})
    if shape.pool is not None:
        container["env"].insert(1, {"name": POOL_VARIABLE, "value": shape.pool})
    if shape.linger:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(shape.linger)]}}}
        spec["terminationGracePeriodSeconds"] += shape.linger
    if shape.sidecar:
        # First, so that whoever takes the first container for the CP's finds out.
        spec["containers"].insert(0, _idle("log-shipper", image, IDLE))
    if shape.init:
        spec["initContainers"] = [_idle("migrate", image, ["true"])]
    if shape.kind == "StatefulSet":
        made["kind"] = shape.kind
        del made["spec"]["strategy"]
        made["spec"] |= {"serviceName": made["metadata"]["name"], "updateStrategy": {"type": "RollingUpdate"}}
        # Its pods keep their names.
        container["env"] = [entry for entry in container["env"] if entry["name"] != "CC_LAB_IDENTITY"]
    return objects
