# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that both HTTP APIs share, as an aiohttp middleware."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .faults import Faults

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WORDS = {
    401: "unauthorized",
    402: "upgrade_required",
    403: "forbidden",
    404: "not found",
    409: "conflict",
    429: "too many requests",
    500: "internal error",
    503: "service unavailable",
}
HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


def error(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """Errors are ``{"error": "..."}``."""
    return web.json_response({"error": text}, status=status, headers=headers)


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Cut the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def middleware(
    faults: Faults, target: Callable[[web.Request], tuple[str, ...]]
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Apply what holds for the request's target; also the ``Date`` header of a wrong clock."""

    @web.middleware
    async def apply(request: web.Request, handler: Handler) -> web.StreamResponse:
        names = target(request)

        def holds(fault: str) -> dict[str, Any] | None:
            return faults.get(fault, *names, path=request.path, method=request.method)

        if item := holds("latency"):
            await asyncio.sleep(float(item.get("value", 1)))
        if holds("hang"):
            await asyncio.sleep(3600)
        if item := holds("http"):
            status = int(item["value"])
            retry = item.get("retry_after")
            return error(status, WORDS.get(status, "error"), {"Retry-After": str(retry)} if retry is not None else None)
        if item := holds("html"):
            return web.Response(status=int(item.get("value", 200)), text=HTML, content_type="text/html")
        try:
            response = await handler(request)
        except web.HTTPException as problem:
            response = error(problem.status, problem.reason.lower())
        except (json.JSONDecodeError, UnicodeDecodeError):
            response = error(400, "invalid JSON")
        if isinstance(response, web.Response) and response.body and holds("truncated-json"):
            body = response.body if isinstance(response.body, bytes) else b""
            response = web.Response(
                status=response.status, body=body[: len(body) // 2], content_type="application/json"
            )
        skew = faults.value("clock", *names)
        response.headers["Date"] = email.utils.formatdate(time.time() + skew, usegmt=True)
        return response

    return apply
