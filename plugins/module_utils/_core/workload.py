# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The Control Panel as a Kubernetes workload: what its objects say, and the patch that changes its trust pool.

Objects are the API's JSON as plain data; what is missing there, null or of another type counts as empty. A variable
comes from the container's own ``env`` before any ``envFrom``; of several entries the last one wins, and one that is
optional and leads nowhere is passed over (Kubernetes API reference, Container v1 core, and the kubelet's
makeEnvironment).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import pool
from .errors import InputError

Json = Mapping[str, Any]

KINDS = ("Deployment", "StatefulSet")
#: By what a controller that keeps objects as its repository has them is known: who, its labels or annotations, and
#: words in the names of managedFields. The last only when nobody before it is found, because both of the others use
#: what is made for it.
_KEEPERS = (
    ("Argo CD", ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"), ("argocd",)),
    (
        "Flux",
        ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"),
        ("kustomize-controller", "helm-controller"),
    ),
    ("Helm", ("meta.helm.sh/release-name",), ("helm",)),
)
#: The name of the volume and of the objects that hold the legacy CAs.
VOLUME = "quazzar-legacy-cas"
#: A container that was started again so often, and still is not ready, will not be by itself.
CRASHES = 2
#: What Kubernetes makes something else of in the ``value`` of an env entry: a reference, or the sign itself doubled.
_EXPANDED = re.compile(r"\$(?:\$|\([^)]*\))")
_GROUPS = ("apps", "policy")
#: A client opens these with GET or with POST, and later releases want the second right for either.
_CONNECTED = ("pods/exec", "pods/portforward")
#: As the Python client of Kubernetes calls itself.
_OWN_MANAGER = "OpenAPI-Generator"
_MESSAGE_LIMIT = 200
_REPLICAS_LIMIT = 100


@dataclass(frozen=True)
class Source:
    """Where a variable of a container gets its value.

    ``kind``: "value" (in the workload itself), "ConfigMap" or "Secret" (under ``key`` of the object ``name``), "field"
    (something of the pod, that nobody can set), or "absent".
    ``whole``: by envFrom, so that other variables come from the same object.
    ``expands``: the value holds what Kubernetes makes something else of when it starts the container, ``$(NAME)`` or
    ``$$``. ``value`` is as it stands; what a container really got is only known inside of it.
    ``trouble``: why there is no value under that key. ``gone``: there is no such object. ``immutable``: nobody may edit
    it.
    """

    kind: str
    name: str = ""
    key: str = ""
    value: str = ""
    whole: bool = False
    expands: bool = False
    trouble: str = ""
    gone: bool = False
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
    ``leaving`` says; ``ended``: its container has ended since. ``why``: why it is not live. ``restarts``: how often its
    container was started again. ``newest``: it is of the owner that the workload has made last. ``uid``: its own, while
    one of a StatefulSet that is made anew has its name again."""

    name: str
    address: str
    live: bool
    ready: bool
    revision: str = ""
    why: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    leaving: bool = False
    ended: bool = False
    restarts: int = 0
    newest: bool = True
    uid: str = ""


def _map(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _maps(value: Any) -> Sequence[Json]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, (list, tuple)) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> Sequence[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, (list, tuple)) else []


def _number(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def containers(workload: Json) -> Sequence[Json]:
    return _maps(_pod_spec(workload).get("containers"))


def _pod_spec(workload: Json) -> Json:
    return _map(_map(_map(workload.get("spec")).get("template")).get("spec"))


def wanted_replicas(workload: Json) -> int:
    """How many replicas there are to be; one when the workload does not say."""
    return _number(_map(workload.get("spec")).get("replicas"), 1)


def title(workload: Json) -> str:
    """Kind, namespace and name, as a message names the workload."""
    meta = _map(workload.get("metadata"))
    kind = _text(workload.get("kind")) or "Deployment"
    return f"{kind} {_text(meta.get('namespace')) or '?'}/{_text(meta.get('name')) or '?'}"


def container(workload: Json, wanted: str) -> Json:
    """The container of that name, or the only one when no name is given. Raises InputError that lists what there is."""
    found = containers(workload)
    names = [_text(each.get("name")) for each in found]
    if wanted:
        for each in found:
            if each.get("name") == wanted:
                return each
        before = [each.get("name") for each in _maps(_pod_spec(workload).get("initContainers"))]
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
    nowhere = Source("absent")
    for item in reversed(_maps(box.get("env"))):
        if item.get("name") == variable:
            found = _of_env(item, objects)
            if not (found.trouble and _optional(item)):
                return found
            nowhere = found
    for item in reversed(_maps(box.get("envFrom"))):
        prefix = _text(item.get("prefix"))
        kind, name = _reference(item, "Ref")
        key = variable[len(prefix) :] if variable.startswith(prefix) else ""
        holder = _map(objects.get((kind, name)))
        data = _map(holder.get("data"))
        if key and key in data:
            return Source(kind, name, key, _text(data[key]), whole=True, immutable=holder.get("immutable") is True)
    return nowhere


def _of_env(item: Json, objects: Mapping[tuple[str, str], Json]) -> Source:
    by, value = _map(item.get("valueFrom")), _text(item.get("value"))
    if value or not by:
        return Source("value", value=value, expands=bool(_EXPANDED.search(value)))
    kind, name = _reference(by, "KeyRef")
    if not kind:
        return Source("field")
    key = _text(_map(by.get(_field(kind, "KeyRef"))).get("key"))
    if (kind, name) not in objects:
        return Source(kind, name, key, trouble=f"there is no {kind} {name}", gone=True)
    holder = _map(objects[(kind, name)])
    data, immutable = _map(holder.get("data")), holder.get("immutable") is True
    if key not in data:
        return Source(kind, name, key, trouble=f"the {kind} {name} has no key {key}", immutable=immutable)
    return Source(kind, name, key, _text(data[key]), immutable=immutable)


def _field(kind: str, ending: str) -> str:
    return ("configMap" if kind == "ConfigMap" else "secret") + ending


def _reference(item: Json, ending: str) -> tuple[str, str]:
    """Kind and name of the object that an entry refers to; both empty when it is none."""
    for kind in ("ConfigMap", "Secret"):
        reference = item.get(_field(kind, ending))
        if isinstance(reference, Mapping):
            return kind, _text(reference.get("name"))
    return "", ""


def _optional(item: Json) -> bool:
    return any(_map(reference).get("optional") is True for reference in _map(item.get("valueFrom")).values())


def references(box: Json, variables: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Kind and name of each object that these variables of a container may come from, and of no other: who may read a
    workload need not be allowed to read every Secret beside it."""
    wanted = set(variables)
    entries = [item for item in _maps(box.get("env")) if _text(item.get("name")) in wanted]
    found = [_reference(_map(item.get("valueFrom")), "KeyRef") for item in entries]
    if wanted - {_text(item.get("name")) for item in entries if not _optional(item)}:
        found += [_reference(item, "Ref") for item in _maps(box.get("envFrom"))]
    return tuple(dict.fromkeys(pair for pair in found if all(pair)))


def behind(found: Source, started: Mapping[str, str]) -> list[str]:
    """The pods whose container was started with another trust pool than the object has that its variable comes from.

    ``started``: the variable as each container has it, by the name of its pod. A pod takes no note of such an object
    before it is made anew. What stands in the workload itself comes to every pod by a rollout, so of that there is none
    (and where it says nothing the image may have a value of its own).
    """
    if found.kind not in {"ConfigMap", "Secret"} or found.trouble:
        return []
    wanted = set(pool.entries(found.value))
    return [name for name, value in started.items() if set(pool.entries(value)) != wanted]


def refusal_to_follow(workload: Json, box: Json, variable: str, found: Source) -> str:
    """Why the variable cannot be set in the workload, with the remedy; empty when it can."""
    where = f"{title(workload)}, container {_text(box.get('name'))}: {variable}"
    entries = sum(1 for item in _maps(box.get("env")) if item.get("name") == variable)
    if found.expands:
        return (
            f"{where} is {found.value!r}, in which Kubernetes replaces $(NAME) and $$. Nothing was changed. Write the"
            " paths out in the env of the container."
        )
    if found.kind in {"value", "absent"}:
        if entries < 2:
            return ""
        return (
            f"{where} is set {entries} times in its env. The last one counts, and a patch would reach the first."
            " Nothing was changed. Leave one of them."
        )
    where = f"{where} comes from {found}"
    if found.kind == "field":
        return f"{where}, which cannot be set. Give the container a value of its own for it."
    shared = ", which other variables come from too" if found.whole else ""
    shared += f"; {found.trouble}" if found.trouble else ""
    return (
        f"{where}{shared}. Nothing was changed. Let this collection edit that object (quazzar_k8s_env_source: follow),"
        f" or set {variable} in the env of the container, which comes before."
    )


def selector(workload: Json) -> str:
    """The label selector of its pods, as the API takes it. Raises InputError where there is none, or one of a form that
    is not known: half a selector would find the pods of others."""
    chosen = _map(_map(workload.get("spec")).get("selector"))
    parts = [f"{key}={_text(value)}" for key, value in sorted(_map(chosen.get("matchLabels")).items())]
    for rule in _maps(chosen.get("matchExpressions")):
        key, operator = _text(rule.get("key")), _text(rule.get("operator"))
        values = ",".join(_texts(rule.get("values")))
        texts = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        if not key or operator not in texts:
            raise InputError(
                f"{title(workload)}: expected In, NotIn, Exists or DoesNotExist with a key in its selector, found"
                f" {operator or 'nothing'!r} for {key!r}"
            )
        parts.append(texts[operator])
    if not parts:
        raise InputError(f"{title(workload)}: expected a selector for its pods, found none")
    return ",".join(parts)


def pods(found: Iterable[Json], box: str, owners: Iterable[str]) -> tuple[Pod, ...]:
    """The pods of the workload, those of ``owners`` (UIDs of its ReplicaSets, the newest first, or its own), by name.

    A pod whose end was asked for is still listed as Running, and still answers: it is not live. So is one that has been
    evicted or has completed.
    """
    allowed = list(owners)
    mine = [(each, allowed.index(uid)) for each in found for uid in owners_of(each) if uid in allowed]
    return tuple(sorted((_pod(each, box, newest=not place) for each, place in mine), key=lambda pod: pod.name))


def owners_of(found: Json) -> Sequence[str]:
    return [_text(each.get("uid")) for each in _maps(_map(found.get("metadata")).get("ownerReferences"))]


def revision_of(replica_set: Json) -> int:
    """The number that a Deployment gives its ReplicaSet each time that it becomes the one that is wanted."""
    noted = _text(_map(_map(replica_set.get("metadata")).get("annotations")).get("deployment.kubernetes.io/revision"))
    return int(noted) if noted.isdecimal() and noted.isascii() else 0


def _pod(found: Json, box: str, *, newest: bool) -> Pod:
    meta, status = _map(found.get("metadata")), _map(found.get("status"))
    own = next((each for each in _maps(_map(found.get("spec")).get("containers")) if each.get("name") == box), {})
    state = next((each for each in _maps(status.get("containerStatuses")) if each.get("name") == box), {})
    labels = _map(meta.get("labels"))
    leaving = bool(meta.get("deletionTimestamp"))
    why = "its end was asked for" if leaving else _why(status, state, box)
    numbers = ((_text(each.get("name")), _number(each.get("containerPort"))) for each in _maps(own.get("ports")))
    return Pod(
        name=_text(meta.get("name")),
        address=_text(status.get("podIP")),
        live=not why,
        ready=state.get("ready") is True and not why,
        revision=_text(labels.get("pod-template-hash")) or _text(labels.get("controller-revision-hash")),
        why=why,
        ports={name or str(number): number for name, number in numbers if number},
        leaving=leaving,
        ended=leaving and bool(_map(_map(state.get("state")).get("terminated"))),
        restarts=_number(state.get("restartCount")),
        newest=newest,
        uid=_text(meta.get("uid")),
    )


def _why(status: Json, state: Json, box: str) -> str:
    """Why a pod that is to stay is not live; empty when it is."""
    phase = _text(status.get("phase"))
    if phase in ("Failed", "Succeeded"):
        return _text(status.get("reason")) or _text(status.get("message")) or f"it is {phase}"
    if phase == "Running" and isinstance(_map(state.get("state")).get("running"), Mapping):
        return ""
    before = [_halt(each) for each in _maps(status.get("initContainerStatuses"))]
    unplaced = [
        _text(each.get("message")) or _text(each.get("reason"))
        for each in _maps(status.get("conditions"))
        if each.get("type") == "PodScheduled" and each.get("status") == "False"
    ]
    told = next((text for text in (_halt(state), *before, *unplaced) if text), "")[:_MESSAGE_LIMIT]
    if phase == "Running":
        return f"its container {box} does not run: {told or 'no reason given'}"
    return f"it is {phase or 'not there yet'}{f': {told}' if told else ''}"


def _halt(state: Json) -> str:
    """What keeps a container from running; empty when it runs, has done its work, or waits for others only."""
    now = _map(state.get("state"))
    waiting, ended = _map(now.get("waiting")), _map(now.get("terminated"))
    reason = _text(waiting.get("reason")) or _text(ended.get("reason"))
    if not reason or reason in ("PodInitializing", "ContainerCreating", "Completed"):
        return ""
    last = ended or _map(_map(state.get("lastState")).get("terminated"))
    if last:
        return f"{reason} (exit status {_number(last.get('exitCode'))})"
    message = " ".join(_text(waiting.get("message")).split())
    return f"{reason}: {message}" if message else reason


def observed(workload: Json) -> bool:
    """Whether its controller has seen the change that was made last."""
    seen = _number(_map(workload.get("status")).get("observedGeneration"))
    return seen >= _number(_map(workload.get("metadata")).get("generation"))


def rollout(workload: Json, found: Sequence[Pod]) -> Rollout:
    """Whether the change that was made last has come to every replica, and nothing older runs any more.

    A pause, a partition or a missed deadline matters only where something has yet to come: conditions of an earlier
    change stand there until the controller has seen the new one.
    """
    status = _map(workload.get("status"))
    if not observed(workload):
        return Rollout(False, "its controller has not seen the change yet")
    pending = _pending(workload, found)
    if not pending:
        return Rollout(True)
    never = _held_up(workload)
    if never:
        return Rollout(False, f"{pending}; {never}", failed=True)
    # Those from before may crash until this change has taken them away. A StatefulSet's tell by their revision.
    current = [pod for pod in found if pod.newest and _text(status.get("updateRevision")) in ("", pod.revision)]
    crashing = [pod for pod in current if pod.restarts >= CRASHES and not pod.ready and not pod.leaving]
    if crashing:
        return Rollout(False, _stuck(crashing) or f"{crashing[0].name}: its container was restarted", failed=True)
    for condition in _maps(status.get("conditions")):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            told = _stuck(found) or _text(condition.get("message")) or "no reason given"
            return Rollout(False, f"it has missed its deadline: {told}", failed=True)
    return Rollout(False, pending)


def _pending(workload: Json, found: Sequence[Pod]) -> str:
    status, wanted = _map(workload.get("status")), wanted_replicas(workload)
    stateful = workload.get("kind") == "StatefulSet"
    replicas, updated = _number(status.get("replicas")), _number(status.get("updatedReplicas"))
    # Ready for as long as minReadySeconds asks. A StatefulSet did not tell before 1.22.
    ready = _number(status.get("readyReplicas" if stateful else "availableReplicas"))
    if stateful and status.get("updateRevision") == status.get("currentRevision"):
        updated = max(updated, _number(status.get("currentReplicas")) or replicas)
    stuck = _stuck(found)
    because = f" ({stuck})" if stuck else ""
    if updated < wanted:
        return f"{updated} of {wanted} replicas have the change{because}"
    if ready < wanted:
        return f"{ready} of {wanted} replicas are ready{because}"
    # One that has ended is listed for some seconds more.
    leaving = [pod.name for pod in found if pod.leaving and not pod.ended]
    if replicas > wanted or leaving:
        return f"a replica from before still runs ({', '.join(leaving) or 'not named yet'})"
    if len({pod.revision for pod in found if pod.live}) > 1:
        told = ", ".join(f"{pod.name} of {pod.revision}" for pod in found if pod.live)
        return f"replicas of more than one revision run ({told})"
    return ""


def _held_up(workload: Json) -> str:
    """What keeps a change from every pod until somebody acts, with the remedy."""
    spec = _map(workload.get("spec"))
    strategy = _map(spec.get("updateStrategy"))
    if spec.get("paused") is True:
        return "it is paused, resume it: kubectl rollout resume"
    if strategy.get("type") == "OnDelete":
        return "its update strategy is OnDelete, so no change comes to its pods by itself: set RollingUpdate"
    partition = _number(_map(strategy.get("rollingUpdate")).get("partition"))
    if partition > 0:
        return f"its partition is {partition}, so no change comes to the pods with lower numbers: set it to 0"
    return ""


def _stuck(found: Sequence[Pod]) -> str:
    return "; ".join(f"{pod.name}: {pod.why}" for pod in found if pod.why and not pod.leaving)


def stuck(workload: Json, found: Sequence[Pod]) -> list[str]:
    """The pods of a StatefulSet that are not ready and are of another revision than its template: it waits for them
    for ever, whatever the template says (Kubernetes documentation, "Forced rollback"). A Deployment has none."""
    revision = _text(_map(workload.get("status")).get("updateRevision"))
    if workload.get("kind") != "StatefulSet" or not revision:
        return []
    return [pod.name for pod in found if not pod.ready and not pod.leaving and pod.revision != revision]


def reverts(workload: Json) -> str:
    """Who would put a change of this object back by itself; Helm does not, before its next upgrade."""
    keeper = kept_by(workload)
    return "" if keeper == "Helm" else keeper


def last_writer(workload: Json) -> str:
    """The manager beside this collection that wrote the spec last, and when, as the API server has noted it; empty
    where it has not. It notes who has set a field, and not who has taken one away."""
    entries = _maps(_map(workload.get("metadata")).get("managedFields"))
    wrote = [each for each in entries if "f:spec" in _map(each.get("fieldsV1")) and each.get("manager") != _OWN_MANAGER]
    if not wrote:
        return ""
    last = max(wrote, key=lambda each: _text(each.get("time")))
    return f"{_text(last.get('manager'))} at {_text(last.get('time'))}"


def kept_by(workload: Json) -> str:
    """Who keeps this object as a repository has it (Argo CD, Flux, Helm); empty when nothing says so."""
    meta = _map(workload.get("metadata"))
    marks = {*_map(meta.get("labels")), *_map(meta.get("annotations"))}
    managers = [_text(each.get("manager")).lower() for each in _maps(meta.get("managedFields"))]
    for who, its_marks, words in _KEEPERS:
        if marks.intersection(its_marks) or any(word in manager for word in words for manager in managers):
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
    replicas = wanted_replicas(workload)
    held_up = _held_up(workload)
    if held_up:
        found.append(f"{title(workload)}: {held_up}")
    if replicas == 0:
        found.append(f"{title(workload)} has 0 replicas, so there is nothing to prove. Scale it up first")
    for name, claim in sorted(claims.items()):
        modes = set(_texts(_map(_map(claim).get("spec")).get("accessModes")))
        if _starts_new_pods_first(workload) and modes and modes <= {"ReadWriteOnce", "ReadWriteOncePod"}:
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
    for budget in _maps(budgets):
        if _map(budget.get("status")).get("disruptionsAllowed") == 0 and replicas > 1:
            its_name = _text(_map(budget.get("metadata")).get("name"))
            found.append(
                f"{title(workload)}: the PodDisruptionBudget {its_name} allows no disruption now. It"
                " does not hold up a rollout, but no node with such a pod can be drained meanwhile"
            )
    return tuple(found)


def _starts_new_pods_first(workload: Json) -> bool:
    strategy = _map(_map(workload.get("spec")).get("strategy"))
    if workload.get("kind", "Deployment") != "Deployment" or strategy.get("type") == "Recreate":
        return False
    # With no surplus the old pod of a single replica ends first. Of several some others still hold the volume.
    surplus = _map(strategy.get("rollingUpdate")).get("maxSurge")
    return not (surplus in (0, "0", "0%") and wanted_replicas(workload) <= 1)


def claim_names(workload: Json) -> tuple[str, ...]:
    """The claims that its pods mount; of those made from a template, which each pod has for itself, one a replica."""
    volumes = _maps(_pod_spec(workload).get("volumes"))
    named = [_text(_map(volume.get("persistentVolumeClaim")).get("claimName")) for volume in volumes]
    numbers = range(min(wanted_replicas(workload), _REPLICAS_LIMIT))
    made = [_own_claim(workload, name, number) for name in _claim_templates(workload) for number in numbers]
    return tuple(dict.fromkeys(name for name in (*named, *made) if name))


def _claim_templates(workload: Json) -> Sequence[str]:
    made = _maps(_map(workload.get("spec")).get("volumeClaimTemplates"))
    return [name for name in (_text(_map(each.get("metadata")).get("name")) for each in made) if name]


def _own_claim(workload: Json, template: str, number: int) -> str:
    return f"{template}-{_text(_map(workload.get('metadata')).get('name'))}-{number}"


def volume_of(workload: Json, box: Json, path: str) -> Json | None:
    """The volume on which ``path`` lies in this container; None: on the container's own file system.

    Of a volume that each pod of a StatefulSet has for itself the claim is the first pod's.
    """
    wanted = _directory(path)
    mounts = [each for each in _maps(box.get("volumeMounts")) if _text(each.get("mountPath"))]
    mounts = [each for each in mounts if wanted.startswith(_directory(each["mountPath"]))]
    if not mounts:
        return None
    name = _text(max(mounts, key=lambda mount: len(_directory(mount["mountPath"]))).get("name"))
    if name in _claim_templates(workload):
        return {"name": name, "persistentVolumeClaim": {"claimName": _own_claim(workload, name, 0)}}
    return next((each for each in _maps(_pod_spec(workload).get("volumes")) if each.get("name") == name), None)


def _directory(path: str) -> str:
    return posixpath.normpath(path).rstrip("/") + "/"


def pool_patch(box: Json, variable: str, value: str, mount: Mapping[str, str] | None) -> dict[str, Any]:
    """The strategic merge patch of the workload: the variable of one container, and where the legacy CAs are mounted.

    Lists of containers, env, volumes and volumeMounts are merged by name (by mountPath the last), so nothing else in
    them is touched. ``mount``: kind ("ConfigMap" or "Secret"), name and path; None leaves the volumes alone. An empty
    value takes the variable out; where envFrom may have another value for it, it becomes an empty one instead. Raises
    InputError for a value that Kubernetes would make something else of, and for a place that is taken.
    """
    if _EXPANDED.search(value):
        raise InputError(
            f"{variable}: expected paths, found {value!r}, in which Kubernetes replaces $(NAME) and $$. Use other"
            " paths."
        )
    body = mount_patch(box, mount)
    # What is not there must not be deleted: servers before 1.26 make an entry of it where there is no list yet.
    if value or any(item.get("name") == variable for item in _maps(box.get("env"))):
        body["spec"]["template"]["spec"]["containers"][0]["env"] = [_entry(box, variable, value)]
    return body


def mount_patch(box: Json, mount: Mapping[str, str] | None) -> dict[str, Any]:
    """The part of it that mounts the legacy CAs."""
    patched: dict[str, Any] = {"name": _text(box.get("name"))}
    pod: dict[str, Any] = {"containers": [patched]}
    if mount is not None:
        _refuse_a_taken_place(box, mount["path"])
        of_map, of_secret = {"name": mount["name"]}, {"secretName": mount["name"]}
        is_map = mount["kind"] == "ConfigMap"
        # A volume is of one kind only, and it may have been of the other before.
        kinds = {"configMap": of_map, "secret": None} if is_map else {"secret": of_secret, "configMap": None}
        pod["volumes"] = [{"name": VOLUME, **kinds}]
        patched["volumeMounts"] = [{"name": VOLUME, "mountPath": mount["path"], "readOnly": True}]
    return {"spec": {"template": {"spec": pod}}}


def _entry(box: Json, variable: str, value: str) -> dict[str, Any]:
    if value or _maps(box.get("envFrom")):
        return {"name": variable, "value": value}
    return {"name": variable, "$patch": "delete"}


def _refuse_a_taken_place(box: Json, path: str) -> None:
    for each in _maps(box.get("volumeMounts")):
        taken, name = _text(each.get("mountPath")), _text(each.get("name"))
        same_name = name == VOLUME and taken == path
        if taken and _directory(taken) == _directory(path) and not same_name:
            raise InputError(
                f"container {_text(box.get('name'))}: expected nothing at {path}, where the legacy CAs are to be"
                f" mounted, found the volume {name} at {taken}. Choose another directory: quazzar_legacy_ca_dir."
            )


def shares(workload: Json, box: Json, path: str) -> bool:
    """Whether what is written at ``path`` in one pod is there for all of them, and stays when they are made anew."""
    volume = volume_of(workload, box, path) if path else None
    own = volume is not None and volume.get("name") in _claim_templates(workload)
    return volume is not None and "emptyDir" not in volume and (not own or wanted_replicas(workload) == 1)


def missing_rule(verb: str, resource: str, namespace: str, named: str = "", detail: str = "") -> str:
    """What to say when the API forbids something: the rule that a Role has to have, or a ClusterRole for what is in no
    namespace.

    ``resource``: "pods", "pods/exec", or with its group before it: "apps/deployments", "coordination.k8s.io/leases".
    ``named``: the object; it is left out where a rule with a name would not allow it, or not for long.
    """
    first, _slash, rest = resource.partition("/")
    group, name = (first, rest) if rest and (first in _GROUPS or "." in first) else ("", resource)
    verbs = '"get", "create"' if name in _CONNECTED else f'"{verb}"'
    told = f" ({detail})" if detail else ""
    lasts = named and verb in ("get", "update", "patch") and first != "pods"
    only = f', resourceNames: ["{named}"]' if lasts else ""
    where, role = (f" in the namespace {namespace}", "Role") if namespace else ("", "ClusterRole")
    return (
        f"this account may not {verb} {name}{where}{told}. Its {role} needs the rule"
        f' {{apiGroups: ["{group}"], resources: ["{name}"], verbs: [{verbs}]{only}}}; docs/kubernetes.md has it whole'
    )
