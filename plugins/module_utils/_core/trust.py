# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Who may be trusted: whether a certificate may become a legacy CA, and which CA the Control Panel serves from.

A CA certificate found anywhere (a backup, a node's pin, a captured header) is a claim. Whoever controls one node could
plant a CA and mint identities for the whole fleet, so a claim counts only with the leaves of a quorum of nodes behind
it, or with an operator who names its SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .certificates import Bundle, Certificate, normalise_fingerprint, signed_by

_SHOWN = 5
_BROKEN_HASHES = frozenset(("md5", "sha1"))
_SERVER_USAGES = frozenset(("1.3.6.1.5.5.7.3.1", "2.5.29.37.0"))  # serverAuth, anyExtendedKeyUsage


@dataclass(frozen=True)
class QuorumVerdict:
    """``witnesses``: nodes whose leaves the candidate signed. ``against``: nodes whose leaves no CA here signed."""

    accepted: bool
    witnesses: tuple[str, ...]
    against: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class PreflightRow:
    """One CA as OpenSSL and Go will look it up. ``problems`` is empty when it can work."""

    sha256: str
    subject: str
    ski: str | None
    aki: str | None
    problems: tuple[str, ...]


def same_ca(one: Certificate, other: Certificate) -> bool:
    """Whether both are the same CA: name and key. A renewal over the same key is the same CA, whatever its digest."""
    return one.spki_sha256 == other.spki_sha256 and one.subject_der == other.subject_der


def judge_ca(cert: Certificate, *, bundle: Bundle | None, active: Certificate | None, now: datetime) -> tuple[str, ...]:
    """Every reason to refuse ``cert`` as a legacy CA, found in ``bundle``'s file. Empty when there is none."""
    reasons = []
    if not cert.is_ca:
        reasons.append("it is not a CA certificate (no CA:TRUE)")
    if cert.key_usage is not None and "keyCertSign" not in cert.key_usage:
        reasons.append("its key usage does not allow signing certificates (no keyCertSign)")
    if cert.not_after < now:
        reasons.append(f"it expired on {cert.not_after:%Y-%m-%d}, which no verifier forgives: use nodes_rescue")
    if cert.not_before > now:
        reasons.append(f"it is not valid before {cert.not_before:%Y-%m-%dT%H:%M:%SZ}")
    if active is not None and cert.sha256 == active.sha256:
        reasons.append("it is the active CA")
    elif active is not None and same_ca(cert, active):
        reasons.append("it is the active CA under another date: name and key are the same, so its leaves are accepted")
    if bundle is not None and bundle.has_private_key:
        reasons.append("there is a private key in its file: hand in the certificate alone")
    if bundle is not None and len(bundle.certificates) > 1:
        reasons.append(f"there are {len(bundle.certificates)} certificates in its file: hand in one a file")
    return tuple(reasons)


def quorum(
    candidate: Certificate,
    leaves: Mapping[str, Certificate],
    *,
    active: Certificate | None,
    accepted: Sequence[Certificate],
    minimum: int,
    named: Collection[str],
) -> QuorumVerdict:
    """Whether the leaves of the nodes that answered prove ``candidate`` to be the CA that they came from.

    Only nodes count whose leaf was signed neither by the active CA nor by a CA that is accepted already: all of those
    must be witnesses, and at least ``minimum``. Copies of one leaf are one witness: one machine can have many names.
    ``named`` holds SHA-256 fingerprints given by the operator, in any form; a named candidate needs no witness.
    """
    settled = [ca for ca in accepted if not same_ca(ca, candidate)]
    if active is not None:
        settled.append(active)
    open_leaves = {
        node: leaf for node, leaf in sorted(leaves.items()) if not any(signed_by(leaf, ca) for ca in settled)
    }
    witnesses = tuple(node for node, leaf in open_leaves.items() if signed_by(leaf, candidate))
    against = tuple(node for node in open_leaves if node not in witnesses)
    distinct = len({open_leaves[node].spki_sha256 for node in witnesses})
    if candidate.sha256 in {normalise_fingerprint(each) for each in named}:
        return QuorumVerdict(True, witnesses, against, "its SHA-256 is named by the operator")
    remedy = f"name its SHA-256 ({candidate.fingerprint}) if you know it to be yours"
    stands = f"it signed the leaf certificates of {_nodes(witnesses)}"
    if not witnesses:
        reason = f"it signed the leaf certificate of no node that still needs it: {remedy}"
    elif against:
        reason = f"{stands}, but neither it nor an accepted CA signed those of {_nodes(against)}: {remedy}"
    elif distinct < max(1, minimum):
        reason = f"{stands}, {distinct} different one(s), and {minimum} are needed: {remedy}"
    else:
        return QuorumVerdict(True, witnesses, against, stands)
    return QuorumVerdict(False, witnesses, against, reason)


def serving_world(
    chain: Sequence[Certificate], active: Certificate | None, legacies: Iterable[Certificate], now: datetime
) -> str:
    """Which CA the Control Panel serves from, by the chain that it showed, its own leaf first.

    W1 a legacy CA, W2 the active CA, W3 neither, W4 both: what the leaf chains to is signed by one, and some of it by
    the other. "unknown" without a chain or without knowing the active CA. Signatures count, not names.
    """
    if not chain or active is None:
        return "unknown"
    others = [ca for ca in legacies if not same_ca(ca, active)]
    # What is not valid now leads nowhere, but when all is expired it is still worth telling whose it was.
    for moment in (now, None):
        path = _path(chain, moment)
        by_active = _leads_to(path, [active], moment)
        by_legacy = _leads_to(path, others, moment)
        if by_active or by_legacy:
            return "W4" if by_active and by_legacy else "W2" if by_active else "W1"
    return "W3"


def refused_by_go(
    which: str, *, names: Sequence[str] | None, usages: Collection[str] | None, signature_hash: str | None
) -> list[str]:
    """Why a node in Go does not take a certificate of a server's chain, whatever OpenSSL makes of it. Empty: it does.

    ``which`` names it. ``names``: its subject alternative names, ``usages``: its extended key usages as dotted object
    identifiers (None: the extension is missing), ``signature_hash``: None where no signature counts, as on a root.
    """
    reasons = []
    if not names:
        reasons.append(f"{which} has no subject alternative name")
    if signature_hash in _BROKEN_HASHES:
        reasons.append(f"{which} is signed with {str(signature_hash).upper()}")
    if usages is not None and not _SERVER_USAGES & set(usages):
        reasons.append(f"the extended key usage of {which} is not that of a server")
    return reasons


def preflight_table(cas: Iterable[Certificate], leaves: Iterable[Certificate] = ()) -> list[PreflightRow]:
    """Names and key ids of all CAs that will be trusted at the same time, with what cannot work.

    OpenSSL takes the first CA of the issuer's name unless the key ids tell it which one (openssl#16304), so of CAs that
    share a name each needs a subject key id, and each leaf an authority key id.
    """
    known = {ca.sha256: ca for ca in cas}
    signed = list(leaves)
    return [
        PreflightRow(ca.sha256, ca.subject, ca.ski, ca.aki, tuple(_problems(ca, list(known.values()), signed)))
        for ca in known.values()
    ]


def _problems(ca: Certificate, cas: Sequence[Certificate], leaves: Sequence[Certificate]) -> list[str]:
    problems = []
    if not ca.is_ca:
        problems.append("it is not a CA certificate (no CA:TRUE)")
    if ca.self_signed and ca.ski and ca.aki and ca.ski != ca.aki:
        problems.append(
            "its authority key id is not its own subject key id, so OpenSSL does not take it for its own issuer"
        )
    twins = [other for other in cas if other.subject_der == ca.subject_der and other.spki_sha256 != ca.spki_sha256]
    if not twins:
        return problems
    if ca.ski is None:
        problems.append(f"it shares its name with {len(twins)} other CA(s) and has no subject key id")
    elif any(other.ski == ca.ski for other in twins):
        problems.append("it shares its name and its subject key id with another CA of another key")
    unmarked = sum(1 for leaf in leaves if leaf.aki is None and signed_by(leaf, ca))
    if unmarked:
        problems.append(f"it shares its name with another CA, and {unmarked} of its leaves have no authority key id")
    return problems


def _path(chain: Sequence[Certificate], moment: datetime | None) -> list[Certificate]:
    """The leaf, and those of the served CA certificates through which it can be verified."""
    path = [chain[0]]
    rest = [cert for cert in chain[1:] if cert.is_ca and _valid(cert, moment)]
    for cert in path:  # grows while it is walked
        path.extend(found for found in rest if found not in path and signed_by(cert, found))
    return path


def _leads_to(path: Sequence[Certificate], cas: Sequence[Certificate], moment: datetime | None) -> bool:
    return any(_valid(ca, moment) and any(signed_by(cert, ca) for cert in path) for ca in cas)


def _valid(cert: Certificate, moment: datetime | None) -> bool:
    return moment is None or cert.not_before <= moment <= cert.not_after


def _nodes(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} node(s) ({shown}{more})"
