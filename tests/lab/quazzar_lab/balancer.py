# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one address in front of the replicas: TCP only, TLS ends at the replica.

It asks each replica every tenth of a second whether it is ready, sends nothing new to one that is not, and tries the
next when a connection fails. The outgoing connection is bound to the client's own loopback address, so that the
replicas see (and log) the true source. Where the replicas come and go (see pods), `follow` tells which there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import signal
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import stalls
from .logs import to_stderr
from .options import Options
from .paths import (
    API_PORT,
    BALANCED,
    HEALTH_PORT,
    MTLS_PORT,
    Layout,
    balancer_address,
    replica_address,
    write_json,
)

POLL_SECONDS = 0.1
CONNECT_SECONDS = 2.0
BACKLOG = 1024


class Pipe(asyncio.Protocol):
    """One direction's end. Input before the other end is there is kept."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: Pipe | None = None
        self._early: list[bytes] = []
        self._eof = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def join(self, other: Pipe) -> None:
        self.other = other
        other.other = self
        for data in self._early:
            other.transport.write(data)
        if self._eof:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self._eof = True
        if self.other is not None and self.other.transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self.other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            # A reset stays a reset.
            (self.other.transport.abort if exc else self.other.transport.close)()


class Balancer:
    """Which replicas are ready, and whose turn it is. `loopback`: they have loopback addresses, as clients do."""

    def __init__(self, layout: Layout, block: str, *, loopback: bool = True) -> None:
        self._file = layout.run / BALANCED
        self._options = Options(layout.options)
        self._own = balancer_address(block)
        self._loopback = loopback
        self._all: dict[str, list[asyncio.Task[None]]] = {}
        self.ready: set[str] = set()
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    def _note(self, address: str, good: bool) -> None:
        """Who waits for a replica waits until the balancer knows of it too, so that is written down."""
        if good != (address in self.ready):
            (self.ready.add if good else self.ready.discard)(address)
            with contextlib.suppress(OSError):
                write_json(self._file, sorted(self.ready))

    def follow(self, addresses: Iterable[str]) -> None:
        """These are the replicas now. One that is gone gets nothing new; what runs to it goes on."""
        wanted = list(addresses)
        for address in [*self._all]:
            if address not in wanted:
                for task in self._all.pop(address):
                    task.cancel()
                self._note(address, False)
        for address in wanted:
            if address not in self._all:
                self._all[address] = [
                    asyncio.ensure_future(job) for job in (self.watch(address), self.probe(address, self._options))
                ]

    def _source(self, address: str) -> tuple[str, int] | None:
        return (address, 0) if self._loopback else None

    def candidates(self) -> list[str]:
        ready = [address for address in self._all if address in self.ready]
        if not ready:
            return []
        start = next(self._turn) % len(ready)
        return ready[start:] + ready[:start]

    async def watch(self, address: str) -> None:
        """Poll one replica's readiness for ever."""
        while True:
            good = False
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                good = await asyncio.wait_for(self._asks(address), CONNECT_SECONDS)
            self._note(address, good)
            await asyncio.sleep(POLL_SECONDS)

    @staticmethod
    async def _asks(address: str) -> bool:
        reader, writer = await asyncio.open_connection(address, HEALTH_PORT)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return b" 200 " in line

    async def probe(self, address: str, options: Options) -> None:
        """What cloud load balancers do all day: a TLS handshake without a client certificate."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        while True:
            pause = options.seconds("lb_probe_interval")
            await asyncio.sleep(pause or 1.0)
            if not pause or address not in self.ready:
                continue
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(self._shake(address, context), CONNECT_SECONDS)

    async def _shake(self, address: str, context: ssl.SSLContext) -> None:
        reader, writer = await asyncio.open_connection(
            address, MTLS_PORT, ssl=context, server_hostname="lb", local_addr=self._source(self._own)
        )
        await reader.read(1)
        writer.close()

    def accept(self, port: int) -> Pipe:
        """A new client connection."""
        balancer = self

        class Front(Pipe):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                task = asyncio.ensure_future(balancer.join(self, port))
                balancer._tasks.add(task)
                task.add_done_callback(balancer._tasks.discard)

        return Front()

    async def join(self, front: Pipe, port: int) -> None:
        source = front.transport.get_extra_info("peername")[0]
        loop = asyncio.get_running_loop()
        for address in self.candidates():
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                opening = loop.create_connection(Pipe, address, port, local_addr=self._source(source))
                _transport, back = await asyncio.wait_for(opening, CONNECT_SECONDS)
                if front.transport.is_closing():
                    back.transport.close()
                else:
                    front.join(back)
                return
            self._note(address, False)
        front.transport.close()


async def serve(layout: Layout, block: str, balancer: Balancer) -> None:
    """Take connections until we are told to end, or the lab's directory is gone."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for port in (MTLS_PORT, API_PORT):
        front = functools.partial(balancer.accept, port)
        await loop.create_server(front, balancer_address(block), port, backlog=BACKLOG)
    watch = asyncio.ensure_future(stalls.watch(layout, "balancer"))
    while not stop.is_set() and layout.run.is_dir():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 2.0)
    watch.cancel()
    balancer.follow([])


async def _balance(layout: Layout, block: str, replicas: int) -> None:
    balancer = Balancer(layout, block, loopback=block.startswith("127."))
    balancer.follow(replica_address(block, number) for number in range(1, replicas + 1))
    await serve(layout, block, balancer)


def main() -> int:
    to_stderr()
    stalls.prefer_me()
    layout = Layout(Path(os.environ["CC_LAB_ROOT"]))
    asyncio.run(_balance(layout, os.environ["CC_LAB_BLOCK"], int(os.environ["CC_LAB_REPLICAS"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
