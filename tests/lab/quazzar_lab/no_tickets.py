# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mTLS port without session tickets in TLS 1.3, which only Python's own ssl module can switch off.

It verifies as OpenSSL does and names no acceptable CAs: the price of that option.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from . import pki

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(
    chain: Sequence[x509.Certificate],
    key: ec.EllipticCurvePrivateKey,
    pool: Sequence[x509.Certificate],
    versions: tuple[str, str],
    *,
    verify: bool,
) -> ssl.SSLContext:
    """A server context; without ``verify`` for registrations, where the client has no certificate yet."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = VERSIONS[versions[0]], VERSIONS[versions[1]]
    made.num_tickets = 0
    made.options |= ssl.OP_NO_TICKET
    # The module loads a key from a file only.
    with tempfile.NamedTemporaryFile() as file:
        file.write(pki.key_pem(key) + b"".join(pki.pem(cert) for cert in chain))
        file.flush()
        made.load_cert_chain(file.name)
    if verify:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(cadata="".join(pki.pem(cert).decode() for cert in pool))
    return made


@contextmanager
def _pyopenssl_errors() -> Iterator[None]:
    try:
        yield
    except ssl.SSLWantReadError:
        raise SSL.WantReadError from None
    except ssl.SSLZeroReturnError:
        raise SSL.ZeroReturnError from None
    except ssl.SSLError as error:
        reason = str(error.reason or "").lower().replace("_", " ")
        raise SSL.Error([("SSL routines", "", reason)]) from None


class Connection:
    """As much of pyOpenSSL's Connection as the server end needs."""

    def __init__(self, made: ssl.SSLContext, established: Callable[[x509.Certificate | None], None]) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = made.wrap_bio(self._in, self._out, server_side=True)
        self._established = established

    def bio_write(self, data: bytes) -> None:
        self._in.write(data)

    def bio_read(self, size: int) -> bytes:
        data = self._out.read(size)
        if not data:
            raise SSL.WantReadError
        return data

    def do_handshake(self) -> None:
        with _pyopenssl_errors():
            self._tls.do_handshake()
            der = self._tls.getpeercert(binary_form=True)
            self._established(x509.load_der_x509_certificate(der) if der else None)

    def recv(self, size: int) -> bytes:
        with _pyopenssl_errors():
            data = self._tls.read(size)
        if not data:
            raise SSL.ZeroReturnError
        return data

    def sendall(self, data: bytes) -> None:
        with _pyopenssl_errors():
            self._tls.write(data)

    def shutdown(self) -> None:
        with _pyopenssl_errors():
            self._tls.unwrap()
