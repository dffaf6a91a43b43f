# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.action.k8s_handshake_log_info import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import logs, pods
from ansible_collections.quazzar.ca_rotation.plugins.modules import k8s_handshake_log_info
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

ARGS = {"namespace": "quazzar", "workload": "quazzar-cc"}
BOOT = "starting Quazzar Control Center\nloaded additional trusted CA (rotation grace) path=/a.crt\n"
DRIFT = "http: TLS handshake error from 192.0.2.7:5000: tls: client didn't provide a certificate\n"
LOGS = {"a": BOOT + DRIFT, "b": BOOT, "c": ""}


def reads(monkeypatch: pytest.MonkeyPatch, answer: dict[str, str] | Exception) -> list[t.Any]:
    asked: list[t.Any] = []

    def read_logs(options: t.Mapping[str, t.Any], limit: int) -> dict[str, str]:
        asked.append((options["workload"], options["kind"], options["container"], limit))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(pods, "read_logs", read_logs)
    return asked


def test_each_pod_and_all_of_them_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = reads(monkeypatch, LOGS)
    found = act(ActionModule, ARGS)
    assert asked == [("quazzar-cc", "Deployment", "", logs.LIMIT)]
    assert [(name, each["lines"]) for name, each in found["pods"].items()] == [("a", 3), ("b", 2), ("c", 0)]
    assert (found["lines"], found["counts"]["grace_boot"], found["counts"]["no_certificate"]) == (5, 2, 1)
    assert found["pods"]["a"]["boot"] == {"loaded_count": 1, "since_boot": True}
    assert found["pods"]["b"]["counts"]["no_certificate"] == 0
    assert (found["error"], found["changed"]) == ("", False)
    documented = set(yaml.safe_load(k8s_handshake_log_info.RETURN))
    assert set(found) == documented | {"changed"}
    assert set(found["pods"]["a"]) == documented - {"pods"}


@pytest.mark.parametrize(
    ("answer", "key", "words"),
    [
        ({}, "failed", "cp1: no live pod, so there is no log"),
        (HostError("https://api: this account may not get pods/log"), "failed", "may not get pods/log"),
        (Unreachable("https://api: no route"), "unreachable", "no route"),
    ],
)
def test_a_missing_log_is_null_not_zero(monkeypatch: pytest.MonkeyPatch, answer: t.Any, key: str, words: str) -> None:
    reads(monkeypatch, answer)
    result = act(ActionModule, ARGS)
    assert result[key] is True and words in result["msg"] and "counts" not in result
    found = act(ActionModule, {**ARGS, "tolerate": True})
    assert not found.get("failed") and not found.get("unreachable")
    assert (found["counts"], found["symptom_count"], found["pods"]) == (None, None, {})
    assert words in found["error"] and found["error"] in found["summary"]
    assert set(found) == set(yaml.safe_load(k8s_handshake_log_info.RETURN)) | {"changed"}


@pytest.mark.parametrize("more", [{"patterns": {"drift": "("}}, {"boot_pattern": "("}])
def test_wrong_options_are_named_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, t.Any]
) -> None:
    asked = reads(monkeypatch, LOGS)
    result = act(ActionModule, {**ARGS, **more})
    assert result["failed"] is True and asked == []
