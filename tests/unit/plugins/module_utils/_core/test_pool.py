# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The trust pool's text: nothing but the one value ever changes, and real readers read what was written."""

from __future__ import annotations

import contextlib
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pool
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError

NAME = "CC_TRUST_ADDITIONAL_CA_CERTS"

plain_paths = st.text("abcXYZ019_.@%+=:-/", min_size=1, max_size=12).map("/{}".format)
odd_paths = st.text("az.;&|<>()*?~#![]{} é-", max_size=12).map("/{}z".format)
elements = st.one_of(plain_paths, st.sampled_from(["", " ", "  "]), plain_paths.map(lambda path: f" {path} "))
values = st.lists(elements, max_size=5).map(",".join)
before = st.sampled_from(["", "  ", "export ", " export\t"])
quotes = st.sampled_from(["", "'", '"'])
after = st.sampled_from(["", "  ", " # old CAs, do not touch", "\t#x", "\r", " # note\r"])


def in_line(line, name=NAME):
    return pool.find_assignments([(1, line)], name)[-1]


@st.composite
def lines(draw):
    quote, value = draw(quotes), draw(values)
    if not quote:
        value = value.strip()
    return f"{draw(before)}{NAME}={quote}{value}{quote}{draw(after)}", value


@given(lines())
def test_a_line_is_read_and_stays_as_it_is(line_and_value):
    line, value = line_and_value
    found = in_line(line)
    assert found.value == value
    assert found.line == line
    assert pool.render(found, NAME, found.value) == line


@given(lines(), st.lists(st.one_of(plain_paths, odd_paths), min_size=1, max_size=3))
def test_what_is_added_is_read_back_and_nothing_else_changes(line_and_value, add):
    line, value = line_and_value
    found = in_line(line)
    changed = pool.with_entries(found.value, add, [])
    again = in_line(pool.render(found, NAME, changed))
    assert again.value == changed
    assert pool.entries(changed) == tuple(dict.fromkeys([*pool.entries(value), *add]))
    assert (again.prefix, again.suffix) == (found.prefix, found.suffix)
    kept = [element for element in value.split(",") if element.strip()]
    still = [element for element in changed.split(",") if element.strip()][: len(kept)]
    assert ",".join(still).strip() == ",".join(kept).strip()


@given(values, st.lists(plain_paths, min_size=1, max_size=3))
def test_removing_what_was_added_gives_the_old_entries(value, add):
    new = [path for path in add if path not in pool.entries(value)]
    assert pool.entries(pool.with_entries(pool.with_entries(value, new, []), [], new)) == pool.entries(value)


@given(values, st.data())
def test_nothing_to_do_changes_nothing(value, data):
    present = pool.entries(value)
    add = data.draw(st.lists(st.sampled_from(present), max_size=3)) if present else []
    assert pool.with_entries(value, add, ["/not/there"]) == value


@given(values, st.data())
def test_an_entry_is_removed_everywhere_and_alone(value, data):
    present = pool.entries(value)
    if present:
        gone = data.draw(st.sampled_from(present))
        assert pool.entries(pool.with_entries(value, [], [gone])) == tuple(p for p in present if p != gone)


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_is_read_or_refused(text, value):
    for line in (text, f"{NAME}={text}", f"export {NAME}='{text}", f'{NAME}="{text}"'):
        line = line.replace("\n", " ")  # noqa: PLW2901
        try:
            found = pool.find_assignments([(1, line)], NAME)
        except InputError:
            continue
        if found:
            assert found[-1].line == line
            with contextlib.suppress(InputError):
                assert in_line(pool.render(found[-1], NAME, value)).value == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (f"{NAME}=", ""),
        (f"{NAME}=/a.crt", "/a.crt"),
        (f"{NAME}=/a.crt,/b.crt", "/a.crt,/b.crt"),
        (f"{NAME}=/a.crt,,/b.crt,", "/a.crt,,/b.crt,"),
        (f"  export {NAME}='/a b.crt'  # the old one", "/a b.crt"),
        (f'{NAME}="/a.crt" # it\'s "old"', "/a.crt"),
        (f"{NAME} = /a.crt", "/a.crt"),
        (f"{NAME}=/a.crt\r", "/a.crt"),
        (f"{NAME}=   # nothing yet", ""),
        (f"{NAME}=/with#hash", "/with#hash"),
        (f'{NAME}=""', ""),
    ],
)
def test_known_lines(line, value):
    assert in_line(line).value == value
    assert pool.render(in_line(line), NAME, value) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# comment",
        f"#{NAME}=/a.crt",
        f"MY_{NAME}=/a.crt",
        f"{NAME}_OLD=/a.crt",
        f"OTHER={NAME}=/a",
        f"export {NAME}",
    ],
)
def test_lines_that_do_not_set_it(line):
    assert pool.find_assignments([(1, line)], NAME) == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"{NAME}+=,/a.crt", "appends"),
        (f'{NAME}="/a.crt', "not closed"),
        (f"{NAME}='/a.crt'/b", "follows the closing quote"),
        (f"{NAME}=/a.crt; export {NAME}", "means something else"),
        (f"{NAME}=$DIR/a.crt", "means something else"),
        (f'{NAME}="$DIR/a.crt"', "means something else"),
        (f"{NAME}=/a\\ b.crt", "means something else"),
        (f"{NAME}=/a.crt,\\", "means something else"),
        (f"{NAME}='/a\x00.crt'", "control character"),
    ],
)
def test_lines_that_are_refused_by_number(line, why):
    with pytest.raises(InputError, match=why) as caught:
        pool.find_assignments([(3, f"{NAME}=/fine.crt"), (12, line)], NAME)
    assert "line 12" in str(caught.value)


def test_the_last_one_is_in_force_and_a_broken_one_before_it_does_not_matter():
    found = pool.find_assignments([(1, f"{NAME}=/a"), (2, f'{NAME}="/b'), (9, f"export {NAME}='/c'\n")], NAME)
    assert [(each.number, each.value) for each in found] == [(1, "/a"), (9, "/c")]
    assert pool.render(found[-1], NAME, "/c,/d") == f"export {NAME}='/c,/d'"


@pytest.mark.parametrize("odd", [",", "\n", "\r", "'", '"', "\\", "$", "`"])
def test_paths_that_cannot_be_added(odd):
    path = f"/a{odd}b"
    with pytest.raises(InputError) as caught:
        pool.with_entries("/x", [path], [])
    assert str(caught.value) == f"{path!r} cannot stand in a comma-separated list of paths: it holds {odd!r}"


@pytest.mark.parametrize("path", ["relative", "/a ", "", " /a"])
def test_paths_that_are_none(path):
    with pytest.raises(InputError, match="cannot be added: expected an absolute path without blanks around it"):
        pool.with_entries("/x", [path], [])


def test_a_path_is_not_added_and_removed_at_once():
    with pytest.raises(InputError, match="at once"):
        pool.with_entries("", ["/a"], ["/a"])


def test_a_new_line_has_quotes_only_when_it_needs_them():
    assert pool.render(None, NAME, "/a.crt,/b.crt") == f"{NAME}=/a.crt,/b.crt"
    assert pool.render(None, NAME, "/a b.crt") == f'{NAME}="/a b.crt"'
    assert pool.render(in_line(f"export {NAME}=/a # c"), NAME, "/a,/b c") == f'export {NAME}="/a,/b c" # c'


def test_a_name_that_is_none():
    with pytest.raises(InputError, match="not the name"):
        pool.find_assignments([], "A B")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(plain_paths, odd_paths), min_size=1, max_size=2), before, quotes, st.sampled_from(["", " # c"])
)
def test_a_shell_reads_what_was_written(add, prefix, quote, suffix):
    found = in_line(f"{prefix}{NAME}={quote}/first.crt{quote}{suffix}")
    line = pool.render(found, NAME, pool.with_entries(found.value, add, []))
    script = f'{line}\nprintf %s "${NAME}"'
    read = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert read == ",".join(dict.fromkeys(["/first.crt", *add]))


def test_a_long_run_of_blanks_takes_no_time():
    began = time.process_time()
    (found,) = pool.find_assignments([(1, "V=/a" + " " * 200_000 + "b")], "V")
    assert time.process_time() - began < 5
    assert found.value == "/a" + " " * 200_000 + "b"


@pytest.mark.parametrize("value", ["1", " T ", "true", "Yes", "on"])
def test_what_turns_a_switch_on(value):
    assert pool.is_true(value) and not pool.is_true(f"no {value}")
    assert not any(pool.is_true(other) for other in ("", "0", "false", "maybe"))
