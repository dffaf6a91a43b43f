# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a lock in a Lease needs no API server. The rest: tests/kubernetes/test_run_lease.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.lease_lock import LeaseLock

OPTIONS = {"namespace": "quazzar", "workload": "cc", "run_id": "me", "lock_kind": "shared", "expires_in": 60, "who": ""}
CLUSTER: Any = SimpleNamespace(name="cc", namespace="quazzar", address="https://api.example.com:6443")


def test_where_it_is() -> None:
    lock = LeaseLock(CLUSTER, OPTIONS)
    assert (lock.path, lock.kind, lock.run_id) == ("quazzar/cc-ca-rotation", "shared", "me")
    assert str(lock.beaten()) == f"{lock.where}: could not be changed: other runs change it all the time"
    assert lock.where == "https://api.example.com:6443: Lease quazzar/cc-ca-rotation"


@pytest.mark.parametrize("bad", [{"expires_in": 0}, {"run_id": "a/b"}])
def test_options_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        LeaseLock(CLUSTER, {**OPTIONS, **bad})
