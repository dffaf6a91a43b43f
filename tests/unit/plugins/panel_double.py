# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real HTTPS server for the tests of everything that talks to the Control Panel's API.

It keeps every request, and answers as each test says: a route is a function from the request to an answer, or a list of
such answers that are given one after the other (the last one stays).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.server
import ipaddress
import json
import pathlib
import ssl
import threading
import time
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PASSWORD = "correct-horse-battery"
JWT = "header.payload-of-a-jwt.signature"


@dataclasses.dataclass
class Reply:
    """``raw`` is sent as it stands; ``cut`` breaks the connection after so many bytes of it; ``delay`` in seconds."""

    status: int = 200
    data: t.Any = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    raw: bytes | None = None
    cut: int | None = None
    delay: float = 0.0


@dataclasses.dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: t.Any


class Panel:
    """The server. ``routes`` is keyed by (method, path)."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.requests: list[Seen] = []
        self.routes: dict[tuple[str, str], t.Any] = {}
        self.date: str | None = None
        self.ca_file = directory / "api-ca.pem"
        self.lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*mint_server(directory, self.ca_file))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/api/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.on("POST", "auth/login", Reply(data={"access_token": JWT}))

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def on(self, method: str, path: str, *replies: t.Any) -> None:
        self.routes[(method, "/api/" + path)] = list(replies)

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        return {"api_url": self.url, "api_ca": str(self.ca_file), "username": "ann", "password": PASSWORD, **more}

    def paths(self) -> list[str]:
        return [f"{seen.method} {seen.path.removeprefix('/api/')}" for seen in self.requests]

    def answer(self, seen: Seen) -> Reply:
        with self.lock:
            self.requests.append(seen)
            replies = self.routes.get((seen.method, seen.path))
            if not replies:
                return Reply(404, {"error": "not found"})
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(seen) if callable(reply) else reply

    def _handler(panel) -> type:  # pylint: disable=no-self-argument
        class Handler(http.server.BaseHTTPRequestHandler):
            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = panel.answer(
                    Seen(self.command, self.path, dict(self.headers), json.loads(body) if body else None)
                )
                time.sleep(reply.delay)
                content = reply.raw if reply.raw is not None else json.dumps(reply.data).encode()
                if reply.data is None and reply.raw is None:
                    content = b""
                self.send_response(reply.status)
                if "Content-Type" not in reply.headers:
                    self.send_header("Content-Type", "application/json")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: reply.cut])
                self.close_connection = True

            do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do

            def date_time_string(self, timestamp: t.Any = None) -> str:
                return panel.date or super().date_time_string(timestamp)

            def log_message(self, *args: t.Any) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

        return Handler


def mint_server(directory: pathlib.Path, ca_file: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A CA and a certificate for 127.0.0.1, made for this test alone: (certificate file, key file)."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def build(name: str, key: t.Any, issuer: str, signer: t.Any, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if ca:
            usage = dict.fromkeys(
                (
                    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                    "key_agreement", "encipher_only", "decipher_only",
                ),
                False,
            )  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        else:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = build("API test CA", ca_key, "API test CA", ca_key, True)
    leaf = build("127.0.0.1", key, "API test CA", ca_key, False)
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(ca.public_bytes(pem))
    cert_file, key_file = directory / "api.pem", directory / "api.key"
    cert_file.write_bytes(leaf.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file
