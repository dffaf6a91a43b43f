# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The prevention rules for a Control Panel on Kubernetes: a pure function of what the objects of its workload say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .verdicts import FAIL, PASS, UNKNOWN, Point, count

IN_WORKLOAD = "take CC_ALLOW_AUTO_CA_GEN out of the workload, wherever it is set, and wait for the rollout"
_MEND = "mend what is said of this workload first"
_ALLOW = "give the account of this run the rule that is named"
# Kinds of volumes by the name of their field in a pod's specification.
_WITH_POD = frozenset(("emptyDir", "ephemeral", "configMap", "downwardAPI", "gitRepo", "image"))
_WITHOUT_POD = frozenset(
    (
        "persistentVolumeClaim", "volumeClaimTemplate", "secret", "nfs", "cephfs", "glusterfs", "iscsi", "rbd", "fc",
        "awsElasticBlockStore", "azureDisk", "azureFile", "cinder", "gcePersistentDisk", "portworxVolume", "quobyte",
        "scaleIO", "storageos", "vsphereVolume",
    )
)  # fmt: skip
_ON_CLAIM = (
    "mount a PersistentVolumeClaim at quazzar_cp_certs_dir, and copy the pair there before the pods are made anew"
)


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim and the volume that it is bound to. ``error`` and ``volume_error`` say why one of them is
    not known."""

    name: str
    found: bool = True
    error: str = ""
    phase: str = ""
    access_modes: tuple[str, ...] = ()
    storage_class: str = ""
    volume: str = ""
    reclaim_policy: str = ""
    volume_error: str = ""


@dataclass(frozen=True)
class Flag:
    """One source of CC_ALLOW_AUTO_CA_GEN in a container. ``on`` is None when its value is not known; ``hidden``:
    another source of the container comes before it."""

    container: str
    source: str
    on: bool | None
    init: bool = False
    hidden: bool = False
    error: str = ""


@dataclass(frozen=True)
class Workload:
    """What the objects of a Control Panel on Kubernetes say. ``error``: why they were not read. ``kind``: of the volume
    that the certificates are on, as the API names it, "volumeClaimTemplate" or "none"; empty when nobody looked.
    ``conflicts``: why replicas and strategy do not fit the claims."""

    title: str = ""
    error: str = ""
    replicas: int = 0
    path: str = ""
    kind: str = ""
    volume: str = ""
    claims: tuple[Claim, ...] = ()
    conflicts: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


def on_volume(name: str, workload: Workload) -> Point:
    where = f"{workload.path} is on the {workload.kind} volume {workload.volume}"
    if workload.kind == "none":
        return Point(name, FAIL, f"{workload.path} is on no volume: gone with the container", _ON_CLAIM)
    if workload.kind in _WITH_POD:
        return Point(name, FAIL, f"{where}: gone with the pod", _ON_CLAIM)
    if workload.kind == "hostPath":
        return Point(name, FAIL, f"{where}: a pod on another machine finds another directory", _ON_CLAIM)
    if workload.kind in _WITHOUT_POD:
        return Point(name, PASS, where)
    return Point(name, UNKNOWN, f"{where}, of which it is not known whether it lasts", _ON_CLAIM)


def flags(host: str, workload: Workload) -> Iterable[Point]:
    """Every source in every container, one that is hidden by another too: it acts as soon as that one is gone."""
    if workload.error:
        yield Point(host, UNKNOWN, workload.error, _MEND)
        return
    for flag in workload.flags:
        box = f"{'init container' if flag.init else 'container'} {flag.container}"
        hidden = ", which another source hides for now" if flag.hidden else ""
        if flag.error:
            yield Point(host, UNKNOWN, f"{box}: {flag.source} was not read: {flag.error}", _ALLOW)
        elif flag.on is None:
            found = f"{box}: CC_ALLOW_AUTO_CA_GEN comes from {flag.source}{hidden}: its value is not known"
            yield Point(host, UNKNOWN, found, IN_WORKLOAD)
        elif flag.on:
            found = f"{box}: CC_ALLOW_AUTO_CA_GEN is true, from {flag.source}{hidden}"
            yield Point(host, FAIL, found, IN_WORKLOAD)
    if not any(flag.on is None or flag.on for flag in workload.flags):
        yield Point(host, PASS, f"no container of {workload.title} has it set to true")


def _volumes(workloads: Mapping[str, Workload], judge: Callable[[Claim], tuple[str, str, str]]) -> Iterable[Point]:
    """One verdict (with what was found, and a remedy) a claim that certificates are on."""
    for host, workload in workloads.items():
        if workload.error or not workload.kind:
            yield Point(host, UNKNOWN, workload.error or "the volume of its certificates was not looked at", _MEND)
        elif not workload.claims:
            # A kind that does not last is what persistent-volume is for.
            yield Point(host, PASS, f"{workload.path} is on no claim")
        for claim in workload.claims:
            if claim.error:
                yield Point(host, UNKNOWN, f"the claim {claim.name} was not read: {claim.error}", _ALLOW)
            else:
                yield Point(host, *judge(claim))


def bound(workloads: Mapping[str, Workload]) -> Iterable[Point]:
    def judge(claim: Claim) -> tuple[str, str, str]:
        if not claim.found:
            return FAIL, f"there is no claim {claim.name}", "create that claim: no pod starts without it"
        if claim.phase == "Lost":
            remedy = "bring that volume back, or restore the pair from a backup onto a new claim before a pod starts"
            return FAIL, f"the claim {claim.name} has lost its volume {claim.volume}", remedy
        if claim.phase != "Bound":
            return FAIL, f"expected the claim {claim.name} to be Bound, found {claim.phase or 'no phase'}", ""
        return PASS, f"the claim {claim.name} is bound to the volume {claim.volume}", ""

    return _volumes(workloads, judge)


def reclaim(workloads: Mapping[str, Workload]) -> Iterable[Point]:
    def judge(claim: Claim) -> tuple[str, str, str]:
        which = f"the volume {claim.volume} of the claim {claim.name}"
        if not claim.volume:
            return UNKNOWN, f"the claim {claim.name} has no volume yet", "see claim-bound"
        if claim.volume_error:
            return UNKNOWN, f"{which} was not read: {claim.volume_error}", _ALLOW
        if not claim.reclaim_policy:
            return UNKNOWN, f"expected {which} to have a reclaim policy, found none", "see claim-bound"
        found = f"{which} has the reclaim policy {claim.reclaim_policy}"
        if claim.reclaim_policy == "Retain":
            return PASS, found, ""
        patch = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
        remedy = f"run kubectl patch persistentvolume {claim.volume} -p '{patch}'"
        return FAIL, f"{found}: whoever deletes the claim, or its namespace, deletes the CA", remedy

    return _volumes(workloads, judge)


def access(workloads: Mapping[str, Workload]) -> Iterable[Point]:
    for host, workload in workloads.items():
        if workload.error or not workload.kind:
            yield Point(host, UNKNOWN, workload.error or "the volume of its certificates was not looked at", _MEND)
            continue
        unread = [claim for claim in workload.claims if claim.error]
        yield from (Point(host, FAIL, text) for text in workload.conflicts)
        for claim in unread:
            yield Point(host, UNKNOWN, f"the claim {claim.name} was not read: {claim.error}", _ALLOW)
        if not workload.conflicts and not unread:
            modes = {mode: None for claim in workload.claims for mode in claim.access_modes}
            found = f"{count(workload.replicas, 'replica')} on {', '.join(modes) or 'no claim'}"
            yield Point(host, PASS, found)
