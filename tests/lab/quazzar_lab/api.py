# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CP's HTTPS API: login, fleet, tokens, commands. Bare arrays, no envelope, errors as {"error": ...}."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from . import auth, http_faults
from .faults import Faults
from .logs import stamp
from .options import Options
from .paths import Layout, remember_secret
from .store import Store, digest

MISSED_BEATS = 3


def place(path: str, value: Any) -> dict[str, Any]:
    """``a.b`` and a value as nested objects."""
    result: Any = value
    for part in reversed(path.split(".")):
        result = {part: result}
    return dict(result)


class Api:
    """One replica's API. Every answer but login's needs a bearer token and shows its tenant only."""

    def __init__(self, layout: Layout, options: Options, faults: Faults, store: Store, jwt_key: str) -> None:
        self._layout = layout
        self._options = options
        self._faults = faults
        self._store = store
        self._key = jwt_key

    def application(self) -> web.Application:
        app = web.Application(middlewares=[http_faults.middleware(self._faults, lambda _request: ()), self._guard])
        prefix = str(self._options.get("api_prefix"))
        routes = [
            web.post("/auth/login", self.login),
            web.post("/auth/totp/verify", self.totp),
            web.get("/auth/me", self.me),
            web.get("/fleet/instances", self.instances),
            web.get("/fleet/summary", self.summary),
            web.get("/fleet/health", self.health),
            web.get("/fleet/alerts", self.alerts),
            web.post("/fleet/tokens", self.mint),
            web.post("/fleet/commands", self.command),
            web.get("/fleet/commands", self.commands),
        ]
        for route in routes:
            app.router.add_route(route.method, prefix + route.path, route.handler)
        app.router.add_route("*", "/{path:.*}", self.other)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: http_faults.Handler) -> web.StreamResponse:
        if request.path.endswith(("/auth/login", "/auth/totp/verify")):
            return await handler(request)
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        claims = auth.read_jwt(token, self._key, "cp") if scheme.lower() == "bearer" else None
        if claims is None:
            return http_faults.error(401, "unauthorized")
        request["claims"] = claims
        return await handler(request)

    def _granted(self, user: dict[str, Any]) -> web.Response:
        lifetime = self._options.seconds("jwt_lifetime")
        claims = {"kind": "cp", "sub": user["username"], "tenant": user["tenant"], "role": user["role"]}
        token = auth.make_jwt(claims, self._key, lifetime)
        remember_secret(self._layout, token)
        answer = {"token_type": "Bearer", "expires_in": int(lifetime)}
        return web.json_response(answer | place(str(self._options.get("login_token_path")), token))

    async def login(self, request: web.Request) -> web.Response:
        if not self._options.get("login_api"):
            return http_faults.error(403, "password login is disabled; sign in with SSO")
        body = await request.json()
        name = body.get(self._options.get("login_username_field"))
        password = body.get(self._options.get("login_password_field"))
        user = self._store.user(str(name))
        if not user or not password or digest(str(password)) != user["digest"]:
            return http_faults.error(401, "invalid credentials")
        if self._options.get("totp"):
            temp = auth.make_jwt({"kind": "totp", "sub": user["username"]}, self._key, 300)
            remember_secret(self._layout, temp)
            return web.json_response({"totp_required": True, "temp_token": temp})
        return self._granted(user)

    async def totp(self, request: web.Request) -> web.Response:
        body = await request.json()
        claims = auth.read_jwt(str(body.get("temp_token")), self._key, "totp")
        user = self._store.user(claims["sub"]) if claims else None
        if not user or not auth.totp_ok(user["totp_secret"], str(body.get("code"))):
            return http_faults.error(401, "invalid code")
        return self._granted(user)

    async def me(self, request: web.Request) -> web.Response:
        claims = request["claims"]
        return web.json_response({"username": claims["sub"], "tenant_id": claims["tenant"], "role": claims["role"]})

    def _status(self, row: dict[str, Any]) -> str:
        if row["decommissioned"]:
            return str(self._options.get("status_decommissioned"))
        age = time.time() - (row["last_heartbeat"] or 0)
        online = age <= MISSED_BEATS * float(self._options.get("heartbeat"))
        return str(self._options.get("status_online" if online else "status_offline"))

    def _rows(self, request: web.Request) -> list[dict[str, Any]]:
        skew = self._faults.value("clock")
        names = [self._options.get(f"instance_{part}_field") for part in ("id", "name", "status", "last_seen")]
        rows = []
        for row in self._store.instances(request["claims"]["tenant"]):
            seen = stamp(row["last_heartbeat"] + skew) if row["last_heartbeat"] else None
            values = (row["id"], row["name"], self._status(row), seen)
            rows.append(
                dict(zip(names, values, strict=True))
                | {
                    "tenant_id": row["tenant"],
                    "registered_at": stamp(row["registered_at"] + skew),
                    "version": "2.4.1",
                }
            )
        return rows

    async def instances(self, request: web.Request) -> web.Response:
        rows = self._rows(request)
        cap = int(self._options.get("list_cap"))
        rows = rows[:cap] if cap else rows
        key = self._options.get("list_key")
        return web.json_response({key: rows} if key else rows)

    def _counts(self, request: web.Request) -> dict[str, int]:
        words = [self._status(row) for row in self._store.instances(request["claims"]["tenant"])]
        kinds = ("online", "offline", "decommissioned")
        total = {str(self._options.get("summary_total_field")): len(words)}
        return total | {kind: words.count(str(self._options.get(f"status_{kind}"))) for kind in kinds}

    async def summary(self, request: web.Request) -> web.Response:
        return web.json_response(self._counts(request))

    async def health(self, request: web.Request) -> web.Response:
        counts = self._counts(request)
        return web.json_response({"status": "degraded" if counts["offline"] else "healthy", **counts})

    async def alerts(self, request: web.Request) -> web.Response:
        offline = self._options.get("status_offline")
        status = self._options.get("instance_status_field")
        number = self._options.get("instance_id_field")
        rows = [row for row in self._rows(request) if row[status] == offline]
        return web.json_response(
            [{"instance_id": row[number], "severity": "warning", "message": "no heartbeat"} for row in rows]
        )

    async def mint(self, request: web.Request) -> web.Response:
        if not self._options.get("token_api"):
            return http_faults.error(404, "not found")
        if request["claims"]["role"] == "viewer":
            return http_faults.error(403, "forbidden")
        body = await request.json() if request.can_read_body else {}
        needed = self._options.get("token_required_field")
        if needed and not body.get(needed):
            return http_faults.error(400, f"{needed} is required")
        expires, uses = (body.get(self._options.get(f"token_{part}_field")) for part in ("expiry", "uses"))
        limit = int(self._options.get("token_default_uses")) if uses is None else int(uses)
        number, token = self._store.mint_token(
            request["claims"]["tenant"], expires_in=None if expires is None else float(expires), max_uses=limit or None
        )
        remember_secret(self._layout, token)
        answer = {
            **place(str(self._options.get("token_id_path")), number),
            "max_uses": limit or None,
            "expires_at": None if expires is None else stamp(time.time() + float(expires)),
        }
        return web.json_response(answer | place(str(self._options.get("token_path")), token), status=201)

    async def other(self, request: web.Request) -> web.Response:
        """Whatever has no route of its own: token revocation where the lab offers it, else 404."""
        head, _mark, tail = str(self._options.get("token_revoke_path")).partition("{id}")
        number = request.path[len(head) : len(request.path) - len(tail)]
        fits = request.path.startswith(head) and request.path.endswith(tail)
        if request.method != "DELETE" or not head or not fits:
            return http_faults.error(404, "not found")
        if not self._store.revoke_token(number, request["claims"]["tenant"]):
            return http_faults.error(404, "not found")
        return web.Response(status=204)

    async def command(self, request: web.Request) -> web.Response:
        body = await request.json()
        row = self._store.instance(str(body.get("instance_id")))
        if not row or row["tenant"] != request["claims"]["tenant"]:
            return http_faults.error(404, "instance not found")
        made = self._store.add_command(row["tenant"], row["id"], str(body.get("command")))
        return web.json_response(made, status=201)

    async def commands(self, request: web.Request) -> web.Response:
        return web.json_response(self._store.commands(request["claims"]["tenant"]))
