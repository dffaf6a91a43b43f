# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One OS node: its files, its registration, its agent with the heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import pki
from .beats import BeatLog
from .faults import Faults
from .logs import Log, stamp
from .options import Options
from .paths import MTLS_PORT, Layout, balancer_address, write_atomic
from .tls import REGISTER_PREFIX, ClientTls, Identity, LinkError, exchange, http_request

REGISTER_SECONDS = 15.0
RETRY_SHARE = 0.3
FIRST_SHARE = 0.5
KEPT_ON_REFUSAL = (
    "bad certificate",
    "unknown certificate",
    "expired certificate",
    "certificate required",
    "handshake failure",
)


class RegistrationError(Exception):
    """The CP did not register the node."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class NodeSpec:
    """What the lab decides about a node: its name, address and credentials."""

    name: str
    address: str
    api_key: str
    viewer_key: str
    cp_name: str
    tenant: str


class Node:
    """A node's state in memory and on disk."""

    def __init__(self, layout: Layout, block: str, spec: NodeSpec, options: Options, faults: Faults) -> None:
        self.layout = layout
        self.spec = spec
        self.name = spec.name
        self.options = options
        self.faults = faults
        self.cp = (balancer_address(block), MTLS_PORT)
        # On a host of its own a node has the root directory for itself.
        self.root = Path(os.environ.get("CC_LAB_NODE_ROOT") or layout.nodes / spec.name)
        self.ca_path, self.cert_path, self.key_path = (
            self.root / self.option(f"node_{part}_path") for part in ("ca", "cert", "key")
        )
        self.log = Log(self.root / self.option("node_log_path"), stdout=bool(os.environ.get("CC_LAB_STDOUT")))
        self.beats = BeatLog()
        self.instance_id = ""
        self.needs_registration = False
        self.last_error = ""
        self.up = True
        self._results: list[dict[str, Any]] = []
        self._client: ClientTls | None = None
        self._signature: Any = None
        self._agent: asyncio.Task[None] | None = None

    def option(self, name: str) -> Any:
        return self.options.get(name, self.name)

    def holds(self, fault: str) -> dict[str, Any] | None:
        return self.faults.get(fault, self.name, "nodes")

    @property
    def interval(self) -> float:
        return float(self.option("heartbeat"))

    @property
    def connected(self) -> bool:
        delivered = self.beats.delivered
        return bool(delivered) and time.time() - delivered[-1] < 2.5 * self.interval

    def now(self) -> dt.datetime:
        return pki.now() + dt.timedelta(seconds=self.faults.value("clock", self.name, "nodes"))

    # files

    def _files(self) -> Any:
        trust = self.layout.root / "system-ca.crt" if self.option("world") == "W3" else self.ca_path
        paths = (trust, self.cert_path, self.key_path)
        signature = []
        for path in paths:
            stat = os.stat(path)
            signature.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
        return paths, (*signature, self.option("bundle"), self.option("agent_names"), self.option("tls_max"))

    def client(self) -> ClientTls:
        """The TLS client of what the agent knows: the files now, or those of its start."""
        if self._client is not None and self.option("agent_read") == "restart":
            return self._client
        try:
            paths, signature = self._files()
            if self._client is None or signature != self._signature:
                self._client = self._load(paths)
                self._signature = signature
        except (OSError, ValueError, pki.PkiError) as error:
            raise LinkError("local", str(error)) from None
        return self._client

    def _load(self, paths: tuple[Path, Path, Path]) -> ClientTls:
        roots = pki.load_certificates(paths[0].read_bytes())
        if not roots:
            raise pki.PkiError(f"{paths[0]}: no PEM certificate")
        if len(roots) > 1 and self.option("bundle") == "refuse":
            raise pki.PkiError(f"{paths[0]}: expected exactly one certificate, found {len(roots)}")
        if self.option("bundle") == "first":
            roots = roots[:1]
        pair = pki.load_pair(paths[1], paths[2])
        identity = Identity(pair.cert, pair.key, roots, self.option("agent_names"), self.option("tls_max"))
        self.instance_id = pki.common_name(pair.cert.subject)
        return ClientTls(identity, self.now)

    def forget(self) -> None:
        """What a restart of the agent does: read the files again."""
        self._client = None

    # registration

    async def register(self, token: str) -> str:
        """Make a key, have it certified, pin the CA of the answer. The instance id."""
        verify = self.option("register_verify") == "pin" and self.ca_path.exists()
        roots = pki.load_certificates(self.ca_path.read_bytes()) if verify else None
        key = pki.new_key()
        server = str(self.option("server_name"))
        body = {"token": token, "name": self.spec.cp_name, "csr": pki.make_csr(key, self.spec.cp_name).decode()}
        request = http_request("/agent/register", json.dumps(body).encode(), server)
        tls = ClientTls(Identity(None, None, roots, tls_max=self.option("tls_max")), self.now)
        try:
            status, answer = await exchange(
                tls, self.cp, self.spec.address, (server, REGISTER_PREFIX + server), request, REGISTER_SECONDS
            )
        except LinkError as error:
            self.log.error(f"registration failed: {error}")
            raise RegistrationError(502, f"control panel unreachable: {error}") from None
        data = json.loads(answer)
        if status != 201:
            self.log.error(f"registration failed: {data.get('error')}")
            raise RegistrationError(status, str(data.get("error")))
        write_atomic(self.key_path, pki.key_pem(key), 0o600)
        write_atomic(self.cert_path, data["certificate"], 0o644)
        write_atomic(self.ca_path, data["ca_certificate"], 0o644)
        self.instance_id = data["id"]
        self.needs_registration = False
        self.last_error = ""
        self.forget()
        self.log.info("registered with the Control Panel", instance=data["id"])
        return self.instance_id

    # agent

    def start(self, delay: float = 0.0) -> None:
        self._agent = asyncio.ensure_future(self._run(delay))

    async def stop(self) -> None:
        if self._agent is not None:
            self._agent.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._agent
            self._agent = None

    async def _run(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            lag = loop.time() - due
            if lag > self.interval:
                # The lab itself was starved of CPU: no fault of the CP, but not hidden either.
                self.beats.late += int(lag / self.interval)
                due = loop.time()
            due += self.interval
            if self.up and self.key_path.exists() and not self.holds("agent-stopped"):
                try:
                    await self._beat(due)
                except Exception as error:
                    self.beats.miss(time.time(), f"agent error: {error!r}")
                    self.log.error(f"agent error: {error!r}")

    async def _beat(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        started = time.time()
        retry_at = loop.time() + RETRY_SHARE * self.interval
        error: LinkError | None = None
        for share in (FIRST_SHARE, 1.0):
            left = due - loop.time()
            try:
                await self._deliver(max(0.01, left * share))
            except LinkError as problem:
                error = problem
                if share != 1.0:
                    await asyncio.sleep(max(0.0, retry_at - loop.time()))
            else:
                self.beats.hit()
                self.needs_registration, self.last_error = False, ""
                return
        self.beats.miss(started, f"{error.kind}: {error}" if error else "")
        if error is not None:
            self._complain(error)

    async def _deliver(self, timeout: float) -> None:
        results, self._results = self._results, []
        server = str(self.option("server_name"))
        body = json.dumps({"time": stamp(self.now().timestamp()), "version": "2.4.1", "results": results})
        status, answer = await exchange(
            self.client(),
            self.cp,
            self.spec.address,
            (server, server),
            http_request("/agent/heartbeat", body.encode(), server),
            timeout,
        )
        if status != 200:
            raise LinkError("http", f"heartbeat answered with {status}")
        for item in json.loads(answer).get("commands", []):
            self._results.append({"id": item["id"], "status": "Completed", "result": f"{item['command']}: ok"})

    def _complain(self, error: LinkError) -> None:
        self.last_error = str(error)
        if error.kind == "refused":
            self.needs_registration = any(word in str(error) for word in KEPT_ON_REFUSAL)
            self.log.error(self.option("node_log_text"), error=f'"{error}"')
            return
        if error.kind == "untrusted" and self.option("untrusted_needs_registration"):
            self.needs_registration = True
        self.log.warn(f"heartbeat failed: {error}")

    def status(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "address": self.spec.address,
            "up": self.up,
            "connected": self.connected,
            "needs_registration": self.needs_registration,
            "instance_id": self.instance_id,
            "last_error": self.last_error,
            "delivered": len(self.beats.delivered),
            "missed": len(self.beats.missed),
        }
