# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import stat
import subprocess

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import backups
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hostvars_double import hostvars

START = datetime.datetime(2026, 11, 25, 9, 30, tzinfo=datetime.timezone.utc)
SECRET = VaultSecret(b"a long passphrase of the run")
OTHER = VaultSecret(b"another passphrase")


class Site:
    """A CP host with its pair, a directory of backups on the controller, and a clock that both go by."""

    def __init__(self, root: pathlib.Path, ca, monkeypatch) -> None:
        self.root, self.ca = root, ca
        self.certs, self.dir = root / "certs", root / "backups of the CA"
        self.now = START
        self.secrets = [("default", SECRET)]
        self.said: list[str] = []
        self.placed: list[bytes] = []
        monkeypatch.setattr(backups, "utc_now", lambda: self.now)
        self.place(ca)

    def place(self, ca) -> None:
        self.ca = ca
        self.placed.append(ca.pem + ca.key_pem)
        ca.write(self.certs, "ca")

    def later(self, **how) -> None:
        self.now += datetime.timedelta(**how)

    def do(self, *, check=False, diff=False, shared=None, **options):
        where = {"dir": str(self.dir), "certs_dir": str(self.certs)}
        action = action_of("ca_backup", args={**where, **options}, check=check, diff=diff)
        action._loader.set_vault_secrets(self.secrets)
        run = action._low_level_execute_command

        def listen(command, in_data=None):
            result = run(command, in_data=in_data)
            self.said += [command, result["stdout"], result["stderr"]]
            return result

        action._low_level_execute_command = listen
        task_vars = {"inventory_hostname": "cp1"}
        if shared is not None:
            task_vars["hostvars"] = hostvars(shared)
        result = action.run(task_vars=task_vars)
        json.dumps(result)
        return result

    def files(self) -> list[str]:
        return sorted(path.name for path in self.dir.iterdir()) if self.dir.exists() else []

    def tree(self):
        return {
            str(path.relative_to(self.root)): (path.lstat().st_mode, path.is_file() and path.read_bytes())
            for path in sorted(self.root.rglob("*"))
        }

    def read(self, name: str) -> bytes:
        return VaultLib(self.secrets).decrypt((self.dir / name).read_bytes())


def scratch(site: Site) -> list[pathlib.Path]:
    """What drills of this site left behind. Others may be at work on the same machine."""
    found = []
    for base in ("/dev/shm", "/run", site.root):
        for path in pathlib.Path(base).glob("quazzar-drill.*"):
            with contextlib.suppress(OSError):
                if (path / "pair").read_bytes() in site.placed:
                    found.append(path)
    return found


@pytest.fixture
def site(tmp_path, make_ca, monkeypatch):
    root = tmp_path / 'with space, quote\' and "$x"'
    root.mkdir()
    made = Site(root, make_ca(), monkeypatch)
    yield made
    assert scratch(made) == [] and list(made.root.glob("quazzar-drill.*")) == []


def lines_of(*keys: bytes) -> list[str]:
    """Every line of each key, and each key in base64 once more."""
    lines = [
        line for key in keys for line in key.decode().splitlines() if not line.startswith("---") and len(line) > 20
    ]
    return [*lines, *(base64.b64encode(line.encode()).decode()[:60] for line in lines)]


def name_at(site: Site, moment: str) -> str:
    return f"{site.ca.cert.sha256[:16]}-{moment}.vault"


def test_twelve_steps(site, make_ca):
    def damage(name):
        path = site.dir / name
        path.write_bytes(path.read_bytes()[:-40])

    old = site.ca
    for act, reason in (
        (lambda: None, f"there is none in {site.dir}"),
        (lambda: site.later(days=31), "the newest one is older than 30d"),
        (lambda: damage(site.files()[-1]), "is damaged: it is cut off"),
        (lambda: site.place(make_ca()), f"the newest one is of another CA ({old.cert.sha256[:16]})"),
    ):
        site.later(minutes=1)
        act()
        before, there = site.tree(), site.files()
        for _turn in range(2):
            predicted = site.do(check=True, diff=True)
            assert predicted["changed"] and reason in predicted["reason"] and not predicted["error"]
            assert predicted["drill"] == {"ok": None, "detail": "not made"}
            assert "one would be made now, because: " in predicted["summary"]
            assert site.tree() == before
        done = site.do(diff=True)
        assert done["changed"] and done["drill"]["ok"] and done["diff"] == predicted["diff"]
        assert done["reason"] == predicted["reason"]
        (new,) = set(site.files()) - set(there)
        assert done["diff"]["after_header"] == done["backup"]["path"] == str(site.dir / new)
        assert site.ca.cert.sha256 in done["diff"]["after"] and "BEGIN" not in json.dumps(done)
        assert site.read(new) == site.ca.pem + site.ca.key_pem
        after = site.tree()
        # every old file is as it was
        assert {name: after[name] for name in before} == before or "damaged" in reason
        site.later(minutes=1)
        again = site.do()
        assert not again["changed"] and again["drill"]["ok"] and again["reason"] == ""
        assert again["backup"] == {**done["backup"], "age_seconds": 60}
        assert not site.do(check=True)["changed"]
        assert site.tree() == after
    assert len(site.files()) == 4


def test_the_file_and_what_is_said_of_it(site):
    done = site.do()
    name = name_at(site, "20261125T093000Z")
    path = site.dir / name
    assert site.files() == [name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(site.dir.stat().st_mode) == 0o700
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    assert done["backup"] == {
        "path": str(path),
        "sha256": site.ca.cert.sha256,
        "made_at": "2026-11-25T09:30:00Z",
        "age_seconds": 0,
        "current": True,
        "judged": True,
        "error": "",
    }
    assert done["summary"] == (
        f"Backup of CA {site.ca.cert.sha256[:16]}… from 2026-11-25T09:30:00Z (0 s old) in {path}:"
        " restored in a drill on cp1, key and certificate belong together."
    )
    assert done["drill"]["detail"].startswith("restored in /") and " on cp1: " in done["drill"]["detail"]
    site.later(days=3)
    assert "(3 d old)" in site.do()["summary"]
    checked = site.do(check=True)["summary"]
    assert checked.endswith("decrypted, key and certificate belong together; no drill was made.")


def test_what_a_key_is_never_seen_in(site):
    key = site.ca.key_pem
    said = [json.dumps(site.do(diff=True, check=True)), json.dumps(site.do(diff=True)), json.dumps(site.do())]
    said += site.said
    # what stands between the marks of a script's answer is base64 once more
    said += [
        base64.b64decode(word).decode("utf-8", "replace")
        for text in site.said
        for line in text.splitlines()
        for word in line.split()[2:3]
        if len(word) % 4 == 0 and line.startswith("@")
    ]
    found = [text for text in said for line in lines_of(key) if line in text]
    assert found == []
    assert lines_of(key)[0] in key.decode()
    for path in site.root.rglob("*"):
        if path.is_file() and path != site.certs / "ca.key":
            assert not any(line.encode() in path.read_bytes() for line in lines_of(key)), path


def test_the_key_stays_on_its_host_unless_a_backup_is_written(site):
    salted = base64.b64encode(b"Salted__")[:10].decode()
    site.do(check=True)
    assert not any(salted in text for text in site.said)
    site.do()
    assert any(salted in text for text in site.said)
    site.said.clear()
    assert not site.do()["changed"]
    assert not any(salted in text for text in site.said)


def test_it_fits_what_ca_pair_takes(site, tmp_path):
    done = site.do()
    action = action_of(
        "ca_pair",
        args={"dir": str(tmp_path / "staged"), "certs_dir": str(tmp_path / "live"), "file": done["backup"]["path"]},
    )
    from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting

    minting.make_ca(name="another").write(tmp_path / "live", "ca")
    action._loader.set_vault_secrets(site.secrets)
    assert action.run(task_vars={"inventory_hostname": "cp1"})["origin"] == "file"
    assert (tmp_path / "staged" / "ca.key").read_bytes() == site.ca.key_pem


# --- vault secrets ---------------------------------------------------------------------------------------------------


def test_without_a_vault_secret(site):
    site.secrets = []
    words = (
        "no vault secret was given to encrypt the backup with: use --vault-id or --ask-vault-pass, or give the job"
        " a vault credential"
    )
    for check in (True, False):
        refused = site.do(check=check)
        assert refused["failed"] and refused["msg"] == words and not refused["changed"]
    assert not site.dir.exists()


def test_which_vault_id(site):
    site.secrets = [("dev", OTHER), ("backup", SECRET), ("backup", VaultSecret(SECRET.bytes))]
    refused = site.do()
    assert refused["msg"] == (
        "several vault ids were given (dev, backup): say in quazzar_backup_vault_id which one encrypts the backup"
    )
    refused = site.do(vault_id="prod")
    assert refused["msg"] == (
        "vault_id (quazzar_backup_vault_id) is prod: expected one of the vault ids of this run, which are dev, backup"
    )
    assert not site.dir.exists()
    assert site.do(vault_id="backup")["drill"]["ok"]
    content = (site.dir / site.files()[0]).read_bytes()
    assert content.startswith(b"$ANSIBLE_VAULT;1.2;AES256;backup\n")
    assert VaultLib([("x", SECRET)]).decrypt(content) == site.ca.pem + site.ca.key_pem


def test_a_wrong_password_writes_nothing(site):
    site.do()
    before, path = site.tree(), site.dir / site.files()[0]
    site.secrets = [("default", OTHER)]
    site.later(days=40)
    for check in (True, False):
        refused = site.do(check=check)
        assert refused["failed"] and not refused["changed"]
        assert refused["msg"].startswith(f"{path}: it cannot be decrypted with the vault secrets of this run (")
        assert refused["msg"].endswith(
            f"No other backup in {site.dir} can be decrypted either, so the vault secret is taken for the wrong one,"
            " and nothing was written. Give the right one; when it was changed on purpose, run ansible-vault rekey on"
            " the backups, or move them elsewhere"
        )
        assert refused["backup"]["made_at"] == "2026-11-25T09:30:00Z" and not refused["backup"]["current"]
        assert refused["backup"]["error"] and site.tree() == before
    # as the way out that the message names
    subprocess.run(["mv", str(path), str(path.with_suffix(".old"))], check=True)
    assert site.do()["changed"]


def test_a_changed_byte_beside_a_backup_that_opens(site):
    site.do()
    site.later(days=31)
    newest = site.dir / pathlib.Path(site.do()["backup"]["path"]).name
    content = bytearray(newest.read_bytes())
    at = len(content) - 30
    content[at] = ord("3") if content[at] != ord("3") else ord("4")
    newest.write_bytes(bytes(content))
    site.later(days=1)
    done = site.do()
    assert done["changed"] and done["backup"]["current"]
    assert done["reason"].startswith(f"{newest}: it cannot be decrypted") or "damaged" in done["reason"]


def test_a_backup_that_may_not_be_read_is_not_taken_for_damaged(site, monkeypatch):
    site.do()
    path = site.dir / site.files()[0]
    read = pathlib.Path.read_bytes

    def denied(self):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return read(self)

    monkeypatch.setattr(pathlib.Path, "read_bytes", denied)
    refused = site.do()
    assert refused["failed"] and refused["msg"].startswith(f"{path}: Permission denied. No other backup")
    assert len(site.files()) == 1


# --- the pair on the host --------------------------------------------------------------------------------------------


def encrypted(key: bytes) -> bytes:
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:geheim"]
    return subprocess.run(command, input=key, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("what", "file", "words"),
    [
        ("other key", "ca.key", "the private key does not belong to the certificate "),
        ("encrypted", "ca.key", "the private key is protected by a password, which nothing here can ask for"),
        ("truncated", "ca.key", "expected a private key in PEM, found none that openssl can read"),
        ("no key", "ca.key", "no such file; expected the key of the active CA beside its certificate"),
        ("directory", "ca.key", "is not a regular file"),
        ("no certificate", "ca.crt", "no such file"),
        ("text", "ca.crt", "no certificate found"),
        ("empty", "ca.crt", "expected the certificate of a CA, found none"),
        ("key in it", "ca.crt", "there is a private key in it, so it was not read; take the key out"),
        ("no CA", "ca.crt", "it is not a CA certificate (no CA:TRUE)"),
    ],
)
def test_a_pair_that_is_none_is_refused(site, make_ca, what, file, words):
    path = site.certs / file
    other = make_ca()
    if what == "other key":
        path.write_bytes(other.key_pem)
    elif what == "encrypted":
        path.write_bytes(encrypted(site.ca.key_pem))
    elif what == "truncated":
        path.write_bytes(site.ca.key_pem[:100])
    elif what in ("no key", "no certificate", "directory"):
        path.unlink()
        if what == "directory":
            path.mkdir()
    elif what == "text":
        path.write_bytes(b"hello")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "key in it":
        path.write_bytes(site.ca.pem + site.ca.key_pem)
    else:
        site.place(make_ca(is_ca=False))
    site.said.clear()
    for check in (True, False):
        refused = site.do(check=check)
        assert refused["failed"] and refused["msg"].startswith(f"cp1: {path}: ") and words in refused["msg"]
        assert not refused["changed"] and refused["host_error"]
        assert site.do(check=check, tolerate=True)["error"] == refused["msg"]
    assert not site.dir.exists()
    assert not any(line in text for text in [*site.said, str(refused)] for line in lines_of(site.ca.key_pem))


def test_an_expired_ca_is_backed_up_too(site, make_ca, now):
    day = datetime.timedelta(days=1)
    site.place(make_ca(not_before=now - 9 * day, not_after=now - day))
    assert site.do()["drill"]["ok"]


@pytest.mark.parametrize("algorithm", ["ec", "rsa", "ed25519"])
def test_kinds_of_keys(site, make_ca, algorithm):
    site.place(make_ca(algorithm=algorithm))
    done = site.do()
    assert done["drill"]["ok"], done["drill"]
    assert site.read(site.files()[0]) == site.ca.pem + site.ca.key_pem


def test_a_key_with_parameters_before_it_and_one_with_carriage_returns(site):
    old = subprocess.run(["openssl", "ecparam", "-name", "prime256v1"], capture_output=True, check=True).stdout
    traditional = subprocess.run(["openssl", "ec"], input=site.ca.key_pem, capture_output=True, check=True).stdout
    assert b"BEGIN EC PARAMETERS" in old and b"BEGIN EC PRIVATE KEY" in traditional
    (site.certs / "ca.key").write_bytes(old + traditional)
    assert site.do()["drill"]["ok"]
    assert site.read(site.files()[0]) == site.ca.pem + traditional
    site.later(days=31)
    (site.certs / "ca.key").write_bytes(site.ca.key_pem.replace(b"\n", b"\r\n"))
    done = site.do()
    assert done["changed"] and done["drill"]["ok"]


def test_replicas_that_disagree(site, make_ca):
    def replica(ca, error=""):
        return {"__controlplane_replica": {"replica": {"active_ca": ca and {"sha256": ca.cert.sha256}} | {
            "active_ca_error": error
        }}}  # fmt: skip

    other = make_ca()
    hosts = ["cp1", "cp2"]
    refused = site.do(cp_hosts=hosts, shared={"cp2": replica(other)})
    assert refused["msg"] == (
        f"the replicas hold different active CAs (cp1 {site.ca.cert.sha256[:16]}, cp2 {other.cert.sha256[:16]}):"
        " give them one certs volume first. Nothing was written"
    )
    refused = site.do(cp_hosts=hosts, shared={"cp2": replica(None, "cp2: ssh: no route to host")})
    assert refused["msg"] == "cp2: the active CA of this replica cannot be read: cp2: ssh: no route to host"
    refused = site.do(cp_hosts=hosts, shared={"cp1": {}})
    assert refused["msg"] == "cp2: the active CA of this replica cannot be read: it was not looked at"
    assert not site.dir.exists()
    assert site.do(cp_hosts=hosts, shared={"cp2": replica(site.ca)})["changed"]


def test_pods_that_disagree(site, make_ca):
    """The host that stands for a workload is one of its pods, whichever answers: all of them are compared."""

    def pods(*held):
        replicas = [
            {"name": f"pod-{number}", "active_ca": {"sha256": ca.cert.sha256}} for number, ca in enumerate(held)
        ]
        return {"cp1": {"__controlplane_replica": {"replicas": replicas, "workload": {}}}}

    other = make_ca()
    refused = site.do(cp_hosts=["cp1"], shared=pods(site.ca, other))
    assert f"cp1/pod-1 {other.cert.sha256[:16]}): give them one certs volume first" in refused["msg"]
    assert not site.dir.exists()
    assert site.do(cp_hosts=["cp1"], shared=pods(site.ca, site.ca))["changed"]


def test_a_ca_that_changes_between_two_looks_is_not_written(site, make_ca, monkeypatch):
    other, read = make_ca(), backups.host_pairs.read

    def replaced(host, directory):
        site.place(other)
        return read(host, directory)

    monkeypatch.setattr(backups.host_pairs, "read", replaced)
    refused = site.do()
    assert refused["msg"] == f"cp1: {site.certs}/ca.crt changed while it was worked on; run again"
    assert not refused["changed"] and site.files() == []


# --- the directory on the controller ---------------------------------------------------------------------------------


def test_a_directory_that_is_none(site, tmp_path):
    (tmp_path / "file").write_text("")
    for path, words in (
        ("", "dir is empty, expected a directory on the controller; set quazzar_backup_dir"),
        (str(tmp_path / "file"), f"{tmp_path}/file: Not a directory; expected a directory for backups"),
        (
            str(tmp_path / "no" / "where"),
            f"{tmp_path}/no/where: the directory above it does not exist; create {tmp_path}/no, or correct"
            " quazzar_backup_dir",
        ),
    ):
        for check in (True, False):
            assert site.do(dir=path, check=check)["msg"] == words


def test_other_files_are_left_alone_and_a_wrong_clock_hides_nothing(site):
    site.dir.mkdir(mode=0o755)
    for name in ("notes.txt", "0123456789abcdef-20269999T000000Z.vault", "ca.key.vault"):
        (site.dir / name).write_text("mine")
    (site.dir / name_at(site, "20261124T000000Z")).mkdir()
    future = site.dir / name_at(site, "20991231T235959Z")
    future.write_text("from the future")
    before = site.tree()
    done = site.do()
    assert done["changed"] and done["drill"]["ok"] and done["reason"] == f"there is none in {site.dir}"
    assert done["warnings"] == [
        f"{site.dir}: {future.name}: dated later than the clock of this controller, so it does not count"
    ]
    site.later(minutes=1)
    assert not site.do()["changed"]
    assert {name: value for name, value in site.tree().items() if name in before} == before


def test_a_backup_by_another_name_or_of_something_else_does_not_count(site, make_ca):
    site.dir.mkdir()
    lying = site.dir / name_at(site, "20261125T092900Z")
    other = make_ca()
    for content, words in (
        (other.pem + other.key_pem, "the newest one is of another CA ("),
        (site.ca.pem + other.key_pem, "the private key does not belong to the certificate"),
        (b"nothing of that kind", "no certificate found"),
        (site.ca.pem, "expected a private key in PEM"),
    ):
        lying.write_bytes(VaultLib(site.secrets).encrypt(content))
        predicted = site.do(check=True)
        assert predicted["changed"] and words in predicted["reason"], predicted
        assert not predicted["backup"]["current"] and predicted["backup"]["error"]
    lying.write_bytes(site.ca.pem + site.ca.key_pem)  # in the clear
    assert "its first line is not that of a file of ansible-vault" in site.do(check=True)["reason"]
    assert site.do()["backup"]["current"]


@pytest.mark.skipif(
    shutil.which("mount") is None or os.geteuid() != 0, reason="mounting a small file system needs root"
)
def test_a_full_disk_leaves_nothing(site):
    disk = site.root / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(disk)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        (disk / "filler").write_bytes(b"x" * 4096)
        refused = site.do(dir=str(disk))
        assert refused["failed"] and not refused["changed"]
        assert refused["msg"].endswith("could not be written: No space left on device; nothing was written there")
        assert [path.name for path in disk.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_how_guardrails_ask(site, make_ca):
    asked = site.do(check=True, tolerate=True)
    assert asked["backup"] == {
        "path": "", "sha256": "", "made_at": None, "age_seconds": None, "current": False, "judged": False, "error": "",
    }  # fmt: skip
    assert asked["error"] == "" and asked["drill"]["ok"] is None
    site.do()
    site.later(days=40)
    asked = site.do(check=True, tolerate=True)
    assert asked["backup"]["current"] and asked["backup"]["age_seconds"] == 40 * 86400 and asked["changed"]
    # without a secret: that there is one is still told
    right, site.secrets = site.secrets, []
    asked = site.do(check=True, tolerate=True)
    assert asked["error"].startswith("no vault secret was given") and "failed" not in asked
    assert asked["backup"]["age_seconds"] == 40 * 86400 and not asked["backup"]["current"]
    assert asked["backup"]["error"] == asked["error"] and not asked["backup"]["judged"]
    # nor with another one, nor when the host does not say which CA is active
    site.secrets = [("default", OTHER)]
    asked = site.do(check=True, tolerate=True)
    assert "cannot be decrypted" in asked["backup"]["error"] and not asked["backup"]["judged"]
    site.secrets = right
    hidden = (site.certs / "ca.crt").rename(site.certs / "hidden")
    asked = site.do(check=True, tolerate=True)
    assert asked["backup"]["path"] and "ca.crt: no such file" in asked["backup"]["error"]
    assert not asked["backup"]["judged"]
    hidden.rename(site.certs / "ca.crt")
    # what is seen without a secret: that none is named as one of the active CA
    site.secrets = []
    site.place(make_ca())
    asked = site.do(check=True, tolerate=True)
    assert asked["backup"]["judged"] and not asked["backup"]["current"]
    assert (
        asked["backup"]["error"] == f"{asked['backup']['path']} is of another CA ({site.files()[0][:16]}), by its name"
    )
    # that there is none is known without it, and that nobody could look is not the same
    (site.dir / site.files()[0]).unlink()
    asked = site.do(check=True, tolerate=True)
    assert asked["error"] and asked["backup"]["path"] == asked["backup"]["error"] == ""
    asked = site.do(check=True, tolerate=True, dir=f"{site.root}/no/where")
    assert asked["backup"]["path"] == "" and asked["backup"]["error"] == asked["error"]


# --- the drill -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("genpkey", "the restored key could not sign a certificate"),
        ("verify", "what the restored key signed is not verified by"),
        ("-pubout", "the restored key does not belong to the restored certificate"),
        ("DER", "the restored certificate is not that of"),
    ],
)
def test_a_drill_that_fails_is_told_and_the_backup_stays(site, tmp_path, monkeypatch, tool, words):
    site.do()
    site.later(days=31)
    shims = tmp_path / "shims"
    shims.mkdir()
    # In the drill alone: there standard input is /dev/null and the scratch directory is among the arguments.
    (shims / "openssl").write_text(
        f'#!/bin/sh\ncase "$*" in *quazzar-drill*) case " $* " in *" {tool} "*) exit 1 ;; esac ;; esac\n'
        f'exec {shutil.which("openssl")} "$@"\n'
    )
    (shims / "openssl").chmod(0o755)
    prelude = io_host._PRELUDE.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={shims}:$PATH\n", 1)
    monkeypatch.setattr(io_host, "_PRELUDE", prelude)
    done = site.do()
    assert done["failed"] and done["changed"] and done["backup"]["current"] and len(site.files()) == 2
    assert done["drill"]["ok"] is False and words in done["drill"]["detail"]
    assert done["msg"] == f"cp1: {done['backup']['path']} was not restored in the drill: {done['drill']['detail']}"
    assert site.do(tolerate=True)["error"].startswith(f"cp1: {done['backup']['path']} was not restored in the drill: ")


def test_state_is_present_and_nothing_else(site):
    from ansible.errors import AnsibleError

    with pytest.raises(AnsibleError, match="present"):
        site.do(state="absent")
