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

from ansible_collections.quazzar.ca_rotation.plugins.action.rotation_plan import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.certificates import signers
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import format_time
from ansible_collections.quazzar.ca_rotation.plugins.modules import rotation_plan as documented
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import Minted, make_ca, make_leaf

ROOT = pathlib.Path(__file__).resolve().parents[4]
DAY = timedelta(days=1)
NOW = datetime.now(timezone.utc).replace(microsecond=0)
OLD = make_ca(not_before=NOW - 400 * DAY)
NEW = make_ca(not_before=NOW - 20 * DAY)
SERVER = make_leaf(NEW, "cp", not_before=NOW - 1 * DAY)


def node(name: str, pin: Minted, ca: Minted, *, up: bool = False, **more: t.Any) -> dict[str, t.Any]:
    own = make_leaf(ca, name, not_before=NOW - (0.5 if ca is NEW else 10) * DAY)
    return {
        "taken_at": format_time(NOW), "reachable": True, "error": "",
        "pin": {"sha256": [pin.cert.sha256], "form": "pem", "error": ""},
        "leaf": {
            "sha256": own.cert.sha256, "issuer": own.cert.issuer, "not_before": format_time(own.cert.not_before),
            "not_after": format_time(own.cert.not_after), "der": base64.b64encode(own.der).decode(),
            "signed_by": sorted(signers(own.cert, [pin.cert])), "error": "",
        },
        "handshake": {
            "to_cp": "ok" if up else "refused", "to_cp_detail": "", "to_node": "accepted" if up else "refused",
            "to_node_detail": "",
        },
        "agent": {"status": "connected" if up else "disconnected"}, "log": {"symptom_count": 0, "error": ""},
        "clock_skew": 0.0, "kept_identity": False, **more,
    }  # fmt: skip


def replica(*pool: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return {
        "taken_at": format_time(NOW), "reachable": True, "error": "", "address": "cp:8443", "listening": True,
        "listener_error": "", "chain": [{"sha256": SERVER.cert.sha256, "pem": SERVER.pem.decode()}],
        "acceptable_ca_count": 1 + len(pool), "active_ca": {**NEW.cert.as_dict(), "pem": NEW.pem.decode()},
        "pool": {"raw": "", "entries": list(pool), "line": 1, "error": ""}, "legacy_dir": [], "ours": ["/legacy/"],
        "boot": {"loaded_count": None, "error": ""}, "auto_ca_gen": False, **more,
    }  # fmt: skip


def entry(path: str, ca: Minted) -> dict[str, t.Any]:
    return {"path": path, "sha256": [ca.cert.sha256], "pem": [ca.pem.decode()], "error": ""}


def registry(*names: str) -> dict[str, t.Any]:
    rows = [
        {"id": f"inst_{n}", "name": n, "status": "online", "last_seen": format_time(NOW), "tenant": "", "active": True}
        for n in names
    ]
    return {
        "taken_at": format_time(NOW), "clock": format_time(NOW), "source": "api", "instances": rows, "complete": True,
        "incomplete_reason": "", "error": "",
    }  # fmt: skip


def asked(nodes: dict[str, t.Any], replicas: dict[str, t.Any], **args: t.Any) -> dict[str, t.Any]:
    found = {name: {"__fleet_evidence_node": {"node": value}} for name, value in nodes.items()}
    found |= {name: {"__controlplane_replica": {"replica": value}} for name, value in replicas.items()}
    found["localhost"] = {"__fleet_evidence_registry": {"registry": args.pop("registry", registry(*nodes))}}
    given = {"nodes": list(nodes), "cp_hosts": list(replicas), **args}
    return act(ActionModule, given, host="localhost", task_vars={"hostvars": hostvars(found)})


def claim(ca: Minted, source: str = "n1:/ca.crt") -> dict[str, str]:
    return {"source": source, "content": ca.pem.decode()}


KEPT = make_leaf(OLD, "n1", not_before=NOW - 10 * DAY)
KEEPS = {
    "kept_identity": True,
    "kept_leaf": {
        "der": base64.b64encode(KEPT.der).decode(), "not_after": format_time(KEPT.cert.not_after), "signed_by": [],
        "error": "",
    },
}  # fmt: skip
ACCIDENT = {name: node(name, OLD, OLD) for name in ("n1", "n2", "n3")}


def test_the_accident_first_asks_for_the_legacy_ca() -> None:
    result = asked(ACCIDENT, {"cp1": replica()})
    assert not result.get("failed"), result
    assert result["targets"]["fetch"] == [{"key": OLD.cert.sha256, "holders": ["n1", "n2", "n3"]}]
    assert result["targets"]["place"] == {"cp1": []}
    assert result["finished"] is False


def test_the_accident_with_the_legacy_ca_at_hand() -> None:
    result = asked(ACCIDENT, {"cp1": replica(), "cp2": replica()}, claims=[claim(OLD)])
    targets = result["targets"]
    assert (result["world"], result["phase"], result["stops"], result["gate_open"]) == ("W2", "drifted", [], False)
    assert targets["open_window"] == ["cp1", "cp2"]
    name = f"{OLD.cert.sha256[:16]}.crt"
    assert targets["place"]["cp2"] == [{"name": name, "pem": OLD.pem.decode(), "there": ""}]
    assert targets["bundle"] == [NEW.pem.decode(), OLD.pem.decode()]
    assert targets["test_bundle"] == targets["bundle"]
    assert (targets["bundle_test"], targets["push_pins"]) == (["n1"], ["n1", "n2", "n3"])
    assert (targets["register"], targets["keep_identity"]) == (["n1", "n2", "n3"], ["n1", "n2"])
    assert targets["registration_pin"] == [] and targets["fetch"] == []
    assert targets["witnesses"] == {"legacy": ["n1", "n2"], "current": []}
    assert result["up"] == []


def test_a_file_beside_the_control_panel_is_used_where_it_lies() -> None:
    beside = replica(legacy_dir=[entry("/certs/ca.crt.old", OLD)])
    result = asked(ACCIDENT, {"cp1": beside})
    assert result["targets"]["place"]["cp1"][0]["there"] == "/certs/ca.crt.old"


def test_world_w1_tests_the_order_that_the_agents_do_not_know_and_pins_both() -> None:
    server = make_leaf(OLD, "cp", not_before=NOW - 20 * DAY)
    chain = [{"sha256": server.cert.sha256, "pem": server.pem.decode()}]
    pooled = replica(entry("/legacy/old.crt", OLD), chain=chain)
    result = asked({n: node(n, OLD, OLD, up=True) for n in ("n1", "n2")}, {"cp1": pooled}, flip_possible=True)
    assert result["world"] == "W1"
    targets = result["targets"]
    assert targets["bundle"] == targets["registration_pin"] == [OLD.pem.decode(), NEW.pem.decode()]
    assert targets["test_bundle"] == targets["bundle"][::-1]
    assert targets["flip"] == targets["flip_now"] == ["cp1"]
    assert result["up"] == ["n1", "n2"]
    assert result["replicas"]["cp1"]["serves_active"] is False
    never = asked({"n1": node("n1", OLD, OLD, up=True)}, {"cp1": pooled}, pin_bundle="never")
    assert never["targets"]["registration_pin"] == []
    assert never["targets"]["flip_now"] == []


def test_the_strip_and_what_comes_after_it() -> None:
    moved = {n: node(n, NEW, NEW, up=True, **(KEEPS if n == "n1" else {})) for n in ("n1", "n2")}
    theirs = entry("/etc/theirs.pem", make_ca())
    pooled = replica(theirs, entry("/legacy/old.crt", OLD))
    before = asked(moved, {"cp1": pooled}, goal="rotate")
    assert before["gate_open"] and before["targets"]["retire"] == {"cp1": ["/legacy/old.crt"]}
    assert before["targets"]["kept_identity"] == ["n1"] and before["targets"]["forget_identity"] == []
    assert before["targets"]["witnesses"]["current"] == ["n1", "n2"]
    after = asked(moved, {"cp1": replica(theirs)}, goal="rotate")
    assert after["targets"]["close_window"] == []
    assert after["targets"]["forget_identity"] == ["n1"], "somebody else's entry is no reason to keep a key"
    assert after["finished"] and after["phase"] == "finished"


def test_pins_are_narrowed_only_after_the_strip() -> None:
    wide = node("n1", NEW, NEW, up=True, kept_identity=True)
    wide["pin"]["sha256"].append(OLD.cert.sha256)
    pooled = asked({"n1": wide}, {"cp1": replica(entry("/legacy/old.crt", OLD))})
    assert (pooled["targets"]["narrow_pins"], pooled["targets"]["narrow_now"]) == (["n1"], [])
    assert asked({"n1": wide}, {"cp1": replica()})["targets"]["narrow_now"] == ["n1"]


def test_a_replica_that_runs_with_another_pool_is_judged_stale() -> None:
    judged = asked({}, {"cp1": replica(entry("/legacy/old.crt", OLD), acceptable_ca_count=1)})["replicas"]["cp1"]
    assert judged == {
        "name": "cp1", "address": "cp:8443", "active": NEW.cert.sha256,
        "listening": True, "error": "", "world": "W2", "serves_active": True, "stale": True,
        "stale_reason": "expected the listener to advertise 2 CA names, found 1", "differ": False,
    }  # fmt: skip


def test_a_host_outside_of_the_limit_is_not_lost() -> None:
    down = {"reachable": False, "error": "no route", "taken_at": format_time(NOW)}
    result = asked({"n1": node("n1", NEW, NEW, up=True), "n2": {}, "n3": down}, {"cp1": replica()})
    assert result["targets"]["lost"] == ["n3"]
    assert not result["gate_open"]
    assert "n2: unreachable; not examined in this run" in "\n".join(result["gate_lines"])


def test_a_witness_can_be_believed() -> None:
    over = node("n0", OLD, OLD)
    over["leaf"]["not_after"] = format_time(NOW - DAY)
    odd = node("n1", OLD, OLD, handshake={"to_cp": "unknown", "to_node": "unknown"})
    nodes = {"n0": over, "n1": odd, "n2": node("n2", OLD, OLD), "n3": node("n3", OLD, OLD, up=True)}
    result = asked(nodes, {"cp1": replica(entry("/legacy/old.crt", OLD))})
    assert result["targets"]["witnesses"]["legacy"] == ["n3", "n2"]


def test_the_report_keeps_to_its_schema_and_holds_what_the_run_says() -> None:
    proof = {"node": "n1", "replica": "cp1", "accepted_before": False, "after": "refused", "detail": "alert 42"}
    proof["at"] = "2026-05-04T12:00:40Z"
    run = {
        "id": "r1",
        "started": format_time(NOW),
        "ticket": "CHG-1",
        "owner": "ops",
        "halt": "",
        "negative_proof": [proof],
    }
    result = asked(ACCIDENT, {"cp1": replica()}, claims=[claim(OLD)], goal="rotate", run=run)
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(result["report"])))
    assert result["report"]["run"]["ticket"] == "CHG-1"
    assert result["report"]["negative_proof"] == [proof]
    bare = asked(ACCIDENT, {"cp1": replica()})
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(bare["report"])))


def test_a_halt_is_what_is_unfinished_first() -> None:
    result = asked({"n1": node("n1", NEW, NEW, up=True)}, {"cp1": replica()}, run={"halt": "the canary failed: n1"})
    assert (result["finished"], result["unfinished"]) == (False, ["the canary failed: n1"])


def test_a_waiver_that_has_ended_since_the_run_began_still_stands_in_its_report(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "waivers.yml"
    ends = format_time(NOW - timedelta(minutes=1))
    path.write_text(f"[{{node: ghost, reason: lost, owner: ops, expires: '{ends}'}}]")
    run = {"started": format_time(NOW - timedelta(minutes=2))}
    nodes, cp = {"n1": node("n1", NEW, NEW, up=True)}, {"cp1": replica()}
    first = asked(nodes, cp, registry=registry("n1", "ghost"), waivers_file=str(path), run=run)
    assert first["report"]["gate"]["waived"] == ["ghost"] and first["gate_open"]
    # the instance was deleted, and the file is another one
    path.write_text("- broken: [")
    run |= {"waivers": first["report"]["waivers"]}
    last = asked(nodes, cp, waivers_file=str(path), run=run)
    assert last["finished"] and last["report"]["waivers"] == first["report"]["waivers"]
    assert [text for text in last["warnings_found"] if text.startswith("the waiver for ghost names nobody any more")]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"clock_skew": "soon"}, "clock_skew: expected a duration"),
        ({"claim_files": ["/nowhere.crt"]}, "/nowhere.crt: expected a readable file"),
        ({"legacy_fingerprints": ["ab"]}, "SHA-256"),
        ({"switched_at": "last week"}, "switched_at"),
    ],
)
def test_an_option_that_cannot_be_used_is_a_message(args: dict[str, t.Any], message: str) -> None:
    result = asked(ACCIDENT, {"cp1": replica()}, **args)
    assert result["failed"] is True
    assert message in result["msg"]


def test_no_key_of_a_claim_comes_back() -> None:
    both = {"source": "n1:/ca.crt", "content": (OLD.pem + OLD.key_pem).decode()}
    result = asked(ACCIDENT, {"cp1": replica()}, claims=[both])
    assert any("private key in its file" in stop for stop in result["stops"])
    assert "PRIVATE KEY" not in json.dumps(result)


def test_the_documentation_has_every_value_that_is_returned() -> None:
    returned = yaml.safe_load(documented.RETURN)
    result = asked(ACCIDENT, {"cp1": replica()}, claims=[claim(OLD)])
    assert set(returned) == set(result) - {"changed"}
    assert set(returned["targets"]["contains"]) == set(result["targets"])
    assert set(returned["replicas"]["contains"]) == set(result["replicas"]["cp1"])
    assert set(returned["targets"]["contains"]["witnesses"]["contains"]) == set(result["targets"]["witnesses"])
    fetch = asked(ACCIDENT, {"cp1": replica()})["targets"]["fetch"][0]
    assert set(returned["targets"]["contains"]["fetch"]["contains"]) == set(fetch)
