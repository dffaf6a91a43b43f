# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is fuzzed: for each reader how its inputs are made, and what must be true of whatever it makes of one.

A check takes the bytes of an input and says how it was taken ("read" or "refused"). Only errors of the RotationError
family may come out of a reader, and they count as refused; anything else that is raised is a finding.
"""

from __future__ import annotations

import contextlib
import email.message
import io
import ipaddress
import json
import os
import random
import re
import ssl
import tempfile
import urllib.error
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import (
    batches,
    certificates,
    durations,
    guardrails,
    guardrails_facts,
    guardrails_report,
    handshake,
    headers,
    intake,
    loglines,
    plan,
    pool,
    registry,
    report,
    run_lock,
    targets,
    totp,
    trust,
    waivers,
    workload,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    HostError,
    InputError,
    RotationError,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Settings
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import (
    controller,
    cp_api,
    fleet,
    fleet_evidence,
    kubernetes,
    node,
    os_api,
    pool_file,
    replica,
    tls_probe,
    tokens,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import run_lock as io_run_lock
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer, parse
from ansible_collections.quazzar.ca_rotation.tests.fuzz import corpora
from ansible_collections.quazzar.ca_rotation.tests.fuzz.mutation import json_bytes, mutated, mutated_tree

READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Target:
    """``make`` an input, ``check`` what becomes of it. ``share``: how many inputs of a thousand are for this target."""

    name: str
    make: Callable[[random.Random], bytes]
    check: Callable[[bytes], str]
    share: int


def _clean(text: str, secrets: Collection[str] | None = None) -> None:
    for secret in corpora.secrets() if secrets is None else secrets:
        assert secret not in text, f"a secret came out: ...{text[max(0, text.index(secret) - 60) :][:160]!r}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- certificate files -----------------------------------------------------------------------------------------------


def _bundle(data: bytes) -> str:
    try:
        found = certificates.parse_bundle(data)
    except InputError as error:
        _clean(str(error))
        return REFUSED
    _clean(repr(found))
    assert found.form in ("pem", "der", "empty")
    assert (found.form == "empty") == (not data.strip())
    for cert in found.certificates:
        assert certificates.from_der(cert.der) == cert
        assert certificates.parse_bundle(cert.pem().encode()).certificates == (cert,)
        assert certificates.normalise_fingerprint(cert.fingerprint) == cert.sha256
        _clean(cert.pem() + json.dumps(cert.as_dict()))
        with contextlib.suppress(InputError):
            certificates.signers(cert, (corpora.OLD.cert, corpora.ODD.cert, cert))
        trust.judge_ca(cert, bundle=found, active=corpora.NEW.cert, now=corpora.NOW)
    with contextlib.suppress(InputError):
        trust.preflight_table([corpora.NEW.cert, *found.certificates], found.certificates)
        trust.serving_world(found.certificates, corpora.NEW.cert, [corpora.OLD.cert], corpora.NOW)
    if zlib.crc32(data) % 8 == 0:
        _openssl_agrees(data, found)
    return READ


def _openssl_agrees(data: bytes, found: certificates.Bundle) -> None:
    """A CA that only we can see in a file protects nobody."""
    ours = {cert.der for cert in found.certificates if cert.is_ca}
    if found.form != "pem" or not ours or data.count(b"-----BEGIN ") != len(found.certificates):
        return  # OpenSSL looks at keys and whatever else has a BEGIN line too, and gives up when one is broken
    for cert in found.certificates:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                x509.load_der_x509_certificate(cert.der).public_key()
        except (ValueError, UnsupportedAlgorithm):
            return  # Go reads a certificate with a kind of key that it does not know, OpenSSL does not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with _file(data) as path:
        context.load_verify_locations(cafile=path)
    theirs = set(context.get_ca_certs(binary_form=True))
    assert ours <= theirs, "OpenSSL does not see a CA that we see"


# --- the pool variable -----------------------------------------------------------------------------------------------

_PATHS = ("/legacy/new.crt", "/a.crt", "/b.crt", "/a b.crt", "/c d,e", "relative", "/ä.crt", "/b.crt ", "/x'y", "/")


def _pool(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    lines = list(enumerate(text.split("\n"), 1))
    pick = random.Random(zlib.crc32(data))
    add, remove = pick.sample(_PATHS, pick.randint(0, 2)), pick.sample(_PATHS, pick.randint(0, 2))
    try:
        found = pool.find_assignments(lines, corpora.POOL_VARIABLE)
        as_they_stand = dict(lines)
        assert all(each.line == as_they_stand[each.number] for each in found)
        value = found[-1].value if found else ""
        changed = pool.with_entries(value, add, remove)
        kept = [element for element in value.split(",") if element.strip() and element.strip() not in remove]
        wanted = [element.strip() for element in kept] + [path for path in add if path not in pool.entries(value)]
        assert list(pool.entries(changed)) == list(dict.fromkeys(wanted))
        # Every other entry stays byte for byte; only blanks at the ends of the whole value may go.
        assert changed == value or changed.strip(" \t").startswith(",".join(kept).strip(" \t"))
        back = pool.with_entries(changed, [], [path for path in add if path not in pool.entries(value)])
        assert pool.entries(back) == tuple(dict.fromkeys(element.strip() for element in kept))
        line = pool.render(found[-1] if found else None, corpora.POOL_VARIABLE, changed)
    except InputError:
        return REFUSED
    assert "\n" not in line
    again = pool.find_assignments([(1, line)], corpora.POOL_VARIABLE)
    assert [each.value for each in again] == [changed], f"{line!r} is read as {again}"
    if found:
        assert line.startswith(found[-1].prefix) and line.endswith(found[-1].suffix)
    return READ


# --- log lines, headers, handshakes ----------------------------------------------------------------------------------


def _log(data: bytes) -> str:
    counted = loglines.count(_text(data))
    assert sum(counted.by_class.values()) == counted.lines
    assert set(counted.by_class) <= {*loglines.CLASSES, "other"}
    assert "other" not in counted.last
    for line in counted.last.values():
        assert (len(line) <= 300 and line.isprintable()) or not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
    for name, sources in counted.by_source.items():
        assert sum(sources.values()) <= counted.by_class[name]
        for source in sources:
            ipaddress.ip_address(source)
    outside = {name: loglines.outside(sources, ["10.0.0.0/8"]) for name, sources in counted.by_source.items()}
    assert "\n" not in loglines.summary(counted.by_class, outside)
    return READ if set(counted.by_class) - {"other"} else REFUSED


def _headers(data: bytes) -> str:
    try:
        found = headers.parse_dump(_text(data))
    except InputError as error:
        _clean(str(error))
        return REFUSED
    _clean(repr(found))
    assert found.form in ("rfc9440", "xfcc", "nginx", "pem")
    assert found.leaf is None or certificates.from_der(found.leaf.der) == found.leaf
    assert found.leaf not in found.chain or found.form == "rfc9440"
    return READ


_ACCEPTING = re.compile(
    r"New Session Ticket arrived|^HTTP/\d|^[ \t]*Protocol[ \t]*: TLSv1|^(?:New|Reused), TLSv1", re.MULTILINE
)


def _handshake(data: bytes) -> str:
    status, _newline, output = _text(data).partition("\n")
    # Line ends other than LF are characters of a line to s_client's readers.
    rc = int(status) if re.fullmatch(r"[0-9]{1,3}", status) else None
    found = handshake.verdict(output, rc)
    assert found.to_cp in ("ok", "refused", "unknown") and found.to_node in ("accepted", "refused", "unknown")
    assert found.acceptable_ca_count in (None, len(found.acceptable_ca_names))
    if found.to_cp == "ok":
        assert "Verify return code: 0 (" in output
    if found.to_node == "accepted":
        assert _ACCEPTING.search(output) and found.acceptable_ca_count is not None
        assert not re.search(r"\bSSL alert number \d+[ \t]*$", output, re.M)
    return READ if "unknown" not in (found.to_cp, found.to_node) else REFUSED


# --- the APIs --------------------------------------------------------------------------------------------------------


def _message(fields: Any) -> email.message.Message:
    """Headers as http.client hands them on: Latin-1 on one line each."""
    message = email.message.Message()
    for name, value in fields.items() if isinstance(fields, dict) else ():
        text = _latin(value).replace("\r", " ").replace("\n", " ")
        with contextlib.suppress(ValueError):
            message[re.sub(r"[^!-9;-~]", "", _latin(name)) or "X"] = text
    return message


def _latin(value: Any) -> str:
    return str(value)[:60000].encode("latin-1", "replace").decode("latin-1")


def _body(value: Any) -> bytes:
    """A text is a body as it is; anything else is what the server meant to say."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape" if re.search("[\udc80-\udcff]", value) else "surrogatepass")
    return json.dumps(value).encode()


class _Response(io.BytesIO):
    def __init__(self, status: int, fields: email.message.Message, body: bytes) -> None:
        super().__init__(body)
        self.status, self.headers, self.length = status, fields, 0


class _Server:
    """Answers one request after the other out of a list, then refuses every connection."""

    def __init__(self, flow: Any) -> None:
        self._flow = iter(flow if isinstance(flow, list) else [])

    def open(self, _method: str, url: str, **_more: Any) -> Any:
        return self.send(url)

    def send(self, url: str, **_more: Any) -> Any:
        answer = next(self._flow, None)
        if not isinstance(answer, list) or len(answer) != 3:
            raise urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))
        status, fields, body = answer
        code = status if isinstance(status, int) and 100 <= status <= 999 else 200
        message = _message(fields)
        try:
            content = _body(body)
        except UnicodeEncodeError:
            content = b"\xff"
        if 200 <= code < 300:
            return _Response(code, message, content)
        raise urllib.error.HTTPError(url, code, "status", message, io.BytesIO(content))


_PANEL: Mapping[str, Any] = {
    **{name: spec.get("default") for name, spec in fleet.ARGUMENT_SPEC.items()},
    **{name: spec.get("default") for name, spec in cp_api.ARGUMENT_SPEC.items()},
    "api_url": "https://cp.test/api",
    "username": "admin",
    "password": corpora.PASSWORD,
    "totp_secret": "JBSWY3DPEHPK3PXP",
    "token_body": {},
    "token_query": "token",
    "token_id_query": "id",
    "expires_in": 600,
}
_QUERIES = (
    fleet.DEFAULT_INSTANCES_QUERY,
    "items",
    "@",
    "[?status=='online']",
    "sort_by(@, &name)",
    "to_array(@)[].keys(@)",
)


def _panel_api(data: bytes) -> str:
    clock = iter(range(0, 10**6, 7))
    query = _QUERIES[zlib.crc32(data) % len(_QUERIES)] if zlib.crc32(data) % 3 == 0 else _QUERIES[0]
    options = {**_PANEL, "instances_query": query}
    (credential,) = cp_api.credentials_from(options)
    client = cp_api.Client(options, credential, sleep=lambda _s: None, monotonic=lambda: float(next(clock)))
    reader = fleet.Fleet(options, lambda: corpora.NOW)
    reader._clients = (client,)
    server = _Server(json.loads(data))
    with mock.patch.object(cp_api, "Request", return_value=server):
        try:
            reading = reader.read()
            json.dumps(reading.as_dict())
            registry.arrivals(reading.registry.instances, ["node0"], corpora.NOW)
            assert not reading.registry.complete
            minted = tokens.mint(client, options, "node0", 1)
            assert minted.token.strip() and (
                len(minted.token) < 12 or minted.token not in repr(minted) or minted.id == minted.token
            )
        except RotationError as error:
            _clean(str(error), (corpora.PASSWORD,))
            return REFUSED
    return READ


_NODE: Mapping[str, Any] = {
    **{name: spec.get("default") for name, spec in node.ARGUMENT_SPEC.items()},
    "address": "cp.test:8443",
    "os_password": corpora.PASSWORD,
    "os_totp_secret": "JBSWY3DPEHPK3PXP",
    "os_username": "admin",
    "os_needs_registration_query": "needs",
}


def _node_api(data: bytes) -> str:
    server = _Server(json.loads(data))
    client = os_api.Client(_NODE, now=lambda: corpora.NOW, sleep=lambda _s: None, send=server.send)
    try:
        reply = client.post_once("/api/cc/register", {"token": "x"}, (200, 201, 202, 204), 60.0)
    except RotationError as error:
        _clean(str(error), (corpora.PASSWORD,))
        return REFUSED
    sentence = os_api.complaint("the registration", "http://localhost", reply, [corpora.PASSWORD])
    _clean(sentence, (corpora.PASSWORD,))
    assert "\n" not in sentence or reply.status is None
    return READ


# --- what scripts on a host print ------------------------------------------------------------------------------------


class _Host:
    """A host whose scripts always print the same."""

    name = "host"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def run(self, _body: str, _variables: Mapping[str, str], **_more: Any) -> Answer:
        return self._answer


_OPTIONS_OF_REPLICA: Mapping[str, Any] = {
    **{name: spec.get("default") for name, spec in replica.ARGUMENT_SPEC.items()},
    "certs_dir": "/certs",
    "env_file": "/env",
    "legacy_dir": "/legacy",
    "log_command": "cat /log",
}
_OPTIONS_OF_POOL = {**{name: spec.get("default") for name, spec in pool_file.ARGUMENT_SPEC.items()}, "env_file": "/env"}


def _host(data: bytes) -> str:
    tree = json.loads(data)
    if not isinstance(tree, dict):
        return REFUSED
    sections = {str(name): str(text).encode("latin-1", "replace") for name, text in tree.items()}
    answer = Answer(0, sections, "", "")
    found = node.evidence(answer, {**_NODE, "os_api_key": corpora.API_KEY}, [corpora.OLD.cert], 0.0, 1.0)
    said = json.dumps(found)
    # A key stands in a file that holds it by mistake. A host that sends it as something else is not to be helped.
    files = re.compile(r"pin|leaf|kept_leaf|active|(?:legacy|pool)\.\d+")
    stray = [text for name, text in sections.items() if not files.fullmatch(name)]
    secrets = [each for each in corpora.secrets() if not any(each.encode() in text for text in stray)]
    size = len(said) - len(found["kept_leaf"]["der"])
    assert len(found["kept_leaf"]["der"]) <= node.MAX_RESULT
    assert size <= node.MAX_RESULT or len(found["pin"]["sha256"]) > 10 or len(found["leaf"]["issuer"]) > 8
    _clean(said, secrets)
    double: Any = _Host(answer)
    result = replica.gather(double, _OPTIONS_OF_REPLICA)
    _clean(json.dumps(result), secrets)
    assert result["boot"]["loaded_count"] is None or result["boot"]["loaded_count"] >= 0
    try:
        file = pool_file.PoolFile(double, {**_OPTIONS_OF_POOL, "create": True})
        file.write(file.new_line(file.new_value({"state": "present", "add": ["/x.crt"], "remove": []})))
    except (HostError, InputError) as error:
        _clean(str(error), secrets)
        return REFUSED
    return READ


_LOCK: Mapping[str, Any] = {"path": "/run/lock", "run_id": "99", "kind": "exclusive", "expires_in": 900, "who": "me"}


def _lock(data: bytes) -> str:
    tree = json.loads(data)
    if not isinstance(tree, dict):
        return REFUSED
    sections = {str(name): str(text).encode("utf-8", "replace") for name, text in tree.items()}
    double: Any = _Host(Answer(0, sections, "", ""))
    with (
        mock.patch.object(controller, "_machine", return_value="a machine"),
        mock.patch.object(controller.os, "getuid", return_value=0),
    ):
        try:
            held = io_run_lock.RunLock(double, _LOCK)
            found = held.look()
            said = held.refusal(found, renew=False) + held.refusal(found, renew=True)
        except RotationError:
            return REFUSED
    decision = found.decision
    assert not set(decision.blocking) & set(decision.over)
    assert {*decision.blocking, *decision.over} <= set(found.holders)
    assert all(holder.until > found.now for holder in decision.blocking)
    # Whoever is in the way is named, on a line that no other run's name can break. (The kind is the script's own word.)
    assert said.isprintable() or not {holder.kind for holder in found.holders} <= {*run_lock.KINDS}
    assert all(run_lock.taken_over(holder, now=0) for holder in decision.over)
    return READ


# --- what a Kubernetes API holds -------------------------------------------------------------------------------------


def _workload(data: bytes) -> str:
    tree = json.loads(data)
    if not isinstance(tree, dict) or not isinstance(tree.get("workload"), dict):
        return REFUSED
    found, beside = tree["workload"], tree["beside"] if isinstance(tree.get("beside"), dict) else {}
    listed = [each for each in tree["pods"] if isinstance(each, dict)] if isinstance(tree.get("pods"), list) else []
    claims = beside["claims"] if isinstance(beside.get("claims"), dict) else {}
    there = {name: beside[name] for name in ("settings", "hidden") if name in beside}
    objects = {("Secret" if name == "hidden" else "ConfigMap", name): each for name, each in there.items()}
    pods = workload.pods(listed, "cc", ["u1"])
    assert all(bool(pod.why) != pod.live and not (pod.ready and not pod.live) for pod in pods)
    rolled = workload.rollout(found, pods)
    assert bool(rolled.reason) != rolled.done and not (rolled.done and rolled.failed)
    assert not rolled.done or all(pod.ended for pod in pods if pod.leaving)
    with contextlib.suppress(HostError):
        assert kubernetes._exit_status("a", "cc", json_bytes(tree.get("ended"))) is not None
    json.dumps([workload.kept_by(found), workload.stalls(found, claims, beside.get("budgets") or ())])
    try:
        workload.selector(found)
        box = workload.container(found, "cc")
        source = workload.source(box, corpora.POOL_VARIABLE, objects)
        asked = workload.references(box, [corpora.POOL_VARIABLE])
        asked_for = {pair: objects[pair] for pair in asked if pair in objects}
        assert workload.source(box, corpora.POOL_VARIABLE, asked_for) == source
        assert isinstance(workload.refusal_to_follow(found, box, corpora.POOL_VARIABLE, source), str)
        mount = {"kind": "ConfigMap", "name": "legacy", "path": "/legacy"}
        json.dumps([workload.volume_of(found, box, "/var/lib/cc/certs"), workload.claim_names(found)])
        workload.pool_patch(box, corpora.POOL_VARIABLE, "/a.crt", mount)
    except InputError:
        return REFUSED
    return READ


def _transport(data: bytes) -> str:
    """The bytes that come back over a connection, before anything is known of them."""
    sections, code, lack = parse(_text(data), corpora.MARK)
    assert code is None or code >= 0
    assert all(isinstance(content, bytes) for content in sections.values())
    assert "\n" not in lack
    return READ if code is not None else REFUSED


def _make_transport(rng: random.Random) -> bytes:
    lines = [
        f"@{corpora.MARK} {name} {value}" for name, value in (("pin", "QUFBQQ=="), ("pin.path", "L2E="), ("x", ""))
    ]
    text = "Welcome!\n" + "\n".join(lines) + f"\n@{corpora.MARK} . 0 \n"
    return mutated(rng, [text.encode(), text.replace(". 0 ", ". 96  base64 tr").encode()])


# --- what modules and operators hand in ------------------------------------------------------------------------------


def _evidence(data: bytes) -> str:
    tree = json.loads(data)
    try:
        taken = intake.gather(_raw(tree if isinstance(tree, dict) else {}), Settings(), corpora.NOW)
    except InputError as error:
        _clean(str(error))
        return REFUSED
    made = plan.make(taken.evidence)
    if made.gate.open:
        assert taken.evidence.registry is not None and taken.evidence.registry.complete
    document = report.document(made, taken.evidence, goal="rotate", extra={})
    lines = report.plan_lines(made, taken.evidence) + report.drift_lines(made, taken.evidence)
    lines += report.gate_lines(made.gate) + report.summary_lines(made, taken.evidence, document)
    _clean(json.dumps([document, lines, targets.of(made, taken)]))
    assert all(state.name for state in made.states.values())
    return READ


def _raw(tree: Mapping[str, Any]) -> intake.Raw:
    return intake.Raw(
        nodes=_mappings(tree.get("nodes")),
        replicas=_mappings(tree.get("replicas")),
        registry=tree.get("registry") if isinstance(tree.get("registry"), dict) else None,
        claims=(intake.RawClaim("a file", str(tree.get("claim")).encode("utf-8", "replace")),),
        heartbeat_interval=timedelta(seconds=60),
    )


def _mappings(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()) else {}


def _guardrails(data: bytes) -> str:
    tree = json.loads(data)
    tree = tree if isinstance(tree, dict) else {}
    raw, backup = _raw(tree), tree.get("backup")
    try:
        taken = intake.gather(raw, Settings(), corpora.NOW)
        logs = _mappings(tree.get("logs"))
        backup = backup if isinstance(backup, dict) else None
        workloads = _mappings(tree.get("workloads"))
        facts = guardrails_facts.read(taken, raw.replicas, logs, backup, guardrails.Limits(), workloads)
    except InputError as error:
        _clean(str(error))
        return REFUSED
    checked = guardrails.check(facts)
    assert len(checked.rules) == len(guardrails.RULES) + len(guardrails.WORKLOAD_RULES) * bool(workloads)
    assert all(point.found for rule in checked.rules for point in rule.points)
    said = [guardrails_report.document(checked, corpora.NOW, {}), guardrails_report.lines(checked, corpora.NOW)]
    _clean(json.dumps(said))
    return READ


def _rows(data: bytes) -> str:
    rows = json.loads(data)
    try:
        found = registry.instances_from_rows(
            rows, tenant="", active_statuses=[], inactive_statuses=["deleted"], variable="query", source="url"
        )
    except InputError:
        return REFUSED
    merged = registry.merge([registry.Listing("", found, len(found))], stated_complete=True)
    json.dumps(merged.as_dict())
    assert merged.complete
    assert all(instance.id and instance.name for instance in merged.instances)
    assert len(merged.instances) <= len(rows)
    arrived, missing = registry.arrivals(found, ["node0", "node9"], corpora.NOW)
    assert sorted((*arrived, *missing)) == ["node0", "node9"]
    return READ


def _make_rows(rng: random.Random) -> bytes:
    row = {"id": "inst_0", "name": "node0", "status": "online", "last_seen": "2026-06-01T11:59:59Z", "tenant": "a"}
    other = {**row, "id": 8, "last_seen": 1780300000123}
    return json_bytes(mutated_tree(rng, [json.dumps([row, other]), json.dumps([row] * 3), json.dumps([other, row])]))


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[str]:
    handle, path = tempfile.mkstemp(prefix="quazzar-fuzz-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield path
    finally:
        Path(path).unlink()


def _export(data: bytes) -> str:
    with _file(data) as path:
        try:
            reading = fleet.Fleet({**_PANEL, "fleet_file": path}, lambda: corpora.NOW).read()
        except RotationError:
            return REFUSED
    json.dumps(reading.as_dict())
    assert not reading.registry.complete
    return READ


def _waivers(data: bytes) -> str:
    with _file(data) as path:
        try:
            found = fleet_evidence._waivers_in(path, {"node0", "node1"}, corpora.NOW)
        except InputError:
            return REFUSED
    assert all(waiver.node in ("node0", "node1") and waiver.reason and waiver.owner for waiver in found)
    assert len({waiver.node for waiver in found}) == len(found)
    assert all(isinstance(waiver, waivers.Waiver) and waiver.expires >= corpora.NOW for waiver in found)
    return READ


def _option(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    outcomes = set()
    readers: Sequence[Callable[[], object]] = (
        lambda: durations.parse(text, "x") >= timedelta(0),
        lambda: sum(batches.resolve(text, 50)) == 50,
        lambda: batches.budget(text, 50) >= 0,
        lambda: re.fullmatch(r"[0-9]{6}", totp.code(text, corpora.NOW)),
        lambda: re.fullmatch(r"[0-9a-f]{64}", certificates.normalise_fingerprint(text)),
        lambda: (registry.parse_time(text, "x") or corpora.NOW).tzinfo,
        lambda: isinstance(loglines.outside({"192.0.2.1": 1}, [text]), dict),
        lambda: 0 < tls_probe.split_address(text)[1] < 65536,
        lambda: 0 < node.split_address(text)[1] < 65536,
        lambda: cp_api.normalise_url(text).endswith("/"),
        lambda: os_api.address(text).host,
    )
    for number, reader in enumerate(readers):
        try:
            assert reader(), f"reader {number}"
            outcomes.add(READ)
        except RotationError:
            continue
    return READ if outcomes else REFUSED


def _trees(seeds: Callable[[], Sequence[str]]) -> Callable[[random.Random], bytes]:
    return lambda rng: json_bytes(mutated_tree(rng, seeds()))


def _texts(seeds: Callable[[], Sequence[bytes]]) -> Callable[[random.Random], bytes]:
    return lambda rng: mutated(rng, seeds())


TARGETS = {
    target.name: target
    for target in (
        Target("bundle", _texts(corpora.bundles), _bundle, 170),
        Target("pool", _texts(corpora.environments), _pool, 140),
        Target("log", _texts(corpora.logs), _log, 90),
        Target("headers", _texts(corpora.header_dumps), _headers, 100),
        Target("handshake", _texts(corpora.handshakes), _handshake, 100),
        Target("panel_api", _trees(corpora.panel_answers), _panel_api, 80),
        Target("node_api", _trees(corpora.node_answers), _node_api, 60),
        Target("host", _trees(corpora.host_answers), _host, 50),
        Target("lock", _trees(corpora.locks), _lock, 20),
        Target("workload", _trees(corpora.workloads), _workload, 15),
        Target("transport", _make_transport, _transport, 30),
        Target("evidence", _trees(corpora.evidences), _evidence, 30),
        Target("guardrails", _trees(corpora.evidences), _guardrails, 15),
        Target("rows", _make_rows, _rows, 40),
        Target("export", _texts(corpora.exports), _export, 20),
        Target("waivers", _texts(corpora.waivers), _waivers, 20),
        Target("option", _texts(lambda: corpora.OPTIONS), _option, 20),
    )
}
