# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as the product makes them, and a verifier that thinks and speaks like Go's.

Go tries every candidate with the right name until a signature fits; OpenSSL takes the first. The product is Go, so
its refusals are worded by this module and not by OpenSSL's own verification.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .paths import write_atomic

CA_NAME = "Quazzar Control Center CA"
UNKNOWN_AUTHORITY = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class PkiError(Exception):
    """A file that is not what it should be."""


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return pem(self.cert)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def write(self, cert_path: Path, key_path: Path) -> None:
        """Both files, the key readable by its owner only and written first."""
        write_atomic(key_path, self.key_pem, 0o600)
        write_atomic(cert_path, self.pem, 0o644)


def now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def der(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.DER)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(cert: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex."""
    return cert.fingerprint(hashes.SHA256()).hex()


def common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def ca_name(*, distinct: bool) -> str:
    """The product's name for its CA, or one of its own for each CA."""
    return f"{CA_NAME} {secrets.token_hex(3)}" if distinct else CA_NAME


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: float, backdate: float
) -> x509.CertificateBuilder:
    start = now().replace(microsecond=0) - dt.timedelta(seconds=backdate)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(seconds=lifetime))
    )


def _as_ca(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(
        usage, critical=True
    )


def make_ca(
    common: str = CA_NAME, *, lifetime: float = 315360000.0, backdate: float = 0.0, key_ids: bool = True
) -> Pair:
    """A self-signed CA as the CP generates it: ECDSA P-256, ten years."""
    key = new_key()
    builder = _as_ca(_builder(_name(common), _name(common), key.public_key(), lifetime, backdate))
    if key_ids:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def cross_sign(subject: x509.Certificate, signer: Pair, *, key_ids: bool = True) -> x509.Certificate:
    """The subject CA's name and key in a certificate signed by another CA: the bridge of world W4."""
    public = subject.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise PkiError("only ECDSA CAs are made here")
    left = subject.not_valid_after_utc - now()
    builder = _as_ca(_builder(subject.subject, signer.cert.subject, public, left.total_seconds(), 0))
    if key_ids:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        builder = builder.add_extension(_authority(signer), critical=False)
    return builder.sign(signer.key, hashes.SHA256())


def _authority(signer: Pair) -> x509.AuthorityKeyIdentifier:
    public = signer.key.public_key()
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)


def issue(
    ca: Pair,
    common: str,
    public_key: ec.EllipticCurvePublicKey,
    *,
    server_names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    lifetime: float = 7776000.0,
    backdate: float = 0.0,
    key_ids: bool = True,
) -> x509.Certificate:
    """A leaf: for a server when it has names, for a client otherwise."""
    server = bool(server_names or addresses)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(common), ca.cert.subject, public_key, lifetime, backdate)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if server:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in server_names]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if key_ids:
        builder = builder.add_extension(_authority(ca), critical=False)
    return builder.sign(ca.key, hashes.SHA256())


def make_csr(key: ec.EllipticCurvePrivateKey, common: str) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """Every certificate in PEM text; other text around the blocks is let pass, as Go's pem.Decode does."""
    return [x509.load_pem_x509_certificate(block) for block in PEM_BLOCK.findall(data)]


def load_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(data, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("not an ECDSA key")
    return key


def load_pair(cert_path: Path, key_path: Path) -> Pair:
    """A certificate and its key; they must belong together."""
    certs = load_certificates(cert_path.read_bytes())
    if not certs:
        raise PkiError(f"{cert_path}: no certificate")
    pair = Pair(certs[0], load_key(key_path.read_bytes()))
    if pair.cert.public_key() != pair.key.public_key():
        raise PkiError(f"{cert_path}: the key in {key_path} is another one")
    return pair


@functools.lru_cache(maxsize=8192)
def _signed(cert: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


# The same few certificates are looked at with every heartbeat: what is in them is taken out once.
@functools.lru_cache(maxsize=8192)
def _window(cert: x509.Certificate) -> tuple[dt.datetime, dt.datetime]:
    return cert.not_valid_before_utc, cert.not_valid_after_utc


@functools.lru_cache(maxsize=8192)
def _names(cert: x509.Certificate) -> tuple[bytes, bytes]:
    return cert.subject.public_bytes(), cert.issuer.public_bytes()


@functools.lru_cache(maxsize=256)
def _dns_names(cert: x509.Certificate) -> tuple[str, ...] | None:
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return tuple(names.get_values_for_type(x509.DNSName))


def _expired(cert: x509.Certificate, at: dt.datetime) -> str:
    start, end = _window(cert)
    if start <= at <= end:
        return ""
    word, limit = ("after", end) if at > end else ("before", start)
    form = "%Y-%m-%dT%H:%M:%SZ"
    return (
        "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
        f"current time {at.strftime(form)} is {word} {limit.strftime(form)}"
    )


def verify(
    leaf: x509.Certificate,
    roots: Sequence[x509.Certificate],
    at: dt.datetime,
    *,
    intermediates: Iterable[x509.Certificate] = (),
    server_name: str = "",
    unknown: str = UNKNOWN_AUTHORITY,
) -> str:
    """Empty when the leaf chains to a root, else the error in Go's words.

    The hint about a candidate authority appears, as in Go, when a CA of the right name did not sign.
    """
    error = _expired(leaf, at)
    if error:
        return error
    if server_name:
        error = _wrong_name(leaf, server_name)
        if error:
            return error
    hint = ""
    late = ""
    queue: list[tuple[x509.Certificate, tuple[x509.Certificate, ...]]] = [(leaf, ())]
    others = list(intermediates)
    while queue:
        cert, used = queue.pop()
        for candidate in [*roots, *others]:
            if _names(candidate)[0] != _names(cert)[1] or candidate in used or candidate == cert:
                continue
            if not _signed(cert, candidate):
                hint = hint or common_name(candidate.subject)
                continue
            late_now = _expired(candidate, at)
            if late_now:
                late = late or late_now
            elif candidate in roots:
                return ""
            else:
                queue.append((candidate, (*used, cert)))
    if late:
        return late
    return unknown_authority(hint, unknown) if hint else unknown


def unknown_authority(candidate: str, unknown: str) -> str:
    """Go's words when a CA of the right name did not sign."""
    return (
        f'{unknown} (possibly because of "x509: ECDSA verification failure" '
        f'while trying to verify candidate authority certificate "{candidate}")'
    )


def _wrong_name(leaf: x509.Certificate, server_name: str) -> str:
    known = _dns_names(leaf)
    if known is None:
        return (
            "tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead"
        )
    if server_name.lower() in (name.lower() for name in known):
        return ""
    return f"tls: failed to verify certificate: x509: certificate is valid for {', '.join(known)}, not {server_name}"
