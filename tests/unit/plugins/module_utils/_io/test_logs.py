# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import logs
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer


def answer(text: str, packed: str = "cat") -> Answer:
    content = text.encode() if packed == "cat" else gzip.compress(text.encode())
    return Answer(0, {"log": content, "log.pack": packed.encode()}, "", "")


@pytest.mark.parametrize("packed", ["cat", "gzip -c"])
def test_the_last_line_is_the_exit_status(packed: str) -> None:
    assert logs.read(answer("one\ntwo\n\n0", packed), 5) == ("one\ntwo\n", "")
    text, error = logs.read(answer("one\n\n1", packed), 5)
    assert text is None and "exit status 1" in error and error.endswith("one")
    assert "within 5 s" in logs.read(answer("one\n\n124", packed), 5)[1]


def test_no_log_at_all_is_no_log() -> None:
    for nothing in (answer(""), answer("\n0"), Answer(0, {}, "", "")):
        assert logs.read(nothing, 5)[0] is None


def test_a_broken_or_a_huge_archive_is_no_trouble() -> None:
    assert logs.unpack(b"\x1f\x8b broken", "gzip -c") == ""
    assert len(logs.unpack(gzip.compress(b"x" * (logs.LIMIT * 3)), "gzip -c")) == logs.LIMIT


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["cat", "gzip -c", ""]))
def test_any_bytes_are_read(content: bytes, packed: str) -> None:
    text, error = logs.read(Answer(0, {"log": content, "log.pack": packed.encode()}, "", ""), 5)
    assert (text is None) is bool(error)


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-03T10:00:00Z INFO starting Quazzar Control Center",
        "quazzar-cc: starting up",
        "systemd[1]: Starting Quazzar Control Panel...",
        "Control Center 1.4 Starting",
    ],
)
def test_usual_words_for_a_start(line: str) -> None:
    assert re.search(logs.DEFAULT_BOOT_PATTERN, line)


@pytest.mark.parametrize("line", ["restarting the world", "starting TLS", "node started", "Quazzar restarting soon"])
def test_other_lines_are_no_start(line: str) -> None:
    assert not re.search(logs.DEFAULT_BOOT_PATTERN, line)


def test_a_broken_pattern_names_its_option() -> None:
    with pytest.raises(InputError, match="boot_pattern is not a regular expression"):
        logs.pattern("(", "boot_pattern")
    assert logs.pattern("", "x") is None and logs.pattern(None, "x") is None
