# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import copy
import re
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import workload
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError, RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.workload import Pod, Rollout, Source
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.workloads import (
    CP,
    POOL,
    Tree,
    all_of,
    box,
    by,
    made,
    merged,
)

MOUNT = {"kind": "ConfigMap", "name": "quazzar-legacy", "path": "/var/lib/quazzar-cc/legacy"}


# --- its container ---------------------------------------------------------------------------------------------------


def test_the_container_is_the_only_one_or_the_named_one() -> None:
    assert workload.container(made(), "")["name"] == CP
    both = made({"name": "log-shipper"}, box())
    assert workload.container(both, CP)["image"] == "panel:1"


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        (
            made({"name": "log-shipper"}, box()),
            "",
            "Deployment quazzar/quazzar-cc: expected one container, found log-shipper, control-center. Say which one is"
            " the CP: quazzar_k8s_container.",
        ),
        (
            made(pod={"initContainers": [{"name": "migrate"}]}),
            "migrate",
            "Deployment quazzar/quazzar-cc: expected a container 'migrate' (that is an init container, which has ended"
            " when the CP runs), found control-center. Correct quazzar_k8s_container.",
        ),
        (made(kind="StatefulSet"), "cc", "StatefulSet quazzar/quazzar-cc: expected a container 'cc', found control-"),
        ({"spec": None}, "", "Deployment ?/?: expected one container, found none."),
    ],
)
def test_a_container_that_is_not_there_lists_what_is(found: Tree, wanted: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        workload.container(found, wanted)


# --- where the variable comes from -----------------------------------------------------------------------------------


OBJECTS = {
    ("ConfigMap", "settings"): {"data": {POOL: "/map.crt", "pool": "/key.crt", "CERTS": "/prefixed.crt"}},
    ("ConfigMap", "other"): {"data": {POOL: "/other.crt"}},
    ("Secret", "hidden"): {"data": {POOL: "/secret.crt"}},
    ("ConfigMap", "empty"): {},
}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, Source("absent")),
        ({"env": None, "envFrom": None}, Source("absent")),
        ({"env": [{"name": POOL, "value": "/a.crt"}]}, Source("value", value="/a.crt")),
        ({"env": [{"name": POOL}]}, Source("value")),
        # later entries win over earlier ones
        (
            {"env": [{"name": POOL, "value": "/a.crt"}, {"name": "X"}, {"name": POOL, "value": "/b.crt"}]},
            Source("value", value="/b.crt"),
        ),
        ({"env": [by("ConfigMap", "settings", "pool")]}, Source("ConfigMap", "settings", "pool", "/key.crt")),
        ({"env": [by("Secret", "hidden", POOL)]}, Source("Secret", "hidden", POOL, "/secret.crt")),
        (
            {"env": [{"name": POOL, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            Source("field"),
        ),
        # env over envFrom, even an empty one
        ({"env": [{"name": POOL, "value": ""}], "envFrom": [all_of("ConfigMap", "settings")]}, Source("value")),
        # of envFrom the last one that has it
        (
            {"envFrom": [all_of("ConfigMap", "settings"), all_of("Secret", "hidden"), all_of("ConfigMap", "empty")]},
            Source("Secret", "hidden", POOL, "/secret.crt", whole=True),
        ),
        (
            {"envFrom": [all_of("ConfigMap", "settings", "CC_TRUST_ADDITIONAL_CA_")]},
            Source("ConfigMap", "settings", "CERTS", "/prefixed.crt", whole=True),
        ),
        ({"envFrom": [all_of("ConfigMap", "other", "X_")]}, Source("absent")),
        ({"envFrom": [all_of("ConfigMap", "other", POOL)]}, Source("absent")),
        ({"envFrom": [all_of("ConfigMap", "gone")]}, Source("absent")),
        # a reference that leads nowhere keeps the pod from starting, unless it is optional: then it does not count
        (
            {"env": [by("ConfigMap", "gone", "pool")], "envFrom": [all_of("ConfigMap", "settings")]},
            Source("ConfigMap", "gone", "pool", trouble="there is no ConfigMap gone", gone=True),
        ),
        (
            {"env": [by("Secret", "hidden", "pool")]},
            Source("Secret", "hidden", "pool", trouble="the Secret hidden has no key pool"),
        ),
        (
            {"env": [by("ConfigMap", "gone", "pool", optional=True)], "envFrom": [all_of("ConfigMap", "settings")]},
            Source("ConfigMap", "settings", POOL, "/map.crt", whole=True),
        ),
        (
            {"env": [{"name": POOL, "value": "/a.crt"}, by("ConfigMap", "settings", "none", optional=True)]},
            Source("value", value="/a.crt"),
        ),
        # where it is to be set, when it comes from nowhere else
        (
            {"env": [by("ConfigMap", "gone", "pool", optional=True)]},
            Source("ConfigMap", "gone", "pool", trouble="there is no ConfigMap gone", gone=True),
        ),
        ({"env": [by("ConfigMap", "settings", "pool", optional=True)]},
         Source("ConfigMap", "settings", "pool", "/key.crt")),
    ],
)  # fmt: skip
def test_the_source_of_a_variable(fields: Tree, wanted: Source) -> None:
    assert workload.source(box(**fields), POOL, OBJECTS) == wanted


@pytest.mark.parametrize(
    ("value", "expands"),
    [
        ("/a.crt,/b.crt", False),
        ("$(CERTS)/a.crt", True),
        ("/a.crt,$$(CERTS)", True),
        ("/a$$b", True),
        ("/a$b,/c$(d", False),
        ("$()", True),
        ("$", False),
    ],
)
def test_a_value_with_references_is_told_and_not_taken_for_what_the_container_gets(value: str, expands: bool) -> None:
    container = box(env=[{"name": POOL, "value": value}])
    found = workload.source(container, POOL, {})
    assert (found.value, found.expands) == (value, expands)
    refusal = workload.refusal_to_follow(made(container), container, POOL, found)
    assert ("Kubernetes replaces" in refusal and "Nothing was changed" in refusal) is expands
    # Only the value of an env entry is expanded, and never what comes from an object.
    objects = {("ConfigMap", "settings"): {"data": {POOL: value}}}
    for elsewhere in ({"env": [by("ConfigMap", "settings", POOL)]}, {"envFrom": [all_of("ConfigMap", "settings")]}):
        assert not workload.source(box(**elsewhere), POOL, objects).expands


@pytest.mark.parametrize("held", [{"immutable": True}, {"immutable": False}, {"immutable": "true"}, {}])
def test_an_object_that_nobody_may_edit_is_told(held: Tree) -> None:
    objects = {("ConfigMap", "settings"): {"data": {POOL: "/a"}, **held}}
    entries = (
        {"env": [by("ConfigMap", "settings", POOL)]},
        {"env": [by("ConfigMap", "settings", "none")]},
        {"envFrom": [all_of("ConfigMap", "settings")]},
    )
    for fields in entries:
        assert workload.source(box(**fields), POOL, objects).immutable is (held.get("immutable") is True)


NAMES = st.sampled_from(["A", "B", "P_A", "P_B", "P_"])
OBJECT_NAMES = st.sampled_from(["one", "two", "gone"])
KINDS = st.sampled_from(["ConfigMap", "Secret"])
VALUES = st.text("xyz/", max_size=3)


@st.composite
def _env_entries(draw: t.Any) -> Tree:
    if draw(st.booleans()):
        return {"name": draw(NAMES), "value": draw(VALUES)}
    return {**by(draw(KINDS), draw(OBJECT_NAMES), draw(NAMES), optional=draw(st.booleans())), "name": draw(NAMES)}


ENV_FROM = st.builds(all_of, KINDS, OBJECT_NAMES, st.sampled_from(["", "P_", "P_A"]))
DATA = st.dictionaries(
    st.tuples(KINDS, st.sampled_from(["one", "two"])),
    st.builds(lambda data: {"data": data}, st.dictionaries(NAMES, VALUES, max_size=4)),
)


def _kubelet(container: Tree, objects: t.Mapping[t.Any, Tree]) -> dict[str, str] | None:
    """The environment that the kubelet makes (pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables); None: the
    container cannot start. Written as that is, from the first entry to the last."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if field in source:
                held = objects.get((kind, source[field]["name"]), {"data": {}})
                for key, value in held["data"].items():
                    result[source.get("prefix", "") + key] = value
    for entry in container.get("env") or []:
        value = entry.get("value", "")
        for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            reference = (entry.get("valueFrom") or {}).get(field)
            if reference is None:
                continue
            data = objects.get((kind, reference["name"]), {"data": {}})["data"]
            if reference["key"] in data:
                value = data[reference["key"]]
            else:
                value = None if reference["optional"] else ...
        if value is ...:
            return None
        if value is not None:
            result[entry["name"]] = value
    return result


@settings(max_examples=500, deadline=None)
@given(st.lists(_env_entries(), max_size=5), st.lists(ENV_FROM, max_size=4), DATA, NAMES)
def test_the_source_is_what_the_kubelet_would_take(
    env: list[Tree], env_from: list[Tree], objects: dict[t.Any, Tree], name: str
) -> None:
    container = box(env=env, envFrom=env_from)
    found, wanted = workload.source(container, name, objects), _kubelet(container, objects)
    if wanted is None:
        return  # it says so itself when it is this variable; another one's fault is no answer here
    assert found.value == wanted.get(name, "")
    assert (found.kind == "absent" or bool(found.trouble)) == (name not in wanted)
    if found.kind in ("ConfigMap", "Secret") and not found.trouble:
        assert objects[found.kind, found.name]["data"][found.key] == found.value
    # What it refers to is enough to tell, and nothing else is asked for.
    asked = workload.references(container, [name])
    assert workload.source(container, name, {pair: objects[pair] for pair in asked if pair in objects}) == found


def test_only_what_a_variable_may_come_from_is_asked_for() -> None:
    whole = [all_of("Secret", "hidden"), all_of("ConfigMap", "settings"), all_of("Secret", "hidden")]
    entry = {"name": POOL, "value": ""}
    assert workload.references(box(), [POOL]) == ()
    assert workload.references(box(env=[entry], envFrom=whole), [POOL]) == ()
    assert workload.references(box(env=[entry], envFrom=whole), [POOL, "AUTO"]) == (
        ("Secret", "hidden"),
        ("ConfigMap", "settings"),
    )
    refs = [by("ConfigMap", "other", "x"), {**by("Secret", "foreign", "x"), "name": "PASSWORD"}]
    assert workload.references(box(env=refs, envFrom=whole), [POOL]) == (("ConfigMap", "other"),)
    refs = [by("ConfigMap", "other", "x", optional=True)]
    assert len(workload.references(box(env=refs, envFrom=whole), [POOL])) == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, []),
        ({"env": [{"name": POOL, "value": "/a"}]}, []),
        (
            {"env": [by("ConfigMap", "settings", "pool")]},
            ["container control-center: CC_TRUST_ADDITIONAL_CA_CERTS comes from the key pool of the ConfigMap settings"
             " (valueFrom). Nothing was changed.", "quazzar_k8s_env_source: follow"],
        ),
        (
            {"envFrom": [all_of("Secret", "hidden")]},
            ["the Secret hidden (envFrom), which other variables come from too. Nothing", "the env of the container"],
        ),
        (
            {"env": [by("ConfigMap", "gone", "pool", optional=True)]},
            ["the key pool of the ConfigMap gone (valueFrom); there is no ConfigMap gone. Nothing was changed."],
        ),
        (
            {"env": [{"name": POOL, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            ["comes from a field of the pod, which cannot be set. Give the container a value of its own"],
        ),
        (
            {"env": [{"name": POOL, "value": "/a"}, {"name": POOL, "value": "/b"}]},
            ["is set 2 times in its env. The last one counts", "Nothing was changed. Leave one of them."],
        ),
    ],
)  # fmt: skip
def test_where_it_cannot_be_set_the_remedy_is_said(fields: Tree, words: list[str]) -> None:
    container = box(**fields)
    refusal = workload.refusal_to_follow(made(container), container, POOL, workload.source(container, POOL, OBJECTS))
    assert bool(refusal) == bool(words)
    assert all(each in refusal for each in words), refusal
    assert not refusal or refusal.startswith("Deployment quazzar/quazzar-cc, container control-center: ")


def test_sources_as_a_message_names_them() -> None:
    assert str(Source("absent")) == "nowhere"
    assert str(Source("value", value="x")) == "the workload's own env"


# --- its pods --------------------------------------------------------------------------------------------------------

RUNNING = {"running": {"startedAt": "2026-05-01T00:00:00Z"}}


def pod(name: str, state: t.Any = "running", owner: str = "rs1", **status: t.Any) -> Tree:
    """A pod as the API has it; ``deleted`` and ``revision`` are of its metadata."""
    state = RUNNING if state == "running" else state
    deleted, revision = status.pop("deleted", None), status.pop("revision", "66b7c9f5d")
    ready, restarts = status.pop("ready", state is RUNNING), status.pop("restarts", 0)
    last = {"lastState": status.pop("last")} if "last" in status else {}
    box_status = {"name": CP, "ready": ready, "state": state, "restartCount": restarts, **last}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "labels": {"app": "quazzar-cc", "pod-template-hash": revision},
            "ownerReferences": [{"kind": "ReplicaSet", "uid": owner, "controller": True}],
            **({"deletionTimestamp": deleted} if deleted else {}),
        },
        "spec": {"containers": [box(ports=[{"name": "mtls", "containerPort": 8443}, {"containerPort": 9000}])]},
        "status": {
            "phase": "Running",
            "podIP": "10.1.0.7",
            "containerStatuses": [{"name": "log-shipper", "state": RUNNING}, box_status],
            **status,
        },
    }


def waiting(reason: str, message: str = "") -> Tree:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Source("ConfigMap", "settings", "pool", "/b.crt,/a.crt"), ["old", "none"]),
        (Source("Secret", "settings", "pool", " /a.crt , /b.crt"), ["old", "none"]),
        (Source("ConfigMap", "settings", "pool", ""), ["new", "old"]),
        (Source("ConfigMap", "settings", "pool", trouble="there is no ConfigMap settings"), []),
        # a rollout brings it, and $(NAME) is something else in the container
        (Source("value", value="$(HOME)/a.crt", expands=True), []),
        # the image may have a value of its own
        (Source("absent"), []),
    ],
)
def test_pods_that_were_started_with_another_pool(found: Source, expected: list[str]) -> None:
    assert workload.behind(found, {"new": "/a.crt, /b.crt", "old": "/a.crt", "none": ""}) == expected


def test_a_live_pod() -> None:
    assert workload.pods([pod("a")], CP, ["rs1"]) == (
        Pod("a", "10.1.0.7", True, True, "66b7c9f5d", ports={"mtls": 8443, "9000": 9000}, uid="uid-of-a"),
    )
    assert workload.pods([pod("a", ready=False)], CP, ["rs1"])[0].live is True
    assert workload.pods([pod("a", ready=False)], CP, ["rs1"])[0].ready is False


def test_only_its_own_pods_whatever_labels_others_have() -> None:
    found = [pod("b"), pod("x", owner="foreign"), pod("a", owner="rs2"), {"metadata": {"name": "bare"}}]
    assert [each.name for each in workload.pods(found, CP, ["rs1", "rs2"])] == ["a", "b"]


def test_the_pods_of_the_newest_owner_are_known() -> None:
    found = [pod("a", owner="rs1"), pod("b", owner="rs2", restarts=4)]
    told = workload.pods(found, CP, ["rs2", "rs1"])
    assert [(each.name, each.newest, each.restarts) for each in told] == [("a", False, 0), ("b", True, 4)]


@pytest.mark.parametrize(
    ("note", "number"),
    [({"deployment.kubernetes.io/revision": "12"}, 12), ({"deployment.kubernetes.io/revision": "x"}, 0),
     ({"deployment.kubernetes.io/revision": 3}, 0), ({}, 0), (None, 0)],
)  # fmt: skip
def test_which_replica_set_is_the_newest(note: t.Any, number: int) -> None:
    assert workload.revision_of({"metadata": {"annotations": note}}) == number


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        # still Running, ready, and answering
        (pod("a", deleted="2026-05-01T00:00:00Z"), "its end was asked for"),
        (pod("a", None, **EVICTED), "Evicted"),
        (pod("a", {"terminated": {"reason": "Completed", "exitCode": 0}}, phase="Succeeded"), "it is Succeeded"),
        (pod("a", None, phase="Failed"), "it is Failed"),
        (
            pod("a", waiting("CrashLoopBackOff", "back-off 10s restarting failed container"),
                last={"terminated": {"exitCode": 3, "reason": "Error"}}),
            "its container control-center does not run: CrashLoopBackOff (exit status 3)",
        ),
        (
            pod("a", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            "its container control-center does not run: OOMKilled (exit status 137)",
        ),
        (pod("a", None), "its container control-center does not run: no reason given"),
        (
            pod("a", waiting("CreateContainerConfigError", 'configmap "gone" not found'), phase="Pending"),
            'it is Pending: CreateContainerConfigError: configmap "gone" not found',
        ),
        (pod("a", waiting("ContainerCreating"), phase="Pending"), "it is Pending"),
        (
            pod("a", waiting("PodInitializing"), phase="Pending",
                initContainerStatuses=[{"name": "migrate", "state": waiting("ImagePullBackOff", "no such image")}]),
            "it is Pending: ImagePullBackOff: no such image",
        ),
        (
            pod("a", None, phase="Pending", containerStatuses=[], conditions=[
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/3 nodes are available: 3 node(s) had volume node affinity conflict."}]),
            "it is Pending: 0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
        ),
        (pod("a", None, phase="Unknown"), "it is Unknown"),
        ({**pod("a"), "status": None}, "it is not there yet"),
    ],
)  # fmt: skip
def test_a_pod_that_is_not_live_says_why(found: Tree, why: str) -> None:
    (only,) = workload.pods([found], CP, ["rs1"])
    assert (only.live, only.ready, only.why) == (False, False, why)
    assert only.leaving == (why == "its end was asked for") and not only.ended


# --- its rollout -----------------------------------------------------------------------------------------------------


def status(**more: t.Any) -> Tree:
    """Of a Deployment that is as it is to be."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    return {"observedGeneration": 3, **counts, **more}


def stateful(**more: t.Any) -> Tree:
    revisions = {"currentRevision": "cc-1", "updateRevision": "cc-1", "currentReplicas": 2}
    return {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, **revisions, **more}


def conditions(reason: str, message: str = "") -> list[Tree]:
    return [
        {"type": "Available", "status": "True"},
        {"type": "Progressing", "reason": reason, "message": message},
    ]


LATE = conditions("ProgressDeadlineExceeded", "ReplicaSet cc-2 has timed out progressing.")
CRASHED = pod("new", waiting("CrashLoopBackOff"), revision="7d5f", last={"terminated": {"exitCode": 1}})
BOTH = (pod("a"), pod("b"))


@pytest.mark.parametrize(
    ("spec", "found", "done", "reason", "failed"),
    [
        ({"status": status()}, BOTH, True, "", False),
        ({"status": status(), "replicas": None}, BOTH, False,
         "a replica from before still runs (not named yet)", False),
        ({"status": status(observedGeneration=2, conditions=LATE)}, BOTH, False,
         "its controller has not seen the change yet", False),
        ({"status": {}}, (), False, "its controller has not seen the change yet", False),
        ({"status": status(updatedReplicas=1)}, BOTH, False, "1 of 2 replicas have the change", False),
        ({"status": status(availableReplicas=1)}, BOTH, False, "1 of 2 replicas are ready", False),
        ({"status": status(updatedReplicas=None)}, (*BOTH, CRASHED), False,
         "0 of 2 replicas have the change (new: its container control-center does not run: CrashLoopBackOff"
         " (exit status 1))", False),
        # old pods: more than there should be, on their way out, or of another revision
        ({"status": status(replicas=3)}, BOTH, False, "a replica from before still runs (not named yet)", False),
        ({"status": status()}, (*BOTH, pod("old", deleted="now")), False,
         "a replica from before still runs (old)", False),
        ({"status": status()}, (pod("a"), pod("b", revision="7d5f")), False,
         "replicas of more than one revision run (a of 66b7c9f5d, b of 7d5f)", False),
        ({"status": status()}, (*BOTH, pod("old", {"terminated": {"exitCode": 0}}, deleted="now")), True, "", False),
        ({"status": status(updatedReplicas=1)}, (*BOTH, pod("old", deleted="now")), False,
         "1 of 2 replicas have the change", False),
        # an evicted pod stays in the list until somebody clears it away
        ({"status": status()}, (*BOTH, pod("c", None, **EVICTED)), True, "", False),
        # a deadline
        ({"status": status(updatedReplicas=1, conditions=LATE)}, BOTH, False,
         "it has missed its deadline: ReplicaSet cc-2 has timed out progressing.", True),
        ({"status": status(updatedReplicas=1, conditions=LATE)}, (*BOTH, CRASHED), False,
         "it has missed its deadline: new: its container control-center does not run: CrashLoopBackOff (exit status 1)",
         True),
        ({"status": status(updatedReplicas=1, conditions=conditions("ReplicaSetUpdated"))}, BOTH, False,
         "1 of 2 replicas have the change", False),
        # what an earlier change has left behind does not matter once all is as it is to be
        ({"status": status(conditions=LATE)}, BOTH, True, "", False),
        ({"status": status(), "paused": True}, BOTH, True, "", False),
        ({"status": status(updatedReplicas=0), "paused": True}, BOTH, False,
         "0 of 2 replicas have the change; it is paused, resume it: kubectl rollout resume", True),
        ({"status": {"observedGeneration": 3}, "replicas": 0}, (), True, "", False),
        # StatefulSets
        ({"kind": "StatefulSet", "status": stateful()}, BOTH, True, "", False),
        ({"kind": "StatefulSet", "status": stateful(updatedReplicas=None)}, BOTH, True, "", False),
        ({"kind": "StatefulSet", "status": stateful(updateRevision="cc-2", updatedReplicas=1)}, BOTH, False,
         "1 of 2 replicas have the change", False),
        ({"kind": "StatefulSet", "status": stateful(updateRevision="cc-2", updatedReplicas=0)}, BOTH, False,
         "0 of 2 replicas have the change", False),
        ({"kind": "StatefulSet", "status": stateful(readyReplicas=1)}, BOTH, False, "1 of 2 replicas are ready", False),
        ({"kind": "StatefulSet", "status": stateful(updateRevision="cc-2", updatedReplicas=1),
          "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}, BOTH, False,
         "1 of 2 replicas have the change; its partition is 1, so no change comes to the pods with lower numbers: set"
         " it to 0", True),
        ({"kind": "StatefulSet", "status": stateful(), "updateStrategy": {"rollingUpdate": {"partition": 1}}}, BOTH,
         True, "", False),
        ({"kind": "StatefulSet", "status": stateful(updateRevision="cc-2", updatedReplicas=0),
          "updateStrategy": {"type": "OnDelete"}}, BOTH, False,
         "0 of 2 replicas have the change; its update strategy is OnDelete, so no change comes to its pods by itself:"
         " set RollingUpdate", True),
    ],
)  # fmt: skip
def test_rollouts(spec: Tree, found: tuple[Tree, ...], done: bool, reason: str, failed: bool) -> None:
    pods = workload.pods(found, CP, ["rs1"])
    assert workload.rollout(made(**copy.deepcopy(spec)), pods) == Rollout(done, reason, failed)


LOOPING = pod("new", waiting("CrashLoopBackOff"), revision="7d5f", restarts=2, last={"terminated": {"exitCode": 1}})
CRASHES = "new: its container control-center does not run: CrashLoopBackOff (exit status 1)"


def rolled(found: t.Sequence[Tree], owners: t.Sequence[str] = ("rs1",), **spec: t.Any) -> Rollout:
    return workload.rollout(made(**{"status": status(updatedReplicas=1), **spec}), workload.pods(found, CP, owners))


@pytest.mark.parametrize(
    ("found", "failed", "words"),
    [
        ((*BOTH, LOOPING), True, CRASHES),
        # started again right now, so that it runs, and not for the first time
        ((*BOTH, pod("new", ready=False, restarts=2)), True, "new: its container was restarted"),
        ((*BOTH, pod("new", ready=False, restarts=1)), False, "1 of 2 replicas have the change"),
        # it has made it at last, or is on its way out
        ((*BOTH, pod("new", restarts=9)), False, "1 of 2 replicas have the change"),
        ((*BOTH, pod("new", ready=False, restarts=9, deleted="now")), False, "1 of 2 replicas have the change"),
    ],
)
def test_a_container_that_crashes_again_and_again_is_not_waited_for(
    found: tuple[Tree, ...], failed: bool, words: str
) -> None:
    assert rolled(found) == Rollout(False, words, failed)
    assert rolled(found, status=status(observedGeneration=2)).failed is False, "that may be from before"


def test_a_pod_from_before_that_crashes_is_waited_for_until_it_is_gone() -> None:
    """The change that puts a broken one right would be taken for broken."""
    old = copy.deepcopy(LOOPING)
    old["metadata"]["ownerReferences"][0]["uid"] = "rs0"
    assert rolled((*BOTH, old), ("rs1", "rs0"), status=status(replicas=3)) == Rollout(
        False, "a replica from before still runs (not named yet)"
    )
    assert rolled((*BOTH, old), ("rs0", "rs1"), status=status(replicas=3)).failed
    # Of a StatefulSet all pods have one owner.
    for revision, failed in (("7d5f", True), ("6c4e", False)):
        told = stateful(updateRevision=revision, updatedReplicas=1)
        assert rolled((*BOTH, LOOPING), kind="StatefulSet", status=told).failed is failed


@pytest.mark.parametrize(
    ("kind", "found", "names"),
    [
        ("StatefulSet", (pod("a", ready=False), pod("b")), ["a"]),
        ("StatefulSet", (LOOPING, pod("a", None, phase="Pending")), ["a"]),
        ("StatefulSet", (pod("a", ready=False, deleted="now"),), []),
        ("StatefulSet", BOTH, []),
        ("Deployment", (pod("a", ready=False),), []),
    ],
)
def test_the_pods_for_which_a_stateful_set_waits_for_ever(kind: str, found: tuple[Tree, ...], names: list[str]) -> None:
    live = made(kind=kind, status=stateful(updateRevision="7d5f"))
    assert workload.stuck(live, workload.pods(found, CP, ["rs1"])) == names
    # Without a revision to compare with nobody's pod is taken away.
    assert workload.stuck(made(kind=kind), workload.pods(found, CP, ["rs1"])) == []


COUNTS = st.integers(0, 4)


@settings(max_examples=300, deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.integers(2, 4), st.booleans(), st.booleans(), st.lists(st.booleans()))
def test_no_rollout_is_done_while_anything_old_runs(
    wanted: int, replicas: int, updated: int, ready: int, seen: int, paused: bool, late: bool, leaving: list[bool]
) -> None:
    told = {"observedGeneration": seen, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": ready}
    live = made(replicas=wanted, paused=paused, status={**told, "conditions": LATE if late else []})
    pods = workload.pods([pod(f"p{n}", deleted="now" if out else None) for n, out in enumerate(leaving)], CP, ["rs1"])
    found = workload.rollout(live, pods)
    assert found.done == (seen >= 3 and updated >= wanted <= ready and replicas <= wanted and not any(leaving))
    assert bool(found.reason) != found.done and not (found.done and found.failed)
    assert found.failed == (not found.done and seen >= 3 and (paused or late))


# --- who keeps it, and what holds it up ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meta", "who"),
    [
        ({}, ""),
        ({"labels": {"app": "quazzar-cc"}, "annotations": None, "managedFields": [{"manager": "kubectl"}]}, ""),
        ({"labels": {"argocd.argoproj.io/instance": "panel"}}, "Argo CD"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "panel:apps/Deployment:quazzar/cc"}}, "Argo CD"),
        ({"managedFields": [{"manager": "kubectl"}, {"manager": "argocd-controller"}]}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "panel"}}, "Flux"),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
        ({"annotations": {"meta.helm.sh/release-name": "panel"}}, "Helm"),
        ({"managedFields": [{"manager": "Helm"}]}, "Helm"),
        # A release of Helm that another one keeps: it is that one that puts our change back.
        (
            {
                "labels": {"helm.toolkit.fluxcd.io/name": "panel"},
                "annotations": {"meta.helm.sh/release-name": "panel"},
            },
            "Flux",
        ),
        (
            {
                "annotations": {"meta.helm.sh/release-name": "panel"},
                "managedFields": [{"manager": "argocd-application-controller"}],
            },
            "Argo CD",
        ),
        ({"managedFields": [{"manager": "helm-controller"}]}, "Flux"),
        ({"managedFields": [{"manager": None}, None]}, ""),
    ],
)
def test_who_keeps_it(meta: Tree, who: str) -> None:
    assert workload.kept_by(made(meta=meta)) == who
    # Helm does not put back what is changed between its upgrades.
    assert workload.reverts(made(meta=meta)) == (who if who != "Helm" else "")


def wrote(manager: t.Any, time: t.Any, *fields: str) -> Tree:
    return {"manager": manager, "time": time, "fieldsV1": {field: {} for field in fields}}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (None, ""),
        ([], ""),
        ([{"manager": "kubectl"}, None], ""),
        ([wrote("kube-controller-manager", "2026-05-04T12:00:09Z", "f:status")], ""),
        (
            [
                wrote("argocd-controller", "2026-05-04T12:00:07Z", "f:metadata", "f:spec"),
                wrote("helm", "2026-05-04T12:00:01Z", "f:spec"),
                wrote("kube-controller-manager", "2026-05-04T12:00:09Z", "f:status"),
                wrote("OpenAPI-Generator", "2026-05-04T12:00:08Z", "f:spec"),  # this collection itself
            ],
            "argocd-controller at 2026-05-04T12:00:07Z",
        ),
    ],
)
def test_who_wrote_it_last(entries: t.Any, told: str) -> None:
    assert workload.last_writer(made(meta={"managedFields": entries})) == told


def claim(*modes: str) -> Tree:
    return {"spec": {"accessModes": list(modes)}}


ROLLING = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}
NO_SURPLUS = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}


@pytest.mark.parametrize(
    ("spec", "claims", "words"),
    [
        ({}, {"certs": claim("ReadWriteMany")}, []),
        ({}, {"certs": claim("ReadWriteOnce", "ReadWriteMany")}, []),
        ({}, {"certs": {}}, []),
        ({"strategy": {"type": "Recreate"}}, {"certs": claim("ReadWriteOnce")}, []),
        (ROLLING, {"certs": claim("ReadWriteOnce")}, ["only one node may mount (ReadWriteOnce)"]),
        ({}, {"certs": claim("ReadWriteOncePod")}, ["only one pod may mount", "which waits for it. Set the strategy"]),
        ({**NO_SURPLUS, "replicas": 1}, {"certs": claim("ReadWriteOnce")}, []),
        (NO_SURPLUS, {"certs": claim("ReadWriteOnce")}, ["a new pod on another node waits for ever. Set the strategy"]),
        ({"kind": "StatefulSet"}, {"certs": claim("ReadWriteOnce")}, []),
        ({"paused": True}, {}, ["quazzar/quazzar-cc: it is paused, resume it: kubectl rollout resume"]),
        ({"replicas": 0}, {}, ["has 0 replicas, so there is nothing to prove. Scale it up first"]),
        ({"kind": "StatefulSet", "updateStrategy": {"type": "OnDelete"}}, {}, ["OnDelete", "set RollingUpdate"]),
        (
            {"kind": "StatefulSet", "updateStrategy": {"rollingUpdate": {"partition": 2}}}, {},
            ["its partition is 2, so no change comes to the pods with lower numbers"],
        ),
    ],
)  # fmt: skip
def test_what_would_hold_a_rollout_up(spec: Tree, claims: Tree, words: list[str]) -> None:
    found = workload.stalls(made(**copy.deepcopy(spec)), claims)
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words), found


def test_pods_on_one_node_may_share_what_one_node_may_mount() -> None:
    (told,) = workload.stalls(made(), {"certs": claim("ReadWriteOnce")})
    assert told.endswith("; where all pods run on one node, set quazzar_k8s_one_node: true")
    assert workload.stalls(made(), {"certs": claim("ReadWriteOnce")}, one_node=True) == ()
    for one_node in (False, True):
        (told,) = workload.stalls(made(), {"certs": claim("ReadWriteOncePod")}, one_node=one_node)
        assert "quazzar_k8s_one_node" not in told, "no node helps where only one pod may mount it"
    assert workload.stalls(made(paused=True), {}, one_node=True), "nothing else is passed over"


@pytest.mark.parametrize(("replicas", "wanted"), [(3, 3), (0, 0), (None, 1), ("2", 1)])
def test_how_many_replicas_there_are_to_be(replicas: t.Any, wanted: int) -> None:
    assert workload.wanted_replicas(made(replicas=replicas)) == wanted
    assert workload.wanted_replicas({}) == 1


def test_a_budget_is_told_of_when_it_allows_nothing() -> None:
    budget = {"metadata": {"name": "keep-two"}, "status": {"disruptionsAllowed": 0}}
    (told,) = workload.stalls(made(), {}, [budget])
    assert "the PodDisruptionBudget keep-two allows no disruption now" in told
    assert workload.stalls(made(), {}, [{"status": {"disruptionsAllowed": 1}}, {}]) == ()
    assert workload.stalls(made(replicas=1), {}, [budget]) == ()


# --- its volumes -----------------------------------------------------------------------------------------------------

CERTS = "/var/lib/quazzar-cc/certs"
VOLUMES = [
    {"name": "data", "persistentVolumeClaim": {"claimName": "cp-data"}},
    {"name": "certs", "persistentVolumeClaim": {"claimName": "cp-certs"}},
    {"name": "tmp", "emptyDir": {}},
    {"name": "again", "persistentVolumeClaim": {"claimName": "cp-data"}},
]


@pytest.mark.parametrize(
    ("mounts", "path", "name"),
    [
        ([], CERTS, None),
        ([("tmp", "/var/lib/quazzar-cc/cert")], CERTS, None),
        ([("tmp", f"{CERTS}/sub")], CERTS, None),
        ([("data", "/var/lib/quazzar-cc")], CERTS, "data"),
        ([("data", "/")], CERTS, "data"),
        ([("certs", CERTS), ("data", "/var/lib/quazzar-cc")], CERTS, "certs"),
        ([("data", "/var/lib/quazzar-cc//"), ("certs", f"{CERTS}/")], f"{CERTS}/", "certs"),
        ([("certs", CERTS)], f"/var/lib/../lib/quazzar-cc/certs/{'.'}", "certs"),
        ([("none", CERTS)], CERTS, None),
    ],
)
def test_the_volume_that_a_path_is_on(mounts: list[tuple[str, str]], path: str, name: str | None) -> None:
    container = box(volumeMounts=[{"name": each, "mountPath": at} for each, at in mounts])
    found = workload.volume_of(made(container, pod={"volumes": VOLUMES}), container, path)
    assert found == next((each for each in VOLUMES if each["name"] == name), None)


def test_claims() -> None:
    assert workload.claim_names(made(pod={"volumes": VOLUMES})) == ("cp-data", "cp-certs")
    assert workload.claim_names(made()) == ()
    # A StatefulSet's pods can each have a volume of their own, and so a CA of their own.
    container = box(volumeMounts=[{"name": "certs", "mountPath": CERTS}])
    each = made(container, kind="StatefulSet", volumeClaimTemplates=[{"metadata": {"name": "certs"}}])
    assert workload.claim_names(each) == ("certs-quazzar-cc-0", "certs-quazzar-cc-1")
    assert workload.volume_of(each, container, CERTS) == {
        "name": "certs",
        "persistentVolumeClaim": {"claimName": "certs-quazzar-cc-0"},
    }


@pytest.mark.parametrize(
    ("volume", "replicas", "shared"),
    [
        (None, 1, False),
        ({"emptyDir": {}}, 1, False),
        ({"persistentVolumeClaim": {"claimName": "cp-certs"}}, 2, True),
        ({"nfs": {"server": "nfs", "path": "/cp"}}, 2, True),
        ({"template": True}, 1, True),
        ({"template": True}, 2, False),
    ],
)
def test_whether_the_pods_share_a_directory(volume: Tree | None, replicas: int, shared: bool) -> None:
    container = box(volumeMounts=[{"name": "certs", "mountPath": CERTS}] if volume else [])
    more: Tree = {"pod": {"volumes": [{"name": "certs", **volume}]}} if volume else {}
    if volume == {"template": True}:
        more = {"kind": "StatefulSet", "volumeClaimTemplates": [{"metadata": {"name": "certs"}}]}
    live = made(container, replicas=replicas, **more)
    assert workload.shares(live, container, CERTS) is shared
    assert workload.shares(live, container, f"{CERTS}/below") is shared
    assert workload.shares(live, container, "") is False


# --- the patch -------------------------------------------------------------------------------------------------------

ENTRY = st.sampled_from([{"name": POOL, "value": "/old.crt"}, {"name": POOL}, {"name": POOL, "value": ""}])
OTHERS = st.lists(
    st.sampled_from([{"name": "LOG", "value": "info"}, {**by("Secret", "db", "password"), "name": "DB"}]),
    unique_by=lambda entry: entry["name"],
)
HELD = st.sampled_from([{"configMap": {"name": "before"}}, {"secret": {"secretName": "before"}}])


@st.composite
def _patchable(draw: t.Any) -> Tree:
    env = draw(st.none() | st.builds(lambda others, own: others + own, OTHERS, st.lists(ENTRY, max_size=1)))
    container = box(volumeMounts=[{"name": "certs", "mountPath": CERTS}])
    if env is not None:
        container["env"] = draw(st.permutations(env))
    if draw(st.booleans()):
        container["envFrom"] = [all_of("ConfigMap", "settings")]
    volumes: list[Tree] = [{"name": "certs", "persistentVolumeClaim": {"claimName": "cp-certs"}}]
    if draw(st.booleans()):
        container["volumeMounts"].append({"name": workload.VOLUME, "mountPath": MOUNT["path"], "readOnly": True})
        volumes.append({"name": workload.VOLUME, **draw(HELD)})
    side = {"name": "log-shipper", "env": [{"name": POOL, "value": "not this one"}]}
    around = draw(st.permutations([container, side]))
    return made(*around, pod={"volumes": volumes, "initContainers": [{"name": "migrate"}]})


@settings(max_examples=400, deadline=None)
@given(_patchable(), st.sampled_from(["", "/a.crt", "/a.crt,/b.crt"]), st.sampled_from(["", "ConfigMap", "Secret"]))
def test_the_patch_changes_the_variable_and_the_mount_and_nothing_else(before: Tree, value: str, kind: str) -> None:
    container = workload.container(before, CP)
    mount = {**MOUNT, "kind": kind} if kind else None
    patch = workload.pool_patch(container, POOL, value, mount)
    after = merged(before, patch)
    assert merged(after, patch) == after, "a second time changes nothing"
    now = workload.container(after, CP)
    objects = {("ConfigMap", "settings"): {"data": {POOL: "/from-a-map.crt"}}}
    source = workload.source(now, POOL, objects)
    if value or any(entry["name"] == POOL for entry in container.get("env") or []):
        assert source.value == value and source.kind in ("value", "absent")
    else:
        assert source == workload.source(container, POOL, objects)
    spec = after["spec"]["template"]["spec"]
    ours = [each for each in spec["volumes"] if each["name"] == workload.VOLUME]
    if kind == "ConfigMap":
        assert ours == [{"name": workload.VOLUME, "configMap": {"name": MOUNT["name"]}}]
    if kind == "Secret":
        assert ours == [{"name": workload.VOLUME, "secret": {"secretName": MOUNT["name"]}}]
    if kind:
        assert workload.volume_of(after, now, MOUNT["path"]) == ours[0]

    def rest(tree: Tree) -> Tree:
        tree = copy.deepcopy(tree)
        pod_spec = tree["spec"]["template"]["spec"]
        pod_spec["volumes"] = [each for each in pod_spec["volumes"] if each["name"] != workload.VOLUME]
        for each in pod_spec["containers"]:
            if each["name"] == CP:
                each["env"] = [entry for entry in each.get("env") or [] if entry["name"] != POOL]
                each["volumeMounts"] = [at for at in each["volumeMounts"] if at["name"] != workload.VOLUME]
        return tree

    assert rest(after) == rest(before)
    if not kind:
        assert after["spec"]["template"]["spec"]["volumes"] == before["spec"]["template"]["spec"]["volumes"]


def test_the_mount_alone_leaves_the_variables_alone() -> None:
    container = box(env=[{"name": POOL, "value": "/a"}])
    (patched,) = workload.mount_patch(container, None)["spec"]["template"]["spec"]["containers"]
    assert patched == {"name": CP}
    spec = workload.mount_patch(container, MOUNT)["spec"]["template"]["spec"]
    whole = workload.pool_patch(container, POOL, "/b", MOUNT)["spec"]["template"]["spec"]
    assert spec["volumes"] == whole["volumes"]
    assert [{**each, "env": [{"name": POOL, "value": "/b"}]} for each in spec["containers"]] == whole["containers"]


def test_a_variable_that_is_not_there_is_not_deleted() -> None:
    empty = {"spec": {"template": {"spec": {"containers": [{"name": CP}]}}}}
    assert workload.pool_patch(box(), POOL, "", None) == empty
    assert workload.pool_patch(box(env=[{"name": "LOG"}]), POOL, "", None) == empty
    there = box(env=[{"name": POOL, "value": "/a"}])
    (container,) = workload.pool_patch(there, POOL, "", None)["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": POOL, "$patch": "delete"}]
    # Without its own entry it would have the value of the map again, and a CA that was closed out would be trusted.
    there["envFrom"] = [all_of("ConfigMap", "settings")]
    (container,) = workload.pool_patch(there, POOL, "", None)["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": POOL, "value": ""}]


@pytest.mark.parametrize(
    ("mounts", "value", "words"),
    [
        ([], "$(X)/a.crt", "expected paths, found '$(X)/a.crt', in which Kubernetes replaces $(NAME) and $$"),
        (
            [("own", MOUNT["path"])],
            "/a",
            "found the volume own at /var/lib/quazzar-cc/legacy. Choose another directory",
        ),
        ([("own", MOUNT["path"] + "/")], "/a", "expected nothing at /var/lib/quazzar-cc/legacy"),
        ([(workload.VOLUME, MOUNT["path"] + "/")], "/a", "expected nothing at /var/lib/quazzar-cc/legacy"),
    ],
)
def test_a_patch_that_would_do_harm_is_refused(mounts: list[tuple[str, str]], value: str, words: str) -> None:
    container = box(volumeMounts=[{"name": each, "mountPath": at} for each, at in mounts])
    with pytest.raises(InputError, match=re.escape(words)):
        workload.pool_patch(container, POOL, value, MOUNT)


# --- what is asked of the API ----------------------------------------------------------------------------------------


def test_the_selector_as_the_api_takes_it() -> None:
    rules = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
        {"key": "cp", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    chosen = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": rules}
    assert workload.selector(made(selector=chosen)) == "a=1,b=2,tier in (a,b),zone notin (c),cp,!old"
    assert workload.selector(made()) == "app=quazzar-cc"


@pytest.mark.parametrize(
    "chosen",
    [
        None,
        {},
        {"matchLabels": None},
        {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "a", "operator": "Gt"}]},
    ],
)
def test_half_a_selector_is_refused(chosen: t.Any) -> None:
    with pytest.raises(InputError, match=r"Deployment quazzar/quazzar-cc: expected .* selector"):
        workload.selector(made(selector=chosen))


@pytest.mark.parametrize(
    ("verb", "resource", "said", "rule"),
    [
        ("list", "pods", "list pods", '{apiGroups: [""], resources: ["pods"], verbs: ["list"]}'),
        ("get", "pods/log", "get pods/log", '{apiGroups: [""], resources: ["pods/log"], verbs: ["get"]}'),
        ("get", "pods/exec", "get pods/exec", '{apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"]}'),
        ("get", "apps/deployments", "get deployments",
         '{apiGroups: ["apps"], resources: ["deployments"], verbs: ["get"]}'),
        ("patch", "apps/deployments/scale", "patch deployments/scale",
         '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}'),
        ("update", "coordination.k8s.io/leases", "update leases",
         '{apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["update"]}'),
        ("list", "policy/poddisruptionbudgets", "list poddisruptionbudgets",
         '{apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["list"]}'),
    ],
)  # fmt: skip
def test_the_rule_that_is_missing(verb: str, resource: str, said: str, rule: str) -> None:
    assert workload.missing_rule(verb, resource, "quazzar") == (
        f"this account may not {said} in the namespace quazzar. Its Role needs the rule {rule}; docs/kubernetes.md has"
        " it whole"
    )
    told = workload.missing_rule(verb, resource, "quazzar", detail="no such binding")
    assert "quazzar (no such binding). Its" in told


@pytest.mark.parametrize(
    ("verb", "resource", "named"),
    [
        ("get", "secrets", True),
        ("patch", "apps/deployments", True),
        ("update", "coordination.k8s.io/leases", True),
        # it has no name yet
        ("create", "configmaps", False),
        # a request without a name is not allowed by a rule that has one
        ("list", "apps/replicasets", False),
        # pods come and go
        ("get", "pods/log", False),
        ("delete", "pods", False),
    ],
)
def test_a_rule_for_an_object_that_is_known_by_its_name(verb: str, resource: str, named: bool) -> None:
    end = '"], resourceNames: ["quazzar-cc"]};' if named else '"]};'
    assert f'verbs: ["{verb}{end}' in workload.missing_rule(verb, resource, "quazzar", "quazzar-cc")


def test_what_is_in_no_namespace_needs_a_cluster_role() -> None:
    assert workload.missing_rule("get", "persistentvolumes", "") == (
        'this account may not get persistentvolumes. Its ClusterRole needs the rule {apiGroups: [""], resources:'
        ' ["persistentvolumes"], verbs: ["get"]}; docs/kubernetes.md has it whole'
    )


# --- whatever comes --------------------------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x", "spec"]), inner),
    max_leaves=5,
)


def _places(tree: t.Any) -> list[tuple[t.Any, t.Any]]:
    found = []
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        found += [(tree, key), *_places(tree[key])]
    return found


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_the_objects_hold_there_is_an_answer_or_an_error_of_ours(data: st.DataObject) -> None:
    container = box(
        env=[
            {"name": POOL, "value": "/a"},
            by("Secret", "hidden", "x", optional=True),
            by("ConfigMap", "settings", "a"),
        ],
        envFrom=[all_of("ConfigMap", "settings", "CC_")],
        volumeMounts=[{"name": "certs", "mountPath": CERTS}],
    )
    chosen = {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "t", "operator": "In", "values": ["a"]}]}
    meta = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "managedFields": [{"manager": "kubectl"}]}
    tree: Tree = {
        "workload": made(
            container,
            kind=data.draw(st.sampled_from(workload.KINDS)),
            selector=chosen,
            meta=meta,
            pod={"volumes": VOLUMES, "initContainers": [{"name": "migrate"}]},
            status=stateful(updatedReplicas=1, conditions=LATE),
            updateStrategy={"rollingUpdate": {"partition": 1}},
            volumeClaimTemplates=[{"metadata": {"name": "certs"}}],
            **NO_SURPLUS,
        ),
        "pods": [
            pod("a"),
            copy.deepcopy(CRASHED),
            pod("b", None, initContainerStatuses=[{"state": waiting("X", "y")}]),
        ],
        "objects": {name: copy.deepcopy(OBJECTS["ConfigMap", name]) for name in ("settings", "other")},
        "claims": {"certs": claim("ReadWriteOnce")},
        "budgets": [{"metadata": {"name": "b"}, "status": {"disruptionsAllowed": 0}}],
    }
    tree = copy.deepcopy(tree)
    for _turn in range(data.draw(st.integers(0, 3))):
        places = [place for place in _places(tree) if place[0] is not tree]
        container_of, key = places[data.draw(st.integers(0, len(places) - 1))]
        if data.draw(st.booleans()):
            container_of[key] = data.draw(JUNK)
        else:
            del container_of[key]
    everything(tree)


def everything(tree: Tree) -> None:
    found = tree["workload"]
    objects = {("ConfigMap", name): value for name, value in tree["objects"].items()}
    pods = workload.pods([each for each in tree["pods"] if isinstance(each, dict)], CP, ["rs1"])
    rolled = workload.rollout(found, pods)
    assert bool(rolled.reason) != rolled.done
    assert isinstance(workload.kept_by(found), str) and isinstance(workload.last_writer(found), str)
    assert workload.reverts(found) in ("", workload.kept_by(found))
    assert {*workload.stuck(found, pods)} <= {each.name for each in pods}
    assert isinstance(workload.revision_of(found), int)
    assert all(isinstance(each, str) for each in workload.stalls(found, tree["claims"], tree["budgets"]))
    assert all(isinstance(each, str) and each for each in workload.claim_names(found))
    with pytest.raises(InputError, match=re.escape(workload.title(found))):
        workload.container(found, "cc")
    with contextlib.suppress(RotationError):
        workload.selector(found)
    try:
        own = workload.container(found, "")
    except RotationError:
        return
    workload.references(own, [POOL, "AUTO"])
    workload.volume_of(found, own, CERTS)
    workload.shares(found, own, CERTS)
    source = workload.source(own, POOL, objects)
    assert isinstance(workload.refusal_to_follow(found, own, POOL, source), str)
    workload.pool_patch(own, POOL, "", None)
    with contextlib.suppress(RotationError):
        workload.pool_patch(own, POOL, "/a", MOUNT)
