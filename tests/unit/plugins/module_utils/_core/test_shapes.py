# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.shapes import Needed, check

SHAPE = {
    "name": Needed(str),
    "size": int,
    "ratio": float,
    "on": bool,
    "items": [{"path": Needed(str)}],
    "more": {"x": [int]},
}


@pytest.mark.parametrize(
    "value",
    [
        {"name": ""},
        {"name": "a", "size": None, "items": None, "more": None, "unknown": object()},
        {"name": "a", "size": -1, "ratio": 1, "on": False, "items": ({"path": "/"},), "more": {"x": []}},
        {"name": "a", "ratio": 0.5, "items": []},
    ],
)
def test_what_fits(value: t.Any) -> None:
    check(value, SHAPE, "it")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "it: expected a mapping, found nothing (null)"),
        ([], "it: expected a mapping, found a list of 0 items"),
        ({}, "it.name: expected a text, found nothing (null)"),
        ({"name": 1}, "it.name: expected a text, found a number"),
        ({"name": "a", "size": 1.0}, "it.size: expected a whole number, found a number"),
        ({"name": "a", "size": True}, "it.size: expected a whole number, found a boolean"),
        ({"name": "a", "ratio": True}, "it.ratio: expected a number, found a boolean"),
        ({"name": "a", "ratio": float("nan")}, "it.ratio: expected a number, found a number"),
        ({"name": "a", "ratio": 10**400}, "it.ratio: expected a number, found a number"),
        ({"name": "a", "on": 1}, "it.on: expected true or false, found a number"),
        ({"name": "a", "items": "ab"}, "it.items: expected a list, found text"),
        ({"name": "a", "items": [{"path": "/"}, {}]}, "it.items[1].path: expected a text, found nothing (null)"),
        ({"name": "a", "items": [None]}, "it.items[0]: expected a mapping, found nothing (null)"),
        ({"name": "a", "more": {"x": [None]}}, "it.more.x[0]: expected a whole number, found nothing (null)"),
    ],
)
def test_what_does_not_names_the_place_and_quotes_nothing(value: t.Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        check(value, SHAPE, "it")
    assert str(caught.value) == sentence


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_anything_fits_or_is_an_input_error(value: t.Any) -> None:
    with contextlib.suppress(InputError):
        check({"name": "a", "more": value, "items": [value]}, SHAPE, "it")
