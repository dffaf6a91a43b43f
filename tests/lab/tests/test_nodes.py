# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OS nodes: registration in all its manners, the OS API, what an agent makes of its files. One lab for all."""

from __future__ import annotations

import http.client
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quazzar_lab import auth, lab, pki
from quazzar_lab.paths import write_atomic


@pytest.fixture(scope="module")
def fleet(start_shared_lab: Callable[..., Any]) -> Any:
    return start_shared_lab(nodes=3)


@pytest.fixture(autouse=True)
def _as_it_was(fleet: Any) -> Iterator[None]:
    yield
    fleet.clear()
    lab.write_json(fleet.layout.options, {"heartbeat": 0.3})


def test_files_and_status(fleet: Any) -> None:
    key = fleet.node_path("node01", "client.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    leaf = pki.load_certificates(fleet.node_path("node01", "client.crt").read_bytes())[0]
    assert fleet.node_path("node01", "ca.crt").read_bytes() == pki.pem(fleet.cas()[0])
    assert pki.common_name(leaf.issuer) == "Quazzar Control Center CA"
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 90
    status, body, _headers = fleet.os("node01", "GET", "/api/auth/cp-status")
    assert status == 200 and body["connected"] is True and body["needs_registration"] is False


def test_status_can_look_otherwise(fleet: Any) -> None:
    fleet.option("cp_status_words=connected/disconnected", "cp_status_field=state", "cp_status_key=cp")
    assert fleet.os("node01", "GET", "/api/auth/cp-status")[1]["cp"]["state"] == "connected"
    fleet.option("node01.cp_status_path=", "needs_registration_field=")
    assert fleet.os("node01", "GET", "/api/auth/cp-status")[0] == 404
    assert "needs_registration" not in fleet.os("node02", "GET", "/api/auth/cp-status")[1]["cp"]


def test_credentials_and_roles(fleet: Any) -> None:
    url = f"http://{fleet.node('node01')['address']}:8080"
    assert fleet.call("GET", f"{url}/api/auth/cp-status")[0] == 401
    assert fleet.os("node01", "POST", "/api/cc/register", {"token": "x"}, key="viewer_key")[0] == 403
    assert fleet.call("POST", f"{url}/api/auth/setup", {})[0] == 409
    user = fleet.facts["os_users"]["admin"]
    body = {"username": "admin", "password": user["password"]}
    answer = fleet.call("POST", f"{url}/api/auth/login", body)[1]
    assert answer["token_type"] == "bearer"
    assert fleet.call("GET", f"{url}/api/auth/cp-status", token=answer["access_token"])[0] == 200
    answer = fleet.call("POST", f"{url}/api/auth/refresh", {"refresh_token": answer["refresh_token"]})[1]
    other = f"http://{fleet.node('node02')['address']}:8080"
    assert fleet.call("GET", f"{other}/api/auth/cp-status", token=answer["access_token"])[0] == 401
    fleet.option("os_totp=true")
    temp = fleet.call("POST", f"{url}/api/auth/login", body)[1]["temp_token"]
    body = {"temp_token": temp, "code": auth.totp(user["totp_secret"], time.time())}
    assert fleet.call("POST", f"{url}/api/auth/totp/verify", body)[0] == 200
    fleet.option("os_auth=password")
    assert fleet.os("node01", "GET", "/api/auth/cp-status")[0] == 401


def test_registration_makes_a_new_key_and_keeps_the_instance(fleet: Any) -> None:
    before = fleet.node_path("node01", "client.key").read_bytes()
    number = fleet.links()["node01"]["instance_id"]
    status, body, _headers = fleet.register("node01")
    assert (status, body["instance_id"]) == (200, number)
    assert fleet.node_path("node01", "client.key").read_bytes() != before
    fleet.settle(node01=True)


def test_registration_may_make_a_duplicate(fleet: Any) -> None:
    fleet.option("reregister=new")
    number = fleet.links()["node02"]["instance_id"]
    assert fleet.register("node02")[1]["instance_id"] != number
    assert [row["name"] for row in fleet.api("GET", "/fleet/instances")[1]].count("node02") == 2


def test_registration_can_look_otherwise(fleet: Any) -> None:
    fleet.option("register_path=/api/v2/enroll", "register_token_field=code", "register_extra_field=server")
    fleet.option("register_status=204")
    path, token = "/api/v2/enroll", fleet.token()
    assert fleet.register("node01", token)[0] == 404
    assert fleet.os("node01", "POST", path, {"code": token})[0] == 400
    assert fleet.os("node01", "POST", path, {"code": token, "server": "x"})[:2] == (204, None)


def test_registration_from_elsewhere_is_refused(fleet: Any) -> None:
    fleet.option("register_local_only=true")
    # Every loopback address is this machine's, so this request comes from 127.0.0.1: allowed.
    assert fleet.register("node01")[0] == 200


def test_registration_later_slowly_or_not_at_all(fleet: Any) -> None:
    leaf = fleet.node_path("node01", "client.crt")
    before = leaf.read_bytes()
    fleet.option("register_delay=300ms")
    assert fleet.register("node01")[:2] == (202, {"status": "pending"})
    assert leaf.read_bytes() == before
    fleet.until(lambda: leaf.read_bytes() != before)
    fleet.option("register_delay=0s")

    before = leaf.read_bytes()
    fleet.fault("node01", "register-noop", count=1)
    assert fleet.register("node01")[0] == 200
    assert leaf.read_bytes() == before
    fleet.fault("node01", "register-fail", value=503, count=1)
    assert fleet.register("node01")[0] == 503
    fleet.fault("node01", "slow-register", value=0.3, count=1)
    started = time.monotonic()
    assert fleet.register("node01")[0] == 200
    assert time.monotonic() - started >= 0.3
    before = leaf.read_bytes()
    fleet.fault("node01", "register-lost", count=1)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        fleet.register("node01")
    assert leaf.read_bytes() != before, "registered, though the answer was lost"


def bundle(*certs: Any) -> bytes:
    return b"".join(pki.pem(cert) for cert in certs)


def test_a_bundle_is_taken_whole_or_in_part_or_not(fleet: Any) -> None:
    fleet.option("node02.bundle=first", "node03.bundle=refuse")
    stranger, own = pki.make_ca().cert, fleet.cas()[0]
    for name in ("node01", "node02", "node03"):
        write_atomic(fleet.node_path(name, "ca.crt"), bundle(stranger, own))
    fleet.settle(node01=True, node02=False, node03=False)
    for name in ("node02", "node03"):
        write_atomic(fleet.node_path(name, "ca.crt"), bundle(own, stranger))
    fleet.settle(node02=True, node03=False)
    assert "expected exactly one certificate, found 2" in fleet.links()["node03"]["last_error"]
    write_atomic(fleet.node_path("node03", "ca.crt"), bundle(own))
    fleet.settle(node03=True)


def test_an_agent_may_read_its_files_at_its_start_only(fleet: Any) -> None:
    fleet.option("node01.agent_read=restart")
    good = fleet.node_path("node01", "ca.crt").read_bytes()
    write_atomic(fleet.node_path("node01", "ca.crt"), bundle(pki.make_ca().cert))
    fleet.settle(node01=True)
    lab.restart_agent(fleet.dir, "node01")
    fleet.settle(node01=False)
    write_atomic(fleet.node_path("node01", "ca.crt"), good)
    fleet.settle(node01=False)
    lab.restart_agent(fleet.dir, "node01")
    fleet.settle(node01=True)


def test_a_node_down_and_flapping(fleet: Any) -> None:
    fleet.fault("node01", "down")

    def refused() -> bool:
        try:
            fleet.os("node01", "GET", "/api/auth/cp-status")
        except OSError:
            return True
        return False

    fleet.until(refused)
    fleet.until(lambda: not fleet.links()["node01"]["connected"])
    fleet.clear()
    fleet.settle(node01=True)
    fleet.fault("node01", "flapping", value=0.7)
    fleet.until(lambda: not fleet.links()["node01"]["up"])
    fleet.until(lambda: fleet.links()["node01"]["up"])


def test_a_node_with_a_wrong_clock_refuses_the_cp(fleet: Any) -> None:
    fleet.fault("node01", "clock", value=-864000)
    fleet.settle(node01=False, node02=True)
    assert "not yet valid" in fleet.links()["node01"]["last_error"]
    assert fleet.os("node01", "GET", "/api/auth/cp-status")[2]["Date"] != fleet.api("GET", "/auth/me")[2]["Date"]


def test_nodes_come_and_go(fleet: Any) -> None:
    node = lab.add_node(fleet.dir, "late01", listed=False, tenant="")
    fleet.until(lambda: fleet.links()["late01"]["connected"])
    assert "late01" not in fleet.layout.inventory.read_text(encoding="utf-8")
    assert node["api_key"] in lab.all_secrets(fleet.dir)
    lab.remove_node(fleet.dir, "late01", keep_instance=True, keep_listed=False)
    assert "late01" not in fleet.links()
    assert "late01" in [row["name"] for row in fleet.api("GET", "/fleet/instances")[1]]


def test_an_expired_leaf_is_refused_in_those_words(fleet: Any) -> None:
    fleet.option("leaf_lifetime=1s")
    assert fleet.register("node01")[0] == 200
    fleet.settle(node01=False)
    fleet.until(lambda: "certificate has expired or is not yet valid" in fleet.cp_log())
    fleet.option("leaf_lifetime=90d")
    assert fleet.register("node01")[0] == 200
    fleet.settle(node01=True)


def test_hundreds_of_nodes_beat_in_one_process(start_lab: Callable[..., Any]) -> None:
    """50 handshakes a second; the CP keeps up, so no beat is lost but what the machine itself gave no time for."""
    made = start_lab("heartbeat=4", nodes=200)
    assert len({node["address"] for node in made.facts["nodes"]}) == 200

    def beats() -> list[dict[str, Any]]:
        return list(lab.beats(str(made.layout.root), since=0, mark=False)["nodes"].values())

    made.until(lambda: min(entry["delivered"] for entry in beats()) >= 2, "two beats of every node")
    assert [entry for entry in beats() if entry["missed_since_up"] > entry["starved"]] == []
