# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Control Panel's workload as the API has it, and an API server's strategic merge patch, for the tests."""

from __future__ import annotations

import copy
import typing as t

CP = "control-center"
POOL = "CC_TRUST_ADDITIONAL_CA_CERTS"
Tree = dict[str, t.Any]


def box(**fields: t.Any) -> Tree:
    return {"name": CP, "image": "panel:1", **fields}


def made(*containers: Tree, kind: str = "Deployment", status: Tree | None = None, **spec: t.Any) -> Tree:
    """A Deployment as the API has it; ``pod`` are fields of its pods, ``meta`` of its own metadata."""
    pod, meta = spec.pop("pod", {}), spec.pop("meta", {})
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "quazzar-cc", "namespace": "quazzar", "generation": 3, "uid": "u1", **meta},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "quazzar-cc"}},
            "template": {"spec": {"containers": list(containers) or [box()], **pod}},
            **spec,
        },
        "status": {} if status is None else status,
    }


def by(kind: str, name: str, key: str, **more: t.Any) -> Tree:
    field = "configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"
    return {"name": POOL, "valueFrom": {field: {"name": name, "key": key, **more}}}


def all_of(kind: str, name: str, prefix: str = "") -> Tree:
    entry: Tree = {("configMapRef" if kind == "ConfigMap" else "secretRef"): {"name": name}}
    return {**entry, "prefix": prefix} if prefix else entry


#: patchMergeKey of the lists that are merged (k8s.io/api/core/v1/types.go).
MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def merged(original: t.Any, patch: t.Any) -> t.Any:
    """A strategic merge patch applied, as far as the lists above go."""
    result = copy.deepcopy(original)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(result.get(name) or {}, value)
        elif isinstance(value, list):
            if result.get(name) is None:
                # As servers before 1.26 do it: where there is no list yet, directives are not looked at.
                assert not any("$patch" in each for each in value), "an entry would be made of a directive"
                result[name] = []
            for each in value:
                _merge_item(result[name], each, MERGE_KEYS[name])
        else:
            result[name] = value
    return result


def _merge_item(items: list[Tree], patch: Tree, key: str) -> None:
    found = [number for number, item in enumerate(items) if item.get(key) == patch[key]]
    if patch.get("$patch") == "delete":
        for number in reversed(found):
            del items[number]
    elif found:
        items[found[0]] = merged(items[found[0]], patch)
    else:
        items.append({name: value for name, value in patch.items() if value is not None})
