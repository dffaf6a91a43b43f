# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The prevention rules: what keeps a CA from being lost, and what gives notice of its end.

A pure function of facts and the time in them. A rule is broken only by what was seen: what nobody could look at is
"unknown", which is named and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from . import guardrails_workload as workload_rules
from . import mounts
from .evidence import Evidence, Node, PoolEntry, Replica
from .guardrails_workload import Workload
from .trust import refused_by_go
from .verdicts import FAIL, PASS, UNKNOWN, VERDICTS, Point, count, days, names

#: Days. What ends within them is counted and named.
HORIZONS = (30, 90, 365)

_CA_DUE, _POOL_DUE, _LEAF_DUE = timedelta(days=365), timedelta(days=90), timedelta(days=30)
# A certificate that was made for less is not due from its first day on: the last third of its life is notice enough.
_SHARE = 3
_OTHERS, _OTHERS_WRITE = 0o077, 0o002
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Storage:
    """Where a replica's certificates lie, who may touch them, and which other files hold a private key.

    ``error``, ``key_error`` and ``copies_error`` say why something is not known. Modes are octal digits.
    """

    path: str = ""
    error: str = ""
    mount: str = ""
    file_system: str = ""
    container: bool = False
    mode: str = ""
    owner: str = ""
    key_path: str = ""
    key_mode: str = ""
    key_owner: str = ""
    key_error: str = ""
    copies: tuple[str, ...] = ()
    copies_error: str = ""


@dataclass(frozen=True)
class Served:
    """One certificate of the chain that a replica shows, its own first. ``names`` and ``usages`` as in its extensions,
    None where it has none."""

    sha256: str
    subject: str
    not_before: datetime
    not_after: datetime
    self_signed: bool = False
    signature_hash: str | None = None
    names: tuple[str, ...] | None = None
    usages: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Log:
    """Lines about certificates of an unknown CA in a replica's log. ``outside``: those from addresses that are not
    internal; ``nameless``: how many name no address at all."""

    drift: int = 0
    nameless: int = 0
    outside: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Backup:
    """The newest backup of the CA pair. ``current``: it is of the active CA, and can be decrypted. ``judged``: whether
    that is known, which takes the vault secret and the Control Panel's certificate; ``error`` says why it is not."""

    path: str = ""
    made_at: datetime | None = None
    age: timedelta | None = None
    current: bool = False
    error: str = ""
    judged: bool = True


@dataclass(frozen=True)
class Dates:
    not_before: datetime
    not_after: datetime
    subject: str = ""


@dataclass(frozen=True)
class Limits:
    backup_max_age: timedelta = timedelta(days=30)
    drift_lines: int = 10


@dataclass(frozen=True)
class Facts:
    """``storage``, ``served`` and ``logs`` by replica (a name that is missing was not looked at); ``dates`` of the CA
    certificates in the replicas' files, by SHA-256. ``backup`` is None when nobody looked for one. ``workloads`` by the
    host that stands for each; without one the rules on workloads do not apply."""

    evidence: Evidence
    storage: Mapping[str, Storage] = field(default_factory=dict)
    served: Mapping[str, tuple[Served, ...]] = field(default_factory=dict)
    logs: Mapping[str, Log] = field(default_factory=dict)
    dates: Mapping[str, Dates] = field(default_factory=dict)
    backup: Backup | None = None
    limits: Limits = Limits()
    workloads: Mapping[str, Workload] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """``title`` says what should be true. ``remedies`` are empty when it is."""

    id: str
    title: str
    verdict: str
    points: tuple[Point, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """``kind``: "ca", "server" or "node". ``due``: how long before its end it is time to act."""

    kind: str
    name: str
    not_after: datetime
    due: timedelta


@dataclass(frozen=True)
class Checked:
    rules: tuple[Rule, ...]
    certificates: tuple[Certificate, ...]

    @property
    def broken(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.verdict == FAIL)

    @property
    def unknown(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.verdict == UNKNOWN)


def check(facts: Facts) -> Checked:
    rules = (*RULES, *WORKLOAD_RULES) if facts.workloads else RULES
    return Checked(
        tuple(_rule(each, tuple(each.look(facts))) for each in rules),
        (*_cas(facts), *_servers(facts), *_leaves(facts)),
    )


def ends_within(certificates: Iterable[Certificate], now: datetime, days: int) -> list[Certificate]:
    """Those that are valid now and no more after so many days; for 0 days those that have ended."""
    if days == 0:
        return [cert for cert in certificates if cert.not_after < now]
    return [cert for cert in certificates if now <= cert.not_after <= now + days * _DAY]


@dataclass(frozen=True)
class _Definition:
    id: str
    title: str
    remedy: str
    look: Callable[[Facts], Iterable[Point]]


def _rule(definition: _Definition, points: tuple[Point, ...]) -> Rule:
    verdict = min((point.verdict for point in points), key=VERDICTS.index, default=UNKNOWN)
    remedies = dict.fromkeys(point.remedy or definition.remedy for point in points if point.verdict != PASS)
    return Rule(definition.id, definition.title, verdict, points, tuple(remedies))


# --- the hosts of the Control Panel -----------------------------------------------------------------------------------


def _stored(
    facts: Facts, error: Callable[[Storage], str], judge: Callable[[Storage], tuple[str, str]]
) -> Iterable[Point]:
    """One verdict a replica on what is known of its files."""
    for replica in facts.evidence.replicas:
        storage = facts.storage.get(replica.name, Storage())
        if not storage.path:
            yield Point(replica.name, UNKNOWN, replica.error or "its files were not looked at")
        elif error(storage):
            yield Point(replica.name, UNKNOWN, error(storage))
        else:
            yield Point(replica.name, *judge(storage))


def _persistent(facts: Facts) -> Iterable[Point]:
    def judge(storage: Storage) -> tuple[str, str]:
        kind, mount = storage.file_system, storage.mount
        if not kind:
            return UNKNOWN, f"{storage.path}: its mount point is not known"
        where = f"{storage.path} is on {kind}, mounted at {mount}"
        if kind in mounts.MEMORY:
            return FAIL, f"{where}: gone with the next start of the host"
        if kind in mounts.LAYERS and mount == "/":
            return FAIL, f"{where}: the writable layer of a container, gone with it"
        if storage.container and mount == "/":
            return UNKNOWN, f"{where}, and the host looks like a container, whose own file system may go with it"
        if kind in mounts.LASTING:
            return PASS, where
        return UNKNOWN, f"{where}, of which it is not known whether it lasts"

    points = _stored(facts, lambda storage: storage.error, judge)
    for replica, point in zip(facts.evidence.replicas, points, strict=True):
        workload = facts.workloads.get(replica.host, Workload())
        # The volume of a pod says more than its file system: an emptyDir is on a disk too.
        yield point if point.verdict == FAIL or not workload.kind else workload_rules.on_volume(replica.name, workload)


def _directory_mode(facts: Facts) -> Iterable[Point]:
    def judge(storage: Storage) -> tuple[str, str]:
        bits = _bits(storage.mode)
        if bits is None:
            return UNKNOWN, f"{storage.path}: its mode is not known"
        found = f"{storage.path} has the mode {_mode(bits)} and belongs to {storage.owner}"
        return (FAIL, f"{found}: everybody may write into it") if bits & _OTHERS_WRITE else (PASS, found)

    return _stored(facts, lambda storage: storage.error, judge)


def _key_mode(facts: Facts) -> Iterable[Point]:
    def judge(storage: Storage) -> tuple[str, str]:
        bits = _bits(storage.key_mode)
        if bits is None:
            return UNKNOWN, f"{storage.key_path}: its mode is not known"
        found = f"{storage.key_path} has the mode {_mode(bits)} and belongs to {storage.key_owner}"
        return (FAIL, f"{found}: not its owner alone may use it") if bits & _OTHERS else (PASS, found)

    return _stored(facts, lambda storage: storage.key_error, judge)


def _key_copies(facts: Facts) -> Iterable[Point]:
    def judge(storage: Storage) -> tuple[str, str]:
        if storage.copies:
            return FAIL, f"there is a private key in {', '.join(storage.copies)}"
        return PASS, "no private key beside the trusted CAs"

    # A key that was seen is one, whatever else could not be read.
    return _stored(facts, lambda storage: "" if storage.copies else storage.copies_error, judge)


def _bits(mode: str) -> int | None:
    return int(mode, 8) if mode and all(digit in "01234567" for digit in mode) else None


def _mode(bits: int) -> str:
    return f"{bits:04o}"


def _auto_ca_gen(facts: Facts) -> Iterable[Point]:
    for replica in facts.evidence.replicas:
        remedy = workload_rules.IN_WORKLOAD if _is_pod(replica) else ""
        if replica.auto_ca_gen is None:
            where = "environment" if _is_pod(replica) else "environment file"
            yield Point(replica.name, UNKNOWN, _pool_error(replica) or f"its {where} was not read", remedy)
        elif replica.auto_ca_gen:
            found = "CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA"
            yield Point(replica.name, FAIL, found, remedy)
        else:
            yield Point(replica.name, PASS, "it is unset, or not true")
    for host, workload in facts.workloads.items():
        yield from workload_rules.flags(host, workload)


def _is_pod(replica: Replica) -> bool:
    return replica.host != replica.name


def _pool_error(replica: Replica) -> str:
    return replica.pool_error or ("" if replica.taken_at else replica.error)


def _backed_up(facts: Facts) -> Iterable[Point]:
    backup, limit = facts.backup, facts.limits.backup_max_age
    if backup is None:
        remedy = "set quazzar_backup_dir, a directory on another machine than the Control Panel's, and run ca_backup"
        yield Point("backup", UNKNOWN, "quazzar_backup_dir is not set, so no backup was looked for", remedy)
    elif not backup.path and backup.error:
        remedy = "see that the controller may read quazzar_backup_dir, then run ca_backup"
        yield Point("backup", UNKNOWN, backup.error, remedy)
    elif not backup.path:
        yield Point("backup", FAIL, "there is none in quazzar_backup_dir")
    elif backup.judged and not backup.current:
        yield Point("backup", FAIL, backup.error or f"{backup.path} is not of the active CA, or is damaged")
    elif backup.age is not None and backup.age > limit:
        # Its name says so, whether it can be opened or not.
        yield Point("backup", FAIL, f"{backup.path} is {days(backup.age)} old, {days(limit)} are allowed")
    elif not backup.judged:
        remedy = (
            "give this run the vault secret of the backups, and see that the file, and the certificates of the first CP"
            " host, can be read"
        )
        yield Point("backup", UNKNOWN, backup.error or f"nobody could look into {backup.path}", remedy)
    elif backup.age is None:
        yield Point("backup", UNKNOWN, f"it is not known when {backup.path} was made")
    elif backup.age < -facts.evidence.settings.clock_skew:
        yield Point("backup", UNKNOWN, f"{backup.path} seems to be made in the future", "set the clocks right")
    else:
        yield Point("backup", PASS, f"{backup.path} is of the active CA and {days(backup.age)} old")


def _drift(facts: Facts) -> Iterable[Point]:
    enough = max(1, facts.limits.drift_lines)
    # A host that stands for several pods may have one log of them all.
    replicas = {
        replica.host if replica.host in facts.logs else replica.name: replica for replica in facts.evidence.replicas
    }
    for name, replica in replicas.items():
        log = facts.logs.get(name)
        if log is None:
            why = "" if _is_pod(replica) else ": quazzar_cp_log_command is not set"
            yield Point(name, UNKNOWN, f"its log was not read{why}", _READ_LOG if _is_pod(replica) else "")
            continue
        if log.error:
            remedy = _READ_LOG if _is_pod(replica) else "mend quazzar_cp_log_command; it must print the log and end"
            yield Point(name, UNKNOWN, log.error, remedy)
            continue
        lines = sum(log.outside.values())
        by_weight = sorted(log.outside, key=lambda address: (-log.outside[address], address))
        sources = names([f"{address} ({log.outside[address]})" for address in by_weight])
        if lines >= enough:
            yield Point(name, FAIL, f"{lines} lines on certificates of an unknown CA, from {sources}")
        elif log.nameless >= enough:
            found = f"{log.nameless} lines on certificates of an unknown CA that name no address"
            yield Point(name, UNKNOWN, found)
        elif lines:
            yield Point(name, PASS, f"{lines} lines from {sources}, too few for a steady stream")
        else:
            yield Point(name, PASS, "none from outside")


_READ_LOG = "see that the account of this run may get pods/log, and that the container writes its log to its output"


# --- the replicas among each other ------------------------------------------------------------------------------------


def _same_ca(facts: Facts) -> Iterable[Point]:
    replicas = facts.evidence.replicas
    differ = len({replica.active for replica in replicas if replica.active}) > 1
    for replica in replicas:
        if replica.active is None:
            yield Point(replica.name, UNKNOWN, replica.error or "its active CA is not known")
        else:
            verdict = FAIL if differ else PASS
            yield Point(replica.name, verdict, f"its active CA is {(replica.active_sha256 or replica.active)[:16]}")


def _serving(facts: Facts) -> Iterable[Point]:
    for replica in facts.evidence.replicas:
        if replica.taken_at is None:
            yield Point(replica.name, UNKNOWN, replica.error or "it is not known when it was looked at")
        elif replica.listening:
            yield Point(replica.name, PASS, f"it serves at {replica.address}")
        else:
            why = replica.error or "nothing answers"
            remedy = "look at its log and its events (kubectl describe pod)" if _is_pod(replica) else ""
            yield Point(replica.name, FAIL, f"it does not serve at {replica.address}: {why}", remedy)


def _running(facts: Facts) -> Iterable[Point]:
    for replica in facts.evidence.replicas:
        files = _pool_error(replica) or ("" if replica.active else replica.error or "its active CA is not known")
        if files:
            yield Point(replica.name, UNKNOWN, files)
        elif replica.stale_reason:
            remedy = "delete that pod, so that it is made anew with the files of now" if _is_pod(replica) else ""
            yield Point(replica.name, FAIL, replica.stale_reason, remedy)
        elif replica.advertised:
            found = f"its listener advertises {count(replica.advertised, 'CA name')}, as its files say"
            yield Point(replica.name, PASS, found)
        elif replica.loaded is not None:
            yield Point(
                replica.name, PASS, f"its log tells of {count(replica.loaded, 'additional CA')}, as its files do"
            )
        else:
            yield Point(replica.name, UNKNOWN, "neither its listener nor its log shows which CAs it has loaded")


def _pool_entries(facts: Facts) -> Iterable[Point]:
    for replica in facts.evidence.replicas:
        problem = _pool_error(replica)
        if problem:
            yield Point(replica.name, UNKNOWN, problem)
            continue
        wrong = [text for entry in replica.pool for text in _wrong_entry(entry, facts)]
        if wrong:
            yield from (Point(replica.name, FAIL, text) for text in wrong)
        else:
            yield Point(replica.name, PASS, f"{count(len(replica.pool), 'entry', 'entries')}, each of use")


def _wrong_entry(entry: PoolEntry, facts: Facts) -> Iterable[str]:
    if entry.error:
        yield entry.error
    for digest in entry.digests:
        dates = facts.dates.get(digest)
        if dates is not None and dates.not_after < facts.evidence.now:
            yield f"{entry.path}: the CA in it expired on {dates.not_after:%Y-%m-%d}"


def _window(facts: Facts) -> Iterable[Point]:
    now, longest = facts.evidence.now, facts.evidence.settings.leaf_lifetime
    for replica in facts.evidence.replicas:
        problem = _pool_error(replica)
        if problem:
            yield Point(replica.name, UNKNOWN, problem)
        elif not replica.retirable:
            yield Point(replica.name, PASS, "no grace window is open")
        for entry in replica.retirable if not problem else ():
            if entry.since is None:
                yield Point(replica.name, UNKNOWN, f"it is not known since when {entry.path} is there")
                continue
            found = f"{entry.path} is there for {days(now - entry.since)}"
            if now - entry.since > longest:
                found += f", and no leaf lives longer than {days(longest)}: nothing can still need it"
                yield Point(replica.name, FAIL, found)
            else:
                yield Point(replica.name, PASS, found)


def _served_well(facts: Facts) -> Iterable[Point]:
    for replica in facts.evidence.replicas:
        chain = facts.served.get(replica.name) or ()
        if not chain:
            yield Point(replica.name, UNKNOWN, replica.error or "it shows no certificate")
            continue
        wrong = [text for number, cert in enumerate(chain) for text in _refused_by_go(cert, own=number == 0)]
        if wrong:
            yield from (Point(replica.name, FAIL, text) for text in wrong)
        else:
            yield Point(replica.name, PASS, f"{chain[0].subject} for {names(chain[0].names or ())}")


def _refused_by_go(cert: Served, *, own: bool) -> Iterable[str]:
    which = f"its certificate ({cert.subject})" if own else f"the certificate {cert.subject} in its chain"
    names = cert.names if own else (cert.subject,)
    signature_hash = None if cert.self_signed else cert.signature_hash
    return refused_by_go(which, names=names, usages=cert.usages, signature_hash=signature_hash)


# --- the nodes --------------------------------------------------------------------------------------------------------


def _pins(facts: Facts) -> Iterable[Point]:
    evidence = facts.evidence
    good = 0
    for node in evidence.nodes:
        point = _pin(node, evidence)
        if point is None:
            good += 1
        else:
            yield point
    yield from _strangers(facts)
    if good:
        yield Point(
            "nodes", PASS, f"{good} of {count(len(evidence.nodes), 'node')} pin the active CA and none that is retired"
        )


def _pin(node: Node, evidence: Evidence) -> Point | None:
    """What is wrong with the pin of one node, or not known of it."""
    if not node.examined or not node.reachable:
        return Point(node.name, UNKNOWN, node.error or "not examined in this run", _REACH)
    if evidence.active is None:
        return Point(node.name, UNKNOWN, "the active CA is not known", "mend what is said of the replicas first")
    if node.pin_error and not node.pins:
        return Point(node.name, FAIL, node.pin_error)
    if evidence.active not in node.pins:
        return Point(node.name, FAIL, "its pin does not hold the active CA")
    retired = [key for key in node.pins if key != evidence.active and key not in evidence.pool_keys]
    if retired:
        return Point(
            node.name, FAIL, f"its pin holds {names([_short(key, evidence) for key in retired])}, which is retired"
        )
    return None


def _short(key: str, evidence: Evidence) -> str:
    known = evidence.cas.get(key)
    return (known.sha256 if known else key)[:16]


def _strangers(facts: Facts) -> Iterable[Point]:
    return (
        Point(each.name or each.id, UNKNOWN, "in the Control Panel's registry, but not in the inventory", _ADD)
        for each in facts.evidence.strangers
    )


_REACH = "bring the node back, or run without --limit"
_ADD = "add it to the inventory, or delete it at the Control Panel"


# --- what ends when ---------------------------------------------------------------------------------------------------


def _due(horizon: timedelta, not_before: datetime | None, not_after: datetime) -> timedelta:
    return min(horizon, (not_after - not_before) / _SHARE) if not_before else horizon


def _cas(facts: Facts) -> tuple[Certificate, ...]:
    """The active CA, and every CA in a trust pool."""
    evidence = facts.evidence
    found: dict[str, Certificate] = {}
    actives = {replica.active_sha256 for replica in evidence.replicas}
    pooled = {digest: entry for replica in evidence.replicas for entry in replica.pool for digest in entry.digests}
    for digest in [*sorted(each for each in actives if each), *sorted(set(pooled) - actives)]:
        dates = facts.dates.get(digest)
        if dates is not None:
            word = "active CA" if digest in actives else "legacy CA" if pooled[digest].retirable else "other CA"
            due = _due(_CA_DUE if digest in actives else _POOL_DUE, dates.not_before, dates.not_after)
            found[digest] = Certificate("ca", f"{word} {digest[:16]}", dates.not_after, due)
    return tuple(found.values())


def _servers(facts: Facts) -> tuple[Certificate, ...]:
    """What the replicas show, but for the CAs that are counted as such."""
    found = []
    for replica in facts.evidence.replicas:
        for number, cert in enumerate(facts.served.get(replica.name) or ()):
            if number == 0 or cert.sha256 not in facts.dates:
                name = replica.name if number == 0 else f"{replica.name}: {cert.subject}"
                due = _due(_LEAF_DUE, cert.not_before, cert.not_after)
                found.append(Certificate("server", name, cert.not_after, due))
    return tuple(found)


def _leaves(facts: Facts) -> tuple[Certificate, ...]:
    return tuple(
        Certificate("node", node.name, end, _due(_LEAF_DUE, node.leaf_not_before, end))
        for node in facts.evidence.nodes
        for end in [node.leaf_not_after]
        if end is not None
    )


def _ending(certificates: Sequence[Certificate], now: datetime) -> Iterable[Point]:
    for cert in certificates:
        left = cert.not_after - now
        if left < timedelta(0):
            yield Point(cert.name, FAIL, f"it expired on {cert.not_after:%Y-%m-%d}")
        elif left < cert.due:
            yield Point(cert.name, FAIL, f"it expires in {days(left)}, on {cert.not_after:%Y-%m-%d}")
        else:
            yield Point(cert.name, PASS, f"it expires in {days(left)}, on {cert.not_after:%Y-%m-%d}")


def _ca_expiry(facts: Facts) -> Iterable[Point]:
    yield from _ending(_cas(facts), facts.evidence.now)
    for replica in facts.evidence.replicas:
        if replica.active is None:
            yield Point(replica.name, UNKNOWN, replica.error or "its active CA is not known", _MEND)


def _server_expiry(facts: Facts) -> Iterable[Point]:
    yield from _ending(_servers(facts), facts.evidence.now)
    for replica in facts.evidence.replicas:
        if not facts.served.get(replica.name):
            yield Point(replica.name, UNKNOWN, replica.error or "it shows no certificate", _MEND)


def _leaf_expiry(facts: Facts) -> Iterable[Point]:
    now, nodes = facts.evidence.now, facts.evidence.nodes
    points = list(_ending(_leaves(facts), now))
    yield from (point for point in points if point.verdict != PASS)
    for node in nodes:
        if node.leaf_not_after is None:
            unseen = not node.examined or not node.reachable
            found = node.error if unseen else node.leaf_error
            remedy = _REACH if unseen else "register the node: it shows no client certificate"
            yield Point(node.name, UNKNOWN, found or "not examined in this run", remedy)
    yield from _strangers(facts)
    good = sum(1 for point in points if point.verdict == PASS)
    if good:
        yield Point("nodes", PASS, f"the certificates of {good} of {count(len(nodes), 'node')} are not due")


_MEND = "mend what is said of this replica first"

#: Of a Control Panel on Kubernetes. Where there is none they are left out: they would say nothing.
WORKLOAD_RULES = (
    _Definition(
        "claim-bound",
        "every claim that certificates are on is bound",
        "look at its events (kubectl describe persistentvolumeclaim)",
        lambda facts: workload_rules.bound(facts.workloads),
    ),
    _Definition(
        "reclaim-policy",
        "the volume with the certificates outlives its claim",
        "set its persistentVolumeReclaimPolicy to Retain",
        lambda facts: workload_rules.reclaim(facts.workloads),
    ),
    _Definition(
        "access-mode",
        "replicas and strategy fit the access mode of the claims",
        "give the pods one claim with ReadWriteMany, or one replica and the strategy Recreate",
        lambda facts: workload_rules.access(facts.workloads),
    ),
)

#: In the order in which they are shown. An id never changes: monitoring may name it.
RULES = (
    _Definition(
        "persistent-volume",
        "the certificate directory is on storage that lasts",
        "put quazzar_cp_certs_dir on a persistent volume (a disk, or a network file system), and copy the pair there",
        _persistent,
    ),
    _Definition(
        "auto-ca-gen",
        "no replica may make a CA by itself",
        "take CC_ALLOW_AUTO_CA_GEN out of the environment file of that replica, and restart it",
        _auto_ca_gen,
    ),
    _Definition(
        "ca-backup",
        "the pair of the active CA is backed up out of band",
        "run ca_backup",
        _backed_up,
    ),
    _Definition(
        "drift-log",
        "no steady stream of certificates of an unknown CA comes from outside",
        "run drift_report: nodes live on a CA that is not trusted, or somebody else's do",
        _drift,
    ),
    _Definition(
        "ca-key-mode",
        "the CA's key is for its owner only",
        "run chmod 600 on it; is it not there, set quazzar_cp_certs_dir; may it not be seen, quazzar_cp_become",
        _key_mode,
    ),
    _Definition(
        "key-copies",
        "no private key lies beside the trusted CAs",
        "move that file to the backups, and leave the certificate alone; may it not be read, set quazzar_cp_become",
        _key_copies,
    ),
    _Definition(
        "certs-dir-mode",
        "not everybody may write into the certificate directory",
        "run chmod o-w on it; may it not be seen, set quazzar_cp_become",
        _directory_mode,
    ),
    _Definition(
        "same-active-ca",
        "all replicas hold the same active CA",
        "give the replicas one certificate volume; nodes that are registered by the other one have no link here",
        _same_ca,
    ),
    _Definition(
        "replicas-serve",
        "every replica serves",
        "start it, and look at its log; is it up, mend quazzar_cp_endpoints",
        _serving,
    ),
    _Definition(
        "running-files",
        "every replica runs with what its files name",
        "restart that replica; when it stays so, quazzar_cp_env_file is not the file that it reads",
        _running,
    ),
    _Definition(
        "pool-entries",
        "every entry of the trust pool is of use",
        "take that entry out of CC_TRUST_ADDITIONAL_CA_CERTS, or mend the file, before the next restart",
        _pool_entries,
    ),
    _Definition(
        "grace-window-age",
        "no grace window is open for longer than a leaf lives",
        "run grace_close",
        _window,
    ),
    _Definition(
        "ca-expiry",
        "no CA is about to end",
        "plan its replacement: every node has to be registered again before that day",
        _ca_expiry,
    ),
    _Definition(
        "server-expiry",
        "no server certificate is about to end",
        "renew it, or restart that replica when a start does that; a node refuses an expired one",
        _server_expiry,
    ),
    _Definition(
        "leaf-expiry",
        "no client certificate of a node is about to end",
        "register the node again; without a link it is what nodes_rescue is for",
        _leaf_expiry,
    ),
    _Definition(
        "node-pins",
        "every node pins the active CA and none that is retired",
        "run ca_rotate: it moves such nodes, and narrows their pins",
        _pins,
    ),
    _Definition(
        "served-certificate",
        "the CP serves nothing that Go refuses",
        "renew that certificate with what is missing; nodes are Go programs and refuse it",
        _served_well,
    ),
)
