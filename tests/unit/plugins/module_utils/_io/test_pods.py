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
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import handshake_logs, kubernetes, logs, pods
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Host
from ansible_collections.quazzar.ca_rotation.plugins.modules import cp_info, k8s_cp_info

POOL = "CC_TRUST_ADDITIONAL_CA_CERTS"
GRACE = "loaded additional trusted CA (rotation grace)"
LIVE = [Pod("a", "10.1.0.7", True, True, "r1", uid="u1"), Pod("b", "10.1.0.8", True, False, "r1", uid="u2")]


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

    namespace = "quazzar"

    def __init__(self, environment: t.Mapping[str, str]) -> None:
        self.environment, self.listed = environment, list(LIVE)
        self.found: t.Any = {
            "kind": "Deployment",
            "metadata": {"name": "quazzar-cc", "namespace": "quazzar", "generation": 7},
            "spec": {"template": {"spec": {"containers": [{"name": "cc"}]}}},
        }
        self.errors: dict[str, Exception] = {}
        self.held: dict[tuple[str, str], t.Any] = {}
        self.claimed: dict[str, t.Any] = {}
        self.lacking: list[str] = []
        self.reviewed: list[t.Any] = []
        self.hosts: dict[str, PodDouble] = {}
        self.door_error = self.logged = ""
        self.asked: list[t.Any] = []

    def fails(self, what: str) -> None:
        if what in self.errors:
            raise self.errors[what]

    def workload(self) -> t.Any:
        self.fails("workload")
        return self.found

    def pods(self, found: t.Any, box: str) -> t.Any:
        self.fails("pods")
        return tuple(self.listed)

    def objects(self, wanted: t.Any) -> t.Any:
        self.asked.append(tuple(wanted))
        self.fails("objects")
        return {pair: self.held[pair] for pair in wanted if pair in self.held}

    def claims(self, found: t.Any) -> t.Any:
        self.fails("claims")
        return self.claimed

    def claim(self, name: str) -> t.Any:
        return self.claimed.get(name)

    def volume(self, name: str) -> t.Any:
        return None

    def missing_rights(self, needed: t.Any) -> list[str]:
        self.reviewed = list(needed)
        self.fails("rights")
        return self.lacking

    def log(self, pod: str, box: str, limit: int, *, tail: int = 0, previous: bool = False) -> str:
        self.fails(f"log {pod}")
        told = f"starting Quazzar Control Center\n{GRACE} one\n{GRACE} two of {pod}\n{self.logged}"
        if previous:
            told = f"starting\n{self.logged}no such file\n"
        return "".join(told.splitlines(keepends=True)[-tail:])[-limit:] if tail else told[:limit]

    def box(self, pod: t.Any = None, **fields: t.Any) -> None:
        """Have the workload this container, and these fields of its pods."""
        template = {"spec": {"containers": [{"name": "cc", **fields}], **(pod or {})}}
        self.found = {**self.found, "spec": {**self.found["spec"], "template": template}}

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


def options(**more: t.Any) -> dict[str, t.Any]:
    return {**{name: spec.get("default") for name, spec in pods.ARGUMENT_SPEC.items()}, **more}


def gather(tmp_path: pathlib.Path, **more: t.Any) -> dict[str, t.Any]:
    return pods.gather("cp", options(certs_dir=str(tmp_path), timeout=5.0, **more))


def objects_of(**more: t.Any) -> dict[str, t.Any]:
    """What the objects say, without a look into the pods."""
    found = pods.gather("cp", options(replicas=False, **more))
    assert found["replicas"] == []
    return t.cast(dict[str, t.Any], found["workload"])


def test_the_marks_of_revoked_cas_hold_for_all_pods(cp: ClusterDouble, tmp_path: pathlib.Path, make_ca: t.Any) -> None:
    """Whether a pod mounts the object or not: a run before may have left it where no window was open."""
    mark, name = make_ca("Revoked CA"), "quazzar-legacy-cas"
    cp.held[("ConfigMap", name)] = {"data": {"ab.revoked": mark.pem.decode(), "cd.crt": "x", "ef.revoked": "no PEM"}}
    for each in gather(tmp_path, legacy_dir="/legacy/")["replicas"]:
        good, bad = each["revoked"]
        assert (good["path"], good["error"]) == ("/legacy/ab.revoked", "")
        assert good["pem"] == [mark.pem.decode()] and good["since"] is None
        assert bad["path"] == "/legacy/ef.revoked" and bad["error"].startswith("/legacy/ef.revoked: ")
    assert gather(tmp_path, legacy_dir="/legacy", legacy_kind="volume")["replicas"][0]["revoked"] == []


def test_each_live_pod_is_a_replica(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.listed.append(Pod("c", "10.1.0.9", False, False, why="its end was asked for", leaving=True))
    found = gather(tmp_path)
    assert "hunter22" not in str(found)
    told = found["workload"]
    assert (told["title"], told["container"], told["replicas"]) == ("Deployment quazzar/quazzar-cc", "cc", 1)
    assert (told["revision"], told["rolled_out"], told["kept_by"], told["error"]) == ("7", False, "", "")
    assert (told["pods"], told["uids"]) == (["a", "b"], ["u1", "u2"]) and told["pool"] == [] and told["shared"] is False
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
    found, documented = gather(tmp_path, legacy_dir="/legacy"), yaml.safe_load(k8s_cp_info.RETURN)
    assert list(found) == list(documented) == ["workload", "replicas"]
    one = yaml.safe_load(cp_info.RETURN)["replica"]["contains"]
    assert all(set(each) == set(one) for each in found["replicas"])
    mounts = [{"name": "certs", "mountPath": "/certs"}]
    volumes = [{"name": "certs", "persistentVolumeClaim": {"claimName": "certs"}}]
    flag = {"name": "CC_ALLOW_AUTO_CA_GEN", "value": "true"}
    cp.box({"volumes": volumes}, volumeMounts=mounts, env=[flag])
    check_keys(objects_of(certs_dir="/certs", legacy_dir="/legacy"), documented["workload"]["contains"])


def check_keys(found: t.Mapping[str, t.Any], documented: t.Mapping[str, t.Any]) -> None:
    """Both have the same keys, and so have the dictionaries in them."""
    assert set(found) == set(documented)
    for name, value in found.items():
        if "contains" in documented[name]:
            for each in value if isinstance(value, list) else [value]:
                check_keys(each, documented[name]["contains"])
            assert value, name


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


@pytest.mark.parametrize(("what", "left"), [("objects", None), ("claims", "ConfigMap")])
def test_what_may_not_be_read_beside_the_workload(
    cp: ClusterDouble, tmp_path: pathlib.Path, what: str, left: str | None
) -> None:
    cp.box(envFrom=[{"configMapRef": {"name": "settings"}}])
    cp.held = {("ConfigMap", "settings"): {"data": {POOL: "/a.crt, /b.crt"}}}
    cp.errors = {what: HostError(f"may not get {what}")}
    with pytest.raises(HostError, match=f"may not get {what}"):
        gather(tmp_path)
    told = gather(tmp_path, tolerate=True)
    about = told["workload"]
    assert (about["error"], about["stalls"], about["refusals"]) == (f"may not get {what}", None, [])
    assert (about["source"] or {}).get("kind") == left
    assert about["pool"] == (["/a.crt", "/b.crt"] if left else None)
    assert all(each["active_ca"] for each in told["replicas"])


def test_pods_that_run_with_another_pool_than_their_object_has(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.box(envFrom=[{"configMapRef": {"name": "settings"}}])
    cp.held = {("ConfigMap", "settings"): {"data": {POOL: cp.environment[POOL]}}}
    assert gather(tmp_path)["workload"]["behind"] == []
    cp.held = {("ConfigMap", "settings"): {"data": {POOL: "/new.crt"}}}
    assert gather(tmp_path)["workload"]["behind"] == ["a", "b"] and objects_of()["behind"] == []
    cp.errors = {"exec a": HostError("a: may not exec")}
    assert gather(tmp_path, tolerate=True)["workload"]["behind"] == ["b"], "of a nobody knows"


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


def test_only_what_the_variables_come_from_is_asked_for(cp: ClusterDouble, tmp_path: pathlib.Path) -> None:
    cp.box(
        envFrom=[{"configMapRef": {"name": "settings"}}],
        env=[{"name": "LOG", "valueFrom": {"secretKeyRef": {"name": "x"}}}],
    )
    gather(tmp_path)
    assert {pair for pairs in cp.asked for pair in pairs} == {("ConfigMap", "settings")}
    cp.asked.clear()
    cp.box(envFrom=[{"secretRef": {"name": "all"}}], env=[{"name": POOL, "value": ""}])
    objects_of(auto_ca_gen_variable=POOL)
    assert cp.asked == [(), (("Secret", "all"),)], "another source of the switch is told, of the pool it does not count"


def test_without_a_look_into_the_pods_nothing_is_run_in_them(cp: ClusterDouble) -> None:
    assert objects_of()["pods"] == ["a", "b"]
    cp.listed = []
    assert objects_of()["pods"] == [] and cp.hosts == {}


def test_a_directory_that_the_pods_share(cp: ClusterDouble) -> None:
    mounts, claim = [{"name": "certs", "mountPath": "/certs"}], {"persistentVolumeClaim": {"claimName": "certs"}}
    cp.box({"volumes": [{"name": "certs", **claim}]}, volumeMounts=mounts)
    assert objects_of(certs_dir="/certs")["shared"] is True
    assert objects_of(certs_dir="/other")["shared"] is False and objects_of()["shared"] is False


# --- a rollout -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds pass only where somebody sleeps."""
    now = [0.0]
    monkeypatch.setattr(pods.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(pods.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


DONE = {"observedGeneration": 7, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


def test_the_end_of_a_rollout_is_waited_for(
    cp: ClusterDouble, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cp.workload

    def workload_after_a_while() -> t.Any:
        if clock[0] == 2:
            raise Unreachable("https://api: no route")
        return {**real(), "status": DONE if clock[0] >= 5 else {}}

    monkeypatch.setattr(cp, "workload", workload_after_a_while)
    told = objects_of(wait=60)
    assert (told["rolled_out"], told["rollout"], told["advice"], clock[0]) == (True, "", "", 5)
    clock[0] = 0
    told = objects_of(wait=3)
    assert (told["rolled_out"], told["rollout_failed"], clock[0]) == (False, False, 3)
    assert told["rollout"] == "its controller has not seen the change yet"
    assert told["advice"] == "Look at it: kubectl -n quazzar describe pods"
    clock[0] = 0
    objects_of()
    assert clock[0] == 0, "nobody has asked to wait"
    clock[0] = 2
    with pytest.raises(Unreachable):
        objects_of()


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_what_the_api_server_refuses_for_a_moment_does_not_end_the_wait(
    cp: ClusterDouble, clock: list[float], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Too many requests, a change of the leader, a restart behind a balancer: each is over in some seconds."""
    real, refused = cp.workload, kubernetes.Refused("https://api: for a moment", status)

    def workload_at_the_second_try() -> t.Any:
        if clock[0] == 0:
            raise refused
        return {**real(), "status": DONE}

    monkeypatch.setattr(cp, "workload", workload_at_the_second_try)
    told = objects_of(wait=60)
    assert (told["rolled_out"], clock[0]) == (True, 1)
    clock[0] = 0
    with pytest.raises(kubernetes.Refused, match="for a moment"):
        objects_of()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_api_server_refuses_for_good_ends_the_wait(cp: ClusterDouble, clock: list[float], status: int) -> None:
    cp.errors = {"pods": kubernetes.Refused("https://api: for good", status)}
    with pytest.raises(kubernetes.Refused, match="for good"):
        objects_of(wait=60)
    assert clock[0] == 0


def test_a_rollout_that_cannot_come_to_its_end_is_not_waited_for(cp: ClusterDouble, clock: list[float]) -> None:
    crashed = Pod("c", "10.1.0.9", False, False, "r2", why="CrashLoopBackOff (exit status 1)", restarts=2)
    cp.listed.append(crashed)
    cp.found["status"] = {**DONE, "replicas": 2}
    told = objects_of(wait=600)
    assert (told["rollout_failed"], told["rollout"], clock[0]) == (True, f"c: {crashed.why}", 0)
    assert told["advice"] == f"The log of c ended with: {GRACE} two of c", "while it waits, that log is still there"
    assert told["observed"] is True
    cp.listed[-1] = Pod("c", "10.1.0.9", True, False, "r2", restarts=2)
    assert objects_of()["advice"] == "The log of c ended with: no such file", "it has begun another log"
    cp.errors = {"log c": HostError("c: may not log")}
    assert objects_of()["advice"] == "The log of c ended with: c: may not log"
    cp.found["status"] = {"observedGeneration": 6}
    assert objects_of()["observed"] is False


def test_the_advice_on_a_crash_is_the_end_of_a_long_log(cp: ClusterDouble) -> None:
    cp.listed.append(Pod("c", "10.1.0.9", True, False, "r2", restarts=2))
    cp.found["status"] = {**DONE, "replicas": 2}
    cp.logged = "".join(f"line {number} of what it says before\n" for number in range(1000)) + "FATAL: "
    assert objects_of()["advice"] == "The log of c ended with: FATAL: no such file"
    assert "starting" not in cp.log("c", "cc", 4096, tail=20), "the double is one that can tell"


def test_the_pods_that_hold_a_stateful_set_up(cp: ClusterDouble) -> None:
    cp.found = {**cp.found, "kind": "StatefulSet", "status": {"updateRevision": "r2"}}
    assert objects_of()["stuck_pods"] == ["b"], "a is ready"


# --- what is in the way of a change ----------------------------------------------------------------------------------


def kept_by_argo(cp: ClusterDouble) -> None:
    note = {"argocd.argoproj.io/tracking-id": "x"}
    wrote = {"manager": "argocd-controller", "time": "2026-05-04T12:00:00Z", "fieldsV1": {"f:spec": {}}}
    cp.found["metadata"] = {**cp.found["metadata"], "annotations": note, "managedFields": [wrote]}


def test_who_would_put_a_change_back_is_a_refusal_where_one_is_meant(cp: ClusterDouble) -> None:
    kept_by_argo(cp)
    told = objects_of()
    assert (told["kept_by"], told["refusals"]) == ("Argo CD", [])
    assert told["written_by"] == "argocd-controller at 2026-05-04T12:00:00Z"
    assert cp.reviewed == [], "what is only read needs no right to change"
    (refusal,) = objects_of(preflight=True)["refusals"]
    assert refusal == (
        "Deployment quazzar/quazzar-cc is kept by Argo CD, which would put a change back. Nothing was changed. Let"
        " Argo CD make the change (quazzar_cp_platform: declared), or suspend it and set"
        " quazzar_k8s_keeper_accepted: true."
    )
    assert objects_of(preflight=True, keeper_accepted=True)["refusals"] == []


def test_rights_that_are_missing_are_refusals(cp: ClusterDouble) -> None:
    cp.lacking = ["https://api: this account may not patch deployments"]
    assert objects_of(preflight=True, legacy_dir="/legacy")["refusals"] == cp.lacking
    assert ("patch", "apps/deployments", "quazzar-cc") in cp.reviewed
    assert ("create", "configmaps", "") in cp.reviewed
    cp.errors = {"rights": HostError("may not ask")}
    assert objects_of(preflight=True, tolerate=True)["error"] == "may not ask"


def test_a_variable_that_stands_elsewhere(cp: ClusterDouble) -> None:
    cp.box(envFrom=[{"secretRef": {"name": "settings"}}])
    cp.held = {("Secret", "settings"): {"data": {POOL: "/a.crt"}}}
    (refusal,) = objects_of()["refusals"]
    assert "quazzar_k8s_env_source: follow" in refusal
    assert objects_of(env_source="follow", preflight=True)["refusals"] == []
    assert ("patch", "secrets", "settings") in cp.reviewed
    cp.held["Secret", "settings"]["immutable"] = True
    (refusal,) = objects_of(env_source="follow")["refusals"]
    assert "which is immutable" in refusal


def test_where_legacy_cas_are_placed(cp: ClusterDouble) -> None:
    ours = {"kind": "Secret", "name": "quazzar-legacy-cas", "path": "/legacy", "mounted": False}
    assert objects_of(legacy_kind="Secret", legacy_dir="/legacy")["legacy"] == ours
    assert objects_of(legacy_kind="volume", legacy_dir="/legacy")["legacy"] is None
    assert objects_of(legacy_dir=None)["legacy"] is None
    mounts = [{"name": "cas", "mountPath": "/legacy"}]
    cp.box({"volumes": [{"name": "cas", "configMap": {"name": "theirs"}}]}, volumeMounts=mounts)
    theirs = {"kind": "ConfigMap", "name": "theirs", "path": "/legacy", "mounted": True}
    assert objects_of(legacy_kind="Secret", legacy_dir="/legacy")["legacy"] == theirs
    cp.box({"volumes": [{"name": "cas", "emptyDir": {}}]}, volumeMounts=mounts)
    told = objects_of(legacy_dir="/legacy")
    assert told["legacy"] is None and "found the volume cas of another kind" in told["refusals"][0]
    assert objects_of(legacy_kind="volume", legacy_dir="/legacy")["refusals"] == []


def test_an_immutable_object_is_refused_before_a_change(cp: ClusterDouble) -> None:
    cp.held = {("ConfigMap", "quazzar-legacy-cas"): {"immutable": True, "data": {}}}
    assert objects_of(legacy_dir="/legacy")["refusals"] == [], "nothing is to be placed"
    (refusal,) = objects_of(legacy_dir="/legacy", preflight=True)["refusals"]
    assert "the ConfigMap quazzar-legacy-cas, in which legacy CAs are placed, is immutable" in refusal
    assert objects_of(legacy_dir="/legacy", preflight=True, legacy_kind="volume")["refusals"] == []
    # Without the right to read it that is what is told.
    cp.lacking = ["https://api: this account may not get configmaps"]
    assert objects_of(legacy_dir="/legacy", preflight=True)["refusals"] == cp.lacking


def test_a_claim_that_one_node_may_mount(cp: ClusterDouble) -> None:
    cp.claimed = {"certs": {"spec": {"accessModes": ["ReadWriteOnce"]}}}
    (stall,) = objects_of()["stalls"]
    assert "quazzar_k8s_one_node" in stall and objects_of(one_node=True)["stalls"] == []


# --- for those who only want a part ----------------------------------------------------------------------------------


def test_the_log_of_each_live_pod(cp: ClusterDouble) -> None:
    cp.listed.append(Pod("c", "", False, False, why="its end was asked for", leaving=True))
    # an action without options of its own for what it does not need
    plain = {name: spec.get("default") for name, spec in kubernetes.ARGUMENT_SPEC.items()}
    found = pods.read_logs(plain, 4096)
    assert list(found) == ["a", "b"] and "two of b" in found["b"]
    # what happens now is at the end, and how it has begun is for others
    cp.logged = "nothing to see here\n" * (logs.LIMIT // 20 + 1) + "tls: client didn't provide a certificate\n"
    counted = pods.read_logs(plain, logs.LIMIT)["a"]
    assert counted.endswith("a certificate\n") and "starting" not in counted
    each = {**plain, **{name: spec["default"] for name, spec in handshake_logs.COUNT_SPEC.items()}}
    assert handshake_logs.counted(counted, each)["counts"]["no_certificate"] == 1
    cp.errors = {"log b": HostError("b: may not log")}
    with pytest.raises(HostError, match="b: may not log"):
        pods.read_logs(plain, 4096)


def test_which_certificates_have_not_been_placed(cp: ClusterDouble) -> None:
    look = pods.Look(options(legacy_dir="/legacy"))
    assert look.missing_files([]) == [] and cp.asked == []
    assert look.missing_files(["a.crt", "b.crt"]) == ["a.crt", "b.crt"]
    cp.held = {("ConfigMap", "quazzar-legacy-cas"): {"data": {"b.crt": "PEM"}}}
    assert look.missing_files(["a.crt", "b.crt"]) == ["a.crt"]
    cp.held = {("ConfigMap", "quazzar-legacy-cas"): {}}
    assert look.missing_files(["b.crt"]) == ["b.crt"]
    assert pods.Look(options(legacy_kind="volume", legacy_dir="/legacy")).missing_files(["a.crt"]) == []


def test_a_change_is_made_where_the_options_say(cp: ClusterDouble) -> None:
    look = pods.Look(options(legacy_dir="/legacy", legacy_name="ours"))
    with pytest.raises(InputError, match=r"would hide /legacy/a\.crt, of which it has no key"):
        look.change(["/legacy/a.crt"], [], [], unmount=False)
    made = look.change(["/legacy/a.crt"], [], ["a.crt"], unmount=False)
    cp.held = {("ConfigMap", "ours"): {"data": {"a.crt": "PEM"}}}
    assert look.change(["/legacy/a.crt"], [], [], unmount=False) == made
    (patch,) = made.patches
    spec = patch.body["spec"]["template"]["spec"]
    assert (made.before, made.value) == ("", "/legacy/a.crt")
    assert spec["volumes"][0]["configMap"] == {"name": "ours"}
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/legacy"
    assert workload.containers(cp.found)[0].keys() == {"name"}, "nothing is changed here"
