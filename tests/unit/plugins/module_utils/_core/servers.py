# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real TLS servers for tests, each accepting clients of some CAs only, and the probe exactly as the collection runs it.

``with server("go", material, tls="1.3", tickets=False) as address: output, rc = probe(address, ...)``. The kinds are
"openssl" (s_server; one connection at a time), "python" (the ssl module) and "go" (built on first use); "reset" and
"eof" go away without an alert when they see the client's certificate, "abrupt" accepts and then goes away without a
closing alert, "silent" never speaks and "plain" speaks HTTP without TLS.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from dataclasses import dataclass

TIMEOUT = 20
_HTTP_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
_GO_SOURCE = pathlib.Path(__file__).resolve().parents[4] / "lab" / "go" / "listener"


@dataclass(frozen=True)
class Material:
    """Paths: the server's chain and key, and the CAs of its clients (None: no client certificate is asked for)."""

    cert: pathlib.Path
    key: pathlib.Path
    clients: pathlib.Path | None


def probe(address, ca, cert=None, key=None, *, name="localhost", hold=0.5, timeout=10, request="", options=()):
    """One ``openssl s_client`` run as the collection does it: its output with standard error, and its exit status."""
    identity = f"-cert {cert} -key {key}" if cert else ""
    feed = f"{{ printf '{request}'; sleep {hold}; }}" if request else f"sleep {hold}"
    script = (
        f"set -o pipefail; {feed} | timeout {timeout} openssl s_client -connect {address} -servername {name}"
        f' -verify_hostname {name} -CAfile {ca} {identity} {" ".join(options)} 2>&1; echo "rc=${{PIPESTATUS[1]}}"'
    )
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=False, timeout=timeout + TIMEOUT)
    output, _mark, rc = done.stdout.decode("utf-8", "replace").rpartition("rc=")
    return output, int(rc)


def server(kind, material=None, *, tls="1.3", tickets=True):
    """A context in which a server of this kind runs; it gives "127.0.0.1:PORT" once that listens."""
    if kind == "openssl":
        return _openssl(material, tls, tickets)
    if kind == "go":
        return _go(material, tls, tickets)
    return _threaded(_HANDLERS[kind], material, tls, tickets)


def free_port():
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def _openssl(material, tls, tickets):
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", f"-tls{tls.replace('.', '_')}"]
    command += ["-cert", str(material.cert), "-key", str(material.key)]
    if material.clients:
        command += [
            "-CAfile",
            str(material.clients),
            "-no-CApath",
            "-no-CAstore",
            "-Verify",
            "3",
            "-verify_return_error",
        ]
    if not tickets:
        command += ["-no_ticket", "-num_tickets", "0"]
    with _process(command) as process:
        for line in process.stdout:
            if line.startswith(b"ACCEPT "):
                yield line.split()[1].decode("ascii")
                return
        raise RuntimeError("openssl s_server did not start")


@contextlib.contextmanager
def _go(material, tls, tickets):
    command = [str(go_listener()), f"-cert={material.cert}", f"-key={material.key}", f"-tls={tls}"]
    command += [f"-tickets={'true' if tickets else 'false'}"]
    if material.clients:
        command.append(f"-clients={material.clients}")
    with _process(command) as process:
        yield process.stdout.readline().decode("ascii").strip()


@functools.cache
def go_listener():
    """Path of the Go server, built once in a directory of its own; None when there is no Go compiler."""
    go = shutil.which("go")
    if go is None:
        return None
    directory = pathlib.Path(tempfile.mkdtemp(prefix="quazzar-listener-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    binary = directory / "listener"
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=_GO_SOURCE, check=True, stdin=subprocess.DEVNULL)
    return binary


@contextlib.contextmanager
def _process(command):
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def _threaded(handle, material, tls, tickets):
    context = _context(material, tls, tickets) if material else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        stop = threading.Event()

        def accept():
            while not stop.is_set():
                try:
                    connection, _peer = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=_handle, args=(connection,), daemon=True).start()

        def _handle(connection):
            connection.settimeout(TIMEOUT)
            with connection, contextlib.suppress(OSError):
                handle(connection, context)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def _context(material, tls, tickets):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(material.cert, material.key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + tls.replace(".", "_")]
    if material.clients:
        context.load_verify_locations(material.clients)
        context.verify_mode = ssl.CERT_REQUIRED
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _serve_http(connection, context):
    with context.wrap_socket(connection, server_side=True) as session:
        if session.recv(4096):
            session.sendall(_HTTP_ANSWER)


def _go_away_at_certificate(connection, context, *, reset):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(connection.recv(65536))
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    connection.sendall(outgoing.read())
    connection.recv(1)
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    connection.setblocking(False)
    while connection.recv(65536):  # unread bytes would turn the end into a reset
        pass


def _abrupt(connection, context):
    """Accept the client, then close the TCP connection without TLS's own goodbye."""
    session = context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
    with contextlib.closing(socket.socket(fileno=session.detach())) as raw:
        raw.shutdown(socket.SHUT_RDWR)


def _silent(connection, _context):
    connection.settimeout(60)
    while connection.recv(65536):
        pass


def _plain(connection, _context):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


_HANDLERS = {
    "python": _serve_http,
    "reset": functools.partial(_go_away_at_certificate, reset=True),
    "eof": functools.partial(_go_away_at_certificate, reset=False),
    "abrupt": _abrupt,
    "silent": _silent,
    "plain": _plain,
}
