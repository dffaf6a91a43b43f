# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import typing as t
from datetime import timedelta
from functools import cache

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import intake, plan
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.certificates import signers
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Settings
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import format_time
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import NOW, Minted, make_ca, make_leaf

Json = dict[str, t.Any]
DAY = timedelta(days=1)

OLD = make_ca(not_before=NOW - 400 * DAY)
NEW = make_ca(not_before=NOW - 30 * DAY)
PLANTED = make_ca(not_before=NOW - 2 * DAY)
OLDER = make_ca(not_before=NOW - 800 * DAY)


@cache
def leaf(ca: Minted, name: str, days_ago: float = 10, days: int = 90) -> Minted:
    return make_leaf(ca, name, not_before=NOW - days_ago * DAY, days=days)


def seen(
    pins: t.Sequence[Minted], own: Minted | None, *, cas: t.Sequence[Minted] = (), der: bool = True, **more: t.Any
) -> Json:
    """What node_info returns."""
    known = [ca.cert for ca in (*pins, *cas)]
    shown: Json = {
        "sha256": "",
        "issuer": "",
        "not_before": "",
        "not_after": "",
        "der": "",
        "signed_by": [],
        "error": "",
    }
    if own is None:
        shown["error"] = "/client.crt: no such file"
    else:
        shown.update(
            sha256=own.cert.sha256, issuer=own.cert.issuer, not_before=format_time(own.cert.not_before),
            not_after=format_time(own.cert.not_after), signed_by=sorted(signers(own.cert, known)),
            der=base64.b64encode(own.der).decode() if der else "",
        )  # fmt: skip
    return {
        "taken_at": format_time(NOW), "reachable": True, "error": "",
        "pin": {"sha256": [ca.cert.sha256 for ca in pins], "form": "pem", "error": ""}, "leaf": shown,
        "handshake": {"to_cp": "ok", "to_cp_detail": "", "to_node": "accepted", "to_node_detail": ""},
        "agent": {"status": "connected", "needs_registration": None, "detail": ""},
        "log": {"symptom_count": 0, "error": ""}, "clock_skew": 0.5, "kept_identity": False, **more,
    }  # fmt: skip


def keeps(own: Minted, *, cas: t.Sequence[Minted] = ()) -> Json:
    """What node_info returns of an identity that is kept."""
    shown = {
        "der": base64.b64encode(own.der).decode(), "not_after": format_time(own.cert.not_after), "error": "",
        "signed_by": sorted(signers(own.cert, [ca.cert for ca in cas])),
    }  # fmt: skip
    return {"kept_identity": True, "kept_leaf": shown}


def file(path: str, *cas: Minted, error: str = "") -> Json:
    return {"path": path, "sha256": [c.cert.sha256 for c in cas], "pem": [c.pem.decode() for c in cas], "error": error}


def cp(active: Minted = NEW, *, serves: Minted | None = None, pool: t.Sequence[Json] = (), **more: t.Any) -> Json:
    """What cp_info returns."""
    server = leaf(serves or active, "cp", 1)
    return {
        "name": "cp1", "taken_at": format_time(NOW), "reachable": True, "error": "", "address": "cp:8443",
        "listening": True, "listener_error": "", "chain": [{"sha256": server.cert.sha256, "pem": server.pem.decode()}],
        "acceptable_ca_count": None, "active_ca": {**active.cert.as_dict(), "pem": active.pem.decode()},
        "active_ca_error": "", "ours": ["/legacy/", "/certs/ca.crt.old"], "legacy_dir": [], "auto_ca_gen": False,
        "pool": {"raw": ",".join(item["path"] for item in pool), "entries": list(pool), "line": 1, "error": ""},
        "boot": {"loaded_count": None, "error": ""}, **more,
    }  # fmt: skip


def row(name: str, *, ago: int = 0, **more: t.Any) -> Json:
    fields = {"id": f"inst_{name}", "status": "online", "tenant": "", "active": True, **more}
    return {"name": name, "last_seen": format_time(NOW - timedelta(seconds=ago)), **fields}


def listed(*rows: Json, **more: t.Any) -> Json:
    return {
        "taken_at": format_time(NOW), "clock": format_time(NOW), "source": "api", "instances": list(rows),
        "complete": True,
        "incomplete_reason": "", "error": "", **more,
    }  # fmt: skip


def gather(nodes: t.Mapping[str, Json], replica: Json | None = None, **more: t.Any) -> intake.Intake:
    settings = more.pop("settings", Settings())
    fields = {"registry": listed(*(row(name) for name in nodes)), **more}
    return intake.gather(intake.Raw(nodes=nodes, replicas={"cp1": replica or cp()}, **fields), settings, NOW)


def fleet(count: int, ca: Minted = OLD, pin: Minted | None = None) -> dict[str, Json]:
    return {f"n{number}": seen([pin or ca], leaf(ca, f"n{number}")) for number in range(count)}


def claim(ca: Minted, source: str = "a file", data: bytes | None = None) -> intake.RawClaim:
    return intake.RawClaim(source, ca.pem if data is None else data)


def key(ca: Minted) -> str:
    return ca.cert.spki_sha256


class TestNodes:
    def test_signatures_count_and_names_do_not(self) -> None:
        assert OLD.cert.subject == NEW.cert.subject
        taken = gather(
            {"n1": seen([OLD], leaf(OLD, "n1")), "n2": seen([NEW], leaf(NEW, "n2"))}, claims=(claim(OLD),)
        ).evidence
        assert [n.leaf_by for n in taken.nodes] == [{key(OLD)}, {key(NEW)}]
        assert [n.pins for n in taken.nodes] == [(key(OLD),), (key(NEW),)]

    def test_a_bundle_is_a_set_in_the_files_order(self) -> None:
        taken = gather({"n1": seen([NEW, OLD, NEW], leaf(OLD, "n1"))}, claims=(claim(OLD),)).evidence
        assert taken.nodes[0].pins == (key(NEW), key(OLD))

    def test_a_ca_that_nobody_has_shown_is_named_by_its_certificate(self) -> None:
        taken = gather({"n1": seen([OLD], leaf(OLD, "n1"))}).evidence
        assert taken.nodes[0].pins == (OLD.cert.sha256,)
        assert taken.nodes[0].leaf_by == {OLD.cert.sha256}
        assert OLD.cert.sha256 not in taken.cas

    def test_a_leaf_without_its_bytes_is_known_by_what_the_node_was_asked(self) -> None:
        taken = gather({"n1": seen([OLD], leaf(NEW, "n1"), cas=[NEW], der=False)}).evidence
        assert taken.nodes[0].leaf_by == {key(NEW)}

    def test_a_ca_renewed_over_its_key_is_the_same_ca(self) -> None:
        renewed = make_ca(key=NEW.key, not_before=NOW - 300 * DAY)
        assert renewed.cert.sha256 != NEW.cert.sha256
        taken = gather({"n1": seen([renewed], leaf(NEW, "n1"))}).evidence
        assert taken.nodes[0].pins == (key(NEW),)
        assert taken.nodes[0].leaf_by == {key(NEW)}
        made = plan.make(taken)
        assert made.states["n1"].name == "current"
        assert made.push_pins == ()

    def test_a_pin_that_signed_nothing_is_not_taken_for_the_active_ca(self) -> None:
        taken = gather({"n1": seen([PLANTED], leaf(NEW, "n1"))}).evidence
        assert taken.nodes[0].pins == (PLANTED.cert.sha256,)

    def test_what_was_not_gathered_was_not_examined(self) -> None:
        taken = gather(
            {"n1": {}, "n2": {"reachable": False, "error": "no route", "taken_at": format_time(NOW)}}
        ).evidence
        assert [(n.examined, n.reachable, n.error) for n in taken.nodes] == [
            (False, False, ""),
            (True, False, "no route"),
        ]

    def test_missing_parts_are_unknown(self) -> None:
        bare = gather({"n1": {"reachable": True}}).evidence.nodes[0]
        assert (bare.to_cp, bare.to_node, bare.agent, bare.taken_at, bare.leaf_by) == ("unknown",) * 3 + (
            None,
            frozenset(),
        )

    def test_a_time_that_is_none_is_an_input_error(self) -> None:
        with pytest.raises(InputError, match="time"):
            gather({"n1": {**seen([NEW], leaf(NEW, "n1")), "taken_at": "yesterday"}})


class TestClaims:
    def judged(self, nodes: dict[str, Json], *claims: intake.RawClaim, **more: t.Any) -> dict[str, tuple[str, ...]]:
        return {c.source: c.refusals for c in gather(nodes, claims=claims, **more).evidence.claims}

    def test_a_quorum_of_leaves_proves_it(self) -> None:
        taken = gather(fleet(3), claims=(claim(OLD),)).evidence
        assert taken.accepted == {key(OLD)}
        assert taken.claims[0].witnesses == ("n0", "n1", "n2")

    def test_a_planted_ca_with_one_nodes_leaf_is_refused_whatever_else_is_true(self) -> None:
        nodes = {**fleet(3), "n9": seen([PLANTED], leaf(PLANTED, "n9"))}
        taken = gather(
            nodes, claims=(claim(PLANTED, "n9's pin"), claim(OLD)), named=frozenset({OLD.cert.sha256})
        ).evidence
        assert (taken.accepted, taken.refused) == ({key(OLD)}, {key(PLANTED)})
        made = plan.make(taken)
        assert made.states["n9"].name == "foreign"
        assert key(PLANTED) not in made.needed and key(PLANTED) not in plan.bundle(taken)

    def test_a_planted_leaf_keeps_the_true_ca_from_being_accepted_without_a_word_from_the_operator(self) -> None:
        nodes = {**fleet(3), "n9": seen([PLANTED], leaf(PLANTED, "n9"))}
        taken = gather(nodes, claims=(claim(PLANTED, "n9's pin"), claim(OLD))).evidence
        assert taken.accepted == frozenset()
        assert len(plan.make(taken).stops) == 2

    def test_one_machine_with_two_names_is_one_witness(self) -> None:
        same = leaf(PLANTED, "n9")
        nodes = {**fleet(3, NEW), "n8": seen([PLANTED], same), "n9": seen([PLANTED], same)}
        (refusals,) = self.judged(nodes, claim(PLANTED)).values()
        assert "1 different one(s), and 2 are needed" in refusals[0]

    def test_nodes_that_have_moved_do_not_count_against_it(self) -> None:
        nodes = {**fleet(2), "n8": seen([NEW], leaf(NEW, "n8"))}
        assert self.judged(nodes, claim(OLD)) == {"a file": ()}

    def test_the_last_one_to_move_needs_the_operators_word(self) -> None:
        assert "2 are needed" in self.judged(fleet(1), claim(OLD))["a file"][0]
        assert self.judged(fleet(1), claim(OLD), named=frozenset({OLD.cert.sha256})) == {"a file": ()}

    def test_two_legacy_cas_prove_one_after_the_other(self) -> None:
        nodes = {**fleet(3), **{f"m{n}": seen([OLDER], leaf(OLDER, f"m{n}")) for n in range(2)}}
        # Each stands against the other until one of them is in the pool, or named.
        assert gather(nodes, claims=(claim(OLD), claim(OLDER))).evidence.accepted == frozenset()
        pooled = cp(pool=[file("/legacy/old.crt", OLD)])
        assert gather(nodes, pooled, claims=(claim(OLDER),)).evidence.accepted == {key(OLDER)}

    def test_a_header_leaf_is_a_witness(self) -> None:
        assert self.judged(fleet(1), claim(OLD), witnesses=(leaf(OLD, "n77").cert,)) == {"a file": ()}

    def test_a_good_copy_outweighs_a_bad_one(self) -> None:
        bad = claim(OLD, "bad", OLD.pem + OLD.key_pem)
        for order in ((bad, claim(OLD)), (claim(OLD), bad)):
            taken = gather(fleet(2), claims=order).evidence
            assert (taken.accepted, taken.refused) == ({key(OLD)}, frozenset())
        assert gather(fleet(2), claims=(bad,)).evidence.refused == {key(OLD)}

    @pytest.mark.parametrize(
        ("ca", "data", "why"),
        [
            (OLD, OLD.pem + NEW.pem, "2 certificates in its file"),
            (OLD, OLD.pem + OLD.key_pem, "private key in its file"),
        ],
    )
    def test_what_a_file_must_not_hold(self, ca: Minted, data: bytes, why: str) -> None:
        (refusals,) = self.judged(fleet(2, ca), claim(ca, data=data)).values()
        assert why in refusals[0]

    def test_a_certificate_that_is_no_ca(self) -> None:
        odd = make_ca(is_ca=False)
        (refusals,) = self.judged(fleet(2, odd), claim(odd)).values()
        assert "not a CA certificate" in refusals[0]

    def test_an_expired_ca_is_ours_and_helps_nobody(self) -> None:
        over = make_ca(not_before=NOW - 400 * DAY, not_after=NOW - DAY)
        taken = gather(fleet(2, over), claims=(claim(over),)).evidence
        assert taken.claims[0].outdated
        assert (taken.outdated, taken.trusted_legacy) == ({key(over)}, frozenset())
        assert plan.make(taken).register == ("n0", "n1")
        alone = gather(fleet(1, over), claims=(claim(over),)).evidence
        assert not alone.claims[0].outdated, "nothing proves that it is ours"

    def test_the_active_ca_is_no_claim(self) -> None:
        assert gather(fleet(2, NEW), claims=(claim(NEW),)).evidence.claims == ()

    def test_what_cannot_be_read_is_told(self) -> None:
        (found,) = gather(fleet(2), claims=(claim(OLD, "file /x", b"hello"),)).evidence.claims
        assert (found.key, found.source) == ("", "file /x") and "no certificate found" in found.refusals[0]

    def test_files_beside_the_control_panel_are_claims_as_far_as_they_signed_a_leaf(self) -> None:
        replica = cp(legacy_dir=[file("/certs/ca.crt.old", OLD), file("/legacy/x.crt", PLANTED)])
        taken = gather(fleet(2), replica).evidence
        assert [(c.source, c.refusals) for c in taken.claims] == [("cp1:/certs/ca.crt.old", ())]
        assert taken.replicas[0].beside[key(OLD)] == "/certs/ca.crt.old"

    def test_the_certificate_that_is_placed_is_one_that_was_accepted(self) -> None:
        longer = make_ca(key=OLD.key, not_before=NOW - 400 * DAY, days=9000, key_usage=False)
        taken = gather(fleet(2), claims=(claim(longer, "odd"), claim(OLD)))
        assert taken.evidence.accepted == {key(OLD)}
        assert taken.pem(key(OLD)) == OLD.pem.decode()

    def test_the_active_ca_is_the_one_that_the_control_panel_holds(self) -> None:
        longer = make_ca(key=NEW.key, days=9000)
        taken = gather(fleet(1, NEW), cp(pool=[file("/legacy/renewed.crt", longer)]))
        assert taken.pem(key(NEW)) == NEW.pem.decode()


class TestReplicas:
    def test_the_worlds(self) -> None:
        bridge = make_ca(key=NEW.key, signed_by=OLD)
        outside = make_ca("CN of a vendor")
        pooled = [file("/legacy/old.crt", OLD)]
        server = leaf(NEW, "cp", 1)
        bridged = [{"sha256": c.cert.sha256, "pem": c.pem.decode()} for c in (server, bridge)]
        for world, replica, root in (
            ("W1", cp(serves=OLD, pool=pooled), OLD),
            ("W2", cp(pool=pooled), NEW),
            ("W3", cp(serves=outside, pool=pooled), None),
            ("W4", cp(pool=pooled, chain=bridged), NEW),
        ):
            shown = gather(fleet(2), replica).evidence.replicas[0]
            assert (shown.world, shown.serving_root) == (world, key(root) if root else None)

    def test_no_chain_is_no_world(self) -> None:
        shown = gather(fleet(1), cp(chain=[], listening=False, listener_error="refused")).evidence.replicas[0]
        assert (shown.world, shown.listening, shown.error) == ("unknown", False, "refused")

    def test_what_is_ours_to_retire(self) -> None:
        pool = [
            file("/etc/theirs.pem", OLDER),
            file("/certs/ca.crt.old", OLD),
            file("/legacy/x.crt", PLANTED),
            file("/x/y.crt", OLD),
        ]
        taken = gather(fleet(1), cp(pool=pool)).evidence
        assert [e.path for e in taken.replicas[0].retirable] == ["/certs/ca.crt.old", "/legacy/x.crt"]
        named = gather(fleet(1), cp(pool=pool), named=frozenset({OLDER.cert.sha256}), retirable_paths=("/x/",)).evidence
        assert {e.path for e in named.replicas[0].retirable} == {item["path"] for item in pool}
        assert not gather(fleet(1), cp(pool=[file("/certs/ca.crt.older", OLD)])).evidence.replicas[0].retirable

    def test_an_entry_that_cannot_be_read_is_kept_with_its_reason(self) -> None:
        (entry,) = gather(fleet(1), cp(pool=[file("/legacy/x.crt", error="no such file")])).evidence.replicas[0].pool
        assert (entry.keys, entry.error) == ((), "no such file")

    def test_certificates_are_counted_not_keys(self) -> None:
        renewed = make_ca(key=NEW.key, days=20)
        boot = {"loaded_count": 1, "since_boot": True}
        replica = cp(pool=[file("/legacy/renewed.crt", renewed)], acceptable_ca_count=2, boot=boot)
        assert not gather(fleet(1, NEW), replica).evidence.replicas[0].stale
        twice = cp(pool=[file("/a.crt", OLD)], boot={"loaded_count": 2, "since_boot": True})
        twice["pool"]["raw"] = "/a.crt,,/a.crt"
        assert not gather(fleet(1, NEW), twice).evidence.replicas[0].stale

    def test_lines_of_earlier_boots_say_nothing_about_this_process(self) -> None:
        replica = cp(pool=[file("/a.crt", OLD)], boot={"loaded_count": 7, "since_boot": False})
        assert gather(fleet(1, NEW), replica).evidence.replicas[0].loaded is None
        now = cp(pool=[file("/a.crt", OLD)], boot={"loaded_count": 7, "since_boot": True})
        assert gather(fleet(1, NEW), now).evidence.replicas[0].stale


class TestRegistry:
    def test_an_instance_belongs_to_a_node_by_id_or_by_name(self) -> None:
        rows = listed(row("n1"), row("edge-7", id="inst_7"), row("edge-8"), row("lost"))
        nodes = {name: seen([NEW], leaf(NEW, name)) for name in ("n1", "n7", "n8")}
        names = {"n1": ("", "n1"), "n7": ("inst_7", "n7"), "n8": ("", "edge-8")}
        taken = gather(nodes, registry=rows, identities=names).evidence
        assert [[i.name for i in n.instances] for n in taken.nodes] == [["n1"], ["edge-7"], ["edge-8"]]
        assert [i.name for i in taken.strangers] == ["lost"]

    def test_a_wrong_id_hides_nobody(self) -> None:
        taken = gather(fleet(1, NEW), registry=listed(row("n0")), identities={"n0": ("inst_gone", "n0")}).evidence
        assert taken.nodes[0].instances == ()
        assert [i.name for i in taken.strangers] == ["n0"]

    def test_deleted_instances_are_no_strangers(self) -> None:
        taken = gather(fleet(1, NEW), registry=listed(row("n0"), row("old", active=False))).evidence
        assert taken.strangers == ()

    def test_a_list_without_a_time_is_too_old(self) -> None:
        taken = gather(fleet(1, NEW), registry=listed(row("n0"), taken_at=None)).evidence
        assert any("too long ago" in reason for reason in plan.make(taken).gate.reasons)

    @pytest.mark.parametrize(
        ("more", "ago", "beat"),
        [
            ({}, 170, True),
            ({}, 190, False),
            ({"clock": None}, 0, None),
            ({"arrived": ["n0"], "missing": []}, 9999, True),
            ({"arrived": [], "missing": ["n0"]}, 0, False),
            ({"instances": []}, 0, None),
        ],
    )
    def test_a_heartbeat_by_the_control_panels_clock(self, more: Json, ago: int, beat: bool | None) -> None:
        rows = listed(row("n0", ago=ago), **{k: v for k, v in more.items() if k != "instances"})
        rows["instances"] = more.get("instances", rows["instances"])
        assert gather(fleet(1, NEW), registry=rows).evidence.nodes[0].beat is beat

    @pytest.mark.parametrize(("status", "beat"), [("connected", True), ("disconnected", False), ("unknown", None)])
    def test_a_heartbeat_by_the_agents_word(self, status: str, beat: bool | None) -> None:
        nodes = {"n0": {**fleet(1, NEW)["n0"], "agent": {"status": status}}}
        assert gather(nodes, beats_from="agent", registry=None).evidence.nodes[0].beat is beat


class TestSwitch:
    def test_it_is_the_first_sign_of_the_active_ca_at_work(self) -> None:
        nodes = {"n1": seen([NEW], leaf(NEW, "n1", 3)), "n2": seen([OLD], leaf(OLD, "n2", 9))}
        assert gather(nodes).evidence.switched_at == NOW - 3 * DAY
        # The Control Panel's own certificate counts too.
        assert gather({"n2": nodes["n2"]}).evidence.switched_at == NOW - 1 * DAY

    def test_it_is_never_the_active_cas_own_birthday(self) -> None:
        assert gather(fleet(1), cp(serves=OLD)).evidence.switched_at is None

    def test_the_operators_word_counts_most(self) -> None:
        assert gather(fleet(1), settings=Settings(switched_at=NOW - 2 * DAY)).evidence.switched_at == NOW - 2 * DAY

    def test_a_leaf_by_the_legacy_ca_after_it_is_late(self) -> None:
        nodes = {"n1": seen([NEW], leaf(NEW, "n1", 3)), "n2": seen([OLD], leaf(OLD, "n2", 2))}
        taken = gather(nodes, claims=(claim(OLD),), named=frozenset({OLD.cert.sha256})).evidence
        assert any("the leaves of n2 after the switch" in stop for stop in plan.make(taken).stops)

    def test_a_planted_leaf_is_not_late(self) -> None:
        nodes = {**fleet(3), "n8": seen([NEW], leaf(NEW, "n8", 3)), "n9": seen([PLANTED], leaf(PLANTED, "n9", 1))}
        taken = gather(nodes, claims=(claim(PLANTED), claim(OLD)), named=frozenset({OLD.cert.sha256})).evidence
        assert plan.make(taken).stops == ()


def test_no_key_of_anybody_is_in_the_evidence() -> None:
    taken = gather(fleet(2), claims=(claim(OLD, data=OLD.pem + OLD.key_pem),))
    assert "PRIVATE KEY" not in repr(taken.evidence)
    assert not any(b"PRIVATE" in certificate.der for certificate in taken.catalogue.certificates())


def test_a_whole_accident_from_results_to_plan() -> None:
    down = {"to_cp": "refused", "to_node": "refused", "to_cp_detail": "", "to_node_detail": ""}
    nodes = {name: {**result, "handshake": down} for name, result in fleet(4).items()}
    first = gather(nodes).evidence
    assert plan.make(first).preserve == (plan.Preserve(OLD.cert.sha256, ("n0", "n1", "n2")),)
    taken = gather(nodes, claims=(claim(OLD, "n0's pin"), claim(OLD, "n1's pin")))
    made = plan.make(taken.evidence)
    assert (made.world, made.stops, made.open_window, len(made.push_pins)) == ("W2", (), ("cp1",), 4)
    assert [taken.pem(k) for k in plan.bundle(taken.evidence)] == [NEW.pem.decode(), OLD.pem.decode()]


def test_cas_that_openssl_cannot_tell_apart_are_named() -> None:
    bare = make_ca(key_ids=False, not_before=NOW - 400 * DAY)
    taken = gather(fleet(2, bare), claims=(claim(bare),), notes=("headers in x: a proxy wrote this header",)).evidence
    assert taken.notes[0] == "headers in x: a proxy wrote this header"
    assert any("shares its name with 1 other CA(s) and has no subject key id" in note for note in taken.notes)
    assert set(taken.notes) <= set(plan.make(taken).warnings)
    assert gather(fleet(2), claims=(claim(OLD),)).evidence.notes == ()


class TestShapes:
    def refused(self, nodes: t.Mapping[str, t.Any], replica: Json | None = None, **more: t.Any) -> str:
        with pytest.raises(InputError) as caught:
            gather(nodes, replica, **more)
        return str(caught.value)

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"pin": "gone"}, "the evidence of n1.pin: expected a mapping, found text"),
            ({"pin": {"sha256": 1}}, "the evidence of n1.pin.sha256: expected a list, found a number"),
            ({"leaf": {"der": "A"}}, "the evidence of a node: leaf.der is not base64"),
            ({"leaf": {"der": "MAA="}}, "not a certificate"),
            ({"reachable": "yes"}, "the evidence of n1.reachable: expected true or false, found text"),
            ({"clock_skew": "fast"}, "the evidence of n1.clock_skew: expected a number, found text"),
            ({"clock_skew": 10**400}, "the evidence of n1.clock_skew: expected a number, found a number"),
            ({"log": {"symptom_count": 1.5}}, "the evidence of n1.log.symptom_count: expected a whole number"),
        ],
    )
    def test_of_a_node(self, change: Json, where: str) -> None:
        assert where in self.refused({"n1": {**seen([NEW], leaf(NEW, "n1")), **change}})

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            (
                {"active_ca": {"sha256": "x"}},
                "evidence of replica cp1.active_ca.pem: expected a text, found nothing",
            ),
            ({"active_ca": {"pem": ""}}, "active_ca.pem holds no certificate"),
            ({"active_ca": {"pem": "\ud800"}}, "no certificate found"),
            ({"chain": [None]}, "the evidence of replica cp1.chain[0]: expected a mapping, found nothing"),
            (
                {"pool": {"entries": [{"sha256": []}]}},
                "evidence of replica cp1.pool.entries[0].path: expected a text",
            ),
            ({"legacy_dir": {}}, "the evidence of replica cp1.legacy_dir: expected a list, found an empty mapping"),
            ({"acceptable_ca_count": True}, "the evidence of replica cp1.acceptable_ca_count: expected a whole number"),
        ],
    )
    def test_of_a_replica(self, change: Json, where: str) -> None:
        assert where in self.refused(fleet(1), {**cp(), **change})

    def test_of_the_registry(self) -> None:
        assert "the registry.instances[0].id: expected a text" in self.refused(
            fleet(1), registry=listed({"name": "n0"})
        )
        assert "the registry.arrived: expected a list" in self.refused(fleet(1), registry=listed(arrived="n0"))


class TestKept:
    """Whose identity a kept identity is. All CAs here bear one name, and the leaves name no key."""

    POOLED = cp(pool=[file("/legacy/old.crt", OLD), file("/legacy/older.crt", OLDER)])

    def kept(self, replica: Json | None = None, **more: t.Any) -> dict[str, tuple[str, ...]]:
        nodes = {"n1": seen([NEW], leaf(NEW, "n1"), **more)}
        return dict(gather(nodes, replica or self.POOLED).evidence.kept)

    def test_the_signature_decides(self) -> None:
        assert self.kept(**keeps(leaf(OLDER, "n1"))) == {key(OLDER): ("n1",)}
        assert self.kept(**keeps(leaf(PLANTED, "n1"))) == {}
        # what the node's pin alone holds has no other key than its digest
        assert self.kept(**keeps(leaf(PLANTED, "n1"), cas=[PLANTED])) == {PLANTED.cert.sha256: ("n1",)}

    def test_one_that_has_expired_is_none(self) -> None:
        assert self.kept(**keeps(leaf(OLD, "n1", 100, 90))) == {}

    def test_without_its_leaf_it_is_nobodys(self) -> None:
        assert self.kept(kept_identity=True) == {}
        assert self.kept(kept_identity=True, kept_leaf={"der": "", "not_after": "", "error": "no such file"}) == {}
        with pytest.raises(InputError, match=r"kept_leaf\.der is not base64"):
            self.kept(kept_identity=True, kept_leaf={"der": "!"})

    def test_after_the_strip_its_ca_is_found_beside_the_control_panel(self) -> None:
        stripped = cp(legacy_dir=[file("/legacy/old.crt", OLD), file("/legacy/planted.crt", PLANTED)])
        assert self.kept(stripped, **keeps(leaf(OLD, "n1"))) == {key(OLD): ("n1",)}
