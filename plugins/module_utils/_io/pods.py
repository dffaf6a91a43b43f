# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Every live pod of a Control Panel on Kubernetes, each as a replica of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .._core import workload
from .._core.errors import HostError, RotationError
from . import kubernetes, logs, replica

#: The options of cp_info that make sense in a pod.
_OF_A_REPLICA = (
    "server_name", "certs_dir", "variable", "auto_ca_gen_variable", "legacy_dir", "staged_dir", "previous_dir",
    "grace_log_pattern", "boot_pattern", "timeout", "tolerate",
)  # fmt: skip
ARGUMENT_SPEC: dict[str, Any] = {
    **kubernetes.ARGUMENT_SPEC,
    **{name: replica.ARGUMENT_SPEC[name] for name in _OF_A_REPLICA},
    "port": {"type": "int", "default": 8443},
}


def gather(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """-> workload, replicas. There is always one replica at least: of a workload without a live pod the one that says
    so."""
    cluster = kubernetes.Cluster(options)
    found = cluster.workload()
    box = workload.container(found, options["container"])
    pods = cluster.pods(found, str(box["name"]))
    rolled = workload.rollout(found, pods)
    told = {
        "title": workload.title(found),
        "container": str(box["name"]),
        "replicas": workload.wanted_replicas(found),
        "revision": str((found.get("metadata") or {}).get("generation") or ""),
        **_beside(cluster, found, box, options),
        "kept_by": workload.kept_by(found),
        "rolled_out": rolled.done,
        "rollout": rolled.reason,
        "rollout_failed": rolled.failed,
    }
    replicas = [_pod(cluster, name, pod, box, options) for pod in pods if pod.live]
    if not replicas:
        why = "; ".join(f"{pod.name}: {pod.why}" for pod in pods) or "it has no pod"
        gone = HostError(f"{workload.title(found)}: expected a live pod, found none ({why})")
        replicas = [replica.not_read(name, {**options, "name": "no live pod", "address": ""}, gone)]
    return {"workload": told, "replicas": replicas}


def _beside(
    cluster: kubernetes.Cluster, found: Mapping[str, Any], box: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the objects beside the workload say. With ``tolerate`` one that may not be read leaves the rest as it is."""
    told: dict[str, Any] = {"source": None, "stalls": None, "error": ""}
    try:
        variables = (options["variable"], options["auto_ca_gen_variable"])
        source = workload.source(box, variables[0], cluster.objects(workload.references(box, variables)))
        told["source"] = {**dataclasses.asdict(source), "title": str(source)}
        told["stalls"] = list(workload.stalls(found, cluster.claims(found)))
    except HostError as error:
        if not options["tolerate"]:
            raise
        told["error"] = str(error)
    return told


def _pod(
    cluster: kubernetes.Cluster, name: str, pod: workload.Pod, box: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """One live pod: its files by exec, its listener through the port-forward, its log from the API."""
    named = {**options, "name": pod.name, "env_file": None, "log_command": None, "environment": True}
    host = cluster.host(f"{name}/{pod.name}", pod.name, str(box["name"]))
    with cluster.forward(pod.name, options["port"]) as door:
        result = replica.gather(host, {**named, "address": door.address})
    if result["listener_error"]:
        # The loopback means nothing to anybody, and is another one each time.
        seen = result["listener_error"].replace(door.address, f"port {options['port']} of {pod.name}")
        result["listener_error"] = door.error or seen
    result["address"] = f"{pod.address}:{options['port']}" if pod.address else ""
    try:
        result["boot"] = replica.boot(cluster.log(pod.name, str(box["name"]), logs.LIMIT), options)
    except RotationError as error:
        result["boot"] = {"loaded_count": None, "since_boot": False, "error": str(error)}
    return result
