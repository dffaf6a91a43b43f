# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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
    results = [{"item": "n1", "node": {"handshake": shaken, "taken_at": at}}]
    proof = {"node": "n1", "replica": "cp1", "after": "refused", "detail": "TLS alert 42 (bad certificate)", "at": at}
    assert rotation.negative_proof(results, "cp1") == [{**proof, "accepted_before": False}]
    assert rotation.negative_proof(results, "cp1", ["n1"]) == [{**proof, "accepted_before": True}]


def test_a_connection_that_ends_for_another_reason_is_no_proof() -> None:
    shaken = {"to_node": "refused", "to_node_detail": "the CP ended the connection (errno 104)"}
    results = [{"item": "n1", "node": {"handshake": shaken}}]
    assert [proof["after"] for proof in rotation.negative_proof(results, "cp1")] == ["unknown"]
    assert [proof["after"] for proof in rotation.negative_proof(results, "cp1", ["n2"])] == ["unknown"]
    assert [proof["after"] for proof in rotation.negative_proof(results, "cp1", ["n1"])] == ["refused"]


@pytest.mark.parametrize("name", sorted(rotation.FilterModule().filters()))
def test_every_filter_is_documented_where_ansible_looks_for_it(name: str) -> None:
    found = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    assert found["DOCUMENTATION"]["name"] == name
    assert found["DOCUMENTATION"]["version_added"]
    assert f"quazzar.ca_rotation.{name}" in found["EXAMPLES"]
    assert found["RETURN"]["_value"]["description"]


def test_no_documentation_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.yml")} == set(rotation.FilterModule().filters())
