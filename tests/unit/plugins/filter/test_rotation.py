# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.filter import rotation

FOLDER = pathlib.Path(rotation.__file__).parent


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"failed": True, "msg": "expected a file, found none"}, "expected a file, found none"),
        (
            {"failed": True, "rc": 1, "msg": "non-zero return code", "stderr": "no unit\n", "stdout": ""},
            "non-zero return code: no unit",
        ),
        ({"failed": True, "rc": 3, "stdout": "inactive\r\n"}, "inactive"),
        ({"failed": True}, "a task failed without saying why"),
        ({"failed": True, "msg": None}, "a task failed without saying why"),
        (
            {
                "failed": True,
                "msg": "One or more items failed",
                "results": [
                    {"msg": "fine"},
                    {"failed": True, "msg": "a"},
                    {"unreachable": True, "msg": "b"},
                    {"failed": True, "msg": "a"},
                ],
            },
            "a; b",
        ),
        ({"failed": True, "msg": "the loop itself", "results": []}, "the loop itself"),
    ],
)
def test_the_reason_of_a_failure(result: dict[str, t.Any], reason: str) -> None:
    assert rotation.failure_reason(result) == reason


def test_claims_of_the_pins_that_could_be_read() -> None:
    read = {"item": [{"key": "k"}, "n1"], "files": [{"path": "/ca.crt", "certificates": [{"pem": "A"}, {"pem": "B"}]}]}
    lost = {"item": [{"key": "k"}, "n2"], "reachable": False, "error": "no route"}
    empty = {"item": [{"key": "k"}, "n3"], "files": [{"path": "/ca.crt", "error": "no such file", "certificates": []}]}
    assert rotation.pin_claims([read, lost, empty]) == [
        {"source": "n1:/ca.crt", "content": "A"},
        {"source": "n1:/ca.crt", "content": "B"},
    ]


def test_what_a_replica_said_to_the_kept_identities() -> None:
    at, shaken = "2026-05-04T12:00:40Z", {"to_node": "refused", "to_node_detail": "TLS alert 42 (bad certificate)"}
    results = [{"item": ["n1", {"name": "cp1", "address": "cp:8443"}], "node": {"handshake": shaken, "taken_at": at}}]
    proof = {"node": "n1", "replica": "cp1", "after": "refused", "detail": "TLS alert 42 (bad certificate)", "at": at}
    assert rotation.negative_proof(results) == [{**proof, "accepted_before": False}]
    assert rotation.negative_proof(results, ["n1"]) == [{**proof, "accepted_before": True}]


def test_each_pod_that_a_node_tried_has_a_proof_of_its_own() -> None:
    refused, accepted = ({"to_node": said, "to_node_detail": ""} for said in ("refused", "accepted"))
    results = [
        {"item": ["n1", {"name": f"cp/{pod}", "address": "-"}], "node": {"handshake": shaken}}
        for pod, shaken in (("a", refused), ("b", accepted))
    ]
    told = rotation.negative_proof(results, ["n1"])
    assert [(each["replica"], each["after"]) for each in told] == [("cp/a", "refused"), ("cp/b", "accepted")]


def test_a_connection_that_ends_for_another_reason_is_no_proof() -> None:
    shaken = {"to_node": "refused", "to_node_detail": "the CP ended the connection (errno 104)"}
    results = [{"item": ["n1", {"name": "cp1", "address": "cp:8443"}], "node": {"handshake": shaken}}]
    assert [proof["after"] for proof in rotation.negative_proof(results)] == ["unknown"]
    assert [proof["after"] for proof in rotation.negative_proof(results, ["n2"])] == ["unknown"]
    assert [proof["after"] for proof in rotation.negative_proof(results, ["n1"])] == ["refused"]


PODS = {"replicas": [{"name": "a", "address": "10.1.0.7:8443"}, {"name": "b", "address": "10.1.0.8:8443"}]}


@pytest.mark.parametrize("result", [{"replica": {"name": "cp1"}}, {"replicas": []}, {"replicas": None}, {}])
def test_a_host_of_its_own_is_tried_where_it_is(result: dict[str, t.Any]) -> None:
    for by_pod in (True, False):
        assert rotation.doors(result, "cp1", "cp:8443", by_pod) == [{"name": "cp1", "address": "cp:8443"}]


def test_every_pod_of_a_workload_is_tried_by_its_own_address() -> None:
    assert rotation.doors(PODS, "cp", "balancer:8443") == [
        {"name": "cp/a", "address": "10.1.0.7:8443"},
        {"name": "cp/b", "address": "10.1.0.8:8443"},
    ]


def test_nodes_without_a_way_to_the_pods_try_the_balancer_several_times_for_each() -> None:
    tried = rotation.doors(PODS, "cp", "balancer:8443", by_pod=False)
    assert tried == [{"name": "cp/balancer", "address": "balancer:8443"}] * 6


@pytest.mark.parametrize("name", sorted(rotation.FilterModule().filters()))
def test_every_filter_is_documented_where_ansible_looks_for_it(name: str) -> None:
    found = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    assert found["DOCUMENTATION"]["name"] == name
    assert found["DOCUMENTATION"]["version_added"]
    assert f"quazzar.ca_rotation.{name}" in found["EXAMPLES"]
    assert found["RETURN"]["_value"]["description"]


def test_no_documentation_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.yml")} == set(rotation.FilterModule().filters())


HOSTS = {"cp1": {"ansible_host": "10.0.0.11"}, "cp2": {}}


@pytest.mark.parametrize(
    ("given", "hosts", "error"),
    [
        (HOSTS, HOSTS, ""),
        (json.dumps(HOSTS), HOSTS, ""),
        ({}, {}, ""),
        ("", {}, ""),
        (" \n", {}, ""),
        (None, {}, ""),
        ("{}", {}, ""),
        ("cp1: {ansible_host: hush}", {}, "text that is no JSON"),
        ("[" * 9000, {}, "text that is no JSON"),
        ('"hush"', {}, "a text"),
        ([{"cp1": {"ansible_host": "hush"}}], {}, "a list"),
        ('["hush"]', {}, "a list"),
        (7, {}, "no mapping"),
        ({**HOSTS, "cp3": "hush"}, {}, "no mapping for cp3"),
        ('{"cp1": null, "cp2": ["hush"]}', {}, "no mapping for cp1, cp2"),
    ],
)
def test_hosts_that_are_added_and_what_is_none(given: t.Any, hosts: dict[str, t.Any], error: str) -> None:
    assert rotation.added_hosts(given) == {"hosts": hosts, "error": error}


def test_slices_and_artefacts() -> None:
    assert rotation.slice_of(["a", "b", "c"], "1/2") == ["a", "c"]
    assert rotation.artefact({"goal": "drift"}) == {"goal": "drift", "left_out": {}}
