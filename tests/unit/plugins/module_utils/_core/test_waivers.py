# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waivers: a typing error, an unknown name or a date in the past is never silently an exception to the gate."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.waivers import Waiver, parse

NOW = datetime(2026, 12, 1, 12, 0, 0, tzinfo=timezone.utc)
GOOD = {"node": "node1", "reason": "scrapped in January", "owner": "ops", "expires": "2027-01-31"}
END_OF_JANUARY = datetime(2027, 1, 31, 23, 59, 59, tzinfo=timezone.utc)


def read(*items, now=NOW):
    return parse(list(items), known_nodes=("node1", "node2"), now=now)


def test_a_waiver():
    expected = (Waiver("node1", "scrapped in January", "ops", END_OF_JANUARY),)
    assert read(GOOD) == expected
    assert parse({"waivers": [GOOD]}, known_nodes=["node1"], now=NOW) == expected


def test_an_empty_file():
    for nothing in (None, [], {"waivers": None}, {"waivers": []}):
        assert parse(nothing, known_nodes=(), now=NOW) == ()


@pytest.mark.parametrize(
    ("expires", "moment"),
    [
        (date(2027, 1, 31), END_OF_JANUARY),
        ("2027-01-31T10:00:00Z", END_OF_JANUARY.replace(hour=10, minute=0, second=0)),
        ("2027-01-31T10:00:00+02:00", END_OF_JANUARY.replace(hour=8, minute=0, second=0)),
        (datetime(2027, 1, 31, 10, 0, 0), END_OF_JANUARY.replace(hour=10, minute=0, second=0)),
        ("2026-12-01", NOW.replace(hour=23, minute=59, second=59)),
    ],
)
def test_dates(expires, moment):
    (waiver,) = read({**GOOD, "expires": expires})
    assert waiver.expires == moment
    assert waiver.expires.utcoffset() == timedelta(0)


def test_the_last_moment():
    last = {**GOOD, "expires": "2026-12-01T12:00:00Z"}
    assert read(last)
    with pytest.raises(InputError, match="ended on 2026-12-01T12:00:00Z"):
        read(last, now=NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"node": "nodeX"}, "nodeX is neither in the inventory nor"),
        ({"expires": "2026-11-30"}, "ended on 2026-11-30"),
        ({"expires": "soon"}, "expected a date"),
        ({"expires": 20270131}, "expected a date"),
        ({"expires": "2027-13-01"}, "expected a date"),
        ({"reason": " "}, "without reason"),
        ({"owner": None}, "without owner"),
        ({"nodes": "node2"}, "with unknown nodes"),
    ],
)
def test_what_is_refused_and_why(change, why):
    with pytest.raises(InputError, match="waiver 2: .*" + why):
        read({**GOOD, "node": "node2"}, {**GOOD, **change})


def test_everything_wrong_is_told_at_once():
    with pytest.raises(InputError) as caught:
        read({**GOOD, "node": "x"}, "text", {}, GOOD, GOOD)
    for part in (
        "waiver 1",
        "waiver 2: expected a mapping",
        "waiver 3: without node, reason",
        "node1 has more than one",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("data", ["text", 5, {"waiver": []}, {"node": "node1"}])
def test_a_file_of_another_kind(data):
    with pytest.raises(InputError, match="must hold a list"):
        parse(data, known_nodes=("node1",), now=NOW)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.dates() | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["node", "reason", "owner", "expires", "waivers"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(json_like)
def test_any_data_is_read_or_refused(data):
    try:
        waivers = parse(data, known_nodes=("node1",), now=NOW)
    except InputError:
        return
    assert all(waiver.node == "node1" and waiver.expires >= NOW for waiver in waivers)
