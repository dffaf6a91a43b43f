# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates against openssl's own reading of them, and files of every kind that people have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from datetime import timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import certificates
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting

CA = minting.make_ca()
OTHER = minting.make_ca()
LEAF = minting.make_leaf(CA)


def openssl(*arguments, data):
    done = subprocess.run(["openssl", *arguments], input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode("ascii").strip()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("algorithm", ["ec", "rsa", "ed25519"])
def test_everything_agrees_with_openssl(algorithm):
    ca = minting.make_ca(algorithm=algorithm)
    leaf = minting.make_leaf(ca, algorithm=algorithm)
    for minted in (ca, leaf):
        cert = minted.cert
        printed = openssl("x509", "-noout", "-fingerprint", "-sha256", data=minted.pem)
        assert printed.partition("=")[2] == cert.fingerprint
        assert certificates.normalise_fingerprint(printed) == cert.sha256
        serial = openssl("x509", "-noout", "-serial", data=minted.pem).partition("=")[2]
        assert int(serial, 16) == int(cert.serial, 16)  # a serial that begins with a zero byte is printed without it
        public = subprocess.run(
            ["bash", "-c", "openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -r"],
            input=minted.pem,
            stdout=subprocess.PIPE,
            check=True,
        )
        assert public.stdout.split()[0].decode("ascii") == cert.spki_sha256
        names = ("subject", "issuer")
        printed = [openssl("x509", "-noout", f"-{name}", "-nameopt", "RFC2253", data=minted.pem) for name in names]
        assert printed == [f"subject={cert.subject}", f"issuer={cert.issuer}"]


def test_what_a_ca_and_a_leaf_look_like():
    ca, leaf = CA.cert, LEAF.cert
    assert (ca.is_ca, ca.self_signed, ca.key_usage) == (True, True, ("keyCertSign", "cRLSign"))
    assert (leaf.is_ca, leaf.self_signed, leaf.key_usage) == (False, False, ("digitalSignature",))
    assert leaf.aki == ca.ski == ca.aki
    assert leaf.ski not in (None, leaf.aki)
    assert leaf.issuer_der == ca.subject_der
    assert leaf.not_before.tzinfo is timezone.utc
    assert leaf.not_after - leaf.not_before == timedelta(days=90)
    assert (leaf.signature_hash, ca.subject) == ("sha256", "CN=Quazzar Control Center CA")
    bare = minting.make_ca(key_ids=False, key_usage=None, is_ca=None).cert
    assert (bare.ski, bare.aki, bare.key_usage, bare.is_ca) == (None, None, None, False)
    assert minting.make_ca(algorithm="ed25519").cert.signature_hash is None


def test_a_certificate_survives_its_own_pem_and_is_json():
    (again,) = certificates.parse_bundle(LEAF.cert.pem().encode("ascii")).certificates
    assert again == LEAF.cert
    assert LEAF.cert.pem().encode("ascii") == LEAF.pem
    shown = json.loads(json.dumps(LEAF.cert.as_dict()))
    assert shown["not_after"].endswith("Z")
    assert "der" not in shown
    assert b"".join([LEAF.der]).hex()[:40] not in repr(LEAF.cert)


def test_signed_by_means_the_signature_and_not_the_name():
    assert CA.cert.subject == OTHER.cert.subject
    assert certificates.signed_by(LEAF.cert, CA.cert)
    assert not certificates.signed_by(LEAF.cert, OTHER.cert)
    assert not certificates.signed_by(CA.cert, LEAF.cert)
    assert certificates.signers(LEAF.cert, [OTHER.cert, CA.cert]) == {CA.cert.sha256}


def test_the_same_key_under_another_name_is_not_the_issuer():
    renamed = minting.make_ca(name="Another CA", key=CA.key)
    assert not certificates.signed_by(LEAF.cert, renamed.cert)


def test_a_renewal_over_the_same_key_is_an_issuer_too():
    renewed = minting.make_ca(key=CA.key, days=20)
    assert renewed.cert.sha256 != CA.cert.sha256
    assert renewed.cert.spki_sha256 == CA.cert.spki_sha256
    assert certificates.signed_by(LEAF.cert, renewed.cert)


def test_dates_do_not_matter_to_signed_by():
    past = minting.NOW - timedelta(days=400)
    old = minting.make_ca(not_before=past, not_after=past + timedelta(days=1))
    assert certificates.signed_by(minting.make_leaf(old).cert, old.cert)


@pytest.mark.parametrize("algorithm", ["ec", "rsa", "ed25519"])
def test_a_signature_that_was_tampered_with(algorithm):
    ca = minting.make_ca(algorithm=algorithm)
    leaf = minting.make_leaf(ca)
    assert certificates.signed_by(leaf.cert, ca.cert)
    position = leaf.der.index(b"node1")
    tampered = certificates.from_der(leaf.der[:position] + b"nodeX" + leaf.der[position + 5 :])
    assert tampered.subject == "CN=nodeX"
    assert not certificates.signed_by(tampered, ca.cert)


def test_keys_of_different_kinds_do_not_verify_each_other():
    rsa, ed25519 = minting.make_ca(algorithm="rsa"), minting.make_ca(algorithm="ed25519")
    for signer in (CA, rsa, ed25519):
        leaf = minting.make_leaf(signer).cert
        assert [certificates.signed_by(leaf, ca.cert) for ca in (CA, rsa, ed25519)] == [
            ca is signer for ca in (CA, rsa, ed25519)
        ]


def test_rsa_pss_is_verified_as_such():
    key = minting.new_key("rsa")
    ca = minting.make_ca(key=key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pss")])
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(ca.x509.subject).serial_number(1)
    builder = builder.not_valid_before(minting.NOW).not_valid_after(minting.NOW + timedelta(days=1))
    leaf = builder.public_key(key.public_key()).sign(key, hashes.SHA256(), rsa_padding=scheme)
    cert = certificates.from_der(leaf.public_bytes(serialization.Encoding.DER))
    assert certificates.signed_by(cert, ca.cert)


def bundle(data):
    return certificates.parse_bundle(data)


def test_pem_in_every_shape_that_openssl_and_go_read():
    plain = bundle(CA.pem)
    assert (plain.form, plain.has_private_key, plain.notes) == ("pem", False, ())
    assert plain.certificates == (CA.cert,)
    crlf = bundle(CA.pem.replace(b"\n", b"\r\n"))
    assert (crlf.certificates, crlf.notes) == ((CA.cert,), ("CRLF line ends",))
    for spaced in (CA.pem.replace(b"\n", b" \t\n"), CA.pem.replace(b"\nMII", b"\n\n MII")):
        assert bundle(spaced).certificates == (CA.cert,)
    without_end = bundle(CA.pem.rstrip(b"\n"))
    assert (without_end.certificates, without_end.notes) == ((CA.cert,), ())
    garbage = bundle(b"# old CA\n" + CA.pem + b"\x00\xfftrailing")
    assert (garbage.certificates, garbage.notes) == ((CA.cert,), ("text outside of the PEM blocks",))
    two = bundle(CA.pem + b"\n" + OTHER.pem)
    assert (two.certificates, two.notes) == ((CA.cert, OTHER.cert), ("2 certificates",))
    twice = bundle(CA.pem + CA.pem)
    assert (twice.certificates, twice.notes) == (
        (CA.cert, CA.cert),
        ("2 certificates", "the same certificate more than once"),
    )


def test_der_and_empty():
    found = bundle(CA.der)
    assert (found.form, found.certificates, found.notes) == ("der", (CA.cert,), ())
    for nothing in (b"", b" \r\n\t\n"):
        assert bundle(nothing) == certificates.Bundle((), "empty", notes=("the file is empty",))


def test_a_private_key_is_flagged_and_never_kept():
    for kind in (b"PRIVATE", b"EC PRIVATE", b"ENCRYPTED PRIVATE"):
        key = CA.key_pem.replace(b"PRIVATE", kind)
        for data in (key + CA.pem, CA.pem + key, CA.pem + key[:60]):
            found = bundle(data)
            assert (found.certificates, found.has_private_key) == ((CA.cert,), True)
            assert "a private key" in found.notes
            assert key.split(b"\n")[1] not in repr(found).encode("ascii")
    alone = bundle(CA.key_pem)
    assert (alone.certificates, alone.has_private_key, alone.form) == ((), True, "pem")
    der = CA.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert (bundle(der).certificates, bundle(der).has_private_key, bundle(der).form) == ((), True, "der")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html>404</html>", "HTML"),
        (b'{"error": "no"}', "JSON"),
        (b"not found", "9 bytes of text without a PEM block"),
        (CA.pem.decode("ascii").encode("utf-16"), "UTF-16"),
        (b"\x89PNG\r\n\x1a\n\x00", "binary data"),
        (b"\x30\x03\x02\x01\x01", "binary data, but not one DER certificate"),
        (CA.der[:-1], "broken DER: cut off"),
        (CA.der + b"\x00", "not one DER"),
        (b"\xef\xbb\xbf" + CA.pem, "does not begin at the start of a line.*byte order mark"),
        (b"  " + CA.pem, "does not begin at the start of a line"),
        (CA.pem.replace(b"\n", b"\r"), "no END line"),
        (CA.pem[:-40], "PEM certificate 1 has no END line"),
        (OTHER.pem + CA.pem[:-40], "PEM certificate 2 has no END line"),
        (CA.pem[:-40] + OTHER.pem, "PEM certificate 1 has no END line"),
        (CA.pem.replace(b"MII", b"M!I", 1), "PEM certificate 1 is not valid base64"),
        (CA.pem.replace(b"\nM", b"\nX-Note: a\n\nM", 1), "headers inside"),
        (CA.pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), "TRUSTED CERTIFICATE.*Go does not read"),
        (CA.pem.replace(b"CERTIFICATE", b"X509 CERTIFICATE"), "X509 CERTIFICATE.*Go does not read"),
        (CA.pem.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"), "PEM of the kind CERTIFICATE REQUEST"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "PEM certificate 1: not a certificate"),
        (CA.pem.replace(b"BEGIN CERTIFICATE-----\n", b"BEGIN CERTIFICATE-----"), "text on its BEGIN or END line"),
        (CA.pem.replace(b"END CERTIFICATE-----", b"END CERTIFICATE----- # old"), "text on its BEGIN or END line"),
        (CA.pem.replace(b"\n-----END", b"\n\n-----END"), "a blank line inside of its block"),
        (CA.pem.replace(b"\nMII", b"\n\n \nMII"), "a blank line inside of its block"),
        (CA.pem.replace(b"\n", b"\r\r\n"), "end in CR CR LF"),
        (CA.pem.replace(b"\n-----END", b"\x0b\n-----END"), "not valid base64"),
        (b"\x00\x00\n" + CA.pem, "PEM certificate 1 stands behind a line that begins with a NUL byte"),
        (CA.pem + b"\x00\n" + OTHER.pem, "PEM certificate 2 stands behind a line that begins with a NUL byte"),
    ],
)
def test_what_is_refused_and_why(data, why):
    with pytest.raises(InputError, match=why):
        bundle(data)


def test_a_cut_off_key_does_not_swallow_the_certificate_after_it():
    found = bundle(CA.key_pem[:80] + b"\n" + CA.pem + OTHER.key_pem)
    assert (found.certificates, found.has_private_key) == ((CA.cert,), True)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash(data):
    for shape in (data, b"\x30" + data, b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n"):
        try:
            bundle(shape)
        except InputError:
            continue


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_certificates_never_crash_and_never_verify_as_something_else(data):
    der = bytearray(LEAF.der)
    for _turn in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        (cert,) = bundle(bytes(der)).certificates
        json.dumps(cert.as_dict())
        bundle(cert.pem().encode("ascii"))
    except (InputError, ValueError):
        return
    untouched = x509.load_der_x509_certificate(cert.der).tbs_certificate_bytes == LEAF.x509.tbs_certificate_bytes
    assert untouched or not certificates.signed_by(cert, CA.cert)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_pem_never_crashes(data):
    pem = bytearray(CA.pem + CA.key_pem)
    for _turn in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(pem) - 1))
        pem[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = bundle(bytes(pem))
    except InputError:
        return
    assert all(cert.der == CA.der or not cert.self_signed for cert in found.certificates)


def test_strange_but_readable_certificates_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for minted in (CA, LEAF):
            assert certificates.from_der(minted.der) == minted.cert
        certificates.signed_by(LEAF.cert, CA.cert)


def test_a_certificate_with_an_extension_that_cannot_be_read_is_named_so():
    nonsense = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x30\x03\x01")
    key = minting.new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(minting.NOW).not_valid_after(minting.NOW + timedelta(days=1))
    odd = builder.add_extension(nonsense, critical=True).sign(key, hashes.SHA256())
    with pytest.raises(InputError, match="PEM certificate 1: not a readable certificate"):
        bundle(odd.public_bytes(serialization.Encoding.PEM))


HEX = CA.cert.sha256
COLONS = CA.cert.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        COLONS,
        COLONS.lower(),
        f" {HEX}\n",
        f"sha256 Fingerprint={COLONS}\n",
        f"SHA256 Fingerprint={COLONS}",
        f"SHA2-256(stdin)= {HEX}",
        f"SHA256(ca.crt)= {HEX}",
        f"sha256:{HEX}",
        f"SHA-256: {COLONS}",
        f"SHA256 {HEX}",
        " ".join(HEX[at : at + 4] for at in range(0, 64, 4)),
    ],
)
def test_fingerprints_in_every_form(text):
    assert certificates.normalise_fingerprint(text) == HEX


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "64 hex digits"),
        (HEX[:-1], "64 hex digits"),
        (HEX + "0", "64 hex digits"),
        (HEX[:40], "SHA-1"),
        (f"SHA1 Fingerprint={COLONS[:59]}", "found SHA1"),
        (f"MD5={HEX}", "found MD5"),
        (f"{HEX} {HEX}", "64 hex digits"),
        ("g" * 64, "64 hex digits"),
    ],
)
def test_what_is_no_fingerprint(text, why):
    with pytest.raises(InputError, match=why):
        certificates.normalise_fingerprint(text)


@given(st.text(max_size=80))
def test_arbitrary_text_is_a_fingerprint_or_refused(text):
    try:
        found = certificates.normalise_fingerprint(text)
    except InputError:
        return
    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")


def test_without_cryptography_the_file_imports_and_says_what_is_missing():
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import certificates, trust, headers\n"
        "assert not certificates.HAS_CRYPTOGRAPHY and 'cryptography' in certificates.CRYPTOGRAPHY_IMPORT_ERROR\n"
        "try: certificates.from_der(b'0')\n"
        "except certificates.RotationError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, encoding="utf-8", env=environment
    )
    assert "cryptography is needed" in done.stdout


def test_what_a_certificate_says_it_is_for():
    server = minting.make_leaf(CA, "cp", names=["cp.example.com", "192.0.2.1", "2001:db8::1"])
    names = ("cp.example.com", "192.0.2.1", "2001:db8::1")
    assert certificates.purpose(server.cert) == certificates.Purpose(names, ("1.3.6.1.5.5.7.3.1",))
    assert certificates.purpose(LEAF.cert) == certificates.Purpose(None, ("1.3.6.1.5.5.7.3.2",))
    assert certificates.purpose(CA.cert) == certificates.Purpose(None, None)
