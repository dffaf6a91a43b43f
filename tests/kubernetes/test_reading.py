# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a Control Panel in pods: of every live one, through the API server alone, and what is said when that
does not let us."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from ansible_collections.quazzar.ca_rotation.plugins.action.k8s_cp_info import ARGUMENT_SPEC, ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import workload
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    HostError,
    Unreachable,
    Unsupported,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from podfleet import CONTAINER, LEGACY_DIR, Cluster, PodFleet
from quazzar_lab.manifests import POOL_VARIABLE
from quazzar_lab.manifests import workload as workload_of
from quazzar_lab.paths import MTLS_PORT

pytestmark = pytest.mark.kubernetes

CERTS = "/var/lib/quazzar-cc/certs"
BOOT = "ready mtls="
SOON = 120.0  # seconds
#: What reading needs, and nothing else: (group, resource, verbs).
RULES = (
    ("apps", "deployments", ["get"]),
    ("apps", "replicasets", ["list"]),
    ("", "pods", ["list"]),
    ("", "pods/exec", ["get", "create"]),
    ("", "pods/portforward", ["get", "create"]),
    ("", "pods/log", ["get"]),
    ("", "persistentvolumeclaims", ["get"]),
)


def options(made: PodFleet, **more: Any) -> dict[str, Any]:
    return {
        "namespace": made.namespace,
        "workload": "quazzar-cc",
        "kind": made.shape.kind,
        "container": CONTAINER,
        "kubeconfig": made.cluster.kubeconfig,
        "context": made.cluster.context,
        "port": MTLS_PORT,
        "server_name": "cp.quazzar.test",
        "certs_dir": CERTS,
        "legacy_dir": LEGACY_DIR,
        **more,
    }


def read(**given: Any) -> dict[str, Any]:
    result = act(ActionModule, given, host="cp")
    assert not result.get("failed") and not result.get("unreachable"), result
    return result


def refused(**given: Any) -> str:
    result = act(ActionModule, given, host="cp")
    assert result.get("failed") or result.get("unreachable"), result
    return str(result["msg"])


def connected(**given: Any) -> kubernetes.Cluster:
    """The API server as the action uses it."""
    return kubernetes.Cluster({**{name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}, **given})


def soon(good: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SOON
    while not (found := good()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def kubeconfig(cluster: Cluster, path: Path, token: str, **server: str) -> str:
    """A kubeconfig for the same API server with a token and nothing else."""
    about = cluster.core.api_client.configuration
    named = {"server": about.host, "certificate-authority": about.ssl_ca_cert, **server}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": named}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def account(made: PodFleet, name: str, rules: Any) -> str:
    """A ServiceAccount that may do just this -> its kubeconfig."""
    about = {"name": name, "namespace": made.namespace}
    group = "rbac.authorization.k8s.io"
    made_of = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": about,
            "rules": [
                {"apiGroups": [each], "resources": [resource], "verbs": verbs} for each, resource, verbs in rules
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **about}],
        },
    ]
    for item in made_of:
        made.cluster.create(item)
    made.cluster.core.api_client.configuration.client_side_validation = False
    asked = made.cluster.core.create_namespaced_service_account_token(
        name,
        made.namespace,
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}},
    )
    return kubeconfig(made.cluster, made.work / f"{name}.conf", asked.status.token)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """One for objects that start no pod."""
    name = f"quazzar-{secrets.token_hex(4)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.core.delete_namespace(name)


@pytest.mark.skipif(not shutil.which("setpriv") or not shutil.which("ip"), reason="no setpriv, or no ip (iproute2)")
def test_every_live_pod_is_read_through_the_api_server_alone(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(1, sidecar=True, init=True, linger=8)
    old = made.active()
    made.accident()
    made.open_window(old)
    pods = made.addresses()
    # Those before them are on their way out: listed as Running, and serving for a while.
    leaving = {pod.metadata.name for pod in made.every_pod()} - {*pods}
    assert leaving and all(pod.status.phase == "Running" for pod in made.every_pod())
    given = options(made, boot_pattern=BOOT, grace_log_pattern="loaded additional trusted CA")
    with made.behind_api_server():
        command = ["ansible", "localhost", "-m", "quazzar.ca_rotation.k8s_cp_info", "-a", json.dumps(given)]
        done = subprocess.run(
            [*made.controller, *command],
            env=made._environment,
            cwd=made.work,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.partition("=> ")[2])
    assert result["changed"] is False

    told = result["workload"]
    assert told["title"] == f"Deployment {made.namespace}/quazzar-cc"
    assert (told["container"], told["replicas"], told["kept_by"], told["error"]) == (CONTAINER, 2, "", "")
    assert (told["rolled_out"], told["rollout_failed"], told["stalls"]) == (False, False, [])
    assert told["rollout"].startswith("a replica from before still runs (") and any(
        name in told["rollout"] for name in leaving
    )
    path = f"{LEGACY_DIR}/legacy.crt"
    assert (told["source"]["kind"], told["source"]["value"]) == ("value", path)

    legacy, active = (entry["sha256"] for entry in made.cas())
    assert {each["name"] for each in result["replicas"]} == {*pods}
    for each in result["replicas"]:
        assert (each["reachable"], each["error"], each["active_ca"]["sha256"]) == (True, "", active)
        assert each["address"] == f"{pods[each['name']]}:{MTLS_PORT}"
        assert (each["listening"], each["listener_error"]) == (True, "") and each["acceptable_ca_count"] == 2
        assert each["pool"]["raw"] == path and each["pool"]["error"] == ""
        assert [(entry["path"], entry["sha256"]) for entry in each["pool"]["entries"]] == [(path, [legacy])]
        assert [entry["sha256"] for entry in each["legacy_dir"]] == [[legacy]]
        assert each["boot"]["loaded_count"] in (0, 1)  # by where the boot line stands, see below
        assert each["storage"]["container"] is True and each["auto_ca_gen"] is True
        assert each["storage"]["error"] == each["storage"]["key"]["error"] == ""
    # without a boot line all lines of the container's log count, which is one start's
    given["boot_pattern"] = "no such line"
    for each in read(**given)["replicas"]:
        assert each["boot"]["loaded_count"] == 1 and each["boot"]["since_boot"] is False
    soon(lambda: read(**given)["workload"]["rolled_out"], "it is not told that the roll is done")

    # several containers, and the wrong one
    assert "found log-shipper, control-center. Say which one is the CP: quazzar_k8s_container" in refused(
        **options(made, container="")
    )
    assert "expected a container 'migrate' (that is an init container" in refused(**options(made, container="migrate"))


def _without(lost: str) -> list[Any]:
    return [rule for rule in RULES if rule[1] != lost]


def _bare(objects: list[dict[str, Any]]) -> None:
    """A second container in which there is no shell: a file that nobody may execute is in its place."""
    made = workload_of(objects)
    about = {"name": "no-shell", "namespace": made["metadata"]["namespace"]}
    objects.insert(1, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"sh": "no shell"}})
    spec = made["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "no-shell", "configMap": {"name": "no-shell"}})
    spec["containers"].append(
        {
            "name": "bare",
            "image": spec["containers"][0]["image"],
            "imagePullPolicy": "Never",
            "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
            "volumeMounts": [{"name": "no-shell", "mountPath": "/bin/sh", "subPath": "sh"}],
        }
    )


def test_what_an_account_may_not_do_is_named_and_leaves_the_rest(pod_fleet: Callable[..., Any]) -> None:
    made = pod_fleet(1, edit=_bare)
    lost = {resource: f"no-{resource.replace('/', '-')}" for _group, resource, _verbs in RULES}
    configs = {resource: account(made, name, _without(resource)) for resource, name in lost.items()}
    enough = account(made, "enough", RULES)
    given = options(made, context=None)

    def with_account(config: str, **more: Any) -> dict[str, Any]:
        result = act(ActionModule, {**given, "kubeconfig": config, **more}, host="cp")
        token = yaml.safe_load(Path(config).read_text(encoding="utf-8"))["users"][0]["user"]["token"]
        assert token not in json.dumps(result)
        return result

    def whole(result: Mapping[str, Any]) -> bool:
        replicas = result.get("replicas") or []
        return len(replicas) == 2 and all(
            each["active_ca"] and each["listening"] and each["boot"]["loaded_count"] == 0 for each in replicas
        )

    # The authorizer learns of new Roles a moment later.
    soon(lambda: whole(with_account(enough)), "the rules are not enough")

    def rule(resource: str) -> str:
        group, _resource, verbs = next(each for each in RULES if each[1] == resource)
        return f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: {json.dumps(verbs)}'  # a name may follow

    for resource, config in configs.items():
        result = with_account(config)
        who = f"system:serviceaccount:{made.namespace}:{lost[resource]}"
        if resource == "pods/portforward":
            assert all(
                rule(resource) in each["listener_error"] and who in each["listener_error"] and each["active_ca"]
                for each in result["replicas"]
            ), result
            assert not any(each["listening"] for each in result["replicas"])
        elif resource == "pods/log":
            assert all(rule(resource) in each["boot"]["error"] and each["active_ca"] for each in result["replicas"])
            assert all(each["boot"]["loaded_count"] is None and each["listening"] for each in result["replicas"])
        else:
            assert result.get("failed") and rule(resource) in result["msg"] and who in result["msg"], result

    tolerated = {resource: with_account(config, tolerate=True) for resource, config in configs.items()}
    for resource in ("deployments", "replicasets", "pods"):
        (only,) = tolerated[resource]["replicas"]
        assert rule(resource) in only["error"] and tolerated[resource]["workload"] is None
    for each in tolerated["pods/exec"]["replicas"]:
        assert rule("pods/exec") in each["error"] and each["listening"] and each["boot"]["loaded_count"] == 0
    beside = tolerated["persistentvolumeclaims"]
    assert whole(beside) and rule("persistentvolumeclaims") in beside["workload"]["error"]
    assert beside["workload"]["stalls"] is None and beside["workload"]["source"]["kind"] == "absent"
    # One pod that nobody may look into leaves what is known of the other.
    first, second = made.pods()
    exec_first = [*_without("pods/exec")]
    one = account(made, "one", exec_first)
    role = {"apiGroups": [""], "resources": ["pods/exec"], "resourceNames": [first], "verbs": ["get", "create"]}
    client.RbacAuthorizationV1Api().patch_namespaced_role(
        "one", made.namespace, [{"op": "add", "path": "/rules/-", "value": role}]
    )
    found = soon(
        lambda: {each["name"]: each for each in with_account(one, tolerate=True)["replicas"] if each["active_ca"]},
        "the rule for one pod",
    )
    assert {*found} == {first}
    found = {each["name"]: each for each in with_account(one, tolerate=True)["replicas"]}
    assert rule("pods/exec") in found[second]["error"] and found[second]["listening"]

    _robust(made, first)


def _files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def _robust(made: PodFleet, pod: str) -> None:
    """Exec and port-forward by themselves, on the same pods."""
    cluster = connected(**options(made))
    host = cluster.host("cp/pod", pod, CONTAINER)
    host.run("true", {})
    # as it is; what asks for it keeps a connection
    assert cluster.log(pod, CONTAINER, 300) == made.pod_log(pod)[:300]
    threads, files = threading.active_count(), _files_open()

    # much, and nothing of it twice
    said = cluster.run(pod, CONTAINER, b"head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 3\n", 60)
    assert (said["rc"], len(said["stdout"]), said["stderr"]) == (3, 3000000, "end\n")
    # any bytes: as they are through the protocol of hosts, and no accident beside it
    answer = host.run(
        "printf '\\377\\376'; f=/tmp/any; head -c 70000 /dev/urandom >$f; sha256sum $f | qz_emit sum; qz_file any $f",
        {"name": "a b'c\n$(id)\udcff"},
    )
    content, error = answer.file("any")
    assert error == "" and content and hashlib.sha256(content).hexdigest() == answer.text("sum").split()[0]
    # what takes too long
    began = time.monotonic()
    with pytest.raises(Unreachable, match=f"{pod}: no answer within 1 s after the script was sent"):
        cluster.run(pod, CONTAINER, b"sleep 20; exit 0\n", 1)
    assert time.monotonic() - began < 10
    with pytest.raises(Unreachable, match="cp/pod: no answer within 1 s"):
        host.run("sleep 20", {}, timeout=1)
    # no shell
    with pytest.raises(Unsupported, match=f"{pod}: /bin/sh could not be run in the container bare: .*POSIX shell"):
        cluster.run(pod, "bare", b"exit 0\n", 30)
    with pytest.raises(HostError, match=r"get pods/exec in the namespace .* answered 404 .*not found"):
        cluster.run("no-such-pod", CONTAINER, b"exit 0\n", 30)
    with pytest.raises(HostError, match=r"get pods/exec .* answered 400 .*container none is not valid"):
        cluster.run(pod, "none", b"exit 0\n", 30)

    # a port on which nobody listens, a pod that is not there, and a client that stays
    with cluster.forward(pod, 9) as door:
        assert _through(door.address) == b""
    assert "port 9 of" in door.error and "refused" in door.error
    with cluster.forward("no-such-pod", MTLS_PORT) as door:
        assert _through(door.address) == b""
    assert "answered 404" in door.error
    with contextlib.ExitStack() as stays:
        with cluster.forward(pod, MTLS_PORT) as door:
            near = stays.enter_context(_connected(door.address))
            soon(lambda: door.near, "nobody has opened")
            began = time.monotonic()
        assert time.monotonic() - began < 10
        with contextlib.suppress(ConnectionResetError):
            assert near.recv(1) == b""
    # all of it has gone again
    soon(lambda: threading.active_count() <= threads, f"threads are left: {threading.enumerate()}")
    soon(lambda: _files_open() <= files, "files are left open")


def _connected(address: str) -> socket.socket:
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), 10)


def _through(address: str) -> bytes:
    with _connected(address) as near:
        near.sendall(b"hello\n")
        with contextlib.suppress(ConnectionResetError):
            return bytes(near.recv(100))
    return b""


def test_what_is_said_where_nothing_can_be_read(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    given = {"namespace": namespace, "workload": "quazzar-cc", "kubeconfig": cluster.kubeconfig}
    server = cluster.core.api_client.configuration.host
    assert refused(**given) == (
        f"{server}: expected the Deployment {namespace}/quazzar-cc, found none of that name. Correct"
        " quazzar_k8s_namespace, quazzar_k8s_deployment or quazzar_k8s_kind."
    )
    token = secrets.token_urlsafe(32)
    stranger = kubeconfig(cluster, tmp_path / "stranger.conf", token)
    assert "does not accept these credentials (401)" in refused(**{**given, "kubeconfig": stranger})
    closed = kubeconfig(cluster, tmp_path / "closed.conf", token, server="https://127.0.0.1:1")
    result = act(ActionModule, {**given, "kubeconfig": closed}, host="cp")
    assert result["unreachable"] and result["msg"].startswith(
        "https://127.0.0.1:1: expected the Kubernetes API server to answer, found: "
    )
    assert "Connection refused. Is it the right cluster" in result["msg"]
    broken = tmp_path / "broken.conf"
    broken.write_text(f"users: [{{token: {token}\n", encoding="utf-8")
    told = refused(**{**given, "kubeconfig": str(broken)})
    assert told.startswith(
        f"{broken}: expected a kubeconfig that leads to the Kubernetes API, found: something else. Set"
    )
    none = str(tmp_path / "none.conf")
    assert f"{none}: expected a kubeconfig" in refused(**{**given, "kubeconfig": none})
    told = refused(**{**given, "context": "nowhere"})
    assert told.startswith(f"{cluster.kubeconfig}: expected a kubeconfig") and "nowhere" in told
    (only,) = act(ActionModule, {**given, "kubeconfig": closed, "tolerate": True}, host="cp")["replicas"]
    assert only["reachable"] is False and only["error"] == result["msg"] and only["name"] == "unknown"
    for path in (stranger, closed, str(broken)):
        assert token not in json.dumps(act(ActionModule, {**given, "kubeconfig": path, "tolerate": True}, host="cp"))


def _deployment(namespace: str, name: str, **box: Any) -> dict[str, Any]:
    """One that starts no pod."""
    labels = {"app": name}
    container = {"name": CONTAINER, "image": "registry.local/none:1", **box}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def test_where_the_variable_comes_from(cluster: Cluster, namespace: str) -> None:
    about = {"name": "settings", "namespace": namespace}
    data = {POOL_VARIABLE: "/from/envFrom.crt", "pool": "/from/key.crt"}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data})
    cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": {"pool": "/from/secret.crt"}}
    )
    by_map = {"configMapKeyRef": {"name": "settings", "key": "pool"}}
    by_secret = {"secretKeyRef": {"name": "settings", "key": "pool"}}
    gone = {"configMapKeyRef": {"name": "gone", "key": "pool", "optional": True}}
    whole = [{"configMapRef": {"name": "settings"}}]
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "absent": ({}, {"kind": "absent"}),
        "value": ({"env": [{"name": POOL_VARIABLE, "value": "/a"}]}, {"kind": "value", "value": "/a"}),
        "whole": (
            {"envFrom": whole},
            {"kind": "ConfigMap", "name": "settings", "key": POOL_VARIABLE, "value": "/from/envFrom.crt", "whole": True,
             "title": f"the key {POOL_VARIABLE} of the ConfigMap settings (envFrom)"},
        ),
        "map": (
            {"env": [{"name": POOL_VARIABLE, "valueFrom": by_map}], "envFrom": whole},
            {"kind": "ConfigMap", "key": "pool", "value": "/from/key.crt", "whole": False},
        ),
        "secret": (
            {"env": [{"name": POOL_VARIABLE, "valueFrom": by_secret}]},
            {"kind": "Secret", "name": "settings", "key": "pool", "value": "/from/secret.crt"},
        ),
        "optional": (
            {"env": [{"name": POOL_VARIABLE, "valueFrom": gone}], "envFrom": whole},
            {"kind": "ConfigMap", "name": "settings", "value": "/from/envFrom.crt"},
        ),
        "gone": (
            {"env": [{"name": POOL_VARIABLE, "valueFrom": gone}]},
            {"kind": "ConfigMap", "name": "gone", "trouble": "there is no ConfigMap gone"},
        ),
        "expands": (
            {"env": [{"name": POOL_VARIABLE, "value": "$(CERTS)/a"}]},
            {"kind": "value", "value": "$(CERTS)/a", "expands": True},
        ),
    }  # fmt: skip
    for name, (box, wanted) in cases.items():
        cluster.create(_deployment(namespace, name, **box))
        result = read(namespace=namespace, workload=name, kubeconfig=cluster.kubeconfig)
        assert wanted.items() <= result["workload"]["source"].items(), name
        assert result["workload"]["replicas"] == 0 and "has 0 replicas" in result["workload"]["stalls"][0]
        (only,) = result["replicas"]
        assert only["error"] == f"Deployment {namespace}/{name}: expected a live pod, found none (it has no pod)"
        assert only["name"] == "no live pod"


def test_the_api_server_takes_our_patches_as_they_are_meant(cluster: Cluster, namespace: str) -> None:
    """The server's own merge, to which the model in the unit tests has to be true."""
    others = [{"name": "LOG", "value": "info"}]
    apps = client.AppsV1Api()

    def patched(name: str, value: str, kind: str | None) -> dict[str, Any]:
        live = connected(namespace=namespace, workload=name, kubeconfig=cluster.kubeconfig)
        box = workload.container(live.workload(), CONTAINER)
        mount = {"kind": kind, "name": "legacy", "path": LEGACY_DIR} if kind else None
        body = workload.pool_patch(box, POOL_VARIABLE, value, mount)
        cluster.resource(_deployment(namespace, name)).patch(
            body=body, name=name, namespace=namespace, content_type="application/strategic-merge-patch+json"
        )
        return live.workload()

    def env(found: dict[str, Any]) -> dict[str, str]:
        return {each["name"]: each.get("value", "") for each in workload.container(found, CONTAINER).get("env") or []}

    for name, box, left in (
        ("nothing", {}, {}),
        ("others", {"env": others}, {"LOG": "info"}),
        ("hidden", {"env": others, "envFrom": [{"configMapRef": {"name": "x"}}]}, {"LOG": "info", POOL_VARIABLE: ""}),
    ):
        cluster.create(_deployment(namespace, name, **box))
        # taking out what is not there
        assert env(patched(name, "", None)) == {each["name"]: each["value"] for each in box.get("env") or []}
        assert env(patched(name, "/a.crt", "ConfigMap"))[POOL_VARIABLE] == "/a.crt"
        live = patched(name, "/a.crt,/b.crt", "Secret")
        (volume,) = live["spec"]["template"]["spec"]["volumes"]
        assert volume["secret"]["secretName"] == "legacy" and "configMap" not in volume
        generation = apps.read_namespaced_deployment(name, namespace).metadata.generation
        assert patched(name, "/a.crt,/b.crt", "Secret")["metadata"]["generation"] == generation
        assert env(patched(name, "", None)) == left
