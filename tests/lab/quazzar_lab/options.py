# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every open point of the product's documentation, and every habit of the lab, as one named option.

An option holds for the whole lab. Where a node reads it, ``node03.bundle=first`` sets it for that node alone.
The processes read ``options.json`` again whenever the file changes, so an option can be flipped while the lab runs;
those that matter at a replica's start only (world, pool, certificates) take effect at its next restart.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class OptionError(Exception):
    """An option name or value that the lab does not know."""


@dataclass(frozen=True)
class Option:
    """One option. ``row`` names the row of the contract's table of open points that it plays with, if any."""

    default: Any
    help: str
    choices: tuple[str, ...] = ()
    row: str = ""
    node: bool = False


OPTIONS: dict[str, Option] = {
    # certificates
    "world": Option("W2", "which CA the CP's server certificate chains to", ("W1", "W2", "W3", "W4")),
    "ca_names": Option("same", "do successive CAs share their name", ("same", "distinct")),
    "key_ids": Option(True, "CAs carry SKI, leaves carry AKI"),
    "ca_lifetime": Option("3650d", "lifetime of a CA minted from now on (s, m, h, d)"),
    "ca_backdate": Option("0s", "how long before its minting a CA's validity starts"),
    "leaf_lifetime": Option("90d", "lifetime of a client certificate"),
    "leaf_backdate": Option("0s", "how long before its issue a leaf's validity starts"),
    "reissue_at_boot": Option(False, "a W1 replica signs its server leaf anew at each boot (not during the accident)"),
    "auto_ca_gen": Option(True, "the environment files say CC_ALLOW_AUTO_CA_GEN=true"),
    "certs_volume": Option("shared", "replicas share one certs volume, or each has its own", ("shared", "own")),
    # the trust pool
    "env_file": Option(
        "own",
        "each replica has its own environment file, or all share one",
        ("own", "shared"),
        row="which platform, hosts, environment file, restart",
    ),
    "env_dialect": Option(
        "systemd", "how the environment file is read: compose ends a value at ' #'", ("systemd", "compose")
    ),
    "missing_pool_file": Option("fail", "a file named in the pool is missing", ("fail", "warn")),
    "pool_bundle": Option("first", "several certificates in one pool file", ("first", "all", "fail")),
    "pool_variable": Option("CC_TRUST_ADDITIONAL_CA_CERTS", "name of the variable that widens the trust pool"),
    "certs_dir": Option(
        "cp/certs",
        "the CP's certs directory, below the lab's directory",
        row="CP files, where to put legacy CAs",
    ),
    "legacy_dir": Option(
        "cp/legacy",
        "directory for legacy CAs, below the lab's directory",
        row="CP files, where to put legacy CAs",
    ),
    # the mTLS listener
    "server_name": Option("cp.quazzar.test", "the name in the server certificate", row="server name to verify"),
    "tls_min": Option("1.2", "lowest TLS version of the mTLS port", ("1.2", "1.3")),
    "tls_max": Option("1.3", "highest TLS version of the mTLS port", ("1.2", "1.3")),
    "tickets": Option(True, "session tickets; off with TLS 1.3 the port refuses by OpenSSL's own verification"),
    "refusal_alert": Option("bad_certificate", "alert for an unknown client", ("bad_certificate", "unknown_ca")),
    "abrupt_close": Option(False, "after a failed handshake the CP resets the connection"),
    "internal_cidrs": Option("", "where probes without a certificate are DEBUG only; empty: the lab's CP side"),
    "lb_probe_interval": Option("5s", "how often the balancer probes the mTLS port without a certificate; 0s: never"),
    # log words
    "grace_log_text": Option(
        "loaded additional trusted CA (rotation grace)",
        "boot line, one for each CA of the pool",
        row="boot log line, drift log pattern",
    ),
    "drift_log_text": Option(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "the CP's words for a client that it does not know",
        row="boot log line, drift log pattern",
    ),
    "node_log_text": Option(
        "CC no longer trusts this node\u2019s client certificate — the CA was likely rotated on the Control Panel.",
        "the node's words when the CP refuses its leaf",
        row="node log and the documented line",
        node=True,
    ),
    # CP API
    "api_prefix": Option("/api", "path prefix of the CP API", row="CP API base, path prefix"),
    "login_username_field": Option("username", "login body", row="login body, token path in the answer"),
    "login_password_field": Option("password", "login body", row="login body, token path in the answer"),
    "login_token_path": Option(
        "access_token",
        "where the JWT is in the answer, dotted",
        row="login body, token path in the answer",
    ),
    "login_api": Option(
        True,
        "off: no login by password (a ready-made bearer token only)",
        row="a ready-made bearer token instead of a login",
    ),
    "jwt_lifetime": Option("1h", "lifetime of the CP's JWT"),
    "totp": Option(False, "the CP's users need TOTP", row="mTLS address, API CA, TOTP secret, tenants"),
    "list_key": Option(
        "", "wrap the instance list in an object under this key", row="instance list: id, name, status, last seen"
    ),
    "instance_id_field": Option("id", "instance list", row="instance list: id, name, status, last seen"),
    "instance_name_field": Option("name", "instance list", row="instance list: id, name, status, last seen"),
    "instance_status_field": Option("status", "instance list", row="instance list: id, name, status, last seen"),
    "instance_last_seen_field": Option(
        "last_heartbeat",
        "instance list",
        row="instance list: id, name, status, last seen",
    ),
    "status_online": Option("online", "word for an instance with a heartbeat", row="which statuses are active"),
    "status_offline": Option("offline", "word for an instance without", row="which statuses are active"),
    "status_decommissioned": Option(
        "decommissioned",
        "word for an instance taken out of use",
        row="which statuses are active",
    ),
    "instance_names": Option(
        "host",
        "the CP's name of a node: its host name, or something else",
        ("host", "other"),
        row="how an instance maps to an inventory host",
    ),
    "list_cap": Option(
        0,
        "the instance list is cut after so many rows; 0: whole",
        row="is the registry list complete; list without API access",
    ),
    "summary_total_field": Option(
        "total", "the summary's number of all nodes", row="is the registry list complete; list without API access"
    ),
    "tenant_b": Option(
        0, "so many of the last nodes belong to the second tenant", row="mTLS address, API CA, TOTP secret, tenants"
    ),
    # tokens
    "token_api": Option(True, "tokens can be made over the API", row="tokens supplied by hand (UI only)"),
    "token_path": Option(
        "token", "where the token is in the answer, dotted", row="token request body; where the token is in the answer"
    ),
    "token_id_path": Option("id", "where the token's id is in the answer, dotted", row="revoke a token"),
    "token_expiry_field": Option(
        "expires_in", "request field: seconds", row="token request body; where the token is in the answer"
    ),
    "token_uses_field": Option(
        "max_uses", "request field: usage limit", row="token request body; where the token is in the answer"
    ),
    "token_required_field": Option(
        "", "a further field that the request must have", row="token request body; where the token is in the answer"
    ),
    "token_default_uses": Option(1, "usage limit when none is asked for; 0: none"),
    "token_revoke_path": Option("", "DELETE path with {id} to revoke a token; empty: UI only", row="revoke a token"),
    # registration
    "register_path": Option("/api/cc/register", "OS API", row="register path, body, success", node=True),
    "register_token_field": Option("token", "body field of the token", row="register path, body, success", node=True),
    "register_extra_field": Option(
        "", "a further body field that must be there", row="register path, body, success", node=True
    ),
    "register_status": Option(200, "status of a good answer", row="register path, body, success", node=True),
    "register_error_status": Option(400, "status when the CP refuses; 0: the CP's own", node=True),
    "register_delay": Option("0s", "registration happens so long after the answer (202 like)", node=True),
    "register_local_only": Option(
        False, "the OS API takes registrations from its own host only", row="called from where", node=True
    ),
    "register_verify": Option(
        "none", "does a re-registering node verify the CP by its pin", ("none", "pin"), node=True
    ),
    "reregister": Option("keep", "re-registration keeps the instance id or makes a new one", ("keep", "new")),
    # OS API
    "os_auth": Option(
        "both", "what the OS API takes", ("both", "api_key", "password"), row="OS credentials", node=True
    ),
    "os_totp": Option(False, "the OS API's users need TOTP", row="OS credentials", node=True),
    "os_https": Option(False, "the OS API speaks HTTPS (certificate by the API CA)"),
    "cp_status_path": Option(
        "/api/auth/cp-status", "empty: an older OS, 404", row="agent status endpoint and its meaning", node=True
    ),
    "cp_status_key": Option(
        "", "wrap the status in an object under this key", row="agent status endpoint and its meaning", node=True
    ),
    "cp_status_field": Option(
        "connected",
        "field that says whether the node is connected",
        row="agent status endpoint and its meaning",
        node=True,
    ),
    "cp_status_words": Option(
        "",
        "two words yes/no in place of true and false, as connected/disconnected",
        row="agent status endpoint and its meaning",
        node=True,
    ),
    "needs_registration_field": Option(
        "needs_registration",
        "empty: the status does not tell",
        row="heartbeat interval; agent's view needs registration",
        node=True,
    ),
    "untrusted_needs_registration": Option(False, "a CP that the node does not trust sets that field too", node=True),
    # the node's files and its agent
    "node_ca_path": Option(
        "var/lib/quazzar/certs/ca.crt", "below the node's directory", row="node files: pin, leaf, leaf key"
    ),
    "node_cert_path": Option(
        "var/lib/quazzar/certs/client.crt", "below the node's directory", row="node files: pin, leaf, leaf key"
    ),
    "node_key_path": Option(
        "var/lib/quazzar/certs/client.key", "below the node's directory", row="node files: pin, leaf, leaf key"
    ),
    "node_log_path": Option(
        "var/log/quazzar/agent.log", "below the node's directory", row="node log and the documented line"
    ),
    "heartbeat": Option(
        1.0, "seconds between two heartbeats", row="heartbeat interval; agent's view needs registration", node=True
    ),
    "agent_read": Option(
        "live",
        "the agent reads its files at every beat, or at its start only",
        ("live", "restart"),
        row="agent restart needed after a pin change",
        node=True,
    ),
    "bundle": Option("all", "a pin file with several certificates", ("all", "first", "refuse"), node=True),
    "agent_names": Option("go", "go: the leaf is sent only when the CP names its issuer", ("go", "always"), node=True),
}

NODE_PREFIX = re.compile(r"^(?P<node>[A-Za-z0-9_-]+)\.(?P<name>[a-z_0-9]+)$")
DURATION = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)?$")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def seconds(text: Any) -> float:
    """A duration such as ``90d``, ``1.5s`` or a plain number of seconds."""
    match = DURATION.match(str(text))
    if not match:
        raise OptionError(f"not a duration: {text!r} (write 500ms, 30s, 5m, 2h or 90d)")
    return float(match["number"]) * SECONDS[match["unit"]]


def _typed(name: str, option: Option, text: Any) -> Any:
    kind = type(option.default)
    try:
        if kind is bool:
            if isinstance(text, bool):
                return text
            return {
                "true": True,
                "yes": True,
                "on": True,
                "1": True,
                "false": False,
                "no": False,
                "off": False,
                "0": False,
            }[str(text).lower()]
        value = kind(text)
    except (ValueError, KeyError):
        raise OptionError(f"option {name}: {text!r} is not a {kind.__name__}") from None
    if option.choices and value not in option.choices:
        raise OptionError(f"option {name}: {value!r} is not one of {', '.join(option.choices)}")
    return value


def parse(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` and ``node.key=value`` pairs as a checked mapping."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, sep, text = pair.partition("=")
        match = NODE_PREFIX.match(key)
        name = match["name"] if match else key
        if not sep or name not in OPTIONS:
            raise OptionError(f"unknown option {key!r}; see: python -m quazzar_lab options")
        if match and not OPTIONS[name].node:
            raise OptionError(f"option {name} cannot be set for one node")
        values[key] = _typed(name, OPTIONS[name], text)
    return values


class Options:
    """The options of a running lab, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, int] | None = None
        self._values: dict[str, Any] = {}

    def _read(self) -> dict[str, Any]:
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return self._values
        signature = (stat.st_mtime_ns, stat.st_ino)
        if signature != self._signature:
            self._values = json.loads(self._path.read_text(encoding="utf-8"))
            self._signature = signature
        return self._values

    def get(self, name: str, node: str = "") -> Any:
        """The value of an option, for a node when one is named."""
        values = self._read()
        if node and f"{node}.{name}" in values:
            return values[f"{node}.{name}"]
        return values.get(name, OPTIONS[name].default)

    def seconds(self, name: str, node: str = "") -> float:
        """A duration option in seconds."""
        return seconds(self.get(name, node))


def option_table() -> str:
    """The options as a Markdown table, open point first."""
    lines = ["| open point of the contract | option | default | meaning |", "|---|---|---|---|"]
    for name, option in sorted(OPTIONS.items(), key=lambda item: (not item[1].row, item[1].row)):
        default = json.dumps(option.default, ensure_ascii=True)
        choices = f" ({', '.join(option.choices)})" if option.choices else ""
        node = " Also for one node: `NODE.option=…`." if option.node else ""
        lines.append(f"| {option.row or '-'} | `{name}` | `{default}` | {option.help}{choices}.{node} |")
    return "\n".join(lines)
