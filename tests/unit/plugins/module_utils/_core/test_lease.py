# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import lease, run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.run_lock import Holder, Process

NOW = 1_780_000_000
WHERE = "https://api.example.com:6443: Lease quazzar/quazzar-cc-ca-rotation"
ABOUT = {"name": "quazzar-cc-ca-rotation", "namespace": "quazzar"}
RUN_IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
TIMES = st.integers(0, 99_999_999_999)
PROCESSES = st.builds(Process, st.text(min_size=1), TIMES, st.integers(1, 99_999_999), TIMES)


def holder(run_id: str, kind: str = "exclusive", until: int = NOW + 60, **more: Any) -> Holder:
    return Holder(kind, run_lock.name(until, run_id), run_id, until, f"{run_id} of somebody", **more)


HOLDERS = st.builds(
    lambda kind, run_id, until, who, since, process: Holder(
        kind, run_lock.name(until, run_id), run_id, until, run_lock.who_of(who), since, process
    ),
    st.sampled_from(run_lock.KINDS),
    RUN_IDS,
    TIMES,
    st.text(max_size=250),
    st.none() | TIMES,
    st.none() | PROCESSES,
)


def made(*holders: Holder, **about: Any) -> dict[str, Any]:
    found = lease.written(None, (), holders, about=ABOUT, now=NOW)
    found["metadata"].update({"resourceVersion": "17", **about})
    return found


def foreign(annotations: dict[str, str] | None, identity: str | None) -> dict[str, Any]:
    return {
        "metadata": {**ABOUT, "resourceVersion": "17", "annotations": annotations},
        "spec": {"holderIdentity": identity},
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(HOLDERS, max_size=5))
def test_what_is_written_is_read_again(everybody: list[Holder]) -> None:
    assert lease.decoded(lease.encoded(everybody)) == tuple(everybody)
    assert lease.holders(made(*everybody), WHERE) == tuple(everybody)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "run_id", "until", "who", "x"]), inner),
)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=100)
    | JUNK.map(json.dumps)
    | st.lists(JUNK).map(json.dumps)
    | st.integers(0, 4096).map(lambda depth: "[" * depth + "]" * depth)
    | st.integers(0, 6000).map(lambda digits: f'[{{"until": {"9" * digits}}}]')
)
def test_anything_else_is_refused_on_one_line(text: str) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        if json.loads(text) == []:
            return
    with pytest.raises(HostError) as refused:
        lease.holders(foreign({lease.ANNOTATION: text}, None), WHERE)
    said = str(refused.value)
    assert said.isprintable() and said.startswith(f"{WHERE}: its annotation {lease.ANNOTATION} is none that")


def test_a_lease_without_a_holder_is_free() -> None:
    assert lease.holders(None, WHERE) == ()
    for identity in (None, ""):
        assert lease.holders(foreign(None, identity), WHERE) == ()
        assert lease.holders(foreign({"somebody": "else"}, identity), WHERE) == ()
    assert lease.holders({"metadata": ABOUT}, WHERE) == ()


def test_a_lease_that_somebody_else_holds_is_refused() -> None:
    with pytest.raises(HostError) as refused:
        lease.holders(foreign({"a": "b"}, "some-operator\x1b[2J_17"), WHERE)
    assert str(refused.value) == (
        f"{WHERE}: expected a Lease for this lock alone, found one that 'some-operator [2J_17' holds and that this"
        " collection has not written; nothing was changed there. See what that is; when nothing needs it, delete it:"
        " kubectl delete lease quazzar-cc-ca-rotation --namespace quazzar"
    )


NO_ENTRY = "expected a kind, a run_id and a time as until in each entry, found another entry 2"
ENTRY = {"kind": "shared", "run_id": "17", "until": "2026-05-28T20:26:40Z"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a list in JSON, found ''"),
        ('{"kind":\n' + "x" * 90, "expected a list in JSON, found '{\"kind\": " + "x" * 51 + "'"),
        (json.dumps(ENTRY), "expected a list in JSON, found '{" + json.dumps(ENTRY)[1:60] + "'"),
        *(
            (json.dumps([ENTRY, wrong]), NO_ENTRY)
            for wrong in (
                None, [], {}, {**ENTRY, "kind": "both"}, {**ENTRY, "kind": []}, {**ENTRY, "run_id": "a/b"},
                {**ENTRY, "run_id": None}, {**ENTRY, "until": 17}, {**ENTRY, "until": "tomorrow"},
                {**ENTRY, "until": "2026-02-30T00:00:00Z"}, {**ENTRY, "until": None},
            )
        ),
    ],
)  # fmt: skip
def test_an_annotation_that_is_none_of_ours_is_refused(text: str, why: str) -> None:
    with pytest.raises(HostError) as refused:
        lease.holders(foreign({lease.ANNOTATION: text}, "me"), WHERE)
    assert str(refused.value) == (
        f"{WHERE}: its annotation quazzar.ca-rotation/holders is none that this collection has written: {why}; nothing"
        " was changed there. When no run is at work, empty it: kubectl annotate lease quazzar-cc-ca-rotation"
        " --namespace quazzar --overwrite --resource-version=17 'quazzar.ca-rotation/holders=[]'"
    )


def test_only_what_decides_has_to_be_there() -> None:
    (found,) = lease.decoded(json.dumps([{**ENTRY, "since": 5, "who": [], "process": {"pid": 1}, "new": 1}]))
    assert found == Holder("shared", f"{NOW}.17", "17", NOW, "a run that left no name")
    (old,) = lease.decoded(json.dumps([{**ENTRY, "until": "1969-12-31T00:00:00Z"}]))
    assert old.until == 0


def test_the_command_that_removes_a_lock_leaves_the_others() -> None:
    mine = holder("me", "shared", since=NOW)
    assert lease.removal(made(mine), [mine]) == (
        "kubectl annotate lease quazzar-cc-ca-rotation --namespace quazzar --overwrite --resource-version=17"
        """ 'quazzar.ca-rotation/holders=[{"kind": "shared", "run_id": "me", "who": "me of somebody","""
        """ "since": "2026-05-28T20:26:40Z", "until": "2026-05-28T20:27:40Z"}]'"""
    )


def test_the_first_one() -> None:
    process = Process("boot pid:[1]", 0, 4711, 99)
    found = lease.written(None, (), [holder("me", since=NOW, process=process)], about=ABOUT, now=NOW)
    entry = {
        "kind": "exclusive",
        "run_id": "me",
        "who": "me of somebody",
        "since": "2026-05-28T20:26:40Z",
        "until": "2026-05-28T20:27:40Z",
        "process": {"machine": "boot pid:[1]", "user": 0, "pid": 4711, "start": 99},
    }
    assert json.loads(found["metadata"]["annotations"].pop(lease.ANNOTATION)) == [entry]
    assert found == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "quazzar-cc-ca-rotation", "namespace": "quazzar", "annotations": {}},
        "spec": {
            "holderIdentity": "me",
            "renewTime": "2026-05-28T20:26:40.000001Z",
            "leaseDurationSeconds": 60,
            "leaseTransitions": 0,
        },
    }


def test_what_others_put_into_the_metadata_stays() -> None:
    before = made(holder("me"), labels={"app": "x"})
    before["metadata"]["annotations"]["note"] = "hands off"
    after = lease.written(before, [holder("me")], [], about={}, now=NOW)
    metadata = {**ABOUT, "resourceVersion": "17", "labels": {"app": "x"}}
    assert after["metadata"] == {**metadata, "annotations": {"note": "hands off", lease.ANNOTATION: "[]"}}
    spec = {"holderIdentity": "", "renewTime": "2026-05-28T20:26:40.000001Z"}
    assert after["spec"] == {**spec, "leaseDurationSeconds": 1, "leaseTransitions": 0}
    assert before["metadata"]["annotations"][lease.ANNOTATION] != "[]"


def test_a_transition_is_a_run_that_was_not_there_before() -> None:
    me, other = holder("me", "shared"), holder("other", "shared", NOW + 90)
    found: dict[str, Any] = made(me)
    for before, after, identity, transitions, duration in (
        ([me], [me], "me", 0, 60),
        ([me], [me, other], "me,other", 1, 90),
        ([me, other], [other], "other", 1, 90),
        ([other], [], "", 1, 1),
        ([], [me], "me", 2, 60),
        ([me], [holder("me", until=99_999_999_999)], "me", 2, 2**31 - 1),
    ):
        found = lease.written(found, before, after, about={}, now=NOW)
        spec = found["spec"]
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == (identity, transitions)
        assert spec["leaseDurationSeconds"] == duration
    fresh = lease.written(foreign(None, None), [], [me], about={}, now=NOW)
    assert fresh["spec"]["leaseTransitions"] == 1 and fresh["metadata"]["name"] == ABOUT["name"]


def test_a_run_keeps_what_it_said_of_itself() -> None:
    mine = holder("me", "shared", since=NOW - 100)
    over, other = holder("gone", "shared", NOW - 1), holder("other", "shared")
    before = (over, mine, other)
    decision = run_lock.decide(before, "me", "shared", now=NOW)
    run = Holder("exclusive", run_lock.name(NOW + 500, "me"), "me", NOW + 500, "somebody new", NOW)
    assert lease.with_run(before, decision, run_lock.renewed(decision.mine, run)) == (
        other,
        Holder("exclusive", f"{NOW + 500}.me", "me", NOW + 500, "me of somebody", NOW - 100),
    )
    assert lease.with_run((), run_lock.decide((), "me", "shared", now=NOW), run_lock.renewed(None, run)) == (run,)
    assert lease.without_run(before, "me") == (over, other)


def test_names() -> None:
    assert lease.name("quazzar-cc") == "quazzar-cc-ca-rotation"


def test_what_a_run_has_done_is_in_its_entry_until_it_says_something_else() -> None:
    mine = holder("me", "shared", since=NOW - 100)
    decision = run_lock.decide((mine,), "me", "shared", now=NOW)
    first = Holder("shared", mine.name, "me", mine.until, "", counts=run_lock.Counts(4, 3, 1, 9))
    (kept,) = lease.with_run((mine,), decision, run_lock.renewed(mine, first))
    assert lease.decoded(lease.encoded([kept])) == (kept,) and kept.counts == run_lock.Counts(4, 3, 1, 9)
    decision = run_lock.decide((kept,), "me", "shared", now=NOW)
    ended = Holder("shared", mine.name, "me", mine.until, "", ended=True)
    (left,) = lease.with_run((kept,), decision, run_lock.renewed(kept, ended))
    assert lease.decoded(lease.encoded([left])) == (left,) and (left.counts, left.ended) == (kept.counts, True)
