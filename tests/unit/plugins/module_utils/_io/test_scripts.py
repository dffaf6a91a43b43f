# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shell pieces by themselves, in the shells that nodes have."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import scripts

SHELLS = [path for path in ("/bin/dash", "/bin/bash") if pathlib.Path(path).exists()]
PIECES = {name: value for name, value in vars(scripts).items() if name.isupper()}


def sh(body, variables, shell="/bin/sh"):
    script = io_host.compose(scripts.HTTP + scripts.REPLACE + body, variables, "m").encode("utf-8", "surrogateescape")
    done = subprocess.run([shell], input=script, capture_output=True, check=False)
    sections, code, _lack = io_host.parse(done.stdout.decode(), "m")
    assert done.stderr == b"" and code is not None, done.stderr
    return {name: value.decode("utf-8", "surrogateescape") for name, value in sections.items()}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("piece", sorted(PIECES))
def test_every_shell_reads_every_piece(shell, piece):
    subprocess.run([shell, "-n"], input=PIECES[piece].encode(), check=True)


@pytest.mark.parametrize("piece", sorted(PIECES))
def test_nothing_foreign_is_called(piece):
    code = "\n".join(line.partition("# ")[0] for line in PIECES[piece].splitlines())
    assert not re.search(r"(?:^|[\s|;&(`])(?:sed|awk|grep|egrep|python3?|perl|cmp|diff|find|xargs|which|echo)\s", code)
    assert "<<" not in code, "a here-document makes a temporary file in old shells"


def answered(raw, shell="/bin/sh", tool="curl"):
    """What qz_http makes of an answer, with the program that fetches it replaced."""
    body = f'{tool}() {{ cat >/dev/null; printf \'%s\' "$o_raw"; }}\ntimeout() {{ shift; "$@"; }}\n' + (
        "qz_tool=" + tool + "\nqz_auth=\nqz_http GET /x '' ''\n"
        'for qz_name in status retry_after body sent; do eval "qz_put $qz_name \\"\\$qz_$qz_name\\""; done\n'
    )
    place = {
        "o_os_timeout": "5",
        "o_os_base": "",
        "o_os_ca": "",
        "o_os_loopback": "1",
        "o_os_host": "h",
        "o_os_port": "1",
    }
    return sh(body, {**place, "o_os_prefix": "", "o_os_authority": "h", "o_raw": raw}, shell)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("raw", "status", "retry", "body"),
    [
        ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}", "200", "", "{}"),
        ("HTTP/2 204\r\n\r\n", "204", "", ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\nx", "201", "", "x"),
        ("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 403 No\r\nX: y\r\n\r\nno", "403", "", "no"),
        ("HTTP/1.1 429 X\r\nretry-AFTER:  08\r\n\r\n", "429", "8", ""),
        ("HTTP/1.1 503 X\r\nRetry-After: 99999999\r\n\r\n", "503", "99999", ""),
        ("HTTP/1.1 503 X\r\nRetry-After: soon\r\n\r\n", "503", "", ""),
        ("HTTP/1.1 503 X\r\nRetry-After: Mon, 01 Jan 2001 00:00:00 GMT\r\n\r\n", "503", "0", ""),
        ("HTTP/1.1 200 OK\r\nA: b\r\n", "", "", ""),
        ("garbage", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_answers(raw, status, retry, body, shell):
    found = answered(raw, shell)
    assert (found["status"], found["retry_after"], found["body"]) == (status, retry, body)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text('abc{}": \\,-', min_size=1, max_size=20), max_size=6), st.sampled_from(SHELLS))
def test_chunks_are_put_together(parts, shell):
    whole = "".join(parts).rstrip("\n")
    chunks = "".join(f"{len(part):x};ext=1\r\n{part}\r\n" for part in parts) + "0\r\n\r\n"
    found = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, shell, tool="openssl")
    assert found["body"] == whole


@settings(max_examples=20, deadline=None)
@given(
    st.text("abcXYZ019._-", min_size=1, max_size=30),
    st.integers(0, 3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=9)),
)
def test_a_token_is_found_in_json(token, indent, others):
    others.pop("access_token", None)
    text = json.dumps({**others, "access_token": token}, indent=indent or None)
    if '"access_token"' in json.dumps(list(others.values())) + json.dumps(list(others)):
        return
    found = sh('qz_body=$o_body; qz_json_string access_token; qz_put r "$?"; qz_put s "$qz_string"', {"o_body": text})
    assert (found["r"], found["s"]) == ("0", token)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        '{"access_token": null}',
        '{"access_token": ""}',
        '{"access_token": "a b"}',
        '{"access_token": "a\\"b"}',
        "access_token",
    ],
)
def test_what_is_no_token_is_not_taken(body):
    found = sh('qz_body=$o_body; qz_json_string access_token; qz_put r "$?"; qz_put s "$qz_string"', {"o_body": body})
    assert found["r"] == "1" and found["s"] == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_broken_pipe_does_not_cut_off_a_file(tmp_path, shell):
    path = tmp_path / "f"
    path.write_text("whole\n")
    body = 'o_size=100; qz_put why "$(printf part | qz_replace "$o_path" - "" "" "")"'
    assert "could not be copied whole" in sh(body, {"o_path": str(path)}, shell)["why"]
    assert path.read_text() == "whole\n" and list(tmp_path.iterdir()) == [path]
