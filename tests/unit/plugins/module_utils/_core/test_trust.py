# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is trusted, by signatures: planted CAs, same-named CAs, renewals, bridges."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import trust
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.certificates import Bundle, parse_bundle
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import NOW, make_ca, make_leaf

OLD, NEW, PLANTED = make_ca(), make_ca(), make_ca()
PAST = NOW - timedelta(days=30)


def leaves(**by_node):
    return {node: make_leaf(ca, node).cert for node, ca in by_node.items()}


OLD_LEAVES = leaves(node1=OLD, node2=OLD, node3=OLD)


def judge(candidate, votes, *, active=NEW, accepted=(), minimum=2, named=()):
    return trust.quorum(
        candidate.cert,
        votes,
        active=active.cert if active else None,
        accepted=[ca.cert for ca in accepted],
        minimum=minimum,
        named=named,
    )


class TestJudgeCa:
    def test_a_legacy_ca_in_a_file_of_its_own_is_fine(self):
        assert trust.judge_ca(OLD.cert, bundle=parse_bundle(OLD.pem), active=NEW.cert, now=NOW) == ()
        without_usage = make_ca(key_usage=None)
        assert trust.judge_ca(without_usage.cert, bundle=None, active=None, now=NOW) == ()

    @pytest.mark.parametrize(
        ("candidate", "data", "why"),
        [
            (make_ca(is_ca=False), None, "no CA:TRUE"),
            (make_ca(is_ca=None), None, "no CA:TRUE"),
            (make_leaf(OLD), None, "no CA:TRUE"),
            (make_ca(key_usage=False), None, "no keyCertSign"),
            (make_ca(not_before=PAST, not_after=NOW - timedelta(seconds=1)), None, "it expired on"),
            (make_ca(not_before=NOW + timedelta(seconds=1)), None, "not valid before"),
            (NEW, None, "it is the active CA$"),
            (make_ca(key=NEW.key, days=5), None, "the active CA under another date"),
            (OLD, OLD.pem + OLD.key_pem, "private key in its file"),
            (OLD, OLD.pem + PLANTED.pem, "2 certificates in its file"),
        ],
    )
    def test_every_reason_to_refuse(self, candidate, data, why):
        bundle = parse_bundle(data) if data else None
        (first, *_others) = trust.judge_ca(candidate.cert, bundle=bundle, active=NEW.cert, now=NOW)
        assert re.search(why, first)

    def test_all_reasons_are_told_at_once(self):
        bad = make_ca(is_ca=False, key_usage=False, not_before=PAST, not_after=PAST + timedelta(days=1))
        bundle = Bundle((bad.cert, OLD.cert), "pem", has_private_key=True)
        assert len(trust.judge_ca(bad.cert, bundle=bundle, active=None, now=NOW)) == 5

    def test_the_last_second_is_still_valid(self):
        edge = make_ca(not_before=PAST, not_after=NOW)
        assert trust.judge_ca(edge.cert, bundle=None, active=None, now=NOW) == ()


class TestQuorum:
    def test_the_ca_of_all_nodes_is_accepted(self):
        found = judge(OLD, OLD_LEAVES)
        assert (found.accepted, found.witnesses, found.against) == (True, ("node1", "node2", "node3"), ())
        assert found.reason == "it signed the leaf certificates of 3 node(s) (node1, node2, node3)"

    def test_a_planted_ca_with_the_same_name_has_no_witness(self):
        found = judge(PLANTED, OLD_LEAVES)
        assert (found.accepted, found.witnesses) == (False, ())
        assert found.reason.startswith("it signed the leaf certificate of no node")
        assert PLANTED.cert.fingerprint in found.reason

    def test_one_node_of_the_planter_is_not_enough(self):
        found = judge(PLANTED, {**OLD_LEAVES, **leaves(evil=PLANTED)})
        assert (found.accepted, found.witnesses, found.against) == (False, ("evil",), ("node1", "node2", "node3"))
        assert "neither it nor an accepted CA signed those of 3 node(s)" in found.reason

    def test_two_nodes_of_the_planter_are_not_enough_while_others_object(self):
        assert not judge(PLANTED, {**OLD_LEAVES, **leaves(evil1=PLANTED, evil2=PLANTED)}).accepted

    def test_one_objection_stops_the_right_one_too(self):
        found = judge(OLD, {**OLD_LEAVES, **leaves(evil=PLANTED)})
        assert (found.accepted, found.against) == (False, ("evil",))

    def test_too_few_witnesses(self):
        votes = leaves(node1=OLD)
        found = judge(OLD, votes)
        assert not found.accepted
        assert "2 are needed" in found.reason
        assert judge(OLD, votes, minimum=1).accepted

    def test_a_minimum_of_nothing_accepts_nobody_without_witnesses(self):
        assert not judge(OLD, {}, minimum=0).accepted
        assert not judge(PLANTED, OLD_LEAVES, minimum=0).accepted

    def test_copies_of_one_leaf_are_one_witness(self):
        (leaf,) = leaves(node1=OLD).values()
        found = judge(OLD, {"node1": leaf, "alias": leaf})
        assert (found.accepted, found.witnesses) == (False, ("alias", "node1"))
        assert "1 different one(s)" in found.reason

    def test_nodes_that_have_moved_do_not_count(self):
        found = judge(OLD, {**OLD_LEAVES, **leaves(moved=NEW)})
        assert (found.accepted, found.witnesses, found.against) == (True, ("node1", "node2", "node3"), ())

    def test_a_second_legacy_ca_beside_an_accepted_one(self):
        older = make_ca()
        votes = {**OLD_LEAVES, **leaves(node8=older, node9=older)}
        assert not judge(older, votes).accepted
        assert judge(older, votes, accepted=[OLD]).witnesses == ("node8", "node9")
        assert judge(older, votes, accepted=[OLD]).accepted

    def test_an_accepted_one_is_accepted_again_in_a_resumed_run(self):
        assert judge(OLD, OLD_LEAVES, accepted=[OLD]).accepted

    def test_the_active_ca_or_its_renewal_has_no_witnesses(self):
        votes = leaves(node1=NEW, node2=NEW)
        assert not judge(NEW, votes).accepted
        assert not judge(make_ca(key=NEW.key, days=5), votes).accepted

    def test_a_renewal_of_the_legacy_ca_has_the_same_witnesses(self):
        assert judge(make_ca(key=OLD.key, days=5), OLD_LEAVES).accepted

    @pytest.mark.parametrize(
        "form",
        [OLD.cert.sha256, OLD.cert.fingerprint, f"sha256 Fingerprint={OLD.cert.fingerprint}"],
        ids=["hex", "openssl", "labelled"],
    )
    def test_the_operator_names_it(self, form):
        found = judge(OLD, leaves(other=PLANTED), named=[form])
        assert (found.accepted, found.witnesses, found.against) == (True, (), ("other",))
        assert not judge(PLANTED, OLD_LEAVES, named=[form]).accepted

    def test_a_name_that_is_no_fingerprint_is_an_error(self):
        with pytest.raises(InputError, match="SHA-256"):
            judge(OLD, OLD_LEAVES, named=["abc"])

    def test_without_knowing_the_active_ca(self):
        assert judge(OLD, OLD_LEAVES, active=None).accepted

    def test_many_names_are_cut_short(self):
        votes = {f"node{n:02}": leaf for n, leaf in enumerate(leaves(**{f"n{n}": OLD for n in range(8)}).values())}
        assert judge(OLD, votes).reason.endswith("8 node(s) (node00, node01, node02, node03, node04 and 3 more)")


def world(*chain, active=NEW, legacies=(OLD,), now=NOW):
    certs = [minted.cert for minted in chain]
    return trust.serving_world(certs, active.cert if active else None, [ca.cert for ca in legacies], now)


def server(ca, **options):
    return make_leaf(ca, "panel", names=["localhost"], **options)


class TestServingWorld:
    # The new CA's name and key, signed by the old CA: the bridge that lets both kinds of nodes verify one chain.
    BRIDGE = make_ca(key=NEW.key, signed_by=OLD)

    def test_direct(self):
        assert world(server(OLD)) == "W1"
        assert world(server(NEW)) == "W2"
        assert world(server(make_ca("Public CA"))) == "W3"
        assert world(server(PLANTED)) == "W3"

    def test_the_root_in_the_chain_changes_nothing(self):
        assert world(server(OLD), OLD) == "W1"
        assert world(server(NEW), NEW) == "W2"
        assert world(server(NEW), NEW, OLD) == "W2"
        assert world(server(PLANTED), PLANTED, OLD, NEW) == "W3"

    def test_a_bridge(self):
        assert world(server(NEW), self.BRIDGE) == "W4"
        assert world(server(NEW), self.BRIDGE, OLD) == "W4"
        assert world(server(NEW), NEW, self.BRIDGE) == "W4"

    def test_a_bridge_the_other_way_round(self):
        assert world(server(OLD), make_ca(key=OLD.key, signed_by=NEW)) == "W4"

    def test_a_bridge_from_a_ca_that_nobody_knows(self):
        assert world(server(NEW), make_ca(key=NEW.key, signed_by=PLANTED)) == "W2"

    def test_a_bridge_that_fits_by_name_alone(self):
        assert world(server(NEW), make_ca(signed_by=OLD)) == "W2"

    def test_a_bridge_that_is_over_or_no_ca(self):
        over = make_ca(key=NEW.key, signed_by=OLD, not_before=PAST, not_after=PAST + timedelta(days=1))
        assert world(server(NEW), over) == "W2"
        assert world(server(NEW), make_ca(key=NEW.key, signed_by=OLD, is_ca=False)) == "W2"

    def test_an_intermediate(self):
        intermediate = make_ca("Issuing CA", signed_by=NEW)
        assert world(server(intermediate), intermediate) == "W2"
        assert world(server(intermediate)) == "W3"
        both = make_ca("Issuing CA", key=intermediate.key, signed_by=OLD)
        assert world(server(intermediate), intermediate, both) == "W4"

    def test_a_renewal_of_the_active_ca_is_the_active_ca(self):
        renewal = make_ca(key=NEW.key, days=20)
        assert world(server(NEW), active=renewal) == "W2"
        assert world(server(NEW), legacies=(renewal,)) == "W2"
        assert world(server(NEW), renewal, legacies=(renewal, OLD)) == "W2"

    def test_an_expired_legacy_ca(self):
        expired = make_ca(not_before=PAST, not_after=PAST + timedelta(days=1))
        assert world(server(expired), legacies=(expired,)) == "W1"
        assert world(server(NEW), make_ca(key=NEW.key, signed_by=expired), legacies=(expired,)) == "W2"

    def test_several_legacy_cas(self):
        older = make_ca()
        assert world(server(older), legacies=(OLD, older)) == "W1"
        assert world(server(NEW), make_ca(key=NEW.key, signed_by=older), legacies=(OLD, older)) == "W4"

    def test_unknown(self):
        assert world() == "unknown"
        assert world(server(OLD), active=None) == "unknown"

    def test_a_chain_that_goes_in_circles_ends(self):
        assert world(server(NEW), self.BRIDGE, make_ca(key=OLD.key, signed_by=NEW), NEW, OLD) == "W4"


class TestPreflight:
    def rows(self, *cas, leaves=()):
        return trust.preflight_table([ca.cert for ca in cas], [leaf.cert for leaf in leaves])

    def test_cas_with_key_ids_work_under_one_name(self):
        rows = self.rows(OLD, NEW, OLD, leaves=[make_leaf(OLD), make_leaf(NEW)])
        assert [(row.sha256, row.ski, row.problems) for row in rows] == [
            (ca.cert.sha256, ca.cert.ski, ()) for ca in (OLD, NEW)
        ]

    def test_one_name_without_key_ids(self):
        bare = make_ca(key_ids=False)
        first, second = self.rows(bare, NEW)
        assert "has no subject key id" in first.problems[0]
        assert second.problems == ()
        assert self.rows(bare)[0].problems == ()
        assert self.rows(bare, make_ca("Another name"))[0].problems == ()

    def test_leaves_without_key_ids(self):
        (first, second) = self.rows(OLD, NEW, leaves=[make_leaf(OLD, key_ids=False), make_leaf(NEW)])
        assert "1 of its leaves have no authority key id" in first.problems[0]
        assert second.problems == ()

    def test_a_renewal_is_no_twin(self):
        assert all(not row.problems for row in self.rows(OLD, make_ca(key=OLD.key, days=5, key_ids=False)))

    def test_no_ca(self):
        assert "not a CA certificate" in self.rows(make_leaf(OLD))[0].problems[0]

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
    @pytest.mark.parametrize("key_ids", [True, False])
    def test_openssl_fails_on_exactly_what_it_complains_about(self, tmp_path, key_ids):
        cas = [make_ca(key_ids=key_ids) for _number in range(2)]
        made = [make_leaf(ca, key_ids=key_ids) for ca in cas]
        (tmp_path / "pool.pem").write_bytes(b"".join(ca.pem for ca in cas))
        command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", str(tmp_path / "pool.pem")]
        works = [
            subprocess.run(command, input=leaf.pem, check=False, capture_output=True).returncode == 0 for leaf in made
        ]
        complaints = [problem for row in self.rows(*cas, leaves=made) for problem in row.problems]
        assert all(works) == (not complaints) == key_ids


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({}, None),
        ({"usages": None, "signature_hash": None}, None),
        ({"names": None}, "it has no subject alternative name"),
        ({"names": ()}, "it has no subject alternative name"),
        ({"signature_hash": "sha1"}, "it is signed with SHA1"),
        ({"usages": ("1.3.6.1.5.5.7.3.2",)}, "the extended key usage of it is not that of a server"),
    ],
)
def test_what_go_refuses_of_a_server(what, reason):
    good = {"names": ("cp.test",), "usages": ("1.3.6.1.5.5.7.3.1",), "signature_hash": "sha256"}
    assert trust.refused_by_go("it", **{**good, **what}) == ([reason] if reason else [])
