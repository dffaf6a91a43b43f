# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Backups of the CA pair on the controller: how they are named, what is in them, and which of them counts.

A backup is one file, encrypted with Ansible Vault: the certificate in PEM, then the key in PEM. Its name says of which
CA it is and when it was made.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from . import trust
from .certificates import Certificate
from .pairs import Pair

_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{8}T[0-9]{6}Z)\.vault\Z")
_MOMENT = "%Y%m%dT%H%M%SZ"
#: A controller whose clock was ahead must not hide every later backup behind the one that it made.
_AHEAD = timedelta(minutes=5)

# What ansible-vault writes (format 1.1 and 1.2): salt, HMAC and ciphertext, hex of hex, in lines of 80.
_HEADER = re.compile(rb"\$ANSIBLE_VAULT;1\.[12];AES256(;[^;\s]+)?\Z")
_LINE, _SALT, _HMAC, _BLOCK = 80, 64, 64, 32

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Entry:
    """What the name of a backup says. ``ca``: the first 16 hex digits of the certificate's SHA-256."""

    name: str
    ca: str
    made_at: datetime


def file_name(cert: Certificate, now: datetime) -> str:
    return f"{cert.sha256[:16]}-{now.astimezone(timezone.utc).strftime(_MOMENT)}.vault"


def entry(name: str) -> Entry | None:
    """None for a file that is not named as a backup is."""
    found = _NAME.match(name)
    if found is None:
        return None
    try:
        made_at = datetime.strptime(found.group(2), _MOMENT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return Entry(name, found.group(1), made_at)


def from_the_future(entries: Iterable[Entry], now: datetime) -> list[Entry]:
    """Backups that a wrong clock has dated: no age can be told of them, so they do not count."""
    return [each for each in entries if each.made_at > now + _AHEAD]


def newest(entries: Iterable[Entry], active: Certificate | None, now: datetime) -> Entry | None:
    """The newest backup of the active CA; where there is none, or the active CA is not known, the newest of all."""
    past = [each for each in entries if each.made_at <= now + _AHEAD]
    mine = [each for each in past if active is not None and each.ca == active.sha256[:16]]
    return max(mine or past, key=lambda each: (each.made_at, each.name), default=None)


def age(made_at: datetime, now: datetime) -> int:
    """Seconds, never less than 0."""
    return max(0, int((now - made_at).total_seconds()))


def in_words(seconds: int) -> str:
    """An age as people say it: the largest unit of which there are two."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def content(pair: Pair) -> bytes:
    """What is encrypted. Everything up to the end of the certificate is C(ca.crt), the rest is C(ca.key)."""
    return pair.cert_pem.encode("ascii") + pair.key_pem


def damage(data: bytes) -> str:
    """Why this cannot be a whole file of ansible-vault, whatever the password; empty when its form is right.

    A wrong password and a changed byte look the same to Ansible Vault. What is seen here is damaged for certain.
    """
    lines = data.split(b"\n")
    if not data.strip():
        return "it is empty"
    if not _HEADER.match(lines[0].rstrip(b"\r")):
        return "its first line is not that of a file of ansible-vault"
    body = [line.rstrip(b"\r") for line in lines[1:]]
    while body and not body[-1]:
        body.pop()
    try:
        inner = binascii.unhexlify(b"".join(body)).split(b"\n", 2)
        sizes = [len(binascii.unhexlify(part)) * 2 for part in inner]
    except (binascii.Error, ValueError):
        return "it is cut off, or something else is in it"
    whole = len(inner) == 3 and sizes[:2] == [_SALT, _HMAC] and sizes[2] > 0 and sizes[2] % _BLOCK == 0
    if not whole or any(len(line) != _LINE for line in body[:-1]):
        return "it is cut off, or something else is in it"
    return ""


def judge(cert: Certificate, now: datetime) -> tuple[str, ...]:
    """Why ``cert`` is not a CA that could sign anything; its dates do not matter to a backup."""
    valid = min(max(now, cert.not_before), cert.not_after)
    return trust.judge_ca(cert, bundle=None, active=None, now=valid)
