# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What a workload's objects say about the loss of its CA: the volume that the certificates are on, who may make a CA.

Facts only; the rules over them are in guardrails. Objects are the API's JSON as plain data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import pool, workload

Json = Mapping[str, Any]

CLAIM, TEMPLATE, NO_VOLUME = "persistentVolumeClaim", "volumeClaimTemplate", "none"
_ONE_NODE, _ONE_POD = "ReadWriteOnce", "ReadWriteOncePod"


def replicas(found: Json) -> int:
    wanted = (found.get("spec") or {}).get("replicas")
    return 1 if wanted is None else int(wanted)


# --- the volume -------------------------------------------------------------------------------------------------------


def place(found: Json, box: Json, certs_dir: str, seen: Iterable[str]) -> dict[str, str]:
    """On which volume the certificates really lie: path, mount, volume (its name in the pod) and kind.

    ``seen``: where the pods say that the file system of the directory is mounted, which a link in it may have led
    elsewhere.
    """
    path = next((each for each in seen if each), certs_dir)
    mount = _mount(box, path)
    name = str(mount.get("name") or "")
    return {
        "path": certs_dir,
        "mount": str(mount.get("mountPath") or ""),
        "volume": name,
        "kind": _kind(found, name) if name else NO_VOLUME,
    }


def _mount(box: Json, path: str) -> Json:
    """The innermost mount that a path is below; empty: it is on the container's own file system."""
    below = path.rstrip("/") + "/"
    around = [
        mount
        for mount in box.get("volumeMounts") or ()
        if below.startswith(str(mount.get("mountPath")).rstrip("/") + "/")
    ]
    return max(around, key=lambda mount: len(str(mount.get("mountPath")).rstrip("/")), default={})


def _kind(found: Json, name: str) -> str:
    # A template comes before a volume of the same name (API reference, StatefulSetSpec).
    if name in _templates(found):
        return TEMPLATE
    volumes = (((found.get("spec") or {}).get("template") or {}).get("spec") or {}).get("volumes") or ()
    volume: Json = next((each for each in volumes if each.get("name") == name), {})
    return next((str(key) for key in volume if key != "name"), NO_VOLUME)


def shared_claims(found: Json) -> tuple[str, ...]:
    """The claims that every pod mounts."""
    volumes = (((found.get("spec") or {}).get("template") or {}).get("spec") or {}).get("volumes") or ()
    names = [str(each[CLAIM].get("claimName")) for each in volumes if each.get(CLAIM)]
    return tuple(dict.fromkeys(names))


def _templates(found: Json) -> dict[str, Json]:
    made = (found.get("spec") or {}).get("volumeClaimTemplates") or ()
    return {str((each.get("metadata") or {}).get("name")): each for each in made}


def claim_names(found: Json, volume: str) -> tuple[str, ...]:
    """The claims behind a volume of the pods: one, or one a pod where a StatefulSet makes them by a template."""
    if volume in _templates(found):
        name = (found.get("metadata") or {}).get("name")
        first = int(((found.get("spec") or {}).get("ordinals") or {}).get("start") or 0)
        return tuple(f"{volume}-{name}-{first + number}" for number in range(replicas(found)))
    volumes = (((found.get("spec") or {}).get("template") or {}).get("spec") or {}).get("volumes") or ()
    return tuple(
        str((each.get(CLAIM) or {}).get("claimName"))
        for each in volumes
        if each.get("name") == volume and CLAIM in each
    )


def claim(name: str, found: Json | None, volume: Json | None, error: str, volume_error: str) -> dict[str, Any]:
    """One claim and the PersistentVolume that it is bound to. The errors say why one of them is not known."""
    spec, status = (found or {}).get("spec") or {}, (found or {}).get("status") or {}
    return {
        "name": name,
        "found": found is not None,
        "error": error,
        "phase": str(status.get("phase") or ""),
        "access_modes": [str(mode) for mode in spec.get("accessModes") or ()],
        "storage_class": str(spec.get("storageClassName") or ""),
        "volume": str(spec.get("volumeName") or ""),
        "reclaim_policy": str(((volume or {}).get("spec") or {}).get("persistentVolumeReclaimPolicy") or ""),
        "volume_error": volume_error,
    }


def conflicts(found: Json, claims: Mapping[str, Json], certs: Json) -> tuple[str, ...]:
    """Why the number of replicas and the strategy do not fit the claims, one sentence each.

    ``claims``: shared_claims(), as far as they are there, by name. ``certs``: what place() returned.
    """
    count, without = replicas(found), workload.stalls(found, {})
    said = [each for each in workload.stalls(found, claims) if each not in without]
    for name, each in sorted(claims.items()) if count > 1 else ():
        modes = set((each.get("spec") or {}).get("accessModes") or ())
        if modes and modes <= {_ONE_NODE, _ONE_POD}:
            one = "pod" if _ONE_POD in modes else "node"
            said.append(
                f"{workload.title(found)} has {count} replicas on the claim {name}, which only one {one} may mount"
                f" ({', '.join(sorted(modes))}): a pod elsewhere never starts"
            )
    if count > 1 and certs["kind"] == TEMPLATE:
        said.append(
            f"{workload.title(found)} has {count} replicas, and each has a volume of its own for the certificates"
            f" (volumeClaimTemplate {certs['volume']}): one that loses it goes on with another CA than the others"
        )
    return tuple(said)


# --- who may make a CA ------------------------------------------------------------------------------------------------


def boxes(found: Json) -> tuple[tuple[Json, bool], ...]:
    """Every container of the pods, and whether it is an init container."""
    spec = ((found.get("spec") or {}).get("template") or {}).get("spec") or {}
    return (
        *((each, True) for each in spec.get("initContainers") or ()),
        *((each, False) for each in spec.get("containers") or ()),
    )


def flags(
    found: Json, variable: str, objects: Mapping[tuple[str, str], Json], errors: Mapping[tuple[str, str], str]
) -> list[dict[str, Any]]:
    """Every source of a switch in every container, those that another one hides too.

    ``objects`` and ``errors``: the ConfigMaps and Secrets that the containers refer to, or why one cannot be read. One
    that cannot be read and is hidden is left out: nobody should have to be allowed to read a Secret for that.
    ``on`` is None when the value is not known. ``hidden``: another source of the container comes before this one.
    """
    return [flag for box, init in boxes(found) for flag in _of_box(box, variable, objects, errors, init=init)]


def _of_box(
    box: Json,
    variable: str,
    objects: Mapping[tuple[str, str], Json],
    errors: Mapping[tuple[str, str], str],
    *,
    init: bool,
) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    # From the one that wins to the one that comes last.
    for one in _apart(box):
        refers = workload.references(one, [variable])
        error = next((errors[pair] for pair in refers if pair in errors), "")
        source = workload.source(one, variable, objects)
        # What cannot be read may or may not have the variable, so it hides nothing.
        hidden = any(not each["error"] for each in said)
        if hidden if error else source.kind == "absent":
            continue
        # The kubelet puts the value of another variable in the place of $(NAME).
        known = not error and source.kind != "field" and not (source.kind == "value" and "$(" in source.value)
        where = f"the {refers[0][0]} {refers[0][1]}" if error else str(source)
        said.append(
            {
                "container": str(box.get("name")),
                "init": init,
                "source": where,
                "on": pool.is_true(source.value) if known else None,
                "hidden": hidden,
                "error": error,
            }
        )
    return said


def references(found: Json, variable: str) -> tuple[tuple[str, str], ...]:
    """Kind and name of each object that the variable may come from in any container, or would if another source were
    gone."""
    ones = [one for box, _init in boxes(found) for one in _apart(box)]
    return tuple(dict.fromkeys(pair for one in ones for pair in workload.references(one, [variable])))


def _apart(box: Json) -> Sequence[dict[str, Any]]:
    """The container as often as it has sources, with one of them each."""
    return [{key: [item]} for key in ("env", "envFrom") for item in reversed(box.get(key) or ())]
