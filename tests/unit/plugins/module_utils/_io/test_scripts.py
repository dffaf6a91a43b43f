# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shell pieces by themselves, in the shells that nodes have."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
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


TRUTH = "printf '%s' \"$o_content\" | qz_replace \"$o_path\" - '' '' ''"


def spied(directory, monkeypatch, tool, body):
    """Put a program of this name before the real one: ``body`` with @REAL@ and the arguments it was given."""
    directory.mkdir(exist_ok=True)
    (directory / tool).write_text(f"#!/bin/sh\n{body.replace('@REAL@', shutil.which(tool))}\n", encoding="utf-8")
    (directory / tool).chmod(0o755)
    if not os.environ["PATH"].startswith(f"{directory}:"):
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch, shell):
    path, log, spies = tmp_path / "etc" / "f", tmp_path / "log", tmp_path / "spies"
    path.parent.mkdir()
    path.write_text("old\n")
    for tool in ("sync", "mv"):
        told = f'for at; do [ "$at" = -- ] || echo {tool} "$at" "$(cat "$at" 2>/dev/null)" >>\'{log}\'; done'
        spied(spies, monkeypatch, tool, f'{told}\nexec @REAL@ "$@"')
    sh(TRUTH, {"o_path": str(path), "o_content": "new"}, shell)
    temp = re.escape(f"{path.parent}/.quazzar-f.") + "[A-Za-z0-9]{8}"
    want = rf"sync {temp} new\nmv -fT \nmv {temp} new\nmv {path} old\nsync {path.parent}/ \n"
    assert re.fullmatch(want, log.read_text()), log.read_text()
    assert path.read_text() == "new"


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here (Debian, Ubuntu: apt-get install strace)")
def test_so_it_is_asked_of_the_kernel(tmp_path):
    path, log = tmp_path / "f", tmp_path.parent / f"{tmp_path.name}.calls"
    path.write_text("old\n")
    script = io_host.compose(scripts.REPLACE + TRUTH, {"o_path": str(path), "o_content": "new"}, "m")
    calls = "write,fsync,fdatasync,sync,syncfs,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={calls}", "/bin/sh"]
    subprocess.run(command, input=script.encode(), capture_output=True, check=True)
    temp = re.escape(f"{tmp_path}/.quazzar-f.") + r"\w{8}"
    steps = [
        rf'write\(\d+<{temp}>, "new"',
        rf"f(data)?sync\(\d+<{temp}>\) += 0",
        rf'rename(at2?)?\(.*"{temp}".*"{re.escape(str(path))}".* = 0',
        rf"fsync\(\d+<{re.escape(str(tmp_path))}>\) += 0",
    ]
    said = log.read_text()
    found = [[match.start() for match in re.finditer(step, said)] for step in steps]
    assert [len(places) for places in found] == [1, 1, 1, 1], said
    assert found == sorted(found), said


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("tool", ["mktemp", "cat", "cp", "touch", "sync", "mv"])
def test_a_death_at_any_moment_leaves_a_whole_file_and_the_next_run_nothing_else(tmp_path, monkeypatch, tool, when):
    path = tmp_path / "etc" / "f"
    path.parent.mkdir()
    path.write_text("old\n")
    path.chmod(0o640)
    variables = {"o_path": str(path), "o_content": "new\n"}
    script = io_host.compose(scripts.REPLACE + TRUTH, variables, "m").encode()
    with monkeypatch.context() as cut:
        real = '@REAL@ "$@"\n' if when == "after" else ""
        spied(tmp_path / "spies", cut, tool, f"{real}kill -9 0")
        died = subprocess.run(["/bin/sh"], input=script, capture_output=True, check=False, start_new_session=True)
    assert died.returncode == -9
    assert path.read_text() == ("new\n" if (tool, when) == ("mv", "after") else "old\n")
    assert path.stat().st_mode & 0o777 == 0o640
    left = [file for file in path.parent.iterdir() if file != path]
    assert bool(left) is ((tool, when) not in {("mktemp", "before"), ("mv", "after")})
    assert all(re.fullmatch(r"\.quazzar-f\.\w{8}", file.name) for file in left)

    subprocess.run(["/bin/sh"], input=script, capture_output=True, check=True)
    assert (path.read_text(), list(path.parent.iterdir())) == ("new\n", [path])
    assert path.stat().st_mode & 0o777 == 0o640
