# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS over memory BIOs: what both ends share, and the client's end; with Go's judgement in place of OpenSSL's.

OpenSSL's certificate store stays empty and its clock stands in 1971: so OpenSSL objects to *every*
certificate at known points, and our verify callback, which may overrule it, decides at the point whose alert is the
wanted one: "not yet valid" is answered with alert 42 bad_certificate, "no issuer" with 48 unknown_ca.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from . import pki

# Names of acceptable CAs come as pyOpenSSL's own deprecated class; there is no other way to read them.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"OpenSSL\.|quazzar_lab\.")
warnings.filterwarnings("ignore", message=r".*(X509Name|X509 ).*", category=DeprecationWarning)

VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
REGISTER_PREFIX = "register."
NOT_YET_VALID = 9
NO_ISSUER = 20
CHUNK = 65536
PAST = dt.datetime(1971, 1, 1)
ALERT = re.compile(r"alert ([a-z ]+)$")
GO_ALERTS = {
    "bad certificate": "bad certificate",
    "unknown ca": "unknown certificate authority",
    "certificate unknown": "unknown certificate",
    "certificate expired": "expired certificate",
    "certificate required": "certificate required",
    "handshake failure": "handshake failure",
    "protocol version": "protocol version not supported",
}
NO_CERTIFICATE = "tls: client didn't provide a certificate"


def error_text(error: SSL.Error) -> str:
    """OpenSSL's last reason, in Go's words for a remote alert."""
    reasons = [item[2] for item in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    reason = str(reasons[-1]) if reasons else ""
    alert = ALERT.search(reason)
    if alert:
        return f"remote error: tls: {GO_ALERTS.get(alert[1], alert[1])}"
    if "peer did not return a certificate" in reason:
        return NO_CERTIFICATE
    if "http request" in reason or "wrong version number" in reason:
        return "tls: first record does not look like a TLS handshake"
    return f"tls: {reason}" if reason else "EOF"


def is_alert(text: str) -> bool:
    return text.startswith("remote error: ")


def stand_still(context: SSL.Context) -> None:
    """Stop the clock of OpenSSL's own verification in 1971."""
    store = context.get_cert_store()
    if store is not None:
        store.set_time(PAST)


@dataclass
class Request:
    """One HTTP request on the agent link."""

    method: str
    path: str
    body: bytes
    leaf: x509.Certificate | None
    peer: str
    registering: bool


@dataclass
class Response:
    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        head = [
            f"HTTP/1.1 {self.status} {'OK' if self.status < 400 else 'Error'}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
        ]
        head += [f"{key}: {value}" for key, value in self.headers.items()]
        return ("\r\n".join(head) + "\r\n\r\n").encode() + self.body


def parse_message(data: bytes) -> tuple[str, dict[str, str], bytes] | None:
    """First line, headers and body once they are whole."""
    head, sep, rest = data.partition(b"\r\n\r\n")
    if not sep:
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        key, _colon, value = line.partition(":")
        headers[key.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0") or 0)
    return (lines[0], headers, rest[:length]) if len(rest) >= length else None


class LinkError(Exception):
    """A connection that did not work. ``kind``: untrusted, refused, network."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass
class Identity:
    """What a node shows and whom it trusts. ``roots`` None: nobody is verified (first registration)."""

    leaf: x509.Certificate | None
    key: ec.EllipticCurvePrivateKey | None
    roots: list[x509.Certificate] | None
    names: str = "go"
    tls_max: str = "1.3"


class ClientTls:
    """A client context for one identity. Like a Go client it shows its leaf only when the server names its issuer."""

    def __init__(self, identity: Identity, clock: Callable[[], dt.datetime]) -> None:
        self.identity = identity
        self._clock = clock
        self._known_names: list[bytes] | None = None
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_max_proto_version(VERSIONS[identity.tls_max])
        stand_still(context)
        self._verified = identity.roots is not None
        if self._verified:
            context.set_verify(SSL.VERIFY_PEER, self._judge)
        if identity.leaf is not None and identity.key is not None:
            self._cert = crypto.X509.from_cryptography(identity.leaf)
            self._key = crypto.PKey.from_cryptography_key(identity.key)
            self._issuer = identity.leaf.issuer.public_bytes()
            if identity.names == "always":
                context.use_certificate(self._cert)
                context.use_privatekey(self._key)
            else:
                context.set_info_callback(self._watch)
        self.context = context

    def _watch(self, connection: SSL.Connection, where: int, _ret: int) -> None:
        if where != SSL.SSL_CB_CONNECT_LOOP:
            return
        state = connection.get_state_string()
        if self.identity.tls_max == "1.2":
            # TLS 1.2 wants the certificate loaded before the request is read: go by what the server named last time.
            wanted = self._known_names is None or self._issuer in self._known_names
            if state.endswith(b"read server certificate") and wanted:
                self._show(connection)
            elif state.endswith(b"read server done"):
                self._known_names = [name.der() for name in connection.get_client_ca_list()]
        elif state.endswith(b"read server certificate request"):
            names = [name.der() for name in connection.get_client_ca_list()]
            if not names or self._issuer in names:
                self._show(connection)

    def _show(self, connection: SSL.Connection) -> None:
        connection.use_certificate(self._cert)
        connection.use_privatekey(self._key)

    def _judge(self, connection: SSL.Connection, cert: crypto.X509, error: int, depth: int, _ok: int) -> bool:
        link: ClientLink = connection.get_app_data()
        if depth:
            link.chain[depth] = cert.to_cryptography()
            return True
        if error != NOT_YET_VALID:
            return True
        link.untrusted = pki.verify(
            cert.to_cryptography(),
            self.identity.roots or [],
            self._clock(),
            intermediates=link.chain.values(),
            server_name=link.server_name,
        )
        return not link.untrusted


class ClientLink(asyncio.Protocol):
    """One request over a fresh handshake; ``done`` holds the answer or a LinkError."""

    def __init__(self, tls: ClientTls, server_name: str, sni: str, payload: bytes) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        # An end that nobody waits for any more (a timeout) is no trouble of its own.
        self.done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self.server_name = server_name
        self.chain: dict[int, x509.Certificate] = {}
        self.untrusted = ""
        self._payload = payload
        self._buffer = b""
        self._established = False
        self._connection = SSL.Connection(tls.context, None)
        self._connection.set_app_data(self)
        self._connection.set_tlsext_host_name(sni.encode())
        self._connection.set_connect_state()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._step()

    def data_received(self, data: bytes) -> None:
        if self.done.done():
            return
        self._connection.bio_write(data)
        self._step()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LinkError("network", f"connection lost: {exc or 'EOF'}"))

    def _step(self) -> None:
        try:
            if not self._established:
                self._connection.do_handshake()
                self._established = True
                self._connection.sendall(self._payload)
                self._flush()
            while True:
                self._buffer += self._connection.recv(CHUNK)
                message = parse_message(self._buffer)
                if message:
                    self.done.set_result((int(message[0].split(" ")[1]), message[2]))
                    self._flush()
                    self._transport.close()
                    return
        except SSL.WantReadError:
            self._flush()
        except SSL.ZeroReturnError:
            self._end(LinkError("network", "closed without an answer"))
        except SSL.Error as error:
            text = error_text(error)
            if self.untrusted:
                self._end(LinkError("untrusted", self.untrusted))
            elif is_alert(text):
                self._end(LinkError("refused", text))
            else:
                self._end(LinkError("network", text))

    def _end(self, error: LinkError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        with contextlib.suppress(SSL.WantReadError, SSL.Error):
            while not self._transport.is_closing():
                self._transport.write(self._connection.bio_read(CHUNK))


async def exchange(
    tls: ClientTls, address: tuple[str, int], source: str, names: tuple[str, str], payload: bytes, timeout: float
) -> tuple[int, bytes]:
    """Send one request over a new connection. ``names``: the name to verify and the SNI."""
    loop = asyncio.get_running_loop()

    async def attempt() -> tuple[int, bytes]:
        transport, link = await loop.create_connection(
            lambda: ClientLink(tls, names[0], names[1], payload), *address, local_addr=(source, 0)
        )
        try:
            return await link.done
        finally:
            transport.close()

    try:
        return await asyncio.wait_for(attempt(), timeout)
    except (asyncio.TimeoutError, TimeoutError):
        raise LinkError("network", "timeout") from None
    except OSError as error:
        raise LinkError("network", f"dial tcp {address[0]}:{address[1]}: {error.strerror or error}") from None


def http_request(path: str, body: bytes, host: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + "Connection: close\r\n\r\n").encode() + body
