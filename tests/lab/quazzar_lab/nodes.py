# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that holds every OS node: agents, OS APIs, sshds, and a control port for the lab's command line.

With ``CC_LAB_NODE`` it holds that one node, on a host of the node's own, and has its control port there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from . import ssh, stalls
from .faults import Faults
from .logs import to_stderr
from .node import Node, NodeSpec, RegistrationError
from .options import Options
from .os_api import OsApi
from .paths import CONTROL_PORT, NODE_PORT, Layout, control_address, read_json, write_atomic

TICK_SECONDS = 0.2
REGISTER_AT_ONCE = 8
FIRST_TRIES = 100


class Fleet:
    """All nodes of a lab. ``alone``: there is one, and every address of this host is its own."""

    def __init__(self, layout: Layout, settings: dict[str, Any], *, alone: bool = False) -> None:
        self._alone = alone
        self.layout = layout
        self.settings = settings
        self.options = Options(layout.options)
        self.faults = Faults(layout.faults)
        self.nodes: dict[str, Node] = {}
        self._by_address: dict[str, Node] = {}
        self._sites: dict[str, web.TCPSite] = {}
        self._sshd: dict[str, asyncio.subprocess.Process] = {}
        self._gate = asyncio.Semaphore(REGISTER_AT_ONCE)
        self.mark = time.time()
        api = OsApi(layout, self.options, self.faults, settings["os_users"], self._find)
        self._runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=0.5)
        self._context: ssl.SSLContext | None = None
        if self.options.get("os_https"):
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(layout.cp / "api/os.crt", layout.cp / "api/os.key")

    def _find(self, address: str) -> Node | None:
        """The node that is called at this address."""
        return next(iter(self.nodes.values()), None) if self._alone else self._by_address.get(address)

    async def start(self) -> None:
        await self._runner.setup()
        specs = [NodeSpec(**item) for item in self.settings["nodes"]]
        share = 1.0 / max(1, len(specs))
        await asyncio.gather(*(self.add(spec, index * share) for index, spec in enumerate(specs)))

    async def add(self, spec: NodeSpec, phase: float = 0.0, token: str = "") -> None:
        """Bring a node up; one without files registers itself with the token (as the installer's own route does)."""
        node = Node(self.layout, self.settings["block"], spec, self.options, self.faults)
        self.nodes[spec.name] = node
        self._by_address[spec.address] = node
        await self._open(node)
        token = token or self.settings["tokens"].get(spec.tenant, "")
        if token and not node.key_path.exists():
            async with self._gate:
                await self._enrol(node, token)
        node.start(phase * node.interval)

    async def _enrol(self, node: Node, token: str) -> None:
        for last in (*[False] * FIRST_TRIES, True):
            try:
                await node.register(token)
                return
            except RegistrationError as error:
                # The CP may still be on its way up; only that is worth another try.
                if last or error.status != 502:
                    raise
                await asyncio.sleep(0.1)

    async def _open(self, node: Node) -> None:
        address = None if self._alone else node.spec.address
        site = web.TCPSite(self._runner, address, NODE_PORT, ssl_context=self._context)
        await site.start()
        self._sites[node.name] = site
        if self.settings.get("ssh"):
            self._sshd[node.name] = await asyncio.create_subprocess_exec(
                *ssh.command(self.layout, node.name), preexec_fn=stalls.ordinary
            )

    async def _shut(self, node: Node) -> None:
        if site := self._sites.pop(node.name, None):
            await site.stop()
        if process := self._sshd.pop(node.name, None):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def remove(self, name: str) -> None:
        node = self.nodes.pop(name)
        self._by_address.pop(node.spec.address)
        await node.stop()
        await self._shut(node)

    async def tick(self) -> None:
        """Take nodes down and bring them up as their faults say."""
        for node in list(self.nodes.values()):
            up = not node.holds("down")
            if up and (item := node.holds("flapping")):
                up = int(time.time() / float(item.get("value", 3))) % 2 == 0
            if self.settings.get("ssh"):
                self._set_clock(node)
            if up != node.up:
                node.up = up
                await (self._open(node) if up else self._shut(node))

    def _set_clock(self, node: Node) -> None:
        """What the node's own ``date`` reads."""
        file = ssh.home(self.layout, node.name) / "clock"
        skew = str(int(self.faults.value("clock", node.name, "nodes")))
        if skew != (file.read_text(encoding="ascii") if file.exists() else "0"):
            write_atomic(file, skew)

    async def stop(self) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes.values()))
        for process in self._sshd.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await self._runner.cleanup()


def control(fleet: Fleet, token: str) -> web.Application:
    """The lab's own door, for its command line only."""

    @web.middleware
    async def guard(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        if request.headers.get("X-Lab-Token") != token:
            return web.json_response({"error": "wrong lab token"}, status=403)
        try:
            return await handler(request)
        except (KeyError, RegistrationError, OSError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    async def status(_request: web.Request) -> web.Response:
        return web.json_response({"nodes": [node.status() for node in fleet.nodes.values()]})

    async def beats(request: web.Request) -> web.Response:
        since = float(request.query.get("since", fleet.mark))
        standstills = [item for item in stalls.read(fleet.layout) if item[1] >= since]
        report = {
            node.name: {**node.beats.report(since, node.interval, standstills), "instance_id": node.instance_id}
            for node in fleet.nodes.values()
        }
        return web.json_response({"since": since, "nodes": report})

    async def mark(_request: web.Request) -> web.Response:
        fleet.mark = time.time()
        return web.json_response({"mark": fleet.mark})

    async def add(request: web.Request) -> web.Response:
        body = await request.json()
        await fleet.add(NodeSpec(**body["node"]), token=body.get("token", ""))
        return web.json_response({})

    async def remove(request: web.Request) -> web.Response:
        await fleet.remove((await request.json())["name"])
        return web.json_response({})

    async def restart(request: web.Request) -> web.Response:
        node = fleet.nodes[(await request.json())["name"]]
        await node.stop()
        node.forget()
        node.start()
        return web.json_response({})

    app = web.Application(middlewares=[guard])
    app.router.add_get("/status", status)
    app.router.add_get("/beats", beats)
    for path, handler in (("/mark", mark), ("/add", add), ("/remove", remove), ("/restart-agent", restart)):
        app.router.add_post(path, handler)
    return app


async def _serve(layout: Layout) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    settings = read_json(layout.nodes_file)
    address, only = control_address(settings["block"]), os.environ.get("CC_LAB_NODE")
    if only:
        settings["nodes"] = [item for item in settings["nodes"] if item["name"] == only]
        address = settings["nodes"][0]["address"]
    fleet = Fleet(layout, settings, alone=bool(only))
    runner = web.AppRunner(control(fleet, settings["control_token"]), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, address, CONTROL_PORT).start()
    watch = asyncio.ensure_future(stalls.watch(layout, only or "nodes"))
    await fleet.start()
    while not stop.is_set() and layout.run.is_dir():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_SECONDS)
        with contextlib.suppress(OSError, json.JSONDecodeError):
            await fleet.tick()
    watch.cancel()
    await fleet.stop()
    await runner.cleanup()


def main() -> int:
    to_stderr()
    stalls.prefer_me()
    asyncio.run(_serve(Layout(Path(os.environ["CC_LAB_ROOT"]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
