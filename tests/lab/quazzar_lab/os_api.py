# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' own HTTP API. One application serves every node; the address that was called says which."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import auth, http_faults
from .faults import Faults
from .logs import stamp
from .node import Node, RegistrationError
from .options import Options, seconds
from .paths import Layout, remember_secret

ACCESS_SECONDS = 900
REFRESH_SECONDS = 86400


def called(request: web.Request) -> str:
    """The address that the client connected to."""
    transport = request.transport
    return str(transport.get_extra_info("sockname")[0]) if transport is not None else ""


class OsApi:
    """Login, API keys, registration and the Control Panel status of all nodes."""

    def __init__(
        self,
        layout: Layout,
        options: Options,
        faults: Faults,
        users: dict[str, dict[str, str]],
        find: Callable[[str], Node | None],
    ) -> None:
        self._layout = layout
        self._options = options
        self._faults = faults
        self._users = users
        self._find = find
        self._key = secrets.token_hex(32)
        self._later: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        app = web.Application(
            middlewares=[
                self._alive,
                http_faults.middleware(self._faults, lambda request: (self._node(request).name, "nodes")),
            ]
        )
        app.router.add_post("/api/auth/login", self.login)
        app.router.add_post("/api/auth/totp/verify", self.totp)
        app.router.add_post("/api/auth/refresh", self.refresh)
        app.router.add_post("/api/auth/setup", self.setup)
        app.router.add_get("/api/auth/me", self.me)
        app.router.add_route("*", "/{path:.*}", self.other)
        return app

    def _node(self, request: web.Request) -> Node:
        node = self._find(called(request))
        if node is None:
            raise web.HTTPNotFound()
        return node

    @web.middleware
    async def _alive(self, request: web.Request, handler: http_faults.Handler) -> web.StreamResponse:
        node = self._find(called(request))
        if node is None or not node.up:
            return await http_faults.hang_up(request)
        return await handler(request)

    def _tokens(self, node: Node, user: str, role: str) -> web.Response:
        claims = {"sub": user, "role": role, "node": node.name}
        access = auth.make_jwt({"kind": "os", **claims}, self._key, ACCESS_SECONDS)
        refresh = auth.make_jwt({"kind": "refresh", **claims}, self._key, REFRESH_SECONDS)
        remember_secret(self._layout, access, refresh)
        return web.json_response({"access_token": access, "refresh_token": refresh, "token_type": "bearer"})

    async def login(self, request: web.Request) -> web.Response:
        node, body = self._node(request), await request.json()
        user = self._users.get(str(body.get("username")))
        if node.option("os_auth") == "api_key" or not user or body.get("password") != user["password"]:
            return http_faults.error(401, "invalid credentials")
        if node.option("os_totp"):
            temp = auth.make_jwt({"kind": "temp", "sub": str(body["username"])}, self._key, 300)
            remember_secret(self._layout, temp)
            return web.json_response({"totp_required": True, "temp_token": temp})
        return self._tokens(node, str(body["username"]), user["role"])

    async def totp(self, request: web.Request) -> web.Response:
        node, body = self._node(request), await request.json()
        claims = auth.read_jwt(str(body.get("temp_token")), self._key, "temp")
        user = self._users.get(claims["sub"]) if claims else None
        if not claims or not user or not auth.totp_ok(user["totp_secret"], str(body.get("code"))):
            return http_faults.error(401, "invalid code")
        return self._tokens(node, claims["sub"], user["role"])

    async def refresh(self, request: web.Request) -> web.Response:
        node, body = self._node(request), await request.json()
        claims = auth.read_jwt(str(body.get("refresh_token")), self._key, "refresh")
        if not claims or claims["node"] != node.name:
            return http_faults.error(401, "invalid refresh token")
        return self._tokens(node, claims["sub"], claims["role"])

    async def setup(self, _request: web.Request) -> web.Response:
        return http_faults.error(409, "setup already completed")

    def _role(self, request: web.Request, node: Node) -> str:
        """Admin, operator or viewer; empty without good credentials."""
        _scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        kind = node.option("os_auth")
        if token.startswith("qzr_"):
            keys = {node.spec.api_key: "admin", node.spec.viewer_key: "viewer"}
            return keys.get(token, "") if kind != "password" else ""
        claims = auth.read_jwt(token, self._key, "os") if kind != "api_key" else None
        return str(claims["role"]) if claims and claims["node"] == node.name else ""

    async def me(self, request: web.Request) -> web.Response:
        role = self._role(request, self._node(request))
        return web.json_response({"role": role}) if role else http_faults.error(401, "unauthorized")

    async def other(self, request: web.Request) -> web.Response:
        """The two paths that the lab may move, and 404 for the rest."""
        node = self._node(request)
        role = self._role(request, node)
        if request.method == "GET" and request.path == node.option("cp_status_path"):
            return self._status(node) if role else http_faults.error(401, "unauthorized")
        if request.method == "POST" and request.path == node.option("register_path"):
            if not role:
                return http_faults.error(401, "unauthorized")
            if role == "viewer":
                return http_faults.error(403, "forbidden")
            if node.option("register_local_only") and request.remote not in (node.spec.address, "127.0.0.1"):
                return http_faults.error(403, "registration is allowed from localhost only")
            return await self._register(node, await request.json(), request)
        return http_faults.error(404, "not found")

    def _status(self, node: Node) -> web.Response:
        words = node.option("cp_status_words")
        yes, no = words.split("/") if words else (True, False)
        body: dict[str, Any] = {node.option("cp_status_field"): yes if node.connected else no}
        if node.option("needs_registration_field"):
            body[node.option("needs_registration_field")] = node.needs_registration
        delivered = node.beats.delivered
        body |= {
            "instance_id": node.instance_id or None,
            "error": node.last_error or None,
            "last_heartbeat": stamp(delivered[-1]) if delivered else None,
        }
        key = node.option("cp_status_key")
        return web.json_response({key: body} if key else body)

    async def _register(self, node: Node, body: dict[str, Any], request: web.Request) -> web.Response:
        token, extra = body.get(node.option("register_token_field")), node.option("register_extra_field")
        if not token or (extra and not body.get(extra)):
            return http_faults.error(400, f"{extra if token else node.option('register_token_field')} is required")
        if item := node.holds("slow-register"):
            await asyncio.sleep(float(item.get("value", 5)))
        status = int(node.option("register_status"))
        if item := node.holds("register-fail"):
            return http_faults.error(int(item.get("value", 500)), "registration failed")
        delay = seconds(node.option("register_delay"))
        if node.holds("register-noop"):
            return self._yes(status, {"status": "registered", "instance_id": node.instance_id or None})
        if delay:
            task = asyncio.ensure_future(self._postponed(node, str(token), delay))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
            return self._yes(202 if status == 200 else status, {"status": "pending"})
        try:
            number = await node.register(str(token))
        except RegistrationError as error:
            return http_faults.error(
                int(node.option("register_error_status")) or error.status, f"registration failed: {error}"
            )
        if node.holds("register-lost"):
            await http_faults.hang_up(request)
        return self._yes(status, {"status": "registered", "instance_id": number})

    @staticmethod
    def _yes(status: int, body: dict[str, Any]) -> web.Response:
        return web.Response(status=204) if status == 204 else web.json_response(body, status=status)

    async def _postponed(self, node: Node, token: str, delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            await node.register(token)
        except RegistrationError as error:
            node.log.error(f"registration failed: {error}")
