# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import format_time
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import Listener, Os, act

QUICK = {"hold": 0.4, "os_status_path": "", "log_command": "true"}


@pytest.fixture(scope="module")
def cas(make_ca):
    return {"old": make_ca(), "new": make_ca()}


@pytest.fixture
def node_dir(tmp_path, cas, make_leaf):
    """A node on the legacy CA, in a directory whose name needs quoting."""
    home = tmp_path / 'a node\'s "dir" $HOME'
    home.mkdir()
    (home / "ca.crt").write_bytes(cas["old"].pem)
    make_leaf(cas["old"], name="node-7").write(home, "client")
    return home


def server(cas, make_leaf, which):
    return make_leaf(cas[which], name="cp", names=["cp.test"])


def look(home, listener=None, **options):
    found = act(
        "node_info",
        ca_path=str(home / "ca.crt"),
        cert_path=str(home / "client.crt"),
        key_path=str(home / "client.key"),
        kept_identity_dir=str(home / "kept"),
        **{**QUICK, **({"address": listener.address, "server_name": "cp.test"} if listener else {}), **options},
    )
    assert not found.get("failed"), found
    assert len(json.dumps(found["node"])) - len(found["node"]["kept_leaf"]["der"]) <= 2048
    return found["node"]


@pytest.mark.parametrize("tls12", [False, True])
def test_all_is_well(tmp_path, cas, make_leaf, node_dir, tls12):
    listener = Listener(tmp_path, server(cas, make_leaf, "old"), [cas["old"], cas["new"]], tls12=tls12)
    node = look(node_dir, listener, cas=[cas["new"].pem.decode()])
    assert (node["handshake"]["to_cp"], node["handshake"]["to_node"]) == ("ok", "accepted")
    assert node["pin"] == {"sha256": [cas["old"].cert.sha256], "form": "pem", "error": ""}
    assert node["leaf"]["signed_by"] == [cas["old"].cert.sha256]
    assert node["leaf"]["error"] == ""
    assert node["reachable"] is True
    assert node["error"] == ""
    assert abs(node["clock_skew"]) < 1
    assert node["tools"]["openssl"]


def test_the_pool_does_not_help_when_the_server_is_of_the_new_ca(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(tmp_path, server(cas, make_leaf, "new"), [cas["old"], cas["new"]])
    node = look(node_dir, listener)
    assert node["handshake"]["to_cp"] == "refused"


def test_the_control_panel_refuses(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(tmp_path, server(cas, make_leaf, "old"), [cas["new"]])
    node = look(node_dir, listener)
    assert (node["handshake"]["to_cp"], node["handshake"]["to_node"]) == ("ok", "refused")


def test_without_tickets_a_request_makes_it_positive(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(
        tmp_path, server(cas, make_leaf, "old"), [cas["old"]], tickets=False, answer=b"HTTP/1.1 404 Not Found\r\n\r\n"
    )
    assert look(node_dir, listener)["handshake"]["to_node"] == "unknown"
    asked = look(node_dir, listener, probe_request="GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    assert asked["handshake"]["to_node"] == "accepted"
    assert listener.requests == [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]


def test_nothing_is_sent_to_a_server_that_is_not_verified(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(
        tmp_path, server(cas, make_leaf, "new"), [cas["old"]], tickets=False, answer=b"HTTP/1.1 200 OK\r\n\r\n"
    )
    node = look(node_dir, listener, probe_request="GET / HTTP/1.1\\r\\n\\r\\n")
    assert node["handshake"]["to_cp"] == "refused"
    assert listener.requests == []


@pytest.mark.parametrize("name", ["other.test", "127.0.0.9"])
def test_a_wrong_server_name_is_no_link(tmp_path, cas, make_leaf, node_dir, name):
    listener = Listener(tmp_path, server(cas, make_leaf, "old"), [cas["old"]])
    assert look(node_dir, listener, server_name=name)["handshake"]["to_cp"] == "refused"


def test_an_address_of_the_server_can_be_its_name(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(tmp_path, make_leaf(cas["old"], name="cp", names=["127.0.0.1"]), [cas["old"]])
    node = look(node_dir, listener, server_name="127.0.0.1")
    assert (node["handshake"]["to_cp"], node["handshake"]["to_node"]) == ("ok", "accepted")


def test_another_trust_than_the_pin(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(tmp_path, server(cas, make_leaf, "new"), [cas["old"]])
    trust = node_dir / "trust me.pem"
    trust.write_bytes(cas["new"].pem)
    assert look(node_dir, listener, server_trust=str(trust))["handshake"]["to_node"] == "accepted"
    assert look(node_dir, listener, server_trust="system")["handshake"]["to_cp"] == "refused"
    assert "cannot be read" in look(node_dir, listener, server_trust="/no/such")["handshake"]["to_cp_detail"]


def test_a_sample_of_the_next_server_certificate_is_tried_with_nothing_but_the_pin(tmp_path, cas, make_leaf, node_dir):
    listener = Listener(tmp_path, server(cas, make_leaf, "old"), [cas["old"]])
    sample = server(cas, make_leaf, "new").pem.decode()
    assert look(node_dir, listener)["sample"] == {"verdict": "unknown", "detail": ""}
    refused = look(node_dir, listener, server_sample=sample)["sample"]
    assert refused["verdict"] == "refused" and "error" in refused["detail"]
    (node_dir / "ca.crt").write_bytes(cas["old"].pem + cas["new"].pem)
    assert look(node_dir, listener, server_sample=sample)["sample"] == {"verdict": "ok", "detail": ""}
    # another name, a client's certificate
    other = look(node_dir, listener, server_sample=sample, server_name="other.test")["sample"]
    assert other["verdict"] == "refused" and "hostname mismatch" in other["detail"]
    client = look(node_dir, listener, server_sample=make_leaf(cas["new"]).pem.decode())["sample"]
    assert client["verdict"] == "refused"
    # where the pin is not what it verifies by there is nothing to try
    elsewhere = look(node_dir, listener, server_sample=sample, server_trust=str(node_dir / "ca.crt"))["sample"]
    assert elsewhere["verdict"] == "unknown"


def test_nobody_listens(node_dir):
    node = look(node_dir, address="127.0.0.1:1", server_name="cp.test")
    assert (node["handshake"]["to_cp"], node["handshake"]["to_node"]) == ("unknown", "unknown")
    assert node["handshake"]["to_cp_detail"]


@pytest.mark.parametrize(
    ("broken", "content", "part", "words"),
    [
        ("ca.crt", None, "pin", "no such file"),
        ("ca.crt", b"", "pin", "holds no certificate"),
        ("ca.crt", b"garbage", "pin", "no certificate found"),
        ("client.crt", None, "leaf", "no such file"),
        ("client.crt", b"", "leaf", "holds no certificate"),
        ("client.crt", b"x" * 300000, "leaf", "longer than"),
    ],
)
def test_a_broken_file_is_data(node_dir, broken, content, part, words):
    path = node_dir / broken
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert words in look(node_dir)[part]["error"]


def test_a_key_that_is_missing_is_told(node_dir):
    (node_dir / "client.key").unlink()
    assert "key" in look(node_dir, address="127.0.0.1:1")["handshake"]["to_node_detail"]


def test_a_bundle_of_many_and_long_names_stays_short(node_dir, make_ca):
    many = [make_ca(name="Ein recht langer Name einer CA " + str(n)) for n in range(12)]
    (node_dir / "ca.crt").write_bytes(b"".join(ca.pem for ca in many))
    node = look(node_dir)
    assert [ca.cert.sha256 for ca in many] == node["pin"]["sha256"]
    assert node["leaf"]["sha256"]


def test_the_symptom_is_counted_whatever_its_apostrophe(node_dir):
    log = node_dir / "agent log"
    log.write_text(
        "x\nCC no longer trusts this node\u2019s client certificate \u2014 the CA was likely rotated.\n"
        "t=1 CC no longer trusts this node's client certificate - the CA was\n"
        "* ? [a] \\ no\nlast line without its end"
    )
    assert look(node_dir, log_command=f"cat '{log}'".replace("node's", "node'\"'\"'s"))["log"] == {
        "symptom_count": 2,
        "error": "",
    }
    assert look(node_dir, log_command="printf ''")["log"]["symptom_count"] == 0
    assert look(node_dir, log_command="/no/such/command")["log"] == {
        "symptom_count": None,
        "error": "log_command was not found",
    }
    assert look(node_dir, log_command="sleep 5", timeout=1)["log"]["symptom_count"] is None


def test_a_kept_identity_is_seen_and_whose_it_is(node_dir, cas, make_leaf):
    nothing = {"not_after": "", "der": "", "signed_by": [], "error": ""}
    found = look(node_dir)
    assert (found["kept_identity"], found["kept_leaf"]) == (False, nothing)
    kept = node_dir / "kept"
    kept.mkdir()
    assert look(node_dir)["kept_identity"] is True  # what a power cut has left is to be cleared away
    (kept / "something else").touch()
    assert look(node_dir)["kept_identity"] is False
    (kept / "client.key").write_text("k")
    found = look(node_dir)
    assert found["kept_identity"] is True and found["kept_leaf"]["error"] == f"{kept}/client.crt: no such file"
    leaf = make_leaf(cas["new"], name="node-7")
    (kept / "client.crt").write_bytes(leaf.pem)
    shown = {"not_after": format_time(leaf.cert.not_after), "der": base64.b64encode(leaf.der).decode(), "error": ""}
    assert look(node_dir)["kept_leaf"] == {**shown, "signed_by": []}
    known = look(node_dir, cas=[ca.pem.decode() for ca in cas.values()])
    assert known["kept_leaf"]["signed_by"] == [cas["new"].cert.sha256]
    # without its key it is no identity
    (kept / "client.key").unlink()
    assert look(node_dir)["kept_leaf"] == nothing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "nowhere"}, "expected host:port"),
        ({"server_trust": "pins"}, "server_trust"),
        ({"ca_path": "relative"}, "absolute path"),
        ({"log_pattern": "—"}, "log_pattern"),
        ({"os_url": "http://user:pw@localhost"}, "os_username"),
        ({"os_url": "http://10.0.0.1:8080"}, "https"),
        ({"os_username": "only"}, "belong together"),
        ({"os_api_key": "qzr_a b"}, "os_api_key"),
        ({"cas": ["nothing"]}, "cas, entry 1"),
    ],
)
def test_options_that_cannot_work(options, words):
    found = act("node_info", **options)
    assert found["failed"]
    assert words in found["msg"]
    assert "user:pw" not in found["msg"]
    tolerated = act("node_info", tolerate=True, **options)
    assert tolerated["node"]["reachable"] is False
    assert words in tolerated["node"]["error"]


class TestAgent:
    @pytest.fixture
    def api(self):
        api = Os()
        yield api
        api.close()

    def ask(self, home, api, **options):
        return look(home, os_url=api.url, **{"os_status_path": "/api/auth/cp-status", **options})["agent"]

    def test_by_api_key(self, node_dir, api):
        assert self.ask(node_dir, api, os_api_key=api.api_key) == {
            "status": "connected",
            "needs_registration": None,
            "detail": "",
        }

    @pytest.mark.parametrize("chunked", [False, True])
    def test_by_login(self, node_dir, api, chunked):
        api.chunked = chunked
        api.status = (200, {}, {"link": {"state": "lost", "todo": True}})
        found = self.ask(
            node_dir,
            api,
            os_username=api.user,
            os_password=api.password,
            os_status_query="link.state == 'up'",
            os_needs_registration_query="link.todo",
        )
        assert found == {"status": "disconnected", "needs_registration": True, "detail": ""}

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            ((404, {}, {"error": "x"}), "an older OS"),
            ((402, {}, {"error": "upgrade_required"}), 'licence does not allow it; it said "upgrade_required"'),
            ((403, {}, {}), "role does not allow"),
            ((409, {}, {}), "contradicts"),
            ((500, {}, b"<html>boom</html>"), "HTML page"),
            ((200, {}, b"<html>login</html>"), "HTML page"),
            ((200, {}, b'{"connec'), "cut off"),
            ((200, {}, b""), "empty"),
            ((200, {"X-Length": 4000}, b'{"connected": tr'), "cut off"),
            (None, "no answer"),
            ((200, {}, {"other": 1}), "found nothing"),
        ],
    )
    def test_a_bad_answer_is_a_sentence(self, node_dir, api, answer, words):
        api.status = answer
        found = self.ask(node_dir, api, os_api_key=api.api_key)
        assert found["status"] == "unknown"
        assert words in found["detail"]

    def test_wrong_credentials(self, node_dir, api):
        assert (
            "credentials were refused" in self.ask(node_dir, api, os_username="admin", os_password="falsch")["detail"]
        )
        assert "credentials were refused" in self.ask(node_dir, api, os_api_key="qzr_falsch")["detail"]

    def test_nobody_listens(self, node_dir, api):
        api.close()
        assert "not sent" in self.ask(node_dir, api, os_api_key="qzr_x")["detail"]
