# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
from datetime import datetime

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import guardrails, guardrails_report
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.guardrails import (
    FAIL,
    PASS,
    UNKNOWN,
    VERDICTS,
    Certificate,
    Checked,
    Point,
    Rule,
)
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import DAY, NOW

ROOT = pathlib.Path(__file__).resolve().parents[5]
SCHEMA = json.loads((ROOT / "docs" / "guardrails.schema.json").read_text(encoding="utf-8"))


def rule(name: str, *points: Point) -> Rule:
    verdict = min((point.verdict for point in points), key=VERDICTS.index, default=UNKNOWN)
    return Rule(name, f"the title of {name}", verdict, points, () if verdict == PASS else ("mend it", "or not"))


CHECKED = Checked(
    (
        rule("auto-ca-gen", Point("cp1", PASS, "it is unset"), Point("cp2", PASS, "it is unset")),
        rule("node-pins", Point("n1", UNKNOWN, "no route"), Point("n2", FAIL, "old"), Point("n3", FAIL, "old"),
             Point("nodes", PASS, "1 of 4")),
        rule("ca-backup"),
    ),
    (
        Certificate("ca", "active CA 00", NOW + 3000 * DAY, DAY),
        Certificate("server", "cp1", NOW + 60 * DAY, DAY),
        *(Certificate("node", f"n{number}", NOW + number * DAY, DAY) for number in range(7, 0, -1)),
        Certificate("node", "late", NOW - DAY, DAY),
    ),
)  # fmt: skip


def test_what_is_broken_stands_first() -> None:
    assert guardrails_report.lines(CHECKED, NOW) == [
        "Guard rails: 1 pass, 1 unknown, 1 fail.",
        "FAIL node-pins: the title of node-pins. n2, n3: old; n1: no route. To do: mend it; or not",
        "unknown ca-backup: the title of ca-backup. Nothing was looked at. To do: mend it; or not",
        "pass auto-ca-gen: the title of auto-ca-gen. cp1, cp2: it is unset",
        "Expired: 0 CAs, 0 server certificates, 1 node (late)",
        "Expire within 30 days: 0 CAs, 0 server certificates, 7 nodes (n1, n2, n3, n4, n5 and 2 more)",
        "Expire within 90 days: 0 CAs, 1 server certificate (cp1), 7 nodes (n1, n2, n3, n4, n5 and 2 more)",
        "Expire within 365 days: 0 CAs, 1 server certificate (cp1), 7 nodes (n1, n2, n3, n4, n5 and 2 more)",
    ]
    assert guardrails_report.broken_lines(CHECKED) == ["node-pins (n2, n3: old; n1: no route)"]


def test_the_document() -> None:
    made = guardrails_report.document(CHECKED, NOW, {"id": "r1", "ticket": "CHG-1"})
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert (made["kept"], made["counts"]) == (False, {"fail": 1, "unknown": 1, "pass": 1})
    assert made["run"] == {"id": "r1", "started": "", "ticket": "CHG-1", "owner": ""}
    assert [row["within_days"] for row in made["horizons"]] == [0, 30, 90, 365]
    assert made["horizons"][1]["node_certificates"] == ["n1", "n2", "n3", "n4", "n5", "n6", "n7"]
    assert made["rules"][1]["found"][1] == {"subject": "n2", "verdict": "fail", "found": "old"}


def test_the_schema_knows_every_rule_in_its_order() -> None:
    ids = SCHEMA["properties"]["rules"]["items"]["properties"]["id"]["enum"]
    assert ids == [each.id for each in (*guardrails.RULES, *guardrails.WORKLOAD_RULES)]
    horizons = SCHEMA["properties"]["horizons"]["items"]["properties"]["within_days"]["enum"]
    assert horizons == [0, *guardrails.HORIZONS]


POINTS = st.builds(Point, st.text(min_size=1), st.sampled_from(VERDICTS), st.text(min_size=1))
IDS = st.sampled_from([each.id for each in (*guardrails.RULES, *guardrails.WORKLOAD_RULES)])
ENDS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=NOW.tzinfo))
CERTIFICATES = st.builds(
    Certificate, st.sampled_from(["ca", "server", "node"]), st.text(min_size=1), ENDS, st.just(DAY)
)


@given(st.lists(st.builds(lambda name, points: rule(name, *points), IDS, st.lists(POINTS))), st.lists(CERTIFICATES))
def test_whatever_was_found_has_the_published_shape(rules: list[Rule], certificates: list[Certificate]) -> None:
    checked = Checked(tuple(rules), tuple(certificates))
    made = guardrails_report.document(checked, NOW, {})
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    shown = guardrails_report.lines(checked, NOW)
    assert len(shown) == 1 + len(rules) + 4
    assert made["kept"] == (not any(line.startswith("FAIL ") for line in shown))
    # What is not known is said of every rule, and what to do about it.
    assert sum(line.startswith("unknown ") for line in shown) == made["counts"]["unknown"]
