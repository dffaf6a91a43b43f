# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One replica of the Control Panel, a process of its own, configured by environment and files only.

``CC_TRUST_ADDITIONAL_CA_CERTS`` and ``CC_ALLOW_AUTO_CA_GEN`` are the product's; ``CC_LAB_*`` say where the lab is.
``NOTIFY_SOCKET`` is systemd's: a unit of the type notify is started when the replica serves. Three of
these are for a replica in a container: ``CC_LAB_LISTEN`` (the address to listen on when it is not the
replica's own), ``CC_LAB_STDOUT`` (not empty: log there too) and ``CC_LAB_IDENTITY`` (stands for the name, which is new
with each pod, where something is kept from one boot to the next: the server certificate above all).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from . import pki, stalls
from .api import Api
from .faults import Faults
from .logs import Log, to_stderr
from .options import Options
from .paths import API_PORT, HEALTH_PORT, MTLS_PORT, Layout, locked, write_atomic
from .store import Store, TokenError
from .tls import NO_CERTIFICATE, Request, Response
from .tls_server import ServerLink, ServerTls

FLUSH_SECONDS = 0.1
NOTICE_SECONDS = 0.25
DRAIN_SECONDS = 3.0
ORPHAN_SECONDS = 2.0
BACKLOG = 1024


class BootError(Exception):
    """Why the replica does not come up."""


class Replica:
    """What one replica holds from its boot on."""

    def __init__(self, layout: Layout, name: str, address: str) -> None:
        self.layout = layout
        self.name = name
        self.address = address
        self.listen = os.environ.get("CC_LAB_LISTEN") or address
        self.identity = os.environ.get("CC_LAB_IDENTITY") or name
        self.options = Options(layout.options)
        self.faults = Faults(layout.faults, "cp", name)
        self.log = Log(
            layout.logs / f"{name}.log",
            layout.logs / f"{name}.boot.log",
            os.environ.get("CC_LOG_LEVEL", "info"),
            stdout=bool(os.environ.get("CC_LAB_STDOUT")),
        )
        self.certs = Path(os.environ["CC_LAB_CERTS_DIR"])
        self.ready = False
        self._seen: dict[str, tuple[float, int]] = {}

    def now(self) -> dt.datetime:
        return pki.now() + dt.timedelta(seconds=self.faults.value("clock"))

    # boot

    def boot(self) -> None:
        """CA, pool, server certificate; a BootError names what is missing."""
        self.log.info("Quazzar Control Center starting", replica=self.name, pid=os.getpid())
        if self.faults.get("no-boot"):
            raise BootError("cannot bind database migrations lock")
        self.ca = self._load_ca()
        self.extra = self._load_pool()
        with self._volume():
            chain, key = self._server_identity()
        self.tls = ServerTls(
            chain,
            key,
            [self.ca.cert, *self.extra],
            clock=self.now,
            versions=(self.options.get("tls_min"), self.options.get("tls_max")),
            tickets=self.options.get("tickets"),
            refusal_alert=self.options.get("refusal_alert"),
            unknown_text=self.options.get("drift_log_text"),
        )
        self.store = Store(self.layout.data / "registry.sqlite")
        cidrs = self.options.get("internal_cidrs") or f"{self.address.rsplit('.', 1)[0]}.0/24"
        self.internal = [ipaddress.ip_network(item.strip()) for item in cidrs.split(",")]
        self.log.info(
            "active CA loaded",
            subject=f'"{pki.common_name(self.ca.cert.subject)}"',
            sha256=pki.fingerprint(self.ca.cert),
        )

    def _volume(self) -> contextlib.AbstractContextManager[None]:
        """Alone on the certs volume: replicas that boot at the same time must not both mint."""
        return locked(self.layout.run / f"{self.certs.name}.lock")

    def _load_ca(self) -> pki.Pair:
        cert, key = self.certs / "ca.crt", self.certs / "ca.key"
        with self._volume():
            if cert.exists() and key.exists():
                return pki.load_pair(cert, key)
            if os.environ.get("CC_ALLOW_AUTO_CA_GEN", "").lower() != "true":
                raise BootError(
                    f"no CA in {self.certs} and CC_ALLOW_AUTO_CA_GEN is not true: refusing to generate a new CA, "
                    "it would cut off every registered node"
                )
            pair = pki.make_ca(
                pki.ca_name(distinct=self.options.get("ca_names") == "distinct"),
                lifetime=self.options.seconds("ca_lifetime"),
                backdate=self.options.seconds("ca_backdate"),
                key_ids=self.options.get("key_ids"),
            )
            pair.write(cert, key)
            self.log.warn("generated a new CA", sha256=pki.fingerprint(pair.cert))
            return pair

    def _load_pool(self) -> list[x509.Certificate]:
        kept = self.layout.run / f"{self.identity}.pool.pem"
        if self.faults.get("ignore-pool"):
            pool = pki.load_certificates(kept.read_bytes()) if kept.exists() else []
        else:
            pool = []
            for entry in os.environ.get(self.options.get("pool_variable"), "").split(","):
                if entry.strip():
                    pool += self._pool_file(Path(entry.strip()))
        unique = list(dict.fromkeys(pool))
        write_atomic(kept, b"".join(pki.pem(cert) for cert in unique))
        if not self.faults.get("silent-boot"):
            for cert in unique:
                self.log.info(
                    self.options.get("grace_log_text"),
                    subject=f'"{pki.common_name(cert.subject)}"',
                    sha256=pki.fingerprint(cert),
                )
        return unique

    def _pool_file(self, path: Path) -> list[x509.Certificate]:
        try:
            certs = pki.load_certificates(path.read_bytes())
            if not certs:
                raise BootError("no certificate in it")
            if len(certs) > 1 and self.options.get("pool_bundle") == "fail":
                raise BootError(f"{len(certs)} certificates in one file")
        except (OSError, ValueError, BootError) as error:
            text = f"{self.options.get('pool_variable')}: {path}: {getattr(error, 'strerror', None) or error}"
            if self.options.get("missing_pool_file") == "fail":
                raise BootError(text) from None
            self.log.warn(f"{text}; skipped")
            return []
        return certs if self.options.get("pool_bundle") == "all" else certs[:1]

    def _server_identity(self) -> tuple[list[x509.Certificate], Any]:
        world = self.options.get("world")
        if world == "W3":
            outside = pki.load_pair(self.layout.cp / "outside/server.crt", self.layout.cp / "outside/server.key")
            return [outside.cert], outside.key
        # W1 keeps the pair on a volume of its own, which outlives the accident; the others lose it with the CA.
        home = (self.layout.cp if world == "W1" else self.certs) / "server" / self.identity
        cert, key = home / "server.crt", home / "server.key"
        pair = pki.load_pair(cert, key) if cert.exists() and key.exists() else None
        reissue = self.options.get("reissue_at_boot") and "CC_LAB_ACCIDENT" not in os.environ
        stale = pair is not None and world != "W1" and pki.verify(pair.cert, [self.ca.cert], self.now())
        if pair is None or stale or reissue or self.faults.get("reissue-at-boot"):
            pair = self._mint_server()
            pair.write(cert, key)
        chain = [pair.cert]
        bridge = self.layout.cp / "bridge/bridge.crt"
        if world == "W4" and bridge.exists():
            chain += [
                item
                for item in pki.load_certificates(bridge.read_bytes())
                if item.public_key() == self.ca.cert.public_key()
            ]
        return chain, pair.key

    def _mint_server(self) -> pki.Pair:
        name, key = str(self.options.get("server_name")), pki.new_key()
        cert = pki.issue(
            self.ca,
            name,
            key.public_key(),
            server_names=[name, f"register.{name}"],
            lifetime=self.options.seconds("leaf_lifetime"),
            key_ids=self.options.get("key_ids"),
        )
        self.log.info("issued a server certificate", sha256=pki.fingerprint(cert))
        return pki.Pair(cert, key)

    # the agent link

    def failed(self, peer: str, text: str) -> None:
        """A handshake that failed, in the documented words; noise of load balancers is DEBUG."""
        quiet = text in (NO_CERTIFICATE, "EOF") and any(
            ipaddress.ip_address(peer.rsplit(":", 1)[0]) in network for network in self.internal
        )
        (self.log.debug if quiet else self.log.error)(f"TLS handshake error from {peer}: {text}")

    async def agent(self, request: Request) -> Response:
        if request.registering and request.path == "/agent/register":
            return self._register(request)
        if request.leaf is not None and request.path == "/agent/heartbeat":
            return self._heartbeat(request)
        return _error(404, "not found")

    def _heartbeat(self, request: Request) -> Response:
        item = self.faults.get("heartbeat-error")
        if item:
            return _error(int(item.get("value") or 500), "internal error")
        number = pki.common_name(request.leaf.subject) if request.leaf else ""
        row = self.store.instance(number)
        if row is None or row["decommissioned"]:
            return _error(410, "instance is not registered")
        _last, count = self._seen.get(number, (0.0, 0))
        self._seen[number] = (time.time(), count + 1)
        body = json.loads(request.body or b"{}")
        if body.get("results"):
            self.store.finish(number, body["results"])
        return Response(200, json.dumps({"commands": self.store.hand_out(number)}).encode())

    def _register(self, request: Request) -> Response:
        try:
            body = json.loads(request.body)
            public = x509.load_pem_x509_csr(body["csr"].encode()).public_key()
            if not isinstance(public, ec.EllipticCurvePublicKey):
                raise ValueError("not an ECDSA key")
            number, tenant = self.store.register(
                str(body["token"]),
                str(body["name"]),
                keep_id=self.options.get("reregister") == "keep",
                at=time.time(),
                expired=self.faults.get("token-expired") is not None,
            )
        except TokenError as error:
            self.log.warn(f"registration refused: {error}", peer=request.peer)
            return _error(error.status, str(error))
        except (ValueError, KeyError, AttributeError):
            return _error(400, "invalid registration request")
        cert = pki.issue(
            self.ca,
            number,
            public,
            lifetime=self.options.seconds("leaf_lifetime"),
            backdate=self.options.seconds("leaf_backdate"),
            key_ids=self.options.get("key_ids"),
        )
        self.store.note_leaf(number, pki.fingerprint(cert))
        self.log.info("instance registered", instance=number, name=body["name"], tenant=tenant)
        answer = {"id": number, "certificate": pki.pem(cert).decode(), "ca_certificate": self.ca.pem.decode()}
        return Response(201, json.dumps(answer).encode())

    def flush(self) -> None:
        if self._seen:
            seen, self._seen = self._seen, {}
            self.store.beats(seen)

    def status(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ready": self.ready,
            "pid": os.getpid(),
            "active_ca": pki.fingerprint(self.ca.cert),
            "pool": [pki.fingerprint(cert) for cert in self.extra],
            "serving": [pki.fingerprint(cert) for cert in self.tls.chain],
        }


def _error(status: int, text: str) -> Response:
    return Response(status, json.dumps({"error": text}).encode())


async def _serve(replica: Replica) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    mtls = await loop.create_server(
        lambda: ServerLink(replica.tls, replica.agent, replica.failed, lambda: replica.options.get("abrupt_close")),
        replica.listen,
        MTLS_PORT,
        backlog=BACKLOG,
    )
    jwt_key = (replica.layout.data / "jwt.key").read_text(encoding="ascii").strip()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(replica.layout.cp / "api/api.crt", replica.layout.cp / "api/api.key")
    api = Api(replica.layout, replica.options, replica.faults, replica.store, jwt_key)
    runner = web.AppRunner(api.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, replica.listen, API_PORT, ssl_context=context, backlog=BACKLOG).start()
    health = web.AppRunner(_health(replica), access_log=None)
    await health.setup()
    await web.TCPSite(health, replica.listen, HEALTH_PORT).start()
    watch = asyncio.ensure_future(stalls.watch(replica.layout, replica.name))
    replica.ready = True
    _notify("READY=1")
    replica.log.info("ready", mtls=f"{replica.address}:{MTLS_PORT}", api=f"{replica.address}:{API_PORT}")
    while not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), FLUSH_SECONDS)
        replica.flush()
        if not replica.layout.run.is_dir():
            return
    replica.ready = False
    replica.log.info("draining")
    # New connections are still taken until the balancer has seen that this replica is not ready.
    await asyncio.sleep(NOTICE_SECONDS)
    mtls.close()
    deadline = time.monotonic() + DRAIN_SECONDS
    while ServerLink.live and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    replica.flush()
    watch.cancel()
    await runner.cleanup()
    await health.cleanup()
    replica.log.info("stopped")


def _notify(text: str) -> None:
    """Tell systemd, when it is what has started us."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.connect(path)
            notifier.send(text.encode())


def _health(replica: Replica) -> web.Application:
    async def ready(_request: web.Request) -> web.Response:
        return web.Response(status=200 if replica.ready else 503)

    async def status(_request: web.Request) -> web.Response:
        return web.json_response(replica.status())

    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_get("/statusz", status)
    return app


def main() -> int:
    to_stderr()
    stalls.prefer_me()
    layout = Layout(Path(os.environ["CC_LAB_ROOT"]))
    replica = Replica(layout, os.environ["CC_LAB_NAME"], os.environ["CC_LAB_ADDRESS"])
    try:
        time.sleep(replica.faults.value("slow-boot"))
        replica.boot()
    except (BootError, pki.PkiError, OSError, ValueError) as error:
        replica.log.error(f"fatal: {error}")
        print(error, file=sys.stderr)
        return 1
    asyncio.run(_serve(replica))
    return 0


if __name__ == "__main__":
    sys.exit(main())
