# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Which objects have to be patched, and how, for a workload to run with another trust pool; and what people who keep
their objects in a repository write there instead."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import pool, workload
from .errors import InputError

Json = Mapping[str, Any]

CONTAINER, FOLLOW = "container", "follow"
#: By this the pods are made anew where the variable stands in another object, of which they know nothing.
STAMP = "quazzar.ca-rotation/pool"


@dataclass(frozen=True)
class Patch:
    """One object and its strategic merge patch. ``hidden``: what else is in that object is a secret."""

    api_version: str
    kind: str
    name: str
    body: Mapping[str, Any]

    @property
    def hidden(self) -> bool:
        return self.kind == "Secret"


@dataclass(frozen=True)
class Change:
    """``value`` and ``before``: of the variable. ``mounts``: the object with the legacy CAs is mounted by it.
    ``rolls``: the template of the pods is patched, so they are made anew."""

    before: str
    value: str
    patches: tuple[Patch, ...]
    mounts: bool = False

    @property
    def rolls(self) -> bool:
        return any(patch.kind in workload.KINDS for patch in self.patches)


@dataclass(frozen=True)
class Legacy:
    """Where the certificates of legacy CAs are placed: a key each in the object of this ``kind`` ("ConfigMap" or
    "Secret") and ``name``, which the container sees in the directory ``path``; ``mounted``: already."""

    kind: str
    name: str
    path: str
    mounted: bool


def legacy(found: Json, box: Json, path: str, kind: str, name: str) -> Legacy:
    """The object behind ``path`` in the container, else the one that is to come there. An object that is mounted there
    already is used, whatever its name: two volumes cannot be mounted at one path. Raises InputError with the remedy
    where no new key of it would be seen."""
    path = path.rstrip("/")
    mount: Json = next((m for m in box.get("volumeMounts") or () if str(m.get("mountPath")).rstrip("/") == path), {})
    volume = workload.volume_of(found, box, path) if mount else None
    if volume is None:
        return Legacy(kind, name, path, mounted=False)
    for its_kind, field, its_name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
        held = volume.get(field)
        if held:
            place = Legacy(its_kind, str(held.get(its_name)), path, mounted=True)
            parts = [part for part in ("items", "subPath", "subPathExpr") if held.get(part) or mount.get(part)]
            if parts:
                raise InputError(
                    f"{workload.title(found)}: expected the whole {place.kind} {place.name} mounted at {path}, found a"
                    f" part of it ({', '.join(parts)}), in which no new CA would appear. Nothing was changed. Mount it"
                    " whole, or set quazzar_legacy_ca_dir to a directory of their own."
                )
            return place
    raise InputError(
        f"{workload.title(found)}: expected a ConfigMap or a Secret mounted at {path}, or nothing, found the volume"
        f" {volume.get('name')} of another kind. Place the legacy CAs as files on it"
        " (quazzar_k8s_legacy_source: volume), or set quazzar_legacy_ca_dir to a directory of their own."
    )


def change(
    found: Json,
    box: Json,
    variable: str,
    source: workload.Source,
    *,
    add: Sequence[str],
    remove: Sequence[str],
    env_source: str,
    place: Legacy | None,
    keys: Collection[str] = (),
    unmount: bool = False,
) -> Change:
    """What gives the variable these entries more and these less. Raises InputError with the remedy where it must not be
    set. ``place``: mounted when entries in its directory are added; None: they are files on a volume. ``keys``: of the
    object there, also those that are just being placed. ``unmount``: take that mount away again, so that the template
    of the pods is what it was before."""
    value = pool.with_entries(source.value, add, remove)
    mount = None
    if place is not None and not place.mounted and _needs_mount(place, pool.entries(source.value), add, keys):
        _refuse_to_hide(found, place, pool.entries(value), keys)
        mount = {"kind": place.kind, "name": place.name, "path": place.path}
    own = [m for m in box.get("volumeMounts") or () if unmount and m.get("name") == workload.VOLUME]
    if value == source.value and mount is None and not own:
        return Change(source.value, value, ())
    refusal = refused(found, box, variable, source, env_source)
    if refusal:
        raise InputError(refusal)
    api = str(found.get("apiVersion") or "apps/v1")
    name = str((found.get("metadata") or {}).get("name"))
    if source.kind not in {"ConfigMap", "Secret"}:
        body = _unmounted(workload.pool_patch(box, variable, value, mount), own)
        patch = Patch(api, str(found["kind"]), name, body)
        return Change(source.value, value, (patch,), mounts=mount is not None)
    key = "data" if source.kind == "ConfigMap" else "stringData"
    held = Patch("v1", source.kind, source.name, {key: {source.key: value}})
    body = _unmounted(_stamped(workload.mount_patch(box, mount), value), own)
    return Change(source.value, value, (held, Patch(api, str(found["kind"]), name, body)), mounts=mount is not None)


def _below(place: Legacy, entry: str) -> str:
    """What is left of a path below the directory; empty where it is elsewhere."""
    path, directory = posixpath.normpath(entry), posixpath.normpath(place.path) + "/"
    return path[len(directory) :] if path.startswith(directory) else ""


def _needs_mount(place: Legacy, before: Sequence[str], add: Sequence[str], keys: Collection[str]) -> bool:
    # An entry from before that is no key is a file, which needs none.
    names = [_below(place, each) for each in add if each not in before or _below(place, each) in keys]
    return any(name and "/" not in name for name in names)


def _refuse_to_hide(found: Json, place: Legacy, entries: Sequence[str], keys: Collection[str]) -> None:
    hidden = [each for each in entries if _below(place, each) and _below(place, each) not in keys]
    if hidden:
        raise InputError(
            f"{workload.title(found)}: the {place.kind} {place.name} is to be mounted at {place.path}, and would hide"
            f" {', '.join(hidden)}, of which it has no key. Nothing was changed. Place the legacy CAs as files there"
            " too (quazzar_k8s_legacy_source: volume), or set quazzar_legacy_ca_dir to a directory of their own."
        )


def immutable(found: Json, place: Legacy | None, held: Json) -> str:
    """Why no CA can be placed in the object ``held``; empty when one can."""
    if place is None or held.get("immutable") is not True:
        return ""
    return (
        f"{workload.title(found)}: the {place.kind} {place.name}, in which legacy CAs are placed, is immutable. Nothing"
        " was changed. Delete it and make it anew with the same keys and without immutable: true."
    )


def refused(found: Json, box: Json, variable: str, source: workload.Source, env_source: str) -> str:
    """Why the variable must not be set; empty when it may be."""
    if env_source == FOLLOW and source.kind in {"ConfigMap", "Secret"}:
        why = ", which is immutable" if source.immutable else f"; {source.trouble}" if source.gone else ""
        if not why:
            return ""
        return (
            f"{workload.title(found)}, container {box.get('name')}: {variable} comes from {source}{why}."
            f" Nothing was changed. Set {variable} in the env of the container, which comes before."
        )
    return workload.refusal_to_follow(found, box, variable, source)


def _stamped(body: dict[str, Any], value: str) -> dict[str, Any]:
    # null takes it away, so that a template without the entry is the same as before
    body["spec"]["template"]["metadata"] = {"annotations": {STAMP: value or None}}
    return body


def _unmounted(body: dict[str, Any], mounts: Sequence[Json]) -> dict[str, Any]:
    if mounts:
        pod = body["spec"]["template"]["spec"]
        pod["volumes"] = [{"name": workload.VOLUME, "$patch": "delete"}]
        pod["containers"][0]["volumeMounts"] = [{"mountPath": m["mountPath"], "$patch": "delete"} for m in mounts]
    return body


def restart(found: Json, moment: str) -> Patch:
    """The patch by which ``kubectl rollout restart`` has every pod made anew."""
    body = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": moment}}}}}
    name = str((found.get("metadata") or {}).get("name"))
    return Patch(str(found.get("apiVersion") or "apps/v1"), str(found["kind"]), name, body)


def manifest(patch: Patch, namespace: str) -> dict[str, Any]:
    """The patch as an object of its own, as files of a repository hold it."""
    about = {"name": patch.name, "namespace": namespace}
    return {"apiVersion": patch.api_version, "kind": patch.kind, "metadata": about, **patch.body}


def forms(namespace: str, made: Change, variable: str, box: Json) -> dict[str, Any]:
    """The same change as a repository may hold it: strategic merge patches, a Kustomization, and values for a chart.

    The Kustomization names a file for each patch. Charts have no common names for such values, so the usual ones are
    taken.
    """
    files = {f"{patch.kind.lower()}-{patch.name}.yml": manifest(patch, namespace) for patch in made.patches}
    values: dict[str, Any] = {}
    for patch in made.patches:
        if patch.kind in workload.KINDS:
            values.update(_values(patch.body["spec"]["template"], made, variable, box))
        else:
            values[f"{patch.kind} {patch.name}"] = dict(patch.body)
    return {"strategic_merge": files, "kustomize": {"patches": [{"path": name} for name in files]}, "helm": values}


def _values(template: Json, made: Change, variable: str, box: Json) -> dict[str, Any]:
    pod = template.get("spec") or {}
    mine: Json = next((each for each in pod.get("containers") or () if each.get("name") == box.get("name")), {})
    values: dict[str, Any] = {}
    if mine.get("env"):
        # Without an entry: the chart's list of variables has to lose it.
        values["extraEnv"] = [{"name": variable, "value": made.value}] if made.value else []
    if pod.get("volumes"):
        # What is to be deleted is not in a list any more.
        for name, listed in (("extraVolumes", pod["volumes"]), ("extraVolumeMounts", mine["volumeMounts"])):
            values[name] = [each for each in listed if "$patch" not in each]
    notes = (template.get("metadata") or {}).get("annotations")
    return {**values, "podAnnotations": notes} if notes else values


def rights(found: Json, source: workload.Source, options: Json, place: Legacy | None) -> list[tuple[str, str, str]]:
    """What an account must be allowed for a change of the pool: verb, resource ("group/name") and name of the object,
    which is empty where a rule cannot name one (a right to create never can)."""
    kind = str(found.get("kind") or "Deployment").lower()
    needed = [("patch", f"apps/{kind}s", str((found.get("metadata") or {}).get("name")))]
    if place is not None:
        resource = f"{place.kind.lower()}s"
        needed += [("get", resource, place.name), ("patch", resource, place.name)]
        needed += [] if place.mounted else [("create", resource, "")]
    if options.get("env_source") == FOLLOW and source.kind in {"ConfigMap", "Secret"}:
        needed.append(("patch", f"{source.kind.lower()}s", source.name))
    # It waits for a pod that does not get ready, even when its template has been put back.
    return [*needed, ("delete", "pods", "")] if kind == "statefulset" else needed
