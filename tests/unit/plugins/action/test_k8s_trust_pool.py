# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.action.k8s_trust_pool import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes
from ansible_collections.quazzar.ca_rotation.plugins.modules import k8s_trust_pool
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

POOL = "CC_TRUST_ADDITIONAL_CA_CERTS"
LEGACY = "/var/lib/quazzar-cc/legacy"
ARGS = {"namespace": "quazzar", "workload": "quazzar-cc"}


class ClusterDouble:
    """As the API server would have it. There is nothing to write with."""

    namespace = "quazzar"

    def __init__(self, **box: t.Any) -> None:
        template = {"spec": {"containers": [{"name": "cc", **box}]}}
        about = {"name": "quazzar-cc", "namespace": "quazzar"}
        self.found = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": {"template": template}}
        self.held: dict[tuple[str, str], t.Any] = {}

    def workload(self) -> t.Any:
        return self.found

    def objects(self, wanted: t.Any) -> t.Any:
        return {pair: self.held[pair] for pair in wanted if pair in self.held}


@pytest.fixture
def cp(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., ClusterDouble]:
    def started(**box: t.Any) -> ClusterDouble:
        double = ClusterDouble(**box)
        monkeypatch.setattr(kubernetes, "Cluster", lambda options: double)
        return double

    return started


def asked(**more: t.Any) -> dict[str, t.Any]:
    result = act(ActionModule, {**ARGS, **more})
    assert not result.get("failed"), result
    return result


def test_the_patches_are_handed_out(cp: t.Callable[..., ClusterDouble]) -> None:
    cp(env=[{"name": POOL, "value": "/etc/theirs.pem"}])
    found = asked(legacy_dir=LEGACY, add=[f"{LEGACY}/a.crt"], files=["a.crt"])
    assert found["changed"] is True and found["title"] == "Deployment quazzar/quazzar-cc"
    assert found["previous_entries"] == ["/etc/theirs.pem"]
    assert found["entries"] == ["/etc/theirs.pem", f"{LEGACY}/a.crt"] == found["value"].split(",")
    assert found["missing"] == ["a.crt"]
    (patch,) = found["patches"]
    assert (patch["kind"], patch["name"], patch["secret"]) == ("Deployment", "quazzar-cc", False)
    assert patch["definition"]["metadata"] == {"name": "quazzar-cc", "namespace": "quazzar"}
    assert patch["definition"]["apiVersion"] == "apps/v1"
    assert list(found["forms"]["strategic_merge"].values()) == [patch["definition"]]
    documented = yaml.safe_load(k8s_trust_pool.RETURN)
    assert set(found) == set(documented) | {"changed"}
    assert set(patch) == set(documented["patches"]["contains"])
    assert set(found["forms"]) == set(documented["forms"]["contains"])


def test_nothing_to_do_is_no_change(cp: t.Callable[..., ClusterDouble]) -> None:
    cp(env=[{"name": POOL, "value": "/a.crt"}])
    found = asked(add=["/a.crt"], remove=["/gone.crt"])
    assert (found["changed"], found["patches"], found["value"]) == (False, [], "/a.crt")
    assert found["forms"]["strategic_merge"] == {} and found["forms"]["helm"] == {}


def test_the_pods_are_made_anew_where_nothing_else_does_that(cp: t.Callable[..., ClusterDouble]) -> None:
    cp(env=[{"name": POOL, "value": "/a.crt"}])
    found = asked(restart=True)
    (patch,) = found["patches"]
    assert found["changed"] is True and found["value"] == "/a.crt"
    (note,) = patch["definition"]["spec"]["template"]["metadata"]["annotations"].items()
    assert note[0] == "kubectl.kubernetes.io/restartedAt" and note[1].endswith("Z")
    (patch,) = asked(restart=True, remove=["/a.crt"])["patches"]
    assert "restartedAt" not in str(patch)


def test_a_restart_is_no_change_of_where_the_variable_comes_from(cp: t.Callable[..., ClusterDouble]) -> None:
    cp(envFrom=[{"secretRef": {"name": "s"}}]).held = {("Secret", "s"): {"data": {POOL: "/a.crt"}}}
    (patch,) = asked(restart=True)["patches"]
    assert (patch["kind"], patch["secret"]) == ("Deployment", False)


def test_what_must_not_be_set_says_why(cp: t.Callable[..., ClusterDouble]) -> None:
    double = cp(envFrom=[{"secretRef": {"name": "s"}}])
    double.held = {("Secret", "s"): {"data": {POOL: "/a.crt", "OTHER": "hunter22"}}}
    result = act(ActionModule, {**ARGS, "add": ["/b.crt"]})
    assert result["failed"] is True and "quazzar_k8s_env_source: follow" in result["msg"]
    found = asked(add=["/b.crt"], env_source="follow")
    assert [(each["kind"], each["secret"]) for each in found["patches"]] == [("Secret", True), ("Deployment", False)]
    assert found["patches"][0]["definition"]["stringData"] == {POOL: "/a.crt,/b.crt"}
    assert "hunter22" not in str(found)


def test_another_variable_and_another_place(cp: t.Callable[..., ClusterDouble]) -> None:
    cp()
    (patch,) = asked(variable="X", add=["/l/a"], files=["a"], legacy_dir="/l", legacy_kind="Secret", legacy_name="n")[
        "patches"
    ]
    spec = patch["definition"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["env"] == [{"name": "X", "value": "/l/a"}]
    assert spec["volumes"][0]["secret"] == {"secretName": "n"}
    (patch,) = asked(add=["/l/a"], legacy_dir="/l", legacy_kind="volume")["patches"]
    assert "volumes" not in patch["definition"]["spec"]["template"]["spec"]
    (patch,) = asked(add=["/l/a"])["patches"]
    assert "volumes" not in patch["definition"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_the_difference_is_shown_when_it_is_wanted(cp: t.Callable[..., ClusterDouble], check_mode: bool) -> None:
    cp()
    found = act(ActionModule, {**ARGS, "add": ["/a.crt"]}, diff=True, check_mode=check_mode)
    header = f"Deployment quazzar/quazzar-cc, {POOL}"
    assert found["diff"] == {
        "before_header": header, "after_header": header, "before": "\n", "after": "/a.crt\n",
    }  # fmt: skip
    assert "diff" not in act(ActionModule, {**ARGS, "restart": True}, diff=True)


def test_an_api_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(options: t.Any) -> t.NoReturn:
        raise Unreachable("https://api: no route")

    monkeypatch.setattr(kubernetes, "Cluster", lost)
    result = act(ActionModule, {**ARGS, "restart": True})
    assert result["unreachable"] is True and result["msg"] == "https://api: no route"


def test_nothing_is_mounted_over_a_file_that_is_no_key(cp: t.Callable[..., ClusterDouble]) -> None:
    double = cp(env=[{"name": POOL, "value": f"{LEGACY}/old.crt"}])
    result = act(ActionModule, {**ARGS, "legacy_dir": LEGACY, "add": [f"{LEGACY}/a.crt"], "files": ["a.crt"]})
    assert result["failed"] is True and f"would hide {LEGACY}/old.crt, of which it has no key" in result["msg"]
    double.held = {("ConfigMap", "quazzar-legacy-cas"): {"data": {"old.crt": "x", "a.crt": "x"}}}
    assert asked(legacy_dir=LEGACY, add=[f"{LEGACY}/a.crt"])["mounts"] is True
    # Whoever puts something back names no directory, so that nothing is mounted by it.
    double.held = {}
    assert asked(add=[f"{LEGACY}/a.crt"])["mounts"] is False
