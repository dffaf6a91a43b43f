# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Certificates out of captured HTTP headers: RFC 9440, Envoy's XFCC, and PEM as nginx and others forward it.

What is found is a claim like any other. A leaf alone can be a witness, but no CA is ever made up from it. A header that
a proxy wrote also says that TLS ends at the proxy, so the Control Panel's own trust pool may not be what decides.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import unquote

from .certificates import Certificate, from_der, signed_by
from .errors import InputError

_HEADER = re.compile(r"([A-Za-z0-9_-]+):[ \t]?(.*)\Z", re.S)
_CURL_MARK = re.compile(r"\A[<>*] ")
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/=]*):[ \t]*(?:;.*)?\Z")
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_ESCAPED_PEM = re.compile(r"-----BEGIN(?:%20|\+)CERTIFICATE-----", re.I)
_XFCC_START = re.compile(r"(?:by|hash|cert|chain|subject|uri|dns)=", re.I)
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_PROXY_HEADER = re.compile(r"ssl|tls|mtls|xfcc|x-forwarded|x-client|client-cert", re.I)


@dataclass(frozen=True)
class HeaderDump:
    """``chain`` is without the leaf, in the order of the header. ``form``: rfc9440, xfcc, nginx (escaped PEM), pem.

    ``leaf`` is None when a header names only a digest. ``notes`` are sentences for the operator.
    """

    leaf: Certificate | None
    chain: tuple[Certificate, ...]
    form: str
    from_proxy: bool
    notes: tuple[str, ...]


# A leaf (None: only a digest was there), the certificates after it, and what to say about the header itself.
_Found = tuple[Optional[Certificate], list[Certificate], list[str]]
_Headers = Mapping[str, Sequence[str]]


def parse_dump(dump: str) -> HeaderDump:
    """Read a dump of HTTP headers, or the bare value of one. Raises InputError, which never quotes the dump.

    Continuation lines and the marks of ``curl -v`` are understood. A dump may hold other people's tokens, so only the
    headers with certificates are looked at. When there are several the first form in the order above is taken.
    """
    headers = _headers(dump)
    found = [(form, read(headers)) for form, read in _READERS.items()]
    usable = [(form, what) for form, what in found if what is not None]
    if not usable:
        raise InputError(
            "no certificate found in the header dump: expected Client-Cert (RFC 9440), X-Forwarded-Client-Cert or PEM"
        )
    form, (leaf, rest, notes) = usable[0]
    from_proxy = form != "pem"
    if len(usable) > 1:
        notes.append(
            f"other headers with certificates are there too, and were left alone: {', '.join(u[0] for u in usable[1:])}"
        )
    if from_proxy:
        notes.append(
            "a proxy wrote this header: TLS ends there, and the Control Panel's trust pool may not be what decides"
        )
    return HeaderDump(leaf, tuple(rest), form, from_proxy, (*_chain_notes(leaf, rest), *notes))


def _chain_notes(leaf: Certificate | None, chain: Sequence[Certificate]) -> list[str]:
    notes = []
    whole = [leaf, *chain] if leaf else list(chain)
    if not whole:
        return ["there is no certificate in it, only a digest"]
    for at, (cert, issuer) in enumerate(zip(whole, whole[1:]), 1):
        if not signed_by(cert, issuer):
            notes.append(f"certificate {at + 1} did not sign certificate {at} ({cert.subject})")
    if not any(cert.is_ca for cert in whole):
        notes.append("there is no CA certificate in it, only the leaf: a witness, but not a source for the legacy CA")
    elif not any(cert.self_signed for cert in whole):
        notes.append(f"the root is left out: {whole[-1].subject} was issued by {whole[-1].issuer}")
    return notes


def _headers(dump: str) -> _Headers:
    """Values by lower-case name. What belongs to no header stands under the empty name."""
    headers: dict[str, list[str]] = {"": [""]}
    current = ""
    for line in (_CURL_MARK.sub("", line) for line in dump.splitlines()):
        header = None if line.startswith((" ", "\t")) else _HEADER.match(line)
        if header:
            current = header.group(1).lower()
            headers.setdefault(current, []).append(header.group(2).strip())
        elif not line.strip():
            current = ""  # the headers are over
        else:
            # Lines of base64 have no colon, so a value copied without its indentation stays whole.
            headers[current][-1] += "\n" + line.strip()
    return headers


def _rfc9440(headers: _Headers) -> _Found | None:
    values = list(headers.get("client-cert", ()))
    bare = headers[""][0].strip()
    if not values and _BYTE_SEQUENCE.match(bare):
        values = [bare]
    if not values:
        return None
    if len(values) > 1:
        raise InputError("there is more than one Client-Cert header, and a client may have sent one of them")
    members = [member for value in headers.get("client-cert-chain", ()) for member in value.split(",")]
    return _byte_sequence(values[0]), [_byte_sequence(member) for member in members], []


def _byte_sequence(text: str) -> Certificate:
    """One structured-field byte sequence (RFC 8941, 3.3.5) with a DER certificate in it; parameters are ignored."""
    found = _BYTE_SEQUENCE.match("".join(text.split()))
    if not found:
        raise InputError("a Client-Cert header is not of the form :base64: (RFC 9440)")
    try:
        return from_der(base64.b64decode(found.group(1), validate=True))
    except (binascii.Error, InputError) as error:
        raise InputError(f"a Client-Cert header does not hold a certificate: {error}") from error


def _xfcc(headers: _Headers) -> _Found | None:
    values = list(headers.get("x-forwarded-client-cert", ()))
    bare = headers[""][0].strip()
    if not values and _XFCC_START.match(bare):
        values = [bare]
    if not values:
        return None
    elements = [element for value in values for element in _split(value, ",") if element.strip()]
    if not elements:
        return None
    pairs: dict[str, str] = {}
    for pair in _split(elements[0], ";"):
        key, _equals, text = pair.strip().partition("=")
        pairs.setdefault(key.strip().lower(), _unquoted(text.strip()))
    notes = []
    if len(elements) > 1:
        notes.append(f"it names {len(elements)} hops: the first one, next to the client, was taken")
    certificates = _pems(unquote(pairs.get("cert", "")))[:1]
    certificates += [cert for cert in _pems(unquote(pairs.get("chain", ""))) if cert not in certificates]
    digest = pairs.get("hash", "").lower()
    if not certificates:
        if not digest:
            return None
        return None, [], [f"the digest is {digest[:64]}" if _HEX.match(digest) else "the digest is not readable"]
    if digest and digest != certificates[0].sha256:
        raise InputError(
            "the X-Forwarded-Client-Cert header has a Hash that is not its Cert's: it was put together wrongly"
        )
    return certificates[0], certificates[1:], notes


def _escaped(headers: _Headers) -> _Found | None:
    """URL-escaped PEM ($ssl_client_escaped_cert of nginx, mTLS headers of others) or PEM in a proxy's header."""
    for name, values in headers.items():
        for value in values:
            escaped = _ESCAPED_PEM.search(value)
            if escaped or (name and _PROXY_HEADER.search(name) and _BEGIN in value):
                # Those that write "+" for a blank escape the plus signs of base64, the others do neither.
                spaced = value.replace("+", " ") if escaped and "+" in escaped.group(0) else value
                certificates = _pems(unquote(spaced) if escaped else value)
                if certificates:
                    return certificates[0], certificates[1:], [f"found in the header {name}"] if name else []
    return None


def _pem(headers: _Headers) -> _Found | None:
    """PEM in a header that no known proxy writes, or on its own. Which one is the leaf is told by what is a CA."""
    for name, values in headers.items():
        certificates = _pems("\n".join(values))
        if certificates:
            leaves = [cert for cert in certificates if not cert.is_ca]
            rest = [cert for cert in certificates if cert not in leaves[:1]]
            return (leaves[0] if leaves else None), rest, [f"found in the header {name}"] if name else []
    return None


def _pems(text: str) -> list[Certificate]:
    """Every certificate in a text whose line ends became blanks or tabs, or went away."""
    found: list[Certificate] = []
    blocks = [block.partition(_END) for block in text.split(_BEGIN)[1:]]
    for number, (body, end, _after) in enumerate(blocks, 1):
        if not end and number == len(blocks):
            break  # the end of the dump was cut off
        try:
            cert = from_der(base64.b64decode("".join(body.split()), validate=True))
        except (binascii.Error, ValueError, InputError) as error:
            raise InputError(f"certificate {number} in the header dump cannot be read: {error}") from error
        if cert not in found:
            found.append(cert)
    return found


def _split(text: str, separator: str) -> list[str]:
    """Split outside of double quotes, in which a backslash escapes."""
    parts, current, quoted, escaped = [], "", False, False
    for character in text:
        if character == separator and not quoted:
            parts.append(current)
            current = ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
        current += character
    return [*parts, current]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


_READERS: Mapping[str, Callable[[_Headers], Any]] = {  # in the order of trust in the form
    "rfc9440": _rfc9440,
    "xfcc": _xfcc,
    "nginx": _escaped,
    "pem": _pem,
}
