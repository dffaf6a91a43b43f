# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Evidence as the plan sees it: facts with a time, and nothing that has to be decided again.

A CA is named by its *key*: the SHA-256 of its public key (SPKI) when its certificate is known, else the SHA-256 of the
certificate itself. Two certificates over the same key are one CA here, because a same-key renewal changes the
fingerprint and is not drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .registry import Instance
from .waivers import Waiver


@dataclass(frozen=True)
class Ca:
    """A CA certificate that some file, pool entry or claim has shown."""

    key: str
    sha256: str
    subject: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Claim:
    """A certificate that somebody says is the legacy CA, and what was found about that.

    ``refusals`` is empty when it may be trusted: it is a CA, alive, and proven by a quorum or named by the operator.
    ``outdated``: only its date speaks against it. Such a CA is known to be ours, and helps nobody any more.
    ``unfit``: it was refused for what it is, or for what else is in its file, and not for want of witnesses only.
    """

    key: str
    sha256: str
    source: str
    refusals: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    outdated: bool = False
    unfit: bool = False


@dataclass(frozen=True)
class Registry:
    """The CP's list of nodes. ``arrived``: the nodes, of those ``waited_for``, whose next heartbeat came."""

    taken_at: datetime
    clock: datetime | None
    source: str
    instances: tuple[Instance, ...]
    complete: bool
    incomplete_reason: str = ""
    waited_for: frozenset[str] = frozenset()
    arrived: frozenset[str] = frozenset()
    error: str = ""


@dataclass(frozen=True)
class PoolEntry:
    """One element of the trust pool variable. ``keys`` are the CAs in the file, ``error`` why it cannot be read.
    ``digests`` are its certificates: a CA that was renewed over its key is one CA and two certificates.

    ``retirable``: it may be taken out again, because of where it lies or because the operator named its digest.
    An entry that is not retirable is somebody else's and is kept for ever.
    """

    path: str
    keys: tuple[str, ...]
    error: str = ""
    since: datetime | None = None
    retirable: bool = False
    digests: tuple[str, ...] = ()

    @property
    def certificates(self) -> tuple[str, ...]:
        return self.digests or self.keys


@dataclass(frozen=True)
class Replica:
    """One CP replica: what its files say and what its listener shows.

    ``named``: the paths in the variable with their repetitions, each of which may give a line of its own in the log.
    ``staged`` and ``previous``: the CAs whose pairs lie beside the active one, for a planned rotation and for the way
    back; ``staged_error`` why the staged pair is of no use. ``key_matches``: the active key belongs to the active
    certificate (None: nobody looked). ``refused_by_go``: why nodes in Go do not take its server certificate.
    ``runs_on``: the inventory host by which it is changed, which several replicas may share (a Kubernetes workload and
    its pods); empty: the one of its own name.
    """

    name: str
    address: str
    listening: bool
    error: str
    world: str
    serving_root: str | None
    active: str | None
    pool: tuple[PoolEntry, ...]
    pool_error: str
    advertised: int | None
    loaded: int | None
    taken_at: datetime | None = None
    auto_ca_gen: bool | None = None
    # CA key to the path of a file beside the CP that holds just that CA, whether the pool names it or not.
    beside: Mapping[str, str] = field(default_factory=dict)
    active_sha256: str | None = None
    named: tuple[str, ...] = ()
    staged: str | None = None
    staged_error: str = ""
    previous: str | None = None
    key_matches: bool | None = None
    refused_by_go: tuple[str, ...] = ()
    runs_on: str = ""

    @property
    def host(self) -> str:
        return self.runs_on or self.name

    @property
    def pool_keys(self) -> frozenset[str]:
        return frozenset(key for entry in self.pool for key in entry.keys)

    @property
    def retirable(self) -> tuple[PoolEntry, ...]:
        return tuple(entry for entry in self.pool if entry.retirable)

    @property
    def expected_cas(self) -> int:
        """How many CA names a replica advertises that has loaded what its files name: the active CA and the pool."""
        own = self.active_sha256 or self.active
        return 1 + len({digest for entry in self.pool for digest in entry.certificates} - {own})

    @property
    def most_cas(self) -> int:
        """The same for a process that names the active CA once more when the pool names it too."""
        own = self.active_sha256 or self.active
        return self.expected_cas + any(own in entry.certificates for entry in self.pool)

    @property
    def stale_reason(self) -> str:
        """How the process is known to run with another pool than its files name. Empty: it is not known to.

        A listener that names no CA at all says nothing (TLS does not oblige it to), and a log may or may not count a
        path that is named twice, or one that holds the active CA itself.
        """
        if self.advertised and not self.expected_cas <= self.advertised <= self.most_cas:
            return f"expected the listener to advertise {self.expected_cas} CA names, found {self.advertised}"
        fewest = self.expected_cas - 1
        most = sum(len(entry.certificates) * max(1, self.named.count(entry.path)) for entry in self.pool)
        if self.loaded is not None and not fewest <= self.loaded <= most:
            return f"expected {fewest} lines on additional CAs in the log, found {self.loaded}"
        return ""

    @property
    def stale(self) -> bool:
        return bool(self.stale_reason)

    @property
    def forgets(self) -> int:
        """How many CAs only the memory of the process holds, as far as it shows: a restart drops them."""
        return max(0, (self.advertised or 0) - self.most_cas)


@dataclass(frozen=True)
class Node:
    """One node of the frozen list. ``beat``: its heartbeat is known to reach the CP (None: nobody could tell).
    ``server_trust``: what it verifies the CP by ("pin", "system", a path; empty: not known).
    ``kept_identity``: a copy of an identity lies on it; ``kept_by``: the CAs that really signed that one's leaf.
    ``sample``: whether it would take a server certificate by the staged CA ("ok", "refused", "unknown")."""

    name: str
    examined: bool = False
    reachable: bool = False
    error: str = ""
    taken_at: datetime | None = None
    pins: tuple[str, ...] = ()
    pin_error: str = ""
    leaf_by: frozenset[str] = frozenset()
    leaf_error: str = ""
    leaf_issuer: str = ""
    leaf_not_before: datetime | None = None
    leaf_not_after: datetime | None = None
    to_cp: str = "unknown"
    to_cp_detail: str = ""
    to_node: str = "unknown"
    to_node_detail: str = ""
    server_trust: str = ""
    agent: str = "unknown"
    agent_detail: str = ""
    sample: str = "unknown"
    sample_detail: str = ""
    symptom_count: int | None = None
    clock_skew: float | None = None
    kept_identity: bool = False
    kept_by: frozenset[str] = frozenset()
    kept_not_after: datetime | None = None
    instances: tuple[Instance, ...] = ()
    beat: bool | None = None

    @property
    def handshake_up(self) -> bool:
        """Both directions of a live handshake with the files on disk."""
        return self.to_cp == "ok" and self.to_node == "accepted"

    @property
    def up(self) -> bool:
        """Disk is not memory: only a heartbeat that reached the CP proves the running agent."""
        return self.handshake_up and self.beat is True

    @property
    def last_seen(self) -> datetime | None:
        seen = [instance.last_seen for instance in self.instances if instance.last_seen is not None]
        return max(seen) if seen else None


@dataclass(frozen=True)
class Settings:
    """What the operator decided. Durations are timedeltas. ``rescued``: the nodes to rescue, which are the operator's
    whatever CA they come from (empty: every node without a link whose CA is known). ``share``: the
    nodes of this run, where others move the rest at the same time (empty: all). ``sliced``: others move the rest, also
    where this run cannot name them. ``compromised``: SHA-256 digests of the
    CA certificates whose key is in wrong hands. ``replaced``: those of the CA that a planned rotation replaces.
    ``revoking``: this run takes all trust from the compromised CAs; any other stops while one is trusted.
    ``bridged``: the CP can send a bridge from the CA before along with its server certificate."""

    pin_bundle: str = "auto"
    bundle_works: bool | None = None
    roll_reissues: bool = False
    flip_possible: bool = False
    evidence_max_age: timedelta = timedelta(minutes=15)
    clock_skew: timedelta = timedelta(minutes=5)
    leaf_lifetime: timedelta = timedelta(days=90)
    switched_at: datetime | None = None
    legacy_probes: int = 2
    batches: tuple[object, ...] = (1, "5%", "25%")
    rescued: frozenset[str] = frozenset()
    share: frozenset[str] = frozenset()
    sliced: bool = False
    compromised: frozenset[str] = frozenset()
    revoking: bool = False
    compromised_at: datetime | None = None
    replaced: frozenset[str] = frozenset()
    bridged: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that the plan may look at.

    ``cas`` is keyed by CA key. ``trusted_legacy`` are the CAs that a trust pool names, or whose claim was accepted.
    ``waivers`` are those that held when the run began. ``switched_at`` is the moment from which no leaf may come from a
    legacy CA any more (None: not known). ``notes`` are sentences on what was found that the operator should read.
    ``revoked``: SHA-256 digests of the CAs of which a mark beside the CP says that they were revoked.
    """

    now: datetime
    active: str | None
    cas: Mapping[str, Ca] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    replicas: tuple[Replica, ...] = ()
    nodes: tuple[Node, ...] = ()
    strangers: tuple[Instance, ...] = ()
    registry: Registry | None = None
    waivers: tuple[Waiver, ...] = ()
    switched_at: datetime | None = None
    settings: Settings = Settings()
    notes: tuple[str, ...] = ()
    revoked: frozenset[str] = frozenset()

    @property
    def pool_keys(self) -> frozenset[str]:
        return frozenset(key for replica in self.replicas for key in replica.pool_keys) - {self.active or ""}

    @property
    def kept(self) -> Mapping[str, tuple[str, ...]]:
        """For each CA the nodes that keep an identity by it which has not expired. Only these can show that it is
        refused: that of another CA says nothing about this one, and an expired one is refused by everybody."""
        found: dict[str, tuple[str, ...]] = {}
        for node in self.nodes:
            if node.kept_identity and node.kept_not_after is not None and node.kept_not_after > self.now:
                for key in node.kept_by:
                    found[key] = (*found.get(key, ()), node.name)
        return found

    @property
    def compromised(self) -> frozenset[str]:
        """CAs that nothing may trust from now on, whatever still needs them: named now, or revoked before."""
        named = self.settings.compromised | self.revoked
        # The key of a CA whose certificate nobody has seen is its digest.
        return named.union(key for key, ca in self.cas.items() if ca.sha256 in named)

    @property
    def replaced(self) -> frozenset[str]:
        """The CA that a planned rotation replaces, as keys."""
        seen = frozenset(key for key, ca in self.cas.items() if ca.sha256 in self.settings.replaced)
        return seen | self.settings.replaced

    @property
    def staged(self) -> str | None:
        """The next CA, whose pair lies beside the CP. It stays the staged one until every replica runs with it."""
        return next((replica.staged for replica in self.replicas if replica.staged), None)

    @property
    def previous(self) -> str | None:
        """The CA that was active before and whose pair is still there."""
        return next((r.previous for r in self.replicas if r.previous and r.previous != r.active), None)

    @property
    def activating(self) -> bool:
        """The staged CA is what at least one replica starts with."""
        return self.staged is not None and any(replica.active == self.staged for replica in self.replicas)

    @property
    def accepted(self) -> frozenset[str]:
        """CAs that were claimed to be legacy and are proven, by a quorum or by the operator's word."""
        return frozenset(claim.key for claim in self.claims if not claim.refusals)

    @property
    def refused(self) -> frozenset[str]:
        """CAs that were claimed to be legacy and may not be trusted. One good copy outweighs a bad one."""
        return frozenset(claim.key for claim in self.claims if claim.refusals) - self.pool_keys - self.accepted

    @property
    def outdated(self) -> frozenset[str]:
        """CAs that are known to be ours and have expired: no verifier takes their leaves, whatever the pool names."""
        over = frozenset(key for key, ca in self.cas.items() if ca.not_after < self.now)
        claimed = frozenset(claim.key for claim in self.claims if claim.outdated)
        return over & (claimed | self.pool_keys | self.accepted)

    @property
    def unproven(self) -> frozenset[str]:
        """Of the refused the CAs that may be anybody's."""
        return self.refused - self.outdated

    @property
    def trusted_legacy(self) -> frozenset[str]:
        return (self.accepted | self.pool_keys) - {self.active or ""} - self.outdated - self.compromised
