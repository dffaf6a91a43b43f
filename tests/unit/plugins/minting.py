# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for tests, minted on the spot: CAs, leaves, cross-signed bridges, and the odd ones."""

from __future__ import annotations

import ipaddress
import pathlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import certificates

#: The name that the product gives to every CA: the old and the new one are named alike.
PRODUCT_CA_NAME = "Quazzar Control Center CA"

#: The clock of tests that need none: within the default validity of everything minted here.
NOW = datetime.now(timezone.utc).replace(microsecond=0)


@dataclass(frozen=True)
class Minted:
    """A certificate and its key. ``.pem``, ``.key_pem``, ``.der`` are bytes; ``.cert`` is what the collection reads."""

    x509: x509.Certificate
    key: object

    @cached_property
    def pem(self) -> bytes:
        return self.x509.public_bytes(serialization.Encoding.PEM)

    @cached_property
    def der(self) -> bytes:
        return self.x509.public_bytes(serialization.Encoding.DER)

    @cached_property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @cached_property
    def cert(self) -> certificates.Certificate:
        return certificates.from_der(self.der)

    def write(self, directory: pathlib.Path, stem: str) -> tuple[pathlib.Path, pathlib.Path]:
        """Write STEM.crt and STEM.key; returns both paths."""
        directory.mkdir(parents=True, exist_ok=True)
        crt, key = directory / f"{stem}.crt", directory / f"{stem}.key"
        crt.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        key.chmod(0o600)
        return crt, key


def new_key(algorithm="ec"):
    if algorithm == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def make_ca(
    name=PRODUCT_CA_NAME,
    key_ids=True,
    days=3650,
    *,
    not_before=None,
    not_after=None,
    is_ca=True,
    key_usage=True,
    algorithm="ec",
    key=None,
    signed_by=None,
):
    """A CA. ``key`` renews one over the same key; ``signed_by`` (a Minted) makes a cross-signed or intermediate one.

    ``is_ca``: True, False (CA:FALSE) or None (no basic constraints). ``key_usage``: True (keyCertSign, cRLSign),
    False (a key usage without keyCertSign) or None (no key usage).
    """
    key = key or new_key(algorithm)
    builder = _builder(name, key, signed_by, not_before=not_before, not_after=not_after, days=days)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(_key_usage(signs=key_usage, digital_signature=not key_usage), critical=True)
    return _sign(builder, key, signed_by, key_ids)


def make_leaf(
    ca,
    name="node1",
    key_ids=True,
    days=90,
    *,
    not_before=None,
    not_after=None,
    algorithm="ec",
    key=None,
    names=None,
):
    """A leaf signed by ``ca``. With ``names`` (DNS names and IP addresses) it is a server's, without a client's."""
    key = key or new_key(algorithm)
    builder = _builder(name, key, ca, not_before=not_before, not_after=not_after, days=days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs=False, digital_signature=True), critical=True)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(each) for each in names]), critical=False
        )
    return _sign(builder, key, ca, key_ids)


def _builder(name, key, issuer, *, not_before, not_after, days):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = not_before or NOW - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.x509.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(not_after or start + timedelta(days=days))
    )


def _sign(builder, key, issuer, key_ids):
    issuer_key = issuer.key if issuer else key
    if key_ids:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Minted(builder.sign(issuer_key, digest), key)


def _key_usage(*, signs, digital_signature):
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
