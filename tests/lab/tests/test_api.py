# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Control Panel's API: login, tenants, lists, tokens, commands, faults. One lab for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quazzar_lab import auth, lab


@pytest.fixture(scope="module")
def panel(start_shared_lab: Callable[..., Any]) -> Any:
    return start_shared_lab("tenant_b=1", nodes=4)


@pytest.fixture(autouse=True)
def _as_it_was(panel: Any) -> Iterator[None]:
    before = dict(lab.read_json(panel.layout.options))
    yield
    panel.clear()
    lab.write_json(panel.layout.options, before)


def test_login_and_who_am_i(panel: Any) -> None:
    status, me, headers = panel.api("GET", "/auth/me")
    assert status == 200
    assert me["username"] == panel.facts["cp_users"][0]["username"]
    assert "Date" in headers
    url = panel.facts["api_url"]
    assert panel.call("GET", f"{url}/auth/me")[0] == 401
    wrong = {"username": me["username"], "password": "wrong"}
    assert panel.call("POST", f"{url}/auth/login", wrong)[:2] == (401, {"error": "invalid credentials"})


def test_login_with_totp_and_other_names(panel: Any) -> None:
    panel.option("totp=true", "login_username_field=email", "login_token_path=data.jwt")
    user, url = panel.facts["cp_users"][0], panel.facts["api_url"]
    body = {"email": user["username"], "password": user["password"]}
    status, answer, _headers = panel.call("POST", f"{url}/auth/login", body)
    assert status == 200 and answer["totp_required"]
    code = auth.totp(user["totp_secret"], time.time())
    body = {"temp_token": answer["temp_token"], "code": code}
    token = panel.call("POST", f"{url}/auth/totp/verify", body)[1]["data"]["jwt"]
    assert panel.call("GET", f"{url}/auth/me", token=token)[0] == 200
    panel.option("login_api=false")
    assert panel.call("POST", f"{url}/auth/login", body)[0] == 403


def test_each_tenant_sees_its_own(panel: Any) -> None:
    names = sorted(row["name"] for row in panel.api("GET", "/fleet/instances")[1])
    assert names == ["node01", "node02", "node03"]
    assert [row["name"] for row in panel.api("GET", "/fleet/instances", user=1)[1]] == ["node04"]
    assert panel.api("GET", "/fleet/summary", user=1)[1]["total"] == 1


def test_instances_are_a_bare_array_and_may_be_cut(panel: Any) -> None:
    status, rows, _headers = panel.api("GET", "/fleet/instances")
    assert status == 200 and isinstance(rows, list)
    assert rows[0].keys() >= {"id", "name", "status", "last_heartbeat"}
    assert rows[0]["id"].startswith("inst_") and rows[0]["status"] == "online" and rows[0]["last_heartbeat"][-1] == "Z"
    panel.option("list_cap=2", "instance_last_seen_field=seen")
    rows = panel.api("GET", "/fleet/instances")[1]
    assert len(rows) == 2 and "seen" in rows[0]
    assert panel.api("GET", "/fleet/summary")[1]["total"] == 3, "the summary tells that the list was cut"
    panel.option("list_key=items")
    assert len(panel.api("GET", "/fleet/instances")[1]["items"]) == 2


def test_last_seen_follows_the_heartbeats(panel: Any) -> None:
    first = panel.api("GET", "/fleet/instances")[1][0]["last_heartbeat"]
    panel.until(lambda: panel.api("GET", "/fleet/instances")[1][0]["last_heartbeat"] > first)


def test_a_silent_node_goes_offline(panel: Any) -> None:
    panel.fault("node02", "agent-stopped")
    row = panel.until(lambda: [row for row in panel.api("GET", "/fleet/instances")[1] if row["status"] == "offline"])
    assert [item["name"] for item in row] == ["node02"]
    assert panel.api("GET", "/fleet/health")[1]["status"] == "degraded"
    assert panel.api("GET", "/fleet/alerts")[1][0]["instance_id"] == row[0]["id"]
    panel.clear()
    panel.settle(node02=True)


def test_token_is_one_time_unless_asked_otherwise(panel: Any) -> None:
    status, answer, _headers = panel.api("POST", "/fleet/tokens", {})
    assert status == 201
    assert panel.register("node01", answer["token"])[0] == 200
    status, body, _headers = panel.register("node01", answer["token"])
    assert (status, body) == (400, {"error": "registration failed: registration token already used"})
    token = panel.api("POST", "/fleet/tokens", {"max_uses": 2})[1]["token"]
    assert [panel.register(name, token)[0] for name in ("node01", "node02", "node03")] == [200, 200, 400]


def test_token_expires(panel: Any) -> None:
    token = panel.api("POST", "/fleet/tokens", {"expires_in": 0.2})[1]["token"]
    time.sleep(0.25)
    assert "expired" in panel.register("node01", token)[1]["error"]
    panel.fault("cp", "token-expired", count=1)
    assert "expired" in panel.register("node01")[1]["error"]
    assert panel.register("node01")[0] == 200


def test_token_revoked_and_unknown(panel: Any) -> None:
    made = panel.api("POST", "/fleet/tokens", {})[1]
    assert panel.api("DELETE", f"/fleet/tokens/{made['id']}")[0] == 404, "not documented, so not there"
    panel.option("token_revoke_path=/api/fleet/tokens/{id}")
    assert panel.api("DELETE", f"/fleet/tokens/{made['id']}", user=1)[0] == 404, "another tenant's"
    assert panel.api("DELETE", f"/fleet/tokens/{made['id']}")[0] == 204
    assert "revoked" in panel.register("node01", made["token"])[1]["error"]
    panel.option("register_error_status=0")
    assert panel.register("node01", "qzt_unknown")[0] == 401


def test_token_request_and_answer_can_look_otherwise(panel: Any) -> None:
    panel.option(
        "token_path=data.value", "token_id_path=meta.number", "token_uses_field=limit", "token_required_field=label"
    )
    assert panel.api("POST", "/fleet/tokens", {"limit": 2})[0] == 400
    answer = panel.api("POST", "/fleet/tokens", {"limit": 2, "label": "x"})[1]
    assert answer["data"]["value"].startswith("qzt_") and answer["max_uses"] == 2
    assert answer["meta"]["number"] and "id" not in answer
    panel.option("token_api=false")
    assert panel.api("POST", "/fleet/tokens", {})[0] == 404
    assert panel.api("POST", "/fleet/tokens", {}, user=2)[0] in (403, 404)


def test_a_command_travels_over_the_link(panel: Any) -> None:
    number = panel.links()["node03"]["instance_id"]
    assert panel.api("POST", "/fleet/commands", {"instance_id": number, "command": "ping"})[1]["status"] == "Pending"
    done = panel.until(lambda: [c for c in panel.api("GET", "/fleet/commands")[1] if c["status"] == "Completed"])
    assert done[0]["result"] == "ping: ok"
    assert panel.api("POST", "/fleet/commands", {"instance_id": number}, user=1)[0] == 404


def test_faults_on_the_api(panel: Any) -> None:
    token, url = panel.login(), f"{panel.facts['api_url']}/fleet/summary"
    for status in (401, 402, 403, 404, 409, 500, 503):
        panel.fault("cp", str(status), count=1)
        assert panel.call("GET", url, token=token)[0] == status
    panel.fault("cp1", "http", value=429, count=1, retry_after="2", path="/api/fleet")
    status, body, headers = panel.call("GET", url, token=token)
    assert (status, headers["Retry-After"], body["error"]) == (429, "2", "too many requests")
    panel.fault("cp", "truncated-json", count=1)
    assert isinstance(panel.call("GET", url, token=token)[1], str)
    panel.fault("cp", "html", count=1)
    assert "<html>" in panel.call("GET", url, token=token)[1]
    panel.fault("cp", "latency", value=0.3, count=1)
    started = time.monotonic()
    assert panel.call("GET", url, token=token)[0] == 200
    assert time.monotonic() - started >= 0.3
    panel.fault("cp", "hang", count=1)
    with pytest.raises(TimeoutError):
        panel.call("GET", url, token=token, timeout=0.3)
    assert panel.call("GET", url, token=token)[0] == 200, "counts wear out"


def test_a_wrong_clock_shows_in_the_date_header(panel: Any) -> None:
    before = panel.api("GET", "/fleet/summary")[2]["Date"]
    panel.fault("cp", "clock", value=90000)
    assert panel.api("GET", "/fleet/summary")[2]["Date"][:16] != before[:16]


def test_rows_without_nodes(panel: Any) -> None:
    lab.registry_edit(panel.dir, "ghost", "ghost01", "")
    rows = {row["name"]: row for row in panel.api("GET", "/fleet/instances")[1]}
    assert rows["ghost01"]["status"] == "offline" and rows["ghost01"]["last_heartbeat"] is None
    lab.registry_edit(panel.dir, "decommission", "ghost01", "")
    rows = {row["name"]: row for row in panel.api("GET", "/fleet/instances")[1]}
    assert rows["ghost01"]["status"] == "decommissioned"
    assert lab.registry_edit(panel.dir, "delete", "ghost01", "") == 1
