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
import dataclasses
import json
import os
import re
import select
import socket
import threading
import typing as t
from collections.abc import Iterator, Mapping

from .._core import workload
from .._core.errors import HostError, InputError, Unreachable, Unsupported
from .._core.workload import Pod
from .host import Answer, Host, one_line

try:
    import kubernetes
    from kubernetes import config
    from kubernetes.stream import stream
    from urllib3.exceptions import HTTPError

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
#: Words behind K8S_AUTH_ by which kubernetes.core, or its connection by kubectl, goes elsewhere or as somebody else,
#: whatever their options say.
_ELSEWHERE = (
    "HOST", "SERVER", "API_KEY", "TOKEN", "USERNAME", "PASSWORD", "CERT_FILE", "CLIENT_CERT", "KEY_FILE", "CLIENT_KEY",
    "SSL_CA_CERT", "CA_CERT", "VERIFY_SSL", "VALIDATE_CERTS", "PROXY", "NO_PROXY", "PROXY_HEADERS_PROXY_BASIC_AUTH",
    "PROXY_HEADERS_BASIC_AUTH", "IMPERSONATE_USER", "IMPERSONATE_GROUPS", "KUBECONFIG", "CONTEXT",
)  # fmt: skip
_FALSE = ("0", "false", "no", "off")
_FORBIDDEN, _NOT_FOUND, _UNAUTHORIZED, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 403, 404, 401, 409, 429, 500
_NO_LOG = ("unable to retrieve container logs for ", "failed to try resolving symlinks in path ")
_LEASES = "coordination.k8s.io/leases"
#: Of no namespace: only a ClusterRole can allow them.
_VOLUMES = "persistentvolumes"
REQUEST_TIMEOUT = 30
_SAID_LIMIT = 300
_PIECE = 65536
#: The channels of an exec's websocket (v4.channel.k8s.io); on the last the API server says how the command ended.
_STDOUT, _STDERR, _ENDED = 1, 2, 3
#: Opcodes of a websocket (RFC 6455, 5.2).
_DATA, _CLOSE = (1, 2), 8
_CLOSE_SECONDS = 1


class Refused(HostError):
    """The API server's answer is an error, of this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passes(self) -> bool:
        """Whether the same may be answered a moment later: too many requests, or trouble of the server's own."""
        return self.status == _TOO_MANY or self.status >= _SERVER_ERROR


@dataclasses.dataclass
class Door:
    """A port of a pod as an ``address`` on the controller's loopback. ``error``: why nothing came through."""

    address: str
    error: str = ""
    near: socket.socket | None = None


class Cluster:
    """The API server, for one workload in one namespace. Every refusal of it names the rule that is missing."""

    def __init__(self, options: Mapping[str, t.Any]) -> None:
        if kubernetes is None:
            raise Unsupported(
                "the platform kubernetes needs the Python package kubernetes on the controller"
                f" ({MISSING}): pip install kubernetes"
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
            said = _said(error.body) or str(error.reason)
            # Who asks for one object names it first; where a request is for none, no rule can name it.
            raise self._refusal(verb, resource, error.status, said, str(words[0])) from None
        except (HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        except ValueError as error:  # the client compares an answer with what it knows of the API
            raise HostError(f"{self._where}: {verb} {resource}: the answer is of no use: {_short(error)}") from None
        return self._api.sanitize_for_serialization(answer)

    @property
    def _where(self) -> str:
        return str(self._configuration.host)

    def _unreachable(self, error: object) -> Unreachable:
        # urllib3 puts the object that it was in before what went wrong
        cause = re.sub(r"^(?:.*\(Caused by )?<?[\w.]+(?:\([^)]*\)| object at 0x\w+>): ", "", _short(error))
        return Unreachable(
            f"{self._where}: expected the Kubernetes API server to answer, found: {cause}. Is it the right cluster"
            " (quazzar_k8s_kubeconfig, quazzar_k8s_context), and can the controller reach it?"
        )

    def _refusal(self, verb: str, resource: str, status: int, said: str, named: str = "") -> Refused:
        if status == _FORBIDDEN:
            account = re.search(r'User "([^"]*)"', said)
            space = "" if resource == _VOLUMES else self.namespace
            rule = workload.missing_rule(verb, resource, space, named, account[1] if account else "")
            return Refused(f"{self._where}: {rule}", status)
        if status == _UNAUTHORIZED:
            told = (
                f"{self._where}: the API server does not accept these credentials (401). Renew the token or the"
                " kubeconfig (quazzar_k8s_kubeconfig)."
            )
            return Refused(told, status)
        told = f"{self._where}: {verb} {resource} in the namespace {self.namespace}: the API server answered {status}"
        return Refused(f"{told} ({_short(said)})", status)

    def _no_stream(self, resource: str, pod: str, error: t.Any) -> HostError:
        """Why a websocket to a pod was not opened: the client has only words for it."""
        words = " ".join(str(error.reason).split())
        answered = re.search(r"Handshake status (\d{3})", words)
        if answered:
            return self._refusal("get", resource, int(answered[1]), _said(words) or words)
        return Unreachable(f"{self._where}: {resource} of {pod}: {_short(words)}")

    def workload(self) -> Json:
        resource = f"apps/{self.kind.lower()}s"
        call = {
            "Deployment": self._apps.read_namespaced_deployment,
            "StatefulSet": self._apps.read_namespaced_stateful_set,
        }[self.kind]
        try:
            found: Json = self._asked("get", resource, call, self.name, self.namespace)
        except Refused as error:
            if error.status == _NOT_FOUND:
                raise InputError(
                    f"{self._where}: expected the {self.kind} {self.namespace}/{self.name}, found none of that name."
                    " Correct quazzar_k8s_namespace, quazzar_k8s_deployment or quazzar_k8s_kind."
                ) from None
            raise
        return {**found, "kind": self.kind}

    def owners(self, found: Mapping[str, t.Any]) -> list[str]:
        """The UIDs by which its pods say whose they are: its ReplicaSets', the newest first, or its own."""
        uid = found["metadata"]["uid"]
        if self.kind != "Deployment":
            return [uid]
        chosen = workload.selector(found)
        sets = self._asked(
            "list", "apps/replicasets", self._apps.list_namespaced_replica_set, self.namespace, label_selector=chosen
        )
        own = [each for each in sets["items"] if uid in workload.owners_of(each)]
        return [each["metadata"]["uid"] for each in sorted(own, key=workload.revision_of, reverse=True)]

    def pods(self, found: Mapping[str, t.Any], box: str) -> tuple[Pod, ...]:
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
            item = self._one(resource, call, name)
            if item is None:
                continue
            if kind == "Secret":
                values = item.get("data") or {}
                item["data"] = {key: base64.b64decode(each).decode("utf-8", "replace") for key, each in values.items()}
            found[(kind, name)] = item
        return found

    def _one(self, resource: str, call: t.Callable[..., t.Any], name: str) -> Json | None:
        """One object; None when it is not there."""
        try:
            item: Json = self._asked("get", resource, call, name, self.namespace)
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return item

    def missing_rights(self, needed: t.Iterable[tuple[str, str, str]]) -> list[str]:
        """What to say of each right (verb, resource, name of the object) that this account has not got. The API server
        is asked, so nothing has to be tried."""
        missing = []
        for verb, resource, name in needed:
            group, _slash, plain = resource.rpartition("/")  # none of these has a subresource
            wanted = {"namespace": self.namespace, "verb": verb, "group": group, "resource": plain, "name": name}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": wanted},
            }
            call = self._authorization.create_self_subject_access_review
            answer = self._asked("create", "authorization.k8s.io/selfsubjectaccessreviews", call, review)
            if not (answer.get("status") or {}).get("allowed"):
                rule = workload.missing_rule(verb, resource, self.namespace, name)
                missing.append(f"{self._where}: {rule}")
        return missing

    def claims(self, found: Mapping[str, t.Any]) -> dict[str, Json]:
        """The PersistentVolumeClaims that its pods mount, by name."""
        read = {name: self.claim(name) for name in workload.claim_names(found)}
        return {name: claim for name, claim in read.items() if claim is not None}

    def claim(self, name: str) -> Json | None:
        """A PersistentVolumeClaim; None: there is none of that name."""
        return self._one("persistentvolumeclaims", self._core.read_namespaced_persistent_volume_claim, name)

    def volume(self, name: str) -> Json | None:
        """A PersistentVolume, which is of no namespace; None: there is none of that name."""
        try:
            found: Json = self._asked("get", _VOLUMES, self._core.read_persistent_volume, name)
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return found

    @property
    def address(self) -> str:
        return str(self._configuration.host)

    def lease(self, name: str) -> Json | None:
        """The Lease, None when there is none of that name."""
        try:
            read: Json = self._asked("get", _LEASES, self._coordination.read_namespaced_lease, name, self.namespace)
        except Refused as error:
            if error.status == _NOT_FOUND:
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
        except Refused as error:
            if error.status == _CONFLICT:
                return False
            if error.status == _NOT_FOUND:
                raise InputError(
                    f"{self.address}: expected the namespace {self.namespace}, found none of that name. Correct"
                    " quazzar_k8s_namespace."
                ) from None
            raise
        return True

    def log(self, pod: str, box: str, limit: int, *, tail: int = 0, previous: bool = False) -> str:
        """So many bytes of a live pod's log: from the start of its container, which begins another one, or of its last
        ``tail`` lines the end. ``previous``: the one that its container has begun before it was restarted.

        As bytes: the client takes a log of one line of JSON for an object, and fails at what is no UTF-8.
        """

        def read(*words: t.Any, **more: t.Any) -> str:
            answer = self._core.read_namespaced_pod_log(*words, _preload_content=False, **more)
            text = bytearray()
            try:
                for piece in answer.stream(_PIECE):
                    text += piece
                    del text[:-limit]
            finally:
                answer.close()
            return text.decode("utf-8", "replace")

        # The kubelet would take its bytes from the beginning of the last lines.
        part = {"tail_lines": tail} if tail else {"limit_bytes": limit}
        wanted = {"container": box, "previous": previous, **part}
        text = str(self._asked("get", "pods/log", read, pod, self.namespace, **wanted))
        # The kubelet sends its own errors as if they were the log, with the status 200.
        if text.startswith(_NO_LOG):
            raise HostError(f"{self._where}: the log of {pod} cannot be read: {_short(text)}")
        return text

    def host(self, name: str, pod: str, box: str) -> PodHost:
        return PodHost(self, name, pod, box)

    def run(self, pod: str, box: str, script: bytes, timeout: int) -> dict[str, t.Any]:
        """A script by exec, on standard input, that must end by itself: the end of its input does not get there.

        -> rc, stdout, stderr
        """
        words = {"command": ["/bin/sh"], "container": box, "stdin": True, "stdout": True, "stderr": True, "tty": False}
        with self._opened("exec", pod, **words) as shell:
            try:
                shell.write_stdin(script)
                shell.run_forever(timeout=timeout)
                open_still = shell.is_open()
                output = [shell.read_channel(number) for number in (_STDOUT, _STDERR, _ENDED)]
            except HostError:
                raise
            except Exception as error:  # of the websocket, the TLS below it, or the socket below that
                raise Unreachable(f"{pod}: the connection to it was lost: {_short(error)}") from None
        if open_still:
            raise Unreachable(f"{pod}: no answer within {timeout} s after the script was sent")
        stdout, stderr = (each.decode("utf-8", "replace") for each in output[:2])
        return {"rc": _exit_status(pod, box, output[2]), "stdout": stdout, "stderr": stderr}

    @contextlib.contextmanager
    def _opened(self, subresource: str, pod: str, **words: t.Any) -> Iterator[t.Any]:
        """A websocket to a pod, which is closed whatever happens."""
        with kubernetes.client.ApiClient(self._configuration) as api:
            call = getattr(kubernetes.client.CoreV1Api(api), f"connect_get_namespaced_pod_{subresource}")
            try:
                opened = stream(call, pod, self.namespace, binary=True, _preload_content=False, **words)
            except kubernetes.client.ApiException as error:
                raise self._no_stream(f"pods/{subresource}", pod, error) from None
        try:
            yield opened
        finally:
            with contextlib.suppress(Exception):
                opened.close(timeout=_CLOSE_SECONDS)
            # Where the other side has closed it first the client leaves the socket open.
            opened.sock.shutdown()

    @contextlib.contextmanager
    def forward(self, pod: str, port: int) -> Iterator[Door]:
        """A door on the controller's loopback that leads to a port of the pod, through the API server."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            door = Door("{}:{}".format(*listener.getsockname()[:2]))
            relay = threading.Thread(target=self._relay, args=(listener, door, pod, port), daemon=True)
            relay.start()
            try:
                yield door
            finally:
                # Nothing else wakes a thread that waits for a socket; it may just be on its way from one to the other.
                for _second in range(REQUEST_TIMEOUT):
                    _end(listener)
                    _end(door.near)
                    relay.join(1)
                    if not relay.is_alive():
                        break

    def _relay(self, listener: socket.socket, door: Door, pod: str, port: int) -> None:
        while True:
            try:
                door.near, _address = listener.accept()
            except OSError:
                return
            with door.near:
                try:
                    self._carry(door, door.near, pod, port)
                except HostError as error:
                    door.error = str(error)
                except Exception as error:  # of the websocket, the TLS below it, or the socket below that
                    door.error = f"{self._where}: pods/portforward of {pod}: {_short(error)}"

    def _carry(self, door: Door, near: socket.socket, pod: str, port: int) -> None:
        """One connection, until either side ends it.

        Each frame begins with its channel, 0 for what the pod sends and 1 for what goes wrong; the first one of each
        is the number of the port.
        """
        begun = set()
        with self._opened("portforward", pod, ports=str(port)) as opened:
            far = opened.sock
            while True:
                # What TLS has taken off the socket already no select() sees.
                waiting = getattr(far.sock, "pending", int)() > 0
                ready = select.select([near, far.sock], [], [], 0 if waiting else None)[0]
                if near in ready:
                    data = near.recv(_PIECE)
                    if not data:
                        return
                    opened.write_channel(0, data)
                if not waiting and far.sock not in ready:
                    continue
                code, frame = far.recv_data_frame(True)
                if code == _CLOSE:
                    return
                if code not in _DATA or not frame.data:
                    continue
                channel, content = frame.data[0], frame.data[1:]
                if channel not in begun:
                    begun.add(channel)
                elif channel == 0:
                    near.sendall(content)
                else:
                    door.error = f"port {port} of {pod}: {_short(content.decode('utf-8', 'replace'))}"
                    return


class PodHost(Host):
    """A container of a live pod. Nothing of the task's own connection and become is used."""

    def __init__(self, cluster: Cluster, name: str, pod: str, box: str) -> None:
        self._cluster, self._pod, self._box = cluster, pod, box
        self.name = name
        self.round_trips = 0
        self._timeout = REQUEST_TIMEOUT

    @property
    def is_local(self) -> bool:
        return False

    def run(
        self,
        body: str,
        variables: t.Mapping[str, str],
        *,
        secret: t.Mapping[str, str] | None = None,
        timeout: int = 60,
        repeatable: bool = True,
    ) -> Answer:
        # The alarm of a host does not ring everywhere, and here nothing else would.
        self._timeout = timeout
        return super().run(body, variables, secret=secret, timeout=timeout, repeatable=repeatable)

    def _refuse_without_pipelining(self) -> None:
        return

    @contextlib.contextmanager
    def _options(self, repeatable: bool) -> Iterator[None]:
        yield

    def _execute(self, script: str, hide: t.Iterable[str]) -> dict[str, t.Any]:
        content = (script + "\n").encode("utf-8", "surrogateescape")
        return self._cluster.run(self._pod, self._box, content, self._timeout)


def _end(used: t.Any) -> None:
    if used is not None:
        with contextlib.suppress(OSError):
            used.shutdown(socket.SHUT_RDWR)


def _short(said: object) -> str:
    return one_line(str(said), _SAID_LIMIT)


def _said(body: object) -> str:
    """The message of the API's error (meta/v1 Status), which may stand in the middle of other words; else empty."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    found = re.search(r'"message":\s*("(?:[^"\\]|\\.)*")', text.replace('\\\\"', '\\"'))
    try:
        return str(json.loads(found[1])) if found else ""
    except ValueError:
        return ""


def _exit_status(pod: str, box: str, ended: bytes) -> int:
    """The exit status in what the API server says last (meta/v1 Status). Raises HostError when there is none in it."""
    try:
        status = json.loads(ended)
        if status["status"] == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or ()
        code = [each.get("message") for each in causes if each.get("reason") == "ExitCode"]
        if code:
            return int(str(code[0]))
        said = _short(status.get("message"))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Unreachable(f"{pod}: the connection to it ended before the script did") from None
    if "/bin/sh" in said or "executable file not found" in said:
        raise Unsupported(
            f"{pod}: /bin/sh could not be run in the container {box}: {said}. Its image needs a POSIX shell and the"
            " coreutils."
        )
    raise HostError(f"{pod}: the script was not run in the container {box}: {said}")


def _refuse_two_clusters(given: Mapping[str, t.Any], around: Mapping[str, str | None]) -> None:
    if given:
        named = around["kubeconfig"]
        same = {"kubeconfig": named and os.path.expanduser(named), "context": around["context"]}
        used = [name for name, value in given.items() if value == same[name]]
    elif around["host"] and around["api_key"]:
        used = [*_ENVIRONMENT]
    else:
        used = ["kubeconfig", "context"]
    obeyed = {f"K8S_AUTH_{word}" for word in _ELSEWHERE if os.environ.get(f"K8S_AUTH_{word}")}
    others = sorted(obeyed - {_ENVIRONMENT[name] for name in used})
    if others:
        source = " and ".join(f"quazzar_k8s_{name}" for name in given) or "the environment"
        raise InputError(
            f"Which cluster? This collection takes it from {source}, and kubernetes.core, by which it is changed, would"
            f" also obey {', '.join(others)}. Nothing was changed. Unset these for this run, or leave"
            " quazzar_k8s_kubeconfig and quazzar_k8s_context empty, so that all of it comes from the environment:"
            " K8S_AUTH_HOST with K8S_AUTH_API_KEY, K8S_AUTH_SSL_CA_CERT and K8S_AUTH_VERIFY_SSL, or K8S_AUTH_KUBECONFIG"
            " with K8S_AUTH_CONTEXT."
        )


def _configuration(options: Mapping[str, t.Any]) -> t.Any:
    """The client's configuration: by options, else by the environment, the pod's own account, or a kubeconfig. Raises
    InputError where kubernetes.core would come to another one."""
    given = {name: options[name] for name in ("kubeconfig", "context") if options.get(name)}
    around = {name: os.environ.get(variable) for name, variable in _ENVIRONMENT.items()}
    said = dict.fromkeys(_ENVIRONMENT) | given if given else around
    _refuse_two_clusters(given, around)
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
    except Exception as error:  # of its own kind, of YAML, of base64, of keys that are missing
        # Only its own errors are sure to quote nothing of the file.
        told = _short(error) if isinstance(error, (config.ConfigException, OSError)) else "something else"
        raise InputError(
            f"{said['kubeconfig'] or 'KUBECONFIG, ~/.kube/config'}: expected a kubeconfig that leads to the Kubernetes"
            f" API, found: {told.rstrip('.')}. Set quazzar_k8s_kubeconfig and quazzar_k8s_context, or K8S_AUTH_HOST"
            " and K8S_AUTH_API_KEY in the environment."
        ) from None
    configuration.retries = False
    return configuration
