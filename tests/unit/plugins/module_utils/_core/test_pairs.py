# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pair out of whatever people have in two files, and no word of a key in anything that is said of it."""

from __future__ import annotations

import base64
import subprocess
import traceback

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pairs
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting

CA = minting.make_ca()
OTHER = minting.make_ca()
WHERE = "cp1: /certs"
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def body(key: bytes) -> list[bytes]:
    """The lines of a key that are secret, and the same in base64 and DER."""
    lines = [line for line in key.splitlines() if not line.startswith(b"---") and len(line) > 20]
    return [*lines, *(base64.b64encode(line) for line in lines)]


def clean(text: str, *keys: bytes) -> None:
    for key in keys or (CA.key_pem,):
        assert not any(line.decode("latin-1") in text for line in body(key)), text


def traditional(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def der(minted) -> bytes:
    return minted.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encrypted(minted, form=serialization.PrivateFormat.PKCS8) -> bytes:
    how = serialization.BestAvailableEncryption(b"geheim")
    return minted.key.private_bytes(serialization.Encoding.PEM, form, how)


@pytest.mark.parametrize("algorithm", ["ec", "rsa", "ed25519"])
def test_a_pair(algorithm):
    ca = minting.make_ca(algorithm=algorithm)
    pair = pairs.parse(ca.pem, ca.key_pem, WHERE)
    assert pair.certificate == ca.cert and pair.key_pem == ca.key_pem and pair.cert_pem.encode() == ca.pem
    # one file with both, in either order
    for both in (ca.pem + ca.key_pem, ca.key_pem + ca.pem):
        assert pairs.parse(both, both, WHERE) == pair


@pytest.mark.parametrize(
    "key",
    [
        traditional(CA.key),
        PARAMETERS + traditional(CA.key),
        CA.key_pem.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CA.key_pem,
        b"Bag Attributes\n    friendlyName: ca\n" + CA.key_pem + b"trailing\n",
        CA.key_pem.rstrip(b"\n"),
        CA.pem + CA.key_pem,
    ],
    ids=["traditional", "parameters", "crlf", "bom", "bag", "no newline", "certificate before it"],
)
def test_keys_as_people_have_them(key):
    pair = pairs.parse(CA.pem, key, WHERE)
    # The block of the key alone, and openssl reads it.
    assert pair.key_pem.startswith(b"-----BEGIN ") and pair.key_pem.count(b"-----BEGIN ") == 1
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=pair.key_pem, capture_output=True, check=True).stdout
    assert public == CA.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_certificate_in_der_and_the_first_of_several():
    assert pairs.parse(CA.der, CA.key_pem, WHERE).certificate == CA.cert
    assert pairs.parse(CA.pem + OTHER.pem, CA.key_pem, WHERE).certificate == CA.cert
    with pytest.raises(InputError, match="does not belong to the certificate"):
        pairs.parse(OTHER.pem + CA.pem, CA.key_pem, WHERE)


BELONGS = (
    f"{WHERE}: the private key does not belong to the certificate {CA.cert.sha256[:16]} ({CA.cert.subject});"
    " they are of two different CAs, or one of the files is damaged"
)
PASSWORD = f"{WHERE}: the private key is protected by a password, which nothing here can ask for"
TEXT = "no certificate found: 5 bytes of text without a PEM block, expected PEM or DER"
NONE = f"{WHERE}: expected a private key in PEM, found none that can be read (ValueError)"


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        (CA.pem, OTHER.key_pem, BELONGS),
        (CA.pem, encrypted(CA), PASSWORD),
        (CA.pem, encrypted(CA, serialization.PrivateFormat.TraditionalOpenSSL), PASSWORD),
        (CA.pem, CA.key_pem[:-40], NONE),
        (CA.pem, CA.key_pem[:60] + CA.key_pem[80:], NONE),
        (CA.pem, der(CA), NONE),
        (CA.pem, b"", NONE),
        (CA.pem, CA.pem, NONE),
        (CA.pem, PARAMETERS, NONE),
        (b"", CA.key_pem, f"{WHERE}: expected the certificate of a CA, found none"),
        (CA.key_pem, CA.key_pem, f"{WHERE}: expected the certificate of a CA, found none"),
        (b"hello", CA.key_pem, f"{WHERE}: {TEXT}"),
    ],
    ids=[
        "another CA's key", "encrypted", "encrypted, traditional", "truncated", "damaged", "key in DER", "no key",
        "a certificate for a key", "parameters alone", "no certificate", "a key for a certificate", "text",
    ],
)  # fmt: skip
def test_what_is_no_pair(cert, key, words):
    with pytest.raises(InputError) as error:
        pairs.parse(cert, key, WHERE)
    assert str(error.value) == words
    # What caused it stands in a traceback too.
    shown = "".join(traceback.format_exception(error.type, error.value, error.tb))
    assert words in shown
    clean(shown, CA.key_pem, OTHER.key_pem)


def test_a_truncated_certificate_names_its_file():
    with pytest.raises(InputError, match=rf"^{WHERE}: "):
        pairs.parse(CA.pem[:-60], CA.key_pem, WHERE)


def test_no_repr_shows_a_key():
    pair = pairs.parse(CA.pem, CA.key_pem, WHERE)
    for text in (repr(pair), str(pair), f"{pair!r:.9999}", repr([pair]), repr({"x": pair}), repr(pair.certificate)):
        clean(text)
        assert "PRIVATE" not in text
    clean(repr(pairs.private_key(CA.key_pem, WHERE)))


def test_keys_are_told_apart_by_their_public_halves():
    halves = [pairs.spki(pairs.private_key(minted.key_pem, WHERE)) for minted in (CA, OTHER)]
    assert halves[0] != halves[1]
    assert halves[0] == pairs.spki(pairs.private_key(traditional(CA.key), WHERE))


@st.composite
def damaged(draw):
    """A valid file with one thing done to it."""
    data = draw(st.sampled_from([CA.pem, CA.key_pem, CA.pem + CA.key_pem, encrypted(OTHER), CA.der, der(CA)]))
    at = draw(st.integers(0, len(data)))
    to = draw(st.integers(at, min(len(data), at + 60)))
    return data[:at] + draw(st.binary(max_size=20)) + data[to:]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(damaged(), st.binary(max_size=200)), st.one_of(damaged(), st.just(CA.key_pem)))
def test_whatever_is_handed_in(cert, key):
    """It is a pair that belongs together, or refused with a sentence that quotes nothing of a key."""
    refused = ""
    try:
        pair = pairs.parse(cert, key, WHERE)
    except InputError as error:
        refused = str(error)
    clean(refused, CA.key_pem, OTHER.key_pem)
    if refused:
        assert refused.startswith(f"{WHERE}: ")
        return
    assert pairs.spki(pairs.private_key(pair.key_pem, "")) == pairs._spki_of(pair.certificate)
    again = pair.cert_pem.encode() + pair.key_pem
    assert pairs.parse(again, again, WHERE) == pair
    clean(repr(pair))
