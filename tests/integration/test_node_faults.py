# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator reads of a node whose files or link are not as they should be: rows of docs/faults.md."""

from __future__ import annotations

import pytest

from quazzar_lab import pki

pytestmark = pytest.mark.integration


def _pin(change):
    def spoil(made, name):
        path = made.node_file(name, "ca.crt")
        path.write_bytes(change(path.read_bytes(), made))

    return spoil


def _leaf(change):
    def spoil(made, name):
        path = made.node_file(name, "client.crt")
        key = pki.load_key(made.node_file(name, "client.key").read_bytes())
        path.write_bytes(change(path.read_bytes(), made, key, name))

    return spoil


def _renewed(_pem, made):
    """The active CA's name and key in a younger certificate."""
    return pki.pem(pki.cross_sign(made.pair().cert, made.pair()))


def _expired(_pem, made, key, name):
    return pki.pem(pki.issue(made.pair(), name, key.public_key(), backdate=7776000 + 3600))


#: What is wrong, what makes it so, the node's state, and what is said of it.
ROWS = (
    ("a bundle in the pin", _pin(lambda pem, _made: pem + pki.make_ca("Other").pem), "bridged",
     "pins the legacy and the active CA, leaf by the active CA"),
    ("CRLF in the pin", _pin(lambda pem, _made: pem.replace(b"\n", b"\r\n")), "current", ""),
    ("garbage behind the pin", _pin(lambda pem, _made: pem + b"\x00trailing garbage\n"), "current", ""),
    ("a private key in the pin", _pin(lambda pem, _made: pem + pki.key_pem(pki.new_key())), "current", ""),
    ("a pin in DER", _pin(lambda pem, _made: pki.der(pki.load_certificates(pem)[0])), "stranded",
     "the handshake proves nothing (no certificate or crl found)"),
    ("an empty pin", _pin(lambda _pem, _made: b""), "split", "/ca.crt: holds no certificate"),
    ("no pin", lambda made, name: made.node_file(name, "ca.crt").unlink(), "split", "/ca.crt: no such file"),
    ("a pin renewed over its key", _pin(_renewed), "current", ""),
    ("a leaf that is none", _leaf(lambda _pem, _made, _key, _name: b"rubbish"), "unregistered",
     "/client.crt: no certificate found"),
    ("an expired leaf", _leaf(_expired), "expired", "its client certificate has expired"),
    ("a node that is down", lambda made, name: made.power_off(name), "unreachable", "Connection refused"),
)  # fmt: skip


def test_what_is_said(fleet):
    made = fleet(len(ROWS), "W2", replicas=1)
    for name, (_what, spoil, _state, _reason) in zip(made.names, ROWS, strict=True):
        spoil(made, name)
    run = made.play("drift_report")
    found = {node["name"]: node for node in run.report["nodes"]}
    wrong = [
        f"{what}: {found[name]['state']}, {found[name]['reason']}"
        for name, (what, _spoil, state, reason) in zip(made.names, ROWS, strict=True)
        if found[name]["state"] != state or (reason not in found[name]["reason"] if reason else found[name]["reason"])
    ]
    assert wrong == []
    # what is not current is printed with its reason
    for name, (_what, _spoil, state, _reason) in zip(made.names, ROWS, strict=True):
        assert run.says(f"{name}: {state}; {found[name]['reason']}; last seen ") == (state != "current")
    assert "PRIVATE KEY" not in run.output
