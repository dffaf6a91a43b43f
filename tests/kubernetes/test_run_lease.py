# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a run in a Lease of a real API server. It needs no pods: a namespace of its own, and nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from ansible_collections.quazzar.ca_rotation.plugins.action import k8s_run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import lease
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import action, controller, kubernetes, lease_lock
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

pytestmark = pytest.mark.kubernetes

ROOT = Path(__file__).resolve().parents[2]
NAME = "quazzar-cc-ca-rotation"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
TAKERS = 8
MANY = 24
HOUR = datetime.timedelta(hours=1)


class Place:
    """A namespace, and the lock in it."""

    def __init__(self) -> None:
        self.kubeconfig = os.environ["KUBECONFIG"]
        config.load_kube_config(self.kubeconfig)
        self.core, self.api = client.CoreV1Api(), client.CoordinationV1Api()
        self.server = self.api.api_client.configuration.host
        self.namespace = f"quazzar-lease-{secrets.token_hex(4)}"
        self.path = f"{self.namespace}/{NAME}"
        self.where = f"{self.server}: Lease {self.path}"
        self.account: dict[str, str] | None = {"kubeconfig": self.kubeconfig}

    def options(self, run_id: str, **more: Any) -> dict[str, Any]:
        where = {"namespace": self.namespace, "workload": "quazzar-cc", **(self.account or {})}
        return {**where, "run_id": run_id, "who": f"{run_id} of a test", **more}

    def lock(self, run_id: str = "me", *, check: bool = False, diff: bool = False, **more: Any) -> dict[str, Any]:
        """The result of a task."""
        return act(k8s_run_lock.ActionModule, self.options(run_id, **more), check_mode=check, diff=diff)

    def lease(self) -> Any:
        found = self.api.list_namespaced_lease(self.namespace, field_selector=f"metadata.name={NAME}").items
        return self.api.api_client.sanitize_for_serialization(found[0]) if found else None

    def version(self) -> str:
        found = self.lease()
        return found["metadata"]["resourceVersion"] if found else ""

    def holders(self) -> list[tuple[str, str]]:
        found = self.lease()
        return sorted((each.kind, each.run_id) for each in lease.holders(found, self.where))

    def put(self, annotations: dict[str, str] | None = None, **spec: Any) -> None:
        about = {"name": NAME, "labels": {"kept": "yes"}, "annotations": annotations}
        self.api.create_namespaced_lease(self.namespace, {"metadata": about, "spec": spec})

    def forget(self) -> None:
        if self.lease():
            self.api.delete_namespaced_lease(NAME, self.namespace)

    def takes(self, run_id: str, kind: str = "exclusive", *, renew: bool = False, free: bool = False) -> str:
        """The refusal, empty when it was taken. For threads: a connection of its own, and nothing of Ansible."""
        options = self.options(run_id, lock_kind=kind, kind="Deployment", expires_in=60)
        mine = lease_lock.LeaseLock(kubernetes.Cluster(options), options)
        if free:
            mine.release()
            return ""
        return mine.refusal(mine.take(renew=renew), renew=renew)

    def race(self, *calls: Callable[[], str]) -> list[str]:
        with ThreadPoolExecutor(len(calls)) as pool:
            return [done.result() for done in [pool.submit(call) for call in calls]]


@pytest.fixture(scope="module")
def namespace() -> Iterator[Place]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: it names no Kubernetes cluster to test on")
    place = Place()
    place.core.create_namespace({"metadata": {"name": place.namespace}})
    yield place
    place.core.delete_namespace(place.namespace)


@pytest.fixture
def place(namespace: Place) -> Iterator[Place]:
    yield namespace
    namespace.forget()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime.timedelta], None]:
    """Set the clock of this controller."""
    real = action.utc_now

    def to(moved: datetime.timedelta) -> None:
        monkeypatch.setattr(action, "utc_now", lambda: real() + moved)

    return to


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("changed", "path", "holders", "taken_over", "error", "diff")}


def test_twelve_steps(place: Place) -> None:
    """Create, change, delete; each in check mode and for real, each twice; and delete what is absent."""
    for _turn, check in itertools.product(range(2), (True, False)):
        assert not place.lock(state="absent", check=check)["changed"]
    for step, before, after in (
        ({}, "", "exclusive me\n"),
        ({"lock_kind": "shared"}, "exclusive me\n", "shared me\n"),
        ({"state": "renewed"}, "shared me\n", "exclusive me\n"),
        ({"state": "absent"}, "exclusive me\n", ""),
    ):
        untouched = place.version()
        for _turn in range(2):
            predicted = place.lock(check=True, diff=True, **step)
            assert predicted["changed"] and predicted["path"] == place.path
            assert (predicted["diff"]["before"], predicted["diff"]["after"]) == (before, after)
            assert place.version() == untouched
        done = place.lock(diff=True, **step)
        assert comparable(done) == comparable(predicted) and place.version() != untouched
        assert bool(re.fullmatch(TIME, done["until"])) is (step.get("state") != "absent")
        for _turn, check in itertools.product(range(2), (True, False)):
            again = place.lock(check=check, diff=True, **step)
            assert not again["changed"] and "diff" not in again
    assert place.holders() == []


def test_what_a_person_reads(place: Place) -> None:
    place.lock("one", lock_kind="shared", expires_in=100)
    place.lock("two", lock_kind="shared", expires_in=900)
    found = place.lease()
    spec = found["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("one,two", 1)
    assert spec["leaseDurationSeconds"] == 900 and spec["renewTime"].startswith("20")
    said = json.loads(found["metadata"]["annotations"]["quazzar.ca-rotation/holders"])
    assert [(each["kind"], each["run_id"], each["who"]) for each in said] == [
        ("shared", "one", "one of a test"),
        ("shared", "two", "two of a test"),
    ]
    assert all(re.fullmatch(TIME, each[key]) for each in said for key in ("since", "until"))
    assert all(set(each) == {"kind", "run_id", "who", "since", "until", "process"} for each in said)
    for run_id in ("one", "two"):
        place.lock(run_id, state="absent")
    assert place.lease()["spec"]["holderIdentity"] == "" and place.holders() == []


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("tolerate", [True, False])
def test_the_second_is_refused_and_told_of_the_first(place: Place, check: bool, tolerate: bool) -> None:
    place.lock("first")
    untouched = place.version()
    found = place.lock("second", check=check, tolerate=tolerate)
    assert found.get("failed", False) is not tolerate
    assert not found["changed"] and found["until"] == "" and found["taken_over"] == []
    (holder,) = found["holders"]
    assert (holder["run_id"], holder["kind"], holder["who"]) == ("first", "exclusive", "first of a test")
    assert (found["error"] if tolerate else found["msg"]) == (
        f"{place.where}: another run holds the lock: first of a test (run first, exclusive, since {holder['since']},"
        f" until {holder['until']}). Let it finish and run again; if it is dead, its lock expires by itself at"
        f" {holder['until']} (the clock of this controller), or remove it there at once: kubectl annotate lease {NAME}"
        f" --namespace {place.namespace} --overwrite --resource-version={untouched} 'quazzar.ca-rotation/holders=[]'"
    )
    assert not place.lock("second", state="absent", check=check)["changed"]
    assert place.version() == untouched


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
def test_the_command_of_a_refusal_removes_what_was_read_and_nothing_newer(place: Place) -> None:
    def command() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "KUBECONFIG": place.kubeconfig}
    place.lock("mine", lock_kind="shared")
    place.lock("dead", lock_kind="shared")
    words = shlex.split(place.lock("mine", state="renewed")["msg"].rpartition(" at once: ")[2])
    place.lock("dead", lock_kind="shared", state="renewed", expires_in=3000)
    refused = command()
    assert refused.returncode == 1 and "the object has been modified" in refused.stderr
    assert place.holders() == [("shared", "dead"), ("shared", "mine")]
    words = shlex.split(place.lock("mine", state="renewed")["msg"].rpartition(" at once: ")[2])
    removed = command()
    assert removed.returncode == 0, removed.stderr
    assert place.holders() == [("shared", "mine")]
    lost = place.lock("dead", lock_kind="shared", state="renewed")["msg"]
    assert lost == (
        f"{place.where}: run dead holds the lock no more: it expired and was taken over, or somebody removed it. What"
        " was done so far stays; run the same playbook again when no other run is at work"
    )
    assert not place.lock("mine", state="renewed").get("failed")


def test_a_renewal_moves_the_end_and_keeps_the_rest(place: Place, later: Callable[..., None]) -> None:
    place.lock("first", expires_in=60)
    (before,) = lease.holders(place.lease(), place.where)
    later(datetime.timedelta(seconds=50))
    assert not place.lock("first", state="renewed", expires_in=60, who="another")["changed"]
    (after,) = lease.holders(place.lease(), place.where)
    assert 50 <= after.until - before.until <= 55
    assert dataclasses.replace(after, until=before.until, name=before.name) == before
    later(datetime.timedelta(seconds=100))
    assert place.lock("second").get("failed")


def test_it_expires_and_is_taken_over_and_the_first_is_told(place: Place, later: Callable[..., None]) -> None:
    place.lock("first", expires_in=3590)
    later(datetime.timedelta(seconds=3580))
    assert place.lock("second").get("failed")
    later(HOUR)
    predicted = place.lock("second", check=True, diff=True)
    found = place.lock("second", diff=True)
    assert comparable(found) == comparable(predicted) and found["changed"]
    (said,) = found["taken_over"]
    assert re.fullmatch(
        rf"the lock of first of a test \(run first, exclusive, since {TIME}, until {TIME}\) had expired", said
    )
    assert (found["diff"]["before"], found["diff"]["after"]) == ("exclusive first\n", "exclusive second\n")
    assert place.holders() == [("exclusive", "second")]
    lost = place.lock("first", state="renewed")
    assert lost["failed"] and " It is held by second of a test (run second, exclusive, " in lost["msg"]
    assert "another run holds the lock: second of a test" in place.lock("first")["msg"]


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")
def test_a_dead_run_of_this_controller_is_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["sleep", "600"])
    mine, stat = controller.process(), controller._stat(process.pid)
    assert mine and stat
    monkeypatch.setattr(controller, "process", lambda: dataclasses.replace(mine, pid=process.pid, start=stat[1]))
    place.lock("first")
    assert place.lock("second").get("failed"), "it still lives"
    process.kill()
    process.wait()
    monkeypatch.undo()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(controller, "_machine", lambda: "another boot or container")
        assert place.lock("second").get("failed")
    predicted = place.lock("second", check=True)
    found = place.lock("second")
    assert found["changed"] and found["taken_over"] == predicted["taken_over"]
    assert found["taken_over"][0].endswith(f"was left by process {process.pid} of this controller, which has ended")
    assert place.holders() == [("exclusive", "second")]


def test_shared_locks_live_side_by_side_and_none_becomes_exclusive(place: Place) -> None:
    for run_id in ("one", "two", "three"):
        assert place.lock(run_id, lock_kind="shared")["changed"]
    untouched = place.version()
    refused = place.lock("alone", tolerate=True)
    assert sorted(holder["run_id"] for holder in refused["holders"]) == ["one", "three", "two"]
    assert all(f"{run_id} of a test (run {run_id}, shared" in refused["error"] for run_id in ("one", "two", "three"))
    upgrade = place.lock("one", state="renewed", tolerate=True)["error"]
    assert "another run holds the lock: two of a test (run two, shared" in upgrade and "run one" not in upgrade
    assert place.version() == untouched
    for run_id in ("two", "three"):
        assert place.lock(run_id, lock_kind="shared", state="absent")["changed"]
    assert place.lock("one", state="renewed")["changed"]
    assert place.holders() == [("exclusive", "one")]
    assert place.lock("two", lock_kind="shared").get("failed")


def test_a_lease_of_somebody_else_is_left_alone(place: Place) -> None:
    place.put({"a": "b"}, holderIdentity="some-operator_17")
    untouched = place.version()
    said = (
        f"{place.where}: expected a Lease for this lock alone, found one that 'some-operator_17' holds and that this"
        " collection has not written; nothing was changed there. See what that is; when nothing needs it, delete it:"
        f" kubectl delete lease {NAME} --namespace {place.namespace}"
    )
    for state, check in itertools.product(("present", "renewed", "absent"), (True, False)):
        failed = place.lock(state=state, check=check)
        assert failed["failed"] and failed["msg"] == said
        told = place.lock(state=state, check=check, tolerate=True)
        assert (told["error"], told["changed"], told["path"]) == (said, False, place.path)
    assert place.version() == untouched


def test_an_annotation_that_nobody_can_read_is_left_alone(place: Place) -> None:
    place.put({lease.ANNOTATION: "me, really"}, holderIdentity="me")
    untouched = place.version()
    assert place.lock()["msg"].startswith(
        f"{place.where}: its annotation quazzar.ca-rotation/holders is none that this collection has written: expected"
        " a list in JSON, found 'me, really'; nothing was changed there. When no run is at work, empty it: kubectl"
    )
    assert place.version() == untouched


def test_a_lease_that_was_made_for_it_keeps_what_it_has(place: Place) -> None:
    place.put({"note": "made with the workload"})
    assert place.lock()["changed"] and place.lock(state="absent")["changed"]
    about = place.lease()["metadata"]
    assert about["labels"] == {"kept": "yes"}
    assert about["annotations"] == {"note": "made with the workload", lease.ANNOTATION: "[]"}


def test_a_namespace_that_is_not_there(place: Place) -> None:
    found = place.lock(namespace="quazzar-none")
    assert found["failed"] and found["msg"] == (
        f"{place.server}: expected the namespace quazzar-none, found none of that name. Correct quazzar_k8s_namespace."
    )


# --- what the account may do -----------------------------------------------------------------------------------------


@pytest.fixture
def may(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Become an account with these verbs on leases; with none it is the test's own account again."""
    rbac = client.RbacAuthorizationV1Api()
    before, about = place.account, {"name": "rotation"}
    place.core.create_namespaced_service_account(place.namespace, {"metadata": about})
    binding = {
        "metadata": about,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "rotation"},
        "subjects": [{"kind": "ServiceAccount", "name": "rotation", "namespace": place.namespace}],
    }
    rbac.create_namespaced_role_binding(place.namespace, binding)
    asked = {"spec": {"expirationSeconds": 3600}}
    token = place.core.create_namespaced_service_account_token("rotation", place.namespace, asked).status.token
    rbac.create_namespaced_role(place.namespace, {"metadata": about, "rules": []})

    def become(*verbs: str) -> None:
        rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": [*verbs]}
        rbac.replace_namespaced_role("rotation", place.namespace, {"metadata": about, "rules": [rule] if verbs else []})
        monkeypatch.setenv("K8S_AUTH_HOST", place.server)
        monkeypatch.setenv("K8S_AUTH_API_KEY", token)
        monkeypatch.setenv("K8S_AUTH_SSL_CA_CERT", place.api.api_client.configuration.ssl_ca_cert)
        place.account = None

    yield become
    place.account = before
    rbac.delete_namespaced_role("rotation", place.namespace)
    rbac.delete_namespaced_role_binding("rotation", place.namespace)
    place.core.delete_namespaced_service_account("rotation", place.namespace)


def test_a_right_that_is_missing_is_named(place: Place, may: Callable[..., None]) -> None:
    def forbidden(verb: str) -> str:
        named = "" if verb == "create" else f', resourceNames: ["{NAME}"]'
        return (
            f"{place.server}: this account may not {verb} leases in the namespace {place.namespace}"
            f" (system:serviceaccount:{place.namespace}:rotation). Its Role needs the rule"
            ' {apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["' + verb + '"]' + named + "};"
            " docs/kubernetes.md has it whole"
        )

    may()
    for state in ("present", "renewed", "absent"):
        assert told(place, state) == forbidden("get")
    may("get")
    assert told(place, "present", check=True) == ""
    assert told(place, "present") == forbidden("create")
    may("get", "create")
    assert told(place, "present") == ""
    assert told(place, "renewed") == told(place, "absent") == forbidden("update")
    assert place.holders() == [("exclusive", "me")]
    may("get", "update")
    assert told(place, "renewed") == told(place, "absent") == told(place, "present") == ""


def told(place: Place, state: str, *, check: bool = False) -> str:
    return str(place.lock(state=state, tolerate=True, check=check)["error"])


# --- many at once ----------------------------------------------------------------------------------------------------


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Have somebody else act after the look, and before the write, once."""
    real, turns = lease_lock.LeaseLock._written, []

    def first(self: Any, found: Any, after: Any) -> bool:
        if not turns:
            turns.append(1)
            act()
        return real(self, found, after)

    monkeypatch.setattr(lease_lock.LeaseLock, "_written", first)


@pytest.mark.parametrize("there", [True, False])
def test_somebody_is_quicker(place: Place, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    if there:
        place.put()
    between(monkeypatch, lambda: place.takes("other"))
    assert "other of a test (run other, exclusive" in place.takes("me")
    assert place.holders() == [("exclusive", "other")]


def test_the_lease_is_deleted_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.takes("me", "shared")
    between(monkeypatch, place.forget)
    assert "run me holds the lock no more" in place.takes("me", "shared", renew=True)
    place.put()
    between(monkeypatch, place.forget)
    assert place.takes("me") == "" and place.holders() == [("exclusive", "me")]


def test_somebody_joins_while_a_shared_lock_is_made_exclusive(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.takes("me", "shared")
    between(monkeypatch, lambda: place.takes("other", "shared"))
    assert "other of a test (run other, shared" in place.takes("me", renew=True)
    assert place.holders() == [("shared", "me"), ("shared", "other")]


def test_nobody_joins_what_has_become_exclusive(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.takes("other", "shared")
    between(monkeypatch, lambda: place.takes("other", renew=True))
    assert "other of a test (run other, exclusive" in place.takes("me", "shared")
    assert place.holders() == [("exclusive", "other")]


def test_a_release_takes_what_is_its_own_whatever_happens_meanwhile(
    place: Place, monkeypatch: pytest.MonkeyPatch, later: Callable[..., None]
) -> None:
    place.takes("me", "shared")
    between(monkeypatch, lambda: place.takes("other", "shared"))
    place.takes("me", free=True)
    assert place.holders() == [("shared", "other")]
    untouched = place.version()
    later(HOUR)
    place.takes("nobody", free=True)
    assert place.version() == untouched


def test_of_many_that_take_it_at_once_one_gets_it_again_and_again(place: Place) -> None:
    runs = [f"r{number}" for number in range(TAKERS)]
    for _turn in range(4):
        said = dict(zip(runs, place.race(*(lambda run=run: place.takes(run) for run in runs)), strict=True))
        winners = [run for run, refusal in said.items() if not refusal]
        assert len(winners) == 1 and place.holders() == [("exclusive", winners[0])], said
        losers = [refusal for refusal in said.values() if refusal]
        assert all(f"another run holds the lock: {winners[0]} of a test" in refusal for refusal in losers)
        place.race(*(lambda run=run: place.takes(run, free=True) for run in runs))
        assert place.holders() == []


def test_an_expired_one_is_either_renewed_or_taken_over(place: Place, later: Callable[..., None]) -> None:
    place.takes("slow")
    later(HOUR)
    runs = [f"r{number}" for number in range(TAKERS)]
    takers = [lambda run=run: place.takes(run) for run in runs]
    said = place.race(lambda: place.takes("slow", renew=True), *takers)
    (winner,) = [run for run, refusal in zip(["slow", *runs], said, strict=True) if not refusal]
    assert place.holders() == [("exclusive", winner)]


def test_many_share_it_at_once(place: Place) -> None:
    runs = sorted(f"r{number}" for number in range(MANY))
    assert place.race(*(lambda run=run: place.takes(run, "shared") for run in runs)) == [""] * MANY
    assert place.holders() == [("shared", run) for run in runs]
    said = place.race(*(lambda run=run: place.takes(run, renew=True) for run in runs))
    assert all(said) and place.holders() == [("shared", run) for run in runs]
    place.race(*(lambda run=run: place.takes(run, free=True) for run in runs))
    assert place.holders() == []


# --- as the role asks for it -----------------------------------------------------------------------------------------

PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    quazzar_cp_hosts: [panel]
    quazzar_lock_expires_in: 600
    controlplane_lock_kind: exclusive
    controlplane_counts: {planned: 3, done: 1, bad: 0, rate: 6}
  tasks:
    - ansible.builtin.set_fact:
        __fleet_evidence_run: {id: run-17}
    - ansible.builtin.include_tasks: LOCK
      vars: {controlplane_lock_state: present}
    - ansible.builtin.include_tasks: LOCK
      vars: {controlplane_lock_state: renewed, controlplane_lock_kind: shared}
    - ansible.builtin.debug: {var: __controlplane_lock}
"""


def test_the_task_of_the_role(place: Place, ansible_environment: dict[str, str], tmp_path: Path) -> None:
    file = ROOT / "roles/controlplane/tasks/platforms/kubernetes/lock.yml"
    (tmp_path / "play.yml").write_text(PLAY.replace("LOCK", str(file)))
    known = {"quazzar_k8s_namespace": place.namespace, "quazzar_k8s_kubeconfig": place.kubeconfig}
    inventory = {
        "all": {
            "hosts": {"panel": {**known, "ansible_connection": "none"}},
            "vars": {"quazzar_k8s_namespace": "elsewhere", "quazzar_k8s_deployment": "quazzar-cc",
                     "quazzar_k8s_kind": "", "quazzar_k8s_kubeconfig": "", "quazzar_k8s_context": ""},
        }
    }  # fmt: skip
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    done = subprocess.run(
        ["ansible-playbook", "-i", "hosts.json", "play.yml"],
        env={**ansible_environment, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout and f'"path": "{place.path}"' in done.stdout
    assert place.holders() == [("shared", "run-17")], done.stdout
