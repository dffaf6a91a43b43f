# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node, twice: `openssl s_client` and an agent in Go. Both say how each direction of trust ended."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from . import golang
from .material import Identity

SECONDS = 20
#: For the ticket or the alert. A loaded machine is slow, and then nothing is known; it is never judged wrongly.
PATIENCE = (0.3, 2.0, 8.0)
AT_ONCE = 8


@dataclass(frozen=True)
class Question:
    """One handshake: this identity, with this pin, at this address."""

    address: str
    server_name: str
    pin: Path
    identity: Identity


@dataclass(frozen=True)
class Verdict:
    """``to_cp``: the node's pin against what the replica serves (ok, refused). ``to_node``: the replica's pool against
    the node's leaf (accepted, refused). Either may be unknown, which is as good as any other wrong answer."""

    to_cp: str
    to_node: str
    detail: str = ""

    @property
    def word(self) -> str:
        return _WORDS.get((self.to_cp, self.to_node), "unknown")


_WORDS = {
    ("ok", "accepted"): "up",
    ("refused", "accepted"): "node refuses",
    ("ok", "refused"): "CP refuses",
    ("refused", "refused"): "both refuse",
}


_DETAILS = ("to_cp_detail", "to_node_detail")


def go(questions: Sequence[Question]) -> list[Verdict]:
    """One process for all of them."""
    lines = [
        json.dumps(
            {
                "address": each.address,
                "server_name": each.server_name,
                "pin": str(each.pin),
                "seconds": SECONDS,
                **{name: str(path) for name, path in asdict(each.identity).items()},
            }
        )
        for each in questions
    ]
    done = subprocess.run([golang.binary("agent")], input="\n".join(lines), capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        Verdict(
            found["to_cp"], found["to_node"], "; ".join(filter(None, (found["to_cp_detail"], found["to_node_detail"])))
        )
        for found in answers
    ]


def openssl(questions: Sequence[Question]) -> list[Verdict]:
    with ThreadPoolExecutor(AT_ONCE) as workers:
        return list(workers.map(_s_client, questions))


#: By name: how a node may verify. More of them than there are tools for is no harm: the matrix asks those it is given.
VERIFIERS: Mapping[str, Callable[[Sequence[Question]], list[Verdict]]] = {"openssl": openssl, "go": go}

_TICKET = re.compile(rb"New Session Ticket arrived")
_CIPHER = re.compile(rb"^New, (TLSv[\d.]+), Cipher is (\S+)$", re.M)
_VERIFIED = re.compile(rb"^ *Verify return code: (\d+) \((.*)\)\r?$", re.M)
_ALERT = re.compile(rb"SSL alert number (\d+)")


def _s_client(asked: Question) -> Verdict:
    """One run, and others with more patience while it is not known what the server thinks of the client."""
    found = Verdict("unknown", "unknown")
    for patience in PATIENCE:
        found = _judged(*_run(asked, patience))
        if "unknown" not in (found.to_cp, found.to_node):
            break
    return found


def _run(asked: Question, patience: float) -> tuple[bytes, bool, int]:
    """What it printed, whether it ended by itself, and its exit status.

    With TLS 1.3 the server's opinion comes after a handshake that looks complete: a session ticket, or an alert.
    Standard input stays open so long; its end makes s_client print what it still holds back.
    """
    command = ["openssl", "s_client", "-connect", asked.address, "-servername", asked.server_name]
    command += ["-verify_hostname", asked.server_name, "-CAfile", str(asked.pin), "-no-CApath", "-no-CAstore"]
    command += ["-cert", str(asked.identity.cert), "-key", str(asked.identity.key)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with process:
        try:
            output, ended = _read(process, SECONDS, _VERIFIED.search)
            if not ended:
                more, ended = _read(process, patience, _TICKET.search)
                output += more
            process.stdin.close()  # type: ignore[union-attr]
            if not ended:
                output += _read(process, SECONDS, lambda _output: None)[0]
            return output, ended, process.wait(SECONDS)
        finally:
            process.kill()


def _read(process: subprocess.Popen[bytes], seconds: float, enough: Callable[[bytes], object]) -> tuple[bytes, bool]:
    """What it prints until there is enough, time is up (False), or it ends (True)."""
    output, end = b"", time.monotonic() + seconds
    pipe = process.stdout
    assert pipe is not None
    while (left := end - time.monotonic()) > 0 and not enough(output):
        if not select.select([pipe], [], [], left)[0]:
            break
        piece = os.read(pipe.fileno(), 65536)
        if not piece:
            return output, True
        output += piece
    return output, False


def _finished_12(output: bytes) -> bool:
    """In TLS 1.2 the server's last word of the handshake comes after it has judged the client. The summary of a
    handshake that failed looks the same, but its failure stands before it."""
    cipher, verified = _CIPHER.search(output), _VERIFIED.search(output)
    if cipher is None or verified is None:
        return False
    failed = re.search(rb":error:|:errno=", output[: verified.start()])
    return cipher.group(1) == b"TLSv1.2" and cipher.group(2) != b"(NONE)" and not failed


def _judged(output: bytes, ended: bool, code: int) -> Verdict:
    verified, alert = _VERIFIED.search(output), _ALERT.search(output)
    detail = [verified.group(2).decode()] if verified and verified.group(1) != b"0" else []
    to_cp = "unknown" if verified is None else "ok" if verified.group(1) == b"0" else "refused"
    if alert:
        to_node = "refused"
        detail.append(f"alert {alert.group(1).decode()}")
    elif _TICKET.search(output) or _finished_12(output):
        to_node = "accepted"
    elif verified is not None and (ended or code):
        to_node = "refused"
        detail.append(f"the connection ended ({code})")
    else:
        to_node = "unknown"
        detail.append(output[-200:].decode("utf-8", "replace"))
    return Verdict(to_cp, to_node, "; ".join(detail))
