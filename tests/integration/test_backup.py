# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The encrypted backup of the CA pair: made, made no second time, refused, restored when the volume is lost."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from fleets import operators_shell
from quazzar_lab import lab, pki, processes

pytestmark = pytest.mark.integration

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
RESTORE_SECONDS = 300.0


def password(made, name: str, text: str) -> str:
    path = made.work / name
    path.write_text(text + "\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def with_backups(made) -> Path:
    """A directory for backups beside the lab, and a vault password file as an operator's configuration names it."""
    folder = made.work / "backups"
    made.group_vars["all"]["quazzar_backup_dir"] = str(folder)
    made._environment["ANSIBLE_VAULT_PASSWORD_FILE"] = password(made, "vault-password", "right and long enough")
    return folder


def certs_of(made) -> Path:
    return made.layout.root / "cp/certs"


def pieces(key: bytes) -> list[bytes]:
    """A key as it may show up anywhere: its lines, any of it in base64 once more, its DER, its number in hex."""
    lines = [line for line in key.splitlines() if line and not line.startswith(b"-----") and len(line) > 12]
    doubled = [base64.b64encode(key[at:])[60:100] for at in range(3)]
    der = base64.b64decode(b"".join(lines))
    return [*lines, *doubled, der[-60:-20], der[36:68], der[36:68].hex().encode()]


def holding(root: Path, key: bytes) -> list[str]:
    """Files below a directory in which anything of a key is."""
    wanted, found = pieces(key), []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and any(piece in path.read_bytes() for piece in wanted):
            found.append(path.relative_to(root).as_posix())
    return sorted(found)


def without_own(made, found: list[str]) -> list[str]:
    """But for where the CP has its key, and the lab its copy of it."""
    hidden = made.layout.hidden.relative_to(made.work).as_posix()
    return [name for name in found if name != "lab/cp/certs/ca.key" and not name.startswith(f"{hidden}/")]


def scratches(key: bytes) -> list[Path]:
    """Scratch directories with this key. Other tests make theirs in the same place."""
    found = []
    for path in Path("/dev/shm").glob("quazzar-drill.*/ca.key"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == key:
                found.append(path.parent)
    return found


def test_a_backup_is_made_once_and_restored_in_a_drill_each_time(fleet):
    made = fleet(1, "W2")
    folder, key = with_backups(made), (certs_of(made) / "ca.key").read_bytes()
    digest, before = made.cas()[0]["sha256"], made.digest()

    run = made.play("ca_backup", "--check", "--diff")
    assert run.says(
        f"Backup of CA {digest[:16]}… in {folder}: one would be made now, because: there is none in {folder}."
    )
    assert not folder.exists() and run.changed["cp1"] == 1

    run = made.play("ca_backup", "--diff")
    (path,) = folder.iterdir()
    assert re.fullmatch(rf"{digest[:16]}-\d{{8}}T\d{{6}}Z\.vault", path.name)
    said = re.search(r"Backup of CA [^\"]*", run.output)[0]
    assert re.fullmatch(
        rf"Backup of CA {digest[:16]}… from \S+Z \(\d s old\) in {re.escape(str(path))}: restored in a drill on cp1,"
        r" key and certificate belong together\.",
        said,
    ), said
    assert {host for host, count in run.changed.items() if count} == {"cp1"} and run.says(f"the pair of CA {digest}")
    assert "BEGIN" not in run.output and path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    assert path.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700

    content = path.read_bytes()
    run = made.play("ca_backup")
    assert not any(run.changed.values()) and run.says("restored in a drill on cp1")
    run = made.play("ca_backup", "--check")
    assert run.changed["cp1"] == 0 and run.says("decrypted, key and certificate belong together; no drill was made.")
    assert [each.read_bytes() for each in folder.iterdir()] == [content]

    # older than the operator wants it: a new one beside it
    time.sleep(1)
    run = made.play("ca_backup", quazzar_backup_max_age="0s")
    assert run.changed["cp1"] == 1 and len(list(folder.iterdir())) == 2 and path.read_bytes() == content

    # the CP itself is as it was, and so is the rest of the machine
    assert made.digest() == before
    assert without_own(made, holding(made.work, key)) == []
    assert holding(made.work, key)  # what is looked for can be found

    # ansible-vault itself opens it
    shown = subprocess.run(
        ["ansible-vault", "view", str(path)], env=made._environment, capture_output=True, text=True, check=True
    )
    assert pki.load_certificates(shown.stdout.encode())[0] == made.pair(1).cert and "PRIVATE KEY" in shown.stdout


def test_what_is_refused(fleet):
    made = fleet(1, "W2")
    folder, certs = with_backups(made), certs_of(made)
    digest = made.cas()[0]["sha256"]
    right = made._environment.pop("ANSIBLE_VAULT_PASSWORD_FILE")

    def refused(words: str, *options: str, **extra):
        run = made.play("ca_backup", *options, status=2, **extra)
        assert run.says(words), run.tail
        assert run.changed.get("cp1", 0) == 0

    refused("No directory for backups: expected a directory on the controller in quazzar_backup_dir, found nothing.",
            quazzar_backup_dir="")  # fmt: skip
    refused("Not finished: no vault secret was given to encrypt the backup with: use --vault-id or --ask-vault-pass")
    both = ["--vault-id", f"dev@{right}", "--vault-id", f"backup@{right}"]
    refused("Not finished: several vault ids were given (dev, backup): say in quazzar_backup_vault_id which one", *both)
    refused("--limit cp1 leaves out the controller", "--limit", "cp1")
    assert not folder.exists()

    made.play("ca_backup", *both, quazzar_backup_vault_id="backup")
    (path,) = folder.iterdir()
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;backup\n")

    # a mistyped password makes no second backup
    wrong = password(made, "mistyped", "something else")
    run = made.play("ca_backup", "--vault-password-file", wrong, status=2)
    assert run.says(f"Not finished: {path}: it cannot be decrypted with the vault secrets of this run (")
    assert run.says(
        f"No other backup in {folder} can be decrypted either, so the vault secret is taken for the wrong one"
    )
    assert list(folder.iterdir()) == [path]

    # the key of another CA lies beside the certificate
    made._environment["ANSIBLE_VAULT_PASSWORD_FILE"] = right
    key = (certs / "ca.key").read_bytes()
    (certs / "ca.key").write_bytes(pki.key_pem(pki.new_key()))
    refused(
        f"Not finished: cp1: {certs}/ca.key: the private key does not belong to the certificate {digest[:16]}"
        " (CN=Quazzar Control Center CA)"
    )
    (certs / "ca.key").write_bytes(key)

    # a replica that cannot be reached may hold anything
    made.host_vars["cp2"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    refused("Not finished: cp2: the active CA of this replica cannot be read: cp2: ")
    del made.host_vars["cp2"]
    assert list(folder.iterdir()) == [path]


def test_replicas_with_volumes_of_their_own(fleet):
    made = fleet(1, "W2", options=["certs_volume=own"])
    folder = with_backups(made)
    homes = {name: Path(lab.layout_of(made.dir).certs(name, lab.options_of(made.layout))) for name in ("cp1", "cp2")}
    if (homes["cp1"] / "ca.crt").read_bytes() != (homes["cp2"] / "ca.crt").read_bytes():
        run = made.play("ca_backup", status=2)
        assert run.says("Not finished: the replicas hold different active CAs (cp1 ")
        assert run.says("give them one certs volume first. Nothing was written") and not folder.exists()
        for name in ("ca.crt", "ca.key"):
            shutil.copy(homes["cp1"] / name, homes["cp2"] / name)
    made.play("ca_backup")
    assert len(list(folder.iterdir())) == 1


def restore_commands() -> tuple[str, str]:
    """The commands of the runbook, as they stand there: what puts the pair back, and what starts the replicas."""
    section = RUNBOOK.read_text(encoding="utf-8").partition("### A lost volume")[2].partition("\n## ")[0]
    back, start = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return back, start


def typed_by(environment: dict[str, str], made, commands: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=environment, cwd=made.work, capture_output=True, text=True, timeout=RESTORE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_lost_volume_is_restored_without_a_rotation(fleet):
    made = fleet(2, "W2", options=["auto_ca_gen=false"])
    folder, certs = with_backups(made), certs_of(made)
    made.play("ca_backup")
    (path,) = folder.iterdir()
    pair = [(certs / name).read_bytes() for name in ("ca.crt", "ca.key")]
    registered, leaves = made.registry(), {name: made.node_file(name, "client.crt").read_bytes() for name in made.names}

    # the volume is lost, and the CP refuses to make another CA
    for name in ("cp1", "cp2"):
        lab.stop_replica(str(made.dir), name)
    shutil.rmtree(certs)
    certs.mkdir()
    with pytest.raises(lab.LabError, match="refusing to generate a new CA"):
        lab.restart(str(made.dir), "cp1")
    made.disconnected()

    environment = operators_shell(made, made.work / "operator")
    commands, start = restore_commands()
    for theirs, ours in (
        ("/var/lib/quazzar-cc/certs", certs),
        ("FILE.vault", path),
        ("/srv/backup/quazzar-ca", folder),
    ):
        commands = commands.replace(theirs, str(ours))
    assert [commands.count(str(each)) for each in (certs, path, folder)] == [3, 2, 3]
    # The inventories of the guides name no directory for backups: the command does.
    del made.group_vars["all"]["quazzar_backup_dir"]
    (made.work / "inventory/group_vars/all.json").write_text(json.dumps(made.group_vars["all"]), encoding="utf-8")
    done = typed_by(environment, made, commands)
    said = " ".join(done.stdout.split())
    assert "restored in a drill on cp1, key and certificate belong together." in said
    assert f"Backup of CA {made.cas()[0]['sha256'][:16]}" in said and path.name.startswith(made.cas()[0]["sha256"][:16])
    assert not any(processes.pid_of(made.layout, name) for name in ("cp1", "cp2"))
    typed_by(environment, made, start)

    # every node has its link again, by the pin and the leaf that it had
    made.connected()
    assert made.registry() == registered
    assert {name: made.node_file(name, "client.crt").read_bytes() for name in made.names} == leaves
    assert [(certs / name).read_bytes() for name in ("ca.crt", "ca.key")] == pair
    assert [(certs / name).stat().st_mode & 0o777 for name in ("ca.crt", "ca.key")] == [0o644, 0o600]
    run = made.play("drift_report")
    assert set(run.states.values()) == {"current"}

    # and the key is nowhere but where it was
    assert without_own(made, holding(made.work, pair[1])) == []
    assert scratches(pair[1]) == []
    assert not any(piece.decode("latin-1") in done.stdout + done.stderr for piece in pieces(pair[1]))


def test_a_killed_run_leaves_nothing_in_the_clear(fleet):
    """Killed while the drill has the key on the host: the controller holds ciphertext, the host tidies up by itself."""
    made = fleet(1, "W2", replicas=1)
    folder, certs = with_backups(made), certs_of(made)
    key = (certs / "ca.key").read_bytes()
    temporary, shims = made.work / "tmp", made.work / "shims"
    temporary.mkdir()
    shims.mkdir()
    go, waits = made.work / "go", made.work / "waits"
    (shims / "openssl").write_text(
        f'#!/bin/sh\ncase "$*" in *quazzar-drill*genpkey*|*genpkey*quazzar-drill*)'
        f' for word do case $word in */quazzar-drill.*) echo "${{word%/*}}" >"{waits}" ;; esac; done;'
        f' until [ -e "{go}" ]; do sleep 0.05; done ;; esac\n'
        f'exec {shutil.which("openssl")} "$@"\n',
        encoding="utf-8",
    )
    (shims / "openssl").chmod(0o755)
    made._environment |= {
        "PATH": f"{shims}:{made._environment['PATH']}",
        "TMPDIR": str(temporary),
        "ANSIBLE_LOCAL_TEMP": str(temporary),
    }
    play = made.begin("ca_backup")
    made.until(lambda: waits.exists() and waits.read_text().endswith("\n"), "the drill")
    scratch = Path(waits.read_text().strip())
    assert (scratch / "ca.key").read_bytes() == key  # the moment at which most lies about
    play.kill()
    go.touch()
    made.until(lambda: not scratch.exists(), "the end of the scratch directory")
    assert without_own(made, holding(made.work, key)) == []
    assert [path.read_bytes()[:14] for path in folder.iterdir()] == [b"$ANSIBLE_VAULT"]
    # the next run finds a whole backup
    run = made.play("ca_backup")
    assert run.changed["cp1"] == 0 and run.says("restored in a drill on cp1")
