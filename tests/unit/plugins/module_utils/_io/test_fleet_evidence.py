# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import pathlib
import typing as t
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.action.rotation_plan import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import fleet_evidence
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import make_ca, make_leaf

try:
    from ansible.template import trust_as_template
except ImportError:  # before 2.19 every text was a template
    trust_as_template = str

OLD = make_ca()
REGISTRY = {"instances": [{"id": "inst_1", "name": "n1"}, {"id": "inst_9", "name": "stranger"}], "complete": True}
NODE = {"reachable": True, "handshake": {"to_cp": "ok", "to_node": "accepted"}, "agent": {"status": "connected"}}


def options(**more: t.Any) -> dict[str, t.Any]:
    """What the action hands over: every option with its default."""
    spec = ActionModule.ARGUMENT_SPEC
    given = {name: value.get("default") for name, value in spec.items()}
    return {**given, "nodes": ["n1", "n2"], "cp_hosts": ["cp1"], **more}


def fleet(**more: t.Any) -> t.Any:
    return hostvars(
        {
            "n1": {"__fleet_evidence_node": {"node": NODE, "changed": False}},
            "n2": {},
            "cp1": {"__controlplane_replica": {"replica": {"listening": True}}},
            "localhost": {"__fleet_evidence_registry": {"registry": REGISTRY}},
            **more,
        }
    )


def test_every_part_is_found_where_the_tasks_left_it() -> None:
    raw = fleet_evidence.raw_evidence(options(), fleet())
    assert raw.nodes == {"n1": NODE, "n2": {}}
    assert raw.replicas == {"cp1": {"listening": True}}
    assert raw.registry == REGISTRY
    assert raw.identities == {"n1": ("", "n1"), "n2": ("", "n2")}


def test_the_replicas_that_one_host_has_get_names_of_their_own() -> None:
    pods = [{"name": "cp-6f-a", "listening": True}, {"name": "cp-6f-b", "listening": False}]
    raw = fleet_evidence.raw_evidence(
        options(cp_hosts=["cp1", "cp2"]), fleet(cp2={"__controlplane_replica": {"replicas": pods}})
    )
    assert raw.replicas == {"cp1": {"listening": True}, "cp2/cp-6f-a": pods[0], "cp2/cp-6f-b": pods[1]}
    assert raw.hosts == {"cp2/cp-6f-a": "cp2", "cp2/cp-6f-b": "cp2"}


def test_the_workloads_are_of_the_hosts_that_stand_for_one() -> None:
    lost = [{"name": "unknown", "error": "no route"}]
    hosts = fleet(
        cp2={"__controlplane_replica": {"replicas": [{"name": "a"}], "workload": {"title": "Deployment q/cc"}}},
        cp3={"__controlplane_replica": {"replicas": lost, "workload": None}},
    )
    found = fleet_evidence.workloads(options(cp_hosts=["cp1", "cp2", "cp3"]), hosts)
    assert found == {"cp2": {"title": "Deployment q/cc"}, "cp3": {"error": "no route"}}


def test_whose_each_node_is_stands_in_the_registry() -> None:
    rows = [("inst_1", "n1", "acme"), ("inst_2", "edge", "beta"), ("inst_3", "n3", "acme"), ("inst_4", "n3", "beta")]
    listed = {"instances": [dict(zip(("id", "name", "tenant"), row, strict=True)) for row in rows]}
    found = fleet(
        localhost={"__fleet_evidence_registry": {"registry": listed}}, n2={"quazzar_instance_id": "inst_2"}, n3={}
    )
    where = ("localhost", "__fleet_evidence_registry")
    # n3 is in two lists, and n9 in none
    assert fleet_evidence.tenants(found, *where, ["n1", "n2", "n3", "n9"]) == {"n1": "acme", "n2": "beta"}
    assert fleet_evidence.tenants(found, "localhost", "nothing", ["n1"]) == {}


def test_a_host_that_the_inventory_does_not_know_was_not_examined() -> None:
    raw = fleet_evidence.raw_evidence(options(nodes=["n1", "nowhere"]), fleet())
    assert raw.nodes["nowhere"] == {}
    assert raw.identities is not None and raw.identities["nowhere"] == ("", "nowhere")
    assert fleet_evidence.outcome(fleet(), "nowhere", "x") == ("", "")
    assert not fleet_evidence.handshake_up(fleet(), "nowhere", "x")


@pytest.mark.parametrize("odd", [None, "text", ["a"], {"node": None}, {"node": "text"}, {"skipped": True}])
def test_a_result_of_another_shape_is_no_evidence(odd: t.Any) -> None:
    assert fleet_evidence.registered(fleet(n1={"x": odd}), "n1", "x", "node") == {}


def test_the_whole_result_of_a_task() -> None:
    assert fleet_evidence.result(fleet(n1={"x": {"lines": 3}}), "n1", "x") == {"lines": 3}
    assert fleet_evidence.result(fleet(n1={"x": "text"}), "n1", "x") == {}
    assert fleet_evidence.result(fleet(), "nowhere", "x") == {}


def test_the_names_in_the_registry_may_be_templates() -> None:
    found = fleet(
        n1={"quazzar_instance_name": trust_as_template("edge-{{ 6 + 1 }}")}, n2={"quazzar_instance_id": "inst_2"}
    )
    assert fleet_evidence.identity(found, "n1") == ("", "edge-7")
    assert fleet_evidence.identity(found, "n2") == ("inst_2", "n2")


def test_how_a_registration_ended() -> None:
    found = fleet(n1={"x": {"outcome": "registered", "node": NODE}}, n2={"x": {"outcome": "failed"}})
    assert fleet_evidence.outcome(found, "n1", "x") == ("registered", "connected")
    assert fleet_evidence.outcome(found, "n2", "x") == ("failed", "")
    assert fleet_evidence.outcome(found, "cp1", "x") == ("", "")


def test_handshake_up_needs_both_directions() -> None:
    one = fleet(n1={"x": {"node": {"handshake": {"to_cp": "ok", "to_node": "unknown"}}}})
    assert not fleet_evidence.handshake_up(one, "n1", "x")
    assert fleet_evidence.handshake_up(fleet(), "n1", "__fleet_evidence_node")


def test_settings_are_durations_and_times() -> None:
    found = fleet_evidence.settings(
        options(evidence_max_age="20m", switched_at="2026-05-04T09:30:00+02:00", bundle_works="no")
    )
    assert found.evidence_max_age == timedelta(minutes=20)
    assert found.switched_at == datetime(2026, 5, 4, 7, 30, tzinfo=timezone.utc)
    assert found.bundle_works is False
    assert fleet_evidence.settings(options()).bundle_works is None
    assert fleet_evidence.settings(options(bundle_works="yes")).bundle_works is True
    with pytest.raises(InputError, match="clock_skew"):
        fleet_evidence.settings(options(clock_skew="soon"))


@pytest.mark.parametrize(("given", "sliced"), [({}, False), ({"share": ["n1"]}, True), ({"sliced": True}, True)])
def test_a_slice_is_known_by_its_share_or_by_what_started_it(given: dict[str, t.Any], sliced: bool) -> None:
    assert fleet_evidence.settings(options(**given)).sliced is sliced


class TestClaims:
    def test_a_file_on_the_controller(self, tmp_path: pathlib.Path) -> None:
        crt, _key = OLD.write(tmp_path, "old")
        raw = fleet_evidence.raw_evidence(options(claim_files=[str(crt)]), fleet())
        assert [(c.source, c.data) for c in raw.claims] == [(f"file {crt}", OLD.pem)]

    def test_a_file_that_is_not_there_is_named(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(InputError, match=r"none\.crt: expected a readable file on the controller: No such file"):
            fleet_evidence.raw_evidence(options(claim_files=[str(tmp_path / "none.crt")]), fleet())

    def test_what_was_read_from_a_node(self) -> None:
        claims = [{"source": "n1:/ca.crt", "content": OLD.pem.decode()}]
        assert fleet_evidence.raw_evidence(options(claims=claims), fleet()).claims[0].data == OLD.pem

    def test_headers_give_cas_as_claims_a_leaf_as_a_witness_and_notes(self, tmp_path: pathlib.Path) -> None:
        leaf = make_leaf(OLD)
        one, bare = tmp_path / "whole.txt", tmp_path / "leaf.txt"
        one.write_text(f"Client-Cert: {value(leaf)}\r\nClient-Cert-Chain: {value(OLD)}\r\n")
        bare.write_text(f"Client-Cert: {value(leaf)}\r\n")
        raw = fleet_evidence.raw_evidence(options(claim_headers=[str(one), str(bare)]), fleet())
        assert [(c.source, c.data) for c in raw.claims] == [(f"headers in {one}", OLD.pem)]
        assert [w.sha256 for w in raw.witnesses] == [leaf.cert.sha256] * 2
        notes = "\n".join(raw.notes)
        assert f"headers in {one}: a proxy wrote this header: TLS ends there" in notes
        assert f"headers in {bare}: there is no CA certificate in it, only the leaf" in notes

    def test_headers_without_a_certificate_name_the_file_and_quote_nothing(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "headers.txt"
        path.write_text("Authorization: Bearer hush\r\n")
        with pytest.raises(InputError, match=r"headers in .*headers\.txt: no certificate found") as caught:
            fleet_evidence.raw_evidence(options(claim_headers=[str(path)]), fleet())
        assert "hush" not in str(caught.value)

    def test_digests_in_openssls_form(self) -> None:
        raw = fleet_evidence.raw_evidence(
            options(legacy_fingerprints=["SHA256 Fingerprint=" + OLD.cert.fingerprint]), fleet()
        )
        assert raw.named == {OLD.cert.sha256}
        with pytest.raises(InputError, match="SHA-256"):
            fleet_evidence.raw_evidence(options(legacy_fingerprints=["abc"]), fleet())


class TestWaivers:
    def written(self, tmp_path: pathlib.Path, text: str) -> dict[str, t.Any]:
        path = tmp_path / "waivers.yml"
        path.write_text(text)
        return options(waivers_file=str(path))

    def test_for_a_node_of_either_list(self, tmp_path: pathlib.Path) -> None:
        items = [{"node": n, "reason": "storage", "owner": "ops", "expires": "2999-01-01"} for n in ("n2", "stranger")]
        raw = fleet_evidence.raw_evidence(self.written(tmp_path, json.dumps(items)), fleet())
        assert [w.node for w in raw.waivers] == ["n2", "stranger"]

    @pytest.mark.parametrize(
        "text",
        [
            "[{node: nobody, reason: r, owner: o, expires: 2999-01-01}]",
            "[{node: n1, reason: r, owner: o, expires: 2001-01-01}]",
            "[{node: n1",
            "[{node: n1, reason: r, owner: o, expires: 2999-02-30}]",
            "[" * 5000,
            "- !!python/object/apply:os.system ['true']",
        ],
    )
    def test_what_cannot_be_a_waiver_is_an_error_that_names_the_file(self, tmp_path: pathlib.Path, text: str) -> None:
        with pytest.raises(InputError, match=r"waivers\.yml"):
            fleet_evidence.raw_evidence(self.written(tmp_path, text), fleet())

    def test_dates_are_judged_against_the_start_of_the_run(self, tmp_path: pathlib.Path) -> None:
        given = self.written(tmp_path, "[{node: n1, reason: r, owner: o, expires: '2001-01-01T00:00:00Z'}]")
        began = {**given, "run": {"started": "2001-01-01T00:00:00Z"}}
        assert [w.node for w in fleet_evidence.raw_evidence(began, fleet()).waivers] == ["n1"]
        late = {**given, "run": {"started": "2001-01-01T00:00:01Z"}}
        with pytest.raises(InputError, match="the one for n1 ended on 2001-01-01T00:00:00Z: renew it or remove it"):
            fleet_evidence.raw_evidence(late, fleet())

    def test_what_the_first_plan_found_holds_for_the_run(self, tmp_path: pathlib.Path) -> None:
        """The file is not read again, and a node that has gone since is a warning."""
        rows = [
            {"node": n, "reason": "r", "owner": "o", "expires": "2001-01-01T00:00:00Z"} for n in ("n1", "deleted since")
        ]
        given = self.written(tmp_path, "[{node: nobody")
        raw = fleet_evidence.raw_evidence(
            {**given, "run": {"started": "2001-01-01T00:00:00Z", "waivers": rows}}, fleet()
        )
        assert [w.node for w in raw.waivers] == ["n1", "deleted since"]
        assert len(raw.notes) == 1
        assert raw.notes[0].startswith(
            "the waiver for deleted since names nobody any more: the Control Panel's registry"
        )
        none = fleet_evidence.raw_evidence({**given, "run": {"started": "", "waivers": []}}, fleet())
        assert none.waivers == () and none.notes == ()

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match="waivers file /nowhere"):
            fleet_evidence.raw_evidence(options(waivers_file="/nowhere"), fleet())


def value(minted: t.Any) -> str:
    return f":{base64.b64encode(minted.der).decode()}:"
