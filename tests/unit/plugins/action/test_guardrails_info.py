# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import pathlib
import typing as t
from datetime import datetime, timedelta, timezone

import jsonschema
import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.plugins.action.guardrails_info import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import format_time
from ansible_collections.quazzar.ca_rotation.plugins.modules import guardrails_info as documented
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import Minted, make_ca, make_leaf

ROOT = pathlib.Path(__file__).resolve().parents[4]
DAY = timedelta(days=1)
NOW = datetime.now(timezone.utc).replace(microsecond=0)
OLD, NEW = make_ca(not_before=NOW - 400 * DAY), make_ca(not_before=NOW - 20 * DAY)
SERVER = make_leaf(NEW, "cp", not_before=NOW - DAY, names=["cp"])


def node(name: str, *pins: Minted, **more: t.Any) -> dict[str, t.Any]:
    own = make_leaf(NEW, name)
    return {
        "taken_at": format_time(NOW), "reachable": True, "error": "",
        "pin": {"sha256": [pin.cert.sha256 for pin in pins], "error": ""},
        "leaf": {
            "not_before": format_time(own.cert.not_before), "not_after": format_time(own.cert.not_after),
            "der": base64.b64encode(own.der).decode(), "error": "",
        },
        **more,
    }  # fmt: skip


def replica(*pool: tuple[str, Minted, datetime], **more: t.Any) -> dict[str, t.Any]:
    entries = [
        {"path": path, "sha256": [ca.cert.sha256], "pem": [ca.pem.decode()], "since": format_time(since), "error": ""}
        for path, ca, since in pool
    ]
    return {
        "taken_at": format_time(NOW), "error": "", "address": "cp:8443", "listening": True, "listener_error": "",
        "chain": [{"sha256": SERVER.cert.sha256, "pem": SERVER.pem.decode()}], "acceptable_ca_count": 1 + len(pool),
        "active_ca": {**NEW.cert.as_dict(), "pem": NEW.pem.decode()}, "auto_ca_gen": False, "ours": ["/legacy/"],
        "pool": {"raw": "", "entries": entries, "line": 1, "error": ""},
        "storage": {
            "path": "/certs", "error": "", "mount": "/var", "file_system": "ext4", "container": False, "mode": "700",
            "owner": "cc", "key": {"path": "/certs/ca.key", "mode": "600", "owner": "cc", "error": ""},
            "key_copies": [], "key_copies_error": "",
        },
        **more,
    }  # fmt: skip


LOG = {"counts": {"drift": 0}, "sources": {}, "outside_sources": {}, "error": ""}
BACKUP = {"path": "/b/x", "sha256": "ab", "made_at": format_time(NOW), "age_seconds": 5, "current": True, "error": ""}


def asked(nodes: dict[str, t.Any], replicas: dict[str, t.Any], **args: t.Any) -> dict[str, t.Any]:
    log = args.pop("log", LOG)
    found = {name: {"__fleet_evidence_node": {"node": value}} for name, value in nodes.items()}
    found |= {n: {"__controlplane_replica": {"replica": v}, "__controlplane_logs": log} for n, v in replicas.items()}
    for name, told in args.pop("pods", {}).items():
        found[name] = {"__controlplane_replica": told, "__controlplane_logs": log}
        replicas = {**replicas, name: {}}
    rows = [{"id": f"inst_{name}", "name": name, "status": "online", "active": True} for name in (*nodes, "stranger")]
    if args.pop("registry", False):
        found["localhost"] = {"__fleet_evidence_registry": {"registry": {"instances": rows, "complete": True}}}
    given = {"nodes": list(nodes), "cp_hosts": list(replicas), "backup": BACKUP, **args}
    return act(ActionModule, given, host="localhost", task_vars={"hostvars": hostvars(found)})


def verdicts(result: dict[str, t.Any]) -> dict[str, str]:
    return {rule["id"]: rule["verdict"] for rule in result["report"]["rules"]}


def test_everything_is_kept() -> None:
    result = asked({"n1": node("n1", NEW)}, {"cp1": replica(), "cp2": replica()})
    assert (result["kept"], result["broken"], result["unknown"], result["changed"]) == (True, [], [], False)
    assert set(verdicts(result).values()) == {"pass"} and len(verdicts(result)) == 17
    assert result["lines"][0] == "Guard rails: 17 pass, 0 unknown, 0 fail."


def test_what_is_broken_and_what_is_not_known() -> None:
    result = asked(
        {"n1": node("n1", OLD)}, {"cp1": replica(auto_ca_gen=True)}, backup={}, log={}, registry=True, run={"id": "r1"}
    )
    assert not result["kept"] and result["unknown"] == ["ca-backup", "drift-log", "leaf-expiry"]
    assert result["broken"] == [
        "auto-ca-gen (cp1: CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA)",
        "node-pins (n1: its pin does not hold the active CA;"
        " stranger: in the Control Panel's registry, but not in the inventory)",
    ]
    assert result["report"]["run"]["id"] == "r1"


def pods(workload: dict[str, t.Any] | None, *replicas: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"cp": {"workload": workload, "replicas": list(replicas)}}


def test_pods_are_replicas_and_their_workload_has_rules_of_its_own() -> None:
    claim = {
        "name": "certs", "found": True, "phase": "Bound", "access_modes": ["ReadWriteMany"], "volume": "pv-1",
        "reclaim_policy": "Delete",
    }  # fmt: skip
    storage = {"path": "/certs", "kind": "persistentVolumeClaim", "volume": "certs", "claims": [claim], "conflicts": []}
    told = {"title": "Deployment q/cc", "replicas": 2, "storage": storage, "auto_ca_gen": []}
    result = asked({}, {}, pods=pods(told, replica(name="a"), replica(name="b", auto_ca_gen=True)))
    assert result["broken"] == [
        "auto-ca-gen (cp/b: CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA)",
        "reclaim-policy (cp: the volume pv-1 of the claim certs has the reclaim policy Delete: whoever deletes the"
        " claim, or its namespace, deletes the CA)",
    ]
    assert len(verdicts(result)) == 20 and verdicts(result)["same-active-ca"] == "pass"
    schema = json.loads((ROOT / "docs" / "guardrails.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(result["report"])))
    for name in verdicts(result):
        assert f"V({name})" in documented.DOCUMENTATION


def test_a_workload_that_was_not_read_breaks_nothing() -> None:
    unread = replica(name="unknown", error="no route", active_ca=None, storage=None, auto_ca_gen=None, chain=[])
    result = asked({}, {}, pods=pods(None, {**unread, "taken_at": None}))
    assert result["kept"] and {"claim-bound", "reclaim-policy", "access-mode"} < {*result["unknown"]}
    assert "cp: no route" in "\n".join(result["lines"])


def test_the_operators_limits() -> None:
    entry = ("/legacy/old.crt", OLD, NOW - 10 * DAY)
    elsewhere = ("/etc/old.crt", OLD, NOW - 100 * DAY)

    def verdict(name: str, *pool: tuple[str, Minted, datetime], **args: t.Any) -> str:
        return verdicts(asked({}, {"cp1": replica(*pool)}, **args))[name]

    assert verdict("grace-window-age", entry) == "pass"
    assert verdict("grace-window-age", entry, leaf_lifetime="9d") == "fail"
    assert verdict("grace-window-age", elsewhere) == "pass", "it is somebody else's"
    assert verdict("grace-window-age", elsewhere, legacy_fingerprints=[OLD.cert.fingerprint]) == "fail"
    assert verdict("ca-backup", backup_max_age="4s") == "fail"
    noise = {
        **LOG,
        "counts": {"drift": 3},
        "sources": {"drift": {"192.0.2.1": 3}},
        "outside_sources": {"drift": {"192.0.2.1": 3}},
    }
    assert verdict("drift-log", log=noise) == "pass"
    assert verdict("drift-log", log=noise, drift_lines=3) == "fail"
    assert verdict("drift-log", log="nonsense") == "unknown"


def test_hosts_of_which_there_is_nothing() -> None:
    result = asked({"n1": {}}, {"cp1": {}}, log={}, backup={})
    assert result["kept"] and set(verdicts(result).values()) == {"unknown"}
    assert "n1: not examined in this run" in "\n".join(result["lines"])


def test_a_same_key_renewal_is_the_same_ca() -> None:
    renewed = make_ca(key=NEW.key)
    other = replica(active_ca={**renewed.cert.as_dict(), "pem": renewed.pem.decode()})
    assert verdicts(asked({}, {"cp1": replica(), "cp2": other}))["same-active-ca"] == "pass"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"leaf_lifetime": "soon"}, "leaf_lifetime: expected a duration"),
        ({"backup_max_age": "old"}, "backup_max_age: expected a duration"),
        ({"legacy_fingerprints": ["ab"]}, "SHA-256"),
        ({"backup": {"path": 1}}, "backup.path: expected a text"),
    ],
)
def test_an_option_that_cannot_be_used_is_a_message(args: dict[str, t.Any], message: str) -> None:
    result = asked({}, {"cp1": replica()}, **args)
    assert result["failed"] is True and message in result["msg"]


def test_the_report_keeps_to_its_schema_and_the_documentation_to_what_is_returned() -> None:
    result = asked({"n1": node("n1", NEW)}, {"cp1": replica(("/legacy/old.crt", OLD, NOW))}, registry=True)
    schema = json.loads((ROOT / "docs" / "guardrails.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(result["report"])))
    assert set(yaml.safe_load(documented.RETURN)) == set(result) - {"changed"}
    for rule in result["report"]["rules"]:
        assert f"V({rule['id']})" in documented.DOCUMENTATION
