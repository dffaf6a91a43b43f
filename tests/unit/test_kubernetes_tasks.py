# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tasks of the platform kubernetes ask for. What one of kubernetes.core leaves in its result is printed at -v
and stored by AWX: kubernetes.core itself hides the fields that the task names."""

from __future__ import annotations

import copy
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import workload, workload_patch

ROLE = Path(__file__).resolve().parents[2] / "roles" / "controlplane"
PASSWORD, BASE64 = "hunter22-plain", "aHVudGVyMjItYmFzZTY0"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _with(module: str, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks of this module, also in blocks."""
    inner = [each for task in tasks for each in _with(module, task.get("block", []))]
    return [*inner, *(task for task in tasks if module in task)]


def _tasks(module: str, path: Path) -> list[dict[str, Any]]:
    return _with(module, yaml.safe_load(path.read_text(encoding="utf-8")))


TASKS = [
    pytest.param(task, id=f"{path.name}: {task['name']}")
    for path in sorted((ROLE / "tasks").rglob("*.yml"))
    for task in _tasks("kubernetes.core.k8s", path)
]


@pytest.fixture(scope="module")
def service(other_collections: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(other_collections))
        return importlib.import_module("ansible_collections.kubernetes.core.plugins.module_utils.k8s.service")


def _hidden(task: dict[str, Any]) -> list[str]:
    fields = task["kubernetes.core.k8s"].get("hidden_fields") or []
    if not isinstance(fields, str):
        return list(fields)
    name = fields.strip("{} ")
    found: list[str] = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))[name]
    return found


def _applied(**fields: Any) -> dict[str, Any]:
    """An object made by ``kubectl apply``, which notes all of it in an annotation."""
    meta = {"name": "settings", "namespace": "quazzar", "uid": "u1", "resourceVersion": "7", "generation": 1}
    managed = [{"manager": "kubectl", "time": "2026-11-26T03:00:00Z", "fieldsV1": {"f:data": {"f:PASSWORD": {}}}}]
    return {**fields, "metadata": {**meta, "annotations": {APPLIED: json.dumps(fields)}, "managedFields": managed}}


def _pod_spec(value: str) -> dict[str, Any]:
    return {"containers": [{"name": "cp", "env": [{"name": "PASSWORD", "value": value}]}]}


OBJECTS = {
    "Secret": _applied(kind="Secret", data={"PASSWORD": BASE64}, stringData={"PASSWORD": PASSWORD}),
    "ConfigMap": _applied(kind="ConfigMap", data={"PASSWORD": PASSWORD}, binaryData={"PASSWORD": BASE64}),
    "Deployment": _applied(kind="Deployment", spec={"template": {"spec": _pod_spec(PASSWORD)}}),
    "Pod": _applied(kind="Pod", spec=_pod_spec(PASSWORD)),
}


def test_the_tasks_are_found() -> None:
    assert len(TASKS) == 3


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", OBJECTS)
def test_no_value_of_an_object_is_left_in_the_result(service: Any, task: dict[str, Any], kind: str) -> None:
    text = json.dumps(OBJECTS[kind])
    assert PASSWORD in text or BASE64 in text
    left = service.hide_fields(OBJECTS[kind], _hidden(task))
    assert left["metadata"]["name"] == "settings"
    assert not [value for value in (PASSWORD, BASE64) if value in json.dumps(left)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "Deployment"])
def test_a_change_of_what_is_hidden_is_a_change_still(service: Any, task: dict[str, Any], kind: str) -> None:
    """kubernetes.core takes an object in which nothing else than its numbers has changed for one that was not."""
    after = copy.deepcopy(OBJECTS[kind])
    after["spec" if kind == "Deployment" else "data"]["more"] = PASSWORD
    after["metadata"].update(resourceVersion="8", generation=2)
    after["metadata"]["managedFields"].append({"manager": "OpenAPI-Generator", "fieldsV1": {"f:data": {"f:more": {}}}})
    same, shown = service.diff_objects(OBJECTS[kind], after, _hidden(task))
    assert not same and PASSWORD not in json.dumps(shown)


@pytest.mark.parametrize("task", TASKS)
def test_no_diff_of_an_object_is_shown(task: dict[str, Any]) -> None:
    """What is hidden in the result is hidden in the diff: what would be left of it tells nothing that is true."""
    assert task.get("diff") is False or task["kubernetes.core.k8s"]["state"] == "absent"  # which never has one


def _pool_options(platform: str, name: str) -> dict[str, Any]:
    (task,) = _tasks("quazzar.ca_rotation.k8s_trust_pool", ROLE / "tasks" / "platforms" / platform / name)
    options: dict[str, Any] = task["quazzar.ca_rotation.k8s_trust_pool"]
    return options


def test_what_opens_a_window_names_the_cas_that_are_just_being_placed() -> None:
    """In check mode, and where a repository places them, they are no keys of the object yet."""
    before, then = (_pool_options("kubernetes", name) for name in ("preflight.yml", "set_pool.yml"))
    assert "controlplane_pool_files" in before["files"] and "controlplane_pool_files" in then["files"]
    different = {name for name in then if before.get(name) != then[name]}
    assert different == {"remove", "files"}, "what is refused before a change is what would be done"


def test_what_puts_a_pool_back_mounts_nothing() -> None:
    """It would hide the files that the pool named before, and the run could not put them back."""
    assert _pool_options("kubernetes", "restore_pool.yml")["legacy_dir"] == ""
    assert "controlplane_unmount is not defined" in _pool_options("declared", "await_change.yml")["legacy_dir"]


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        (("", ""), {}, ("", "")),
        # kubectl knows no home
        (("~/.kube/config", "production"), {}, ("HOME/.kube/config", "production")),
        # an option that is set to nothing would go before these
        (("", ""), {"KUBECONFIG": "~/other", "CONTEXT": "second"}, ("HOME/other", "second")),
        (("", ""), {"KUBECONFIG": "/x", "CONTEXT": "second", "HOST": "https://api.test", "API_KEY": "x"}, ("", "")),
    ],
)
def test_kubectl_comes_to_the_cluster_that_is_read(
    tmp_path: Path, given: tuple[str, str], environment: dict[str, str], expected: tuple[str, str]
) -> None:
    (task,) = _tasks("ansible.builtin.set_fact", ROLE / "tasks" / "platforms" / "kubernetes" / "connect.yml")
    names = ("kubeconfig", "context")
    asked = {name: task["ansible.builtin.set_fact"][f"ansible_kubectl_{name}"] for name in names}
    known = {f"quazzar_k8s_{name}": value for name, value in zip(names, given, strict=True)}
    play = {
        "hosts": "localhost", "connection": "local", "gather_facts": False,
        "vars": {"controlplane_connect_to": "localhost", **known, **task["vars"]},
        "tasks": [{"ansible.builtin.debug": {"msg": asked}}],
    }  # fmt: skip
    file = tmp_path / "play.yml"
    file.write_text(json.dumps([play]), encoding="utf-8")
    settings = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    settings.update({f"K8S_AUTH_{name}": value for name, value in environment.items()})
    command = [Path(sys.prefix) / "bin" / "ansible-playbook", "-i", "localhost,", file]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.JSONDecoder().raw_decode(done.stdout.partition("=> ")[2])[0]["msg"]
    assert tuple(found[name].replace(str(tmp_path), "HOME") for name in names) == expected


# --- the Roles of the documentation ----------------------------------------------------------------------------------


def _documented() -> dict[str, list[dict[str, Any]]]:
    page = (ROLE.parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    roles = [yaml.safe_load(block) for block in re.findall(r"(?s)```yaml\n(apiVersion: rbac.*?)```", page)]
    return {role["metadata"]["name"].removeprefix("quazzar-ca-rotation-"): role["rules"] for role in roles}


def _allowed(rules: list[dict[str, Any]], verb: str, resource: str, name: str) -> bool:
    group, _slash, plain = resource.rpartition("/")
    return any(
        group in rule["apiGroups"]
        and plain in rule["resources"]
        and verb in rule["verbs"]
        and name in rule.get("resourceNames", [name])
        for rule in rules
    )


@pytest.mark.parametrize("legacy", ["ConfigMap", "Secret"])
def test_the_documented_roles_allow_what_a_change_is_asked_for(legacy: str) -> None:
    roles = _documented()
    assert list(roles) == ["read", "change", "elsewhere"]
    found = {"kind": "Deployment", "metadata": {"name": "quazzar-cc"}}
    place = workload_patch.Legacy(legacy, workload.VOLUME, "/legacy", mounted=False)

    def forbidden(source: workload.Source, *names: str) -> list[tuple[str, str, str]]:
        rules = [rule for name in names for rule in roles[name]]
        needed = workload_patch.rights(found, source, {"env_source": "follow"}, place)
        return [right for right in needed if not _allowed(rules, *right)]

    own, followed = workload.Source("value"), workload.Source("ConfigMap", "settings", "pool")
    assert bool(forbidden(own, "read", "change")) == (legacy == "Secret")
    assert forbidden(own, "read", "change", "elsewhere") == []
    assert ("patch", "configmaps", "settings") in forbidden(followed, "read", "change")
    assert forbidden(followed, "read", "change", "elsewhere") == []


def test_no_documented_rule_is_wider_than_it_must_be() -> None:
    """Each right beside those to read is for one object, but to create, which has no name yet."""
    roles = _documented()
    wide = [rule for rule in [*roles["change"], *roles["elsewhere"]] if "resourceNames" not in rule]
    assert wide and all(rule["verbs"] == ["create"] for rule in wide)
    assert not any("secrets" in rule["resources"] for rule in roles["read"])
    assert not any(
        "create" in rule["verbs"] for name in ("change", "elsewhere") for rule in roles[name] if "resourceNames" in rule
    )
