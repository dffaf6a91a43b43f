# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The Control Panel as a Kubernetes workload: what its objects say, and the patch that changes its trust pool.

Objects are the API's JSON as plain data. A variable comes from the container's own ``env`` before any ``envFrom``, and
of several sources in ``envFrom`` the last one wins (Kubernetes API reference, Container v1 core).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError

Json = Mapping[str, Any]

KINDS = ("Deployment", "StatefulSet")
#: Where a controller that keeps objects as its repository has them leaves its name: (label or annotation, who).
_OWNERS = (
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
    ("meta.helm.sh/release-name", "Helm"),
)
#: The name of the volume and of the objects that hold the legacy CAs.
VOLUME = "quazzar-legacy-cas"
#: A container that was started again so often, and still is not ready, will not be by itself.
CRASHES = 2


@dataclass(frozen=True)
class Source:
    """Where a variable of a container gets its value.

    ``kind``: "value" (in the workload itself), "ConfigMap" or "Secret" (under ``key`` of the object ``name``), "field"
    (something of the pod, that nobody can set), or "absent".
    ``whole``: by envFrom, so that other variables come from the same object. ``immutable``: nobody may edit it.
    """

    kind: str
    name: str = ""
    key: str = ""
    value: str = ""
    whole: bool = False
    immutable: bool = False

    def __str__(self) -> str:
        if self.kind in {"ConfigMap", "Secret"}:
            return f"the key {self.key} of the {self.kind} {self.name} ({'envFrom' if self.whole else 'valueFrom'})"
        return {"value": "the workload's own env", "absent": "nowhere"}.get(self.kind, "a field of the pod")


@dataclass(frozen=True)
class Rollout:
    """Whether every replica runs with what the workload says. ``reason``: why not yet. ``failed``: it will not by
    itself."""

    done: bool
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Pod:
    """A pod as far as it matters here. ``live``: its container runs and nobody has asked for its end, which is what
    ``ending`` says. ``crashes``: how often its container was started again."""

    name: str
    address: str
    live: bool
    ready: bool
    revision: str = ""
    why: str = ""
    ending: bool = False
    crashes: int = 0
    ports: Mapping[str, int] = field(default_factory=dict)


def containers(workload: Json) -> Sequence[Json]:
    return _spec(workload).get("containers") or ()


def _spec(workload: Json) -> Json:
    found: Json = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    return found


def title(workload: Json) -> str:
    """Kind, namespace and name, as a message names the workload."""
    meta = workload.get("metadata") or {}
    return f"{workload.get('kind', 'Deployment')} {meta.get('namespace')}/{meta.get('name')}"


def container(workload: Json, wanted: str) -> Json:
    """The container of that name, or the only one when no name is given. Raises InputError that lists what there is."""
    found = containers(workload)
    names = [str(each.get("name")) for each in found]
    if wanted:
        for each in found:
            if each.get("name") == wanted:
                return each
        before = [str(each.get("name")) for each in _spec(workload).get("initContainers") or ()]
        hint = " (that is an init container, which has ended when the CP runs)" if wanted in before else ""
        raise InputError(
            f"{title(workload)}: expected a container {wanted!r}{hint}, found {', '.join(names) or 'none'}. Correct"
            " quazzar_k8s_container."
        )
    if len(found) != 1:
        raise InputError(
            f"{title(workload)}: expected one container, found {', '.join(names) or 'none'}. Say which one is the CP:"
            " quazzar_k8s_container."
        )
    return found[0]


def source(box: Json, variable: str, objects: Mapping[tuple[str, str], Json]) -> Source:
    """Where this container's ``variable`` comes from. ``objects``: the ConfigMaps and Secrets that it refers to, by
    kind and name; values of a Secret are text here, not base64."""
    for item in reversed(box.get("env") or ()):
        if item.get("name") == variable:
            return _of_env(item, objects)
    for item in reversed(box.get("envFrom") or ()):
        prefix = str(item.get("prefix") or "")
        kind, name = _reference(item)
        key = variable[len(prefix) :] if variable.startswith(prefix) else ""
        holder = objects.get((kind, name)) or {}
        data = holder.get("data") or {}
        if key and key in data:
            return Source(kind, name, key, str(data[key]), whole=True, immutable=bool(holder.get("immutable")))
    return Source("absent")


def _of_env(item: Json, objects: Mapping[tuple[str, str], Json]) -> Source:
    by = item.get("valueFrom") or {}
    for field_name, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if field_name in by:
            name, key = str(by[field_name].get("name")), str(by[field_name].get("key"))
            holder = objects.get((kind, name)) or {}
            value = str((holder.get("data") or {}).get(key, ""))
            return Source(kind, name, key, value, immutable=bool(holder.get("immutable")))
    return Source("field") if by else Source("value", value=str(item.get("value") or ""))


def _reference(item: Json) -> tuple[str, str]:
    for field_name, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        if field_name in item:
            return kind, str((item[field_name] or {}).get("name"))
    return "", ""


def references(box: Json, variables: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Kind and name of each object that these variables of a container may come from."""
    wanted = set(variables)
    found = [_reference(item) for item in box.get("envFrom") or ()]
    for item in box.get("env") or ():
        by = item.get("valueFrom") or {}
        if item.get("name") in wanted and "configMapKeyRef" in by:
            found.append(("ConfigMap", str(by["configMapKeyRef"].get("name"))))
        if item.get("name") in wanted and "secretKeyRef" in by:
            found.append(("Secret", str(by["secretKeyRef"].get("name"))))
    return tuple(dict.fromkeys(pair for pair in found if pair[0]))


def refusal_to_follow(workload: Json, box: Json, variable: str, found: Source) -> str:
    """Why the variable cannot be set in the workload, with the remedy; empty when it can."""
    if found.kind in {"value", "absent"}:
        return ""
    where = f"{title(workload)}, container {box.get('name')}: {variable} comes from {found}"
    if found.kind == "field":
        return f"{where}, which cannot be set. Give the container a value of its own for it."
    shared = ", which other variables come from too" if found.whole else ""
    return (
        f"{where}{shared}. Nothing was changed. Let this collection edit that object (quazzar_k8s_env_source: follow), or"
        f" set {variable} in the env of the container, which comes before."
    )


def selector(workload: Json) -> str:
    """The label selector of its pods, as the API takes it. Raises InputError where there is none."""
    chosen = (workload.get("spec") or {}).get("selector") or {}
    parts = [f"{key}={value}" for key, value in sorted((chosen.get("matchLabels") or {}).items())]
    for rule in chosen.get("matchExpressions") or ():
        key, values = str(rule.get("key")), ",".join(rule.get("values") or ())
        operator = str(rule.get("operator"))
        texts = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append(texts[operator] if operator in texts else key)
    if not parts:
        raise InputError(f"{title(workload)}: expected a selector for its pods, found none")
    return ",".join(parts)


def pods(found: Iterable[Json], box: str, owners: Iterable[str]) -> tuple[Pod, ...]:
    """The pods of the workload, those of ``owners`` (UIDs of its ReplicaSets, or its own), by name.

    A pod whose end was asked for is still listed as Running, and still answers: it is not live. So is one that has been
    evicted or has completed.
    """
    allowed = set(owners)
    mine = [
        each
        for each in found
        if any(ref.get("uid") in allowed for ref in (each.get("metadata") or {}).get("ownerReferences") or ())
    ]
    return tuple(sorted((_pod(each, box) for each in mine), key=lambda pod: pod.name))


def _pod(found: Json, box: str) -> Pod:
    meta, status = found.get("metadata") or {}, found.get("status") or {}
    state = next((each for each in status.get("containerStatuses") or () if each.get("name") == box), {})
    why = ""
    if meta.get("deletionTimestamp"):
        why = "its end was asked for"
    elif status.get("phase") != "Running":
        why = str(status.get("reason") or status.get("message") or f"it is {status.get('phase') or 'not there yet'}")
    elif "running" not in (state.get("state") or {}):
        waiting = (state.get("state") or {}).get("waiting") or (state.get("state") or {}).get("terminated") or {}
        why = f"its container {box} does not run: {waiting.get('reason') or 'no reason given'}"
    own = next((e for e in (found.get("spec") or {}).get("containers") or () if e.get("name") == box), {})
    labels = meta.get("labels") or {}
    return Pod(
        name=str(meta.get("name")),
        address=str(status.get("podIP") or ""),
        live=not why,
        ready=bool(state.get("ready")) and not why,
        revision=str(labels.get("pod-template-hash") or labels.get("controller-revision-hash") or ""),
        why=why,
        ending=bool(meta.get("deletionTimestamp")),
        crashes=int(state.get("restartCount") or 0),
        ports={str(p.get("name") or p["containerPort"]): int(p["containerPort"]) for p in own.get("ports") or ()},
    )


def wanted(workload: Json) -> int:
    """How many replicas it is to have; the API's default is one."""
    number = (workload.get("spec") or {}).get("replicas")
    return 1 if number is None else int(number)


def stuck(workload: Json, found: Sequence[Pod]) -> list[str]:
    """The pods of a StatefulSet that are not ready and are of another revision than its template: it waits for them
    for ever, whatever the template says (Kubernetes documentation, "Forced rollback"). A Deployment has none."""
    if workload.get("kind") != "StatefulSet":
        return []
    revision = str((workload.get("status") or {}).get("updateRevision") or "")
    return [pod.name for pod in found if not pod.ready and not pod.ending and pod.revision != revision]


def reverts(workload: Json) -> str:
    """Who would put a change of this object back by itself; Helm does not, before its next upgrade."""
    keeper = kept_by(workload)
    return "" if keeper == "Helm" else keeper


def last_writer(workload: Json) -> str:
    """The manager that wrote the spec last, and when, as the API server has noted it; empty where it has not."""
    entries = (workload.get("metadata") or {}).get("managedFields") or ()
    wrote = [each for each in entries if "f:spec" in (each.get("fieldsV1") or {})]
    if not wrote:
        return ""
    last = max(wrote, key=lambda each: str(each.get("time") or ""))
    return f"{last.get('manager')} at {last.get('time')}"


def rollout(workload: Json, found: Sequence[Pod]) -> Rollout:
    """Whether the change that was made last has come to every replica, and nothing older runs any more."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    number = wanted(workload)
    if spec.get("paused"):
        return Rollout(False, "it is paused: resume it (kubectl rollout resume)", failed=True)
    if int(status.get("observedGeneration") or 0) < int((workload.get("metadata") or {}).get("generation") or 0):
        return Rollout(False, "its controller has not seen the change yet")
    late = next(
        (
            condition
            for condition in status.get("conditions") or ()
            if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        ),
        None,
    )
    updated, ready = int(status.get("updatedReplicas") or 0), int(status.get("readyReplicas") or 0)
    if workload.get("kind") == "StatefulSet" and status.get("updateRevision") == status.get("currentRevision"):
        updated = int(status.get("currentReplicas") or status.get("replicas") or 0)
    leaving = [pod.name for pod in found if not pod.live]
    if late is not None:
        return Rollout(False, _stuck(found) or str(late.get("message")), failed=True)
    crashing = [pod for pod in found if pod.crashes >= CRASHES and not pod.ready]
    if crashing:
        return Rollout(False, _stuck(crashing) or f"{crashing[0].name} crashes", failed=True)
    if updated < number:
        return Rollout(False, f"{updated} of {number} replicas have the change{_because(found)}")
    if ready < number:
        return Rollout(False, f"{ready} of {number} replicas are ready{_because(found)}")
    if int(status.get("replicas") or 0) > number or leaving:
        return Rollout(False, f"a replica from before still runs ({', '.join(leaving) or 'not named yet'})")
    return Rollout(True)


def _because(found: Sequence[Pod]) -> str:
    why = _stuck(found)
    return f" ({why})" if why else ""


def _stuck(found: Sequence[Pod]) -> str:
    return "; ".join(f"{pod.name}: {pod.why}" for pod in found if pod.why and "end was asked for" not in pod.why)


def kept_by(workload: Json) -> str:
    """Who keeps this object as a repository has it (Argo CD, Flux, Helm); empty when nothing says so."""
    meta = workload.get("metadata") or {}
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    for mark, who in _OWNERS:
        if mark in marks:
            return who
    managers = " ".join(str(each.get("manager")) for each in meta.get("managedFields") or ())
    for word, who in (("argocd", "Argo CD"), ("kustomize-controller", "Flux"), ("helm-controller", "Flux")):
        if word in managers:
            return who
    return ""


def stalls(
    workload: Json, claims: Mapping[str, Json], budgets: Sequence[Json] = (), *, one_node: bool = False
) -> tuple[str, ...]:
    """Why a rollout would not come to its end, one sentence each with the remedy.

    ``claims``: the PersistentVolumeClaims that its pods mount, by name. ``budgets``: the PodDisruptionBudgets that
    select its pods; they limit evictions and not a rollout, so only one that allows none is worth a word, because a
    node may have to be drained when the rollout is stuck. ``one_node``: all pods run on one node, so that a claim which
    one node may mount holds nothing up.
    """
    found: list[str] = []
    spec = workload.get("spec") or {}
    replicas = wanted(workload)
    strategy = spec.get("strategy") or {}
    rolling = workload.get("kind", "Deployment") == "Deployment" and strategy.get("type", "RollingUpdate") != "Recreate"
    if spec.get("paused"):
        found.append(
            f"{title(workload)} is paused, so no change would come to its pods. Resume it: kubectl rollout resume"
        )
    if replicas == 0:
        found.append(f"{title(workload)} has 0 replicas, so there is nothing to prove. Scale it up first")
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        found.append(
            f"{title(workload)} has the update strategy OnDelete, so no change comes to its pods by itself. Set"
            " RollingUpdate"
        )
    for name, claim in sorted(claims.items()):
        modes = set((claim.get("spec") or {}).get("accessModes") or ())
        if rolling and modes and modes <= {"ReadWriteOnce", "ReadWriteOncePod"}:
            pod_only = "ReadWriteOncePod" in modes
            if one_node and not pod_only:
                continue
            found.append(
                f"{title(workload)} mounts the claim {name}, which only one {'pod' if pod_only else 'node'} may mount"
                f" ({', '.join(sorted(modes))}), and rolls by starting new pods first: "
                + (
                    "a new pod waits for the old one, which waits for it."
                    if pod_only
                    else "a new pod on another node waits for ever."
                )
                + " Set the strategy Recreate, or a claim with ReadWriteMany"
                + ("" if pod_only else "; where all pods run on one node, set quazzar_k8s_one_node: true")
            )
    for budget in budgets:
        allowed = (budget.get("status") or {}).get("disruptionsAllowed")
        if allowed == 0 and replicas > 1:
            name = (budget.get("metadata") or {}).get("name")
            found.append(
                f"{title(workload)}: the PodDisruptionBudget {name} allows no disruption now. It does not hold up a"
                " rollout, but no node with such a pod can be drained meanwhile"
            )
    return tuple(found)


def claim_names(workload: Json) -> tuple[str, ...]:
    return tuple(
        str(volume["persistentVolumeClaim"].get("claimName"))
        for volume in _spec(workload).get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    )


def volume_of(workload: Json, box: Json, path: str) -> Json | None:
    """The volume on which ``path`` lies in this container; None: on the container's own file system."""
    wanted = path.rstrip("/") + "/"
    mounts = [m for m in box.get("volumeMounts") or () if wanted.startswith(str(m.get("mountPath")).rstrip("/") + "/")]
    if not mounts:
        return None
    deepest = max(mounts, key=lambda mount: len(str(mount.get("mountPath"))))
    volumes = _spec(workload).get("volumes") or ()
    return next((each for each in volumes if each.get("name") == deepest.get("name")), None)


def shares(workload: Json, box: Json, path: str) -> bool:
    """Whether what is written at ``path`` in one pod is there for all of them, and stays when they are made anew."""
    volume = volume_of(workload, box, path) if path else None
    return volume is not None and "emptyDir" not in volume


def pool_patch(box: Json, variable: str, value: str, mount: Mapping[str, str] | None) -> dict[str, Any]:
    """The strategic merge patch of the workload: the variable of one container, and where the legacy CAs are mounted.

    Lists of containers, env, volumes and volumeMounts are merged by name (by mountPath the last), so nothing else in
    them is touched. ``mount``: kind ("ConfigMap" or "Secret"), name and path; None leaves the volumes alone. An empty
    value takes the variable out.
    """
    entry: dict[str, Any] = {"name": variable, "value": value} if value else {"name": variable, "$patch": "delete"}
    body = mount_patch(box, mount)
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [entry]
    return body


def mount_patch(box: Json, mount: Mapping[str, str] | None) -> dict[str, Any]:
    """The part of it that mounts the legacy CAs."""
    patched: dict[str, Any] = {"name": box.get("name")}
    pod: dict[str, Any] = {"containers": [patched]}
    if mount is not None:
        holder = (
            {"configMap": {"name": mount["name"]}}
            if mount["kind"] == "ConfigMap"
            else {"secret": {"secretName": mount["name"]}}
        )
        pod["volumes"] = [{"name": VOLUME, **holder}]
        patched["volumeMounts"] = [{"name": VOLUME, "mountPath": mount["path"], "readOnly": True}]
    return {"spec": {"template": {"spec": pod}}}


def missing_rule(verb: str, resource: str, namespace: str, detail: str = "") -> str:
    """What to say when the API forbids something: the rule that a Role has to have. Of what is in no namespace
    (``namespace`` is empty) only a ClusterRole can have it."""
    group, _slash, name = (
        resource.rpartition("/") if resource.count("/") and "." in resource.split("/")[0] else ("", "", resource)
    )
    told = f" ({detail})" if detail else ""
    where, role = (f" in the namespace {namespace}", "Role") if namespace else ("", "ClusterRole")
    return (
        f"the API forbids {verb} {name}{where}{told}. The {role} of this account needs the rule"
        f' {{apiGroups: ["{group}"], resources: ["{name}"], verbs: ["{verb}"]}}; docs/kubernetes.md has it whole'
    )
