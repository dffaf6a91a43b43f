# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import registry
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError

TEN = datetime(2026, 5, 3, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-03T10:00:00Z", TEN),
        ("2026-05-03t10:00:00z", TEN),
        ("2026-05-03 10:00:00", TEN),
        ("2026-05-03T12:30:00+02:30", TEN),
        ("2026-05-03T05:00:00-0500", TEN),
        ("2026-05-03T10:00:00.123456789Z", TEN + timedelta(microseconds=123456)),
        ("2026-05-03T10:00:00,5Z", TEN + timedelta(milliseconds=500)),
        ("2026-05-03T09:59:60Z", TEN - timedelta(seconds=1)),
        (1777802400, TEN),
        (1777802400000, TEN),
        (1777802400.5, TEN + timedelta(milliseconds=500)),
        (TEN.replace(tzinfo=None), TEN),
        (TEN.astimezone(timezone(timedelta(hours=2))), TEN),
        (None, None),
        ("", None),
        (0, None),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_times(value: t.Any, expected: datetime | None) -> None:
    assert registry.parse_time(value, "seen") == expected


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-05-03", "2026-13-03T10:00:00Z", True, [], {}, 1e300, float("nan")]
)
def test_what_is_no_time_is_an_error_that_names_the_variable(value: t.Any) -> None:
    with pytest.raises(InputError, match="seen: expected a time"):
        registry.parse_time(value, "seen")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.integers() | st.floats() | st.none())
def test_any_value_is_a_time_or_an_input_error(value: t.Any) -> None:
    try:
        found = registry.parse_time(value, "seen")
    except InputError:
        return
    assert found is None or found.tzinfo is timezone.utc


@settings(max_examples=100, deadline=None)
@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1), timezones=st.just(timezone.utc)))
def test_what_is_written_is_read_back(moment: datetime) -> None:
    assert registry.parse_time(registry.format_time(moment), "x") == moment.replace(microsecond=0)


ROWS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "name", "status", "last_seen", "tenant", "x"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_any_answer_gives_instances_or_an_error_that_names_the_query(rows: t.Any) -> None:
    try:
        found = registry.instances_from_rows(
            rows, tenant="", active_statuses=(), inactive_statuses=(), variable="the_query", source="the URL"
        )
    except InputError as error:
        text = str(error)
    else:
        text = "the_query the URL"
        assert len(found) == len(rows) and all(instance.id and instance.name for instance in found)
    assert "the_query" in text and "the URL" in text


def test_an_unknown_status_counts_as_active() -> None:
    assert registry.is_active("hibernating", (), registry.DEFAULT_INACTIVE) is True
    assert registry.is_active("DELETED", (), registry.DEFAULT_INACTIVE) is False
    assert registry.is_active("hibernating", ("online",), ()) is False
    assert registry.is_active("ONLINE", ("Online",), ("online",)) is True


def instance(name: str, seen: datetime | None = None, **more: t.Any) -> registry.Instance:
    values = {"id": f"i-{name}", "name": name, "status": "", "last_seen": seen, "tenant": "", "active": True, **more}
    return registry.Instance(**values)


def listing(*names: str, total: int | None = None, tenant: str = "") -> registry.Listing:
    found = tuple(instance(name, tenant=tenant) for name in names)
    return registry.Listing(tenant, found, len(found) if total is None else total)


@pytest.mark.parametrize(
    ("listings", "stated", "words"),
    [
        ((), True, "nothing was asked"),
        ((listing("a"),), False, "scoped to a tenant"),
        ((listing("a", total=2),), True, "summary counts 2"),
        ((listing("a"), listing("b", total=3, tenant="beta")), True, "of tenant beta has 1 instances"),
        ((listing("a"), listing("a")), False, "see the same instances"),
        ((listing(), listing()), False, "see the same instances"),
        ((registry.Listing("", (), None, "404"),), True, "404"),
        ((listing("a"),), True, ""),
        ((listing("a"), listing("b")), False, ""),
    ],
)
def test_complete_only_with_a_reason(listings: tuple[registry.Listing, ...], stated: bool, words: str) -> None:
    merged = registry.merge(listings, stated_complete=stated)
    assert merged.complete is (words == "")
    assert words in merged.incomplete_reason and bool(merged.incomplete_reason) is not merged.complete


def test_an_instance_that_two_tenants_see_is_one() -> None:
    merged = registry.merge((listing("a", "b"), listing("b", "c")), stated_complete=True)
    assert [found.name for found in merged.instances] == ["a", "b", "c"] and merged.summary_total == 4


def test_duplicates_are_within_a_tenant() -> None:
    found = [instance("a", id="1"), instance("a", id="2"), instance("a", id="3", tenant="beta"), instance("b")]
    assert registry.duplicates(found) == (("a", ("1", "2")),)


@pytest.mark.parametrize(
    ("seen", "after", "arrived"),
    [
        (TEN, TEN, False),
        (TEN + timedelta(milliseconds=900), TEN, False),
        (TEN + timedelta(seconds=1), TEN, True),
        (TEN + timedelta(milliseconds=900), TEN + timedelta(milliseconds=800), True),
        (TEN, TEN + timedelta(milliseconds=800), False),
        (None, TEN, False),
    ],
)
def test_only_a_later_second_is_a_new_heartbeat(seen: datetime | None, after: datetime, arrived: bool) -> None:
    found = registry.arrivals([instance("a", seen)], ["a", "i-a", "other"], after)
    assert found == ((("a", "i-a"), ("other",)) if arrived else ((), ("a", "i-a", "other")))
