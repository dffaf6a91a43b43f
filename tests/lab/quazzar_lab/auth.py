# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JWT (HS256) and TOTP (RFC 6238), as small as the lab needs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import struct
import time
from typing import Any

TOTP_STEP = 30


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make_jwt(claims: dict[str, Any], key: str, lifetime: float) -> str:
    at = time.time()
    body = {**claims, "iat": int(at), "exp": at + lifetime, "jti": secrets.token_hex(4)}
    head = {"alg": "HS256", "typ": "JWT"}
    text = f"{_encode(json.dumps(head).encode())}.{_encode(json.dumps(body).encode())}"
    return f"{text}.{_encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())}"


def read_jwt(token: str, key: str, kind: str) -> dict[str, Any] | None:
    """The claims of a good, unexpired token of this kind."""
    try:
        text, _dot, signature = token.rpartition(".")
        good = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(good, _decode(signature)):
            return None
        claims: dict[str, Any] = json.loads(_decode(text.split(".")[1]))
    except (ValueError, IndexError):
        return None
    return claims if claims.get("kind") == kind and claims["exp"] > time.time() else None


def new_totp_secret() -> str:
    return base64.b32encode(secrets.token_bytes(20)).decode()


def totp(secret: str, at: float) -> str:
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(at) // TOTP_STEP), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return str((struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000).zfill(6)


def totp_ok(secret: str, code: str) -> bool:
    """The code of now, or of the step before or after."""
    at = time.time()
    return any(hmac.compare_digest(totp(secret, at + shift), str(code)) for shift in (-TOTP_STEP, 0, TOTP_STEP))
