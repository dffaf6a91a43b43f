# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action.handshake_log_info import ActionModule
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

LOG = """\
10:00:00 INFO starting Quazzar Control Center
10:00:00 INFO loaded additional trusted CA (rotation grace) path=/a.crt
10:00:00 INFO loaded additional trusted CA (rotation grace) path=/b.crt
10:00:01 INFO starting Quazzar Control Center
10:00:01 INFO loaded additional trusted CA (rotation grace) path=/a.crt
10:00:02 http: TLS handshake error from 192.0.2.7:5000: tls: failed to verify certificate: x509: certificate signed by \
unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority \
certificate "Quazzar Control Center CA")
10:00:03 http: TLS handshake error from 10.1.2.3:5001: tls: client didn't provide a certificate
10:00:04 http: TLS handshake error from [2001:db8::7]:5002: remote error: tls: bad certificate
10:00:05 INFO something else
"""


def read(args: dict[str, t.Any]) -> dict[str, t.Any]:
    result = act(ActionModule, args)
    assert not result.get("failed"), result
    return result


def check(found: dict[str, t.Any]) -> None:
    assert found["lines"] == 9
    assert found["counts"] == {
        "grace_boot": 3, "node_symptom": 0, "remote_alert": 1, "no_certificate": 1, "drift": 1, "expired": 0,
        "probe": 0, "other": 3,
    }  # fmt: skip
    assert found["sources"]["drift"] == {"192.0.2.7": 1}
    assert found["sources"]["no_certificate"] == {"10.1.2.3": 1} and found["outside_sources"]["no_certificate"] == {}
    assert found["outside_sources"]["remote_alert"] == {"2001:db8::7": 1}
    assert found["boot"] == {"loaded_count": 1, "since_boot": True}
    assert "bad certificate" in found["last"]["remote_alert"] and "other" not in found["last"]
    assert found["error"] == "" and found["changed"] is False


def test_a_text() -> None:
    check(read({"text": LOG}))


def test_a_log_on_the_host(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "cp log"
    log.write_text(LOG)
    check(read({"log_command": f"cat '{log}'"}))


def test_the_patterns_are_the_operators() -> None:
    found = read({"text": "WRONG CLIENT remote=192.0.2.1\nBOOT\nEXTRA\n", "boot_pattern": "^BOOT",
                  "patterns": {"drift": "wrong client", "grace_boot": "^extra$"}})  # fmt: skip
    assert (found["counts"]["drift"], found["boot"]) == (1, {"loaded_count": 1, "since_boot": True})
    assert found["sources"]["drift"] == {"192.0.2.1": 1}


def test_the_networks_are_the_operators() -> None:
    assert read({"text": LOG, "internal_cidrs": []})["outside_sources"]["no_certificate"] == {"10.1.2.3": 1}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"patterns": {"drift": "("}}, "drift"),
        ({"patterns": {"nothing": "x"}}, "nothing"),
        ({"boot_pattern": "("}, "boot_pattern"),
        ({"internal_cidrs": ["here"]}, "'here'"),
    ],
)
def test_wrong_options_are_named(more: dict[str, t.Any], words: str) -> None:
    result = act(ActionModule, {"text": LOG, **more})
    assert result["failed"] is True and words in result["msg"]


@pytest.mark.parametrize("command", ["cat /nonexistent/cp.log", "true"])
def test_a_missing_log_is_null_not_zero(command: str) -> None:
    result = act(ActionModule, {"log_command": command})
    assert result["failed"] is True and "cp1: the log command gave no log" in result["msg"]
    found = read({"log_command": command, "tolerate": True})
    assert found["counts"] is None and found["symptom_count"] is None and found["boot"]["loaded_count"] is None
    assert "gave no log" in found["error"] and found["summary"] == f"its log was not read ({found['error']})"
    assert set(found) == set(read({"text": LOG}))


def test_an_empty_text_has_no_lines() -> None:
    found = read({"text": ""})
    assert found["lines"] == 0 and found["symptom_count"] == 0
    assert found["boot"] == {"loaded_count": 0, "since_boot": False}
