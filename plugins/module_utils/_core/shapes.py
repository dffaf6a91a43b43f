# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Whether plain data has the shape that its reader counts on, said in one sentence when it has not.

What a task registered is JSON that anything may have touched on its way. Checked once at the door, so that no reader
behind it has to ask what a value is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InputError
from .registry import describe


@dataclass(frozen=True)
class Needed:
    """A key that must be there, and be more than null."""

    shape: Any


_LARGEST = 1e300
_KINDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def check(value: Any, shape: Any, where: str) -> None:
    """Raises InputError that names the place below ``where``.

    A shape is a type (str, bool, int; float takes whole numbers too), a list of one shape, or a mapping from key to
    shape. Other keys may hold anything. A key may be missing or null, unless it is Needed; an item of a list may not.
    """
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: expected a mapping, found {describe(value)}")
        for key, inner in shape.items():
            found = value.get(key)
            if isinstance(inner, Needed):
                check(found, inner.shape, f"{where}.{key}")
            elif found is not None:
                check(found, inner, f"{where}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: expected a list, found {describe(value)}")
        for number, item in enumerate(value):
            check(item, shape[0], f"{where}[{number}]")
    elif not _is(value, shape):
        raise InputError(f"{where}: expected {_KINDS[shape]}, found {describe(value)}")


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        # Nor what JSON has no number for, and no clock either.
        return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
