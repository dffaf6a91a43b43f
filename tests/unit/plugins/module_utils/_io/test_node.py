# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import node
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer

EVIDENCE = {name: spec.get("default") for name, spec in node.ARGUMENT_SPEC.items()} | {"address": "cp.test:8443"}
OPTIONS = {"address": "cp.test:8443", "server_name": ""}


def said(**sections):
    return Answer(0, {name.replace("_", "."): value.encode() for name, value in sections.items()}, "", "")


@pytest.mark.parametrize(("text", "parts"), [("cp.test:8443", ("cp.test", 8443)), ("[::1]:1", ("::1", 1))])
def test_addresses(text, parts):
    assert node.split_address(text) == parts


@given(st.text(max_size=30))
def test_other_addresses_are_refused(text):
    try:
        host, port = node.split_address(text)
    except InputError:
        return
    assert host and 0 < port < 65536


@pytest.mark.parametrize(
    ("start", "end", "before", "after", "skew"),
    [
        ("100.0", "102.0", 100.0, 102.0, 0.0),
        ("110.5", "112.5", 100.0, 103.0, 10.0),
        ("90", "92", 100.0, 102.0, -10.0),
        ("90.%N", "92.%N", 100.0, 102.0, -10.0),
        ("", "92", 100.0, 102.0, None),
        ("date: invalid", "92", 100.0, 102.0, None),
    ],
)
def test_the_round_trip_counts_half(start, end, before, after, skew):
    assert node._skew(said(clock_start=start, clock_end=end), before, after) == skew


def test_numbers_that_are_none():
    for text in ("²", "9" * 5000, "", "-1", "1 "):
        found = node.evidence(
            said(log_count=text, log_rc="0", handshake="x", handshake_rc=text), EVIDENCE, [], 0.0, 1.0
        )
        assert found["log"]["symptom_count"] is None and found["handshake"]["to_node"] == "unknown"
        with pytest.raises(InputError):
            node.split_address(f"cp.test:{text}")


def test_what_a_tool_calls_itself_does_not_lengthen_the_result():
    found = node.evidence(said(agent_tool="c" * 9000, openssl="OpenSSL 3" + "." * 9000), EVIDENCE, [], 0.0, 1.0)
    assert len(json.dumps(found)) <= node.MAX_RESULT


@given(st.text(max_size=3000), st.integers(0, 30))
def test_never_more_than_2_kb(text, pins):
    found = node.nothing(text, OPTIONS)
    found["leaf"] = {**found["leaf"], "der": "A" * 1200, "issuer": text, "signed_by": ["b" * 64] * 2}
    found["handshake"]["to_cp_detail"] = found["agent"]["detail"] = found["log"]["error"] = text
    found["pin"]["sha256"] = ["a" * 64] * min(pins, 10)
    short = node.shortened(found)
    assert len(json.dumps(short)) <= node.MAX_RESULT
    assert short["pin"]["sha256"] == ["a" * 64] * min(pins, 10)


def test_the_leaf_stays_when_there_is_room():
    found = node.nothing("", OPTIONS)
    found["leaf"]["der"] = "A" * 700
    assert node.shortened(found)["leaf"]["der"] == "A" * 700


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("OpenSSL 3.0.19 27 Jan 2026 (Library: OpenSSL 3.0.19)", "3.0.19"),
        ("OpenSSL 1.1.1w  11 Sep 2023", "1.1.1w"),
        ("LibreSSL 3.8.2", "LibreSSL 3.8.2"),
        ("", ""),
    ],
)
def test_versions(text, version):
    assert node._openssl_version(text) == version


@pytest.mark.parametrize("part", ["pin", "leaf"])
def test_a_node_whose_files_are_hidden_was_not_examined(part):
    def found(reason):
        sections = {f"{part}.path": b"/certs/x.crt", f"{part}.error": reason}
        return node.evidence(Answer(0, sections, "", ""), OPTIONS, (), 0.0, 0.0)

    seen = found(b"unreadable")
    assert (seen["reachable"], seen["error"]) == (False, "/certs/x.crt: permission denied; is become missing?")
    assert found(b"missing")["reachable"] is True


def test_a_log_that_cannot_be_read():
    assert node._log(said(log_rc="41", log_count="0"))["symptom_count"] is None
    assert node._log(said(log_rc="1", log_count="0")) == {"symptom_count": 0, "error": ""}
    assert node._log(said())["symptom_count"] is None
