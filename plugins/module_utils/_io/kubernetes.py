# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The API server of a Kubernetes cluster, and a pod as a host: the official Python client does the work.

A script goes into a pod on the standard input of ``/bin/sh`` by exec, as it does to every other host. A listener in a
pod is reached through the API server's port-forward, because nothing else may be reachable from the controller.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import typing as t
from collections.abc import Iterator, Mapping

from .._core import workload
from .._core.errors import HostError, InputError, Unreachable, Unsupported
from .host import Host

try:
    import kubernetes
    from kubernetes import config
    from kubernetes.stream import portforward, stream

    MISSING = ""
except ImportError as error:
    kubernetes = None
    MISSING = str(error)

Json = dict[str, t.Any]

ARGUMENT_SPEC: dict[str, t.Any] = {
    "namespace": {"type": "str", "required": True},
    "workload": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(workload.KINDS), "default": "Deployment"},
    "container": {"type": "str", "default": ""},
    "kubeconfig": {"type": "path"},
    "context": {"type": "str"},
}

#: As kubernetes.core's modules and the credential of an automation platform name them.
_ENVIRONMENT = {
    "host": "K8S_AUTH_HOST",
    "api_key": "K8S_AUTH_API_KEY",
    "ssl_ca_cert": "K8S_AUTH_SSL_CA_CERT",
    "verify_ssl": "K8S_AUTH_VERIFY_SSL",
    "kubeconfig": "K8S_AUTH_KUBECONFIG",
    "context": "K8S_AUTH_CONTEXT",
}
_FALSE = ("0", "false", "no", "off")
_FORBIDDEN, _NOT_FOUND, _UNAUTHORIZED, _CONFLICT = 403, 404, 401, 409
REQUEST_TIMEOUT = 30
_LEASES = "coordination.k8s.io/leases"
#: Of no namespace: only a ClusterRole can allow them.
_CLUSTER_WIDE = ("persistentvolumes",)


class Cluster:
    """The API server, for one workload in one namespace. Every refusal of it names the rule that is missing."""

    def __init__(self, options: Mapping[str, t.Any]) -> None:
        if kubernetes is None:
            raise Unsupported(
                f"the platform kubernetes needs the Python package kubernetes on the controller ({MISSING}): pip install"
                " kubernetes"
            )
        self.namespace = str(options["namespace"])
        self.name = str(options["workload"])
        self.kind = str(options["kind"])
        self._configuration = _configuration(options)
        self._api = kubernetes.client.ApiClient(self._configuration)
        self._core = kubernetes.client.CoreV1Api(self._api)
        self._apps = kubernetes.client.AppsV1Api(self._api)
        self._authorization = kubernetes.client.AuthorizationV1Api(self._api)
        self._coordination = kubernetes.client.CoordinationV1Api(self._api)

    def _asked(self, verb: str, resource: str, call: t.Callable[..., t.Any], *words: t.Any, **more: t.Any) -> t.Any:
        """What the API answers, as plain data. Raises HostError or Unreachable that says what to do."""
        try:
            answer = call(*words, _request_timeout=REQUEST_TIMEOUT, **more)
        except kubernetes.client.ApiException as error:
            raise self._refusal(verb, resource, error) from None
        except Exception as error:  # urllib3 and the client have no common base for "no connection"
            raise Unreachable(f"{self._configuration.host}: {' '.join(str(error).split())[:300]}") from None
        return self._api.sanitize_for_serialization(answer)

    def _refusal(self, verb: str, resource: str, error: t.Any) -> HostError:
        where = f"{self._configuration.host}"
        if error.status == _FORBIDDEN:
            namespace = "" if resource in _CLUSTER_WIDE else self.namespace
            return HostError(f"{where}: {workload.missing_rule(verb, resource, namespace)}")
        if error.status == _UNAUTHORIZED:
            return HostError(f"{where}: the API does not accept these credentials (401): renew the token or kubeconfig")
        reason = " ".join(str(error.reason or error).split())
        return HostError(f"{where}: {verb} {resource} in {self.namespace}: the API answered {error.status} {reason}")

    def workload(self) -> Json:
        resource = f"apps/{self.kind.lower()}s"
        call = {
            "Deployment": self._apps.read_namespaced_deployment,
            "StatefulSet": self._apps.read_namespaced_stateful_set,
        }[self.kind]
        try:
            found: Json = self._asked("get", resource, call, self.name, self.namespace)
        except HostError as error:
            if f"answered {_NOT_FOUND}" in str(error):
                raise InputError(
                    f"{self._configuration.host}: expected the {self.kind} {self.namespace}/{self.name}, found none of that"
                    " name. Correct quazzar_k8s_namespace, quazzar_k8s_deployment or quazzar_k8s_kind."
                ) from None
            raise
        return {**found, "kind": self.kind}

    def owners(self, found: Json) -> list[str]:
        """The UIDs by which its pods say whose they are: its ReplicaSets', or its own."""
        uid = found["metadata"]["uid"]
        if self.kind != "Deployment":
            return [uid]
        chosen = workload.selector(found)
        sets = self._asked(
            "list", "apps/replicasets", self._apps.list_namespaced_replica_set, self.namespace, label_selector=chosen
        )
        return [
            each["metadata"]["uid"]
            for each in sets["items"]
            if any(ref.get("uid") == uid for ref in each["metadata"].get("ownerReferences") or ())
        ]

    def pods(self, found: Json, box: str) -> tuple[workload.Pod, ...]:
        chosen = workload.selector(found)
        listed = self._asked("list", "pods", self._core.list_namespaced_pod, self.namespace, label_selector=chosen)
        return workload.pods(listed["items"], box, self.owners(found))

    def objects(self, wanted: t.Iterable[tuple[str, str]]) -> dict[tuple[str, str], Json]:
        """The ConfigMaps and Secrets by kind and name, a Secret's values as text. What is not there is left out."""
        found = {}
        for kind, name in wanted:
            call, resource = {
                "ConfigMap": (self._core.read_namespaced_config_map, "configmaps"),
                "Secret": (self._core.read_namespaced_secret, "secrets"),
            }[kind]
            with contextlib.suppress(_Gone):
                found[(kind, name)] = self._one(resource, call, name, kind)
        return found

    def _one(self, resource: str, call: t.Callable[..., t.Any], name: str, kind: str) -> Json:
        try:
            where = () if resource in _CLUSTER_WIDE else (self.namespace,)
            item: Json = self._asked("get", resource, call, name, *where)
        except HostError as error:
            if f"answered {_NOT_FOUND}" in str(error):
                raise _Gone from None
            raise
        if kind == "Secret":
            item["data"] = {
                k: base64.b64decode(v).decode("utf-8", "replace") for k, v in (item.get("data") or {}).items()
            }
        return item

    def missing_rights(self, needed: t.Iterable[tuple[str, str, str]]) -> list[str]:
        """What to say of each right (verb, resource, name of the object) that this account has not got. The API server is
        asked, so nothing has to be tried."""
        missing = []
        for verb, resource, name in needed:
            group, _slash, plain = resource.rpartition("/")
            wanted = {"namespace": self.namespace, "verb": verb, "group": group, "resource": plain, "name": name}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": wanted},
            }
            call = self._authorization.create_self_subject_access_review
            answer = self._asked("create", "authorization.k8s.io/selfsubjectaccessreviews", call, review)
            if not (answer.get("status") or {}).get("allowed"):
                rule = workload.missing_rule(verb, resource, self.namespace)
                missing.append(f"{self._configuration.host}: {rule}")
        return missing

    def claims(self, found: Json) -> dict[str, Json]:
        """The PersistentVolumeClaims that its pods mount, by name."""
        read = {name: self.claim(name) for name in workload.claim_names(found)}
        return {name: claim for name, claim in read.items() if claim is not None}

    def claim(self, name: str) -> Json | None:
        """A PersistentVolumeClaim; None: there is none of that name."""
        call = self._core.read_namespaced_persistent_volume_claim
        with contextlib.suppress(_Gone):
            return self._one("persistentvolumeclaims", call, name, "PersistentVolumeClaim")
        return None

    def volume(self, name: str) -> Json | None:
        """A PersistentVolume, which is of no namespace; None: there is none of that name."""
        with contextlib.suppress(_Gone):
            return self._one("persistentvolumes", self._core.read_persistent_volume, name, "PersistentVolume")
        return None

    @property
    def address(self) -> str:
        return str(self._configuration.host)

    def lease(self, name: str) -> Json | None:
        """The Lease, None when there is none of that name."""
        try:
            read: Json = self._asked("get", _LEASES, self._coordination.read_namespaced_lease, name, self.namespace)
        except HostError as error:
            if f"answered {_NOT_FOUND}" in str(error):
                return None
            raise
        return read

    def write_lease(self, lease: Json) -> bool:
        """Replace the Lease whose resourceVersion this has, or create it where it has none. False, with nothing
        changed, when somebody else was quicker. (One that was deleted meanwhile is a conflict too: a PUT may create a
        Lease, but none with a resourceVersion.)"""
        about, api = lease["metadata"], self._coordination
        try:
            if "resourceVersion" in about:
                self._asked("update", _LEASES, api.replace_namespaced_lease, about["name"], self.namespace, lease)
            else:
                self._asked("create", _LEASES, api.create_namespaced_lease, self.namespace, lease)
        except HostError as error:
            if f"answered {_CONFLICT}" in str(error):
                return False
            if f"answered {_NOT_FOUND}" in str(error):
                raise InputError(
                    f"{self.address}: expected the namespace {self.namespace}, found none of that name. Correct"
                    " quazzar_k8s_namespace."
                ) from None
            raise
        return True

    def log(self, pod: str, box: str, limit: int, *, previous: bool = False) -> str:
        """The log of a live pod. A container that has been restarted begins another one; ``previous`` is the one before.

        ``limit``: bytes at most, from its beginning, as the API counts them.
        """
        wanted = {"container": box, "limit_bytes": limit, "previous": previous}
        text = self._asked("get", "pods/log", self._core.read_namespaced_pod_log, pod, self.namespace, **wanted)
        return str(text or "")

    def host(self, name: str, pod: str, box: str) -> PodHost:
        return PodHost(self, name, pod, box)

    def run(self, pod: str, box: str, script: str, timeout: int) -> dict[str, t.Any]:
        """A script by exec, on standard input. -> rc, stdout, stderr"""
        api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(self._configuration))
        call, words = api.connect_get_namespaced_pod_exec, {"command": ["/bin/sh"], "container": box}
        try:
            shell = stream(
                call,
                pod,
                self.namespace,
                **words,
                stdin=True,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
            )
        except kubernetes.client.ApiException as error:
            status = getattr(error, "status", 0)
            if status in (0, _FORBIDDEN) and "403" in f"{status} {error.reason}":
                rule = workload.missing_rule("create", "pods/exec", self.namespace)
                raise HostError(f"{self._configuration.host}: {rule}") from None
            raise Unreachable(f"{pod}: exec: {' '.join(str(error.reason).split())[:300]}") from None
        try:
            shell.write_stdin(script)
            shell.run_forever(timeout=timeout)
            if shell.is_open():
                raise Unreachable(f"{pod}: no answer within {timeout} s after the script was sent")
            return {"rc": shell.returncode, "stdout": shell.read_stdout(), "stderr": shell.read_stderr()}
        finally:
            shell.close()

    @contextlib.contextmanager
    def forward(self, pod: str, port: int) -> Iterator[str]:
        """An address on the controller's loopback that leads to a port of the pod, through the API server."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            relay = threading.Thread(target=self._relay, args=(door, pod, port), daemon=True)
            relay.start()
            host, number = door.getsockname()[:2]
            yield f"{host}:{number}"

    def _relay(self, door: socket.socket, pod: str, port: int) -> None:
        while True:
            try:
                near, _address = door.accept()
            except OSError:
                return
            with contextlib.suppress(Exception), near:
                api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(self._configuration))
                opened = portforward(api.connect_get_namespaced_pod_portforward, pod, self.namespace, ports=str(port))
                far = opened.socket(port)
                far.setblocking(True)
                back = threading.Thread(target=_copy, args=(far, near), daemon=True)
                back.start()
                _copy(near, far)
                back.join(REQUEST_TIMEOUT)
                opened.close()


class _Gone(Exception):
    """An object that is not there."""


class PodHost(Host):
    """A container of a live pod. Nothing of the task's own connection and become is used."""

    def __init__(self, cluster: Cluster, name: str, pod: str, box: str) -> None:
        self._cluster, self._pod, self._box = cluster, pod, box
        self.name = name
        self.round_trips = 0
        self._timeout = 60

    @property
    def is_local(self) -> bool:
        return False

    def _refuse_without_pipelining(self) -> None:
        return

    @contextlib.contextmanager
    def _options(self, repeatable: bool) -> Iterator[None]:
        yield

    def _execute(self, script: str, hide: t.Iterable[str]) -> dict[str, t.Any]:
        return self._cluster.run(self._pod, self._box, script + "\n", self._timeout)


def _copy(source: t.Any, target: t.Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _configuration(options: Mapping[str, t.Any]) -> t.Any:
    """The client's configuration: options first, then the environment, then the pod's own account, then a kubeconfig."""
    said = {name: os.environ.get(variable) for name, variable in _ENVIRONMENT.items()}
    said.update({name: options.get(name) for name in ("kubeconfig", "context") if options.get(name)})
    configuration = kubernetes.client.Configuration()
    try:
        if said["host"] and said["api_key"]:
            configuration.host = str(said["host"]).rstrip("/")
            configuration.api_key = {"authorization": f"Bearer {said['api_key']}"}
            configuration.ssl_ca_cert = said["ssl_ca_cert"]
            configuration.verify_ssl = str(said["verify_ssl"] or "true").lower() not in _FALSE
        elif said["kubeconfig"] or said["context"] or not os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_kube_config(
                config_file=said["kubeconfig"], context=said["context"], client_configuration=configuration
            )
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise InputError(
            f"no way to the Kubernetes API: {' '.join(str(error).split())[:300]}. Set quazzar_k8s_kubeconfig and"
            " quazzar_k8s_context, or K8S_AUTH_HOST and K8S_AUTH_API_KEY in the environment."
        ) from None
    configuration.retries = False
    return configuration
