# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import workload_guards

VARIABLE = "CC_ALLOW_AUTO_CA_GEN"
CERTS = "/var/lib/cc/certs"
ON = {"name": VARIABLE, "value": "true"}


def objects(*pods: dict[str, t.Any], init: t.Iterable[dict[str, t.Any]] = (), **spec: t.Any) -> dict[str, t.Any]:
    """A workload of these containers."""
    template = {"containers": list(pods), "initContainers": list(init), "volumes": spec.pop("volumes", [])}
    kind = spec.pop("kind", "Deployment")
    meta = {"name": "cc", "namespace": "quazzar"}
    return {"kind": kind, "metadata": meta, "spec": {**spec, "template": {"spec": template}}}


def box(*mounts: tuple[str, str], name: str = "cc", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "volumeMounts": [{"name": volume, "mountPath": at} for volume, at in mounts], **more}


def volume(name: str, **kind: t.Any) -> dict[str, t.Any]:
    return {"name": name, **kind}


def claim(*modes: str, **status: t.Any) -> dict[str, t.Any]:
    return {"spec": {"accessModes": list(modes), "volumeName": "pv-1", "storageClassName": "fast"}, "status": status}


@pytest.mark.parametrize(
    ("mounts", "seen", "where"),
    [
        ([("certs", CERTS)], [], ("certs", CERTS)),
        ([("certs", CERTS + "/")], [], ("certs", CERTS + "/")),
        ([("state", "/var/lib/cc"), ("certs", CERTS)], [], ("certs", CERTS)),
        ([("certs", CERTS), ("state", "/var/lib/cc")], [], ("certs", CERTS)),
        ([("state", "/var/lib/cc"), ("more", CERTS + "/more")], [], ("state", "/var/lib/cc")),
        ([("other", CERTS + "-old")], [], ("", "")),
        ([], [], ("", "")),
        # what the pods say of the mount comes first: the directory may be a link
        ([("certs", CERTS), ("data", "/data")], ["", "/data"], ("data", "/data")),
        ([("certs", CERTS)], ["/"], ("", "")),
    ],
)
def test_on_which_volume_the_certificates_lie(
    mounts: list[tuple[str, str]], seen: list[str], where: tuple[str, str]
) -> None:
    found = workload_guards.place(objects(), box(*mounts), CERTS, seen)
    assert (found["volume"], found["mount"], found["path"]) == (*where, CERTS)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ({"volumes": [volume("certs", persistentVolumeClaim={"claimName": "a"})]}, "persistentVolumeClaim"),
        ({"volumes": [volume("x", hostPath={}), volume("certs", emptyDir={})]}, "emptyDir"),
        ({"volumes": [volume("certs", configMap={"name": "a"})]}, "configMap"),
        ({"volumes": []}, "none"),
        ({"volumeClaimTemplates": [{"metadata": {"name": "certs"}}]}, "volumeClaimTemplate"),
        (
            {"volumes": [volume("certs", emptyDir={})], "volumeClaimTemplates": [{"metadata": {"name": "certs"}}]},
            "volumeClaimTemplate",
        ),
    ],
)
def test_the_kind_of_a_volume(made: dict[str, t.Any], kind: str) -> None:
    assert workload_guards.place(objects(**made), box(("certs", CERTS)), CERTS, [])["kind"] == kind


def test_the_claims_behind_a_volume() -> None:
    one = objects(volumes=[volume("certs", persistentVolumeClaim={"claimName": "a"}), volume("lab", hostPath={})])
    assert workload_guards.claim_names(one, "certs") == ("a",)
    assert workload_guards.claim_names(one, "lab") == workload_guards.claim_names(one, "") == ()
    made = {"kind": "StatefulSet", "volumeClaimTemplates": [{"metadata": {"name": "certs"}}]}
    assert workload_guards.claim_names(objects(**made), "certs") == ("certs-cc-0",)
    several = objects(**made, replicas=2, ordinals={"start": 3})
    assert workload_guards.claim_names(several, "certs") == ("certs-cc-3", "certs-cc-4")


def test_the_claims_that_all_pods_share() -> None:
    pvc = {"persistentVolumeClaim": {"claimName": "a"}}
    made = objects(volumes=[volume("x", **pvc), volume("y", emptyDir={}), volume("z", **pvc)], replicas=2)
    assert workload_guards.shared_claims(made) == ("a",)
    assert workload_guards.shared_claims(objects(volumeClaimTemplates=[{"metadata": {"name": "certs"}}])) == ()


def test_a_claim_and_its_volume() -> None:
    policy = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    assert workload_guards.claim("a", claim("ReadWriteMany", phase="Bound"), policy, "", "") == {
        "name": "a", "found": True, "error": "", "phase": "Bound", "access_modes": ["ReadWriteMany"],
        "storage_class": "fast", "volume": "pv-1", "reclaim_policy": "Delete", "volume_error": "",
    }  # fmt: skip
    gone = workload_guards.claim("a", None, None, "", "")
    assert (gone["found"], gone["phase"], gone["access_modes"], gone["volume"]) == (False, "", [], "")


@pytest.mark.parametrize(
    ("spec", "mode", "words"),
    [
        ({"replicas": 2}, "ReadWriteMany", []),
        ({"replicas": 1, "strategy": {"type": "Recreate"}}, "ReadWriteOnce", []),
        ({"replicas": 1}, "ReadWriteOnce", ["mounts the claim a, which only one node may mount (ReadWriteOnce), and"]),
        ({}, "ReadWriteOncePod", ["mounts the claim a, which only one pod may mount (ReadWriteOncePod), and"]),
        (
            {"replicas": 2, "strategy": {"type": "Recreate"}}, "ReadWriteOnce",
            ["has 2 replicas on the claim a, which only one node may mount (ReadWriteOnce): a pod elsewhere never"],
        ),
        (
            {"replicas": 3, "kind": "StatefulSet"}, "ReadWriteOncePod",
            ["has 3 replicas on the claim a, which only one pod may mount (ReadWriteOncePod): a pod elsewhere never"],
        ),
        ({"replicas": 2}, "ReadWriteOnce", ["mounts the claim a", "has 2 replicas on the claim a"]),
        # what stalls a rollout for another reason is not the claim's
        ({"replicas": 2, "paused": True}, "ReadWriteMany", []),
    ],
)  # fmt: skip
def test_replicas_and_strategy_against_the_access_mode(spec: dict[str, t.Any], mode: str, words: list[str]) -> None:
    made = objects(**spec)
    found = workload_guards.conflicts(made, {"a": claim(mode)}, {"kind": "persistentVolumeClaim", "volume": "certs"})
    assert len(found) == len(words)
    title = f"{spec.get('kind', 'Deployment')} quazzar/cc "
    assert all(each.startswith(title + word) for each, word in zip(found, words, strict=True))


def test_a_volume_for_each_pod_is_no_common_one() -> None:
    place = {"kind": "volumeClaimTemplate", "volume": "certs"}
    [words] = workload_guards.conflicts(objects(kind="StatefulSet", replicas=2), {}, place)
    assert words == (
        "StatefulSet quazzar/cc has 2 replicas, and each has a volume of its own for the certificates"
        " (volumeClaimTemplate certs): one that loses it goes on with another CA than the others"
    )
    assert workload_guards.conflicts(objects(kind="StatefulSet", replicas=1), {}, place) == ()


def said(found: list[dict[str, t.Any]]) -> list[tuple[t.Any, ...]]:
    return [(each["container"], each["init"], each["source"], each["on"], each["hidden"]) for each in found]


def test_the_switch_in_every_container_and_every_source() -> None:
    init = box(name="migrate", envFrom=[{"configMapRef": {"name": "all"}}])
    own = box(
        env=[{"name": "OTHER", "value": "true"}, {"name": VARIABLE, "value": " False "}],
        envFrom=[{"secretRef": {"name": "s"}}, {"prefix": "CC_", "configMapRef": {"name": "short"}}],
    )
    side = box(
        name="side",
        env=[
            {"name": VARIABLE, "valueFrom": {"configMapKeyRef": {"name": "all", "key": "gen"}}},
            {"name": VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
    )
    known = {
        ("ConfigMap", "all"): {"data": {VARIABLE: "true", "gen": "0"}},
        ("ConfigMap", "short"): {"data": {"ALLOW_AUTO_CA_GEN": "T"}},
        ("Secret", "s"): {"data": {VARIABLE: "yes"}},
    }
    found = workload_guards.flags(objects(own, side, init=[init]), VARIABLE, known, {})
    assert said(found) == [
        ("migrate", True, f"the key {VARIABLE} of the ConfigMap all (envFrom)", True, False),
        ("cc", False, "the workload's own env", False, False),
        ("cc", False, "the key ALLOW_AUTO_CA_GEN of the ConfigMap short (envFrom)", True, True),
        ("cc", False, f"the key {VARIABLE} of the Secret s (envFrom)", True, True),
        ("side", False, "a field of the pod", None, False),
        ("side", False, "the key gen of the ConfigMap all (valueFrom)", False, True),
    ]
    # a value may be a secret, and is never told
    assert all(set(each) == {"container", "init", "source", "on", "hidden", "error"} for each in found)


def test_a_source_that_may_not_be_read_hides_nothing_and_is_told() -> None:
    own = box(envFrom=[{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "s"}}])
    known = {("ConfigMap", "all"): {"data": {VARIABLE: "true"}}}
    found = workload_guards.flags(objects(own), VARIABLE, known, {("Secret", "s"): "forbidden"})
    assert said(found) == [
        ("cc", False, "the Secret s", None, False),
        ("cc", False, f"the key {VARIABLE} of the ConfigMap all (envFrom)", True, False),
    ]
    assert [each["error"] for each in found] == ["forbidden", ""]


def test_a_source_that_may_not_be_read_and_is_not_in_force_is_left_out() -> None:
    own = box(env=[{"name": VARIABLE, "value": "false"}], envFrom=[{"secretRef": {"name": "s"}}])
    found = workload_guards.flags(objects(own), VARIABLE, {}, {("Secret", "s"): "forbidden"})
    assert said(found) == [("cc", False, "the workload's own env", False, False)]
    assert workload_guards.references(objects(own, init=[box(name="b")]), VARIABLE) == (("Secret", "s"),)


def test_the_value_of_another_variable_is_not_known() -> None:
    own = box(env=[{"name": VARIABLE, "value": "$(OTHER)"}])
    assert [each["on"] for each in workload_guards.flags(objects(own), VARIABLE, {}, {})] == [None]


def test_where_nobody_sets_it() -> None:
    own = box(env=[{"name": "OTHER", "value": "true"}], envFrom=[{"configMapRef": {"name": "gone"}}])
    assert workload_guards.flags(objects(own), VARIABLE, {}, {}) == []


SOURCES = st.lists(st.sampled_from(["env on", "env off", "map on", "map off", "map without", "no map"]), max_size=5)


@given(SOURCES)
def test_one_source_of_a_container_at_most_is_in_force_and_it_is_the_one_that_the_kubelet_takes(
    words: list[str],
) -> None:
    known = {
        ("ConfigMap", "on"): {"data": {VARIABLE: "1"}},
        ("ConfigMap", "off"): {"data": {VARIABLE: "0"}},
        ("ConfigMap", "without"): {"data": {"OTHER": "1"}},
    }
    env = [{"name": VARIABLE, "value": str(word == "env on")} for word in words if word.startswith("env ")]
    maps = [{"configMapRef": {"name": word.split()[1]}} for word in words if "map" in word]
    found = workload_guards.flags(objects(box(env=env, envFrom=maps)), VARIABLE, known, {})
    # The kubelet: each envFrom in turn, then each env, the later over the earlier.
    force = None
    for word in [*(w for w in words if w.startswith("map ")), *(w for w in words if w.startswith("env "))]:
        force = force if word == "map without" else word.endswith(" on")
    assert [each["on"] for each in found if not each["hidden"]] == ([] if force is None else [force])
    assert len(found) == sum(word not in ("map without", "no map") for word in words)
