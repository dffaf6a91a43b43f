# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""A CA as a pair of certificate and private key: read, judged as the next CA, and used to sign.

The key is only ever held in the memory of the controller. No message, no repr and no result shows anything of it; that
two keys are the same is told by their public halves.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import trust
from .certificates import Certificate, from_der, parse_bundle, signed_by
from .errors import InputError, RotationError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    HAS_CRYPTOGRAPHY = True
except ImportError:  # said by certificates.py, which every reader of a pair comes by first
    HAS_CRYPTOGRAPHY = False

#: The shortest RSA key that Go and OpenSSL at their default security levels still take.
_RSA_BITS = 2048
_OLD_HASHES = frozenset(("md5", "sha1"))
_GENERATION = re.compile(r" G(\d{1,4})\Z")
#: A clock that is a little behind must not see a certificate from the future.
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class Pair:
    """A CA certificate and its private key (PEM, as it was read or made)."""

    certificate: Certificate
    key_pem: bytes = field(repr=False)

    @property
    def cert_pem(self) -> str:
        return self.certificate.pem()


def parse(cert: bytes, key: bytes, where: str) -> Pair:
    """The pair out of the contents of two files, or of one file handed in twice. Raises InputError.

    As a server does, it takes the first certificate of the file. ``where`` names the files in messages.
    """
    try:
        found = parse_bundle(cert).certificates
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if not found:
        raise InputError(f"{where}: expected the certificate of a CA, found none")
    if spki(private_key(key, where)) != _spki_of(found[0]):
        raise InputError(
            f"{where}: the private key does not belong to the certificate {found[0].sha256[:16]} ({found[0].subject});"
            " they are of two different CAs, or one of the files is damaged"
        )
    return Pair(found[0], _only_key(key))


def private_key(pem: bytes, where: str) -> Any:
    """The key object of an unencrypted PEM key. Raises InputError, which never quotes what it was given."""
    if not HAS_CRYPTOGRAPHY:
        raise RotationError("the Python library cryptography is needed on the controller")
    start = pem.find(b"-----BEGIN")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return serialization.load_pem_private_key(_only_key(pem[max(start, 0) :]), password=None)
    except TypeError:
        raise InputError(
            f"{where}: the private key is protected by a password, which nothing here can ask for"
        ) from None
    except Exception as error:
        # The text of such an error may hold a part of the key.
        raise InputError(
            f"{where}: expected a private key in PEM, found none that can be read ({type(error).__name__})"
        ) from None


def _only_key(pem: bytes) -> bytes:
    """The block of the key alone: EC PARAMETERS or a certificate may stand before or behind it."""
    found = re.search(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", pem, re.DOTALL)
    return found.group(0) + b"\n" if found else pem


def spki(key: Any) -> bytes:
    """SubjectPublicKeyInfo (DER) of a private key: what tells two keys apart without showing either."""
    public = key.public_key()
    return bytes(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _spki_of(cert: Certificate) -> bytes:
    public = x509.load_der_x509_certificate(cert.der).public_key()
    return bytes(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def new_subject(active: Certificate, leaves_marked: bool) -> Any:
    """The name of the CA after ``active``: the same one where key ids tell the two apart, else the next generation.

    Of two CAs that share a name OpenSSL takes the first, unless the subject key ids of the CAs and the authority key
    ids of what they signed tell it which (openssl#16304). ``leaves_marked``: all leaves have an authority key id.
    """
    subject = x509.load_der_x509_certificate(active.der).subject
    if active.ski and leaves_marked:
        return subject
    return x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(part.oid, _next_generation(str(part.value))) if part.oid == NameOID.COMMON_NAME else part
            for part in rdn
        )
        for rdn in subject.rdns
    )


def _next_generation(name: str) -> str:
    found = _GENERATION.search(name)
    return f"{name[: found.start()]} G{int(found.group(1)) + 1}" if found else f"{name} G2"


def named(common_name: str) -> Any:
    """A subject with just this common name. Raises InputError."""
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as error:
        raise InputError(f"{common_name!r} cannot be the common name of a CA: {error}") from None


def make_ca(key: Any, subject: Any, *, now: datetime, lifetime: timedelta, serial: int) -> Pair:
    """A CA signed by its own ``key``, with key ids. Only certificates may be signed with it."""
    builder = _builder(subject, subject, key.public_key(), now, lifetime, serial)
    builder = _as_ca(builder, key.public_key(), key.public_key())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(_signed(builder, key), bytes(pem))


def bridge(new: Certificate, old: Pair, *, now: datetime, serial: int) -> Certificate:
    """``new``'s name and key in a certificate by ``old``: whoever trusts only the old CA can verify what the new one
    signs, when a server sends this along. It ends with the earlier of the two."""
    key = private_key(old.key_pem, "the key of the old CA")
    subject = x509.load_der_x509_certificate(new.der)
    issuer = x509.load_der_x509_certificate(old.certificate.der).subject
    end = min(new.not_after, old.certificate.not_after)
    builder = _builder(subject.subject, issuer, subject.public_key(), now, end - now, serial)
    return _signed(_as_ca(builder, subject.public_key(), key.public_key()), key)


def is_bridge(cert: Certificate, new: Certificate, old: Certificate, now: datetime) -> bool:
    """Whether ``cert`` is a bridge from ``old`` to ``new`` that verifiers take now."""
    same = cert.spki_sha256 == new.spki_sha256 and cert.subject_der == new.subject_der
    return same and signed_by(cert, old) and cert.not_before <= now <= cert.not_after


def server_sample(
    ca: Pair, public_key: Any, server_name: str, *, now: datetime, lifetime: timedelta, serial: int
) -> Certificate:
    """A server certificate as the CP could have one from ``ca``, for verifiers to try. Its key is nobody's."""
    key = private_key(ca.key_pem, "the key of the new CA")
    issuer = x509.load_der_x509_certificate(ca.certificate.der).subject
    # The name stands in the SAN, where alone Go looks for it; a common name has at most 64 characters.
    builder = _builder(x509.Name([]), issuer, public_key, now, lifetime, serial)
    builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(server_name)]), critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = _key_ids(builder, public_key, key.public_key())
    return _signed(builder, key)


def _alternative(server_name: str) -> Any:
    import ipaddress

    try:
        return x509.IPAddress(ipaddress.ip_address(server_name))
    except ValueError:
        return x509.DNSName(server_name)


def _builder(subject: Any, issuer: Any, public_key: Any, now: datetime, lifetime: timedelta, serial: int) -> Any:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
    )


def _as_ca(builder: Any, public_key: Any, issuer_key: Any) -> Any:
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
    return _key_ids(builder, public_key, issuer_key)


def _key_ids(builder: Any, public_key: Any, issuer_key: Any) -> Any:
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)


def _signed(builder: Any, key: Any) -> Certificate:
    algorithm = hashes.SHA256() if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)) else None
    return from_der(builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER))


def judge(cert: Certificate, *, active: Certificate, now: datetime, least: timedelta) -> tuple[str, ...]:
    """Every reason to refuse ``cert`` as the CA that follows ``active``: what Go or OpenSSL would not take from it.

    ``least``: how long it must be valid still, so that no leaf outlives it. Sources: RFC 5280; Go's crypto/x509 refuses
    signatures with SHA-1, and chains through a CA whose extended key usages do not hold what is asked for.
    """
    reasons = list(trust.judge_ca(cert, bundle=None, active=active, now=now))
    if not cert.self_signed:
        reasons.append("it is not signed by its own key: nodes pin the root, so hand in the root")
    if now <= cert.not_after < now + least:
        reasons.append(f"it ends on {cert.not_after:%Y-%m-%d}, before leaves that it would sign now")
    if cert.signature_hash in _OLD_HASHES:
        reasons.append(f"its signature uses {cert.signature_hash.upper()}, which Go refuses")
    loaded = x509.load_der_x509_certificate(cert.der)
    reasons += _weak_key(loaded.public_key())
    if cert.ski is None:
        reasons.append("it has no subject key id, without which OpenSSL may take another CA of its name for it")
    elif cert.ski == active.ski:
        reasons.append("its subject key id is that of the active CA, whose key is another one")
    for extension in _extensions(loaded):
        name = type(extension).__name__
        if name == "ExtendedKeyUsage" and not _serves_both(extension):
            reasons.append("its extended key usages lack serverAuth or clientAuth, so Go refuses what it signs")
        if name == "NameConstraints":
            reasons.append("it has name constraints, by which verifiers may refuse the names of nodes")
    if cert.subject_der == active.subject_der and active.ski is None:
        reasons.append("it shares its name with the active CA, which has no subject key id: give it another name")
    return tuple(reasons)


def _extensions(loaded: Any) -> Iterable[Any]:
    return [extension.value for extension in loaded.extensions]


def _serves_both(usages: Any) -> bool:
    held = set(usages)
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    return both <= held or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in held


def _weak_key(public: Any) -> list[str]:
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < _RSA_BITS:
        return [f"its RSA key has {public.key_size} bits, expected {_RSA_BITS} or more"]
    known = isinstance(public, rsa.RSAPublicKey) or type(public).__name__ in ("Ed25519PublicKey", "_Ed25519PublicKey")
    if known or (
        isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in ("secp256r1", "secp384r1", "secp521r1")
    ):
        return []
    return ["its key is of a kind that Go does not verify: use ECDSA on P-256, P-384 or P-521, RSA, or Ed25519"]
