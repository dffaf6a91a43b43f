# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the product's documentation leaves open: the lab does it otherwise, and variables of the inventory follow it.

The rows are those of docs/open-points.md. What is read is read twice by the roles' own tasks: as the inventory has it,
and with one variable back at its default, which must not do. What is done is done once, by playbooks that could not end
well with the default.
"""

from __future__ import annotations

import http.client
import http.server
import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from quazzar_lab import auth, lab, pki

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "roles/quazzar/defaults/main.yml").read_text(encoding="utf-8"))
COLLECTION = "quazzar.ca_rotation"
#: What to have a role do, and where it leaves what it has seen.
LOOKS = {
    "node": ("fleet_evidence", "nodes", "__fleet_evidence_node.node"),
    "registry": ("controlplane", "registry", "__controlplane_registry.registry"),
    "replica": ("controlplane", "read", "__controlplane_replica.replica"),
    "log": ("controlplane", "logs", "__controlplane_logs"),
}
READ_SECONDS = 600.0


def rows() -> list[str]:
    """The first column of every table of open points."""
    text = (ROOT / "docs/open-points.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", text, re.MULTILINE)
    return [cell for cell in cells if cell != "open point"]


def test_every_open_point_is_proven() -> None:
    listed = rows()
    marks = [mark for value in globals().values() for mark in getattr(value, "pytestmark", ())]
    proven = [row for mark in marks if mark.name == "open_point" for row in mark.args]
    assert len(listed) == len(set(listed)) >= 26
    assert sorted(proven) == sorted(listed)


class Looks:
    """Things to read, collected to be read by one playbook."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.plays: list[dict[str, Any]] = []
        self.names: dict[str, tuple[str, str]] = {}
        self._add("localhost", [{"ansible.builtin.set_fact": {"__fleet_evidence_known_cas": []}}])

    def _add(self, host: str, tasks: list[dict[str, Any]]) -> None:
        self.plays.append({"hosts": host, "gather_facts": False, "tasks": tasks})

    def add(self, name: str, host: str, look: str, /, **values: Any) -> None:
        """Look with these variables in the place of the inventory's. ``default`` names one that gets its default."""
        role, part, found = LOOKS[look]
        if "default" in values:
            variable = values.pop("default")
            values = {variable: DEFAULTS[variable], **values}
        include = {"name": f"{COLLECTION}.{role}", "tasks_from": part, "rolespec_validate": False}
        wait = {"controlplane_wait_for": []} if look == "registry" else {}
        fact, clock = f"seen_{len(self.names)}", "{{ now(utc=true).timestamp() }}"
        self.names[name] = (host, fact)
        self._add(
            host,
            [
                {"ansible.builtin.set_fact": {"began": clock}},
                {"ansible.builtin.include_role": include, "vars": {**wait, **values}},
                {
                    "ansible.builtin.set_fact": {
                        fact: f"{{{{ {{'seen': {found}, 'seconds': now(utc=true).timestamp() - began | float}} }}}}"
                    }
                },
            ],
        )

    def read(self) -> dict[str, dict[str, Any]]:
        """What every look has seen; ``seconds`` is how long it took."""
        made, book, answer = self.made, self.made.work / "looks.json", self.made.work / "seen.json"
        everything = {name: f"{{{{ hostvars['{host}'].{fact} }}}}" for name, (host, fact) in self.names.items()}
        copy = {"content": "{{ everything | to_json }}", "dest": str(answer), "mode": "0600"}
        last: dict[str, Any] = {"ansible.builtin.copy": copy, "vars": {"everything": everything}}
        self._add("localhost", [last])
        book.write_text(json.dumps(self.plays), encoding="utf-8")
        made.begin("drift_report", "--list-hosts").finish()  # writes the inventory beside the lab's
        done = subprocess.run(
            ["ansible-playbook", "-i", str(made.layout.inventory), "-i", str(made.work / "inventory"), str(book)],
            env=made._environment,
            cwd=made.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=READ_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:]
        found = json.loads(answer.read_text(encoding="utf-8"))
        return {name: {**look["seen"], "seconds": float(look["seconds"])} for name, look in found.items()}


def credentials(made: Any) -> list[dict[str, str]]:
    """An account for each tenant."""
    return [
        {"tenant": user["tenant"], **{key: user[key] for key in ("username", "password", "totp_secret")}}
        for user in made.facts["cp_users"][:2]
    ]


READ_OPTIONS = """
ca_names=same tenant_b=1 env_file=shared certs_dir=cp/srv/pki legacy_dir=cp/srv/former server_name=agents.example.test
api_prefix=/control/v2 login_username_field=email login_password_field=secret login_token_path=data.jwt totp=true
list_key=items instance_id_field=uuid instance_name_field=hostname instance_status_field=state
instance_last_seen_field=seen status_online=live status_offline=gone status_decommissioned=retired
instance_names=other summary_total_field=count
os_https=true os_auth=password os_totp=true cp_status_path=/api/v3/link cp_status_key=panel cp_status_field=state
cp_status_words=linked/unlinked needs_registration_field=stale
node_ca_path=etc/agent/pin.pem node_cert_path=etc/agent/node.pem node_key_path=etc/agent/node.key
node_log_path=var/log/agent/agent.log
"""


ONE_TENANT: dict[str, Any] = {"quazzar_cp_credentials": []}


def active(registry: Mapping[str, Any]) -> list[str]:
    return sorted(item["name"] for item in registry["instances"] if item["active"])


def look_around(made: Any, replica: str) -> dict[str, dict[str, Any]]:
    """Everything as the inventory has it, and again with one variable at its default."""
    looks = Looks(made)
    looks.add("registry", "localhost", "registry")
    no_prefix = f"https://{replica}:8444/"
    looks.add("registry: another base", "localhost", "registry", quazzar_cp_api_url=no_prefix)
    for part in ("login_body", "login_token_query", "api_ca", "instances_query", "summary_total_query"):
        looks.add(f"registry: {part}", "localhost", "registry", default=f"quazzar_cp_{part}")
    looks.add("registry: active_statuses", "localhost", "registry", default="quazzar_cp_active_statuses")
    retired = {"quazzar_cp_active_statuses": [], "quazzar_cp_inactive_statuses": ["Retired"]}
    looks.add("registry: inactive_statuses", "localhost", "registry", **retired)
    looks.add("registry: complete", "localhost", "registry", default="quazzar_registry_complete", **ONE_TENANT)
    looks.add("registry: one tenant", "localhost", "registry", **ONE_TENANT)
    looks.add("registry: totp", "localhost", "registry", default="quazzar_cp_totp_secret", **ONE_TENANT)

    looks.add("node", "node01", "node")
    for part in ("node_ca_path", "node_cert_path", "node_key_path", "node_log_command", "node_log_pattern"):
        looks.add(f"node: {part}", "node01", "node", default=f"quazzar_{part}")
    for part in ("url", "ca", "password", "totp_secret", "status_path", "status_query", "needs_registration_query"):
        looks.add(f"node: {part}", "node01", "node", default=f"quazzar_os_{part}")
    looks.add("node: mtls_address", "node01", "node", default="quazzar_cp_mtls_address")
    looks.add("node: server_name", "node01", "node", default="quazzar_cp_server_name")

    looks.add("replica", "cp1", "replica")
    for part in ("certs_dir", "log_command", "grace_log_pattern", "boot_log_pattern", "endpoints"):
        looks.add(f"replica: {part}", "cp1", "replica", default=f"quazzar_cp_{part}")
    looks.add("replica: legacy_ca_dir", "cp1", "replica", default="quazzar_legacy_ca_dir")
    looks.add("log", "cp1", "log")
    looks.add("log: drift", "cp1", "log", default="quazzar_cp_drift_log_pattern")
    looks.add("log: networks", "cp1", "log", quazzar_lb_cidrs=["10.0.0.0/8"])
    return looks.read()


def registry_followed(seen: Mapping[str, Any], first: str, second: str) -> None:
    assert not seen["registry"]["error"] and seen["registry"]["complete"]
    assert active(seen["registry"]) == sorted([first, second])
    for part in ("another base", "login_body", "login_token_query", "api_ca", "instances_query", "totp"):
        assert seen[f"registry: {part}"]["error"], part
    assert "summary_total_query" in seen["registry: summary_total_query"]["incomplete_reason"]
    assert "out-of-use" in active(seen["registry: active_statuses"])
    assert active(seen["registry: inactive_statuses"]) == active(seen["registry"])
    assert not seen["registry: complete"]["complete"]
    assert active(seen["registry: one tenant"]) == [first] and seen["registry: one tenant"]["complete"]


def node_followed(seen: Mapping[str, Any], made: Any) -> None:
    facts = made.facts
    node = seen["node"]
    assert node["pin"]["sha256"] == node["leaf"]["signed_by"] == [made.cas()[0]["sha256"]]
    assert (node["handshake"]["to_cp"], node["handshake"]["to_node"]) == ("ok", "refused")
    assert node["handshake"]["address"] == facts["mtls_address"]
    assert (node["agent"]["status"], node["agent"]["needs_registration"]) == ("disconnected", True)
    assert node["log"]["symptom_count"] > 0
    assert seen["node: node_ca_path"]["pin"]["error"] and seen["node: node_cert_path"]["leaf"]["error"]
    assert seen["node: node_key_path"]["handshake"]["to_node"] == "unknown"
    assert not seen["node: node_log_command"]["log"]["symptom_count"]
    assert seen["node: node_log_pattern"]["log"]["symptom_count"] == 0
    for part in ("url", "ca", "password", "totp_secret", "status_path", "status_query"):
        assert seen[f"node: {part}"]["agent"]["status"] == "unknown", part
    assert seen["node: needs_registration_query"]["agent"]["needs_registration"] is None
    assert seen["node: mtls_address"]["handshake"]["address"] == facts["endpoints"]["cp1"]
    assert seen["node: server_name"]["handshake"]["to_cp"] == "refused"


def replica_followed(seen: Mapping[str, Any], made: Any) -> None:
    facts = made.facts
    replica_seen = seen["replica"]
    assert replica_seen["active_ca"]["sha256"] == made.cas()[-1]["sha256"]
    assert [Path(file["path"]).name for file in replica_seen["legacy_dir"]] == ["partner.crt"]
    assert replica_seen["boot"]["loaded_count"] == 1 and replica_seen["address"] == facts["endpoints"]["cp1"]
    assert seen["replica: certs_dir"]["active_ca"] is None and seen["replica: legacy_ca_dir"]["legacy_dir"] == []
    assert seen["replica: log_command"]["boot"]["loaded_count"] is None
    assert not seen["replica: grace_log_pattern"]["boot"]["loaded_count"]
    assert seen["replica: boot_log_pattern"]["boot"]["loaded_count"] != 1
    assert seen["replica: endpoints"]["address"] == facts["mtls_address"]
    assert seen["log"]["counts"]["drift"] > 0 and seen["log: drift"]["counts"]["drift"] == 0
    assert " drift" in seen["log"]["summary"] and "outside" not in seen["log"]["summary"]
    assert "; from outside: 127." in seen["log: networks"]["summary"]


@pytest.mark.open_point(
    "base and path prefix",
    "body of the login",
    "where the answer has its bearer token",
    "a ready-made bearer token instead of a login",
    "CA of the API's own HTTPS certificate",
    "second factor",
    "how long it may put a request off (429, 503)",
    "several tenants",
    "shape of the list",
    "which statuses count",
    "the number of all nodes in the summary",
    "how an instance maps to a host",
    "is the list complete",
    "how often heartbeats come",
    "base, and the CA of its HTTPS certificate",
    "credentials",
    "agent status and its meaning",
    "does the agent want to be registered",
    "pin, leaf, key",
    "what verifies the CP",
    "log and its line",
    "files",
    "mTLS address and name",
    "each replica's own address",
    "log, its line for each CA, its line at the start",
    "line of drift, networks of probes, lines that are a stream"
    " (hints that `drift_report` and `guardrails_check` show)",
)
def test_what_is_read_follows_the_inventory(fleet: Any) -> None:
    words = ["node_log_text=link refused: pair again", "grace_log_text=extra root added", "drift_log_text=stranger"]
    made = fleet(2, "W1", options=[*READ_OPTIONS.split(), *words])
    facts, layout = made.facts, made.layout
    first, second = facts["nodes"]
    replica = urlsplit(f"//{facts['endpoints']['cp1']}").hostname
    admin = facts["os_users"]["admin"]

    # A partner's CA is in the pool for two starts; then the CA is lost. One instance is out of use.
    legacy_dir = Path(facts["legacy_dir"])
    legacy_dir.mkdir(parents=True, exist_ok=True)
    (legacy_dir / "partner.crt").write_bytes(pki.make_ca("Partner CA").pem)
    with open(made.env_file("cp1"), "a", encoding="utf-8") as file:
        file.write(f"CC_TRUST_ADDITIONAL_CA_CERTS={legacy_dir}/partner.crt\n")
    lab.restart(str(made.dir), "cp1")
    made.ghost("out-of-use")
    lab.registry_edit(str(made.dir), "decommission", "out-of-use", "")
    made.accident()
    made.disconnected()
    ids = dict(made.registry())

    made.group_vars["all"] |= {
        # not by the balancer, so that the default of the mTLS address is another one
        "quazzar_cp_api_url": f"https://{replica}:8444/control/v2",
        "quazzar_cp_login_body": {"email": "{username}", "secret": "{password}"},
        "quazzar_cp_login_token_query": "data.jwt",
        "quazzar_cp_totp_secret": facts["cp_users"][0]["totp_secret"],
        "quazzar_cp_credentials": credentials(made),
        "quazzar_cp_instances_query": "items[].{id: uuid, name: hostname, status: state, last_seen: seen}",
        "quazzar_cp_active_statuses": ["live", "gone"],
        "quazzar_cp_summary_total_query": "count",
        "quazzar_heartbeat_interval": 2,
        "quazzar_os_ca": facts["api_ca"],
        "quazzar_os_username": "admin",
        "quazzar_os_password": admin["password"],
        "quazzar_os_totp_secret": admin["totp_secret"],
        "quazzar_os_status_path": "/api/v3/link",
        "quazzar_os_status_query": "panel.state == 'linked'",
        "quazzar_os_needs_registration_query": "panel.stale",
        "quazzar_node_log_pattern": "link refused: pair again",
        "quazzar_cp_grace_log_pattern": "extra root added",
        "quazzar_cp_boot_log_pattern": "Center coming up",
        "quazzar_cp_drift_log_pattern": "stranger",
    }
    made.host_vars["node01"] = {"quazzar_os_api_key": "", "quazzar_instance_name": first["cp_name"]}
    made.host_vars["node02"] = {"quazzar_os_api_key": "", "quazzar_instance_id": ids[second["cp_name"]]}
    made.host_vars["unmapped"] = {}
    other_words = "s/Center starting/Center coming up/; s/x509: ECDSA verification failure/unknown issuer/"
    for name in ("cp1", "cp2"):
        log = shlex.quote(str(layout.logs / f"{name}.log"))
        made.host_vars[name] = {"quazzar_cp_log_command": f"sed '{other_words}' {log}"}

    seen = look_around(made, str(replica))
    registry_followed(seen, first["cp_name"], second["cp_name"])
    node_followed(seen, made)
    replica_followed(seen, made)

    # The same product on another day: no login by password, an API key at the nodes, a server certificate from outside,
    # and an API that has no time. Heartbeats come, but for nodes whose names are not known.
    made.option("login_api=false", "os_auth=api_key", "world=W3")
    lab.restart(str(made.dir), "cp1")
    made.fault("cp", "429", path="/control/v2/fleet/instances", retry_after="3", count=2)
    key = (layout.data / "jwt.key").read_text(encoding="ascii").strip()
    user = facts["cp_users"][0]
    bearer = auth.make_jwt(
        {"kind": "cp", "sub": user["username"], "tenant": user["tenant"], "role": "admin"}, key, 3600
    )
    looks = Looks(made)
    ready_made = {"quazzar_cp_bearer_token": bearer, **ONE_TENANT}
    looks.add("registry: no patience", "localhost", "registry", quazzar_cp_api_retry_max_wait=1, **ready_made)
    looks.add("registry: bearer", "localhost", "registry", **ready_made)
    looks.add("registry: login", "localhost", "registry", **ONE_TENANT)
    awaited = {"controlplane_wait_for": ["unmapped"], **ready_made}
    looks.add("registry: waited", "localhost", "registry", **awaited)
    looks.add("node: api key", "node01", "node", quazzar_os_api_key=first["api_key"])
    looks.add("node: no api key", "node01", "node")
    outside: dict[str, Any] = {"quazzar_cp_mtls_address": facts["endpoints"]["cp1"]}
    looks.add("node: pin", "node01", "node", **outside)
    looks.add("node: system", "node01", "node", quazzar_node_server_trust=facts["system_ca"], **outside)
    seen = looks.read()
    assert "retry_max_wait" in seen["registry: no patience"]["error"]
    assert active(seen["registry: bearer"]) == [first["cp_name"]] and seen["registry: bearer"]["seconds"] >= 3
    assert seen["registry: login"]["error"]
    # three intervals of 2 s, and not of the default of 60 s
    assert seen["registry: waited"]["missing"] == ["unmapped"] and 6 <= seen["registry: waited"]["seconds"] < 180
    assert seen["node: api key"]["agent"]["status"] == "disconnected"
    assert seen["node: no api key"]["agent"]["status"] == "unknown"
    assert seen["node: pin"]["handshake"]["to_cp"] == "refused"
    assert seen["node: system"]["handshake"]["to_cp"] == "ok"


WRITE_OPTIONS = """
instance_names=other tenant_b=1 token_path=enrollment.token token_expiry_field=ttl_seconds token_uses_field=limit
token_required_field=label token_id_path=meta.number token_revoke_path=/api/fleet/tokens/{id}
register_path=/api/v2/enroll register_token_field=code register_extra_field=reason register_status=303
reissue_at_boot=true agent_read=restart node02.register_delay=30s
"""


@pytest.mark.open_point(
    "body of the request",
    "lifetime, usage limit",
    "where the answer has the token",
    "where the answer has the token's id",
    "how a token is revoked",
    "path, body and success of the registration",
    "how long the new leaf may take",
    "does a new pin need a restart",
    "does a restart renew the server certificate",
    "environment file and restart",
)
def test_what_is_done_follows_the_inventory(fleet: Any) -> None:
    made = fleet(2, "W1", options=WRITE_OPTIONS.split())
    made.accident()
    made.group_vars["all"] |= {
        "quazzar_cp_credentials": credentials(made),
        "quazzar_cp_token_body": {"label": "rotation of {node}", "ttl_seconds": "{expires_in}", "limit": "{uses}"},
        "quazzar_cp_token_expires_in": 1800,
        "quazzar_cp_token_uses": 2,
        "quazzar_cp_token_query": "enrollment.token",
        "quazzar_cp_token_id_query": "meta.number",
        "quazzar_cp_token_revoke_request": {"method": "DELETE", "path": "fleet/tokens/{id}"},
        "quazzar_os_register_path": "/api/v2/enroll",
        "quazzar_os_register_body": {"code": "{token}", "reason": "rotation"},
        "quazzar_os_register_status": [303],
        "quazzar_cp_roll_reissues": True,
    }
    for node in made.facts["nodes"]:
        made.host_vars[node["name"]] = {
            "quazzar_instance_name": node["cp_name"],
            "quazzar_node_restart_command": lab.inventory.lab_command(made.layout, "restart-agent", node["name"]),
        }
    before = len(made.tokens())

    # node02's agent takes its time, and is not waited for: its token is taken back before it is used
    made.host_vars["node02"]["quazzar_register_wait"] = 1
    run = made.play("ca_rotate", status=2)
    assert run.states["node01"] == "current" and list(run.blocked) == ["node02"]
    minted = made.tokens()[before:]
    assert {token["max_uses"] for token in minted} == {2}
    assert {round(token["expires_at"] - token["created_at"]) for token in minted} == {1800}
    tenants = [node["tenant"] for node in made.facts["nodes"]]
    assert [token["tenant"] for token in minted] == tenants
    assert [token["revoked"] for token in minted] == [0, 1]
    assert not run.says("Revoke in the Control Panel")

    # it is waited for; and a CP that revokes nothing would leave a step for a person
    made.option("node02.register_delay=2s")
    del made.host_vars["node02"]["quazzar_register_wait"]
    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert made.loaded() == {"cp1": [], "cp2": []}


class Relay(http.server.BaseHTTPRequestHandler):
    """Hands requests on to a node, and notes by which program they were made."""

    target = ""
    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self._hand_on(b"")

    def do_POST(self) -> None:
        self._hand_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _hand_on(self, body: bytes) -> None:
        self.seen.append((f"{self.command} {self.path}", self.headers.get("User-Agent", "")))
        link = http.client.HTTPConnection(self.target, timeout=60)
        link.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() != "host"})
        answer = link.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def relay() -> Iterator[Any]:
    """Start a relay to an address: (its own address, what it has seen)."""
    servers = []

    def start(target: str) -> tuple[str, list[tuple[str, str]]]:
        handler = type("ToNode", (Relay,), {"target": target, "seen": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}", handler.seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.open_point(
    "tokens made by hand",
    "a list without API access",
    "what shows that an agent lives",
    "called from where",
    "how it is run, and where",
    "how it is renewed on purpose",
)
def test_a_control_panel_without_an_api(fleet: Any, relay: Any, tmp_path: Path) -> None:
    made = fleet(2, "W1", replicas=1, options=["login_api=false", "token_api=false"])
    made.accident()
    flipped, export = tmp_path / "flipped", tmp_path / "export.json"
    ids = dict(made.registry())
    rows_of_file = [{"id": ids[name], "name": name, "status": "online", "last_seen": None} for name in made.names]
    export.write_text(json.dumps(rows_of_file), encoding="utf-8")
    mint: Mapping[str, Any] = {"tenant": "", "expires_in": None, "uses": 1}
    address, seen = relay(f"{made.facts['nodes'][0]['address']}:8080")
    made.group_vars["all"] |= {
        "quazzar_cp_api_url": "",
        "quazzar_fleet_file": str(export),
        "quazzar_heartbeat_source": "agent",
        "quazzar_registration_tokens": {name: lab.mint_token(str(made.dir), **mint)["token"] for name in made.names},
        "quazzar_register_from": "controller",
        "quazzar_cp_hosts": ["panel"],
        "quazzar_cp_endpoints": {"panel": made.facts["endpoints"]["cp1"]},
    }
    # the host that runs it is in no group, and has another name than the lab's inventory gives it
    inventory = yaml.safe_load(made.layout.inventory.read_text(encoding="utf-8"))
    values = inventory["all"]["children"]["quazzar_cp"]["hosts"]["cp1"]
    flip = f"{values['quazzar_cp_flip_command']} && touch {shlex.quote(str(flipped))}"
    made.host_vars["panel"] = {**values, "quazzar_cp_flip_command": flip}
    made.host_vars["node01"] = {"quazzar_os_url": f"http://{address}"}

    run = made.play("ca_rotate")
    assert run.report["finished"] and set(run.states.values()) == {"current"}
    assert [replica["name"] for replica in run.report["replicas"]] == ["panel"]
    assert flipped.exists() and made.loaded() == {"cp1": []}
    agents = {what: agent.partition("/")[0] for what, agent in seen}
    assert agents == {"GET /api/auth/cp-status": "curl", "POST /api/cc/register": "quazzar.ca_rotation"}


@pytest.mark.open_point("does the agent take several CAs as its pin")
def test_an_agent_that_refuses_bundles_is_not_tried(fleet: Any) -> None:
    made = fleet(2, "W2", replicas=1, options=["bundle=refuse"])
    made.accident()
    run = made.play("ca_rotate", "--check", status=None)
    writes = r"TASK \[.*(Write the bundle|Push the pin)"
    assert re.search(writes, run.output)
    made.group_vars["all"] |= {"quazzar_pin_bundle": "never"}
    run = made.play("ca_rotate")
    assert not re.search(writes, run.output)
    assert run.report["finished"] and set(run.states.values()) == {"current"}


@pytest.mark.open_point(
    "on Kubernetes: which workload and container, its port, how legacy CAs and the variable get there"
)
@pytest.mark.parametrize("platform", ["nomad", "Kubernetes"])
def test_a_platform_that_is_not_there_is_refused_by_name(
    platform: str, ansible_environment: dict[str, str], tmp_path: Path
) -> None:
    inventory = tmp_path / "hosts.json"
    values = {"quazzar_cp_platform": platform, "quazzar_cp_hosts": ["n1"], "quazzar_cp_mtls_address": "cp.test:8443"}
    hosts = {"n1": {"ansible_connection": "local"}}
    tree = {"all": {"vars": values, "children": {"quazzar_nodes": {"hosts": hosts}}}}
    inventory.write_text(json.dumps(tree), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), f"{COLLECTION}.drift_report"],
        env={**ansible_environment, "ANSIBLE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READ_SECONDS,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2
    assert f"value of quazzar_cp_platform must be one of: env_file, kubernetes, declared, got: {platform}" in said
    assert "Read the replica" not in said
