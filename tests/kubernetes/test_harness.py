# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab on Kubernetes by itself: what the scenarios with the collection rely on."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from quazzar_lab import lab
from quazzar_lab.manifests import workload
from quazzar_lab.paths import MTLS_PORT

pytestmark = pytest.mark.kubernetes

NODES = 20
LOADED = "loaded additional trusted CA (rotation grace)"
CERTS = "/var/lib/quazzar-cc/certs"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()"


def test_nodes_outside_beat_into_the_pods(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(NODES, heartbeat=1)
    assert len(made.pods()) == 2 and set(made.loaded()) == {*made.pods()}
    since = time.time()
    made.until(lambda: all(entry["delivered"] > 3 for entry in made.beats(since).values()), "some beats of each node")
    assert len(made.links()) == NODES and made.missed(0) == {}
    # both get their share, and both know all nodes
    assert len(made.registry()) == NODES
    for pod in made.pods():
        log = made.pod_log(pod)
        assert "ready mtls=" in log and "instance registered" in log
        assert made.exec(pod, "cat", f"{CERTS}/ca.crt").encode() == made.active()


def test_a_rollout_loses_no_beat(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(NODES, heartbeat=1)
    since, before = time.time(), made.addresses()
    made.set_pool("")
    assert not {*before} & {*made.pods()} and len(made.pods()) == 2
    made.set_pool(None)
    rolled = time.time()
    made.until(lambda: all(entry["delivered"] for entry in made.beats(rolled).values()), "a beat after the rollouts")
    assert made.missed(since) == {}


def test_accident_and_grace_window(pod_fleet: Callable[..., Any]) -> None:
    # World W1: the server's certificate outlives the accident, so that it is the CP alone who refuses.
    made = pod_fleet(4, "W1")
    old, before = made.active(), made.pods()
    made.accident()
    made.disconnected()
    assert made.active() != old and not {*before} & {*made.pods()} and len(made.cas()) == 2
    made.until(lambda: all(node["needs_registration"] for node in made.links().values()), "the nodes' word for it")
    for pod in made.pods():
        assert made.exec(pod, "cat", f"{CERTS}/ca.crt").encode() == made.active()
        assert "certificate signed by unknown authority" in made.pod_log(pod) and LOADED not in made.pod_log(pod)

    made.open_window(old)
    made.connected()
    opened = time.time()
    assert made.loaded() == {pod: [made.cas()[0]["sha256"]] for pod in made.pods()}
    assert all(made.pod_log(pod).count(LOADED) == 1 for pod in made.pods())
    made.until(lambda: all(entry["delivered"] > 2 for entry in made.beats(opened).values()), "some beats of each node")
    assert made.missed(opened) == {}


def test_new_ca_in_one_pod_only(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(2)
    lost, kept = made.pods()
    made.accident(pods=1)
    old, new = (entry["sha256"] for entry in made.cas())
    active = {name: replica["active_ca"] for name, replica in made.status().items()}
    assert lost not in active and len(active) == 2
    assert active.pop(kept) == old and [*active.values()] == [new]


def test_objects_show_every_write(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(1)
    before = made.objects()
    assert made.objects() == before
    assert {"Deployment/quazzar-cc", "PersistentVolumeClaim/cp-certs", f"PersistentVolume/{made.namespace}-certs"} < {
        *before
    }
    made.cluster.core.patch_namespaced_persistent_volume_claim(
        "cp-certs", made.namespace, {"metadata": {"annotations": {"seen": "yes"}}}
    )
    after = made.objects()
    assert {name for name in after if after[name] != before.get(name)} == {"PersistentVolumeClaim/cp-certs"}


def test_stateful_set_with_other_containers(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(1, kind="StatefulSet", sidecar=True, init=True, access_mode="ReadWriteOnce", pool="")
    assert made.pods() == ["quazzar-cc-0", "quazzar-cc-1"]
    spec = made.workload().to_dict()["spec"]["template"]["spec"]
    assert [item["name"] for item in spec["containers"]] == ["log-shipper", "control-center"]
    assert [item["name"] for item in spec["initContainers"]] == ["migrate"]
    assert not any(LOADED in made.pod_log(pod) for pod in made.pods())
    made.open_window(made.active())
    assert made.pods() == ["quazzar-cc-0", "quazzar-cc-1"]
    assert all(made.pod_log(pod).count(LOADED) == 1 for pod in made.pods())


def test_objects_as_a_scenario_wants_them(pod_fleet: Callable[..., Any]) -> None:
    def edit(objects: list[dict[str, Any]]) -> None:
        made = workload(objects)
        about = {"name": "settings", "namespace": made["metadata"]["namespace"]}
        data = {"CC_TRUST_ADDITIONAL_CA_CERTS": ""}
        objects.insert(1, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data})
        container = made["spec"]["template"]["spec"]["containers"][0]
        container["envFrom"] = [{"configMapRef": {"name": "settings"}}]

    # With auto_ca_gen=false the CA is on the volume from the first.
    made = pod_fleet(1, options=["auto_ca_gen=false"], edit=edit)
    for pod in made.pods():
        variables = made.exec(pod, "env").splitlines()
        assert "CC_TRUST_ADDITIONAL_CA_CERTS=" in variables and "CC_ALLOW_AUTO_CA_GEN=true" not in variables
        assert "generated a new CA" not in made.pod_log(pod)


def test_lingering_pods_get_nothing_new(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(2, linger=8)
    since, old = time.time(), set(made.pods())
    made.patch_container(env=[{"name": "CC_LOG_LEVEL", "value": "info"}])
    leaving = made.until(
        lambda: [pod for pod in made.every_pod() if pod.metadata.name in old and pod.metadata.deletion_timestamp],
        "an old pod on its way out",
    )
    assert all(pod.status.phase == "Running" for pod in leaving)
    assert not {pod.metadata.name for pod in leaving} & {*made.pods()}
    made.rolled_out()
    assert made.missed(since) == {}


def test_faults_reach_the_pods(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(1)
    made.fault("cp", "no-boot", count=1)
    made.delete_pods(made.pods()[0])
    alive = [pod for pod in made.every_pod() if not pod.metadata.deletion_timestamp]
    started = [pod.status.container_statuses[0].restart_count for pod in alive]
    assert sorted(started) == [0, 1]


def test_inventory(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(1)
    done = subprocess.run(
        ["ansible-inventory", "-i", made.layout.inventory, "--host", "cp"],
        env=made._environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {
        "ansible_connection": "local",
        "quazzar_cp_platform": "kubernetes",
        "quazzar_k8s_namespace": made.namespace,
        "quazzar_k8s_deployment": "quazzar-cc",
        "quazzar_k8s_container": "control-center",
        "quazzar_k8s_kubeconfig": made.cluster.kubeconfig,
        "quazzar_k8s_context": made.cluster.context,
    }
    assert wanted.items() <= json.loads(done.stdout).items()


def test_api_behind_the_balancer(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(2)
    facts = made.facts
    trust = ssl.create_default_context(cafile=facts["api_ca"])
    user = facts["cp_users"][0]

    def ask(path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            facts["api_url"] + path,
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=trust, timeout=20) as answer:
            return json.load(answer)

    token = ""
    token = ask("/auth/login", username=user["username"], password=user["password"])["access_token"]
    assert {row["name"] for row in ask("/fleet/instances")} == {*made.names}
    assert ask("/fleet/tokens", max_uses=1)["token"]
    assert len(lab.registry(str(made.dir)).tokens()) == 3


def _controller(made: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*made.controller, *words], cwd=made.work, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not shutil.which("setpriv") or not shutil.which("ip"), reason="no setpriv, or no ip (iproute2)")
def test_controller_that_reaches_the_api_server_only(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(2, with_ssh=True)
    address = next(iter(made.addresses().values()))
    server = made.cluster.core.api_client.configuration.host.rpartition("//")[2].split(":")
    python = shutil.which("python3", path=made._environment["PATH"])
    assert python and _controller(made, python, "-c", CONNECT, address, str(MTLS_PORT)).returncode == 0
    with made.behind_api_server():
        refused = _controller(made, python, "-c", CONNECT, address, str(MTLS_PORT))
        assert refused.returncode == 1 and "Permission denied" in refused.stderr
        assert _controller(made, python, "-c", CONNECT, *server).returncode == 0
        assert _controller(made, "id", "-un").stdout == "nobody\n"
        # all the same it gets at its nodes, as root
        command = ["ansible", "-i", made.layout.inventory, "quazzar_nodes", "-m", "raw", "-a", "id -un"]
        said = subprocess.run(
            [*made.controller, *command],
            env=made._environment,
            cwd=made.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0 and said.stdout.split().count("root") == 2, said.stdout + said.stderr
    assert made.controller == []
    assert "prohibit" not in subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout
