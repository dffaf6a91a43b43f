# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import plan, report
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Claim, Evidence, Settings
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.states import STATES
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import (
    ACTIVE,
    DAY,
    NOW,
    OLD,
    OVER,
    PLANTED,
    SWITCHED,
    THEIRS,
    ca,
    entry,
    evidence,
    instance,
    legacy,
    node,
    registry,
    replica,
    unreachable,
    waiver,
)
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.test_gate import any_evidence

ROOT = pathlib.Path(__file__).resolve().parents[5]
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

RUN = {
    "id": "20260504T120000Z-1",
    "started": "2026-05-04T12:00:00Z",
    "ticket": "CHG-1",
    "owner": "ops",
    "halt": "",
    "negative_proof": [
        {
            "node": "n1",
            "replica": "cp1",
            "accepted_before": True,
            "after": "refused",
            "detail": "alert 42",
            "at": "2026-05-04T12:00:40Z",
        }
    ],
}
BUSY = evidence(
    node("n1", pins=(ACTIVE, OLD), clock_skew=-3.5),
    legacy("n2", to_node="refused", to_node_detail="alert 42", beat=False),
    unreachable("n3"),
    node("n4", instances=(instance("n4", id="a"), instance("n4", id="b", last_seen=None))),
    claims=(
        Claim(OLD, OLD, "backup"),
        Claim(PLANTED, PLANTED, "n2's pin", ("it signed one leaf only",)),
        Claim(OVER, OVER, "an old backup", ("it expired on 2026-05-03",), outdated=True),
    ),
    cas={**{key: ca(key) for key in (ACTIVE, OLD, PLANTED, THEIRS)}, OVER: ca(OVER, until=NOW - DAY)},
    replicas=(replica(pool=[entry(OLD, since=NOW - DAY)], advertised=2, loaded=1), replica("cp2", listening=False)),
    strangers=(instance("s1", last_seen=None),),
    waivers=(waiver("n3"),),
)


def document(seen: Evidence, goal: str = "rotate", run: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    return report.document(plan.make(seen), seen, goal=goal, extra=RUN if run is None else run)


def objects(schema: t.Any, path: str = "$") -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from objects(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value, path)


class TestSchema:
    def test_it_is_a_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        assert SCHEMA["properties"]["schema_version"] == {
            "description": SCHEMA["properties"]["schema_version"]["description"],
            "const": report.SCHEMA_VERSION,
        }

    def test_it_forbids_unknown_keys_and_asks_for_all_known_ones(self) -> None:
        found = dict(objects(SCHEMA))
        assert len(found) >= 12
        for path, schema in found.items():
            if "propertyNames" in schema:
                continue  # a mapping of states, not a record
            assert schema.get("additionalProperties") is False, path
            assert set(schema["required"]) == set(schema["properties"]), path

    def test_everything_is_described(self) -> None:
        for path, schema in objects(SCHEMA):
            for key, value in schema.get("properties", {}).items():
                assert value.get("description"), f"{path}.{key}"

    def test_its_words_are_the_codes_words(self) -> None:
        assert SCHEMA["$defs"]["state"]["enum"] == list(STATES)
        assert SCHEMA["properties"]["goal"]["enum"] == list(report.GOALS)
        assert set(SCHEMA["properties"]["world"]["enum"]) == set(plan.WORLDS)

    @pytest.mark.parametrize("goal", report.GOALS)
    def test_a_busy_document_keeps_to_it(self, goal: str) -> None:
        found = document(BUSY, goal)
        VALIDATOR.validate(json.loads(json.dumps(found)))
        for key in ("cas", "replicas", "nodes", "not_in_inventory", "duplicates", "waivers", "negative_proof"):
            assert found[key], f"{key} is empty, so nothing was held against the schema"
        assert found["gate"]["blocked"]

    @pytest.mark.parametrize(
        "where", [[], ["run"], ["grace_window"], ["gate"], ["nodes", 0], ["cas", 0], ["replicas", 0]]
    )
    def test_it_refuses_what_it_does_not_know(self, where: list[t.Any]) -> None:
        found = document(BUSY)
        place: t.Any = found
        for step in where:
            place = place[step]
        place["unheard_of"] = 1
        with pytest.raises(jsonschema.ValidationError, match="unheard_of"):
            VALIDATOR.validate(found)
        del place["unheard_of"]
        place.pop(next(iter(place)))
        with pytest.raises(jsonschema.ValidationError, match="is a required property"):
            VALIDATOR.validate(found)

    @settings(max_examples=80, deadline=None)
    @given(any_evidence(), st.sampled_from(report.GOALS), st.sampled_from([RUN, {}, {"halt": "the canary failed: n1"}]))
    def test_every_document_keeps_to_it(self, seen: Evidence, goal: str, run: dict[str, t.Any]) -> None:
        VALIDATOR.validate(json.loads(json.dumps(document(seen, goal, run))))


class TestDocument:
    def test_a_ca_and_its_role(self) -> None:
        roles = {item["key"]: item["role"] for item in document(BUSY)["cas"]}
        assert roles == {ACTIVE: "active", OLD: "legacy", PLANTED: "refused", OVER: "expired", THEIRS: "unknown"}
        before = replace(BUSY, replicas=(replica(),))
        assert {i["key"]: i["role"] for i in document(before)["cas"]}[OLD] == "candidate"

    def test_the_grace_window(self) -> None:
        assert document(BUSY)["grace_window"] == {
            "open": True,
            "since": "2026-05-03T12:00:00Z",
            "age_seconds": 86400,
            "last_legacy_leaf_expires": "2026-07-23T12:00:00Z",
        }
        assert document(evidence(node()))["grace_window"] == {
            "open": False, "since": None, "age_seconds": None, "last_legacy_leaf_expires": None,
        }  # fmt: skip

    def test_somebody_elses_entry_is_no_grace_window(self) -> None:
        theirs = (replica(pool=[entry(THEIRS, retirable=False)]),)
        assert document(evidence(node(), replicas=theirs))["grace_window"]["open"] is False
        used = evidence(legacy("n1", THEIRS), replicas=theirs)
        assert document(used)["grace_window"]["open"] is True

    def test_active_duplicates_are_listed(self) -> None:
        assert document(BUSY)["duplicates"] == [{"name": "n4", "ids": ["a", "b"]}]
        gone = node(instances=(instance("n1", id="a"), instance("n1", id="b", active=False)))
        assert document(evidence(gone))["duplicates"] == []

    def test_a_halt_comes_first_and_nothing_is_finished(self) -> None:
        found = document(evidence(node()), run={"halt": "the canary failed: n1"})
        assert found["finished"] is False
        assert found["unfinished"] == ["the canary failed: n1"]


class TestUnfinished:
    def rest(self, seen: Evidence, goal: str) -> list[str]:
        return report.unfinished(plan.make(seen), seen, goal)

    @pytest.mark.parametrize("goal", report.GOALS)
    def test_nothing_is_left_of_a_fleet_in_order(self, goal: str) -> None:
        assert self.rest(evidence(node()), goal) == []

    @pytest.mark.parametrize(
        ("seen", "goals"),
        [
            (evidence(legacy(), claims=(Claim(OLD, OLD, "backup"),)), set(report.GOALS) - {"rescue"}),
            (evidence(legacy(), replicas=(replica(pool=[entry(OLD)]),)), {"drift", "reregister", "close", "rotate"}),
            (evidence(unreachable()), {"drift", "reregister", "close", "rotate", "rescue"}),
            (evidence(node(kept_identity=True), replicas=(replica(pool=[entry(OLD)]),)), {"drift", "close", "rotate"}),
            (evidence(node(pins=(ACTIVE, OLD))), {"drift", "close", "rotate"}),
            (evidence(node(), registry=None), {"close", "rotate"}),
            (evidence(node(), strangers=(instance("s1"),)), {"drift", "close", "rotate"}),
            (evidence(node(), replicas=(replica(world="W1"),)), {"drift", "close", "rotate"}),
            (evidence(node(), replicas=()), set(report.GOALS)),
        ],
    )  # fmt: skip
    def test_what_each_goal_asks_for(self, seen: Evidence, goals: set[str]) -> None:
        # A revocation has a plan of its own, see below; so have a planned rotation and the way back.
        own = {"revoke", "replace", "rollback"}
        assert {goal for goal in report.GOALS if self.rest(seen, goal)} - own == goals - own

    def test_a_waived_node_is_no_work(self) -> None:
        assert self.rest(evidence(node("n2"), unreachable(), waivers=(waiver("n1"),)), "rotate") == []

    def test_a_reachable_node_with_an_expired_leaf_is_work_although_the_gate_lets_it_pass(self) -> None:
        seen = evidence(legacy(leaf_not_after=NOW - DAY, to_node="refused", beat=False))
        assert plan.make(seen).gate.open
        assert self.rest(seen, "rotate") == ["n1: expired, its client certificate has expired"]

    def test_a_node_that_is_gone_is_no_work(self) -> None:
        assert self.rest(evidence(node("n2"), unreachable(instances=())), "rotate") == []


class TestLines:
    def test_the_plan_as_it_is_read_before_anything_is_touched(self) -> None:
        seen = evidence(*(legacy(f"n{number}") for number in range(3)), claims=(Claim(OLD, OLD, "backup"),))
        lines = report.plan_lines(plan.make(seen), seen)
        assert lines[0] == "World W2: the CP serves from the active CA. Phase: drifted."
        assert lines[2] == "Fleet: 3 nodes: 3 legacy"
        steps = [line.split(". ", 1)[1] for line in lines if line[0].isdigit()]
        assert [step.split(" ")[0] for step in steps] == ["place", "open", "try", "push", "re-register", "when"]
        assert "n0, n1 keep a copy for the negative proof" in steps[4]

    def test_the_steps_of_w1_and_of_agents_without_bundles(self) -> None:
        pooled = (replica(world="W1", pool=[entry(OLD)]),)
        seen = evidence(legacy(), replicas=pooled)
        seen = replace(seen, settings=replace(seen.settings, flip_possible=True))
        text = "\n".join(report.plan_lines(plan.make(seen), seen))
        assert "renew the server certificate from the active CA: cp1" in text
        assert "when the gate opens, close the grace window: cp1" in text
        seen = evidence(legacy(), claims=(Claim(OLD, OLD, "backup"),))
        seen = replace(seen, settings=replace(seen.settings, pin_bundle="never"))
        assert "leave without a link until their turn: n1" in "\n".join(report.plan_lines(plan.make(seen), seen))

    @pytest.mark.parametrize(
        ("goal", "own", "left"),
        [
            ("open", "place open", ["nodes_reregister: try push re-register", "grace_close: when"]),
            ("reregister", "try push re-register", ["grace_open: place open", "grace_close: when"]),
            ("rescue", "try push re-register", ["grace_open: place open", "grace_close: when"]),
            ("close", "when", ["grace_open: place open", "nodes_reregister: try push re-register"]),
            ("drift", "place open try push re-register when", []),
        ],
    )
    def test_a_part_of_the_job_shows_its_own_steps_and_who_does_the_others(
        self, goal: str, own: str, left: list[str]
    ) -> None:
        seen = evidence(*(legacy(f"n{number}") for number in range(3)), claims=(Claim(OLD, OLD, "backup"),))
        lines = report.plan_lines(plan.make(seen), seen, goal)
        assert " ".join(line.split()[1] for line in lines if line[0].isdigit()) == own
        elsewhere: dict[str, list[str]] = {}
        for doer, step, *_rest in (line.split()[2:] for line in lines if line.startswith("Left to ")):
            elsewhere.setdefault(doer, []).append(step)
        assert [f"{doer} {' '.join(steps)}" for doer, steps in elsewhere.items()] == left

    def test_a_part_with_nothing_of_its_own(self) -> None:
        pooled = (replica(pool=[entry(OLD)]),)
        seen = evidence(legacy(pins=[ACTIVE]), replicas=pooled)
        lines = report.plan_lines(plan.make(seen), seen, "open")
        done = lines.index("Nothing to do.")
        assert lines[done + 1].startswith("Left to nodes_reregister: re-register 1 node")

    def test_the_window_alone_brings_no_link_back_where_nodes_refuse_the_cp(self) -> None:
        seen = evidence(*(legacy(f"n{number}") for number in range(3)), claims=(Claim(OLD, OLD, "backup"),))
        text = (
            "the grace window alone brings no link back to 3 nodes: they refuse the CP until nodes_reregister has"
            " written their pins"
        )
        made = plan.make(seen)
        assert f"Warning: {text}" in report.plan_lines(made, seen, "open")
        assert report.document(made, seen, goal="open", extra={})["warnings"][-1] == text
        assert text not in report.warnings(made, "rotate") + report.warnings(made, "reregister")

    def test_what_a_part_does_not_do_costs_nothing(self) -> None:
        pooled = (replica(pool=[entry(OLD)]),)
        seen = evidence(legacy(pins=[ACTIVE]), replicas=pooled, waivers=(waiver("n1"),))
        made = plan.make(seen)
        acts = {goal: {item.act for item in report.costs(made, seen, goal)} for goal in ("open", "close", "rotate")}
        assert acts == {"open": set(), "close": {"close_window"}, "rotate": {"close_window"}}

    def test_nothing_to_do(self) -> None:
        assert report.plan_lines(plan.make(evidence(node())), evidence(node()))[-1] == "Nothing to do."

    def test_a_blocked_gate_names_everything(self) -> None:
        seen = evidence(node(), unreachable("n2"), switched_at=NOW - timedelta(days=1))
        lines = report.gate_lines(plan.make(seen).gate)
        assert lines[0].startswith("The gate is closed")
        assert lines[1] == (
            "- n2: unreachable; no route; last seen 2026-05-04T12:00:00Z; leaf expires not known;"
            " free at 2026-08-01T12:05:00Z; bring the host back, or give it a waiver"
        )

    def test_an_open_gate(self) -> None:
        assert report.gate_lines(plan.make(evidence(node())).gate) == ["The gate is open: 1 node proven."]
        waived = evidence(node(), unreachable("n2"), waivers=(waiver("n2"),))
        assert report.gate_lines(plan.make(waived).gate) == ["The gate is open: 1 node proven (n2 by waiver)."]

    def test_drift_lines_put_the_worst_last_and_leave_out_what_is_current(self) -> None:
        seen = evidence(unreachable("a"), legacy("b"), node("c"))
        assert [line.split(";")[0] for line in report.drift_lines(plan.make(seen), seen)] == [
            "b: legacy",
            "a: unreachable",
        ]

    def test_the_summary_of_a_finished_run(self) -> None:
        seen = evidence(node(), waivers=(waiver("n9"),), registry=registry(instance("n1")))
        made = plan.make(seen)
        lines = report.summary_lines(made, seen, report.document(made, seen, goal="rotate", extra=RUN))
        assert lines == [
            "Fleet: 1 nodes: 1 current.",
            "Nodes whose certificate is by a legacy CA: 0.",
            "Grace window: closed",
            "Negative proof: the legacy identity of n1 is refused by cp1 (alert 42), and was accepted before",
            "Waiver: n9 until 2026-05-05T12:00:00Z, in storage (ops)",
            "Finished.",
        ]


class TestRevocation:
    BAD = Settings(compromised=frozenset({OLD}), revoking=True, compromised_at=SWITCHED - timedelta(days=20))

    def document(self, *nodes: t.Any, run: dict[str, t.Any] | None = None, **more: t.Any) -> dict[str, t.Any]:
        seen = evidence(*nodes, settings=self.BAD, **more)
        return report.document(plan.make_revoke(seen), seen, goal="revoke", extra={**RUN, **(run or {})})

    def test_how_long_the_ca_was_trusted_on_is_measured_to_the_last_replica(self) -> None:
        asked = {"cp1": "2026-05-04T12:01:00Z", "cp2": "2026-05-04T12:02:00Z"}
        proofs = [{**RUN["negative_proof"][0], "replica": name, "at": at} for name, at in asked.items()]
        both = (replica("cp1"), replica("cp2"))
        run = {"negative_proof": proofs, "revocation": {"worked": True, "tokens": "revoked"}}
        found = self.document(node(), replicas=both, run=run)
        assert (found["revocation"]["seconds_to_untrust"], found["finished"]) == (120, True)
        assert found["revocation"]["untrusted"] == asked
        VALIDATOR.validate(json.loads(json.dumps(found)))
        lines = report.summary_lines(plan.make(evidence(node())), evidence(node()), found)
        assert "Time to untrust, until the last replica refused it: 120 s from the start of the run." in lines
        assert "Registration tokens: revoked." in lines

    def test_a_replica_without_a_refusal_is_not_proven(self) -> None:
        run = {"revocation": {"worked": True, "tokens": "revoked", "problems": ["cp2: found accepted"]}}
        found = self.document(node(), replicas=(replica("cp1"), replica("cp2")), run=run)
        assert found["unfinished"] == [
            "cp2: found accepted",
            "not proven: no identity of the compromised CA was shown to be refused by cp2",
        ]
        assert found["revocation"]["seconds_to_untrust"] is None
        nothing_to_do = self.document(node(), run={"negative_proof": [], "revocation": {"tokens": "confirmed"}})
        assert nothing_to_do["finished"] is True

    def test_an_identity_that_is_still_kept_was_not_shown_to_be_refused(self) -> None:
        """Also when a later run has nothing else to do: it is kept until the proof has been made."""
        keeper = node("n1", kept_identity=True, kept_by=frozenset({OLD}), kept_not_after=NOW + DAY)
        found = self.document(keeper, run={"negative_proof": [], "revocation": {"tokens": "confirmed"}})
        assert found["finished"] is False and found["unfinished"][0].startswith("not proven: ")
        failed = [{**RUN["negative_proof"][0], "replica": "cp1", "after": "unknown"}]
        seen = evidence(keeper, settings=self.BAD)
        assert report.proof_failed(seen, {"negative_proof": failed})
        assert report.proof_failed(seen, {"revocation": {"problems": ["cp1: not shown"]}})
        assert not report.proof_failed(seen, {"negative_proof": [{**failed[0], "after": "refused"}]})
        assert not report.proof_failed(seen, {})

    def test_behind_a_balancer_every_try_must_have_been_refused(self) -> None:
        """For nodes that have no way to the pods: it speaks for all of them, and for no replica of another host."""
        seen = evidence(node(), settings=self.BAD)
        [name] = {replica.host for replica in seen.replicas}
        tries = [{**RUN["negative_proof"][0], "replica": f"{name}/balancer", "after": "refused"}] * 2
        assert not report.proof_failed(seen, {"negative_proof": tries})
        for after in ("accepted", "unknown"):
            assert report.proof_failed(seen, {"negative_proof": [*tries, {**tries[0], "after": after}]})
        assert report.proof_failed(seen, {"negative_proof": [{**tries[0], "replica": "other/balancer"}]})

    def test_tokens_are_open_until_somebody_says_otherwise(self) -> None:
        found = self.document(node(), run={"revocation": {"worked": True, "tokens": "open"}})
        assert found["revocation"]["tokens"] == "open"
        assert "run this again with quazzar_tokens_revoked: true" in found["unfinished"][0]

    def test_young_leaves_by_that_ca_are_named(self) -> None:
        young = legacy("n2", leaf_not_before=SWITCHED - DAY)
        found = self.document(legacy("n1", leaf_not_before=SWITCHED - timedelta(days=30)), young)
        assert [item["node"] for item in found["revocation"]["suspicious_leaves"]] == ["n2"]
        assert [line.split(":")[0] for line in found["unfinished"][:2]] == ["n1", "n2"]

    def test_young_leaves_are_remembered_from_before_the_nodes_were_moved(self) -> None:
        seen_first = [{"node": "n1", "not_before": "2026-05-03T00:00:00Z"}]
        run = {"revocation": {"worked": True, "tokens": "confirmed", "leaves": seen_first}}
        late = legacy("n2", leaf_not_before=SWITCHED - DAY)
        found = self.document(node("n1"), late, run=run)["revocation"]["suspicious_leaves"]
        assert [item["node"] for item in found] == ["n1", "n2"] and found[0] == seen_first[0]

    @pytest.mark.parametrize(
        ("nodes", "line"),
        [
            ([node("n1", taken_at=NOW)], "Its pins: no node holds one, seen "),
            ([node("n1"), node("n2", pins=(OLD, ACTIVE))], "Its pins: still held by n2."),
            ([node("n1"), unreachable("n2")], "Its pins: not known of n2."),
        ],
    )
    def test_where_a_forged_control_panel_would_be_believed(self, nodes: list[t.Any], line: str) -> None:
        found = self.document(*nodes, run={"revocation": {"tokens": "revoked", "token_ids": ["tok_1"]}})
        VALIDATOR.validate(json.loads(json.dumps(found)))
        lines = report.summary_lines(plan.make(evidence(node())), evidence(node()), found)
        assert any(text.startswith(line) for text in lines), lines
        assert "Registration tokens: revoked by request, tok_1; any other is as good as before." in lines

    def test_what_still_trusts_it_is_named(self) -> None:
        foreign_entry = entry(OLD, retirable=False, path="/etc/old.pem")
        stuck = replica("cp2", advertised=2)
        found = self.document(node(), replicas=(replica("cp1", pool=[foreign_entry]), stuck))
        assert "replica cp1: the compromised CA is still in the trust pool (/etc/old.pem)" in found["unfinished"]
        assert "replica cp2: the compromised CA is still in the trust pool (in memory only)" in found["unfinished"]


def many(number: int) -> dict[str, t.Any]:
    nodes = [
        {"name": f"n{n:05}", "state": "current" if n % 2 else "stranded", "reason": "x" * 60} for n in range(number)
    ]
    blocked = [{"node": node["name"], "reason": "y" * 60} for node in nodes if node["state"] != "current"]
    return {"goal": "close", "finished": False, "nodes": nodes, "gate": {"open": False, "blocked": blocked}}


def test_an_artefact_of_a_small_fleet_is_the_report() -> None:
    assert report.artefact(many(100)) == {**many(100), "left_out": {}}


def test_an_artefact_of_a_large_fleet_keeps_what_needs_attention() -> None:
    made = report.artefact(many(10_000))
    assert len(json.dumps(made)) <= report.ARTEFACT
    assert made["finished"] is False and made["gate"]["open"] is False
    assert {node["state"] for node in made["nodes"]} == {"stranded"} and len(made["nodes"]) == 1000
    assert made["left_out"] == {"nodes": 9000, "gate.blocked": 4000}


def test_what_an_artefact_says_as_the_report_does_and_what_it_shortens() -> None:
    """The page on AWX says so: docs/awx.md."""
    whole = document(evidence(*(legacy(f"n{number:04}") for number in range(1000)), registry=None), "close")
    made = report.artefact(whole)
    for key in ("finished", "counts"):
        assert made[key] == whole[key], key
    assert whole["gate"]["reasons"] and not whole["gate"]["open"]
    assert {key: made["gate"][key] for key in ("open", "reasons")} == {
        key: whole["gate"][key] for key in ("open", "reasons")
    }
    assert {"nodes", "unfinished", "gate.blocked"} <= set(made["left_out"])
    for place, number in made["left_out"].items():
        found, full = made, whole
        for key in place.split("."):
            found, full = found[key], full[key]
        assert len(found) + number == len(full), place
    page = (ROOT / "docs" / "awx.md").read_text(encoding="utf-8")
    assert "`finished`, `counts`, `gate.open`" in page


@given(st.integers(0, 200), st.integers(2_000, 20_000))
def test_an_artefact_has_never_more_characters_than_it_may(number: int, limit: int) -> None:
    made = report.artefact(many(number), limit)
    assert len(json.dumps(made)) <= limit
    assert len(made["nodes"]) + made["left_out"].get("nodes", 0) == number


def test_a_slice_answers_for_its_own_nodes_alone() -> None:
    seen = evidence(legacy("a", to_node="refused", beat=False), unreachable("b"))
    assert {line.split(":")[0] for line in report.unfinished(plan.make(seen), seen, "reregister")} >= {"a", "b"}
    sliced = replace(seen, settings=replace(seen.settings, share=frozenset({"a"})))
    lines = report.unfinished(plan.make(sliced), sliced, "reregister")
    assert [line for line in lines if line.startswith("b:")] == []
    assert [line for line in lines if line.startswith("a:")]
    # what asks for the whole fleet is not made smaller by it
    assert [line for line in report.unfinished(plan.make(sliced), sliced, "close") if line.startswith("b:")]
