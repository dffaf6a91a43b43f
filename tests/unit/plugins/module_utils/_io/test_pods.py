# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import workload
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.workload import Pod
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes, pods
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Host
from ansible_collections.quazzar.ca_rotation.plugins.modules import cp_info, k8s_cp_info

POOL = "CC_TRUST_ADDITIONAL_CA_CERTS"
GRACE = "loaded additional trusted CA (rotation grace)"
LIVE = [Pod("a", "10.1.0.7", True, True, "r1"), Pod("b", "10.1.0.8", True, False, "r1")]


class PodDouble(Host):
    """A container of a pod that is a shell here, with an environment of its own."""

    def __init__(self, name: str, environment: t.Mapping[str, str], error: Exception | None) -> None:
        self.name, self._environment, self._error, self.round_trips = name, environment, error, 0

    def _refuse_without_pipelining(self) -> None:
        return

    @contextlib.contextmanager
    def _options(self, repeatable: bool) -> t.Iterator[None]:
        yield

    def _execute(self, script: str, hide: t.Iterable[str]) -> dict[str, t.Any]:
        if self._error:
            raise self._error
        done = subprocess.run(
            ["/bin/sh"], input=script.encode(), env={"PATH": "/usr/bin:/bin", **self._environment}, capture_output=True,
            check=False,
        )  # fmt: skip
        return {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}


class ClusterDouble:
    """As the API server would have it."""

    def __init__(self, environment: t.Mapping[str, str]) -> None:
        self.environment, self.listed = environment, list(LIVE)
        self.found: t.Any = {
            "kind": "Deployment",
            "metadata": {"name": "quazzar-cc", "namespace": "quazzar", "generation": 7},
            "spec": {"template": {"spec": {"containers": [{"name": "cc"}]}}},
        }
        self.errors: dict[str, Exception] = {}
        self.hosts: dict[str, PodDouble] = {}
        self.door_error = ""
        self.asked: list[t.Any] = []

    def workload(self) -> t.Any:
        return self.found

    def pods(self, found: t.Any, box: str) -> t.Any:
        return tuple(self.listed)

    def objects(self, wanted: t.Any) -> t.Any:
        self.asked.append(wanted)
        if "objects" in self.errors:
            raise self.errors["objects"]
        return {}

    def claims(self, found: t.Any) -> t.Any:
        if "claims" in self.errors:
            raise self.errors["claims"]
        return {}

    def log(self, pod: str, box: str, limit: int) -> str:
        if f"log {pod}" in self.errors:
            raise self.errors[f"log {pod}"]
        return f"starting Quazzar Control Center\n{GRACE} one\n{GRACE} two of {pod}\n"

    def host(self, name: str, pod: str, box: str) -> t.Any:
        self.hosts[pod] = PodDouble(name, self.environment, self.errors.get(f"exec {pod}"))
        return self.hosts[pod]

    @contextlib.contextmanager
    def forward(self, pod: str, port: int) -> t.Iterator[kubernetes.Door]:
        yield kubernetes.Door("127.0.0.1:1", self.door_error)


@pytest.fixture
def cp(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, make_ca: t.Any) -> ClusterDouble:
    made = make_ca()
    made.write(tmp_path, "ca")
    old = tmp_path / "old.crt"
    old.write_bytes(make_ca("Old CA").pem)
    double = ClusterDouble({POOL: f"{old}, {tmp_path}/gone.crt", "CC_ALLOW_AUTO_CA_GEN": "true", "SECRET": "hunter22"})
    monkeypatch.setattr(kubernetes, "Cluster", lambda options: double)
    return double


def gather(tmp_path: pathlib.Path, **more: t.Any) -> dict[str, t.Any]:
    options = {name: spec.get("default") for name, spec in pods.ARGUMENT_SPEC.items()}
    return pods.gather("cp", {**options, "certs_dir": str(tmp_path), "timeout": 5.0, **more})


def test_each_live_pod_is_a_replica(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.listed.append(Pod("c", "10.1.0.9", False, False, why="its end was asked for", leaving=True))
    found = gather(tmp_path)
    assert "hunter22" not in str(found)
    told = found["workload"]
    assert (told["title"], told["container"], told["replicas"]) == ("Deployment quazzar/quazzar-cc", "cc", 1)
    assert (told["revision"], told["rolled_out"], told["kept_by"], told["error"]) == ("7", False, "", "")
    assert told["source"]["kind"] == "absent" and told["source"]["title"] == "nowhere" and told["stalls"] == []
    assert [each["name"] for each in found["replicas"]] == ["a", "b"]
    for each, pod in zip(found["replicas"], LIVE, strict=True):
        assert each["address"] == f"{pod.address}:8443" and each["error"] == ""
        assert each["active_ca"]["sha256"] and each["auto_ca_gen"] is True
        assert each["pool"]["raw"] == cp.environment[POOL] and each["pool"]["line"] is None
        assert [bool(entry["sha256"]) for entry in each["pool"]["entries"]] == [True, False]
        assert each["boot"] == {"loaded_count": 2, "since_boot": True, "error": ""}
        # nobody can do anything with the address of a port-forward that has gone
        assert each[
            "listener_error"
        ] == f"port 8443 of {pod.name}: the connection was refused: is the Control Panel" + (" running there?")
        assert cp.hosts[pod.name].round_trips == 1 and cp.hosts[pod.name].name == f"cp/{pod.name}"


def test_the_documentation_says_what_is_returned(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    found, documented = gather(tmp_path), yaml.safe_load(k8s_cp_info.RETURN)
    assert list(found) == list(documented) == ["workload", "replicas"]
    assert set(found["workload"]) == set(documented["workload"]["contains"])
    assert set(found["workload"]["source"]) == set(documented["workload"]["contains"]["source"]["contains"])
    one = yaml.safe_load(cp_info.RETURN)["replica"]["contains"]
    assert all(set(each) == set(one) for each in found["replicas"])


def test_what_goes_wrong_with_one_leaves_the_others(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.errors = {"exec a": HostError("a: may not exec"), "log b": HostError("b: may not log")}
    with pytest.raises(HostError, match="a: may not exec"):
        gather(tmp_path)
    first, second = gather(tmp_path, tolerate=True)["replicas"]
    assert first["error"] == "a: may not exec" and first["boot"]["loaded_count"] == 2
    assert second["error"] == "" and second["active_ca"]
    assert second["boot"] == {"loaded_count": None, "since_boot": False, "error": "b: may not log"}
    cp.errors = {"exec b": Unreachable("b: lost")}
    first, second = gather(tmp_path, tolerate=True)["replicas"]
    assert first["active_ca"] and (second["reachable"], second["error"]) == (False, "b: lost")


def test_why_the_listener_was_not_reached(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.door_error = "https://api: this account may not get pods/portforward"
    assert {each["listener_error"] for each in gather(tmp_path)["replicas"]} == {cp.door_error}


@pytest.mark.parametrize(("what", "left"), [("objects", None), ("claims", "absent")])
def test_what_may_not_be_read_beside_the_workload(
    cp: ClusterDouble, tmp_path: pathlib.Path, what: str, left: str | None
) -> None:
    cp.errors = {what: HostError(f"may not get {what}")}
    with pytest.raises(HostError, match=f"may not get {what}"):
        gather(tmp_path)
    told = gather(tmp_path, tolerate=True)
    assert (told["workload"]["error"], told["workload"]["stalls"]) == (f"may not get {what}", None)
    assert (told["workload"]["source"] or {}).get("kind") == left
    assert all(each["active_ca"] for each in told["replicas"])


def test_no_live_pod_is_a_replica_that_says_so(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.listed = [Pod("a", "", False, False, why="it is Pending")]
    (only,) = gather(tmp_path)["replicas"]
    assert (only["name"], only["address"]) == ("no live pod", "")
    assert only["error"] == "Deployment quazzar/quazzar-cc: expected a live pod, found none (a: it is Pending)"
    cp.listed = []
    (only,) = gather(tmp_path)["replicas"]
    assert only["error"].endswith("found none (it has no pod)")


def test_a_container_that_is_not_there_is_no_evidence(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="quazzar_k8s_container"):
        gather(tmp_path, container="other", tolerate=True)


def test_what_the_variables_come_from_is_asked_for(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    entries = [{"configMapRef": {"name": "settings"}}]
    box = {"name": "cc", "envFrom": entries, "env": [{"name": "CC_ALLOW_AUTO_CA_GEN", "value": "1"}]}
    cp.found = {**cp.found, "spec": {"template": {"spec": {"containers": [box]}}}}
    gather(tmp_path)
    assert cp.asked == [(("ConfigMap", "settings"),)]
    assert workload.references(box, ["CC_ALLOW_AUTO_CA_GEN"]) == ()
