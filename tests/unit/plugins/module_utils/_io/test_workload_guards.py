# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import workload_guards

VARIABLE = "CC_ALLOW_AUTO_CA_GEN"
BOX = {"name": "cc", "volumeMounts": [{"name": "certs", "mountPath": "/certs"}]}
OPTIONS = {"certs_dir": "/certs", "auto_ca_gen_variable": VARIABLE}
CLAIM = {"spec": {"accessModes": ["ReadWriteMany"], "volumeName": "pv-1"}, "status": {"phase": "Bound"}}
RETAIN = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}


class Cluster:
    """Answers from what it is given, and remembers what it was asked."""

    def __init__(self, **answers: t.Any) -> None:
        self.answers, self.asked = answers, []

    def _answer(self, name: str) -> t.Any:
        self.asked.append(name)
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def claim(self, name: str) -> t.Any:
        return self._answer(f"claim {name}")

    def volume(self, name: str) -> t.Any:
        return self._answer(f"volume {name}")

    def objects(self, wanted: t.Iterable[tuple[str, str]]) -> t.Any:
        [pair] = wanted
        answer = self._answer(" ".join(pair))
        return {pair: answer} if answer else {}


def workload(kind: dict[str, t.Any], *boxes: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    pod = {"volumes": [{"name": "certs", **kind}] if kind else [], "containers": [BOX], "initContainers": list(boxes)}
    about = {"name": "cp", "namespace": "q"}
    return {"kind": "Deployment", "metadata": about, "spec": {"replicas": 2, **spec, "template": {"spec": pod}}}


def gather(cluster: Cluster, found: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    options = {**OPTIONS, **more.get("options", {})}
    replicas = [{"storage": {"mount": more.get("mount", "")}}]
    return workload_guards.gather(t.cast(t.Any, cluster), found, BOX, options, replicas)


ON_CLAIM = {"persistentVolumeClaim": {"claimName": "certs"}}


def test_a_claim_and_its_volume() -> None:
    cluster = Cluster(**{"claim certs": CLAIM, "volume pv-1": RETAIN})
    found = gather(cluster, workload(ON_CLAIM))
    assert found["auto_ca_gen"] == []
    [claim] = found["storage"].pop("claims")
    assert found["storage"] == {
        "path": "/certs", "mount": "/certs", "volume": "certs", "kind": "persistentVolumeClaim", "conflicts": [],
    }  # fmt: skip
    assert (claim["found"], claim["phase"], claim["reclaim_policy"]) == (True, "Bound", "Retain")
    assert cluster.asked == ["claim certs", "volume pv-1"], "each once"


def test_a_volume_that_may_not_be_read_is_told_with_the_rule() -> None:
    cluster = Cluster(**{"claim certs": CLAIM, "volume pv-1": HostError("the API forbids get persistentvolumes")})
    [claim] = gather(cluster, workload(ON_CLAIM))["storage"]["claims"]
    assert (claim["volume_error"], claim["reclaim_policy"]) == ("the API forbids get persistentvolumes", "")
    assert claim["phase"] == "Bound" and claim["error"] == ""


def test_a_claim_that_is_not_there() -> None:
    [claim] = gather(Cluster(), workload(ON_CLAIM))["storage"]["claims"]
    assert (claim["found"], claim["error"], claim["volume_error"]) == (False, "", "")


def test_the_claims_of_a_template_are_asked_for_one_by_one() -> None:
    cluster = Cluster(**{"claim certs-cp-0": CLAIM, "claim certs-cp-1": HostError("no"), "volume pv-1": RETAIN})
    made = {**workload({}, volumeClaimTemplates=[{"metadata": {"name": "certs"}}]), "kind": "StatefulSet"}
    storage = gather(cluster, made)["storage"]
    assert [(each["name"], each["found"], each["error"]) for each in storage["claims"]] == [
        ("certs-cp-0", True, ""),
        ("certs-cp-1", False, "no"),
    ]
    assert storage["kind"] == "volumeClaimTemplate" and "has 2 replicas" in storage["conflicts"][0]


def test_where_the_pods_have_it_comes_before_where_the_option_says() -> None:
    found = gather(Cluster(), workload(ON_CLAIM), mount="/")
    assert (found["storage"]["kind"], found["storage"]["claims"]) == ("none", [])


def test_without_a_directory_nothing_is_looked_at() -> None:
    cluster = Cluster()
    assert gather(cluster, workload(ON_CLAIM), options={"certs_dir": None})["storage"] is None
    assert cluster.asked == []


def test_a_claim_that_is_not_the_certificates_counts_for_the_strategy() -> None:
    once = {"spec": {"accessModes": ["ReadWriteOnce"]}}
    made = workload({"emptyDir": {}})
    made["spec"]["template"]["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    storage = gather(Cluster(**{"claim data": once}), made)["storage"]
    assert (storage["kind"], storage["claims"]) == ("emptyDir", [])
    assert ["the claim data" in each for each in storage["conflicts"]] == [True, True]


def test_objects_of_all_containers_are_read_once_and_may_be_forbidden() -> None:
    def boxed(name: str) -> dict[str, t.Any]:
        maps = [{"configMapRef": {"name": each}} for each in ("off", "on", "gone")]
        return {"name": name, "envFrom": [*maps, {"secretRef": {"name": "s"}}]}

    answers = {
        "ConfigMap on": {"data": {VARIABLE: "true"}},
        "ConfigMap off": {"data": {VARIABLE: "false"}},
        "Secret s": HostError("forbidden"),
    }
    cluster = Cluster(**answers)
    found = gather(cluster, workload({}, boxed("one"), boxed("two")))["auto_ca_gen"]
    one = [(each["on"], each["hidden"], each["error"]) for each in found if each["container"] == "one"]
    assert one == [(None, False, "forbidden"), (True, False, ""), (False, True, "")]
    assert len(found) == 2 * len(one)
    assert sorted(cluster.asked) == ["ConfigMap gone", "ConfigMap off", "ConfigMap on", "Secret s"]


def test_no_answer_at_all_ends_it() -> None:
    with pytest.raises(Unreachable):
        gather(Cluster(**{"claim certs": Unreachable("no route")}), workload(ON_CLAIM))
