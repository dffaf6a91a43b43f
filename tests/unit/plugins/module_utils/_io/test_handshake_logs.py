# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import handshake_logs

LOG = """\
10:00:00 INFO starting Quazzar Control Center
10:00:00 INFO loaded additional trusted CA (rotation grace) path=/a.crt
10:00:01 INFO starting Quazzar Control Center
10:00:01 INFO loaded additional trusted CA (rotation grace) path=/b.crt
10:00:03 http: TLS handshake error from 10.1.2.3:5001: tls: client didn't provide a certificate
10:00:04 http: TLS handshake error from [2001:db8::7]:5002: remote error: tls: bad certificate
"""


def options(**more: t.Any) -> dict[str, t.Any]:
    return {**{name: spec["default"] for name, spec in handshake_logs.COUNT_SPEC.items()}, **more}


def test_lines_are_counted_by_class_and_source() -> None:
    found = handshake_logs.counted(LOG, options())
    assert found["lines"] == sum(found["counts"].values()) == 6
    assert found["counts"]["grace_boot"] == 2 and found["boot"] == {"loaded_count": 1, "since_boot": True}
    assert found["sources"]["no_certificate"] == {"10.1.2.3": 1} and found["outside_sources"]["no_certificate"] == {}
    assert found["outside_sources"]["remote_alert"] == {"2001:db8::7": 1}
    assert set(found["counts"]) == set(found["sources"]) == set(found["outside_sources"])
    assert "2001:db8::7 (1)" in found["summary"]


def test_the_options_decide() -> None:
    found = handshake_logs.counted(LOG, options(internal_cidrs=[], patterns={"grace_boot": "a.crt"}))
    assert found["outside_sources"]["no_certificate"] == {"10.1.2.3": 1} and found["counts"]["grace_boot"] == 1
    assert handshake_logs.counted(LOG, options(boot_pattern="^BOOT"))["boot"]["since_boot"] is False


@pytest.mark.parametrize("more", [{"boot_pattern": "("}, {"patterns": {"drift": "("}}, {"patterns": {"none": "x"}}])
def test_what_is_no_pattern_is_refused_before_anything_is_asked(more: dict[str, t.Any]) -> None:
    with pytest.raises(InputError, match=next(iter(more["patterns"])) if "patterns" in more else "boot_pattern"):
        handshake_logs.check(options(**more))
    handshake_logs.check(options())


def test_of_a_log_that_was_not_read_nothing_is_known() -> None:
    found = handshake_logs.unread(HostError("cp: no route"))
    assert set(found) == set(handshake_logs.counted("", options()))
    assert found["summary"] == "its log was not read (cp: no route)"
    assert (found["counts"], found["lines"], found["symptom_count"]) == (None, None, None)
    assert found["boot"] == {"loaded_count": None, "since_boot": False}
