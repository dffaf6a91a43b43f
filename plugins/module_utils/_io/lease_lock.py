# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The lock of a run in a Lease: read, decided upon by _core.run_lock, and replaced only if it still is what was read.

The API server compares the resourceVersion that was read with the one it has, and refuses the write when they differ.
So of many takers exactly one wins, and a shared lock becomes exclusive in the same write that shows it held by one.
"""

from __future__ import annotations

import typing as t

from .._core import lease, run_lock
from .._core.run_lock import Holder
from . import action, kubernetes, lock


class LeaseLock(lock.Lock[lock.Found]):
    """The lock in the namespace of a workload, for one run."""

    #: Runs that share it all write the same object, and of those who write at once one gets on in each turn.
    attempts = 100

    def __init__(self, cluster: kubernetes.Cluster, options: t.Mapping[str, t.Any]) -> None:
        super().__init__(path_of(options), options["lock_kind"], options)
        self._cluster = cluster
        self._about = {"name": lease.name(cluster.name), "namespace": cluster.namespace}

    @property
    def where(self) -> str:
        return f"{self._cluster.address}: Lease {self.path}"

    def look(self) -> lock.Found:
        read = self._cluster.lease(self._about["name"])
        now = int(action.utc_now().timestamp())
        holders = lease.holders(read, self.where)
        return lock.Found(now, holders, self._decide(holders, now), read)

    def _held(self, found: lock.Found) -> str:
        blocking = found.decision.blocking
        left = [holder for holder in found.holders if holder not in blocking]
        return run_lock.held(blocking, self.where, "this controller", lease.removal(found.source or {}, left))

    def _changed(self, found: lock.Found) -> bool:
        return self._written(found, lease.with_run(found.holders, found.decision, self.entry(found)))

    def release(self) -> None:
        for _turn in range(self.attempts):
            found = self.look()
            going = {holder.run_id for holder in self.leaving(found)}
            left = tuple(holder for holder in found.holders if holder.run_id not in going)
            if left == found.holders or self._written(found, left):
                return
        raise self.beaten()

    def _written(self, found: lock.Found, after: tuple[Holder, ...]) -> bool:
        made = lease.written(found.source, found.holders, after, about=self._about, now=found.now)
        return self._cluster.write_lease(made)


def path_of(options: t.Mapping[str, t.Any]) -> str:
    return f"{options['namespace']}/{lease.name(options['workload'])}"
