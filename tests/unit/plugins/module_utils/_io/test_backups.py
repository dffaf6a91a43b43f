# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a backup one by one; all of them together are in action/test_ca_backup.py."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pairs
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError, Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import backups
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of

CA = minting.make_ca()
OTHER = minting.make_ca()
PAIR = pairs.Pair(CA.cert, CA.key_pem)
SECONDS = 20.0


@pytest.fixture
def host():
    return io_host.Host(action_of("ca_backup"), {"inventory_hostname": "cp1"})


@pytest.fixture
def certs(tmp_path):
    CA.write(tmp_path / "it's certs", "ca")
    return tmp_path / "it's certs"


def until(good, what):
    deadline = time.monotonic() + SECONDS
    while not (found := good()):
        assert time.monotonic() < deadline, f"{what} did not happen within {SECONDS:.0f} s"
        time.sleep(0.02)
    return found


# --- the pair on its host --------------------------------------------------------------------------------------------


def test_a_pair_is_judged_where_it_lies(host, certs):
    assert backups.look(host, str(certs)) == CA.cert
    assert host.round_trips == 1


def test_without_openssl_on_the_host(host, certs, monkeypatch):
    have = 'qz_have() { case $1 in openssl) return 1 ;; esac; command -v "$1" >/dev/null 2>&1; }\n'
    monkeypatch.setattr(io_host, "_PRELUDE", io_host._PRELUDE + have)
    with pytest.raises(HostError, match=r"^cp1: openssl is not installed there, without it no pair can be judged$"):
        backups.look(host, str(certs))
    assert backups.drill(host, str(certs), PAIR) == {"ok": False, "detail": "openssl is not installed there"}


def test_a_key_that_may_not_be_read(host, certs, monkeypatch):
    """Root may read everything, so the shell's own question is answered in its place."""
    body = backups._LOOK.replace('[ ! -r "$o_dir/ca.key" ]', "true")
    assert body != backups._LOOK
    monkeypatch.setattr(backups, "_LOOK", body)
    with pytest.raises(HostError) as error:
        backups.look(host, str(certs))
    assert str(error.value) == f"cp1: {certs}/ca.key: permission denied; is become missing?"


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_file_is_whole_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "a.vault"
    before = os.umask(0)
    try:
        backups.write_file(str(path), b"one")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"one" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(InputError) as error:
        backups.write_file(str(path), b"two")
    assert str(error.value) == f"{path} is there already, and is not overwritten; run again"
    assert path.read_bytes() == b"one" and [each.name for each in path.parent.iterdir()] == ["a.vault"]


@pytest.mark.parametrize("step", ["open", "fsync", "rename"])
def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, step):
    real = getattr(os, step)

    def fails(*arguments, **more):
        if step == "open" and tmp_path.name not in str(arguments[0]):
            return real(*arguments, **more)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fails)
    with pytest.raises(InputError) as error:
        backups.write_file(str(tmp_path / "a.vault"), b"one")
    assert str(error.value) == (
        f"{tmp_path}/a.vault could not be written: No space left on device; nothing was written there"
    )
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_visible_before_it_is_on_the_disk(tmp_path, monkeypatch):
    order = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda at: (order.append(stat.S_ISDIR(os.fstat(at).st_mode)), fsync(at)))
    monkeypatch.setattr(os, "rename", lambda *names: (order.append("rename"), rename(*names)))
    backups.write_file(str(tmp_path / "a.vault"), b"one")
    assert order == [False, "rename", True]


# --- the vault secret ------------------------------------------------------------------------------------------------


def test_the_secret_is_one_of_the_run():
    loader, one, two = DataLoader(), VaultSecret(b"one"), VaultSecret(b"two")
    loader.set_vault_secrets([("default", one)])
    assert backups.vault_secret(loader, "") == ("default", one)
    loader.set_vault_secrets([("a", one), ("a", VaultSecret(b"one"))])
    assert backups.vault_secret(loader, "") == ("a", one)
    loader.set_vault_secrets([("a", one), ("a", two), ("b", two)])
    with pytest.raises(InputError) as error:
        backups.vault_secret(loader, "a")
    assert str(error.value) == (
        "several different secrets were given under the vault id a: which of them encrypts the backup cannot be told;"
        " give one"
    )
    loader.set_vault_secrets([("a", one), ("b", two)])
    assert backups.vault_secret(loader, "b") == ("b", two)
    for secrets in (None, []):
        loader.set_vault_secrets(secrets)
        with pytest.raises(InputError, match=r"^no vault secret was given"):
            backups.vault_secret(loader, "")


def test_how_a_backup_opens(tmp_path):
    loader = DataLoader()
    loader.set_vault_secrets([("x", VaultSecret(b"right"))])
    path = tmp_path / "a.vault"
    now = minting.NOW

    def opened(content):
        path.write_bytes(content)
        found = backups.Opened(str(path), now, loader)
        return found.pair, found.damaged, found.decrypted, found.error

    sealed = VaultLib([("x", VaultSecret(b"right"))]).encrypt(CA.pem + CA.key_pem)
    assert opened(sealed) == (PAIR, False, True, "")
    pair, damaged, decrypted, error = opened(VaultLib([("x", VaultSecret(b"wrong"))]).encrypt(CA.pem + CA.key_pem))
    assert (pair, damaged, decrypted) == (None, False, False) and "cannot be decrypted" in error
    pair, damaged, decrypted, error = opened(sealed[:300])
    assert (pair, damaged, decrypted) == (None, True, False)
    assert error == f"{path} is damaged: it is cut off, or something else is in it"
    pair, damaged, decrypted, error = opened(VaultLib([("x", VaultSecret(b"right"))]).encrypt(CA.pem + OTHER.key_pem))
    assert (pair, damaged, decrypted) == (None, True, True) and "does not belong" in error


# --- the drill -------------------------------------------------------------------------------------------------------


def test_a_drill_changes_nothing(host, certs):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in certs.iterdir()}
    tmpfs = subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"], capture_output=True, text=True, check=False).stdout
    done = backups.drill(host, str(certs), PAIR)
    assert done["ok"] and done["detail"].startswith("restored in /dev/shm on cp1: ") == (tmpfs == "tmpfs\n")
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in certs.iterdir()} == before


def test_a_drill_of_another_ca(host, certs):
    other = pairs.Pair(OTHER.cert, OTHER.key_pem)
    detail = f"the restored certificate is not that of {certs}/ca.crt"
    assert backups.drill(host, str(certs), other) == {"ok": False, "detail": detail}
    mixed = pairs.Pair(CA.cert, OTHER.key_pem)
    detail = "the restored key does not belong to the restored certificate"
    assert backups.drill(host, str(certs), mixed) == {"ok": False, "detail": detail}


def test_a_drill_on_a_host_that_is_gone(host, certs, monkeypatch):
    def gone(*_arguments, **_more):
        raise Unreachable("cp1: no answer within 240 s after the script was sent")

    monkeypatch.setattr(host, "run", gone)
    assert backups.drill(host, str(certs), PAIR) == {
        "ok": False,
        "detail": "cp1: no answer within 240 s after the script was sent",
    }


def scratches(certs):
    return list(certs.parent.glob("quazzar-drill.*"))


class Slow:
    """The drill's script as a host without a tmpfs runs it. Its openssl waits in the middle until it may go on."""

    def __init__(self, tmp_path, certs):
        shims, self.go = tmp_path / "shims", tmp_path / "go"
        shims.mkdir()
        (shims / "openssl").write_text(
            f'#!/bin/sh\ncase "$*" in *genpkey*) until [ -e "{self.go}" ]; do sleep 0.05; done ;; esac\n'
            f'exec {shutil.which("openssl")} "$@"\n'
        )
        (shims / "openssl").chmod(0o755)
        body = backups._DRILL.replace("/dev/shm /run", "")
        pem = (CA.pem + CA.key_pem).decode()
        script = io_host.compose(body, {"o_dir": str(certs), "o_pair": pem}, "mark")
        script = script.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={shims}:$PATH\n", 1)
        self.process = subprocess.Popen(
            ["/bin/sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self.process.stdin.write(script.encode())
        self.process.stdin.close()
        self.scratch = until(lambda: [p for p in scratches(certs) if (p / "config").exists()], "the drill")[0]

    def end(self):
        self.go.touch()
        until(lambda: self.process.poll() is not None, "its end")
        said = b"" if self.process.stdout.closed else self.process.stdout.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return said


def test_where_the_scratch_directory_is_and_who_may_enter_it(tmp_path, certs):
    """Beside the certificates where no tmpfs is."""
    slow = Slow(tmp_path, certs)
    assert slow.scratch.parent == certs.parent
    assert stat.S_IMODE(slow.scratch.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in slow.scratch.iterdir()} == {0o600}
    assert (slow.scratch / "ca.key").read_bytes() == CA.key_pem and (slow.scratch / "ca.crt").read_bytes() == CA.pem
    assert b"@mark done MQ==" in slow.end()
    assert scratches(certs) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, "broken connection"])
def test_nothing_stays_when_it_is_interrupted(tmp_path, certs, how):
    slow = Slow(tmp_path, certs)
    if how == "broken connection":
        slow.process.stdout.close()
        slow.process.stderr.close()
    else:
        os.kill(slow.process.pid, how)
    assert slow.scratch.exists()
    slow.end()
    assert scratches(certs) == [] and (certs / "ca.key").exists()


@pytest.mark.parametrize("part", ["sed", "cmp", "mktemp"])
def test_a_host_that_lacks_a_tool(host, tmp_path, certs, monkeypatch, part):
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / part).write_text("#!/bin/sh\nexit 127\n")
    (shims / part).chmod(0o755)
    prelude = io_host._PRELUDE.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={shims}:$PATH\n", 1)
    monkeypatch.setattr(io_host, "_PRELUDE", prelude)
    assert backups.drill(host, str(certs), PAIR)["ok"] is False
    assert not list(tmp_path.rglob("quazzar-drill*"))
