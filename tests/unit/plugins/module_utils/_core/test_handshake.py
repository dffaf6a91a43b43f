# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict against real openssl runs on real servers, and against the outputs of versions that are not at hand."""

from __future__ import annotations

import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.handshake import shows_distrust, verdict
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core import servers

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

REQUEST = r"GET / HTTP/1.0\r\n\r\n"
WITHOUT_TICKETS_13 = ("1.3", False)
CASES = ("accepted", "unknown_ca", "expired", "no_certificate", "server_untrusted", "wrong_name")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Everything on disk: two CAs of one name, a server and clients of the new one, and a client of the old one."""
    directory = tmp_path_factory.mktemp("tls")
    old, new = minting.make_ca(), minting.make_ca()
    yesterday = minting.NOW - timedelta(days=1)
    expired = minting.make_leaf(new, "expired", not_before=yesterday - timedelta(days=89), not_after=yesterday)
    old.write(directory, "old")
    new.write(directory, "new")
    minting.make_leaf(new, "panel", names=["localhost", "127.0.0.1"]).write(directory, "server")
    (directory / "server.crt").write_bytes((directory / "server.crt").read_bytes() + new.pem)
    (directory / "both.crt").write_bytes(new.pem + old.pem)
    minting.make_leaf(new, "node").write(directory, "accepted")
    minting.make_leaf(old, "node").write(directory, "unknown_ca")
    expired.write(directory, "expired")
    return directory


@pytest.fixture(scope="module", params=["openssl", "python", "go"])
def kind(request):
    if request.param == "go" and servers.go_listener() is None:
        pytest.skip("go is not installed: the Go server of the handshake tests was not built")
    return request.param


def material(files, clients="new.crt"):
    return servers.Material(files / "server.crt", files / "server.key", files / clients if clients else None)


def probed(address, *files, hold=0.5, again=(4, 12), **options):
    """The verdict of a probe and its output. One that proves nothing is repeated with more time to prove something.

    A loaded machine is slow, and then the verdict is "unknown". It is never allowed to be wrong.
    """
    for seconds in (hold, *again):
        output, rc = servers.probe(address, *files, hold=seconds, timeout=seconds + 20, **options)
        found = verdict(output, rc)
        if found.to_node != "unknown":
            break
    return found, output


def run_case(files, kind, case, *, tls, tickets, **options):
    client = case if case in ("unknown_ca", "expired") else "accepted"
    identity = () if case == "no_certificate" else (files / f"{client}.crt", files / f"{client}.key")
    pin = files / ("old.crt" if case == "server_untrusted" else "new.crt")
    name = "elsewhere.example" if case == "wrong_name" else "localhost"
    with servers.server(kind, material(files), tls=tls, tickets=tickets) as address:
        return probed(address, pin, *identity, name=name, **options)


def check_case(files, kind, case, tls, tickets):
    refuses = case in ("unknown_ca", "expired", "no_certificate")
    silent = (tls, tickets) == WITHOUT_TICKETS_13 and not refuses
    found, output = run_case(files, kind, case, tls=tls, tickets=tickets, hold=1.0, **({"again": ()} if silent else {}))
    to_cp = "refused" if case in ("server_untrusted", "wrong_name") else "ok"
    to_node = "refused" if refuses else "unknown" if silent else "accepted"
    assert (found.to_cp, found.to_node, found.protocol) == (to_cp, to_node, f"TLSv{tls}"), f"{case}: {found}\n{output}"


def check_all(files, kind, tls, tickets, repetitions):
    with ThreadPoolExecutor(max_workers=12) as pool:
        list(pool.map(lambda case: check_case(files, kind, case, tls, tickets), CASES * repetitions))


@pytest.mark.parametrize("tickets", [True, False], ids=["tickets", "no-tickets"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_real_servers(files, kind, tls, tickets):
    check_all(files, kind, tls, tickets, repetitions=2)


@pytest.mark.nightly
@pytest.mark.parametrize("tickets", [True, False], ids=["tickets", "no-tickets"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_real_servers_often(files, kind, tls, tickets):
    check_all(files, kind, tls, tickets, repetitions=20)


def test_an_answered_request_makes_up_for_missing_tickets(files, kind):
    found, output = run_case(files, kind, "accepted", tls="1.3", tickets=False, request=REQUEST)
    assert (found.to_cp, found.to_node) == ("ok", "accepted"), output
    assert "request was answered" in found.to_node_detail


def test_a_request_does_not_hide_a_refusal(files, kind):
    for case in ("unknown_ca", "no_certificate"):
        found, output = run_case(files, kind, case, tls="1.3", tickets=False, request=REQUEST)
        assert (found.to_cp, found.to_node) == ("ok", "refused"), output


def test_a_listener_that_asks_for_no_certificate_accepts_nobody(files, kind):
    with servers.server(kind, material(files, clients=None)) as address:
        found, _output = probed(address, files / "new.crt", files / "accepted.crt", files / "accepted.key", again=())
    assert (found.to_cp, found.to_node, found.acceptable_ca_count) == ("ok", "unknown", None)
    assert "asked for no client certificate" in found.to_node_detail


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("how", ["reset", "eof"])
def test_going_away_at_the_certificate_is_a_refusal(files, how, tls):
    with servers.server(how, material(files), tls=tls) as address:
        found, output = probed(address, files / "new.crt", files / "accepted.crt", files / "accepted.key")
    assert (found.to_cp, found.to_node) == ("ok", "refused"), output


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_going_away_after_the_handshake_is_no_refusal(files, tls):
    with servers.server("abrupt", material(files), tls=tls) as address:
        found, output = probed(address, files / "new.crt", files / "accepted.crt", files / "accepted.key")
    assert (found.to_cp, found.to_node) == ("ok", "accepted"), output


def test_nobody_there(files):
    identity = (files / "accepted.crt", files / "accepted.key")
    found = verdict(*servers.probe(f"127.0.0.1:{servers.free_port()}", files / "new.crt", *identity, hold=0.1))
    assert (found.to_cp, found.to_node, found.to_node_detail) == ("unknown", "unknown", "connection refused")
    assert (found.protocol, found.chain, found.acceptable_ca_count) == ("", (), None)


def test_a_silent_listener(files):
    identity = (files / "accepted.crt", files / "accepted.key")
    with servers.server("silent") as address:
        found = verdict(*servers.probe(address, files / "new.crt", *identity, hold=2, timeout=1))
    assert (found.to_cp, found.to_node) == ("unknown", "unknown")
    assert found.to_cp_detail == "no answer within the time limit"


def test_a_port_without_tls(files):
    with servers.server("plain") as address:
        found = verdict(*servers.probe(address, files / "new.crt", hold=0.1))
    assert (found.to_cp, found.to_node) == ("unknown", "unknown")
    assert found.to_cp_detail == "wrong version number"


@pytest.mark.parametrize(("cert", "key"), [("gone.crt", "accepted.key"), ("accepted.crt", "unknown_ca.key")])
def test_files_that_openssl_cannot_use_prove_nothing(files, cert, key):
    with servers.server("python", material(files)) as address:
        found = verdict(*servers.probe(address, files / "new.crt", files / cert, files / key, hold=0.1))
    assert (found.to_cp, found.to_node) == ("unknown", "unknown")
    assert found.to_node_detail


@pytest.mark.parametrize(("pool", "of_go"), [("new.crt", 1), ("both.crt", 2)])
def test_the_listener_advertises_its_pool(files, kind, pool, of_go):
    # OpenSSL's own server drops a second name that is alike, and Python's advertises none: why it is only a hint.
    count = {"openssl": 1, "python": 0, "go": of_go}[kind]
    with servers.server(kind, material(files, clients=pool)) as address:
        output, rc = servers.probe(address, files / "new.crt", hold=0.3, options=["-showcerts"])
    found = verdict(output, rc)
    assert found.acceptable_ca_count == count
    assert [name.replace(" ", "") for name in found.acceptable_ca_names] == ["CN=QuazzarControlCenterCA"] * count
    assert [cert.is_ca for cert in found.chain] == [False, True]
    assert found.chain[0].subject == "CN=panel"


# Versions that are not at hand, in the words of their own sources and of reports with their output.
NAMES = "Acceptable client certificate CA names\nCN = Quazzar Control Center CA\nO = b, CN = other\n"
OUTPUT_1_1_1 = """\
CONNECTED(00000003)
depth=1 CN = Quazzar Control Center CA
verify return:1
depth=0 CN = panel
verify return:1
---
Certificate chain
 0 s:CN = panel
   i:CN = Quazzar Control Center CA
---
Server certificate
PEM
subject=CN = panel

issuer=CN = Quazzar Control Center CA

---
NAMESRequested Signature Algorithms: ECDSA+SHA256:RSA-PSS+SHA256
Shared Requested Signature Algorithms: ECDSA+SHA256:RSA-PSS+SHA256
Peer signing digest: SHA256
Peer signature type: ECDSA
Server Temp Key: X25519, 253 bits
---
SSL handshake has read 1300 bytes and written 1400 bytes
Verification: OK
---
New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384
Server public key is 256 bit
Secure Renegotiation IS NOT supported
Compression: NONE
Expansion: NONE
No ALPN negotiated
Early data was not sent
Verify return code: 0 (ok)
---
"""
NOBODY_ASKED = re.sub(r"^NAMES.*\n|^Shared .*\n", "No client certificate CA names sent\n", OUTPUT_1_1_1, flags=re.M)
TICKET = "---\nPost-Handshake New Session Ticket arrived:\nSSL-Session:\n    Protocol  : TLSv1.3\n"
ALERT_1_1_1 = (
    "140250346247488:error:14094418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:"
    "../ssl/record/rec_layer_s3.c:1543:SSL alert number 48\n"
)
OUTPUT_LIBRESSL_12 = """\
CONNECTED(00000005)
---
Certificate chain
 0 s:/CN=panel
   i:/CN=Quazzar Control Center CA
---
Server certificate
PEM
subject=/CN=panel
issuer=/CN=Quazzar Control Center CA
---
Acceptable client certificate CA names
/CN=Quazzar Control Center CA
Client Certificate Types: RSA sign, ECDSA sign
Server Temp Key: ECDH, X25519, 253 bits
---
SSL handshake has read 1211 bytes and written 826 bytes
---
New, TLSv1/SSLv3, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384
Server public key is 256 bit
SSL-Session:
    Protocol  : TLSv1.2
    Cipher    : ECDHE-ECDSA-AES256-GCM-SHA384
    Session-ID: 0A0B
    Verify return code: 0 (ok)
---
"""


def output(template, names=NAMES):
    leaf = minting.make_leaf(minting.make_ca(), "panel", names=["localhost"])
    return template.replace("PEM", leaf.pem.decode("ascii").strip()).replace("NAMES", names)


@pytest.mark.parametrize(
    ("text", "rc", "to_cp", "to_node", "detail"),
    [
        (output(OUTPUT_1_1_1) + TICKET, 0, "ok", "accepted", "ticket"),
        (output(OUTPUT_1_1_1) + TICKET, 124, "ok", "accepted", "ticket"),
        (output(OUTPUT_1_1_1) + "DONE\n", 0, "ok", "unknown", "no session ticket came"),
        (output(OUTPUT_1_1_1) + ALERT_1_1_1, 1, "ok", "refused", "TLS alert 48 (unknown CA)"),
        (output(OUTPUT_1_1_1) + ALERT_1_1_1, None, "ok", "refused", "TLS alert 48 (unknown CA)"),
        (output(OUTPUT_1_1_1) + "read:errno=0\n", 0, "ok", "refused", "the CP ended the connection"),
        (output(OUTPUT_1_1_1) + "read:errno=104\n", 0, "ok", "refused", "errno 104"),
        (output(OUTPUT_1_1_1) + "write:errno=32\n", 1, "ok", "refused", "errno 32"),
        (output(OUTPUT_1_1_1), 1, "ok", "refused", "exit status 1"),
        (output(OUTPUT_1_1_1), None, "ok", "unknown", "no session ticket came"),
        (output(OUTPUT_1_1_1), 124, "ok", "unknown", "time limit"),
        (output(OUTPUT_1_1_1, "No client certificate CA names sent\n") + TICKET, 0, "ok", "accepted", "ticket"),
        (output(OUTPUT_1_1_1) + "HTTP/1.1 404 Not Found\r\n\r\n", 0, "ok", "accepted", "HTTP/1.1 404"),
        (
            output(OUTPUT_1_1_1) + "HTTP/1.1 400 Bad Request\n\n<title>400 The SSL certificate error</title>\n",
            0,
            "ok",
            "refused",
            "refused in HTTP",
        ),
        (output(OUTPUT_1_1_1) + TICKET + "HTTP/1.1 496 \n", 0, "ok", "refused", "refused in HTTP: HTTP/1.1 496"),
        (output(OUTPUT_1_1_1).replace("0 (ok)", "10 (certificate has expired)"), 0, "refused", "unknown", ""),
        (output(OUTPUT_LIBRESSL_12), 0, "ok", "accepted", "TLSv1.2 handshake was finished"),
        (ALERT_1_1_1 + output(OUTPUT_LIBRESSL_12), 1, "ok", "refused", "TLS alert 48"),
        ("read:errno=104\n" + output(OUTPUT_LIBRESSL_12), 1, "ok", "refused", "errno 104"),
        (output(OUTPUT_LIBRESSL_12).replace("ECDHE-ECDSA-AES256-GCM-SHA384", "(NONE)"), 1, "ok", "refused", "status 1"),
        (output(NOBODY_ASKED) + TICKET, 0, "ok", "unknown", "asked for no client certificate"),
        ("", None, "unknown", "unknown", "time limit"),
        ("", 124, "unknown", "unknown", "time limit"),
        ("CONNECTED(00000003)\n", None, "unknown", "unknown", "time limit"),
        ("bash: openssl: command not found\n", 127, "unknown", "unknown", "not found"),
        ("unknown option -verify_hostname\nusage: s_client\n", 1, "unknown", "unknown", "unknown option"),
        ("connect: Connection refused\nconnect:errno=111\n", 1, "unknown", "unknown", "errno 111"),
        ("no peer certificate available\nVerify return code: 0 (ok)\n", 1, "unknown", "unknown", "exit status 1"),
        (ALERT_1_1_1 + "no peer certificate available\n", 1, "unknown", "unknown", "before it showed a certificate"),
    ],
)
def test_outputs_of_other_versions(text, rc, to_cp, to_node, detail):
    found = verdict(text, rc)
    assert (found.to_cp, found.to_node) == (to_cp, to_node)
    assert detail in found.to_node_detail
    assert verdict(text.replace("\n", "\r\n"), rc) == found


def test_names_and_protocols_of_other_versions():
    found = verdict(output(OUTPUT_1_1_1), 0)
    assert found.acceptable_ca_names == ("CN = Quazzar Control Center CA", "O = b, CN = other")
    assert (found.acceptable_ca_count, found.protocol) == (2, "TLSv1.3")
    assert verdict(output(OUTPUT_1_1_1, "No client certificate CA names sent\n"), 0).acceptable_ca_count == 0
    found = verdict(output(OUTPUT_LIBRESSL_12), 0)
    assert (found.acceptable_ca_names, found.protocol) == (("/CN=Quazzar Control Center CA",), "TLSv1.2")


def test_a_stranger_who_shows_the_right_certificate_without_its_key_is_not_trusted():
    forged = "805B1:error:0A00007B:SSL routines:tls_process_cert_verify:bad signature:../ssl/statem/statem_lib.c:505:\n"
    found = verdict(forged + output(OUTPUT_1_1_1), 1)
    assert (found.to_cp, found.to_node) == ("unknown", "unknown")
    assert "bad signature" in found.to_cp_detail


def test_what_the_server_writes_later_is_no_certificate_of_it():
    other = minting.make_ca().pem.decode("ascii")
    assert len(verdict(output(OUTPUT_1_1_1) + TICKET + other, 0).chain) == 1


def test_a_certificate_that_cannot_be_read_is_told():
    broken = output(OUTPUT_1_1_1).replace("MII", "AAA", 1) + TICKET
    found = verdict(broken, 0)
    assert (found.to_cp, found.to_node, found.chain) == ("ok", "accepted", ())
    assert "cannot be read" in found.to_cp_detail


FRAGMENTS = [*OUTPUT_1_1_1.splitlines(), *OUTPUT_LIBRESSL_12.splitlines(), *TICKET.splitlines(), ALERT_1_1_1.strip()]
FRAGMENTS += ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "HTTP/1.1 200 OK", "read:errno=0"]


@pytest.mark.parametrize(
    "piece",
    ["\n", "-----BEGIN CERTIFICATE-----\n", " ", "SSL alert number 1", "\nAcceptable client certificate CA names"],
)
def test_the_time_grows_with_the_length_and_not_with_its_square(piece):
    began = time.process_time()
    verdict(piece * (300_000 // len(piece)) + "x", 0)
    assert time.process_time() - began < 5


def test_an_alert_number_that_is_none():
    found = verdict(output(OUTPUT_1_1_1) + "1:error:1:a:b:c:d.c:1:SSL alert number " + "9" * 5000 + "\n", 1)
    assert found.to_node != "accepted"


@given(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=30)), max_size=30),
    st.sampled_from([None, 0, 1, 124]),
)
def test_any_output_has_a_verdict(lines, rc):
    text = "\n".join(lines)
    found = verdict(text, rc)
    assert found.to_cp in {"ok", "refused", "unknown"}
    assert found.to_node in {"accepted", "refused", "unknown"}
    assert found.to_node != "accepted" or ALERT_1_1_1.strip() not in lines


@pytest.mark.parametrize(
    ("detail", "alone", "after_acceptance"),
    [
        ("TLS alert 48 (unknown CA)", True, True),
        ("TLS alert 42 (bad certificate)", True, True),
        ("refused in HTTP: HTTP/1.1 400 Bad Request", True, True),
        ("TLS alert 40 (handshake failure)", False, True),
        ("the CP ended the connection: connection reset by peer", False, True),
        ("the connection ended after the CP's certificate was shown (exit status 1)", False, True),
        ("TLS alert 45 (certificate expired)", False, False),
        ("TLS alert 80", False, False),
    ],
)
def test_which_refusals_are_for_want_of_trust(detail: str, alone: bool, after_acceptance: bool) -> None:
    assert shows_distrust(detail, accepted_before=False) is alone
    assert shows_distrust(detail, accepted_before=True) is after_acceptance
