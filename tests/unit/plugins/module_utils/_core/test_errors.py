# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import inspect
import pickle

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import errors

TREE = {
    "RotationError": Exception,
    "InputError": errors.RotationError,
    "EvidenceError": errors.RotationError,
    "ApiError": errors.RotationError,
    "HostError": errors.RotationError,
    "Unreachable": errors.HostError,
    "Unsupported": errors.HostError,
}


def test_the_tree_is_this_one():
    found = {name: each.__base__ for name, each in inspect.getmembers(errors, inspect.isclass)}
    assert found == TREE


@pytest.mark.parametrize("name", TREE)
def test_a_message_says_all_and_survives_the_way_between_processes(name):
    kind = getattr(errors, name)
    error = pickle.loads(pickle.dumps(kind("node-7: why")))
    assert error.__class__ is kind
    assert str(error) == "node-7: why"


def test_a_bug_is_none_of_them():
    assert not issubclass(errors.RotationError, (ValueError, OSError, LookupError, RuntimeError))
    for bug in (ValueError, KeyError, OSError, TimeoutError):
        assert not issubclass(bug, errors.RotationError)


def test_an_unsupported_host_was_reached():
    assert not issubclass(errors.Unsupported, errors.Unreachable)
    assert not issubclass(errors.Unreachable, errors.Unsupported)
