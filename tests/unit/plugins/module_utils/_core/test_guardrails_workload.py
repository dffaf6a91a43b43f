# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import guardrails, guardrails_workload
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.guardrails_workload import (
    Claim,
    Flag,
    Workload,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.verdicts import FAIL, PASS, UNKNOWN, Point

CLAIM = Claim("certs", True, "", "Bound", ("ReadWriteMany",), "fast", "pv-1", "Retain")
GOOD = Workload("Deployment q/cc", "", 2, "/certs", "persistentVolumeClaim", "certs", (CLAIM,))
UNREAD = Workload(error="the API forbids get deployments")


def one(points: t.Iterable[Point]) -> tuple[str, str, str]:
    [point] = points
    assert point.subject == "cp"
    return point.verdict, point.found, point.remedy


@pytest.mark.parametrize(
    ("kind", "verdict", "words"),
    [
        ("persistentVolumeClaim", PASS, "/certs is on the persistentVolumeClaim volume certs"),
        ("volumeClaimTemplate", PASS, "/certs is on the volumeClaimTemplate volume certs"),
        ("nfs", PASS, "/certs is on the nfs volume certs"),
        ("secret", PASS, "/certs is on the secret volume certs"),
        ("none", FAIL, "/certs is on no volume: gone with the container"),
        ("emptyDir", FAIL, "/certs is on the emptyDir volume certs: gone with the pod"),
        ("ephemeral", FAIL, "/certs is on the ephemeral volume certs: gone with the pod"),
        ("configMap", FAIL, "/certs is on the configMap volume certs: gone with the pod"),
        (
            "hostPath", FAIL,
            "/certs is on the hostPath volume certs: a pod on another machine finds another directory",
        ),
        ("csi", UNKNOWN, "/certs is on the csi volume certs, of which it is not known whether it lasts"),
    ],
)  # fmt: skip
def test_the_volume(kind: str, verdict: str, words: str) -> None:
    point = guardrails_workload.on_volume("cp/a", replace(GOOD, kind=kind))
    assert (point.subject, point.verdict, point.found) == ("cp/a", verdict, words)
    assert bool(point.remedy) is (verdict != PASS)


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({}, PASS, "the claim certs is bound to the volume pv-1"),
        ({"phase": "Pending"}, FAIL, "expected the claim certs to be Bound, found Pending"),
        ({"phase": ""}, FAIL, "expected the claim certs to be Bound, found no phase"),
        ({"phase": "Lost"}, FAIL, "the claim certs has lost its volume pv-1"),
        ({"found": False}, FAIL, "there is no claim certs"),
        ({"found": False, "error": "forbidden"}, UNKNOWN, "the claim certs was not read: forbidden"),
    ],
)
def test_a_claim_is_bound(more: dict[str, t.Any], verdict: str, words: str) -> None:
    found = {"cp": replace(GOOD, claims=(replace(CLAIM, **more),))}
    assert one(guardrails_workload.bound(found))[:2] == (verdict, words)


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({}, PASS, "the volume pv-1 of the claim certs has the reclaim policy Retain"),
        (
            {"reclaim_policy": "Delete"}, FAIL,
            "the volume pv-1 of the claim certs has the reclaim policy Delete: whoever deletes the claim, or its"
            " namespace, deletes the CA",
        ),
        (
            {"reclaim_policy": "Recycle"}, FAIL,
            "the volume pv-1 of the claim certs has the reclaim policy Recycle: whoever deletes the claim, or its"
            " namespace, deletes the CA",
        ),
        (
            {"reclaim_policy": "", "volume_error": "forbidden"}, UNKNOWN,
            "the volume pv-1 of the claim certs was not read: forbidden",
        ),
        (
            {"reclaim_policy": ""}, UNKNOWN,
            "expected the volume pv-1 of the claim certs to have a reclaim policy, found none",
        ),
        ({"volume": "", "reclaim_policy": ""}, UNKNOWN, "the claim certs has no volume yet"),
        ({"error": "forbidden"}, UNKNOWN, "the claim certs was not read: forbidden"),
    ],
)  # fmt: skip
def test_the_reclaim_policy(more: dict[str, t.Any], verdict: str, words: str) -> None:
    found = {"cp": replace(GOOD, claims=(replace(CLAIM, **more),))}
    assert one(guardrails_workload.reclaim(found))[:2] == (verdict, words)


def test_the_remedy_for_a_reclaim_policy_is_a_command() -> None:
    found = {"cp": replace(GOOD, claims=(replace(CLAIM, reclaim_policy="Delete"),))}
    assert one(guardrails_workload.reclaim(found))[2] == (
        """run kubectl patch persistentvolume pv-1 -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'"""
    )


def test_the_access_mode() -> None:
    assert one(guardrails_workload.access({"cp": GOOD}))[:2] == (PASS, "2 replicas on ReadWriteMany")
    wrong = replace(GOOD, conflicts=("it does not fit",))
    assert one(guardrails_workload.access({"cp": wrong}))[:2] == (FAIL, "it does not fit")
    hidden = replace(GOOD, claims=(replace(CLAIM, error="forbidden"),))
    assert one(guardrails_workload.access({"cp": hidden}))[:2] == (UNKNOWN, "the claim certs was not read: forbidden")


def test_a_ca_on_no_claim_is_for_another_rule() -> None:
    lost = {"cp": replace(GOOD, kind="emptyDir", claims=())}
    assert one(guardrails_workload.bound(lost))[:2] == (PASS, "/certs is on no claim")
    assert one(guardrails_workload.reclaim(lost))[:2] == (PASS, "/certs is on no claim")
    assert one(guardrails_workload.access(lost))[:2] == (PASS, "2 replicas on no claim")


@pytest.mark.parametrize(
    ("workload", "words"),
    [(UNREAD, "the API forbids get deployments"), (Workload("x"), "the volume of its certificates was not looked at")],
)
def test_what_nobody_looked_at_is_not_known(workload: Workload, words: str) -> None:
    for rule in (guardrails_workload.bound, guardrails_workload.reclaim, guardrails_workload.access):
        assert one(rule({"cp": workload}))[:2] == (UNKNOWN, words)


def test_who_may_make_a_ca() -> None:
    def said(*flags: Flag) -> list[tuple[str, str]]:
        found = guardrails_workload.flags("cp", replace(GOOD, flags=flags))
        return [(point.verdict, point.found) for point in found]

    fine = (PASS, "no container of Deployment q/cc has it set to true")
    assert said() == said(Flag("cc", "the workload's own env", False)) == [fine]
    source = "the key a of the ConfigMap b (envFrom)"
    words = f"init container migrate: CC_ALLOW_AUTO_CA_GEN is true, from {source}"
    assert said(Flag("migrate", source, True, init=True)) == [(FAIL, words)]
    assert said(Flag("cc", "the workload's own env", False), Flag("cc", source, True, hidden=True)) == [
        (FAIL, f"container cc: CC_ALLOW_AUTO_CA_GEN is true, from {source}, which another source hides for now")
    ]
    assert said(Flag("cc", "a field of the pod", None)) == [
        (UNKNOWN, "container cc: CC_ALLOW_AUTO_CA_GEN comes from a field of the pod: its value is not known")
    ]
    assert said(Flag("cc", "the Secret s", None, error="forbidden")) == [
        (UNKNOWN, "container cc: the Secret s was not read: forbidden")
    ]
    assert one(guardrails_workload.flags("cp", UNREAD))[:2] == (UNKNOWN, UNREAD.error)


TEXTS = st.sampled_from(["", "x"])
CLAIMS = st.builds(
    Claim, st.just("certs"), st.booleans(), TEXTS, st.sampled_from(["", "Bound", "Pending", "Lost"]),
    st.sampled_from([(), ("ReadWriteMany",)]), TEXTS, TEXTS, st.sampled_from(["", "Retain", "Delete"]), TEXTS,
)  # fmt: skip
FLAGS = st.builds(Flag, st.just("cc"), st.just("env"), st.none() | st.booleans(), st.booleans(), st.booleans(), TEXTS)


@given(
    st.builds(
        Workload, st.just("w"), TEXTS, st.integers(0, 3), st.just("/certs"),
        st.sampled_from(["", "none", "persistentVolumeClaim", "emptyDir", "csi"]), st.just("certs"),
        st.lists(CLAIMS, max_size=2).map(tuple), st.sampled_from([(), ("no",)]), st.lists(FLAGS, max_size=3).map(tuple),
    )
)  # fmt: skip
def test_each_rule_says_something_of_each_workload_and_fails_by_nothing_that_was_not_seen(workload: Workload) -> None:
    found = {"cp": workload}
    for points in (
        list(guardrails_workload.bound(found)),
        list(guardrails_workload.reclaim(found)),
        list(guardrails_workload.access(found)),
        list(guardrails_workload.flags("cp", workload)),
    ):
        assert points and all(point.found and point.subject == "cp" for point in points)
    seen = [each for each in workload.claims if not each.error]
    failed = {point.found for point in guardrails_workload.reclaim(found) if point.verdict == FAIL}
    assert bool(failed) == any(
        each.reclaim_policy == "Delete" and each.volume and not each.volume_error for each in seen
    )
    made = [point.verdict for point in guardrails_workload.flags("cp", workload)]
    wanted = not workload.error and any(flag.on and not flag.error for flag in workload.flags)
    assert (FAIL in made) == wanted


def test_the_rules_are_there_with_a_workload_only() -> None:
    ids = [each.id for each in guardrails.WORKLOAD_RULES]
    assert ids == ["claim-bound", "reclaim-policy", "access-mode"]
    assert not {*ids} & {each.id for each in guardrails.RULES}
    assert all(each.title and each.remedy for each in guardrails.WORKLOAD_RULES)
