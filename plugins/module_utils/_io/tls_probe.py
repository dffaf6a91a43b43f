# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Look at a live mTLS listener from the controller, as a stranger: no client certificate, nothing verified.

What a listener shows to a stranger is its own certificate chain and the names of the CAs whose clients it would accept.
``openssl s_client`` is used because Python's ssl gives neither the chain nor those names.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import select
import subprocess
import time
from dataclasses import dataclass

from .._core import handshake
from .._core.errors import InputError, RotationError

# s_client prints this after everything that is of interest here, whether the handshake went well or not.
_LAST_OF_INTEREST = re.compile(rb"^[ \t]*Verify return code: ", re.MULTILINE)
_OUTPUT_LIMIT = 4 * 1024 * 1024
_LARGEST_PORT = 65535

_SYMPTOMS = (
    (r"errno=111|Connection refused", "the connection was refused: is the Control Panel running there?"),
    (r"errno=(?:110|60)|Connection timed out", "no connection in time: is the address right and a firewall open?"),
    (r"errno=(?:113|101)|No route to host|Network is unreachable", "there is no route to this address"),
    (r"BIO_lookup|getaddrinfo|Name or service not known|Temporary failure in name", "the name cannot be resolved"),
    (r"wrong version number|unknown protocol|packet length too long", "something answers there, but not with TLS"),
    (r"unexpected eof|errno=0|errno=104|Connection reset", "the connection was closed before a certificate was shown"),
)


@dataclass(frozen=True)
class Listener:
    """``listening``: a certificate was shown. ``shown`` is what s_client's output says, None when it did not run."""

    address: str
    listening: bool
    error: str
    shown: handshake.Handshake | None


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` (``[v6]:port``) as (host, port); InputError names what is wrong."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^-:\s\[\]/][^:\s\[\]/]*)):([0-9]{1,5})", address.strip())
    if match is None or not 0 < int(match.group(3)) <= _LARGEST_PORT:
        raise InputError(f"address should look like panel.example.com:8443 or [2001:db8::1]:8443, found {address!r}")
    return match.group(1) or match.group(2), int(match.group(3))


def is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def probe(address: str, server_name: str = "", *, timeout: float = 15.0, openssl: str = "openssl") -> Listener:
    """One handshake with ``address``. ``server_name`` is sent as SNI unless it is an IP address (RFC 6066, 3).

    A listener that cannot be looked at is an answer, not an error; only an address of a wrong form raises InputError.
    """
    host, _port = split_address(address)
    name = server_name or host
    command = [openssl, "s_client", "-connect", address.strip(), "-showcerts"]
    if not is_ip(name):
        command += ["-servername", name]
    try:
        output, code = _run(command, timeout)
    except FileNotFoundError:
        return Listener(address, False, f"{openssl} is not installed on the controller (apt install openssl)", None)
    except OSError as exc:
        return Listener(address, False, f"{openssl} cannot be run on the controller: {exc.strerror}", None)
    text = output.decode("utf-8", "replace")
    try:
        shown = handshake.verdict(text, code)
    except RotationError as exc:
        return Listener(address, False, f"{address}: {exc}", None)
    if shown.chain:
        return Listener(address, True, "", shown)
    return Listener(address, False, f"{address}: {_reason(text, code, timeout)}", shown)


def _run(command: list[str], timeout: float) -> tuple[bytes, int | None]:
    """Output and exit status (None: stopped by us). Standard input stays open until everything was shown: s_client
    ends at the end of its input, and an end that comes early races with the handshake."""
    # It runs on the controller, and there is no AnsibleModule there.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
    )
    end = time.monotonic() + timeout
    try:
        output, ended = _collect(process, end)
        if not ended:
            process.kill()
            process.wait()
            return output, None
        return output, process.wait(timeout=max(0.5, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return output, None
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _collect(process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bool]:
    """What the process prints until it ends (True), or until the time or the size limit is reached (False)."""
    output = b""
    if process.stdout is None or process.stdin is None:
        return output, False
    while time.monotonic() < end and len(output) < _OUTPUT_LIMIT:
        ready, _w, _x = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            break
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return output, True
        output += piece
        if not process.stdin.closed and _LAST_OF_INTEREST.search(output):
            with contextlib.suppress(OSError):
                process.stdin.close()
    return output, False


def _reason(text: str, code: int | None, timeout: float) -> str:
    if code is None:
        return f"no TLS handshake within {timeout:g} s: is the address right and a firewall open?"
    for pattern, words in _SYMPTOMS:
        if re.search(pattern, text):
            return words
    return f"no certificate was shown (openssl s_client ended with {code})"
