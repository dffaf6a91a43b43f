# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API server's answers become. What needs a cluster (exec, port-forward, rights) is in tests/kubernetes."""

from __future__ import annotations

import base64
import http.server
import inspect
import json
import os
import pathlib
import socket
import threading
import typing as t
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    HostError,
    InputError,
    Unreachable,
    Unsupported,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Host

TOKEN = "not-for-any-message"
OPTIONS = {"namespace": "quazzar", "workload": "quazzar-cc", "kind": "Deployment", "container": ""}
META = {"name": "quazzar-cc", "namespace": "quazzar", "uid": "u1", "generation": 1}
DEPLOYMENT: dict[str, t.Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": META,
    "spec": {
        "selector": {"matchLabels": {"app": "cc"}},
        "template": {
            "metadata": {"labels": {"app": "cc"}},
            "spec": {
                "containers": [{"name": "cc", "image": "cc:1"}],
                "volumes": [
                    {"name": "certs", "persistentVolumeClaim": {"claimName": "certs"}},
                    {"name": "lost", "persistentVolumeClaim": {"claimName": "lost"}},
                ],
            },
        },
    },
}


def status(code: int, message: str) -> tuple[int, dict[str, t.Any]]:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


class Api(http.server.BaseHTTPRequestHandler):
    """Answers by path: an object, (status, object), or bytes as they are."""

    answers: t.ClassVar[dict[str, t.Any]] = {}
    seen: t.ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        assert self.headers["authorization"] == f"Bearer {TOKEN}"
        answer = self.answers.get(urlsplit(self.path).path, status(404, "not found"))
        code, body = answer if isinstance(answer, tuple) else (200, answer)
        content = self.asked_for(body) if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def asked_for(self, log: bytes) -> bytes:
        """As the kubelet cuts a log: the last lines first, and of these so many bytes from their beginning."""
        query = {
            key: int(value[0]) for key, value in parse_qs(urlsplit(self.path).query).items() if value[0].isdecimal()
        }
        lines = b"".join(log.splitlines(keepends=True)[-query["tailLines"] :]) if "tailLines" in query else log
        return lines[: query.get("limitBytes", len(lines))]

    def log_message(self, format: str, *args: t.Any) -> None:
        return


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[dict[str, t.Any]]:
    """The answers of an API server that K8S_AUTH_HOST leads to."""
    Api.answers, Api.seen = {}, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("K8S_AUTH_HOST", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("K8S_AUTH_API_KEY", TOKEN)
        yield Api.answers
        server.shutdown()


APPS = "/apis/apps/v1/namespaces/quazzar"
CORE = "/api/v1/namespaces/quazzar"


def cluster(**more: t.Any) -> kubernetes.Cluster:
    return kubernetes.Cluster({**OPTIONS, **more})


def test_the_workload_as_plain_data(api: dict[str, t.Any]) -> None:
    api[f"{APPS}/deployments/quazzar-cc"] = DEPLOYMENT
    found = cluster().workload()
    assert found["kind"] == "Deployment" and found["metadata"]["generation"] == 1
    assert found["spec"]["template"]["spec"]["containers"][0]["name"] == "cc"
    api[f"{APPS}/statefulsets/quazzar-cc"] = {
        **DEPLOYMENT,
        "kind": "StatefulSet",
        "spec": {**DEPLOYMENT["spec"], "serviceName": "cc"},
    }
    assert cluster(kind="StatefulSet").workload()["kind"] == "StatefulSet"


def owned(kind: str, name: str, uid: str, by: str) -> dict[str, t.Any]:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": by}
    return {"metadata": {"name": name, "uid": uid, "ownerReferences": [reference]}}


def test_the_pods_of_its_own_replica_sets(api: dict[str, t.Any]) -> None:
    api[f"{APPS}/deployments/quazzar-cc"] = DEPLOYMENT
    sets = [{**owned("Deployment", "rs", "r1", "u1"), "spec": {"selector": {}}},
            {**owned("Deployment", "foreign", "r2", "u2"), "spec": {"selector": {}}}]  # fmt: skip
    api[f"{APPS}/replicasets"] = {"kind": "ReplicaSetList", "apiVersion": "apps/v1", "metadata": {}, "items": sets}
    listed = [owned("ReplicaSet", "mine", "p1", "r1"), owned("ReplicaSet", "theirs", "p2", "r2")]
    api[f"{CORE}/pods"] = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": listed}
    asking = cluster()
    assert [pod.name for pod in asking.pods(asking.workload(), "cc")] == ["mine"]
    assert [path for path in Api.seen if "labelSelector=app%3Dcc" in path and "/pods" in path]
    # the newest is the one that the Deployment has numbered last, whatever the order of the list
    again = {**owned("Deployment", "rs", "r3", "u1"), "spec": {"selector": {}}}
    again["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "10"}
    sets[0]["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "9"}
    sets.append(again)
    assert asking.owners(asking.workload()) == ["r3", "r1"]
    assert [pod.newest for pod in asking.pods(asking.workload(), "cc")] == [False]
    # a StatefulSet owns its pods itself
    stateful = cluster(kind="StatefulSet")
    assert stateful.owners(DEPLOYMENT) == ["u1"]


def test_objects_that_are_there(api: dict[str, t.Any]) -> None:
    api[f"{CORE}/configmaps/settings"] = {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
    secret = {"pool": base64.b64encode(b"/a.crt").decode(), "odd": base64.b64encode(b"\xff").decode()}
    api[f"{CORE}/secrets/settings"] = {"kind": "Secret", "metadata": {"name": "settings"}, "data": secret}
    api[f"{CORE}/secrets/empty"] = {"kind": "Secret", "metadata": {"name": "empty"}}
    wanted = [("ConfigMap", "settings"), ("Secret", "settings"), ("ConfigMap", "gone"), ("Secret", "empty")]
    found = cluster().objects(wanted)
    assert {pair: each.get("data") for pair, each in found.items()} == {
        ("ConfigMap", "settings"): {"a": "b"},
        ("Secret", "settings"): {"pool": "/a.crt", "odd": "\ufffd"},
        ("Secret", "empty"): {},
    }
    claim = {"metadata": {"name": "certs"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    api[f"{CORE}/persistentvolumeclaims/certs"] = claim
    assert {name: each["spec"]["accessModes"] for name, each in cluster().claims(DEPLOYMENT).items()} == {
        "certs": ["ReadWriteOnce"]
    }
    api[f"{CORE}/secrets/settings"] = status(403, 'secrets "settings" is forbidden: User "reader" cannot get')
    with pytest.raises(kubernetes.Refused, match=r'namespace quazzar \(reader\).*resources: \["secrets"\]'):
        cluster().objects(wanted)


@pytest.mark.parametrize("content", [b'{"level": "info", "msg": "one line"}', b"bytes \xff\xfe\nof any kind\n", b""])
def test_a_log_is_text_as_it_is(api: dict[str, t.Any], content: bytes) -> None:
    api[f"{CORE}/pods/a/log"] = content
    assert cluster().log("a", "cc", 4096) == content.decode("utf-8", "replace")
    assert "container=cc" in Api.seen[-1] and "limitBytes=4096" in Api.seen[-1]
    assert cluster().log("a", "cc", 4096, tail=9) == content.decode("utf-8", "replace")
    # the kubelet's own error, which comes with the status 200
    api[f"{CORE}/pods/a/log"] = b"unable to retrieve container logs for containerd://0123"
    with pytest.raises(HostError, match="the log of a cannot be read: unable to retrieve container logs for"):
        cluster().log("a", "cc", 4096)
    api[f"{CORE}/pods/a/log"] = status(403, 'User "reader" cannot get resource "pods/log"')
    with pytest.raises(HostError, match=r'this account may not get pods/log .*verbs: \["get"\]'):
        cluster().log("a", "cc", 4096)


def test_the_beginning_of_a_log_or_its_end(api: dict[str, t.Any]) -> None:
    api[f"{CORE}/pods/a/log"] = b"".join(b"line %d\n" % number for number in range(100000))
    assert cluster().log("a", "cc", 13) == "line 0\nline 1"
    assert cluster().log("a", "cc", 4096, tail=2) == "line 99998\nline 99999\n"
    # long lines do not keep its end away
    assert cluster().log("a", "cc", 13, tail=50000) == "8\nline 99999\n"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (status(404, "not found"), InputError, "expected the Deployment quazzar/quazzar-cc, found none of that name."),
        (
            status(403, 'deployments.apps is forbidden: User "system:serviceaccount:q:r" cannot get'),
            HostError,
            'this account may not get deployments in the namespace quazzar (system:serviceaccount:q:r). Its Role needs'
            ' the rule {apiGroups: ["apps"], resources: ["deployments"], verbs: ["get"], resourceNames: ["quazzar-cc"]',
        ),
        (status(403, "no"), HostError, "in the namespace quazzar. Its Role needs the rule"),
        (status(401, "Unauthorized"), HostError, "the API server does not accept these credentials (401). Renew"),
        (
            status(500, "etcd is\n sad"),
            HostError,
            "get apps/deployments in the namespace quazzar: the API server answered 500 (etcd is sad)",
        ),
        ((503, b"<html>no</html>"), HostError, "the API server answered 503 (Service Unavailable)"),
        ((200, b"<html>"), HostError, ""),
        ({"kind": "Deployment", "spec": {"replicas": "many"}}, HostError, "the answer is of no use"),
    ],
)  # fmt: skip
def test_what_the_api_server_refuses(api: dict[str, t.Any], answer: t.Any, kind: type[Exception], words: str) -> None:
    api[f"{APPS}/deployments/quazzar-cc"] = answer
    asking = cluster()
    with pytest.raises(kind) as found:
        asking.workload()
    assert words in str(found.value) and TOKEN not in str(found.value)
    assert str(found.value).startswith("http://127.0.0.1:")


def test_an_api_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("K8S_AUTH_HOST", f"https://127.0.0.1:{port}")
    monkeypatch.setenv("K8S_AUTH_API_KEY", TOKEN)
    with pytest.raises(Unreachable) as found:
        cluster().workload()
    assert str(found.value).startswith(
        f"https://127.0.0.1:{port}: expected the Kubernetes API server to answer, found: Failed to establish a new"
    )
    assert "Connection refused. Is it the right cluster (quazzar_k8s_kubeconfig, quazzar_k8s_context)" in str(
        found.value
    )
    # a websocket needs the same server
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}: pods/exec of a: .*refused"):
        cluster().run("a", "cc", b"exit 0\n", 5)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(403, 'pods "a" is forbidden: User "reader" cannot get resource "pods/exec"'),
         '(reader). Its Role needs the rule {apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"]}'),
        (status(404, 'pods "a" not found'), 'the API server answered 404 (pods "a" not found)'),
        (status(401, "Unauthorized"), "does not accept these credentials (401)"),
        ((200, b"no websocket"), "answered 200"),
    ],
)  # fmt: skip
def test_a_websocket_that_is_refused(api: dict[str, t.Any], answer: t.Any, words: str) -> None:
    api[f"{CORE}/pods/a/exec"] = answer
    with pytest.raises(HostError) as found:
        cluster().run("a", "cc", b"exit 0\n", 5)
    assert words in str(found.value) and TOKEN not in str(found.value)
    api[f"{CORE}/pods/a/portforward"] = answer
    with cluster().forward("a", 8443) as door:
        host, _colon, port = door.address.rpartition(":")
        with socket.create_connection((host, int(port)), 5) as near:
            assert near.recv(1) == b""
    assert words.replace("pods/exec", "pods/portforward") in door.error and TOKEN not in door.error


ENDED = {"metadata": {}, "status": "Failure", "message": "command terminated", "reason": "NonZeroExitCode"}


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ({"metadata": {}, "status": "Success"}, 0),
        ({**ENDED, "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}, 3),
        ({**ENDED, "details": {"causes": [{"reason": "Other"}, {"reason": "ExitCode", "message": "126"}]}}, 126),
    ],
)
def test_the_exit_status(ended: t.Any, code: int) -> None:
    assert kubernetes._exit_status("a", "cc", json.dumps(ended).encode()) == code


@pytest.mark.parametrize(
    ("ended", "kind", "words"),
    [
        (b"", Unreachable, "a: the connection to it ended before the script did"),
        (b"{", Unreachable, "ended before"),
        (b"[]", Unreachable, "ended before"),
        (b"\xff", Unreachable, "ended before"),
        ({**ENDED, "details": {"causes": [{"reason": "ExitCode", "message": "x"}]}}, Unreachable, "ended before"),
        (
            {**ENDED, "details": {"causes": [{"reason": "ExitCode", "message": float("inf")}]}},
            Unreachable,
            "ended before",
        ),
        (
            {**ENDED, "message": 'exec failed: "/bin/sh": stat /bin/sh: no such file or directory'},
            Unsupported,
            "a: /bin/sh could not be run in the container cc: exec failed: ",
        ),
        (
            {**ENDED, "message": "container not running"},
            HostError,
            "the script was not run in the container cc: contai",
        ),
        ({**ENDED, "details": None, "message": None}, HostError, "a: the script was not run"),
    ],
)
def test_an_exec_without_an_exit_status(ended: t.Any, kind: type[Exception], words: str) -> None:
    content = ended if isinstance(ended, bytes) else json.dumps(ended).encode()
    with pytest.raises(kind) as found:
        kubernetes._exit_status("a", "cc", content)
    assert words in str(found.value) and found.type is kind


def test_a_pod_is_a_host_like_any_other() -> None:
    for name in ("run", "_execute", "_options", "_refuse_without_pipelining"):
        ours, theirs = (inspect.signature(getattr(each, name)) for each in (kubernetes.PodHost, Host))
        assert ours.parameters == theirs.parameters, name
    sent: list[t.Any] = []

    class Double:
        def run(self, pod: str, box: str, script: bytes, timeout: int) -> dict[str, t.Any]:
            sent.append((pod, box, timeout))
            mark = script.split(b"qz_mark=", 1)[1].split(b"\n", 1)[0].decode()
            assert b"'h\xffi\xc3\xa9'" in script and script.endswith(b"exit 0\n\n")
            return {"rc": 0, "stdout": f"banner\n@{mark} x aGk=\n@{mark} . 4 \n", "stderr": ""}

    double: t.Any = Double()
    host = kubernetes.PodHost(double, "cp/a", "a", "cc")
    answer = host.run("qz_put x hi", {"text": "h\udcffi\u00e9"}, timeout=7)
    assert (answer.rc, answer.text("x"), host.round_trips, host.is_local) == (4, "hi", 1, False)
    assert sent == [("a", "cc", 7)]


def test_the_rights_that_are_missing_name_their_objects(api: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asking = cluster()
    monkeypatch.setattr(asking, "_asked", lambda *words, **more: {"status": {"allowed": False}})
    needed = [("patch", "apps/deployments", "quazzar-cc"), ("create", "configmaps", "")]
    patch, create = asking.missing_rights(needed)
    assert '{apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"], resourceNames: ["quazzar-cc"]}' in patch
    assert '{apiGroups: [""], resources: ["configmaps"], verbs: ["create"]}' in create


# --- which cluster ---------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    for name in [*os.environ]:
        if name.startswith("K8S_AUTH_") or name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def kubeconfig(path: pathlib.Path) -> str:
    names = ("first", "second")
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "first",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.test:6443"}} for name in names],
        "users": [{"name": "me", "user": {"token": TOKEN}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in names],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def test_which_cluster_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    file = kubeconfig(tmp_path / "config")
    assert cluster(kubeconfig=file)._where == "https://first.test:6443"
    assert cluster(kubeconfig=file, context="second")._where == "https://second.test:6443"
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", file)
    monkeypatch.setenv("K8S_AUTH_CONTEXT", "second")
    assert cluster()._where == "https://second.test:6443"
    monkeypatch.setenv("K8S_AUTH_HOST", "https://panel.test:6443/")
    monkeypatch.setenv("K8S_AUTH_API_KEY", TOKEN)
    assert cluster()._where == "https://panel.test:6443"
    assert cluster()._configuration.verify_ssl is True
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "no")
    assert cluster()._configuration.verify_ssl is False
    for name in ("HOST", "API_KEY", "VERIFY_SSL", "KUBECONFIG"):
        monkeypatch.delenv(f"K8S_AUTH_{name}")
    monkeypatch.delenv("K8S_AUTH_CONTEXT")
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", file)
    assert cluster()._where == "https://first.test:6443"


REMEDY = (
    " Nothing was changed. Unset these for this run, or leave quazzar_k8s_kubeconfig and quazzar_k8s_context empty, so"
    " that all of it comes from the environment: K8S_AUTH_HOST with K8S_AUTH_API_KEY, K8S_AUTH_SSL_CA_CERT and"
    " K8S_AUTH_VERIFY_SSL, or K8S_AUTH_KUBECONFIG with K8S_AUTH_CONTEXT."
)


@pytest.mark.parametrize(
    ("options", "environment", "named"),
    [
        # as the credential of an automation platform sets them
        ({"kubeconfig": "FILE"}, {"HOST": "https://other.test", "API_KEY": TOKEN, "VERIFY_SSL": "True"}, None),
        ({"context": "second"}, {"HOST": "https://other.test", "API_KEY": TOKEN}, None),
        ({"kubeconfig": "FILE"}, {"KUBECONFIG": "/another"}, None),
        ({"kubeconfig": "FILE", "context": "first"}, {"KUBECONFIG": "FILE", "CONTEXT": "second"}, "K8S_AUTH_CONTEXT"),
        ({"kubeconfig": "FILE"}, {"CONTEXT": "second"}, None),
        ({"context": "first"}, {"KUBECONFIG": "FILE"}, None),
        ({"kubeconfig": "FILE"}, {"PROXY": f"http://{TOKEN}@proxy"}, None),
        # of these only kubernetes.core, or the connection by kubectl, knows
        ({"kubeconfig": "FILE"}, {"SERVER": "https://other.test", "TOKEN": TOKEN}, None),
        ({"kubeconfig": "FILE"}, {"VALIDATE_CERTS": "no", "CA_CERT": "/x", "CERT_FILE": "/x", "KEY_FILE": "/x"}, None),
        ({"kubeconfig": "FILE"}, {"IMPERSONATE_USER": "x", "IMPERSONATE_GROUPS": "x"}, None),
        # half of it comes from the environment
        ({}, {"HOST": "https://other.test"}, None),
        ({}, {"HOST": "https://other.test", "USERNAME": "me", "PASSWORD": TOKEN}, None),
        ({}, {"HOST": "https://other.test", "API_KEY": TOKEN, "IMPERSONATE_USER": "x"}, "K8S_AUTH_IMPERSONATE_USER"),
        ({}, {"KUBECONFIG": "FILE", "SSL_CA_CERT": "/x"}, "K8S_AUTH_SSL_CA_CERT"),
    ],
)
def test_no_cluster_is_read_where_another_would_be_written(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    options: dict[str, str],
    environment: dict[str, str],
    named: str | None,
) -> None:
    file = kubeconfig(tmp_path / "config")
    for name, value in environment.items():
        monkeypatch.setenv(f"K8S_AUTH_{name}", value.replace("FILE", file))
    with pytest.raises(InputError) as found:
        cluster(**{name: value.replace("FILE", file) for name, value in options.items()})
    names = named or ", ".join(sorted(f"K8S_AUTH_{name}" for name in environment))
    given = " and ".join(f"quazzar_k8s_{name}" for name in options) or "the environment"
    assert str(found.value) == (
        f"Which cluster? This collection takes it from {given}, and kubernetes.core, by which it is changed, would also"
        f" obey {names}.{REMEDY}"
    )


def test_what_is_said_twice_or_matters_to_nobody_is_no_conflict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "home").mkdir()
    file = kubeconfig(tmp_path / "home" / "config")
    for name, value in {"KUBECONFIG": "~/config", "CONTEXT": "second", "PROXY": "", "NAMESPACE": "x"}.items():
        monkeypatch.setenv(f"K8S_AUTH_{name}", value)
    assert cluster(kubeconfig=file, context="second")._where == "https://second.test:6443"
    assert cluster()._where == "https://second.test:6443"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "found: Invalid kube-config file"),
        (f"users: [{{token: {TOKEN}", "found: something else"),
        (f"[{TOKEN}]", "found: "),
        (f"apiVersion: v1\ncurrent-context: {'x'}\ncontexts: {TOKEN}\n", "found: "),
    ],
)
def test_a_kubeconfig_that_leads_nowhere(tmp_path: pathlib.Path, content: str | None, words: str) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as found:
        cluster(kubeconfig=str(file))
    assert str(found.value).startswith(f"{file}: expected a kubeconfig that leads to the Kubernetes API, found: ")
    assert words in str(found.value) and TOKEN not in str(found.value)
    assert "Set quazzar_k8s_kubeconfig and quazzar_k8s_context, or K8S_AUTH_HOST" in str(found.value)


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "kubernetes", None)
    monkeypatch.setattr(kubernetes, "MISSING", "No module named 'kubernetes'")
    with pytest.raises(Unsupported, match=r"needs the Python package kubernetes on the controller \(No module named"):
        cluster()
