# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import pathlib
import typing as t

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action.registration_token import ActionModule
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.panel_double import PASSWORD, Panel, Reply, Seen

TOKENS = {"node1": "by-hand-token-1", "node2": "by-hand-token-2"}


@pytest.fixture
def panel(tmp_path: pathlib.Path) -> t.Iterator[Panel]:
    double = Panel(tmp_path)
    double.date = "Sun, 03 May 2026 10:00:00 GMT"
    numbers = itertools.count(1)

    def mint(seen: Seen) -> Reply:
        number = next(numbers)
        return Reply(201, {"token": f"minted-token-{number}", "id": f"tok_{number}"})

    double.on("POST", "fleet/tokens", mint)
    yield double
    double.stop()


def bodies(panel: Panel) -> list[t.Any]:
    return [seen.body for seen in panel.requests if seen.path == "/api/fleet/tokens"]


def fails(args: dict[str, t.Any], check_mode: bool = False) -> str:
    result = act(ActionModule, args, check_mode=check_mode)
    assert result["failed"] is True, result
    text = json.dumps(result)
    assert PASSWORD not in text and "minted-token" not in text and "by-hand-token" not in text
    return result["msg"]


def test_one_token_for_each_node(panel: Panel) -> None:
    result = act(ActionModule, panel.options(nodes=["node1", "node2", "node1"], expires_in=1800, uses=1))
    assert result["changed"] is True
    assert result["tokens"] == {"node1": "minted-token-1", "node2": "minted-token-2"}
    assert result["ids"] == {"node1": "tok_1", "node2": "tok_2"}
    assert bodies(panel) == [{"expires_in": 1800, "max_uses": 1}] * 2


def test_no_limit_is_sent_unless_set(panel: Panel) -> None:
    act(ActionModule, panel.options(nodes=["node1"]))
    assert bodies(panel) == [{}]


def test_one_token_for_the_batch(panel: Panel) -> None:
    result = act(ActionModule, panel.options(nodes=["node1", "node2", "node3"], per="batch"))
    assert set(result["tokens"].values()) == {"minted-token-1"} and len(result["tokens"]) == 3
    assert bodies(panel) == [{"max_uses": 3}]


def test_the_body_is_the_operators(panel: Panel) -> None:
    body = {"label": "rotation of {node}", "limit": {"count": "{uses}", "until": "{expires_at}"}}
    act(ActionModule, panel.options(nodes=["node1"], token_body=body, uses=1, expires_in=1800))
    assert bodies(panel) == [{"label": "rotation of node1", "limit": {"count": 1, "until": "2026-05-03T10:30:00Z"}}]


def test_a_limit_that_the_body_needs_must_be_set(panel: Panel) -> None:
    assert "expires_in must be set" in fails(panel.options(nodes=["node1"], token_body={"ttl": "{expires_in}"}))


def test_the_token_is_found_by_the_operators_query(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens", Reply(data={"enrollment": {"secret": "minted-token-9", "nr": 9}}))
    result = act(
        ActionModule, panel.options(nodes=["node1"], token_query="enrollment.secret", token_id_query="enrollment.nr")
    )
    assert (result["tokens"], result["ids"]) == ({"node1": "minted-token-9"}, {"node1": "9"})


def test_an_answer_without_a_token_names_the_variable(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens", Reply(data={"value": "minted-token-9"}))
    message = fails(panel.options(nodes=["node1"]))
    assert "token_query (token)" in message and "a mapping with the keys: value" in message


def test_a_failure_in_the_middle_says_what_is_left_unused(panel: Panel) -> None:
    panel.on(
        "POST",
        "fleet/tokens",
        Reply(data={"token": "minted-token-1"}),
        Reply(402, {"error": "upgrade_required after minted-token-1"}),
    )
    message = fails(panel.options(nodes=["node1", "node2"], expires_in=600))
    assert "no registration token for node2" in message and "402" in message
    assert "not used: 1" in message and "expire 600 s after" in message


def test_check_mode_mints_nothing(panel: Panel) -> None:
    result = act(ActionModule, panel.options(nodes=["node1"]), check_mode=True)
    assert (result["changed"], result["tokens"]) == (True, {})
    assert panel.requests == []


def test_no_nodes_no_tokens(panel: Panel) -> None:
    result = act(ActionModule, panel.options(nodes=[]))
    assert (result["changed"], result["tokens"]) == (False, {})
    assert panel.requests == []


@pytest.mark.parametrize("check_mode", [False, True])
def test_tokens_made_by_hand(check_mode: bool) -> None:
    result = act(ActionModule, {"nodes": ["node1"], "tokens": TOKENS}, check_mode=check_mode)
    assert (result["changed"], result["tokens"]) == (False, {"node1": "by-hand-token-1"})


def test_one_token_made_by_hand_for_all() -> None:
    result = act(ActionModule, {"nodes": ["node1", "node2"], "tokens": " by-hand-token-1 "})
    assert result["tokens"] == {"node1": "by-hand-token-1", "node2": "by-hand-token-1"}


def test_nodes_without_a_token_are_named() -> None:
    tokens = {**TOKENS, "node3": "", "node4": None, "node5": 12345}
    message = fails({"nodes": ["node1", "node3", "node4", "node5", "node6"], "tokens": tokens})
    assert "node3, node4, node5, node6" in message


@pytest.mark.parametrize(("given", "words"), [([], "a list of 0 items"), ("  ", "empty text")])
def test_tokens_of_a_wrong_shape(given: t.Any, words: str) -> None:
    assert words in fails({"nodes": ["node1"], "tokens": given})


def test_each_tenants_node_gets_its_own_tenants_token(panel: Panel) -> None:
    panel.on(
        "POST", "fleet/tokens", lambda seen: Reply(data={"token": f"minted-token-{seen.headers['Authorization'][-1]}"})
    )
    credentials = [{"tenant": "acme", "bearer_token": "tenant-a"}, {"tenant": "beta", "bearer_token": "tenant-b"}]
    tenants = {"node1": "beta", "node2": "acme", "node3": "beta"}
    args = panel.options(nodes=list(tenants), credentials=credentials, tenants=tenants, per="batch")
    result = act(ActionModule, args)
    assert result["tokens"] == {"node1": "minted-token-b", "node2": "minted-token-a", "node3": "minted-token-b"}
    assert sorted(body["max_uses"] for body in bodies(panel)) == [1, 2]
    message = fails({**args, "tenants": {"node1": "beta", "node2": "other"}})
    assert "node2, node3" in message and "tenants" in message
    # what is not named is looked up in the registry that was read before
    listed = [{"id": "inst_2", "name": "node2", "tenant": "acme"}, {"id": "inst_3", "name": "node3", "tenant": "acme"}]
    known = hostvars({"localhost": {"seen": {"registry": {"instances": listed}}}, "node2": {}, "node3": {}})
    looked_up = {**args, "tenants": {"node1": "beta", "node3": "beta"}, "registry_var": "seen"}
    assert act(ActionModule, looked_up, task_vars={"hostvars": known})["tokens"] == result["tokens"]


REVOKE: dict[str, t.Any] = {"state": "absent", "nodes": ["node1", "node2"], "tokens": TOKENS}


def test_revoking(panel: Panel) -> None:
    panel.on("DELETE", "fleet/tokens/tok_1", Reply(204))
    panel.on("DELETE", "fleet/tokens/tok_2", Reply(404, {"error": "gone"}))
    args = panel.options(
        **REVOKE, ids={"node1": "tok_1", "node2": "tok_2"}, revoke_request={"path": "fleet/tokens/{id}"}
    )
    assert act(ActionModule, args)["changed"] is True
    panel.on("DELETE", "fleet/tokens/tok_1", Reply(404, {"error": "gone"}))
    assert act(ActionModule, args)["changed"] is False


def test_revoking_by_a_body_never_shows_the_token(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens/revoke", Reply(400, {"error": "cannot revoke by-hand-token-1"}))
    request = {"method": "POST", "path": "fleet/tokens/revoke", "body": {"value": "{token}"}}
    message = fails(panel.options(**REVOKE, revoke_request=request))
    assert "400" in message and "********" in message
    assert panel.requests[-1].body == {"value": "by-hand-token-1"}


def test_revoking_by_a_path_never_shows_the_token(panel: Panel) -> None:
    message = fails(panel.options(**REVOKE, revoke_request={"path": "fleet/tokens/{token}", "gone_status": [410]}))
    assert "fleet/tokens/{token}" in message
    assert panel.requests[-1].path == "/api/fleet/tokens/by-hand-token-1"


def test_revoking_needs_the_id_that_the_request_mentions(panel: Panel) -> None:
    args = panel.options(
        **REVOKE, ids={"node1": "tok_1"}, token_id_query="meta.nr", revoke_request={"path": "fleet/tokens/{id}"}
    )
    panel.on("DELETE", "fleet/tokens/tok_1", Reply(204))
    reason = (
        "quazzar_cp_token_revoke_request uses {id}, but the answer to the request for node2's token had none at"
        " 'meta.nr': set quazzar_cp_token_id_query, or use {token}"
    )
    assert reason in fails(args)
    told = act(ActionModule, {**args, "tolerate": True})["manual_step"]
    assert told == f"Revoke in the Control Panel the registration tokens of: node1, node2 ({reason})"


def test_revoking_in_check_mode(panel: Panel) -> None:
    args = panel.options(**REVOKE, ids={"node1": "tok_1"}, revoke_request={"path": "fleet/tokens/{id}"})
    assert act(ActionModule, args, check_mode=True)["changed"] is True
    assert panel.requests == []


def test_without_a_request_revoking_is_a_step_by_hand() -> None:
    result = act(ActionModule, dict(REVOKE))
    assert result["changed"] is False and "node1, node2" in result["manual_step"]
    assert "by-hand-token" not in json.dumps(result)


def test_what_could_not_be_revoked_is_a_step_by_hand(panel: Panel) -> None:
    panel.on("DELETE", "fleet/tokens/by-hand-token-1", Reply(403, {"error": "no"}))
    request = {"path": "fleet/tokens/{token}"}
    result = act(ActionModule, panel.options(**REVOKE, revoke_request=request, tolerate=True))
    assert "node1, node2 (" in result["manual_step"] and "403" in result["manual_step"]
    assert "by-hand-token" not in json.dumps(result)


def test_revoking_needs_tokens() -> None:
    assert "needs tokens" in fails({"state": "absent", "nodes": ["node1"]})


def test_tolerated_failure_is_data(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens", Reply(403, {"error": "not you"}))
    result = act(ActionModule, panel.options(nodes=["node1"], tolerate=True))
    assert not result.get("failed")
    assert "403 (not you)" in result["error"] and result["tokens"] == {} and result["changed"] is False
    assert act(ActionModule, {"nodes": ["node1"], "tokens": TOKENS})["error"] == ""
