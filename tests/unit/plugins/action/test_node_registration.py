# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import threading
import time

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import registration
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import Listener, Os, act

TOKEN = "einmal-geheim-token-4711"


class World:
    """A node on the legacy CA, a Control Panel that serves by one CA and accepts both, and the node's OS API."""

    def __init__(self, tmp_path, cas, make_leaf, *, serves="new"):
        self.old, self.new = cas
        self.make_leaf = make_leaf
        self.home = tmp_path / "a node's home"
        self.home.mkdir()
        (self.home / "ca.crt").write_bytes(self.old.pem)
        make_leaf(self.old, name="node-7").write(self.home, "client")
        serving = self.new if serves == "new" else self.old
        self.listener = Listener(tmp_path, make_leaf(serving, name="cp", names=["cp.test"]), list(cas))
        self.os = Os(self.registered)
        self.delay = 0.0
        self.answers = []
        self.happens = True

    def close(self):
        self.os.close()
        self.listener.close()

    def registered(self, body):
        if self.answers:
            status, headers, *said = self.answers.pop(0)
            if status is None:
                self.enrol()
                return None
            return status, headers, said[0] if said else {"error": f"said {status}"}
        assert body["token"] == TOKEN
        if self.delay:
            threading.Timer(self.delay, self.enrol).start()
            return 202, {}, {}
        self.enrol()
        return 200, {}, {"ok": True}

    def enrol(self):
        if self.happens:
            self.make_leaf(self.new, name="node-7").write(self.home, "client")
            (self.home / "ca.crt").write_bytes(self.new.pem)

    def register(self, **options):
        given = {
            "token": TOKEN,
            "active_ca": self.new.pem.decode(),
            "address": self.listener.address,
            "server_name": "cp.test",
            "ca_path": str(self.home / "ca.crt"),
            "cert_path": str(self.home / "client.crt"),
            "key_path": str(self.home / "client.key"),
            "kept_identity_dir": str(self.home / "kept"),
            "hold": 0.3,
            "log_command": "true",
            "os_url": self.os.url,
            "os_api_key": self.os.api_key,
            "os_status_path": "",
            "wait": 2,
            "os_timeout": 5,
            **options,
        }
        found = act("node_registration", **{k: v for k, v in given.items() if v is not None})
        assert TOKEN not in json.dumps(found)
        assert self.os.api_key not in json.dumps(found)
        return found

    def digest(self):
        return {p.name: p.read_bytes() for p in self.home.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def cas(make_ca):
    return make_ca(), make_ca()


@pytest.fixture
def world(tmp_path, cas, make_leaf):
    world = World(tmp_path, cas, make_leaf)
    yield world
    world.close()


def test_check_then_register_then_already(world):
    before = world.digest()
    for _turn in range(2):
        predicted = world.register(check=True)
        assert predicted["changed"]
        assert predicted["outcome"] == "predicted"
    assert world.os.requests == []
    assert world.digest() == before
    done = world.register()
    assert done["changed"]
    assert done["outcome"] == "registered"
    assert done["detail"] == ""
    assert not done.get("failed")
    assert done["node"]["leaf"]["signed_by"] == [world.new.cert.sha256]
    assert len(world.os.posts()) == 1
    for check in (False, True):
        again = world.register(check=check, token=None)
        assert not again["changed"]
        assert again["outcome"] == "already"
    assert len(world.os.posts()) == 1
    assert world.register(force=True)["outcome"] == "registered"
    assert len(world.os.posts()) == 2


def test_a_token_is_needed(world):
    found = world.register(token=None)
    assert found["failed"]
    assert "token is needed" in found["msg"]
    assert world.register(token=None, tolerate=True)["outcome"] == "failed"


def test_the_body_is_the_operators(world):
    world.os.register = lambda body: (world.enrol(), (200, {}, {}))[1]
    world.register(register_body={"region": 'a "b" \\ $x', "n": 3})
    assert json.loads(world.os.posts()[0]) == {"token": TOKEN, "region": 'a "b" \\ $x', "n": 3}
    world.register(force=True, register_body={"auth": {"enrolment": "t-{token}"}})
    assert json.loads(world.os.posts()[1]) == {"auth": {"enrolment": f"t-{TOKEN}"}}


def test_it_may_take_its_time(world):
    world.delay = 1.0
    assert world.register(wait=5)["outcome"] == "registered"


def test_yes_that_does_not_happen(world):
    world.happens = False
    found = world.register(wait=1)
    assert found["failed"]
    assert found["outcome"] == "failed"
    assert not found["changed"]
    assert "no new leaf came within 1 s" in found["detail"]
    assert "node-7" in found["msg"]
    assert len(world.os.posts()) == 1


@pytest.mark.parametrize("happens", [True, False])
def test_a_lost_answer_is_decided_by_proof_and_never_repeated(world, happens):
    world.happens = happens
    world.answers = [(None, {})]
    found = world.register(wait=1, tolerate=True)
    assert found["outcome"] == ("registered" if happens else "failed")
    assert happens or "token may be used up" in found["detail"]
    assert len(world.os.posts()) == 1


def test_no_answer_in_time_is_decided_by_proof(world):
    def slow(body):
        world.enrol()
        time.sleep(3)
        return 200, {}, {}

    world.os.register = slow
    assert world.register(os_timeout=1)["outcome"] == "registered"
    assert len(world.os.posts()) == 1


@pytest.mark.parametrize("refusal", [(429, {"Retry-After": "1"}), (503, {"Retry-After": "01"})])
def test_try_again_later_is_honoured(world, refusal):
    world.answers = [refusal]
    begin = time.monotonic()
    assert world.register()["outcome"] == "registered"
    assert time.monotonic() - begin >= 1
    assert len(world.os.posts()) == 2


def test_but_not_for_ever(world):
    world.answers = [(429, {"Retry-After": "3600"})]
    found = world.register(tolerate=True, retry_max_wait=5)
    assert found["outcome"] == "failed"
    assert "HTTP 429" in found["detail"]
    assert len(world.os.posts()) == 1


def test_503_without_a_time_is_not_repeated(world):
    world.answers = [(503, {})]
    assert "HTTP 503" in world.register(tolerate=True)["detail"]
    assert len(world.os.posts()) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "not expected"),
        (401, "credentials"),
        (402, "licence"),
        (403, "role"),
        (404, "no such path"),
        (409, "contradicts"),
        (410, "not expected"),
    ],
)
def test_a_refusal_is_a_sentence_and_final(world, status, words):
    world.answers = [(status, {})]
    before = world.digest()
    found = world.register(tolerate=True)
    assert found["outcome"] == "failed"
    assert words in found["detail"]
    assert f'it said "said {status}"' in found["detail"]
    assert len(world.os.posts()) == 1
    assert world.digest() == before


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b'{"error": "cut'])
def test_a_refusal_in_strange_clothes(world, body):
    world.answers = [(400, {}, body)]
    detail = world.register(tolerate=True)["detail"]
    assert "HTML page" in detail or "cut-off JSON" in detail


def test_a_token_that_is_good_for_nothing_is_said_in_the_servers_words(world):
    world.answers = [(403, {}, {"error": "registration token revoked"})]
    before = world.digest()
    assert 'it said "registration token revoked"' in world.register(tolerate=True)["detail"]
    assert len(world.os.posts()) == 1 and world.digest() == before


def test_what_the_server_repeats_is_blotted_out(world):
    world.answers = [(400, {}, {"error": f"token {TOKEN} is used"})]
    assert "token ******** is used" in world.register(tolerate=True)["detail"]


@pytest.mark.parametrize("where", ["node", "controller"])
def test_a_session_that_ends_is_renewed_once(world, where):
    world.os.refuse_sessions = 1
    login = {"os_api_key": None, "os_username": world.os.user, "os_password": world.os.password}
    found = world.register(register_from=where, **login)
    assert found["outcome"] == "registered"
    assert len(world.os.posts("/api/auth/login")) == 2
    assert len(world.os.posts()) == 2
    assert world.os.jwt not in json.dumps(found)
    world.os.refuse_sessions = 2
    assert "HTTP 401" in world.register(force=True, register_from=where, tolerate=True, **login)["detail"]
    assert len(world.os.posts()) == 4


def test_from_the_controller(world):
    assert world.register(register_from="controller")["outcome"] == "registered"
    world.answers = [(429, {"Retry-After": "1"})]
    assert world.register(register_from="controller", force=True)["outcome"] == "registered"
    world.answers = [(None, {})]
    assert world.register(register_from="controller", force=True)["outcome"] == "registered"
    world.answers = [(403, {})]
    assert "role" in world.register(register_from="controller", force=True, tolerate=True)["detail"]
    assert len(world.os.posts()) == 5


@pytest.mark.parametrize("where", ["node", "controller"])
def test_nobody_listens(world, where):
    world.os.close()
    found = world.register(register_from=where, tolerate=True)
    assert found["outcome"] == "failed"
    assert "not sent" in found["detail"]
    assert "refused" in found["detail"]


class TestServerStillOfTheLegacyCa:
    """World W1: with the active CA alone in its pin a node that was just registered would refuse the Control Panel."""

    @pytest.fixture
    def world(self, tmp_path, cas, make_leaf):
        world = World(tmp_path, cas, make_leaf, serves="old")
        yield world
        world.close()

    def pins(self, world):
        return [world.old.pem.decode(), world.new.pem.decode()]

    def test_without_the_bundle_it_is_not_proven(self, world):
        found = world.register(tolerate=True)
        assert found["outcome"] == "failed"
        assert found["changed"]
        assert "does not accept" in found["detail"]

    @pytest.mark.parametrize("where", ["node", "controller"])
    def test_the_bundle_is_written_at_once(self, world, where):
        found = world.register(pin_certificates=self.pins(world), register_from=where)
        assert found["outcome"] == "registered"
        assert found["pin_written"]
        assert found["node"]["pin"]["sha256"] == [world.old.cert.sha256, world.new.cert.sha256]

    @pytest.mark.parametrize("how", ["answers first", "answers last"])
    def test_the_gap_is_short(self, world, how):
        pin, gaps = world.home / "ca.crt", []
        only_new, stop = world.new.pem, threading.Event()

        def watch():
            since = None
            while not stop.is_set():
                now = time.monotonic()
                alone = pin.read_bytes() == only_new
                if alone and since is None:
                    since = now
                if not alone and since is not None:
                    gaps.append(now - since)
                    since = None
                time.sleep(0.005)

        def slow(body):
            world.enrol()
            time.sleep(2.5)
            return 200, {}, {}

        thread = threading.Thread(target=watch)
        thread.start()
        if how == "answers first":
            world.delay = 0.7
        else:
            world.os.register = slow
        found = world.register(pin_certificates=self.pins(world), wait=5)
        stop.set()
        thread.join()
        assert found["outcome"] == "registered"
        assert len(gaps) == 1 and gaps[0] < 1.5

    def test_an_agent_that_writes_its_pin_late(self, world):
        written = threading.Event()

        def overwrite():
            (world.home / "ca.crt").write_bytes(world.new.pem)
            written.set()

        def late(body):
            world.make_leaf(world.new, name="node-7").write(world.home, "client")
            threading.Timer(0.5, overwrite).start()
            return 200, {}, {}

        world.os.register = late
        found = world.register(pin_certificates=self.pins(world), wait=5)
        assert found["outcome"] == "registered" and written.wait(5)
        assert len(found["node"]["pin"]["sha256"]) == 2
        assert (world.home / "ca.crt").read_bytes() == world.old.pem + world.new.pem

    def test_a_refused_registration_leaves_the_pin(self, world):
        world.answers = [(403, {})]
        before = world.digest()
        found = world.register(pin_certificates=self.pins(world), tolerate=True)
        assert found["outcome"] == "failed"
        assert not found["pin_written"]
        assert not found["changed"]
        assert world.digest() == before

    def test_restart_after_the_pin(self, world):
        seen = pathlib.Path(world.home) / "seen"
        command = f'cat <"{world.home}/ca.crt" >"{seen}"'
        world.register(pin_certificates=self.pins(world), restart_command=command)
        assert seen.read_bytes() == world.old.pem + world.new.pem

    def test_a_restart_that_fails_is_told(self, world):
        found = world.register(pin_certificates=self.pins(world), restart_command="echo no unit; exit 3")
        assert found["outcome"] == "registered"
        assert "exit status 3" in found["detail"]

    def test_the_bundle_must_hold_the_active_ca(self, world):
        found = world.register(pin_certificates=[world.old.pem.decode()])
        assert found["failed"]
        assert "pin_certificates" in found["msg"]
        assert world.os.requests == []


def test_a_same_key_renewal_in_the_pin_is_not_drift(world, make_ca):
    world.register()
    renewed = make_ca(key=world.new.key, days=9000)
    (world.home / "ca.crt").write_bytes(renewed.pem)
    assert world.register(token=None)["outcome"] == "already"


def test_a_node_that_is_down(world):
    found = world.register(ca_path="/no/such/ca.crt", cert_path="/no/such/client.crt", token=None, check=True)
    assert found["outcome"] == "predicted"


@pytest.mark.parametrize("bad", [{"active_ca": "x"}, {"register_path": "no-slash"}, {"register_path": '/a"b'}])
def test_refused_options(world, bad):
    assert world.register(**bad)["failed"]


def test_a_slow_verdict_is_waited_for_longer_each_time(world, monkeypatch):
    holds, gather = [], registration.node.gather

    def hasty(host, options):
        holds.append(options["hold"])
        found = gather(host, options)
        if len(holds) < 3:
            found["handshake"]["to_node"] = "unknown"
        return found

    monkeypatch.setattr(registration.node, "gather", hasty)
    assert world.register(wait=20)["outcome"] == "registered"
    assert holds == [0.3, 0.6, 1.2]
