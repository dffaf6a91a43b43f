# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import guardrails_facts
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Settings
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.guardrails import (
    Backup,
    Facts,
    Limits,
    Log,
    Storage,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.guardrails_workload import (
    Claim,
    Flag,
    Workload,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.intake import Raw, gather
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import NOW, make_ca, make_leaf

CA = make_ca()
SERVER = make_leaf(CA, "cp", names=["cp.example.com", "192.0.2.1"])
STORAGE = {
    "path": "/certs", "error": "", "mount": "/", "file_system": "ext4", "container": True, "mode": "700", "owner": "cc",
    "key": {"path": "/certs/ca.key", "mode": "600", "owner": "cc", "error": ""}, "key_copies": ["/legacy/a"],
    "key_copies_error": "",
}  # fmt: skip


def replica(**more: t.Any) -> dict[str, t.Any]:
    return {
        "active_ca": {**CA.cert.as_dict(), "pem": CA.pem.decode()},
        "chain": [{"pem": SERVER.pem.decode()}, {"pem": CA.pem.decode()}],
        "storage": STORAGE,
        **more,
    }


def read(
    found: dict[str, t.Any] | None = None,
    log: dict[str, t.Any] | None = None,
    backup: dict[str, t.Any] | None = None,
    workload: dict[str, t.Any] | None = None,
) -> Facts:
    replicas = {"cp1": replica() if found is None else found}
    taken = gather(Raw(nodes={}, replicas=replicas, registry=None), Settings(), NOW)
    workloads = {} if workload is None else {"cp1": workload}
    return guardrails_facts.read(taken, replicas, {"cp1": log or {}}, backup, Limits(), workloads)


def test_a_replica() -> None:
    facts = read()
    assert facts.storage == {
        "cp1": Storage(
            "/certs", "", "/", "ext4", True, "700", "cc", "/certs/ca.key", "600", "cc", "", ("/legacy/a",), ""
        )
    }
    first, second = facts.served["cp1"]
    assert (first.names, first.usages) == (("cp.example.com", "192.0.2.1"), ("1.3.6.1.5.5.7.3.1",))
    assert (first.signature_hash, first.self_signed, first.not_after) == ("sha256", False, SERVER.cert.not_after)
    assert (second.names, second.usages, second.self_signed) == (None, None, True)
    assert facts.dates[CA.cert.sha256].not_after == CA.cert.not_after
    assert (facts.logs, facts.backup) == ({}, None)


@pytest.mark.parametrize("found", [{}, {"storage": None}, {"storage": {}}])
def test_what_was_not_gathered_is_left_out(found: dict[str, t.Any]) -> None:
    facts = read(found)
    assert (facts.storage, facts.served) == ({}, {"cp1": ()})


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            {"counts": {"drift": 9, "probe": 4}, "sources": {"drift": {"192.0.2.1": 3, "10.0.0.1": 4}},
             "outside_sources": {"drift": {"192.0.2.1": 3}}, "error": ""},
            Log(9, 2, {"192.0.2.1": 3}),
        ),
        ({"counts": {"drift": 0}, "sources": {}, "outside_sources": {}}, Log()),
        ({"counts": None, "sources": None, "outside_sources": None, "error": "no log"}, Log(error="no log")),
        ({"skipped": True}, Log(error="its log was not read")),
    ],
)  # fmt: skip
def test_a_log(log: dict[str, t.Any], expected: Log) -> None:
    assert read(log=log).logs == {"cp1": expected}


def test_a_backup() -> None:
    found = {"path": "/b/x", "sha256": "ab", "made_at": "2026-05-04T12:00:00Z", "age_seconds": 60, "current": True}
    backup = read(backup=found).backup
    assert backup is not None and (backup.path, backup.age, backup.current) == ("/b/x", timedelta(seconds=60), True)
    assert backup.made_at is not None and backup.made_at.isoformat() == "2026-05-04T12:00:00+00:00"
    assert read(backup={"path": None, "made_at": None, "age_seconds": None, "error": "no"}).backup == Backup(
        error="no", judged=False
    )
    # who says nothing of it has judged the backup, unless there is an error
    for told, judged in (({}, True), ({"error": "no"}, False), ({"judged": True, "error": "no"}, True)):
        backup = read(backup={"path": "/b/x", **told}).backup
        assert backup is not None and backup.judged is judged
    assert read(backup={}).backup is None


WORKLOAD = {
    "title": "Deployment q/cc", "replicas": 2,
    "storage": {
        "path": "/certs", "mount": "/certs", "volume": "certs", "kind": "persistentVolumeClaim", "conflicts": ["no"],
        "claims": [
            {
                "name": "c", "found": True, "error": "", "phase": "Bound", "access_modes": ["ReadWriteMany"],
                "storage_class": "fast", "volume": "pv", "reclaim_policy": "Retain", "volume_error": "",
            },
            {"name": "d", "found": False, "error": "forbidden"},
        ],
    },
    "auto_ca_gen": [
        {"container": "cc", "init": True, "source": "env", "on": None, "hidden": True, "error": "x"},
        {"container": "b", "source": "env", "on": True},
    ],
}  # fmt: skip


def test_a_workload() -> None:
    claims = (
        Claim("c", True, "", "Bound", ("ReadWriteMany",), "fast", "pv", "Retain", ""),
        Claim("d", False, "forbidden"),
    )
    flags = (Flag("cc", "env", None, True, True, "x"), Flag("b", "env", True))
    assert read(workload=WORKLOAD).workloads == {
        "cp1": Workload("Deployment q/cc", "", 2, "/certs", "persistentVolumeClaim", "certs", claims, ("no",), flags)
    }
    assert read().workloads == {}


@pytest.mark.parametrize(
    ("found", "error"),
    [({}, "its objects were not read"), ({"error": "no"}, "no"), ({"error": "no", "auto_ca_gen": []}, "")],
)
def test_a_workload_that_was_not_read(found: dict[str, t.Any], error: str) -> None:
    assert read(workload=found).workloads == {"cp1": Workload(error=error)}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"found": replica(storage={**STORAGE, "mode": 700})},
            "the evidence of replica cp1.storage.mode: expected a text",
        ),
        ({"found": replica(storage={**STORAGE, "key_copies": [1]})}, "cp1.storage.key_copies[0]: expected a text"),
        ({"log": {"counts": {"drift": "many"}}}, "the log of replica cp1.counts.drift: expected a whole number"),
        (
            {"log": {"counts": {"drift": 1}, "sources": {"drift": {"192.0.2.1": "x"}}}},
            "the log of replica cp1: sources.drift.192.0.2.1: expected a whole number",
        ),
        ({"workload": {"replicas": "2"}}, "the workload of cp1.replicas: expected a whole number"),
        (
            {"workload": {"storage": {"claims": [{"name": None}]}}},
            "the workload of cp1.storage.claims[0].name: expected a text",
        ),
        (
            {"workload": {"auto_ca_gen": [{"container": "c", "source": "env", "on": "true"}]}},
            "the workload of cp1.auto_ca_gen[0].on: expected true or false",
        ),
        ({"backup": {"path": 1}}, "backup.path: expected a text"),
        ({"backup": {"age_seconds": 1e200}}, "backup.age_seconds: 1e+200 is too long for a duration"),
        ({"backup": {"made_at": "soon"}}, "backup.made_at"),
    ],
)
def test_another_shape_is_a_message(parts: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(**parts)
    assert words in str(caught.value)
