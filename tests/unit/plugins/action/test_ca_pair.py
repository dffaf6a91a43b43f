# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import pathlib
import secrets
import stat
import subprocess

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import act, action_of

SERVER = "cp.quazzar.test"


class Cp:
    """The files of a CP host: an active pair, and room beside it for others."""

    def __init__(self, root: pathlib.Path, active: minting.Minted) -> None:
        self.root = root
        self.certs, self.staged, self.previous = root / "certs", root / "staged", root / "previous"
        active.write(self.certs, "ca")

    def do(self, state, **options):
        """`dir` is the staged pair's unless something else is said."""
        where = {"dir": str(self.staged), "certs_dir": str(self.certs), "keep_dir": str(self.previous)}
        return act("ca_pair", state=state, **{**where, **options})

    def tree(self):
        return {
            str(path.relative_to(self.root)): (oct(path.stat().st_mode), path.is_file() and path.read_bytes())
            for path in sorted(self.root.rglob("*"))
        }


@pytest.fixture
def cp(tmp_path, make_ca):
    root = tmp_path / 'with space, quote\' and "$x"'
    root.mkdir()
    return Cp(root, make_ca())


def key_of(directory):
    return (directory / "ca.key").read_bytes()


def cert_of(directory):
    return (directory / "ca.crt").read_bytes()


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def secrets_in(text, *keys):
    """Whether anything of a key stands in a text: a line of it, or the same once more in base64."""
    bodies = [line for key in keys for line in key.decode().splitlines() if not line.startswith("---")]
    doubled = [base64.b64encode(key)[10:60].decode() for key in keys]
    return [body for body in [*bodies, *doubled] if body in text]


def test_twelve_steps(cp):
    active = cert_of(cp.certs)
    for state, holds in (("present", "staged"), ("active", "certs"), ("absent", None)):
        for _turn in range(2):
            before = cp.tree()
            predicted = cp.do(state, server_name=SERVER, check=True, diff=True)
            assert predicted["changed"] and not predicted["error"]
            assert cp.tree() == before
        done = cp.do(state, server_name=SERVER, diff=True)
        assert done["changed"]
        assert done["diff"]["before"] == predicted["diff"]["before"]
        assert "BEGIN" not in json.dumps(done)
        before = cp.tree()
        again = cp.do(state, server_name=SERVER)
        assert not again["changed"] and cp.tree() == before
        assert not cp.do(state, server_name=SERVER, check=True)["changed"] and cp.tree() == before
        if holds:
            assert minting.certificates.parse_bundle(cert_of(cp.root / holds)).certificates[0].sha256 == done["sha256"]
    assert not cp.staged.exists()
    assert cert_of(cp.certs) != active and cert_of(cp.previous) == active
    # deleting what is absent
    assert not cp.do("absent")["changed"]


def test_a_pair_is_made_for_its_owner_alone_and_as_verifiers_want_it(cp):
    done = cp.do("present", server_name=SERVER)
    assert done["origin"] == "made" and done["subject"] == f"CN={minting.PRODUCT_CA_NAME}"
    assert mode_of(cp.staged) == 0o700 and mode_of(cp.staged / "ca.key") == 0o600
    verify = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", cp.staged / "ca.crt"]
    name = ["-purpose", "sslserver", "-verify_hostname", SERVER]
    checked = subprocess.run(
        [*verify, *name, cp.staged / "server-sample.crt"], capture_output=True, text=True, check=True
    )
    assert checked.stdout.endswith(": OK\n")
    shown = subprocess.run(
        ["openssl", "x509", "-in", cp.staged / "ca.crt", "-noout", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert "ASN1 OID: prime256v1" in shown and "ecdsa-with-SHA256" in shown
    assert "CA:TRUE" in shown and "Certificate Sign, CRL Sign" in shown and "Subject Key Identifier" in shown


def test_no_word_of_a_key_is_in_a_result_or_in_what_a_command_prints(cp, monkeypatch):
    said = []
    for state in ("present", "active", "absent"):
        action = action_of(
            "ca_pair",
            args={
                "state": state,
                "dir": str(cp.staged),
                "certs_dir": str(cp.certs),
                "keep_dir": str(cp.previous),
                "bridge_path": str(cp.root / "bridge.crt"),
            },
            diff=True,
        )
        run = action._low_level_execute_command

        def listen(command, in_data=None, run=run):
            result = run(command, in_data=in_data)
            said.append(result["stdout"] + result["stderr"] + command)
            # what stands between the marks is base64 once more
            said.extend(
                base64.b64decode(word).decode("utf-8", "replace")
                for line in result["stdout"].splitlines()
                for word in line.split()[2:3]
                if len(word) % 4 == 0
            )
            return result

        monkeypatch.setattr(action, "_low_level_execute_command", listen)
        if state == "active":
            keys = [key_of(cp.certs), key_of(cp.staged)]
        said.append(json.dumps(action.run(task_vars={"inventory_hostname": "cp1"})))
    assert secrets_in("\n".join(said), *keys) == []
    # the test itself would see it
    assert secrets_in(keys[0].decode(), *keys)


def test_the_name_of_a_new_ca_tells_it_apart_where_no_key_ids_do(tmp_path, make_ca):
    bare = Cp(tmp_path, make_ca(key_ids=False))
    assert bare.do("present")["subject"] == f"CN={minting.PRODUCT_CA_NAME} G2"
    bare.do("absent")
    assert bare.do("present", leaves_marked=False)["subject"] == f"CN={minting.PRODUCT_CA_NAME} G2"
    bare.do("absent")
    assert bare.do("present", common_name="Our CA 2027")["subject"] == "CN=Our CA 2027"
    bare.do("active")
    bare.do("absent", dir=str(bare.previous))
    bare.do("absent")


def test_generations_are_counted(tmp_path, make_ca):
    third = Cp(tmp_path, make_ca(f"{minting.PRODUCT_CA_NAME} G3", key_ids=False))
    assert third.do("present")["subject"] == f"CN={minting.PRODUCT_CA_NAME} G4"


def test_a_pair_that_lies_there_is_taken_when_it_can_be_the_next_ca(cp, make_ca):
    mine = make_ca("Vendor CA")
    mine.write(cp.staged, "ca")
    done = cp.do("present", server_name=SERVER)
    assert done["origin"] == "found" and done["sha256"] == mine.cert.sha256
    assert key_of(cp.staged) == mine.key_pem


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"is_ca": False}, "it is not a CA certificate (no CA:TRUE)"),
        ({"key_usage": False}, "its key usage does not allow signing certificates (no keyCertSign)"),
        ({"days": 30}, "before leaves that it would sign now"),
        ({"key_ids": False}, "it has no subject key id, without which OpenSSL may take another CA of its name for it"),
    ],
)
def test_what_verifiers_would_refuse_is_refused_before_anything_is_written(cp, make_ca, how, reason):
    mine = make_ca(**how)
    mine.write(cp.staged, "ca")
    before = cp.tree()
    for state in ({}, {"check": True}):
        failed = cp.do("present", **state)
        assert failed["failed"] and reason in failed["msg"]
        assert failed["msg"].startswith(f"node-7: {cp.staged}: the CA {mine.cert.sha256[:16]} (")
    assert cp.tree() == before


def test_halves_and_strangers_in_the_directory(cp, make_ca):
    mine, other = make_ca("Mine"), make_ca("Other")
    mine.write(cp.staged, "ca")
    (cp.staged / "ca.key").write_bytes(other.key_pem)
    for state in ("present", "active"):
        failed = cp.do(state)
        assert failed["failed"] and "belong to" in failed["msg"] and str(cp.staged) in failed["msg"]
    # a certificate without a key is of no use, and is replaced
    (cp.staged / "ca.key").unlink()
    assert cp.do("present")["origin"] == "made"


def vault_file(path, content, password=b"geheim"):
    lib = VaultLib([("default", VaultSecret(password))])
    path.write_bytes(lib.encrypt(content))
    return lib


def with_vault(monkeypatch, lib):
    from ansible.parsing.dataloader import DataLoader

    monkeypatch.setattr(DataLoader, "set_vault_secrets", lambda *_: None, raising=False)
    plain = DataLoader.__init__

    def init(self):
        plain(self)
        self._vault = lib

    monkeypatch.setattr(DataLoader, "__init__", init)


def test_the_operators_own_pair_out_of_a_vault(cp, make_ca, tmp_path, monkeypatch):
    mine, path = make_ca("Vendor CA"), tmp_path / "next.vault"
    lib = vault_file(path, mine.pem + mine.key_pem)
    with_vault(monkeypatch, lib)
    assert cp.do("present", file=str(path), check=True)["sha256"] == mine.cert.sha256
    done = cp.do("present", file=str(path))
    assert done["origin"] == "file" and key_of(cp.staged) == mine.key_pem

    # in the clear, with another secret, without one
    cp.do("absent")
    path.write_bytes(mine.pem + mine.key_pem)
    failed = cp.do("present", file=str(path))
    assert failed["msg"].endswith(
        "it is not encrypted: run ansible-vault encrypt on it, a CA key does not lie in the clear"
    )
    vault_file(path, mine.pem + mine.key_pem, b"anders")
    failed = cp.do("present", file=str(path))
    assert "it cannot be decrypted with the vault secrets of this run" in failed["msg"]
    with_vault(monkeypatch, VaultLib([]))
    assert "no vault secret was given to open it" in cp.do("present", file=str(path))["msg"]
    assert not cp.staged.exists()


def test_hosts_of_one_task_share_one_pair(tmp_path, make_ca):
    active = make_ca()
    hosts = [Cp(tmp_path / name, active) for name in ("one", "two", "three")]
    run = secrets.token_hex(8)
    done = [host.do("present", shared_as=run) for host in hosts]
    assert [item["origin"] for item in done] == ["made", "shared", "shared"]
    assert len({key_of(host.staged) for host in hosts}) == 1
    # a resumed run: whoever has it comes first
    hosts[1].do("absent")
    later = secrets.token_hex(8)
    assert [hosts[n].do("present", shared_as=later)["origin"] for n in (0, 1)] == ["found", "shared"]
    # two that disagree
    hosts[2].do("absent")
    hosts[2].do("present")
    failed = hosts[2].do("present", shared_as=later)
    assert failed["failed"] and "expected one CA for all; remove the wrong one" in failed["msg"]


def test_the_active_pair_keeps_owner_and_mode_and_the_old_one_is_kept(cp, make_ca):
    old_key, old_cert = key_of(cp.certs), cert_of(cp.certs)
    (cp.certs / "ca.crt").chmod(0o640)
    (cp.certs / "ca.key").chmod(0o400)
    cp.do("present")
    assert cp.do("active")["changed"]
    assert (mode_of(cp.certs / "ca.crt"), mode_of(cp.certs / "ca.key")) == (0o640, 0o400)
    assert (cert_of(cp.previous), key_of(cp.previous)) == (old_cert, old_key)
    assert mode_of(cp.previous) == 0o700 and mode_of(cp.previous / "ca.key") == 0o600
    # and back: the way of a rollback
    new_key = key_of(cp.staged)
    back = cp.do("active", dir=str(cp.previous), keep_dir=str(cp.staged))
    assert back["changed"] and key_of(cp.certs) == old_key and key_of(cp.staged) == new_key
    assert not cp.do("active", dir=str(cp.previous), keep_dir=str(cp.staged))["changed"]

    # somebody else's pair in the way is not overwritten, and nothing is half done
    make_ca("Third").write(cp.previous, "ca")
    before = cp.tree()
    failed = cp.do("active")
    assert failed["failed"]
    assert f"{cp.previous} holds the pair of another CA already: move it away, it is not overwritten" in failed["msg"]
    assert cp.tree() == before


def test_a_change_that_was_cut_off_between_the_two_files_is_brought_to_its_end(cp):
    old = key_of(cp.certs)
    cp.do("present")
    cp.do("active")
    (cp.certs / "ca.key").write_bytes(old)  # the certificate was there already, the key not yet
    assert cp.do("active", check=True)["changed"]
    assert cp.do("active")["changed"]
    assert key_of(cp.certs) == key_of(cp.staged) and key_of(cp.previous) == old


def test_a_bridge_needs_the_old_key_and_is_made_once(cp):
    path = cp.root / "bridge" / "bridge.crt"
    assert cp.do("present", bridge_path=str(path), check=True)["changed"] and not path.parent.exists()
    done = cp.do("present", bridge_path=str(path))
    bridge = minting.certificates.parse_bundle(path.read_bytes()).certificates[0]
    assert done["bridge"] == bridge.sha256
    checked = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", cp.certs / "ca.crt"]
    subprocess.run([*checked, path], check=True, capture_output=True)
    again = cp.do("present", bridge_path=str(path))
    assert not again["changed"] and again["bridge"] == ""
    path.unlink()
    (cp.certs / "ca.key").unlink()
    failed = cp.do("present", bridge_path=str(path))
    assert (
        failed["failed"] and "without the key of the active CA there is no bridge: unset bridge_path" in failed["msg"]
    )
    # once it is active itself there is nothing to bridge
    assert not path.exists()


@pytest.mark.parametrize("state", ["present", "active", "absent"])
def test_the_active_pair_itself_is_never_what_is_worked_on(cp, state):
    before = cp.tree()
    failed = cp.do(state, dir=f"{cp.certs}/")
    assert failed["failed"]
    assert failed["msg"] == f"dir and certs_dir are both {cp.certs}: a pair needs a directory of its own"
    assert cp.tree() == before


def test_missing_things_are_named(cp):
    assert (
        "there is no such directory" in cp.do("active", dir=str(cp.root / "nothing"))["msg"]
        or "no such file" in (cp.do("active", dir=str(cp.root / "nothing"))["msg"])
    )
    failed = cp.do("present", dir=str(cp.root / "a" / "b"))
    assert failed["msg"] == (f"node-7: {cp.root}/a/b: the directory above it does not exist; create it, or correct dir")
    (cp.certs / "ca.crt").unlink()
    assert cp.do("present")["msg"] == f"node-7: {cp.certs}/ca.crt: no such file"
    tolerated = cp.do("present", tolerate=True)
    assert tolerated["error"] and not tolerated["changed"] and tolerated["reachable"] and "failed" not in tolerated


def test_a_link_in_place_of_a_directory_is_refused(cp, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cp.staged.symlink_to(elsewhere)
    failed = cp.do("present")
    assert failed["failed"] and failed["msg"].endswith("is a symbolic link")
    assert list(elsewhere.iterdir()) == []


def test_only_the_ca_that_was_asked_for_becomes_active(cp, make_ca):
    done = cp.do("present")
    old = minting.certificates.parse_bundle(cert_of(cp.certs)).certificates[0].sha256
    before = cp.tree()
    failed = cp.do("active", sha256=old[::-1])
    assert failed["msg"] == (
        f"node-7: {cp.staged} holds the pair of the CA {done['sha256'][:16]}, expected {old[::-1][:16]};"
        " nothing was changed"
    )
    # what is active already needs no directory: so a put-back never makes anything else active
    for where in (str(cp.staged), str(cp.root / "nothing")):
        assert not cp.do("active", dir=where, sha256=old)["changed"]
    assert cp.tree() == before
    assert cp.do("active", sha256=done["sha256"])["changed"]
    assert not cp.do("active", dir=str(cp.root / "nothing"), sha256=done["sha256"])["changed"]


def test_a_key_that_is_missing_gets_the_mode_of_a_key(cp):
    cp.do("present")
    (cp.certs / "ca.key").unlink()
    assert cp.do("active")["changed"] and mode_of(cp.certs / "ca.key") == 0o600


def test_the_pair_before_is_not_kept_where_the_active_one_lies(cp):
    cp.do("present")
    failed = cp.do("active", keep_dir=str(cp.certs))
    assert failed["msg"] == f"certs_dir and keep_dir are both {cp.certs}: the pair before would be overwritten"


def test_when_one_host_of_a_task_has_failed_the_next_ones_make_no_second_ca(tmp_path, make_ca):
    active = make_ca()
    one, two = (Cp(tmp_path / name, active) for name in ("one", "two"))
    run = secrets.token_hex(8)
    (one.certs / "ca.crt").unlink()
    assert one.do("present", shared_as=run)["failed"]
    failed = two.do("present", shared_as=run)
    assert failed["msg"].endswith("nothing was done here, because a host before it in this task has failed")
    assert not two.staged.exists()


def test_a_key_in_the_file_of_a_certificate_does_not_travel(cp, make_ca):
    (cp.certs / "ca.crt").write_bytes(cert_of(cp.certs) + key_of(cp.certs))
    for state in ("present", "active"):
        failed = cp.do(state)
        assert failed["msg"] == (
            f"node-7: {cp.certs}/ca.crt: there is a private key in it, so it was not read; take the key out"
        )
