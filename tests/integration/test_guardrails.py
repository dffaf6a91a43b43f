# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prevention rules on a running lab: what is kept when all is well, and what is said of each fault."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from quazzar_lab import lab as lab_module
from quazzar_lab import pki

pytestmark = pytest.mark.integration

DAY = 86400
MEMORY = Path("/dev/shm")
#: What is on the machine that runs this test is not for the lab to say.
OF_THE_MACHINE = {"persistent-volume"}


def checked(made, *words, status=2, **extra):
    """Run the playbook; it must change nothing, whatever it finds. -> (run, the rules by id)"""
    before = made.digest()
    run = made.play("guardrails_check", *words, status=status, **extra)
    assert made.digest() == before and set(run.changed.values()) == {0}
    assert "PRIVATE KEY" not in run.output and "PRIVATE KEY" not in json.dumps(run.report)
    return run, {rule["id"]: rule for rule in run.report["rules"]}


def with_verdict(rules, verdict):
    return {name for name, rule in rules.items() if rule["verdict"] == verdict} - OF_THE_MACHINE


def found(rules, name, subject, verdict="fail"):
    """What was found of one subject with this verdict, as the only thing."""
    texts = [p["found"] for p in rules[name]["found"] if (p["subject"], p["verdict"]) == (subject, verdict)]
    assert len(texts) == 1, rules[name]
    return texts[0]


def day(cert):
    return f"{cert.not_valid_after_utc:%Y-%m-%d}"


def environment(made, replica, *lines):
    """An environment file without CC_ALLOW_AUTO_CA_GEN, and with these lines."""
    file = made.env_file(replica)
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if "CC_ALLOW_AUTO_CA_GEN" not in line]
    file.write_text("".join(line + "\n" for line in [*kept, *lines]), encoding="utf-8")


def _healthy(made, schema):
    """A healthy lab: its CP may make CAs by itself, nobody looked for a backup, and all else is as it should be."""
    certs = made.layout.root / "cp/certs"
    run, rules = checked(made)
    assert with_verdict(rules, "fail") == {"auto-ca-gen"} and with_verdict(rules, "unknown") == {"ca-backup"}
    assert not run.report["kept"] and len(rules) == 17
    words = "CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA"
    assert found(rules, "auto-ca-gen", "cp1") == found(rules, "auto-ca-gen", "cp2") == words
    assert run.says(
        f"FAIL auto-ca-gen: no replica may make a CA by itself. cp1, cp2: {words}."
        " To do: take CC_ALLOW_AUTO_CA_GEN out of the environment file of that replica, and restart it"
    )
    assert run.says("Broken: ") and run.says(f"auto-ca-gen (cp1, cp2: {words})")
    assert run.says("What to do is said above and in the report.")
    assert run.says(
        "unknown ca-backup: the pair of the active CA is backed up out of band."
        " backup: quazzar_backup_dir is not set, so no backup was looked for."
    )
    assert str(certs) in found(rules, "persistent-volume", "cp1", rules["persistent-volume"]["verdict"])
    assert found(rules, "ca-key-mode", "cp1", "pass").startswith(f"{certs}/ca.key has the mode 0600 and belongs to ")
    assert found(rules, "drift-log", "cp2", "pass") == "none from outside"
    assert found(rules, "running-files", "cp1", "pass") == "its listener advertises 1 CA name, as its files say"
    assert found(rules, "node-pins", "nodes", "pass") == "4 of 4 nodes pin the active CA and none that is retired"
    assert run.says("Expired: 0 CAs, 0 server certificates, 0 nodes")
    assert run.says("Expire within 90 days: 0 CAs, 2 server certificates (cp1, cp2), 4 nodes (node01, node02, node03, ")
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    assert [error.message for error in validator.iter_errors(run.report)] == []
    for replica in ("cp1", "cp2"):
        environment(made, replica)


def _files(made):
    """Who may touch what."""
    certs = made.layout.root / "cp/certs"
    legacy = Path(made.facts["legacy_dir"])
    os.chmod(certs / "ca.key", 0o640)
    os.chmod(certs, 0o757)
    legacy.mkdir(exist_ok=True)
    copy = legacy / "ca.key.bak"
    shutil.copy(certs / "ca.key", copy)
    run, rules = checked(made)
    assert with_verdict(rules, "fail") == {"ca-key-mode", "certs-dir-mode", "key-copies"}
    assert found(rules, "ca-key-mode", "cp1").endswith(": not its owner alone may use it")
    assert f"{certs}/ca.key has the mode 0640 and belongs to " in found(rules, "ca-key-mode", "cp1")
    assert f"{certs} has the mode 0757 and belongs to " in found(rules, "certs-dir-mode", "cp2")
    assert found(rules, "certs-dir-mode", "cp2").endswith(": everybody may write into it")
    assert found(rules, "key-copies", "cp1") == f"there is a private key in {copy}"
    assert run.says(f"ca-key-mode (cp1, cp2: {certs}/ca.key has the mode 0640 and belongs to ")
    copy.unlink()
    os.chmod(certs / "ca.key", 0o600)
    os.chmod(certs, 0o755)


def _pool(made):
    """The pool names what is not there, and a CA that has expired; that replica was not restarted."""
    legacy = Path(made.facts["legacy_dir"])
    over = pki.make_ca(backdate=100 * DAY, lifetime=99 * DAY)
    (legacy / "over.crt").write_bytes(over.pem)
    os.utime(legacy / "over.crt", (time.time() - 100 * DAY,) * 2)
    environment(made, "cp1", f"CC_TRUST_ADDITIONAL_CA_CERTS={legacy}/over.crt,{legacy}/gone.crt")
    run, rules = checked(made)
    assert with_verdict(rules, "fail") == {"pool-entries", "grace-window-age", "running-files", "ca-expiry"}
    entries = {point["found"] for point in rules["pool-entries"]["found"] if point["subject"] == "cp1"}
    assert entries == {
        f"{legacy}/gone.crt: no such file",
        f"{legacy}/over.crt: the CA in it expired on {day(over.cert)}",
    }
    aged = [point["found"] for point in rules["grace-window-age"]["found"] if point["verdict"] == "fail"]
    assert aged == [
        f"{legacy}/over.crt is there for 100 days, and no leaf lives longer than 90 days: nothing can still need it"
    ]
    assert found(rules, "running-files", "cp1") == "expected the listener to advertise 2 CA names, found 1"
    number = pki.fingerprint(over.cert)[:16]
    assert found(rules, "ca-expiry", f"legacy CA {number}") == f"it expired on {day(over.cert)}"
    assert run.says(f"Expired: 1 CA (legacy CA {number}), 0 server certificates, 0 nodes")
    environment(made, "cp1", "CC_TRUST_ADDITIONAL_CA_CERTS=")
    (legacy / "over.crt").unlink()


def _nodes(made):
    """Nodes whose leaf ends soon or has ended, that pin what is retired, that are down; and a replica that is."""
    soon, ended = (
        pki.issue(made.pair(), name, pki.load_key(made.node_file(name, "client.key").read_bytes()).public_key(),
                  backdate=age * DAY)
        for name, age in (("node01", 70), ("node02", 91))
    )  # fmt: skip
    made.node_file("node01", "client.crt").write_bytes(pki.pem(soon))
    made.node_file("node02", "client.crt").write_bytes(pki.pem(ended))
    retired = pki.make_ca()
    with open(made.node_file("node03", "ca.crt"), "ab") as file:
        file.write(retired.pem)
    made.power_off("node04")
    lab_module.stop_replica(str(made.dir), "cp2")
    run, rules = checked(made)
    assert with_verdict(rules, "fail") == {"leaf-expiry", "node-pins", "replicas-serve"}
    assert found(rules, "leaf-expiry", "node01") == f"it expires in 19 days, on {day(soon)}"
    assert found(rules, "leaf-expiry", "node02") == f"it expired on {day(ended)}"
    assert "Connection refused" in found(rules, "leaf-expiry", "node04", "unknown")
    number = pki.fingerprint(retired.cert)[:16]
    assert found(rules, "node-pins", "node03") == f"its pin holds {number}, which is retired"
    assert "it does not serve at " in found(rules, "replicas-serve", "cp2")
    assert run.says("Expired: 0 CAs, 0 server certificates, 1 node (node02)")
    assert run.says("Expire within 30 days: 0 CAs, 0 server certificates, 1 node (node01)")
    # as the CP is not up, nothing is known of what it would serve
    assert {"server-expiry", "served-certificate"} <= with_verdict(rules, "unknown")
    lab_module.restart(str(made.dir), "cp2")
    made.power_on("node04")


def _served(made):
    """A server certificate that Go refuses and that ends soon; a replica with a CA of its own, in memory."""
    home = made.layout.cp / "server/cp1"
    bad = pki.issue(made.pair(), "cp", pki.load_key((home / "server.key").read_bytes()).public_key(), backdate=80 * DAY)
    (home / "server.crt").write_bytes(pki.pem(bad))
    lab_module.restart(str(made.dir), "cp1")
    with tempfile.TemporaryDirectory(dir=MEMORY) as volume:
        other = pki.make_ca()
        other.write(Path(volume) / "ca.crt", Path(volume) / "ca.key")
        made.host_vars["cp2"] = {"quazzar_cp_certs_dir": volume}
        _run, rules = checked(made)
    del made.host_vars["cp2"]
    names = {"served-certificate", "server-expiry", "same-active-ca", "leaf-expiry", "node-pins"}
    assert with_verdict(rules, "fail") >= names
    words = f"{volume} is on tmpfs, mounted at /dev/shm: gone with the next start of the host"
    assert found(rules, "persistent-volume", "cp2") == words
    assert found(rules, "same-active-ca", "cp1") == f"its active CA is {pki.fingerprint(made.pair().cert)[:16]}"
    assert found(rules, "same-active-ca", "cp2") == f"its active CA is {pki.fingerprint(other.cert)[:16]}"
    assert {point["found"] for point in rules["served-certificate"]["found"] if point["subject"] == "cp1"} == {
        "its certificate (CN=cp) has no subject alternative name",
        "the extended key usage of its certificate (CN=cp) is not that of a server",
    }
    assert found(rules, "server-expiry", "cp1") == f"it expires in 9 days, on {day(bad)}"
    for part in ("server.crt", "server.key"):
        (home / part).unlink()
    lab_module.restart(str(made.dir), "cp1")


def _accident(made):
    """A new CA that has lived most of its life, and nodes that come with the old one."""
    made.option("ca_backdate=3400d")
    for replica in ("cp1", "cp2"):
        environment(made, replica, "CC_ALLOW_AUTO_CA_GEN=true")
    made.accident()
    made.until(lambda: all(_drift(made, replica) for replica in ("cp1", "cp2")), "the stream")
    run, rules = checked(made, status=0, quazzar_lb_cidrs=[], quazzar_fail_on_guardrails=False)
    assert {"drift-log", "ca-expiry", "auto-ca-gen"} <= with_verdict(rules, "fail")
    assert " lines on certificates of an unknown CA, from 127." in found(rules, "drift-log", "cp1")
    assert run.says("To do: run drift_report: nodes live on a CA that is not trusted, or somebody else's do")
    newest = made.cas()[-1]["sha256"]
    young = made.pair(2).cert
    left = (young.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)).days
    words = f"it expires in {left} days, on {day(young)}"
    assert found(rules, "ca-expiry", f"active CA {newest[:16]}") == words
    # what comes from the networks of load balancers is not counted
    run, rules = checked(made)
    assert found(rules, "drift-log", "cp1", "pass") == "none from outside"


def _drift(made, replica):
    text = (made.layout.logs / f"{replica}.boot.log").read_text(encoding="utf-8")
    return text.count("unknown authority") >= 15


def test_every_rule_against_its_fault(fleet, collections_path):
    made = fleet(4, "W1")
    _healthy(made, collections_path / "ansible_collections/quazzar/ca_rotation/docs/guardrails.schema.json")
    _files(made)
    _pool(made)
    _nodes(made)
    _served(made)
    _accident(made)


def test_a_part_of_the_fleet_says_what_it_does_not_know(fleet):
    made = fleet(2, "W2", replicas=1)
    run, rules = checked(made, status=0, quazzar_cp_log_command="", quazzar_fail_on_guardrails=False)
    assert rules["drift-log"]["verdict"] == "unknown"
    assert found(rules, "drift-log", "cp1", "unknown") == "its log was not read: quazzar_cp_log_command is not set"
    before = made.digest()
    run = made.play("guardrails_check", "--check", "--limit", "node01,cp1,localhost", quazzar_fail_on_guardrails=False)
    assert made.digest() == before
    assert run.says("leaf-expiry: no client certificate of a node is about to end. node02: not examined in this run")
    # the backup that somebody looked for
    old = {
        "path": "/backup/x.enc",
        "made_at": "2026-01-01T00:00:00Z",
        "age_seconds": 31 * DAY,
        "current": True,
        "error": "",
    }
    run, rules = checked(made, guardrails_backup=old)
    assert found(rules, "ca-backup", "backup") == "/backup/x.enc is 31 days old, 30 days are allowed"
    _backup(made)


def _backup(made):
    """One that can be restored is never a broken rule: not without the secret, nor where the CP does not say its CA."""
    environment(made, "cp1")
    secret, folder = made.work / "vault-password", made.work / "backups"
    secret.write_text("right and long enough\n", encoding="utf-8")
    made.group_vars["all"]["quazzar_backup_dir"] = str(folder)
    made.play("ca_backup", "--vault-password-file", str(secret))
    (path,) = folder.iterdir()

    run, rules = checked(made, "--vault-password-file", str(secret), status=None)
    assert found(rules, "ca-backup", "backup", "pass") == f"{path} is of the active CA and 0 hours old"
    assert with_verdict(rules, "fail") == set()

    run, rules = checked(made, status=None)
    assert found(rules, "ca-backup", "backup", "unknown").startswith("no vault secret was given to encrypt the backup")
    assert run.says("To do: give this run the vault secret of the backups, and see that the file, and ")
    assert with_verdict(rules, "fail") == set()

    made.host_vars["cp1"] = {"quazzar_cp_certs_dir": str(made.work / "nowhere")}
    run, rules = checked(made, "--vault-password-file", str(secret), status=None)
    del made.host_vars["cp1"]
    assert "/nowhere/ca.crt: no such file" in found(rules, "ca-backup", "backup", "unknown")
