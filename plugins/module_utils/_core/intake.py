# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""From what the evidence modules returned to the evidence that the plan reads.

The modules' results are plain JSON (see the return values of node_info, cp_info and fleet_info). Here the certificates
in them are checked against each other: who really signed whom is found out by verifying signatures, never by names.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import shapes, trust
from .certificates import Certificate, from_der, parse_bundle, purpose, signers
from .errors import InputError
from .evidence import Ca, Claim, Evidence, Node, PoolEntry, Registry, Replica, Settings
from .registry import Instance, parse_time
from .waivers import Waiver

Json = Mapping[str, Any]

_FILE = {"path": shapes.Needed(str), "sha256": [str], "pem": [str], "error": str}
_PEM = {"pem": shapes.Needed(str)}
_PAIR = {"pem": shapes.Needed(str), "usable": bool, "sample": str, "error": str}
#: What is read of the return values of node_info, cp_info and fleet_info (times are checked where they are read).
_NODE = {
    "reachable": bool,
    "error": str,
    "clock_skew": float,
    "kept_identity": bool,
    "kept_leaf": {"der": str, "signed_by": [str], "error": str},
    "pin": {"sha256": [str], "error": str},
    "leaf": {"der": str, "signed_by": [str], "issuer": str, "error": str},
    "handshake": {"to_cp": str, "to_cp_detail": str, "to_node": str, "to_node_detail": str, "trust": str},
    "sample": {"verdict": str, "detail": str},
    "agent": {"status": str, "detail": str},
    "log": {"symptom_count": int},
}
_REPLICA = {
    "address": str,
    "listening": bool,
    "error": str,
    "listener_error": str,
    "active_ca_error": str,
    "active_ca": _PEM,
    "chain": [_PEM],
    "acceptable_ca_count": int,
    "auto_ca_gen": bool,
    "ours": [str],
    "pool": {"raw": str, "entries": [_FILE], "error": str},
    "boot": {"loaded_count": int, "since_boot": bool},
    "legacy_dir": [_FILE],
    "staged": _PAIR,
    "previous": _PAIR,
    "revoked": [_FILE],
    "active_key_matches": bool,
}
_ROW = {
    "id": shapes.Needed(str),
    "name": shapes.Needed(str),
    "status": str,
    "tenant": str,
    "active": bool,
}
_REGISTRY = {
    "source": str,
    "complete": bool,
    "incomplete_reason": str,
    "error": str,
    "instances": [_ROW],
    "arrived": [str],
    "missing": [str],
}


@dataclass(frozen=True)
class RawClaim:
    """A file, header dump or pin that is said to hold the legacy CA. ``data`` is what was read from ``source``."""

    source: str
    data: bytes


@dataclass(frozen=True)
class Raw:
    """Everything that was gathered, unjudged.

    ``nodes`` and ``replicas``: inventory name to the module's result (an empty mapping: nothing was gathered).
    ``identities``: inventory name to (instance id or "", instance name). ``named``: SHA-256 digests that the operator
    vouches for. ``retirable_paths``: prefixes (ending in "/") or whole paths of pool entries that are ours to retire.
    ``beats_from``: "registry" or "agent". ``hosts``: replica to the inventory host by which it is changed, where that
    has another name.
    """

    nodes: Mapping[str, Json]
    replicas: Mapping[str, Json]
    registry: Json | None
    claims: tuple[RawClaim, ...] = ()
    identities: Mapping[str, tuple[str, str]] | None = None
    named: frozenset[str] = frozenset()
    retirable_paths: tuple[str, ...] = ()
    quorum: int = 2
    heartbeat_interval: timedelta = timedelta(seconds=60)
    beats_from: str = "registry"
    waivers: tuple[Waiver, ...] = ()
    witnesses: tuple[Certificate, ...] = ()
    notes: tuple[str, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)


class Catalogue:
    """Every CA certificate seen, by digest. Gives a CA its key, and a leaf its real signers."""

    def __init__(self) -> None:
        self._certificates: dict[str, Certificate] = {}
        self._signers: dict[str, frozenset[str]] = {}

    def add(self, certificates: Iterable[Certificate]) -> None:
        for certificate in certificates:
            self._certificates.setdefault(certificate.sha256, certificate)

    def key(self, sha256: str) -> str:
        known = self._certificates.get(sha256)
        return known.spki_sha256 if known else sha256

    def knows(self, sha256: str) -> bool:
        return sha256 in self._certificates

    def keys(self, digests: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.key(digest) for digest in digests))

    def signers(self, leaf: Certificate) -> frozenset[str]:
        if leaf.sha256 not in self._signers:
            found = signers(leaf, self._certificates.values())
            self._signers[leaf.sha256] = frozenset(self.key(digest) for digest in found)
        return self._signers[leaf.sha256]

    def certificates(self) -> tuple[Certificate, ...]:
        return tuple(self._certificates.values())

    def cas(self, best: Sequence[str]) -> dict[str, Ca]:
        """By key; of several certificates over one key the latest in ``best`` (digests), else the longest-lived."""
        found: dict[str, Ca] = {}
        rank = {digest: number for number, digest in enumerate(best)}
        for cert in sorted(
            self._certificates.values(), key=lambda item: (rank.get(item.sha256, -1), item.not_after, item.sha256)
        ):
            found[cert.spki_sha256] = Ca(cert.spki_sha256, cert.sha256, cert.subject, cert.not_before, cert.not_after)
        return found

    def pem(self, sha256: str) -> str:
        return self._certificates[sha256].pem()


#: What is said of a replica of which nothing is known, by whether there is any result at all.
NOT_EXAMINED = {False: "not examined in this run", True: ""}


@dataclass(frozen=True)
class Intake:
    """The evidence, and the certificates that its keys stand for. ``server_sample``: a server certificate by the staged
    CA (PEM), for nodes to try. ``leaves_marked``: all leaves that were seen have an authority key id."""

    evidence: Evidence
    catalogue: Catalogue
    server_sample: str = ""
    leaves_marked: bool = True

    def pem(self, key: str) -> str:
        return self.catalogue.pem(self.evidence.cas[key].sha256)


def gather(raw: Raw, settings: Settings, now: datetime) -> Intake:
    """Judge what was gathered. InputError when a result does not have the documented shape."""
    _check(raw)
    catalogue = Catalogue()
    actives = [_active(result) for result in raw.replicas.values()]
    active = next((cert for cert in actives if cert is not None), None)
    for result in raw.replicas.values():
        catalogue.add(_replica_cas(result))
    leaves = {name: leaf for name, result in raw.nodes.items() for leaf in [_leaf(result)] if leaf is not None}
    pooled = [c for result in raw.replicas.values() for entry in _pool_entries(result) for c in _pems(entry.get("pem"))]
    claims = _judge(raw, catalogue, leaves, active, pooled, now)
    catalogue.add(_signers_of_kept(raw))
    registry = _registry(raw.registry, now)
    identities = raw.identities or {}
    nodes: list[Node] = []
    matched: set[int] = set()
    for name in raw.nodes:
        instances = _instances_of(identities.get(name, ("", name)), registry)
        matched.update(id(instance) for instance in instances)
        nodes.append(_node(name, raw, catalogue, leaves.get(name), instances, registry))
    known = registry.instances if registry else ()
    active_key = active.spki_sha256 if active else None
    believed = [
        c
        for c in catalogue.certificates()
        if c.spki_sha256 != active_key
        and c.spki_sha256 in {k.key for k in claims if not k.refusals} | {p.spki_sha256 for p in pooled}
    ]
    evidence = Evidence(
        now=now,
        active=active_key,
        cas=catalogue.cas(
            [c.sha256 for c in pooled]
            + [claim.sha256 for claim in claims if not claim.refusals]
            + ([active.sha256] if active else [])
        ),
        claims=claims,
        replicas=tuple(_replica(n, r, catalogue, active, believed, raw, now) for n, r in raw.replicas.items()),
        nodes=tuple(nodes),
        strangers=tuple(i for i in known if i.active and id(i) not in matched),
        registry=registry,
        waivers=raw.waivers,
        settings=settings,
        switched_at=settings.switched_at or _switch(raw, leaves, active),
        notes=raw.notes + _preflight(active, believed, leaves),
        revoked=frozenset(
            str(digest)
            for result in raw.replicas.values()
            for entry in result.get("revoked") or ()
            for digest in entry.get("sha256") or ()
        ),
    )
    samples = [str(result["staged"].get("sample") or "") for result in raw.replicas.values() if result.get("staged")]
    marked = all(leaf.aki is not None for leaf in leaves.values())
    return Intake(evidence, catalogue, next(filter(None, samples), ""), marked)


def _check(raw: Raw) -> None:
    for name, result in raw.nodes.items():
        shapes.check(result, _NODE, f"the evidence of {name}")
    for name, result in raw.replicas.items():
        shapes.check(result, _REPLICA, f"the evidence of replica {name}")
    if raw.registry is not None:
        shapes.check(raw.registry, _REGISTRY, "the registry")


def _preflight(
    active: Certificate | None, believed: Sequence[Certificate], leaves: Mapping[str, Certificate]
) -> tuple[str, ...]:
    """What some verifiers cannot tell apart among the CAs that are trusted at the same time (openssl#16304)."""
    return tuple(
        f"CA {row.sha256[:16]} ({row.subject}, subject key id {row.ski or 'none'}, authority key id"
        f" {row.aki or 'none'}):"
        f" {problem}; OpenSSL may take the wrong one of them"
        for row in trust.preflight_table([*([active] if active else []), *believed], leaves.values())
        for problem in row.problems
    )


def _pems(texts: Sequence[str] | None) -> list[Certificate]:
    # What is no text in UTF-8 is no PEM either.
    return [cert for text in texts or () for cert in parse_bundle(text.encode("utf-8", "replace")).certificates]


def _active(result: Json) -> Certificate | None:
    shown = result.get("active_ca")
    if not shown:
        return None
    found = _pems([shown["pem"]])
    if not found:
        raise InputError("the evidence of a replica: active_ca.pem holds no certificate")
    return found[0]


def _pool_entries(result: Json) -> Sequence[Json]:
    return (result.get("pool") or {}).get("entries") or ()


def _replica_cas(result: Json) -> list[Certificate]:
    active = _active(result)
    found = [active] if active else []
    for entry in list(_pool_entries(result)):
        found += _pems(entry.get("pem"))
    for entry in result.get("revoked") or ():
        found += _pems(entry.get("pem"))
    return [*found, *_beside(result, "staged"), *_beside(result, "previous")]


def _beside(result: Json, name: str) -> list[Certificate]:
    """The certificate of a whole pair beside the active one. Only root can have put it there."""
    shown = result.get(name)
    return _pems([shown["pem"]]) if shown and shown.get("usable") else []


def _leaf(result: Json, name: str = "leaf") -> Certificate | None:
    text = (result.get(name) or {}).get("der")
    if not text:
        return None
    try:
        return from_der(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the evidence of a node: {name}.der is not base64 ({error})") from None


def _signers_of_kept(raw: Raw) -> list[Certificate]:
    """After the strip a CA may be nowhere but in a file beside the CP, and a node still keep an identity by it."""
    kept = [leaf for result in raw.nodes.values() for leaf in [_leaf(result, "kept_leaf")] if leaf is not None]
    beside = [
        cert
        for result in raw.replicas.values()
        for entry in result.get("legacy_dir") or ()
        for cert in _pems(entry.get("pem"))
    ]
    return [cert for cert in beside if any(signers(leaf, [cert]) for leaf in kept)]


def _judge(
    raw: Raw,
    catalogue: Catalogue,
    leaves: Mapping[str, Certificate],
    active: Certificate | None,
    pooled: Sequence[Certificate],
    now: datetime,
) -> tuple[Claim, ...]:
    """Judge every claim, the one with most witnesses first: an accepted CA no longer counts against the next.

    The same certificate from another place is another claim: that one file is bad says nothing about a good copy.
    """
    votes = dict(leaves)
    votes.update({f"header leaf {cert.sha256[:16]}": cert for cert in raw.witnesses})
    offered: list[tuple[RawClaim, Any, Certificate]] = []
    unreadable: list[Claim] = []
    for claim in [*raw.claims, *_found_beside_the_cp(raw, votes)]:
        try:
            bundle = parse_bundle(claim.data)
        except InputError as error:
            unreadable.append(Claim("", "", claim.source, (str(error),)))
            continue
        for cert in bundle.certificates:
            if active is None or cert.spki_sha256 != active.spki_sha256:
                offered.append((claim, bundle, cert))
    counted = [
        (sum(1 for leaf in votes.values() if signers(leaf, [c])), claim, bundle, c) for claim, bundle, c in offered
    ]
    accepted: list[Certificate] = list(pooled)
    # Whoever can put a CA's key beside the CP's own has no need to plant a CA.
    own = {cert.sha256 for result in raw.replicas.values() for cert in _beside(result, "previous")}
    judged: dict[tuple[str, tuple[str, ...]], Claim] = {}
    for _witnesses, claim, bundle, cert in sorted(counted, key=lambda row: (-row[0], row[3].sha256)):
        if (cert.sha256, ()) in judged:
            continue
        refusals = trust.judge_ca(cert, bundle=bundle, active=active, now=now)
        outdated = cert.not_after < now and len(refusals) == 1
        unfit = bool(refusals)
        verdict = trust.quorum(cert, votes, active=active, accepted=accepted, minimum=raw.quorum, named=raw.named | own)
        if not verdict.accepted:
            refusals += (verdict.reason,)
        catalogue.add([cert])
        judged.setdefault(
            (cert.sha256, refusals),
            Claim(
                cert.spki_sha256,
                cert.sha256,
                claim.source,
                refusals,
                verdict.witnesses,
                outdated and verdict.accepted,
                unfit,
            ),
        )
        if not refusals:
            accepted.append(cert)
    return (*judged.values(), *unreadable)


def _found_beside_the_cp(raw: Raw, votes: Mapping[str, Certificate]) -> list[RawClaim]:
    """Files that lie in the legacy directory or as ca.crt.old, and the pair before this one: claims too, as far as they
    signed any leaf or are named."""
    files = [
        RawClaim(f"{name}:{entry['path']}", cert.pem().encode())
        for name, result in raw.replicas.items()
        for entry in result.get("legacy_dir") or ()
        for cert in _pems(entry.get("pem"))
        if cert.sha256 in raw.named or any(signers(leaf, [cert]) for leaf in votes.values())
    ]
    return files + [
        RawClaim(f"{name}: the pair before this one", cert.pem().encode())
        for name, result in raw.replicas.items()
        for cert in _beside(result, "previous")
        if any(signers(leaf, [cert]) for leaf in votes.values())
    ]


def _registry(result: Json | None, now: datetime) -> Registry | None:
    if result is None:
        return None
    return Registry(
        # Without a time it is of no use to the gate, which asks how old it is.
        taken_at=_time(result.get("taken_at")) or datetime.fromtimestamp(0, now.tzinfo),
        clock=_time(result.get("clock")),
        source=str(result.get("source", "")),
        instances=tuple(
            Instance(
                id=str(item["id"]),
                name=str(item["name"]),
                status=str(item.get("status") or ""),
                last_seen=_time(item.get("last_seen")),
                tenant=str(item.get("tenant") or ""),
                active=bool(item.get("active")),
            )
            for item in result.get("instances") or ()
        ),
        complete=bool(result.get("complete")),
        incomplete_reason=str(result.get("incomplete_reason") or ""),
        waited_for=frozenset(str(n) for n in (result.get("arrived") or []))
        | frozenset(str(n) for n in (result.get("missing") or [])),
        arrived=frozenset(str(n) for n in result.get("arrived") or ()),
        error=str(result.get("error") or ""),
    )


def _instances_of(identity: tuple[str, str], registry: Registry | None) -> tuple[Instance, ...]:
    """The registry's entries for one node. Several: the node was registered again under a new id."""
    if registry is None:
        return ()
    wanted_id, wanted_name = identity
    if wanted_id:
        return tuple(i for i in registry.instances if i.id == wanted_id)
    return tuple(i for i in registry.instances if i.name == wanted_name)


def _beat(name: str, raw: Raw, result: Json, instances: Sequence[Instance], registry: Registry | None) -> bool | None:
    """Whether the agent's own heartbeat reaches the CP. Times are compared on the CP's clock only."""
    if raw.beats_from == "agent":
        status = (result.get("agent") or {}).get("status")
        return {"connected": True, "disconnected": False}.get(str(status))
    if registry is None or registry.clock is None or not instances:
        return None
    if name in registry.waited_for:
        return name in registry.arrived
    seen = [instance.last_seen for instance in instances if instance.last_seen is not None]
    return bool(seen) and registry.clock - max(seen) <= 3 * raw.heartbeat_interval


def _node(
    name: str,
    raw: Raw,
    catalogue: Catalogue,
    leaf: Certificate | None,
    instances: tuple[Instance, ...],
    registry: Registry | None,
) -> Node:
    result = raw.nodes[name]
    if not result:
        return Node(name, instances=instances)
    if not result.get("reachable"):
        return Node(
            name,
            examined=True,
            error=str(result.get("error") or ""),
            taken_at=_time(result.get("taken_at")),
            instances=instances,
        )
    pin, shown, shake = result.get("pin") or {}, result.get("leaf") or {}, result.get("handshake") or {}
    agent, log = result.get("agent") or {}, result.get("log") or {}
    signing = [str(digest) for digest in shown.get("signed_by") or ()]
    known = (catalogue.signers(leaf) if leaf else frozenset()) | frozenset(
        catalogue.key(digest) for digest in signing if catalogue.knows(digest)
    )
    # A pin that signed the leaf as a known CA did has that CA's key: it is the same CA, renewed over its key.
    renewed = dict.fromkeys((d for d in signing if not catalogue.knows(d)), *known) if len(known) == 1 else {}
    pins = [str(digest) for digest in pin.get("sha256") or ()]
    copied, kept = result.get("kept_leaf") or {}, _leaf(result, "kept_leaf")
    return Node(
        name=name,
        examined=True,
        reachable=True,
        error=str(result.get("error") or ""),
        taken_at=_time(result.get("taken_at")),
        pins=tuple(dict.fromkeys(renewed.get(digest) or catalogue.key(digest) for digest in pins)),
        pin_error=str(pin.get("error") or ""),
        leaf_by=known | frozenset(renewed.get(digest) or catalogue.key(digest) for digest in signing),
        leaf_error=str(shown.get("error") or ""),
        leaf_issuer=str(shown.get("issuer") or ""),
        leaf_not_before=_time(shown.get("not_before")),
        leaf_not_after=_time(shown.get("not_after")),
        to_cp=str(shake.get("to_cp") or "unknown"),
        to_cp_detail=str(shake.get("to_cp_detail") or ""),
        to_node=str(shake.get("to_node") or "unknown"),
        to_node_detail=str(shake.get("to_node_detail") or ""),
        server_trust=str(shake.get("trust") or ""),
        sample=str((result.get("sample") or {}).get("verdict") or "unknown"),
        sample_detail=str((result.get("sample") or {}).get("detail") or ""),
        agent=str(agent.get("status") or "unknown"),
        agent_detail=str(agent.get("detail") or ""),
        symptom_count=log.get("symptom_count"),
        clock_skew=result.get("clock_skew"),
        kept_identity=bool(result.get("kept_identity")),
        kept_by=(catalogue.signers(kept) if kept else frozenset())
        | frozenset(catalogue.key(str(digest)) for digest in copied.get("signed_by") or ()),
        kept_not_after=_time(copied.get("not_after")),
        instances=instances,
        beat=_beat(name, raw, result, instances, registry),
    )


def _replica(
    name: str,
    result: Json,
    catalogue: Catalogue,
    active: Certificate | None,
    believed: Sequence[Certificate],
    raw: Raw,
    now: datetime,
) -> Replica:
    chain = tuple(cert for shown in result.get("chain") or () for cert in _pems([shown["pem"]]))
    own = _active(result)
    boot = result.get("boot") or {}
    pool = result.get("pool") or {}
    world = trust.serving_world(chain, active, believed, now) if chain else "unknown"
    return Replica(
        name=name,
        address=str(result.get("address") or ""),
        listening=bool(result.get("listening")),
        error=str(
            result.get("error")
            or result.get("listener_error")
            or result.get("active_ca_error")
            or NOT_EXAMINED[bool(result)]
        ),
        world=world,
        serving_root=_serving_root(world, chain, active, believed),
        active=own.spki_sha256 if own else None,
        pool=tuple(
            _entry(entry, catalogue, raw, [str(path) for path in result.get("ours") or ()])
            for entry in _pool_entries(result)
        ),
        pool_error=str(pool.get("error") or ""),
        advertised=result.get("acceptable_ca_count"),
        # A count that may span several boots says nothing about this process.
        loaded=boot.get("loaded_count") if boot.get("since_boot") else None,
        taken_at=_time(result.get("taken_at")),
        auto_ca_gen=result.get("auto_ca_gen"),
        beside={
            _single(entry, catalogue): str(entry["path"])
            for entry in result.get("legacy_dir") or ()
            if not entry.get("error") and len(entry.get("sha256") or ()) == 1
        },
        active_sha256=own.sha256 if own else None,
        named=tuple(element.strip() for element in str(pool.get("raw") or "").split(",")),
        staged=_pair_key(result, "staged"),
        staged_error=_pair_error(result),
        previous=_pair_key(result, "previous"),
        key_matches=result.get("active_key_matches"),
        refused_by_go=_refused_by_go(chain[0]) if chain else (),
        runs_on=raw.hosts.get(name, ""),
    )


def _refused_by_go(own: Certificate) -> tuple[str, ...]:
    extensions = purpose(own)
    which = f"its certificate ({own.subject})"
    found = trust.refused_by_go(
        which, names=extensions.names, usages=extensions.usages, signature_hash=own.signature_hash
    )
    return tuple(found)


def _pair_key(result: Json, name: str) -> str | None:
    return next((cert.spki_sha256 for cert in _beside(result, name)), None)


def _pair_error(result: Json) -> str:
    shown = result.get("staged")
    if not shown or shown.get("usable"):
        return ""
    return str(shown.get("error") or "") or "its key is missing, or does not belong to its certificate"


def _serving_root(
    world: str, chain: Sequence[Certificate], active: Certificate | None, believed: Sequence[Certificate]
) -> str | None:
    if world in {"W2", "W4"} and active is not None:
        return active.spki_sha256
    if world == "W1":
        pool = [*chain[1:], *believed]
        roots = {cert.spki_sha256 for cert in believed}
        for cert in chain:
            for signer in sorted(signers(cert, pool)):
                key = next(c.spki_sha256 for c in pool if c.sha256 == signer)
                if key in roots:
                    return key
    return None


def _single(entry: Json, catalogue: Catalogue) -> str:
    return catalogue.key(str(entry["sha256"][0]))


def _entry(entry: Json, catalogue: Catalogue, raw: Raw, ours_here: Sequence[str]) -> PoolEntry:
    path = str(entry.get("path") or "")
    digests = [str(digest) for digest in entry.get("sha256") or ()]
    places = [*raw.retirable_paths, *ours_here]
    ours = any(path.startswith(place) if place.endswith("/") else path == place for place in places)
    return PoolEntry(
        path=path,
        keys=catalogue.keys(digests),
        error=str(entry.get("error") or ""),
        since=_time(entry.get("since")),
        retirable=ours or bool(digests and set(digests) <= raw.named),
        digests=tuple(digests),
    )


def _switch(raw: Raw, leaves: Mapping[str, Certificate], active: Certificate | None) -> datetime | None:
    """The earliest sign of life of the active CA as a signer. Its own not_before is none: a CA may be minted early."""
    if active is None:
        return None
    shown = [
        c for result in raw.replicas.values() for entry in result.get("chain") or () for c in _pems([entry["pem"]])
    ]
    signed = [c.not_before for c in [*leaves.values(), *shown] if not c.is_ca and signers(c, [active])]
    return min(signed) if signed else None


def _time(value: Any) -> datetime | None:
    return parse_time(value, "a time in the evidence")
