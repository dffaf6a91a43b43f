# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""A Control Panel on Kubernetes: every live pod as a replica of its own, and what its objects say."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Mapping
from typing import Any

from .._core import pool, workload, workload_patch
from .._core.errors import HostError, InputError, RotationError, Unreachable
from . import kubernetes, logs, replica, workload_guards

#: The options of cp_info that make sense in a pod.
_OF_A_REPLICA = (
    "server_name", "certs_dir", "variable", "auto_ca_gen_variable", "legacy_dir", "staged_dir", "previous_dir",
    "grace_log_pattern", "boot_pattern", "timeout", "tolerate",
)  # fmt: skip
_POLL_SECONDS = 1
#: Of the log of a container that crashes so many bytes at most, of so many lines.
_LOG_END, _LAST_LINES = 4096, 20
_COUNTED_LINES = 20_000
#: How the trust pool is to be changed.
POOL_SPEC: dict[str, Any] = {
    "env_source": {
        "type": "str",
        "choices": [workload_patch.CONTAINER, workload_patch.FOLLOW],
        "default": workload_patch.CONTAINER,
    },
    "legacy_kind": {"type": "str", "choices": ["ConfigMap", "Secret", "volume"], "default": "ConfigMap"},
    "legacy_name": {"type": "str", "default": workload.VOLUME},
}
ARGUMENT_SPEC: dict[str, Any] = {
    **kubernetes.ARGUMENT_SPEC,
    **{name: replica.ARGUMENT_SPEC[name] for name in _OF_A_REPLICA},
    **POOL_SPEC,
    "port": {"type": "int", "default": 8443},
    "replicas": {"type": "bool", "default": True},
    "wait": {"type": "int", "default": 0},
    "preflight": {"type": "bool", "default": False},
    "keeper_accepted": {"type": "bool", "default": False},
    "one_node": {"type": "bool", "default": False},
}


class Look:
    """The workload as it is now, with the container that is the Control Panel, and where its pool variable stands."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.cluster = kubernetes.Cluster(options)
        self.found = self.cluster.workload()
        self.box = workload.container(self.found, options["container"])
        self.variable = str(options.get("variable") or "")

    @functools.cached_property
    def source(self) -> workload.Source:
        objects = self.cluster.objects(workload.references(self.box, [self.variable]))
        return workload.source(self.box, self.variable, objects)

    def pods(self) -> tuple[workload.Pod, ...]:
        return self.cluster.pods(self.found, str(self.box["name"]))

    def legacy(self) -> workload_patch.Legacy | None:
        """Where legacy CAs are placed; None: as files on a volume."""
        if self.options["legacy_kind"] == "volume" or not self.options["legacy_dir"]:
            return None
        return workload_patch.legacy(
            self.found,
            self.box,
            self.options["legacy_dir"],
            self.options["legacy_kind"],
            self.options["legacy_name"],
        )

    def held(self) -> Mapping[str, Any]:
        """The object in which legacy CAs are placed; empty where there is none."""
        place = self.legacy()
        pair = (place.kind, place.name) if place else ("", "")
        return self.cluster.objects([pair]).get(pair, {}) if place else {}

    def missing_files(self, names: list[str]) -> list[str]:
        """Which of these are no keys of the object in which legacy CAs are placed."""
        if not names or self.legacy() is None:
            return []
        held = self.held()
        return [name for name in names if name not in (held.get("data") or {})]

    def change(self, add: list[str], remove: list[str], files: list[str], *, unmount: bool) -> workload_patch.Change:
        place = self.legacy()
        known = (self.held().get("data") or {}) if add and place and not place.mounted else {}
        return workload_patch.change(
            self.found,
            self.box,
            self.variable,
            self.source,
            add=add,
            remove=remove,
            env_source=self.options["env_source"],
            place=place,
            keys={*files, *known},
            unmount=unmount,
        )


def gather(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """-> workload, replicas. There is always one replica at least: of a workload without a live pod the one that says
    so. Without the option ``replicas`` nobody looks into the pods."""
    look, pods, rolled = _rolled_out(options)
    box = str(look.box["name"])
    live = [pod for pod in pods if pod.live]
    replicas = [_pod(look.cluster, name, pod, look.box, options) for pod in live] if options["replicas"] else []
    if options["replicas"] and not replicas:
        why = "; ".join(f"{pod.name}: {pod.why}" for pod in pods) or "it has no pod"
        gone = HostError(f"{workload.title(look.found)}: expected a live pod, found none ({why})")
        replicas = [replica.not_read(name, {**options, "name": "no live pod", "address": ""}, gone)]
    marks = _marks(look)
    for each in replicas:
        there = {entry["path"] for entry in each["revoked"]}
        each["revoked"] += [mark for mark in marks if mark["path"] not in there]
    return {
        "workload": {
            "title": workload.title(look.found),
            "container": box,
            "replicas": workload.wanted_replicas(look.found),
            "revision": str((look.found.get("metadata") or {}).get("generation") or ""),
            "pods": [pod.name for pod in live],
            "uids": [pod.uid for pod in live],
            "stuck_pods": workload.stuck(look.found, pods),
            "kept_by": workload.kept_by(look.found),
            "written_by": workload.last_writer(look.found),
            "observed": workload.observed(look.found),
            "rolled_out": rolled.done,
            "rollout": rolled.reason,
            "rollout_failed": rolled.failed,
            "advice": _advice(look, pods, rolled),
            "shared": workload.shares(look.found, look.box, str(options["certs_dir"] or "")),
            **_beside(look, options, replicas),
            **workload_guards.gather(look.cluster, look.found, look.box, options, replicas),
        },
        "replicas": replicas,
    }


def _marks(look: Look) -> list[dict[str, Any]]:
    """The marks of revoked CAs in the object with the legacy CAs, as entries of a replica: they hold for all pods, also
    for those that do not mount it."""
    try:
        held = look.held()
    except RotationError:
        return []  # said by _beside
    return [
        replica.entry(f"{str(look.options['legacy_dir']).rstrip('/')}/{key}", str(content))
        for key, content in (held.get("data") or {}).items()
        if key.endswith(".revoked")
    ]


def _beside(look: Look, options: Mapping[str, Any], replicas: list[dict[str, Any]]) -> dict[str, Any]:
    """What the objects beside the workload say. With ``tolerate`` one that may not be read leaves the rest as it is."""
    told: dict[str, Any] = {"source": None, "pool": None, "stalls": None, "legacy": None, "refusals": [], "error": ""}
    told["behind"] = []
    try:
        source = dataclasses.asdict(look.source)
        told["source"] = {**source, "title": str(look.source)}
        told["pool"] = list(pool.entries(look.source.value))
        started = {each["name"]: str(each["pool"]["raw"] or "") for each in replicas if not each["error"]}
        told["behind"] = workload.behind(look.source, started)
        claims = look.cluster.claims(look.found)
        told["stalls"] = list(workload.stalls(look.found, claims, one_node=options["one_node"]))
        place, told["refusals"] = _refusals(look, options)
        told["legacy"] = dataclasses.asdict(place) if place else None
    except HostError as error:
        if not options["tolerate"]:
            raise
        told["error"] = str(error)
    return told


def read_logs(options: Mapping[str, Any], limit: int) -> dict[str, str]:
    """The end of the log of each live pod by its name: at most ``limit`` bytes and 20,000 lines. One on its way out may
    answer with the text of an error."""
    look = Look(options)
    box = str(look.box["name"])
    return {pod.name: look.cluster.log(pod.name, box, limit, tail=_COUNTED_LINES) for pod in look.pods() if pod.live}


def _rolled_out(options: Mapping[str, Any]) -> tuple[Look, tuple[workload.Pod, ...], workload.Rollout]:
    """The workload and its pods as they are, or, within the seconds of the option ``wait``, as they are when its
    rollout has come to its end or cannot."""
    deadline = time.monotonic() + options["wait"]
    while True:
        try:
            look = Look(options)
            pods = look.pods()
            rolled = workload.rollout(look.found, pods)
            if rolled.done or rolled.failed or time.monotonic() >= deadline:
                return look, pods, rolled
        except (Unreachable, kubernetes.Refused) as error:
            lasts = isinstance(error, kubernetes.Refused) and not error.passes
            if lasts or time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_SECONDS)


def _advice(look: Look, pods: tuple[workload.Pod, ...], rolled: workload.Rollout) -> str:
    """How to find out why a rollout does not come to its end; of a container that crashes the end of its log."""
    if rolled.done:
        return ""
    crashed = next((pod for pod in pods if pod.restarts and not pod.ready), None)
    if crashed is None:
        return f"Look at it: kubectl -n {look.cluster.namespace} describe pods"
    try:
        # While it waits for its next start, its log is still the one from before.
        again = not crashed.why
        box = str(look.box["name"])
        end = look.cluster.log(crashed.name, box, _LOG_END, tail=_LAST_LINES, previous=again)
        lines = end.strip().splitlines()
    except RotationError as error:
        lines = [str(error)]
    return f"The log of {crashed.name} ended with: {lines[-1] if lines else 'nothing'}"


def _refusals(look: Look, options: Mapping[str, Any]) -> tuple[workload_patch.Legacy | None, list[str]]:
    """Where legacy CAs are placed, and why the workload is not to be changed, one sentence each with the remedy."""
    place, refusals = None, []
    try:
        place = look.legacy()
    except InputError as error:
        refusals.append(str(error))
    refusals.append(
        workload_patch.refused(look.found, look.box, look.variable, look.source, str(options["env_source"]))
    )
    if not options["preflight"]:
        return place, [refusal for refusal in refusals if refusal]
    keeper = workload.reverts(look.found)
    if keeper and not options["keeper_accepted"]:
        refusals.append(
            f"{workload.title(look.found)} is kept by {keeper}, which would put a change back. Nothing was changed. Let"
            f" {keeper} make the change (quazzar_cp_platform: declared), or suspend it and set"
            " quazzar_k8s_keeper_accepted: true."
        )
    missing = look.cluster.missing_rights(workload_patch.rights(look.found, look.source, options, place))
    refusals += missing or [workload_patch.immutable(look.found, place, look.held() if place else {})]
    return place, [refusal for refusal in refusals if refusal]


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
