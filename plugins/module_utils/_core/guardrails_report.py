# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What was checked, for people (lines) and for programs (a JSON document with a schema)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .guardrails import HORIZONS, Certificate, Checked, Rule, ends_within
from .registry import format_time
from .verdicts import FAIL, PASS, UNKNOWN, VERDICTS, Point, count, names

#: Of the JSON document; the schema is docs/guardrails.schema.json.
SCHEMA_VERSION = "1.0"

#: What a kind of certificate is called, one and several, and its key in the document.
_KINDS = {
    "ca": ("CA", "CAs", "cas"),
    "server": ("server certificate", "server certificates", "server_certificates"),
    "node": ("node", "nodes", "node_certificates"),
}
_WORDS = {FAIL: "FAIL", UNKNOWN: "unknown", PASS: "pass"}


def lines(checked: Checked, now: datetime) -> list[str]:
    """What is broken first, then what is not known, then the rest, and what ends when."""
    numbers = ", ".join(f"{sum(1 for rule in checked.rules if rule.verdict == word)} {word}" for word in VERDICTS[::-1])
    shown = sorted(checked.rules, key=lambda rule: VERDICTS.index(rule.verdict))
    return [
        f"Guard rails: {numbers}.",
        *(_rule(rule) for rule in shown),
        *(_horizon(checked, now, days) for days in (0, *HORIZONS)),
    ]


def broken_lines(checked: Checked) -> list[str]:
    """Each rule that is broken, for the message with which a run fails."""
    return [f"{rule.id} ({_points(rule)})" for rule in checked.broken]


def _rule(rule: Rule) -> str:
    remedy = f". To do: {'; '.join(rule.remedies)}" if rule.remedies else ""
    return f"{_WORDS[rule.verdict]} {rule.id}: {rule.title}. {_points(rule) or 'Nothing was looked at'}{remedy}"


def _points(rule: Rule) -> str:
    """Only what decides: of a broken rule what breaks it and what is not known. The same words once for all of them."""
    decisive = [point for point in rule.points if point.verdict != PASS] or list(rule.points)
    subjects: dict[tuple[str, str], list[Point]] = {}
    for point in sorted(decisive, key=lambda point: VERDICTS.index(point.verdict)):
        subjects.setdefault((point.verdict, point.found), []).append(point)
    return "; ".join(
        f"{names([point.subject for point in points])}: {found}" for (_verdict, found), points in subjects.items()
    )


def _horizon(checked: Checked, now: datetime, days: int) -> str:
    parts = []
    for kind, (one, many, _key) in _KINDS.items():
        ending = _of(kind, checked, now, days)
        parts.append(count(len(ending), one, many) + (f" ({names([cert.name for cert in ending])})" if ending else ""))
    return f"{f'Expire within {days} days' if days else 'Expired'}: {', '.join(parts)}"


def _of(kind: str, checked: Checked, now: datetime, days: int) -> list[Certificate]:
    ending = ends_within((cert for cert in checked.certificates if cert.kind == kind), now, days)
    return sorted(ending, key=lambda cert: (cert.not_after, cert.name))


def document(checked: Checked, now: datetime, run: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON document. ``run``: id, start, ticket and owner, as far as they are known."""
    return {
        "schema_version": SCHEMA_VERSION,
        "goal": "guardrails",
        "taken_at": format_time(now),
        "run": {key: str(run.get(key) or "") for key in ("id", "started", "ticket", "owner")},
        "kept": not checked.broken,
        "counts": {word: sum(1 for rule in checked.rules if rule.verdict == word) for word in VERDICTS},
        "rules": [
            {
                "id": rule.id,
                "title": rule.title,
                "verdict": rule.verdict,
                "found": [
                    {"subject": point.subject, "verdict": point.verdict, "found": point.found} for point in rule.points
                ],
                "remedies": list(rule.remedies),
            }
            for rule in checked.rules
        ],
        "horizons": [
            {
                "within_days": days,
                **{
                    key: [cert.name for cert in _of(kind, checked, now, days)]
                    for kind, (*_words, key) in _KINDS.items()
                },
            }
            for days in (0, *HORIZONS)
        ],
        "certificates": [
            {"kind": cert.kind, "name": cert.name, "not_after": format_time(cert.not_after)}
            for cert in checked.certificates
        ],
    }
