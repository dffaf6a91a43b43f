# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import pathlib
import stat
import subprocess

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pairs as core
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import pairs
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of

CA = minting.make_ca()
OTHER = minting.make_ca()


class Heard(io_host.Host):
    """A host whose scripts and answers are kept, as ANSIBLE_DEBUG would write them down."""

    def __init__(self) -> None:
        action = action_of("ca_pair")
        super().__init__(action, {"inventory_hostname": "cp1"})
        self.said: list[str] = []
        run = action._low_level_execute_command

        def listen(command, in_data=None):
            result = run(command, in_data=in_data)
            self.said += [command, result["stdout"], result["stderr"]]
            return result

        action._low_level_execute_command = listen

    def everything(self) -> str:
        """What was said, and what the sections of an answer hold."""
        opened = [
            base64.b64decode(word).decode("latin-1")
            for text in self.said
            for line in text.splitlines()
            if line.startswith("@")
            for word in line.split()[2:3]
            if len(word) % 4 == 0
        ]
        return "\n".join([*self.said, *opened])


@pytest.fixture
def host():
    return Heard()


@pytest.fixture
def place(tmp_path):
    return tmp_path / 'with space, quote\' and "$x"'


def put(place, cert=CA.pem, key=CA.key_pem):
    place.mkdir(exist_ok=True)
    (place / "ca.crt").write_bytes(cert)
    (place / "ca.key").write_bytes(key)
    return str(place)


def secret_lines(*keys):
    lines = [
        line for key in keys for line in key.decode().splitlines() if not line.startswith("---") and len(line) > 20
    ]
    return [*lines, *(base64.b64encode(line.encode()).decode()[:40] for line in lines)]


def clean(text, *keys):
    assert not any(line in text for line in secret_lines(*(keys or (CA.key_pem,))))


def encrypted(key):
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:geheim"]
    return subprocess.run(command, input=key, capture_output=True, check=True).stdout


def without(monkeypatch, *tools):
    """A host on which these are not installed."""
    have = "qz_have() { case $1 in " + "|".join(tools) + ') return 1 ;; esac; command -v "$1" >/dev/null 2>&1; }\n'
    monkeypatch.setattr(io_host, "_PRELUDE", io_host._PRELUDE + have)


# --- read ------------------------------------------------------------------------------------------------------------


def test_a_pair_is_read_and_its_key_is_sealed_on_the_way(host, place):
    found = pairs.read(host, put(place))
    assert found.pair == core.Pair(CA.cert, CA.key_pem) and not found.error and not found.half
    assert host.round_trips == 1
    sealed = [text for text in host.said if base64.b64encode(b"Salted__")[:10].decode() in text]
    assert sealed
    clean(host.everything())
    clean(repr(found))


def test_two_reads_share_no_passphrase(host, place):
    put(place)
    answers = []
    for _turn in range(2):
        host.said.clear()
        pairs.read(host, str(place))
        answers.append([line.split()[2] for line in host.said[1].splitlines() if line.split()[1:2] == ["key"]])
    assert len(answers[0]) == 1 and answers[0] != answers[1]


def test_a_large_key_and_parameters_before_it(host, place):
    big = minting.make_ca(algorithm="rsa")
    assert pairs.read(host, put(place, big.pem, big.key_pem)).pair == core.Pair(big.cert, big.key_pem)
    parameters = subprocess.run(["openssl", "ecparam", "-name", "prime256v1"], capture_output=True, check=True).stdout
    assert pairs.read(host, put(place, CA.pem, parameters + CA.key_pem)).pair == core.Pair(CA.cert, CA.key_pem)
    crlf = CA.key_pem.replace(b"\n", b"\r\n")
    assert pairs.read(host, put(place, CA.pem, crlf)).pair is not None


def test_a_certificate_in_der_and_links(host, place, tmp_path):
    put(place, CA.der)
    assert pairs.read(host, str(place)).pair == core.Pair(CA.cert, CA.key_pem)
    # as Kubernetes mounts a secret
    for name in ("ca.crt", "ca.key"):
        (place / f"..{name}").write_bytes((place / name).read_bytes())
        (place / name).unlink()
        (place / name).symlink_to(f"..{name}")
    (tmp_path / "link").symlink_to(place)
    assert pairs.read(host, str(tmp_path / "link")).pair == core.Pair(CA.cert, CA.key_pem)


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        (CA.pem, OTHER.key_pem, "the private key does not belong to the certificate "),
        (CA.pem, encrypted(CA.key_pem), "the private key is protected by a password, which nothing here can ask for"),
        (CA.pem, CA.key_pem[:120], "expected a private key in PEM, found none that can be read (ValueError)"),
        (CA.pem, b"", "expected a private key in PEM, found none that can be read (ValueError)"),
        (b"hello", CA.key_pem, "no certificate found: 5 bytes of text without a PEM block, expected PEM or DER"),
    ],
    ids=["another CA's key", "encrypted", "truncated", "empty", "no certificate"],
)
def test_what_is_no_pair(host, place, cert, key, words):
    with pytest.raises(InputError) as error:
        pairs.read(host, put(place, cert, key))
    assert str(error.value).startswith(f"cp1: {place}: {words}")
    clean(str(error.value) + host.everything(), CA.key_pem, OTHER.key_pem)


def test_a_key_in_the_file_of_the_certificate_is_not_read(host, place):
    with pytest.raises(HostError) as error:
        pairs.read(host, put(place, CA.pem + CA.key_pem))
    assert str(error.value) == (
        f"cp1: {place}/ca.crt: there is a private key in it, so it was not read; take the key out"
    )
    clean(host.everything())


def test_what_is_not_there(host, place):
    found = pairs.read(host, str(place))
    assert found.pair is None and found.error == f"cp1: {place}/ca.crt: no such file"
    assert found.parent_exists and not found.half
    assert not pairs.read(host, f"{place}/deeper").parent_exists
    put(place)
    (place / "ca.key").unlink()
    found = pairs.read(host, str(place))
    assert found.pair is None and found.half and found.error == f"cp1: {place}/ca.key: no such file"


def test_what_may_not_be_read(place, host, monkeypatch):
    """Root may read everything, so the shell's own question is answered in its place."""
    put(place)
    body = pairs._READ.replace('[ -r "$o_dir/ca.key" ]', "false")
    assert body != pairs._READ
    monkeypatch.setattr(pairs, "_READ", body)
    with pytest.raises(HostError) as error:
        pairs.read(host, str(place))
    assert str(error.value) == f"cp1: {place}/ca.key: permission denied; is become missing?"


def test_without_openssl(host, place, monkeypatch):
    put(place)
    without(monkeypatch, "openssl")
    with pytest.raises(HostError) as error:
        pairs.read(host, str(place))
    assert str(error.value) == "cp1: openssl is not installed there, without it no key leaves the host"


@pytest.mark.parametrize(
    "program", ["exit 1", "printf 'unknown option -pbkdf2\\n' >&2; exit 1", "printf Salted__", "cat"]
)
def test_an_openssl_that_cannot_seal_shows_nothing(host, place, tmp_path, monkeypatch, program):
    """An old one knows no -pbkdf2; whatever comes instead of a sealed key is no key."""
    put(place)
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "openssl").write_text(f"#!/bin/sh\n{program}\n")
    (shims / "openssl").chmod(0o755)
    prelude = io_host._PRELUDE.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={shims}:$PATH\n", 1)
    monkeypatch.setattr(io_host, "_PRELUDE", prelude)
    with pytest.raises(HostError) as error:
        pairs.read(host, str(place))
    assert str(error.value) == (f"cp1: {place}: its key was not read whole; is openssl 1.1.1 or newer installed there?")
    clean(host.everything())


def test_the_passphrase_is_no_argument_and_no_part_of_the_environment(host, place, tmp_path, monkeypatch):
    put(place)
    log, shims = tmp_path / "called", tmp_path / "shims"
    shims.mkdir()
    real = subprocess.run(["sh", "-c", "command -v openssl"], capture_output=True, text=True, check=True).stdout.strip()
    (shims / "openssl").write_text(f'#!/bin/sh\n{{ printf "%s " "$@"; env; }} >>"{log}"\nexec {real} "$@"\n')
    (shims / "openssl").chmod(0o755)
    prelude = io_host._PRELUDE.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={shims}:$PATH\n", 1)
    monkeypatch.setattr(io_host, "_PRELUDE", prelude)
    monkeypatch.setattr(pairs.secrets, "token_hex", lambda size: "ab12" * (size // 2))
    assert pairs.read(host, str(place)).pair
    assert "-pass stdin" in log.read_text() and "ab12ab12" not in log.read_text()


# --- write and remove ------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(host, place):
    pair = core.Pair(CA.cert, CA.key_pem)
    pairs.write(host, str(place), pair)
    assert pairs.read(host, str(place)).pair == pair
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [place, *place.iterdir()]}
    assert modes == {place.name: 0o700, "ca.crt": 0o644, "ca.key": 0o600}
    other = core.Pair(OTHER.cert, OTHER.key_pem)
    leaf = minting.make_leaf(OTHER, names=["cp.test"]).cert
    pairs.write(host, str(place), other, leaf)
    found = pairs.read(host, str(place))
    assert (found.pair, found.sample) == (other, leaf)
    clean(host.everything(), CA.key_pem, OTHER.key_pem)


def test_a_link_is_no_place_for_a_key(host, place, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    for work in (
        lambda: pairs.write(host, str(place), core.Pair(CA.cert, CA.key_pem)),
        lambda: pairs.remove(host, str(place)),
    ):
        with pytest.raises(HostError) as error:
            work()
        assert str(error.value) == f"cp1: {place} is a symbolic link"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_where_no_directory_can_be_made(host, place):
    with pytest.raises(HostError) as error:
        pairs.write(host, f"{place}/deeper", core.Pair(CA.cert, CA.key_pem))
    assert str(error.value) == f"cp1: the directory {place}/deeper cannot be made"


def test_remove_takes_its_own_files_only(host, place):
    put(place)
    (place / "server-sample.crt").write_bytes(CA.pem)
    (place / "notes").write_text("mine")
    pairs.remove(host, str(place))
    assert [path.name for path in place.iterdir()] == ["notes"]
    (place / "notes").unlink()
    pairs.remove(host, str(place))
    assert not place.exists()
    pairs.remove(host, str(place))


def test_the_path_of_a_directory():
    assert pairs.checked_dir("/a/b/", "dir") == "/a/b"
    for path in ("", "a", "/", "/a\n"):
        with pytest.raises(InputError, match="dir"):
            pairs.checked_dir(path, "dir")


# --- what is encrypted with Ansible Vault ----------------------------------------------------------------------------


def loader_with(*secrets):
    loader = DataLoader()
    loader.set_vault_secrets([(f"id{number}", VaultSecret(secret)) for number, secret in enumerate(secrets)])
    return loader


def test_a_vault_file(tmp_path):
    path = tmp_path / "pair.vault"
    path.write_bytes(VaultLib([("x", VaultSecret(b"right"))]).encrypt(CA.pem + CA.key_pem))
    content = pairs.vault_content(loader_with(b"wrong", b"right"), str(path))
    assert core.parse(content, content, str(path)) == core.Pair(CA.cert, CA.key_pem)
    for secrets, words in (
        ((b"wrong",), f"{path}: it cannot be decrypted with the vault secrets of this run ("),
        ((), f"{path}: no vault secret was given to open it: use --vault-id or --ask-vault-pass"),
    ):
        with pytest.raises(InputError) as error:
            pairs.vault_content(loader_with(*secrets), str(path))
        assert str(error.value).startswith(words)
        clean(str(error.value))


@pytest.mark.parametrize("cut", [10, 30, 200, 900])
def test_a_vault_file_that_is_cut_off(tmp_path, cut):
    path = tmp_path / "pair.vault"
    path.write_bytes(VaultLib([("x", VaultSecret(b"right"))]).encrypt(CA.pem + CA.key_pem)[:cut])
    with pytest.raises(InputError) as error:
        pairs.vault_content(loader_with(b"right"), str(path))
    assert str(error.value).startswith(f"{path}: ")
    clean(str(error.value))


def test_a_file_in_the_clear_and_one_that_is_not_there(tmp_path):
    path = tmp_path / "pair.pem"
    path.write_bytes(CA.pem + CA.key_pem)
    with pytest.raises(InputError) as error:
        pairs.vault_content(loader_with(b"right"), str(path))
    assert str(error.value) == (
        f"{path}: it is not encrypted: run ansible-vault encrypt on it, a CA key does not lie in the clear"
    )
    clean(str(error.value))
    with pytest.raises(InputError, match=r"no: No such file or directory; expected a pair that is encrypted"):
        pairs.vault_content(loader_with(b"right"), str(pathlib.Path(tmp_path / "no")))
