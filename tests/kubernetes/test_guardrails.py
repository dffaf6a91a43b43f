# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prevention rules against what a real API server says. No playbook: the facts, and the rules over them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action import guardrails_info, k8s_cp_info
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars
from podfleet import CONTAINER, Cluster
from quazzar_lab.manifests import IDLE

pytestmark = pytest.mark.kubernetes

CERTS = "/var/lib/quazzar-cc/certs"
START_SECONDS = 60.0
POLL_SECONDS = 0.1
VARIABLE = "CC_ALLOW_AUTO_CA_GEN"
#: What it takes to look at a workload, all of it in one namespace.
RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods/exec", "pods/portforward"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["persistentvolumeclaims", "configmaps"], "verbs": ["get"]},
]


def looked_at(namespace: str, **more: Any) -> dict[str, Any]:
    """What is registered for the host that stands for the workload."""
    asked = {"namespace": namespace, "workload": "quazzar-cc", "container": CONTAINER, "certs_dir": CERTS, **more}
    found = act(k8s_cp_info.ActionModule, asked, host="cp")
    assert not found.get("failed"), found
    return found


def rules(found: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Verdict and words of all points of each rule."""
    variables = hostvars({"cp": {"__controlplane_replica": found}})
    checked = act(guardrails_info.ActionModule, {"nodes": [], "cp_hosts": ["cp"]}, task_vars={"hostvars": variables})
    return {
        rule["id"]: [(point["verdict"], f"{point['subject']}: {point['found']}") for point in rule["found"]]
        for rule in checked["report"]["rules"]
    }


@contextmanager
def account(cluster: Cluster, namespace: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within this, the API is asked by a service account that has RULES in the namespace, and nothing else."""
    about = {"name": "looker", "namespace": namespace}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": about}
    subject = {"kind": "ServiceAccount", "name": "looker", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looker"}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
    cluster.create({**rbac, "kind": "Role", "rules": RULES})
    cluster.create({**rbac, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]})
    request = {"spec": {"audiences": [], "expirationSeconds": 600}}
    token = cluster.core.create_namespaced_service_account_token("looker", namespace, request).status.token
    configuration = cluster.core.api_client.configuration
    with patch.context() as inside:
        inside.setenv("K8S_AUTH_HOST", configuration.host)
        inside.setenv("K8S_AUTH_API_KEY", token)
        inside.setenv("K8S_AUTH_SSL_CA_CERT", configuration.ssl_ca_cert)
        yield


def test_a_volume_that_is_kept_and_one_that_is_not(
    pod_fleet: Callable[..., Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pod_fleet(1)
    volume = f"{made.namespace}-certs"
    before = made.objects()
    good = looked_at(made.namespace)
    assert made.objects() == before, "it was only looked at"
    claim = {
        "name": "cp-certs", "found": True, "error": "", "phase": "Bound", "access_modes": ["ReadWriteMany"],
        "storage_class": "quazzar-lab", "volume": volume, "reclaim_policy": "Retain", "volume_error": "",
    }  # fmt: skip
    assert good["workload"]["storage"] == {
        "path": CERTS, "mount": CERTS, "volume": "certs", "kind": "persistentVolumeClaim", "claims": [claim],
        "conflicts": [],
    }  # fmt: skip
    assert [replica["storage"]["mount"] for replica in good["replicas"]] == [CERTS, CERTS]
    found = rules(good)
    pods = [f"cp/{name}" for name in made.pods()]
    assert found["persistent-volume"] == [
        ("pass", f"{pod}: {CERTS} is on the persistentVolumeClaim volume certs") for pod in pods
    ]
    assert found["claim-bound"] == [("pass", f"cp: the claim cp-certs is bound to the volume {volume}")]
    which = f"cp: the volume {volume} of the claim cp-certs"
    assert found["reclaim-policy"] == [("pass", f"{which} has the reclaim policy Retain")]
    assert found["access-mode"] == [("pass", "cp: 2 replicas on ReadWriteMany")]
    # the lab's Control Panel makes its CA by itself
    assert {verdict for verdict, _words in found["auto-ca-gen"]} == {"fail"}
    assert found["auto-ca-gen"][-1][1] == (
        f"cp: container {CONTAINER}: {VARIABLE} is true, from the workload's own env"
    )
    assert {verdict for rule in ("replicas-serve", "same-active-ca") for verdict, _words in found[rule]} == {"pass"}

    with account(cluster, made.namespace, monkeypatch):
        forbidden = looked_at(made.namespace)
    [claim] = forbidden["workload"]["storage"]["claims"]
    assert (claim["phase"], claim["reclaim_policy"]) == ("Bound", "")
    rule = f'{{apiGroups: [""], resources: ["persistentvolumes"], verbs: ["get"], resourceNames: ["{volume}"]}}'
    assert rule in claim["volume_error"] and "ClusterRole" in claim["volume_error"]
    assert "in the namespace" not in claim["volume_error"], "it is in none"
    found = rules(forbidden)
    assert [verdict for verdict, _words in found["reclaim-policy"]] == ["unknown"]
    assert [verdict for rule in ("claim-bound", "access-mode") for verdict, _words in found[rule]] == ["pass", "pass"]

    def reclaim(policy: str) -> None:
        cluster.core.patch_persistent_volume(volume, {"spec": {"persistentVolumeReclaimPolicy": policy}})

    reclaim("Delete")
    lost = rules(looked_at(made.namespace))["reclaim-policy"]
    reclaim("Retain")
    words = "has the reclaim policy Delete: whoever deletes the claim, or its namespace, deletes the CA"
    assert lost == [("fail", f"{which} {words}")]


@pytest.fixture
def faulty(cluster: Cluster) -> Iterator[str]:
    """A namespace with a workload whose container does nothing, for its objects are what is looked at."""
    namespace = f"quazzar-{secrets.token_hex(4)}"
    about = {"name": "quazzar-cc", "namespace": namespace}
    box = {"image": cluster.image, "imagePullPolicy": "Never"}
    settings, migration = [[{"configMapRef": {"name": name}}] for name in ("settings", "migration")]
    labels = {"app": "faulty"}
    pod = {
        "terminationGracePeriodSeconds": 1,
        "initContainers": [{**box, "name": "migrate", "command": ["true"], "envFrom": migration}],
        "containers": [
            {
                **box, "name": CONTAINER, "command": IDLE, "envFrom": settings,
                "env": [{"name": VARIABLE, "value": "false"}],
                "volumeMounts": [{"name": "certs", "mountPath": CERTS}, {"name": "data", "mountPath": "/data"}],
            },
        ],
        "volumes": [
            {"name": "certs", "emptyDir": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        ],
    }  # fmt: skip
    template = {"metadata": {"labels": labels}, "spec": pod}
    volume = {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"}, "storageClassName": namespace,
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/tmp", "type": "Directory"},
    }  # fmt: skip
    claim = {
        "accessModes": ["ReadWriteOnce"], "storageClassName": namespace, "volumeName": namespace,
        "resources": {"requests": {"storage": "1Mi"}},
    }  # fmt: skip
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {**about, "name": "data"}, "spec": claim},
        *(
            {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {**about, "name": name},
                "data": {VARIABLE: "true"},
            }
            for name in ("settings", "migration")
        ),
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": about,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
    ]  # fmt: skip
    for item in objects:
        cluster.create(item)
    yield namespace
    for item in objects[:2]:
        cluster.resource(item).delete(name=item["metadata"]["name"])


def test_a_workload_with_every_fault(cluster: Cluster, faulty: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _runs(cluster, faulty):
        assert time.monotonic() < deadline, f"no pod of {faulty} runs after {START_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
    seen = looked_at(faulty, timeout=2)
    told = seen["workload"]
    assert (told["storage"]["kind"], told["storage"]["claims"]) == ("emptyDir", [])
    assert [(each["container"], each["init"], each["on"], each["hidden"]) for each in told["auto_ca_gen"]] == [
        ("migrate", True, True, False),
        (CONTAINER, False, False, False),
        (CONTAINER, False, True, True),
    ]
    found = rules(seen)
    [pod] = seen["replicas"]
    assert found["persistent-volume"] == [
        ("fail", f"cp/{pod['name']}: {CERTS} is on the emptyDir volume certs: gone with the pod")
    ]
    source = f"the key {VARIABLE} of the ConfigMap settings (envFrom)"
    assert found["auto-ca-gen"] == [
        ("pass", f"cp/{pod['name']}: it is unset, or not true"),
        ("fail", "cp: init container migrate: CC_ALLOW_AUTO_CA_GEN is true, from the key"
         f" {VARIABLE} of the ConfigMap migration (envFrom)"),
        ("fail", f"cp: container {CONTAINER}: {VARIABLE} is true, from {source}, which another source hides for now"),
    ]  # fmt: skip
    assert [verdict for verdict, _words in found["access-mode"]] == ["fail"]
    assert "mounts the claim data, which only one node may mount (ReadWriteOnce)" in found["access-mode"][0][1]


def _runs(cluster: Cluster, namespace: str) -> bool:
    pods = cluster.core.list_namespaced_pod(namespace).items
    return bool(pods) and all(pod.status.phase == "Running" for pod in pods)
