# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab whose Control Panel is pods of a real cluster, in a namespace of its own; the nodes run beside the test."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import pwd
import secrets
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes import client, config, dynamic
from kubernetes.stream import stream

from fleets import Fleet
from quazzar_lab import lab, manifests, pods, processes
from quazzar_lab.manifests import POOL_VARIABLE, Shape
from quazzar_lab.paths import BALANCED, HEALTH_PORT, Layout, read_json

CONTAINER = "control-center"
SELECTOR = "app=quazzar-cc"
LEGACY_DIR = "/var/lib/quazzar-cc/legacy"
STRATEGIC = "application/strategic-merge-patch+json"
LIVELY = ("Event",)  # kinds that come and go by themselves
SERVE_SECONDS = 120.0
END_SECONDS = 180.0
EXEC_SECONDS = 30
POLL_SECONDS = 0.1
#: of the addresses of the pods, when QUAZZAR_K8S_POD_NETWORK does not say: what one node of most clusters gets
NODE_PREFIX = 24
#: With these a process without root's uid reads and writes what root may: it is to differ in its uid alone. (Without
#: the secure bit access(2), which Ansible asks before it reads, would know nothing of them.)
KEPT = "+dac_override,+fowner"
NOBODY = "nobody"


class Cluster:
    """The API server that KUBECONFIG names, and the image of the lab's Control Panel."""

    def __init__(self, image: str) -> None:
        config.load_kube_config()
        self.image = image
        self.stopped: list[PodFleet] = []
        self.kubeconfig = os.environ["KUBECONFIG"]
        self.context = config.list_kube_config_contexts()[1]["name"]
        self.core = client.CoreV1Api()
        self.dynamic = dynamic.DynamicClient(client.ApiClient())

    def resource(self, item: Mapping[str, Any]) -> Any:
        """The endpoint for an object's kind."""
        return self.dynamic.resources.get(api_version=item["apiVersion"], kind=item["kind"])

    def create(self, item: dict[str, Any]) -> Any:
        return self.resource(item).create(body=item, namespace=item["metadata"].get("namespace"))


class PodFleet(Fleet):
    """As a fleet. `names` are the nodes, as ever; replicas are the pods that are there."""

    def __init__(self, work: Path, environment: Mapping[str, str], cluster: Cluster, directory: Path) -> None:
        super().__init__(work, {**environment, "HOME": str(work)})
        self.dir = directory
        self.layout = lab.layout_of(directory)
        self.cluster = cluster
        self.namespace = f"quazzar-{secrets.token_hex(4)}"
        self.shape = Shape()
        self._edit: Callable[[list[dict[str, Any]]], None] | None = None
        self._objects: list[dict[str, Any]] = []

    # what the lab calls for a Control Panel that runs elsewhere

    @property
    def facts_of_cp(self) -> dict[str, str]:
        return {
            "namespace": self.namespace,
            "kind": self.shape.kind,
            "name": "quazzar-cc",
            "container": CONTAINER,
            "kubeconfig": self.cluster.kubeconfig,
            "context": self.cluster.context,
        }

    def bring_up(self, layout: Layout, made: dict[str, Any]) -> None:
        options = lab.options_of(layout)
        certs = layout.certs("cp", options)
        certs.mkdir(parents=True, exist_ok=True)
        self._objects = manifests.control_panel(
            self.namespace,
            layout.root,
            certs,
            self.cluster.image,
            auto_ca_gen=bool(options.get("auto_ca_gen")),
            shape=self.shape,
        )
        if self._edit:
            self._edit(self._objects)
        for item in self._objects:
            self.cluster.create(item)
        place = {"CC_LAB_BLOCK": made["block"], "CC_LAB_NAMESPACE": self.namespace, "CC_LAB_SELECTOR": SELECTOR}
        processes.spawn(layout, "balancer", "pods", {**place, "KUBECONFIG": self.cluster.kubeconfig})
        self.rolled_out()

    # life

    def start(  # type: ignore[override]
        self,
        nodes: int,
        world: str,
        options: list[str],
        heartbeat: float,
        *,
        shape: Shape,
        with_ssh: bool,
        edit: Callable[[list[dict[str, Any]]], None] | None,
    ) -> None:
        self.shape, self._edit = shape, edit
        elsewhere = _Elsewhere(self)
        super().start(nodes, world, options, shape.replicas, heartbeat, with_ssh=with_ssh, elsewhere=elsewhere)

    def stop(self) -> None:
        """End the processes here, and delete what is on the cluster; does not wait for the end of the pods."""
        lab.stop(str(self.dir))
        for item in self._objects:
            if item["kind"] in ("Namespace", "PersistentVolume"):
                with contextlib.suppress(client.ApiException):
                    self.cluster.resource(item).delete(name=item["metadata"]["name"])

    def clear_away(self) -> None:
        """Remove the files of a fleet that was stopped, once no container has them any more."""
        deadline = time.monotonic() + END_SECONDS
        while any(map(_runs, self.every_pod())) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        shutil.rmtree(self.work, ignore_errors=True)

    def keep_vault_password(self, text: str) -> None:
        """A vault password file as an operator's configuration names it."""
        path = self.work / "vault-password"
        path.write_text(text)
        path.chmod(0o600)
        self._environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(path)

    def ad_hoc(self, module: str, pod: str, **arguments: Any) -> str:
        """What a module prints for a pod as a host, by the connection kubernetes.core.kubectl."""
        given = {
            "ansible_connection": "kubernetes.core.kubectl",
            "ansible_kubectl_namespace": self.namespace,
            "ansible_kubectl_pod": pod,
            "ansible_kubectl_container": CONTAINER,
            "ansible_kubectl_kubeconfig": self.cluster.kubeconfig,
            "ansible_kubectl_context": self.cluster.context,
        }
        words = ["ansible", "cp", "-i", str(self.layout.inventory), "-m", module, "-a", json.dumps(arguments)]
        done = subprocess.run(
            [*self.controller, *words, "-e", json.dumps(given)],
            cwd=self.work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # pods

    def every_pod(self) -> list[Any]:
        """Also those that are on their way up or out."""
        return self.cluster.core.list_namespaced_pod(self.namespace, label_selector=SELECTOR).items

    def pods(self) -> list[str]:
        """The names of those that serve."""
        return sorted(pod.metadata.name for pod in self.every_pod() if pods.serves(pod))

    def addresses(self) -> dict[str, str]:
        return {pod.metadata.name: pod.status.pod_ip for pod in self.every_pod() if pods.serves(pod)}

    def workload(self) -> Any:
        """The live Deployment or StatefulSet."""
        made = manifests.workload(self._objects)
        return self.cluster.resource(made).get(name=made["metadata"]["name"], namespace=self.namespace)

    def patch(self, body: dict[str, Any]) -> None:
        """A strategic merge patch of it. Does not wait."""
        made = manifests.workload(self._objects)
        self.cluster.resource(made).patch(
            body=body, name=made["metadata"]["name"], namespace=self.namespace, content_type=STRATEGIC
        )

    def apply(self, item: dict[str, Any]) -> None:
        """What a repository's controller does with a patch or an object: create it, or merge it into what is there."""
        about = {"name": item["metadata"]["name"], "namespace": self.namespace}
        resource = self.cluster.resource(item)
        try:
            resource.patch(body=item, content_type=STRATEGIC, **about)
        except client.ApiException as error:
            if error.status != 404:
                raise
            self.cluster.create(item)

    def patch_container(self, *, template: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """The same for the CP's container; ``template`` goes into the pod's spec beside it."""
        spec = {"containers": [{"name": CONTAINER, **fields}], **(template or {})}
        self.patch({"spec": {"template": {"spec": spec}}})

    def set_pool(self, value: str | None) -> None:
        """Set the pool variable, or take it away, and wait for the rollout."""
        entry = {"name": POOL_VARIABLE, "value": value} if value is not None else _deleted(POOL_VARIABLE)
        self.patch_container(env=[entry])
        self.rolled_out()

    def open_window(self, pem: bytes) -> None:
        """Put a legacy CA beside the volume, name it in the pool variable, and wait for the rollout."""
        about = {"name": "quazzar-legacy", "namespace": self.namespace}
        data = {"legacy.crt": pem.decode("ascii")}
        self.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data})
        self.patch_container(
            template={"volumes": [{"name": "legacy", "configMap": {"name": about["name"]}}]},
            env=[{"name": POOL_VARIABLE, "value": f"{LEGACY_DIR}/legacy.crt"}],
            volumeMounts=[{"name": "legacy", "mountPath": LEGACY_DIR, "readOnly": True}],
        )
        self.rolled_out()

    def _settled(self) -> bool:
        """All pods are of the newest template and serve, older ones are on their way out, and the balancer knows."""
        live = self.workload()
        wanted = live.spec.replicas
        # One that has ended is still listed for some ten seconds.
        there = [pod for pod in self.every_pod() if not pod.metadata.deletion_timestamp]
        counts = [live.status.get(key) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        new = live.status.observedGeneration == live.metadata.generation and counts == [wanted] * 3
        if not new or len(there) != wanted or not all(pods.serves(pod) for pod in there):
            return False
        return self._balanced() == {pod.status.pod_ip for pod in there}

    def _balanced(self) -> set[str]:
        """The addresses to which the balancer sends connections."""
        file = self.layout.run / BALANCED
        return set(read_json(file)) if file.exists() else set()

    def rolled_out(self) -> None:
        """Wait until it is as its newest template says."""
        deadline = time.monotonic() + SERVE_SECONDS
        while not self._settled():
            assert time.monotonic() < deadline, f"not rolled out within {SERVE_SECONDS:.0f} s:\n{self.told()}"
            time.sleep(POLL_SECONDS)

    def told(self) -> str:
        """What the cluster says about the namespace, for whoever has to find out why something did not happen."""
        lines = [
            f"{pod.metadata.name}: {pod.status.phase}, deleted {pod.metadata.deletion_timestamp}, {pod.status.pod_ip}, "
            f"serves {pods.serves(pod)}, {[item.to_dict()['state'] for item in pod.status.container_statuses or []]}"
            for pod in self.every_pod()
        ]
        alive = processes.pid_of(self.layout, "balancer") is not None
        lines += [
            f"the workload: {self.workload().status.to_dict()}",
            f"the balancer: {'runs' if alive else 'has ended'}, sends to {sorted(self._balanced())}",
            processes.tail(self.layout.logs / "balancer.stderr"),
        ]
        events = self.cluster.core.list_namespaced_event(self.namespace).items
        return "\n".join([*lines, *(f"{event.involved_object.name}: {event.message}" for event in events)])

    def delete_pods(self, *names: str) -> None:
        """Have these pods made anew, and wait until all serve."""
        for name in names:
            self.cluster.core.delete_namespaced_pod(name, self.namespace)
        self.rolled_out()

    def exec(self, pod: str, *command: str) -> str:
        """What a command prints in the CP's container."""
        return stream(
            self.cluster.core.connect_get_namespaced_pod_exec,
            pod,
            self.namespace,
            command=list(command),
            container=CONTAINER,
            stdout=True,
            stderr=True,
            _request_timeout=EXEC_SECONDS,
        )

    def pod_log(self, pod: str) -> str:
        return self.cluster.core.read_namespaced_pod_log(pod, self.namespace, container=CONTAINER)

    def objects(self) -> dict[str, str]:
        """Every object of the namespace, and its volume, with the resourceVersion: the same if nothing was written.

        Pods that have ended are waited for, because they go by themselves.
        """
        deadline = time.monotonic() + END_SECONDS
        while any(pod.metadata.deletion_timestamp for pod in self.every_pod()):
            assert time.monotonic() < deadline, f"a pod has not gone within {END_SECONDS:.0f} s:\n{self.told()}"
            time.sleep(POLL_SECONDS)
        found = {}
        for resource in self.cluster.dynamic.resources.search(namespaced=True):
            if "list" not in (resource.verbs or []) or resource.kind in LIVELY or resource.kind.endswith("List"):
                continue
            for item in resource.get(namespace=self.namespace).to_dict()["items"]:
                found[f"{resource.kind}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
        for item in self._objects:
            if not item["metadata"].get("namespace"):
                about = self.cluster.resource(item).get(name=item["metadata"]["name"]).metadata
                found[f"{item['kind']}/{about.name}"] = about.resourceVersion
        return found

    # as for every fleet, where pods are something else than processes

    def accident(self, *, pods: int | None = None) -> None:
        """The volume with the CA is lost, and the CP makes a new one.

        ``pods``: only so many of them are made anew; the others go on with the CA that they have read at their start.
        """
        lab.lose_ca(str(self.dir))
        self.delete_pods(*self.pods()[:pods])
        lab.remember_ca(self.layout, lab.options_of(self.layout), self.facts)

    def certs(self, replica: str = "cp") -> Path:
        return super().certs(replica)

    def active(self, replica: str = "cp") -> bytes:
        return super().active(replica)

    def status(self) -> dict[str, dict[str, Any]]:
        """The pods as they describe themselves."""
        found = {}
        for name, address in self.addresses().items():
            with urllib.request.urlopen(f"http://{address}:{HEALTH_PORT}/statusz", timeout=5) as answer:
                found[name] = json.load(answer)
        return found

    def loaded(self) -> dict[str, list[str]]:
        return {name: replica["pool"] for name, replica in self.status().items()}

    def pool(self, replica: str = CONTAINER) -> str:
        """The value of the variable in the live template; empty when it is not there."""
        containers = self.workload().to_dict()["spec"]["template"]["spec"]["containers"]
        entries = next(item for item in containers if item["name"] == replica)["env"]
        return next((entry.get("value", "") for entry in entries if entry["name"] == POOL_VARIABLE), "")

    # a controller that can reach nothing of the cluster but its API server

    def pod_network(self) -> str:
        named = os.environ.get("QUAZZAR_K8S_POD_NETWORK")
        if named:
            return named
        address = next(iter(self.addresses().values()))
        return str(ipaddress.ip_network(f"{address}/{NODE_PREFIX}", strict=False))

    @contextlib.contextmanager
    def behind_api_server(self) -> Iterator[list[str]]:
        """Within this, playbooks run as a user to whom the kernel refuses every packet to the pods.

        -> the words to put before any other command that is to run so. The user is nobody, for ssh wants one that
        has a name; files are open to it as to root.
        """
        user = pwd.getpwnam(NOBODY)
        number = str(secrets.randbelow(20000) + 1000)  # of this rule, so that it is this one that goes again
        rule = ["to", self.pod_network(), "uidrange", f"{user.pw_uid}-{user.pw_uid}", "pref", number, "prohibit"]
        subprocess.run(["ip", "rule", "add", *rule], check=True)
        before = self.controller
        home, was_there = Path(user.pw_dir), Path(user.pw_dir).exists()
        # Ansible would make its directory in the home of that user, which with these rights it can.
        self._environment["ANSIBLE_REMOTE_TMP"] = str(self.work / "remote-tmp")
        identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        rights = [f"--inh-caps={KEPT}", f"--ambient-caps={KEPT}", "--securebits=+no_setuid_fixup"]
        self.controller = ["setpriv", *identity, *rights]
        try:
            yield self.controller
        finally:
            self.controller = before
            del self._environment["ANSIBLE_REMOTE_TMP"]
            subprocess.run(["ip", "rule", "del", *rule], check=True)
        assert home.exists() == was_there, f"{home} was made on this machine"


class _Elsewhere:
    """The lab's view of a fleet: where its Control Panel is."""

    def __init__(self, fleet: PodFleet) -> None:
        self.facts = fleet.facts_of_cp
        self.bring_up = fleet.bring_up


def _runs(pod: Any) -> bool:
    return any(item.state.running for item in pod.status.container_statuses or [])


def _deleted(name: str) -> dict[str, str]:
    return {"name": name, "$patch": "delete"}


def load(archive: Path) -> None:
    """Bring the image into the cluster, by the command that QUAZZAR_K8S_LOAD is."""
    command = [*shlex.split(os.environ["QUAZZAR_K8S_LOAD"]), str(archive)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr}{done.stdout}"


def holds(cluster: client.CoreV1Api, name: str) -> bool:
    """Do all nodes of the cluster say that they have the image."""
    nodes = cluster.list_node().items
    return all(any(name in (image.names or []) for image in node.status.images or []) for node in nodes)
