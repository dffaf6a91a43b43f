# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the legacy CA may come from, and why it is believed."""

from __future__ import annotations

import base64
import urllib.parse

import pytest

from quazzar_lab import pki

pytestmark = pytest.mark.integration

NAME = "Quazzar Control Center CA"


def attacker(made, name: str) -> pki.Pair:
    """Whoever holds this node makes a CA of the same name, pins it, and holds a leaf by it."""
    rogue, key = pki.make_ca(NAME), pki.new_key()
    leaf = pki.issue(rogue, "inst_rogue", key.public_key())
    made.node_file(name, "ca.crt").write_bytes(rogue.pem)
    pki.Pair(leaf, key).write(made.node_file(name, "client.crt"), made.node_file(name, "client.key"))
    return rogue


def test_a_planted_ca_is_refused(fleet):
    made = fleet(4, "W2")
    made.accident()
    rogue = attacker(made, "node04")
    old, planted = made.cas()[0]["sha256"], pki.fingerprint(rogue.cert)
    before = made.digest()

    # one node speaks against the others: nobody is believed
    run = made.play("ca_rotate", status=2)
    assert made.digest() == before
    for digest, witnesses in ((old, "3 node(s) (node01, node02, node03)"), (planted, "1 node(s) (node04)")):
        stop = next(reason for reason in run.report["stops"] if f"CA {digest[:16]} is not accepted" in reason)
        assert f"it signed the leaf certificates of {witnesses}" in stop and "name its SHA-256" in stop
    assert run.states["node04"] == "foreign" or "node04" in run.blocked

    # the operator knows which is the right one; the rest moves, and the gate names the odd one
    run = made.play("ca_rotate", status=2, quazzar_legacy_ca_fingerprints=[old])
    assert {name: run.states[name] for name in ("node01", "node02", "node03")} == dict.fromkeys(
        ["node01", "node02", "node03"], "current"
    )
    assert run.states["node04"] == "foreign" and list(run.blocked) == ["node04"]
    assert run.blocked["node04"]["remedy"] == "name its CA, or register it"
    assert made.loaded() == {"cp1": [old], "cp2": [old]}
    assert made.node_file("node04", "ca.crt").read_bytes() == rogue.pem
    assert any(planted[:16] in warning and "stays untrusted" in warning for warning in run.report["warnings"])


def test_sources_of_the_legacy_ca(fleet):
    made = fleet(2, "W4", replicas=1)
    made.accident()
    old, new = made.pair(1), made.pair(2)
    # no node pins it any more, so the files below are all that there is
    for name in made.names:
        made.node_file(name, "ca.crt").write_bytes(new.pem)
    leaf = pki.load_certificates(made.node_file("node01", "client.crt").read_bytes())[0]
    digest, folder = pki.fingerprint(old.cert), made.work

    def sources(**extra):
        run = made.play("drift_report", **extra)
        roles = {ca["sha256"]: ca["role"] for ca in run.report["cas"]}
        return roles.get(digest), run

    def write(name: str, content: str | bytes) -> str:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return str(folder / name)

    # refused as a file, each with its reason
    key = write("with-key.crt", old.pem + pki.key_pem(old.key))
    several = write("several.crt", old.pem + pki.make_ca("Another").pem)
    expired = write("expired.crt", pki.make_ca(NAME, lifetime=60, backdate=86400).pem)
    no_ca = write("leaf.crt", pki.pem(leaf))
    role, run = sources(quazzar_legacy_ca_files=[key, several, expired, no_ca])
    assert role != "candidate"
    said = [*run.report["stops"], *run.report["warnings"]]
    for path, reason in (
        (key, "there is a private key in its file: hand in the certificate alone"),
        (several, "there are 2 certificates in its file: hand in one a file"),
        (expired, "which no verifier forgives: use nodes_rescue"),
        (no_ca, "it is not a CA certificate (no CA:TRUE)"),
    ):
        assert any(path in line and reason in line for line in said), (path, said)
    assert "PRIVATE KEY" not in run.output

    # a file on the controller
    assert sources(quazzar_legacy_ca_files=[write("old.crt", old.pem)])[0] == "candidate"

    # headers as proxies write them
    b64 = {name: base64.b64encode(pki.der(cert)).decode() for name, cert in (("leaf", leaf), ("ca", old.cert))}
    pem = urllib.parse.quote(pki.pem(leaf) + old.pem, safe="")
    only_leaf = write("leaf.txt", f"Client-Cert: :{b64['leaf']}:\n")
    role, run = sources(quazzar_legacy_ca_headers=[only_leaf])
    assert role != "candidate"
    assert any(
        f"headers in {only_leaf}: there is no CA certificate in it, only the leaf" in line
        for line in [*run.report["stops"], *run.report["warnings"]]
    )
    for name, text in (
        ("rfc9440.txt", f"Client-Cert: :{b64['leaf']}:\nClient-Cert-Chain: :{b64['ca']}:\n"),
        ("xfcc.txt", f'X-Forwarded-Client-Cert: Hash={pki.fingerprint(leaf)};Chain="{pem}";Subject="CN=x"\n'),
        ("nginx.txt", f"X-SSL-Client-Cert: {pem}\n"),
    ):
        role, run = sources(quazzar_legacy_ca_headers=[write(name, text)])
        assert role == "candidate", (name, run.report["stops"], run.report["warnings"])

    # and the documented place beside the CP, which is then used as it is
    place = made.layout.root / "cp/certs/ca.crt.old"
    place.write_bytes(old.pem)
    run = made.play("grace_open")
    assert made.pool() == str(place) and made.loaded() == {"cp1": [digest]}
    assert run.report["finished"]
