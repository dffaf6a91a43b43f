# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""How many nodes at a time, and how many may fail: numbers for a fleet whose size is known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Union

from .errors import InputError

#: A number of nodes or a share of the fleet, such as 3, "3" or "5%".
Amount = Union[int, str]

_SHARE = re.compile(r"\s*(\d{1,4})\s*/\s*(\d{1,4})\s*\Z")
_AMOUNT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(?:(%)\s*)?\Z")


def resolve(batches: Amount | Sequence[Amount], total: int) -> tuple[int, ...]:
    """The size of each batch, together exactly ``total``.

    As Ansible's ``serial``: shares are of the whole fleet and rounded down but never to 0, the last one repeats.
    An extra var given as ``-e quazzar_batches=1,5%`` arrives as text and is taken apart here. Raises InputError.
    """
    sizes = [_size(each, total) for each in listed(batches)]
    resolved: list[int] = []
    left = total
    while left > 0:
        size = min(left, sizes[min(len(resolved), len(sizes) - 1)])
        resolved.append(size)
        left -= size
    return tuple(resolved)


def budget(spec: Amount | Mapping[str, Amount], total: int) -> int:
    """How many of ``total`` nodes may fail in the whole run: a number, a share such as "2%", or the larger of both.

    Both are written as ``{"nodes": 2, "percent": 2}``, which may be text: an answer to a survey is. Shares are rounded
    down. Raises InputError.
    """
    if isinstance(spec, str) and spec.lstrip().startswith("{"):
        try:
            spec = json.loads(spec)
        except (ValueError, RecursionError):
            raise InputError(f"the failure budget is {spec!r}, which is no JSON") from None
    if not isinstance(spec, Mapping):
        return _amount(spec, total, "the failure budget")
    unknown = sorted(str(key) for key in spec if key not in ("nodes", "percent"))
    if unknown or not spec:
        raise InputError(f"the failure budget takes nodes and percent, found {', '.join(unknown) or 'neither'}")
    nodes = _amount(spec.get("nodes", 0), total, "nodes of the failure budget")
    percent = str(spec.get("percent", 0)).strip().rstrip("%")
    return max(nodes, _amount(percent + "%", total, "percent of the failure budget"))


def share(names: Sequence[str], spec: str) -> tuple[str, ...]:
    """The nodes of one of several runs side by side: ``"2/5"`` is the second of five, every fifth from the second on.

    All of them when ``spec`` is empty. Shares have no node in common, and together they are all. Raises InputError.
    """
    if not str(spec).strip():
        return tuple(names)
    found = _SHARE.match(str(spec))
    number, of = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    if not 1 <= number <= of:
        raise InputError(f"quazzar_slice is {spec!r}, expected a number and how many there are, such as '2/5'")
    chosen = tuple(names[number - 1 :: of])
    if not chosen:
        raise InputError(f"quazzar_slice is {spec!r}, but there are {len(names)} nodes: use at most so many slices")
    return chosen


def listed(batches: Amount | Sequence[Amount]) -> Sequence[Amount]:
    """One size for each batch. As text, such as an answer to a survey, they may have brackets and quotes or none."""
    if isinstance(batches, str):
        listed: Sequence[Amount] = [each.strip(" \t\"'") for each in batches.strip().strip("[]").split(",")]
    elif isinstance(batches, Sequence):
        listed = batches
    else:
        listed = [batches]
    if not listed:
        raise InputError("quazzar_batches is an empty list, expected sizes such as [1, '5%', '25%']")
    return listed


def _size(spec: Amount, total: int) -> int:
    size = _amount(spec, total, "a batch")
    if size == 0 and not str(spec).strip().endswith("%"):
        # Ansible's serial takes 0 for everything at once, which is the opposite of what somebody who writes it wants.
        raise InputError("a batch of 0 nodes moves nothing: give at least 1, or '100%' for all at once")
    return max(1, size)


def _amount(spec: Amount, total: int, what: str) -> int:
    found = _AMOUNT.match(str(spec))
    if not found or ("." in found.group(1) and not found.group(2)):
        raise InputError(f"{what} is {spec!r}, expected a number of nodes or a share such as '5%'")
    if not found.group(2):
        return int(found.group(1))
    # Whole millionths instead of a float: 7 % of 100 nodes are 7, not 7.000000000000001 or 6.
    whole, _dot, fraction = found.group(1).partition(".")
    millionths = int(whole) * 10**6 + int(fraction.ljust(6, "0") or "0")
    if millionths > 100 * 10**6:
        raise InputError(f"{what} is {spec!r}, which is more than all nodes")
    return total * millionths // (100 * 10**6)
