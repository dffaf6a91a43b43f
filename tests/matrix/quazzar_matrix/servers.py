# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replicas: mTLS listeners that verify their clients as OpenSSL does, or as Go does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from . import golang
from .material import Identity

SECONDS = 30
Handler = Callable[[socket.socket, ssl.SSLContext], None]
_ANSWER = b"HTTP/1.0 204 No Content\r\n\r\n"


@contextlib.contextmanager
def listener(kind: str, serves: Identity, trusts: Path, tls: str) -> Iterator[str]:
    """A replica of this kind that speaks only this version of TLS; yields its address.

    Kinds: openssl, go, and openssl-abrupt, which resets the connection instead of saying why it refuses.
    """
    if kind == "go":
        running = _go(serves, trusts, tls)
    else:
        running = _openssl(serves, trusts, tls, _serve_abruptly if kind == "openssl-abrupt" else _serve)
    with running as address:
        yield address


@contextlib.contextmanager
def _go(serves: Identity, trusts: Path, tls: str) -> Iterator[str]:
    command = [str(golang.binary("listener")), f"-cert={serves.cert}", f"-key={serves.key}", f"-clients={trusts}"]
    # It ends with its standard input.
    process = subprocess.Popen(
        [*command, f"-tls={tls}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        try:
            yield process.stdout.readline().decode("ascii").strip()  # type: ignore[union-attr]
        finally:
            process.kill()


@contextlib.contextmanager
def _openssl(serves: Identity, trusts: Path, tls: str, serve: Handler) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(serves.cert, serves.key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + tls.replace(".", "_")]
    context.load_verify_locations(trusts)
    context.verify_mode = ssl.CERT_REQUIRED
    # Python would let a chain end at any certificate of the pool.
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        thread = threading.Thread(target=_accept, args=(server, context, serve), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(server: socket.socket, context: ssl.SSLContext, serve: Handler) -> None:
    while True:
        try:
            connection, _peer = server.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection, context), daemon=True).start()


def _serve(connection: socket.socket, context: ssl.SSLContext) -> None:
    connection.settimeout(SECONDS)
    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as session:
        if session.recv(4096):
            session.sendall(_ANSWER)


def _serve_abruptly(connection: socket.socket, context: ssl.SSLContext) -> None:
    """As _serve, but what OpenSSL would say to a client that it refuses never leaves."""
    connection.settimeout(SECONDS)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    steps: list[Callable[[], object]] = [
        session.do_handshake,
        lambda: session.read(4096),
        lambda: session.write(_ANSWER),
    ]
    with connection, contextlib.suppress(OSError):
        for step in steps:
            while True:
                try:
                    step()
                    connection.sendall(outgoing.read())
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))
                except ssl.SSLError:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
