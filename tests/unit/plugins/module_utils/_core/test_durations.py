# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import durations
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90), ("90", 90), (1.5, 1.5), ("90s", 90), ("15m", 900), ("36h", 129600), ("90d", 7776000), (" 2 h ", 7200),
        ("0", 0), ("0.5m", 30),
    ],
)  # fmt: skip
def test_the_forms(text: object, seconds: float) -> None:
    assert durations.parse(text, "x") == timedelta(seconds=seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "m", "-5", "-5m", "5 weeks", "1h30m", "1e3", "nan", "inf", None, True, [], "5m\nx"]
)
def test_anything_else_is_named(text: object) -> None:
    with pytest.raises(InputError, match="evidence_max_age: expected a duration"):
        durations.parse(text, "evidence_max_age")  # type: ignore[arg-type]


def test_a_long_run_of_blanks_takes_no_time() -> None:
    began = time.process_time()
    with pytest.raises(InputError):
        durations.parse("10" + " " * 200_000 + "x", "x")
    assert time.process_time() - began < 5


def test_a_number_that_no_clock_can_hold() -> None:
    with pytest.raises(InputError, match="too long"):
        durations.parse("9" * 30 + "d", "x")


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.none()))
def test_it_gives_a_duration_or_an_input_error(value: object) -> None:
    with contextlib.suppress(InputError):
        assert durations.parse(value, "x") >= timedelta(0)  # type: ignore[arg-type]
