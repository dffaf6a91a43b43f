# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log lines in the documented words, as Go's HTTP server writes them, and as log systems mangle them."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import loglines
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError

HINT = (
    '(possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate '
    '"Quazzar Control Center CA")'
)
UNKNOWN = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
DRIFT = f"2026/11/23 10:00:00 http: TLS handshake error from 203.0.113.7:51234: {UNKNOWN} {HINT}"
ALERT = "http: TLS handshake error from [2001:db8::7%eth0]:443: remote error: tls: bad certificate"
NODE = "CC no longer trusts this node\u2019s client certificate \u2014 the CA was likely rotated on the Control Panel."


@pytest.mark.parametrize(
    ("line", "name", "source"),
    [
        (DRIFT, "drift", "203.0.113.7"),
        (DRIFT.replace(HINT, ""), "drift", "203.0.113.7"),
        (f'{{"msg":"TLS handshake error","remote_addr":"203.0.113.9:5","error":"{UNKNOWN}"}}', "drift", "203.0.113.9"),
        (f"level=error remote=[::ffff:10.0.0.9]:77 err={UNKNOWN!r}", "drift", "10.0.0.9"),
        (ALERT, "remote_alert", "2001:db8::7"),
        (ALERT.replace("bad certificate", "unknown certificate authority"), "remote_alert", "2001:db8::7"),
        (
            "http: TLS handshake error from 10.1.2.3:9: tls: client didn't provide a certificate",
            "no_certificate",
            "10.1.2.3",
        ),
        (
            "TLS handshake error from 1.2.3.4:9: tls: client didn\u2019t provide a certificate",
            "no_certificate",
            "1.2.3.4",
        ),
        ("TLS handshake error from 1.2.3.4:9: x509: certificate has expired or is not yet valid", "expired", "1.2.3.4"),
        ("http: TLS handshake error from 10.0.0.1:9: EOF", "probe", "10.0.0.1"),
        ("http: TLS handshake error from 10.0.0.1:9: read tcp: connection reset by peer", "probe", "10.0.0.1"),
        ("INFO loaded additional trusted CA (rotation grace) path=/legacy/ab.crt", "grace_boot", ""),
        (NODE, "node_symptom", ""),
        (NODE.replace("\u2019", "'").replace("\u2014", "-").upper(), "node_symptom", ""),
        ("an ordinary line from 1.2.3.4:5", "other", ""),
        ("EOF", "other", ""),
        ("", "other", ""),
    ],
)
def test_every_class_and_its_source(line, name, source):
    assert loglines.classify(line) == loglines.LogClass(name, source)


def test_a_log_is_counted():
    text = "\n".join([DRIFT, DRIFT, ALERT, "", NODE, "password=hunter2 from 9.9.9.9:1", NODE + "\x1b[31m\r"])
    found = loglines.count(text)
    assert found.lines == 6
    assert found.by_class == {"drift": 2, "remote_alert": 1, "node_symptom": 2, "other": 1}
    assert found.by_source == {"drift": {"203.0.113.7": 2}, "remote_alert": {"2001:db8::7": 1}}
    assert found.symptom_count == 2
    assert found.last["drift"] == DRIFT[:300]
    assert found.last["node_symptom"] == NODE + " [31m"
    assert "hunter2" not in repr(found)


def test_no_log_is_no_symptom():
    assert loglines.count("") == loglines.LogCount(0, {}, {}, 0, {})


def test_patterns_of_the_operator():
    patterns = {"node_symptom": "lost trust in .* \u2014 rotated", "grace_boot": None}
    found = loglines.count(
        f"agent: Lost trust in CC - rotated\n{NODE}\nloaded additional trusted CA", patterns=patterns
    )
    assert found.by_class == {"node_symptom": 1, "other": 1, "grace_boot": 1}


@pytest.mark.parametrize(
    ("patterns", "why"), [({"drift": "("}, "not a regular expression"), ({"typo": "x"}, "no class of log lines typo")]
)
def test_patterns_that_cannot_be_used(patterns, why):
    with pytest.raises(InputError, match=why):
        loglines.count("", patterns=patterns)


def test_sources_outside_of_the_internal_networks():
    sources = {"10.1.2.3": 5, "203.0.113.7": 2, "fd00::1": 1, "2001:db8::7": 3}
    assert loglines.outside(sources, ["10.0.0.0/8", "fd00::/8"]) == {"203.0.113.7": 2, "2001:db8::7": 3}
    assert loglines.outside(sources, []) == sources
    with pytest.raises(InputError, match="CIDR"):
        loglines.outside(sources, ["10.0.0.0/64"])


def test_the_line_for_people():
    counts = {"drift": 12, "no_certificate": 1, "probe": 0, "other": 900}
    assert loglines.summary(counts, {}) == "in its log: 1 no certificate, 12 drift. A hint where to look, no proof."
    assert loglines.summary({"other": 900}, {"other": {"203.0.113.7": 1}}) == "no line about handshakes in its log"
    outside = {"drift": {f"203.0.113.{number}": number for number in range(1, 8)}, "no_certificate": {"203.0.113.1": 9}}
    assert loglines.summary(counts, outside).endswith(
        "; from outside: 203.0.113.1 (10), 203.0.113.7 (7), 203.0.113.6 (6), 203.0.113.5 (5), 203.0.113.4 (4)"
        " and 2 more."
        " A hint where to look, no proof."
    )


@given(st.text(max_size=200))
def test_any_text_is_classified(text):
    for line in (text, f"TLS handshake error from {text}: EOF", f"remote_addr={text} {UNKNOWN}"):
        found = loglines.classify(line)
        assert found.name in {*loglines.CLASSES, "other"}
        assert not found.source or ipaddress.ip_address(found.source)
    counted = loglines.count(text)
    assert sum(counted.by_class.values()) == counted.lines


@given(st.ip_addresses(), st.integers(1, 65535))
def test_any_address_is_found(address, port):
    host = f"[{address}]" if address.version == 6 else str(address)
    expected = str(getattr(address, "ipv4_mapped", None) or address)
    assert loglines.classify(f"http: TLS handshake error from {host}:{port}: EOF").source == expected


def test_a_line_without_an_end_takes_no_time():
    line = "TLS handshake error from 192.0.2.1:1: " * 10_000
    began = time.process_time()
    counted = loglines.count(f"{line}\n{ALERT}")
    assert time.process_time() - began < 5
    assert counted.by_class == {"other": 1, "remote_alert": 1}
