# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Time-based one-time passwords (RFC 6238), for accounts whose login asks for one."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime

from .errors import InputError


def code(secret_base32: str, now: datetime, *, digits: int = 6, period: int = 30, algorithm: str = "sha1") -> str:
    """The code that an authenticator app shows at ``now`` for the secret that the product showed at enrolment.

    The secret may be in groups, in lower case and without padding. Raises InputError, which never quotes it.
    """
    compact = secret_base32.replace(" ", "").replace("-", "").rstrip("=").upper()
    try:
        key = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except (binascii.Error, ValueError):
        # Without the original error: its message is no business of a log.
        raise InputError("the TOTP secret is not base32 (letters A to Z and digits 2 to 7)") from None
    if not key:
        raise InputError("the TOTP secret is empty")
    counter = int(now.timestamp()) // period
    digest = hmac.new(key, counter.to_bytes(8, "big"), algorithm).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)
