# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The lock of a run as a Lease of the Kubernetes API (coordination.k8s.io/v1).

Who holds it is said by one annotation: JSON, a list with an entry for each run. The fields of the Lease tell people the
same and are never read again. Whoever lets go last leaves an empty list, so nobody needs the right to delete. Times are
by the clock of the controller that wrote them.

Fields of a Lease: Kubernetes API reference, Lease v1 coordination.k8s.io. A duration is 32 bits wide and more than 0;
a renewTime has six digits behind its seconds, and the official Python client leaves them out when all are zero.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from . import run_lock
from .errors import HostError
from .run_lock import Decision, Holder

Json = Mapping[str, Any]

ANNOTATION = "quazzar.ca-rotation/holders"
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_MAX_DURATION = 2**31 - 1
_SHOWN_TEXT = 60


def name(workload: str) -> str:
    return f"{workload}-ca-rotation"


def encoded(holders: Iterable[Holder]) -> str:
    return json.dumps([_entry(holder) for holder in holders])


def _entry(holder: Holder) -> dict[str, Any]:
    since = {} if holder.since is None else {"since": run_lock.moment(holder.since)}
    about = {"kind": holder.kind, "run_id": holder.run_id, "who": holder.who}
    return {**about, **since, "until": run_lock.moment(holder.until), **run_lock.extras(holder)}


def decoded(text: str) -> tuple[Holder, ...]:
    """Raises ValueError that says what was found. As with a file, only kind, run_id and until have to be there."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise ValueError(f"expected a list in JSON, found {run_lock.shown(text)[:_SHOWN_TEXT]!r}")
    return tuple(_holder(entry, number) for number, entry in enumerate(entries, 1))


def _holder(entry: Any, number: int) -> Holder:
    said = entry if isinstance(entry, dict) else {}
    kind, run_id, until = said.get("kind"), said.get("run_id"), _seconds(said.get("until"))
    named = isinstance(run_id, str) and run_lock.is_run_id(run_id)
    if kind not in run_lock.KINDS or not named or until is None:
        raise ValueError(f"expected a kind, a run_id and a time as until in each entry, found another entry {number}")
    return Holder(
        kind=str(kind),
        name=run_lock.name(until, str(run_id)),
        run_id=str(run_id),
        until=until,
        who=run_lock.who_of(said.get("who")),
        since=_seconds(said.get("since")),
        process=run_lock.process_of(said.get("process")),
        counts=run_lock.counts_of(said.get("counts")),
        ended=said.get("ended") is True,
    )


def _seconds(value: Any) -> int | None:
    try:
        moment = datetime.strptime(value, _MOMENT).replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        return None
    return max(int(moment.timestamp()), 0)


def holders(lease: Json | None, where: str) -> tuple[Holder, ...]:
    """``lease``: None when there is none. Raises HostError for one that this collection did not write."""
    if lease is None:
        return ()
    text = (lease["metadata"].get("annotations") or {}).get(ANNOTATION)
    identity = (lease.get("spec") or {}).get("holderIdentity")
    if text is None and identity:
        raise HostError(
            f"{where}: expected a Lease for this lock alone, found one that {run_lock.shown(identity)!r} holds and that"
            " this collection has not written; nothing was changed there. See what that is; when nothing needs it,"
            f" delete it: {_kubectl('delete', lease)}"
        )
    try:
        return () if text is None else decoded(text)
    except ValueError as error:
        raise HostError(
            f"{where}: its annotation {ANNOTATION} is none that this collection has written: {error}; nothing was"
            f" changed there. When no run is at work, empty it: {removal(lease, ())}"
        ) from None


def removal(lease: Json, left: Iterable[Holder]) -> str:
    """The command that leaves these only; the API refuses it when somebody has written the Lease since it was read."""
    version = f"--resource-version={lease['metadata']['resourceVersion']}"
    return _kubectl("annotate", lease, "--overwrite", version, f"{ANNOTATION}={encoded(left)}")


def _kubectl(verb: str, lease: Json, *words: str) -> str:
    about = lease["metadata"]
    return shlex.join(["kubectl", verb, "lease", about["name"], "--namespace", about["namespace"], *words])


def with_run(before: Iterable[Holder], decision: Decision, run: Holder) -> tuple[Holder, ...]:
    """Who holds the lock when the run has taken or renewed it."""
    return (*without_run((each for each in before if each not in decision.over), run.run_id), run)


def without_run(before: Iterable[Holder], run_id: str) -> tuple[Holder, ...]:
    return tuple(holder for holder in before if holder.run_id != run_id)


def written(
    lease: Json | None, before: Iterable[Holder], after: Iterable[Holder], *, about: Mapping[str, str], now: int
) -> dict[str, Any]:
    """The Lease for these holders; whatever else somebody has put into its metadata stays. ``about``: where it is
    created, name and namespace."""
    known, everybody = {holder.run_id for holder in before}, tuple(after)
    metadata = dict(lease["metadata"] if lease else about)
    metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: encoded(everybody)}
    transitions = (lease.get("spec") or {}).get("leaseTransitions") or 0 if lease else 0
    others = any(holder.run_id not in known for holder in everybody)
    end = max((holder.until for holder in everybody), default=now)
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": ",".join(holder.run_id for holder in everybody),
            "renewTime": run_lock.moment(now).replace("Z", ".000001Z"),
            "leaseDurationSeconds": min(max(end - now, 1), _MAX_DURATION),
            "leaseTransitions": transitions + (1 if lease and others else 0),
        },
    }
