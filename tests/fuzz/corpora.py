# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Valid inputs to start from. The same bytes in every process: keys, serial numbers and dates are fixed."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import certificates
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import PRODUCT_CA_NAME, Minted

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
MARK = "0123456789ab"
PASSWORD, TOKEN, API_KEY = "hunter2-Sesame!", "eyJhbGciOiJIUzI1NiJ9.fuzz.S3cretS1gnature", "qz-API-Key-5f3759df"
_DAY = timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _minted(number: int, common: str, issuer: Minted | None, *, kind: str = "ec", key_ids: bool = True) -> Minted:
    """A CA without an issuer, else a leaf. Ed25519 signs the same bytes each time by itself, ECDSA when told to."""
    key: Any = (
        ec.derive_private_key(int(hashlib.sha256(b"%d" % number).hexdigest(), 16) >> 1, ec.SECP256R1())
        if kind == "ec"
        else ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    )
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(issuer.x509.subject if issuer else _name(common))
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(NOW - (400 if issuer is None and number == 1 else 20) * _DAY)
        .not_valid_after(NOW + (3000 if issuer is None else 70) * _DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if key_ids:
        own, above = key.public_key(), signer.public_key()
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    if issuer is not None:
        usage = [ExtendedKeyUsageOID.SERVER_AUTH if common == "cp" else ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return Minted(builder.sign(signer, None), key)
    return Minted(builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True), key)


OLD = _minted(1, PRODUCT_CA_NAME, None)
NEW = _minted(2, PRODUCT_CA_NAME, None)
ODD = _minted(3, 'Odd, "quoted" + CA', None, kind="ed25519", key_ids=False)
LEAVES = tuple(_minted(10 + at, f"node{at}", ca) for at, ca in enumerate((OLD, NEW, ODD)))
SERVER = _minted(20, "cp", NEW)


def _traditional(minted: Minted) -> bytes:
    return minted.key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _key_der(minted: Minted) -> bytes:
    return minted.key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@functools.cache
def secrets() -> tuple[str, ...]:
    """Texts that stand in some input and may never come out: pieces of private keys, the password, the tokens."""
    pieces = [PASSWORD, TOKEN, API_KEY]
    for minted in (OLD, NEW, LEAVES[0]):
        # Pieces of one line each that hold nothing but the private number.
        pieces.append(minted.key_pem.splitlines()[2][:20].decode())
        pieces.append(_traditional(minted).splitlines()[1][12:36].decode())
        pieces.append(format(minted.key.private_numbers().private_value, "064x")[20:44])  # type: ignore[attr-defined]
    return tuple(pieces)


# --- files -----------------------------------------------------------------------------------------------------------


@functools.cache
def bundles() -> tuple[bytes, ...]:
    """Certificate files."""
    text = b"# the old CA\n" + OLD.pem + b"\nsubject=CN = x\n" + NEW.pem
    trusted = NEW.pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE")
    return (
        *(
            OLD.pem,
            NEW.pem,
            ODD.pem,
            OLD.der,
            SERVER.der,
            OLD.pem + NEW.pem,
            NEW.pem + OLD.pem + NEW.pem,
            LEAVES[0].pem,
        ),
        *(OLD.pem + OLD.key_pem, _traditional(NEW) + NEW.pem, OLD.key_pem, _key_der(LEAVES[0]), _traditional(OLD)),
        *(
            text,
            OLD.pem.replace(b"\n", b"\r\n"),
            trusted,
            b"\xef\xbb\xbf" + OLD.pem,
            b"",
            b"\n",
            b"<html></html>",
            b"{}",
        ),
        *(
            OLD.pem[:-30],
            b"-----BEGIN CERTIFICATE-----\n" * 40,
            b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        ),
    )


POOL_VARIABLE = "CC_TRUST_ADDITIONAL_CA_CERTS"


@functools.cache
def environments() -> tuple[bytes, ...]:
    """KEY=VALUE files."""
    values = (
        *("", "/etc/legacy/a.crt", "/a.crt,/b.crt", " /a.crt , /b c.crt ", "/a.crt,,/b.crt,", "'/a b.crt,/c.crt'"),
        *('"/a.crt,/b.crt"', '"/a,/b" # kept', "/a # why", "/a\\,/b", "$HOME/a.crt", "`id`", '"/a', "/ä.crt,/b.crt"),
    )
    lines = [f"{POOL_VARIABLE}={value}" for value in values]
    files = [f"# settings\nPORT=8443\n{line}\nLAST=1\n" for line in lines]
    files += [f"export {lines[2]}\n", f"  {lines[2]}\r\nX=1\r\n", f"{lines[1]}\n{lines[2]}", f"{POOL_VARIABLE}+=/x\n"]
    return tuple(text.encode() for text in files)


@functools.cache
def logs() -> tuple[bytes, ...]:
    at = "2026-06-01T12:00:00Z INFO "
    lines = (
        f"{at} starting Quazzar Control Panel",
        f"{at} loaded additional trusted CA (rotation grace) subject=x",
        "http: TLS handshake error from 10.1.2.3:4711: remote error: tls: bad certificate",
        "http: TLS handshake error from [fe80::1%eth0]:4711: tls: client didn\u2019t provide a certificate",
        "TLS handshake error from [::ffff:192.0.2.1]:1: tls: failed to verify certificate: x509: certificate signed by"
        ' unknown authority (possibly because of "x509: ECDSA verification failure")',
        "TLS handshake error from 10.0.0.9:1: EOF",
        'level=error msg="x509: certificate has expired or is not yet valid" remote_addr=192.0.2.77:5',
        "CC no longer trusts this node\u2019s client certificate \u2014 the CA was likely rotated on the CP.",
        '{"client": "10.0.0.1", "peer_ip": \'::1\', "msg": "x509: certificate signed by unknown authority"}',
    )
    return ("\n".join(lines).encode(), *(line.encode() for line in lines))


@functools.cache
def locks() -> tuple[str, ...]:
    """What a look at the lock of a run prints: nobody's, one run's, two runs', and something that is no lock."""
    nobody = {"now": "1780315200", "parent": "1"}
    process = {"machine": "a machine", "user": 0, "pid": 4194304, "start": 99}
    said = {"run": "17", "who": "ca_rotate by root on control01", "since": 1780315000, "process": process}
    one = {
        **nobody,
        "kind.1": "exclusive",
        "name.1": "1780315300.17",
        "modified.1": "1780315000",
        "text.1": json.dumps(said),
    }
    other = {"kind.2": "shared", "name.2": "1780315100.slice-2", "modified.2": "1780315001", "text.2": "{}"}
    shared = {**one, "kind.1": "shared", **other}
    odd = {**nobody, "kind.1": "shared", "name.1": "keep out", "modified.1": "1780315190", "text.1": ""}
    return tuple(json.dumps(sections) for sections in (nobody, one, shared, odd, {**one, "foreign": "notes.txt"}))


@functools.cache
def header_dumps() -> tuple[bytes, ...]:
    """HTTP headers with certificates in each form that is read, and somebody's token beside them."""
    leaf, ca = LEAVES[0], OLD
    member = [f":{base64.b64encode(item.der).decode()}:" for item in (leaf, ca)]
    escaped, both = quote(leaf.pem.decode()), quote((leaf.pem + ca.pem).decode())
    digest = certificates.from_der(leaf.der).sha256
    xfcc = f'By=spiffe://cp;Hash={digest};Cert="{escaped}";Chain="{both}";Subject="CN=\\"a\\", O=b";URI=x'
    bearer = f"Authorization: Bearer {TOKEN}\nCookie: session={PASSWORD}\n"
    folded = leaf.pem.decode().replace("\n", "\n\t")
    return tuple(
        text.encode()
        for text in (
            f"POST /beat HTTP/1.1\n{bearer}Client-Cert: {member[0]}\nClient-Cert-Chain: {member[1]}, {member[1]}\n",
            f"> GET / HTTP/1.1\n> {bearer}> X-Forwarded-Client-Cert: {xfcc},{xfcc}\n>\n",
            f"{bearer}X-SSL-Client-Escaped-Cert: {escaped}\n",
            f"{bearer}X-Forwarded-Tls-Client-Cert: {both.replace('%20', '+')}\n",
            f"{bearer}ssl-client-cert: {folded}\n\n{ca.pem.decode()}",
            f"{bearer}X-Forwarded-Client-Cert: Hash={digest}\n",
            *(
                member[0],
                xfcc,
                escaped,
                leaf.pem.decode(),
                "-----BEGIN CERTIFICATE-----" * 9,
                f"client-cert: {member[0]};x=1\n",
            ),
        )
    )


@functools.cache
def handshakes() -> tuple[bytes, ...]:
    """Exit status and output of s_client runs: accepted, refused and broken off, with old and new OpenSSL."""
    shown = (
        "CONNECTED(00000003)\ndepth=1 CN = Quazzar Control Center CA\nverify return:1\n---\nCertificate chain\n"
        " 0 s:CN = cp\n   i:CN = Quazzar Control Center CA\n"
        + SERVER.pem.decode()
        + " 1 s:CN = CA\n"
        + NEW.pem.decode()
    )
    named = (
        "---\nServer certificate\n" + SERVER.pem.decode() + "---\nAcceptable client certificate CA names\n"
        "CN = Quazzar Control Center CA\nCN = Quazzar Control Center CA\n"
        "Requested Signature Algorithms: ECDSA+SHA256\n---\n"
    )
    end13 = "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384\nVerify return code: 0 (ok)\n---\n"
    end12 = (
        "New, TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384\nSSL-Session:\n    Protocol  : TLSv1.2\n"
        "    Verify return code: 21 (unable to verify the first certificate)\n---\n"
    )
    ticket = (
        "---\nPost-Handshake New Session Ticket arrived:\nSSL-Session:\n    Protocol  : TLSv1.3\n---\nread R BLOCK\n"
    )
    alert = (
        "80EB6C7E417F0000:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:rec_layer_s3.c:1605:"
        "SSL alert number 48\n"
    )
    eof = "1:error:0A000126:SSL routines:ssl3_read_n:unexpected eof while reading:rec_layer_s3.c:317:\nread:errno=104\n"
    own = "1:error:1416F086:SSL routines:tls_process_server_certificate:certificate verify failed:statem_clnt.c:1919:\n"
    http = "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\nThe SSL certificate error\r\n"
    return tuple(
        text.encode()
        for text in (
            *(
                "0\n" + shown + named + end13 + ticket,
                "1\n" + shown + named + end13 + alert,
                "0\n" + shown + named + end12,
            ),
            *("1\n" + shown + named + end13 + eof, "124\n" + shown + named + end13, "0\n" + shown + end13 + http),
            *(
                "1\n" + shown + named + own,
                "1\nconnect:errno=111\n",
                "1\nCan't open ca.crt for reading, No such file\n",
            ),
            "1\n" + alert,
        )
    )


# --- answers of the Control Panel, a node's OS and a host ------------------------------------------------------------


@functools.cache
def panel_answers() -> tuple[str, ...]:
    """JSON lists of (status, headers, body): what the login, the list, the summary and a request for a token meet."""
    rows = [
        {
            "id": f"inst_{at}",
            "name": f"node{at}",
            "status": "online",
            "last_heartbeat": "2026-06-01T11:59:59.123456789Z",
        }
        for at in range(3)
    ]
    rows.append({"id": 7, "name": "", "status": "decommissioned", "last_heartbeat": 1780300000})
    date = {"Date": "Mon, 01 Jun 2026 12:00:00 GMT", "Content-Type": "application/json"}
    login, total = [200, date, {"access_token": TOKEN}], [200, date, {"total": 4}]
    second = [200, date, {"totp_required": True, "temp_token": "temporary"}]
    token = [201, date, {"token": "registration", "id": 5}]
    good = [login, [200, date, rows], total, token]
    flows: list[Any] = [good, good, good, good, good, [second, *good], [second, *good]]
    for status, extra, body in (
        (401, {}, {"error": f"the password {PASSWORD} is wrong"}),
        (429, {"Retry-After": "5"}, ""),
        (503, {"Retry-After": "Mon, 01 Jun 2026 12:00:30 GMT"}, {"message": f"no: Bearer {TOKEN}"}),
        (302, {"Location": "https://login.example.com/?next=/"}, "<html><title>Moved &amp; gone</title></html>"),
        (502, {}, "<html><head><title>502 Bad Gateway</title></head></html>"),
        (409, {}, {"detail": ["x"]}),
    ):
        flows.append([login, [status, {**date, **extra}, body], total, token])
    flows.append([login, [200, date, "[" * 9000], total])
    flows.append([login, [500, date, "[" * 9000], total])
    return tuple(json.dumps(flow) for flow in flows)


@functools.cache
def node_answers() -> tuple[str, ...]:
    """The same for the API of the OS on a node, asked by the controller."""
    kind = {"Content-Type": "application/json"}
    good: list[Any] = [200, kind, {"access_token": TOKEN}]
    flows = [
        [good, [202, kind, {}]],
        [
            [200, kind, {"totp_required": True, "temp_token": "t"}],
            [200, kind, {"access_token": TOKEN}],
            [204, kind, ""],
        ],
        [[401, kind, {"error": f"no {PASSWORD}"}]],
        [
            [200, kind, {"access_token": TOKEN}],
            [429, {"Retry-After": "3"}, ""],
            [503, {"Retry-After": "x"}, f"{TOKEN}"],
        ],
        [[200, kind, "<html>"], [200, kind, ""]],
    ]
    return tuple(json.dumps(flow) for flow in flows)


@functools.cache
def host_answers() -> tuple[str, ...]:
    """What scripts on a host print, section by section; latin-1 texts stand for bytes."""

    def latin(data: bytes) -> str:
        return data.decode("latin-1")

    pin = {"pin.path": "/ca.crt", "pin": latin(OLD.pem), "leaf.path": "/client.crt", "leaf": latin(LEAVES[0].pem)}
    status, _newline, run = latin(handshakes()[0]).partition("\n")
    shake = {"handshake": run, "handshake.rc": status, "request": "HTTP/1.1 204 No Content\r\n", "request.rc": "0"}
    agent = {
        "agent.tool": "curl",
        "agent.status": "200",
        "agent.rc": "0",
        "agent.body": '{"connected": true}',
        "login.status": "200",
        "agent.sent": "1",
        "agent.retry_after": "7",
        "agent.said": f"no {API_KEY}",
    }
    refused = {
        "login.status": "401",
        "login.rc": "22",
        "login.said": f'{{"error": "{PASSWORD}"}}',
        "login.error": "refused",
    }
    more = {"log.rc": "0", "log.count": "3", "clock.start": "1780315200.5", "clock.end": "1780315201", "kept": "1"}
    log = b"starting Quazzar\nloaded additional trusted CA (rotation grace)\n0"
    files = {
        "active.path": "/certs/ca.crt",
        "active": latin(NEW.pem),
        "env.path": "/env",
        "env": f"3:{POOL_VARIABLE}=/legacy/old.crt,/x.crt\n9:CC_ALLOW_AUTO_CA_GEN=true\n",
        "pool.1.path": "/legacy/old.crt",
        "pool.1": latin(OLD.pem),
        "pool.1.since": "1780000000",
        "pool.2.path": "/x.crt",
        "pool.2.error": "missing",
        "legacy.1.path": "/legacy/old.crt",
        "legacy.1": latin(OLD.pem + OLD.key_pem),
        "log.pack": "gzip -c",
        "log": latin(gzip.compress(log, mtime=0)),
        "storage.mode": "750 cc",
        "storage.mount": "/var",
        "storage.mounts": "91 27 8:17 / /var rw,relatime shared:2 - xfs /dev/sdb1 rw",
        "storage.key": "600 cc",
        "storage.container": "yes",
        "copy.1": "/legacy/ca.key",
    }
    env = {
        "dir": "yes",
        "sum": "0" * 64,
        "size": "77",
        "count": "4",
        "hits": " 3",
        "end": "",
        "line.3": f"{POOL_VARIABLE}=/legacy/old.crt",
        "written": "1",
    }
    return tuple(
        json.dumps(sections)
        for sections in (
            {**pin, **shake, **agent, **more, "openssl": "OpenSSL 3.0.19 27 Jan 2026"},
            {**pin, **refused, "handshake.error": "no openssl", "openssl": "LibreSSL 3.8.2"},
            {**files, "kept": ""},
            {**files, "log.pack": "cat", "log": latin(log), "env.error": "missing", "storage.error": "unreadable"},
            env,
            {**env, "error": "missing"},
            {**pin, **shake, **agent, **more, **files, **env},
        )
    )


# --- what modules and operators hand in ------------------------------------------------------------------------------


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _node(pins: list[Minted], leaf: Minted, signer: Minted) -> dict[str, Any]:
    own = certificates.from_der(leaf.der)
    return {
        "taken_at": _stamp(NOW),
        "reachable": True,
        "error": "",
        "clock_skew": 0.5,
        "kept_identity": True,
        "kept_leaf": {"not_after": _stamp(own.not_after), "der": base64.b64encode(leaf.der).decode(), "error": ""},
        "pin": {"sha256": [certificates.from_der(ca.der).sha256 for ca in pins], "form": "pem", "error": ""},
        "leaf": {
            "sha256": own.sha256,
            "issuer": own.issuer,
            "not_before": _stamp(own.not_before),
            "not_after": _stamp(own.not_after),
            "der": base64.b64encode(leaf.der).decode(),
            "error": "",
            "signed_by": [certificates.from_der(signer.der).sha256],
        },
        "handshake": {"to_cp": "ok", "to_cp_detail": "", "to_node": "accepted", "to_node_detail": ""},
        "agent": {"status": "connected", "needs_registration": None, "detail": ""},
        "log": {"symptom_count": 0, "error": ""},
    }


def _file(path: str, ca: Minted) -> dict[str, Any]:
    digest = certificates.from_der(ca.der).sha256
    return {"path": path, "sha256": [digest], "pem": [ca.pem.decode()], "since": _stamp(NOW - _DAY), "error": ""}


def _workload() -> dict[str, Any]:
    claim = {"name": "certs", "found": True, "phase": "Bound", "access_modes": ["ReadWriteMany"], "volume": "pv-1"}
    kept = {"storage_class": "fast", "reclaim_policy": "Retain", "volume_error": "", "error": ""}
    return {
        "title": "Deployment q/cc",
        "replicas": 2,
        "storage": {
            "path": "/certs",
            "kind": "persistentVolumeClaim",
            "volume": "certs",
            "claims": [{**claim, **kept}],
            "conflicts": ["no"],
        },
        "auto_ca_gen": [
            {"container": "cc", "init": False, "source": "env", "on": True, "hidden": False, "error": ""},
        ],
    }


@functools.cache
def evidences() -> tuple[str, ...]:
    """What node_info, cp_info and fleet_info return, as one tree."""
    nodes = {
        "node0": _node([OLD], LEAVES[0], OLD),
        "node1": _node([NEW, OLD], LEAVES[1], NEW),
        "node2": {"reachable": False, "error": "no route", "taken_at": _stamp(NOW)},
        "node3": {},
    }
    shown = {"sha256": certificates.from_der(SERVER.der).sha256, "pem": SERVER.pem.decode()}
    replica = {
        "name": "cp1",
        "taken_at": _stamp(NOW),
        "reachable": True,
        "error": "",
        "address": "cp:8443",
        "listening": True,
        "listener_error": "",
        "chain": [shown],
        "acceptable_ca_count": 2,
        "active_ca_error": "",
        "active_ca": {**certificates.from_der(NEW.der).as_dict(), "pem": NEW.pem.decode()},
        "ours": ["/legacy/"],
        "legacy_dir": [_file("/legacy/old.crt", OLD)],
        "auto_ca_gen": False,
        "pool": {"raw": "/legacy/old.crt", "entries": [_file("/legacy/old.crt", OLD)], "line": 3, "error": ""},
        "boot": {"loaded_count": 1, "since_boot": True, "error": ""},
        "storage": {
            "path": "/certs",
            "error": "",
            "mount": "/var",
            "file_system": "xfs",
            "container": False,
            "mode": "750",
            "owner": "cc",
            "key": {"path": "/certs/ca.key", "mode": "600", "owner": "cc", "error": ""},
            "key_copies": [],
            "key_copies_error": "",
        },
    }
    row = {"id": "inst_0", "name": "node0", "status": "online", "last_seen": _stamp(NOW), "tenant": "", "active": True}
    registry = {
        "taken_at": _stamp(NOW),
        "clock": _stamp(NOW),
        "source": "api",
        "complete": True,
        "incomplete_reason": "",
        "instances": [{**row, "id": f"inst_{at}", "name": f"node{at}"} for at in range(5)],
        "arrived": ["node0"],
        "missing": ["node2"],
        "error": "",
    }
    whole = {
        "nodes": nodes,
        "replicas": {"cp1": replica, "cp2": replica},
        "registry": registry,
        "claim": OLD.pem.decode(),
        "logs": {
            "cp1": {
                "counts": {"drift": 12, "probe": 3},
                "sources": {"drift": {"192.0.2.1": 11}},
                "outside_sources": {"drift": {"192.0.2.1": 11}},
                "error": "",
            },
            "cp2": {"counts": None, "error": "no log"},
        },
        "backup": {"path": "/b/x", "made_at": _stamp(NOW), "age_seconds": 9, "current": True, "error": ""},
        "workloads": {"cp1": _workload()},
    }
    bare = {**whole, "replicas": {"cp1": {**replica, "pool": None, "chain": []}, "cp2": {}}, "registry": None}
    mixed = {**whole, "replicas": {"cp1": replica, "cp2": {**replica, "active_ca": None}}}
    return tuple(json.dumps(tree) for tree in (whole, whole, bare, mixed))


@functools.cache
def workloads() -> tuple[str, ...]:
    """Objects of a Kubernetes API: a workload, what is listed as its pods, and what both refer to."""
    certs, claim = "/var/lib/cc/certs", {"persistentVolumeClaim": {"claimName": "cp-certs"}}
    by_key = {"configMapKeyRef": {"name": "settings", "key": "pool", "optional": True}}
    box = {
        "name": "cc",
        "env": [{"name": POOL_VARIABLE, "value": "/a.crt,/b.crt"}, {"name": POOL_VARIABLE, "valueFrom": by_key}],
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "CC_"}, {"secretRef": {"name": "hidden"}}],
        "volumeMounts": [{"name": "certs", "mountPath": certs}],
        "ports": [{"name": "mtls", "containerPort": 8443}],
    }
    chosen = {"matchLabels": {"app": "cc"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}
    labels = {"app": "cc", "argocd.argoproj.io/instance": "cc"}
    spec = {"containers": [box], "initContainers": [{"name": "migrate"}], "volumes": [{"name": "certs", **claim}]}
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "it has timed out"}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    about = {"name": "cc", "namespace": "quazzar", "uid": "u1", "generation": 3}
    deployment = {
        "kind": "Deployment",
        "metadata": {**about, "labels": labels, "managedFields": [{"manager": "kubectl"}]},
        "spec": {"replicas": 2, "selector": chosen, "strategy": {}, "template": {"spec": spec}},
        "status": {"observedGeneration": 3, **counts, "conditions": [late]},
    }
    own = {
        "updateStrategy": {"rollingUpdate": {"partition": 1}},
        "volumeClaimTemplates": [{"metadata": {"name": "certs"}}],
    }
    stateful = {
        "kind": "StatefulSet",
        "metadata": about,
        "spec": {**own, "selector": chosen, "template": {"spec": spec}},
        "status": {"observedGeneration": 3, "updateRevision": "cc-2", "currentRevision": "cc-1", **counts},
    }

    def pod(name: str, phase: str, state: dict[str, Any], **meta: Any) -> dict[str, Any]:
        owner = {"ownerReferences": [{"uid": "u1"}], "labels": {"pod-template-hash": "66b"}}
        told = {
            "phase": phase,
            "podIP": "10.1.0.7",
            "containerStatuses": [{"name": "cc", "ready": True, "state": state}],
        }
        return {"metadata": {"name": name, **owner, **meta}, "spec": {"containers": [box]}, "status": told}

    crash = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    pods = [
        pod("a", "Running", {"running": {}}),
        pod(
            "b", "Running", {"terminated": {"exitCode": 1, "reason": "Error"}}, deletionTimestamp="2026-06-01T12:00:00Z"
        ),
        pod("c", "Pending", crash),
    ]
    beside = {
        "settings": {"data": {"pool": "/c.crt", POOL_VARIABLE.removeprefix("CC_"): "/d.crt"}},
        "hidden": {"data": {POOL_VARIABLE: "/e.crt"}},
        "claims": {"cp-certs": {"spec": {"accessModes": ["ReadWriteOnce"]}}},
        "budgets": [{"metadata": {"name": "keep"}, "status": {"disruptionsAllowed": 0}}],
    }
    ended = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}
    return tuple(
        json.dumps({"workload": each, "pods": listed, "beside": beside, "ended": ended})
        for each in (deployment, stateful)
        for listed in (pods, pods[:1])
    )


@functools.cache
def exports() -> tuple[bytes, ...]:
    """Exported lists of instances, JSON and YAML."""
    row = {"id": "inst_0", "name": "node0", "status": "online", "last_heartbeat": "2026-06-01T11:59:59+02:00"}
    own = {"id": "inst_0", "name": "node0", "status": "online", "last_seen": 1780300000.5, "tenant": "a"}
    yaml = "- id: inst_0\n  name: node0\n  status: online\n  last_heartbeat: 2026-06-01T11:59:59Z\n"
    odd = "- {id: 0x1F, name: *a}\n- &a {id: 1_000, name: 2026-06-01, last_heartbeat: 2026-06-01 11:59:59 +5}\n"
    return (
        *(json.dumps(rows).encode() for rows in ([row, row], [own], {"items": [row]}, [])),
        yaml.encode(),
        odd.encode(),
    )


@functools.cache
def waivers() -> tuple[bytes, ...]:
    one = "- node: node0\n  reason: in the workshop\n  owner: ops\n  expires: 2099-06-30\n"
    more = "waivers:\n- {node: node1, reason: x, owner: y, expires: '2099-06-30T10:00:00+02:00'}\n"
    odd = "- &a {node: node1, reason: [x], owner: 1, expires: 2099-06-30T10:00:00Z}\n- *a\n"
    return (one.encode(), more.encode(), odd.encode(), json.dumps([{"node": "node0"}]).encode(), b"", b"{}")


OPTIONS: tuple[bytes, ...] = tuple(
    text.encode()
    for text in (
        *("90", "15m", "36h", " 1.5 d ", "1,5%,25%", "[1, '5%']", "2%", "100%", "JBSW Y3DP-EHPK 3PXP", "1780300000"),
        *("AA:" * 31 + "AA", "sha256 Fingerprint=" + "ab:" * 31 + "AB", "SHA2-256(x)= " + "0" * 64, "a" * 40),
        *("2026-01-31T09:30:00Z", "2026-01-31 09:30:60.123456789+05:30", "0001-01-01T00:00:00Z", "10.0.0.0/8", "::1"),
        *(
            "panel.example.com:8443",
            "[2001:db8::1]:8443",
            "https://panel.example.com:8444/api/",
            "http://localhost:8080",
        ),
    )
)
