# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Certificates as plain data, and the one question that matters about two of them: did this key sign that certificate?

Everything is read strictly and as Go and OpenSSL would read it, because a certificate that only we can see protects
nobody. What cannot be read is an InputError that says why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, TypeVar

from .errors import InputError, RotationError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    HAS_CRYPTOGRAPHY = True
    CRYPTOGRAPHY_IMPORT_ERROR = ""
except ImportError:
    HAS_CRYPTOGRAPHY = False
    CRYPTOGRAPHY_IMPORT_ERROR = traceback.format_exc()

_Result = TypeVar("_Result")

_SEQUENCE, _VERSION, _LONG_LENGTH = 0x30, 0xA0, 0x80
_TBS_FIELDS = 6

# RFC 5280, 4.2.1.3, in the order of the bits.
_KEY_USAGES = (
    ("digital_signature", "digitalSignature"),
    ("content_commitment", "nonRepudiation"),
    ("key_encipherment", "keyEncipherment"),
    ("data_encipherment", "dataEncipherment"),
    ("key_agreement", "keyAgreement"),
    ("key_cert_sign", "keyCertSign"),
    ("crl_sign", "cRLSign"),
)

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_NUL_LINE = re.compile(rb"(?:\A|\n)\x00")
_SHA256_LABEL = re.compile(
    r"\A(?:[^=\n]*\bsha-?(?:2-)?256\b[^=\n]*=|sha-?256(?:\s+fingerprint)?\s*:?(?=[\s0-9a-f]))", re.I
)
_OTHER_DIGEST = re.compile(r"\b(md5|sha-?1|sha-?224|sha-?384|sha-?512)\b", re.I)
_HOW_TO = "use openssl x509 -noout -fingerprint -sha256"
_SHA256_HEX = re.compile(r"[0-9a-f]{64}\Z")
_SHA1_HEX = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class Certificate:
    """One X.509 certificate. Digests and key ids are lower-case hex, names RFC 4514, times aware UTC."""

    sha256: str
    spki_sha256: str
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    ski: str | None
    aki: str | None
    is_ca: bool
    key_usage: tuple[str, ...] | None
    self_signed: bool
    signature_hash: str | None
    subject_der: bytes = field(repr=False)
    issuer_der: bytes = field(repr=False)
    der: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 as ``openssl x509 -fingerprint -sha256`` prints it after the equals sign."""
        text = self.sha256.upper()
        return ":".join(text[at : at + 2] for at in range(0, len(text), 2))

    def pem(self) -> str:
        body = base64.b64encode(self.der).decode("ascii")
        lines = [body[at : at + 64] for at in range(0, len(body), 64)]
        return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])

    def as_dict(self) -> dict[str, Any]:
        """Everything but the bytes, ready for JSON."""
        return {
            "sha256": self.sha256,
            "fingerprint": self.fingerprint,
            "spki_sha256": self.spki_sha256,
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": self.serial,
            "not_before": _rfc3339(self.not_before),
            "not_after": _rfc3339(self.not_after),
            "ski": self.ski,
            "aki": self.aki,
            "is_ca": self.is_ca,
            "key_usage": None if self.key_usage is None else list(self.key_usage),
            "self_signed": self.self_signed,
            "signature_hash": self.signature_hash,
        }


@dataclass(frozen=True)
class Bundle:
    """What one file holds. ``form`` is pem, der or empty; a private key in the file is only flagged, never kept."""

    certificates: tuple[Certificate, ...]
    form: str
    has_private_key: bool = False
    notes: tuple[str, ...] = ()


def parse_bundle(data: bytes) -> Bundle:
    """Read a certificate file in PEM or DER. Raises InputError with what was found when it holds no usable certificate.

    An empty file is the form "empty". A file with nothing but a private key has no certificates and the flag set.
    """
    if not data.strip():
        return Bundle((), "empty", notes=("the file is empty",))
    if _BEGIN.search(data):
        return _parse_pem(data)
    if data[:1] == b"\x30":
        return _parse_der(data)
    raise InputError(f"no certificate found: {_describe(data)}, expected PEM or DER")


def from_der(der: bytes) -> Certificate:
    """One certificate from exactly its DER bytes. Raises InputError."""
    return _guarded(_from_der, der)


def normalise_fingerprint(text: str) -> str:
    """The 64 lower-case hex digits in any of the forms in which people have a SHA-256 fingerprint.

    Takes the line of ``openssl x509 -fingerprint -sha256`` (its label changed case between OpenSSL 1.1 and 3), that of
    ``openssl dgst -sha256``, or that of ``sha256sum`` without the file name. Raises InputError.
    """
    stripped = text.strip()
    other = _OTHER_DIGEST.search(stripped)
    if other:
        raise InputError(f"expected a SHA-256 fingerprint, found {other.group(1).upper()}: {_HOW_TO}")
    digits = re.sub(r"[\s:]", "", _SHA256_LABEL.sub("", stripped, count=1)).lower()
    if _SHA256_HEX.match(digits):
        return digits
    if _SHA1_HEX.match(digits):
        raise InputError(f"expected a SHA-256 fingerprint, found 40 hex digits, which is SHA-1: {_HOW_TO}")
    raise InputError(f"expected a SHA-256 fingerprint of 64 hex digits, found {stripped[:100]!r}")


def signed_by(cert: Certificate, issuer: Certificate) -> bool:
    """Whether ``issuer``'s key really signed ``cert``, and the names agree. Dates and usages are not looked at.

    Names are compared byte for byte, as Go does. Two CAs with one name are told apart by the signature.
    """
    if cert.issuer_der != issuer.subject_der:
        return False
    return _verifies(cert.der, issuer.der)


def signers(cert: Certificate, candidates: Iterable[Certificate]) -> frozenset[str]:
    """The SHA-256 of each candidate that really signed ``cert``."""
    return frozenset(candidate.sha256 for candidate in candidates if signed_by(cert, candidate))


@dataclass(frozen=True)
class Purpose:
    """What a certificate says it is for. None: the extension is missing. ``usages`` are dotted object identifiers."""

    names: tuple[str, ...] | None
    usages: tuple[str, ...] | None


def purpose(cert: Certificate) -> Purpose:
    """The subject alternative names and the extended key usages of a certificate. Raises InputError."""
    return _guarded(_purpose, cert.der)


def _purpose(der: bytes) -> Purpose:
    extensions = x509.load_der_x509_certificate(der).extensions
    names = _extension(extensions, "SubjectAlternativeName")
    usages = _extension(extensions, "ExtendedKeyUsage")
    return Purpose(
        names=None if names is None else tuple(str(name.value) for name in names),
        usages=None if usages is None else tuple(str(usage.dotted_string) for usage in usages),
    )


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _describe(data: bytes) -> str:
    """What the file seems to be, without quoting it: it might be a secret."""
    start = data.lstrip()[:1]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16 text"
    if start == b"<":
        return "an HTML or XML page"
    if start in (b"{", b"["):
        return "JSON"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return f"{len(data)} bytes of binary data"
    return f"{len(data)} bytes of text without a PEM block"


def _parse_der(data: bytes) -> Bundle:
    try:
        return Bundle((from_der(data),), "der")
    except InputError as error:
        if _is_der_private_key(data):
            return Bundle((), "der", has_private_key=True, notes=("a private key",))
        raise InputError(f"no certificate found: binary data, but not one DER certificate ({error})") from error


def _is_der_private_key(data: bytes) -> bool:
    def load(raw: bytes) -> bool:
        load_der_private_key(raw, password=None)
        return True

    try:
        return _guarded(load, data)
    except InputError:
        return False


@dataclass(frozen=True)
class _Block:
    label: str
    body: bytes | None  # between the two marks; None without an END line of its own
    behind: bytes  # the rest of the END line
    at_line_start: bool
    behind_nul: bool  # a line that begins with a NUL byte stands before it


def _parse_pem(data: bytes) -> Bundle:
    blocks, outside = _pem_blocks(data)
    certificates: list[Certificate] = []
    others: list[str] = []
    has_private_key = False
    for block in blocks:
        if block.label.endswith("PRIVATE KEY"):
            has_private_key = True  # also when it is cut off
        elif block.label == "CERTIFICATE":
            certificates.append(_pem_certificate(block, f"PEM certificate {len(certificates) + 1}"))
        elif block.label in ("TRUSTED CERTIFICATE", "X509 CERTIFICATE"):
            raise InputError(f"a {block.label} block, which Go does not read: convert it with openssl x509 -in FILE")
        else:
            others.append(block.label)
    if not certificates and not has_private_key:
        raise InputError(f"no certificate found: PEM of the kind {', '.join(others)}")
    notes = _pem_notes(certificates, has_private_key, others)
    if b"\r\n" in data:
        notes.append("CRLF line ends")
    if outside.strip():
        notes.append("text outside of the PEM blocks")
    return Bundle(tuple(certificates), "pem", has_private_key, tuple(notes))


def _pem_blocks(data: bytes) -> tuple[list[_Block], bytes]:
    """Every block, cut off or not, and all that stands outside of them. A block ends before the next one begins."""
    begins = list(_BEGIN.finditer(data))
    nul = _NUL_LINE.search(data)
    seen_until = nul.start() if nul else len(data)
    blocks = []
    outside = data[: begins[0].start()]
    for begin, following in zip(begins, [*(after.start() for after in begins[1:]), len(data)]):
        mark = b"\n-----END " + begin.group(1) + b"-----"
        end = data.find(mark, begin.end(), following)
        at_line_start = begin.start() == 0 or data[begin.start() - 1 : begin.start()] == b"\n"
        body = None if end < 0 else data[begin.end() : end]
        behind = b"" if end < 0 else data[end + len(mark) : following].partition(b"\n")[0]
        blocks.append(_Block(begin.group(1).decode("ascii"), body, behind, at_line_start, begin.start() > seen_until))
        outside += data[begin.end() if end < 0 else end + len(mark) : following]
    return blocks, outside


def _pem_notes(certificates: list[Certificate], has_private_key: bool, others: list[str]) -> list[str]:
    notes = []
    if len(certificates) > 1:
        notes.append(f"{len(certificates)} certificates")
    if len({certificate.sha256 for certificate in certificates}) < len(certificates):
        notes.append("the same certificate more than once")
    if has_private_key:
        notes.append("a private key")
    notes.extend(f"a {label} block" for label in others)
    return notes


def _pem_certificate(block: _Block, where: str) -> Certificate:
    if not block.at_line_start:
        raise InputError(
            f"{where} does not begin at the start of a line, so OpenSSL and Go do not see it:"
            " remove what stands before it (often a byte order mark or spaces)"
        )
    if block.behind_nul:
        raise InputError(
            f"{where} stands behind a line that begins with a NUL byte, where OpenSSL stops: remove that line"
        )
    if block.body is None:
        raise InputError(f"{where} has no END line: it is cut off, or has other line ends than LF and CRLF")
    if b":" in block.body:
        raise InputError(f"{where} has headers inside of its block, so Go does not read it: remove them")
    first, *lines = block.body.split(b"\n")
    if first.strip(b" \t\r") or block.behind.strip(b" \t\r"):
        raise InputError(f"{where} has text on its BEGIN or END line, so OpenSSL and Go do not read it: remove it")
    # OpenSSL takes a blank line for the end of headers, which may be empty once.
    if any(not line.strip() for line in lines[1:]):
        raise InputError(f"{where} has a blank line inside of its block, so OpenSSL does not read it: remove it")
    if any(line.endswith(b"\r\r") for line in (first, *lines, block.behind)):
        raise InputError(f"{where} has lines that end in CR CR LF, so Go does not read it: convert it with tr -d '\\r'")
    try:
        # No other kind of blank: Go knows none.
        der = base64.b64decode(block.body.translate(None, b" \t\r\n"), validate=True)
    except binascii.Error as error:
        raise InputError(f"{where} is not valid base64: {error}") from error
    try:
        return from_der(der)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _guarded(function: Callable[[bytes], _Result], data: bytes) -> _Result:
    """Call cryptography: whatever it chokes on in a strange certificate becomes an InputError; no warning leaks."""
    if not HAS_CRYPTOGRAPHY:
        raise RotationError("the Python library cryptography is needed on the controller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(data)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"not a readable certificate ({type(error).__name__}: {error})") from error
    except BaseException as error:
        # A panic of cryptography's Rust half derives from BaseException; KeyboardInterrupt and SystemExit must pass.
        if type(error).__name__ != "PanicException":
            raise
        raise InputError(f"not a readable certificate (cryptography gave up: {error})") from error


def _from_der(der: bytes) -> Certificate:
    issuer_der, subject_der, spki = _raw_parts(der)
    cert = x509.load_der_x509_certificate(der)
    extensions = cert.extensions
    ski = _extension(extensions, "SubjectKeyIdentifier")
    aki = _extension(extensions, "AuthorityKeyIdentifier")
    basic = _extension(extensions, "BasicConstraints")
    usage = _extension(extensions, "KeyUsage")
    return Certificate(
        sha256=hashlib.sha256(der).hexdigest(),
        spki_sha256=hashlib.sha256(spki).hexdigest(),
        subject=cert.subject.rfc4514_string(),
        issuer=cert.issuer.rfc4514_string(),
        serial=format(cert.serial_number, "x"),
        not_before=_utc(cert, "not_valid_before"),
        not_after=_utc(cert, "not_valid_after"),
        ski=None if ski is None else ski.digest.hex(),
        aki=None if aki is None or aki.key_identifier is None else aki.key_identifier.hex(),
        is_ca=basic is not None and bool(basic.ca),
        key_usage=None if usage is None else tuple(name for bit, name in _KEY_USAGES if getattr(usage, bit)),
        self_signed=issuer_der == subject_der and _verifies(der, der),
        signature_hash=_signature_hash(cert),
        subject_der=subject_der,
        issuer_der=issuer_der,
        der=der,
    )


def _extension(extensions: Any, name: str) -> Any:
    for extension in extensions:
        if type(extension.value).__name__ == name:
            return extension.value
    return None


def _utc(cert: Any, name: str) -> datetime:
    # Aware attributes exist since cryptography 42; the naive ones before them warn from then on.
    moment: datetime | None = getattr(cert, name + "_utc", None)
    if moment is None:
        naive: datetime = getattr(cert, name)
        moment = naive.replace(tzinfo=timezone.utc)
    return moment


def _signature_hash(cert: Any) -> str | None:
    try:
        algorithm = cert.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return None if algorithm is None else str(algorithm.name)


@lru_cache(maxsize=256)
def _public_key(der: bytes) -> Any:
    # A fleet's leaves are all held against the same few CAs.
    return x509.load_der_x509_certificate(der).public_key()


def _verifies(der: bytes, issuer_der: bytes) -> bool:
    def verify(raw: bytes) -> bool:
        cert = x509.load_der_x509_certificate(raw)
        _verify_signature(_public_key(issuer_der), cert)
        return True

    try:
        return _guarded(verify, der)
    except InputError as error:
        # A key or algorithm that cannot be used proves nothing, and so does a signature that does not verify.
        if isinstance(error.__cause__, (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError)):
            return False
        raise


def _verify_signature(key: Any, cert: Any) -> None:
    """Raises InvalidSignature, or UnsupportedAlgorithm for a kind of key that this does not know."""
    signed, signature = cert.tbs_certificate_bytes, cert.signature
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        key.verify(signature, signed)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(cert.signature_hash_algorithm))
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(signature, signed, cert.signature_hash_algorithm)
    elif isinstance(key, rsa.RSAPublicKey):
        # Tells PSS from PKCS #1 v1.5; absent before cryptography 41, which then takes everything for the latter.
        scheme = getattr(cert, "signature_algorithm_parameters", None) or padding.PKCS1v15()
        key.verify(signature, signed, scheme, cert.signature_hash_algorithm)
    else:
        raise UnsupportedAlgorithm(f"a key of the kind {type(key).__name__}")


def _raw_parts(der: bytes) -> tuple[bytes, bytes, bytes]:
    """Issuer, subject and SubjectPublicKeyInfo exactly as they stand in the certificate (RFC 5280, 4.1)."""
    outer = _children(der, 0, len(der))
    if len(outer) != 1 or outer[0][0] != _SEQUENCE:
        raise InputError("not one DER sequence")
    inside = _children(der, outer[0][2], outer[0][3])
    if not inside or inside[0][0] != _SEQUENCE:
        raise InputError("not a certificate in DER")
    fields = _children(der, inside[0][2], inside[0][3])
    if fields and fields[0][0] == _VERSION:  # the version, left out in version 1
        fields = fields[1:]
    if len(fields) < _TBS_FIELDS or any(part[0] != _SEQUENCE for part in fields[1:_TBS_FIELDS]):
        raise InputError("not a certificate in DER")
    issuer, subject, spki = fields[2], fields[4], fields[5]
    return der[issuer[1] : issuer[3]], der[subject[1] : subject[3]], der[spki[1] : spki[3]]


def _children(data: bytes, at: int, end: int) -> list[tuple[int, int, int, int]]:
    """Each DER element between two offsets: tag, start, start of its content, end."""
    found = []
    while at < end:
        start, tag = at, data[at]
        length = data[at + 1] if at + 1 < end else _LONG_LENGTH
        at += 2
        if length >= _LONG_LENGTH:
            size = length & 0x7F
            if size not in (1, 2, 3, 4) or at + size > end:
                raise InputError("broken DER: a length that cannot be")
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > end:
            raise InputError("broken DER: cut off")
        found.append((tag, start, at, at + length))
        at += length
    return found
