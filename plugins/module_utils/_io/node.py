# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The evidence of one node in one round trip: pin, leaf, a live handshake, the agent's view, the log, the clock."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import time
import typing as t

from .._core import handshake as core_handshake
from .._core.certificates import Certificate, parse_bundle, signers
from .._core.errors import InputError, RotationError
from . import os_api, scripts
from .action import rfc3339, utc_now
from .host import Answer, Host, whole

FILES_SPEC: dict[str, t.Any] = {
    "ca_path": {"type": "str", "default": "/var/lib/quazzar/certs/ca.crt"},
    "cert_path": {"type": "str", "default": "/var/lib/quazzar/certs/client.crt"},
    "key_path": {"type": "str", "default": "/var/lib/quazzar/certs/client.key"},
}

ARGUMENT_SPEC: dict[str, t.Any] = {
    **FILES_SPEC,
    "address": {"type": "str"},
    "server_name": {"type": "str"},
    "server_trust": {"type": "str", "default": "pin"},
    "hold": {"type": "float", "default": 1.0},
    "timeout": {"type": "int", "default": 15},
    "probe_request": {"type": "str"},
    "cas": {"type": "list", "elements": "str", "default": []},
    "server_sample": {"type": "str"},
    "os_status_path": {"type": "str", "default": "/api/auth/cp-status"},
    "os_status_query": {"type": "str", "default": "connected"},
    "os_needs_registration_query": {"type": "str"},
    "log_command": {"type": "str"},
    "log_pattern": {"type": "str", "default": "CC no longer trusts this node"},
    "kept_identity_dir": {"type": "str", "default": "/var/lib/quazzar-ca-rotation"},
    "tolerate": {"type": "bool", "default": False},
    **os_api.ARGUMENT_SPEC,
}

# One result per node is kept in the controller's memory for the whole run.
MAX_RESULT = 2048
_DETAIL = 160
_TOOL = 40
# What is of no use when it is cut.
_WHOLE = frozenset(
    ("der", "sha256", "not_before", "not_after", "to_cp", "to_node", "verdict", "status", "http", "openssl")
)

_SCRIPT = (
    scripts.PROBE
    + scripts.SAMPLE
    + scripts.LOG
    + scripts.HTTP
    + scripts.STATUS
    + r"""
qz_put clock.start "$(date +%s.%N)"
qz_file pin "$o_ca_path"
qz_file leaf "$o_cert_path"
if [ -r "$o_kept_dir/client.key" ]; then qz_put kept 1; qz_file kept_leaf "$o_kept_dir/client.crt"
# An empty directory is what a power cut leaves of a copy that was being deleted.
elif [ -d "$o_kept_dir" ] && qz_names=$(ls -A -- "$o_kept_dir" 2>/dev/null) && [ -z "$qz_names" ]; then qz_put kept 1
fi
if qz_have openssl; then qz_put openssl "$(openssl version 2>&1)"; fi
if [ -n "$o_address" ]; then qz_probe; fi
if [ -n "$o_sample" ]; then qz_sample; fi
qz_log
qz_agent
qz_put clock.end "$(date +%s.%N)"
"""
)


def certificates_of(pems: t.Iterable[str], option: str) -> list[Certificate]:
    """All certificates in a list of PEM texts, each once, in order. Raises InputError that names the option."""
    found: dict[str, Certificate] = {}
    for number, pem in enumerate(pems, start=1):
        try:
            bundle = parse_bundle(pem.encode("utf-8"))
        except InputError as error:
            raise InputError(f"{option}, entry {number}: {error}") from None
        if bundle.has_private_key:
            raise InputError(f"{option}, entry {number}: has a private key in it; a key does not belong here")
        if not bundle.certificates:
            raise InputError(f"{option}, entry {number}: no certificate found, expected PEM")
        found.update((certificate.sha256, certificate) for certificate in bundle.certificates)
    return list(found.values())


def split_address(address: str) -> tuple[str, int]:
    """host:port or [v6]:port. Raises InputError."""
    host, _unused, port = address.rpartition(":")
    host = host.strip("[]")
    number = whole(port) or 0
    if not host or not 0 < number < 65536 or re.search(r"\s", address):
        raise InputError(f"address is {address!r}, expected host:port such as panel.example.com:8443")
    return host, number


def script_variables(options: t.Mapping[str, t.Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Plain and secret variables of the script. Raises InputError for options that cannot work."""
    address = (options.get("address") or "").strip()
    host = split_address(address)[0] if address else ""
    server_name = (options.get("server_name") or host).strip()
    trust = options["server_trust"]
    if trust not in ("pin", "system") and not trust.startswith("/"):
        raise InputError(
            f"server_trust is {trust!r}, expected pin, system, or the absolute path of a PEM file on the node"
        )
    for name in ("ca_path", "cert_path", "key_path", "kept_identity_dir"):
        if not options[name].startswith("/"):
            raise InputError(f"{name} is {options[name]!r}, expected an absolute path on the node")
    words = re.findall(r"[A-Za-z0-9]+", options["log_pattern"])
    if not words:
        raise InputError("log_pattern has no word in it, expected a part of the log line")
    plain, secret = os_api.script_variables(options, utc_now())
    plain.update(
        o_ca_path=options["ca_path"],
        o_cert_path=options["cert_path"],
        o_key_path=options["key_path"],
        o_kept_dir=options["kept_identity_dir"].rstrip("/"),
        o_address=address,
        o_server_name=server_name,
        o_server_kind="ip" if _is_ip(server_name) else "host",
        o_server_trust=trust,
        o_hold=f"{options['hold']:g}",
        o_hold_long=f"{4 * options['hold']:g}",
        o_probe_timeout=str(max(options["timeout"], int(4 * options["hold"]) + 2)),
        o_probe_request=(options.get("probe_request") or "").replace("\\r", "\r").replace("\\n", "\n"),
        o_sample=(options.get("server_sample") or "") if trust == "pin" else "",
        o_log_command=options.get("log_command") or "",
        o_log_glob="*" + "*".join(words) + "*",
        o_log_timeout=str(options["timeout"]),
        o_os_status_path=_status_path(options),
    )
    return plain, secret


def _status_path(options: t.Mapping[str, t.Any]) -> str:
    path = str(options.get("os_status_path") or "")
    if (path and not re.fullmatch(r"/[\x21-\x7e]*", path)) or '"' in path or "\\" in path:
        raise InputError(f"os_status_path is {path!r}, expected a path such as /api/auth/cp-status")
    return path


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def gather(host: Host, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The evidence of the host, in one round trip. Raises HostError or InputError."""
    return look(host, options)[0]


def look(host: Host, options: t.Mapping[str, t.Any]) -> tuple[dict[str, t.Any], Answer]:
    """Like gather(), with the answer itself: the sections pin and leaf are the bytes of the files."""
    cas = certificates_of(options["cas"], "cas")
    plain, secret = script_variables(options)
    # Every step on the node is bounded: two handshakes, the log, and at most three requests.
    bound = (
        3 * int(plain["o_probe_timeout"]) + 2 * int(plain["o_log_timeout"]) + 3 * (int(plain["o_os_timeout"]) + 5) + 30
    )
    before = time.time()
    answer = host.run(_SCRIPT, plain, secret=secret, timeout=bound)
    return evidence(answer, options, cas, before, time.time()), answer


def evidence(
    answer: Answer, options: t.Mapping[str, t.Any], cas: t.Sequence[Certificate], before: float, after: float
) -> dict[str, t.Any]:
    """What the script said, as the result's C(node). C(before) and C(after) are the controller's clock around it."""
    pin, pinned = _pin(answer)
    leaf = _leaf(answer, "leaf", [*pinned, *cas])
    # A file that we may not read is no file that is not there: such a node needs become, not a registration.
    hidden = [part["error"] for name, part in (("pin", pin), ("leaf", leaf)) if answer.hidden(name)]
    node: dict[str, t.Any] = {
        "taken_at": rfc3339(utc_now()),
        "reachable": not hidden,
        "error": "; ".join(hidden),
        "pin": pin,
        "leaf": leaf,
        "handshake": _handshake(answer, options),
        "sample": _sample(answer),
        "agent": os_api.agent_view(answer, options),
        "log": _log(answer),
        "clock_skew": _skew(answer, before, after),
        "kept_identity": answer.text("kept") == "1",
        "kept_leaf": _kept_leaf(answer, [*pinned, *cas]),
        "tools": {
            "openssl": _openssl_version(answer.text("openssl")),
            "http": answer.text("agent.tool")[:_TOOL] or "none",
        },
    }
    return shortened(node)


def nothing(error: str, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same shape for a node of which nothing could be learned."""
    empty = Answer(rc=0, sections={}, stdout="", stderr="")
    node = {
        "taken_at": rfc3339(utc_now()),
        "reachable": False,
        "error": error,
        "pin": {"sha256": [], "form": "", "error": "not read"},
        "leaf": _no_leaf("not read"),
        "handshake": _handshake(empty, options),
        "sample": _sample(empty),
        "agent": {"status": "unknown", "needs_registration": None, "detail": ""},
        "log": {"symptom_count": None, "error": "not read"},
        "clock_skew": None,
        "kept_identity": False,
        "kept_leaf": _kept_leaf(empty, []),
        "tools": {"openssl": "", "http": "none"},
    }
    return shortened(node)


def shortened(node: dict[str, t.Any]) -> dict[str, t.Any]:
    """At most MAX_RESULT bytes of JSON: long sentences go first, then the leaf's bytes, then more of the sentences.

    Digests never go: a pin with more than a dozen certificates makes it longer. The bytes of a kept leaf come on top,
    for few nodes keep one.
    """
    _cut(node, _DETAIL)
    node["error"] = node["error"][:400]
    if _size(node) > MAX_RESULT:
        node["leaf"]["der"] = ""
    for limit in (80, 40, 20, 8):
        if _size(node) > MAX_RESULT:
            _cut(node, limit)
            node["error"] = node["error"][: 2 * limit]
    return node


def _size(node: t.Mapping[str, t.Any]) -> int:
    return len(json.dumps({**node, "kept_leaf": {**node["kept_leaf"], "der": ""}}))


def _cut(node: dict[str, t.Any], limit: int) -> None:
    for part in node.values():
        if not isinstance(part, dict):
            continue
        for key, value in part.items():
            if isinstance(value, str) and key not in _WHOLE and len(value) > limit:
                part[key] = value[: limit - 1] + "…"


def _pin(answer: Answer) -> tuple[dict[str, t.Any], tuple[Certificate, ...]]:
    content, error = answer.file("pin")
    if content is None:
        return {"sha256": [], "form": "", "error": error}, ()
    try:
        bundle = parse_bundle(content)
    except InputError as problem:
        return {"sha256": [], "form": "", "error": f"{answer.text('pin.path')}: {problem}"}, ()
    pin = {
        "sha256": [certificate.sha256 for certificate in bundle.certificates],
        "form": "; ".join((bundle.form, *bundle.notes)),
        "error": "" if bundle.certificates else f"{answer.text('pin.path')}: holds no certificate",
    }
    return pin, bundle.certificates


def _no_leaf(error: str) -> dict[str, t.Any]:
    return {"sha256": "", "issuer": "", "not_before": "", "not_after": "", "der": "", "signed_by": [], "error": error}


def _leaf(answer: Answer, name: str, known: t.Sequence[Certificate]) -> dict[str, t.Any]:
    content, error = answer.file(name)
    if content is None:
        return _no_leaf(error)
    try:
        bundle = parse_bundle(content)
    except InputError as problem:
        return _no_leaf(f"{answer.text(f'{name}.path')}: {problem}")
    if not bundle.certificates:
        return _no_leaf(f"{answer.text(f'{name}.path')}: holds no certificate")
    # A chain may follow; TLS shows the first certificate as the client's own.
    leaf = bundle.certificates[0]
    return {
        "sha256": leaf.sha256,
        "issuer": leaf.issuer,
        "not_before": rfc3339(leaf.not_before),
        "not_after": rfc3339(leaf.not_after),
        "der": base64.b64encode(leaf.der).decode("ascii"),
        "signed_by": sorted(signers(leaf, known)),
        "error": "",
    }


def _kept_leaf(answer: Answer, known: t.Sequence[Certificate]) -> dict[str, t.Any]:
    """Of the leaf that is kept, what tells its signer and its end."""
    leaf = _leaf(answer, "kept_leaf", known) if answer.text("kept") == "1" else _no_leaf("")
    if len(leaf["der"]) > MAX_RESULT:
        leaf = _no_leaf(f"{answer.text('kept_leaf.path')}: longer than {MAX_RESULT} bytes in base64")
    return {key: leaf[key] for key in ("not_after", "der", "signed_by", "error")}


def _handshake(answer: Answer, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    address = (options.get("address") or "").strip()
    name = (options.get("server_name") or address.rpartition(":")[0].strip("[]")).strip()
    shaken: dict[str, t.Any] = {
        "address": address,
        "server_name": name,
        "trust": str(options.get("server_trust") or "pin")[:_TOOL],
    }
    why = answer.text("handshake.error") or ("no address given" if not address else "not tried")
    if "handshake" not in answer.sections:
        return {**shaken, "to_cp": "unknown", "to_cp_detail": why, "to_node": "unknown", "to_node_detail": why}
    first = core_handshake.verdict(answer.text("handshake"), answer.number("handshake.rc"))
    to_node, detail = first.to_node, first.to_node_detail
    if to_node == "unknown" and first.to_cp == "ok" and "request" in answer.sections:
        second = core_handshake.verdict(answer.text("request"), answer.number("request.rc"))
        to_node, detail = second.to_node, second.to_node_detail
    return {
        **shaken,
        "to_cp": first.to_cp,
        "to_cp_detail": first.to_cp_detail,
        "to_node": to_node,
        "to_node_detail": detail,
    }


def _sample(answer: Answer) -> dict[str, t.Any]:
    """Whether the node would take a server certificate by the staged CA. "unknown" when it was not asked."""
    code = answer.number("sample.rc")
    if code is None:
        return {"verdict": "unknown", "detail": ""}
    # The lines with the reason: "error 20 at 0 depth lookup: ..."
    said = [line for line in answer.text("sample").splitlines() if "error" in line.lower()]
    return {
        "verdict": "ok" if code == 0 else "refused",
        "detail": "" if code == 0 else " ".join(" ".join(said).split()),
    }


def _log(answer: Answer) -> dict[str, t.Any]:
    code, count = answer.text("log.rc"), answer.number("log.count")
    errors = {
        "41": "no journal of quazzar* and no log file of the agent found: set log_command",
        "124": "log_command took too long",
        "126": "log_command cannot be run",
        "127": "log_command was not found",
    }
    if code in errors or count is None:
        return {"symptom_count": None, "error": errors.get(code, "not read")}
    return {"symptom_count": count, "error": ""}


def _skew(answer: Answer, before: float, after: float) -> float | None:
    """Node's clock minus ours, in seconds. The way there and the way back count half each, as NTP does it."""
    start, end = _moment(answer.text("clock.start")), _moment(answer.text("clock.end"))
    if start is None or end is None:
        return None
    return round(((start - before) + (end - after)) / 2, 2)


def _moment(text: str) -> float | None:
    # A date without %N prints the letter, or nothing.
    match = re.match(r"(\d+)(\.\d+)?", text)
    return float(match.group(0)) if match else None


def _openssl_version(text: str) -> str:
    match = re.match(r"(?:OpenSSL|LibreSSL) ([0-9][\w.]*)", text)
    if not match:
        return text.split("\n", 1)[0][:_TOOL]
    version = match.group(1)[:_TOOL]
    return version if text.startswith("OpenSSL") else f"LibreSSL {version}"


def tolerated(error: RotationError, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {"changed": False, "node": nothing(str(error), options)}
