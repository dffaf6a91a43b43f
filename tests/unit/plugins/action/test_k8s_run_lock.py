# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action where there is no API server. With one: tests/kubernetes/test_run_lease.py."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action import k8s_run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import kubernetes
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

EMPTY = {"changed": False, "path": "quazzar/cc-ca-rotation", "until": "", "holders": [], "taken_over": [], "wave": {}}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*kubernetes._ENVIRONMENT.values(), "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def lock(**options: Any) -> dict[str, Any]:
    return act(k8s_run_lock.ActionModule, {"namespace": "quazzar", "workload": "cc", "run_id": "me", **options})


def both(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Without and with O(tolerate)."""
    failed, told = lock(**options), lock(tolerate=True, **options)
    assert told == {**EMPTY, "reachable": told["reachable"], "error": failed["msg"]}
    return failed, told


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "kubernetes", None)
    monkeypatch.setattr(kubernetes, "MISSING", "No module named 'kubernetes'")
    failed, told = both()
    assert failed["failed"] and told["reachable"]
    assert failed["msg"] == (
        "the platform kubernetes needs the Python package kubernetes on the controller (No module named 'kubernetes'):"
        " pip install kubernetes"
    )


def test_no_kubeconfig(tmp_path: Any) -> None:
    failed, _told = both(kubeconfig=str(tmp_path / "none"))
    assert failed["failed"]
    assert failed["msg"].startswith(f"{tmp_path}/none: expected a kubeconfig that leads to the Kubernetes API, found: ")
    assert "Set quazzar_k8s_kubeconfig and quazzar_k8s_context" in failed["msg"]


@pytest.mark.parametrize("state", ["present", "renewed", "absent"])
def test_an_api_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"https://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("K8S_AUTH_HOST", address)
    monkeypatch.setenv("K8S_AUTH_API_KEY", "geheim")
    failed, told = both(state=state)
    assert failed["unreachable"] and not told["reachable"]
    assert failed["msg"].startswith(f"{address}: ") and "refused" in failed["msg"] and "geheim" not in failed["msg"]


def test_a_run_id_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_HOST", "https://127.0.0.1:1")
    monkeypatch.setenv("K8S_AUTH_API_KEY", "geheim")
    failed, _told = both(run_id="a/b")
    assert failed["failed"] and failed["msg"].startswith("run_id is 'a/b', expected up to 64 letters")
