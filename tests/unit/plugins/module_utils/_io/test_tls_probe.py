# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import typing as t

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import tls_probe

CA_NAME = "Quazzar Control Center CA"


def write(path: pathlib.Path, *contents: t.Any) -> str:
    path.write_bytes(b"".join(item.encode() if isinstance(item, str) else item for item in contents))
    return str(path)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def s_server(directory: pathlib.Path, ca: t.Any, leaf: t.Any, pool: t.Sequence[t.Any], *more: str) -> t.Iterator[str]:
    """A real openssl server that demands a client certificate and names the CAs of ``pool``: yields its address."""
    port = free_port()
    command = [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-Verify", "3", "-verify_return_error",
        "-cert", write(directory / "server.crt", leaf.pem), "-key", write(directory / "server.key", leaf.key_pem),
        "-cert_chain", write(directory / "chain.crt", ca.pem),
        "-CAfile", write(directory / "pool.crt", *(item.pem for item in pool)), *more,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE)
    try:
        for _attempt in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def listener(talk: t.Callable[[socket.socket], None]) -> t.Iterator[str]:
    """A TCP listener that does ``talk`` with each connection: yields its address."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = sock.accept()
                    with contextlib.suppress(OSError), connection:
                        talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{sock.getsockname()[1]}"
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_chain_and_names_as_a_stranger(version: str, tmp_path: pathlib.Path, make_ca: t.Any, make_leaf: t.Any) -> None:
    new, old = make_ca(name=CA_NAME), make_ca(name=f"{CA_NAME} 2")
    leaf = make_leaf(new, name="cp", names=["cp.example.com", "127.0.0.1"])
    with s_server(tmp_path, new, leaf, [new, old], version) as address:
        for _again in range(5):
            found = tls_probe.probe(address, "cp.example.com", timeout=10)
            assert (found.listening, found.error) == (True, "")
            assert found.shown is not None
            assert [cert.sha256 for cert in found.shown.chain] == [leaf.cert.sha256, new.cert.sha256]
            assert found.shown.acceptable_ca_count == 2
            assert all(CA_NAME in name for name in found.shown.acceptable_ca_names)


def test_a_pool_of_one(tmp_path: pathlib.Path, make_ca: t.Any, make_leaf: t.Any) -> None:
    ca = make_ca()
    with s_server(tmp_path, ca, make_leaf(ca, names=["127.0.0.1"]), [ca]) as address:
        found = tls_probe.probe(address, timeout=10)
    assert found.shown is not None and found.shown.acceptable_ca_count == 1


@pytest.mark.parametrize(
    ("server_name", "sent"), [("cp.example.com", "cp.example.com"), ("127.0.0.1", None), ("", None)]
)
def test_server_name_is_sent_unless_it_is_an_address(
    server_name: str, sent: str | None, tmp_path: pathlib.Path, make_ca: t.Any, make_leaf: t.Any
) -> None:
    ca = make_ca()
    leaf = make_leaf(ca, names=["cp.example.com"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write(tmp_path / "crt", leaf.pem), write(tmp_path / "key", leaf.key_pem))
    names: list[str | None] = []
    context.sni_callback = lambda _object, name, _context: names.append(name)

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)

    with listener(talk) as address:
        found = tls_probe.probe(address, server_name, timeout=10)
    assert found.listening is True and names == [sent]
    # No client certificate was asked for: then nothing is known about the pool.
    assert found.shown is not None and found.shown.acceptable_ca_count is None


def test_a_server_that_never_speaks_again_does_not_hold_us_up(
    tmp_path: pathlib.Path, make_ca: t.Any, make_leaf: t.Any
) -> None:
    leaf = make_leaf(make_ca(), names=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write(tmp_path / "crt", leaf.pem), write(tmp_path / "key", leaf.key_pem))

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            time.sleep(30)

    start = time.monotonic()
    with listener(talk) as address:
        assert tls_probe.probe(address, timeout=20).listening is True
    assert time.monotonic() - start < 10


def silence(connection: socket.socket) -> None:
    connection.recv(1000)
    time.sleep(5)


def no_tls(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.recv(1000)


@pytest.mark.parametrize(
    ("talk", "words"),
    [(silence, "no TLS handshake within 1 s"), (no_tls, "not with TLS"), (hang_up, "closed before a certificate")],
)
def test_a_listener_that_shows_nothing_says_why(talk: t.Callable[[socket.socket], None], words: str) -> None:
    with listener(talk) as address:
        found = tls_probe.probe(address, timeout=1)
    assert found.listening is False and found.error.startswith(f"{address}: ") and words in found.error


def test_nobody_listens() -> None:
    found = tls_probe.probe(f"127.0.0.1:{free_port()}", timeout=5)
    assert found.listening is False and "connection was refused" in found.error


def test_a_name_that_does_not_exist() -> None:
    found = tls_probe.probe("no-such-name.invalid:8443", timeout=20)
    assert found.listening is False and "cannot be resolved" in found.error


def test_without_openssl_the_message_names_the_package() -> None:
    found = tls_probe.probe("127.0.0.1:1", openssl="no-such-openssl")
    assert found.listening is False and "apt install openssl" in found.error


def test_no_process_is_left(tmp_path: pathlib.Path) -> None:
    with listener(silence) as address:
        tls_probe.probe(address, timeout=0.5)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"-connect {address}" not in listed


@pytest.mark.parametrize(
    ("address", "expected"),
    [("cp:8443", ("cp", 8443)), (" [2001:db8::1]:1 ", ("2001:db8::1", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535))],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert tls_probe.split_address(address) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
@example("cp")
@example("cp:0")
@example("cp:65536")
@example("-proxy:1 x:2")
@example("2001:db8::1:8443")
@example("[::1]")
def test_any_address_is_read_or_refused(address: str) -> None:
    try:
        host, port = tls_probe.split_address(address)
    except InputError:
        return
    assert host and not host.startswith("-") and not any(c.isspace() for c in host) and 0 < port < 65536
