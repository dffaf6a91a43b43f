# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vectors of RFC 6238, appendix B, and secrets as people paste them."""

from __future__ import annotations

import base64
from datetime import datetime, timezone

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.totp import code

SEED = b"12345678901234567890"
SECRET = base64.b32encode(SEED).decode("ascii")


def at(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "sha1", "sha256", "sha512"),
    [
        (59, "94287082", "46119246", "90693936"),
        (1111111109, "07081804", "68084774", "25091201"),
        (1111111111, "14050471", "67062674", "99943326"),
        (1234567890, "89005924", "91819424", "93441116"),
        (2000000000, "69279037", "90698825", "38618901"),
        (20000000000, "65353130", "77737706", "47863826"),
    ],
)
def test_rfc_6238(seconds, sha1, sha256, sha512):
    for algorithm, size, expected in (("sha1", 20, sha1), ("sha256", 32, sha256), ("sha512", 64, sha512)):
        secret = base64.b32encode((SEED * 4)[:size]).decode("ascii")
        assert code(secret, at(seconds), digits=8, algorithm=algorithm) == expected
    assert code(SECRET, at(seconds)) == sha1[-6:]


@pytest.mark.parametrize(
    "pasted",
    [SECRET.lower(), " ".join(SECRET[n : n + 4] for n in range(0, len(SECRET), 4)), "-".join([SECRET[:8], SECRET[8:]])],
)
def test_secrets_as_people_paste_them(pasted):
    assert code(pasted, at(59)) == "287082"


def test_a_secret_without_its_padding():
    padded = base64.b32encode(b"12345").decode("ascii") + base64.b32encode(b"678901").decode("ascii")
    assert "=" in padded
    assert code(padded.rstrip("="), at(0)) == code(padded, at(0))


@pytest.mark.parametrize("secret", ["", "not base32!", "A1B", "JBSWY3DPEHPK3PX1", "Ä"])
def test_a_broken_secret_is_never_quoted(secret):
    with pytest.raises(InputError) as caught:
        code(secret, at(0))
    assert not secret or secret not in str(caught.value)
    assert caught.value.__cause__ is None
