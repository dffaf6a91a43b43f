# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stops a run on Kubernetes before it changes anything, what it takes back, and what it copes with."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accounts
import pytest
import yaml
from kubernetes import client

from fleets import digest_of
from quazzar_lab.manifests import POOL_VARIABLE

pytestmark = pytest.mark.kubernetes

LEGACY = "/var/lib/quazzar-cc/legacy"
READ, CHANGE = "quazzar-ca-rotation-read", "quazzar-ca-rotation-change"
ELSEWHERE = "quazzar-ca-rotation-elsewhere"
CRASH = f'test -z "${POOL_VARIABLE}" || {{ echo "no such file"; exit 3; }}; exec python3 -m quazzar_lab.cp'


def refused(made: Any, *words: str, **variables: Any) -> None:
    """The window is not opened, for this reason, and nothing on the API server is written."""
    before = written(made)
    run = made.play("grace_open", status=2, **variables)
    assert all(run.says(word) for word in words), run.tail
    assert written(made) == before


def written(made: Any) -> dict[str, str]:
    """What is on the API server but for the lock, which comes and goes with a run."""
    return {name: version for name, version in made.objects().items() if not name.startswith("Lease/")}


@pytest.fixture
def stranded(pod_fleet: Callable[..., Any]) -> Callable[..., Any]:
    """A small fleet after the accident, world W1."""

    def start(**shape: Any) -> Any:
        made = pod_fleet(2, "W1", **shape)
        made.accident()
        made.disconnected()
        return made

    return start


@pytest.mark.long
def test_what_stops_a_run_before_it_changes_anything(stranded: Callable[..., Any], tmp_path: Path) -> None:
    made = stranded(sidecar=True, init=True)
    workload = f"Deployment {made.namespace}/quazzar-cc"
    refused(
        made,
        f"{workload}: expected one container, found log-shipper, control-center. Say which one is the CP:"
        " quazzar_k8s_container.",
        quazzar_k8s_container="",
    )
    refused(made, "expected a container 'migrate' (that is an init container", quazzar_k8s_container="migrate")
    refused(
        made, f"expected the Deployment {made.namespace}/gone, found none of that name", quazzar_k8s_deployment="gone"
    )

    made.patch({"spec": {"paused": True}})
    refused(made, f"{workload}: it is paused, resume it: kubectl rollout resume")
    made.patch({"spec": {"paused": None}})

    # a repository decides what it is like
    keeper = {"argocd.argoproj.io/tracking-id": "cp:apps/Deployment:x/quazzar-cc"}
    made.patch({"metadata": {"annotations": keeper}})
    refused(made, f"{workload} is kept by Argo CD, which would put a change back", "quazzar_cp_platform: declared")
    made.patch({"metadata": {"annotations": dict.fromkeys(keeper)}})

    # an account that may only read
    reader = accounts.kubeconfig(made, "reader", accounts.documented(READ), tmp_path)
    looked = made.play("drift_report", quazzar_k8s_kubeconfig=reader, quazzar_k8s_context="")
    assert set(looked.states.values()) == {"stranded"}, looked.tail
    checked = made.play("ca_rotate", "--check", status=2, quazzar_k8s_kubeconfig=reader, quazzar_k8s_context="")
    for rule in (
        'apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"], resourceNames: ["quazzar-cc"]',
        'resources: ["configmaps"], verbs: ["create"]',
    ):
        assert checked.says(rule), checked.tail

    # the variable comes from elsewhere
    space = {"namespace": made.namespace}
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", **space}}
    made.cluster.create({**held, "data": {POOL_VARIABLE: "", "CC_OTHER": "1"}})
    made.patch_container(envFrom=[{"configMapRef": {"name": "settings"}}])
    made.rolled_out()
    refused(
        made,
        f"{POOL_VARIABLE} comes from the key {POOL_VARIABLE} of the ConfigMap settings (envFrom), which other"
        " variables come from too. Nothing was changed. Let this collection edit that object"
        " (quazzar_k8s_env_source: follow)",
    )


def test_pods_with_cas_of_their_own(pod_fleet: Callable[..., Any]) -> None:
    """Replicas that disagree stop a run: nobody knows which of them is right."""
    made = pod_fleet(1, "W2")
    # one of them has not noticed that the volume was lost
    made.accident(pods=1)
    refused(made, "the replicas serve from different CAs (cp/quazzar-cc-", "make them agree")
    mount = {"name": "certs", "mountPath": "/var/lib/quazzar-cc/certs", "subPathExpr": "$(CC_LAB_NAME)"}
    made.patch_container(volumeMounts=[mount], env=[{"name": "CC_ALLOW_AUTO_CA_GEN", "value": "true"}])
    made.rolled_out()
    refused(made, "the replicas hold different active CAs")


def test_a_claim_for_one_node(stranded: Callable[..., Any]) -> None:
    made = stranded(access_mode="ReadWriteOnce")
    refused(
        made,
        "mounts the claim cp-certs, which only one node may mount (ReadWriteOnce), and rolls by starting new pods"
        " first: a new pod on another node waits for ever. Set the strategy Recreate",
    )
    opened = made.play("grace_open", quazzar_k8s_one_node=True)
    assert opened.report["phase"] == "window open"
    made.connected()


def test_a_rollout_that_crashes_is_taken_back(stranded: Callable[..., Any]) -> None:
    made = stranded()
    made.patch_container(command=["sh", "-c", CRASH])
    made.rolled_out()
    pods = made.pods()
    run = made.play("grace_open", status=2)
    assert run.says(
        f"Deployment {made.namespace}/quazzar-cc: expected the rollout to come to its end within 600 s, found: "
    ), run.tail
    assert run.says("ended with: no such file"), run.tail
    assert run.says("The trust pool of cp was put back as it was"), run.tail
    made.rolled_out()
    # they have served all the time
    assert made.pods() == pods and made.pool() == ""


@pytest.mark.long
def test_a_rollout_that_crashes_in_a_stateful_set(stranded: Callable[..., Any]) -> None:
    """Its controller waits for a pod that does not get ready, even when the template has been put back."""
    made = stranded(kind="StatefulSet")
    made.patch_container(command=["sh", "-c", CRASH])
    made.rolled_out()
    run = made.play("grace_open", status=2)
    assert run.says("The trust pool of cp was put back as it was"), run.tail
    made.rolled_out()
    assert made.pool() == ""
    # mended, the same playbook opens the window there
    made.patch_container(command=["python3", "-m", "quazzar_lab.cp"])
    made.rolled_out()
    done = made.play("ca_rotate")
    assert done.report["finished"] and made.pool() == ""
    made.connected()

    # one pod as a host of the inventory
    [pod, *_others] = made.pods()
    shown = made.ad_hoc("quazzar.ca_rotation.ca_info", pod, paths=["/var/lib/quazzar-cc/certs/ca.crt"])
    assert digest_of(made.active()) in shown


@contextlib.contextmanager
def reverting(made: Any) -> Iterator[None]:
    """A controller that puts the template back, as one does that keeps it like its repository."""
    over = threading.Event()
    api = client.AppsV1Api(made.cluster.core.api_client)
    # what it has made by itself bears its name
    manager = {"field_manager": "argocd-controller"}
    api.patch_namespaced_deployment("quazzar-cc", made.namespace, {"spec": {"revisionHistoryLimit": 3}}, **manager)
    before = made.workload().to_dict()["spec"]["template"]["spec"]

    def keep() -> None:
        while not over.wait(0.3):
            if made.pool():
                body = [{"op": "replace", "path": "/spec/template/spec", "value": before}]
                api.patch_namespaced_deployment("quazzar-cc", made.namespace, body, **manager)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def test_a_patch_that_is_put_back_is_noticed(stranded: Callable[..., Any]) -> None:
    made = stranded()
    with reverting(made):
        refused(made, "is kept by Argo CD, which would put a change back")
        run = made.play("grace_open", status=2, quazzar_k8s_keeper_accepted=True)
    assert run.says("expected the trust pool /var/lib/quazzar-cc/legacy/"), run.tail
    assert run.says("after the rollout, found empty. Its spec was written last by argocd-controller at "), run.tail


@pytest.mark.long
def test_the_variable_in_a_config_map_is_followed(stranded: Callable[..., Any], tmp_path: Path) -> None:
    """With the documented account, several containers, a PodDisruptionBudget that allows nothing, and a Secret."""
    made = stranded(sidecar=True, init=True)
    space = {"namespace": made.namespace}
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "quazzar-cc"}}}
    made.cluster.create(
        {
            "apiVersion": "policy/v1beta1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "cp", **space},
            "spec": budget,
        }
    )
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", **space}}
    made.cluster.create({**held, "data": {"pool": "", "other": "1"}})
    source = {"configMapKeyRef": {"name": "settings", "key": "pool"}}
    made.patch_container(env=[{"name": POOL_VARIABLE, "valueFrom": source}])
    made.rolled_out()
    refused(
        made, f"{POOL_VARIABLE} comes from the key pool of the ConfigMap settings (valueFrom). Nothing was changed."
    )

    rules = [rule for role in (READ, CHANGE, ELSEWHERE) for rule in accounts.documented(role)]
    account = {
        "quazzar_k8s_kubeconfig": accounts.kubeconfig(made, "rotation", rules, tmp_path),
        "quazzar_k8s_context": "",
    }
    done = made.play("ca_rotate", quazzar_k8s_env_source="follow", quazzar_k8s_legacy_source="Secret", **account)
    assert done.report["finished"] and done.says("legacy identity of node01 is refused by cp/quazzar-cc-"), done.tail
    settings = made.cluster.core.read_namespaced_config_map("settings", made.namespace).data
    assert settings == {"pool": "", "other": "1"}
    assert made.cluster.core.read_namespaced_secret("quazzar-legacy-cas", made.namespace).data
    made.connected()


@pytest.mark.long
def test_least_privilege(stranded: Callable[..., Any], tmp_path: Path) -> None:
    """Exactly the documented rules, on a controller and for nodes that have no way to the pods; files on the volume."""
    made = stranded()
    rules = [*accounts.documented(READ), *accounts.documented(CHANGE)]
    account = {
        "quazzar_k8s_kubeconfig": accounts.kubeconfig(made, "rotation", rules, tmp_path),
        "quazzar_k8s_context": "",
    }
    files = {"quazzar_legacy_ca_dir": "/var/lib/quazzar-cc/certs/legacy", "quazzar_k8s_legacy_source": "volume"}
    done = made.play("ca_rotate", quazzar_k8s_witness_pods=False, **files, **account)
    assert done.report["finished"], done.tail
    assert {proof["replica"] for proof in done.report["negative_proof"]} == {"cp/balancer"}
    assert len(list((made.certs() / "legacy").glob("*.crt"))) == 1
    assert not any(name.startswith("ConfigMap/quazzar") for name in made.objects())
    made.connected()


def test_a_repository_decides(stranded: Callable[..., Any], tmp_path: Path) -> None:
    """What is shown is what somebody else applies. The run writes nothing but its lock, and its account could not."""
    made = stranded()
    lock = [rule for rule in accounts.documented(CHANGE) if rule["resources"] == ["leases"]]
    account = accounts.kubeconfig(made, "reader", [*accounts.documented(READ), *lock], tmp_path)
    play = made.begin(
        "ca_rotate",
        quazzar_cp_platform="declared",
        quazzar_k8s_declared_timeout=120,
        quazzar_k8s_kubeconfig=account,
        quazzar_k8s_context="",
    )
    for marker in (r"With Kustomize", r"(?s)With Kustomize.*With Kustomize"):
        play.until(marker)
        before = written(made)
        time.sleep(3)
        assert written(made) == before
        # who keeps the repository takes over what was shown
        for item in declared(play.output):
            made.apply(item)
    done = play.finish()
    assert done.status == 0 and done.report["finished"], done.tail
    assert made.pool() == "" and {proof["after"] for proof in done.report["negative_proof"]} == {"refused"}
    made.connected()


def declared(output: str) -> list[dict[str, Any]]:
    """The objects in what a run has shown: the keys of the ConfigMap, and each patch."""
    shown = [json.loads(text) for text in re.findall(r'"msg": ("(?:[^"\\]|\\.)*")', output)]
    texts = [text for text in shown if "nothing is changed by this run" in text]
    found = []
    for text in texts:
        head = text.partition("With Kustomize")[0]
        parts = re.split(r"(?m)^--- #.*$", head)[1:] or [head[head.index("apiVersion:") :]]
        found += [yaml.safe_load(part) for part in parts]
    return found
