# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Log lines of a rotation, classified and counted. A hint where to look, never proof: a handshake proves.

The documented drift line appears only when both CAs share a name *and* the Control Panel is the side that refuses; the
other direction is logged as a remote alert, and a client that finds no matching CA name shows no certificate at all.
A source address says little behind NAT.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .errors import InputError

#: What each class means, in the order in which they are tried. A line of no class is "other".
CLASSES = {
    "grace_boot": "the Control Panel loaded a legacy CA into its trust pool",
    "node_symptom": "a node says that the Control Panel no longer trusts it",
    "remote_alert": "the other side refused: in the Control Panel's log a node that does not trust its certificate",
    "no_certificate": "a client showed no certificate: a probe, or a Go client of a CA whose name was not advertised",
    "drift": "a client's certificate comes from an unknown CA; in a node's log, the Control Panel's does",
    "expired": "a certificate was out of its dates",
    "probe": "a client went away during the handshake, as health probes do",
}

#: The documented texts, as regular expressions without regard to case. Matched against what ``_plain`` makes of a line.
DEFAULT_PATTERNS = {
    "grace_boot": r"loaded additional trusted CA",
    "node_symptom": r"CC no longer trusts this node",
    "remote_alert": r"remote error: tls: ",
    "no_certificate": r"client didn'?t provide a certificate",
    "drift": r"x509: certificate signed by unknown authority|x509: ECDSA verification failure",
    "expired": r"x509: certificate has expired or is not yet valid",
    "probe": r"TLS handshake error.*(?:: EOF|connection reset by peer|i/o timeout|does not look like a TLS handshake)",
}

# Typography that people and log systems exchange for one another (the product's own line has U+2019 and U+2014), by
# code point because they look alike: quotation marks, hyphens and dashes, the no-break space.
_TYPOGRAPHY = {
    **dict.fromkeys((0x2018, 0x2019, 0x02BC), "'"),
    **dict.fromkeys((0x201C, 0x201D), '"'),
    **dict.fromkeys(range(0x2010, 0x2016), "-"),
    0x00A0: " ",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_SOURCE = re.compile(
    r"(?:\bfrom\s+|\b(?:remote|client|peer|src|source)(?:[_-]?(?:addr(?:ess)?|ip|host))?[\"']?\s*[=:]\s*[\"']?)"
    r"([0-9a-z:.\[\]%]*[0-9a-z\]])",
    re.I,
)
_KEPT = 300
#: A pattern with .* in it takes the square of a line's length, and a log may hold a line of megabytes.
_LOOKED_AT = 4096
_SHOWN_ADDRESSES = 5


@dataclass(frozen=True)
class LogClass:
    """``name`` is a key of CLASSES or "other"; ``source`` an IP address, or empty when the line names none."""

    name: str
    source: str = ""


@dataclass(frozen=True)
class LogCount:
    """``by_source`` counts by class and address, ``last`` has the last line of each class, cut to 300 characters.

    ``symptom_count`` is the count of "node_symptom". Lines of the class "other" are only counted, never kept.
    """

    lines: int
    by_class: Mapping[str, int]
    by_source: Mapping[str, Mapping[str, int]]
    symptom_count: int
    last: Mapping[str, str]


def compile_patterns(patterns: Mapping[str, str | None] | None = None) -> dict[str, re.Pattern[str]]:
    """The default patterns, with the operator's in their place (None or empty: the default). Raises InputError."""
    given = {name: text for name, text in (patterns or {}).items() if text}
    unknown = sorted(set(given) - set(CLASSES))
    if unknown:
        raise InputError(f"there is no class of log lines {', '.join(unknown)}, only {', '.join(CLASSES)}")
    compiled = {}
    for name in CLASSES:
        text = given.get(name, DEFAULT_PATTERNS[name])
        try:
            compiled[name] = re.compile(_plain(text), re.I)
        except re.error as error:
            raise InputError(f"the log pattern {text!r} for {name} is not a regular expression: {error}") from error
    return compiled


def classify(line: str, compiled: Mapping[str, re.Pattern[str]] | None = None) -> LogClass:
    """What one line says in its first 4096 characters, and about whom."""
    plain = _plain(line[:_LOOKED_AT])
    for name, pattern in (compiled or _DEFAULTS).items():
        if pattern.search(plain):
            return LogClass(name, _source(plain))
    return LogClass("other")


def count(text: str, *, patterns: Mapping[str, str | None] | None = None) -> LogCount:
    """Count a whole log. ``patterns`` replaces single patterns by class. Raises InputError for one that is broken."""
    compiled = compile_patterns(patterns)
    by_class: Counter[str] = Counter()
    by_source: dict[str, Counter[str]] = {}
    last: dict[str, str] = {}
    lines = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        lines += 1
        found = classify(line, compiled)
        by_class[found.name] += 1
        if found.name != "other":
            last[found.name] = _CONTROL.sub(" ", line).strip()[:_KEPT]
        if found.source:
            by_source.setdefault(found.name, Counter())[found.source] += 1
    return LogCount(
        lines=lines,
        by_class=dict(by_class),
        by_source={name: dict(sources) for name, sources in by_source.items()},
        symptom_count=by_class["node_symptom"],
        last=last,
    )


def outside(sources: Mapping[str, int], internal: Iterable[str]) -> dict[str, int]:
    """Those of the addresses in ``sources`` that lie in none of the ``internal`` networks. Raises InputError."""
    networks = []
    for text in internal:
        try:
            networks.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError as error:
            raise InputError(f"{text!r} is not a network in CIDR notation") from error
    return {address: number for address, number in sources.items() if not _inside(address, networks)}


def summary(counts: Mapping[str, int], outside_sources: Mapping[str, Mapping[str, int]]) -> str:
    """One line for people: the counts by class, and the addresses that are not internal."""
    seen = [f"{counts[name]} {name.replace('_', ' ')}" for name in CLASSES if counts.get(name)]
    if not seen:
        return "no line about handshakes in its log"
    line = "in its log: " + ", ".join(seen)
    addresses: Counter[str] = Counter()
    for found in outside_sources.values():
        addresses.update(found)
    if addresses:
        shown = [f"{address} ({number})" for address, number in addresses.most_common(_SHOWN_ADDRESSES)]
        more = len(addresses) - len(shown)
        line += "; from outside: " + ", ".join(shown) + (f" and {more} more" if more else "")
    return line + ". A hint where to look, no proof."


def _inside(address: str, networks: Collection[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)


def _plain(text: str) -> str:
    return text.translate(_TYPOGRAPHY)


def _source(line: str) -> str:
    for match in _SOURCE.finditer(line):
        address = _address(match.group(1))
        if address:
            return address
    return ""


def _address(token: str) -> str:
    """``1.2.3.4:567``, ``[::1%eth0]:567`` or a bare address, without port and zone; empty for anything else."""
    if token.startswith("["):
        token = token[1:].partition("]")[0]
    elif token.count(":") == 1:
        token = token.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(token.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


_DEFAULTS = compile_patterns()
