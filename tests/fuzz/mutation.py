# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turn something valid into something odd. All chance comes from the generator that is handed in."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

#: As large as the largest file that the collection takes from a host.
LARGEST = 262144
#: Once in so many inputs something grows to hundreds of kilobytes: what takes more than linear time shows only there.
_RARELY = 400

_BYTES = (
    *(b"\x00", b"\x7f", b"\x80", b"\xff", b"\n", b"\r", b"\r\n", b"\t", b" "),
    *(b'"', b"'", b"\\", b"-", b"=", b":", b","),
)
#: By code point, because that is the point: digits that int() takes and those that it does not, blanks, ligatures.
_LOOKALIKES = "".join(map(chr, (0xB2, 0x663, 0xFF19, 0xFB00, 0x130, 0x2019, 0xA0, 0x2028, 0x2010)))
_WORDS = (
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"%00",
    ),
    *(
        *(b"-----%s-----" % edge for edge in (b"BEGIN CERTIFICATE", b"END CERTIFICATE", b"BEGIN PRIVATE KEY")),
        b"\n\n\n",
        b"9" * 30,
    ),
    *(character.encode() for character in _LOOKALIKES),
)
#: Cyrillic letters, and signs of full width or that look alike.
_HOMOGLYPHS = dict(
    zip(
        map(ord, "ACEaceo-:,=/"),
        (0x410, 0x421, 0x415, 0x430, 0x441, 0x435, 0x43E, 0x2010, 0xFF1A, 0xFF0C, 0xFF1D, 0x2215),
        strict=True,
    )
)

Mutator = Callable[[random.Random, bytes], bytes]


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    """A piece of the data: mostly a short one, so that the rest stays what it was."""
    start = rng.randrange(len(data) + 1)
    longest = len(data) - start
    return start, start + rng.randint(0, min(longest, rng.choice((1, 4, 64, longest or 1))))


def _flip(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _replace(rng: random.Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice(_BYTES) + data[end:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_WORDS) + data[at:]


def _noise(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 24)) + data[at:]


def _remove(rng: random.Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _behead(rng: random.Random, data: bytes) -> bytes:
    return data[rng.randrange(len(data) + 1) :]


def _duplicate(rng: random.Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.randint(1, 5) + data[end:]


def _swap(rng: random.Random, data: bytes) -> bytes:
    first, second = sorted((_span(rng, data), _span(rng, data)))
    if first[1] > second[0]:
        return data
    between = data[first[1] : second[0]]
    return data[: first[0]] + data[second[0] : second[1]] + between + data[first[0] : first[1]] + data[second[1] :]


def _shuffle_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _drop_line(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    lines.pop(rng.randrange(len(lines)))
    return b"\n".join(lines)


def _line_ends(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(
        b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b" \n", b"\n ", b"\x0b", b""))
    )


def _encoding(rng: random.Random, data: bytes) -> bytes:
    text = data.decode("latin-1")
    return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp037")), "replace")


def _homoglyphs(rng: random.Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[start:end].decode("latin-1").translate(_HOMOGLYPHS).encode("utf-8") + data[end:]


def _case(rng: random.Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[start:end].swapcase() + data[end:]


def _number(rng: random.Random, data: bytes) -> bytes:
    """The digits of a number become another one."""
    digits = [at for at, byte in enumerate(data[:4096]) if 48 <= byte <= 57]
    if not digits:
        return data
    at = rng.choice(digits)
    odd = (
        b"0",
        b"-1",
        b"4294967296",
        b"9" * 20,
        b"1e999",
        b"0x10",
        b"1.5",
        b"9" * 5000,
        chr(0xB2).encode(),
        chr(0x663).encode(),
    )
    return data[:at] + rng.choice(odd) + data[at + 1 :]


def _huge(rng: random.Random, data: bytes) -> bytes:
    """One piece, very often."""
    start, end = _span(rng, data)
    line = rng.choice(data.split(b"\n")) + b"\n"
    piece = rng.choice(
        (data[start:end] or b" ", line, line[: len(line) // 2 + 1], rng.choice(_BYTES), rng.choice(_WORDS))
    )
    return data[:end] + piece * (LARGEST // len(piece)) + data[end:]


_MUTATORS: Sequence[Mutator] = (
    *(_flip, _flip, _flip, _replace, _replace, _insert, _insert, _noise, _remove, _remove, _truncate, _behead),
    *(_duplicate, _swap, _shuffle_lines, _drop_line, _line_ends, _encoding, _homoglyphs, _case, _number, _number),
)


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, or parts of two, after none to six changes."""
    data = rng.choice(seeds)
    if rng.random() < 0.15:
        other = rng.choice(seeds)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _turn in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        data = rng.choice(_MUTATORS)(rng, data)
    if rng.randrange(_RARELY) == 0:
        data = _huge(rng, data)
    return data[: 2 * LARGEST]


# --- trees, as JSON has them -----------------------------------------------------------------------------------------

_ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**63, 10**400, -(10**18), 0.5, 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "0",
        "true",
        "\x00",
        "\ud800",
        "\u00e9" * 3,
        "\u00b2",
        "2026-02-30",
        "[]",
        "A" * 70,
        "AAAA",
        "=",
        "/a,b",
    ),
    *("9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00+14:00"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    *([], {}, [None], [[]], {"": ""}, {"a": {"b": None}}, ["x", 1], [{}, {}], {"pem": 1}, {"sha256": {}}),
)


def _odd(rng: random.Random) -> Any:
    """One of its own each time: a list that later changes reach into would make an input depend on those before it."""
    return copy.deepcopy(rng.choice(_ODD))


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in the tree."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            found.append((item, key))
            waiting.append(item[key])
    return found


def _deep(rng: random.Random) -> Any:
    tree: Any = _odd(rng)
    for _turn in range(rng.choice((3, 30, 100))):
        tree = [tree] if rng.random() < 0.5 else {"a": tree}
    return tree


def _change_tree(rng: random.Random, tree: Any) -> Any:
    places = _places(tree)
    if not places:
        return _odd(rng)
    container, key = rng.choice(places)
    kind = rng.randrange(9)
    if kind in (0, 1, 2):
        container[key] = _odd(rng)
    elif kind == 3:
        del container[key]
    elif kind == 4:
        container[key] = [container[key]] if rng.random() < 0.5 else {"value": container[key]}
    elif kind == 5:
        source, name = rng.choice(places)
        container[key] = json.loads(json.dumps(source[name]))
    elif kind == 6 and isinstance(container[key], str):
        text = mutated(rng, [container[key].encode("utf-8", "surrogatepass")])
        container[key] = text.decode("utf-8", rng.choice(("replace", "surrogateescape")))
    elif kind == 7 and isinstance(container, list):
        container.extend(copy.deepcopy(container[key]) for _turn in range(rng.choice((1, 2, 50))))
    else:
        container[key] = _deep(rng) if rng.random() < 0.2 else _odd(rng)
    return tree


def mutated_tree(rng: random.Random, seeds: Sequence[str]) -> Any:
    """One of the seeds (JSON texts) as a tree, after none to six changes."""
    tree = json.loads(rng.choice(seeds))
    for _turn in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        tree = _change_tree(rng, tree)
    return tree


def json_bytes(tree: Any) -> bytes:
    return json.dumps(tree).encode("ascii")
