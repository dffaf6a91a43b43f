# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The errors of the collection. An action turns any of them into a failed result; anything else is a bug.

A message names the host, the file or the URL, what was expected, what was found and what to do next. It never holds a
token, a password or a private key.
"""

from __future__ import annotations


class RotationError(Exception):
    """Base of everything that the collection raises on purpose."""


class InputError(RotationError):
    """What was handed in cannot be used: an option, a file, a certificate, a value in an environment file."""


class EvidenceError(RotationError):
    """What was found contradicts itself, or is too little to decide."""


class ApiError(RotationError):
    """The Control Panel's or a node's HTTP API answered something else than expected."""


class HostError(RotationError):
    """A host could not do what it was asked to do."""


class Unreachable(HostError):
    """The connection to the host failed: nothing is known about what happened there."""


class Unsupported(HostError):
    """The host, its connection plugin or its become plugin cannot be used this way."""
