# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action.k8s_cp_info import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import pods, replica
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

ARGS = {"namespace": "quazzar", "workload": "quazzar-cc"}


def fails_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def gather(name: str, options: t.Mapping[str, t.Any]) -> t.NoReturn:
        raise error

    monkeypatch.setattr(pods, "gather", gather)


def test_what_was_read_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[t.Any] = []
    monkeypatch.setattr(
        pods, "gather", lambda name, options: (seen.append((name, options)), {"workload": {}, "replicas": []})[1]
    )
    assert act(ActionModule, ARGS, host="cp") == {"changed": False, "workload": {}, "replicas": []}
    ((name, options),) = seen
    assert name == "cp" and options["kind"] == "Deployment" and options["port"] == 8443
    assert options["container"] == "" and options["tolerate"] is False


@pytest.mark.parametrize(
    ("error", "key", "reachable"),
    [
        (Unreachable("https://api: no route"), "unreachable", False),
        (HostError("https://api: this account may not list pods"), "failed", True),
        (InputError("expected one container, found a, b"), "failed", True),
    ],
)
def test_a_failure_or_the_same_as_data(
    monkeypatch: pytest.MonkeyPatch, error: Exception, key: str, reachable: bool
) -> None:
    fails_with(monkeypatch, error)
    result = act(ActionModule, ARGS, host="cp")
    assert result[key] is True and result["msg"] == str(error) and "replicas" not in result
    result = act(ActionModule, {**ARGS, "tolerate": True}, host="cp")
    assert result["changed"] is False and not result.get("failed") and not result.get("unreachable")
    assert result["workload"] is None
    (only,) = result["replicas"]
    assert (only["name"], only["address"], only["reachable"]) == ("unknown", "", reachable)
    told = (
        only["error"],
        only["listener_error"],
        only["active_ca_error"],
        only["pool"]["error"],
        only["boot"]["error"],
    )
    assert set(told) == {str(error)}
    assert set(only) == set(replica._nothing("x", ""))


@pytest.mark.parametrize("lost", ["namespace", "workload"])
def test_what_it_must_be_told(lost: str) -> None:
    with pytest.raises(Exception, match=lost):
        act(ActionModule, {name: value for name, value in ARGS.items() if name != lost})
