# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.run_lock import Holder, Process

NOW = 1_780_000_000
PROCESS = Process("boot pid:[4026531836]", 0, 4711, 99)
RUN_IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
TIMES = st.integers(0, 99_999_999_999)


def parse(file: str, text: bytes = b"", **more: t.Any) -> Holder:
    return run_lock.parse("exclusive", file, text, **{"modified": NOW, "expires_in": 60, **more})


def holder(run_id: str, kind: str = "exclusive", until: int = NOW + 60) -> Holder:
    return Holder(kind, run_lock.name(until, run_id), run_id, until, f"{run_id} of somebody")


def names(holders: t.Iterable[Holder]) -> list[str]:
    return [each.run_id or each.name for each in holders]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(run_lock.KINDS),
    RUN_IDS,
    st.text(max_size=150),
    TIMES,
    TIMES,
    st.none() | st.builds(Process, st.text(min_size=1), TIMES, st.integers(1, 99_999_999), TIMES),
)
def test_what_is_written_is_read_again(
    kind: str, run_id: str, who: str, since: int, until: int, process: Process | None
) -> None:
    text = run_lock.content(Holder("shared", "", run_id, NOW, who, since, process)).encode("utf-8", "surrogateescape")
    found = run_lock.parse(kind, run_lock.name(until, run_id), text, modified=0, expires_in=1)
    assert (found.kind, found.run_id, found.until, found.since) == (kind, run_id, until, since)
    assert found.process == process
    assert found.who.isprintable() and found.who


JUNK = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["who", "since", "process", "pid", "x"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode()),
    st.integers(0, 4096).map(lambda depth: b"[" * depth),
    st.integers(0, 4000).map(lambda digits: b'{"since": ' + b"9" * digits + b"}"),
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | RUN_IDS.map(lambda run_id: f"17.{run_id}"), JUNK, TIMES, st.integers(1, 10**12))
def test_anything_else_holds_the_lock_for_a_while(file: str, text: bytes, modified: int, expires_in: int) -> None:
    found = parse(file, text, modified=modified, expires_in=expires_in)
    assert found.name == file and found.who and found.who.isprintable()
    assert 0 <= found.until < 100_000_000_000
    if not found.run_id:
        assert found.until == min(modified + expires_in, 99_999_999_999) and found.process is None
    # Whatever it is, a message can be made of it.
    for line in (run_lock.refusal([found], "cp1", "/x"), run_lock.taken_over(found, now=NOW)):
        assert line.isprintable()


@pytest.mark.parametrize(
    "file",
    [
        "",
        "x",
        ".x",
        "17",
        "17.",
        "17.a b",
        "17.a\n",
        "17.-a",
        "-1.a",
        "1e3.a",
        "\u0661.a",
        f"{'9' * 12}.a",
        f"1.{'a' * 65}",
    ],
)
def test_names_that_are_none_of_ours(file: str) -> None:
    found = parse(file)
    assert (found.run_id, found.until) == ("", NOW + 60)
    assert "which is no entry of a lock" in found.who


def test_a_file_without_its_content_still_says_what_decides() -> None:
    found = parse(f"{NOW}.run-1")
    assert (found.run_id, found.until, found.who) == ("run-1", NOW, "a run that left no name")
    assert found.line() == "a run that left no name (run run-1, exclusive, until 2026-05-28T20:26:40Z)"


@pytest.mark.parametrize(
    "process",
    [None, [], {}, {"machine": "", "user": 0, "pid": 1, "start": 1}, {"machine": "m", "user": 0, "pid": 0, "start": 1},
     {"machine": "m", "user": 0, "pid": True, "start": 1}, {"machine": "m", "user": -1, "pid": 1, "start": 1},
     {"machine": 1, "user": 0, "pid": 1, "start": 1}, {"machine": "m", "user": 0, "pid": 1}],
)  # fmt: skip
def test_half_a_process_is_none(process: t.Any) -> None:
    assert parse("17.a", json.dumps({"process": process}).encode()).process is None


def test_a_terminal_cannot_be_steered() -> None:
    assert parse("17.a", json.dumps({"who": "a\x1b[2Jb\r\nc\u202e"}).encode()).who == "a [2Jb c"
    assert run_lock.shown("a" * 199 + " b") == "a" * 199


@pytest.mark.parametrize("run_id", ["", " a", "a/b", ".a", "a" * 65, "a\n", "\u00e4"])
def test_run_ids_that_cannot_be_a_name(run_id: str) -> None:
    with pytest.raises(InputError, match="run_id is"):
        run_lock.checked_run_id(run_id)


@pytest.mark.parametrize("expires_in", [0, -5, 10**12])
def test_an_end_that_is_none(expires_in: int) -> None:
    with pytest.raises(InputError, match="expected a number of seconds from 1 on"):
        run_lock.checked_end(NOW, expires_in)


@pytest.mark.parametrize(
    ("wanted", "there", "blocked"),
    [
        ("exclusive", "exclusive", True),
        ("exclusive", "shared", True),
        ("shared", "exclusive", True),
        ("shared", "shared", False),
    ],
)
def test_who_blocks_whom(wanted: str, there: str, blocked: bool) -> None:
    other = holder("other", there)
    found = run_lock.decide([other], "me", wanted, now=NOW)
    assert names(found.blocking) == (["other"] if blocked else [])
    assert (found.over, found.mine) == ((), None)
    for more in ({"now": NOW + 60}, {"now": NOW, "ended": {other.name}}):
        found = run_lock.decide([other], "me", wanted, **more)  # type: ignore[arg-type]
        assert (found.blocking, names(found.over)) == ((), ["other"])
    # until the very second
    assert bool(run_lock.decide([other], "me", wanted, now=NOW + 59).blocking) is blocked


def test_what_a_run_holds_itself() -> None:
    early, late = holder("me", until=NOW - 100), holder("me", until=NOW - 50)
    found = run_lock.decide([late, early], "me", "exclusive", now=NOW)
    assert (found.blocking, found.over, found.mine) == ((), (early,), late)


def test_a_shared_lock_becomes_exclusive_only_alone() -> None:
    mine, other = holder("me", "shared"), holder("other", "shared")
    assert names(run_lock.decide([mine, other], "me", "exclusive", now=NOW).blocking) == ["other"]
    assert run_lock.decide([mine], "me", "exclusive", now=NOW).blocking == ()


def test_what_a_run_left_that_died_while_it_made_its_lock_exclusive() -> None:
    mine, other = holder("me"), holder("other")
    assert run_lock.decide([mine, other], "me", "shared", now=NOW).blocking == ()
    assert names(run_lock.decide([mine, other], "me", "exclusive", now=NOW).blocking) == ["other"]


def test_a_refusal_names_the_first_run_and_the_way_out() -> None:
    text = run_lock.content(
        Holder("shared", "", "17", NOW, "ca_rotate by root on control01", NOW - 60, PROCESS)
    ).encode()
    first = parse(f"{NOW + 60}.17", text)
    assert run_lock.refusal([first], "cp1", "/var/lib/a b") == (
        "cp1: /var/lib/a b: another run holds the lock: ca_rotate by root on control01 (run 17, exclusive,"
        " since 2026-05-28T20:25:40Z, until 2026-05-28T20:27:40Z). Let it finish and run again; if it is dead, its lock"
        " expires by itself at 2026-05-28T20:27:40Z (the clock of cp1), or remove it there at once:"
        f" rm '/var/lib/a b/exclusive/{NOW + 60}.17'"
    )
    stray = parse("half 'written")
    assert run_lock.refusal([first, stray], "cp1", "/var/lib/a b").endswith(" at once: rm -r '/var/lib/a b'")
    assert run_lock.taken_over(first, now=NOW + 60).endswith(" had expired")
    assert run_lock.taken_over(first, now=NOW).endswith("was left by process 4711 of this controller, which has ended")


def test_a_loss_says_who_has_it_now() -> None:
    assert "removed it. What was done" in run_lock.loss("me", "cp1: /x", [])
    assert "It is held by other of somebody (run other, exclusive, " in run_lock.loss(
        "me", "cp1: /x", [holder("other")]
    )


COUNTS = st.builds(run_lock.Counts, TIMES, TIMES, TIMES, TIMES)


def shared(run_id: str, counts: run_lock.Counts | None = None, *, ended: bool = False, until: int = NOW + 60) -> Holder:
    return Holder(
        "shared", run_lock.name(until, run_id), run_id, until, f"{run_id} of somebody", counts=counts, ended=ended
    )


@given(COUNTS | st.none(), st.booleans())
def test_what_a_run_has_done_is_read_again(counts: run_lock.Counts | None, ended: bool) -> None:
    entry = shared("x", counts, ended=ended)
    found = run_lock.parse("shared", entry.name, run_lock.content(entry).encode(), modified=0, expires_in=1)
    assert (found.counts, found.ended) == (counts, ended)


@pytest.mark.parametrize(
    "said", [None, [], {}, {"planned": 1}, {"planned": -1, "done": 0, "bad": 0, "rate": 0}, {"planned": True}]
)
def test_what_is_no_count_counts_nothing(said: t.Any) -> None:
    assert run_lock.counts_of(said) is None


def test_a_run_that_has_ended_holds_nothing_and_still_counts() -> None:
    left = shared("left", run_lock.Counts(4, 1, 3, 9), ended=True)
    live = shared("live", run_lock.Counts(5, 2, 1, 10))
    for mine in ((), (shared("me"),)):
        decision = run_lock.decide((left, live, *mine), "me", "shared", now=NOW)
        assert (decision.blocking, decision.over) == ((), ())
        assert run_lock.wave((left, live, *mine), "me", decision) == run_lock.Wave(1, run_lock.Counts(9, 3, 4, 10))
    # while the run is in the wave itself, it counts with nobody else there
    decision = run_lock.decide((left, shared("me")), "me", "shared", now=NOW)
    assert run_lock.wave((left, shared("me")), "me", decision) == run_lock.Wave(0, run_lock.Counts(4, 1, 3, 0))


def test_what_ended_runs_left_goes_with_the_last_of_the_wave() -> None:
    left = shared("left", run_lock.Counts(4, 1, 3, 9), ended=True)
    dead = shared("dead", run_lock.Counts(1, 1, 1, 1), until=NOW)
    for others in ((left,), (left, dead)):
        decision = run_lock.decide(others, "me", "shared", now=NOW)
        assert set(decision.over) == set(others)
        assert run_lock.wave(others, "me", decision) == run_lock.Wave()
    # it does not keep a run from having the lock for itself
    decision = run_lock.decide((left, shared("me")), "me", "exclusive", now=NOW)
    assert (decision.blocking, decision.over) == ((), (left,))
    # its process is not there any more, which means nothing
    decision = run_lock.decide((left, shared("me")), "me", "shared", now=NOW, ended=[left.name])
    assert decision.over == ()


def test_what_an_ended_run_has_done_is_not_forgotten_before_the_wave_is_over() -> None:
    left = shared("left", run_lock.Counts(4, 1, 3, 9), ended=True, until=NOW - 1)
    everybody = (left, shared("live"), shared("me"))
    for there in (everybody, everybody[:2], (left, shared("me"))):
        decision = run_lock.decide(there, "me", "shared", now=NOW)
        assert (decision.blocking, decision.over) == ((), ())
        assert run_lock.wave(there, "me", decision).counts.bad == 3
    # nothing stays for ever: neither with an exclusive lock, nor where whoever was left of the wave has died
    dead = shared("dead", until=NOW)
    assert run_lock.decide((left, shared("me")), "me", "exclusive", now=NOW).over == (left,)
    assert set(run_lock.decide((left, dead), "me", "shared", now=NOW).over) == {left, dead}
    assert run_lock.decide((left,), "me", "exclusive", now=NOW).over == (left,)


def test_what_an_ended_run_did_not_get_to_is_planned_by_nobody_any_more() -> None:
    # It is started again three times, and each time plans what is left: ten nodes, eight of them done in the end.
    relaunched = [
        shared("first", run_lock.Counts(10, 3, 1, 5), ended=True),
        shared("second", run_lock.Counts(7, 4, 0, 5), ended=True),
        shared("third", run_lock.Counts(3, 1, 0, 5)),
    ]
    decision = run_lock.decide(relaunched, "me", "shared", now=NOW)
    assert run_lock.wave(relaunched, "me", decision) == run_lock.Wave(1, run_lock.Counts(4 + 4 + 3, 8, 1, 5))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(COUNTS | st.none(), st.booleans()), max_size=6))
def test_every_run_of_a_wave_sees_the_same_sums(entries: list[tuple[run_lock.Counts | None, bool]]) -> None:
    holders = [shared(f"r{number}", counts, ended=ended) for number, (counts, ended) in enumerate(entries)]
    alive = [each for each in holders if not each.ended]
    sums = set()
    for each in alive:
        seen = run_lock.wave(holders, each.run_id, run_lock.decide(holders, each.run_id, "shared", now=NOW))
        own = each.counts or run_lock.Counts()
        assert seen.runs == len(alive) - 1
        sums.add((seen.counts.planned + own.planned, seen.counts.done + own.done, seen.counts.bad + own.bad))
    assert len(sums) <= 1
