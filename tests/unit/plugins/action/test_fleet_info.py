# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action.fleet_info import ActionModule
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.panel_double import PASSWORD, Panel, Reply, Seen

CLOCK = "Sun, 03 May 2026 10:00:30 GMT"


def row(
    name: str, status: str = "online", beat: str | None = "2026-05-03T10:00:00Z", **more: t.Any
) -> dict[str, t.Any]:
    return {"id": f"inst_{name}", "name": name, "status": status, "last_heartbeat": beat, **more}


def seen(name: str, status: str, last_seen: str | None, active: bool) -> dict[str, t.Any]:
    return {
        "id": f"inst_{name}", "name": name, "status": status, "last_seen": last_seen, "tenant": "", "active": active,
    }  # fmt: skip


@pytest.fixture
def panel(tmp_path: pathlib.Path) -> t.Iterator[Panel]:
    double = Panel(tmp_path)
    double.date = CLOCK
    double.on(
        "GET", "fleet/instances", Reply(data=[row("node1"), row("node2", "offline"), row("node3", "Deleted", None)])
    )
    double.on("GET", "fleet/summary", Reply(data={"total": 3}))
    yield double
    double.stop()


def read(panel: Panel, **more: t.Any) -> dict[str, t.Any]:
    result = act(ActionModule, panel.options(**more))
    assert not result.get("failed"), result
    return result["registry"]


def fails(args: dict[str, t.Any]) -> str:
    result = act(ActionModule, args)
    assert result["failed"] is True
    assert PASSWORD not in json.dumps(result)
    return result["msg"]


def test_the_registry_in_its_binding_shape(panel: Panel) -> None:
    registry = read(panel, registry_complete=True)
    assert registry.pop("taken_at").endswith("Z")
    assert registry == {
        "clock": "2026-05-03T10:00:30Z",
        "source": "api",
        "instances": [
            seen("node1", "online", "2026-05-03T10:00:00Z", True),
            seen("node2", "offline", "2026-05-03T10:00:00Z", True),
            seen("node3", "Deleted", None, False),
        ],
        "summary_total": 3,
        "complete": True,
        "incomplete_reason": "",
        "duplicates": [],
        "error": "",
    }


@pytest.mark.parametrize("key", ["total", "total_instances", "instances"])
def test_the_usual_names_of_the_total(panel: Panel, key: str) -> None:
    panel.on("GET", "fleet/summary", Reply(data={"online": 2, key: 3}))
    assert read(panel, registry_complete=True)["complete"] is True


def test_without_the_operators_word_it_is_not_complete(panel: Panel) -> None:
    registry = read(panel)
    assert registry["complete"] is False and "registry_complete" in registry["incomplete_reason"]


def test_a_cut_list_is_not_complete_whatever_the_operator_says(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(data={"total": 5}))
    registry = read(panel, registry_complete=True)
    assert registry["complete"] is False
    assert "3 instances" in registry["incomplete_reason"] and "counts 5" in registry["incomplete_reason"]


def test_a_node_that_joins_between_list_and_summary_is_no_cut(panel: Panel) -> None:
    panel.on("GET", "fleet/instances", Reply(data=[row("node1")]), Reply(data=[row("node1"), row("node2")]))
    panel.on("GET", "fleet/summary", Reply(data={"total": 2}))
    registry = read(panel, registry_complete=True)
    assert registry["complete"] is True and len(registry["instances"]) == 2


@pytest.mark.parametrize(
    "reply",
    [Reply(404, {"error": "no such route"}), Reply(data={"count": 3}), Reply(data=[]), Reply(data={"total": True})],
)
def test_an_unknown_total_is_not_complete_and_says_why(panel: Panel, reply: Reply) -> None:
    panel.on("GET", "fleet/summary", reply)
    registry = read(panel, registry_complete=True)
    assert registry["complete"] is False and registry["summary_total"] is None
    assert "fleet/summary" in registry["incomplete_reason"]


def test_two_tenants_are_complete_together(panel: Panel) -> None:
    def by_tenant(a: t.Any, b: t.Any) -> t.Callable[[Seen], Reply]:
        return lambda seen: Reply(data=a if seen.headers["Authorization"].endswith("-a-token") else b)

    panel.on("GET", "fleet/instances", by_tenant([row("node1")], [row("node2"), row("node3")]))
    panel.on("GET", "fleet/summary", by_tenant({"total": 1}, {"total": 2}))
    credentials = [
        {"tenant": "acme", "bearer_token": "tenant-a-token"},
        {"tenant": "beta", "bearer_token": "tenant-b-token"},
    ]
    registry = read(panel, credentials=credentials)
    assert registry["complete"] is True and registry["summary_total"] == 3
    assert [(i["name"], i["tenant"]) for i in registry["instances"]] == [
        ("node1", "acme"),
        ("node2", "beta"),
        ("node3", "beta"),
    ]


def test_two_accounts_of_one_tenant_do_not_show_every_tenant(panel: Panel) -> None:
    registry = read(panel, credentials=[{"bearer_token": "first-token"}, {"bearer_token": "second-token"}])
    assert registry["complete"] is False and "same instances" in registry["incomplete_reason"]
    assert len(registry["instances"]) == 3


def test_duplicates_by_name_among_active_ones(panel: Panel) -> None:
    twice = [
        row("node1"),
        {**row("node1"), "id": "inst_new"},
        row("node2"),
        {**row("node2", "deleted"), "id": "inst_gone"},
    ]
    panel.on("GET", "fleet/instances", Reply(data=twice))
    assert read(panel)["duplicates"] == [{"name": "node1", "ids": ["inst_node1", "inst_new"]}]


def test_the_list_is_mapped_by_the_operators_query(panel: Panel) -> None:
    panel.on(
        "GET",
        "fleet/instances",
        Reply(data={"items": [{"uid": 7, "host": "node1", "state": "UP", "seen": 1777802400}]}),
    )
    registry = read(
        panel, instances_query="items[].{id: uid, name: host, status: state, last_seen: seen}", active_statuses=["up"]
    )
    assert registry["instances"] == [
        {"id": "7", "name": "node1", "status": "UP", "last_seen": "2026-05-03T10:00:00Z", "tenant": "", "active": True}
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"items": []}, "a mapping with the keys: items"),
        ([{"uid": 1}], "neither id nor name"),
        ([{"id": {}, "name": "x"}], "id of item 0: expected text, found an empty mapping"),
        ([row("node1", beat="yesterday")], "last_seen of item 0"),
        (3, "a number"),
    ],
)
def test_a_wrong_shape_names_the_variable_and_what_was_found(panel: Panel, data: t.Any, words: str) -> None:
    panel.on("GET", "fleet/instances", Reply(data=data))
    message = fails(panel.options())
    assert "instances_query" in message and "fleet/instances" in message and words in message


def test_export_of_the_api_answer(panel: Panel, tmp_path: pathlib.Path) -> None:
    export = tmp_path / "fleet.json"
    export.write_text(json.dumps([row("node1"), row("node2")]))
    os.utime(export, (1777802400, 1777802400))
    registry = act(ActionModule, {"fleet_file": str(export), "registry_complete": True})["registry"]
    assert registry["taken_at"] == "2026-05-03T10:00:00Z"
    assert (registry["source"], registry["clock"], registry["summary_total"]) == ("file", None, None)
    assert registry["complete"] is True and len(registry["instances"]) == 2
    assert panel.requests == []


def test_export_in_yaml_and_in_our_own_form(tmp_path: pathlib.Path) -> None:
    export = tmp_path / "fleet.yml"
    export.write_text("- {id: a, name: node1, status: online, last_seen: 2026-05-03T10:00:00Z}\n")
    registry = act(ActionModule, {"fleet_file": str(export)})["registry"]
    assert registry["instances"][0]["last_seen"] == "2026-05-03T10:00:00Z"
    assert registry["complete"] is False and "registry_complete" in registry["incomplete_reason"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"[{", "neither JSON nor YAML"), (b"\xff\xfe", "UTF-8"), (b"", "finds nothing")],
)
def test_export_that_cannot_be_used(tmp_path: pathlib.Path, content: bytes | None, words: str) -> None:
    export = tmp_path / "fleet.json"
    if content is not None:
        export.write_bytes(content)
    message = fails({"fleet_file": str(export)})
    assert str(export) in message and words in message


def test_neither_api_nor_file() -> None:
    assert "api_url, or fleet_file" in fails({})


def waiting(**more: t.Any) -> dict[str, t.Any]:
    return {"names": ["node1", "inst_node2"], "after": "2026-05-03T10:00:10Z", "interval": 0.1, "timeout": 5, **more}


def test_waits_for_heartbeats_by_the_panels_clock(panel: Panel) -> None:
    late = "2026-05-03T10:00:11Z"
    panel.on(
        "GET",
        "fleet/instances",
        Reply(data=[row("node1"), row("node2")]),
        Reply(data=[row("node1", beat=late), row("node2")]),
        Reply(data=[row("node1", beat=late), row("node2", beat=late)]),
    )
    panel.on("GET", "fleet/summary", Reply(data={"total": 2}))
    result = act(ActionModule, panel.options(wait_for=waiting()))
    assert (result["arrived"], result["missing"]) == (["node1", "inst_node2"], [])
    assert result["registry"]["waited_for"] == ["node1", "inst_node2"]
    assert panel.paths().count("GET fleet/instances") == 3


def test_a_heartbeat_of_the_same_second_proves_nothing(panel: Panel) -> None:
    panel.on("GET", "fleet/instances", Reply(data=[row("node1", beat="2026-05-03T10:00:10.9Z")]))
    panel.on("GET", "fleet/summary", Reply(data={"total": 1}))
    result = act(ActionModule, panel.options(wait_for=waiting(names=["node1"], timeout=0.2)))
    assert (result["arrived"], result["missing"]) == ([], ["node1"])
    assert not result.get("failed")


def test_check_mode_looks_once_and_waits_for_nobody(panel: Panel) -> None:
    result = act(ActionModule, panel.options(wait_for=waiting(timeout=60)), check_mode=True)
    assert (result["arrived"], result["missing"], result["registry"]["waited_for"]) == ([], [], [])
    assert result["registry"]["instances"]
    assert panel.paths().count("GET fleet/instances") == 1


def test_a_panel_that_is_being_rolled_only_costs_time(panel: Panel) -> None:
    late = "2026-05-03T10:00:11Z"
    panel.on(
        "GET",
        "fleet/instances",
        Reply(503, {}),
        Reply(503, {}),
        Reply(data=[row("node1", beat=late), row("node2", beat=late)]),
    )
    panel.on("GET", "fleet/summary", Reply(data={"total": 2}))
    result = act(ActionModule, panel.options(wait_for=waiting(), retry_max_wait=0))
    assert result["missing"] == []


def test_a_refused_login_does_not_wait(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(403, {"error": "locked"}))
    assert "403 (locked)" in fails(panel.options(wait_for=waiting(timeout=60)))
    assert len(panel.requests) == 1


def test_an_unreadable_time_is_refused(panel: Panel) -> None:
    assert "wait_for.after" in fails(panel.options(wait_for=waiting(after="soon")))


def test_without_a_time_it_is_the_panels_clock_now(panel: Panel) -> None:
    beats = [row("node1", beat="2026-05-03T10:00:30Z")], [row("node1", beat="2026-05-03T10:00:31Z")]
    panel.on("GET", "fleet/instances", *(Reply(data=rows) for rows in (beats[0], beats[0], beats[1])))
    panel.on("GET", "fleet/summary", Reply(data={"total": 1}))
    result = act(ActionModule, panel.options(wait_for={"names": ["node1"], "interval": 0.1, "timeout": 5}))
    assert result["arrived"] == ["node1"] and panel.paths().count("GET fleet/instances") == 3


def test_a_panel_without_a_clock_needs_a_time(panel: Panel) -> None:
    panel.date = "nonsense"
    message = fails(panel.options(wait_for={"names": ["node1"]}))
    assert "wait_for.after" in message and "no Date header" in message


class HostVars(dict):
    raw_get = dict.__getitem__


def test_inventory_hosts_are_looked_for_by_their_names_at_the_panel(panel: Panel) -> None:
    up = {"result": {"node": {"handshake": {"to_cp": "ok", "to_node": "accepted"}}}}
    down = {"result": {"node": {"handshake": {"to_cp": "refused", "to_node": "unknown"}}}}
    hostvars = HostVars(
        alpha={**up, "quazzar_instance_id": "inst_node1"},
        beta={**up, "quazzar_instance_name": "node2"},
        gamma=down,
        node3=up,
    )
    panel.on("GET", "fleet/instances", Reply(data=[row(f"node{n}", beat="2026-05-03T10:00:20Z") for n in (1, 2)]))
    panel.on("GET", "fleet/summary", Reply(data={"total": 2}))
    wanted = {"hosts": list(hostvars), "node_var": "result", "after": "2026-05-03T10:00:10Z", "timeout": 0.2}
    result = act(ActionModule, panel.options(wait_for=wanted), task_vars={"hostvars": hostvars})
    assert (result["arrived"], result["missing"]) == (["alpha", "beta"], ["node3"])
    assert result["registry"]["waited_for"] == ["alpha", "beta", "node3"]


def test_tolerated_failure_is_data(panel: Panel) -> None:
    panel.on("GET", "fleet/instances", Reply(500, {"error": "broken"}))
    result = act(ActionModule, panel.options(tolerate=True, wait_for=waiting(timeout=0)))
    registry = result["registry"]
    assert not result.get("failed")
    assert "500 (broken)" in registry["error"] and registry["complete"] is False
    assert registry["missing"] == ["node1", "inst_node2"] and result["missing"] == registry["missing"]
