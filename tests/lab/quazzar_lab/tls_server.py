# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mTLS port: RequireAndVerifyClientCert, as Go calls it, and one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from . import no_tickets, pki
from .tls import (
    CHUNK,
    NO_ISSUER,
    NOT_YET_VALID,
    REGISTER_PREFIX,
    VERSIONS,
    Request,
    Response,
    error_text,
    parse_message,
    stand_still,
)

HANDSHAKE_SECONDS = 10.0
LINGER_SECONDS = 0.5


class ServerTls:
    """The mTLS port's certificate, pool and habits, fixed at boot. RequireAndVerifyClientCert, as Go calls it."""

    def __init__(
        self,
        chain: Sequence[x509.Certificate],
        key: ec.EllipticCurvePrivateKey,
        pool: Sequence[x509.Certificate],
        *,
        clock: Callable[[], dt.datetime],
        versions: tuple[str, str] = ("1.2", "1.3"),
        tickets: bool = True,
        refusal_alert: str = "bad_certificate",
        unknown_text: str = pki.UNKNOWN_AUTHORITY,
    ) -> None:
        self.chain = list(chain)
        self.pool = list(pool)
        self._clock = clock
        self._unknown_text = unknown_text
        self._decide_at = NOT_YET_VALID if refusal_alert == "bad_certificate" else NO_ISSUER
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(VERSIONS[versions[0]])
        context.set_max_proto_version(VERSIONS[versions[1]])
        context.use_certificate(crypto.X509.from_cryptography(chain[0]))
        for cert in chain[1:]:
            context.add_extra_chain_cert(crypto.X509.from_cryptography(cert))
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))
        stand_still(context)
        for cert in self.pool:
            context.add_client_ca(crypto.X509.from_cryptography(cert))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._judge)
        context.set_session_id(b"quazzar-lab")
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_tlsext_servername_callback(self._choose)
        self.context = context
        self._without_tickets: dict[bool, Any] = {}
        if not tickets:
            self._without_tickets = {
                verify: no_tickets.context(chain, key, pool, versions, verify=verify) for verify in (True, False)
            }

    def connection(self, link: ServerLink, hello: bytes) -> Any:
        """The TLS state of a new connection, once its first bytes are there."""
        if self._without_tickets:
            link.registering = REGISTER_PREFIX.encode() in hello
            # OpenSSL verifies by itself here and does not show a leaf that it refuses: name the likely authority.
            names = [pki.common_name(cert.subject) for cert in self.pool]
            link.refusal = pki.unknown_authority(names[0], self._unknown_text)
            return no_tickets.Connection(self._without_tickets[not link.registering], link.introduce)
        connection = SSL.Connection(self.context, None)
        connection.set_app_data(link)
        connection.set_accept_state()
        return connection

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace")
        if name.startswith(REGISTER_PREFIX):
            connection.get_app_data().registering = True
            connection.set_verify(SSL.VERIFY_NONE, None)

    def _judge(self, connection: SSL.Connection, cert: crypto.X509, error: int, depth: int, _ok: int) -> bool:
        if depth:
            return True
        link: ServerLink = connection.get_app_data()
        if link.leaf is None:
            link.leaf = cert.to_cryptography()
            link.refusal = pki.verify(link.leaf, self.pool, self._clock(), unknown=self._unknown_text)
        # A client that sends its CA along never meets "no issuer" at depth 0: the clock is the last word for all.
        return not (link.refusal and error in (self._decide_at, NOT_YET_VALID))


Handler = Callable[[Request], Awaitable[Response]]
FailureLog = Callable[[str, str], None]


class ServerLink(asyncio.Protocol):
    """One connection on the mTLS port: handshake, one request, one answer."""

    live: ClassVar[set[ServerLink]] = set()

    def __init__(self, tls: ServerTls, handler: Handler, failed: FailureLog, abrupt: Callable[[], bool]) -> None:
        self._handler = handler
        self._failed = failed
        self._abrupt = abrupt
        self._tls = tls
        self._connection: Any = None
        self._buffer = b""
        self._over = False
        self._established = False
        self._task: asyncio.Future[None] | None = None
        self.leaf: x509.Certificate | None = None
        self.refusal = ""
        self.registering = False
        self.peer = ""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"{host}:{port}"
        ServerLink.live.add(self)
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._late)

    def introduce(self, leaf: x509.Certificate | None) -> None:
        self.leaf = leaf

    def connection_lost(self, _exc: Exception | None) -> None:
        ServerLink.live.discard(self)
        self._timer.cancel()
        if not self._established and not self._over:
            self._over = True
            self._failed(self.peer, "EOF")

    def eof_received(self) -> bool:
        return False

    def _late(self) -> None:
        if not self._established and not self._over:
            self._over = True
            self._failed(self.peer, "i/o timeout")
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if self._connection is None:
            self._connection = self._tls.connection(self, data)
        self._connection.bio_write(data)
        try:
            if not self._established:
                self._connection.do_handshake()
                self._established = True
                self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_later(6 * HANDSHAKE_SECONDS, self._transport.abort)
            self._read()
        except SSL.WantReadError:
            self._flush()
        except SSL.ZeroReturnError:
            self._flush()
            self._transport.close()
        except SSL.Error as error:
            self._fail(error)

    def _read(self) -> None:
        while True:
            self._buffer += self._connection.recv(CHUNK)
            message = parse_message(self._buffer)
            if message and self._task is None:
                self._task = asyncio.ensure_future(self._answer(message))

    def _fail(self, error: SSL.Error) -> None:
        self._over = True
        if not self._established:
            text = error_text(error)
            if "certificate verify failed" in text and self.refusal:
                text = self.refusal
            self._failed(self.peer, text)
        if self._abrupt():
            self._transport.abort()
            return
        self._flush()
        # Half-close and read on for a moment: closing at once with unread input would reset the connection, and the
        # peer could lose the alert that tells it why.
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)

    async def _answer(self, message: tuple[str, dict[str, str], bytes]) -> None:
        first, _headers, body = message
        method, path = (*first.split(" "), "", "")[:2]
        request = Request(method, path, body, self.leaf, self.peer, self.registering)
        response = await self._handler(request)
        if self._transport.is_closing():
            return
        with contextlib.suppress(SSL.Error):
            self._connection.sendall(response.encode())
            self._connection.shutdown()
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        with contextlib.suppress(SSL.WantReadError, SSL.Error):
            while not self._transport.is_closing():
                self._transport.write(self._connection.bio_read(CHUNK))
