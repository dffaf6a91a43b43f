# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import node, registration
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer

LOST = "node-7: the connection broke"


class CutOff:
    """A host whose connection breaks when the request is on its way."""

    name = "node-7"

    def __init__(self):
        self.runs = []

    def run(self, body, variables, **more):
        self.runs.append(more)
        raise Unreachable(LOST)


@pytest.fixture(scope="module")
def ca(make_ca):
    return make_ca()


@pytest.fixture
def options(ca):
    defaults = {name: spec.get("default") for name, spec in registration.ARGUMENT_SPEC.items()}
    given = {"active_ca": ca.pem.decode(), "token": "einmal-geheim", "os_url": "http://127.0.0.1:1", "os_api_key": "k"}
    return {**defaults, **given, "address": "cp.test:8443", "wait": 0}


def seen(options, leaf, *, signed_by=(), pin=(), to_cp="ok", to_node="accepted"):
    """A node's evidence, with what a proof looks at."""
    found = {**node.nothing("", options), "reachable": True}
    found["leaf"].update(sha256=leaf, signed_by=list(signed_by), issuer="CN=old", error="")
    found["pin"].update(sha256=list(pin), error="")
    found["handshake"].update(address="cp.test:8443", to_cp=to_cp, to_node=to_node)
    return found


def work_of(monkeypatch, options, before, after=None):
    """A registration of a node that shows ``before``, and ``after`` once the request was sent."""
    monkeypatch.setattr(node, "look", lambda host, given: (copy.deepcopy(before), Answer(0, {}, "", "")))

    def gather(host, given):
        if after is None:
            raise Unreachable("node-7: no route")
        return copy.deepcopy(after)

    monkeypatch.setattr(node, "gather", gather)
    monkeypatch.setattr(registration.time, "sleep", lambda seconds: None)
    return registration.Registration(CutOff(), options)


def test_each_part_of_the_proof_is_needed_and_named(monkeypatch, options, ca):
    active = ca.cert.sha256
    right = {"signed_by": [active], "pin": [active]}
    for wrong, words in (
        ({"signed_by": []}, "the leaf on disk is not by the active CA (its issuer is CN=old)"),
        ({"pin": ["b" * 64]}, "the pin does not hold the active CA"),
        ({"to_cp": "refused"}, "the node does not accept the Control Panel at cp.test:8443"),
        ({"to_node": "unknown"}, "the Control Panel at cp.test:8443 is not known to accept the node"),
    ):
        work = work_of(monkeypatch, options, seen(options, "a" * 64, **{**right, **wrong}))
        assert not work.proven(work.before)
        assert words in work._unproven(work.before)
    work = work_of(monkeypatch, options, seen(options, "a" * 64, **right))
    assert work.proven(work.before)


def test_after_a_lost_connection_the_proof_decides_and_nothing_is_sent_again(monkeypatch, options, ca):
    before = seen(options, "a" * 64)
    proven = {"signed_by": [ca.cert.sha256], "pin": [ca.cert.sha256]}
    for after, outcome in (
        (seen(options, "b" * 64, **proven), "registered"),
        # Forced, and the leaf is still the one from before: the request was not carried out.
        (seen(options, "a" * 64, **proven), "failed"),
        (before, "failed"),
        (None, "unreachable"),
    ):
        work = work_of(monkeypatch, options, before, after)
        found, detail, _evidence, attempt = work.register()
        assert found == outcome
        assert (LOST in detail) == (outcome != "registered")
        assert not attempt.touched
        assert [run["repeatable"] for run in work._host.runs] == [False]


def test_changed_is_what_was_done_not_how_it_ended():
    touched = registration.Attempt(touched=True, pin_written=True)
    assert registration.result("failed", "", {}, touched)["changed"]
    assert registration.result("failed", "", {}, touched)["pin_written"]
    for outcome, changed in (("registered", True), ("predicted", True), ("already", False), ("failed", False)):
        assert registration.result(outcome, "", {})["changed"] is changed


@pytest.mark.parametrize(("error", "outcome"), [(Unreachable, "unreachable"), (InputError, "failed")])
def test_a_tolerated_error_has_the_same_shape(options, error, outcome):
    found = registration.tolerated(error("node-7: why"), options)
    assert (found["outcome"], found["detail"], found["changed"]) == (outcome, "node-7: why", False)
    assert found["node"]["error"] == "node-7: why"
    assert found.keys() == registration.result("already", "", {}).keys()


def test_a_node_whose_files_may_not_be_read_is_not_registered(monkeypatch, options):
    hidden = node.nothing("/certs/client.crt: permission denied; is become missing?", options)
    with pytest.raises(HostError, match=r"node-7: /certs/client\.crt: permission denied"):
        work_of(monkeypatch, options, hidden)


def test_there_is_one_active_ca(monkeypatch, options, ca, make_ca):
    both = (ca.pem + make_ca(name="Other CA").pem).decode()
    with pytest.raises(InputError, match="active_ca holds 2 certificates"):
        work_of(monkeypatch, {**options, "active_ca": both}, {})
