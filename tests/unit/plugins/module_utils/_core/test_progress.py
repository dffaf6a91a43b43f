# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import progress
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.run_lock import Counts, Wave

NODES = [f"n{number}" for number in range(10)]


def measure(outcomes: dict[str, str], **more: t.Any) -> progress.Progress:
    given_ = {"lost_before": [], "budget": 2, "canaries": 1, "seconds": 60.0, "stop_requested": "", **more}
    return progress.measure(NODES, outcomes, **given_)


def test_one_line_after_each_batch() -> None:
    seen = measure({"n0": "registered", "n1": "already", "n2": "failed"}, seconds=30)
    assert seen.line == "2 of 10 nodes done, 7 left, 1 failed, 4 nodes a minute, failure budget 1 of 2 used"
    assert (seen.done, seen.bad, seen.left, seen.halt) == (("n0", "n1"), ("n2",), tuple(NODES[3:]), "")


@pytest.mark.parametrize("outcome", sorted(progress.BAD))
def test_every_bad_outcome_uses_up_the_budget(outcome: str) -> None:
    seen = measure({"n0": "registered", "n1": outcome, "n2": outcome, "n3": outcome})
    assert seen.used == 3
    assert seen.halt == ("the failure budget is used up: 3 nodes, 2 allowed (failed: n1, n2, n3)")


def test_the_budget_is_what_may_fail_not_what_may_not() -> None:
    assert measure({"n0": "registered", "n1": "failed", "n2": "failed"}).halt == ""
    assert measure({"n0": "registered", "n1": "failed"}, budget=0).halt


def test_a_failed_canary_halts_within_the_budget() -> None:
    assert measure({"n0": "not proven"}).halt == "the canary failed: n0"
    assert measure({"n0": "registered", "n1": "failed"}, canaries=2).halt == "the canary failed: n1"
    assert measure({"n0": "registered", "n1": "failed"}, canaries=1).halt == ""


def test_nodes_that_were_lost_before_count() -> None:
    seen = measure({"n0": "registered"}, lost_before=["x", "y", "z"])
    assert seen.halt == (
        "the failure budget is used up: 3 nodes, 2 allowed (failed: none, unreachable before the first batch: x, y, z)"
    )
    assert measure({"n0": "registered"}, lost_before=["x", "y"]).halt == ""


def test_a_request_to_stop_means_something_only_while_something_is_left() -> None:
    asked = "a stop was asked for"
    assert measure({"n0": "registered"}, stop_requested=asked).halt == asked
    assert measure(dict.fromkeys(NODES, "registered"), stop_requested=asked).halt == ""


def test_no_time_has_passed() -> None:
    assert measure({"n0": "registered"}, seconds=0).rate == 0


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(NODES), st.sampled_from(["registered", "already", "predicted", *sorted(progress.BAD)])
    ),
    st.integers(0, 5),
    st.integers(0, 3),
    st.lists(st.sampled_from(["x", "y", "z"]), unique=True),
)
def test_every_node_is_in_one_place_and_a_halt_has_a_cause(
    outcomes: dict[str, str], budget: int, canaries: int, lost: list[str]
) -> None:
    seen = measure(outcomes, budget=budget, canaries=canaries, lost_before=lost)
    assert sorted([*seen.done, *seen.bad, *seen.left]) == NODES
    bad_canary = set(seen.bad) & set(NODES[:canaries])
    assert bool(seen.halt) is (bool(bad_canary) or len(seen.bad) + len(lost) > budget)


BESIDE = Wave(1, Counts(10, 4, 2, 30))


def test_runs_beside_each_other_have_one_budget() -> None:
    seen = measure({"n0": "registered", "n1": "failed"}, wave=BESIDE)
    assert seen.halt == ("the failure budget is used up: 3 nodes, 2 allowed (failed: n1, in runs beside this one: 2)")
    assert seen.line == (
        "1 of 10 nodes done, 8 left, 1 failed, 1 nodes a minute, failure budget 3 of 2 used;"
        " with the runs beside it (1 at work) 5 of 20, 31 a minute"
    )
    assert seen.counts == Counts(10, 1, 1, 1)
    assert measure({"n0": "registered"}, wave=BESIDE).halt == ""


def test_a_run_that_begins_later_is_halted_by_what_the_others_have_done() -> None:
    assert measure({}, wave=BESIDE, budget=1).halt.startswith("the failure budget is used up: 2 nodes, 1 allowed")
    # what it finds itself before its first batch, and a request to stop, wait until that has ended, as without others
    assert measure({}, lost_before=["x", "y", "z"], stop_requested="stop").halt == ""


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 300)), min_size=1, max_size=8), st.integers(1, 500))
def test_the_rate_of_all_runs_together_is_kept(batches: list[tuple[int, int]], limit: int) -> None:
    """Each of the runs registers such a batch, waits, and registers it again."""
    runs = len(batches)
    rate = 0.0
    for size, seconds in batches:
        waited = progress.pause(size, limit=limit, runs=runs, seconds=seconds)
        rate += size * 60 / max(seconds + waited, 1e-9)
    assert rate <= limit * (1 + 1e-9)
    assert progress.pause(5, limit=0, runs=2, seconds=0) == 0
