# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import tokens

URL = {"api_url": "https://panel.test/api"}
CLOCK = datetime(2026, 5, 3, 10, 0, tzinfo=timezone.utc)
NODES = ["node1", "node2", "node3"]


def test_by_hand_takes_only_the_nodes_asked_for_in_their_order():
    given = {"node9": "t9", "node1": "t1\n", "node2": " t2"}
    assert list(tokens.by_hand(given, ["node2", "node1"]).items()) == [("node2", "t2"), ("node1", "t1")]
    assert tokens.by_hand("t", []) == {}


@given(st.dictionaries(st.sampled_from(NODES), st.one_of(st.none(), st.integers(), st.text(max_size=3))))
def test_by_hand_gives_every_node_a_token_or_names_those_without(given):
    lacking = [n for n in NODES if not (isinstance(given.get(n), str) and given[n].strip())]
    if not lacking:
        assert tokens.by_hand(given, NODES) == {node: given[node].strip() for node in NODES}
        return
    with pytest.raises(InputError) as caught:
        tokens.by_hand(given, NODES)
    assert f"for: {', '.join(lacking)}." in str(caught.value)


def test_no_representation_holds_a_token():
    assert "geheim" not in repr(tokens.Minted("geheim", "tok_1"))
    for wrong in (["geheim"], {"node1": "geheim"}):
        with pytest.raises(InputError) as caught:
            tokens.by_hand(wrong, NODES)
        assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("template", "uses", "expires_in", "body"),
    [
        ({}, 1, 60, {"max_uses": 1, "expires_in": 60}),
        ({"max_uses": 5}, 1, None, {"max_uses": 5}),
        ({"n": "{uses}"}, 2, None, {"n": 2}),
        ({"until": "{expires_at}"}, None, 60, {"until": "2026-05-03T10:01:00Z"}),
        ({"name": "for {node}"}, None, None, {"name": "for node1"}),
    ],
)
def test_a_limit_goes_where_the_template_says_else_under_its_usual_name(template, uses, expires_in, body):
    before = dict(template)
    assert tokens.mint_body(template, node="node1", uses=uses, expires_in=expires_in, clock=CLOCK) == body
    assert template == before


def test_one_credential_serves_all_nodes_whatever_their_tenants():
    for options in ({"bearer_token": "a"}, {"credentials": [{"tenant": "acme", "bearer_token": "a"}]}):
        ((client, group),) = tokens.clients_for({**URL, **options, "tenants": {"node1": "beta"}}, NODES)
        assert (client.credential.bearer_token, group) == ("a", NODES)


def test_a_tenant_without_nodes_needs_no_session():
    credentials = [{"tenant": name, "bearer_token": name} for name in ("acme", "beta", "gamma")]
    options = {**URL, "credentials": credentials, "tenants": {"node1": "gamma", "node2": "acme", "node3": "gamma"}}
    found = [(client.credential.tenant, group) for client, group in tokens.clients_for(options, NODES)]
    assert found == [("acme", ["node2"]), ("gamma", ["node1", "node3"])]


def test_credentials_without_names_cannot_be_told_apart():
    options = {**URL, "credentials": [{"bearer_token": "a"}, {"bearer_token": "b"}], "tenants": {"node1": ""}}
    with pytest.raises(InputError, match=r"2 tenants.*: node1, node2, node3\."):
        tokens.clients_for(options, NODES)


@pytest.mark.parametrize(
    ("made", "expires_in", "words"),
    [(0, 60, ""), (2, None, "not used: 2. Revoke them in the Control Panel."), (1, 60, "They expire 60 s after")],
)
def test_what_is_left_over(made, expires_in, words):
    note = tokens.unused_note(made, expires_in)
    assert words in note
    assert bool(note) == bool(made)
    assert ("expire" in note) == bool(made and expires_in)
