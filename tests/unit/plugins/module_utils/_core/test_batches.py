# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Batches as Ansible's serial resolves them, and the failure budget."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.batches import budget, resolve, share
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError


@pytest.mark.parametrize(
    ("batches", "total", "sizes"),
    [
        ([1, "5%", "25%"], 24, (1, 1, 6, 6, 6, 4)),
        ([1, "5%", "25%"], 1000, (1, 50, 250, 250, 250, 199)),
        ([1, "5%", "25%"], 1, (1,)),
        ([1, "5%", "25%"], 0, ()),
        (["100%"], 7, (7,)),
        ([10], 7, (7,)),
        (["1%"], 3, (1, 1, 1)),
        (["0.5%"], 400, (2,) * 200),
        (["7%"], 100, (7,) * 14 + (2,)),
        (2, 5, (2, 2, 1)),
        ("3", 5, (3, 2)),
        ("50%", 5, (2, 2, 1)),
        ("1,50%", 5, (1, 2, 2)),
        ('[1, "50%"]', 5, (1, 2, 2)),
        ("['1', '50%']", 5, (1, 2, 2)),
    ],
)
def test_batches(batches, total, sizes):
    assert resolve(batches, total) == sizes


@given(
    st.lists(st.one_of(st.integers(1, 50), st.integers(0, 100).map("{}%".format)), min_size=1, max_size=4),
    st.integers(0, 300),
)
def test_batches_are_what_ansible_makes_of_them(batches, total):
    """But for shares of which its floating point drops the last node: it takes 69 % of 300 for 206."""
    pytest.importorskip("ansible")
    from ansible.utils.helpers import pct_to_int

    left, at = total, 0
    for size in resolve(batches, total):
        each = batches[at]
        theirs, exact = min(left, pct_to_int(each, total)), total * int(str(each).rstrip("%")) % 100 == 0
        assert size == theirs or (size == theirs + 1 and str(each).endswith("%") and exact), (size, theirs, each)
        left -= size
        at = min(at + 1, len(batches) - 1)
    assert left == 0


@pytest.mark.parametrize(
    "batches", [[], "", 0, [0], "0", [-1], ["a"], ["101%"], [True], [1.5], ["1.5"], [None], ["%"], [[1]]]
)
def test_batches_that_make_no_sense(batches):
    with pytest.raises(InputError):
        resolve(batches, 10)


@pytest.mark.parametrize(
    ("spec", "total", "allowed"),
    [
        ({"nodes": 2, "percent": 2}, 24, 2),
        ({"nodes": 2, "percent": 2}, 1000, 20),
        ({"nodes": 2, "percent": "2%"}, 1000, 20),
        ({"nodes": "3"}, 1000, 3),
        ({"percent": 10}, 19, 1),
        (0, 10, 0),
        ("5", 10, 5),
        ("20%", 10, 2),
        ("0%", 10, 0),
    ],
)
def test_the_budget(spec, total, allowed):
    assert budget(spec, total) == allowed


@pytest.mark.parametrize(
    "spec", [{}, {"node": 1}, "x", -1, {"percent": 101}, {"nodes": "a"}, None, True, {"nodes": True}]
)
def test_budgets_that_make_no_sense(spec):
    with pytest.raises(InputError):
        budget(spec, 10)


def test_a_long_run_of_blanks_takes_no_time():
    began = time.process_time()
    with pytest.raises(InputError):
        resolve("10" + " " * 200_000 + "x", 10)
    assert time.process_time() - began < 5


NAMES = st.lists(st.text(min_size=1, max_size=5), unique=True, min_size=1, max_size=40)


@given(NAMES, st.data())
def test_shares_have_nothing_in_common_and_are_all_together(names, data):
    of = data.draw(st.integers(1, len(names)))
    shares = [share(names, f"{number}/{of}") for number in range(1, of + 1)]
    assert sorted(name for each in shares for name in each) == sorted(names)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert share(names, "") == tuple(names)


@pytest.mark.parametrize("spec", ["0/2", "3/2", "1", "1/", "/2", "a/b", "1/0", "-1/2", "1/2/3"])
def test_shares_that_make_no_sense(spec):
    with pytest.raises(InputError, match=r"^quazzar_slice is '.*', expected a number and how many there are"):
        share(["a", "b", "c"], spec)


def test_a_share_without_a_node_says_how_many_there_can_be():
    with pytest.raises(InputError, match=r"but there are 2 nodes: use at most so many slices$"):
        share(["a", "b"], "3/3")


def test_a_budget_may_be_the_answer_to_a_survey():
    assert budget('{"nodes": 2, "percent": 10}', 100) == 10
    with pytest.raises(InputError, match="which is no JSON"):
        budget("{nodes", 10)
