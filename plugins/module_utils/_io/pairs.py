# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""A CA pair in a directory of a host, C(ca.crt) and C(ca.key): read, written, made the active one, removed.

A key travels to a host as everything does, on standard input. It travels back encrypted under a passphrase of that one
round trip, because the output of a command is what debugging of Ansible writes down. On the controller it is in memory
only. What can be done on the host itself (compare, copy) is done there, and the key stays.
"""

from __future__ import annotations

import dataclasses
import secrets
import typing as t

from .._core import pairs
from .._core.certificates import Certificate, parse_bundle
from .._core.errors import HostError, InputError
from . import scripts
from .files import checked_path
from .host import Answer, Host

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
    from cryptography.hazmat.primitives.padding import PKCS7
except ImportError:  # said by certificates.py, which every reader of a pair comes by first
    pass

CERT, KEY = "ca.crt", "ca.key"
#: A server certificate by the pair's CA, whose key is nobody's: nodes try on it whether they would take the CP's next.
SAMPLE = "server-sample.crt"

_ITERATIONS = 10000
_SALT, _BLOCK = 8, 16

_COMPARE = r"""
qz_public() {
  case $1 in
    *.key) openssl pkey -in "$1" -passin pass:none -pubout 2>/dev/null ;;
    *) openssl x509 -in "$1" -noout -pubkey 2>/dev/null ;;
  esac | { sha256sum; } | { read -r qz_digest qz_rest; printf '%s' "$qz_digest"; }
}
qz_nothing=$(printf '' | { sha256sum; } | { read -r qz_digest qz_rest; printf '%s' "$qz_digest"; })
# Whether the directory holds a pair that belongs together.
qz_is_pair() {
  [ -f "$1/ca.crt" ] && [ -f "$1/ca.key" ] || return 1
  qz_half=$(qz_public "$1/ca.key")
  [ "$qz_half" != "$qz_nothing" ] && [ "$qz_half" = "$(qz_public "$1/ca.crt")" ]
}
"""

# What cp_info says of a pair: the certificate, whether its key is there, whether they belong together. Used after
# replica.py's qz_cert.
INFO = (
    _COMPARE
    + r"""
qz_pair_info() {
  qz_cert "$1" "$2/ca.crt"
  if [ -f "$2/server-sample.crt" ]; then qz_cert "$1.sample" "$2/server-sample.crt"; fi
  if [ -e "$2/ca.key" ]; then qz_put "$1.key" 1; fi
  if qz_is_pair "$2"; then qz_put "$1.matches" 1; fi
}
"""
)

# A key in the file of the certificate would come back in the clear.
CERTIFICATE = r"""
qz_certificate() {
  if [ -f "$2" ] && grep -q 'PRIVATE KEY-----' "$2" 2>/dev/null; then qz_put "$1.path" "$2"; qz_put "$1.error" key
  else qz_file "$1" "$2"; fi
}
"""

_READ = (
    CERTIFICATE
    + r"""
qz_seal() {
  printf '%s\n' "$o_seal" |
    openssl enc -aes-256-cbc -md sha256 -pbkdf2 -iter @ITERATIONS@ -salt -pass stdin -in "$1" 2>/dev/null
}
qz_certificate cert "$o_dir/ca.crt"
qz_file sample "$o_dir/server-sample.crt"
qz_put key.path "$o_dir/ca.key"
qz_put parent "$(if [ -d "${o_dir%/*}/" ]; then printf yes; fi)"
qz_have openssl || qz_put lack openssl
if [ -f "$o_dir/ca.key" ] && [ -r "$o_dir/ca.key" ]; then qz_seal "$o_dir/ca.key" | qz_emit key
elif [ -e "$o_dir/ca.key" ]; then qz_put key.error unreadable
elif [ -d "$o_dir/" ] && [ ! -x "$o_dir/" ]; then qz_put key.error unreadable
else qz_put key.error missing; fi
""".replace("@ITERATIONS@", str(_ITERATIONS))
)

# The key last: a pair counts only when it is there, and what was there without one was of no use.
_WRITE = (
    scripts.REPLACE
    + r"""
umask 077
qz_give_up() { qz_put why "$1"; return 1; }
[ ! -h "$o_dir" ] || { qz_give_up "$o_dir is a symbolic link"; return 1; }
if [ ! -d "$o_dir" ]; then
  mkdir -m 0700 -- "$o_dir" 2>/dev/null || { qz_give_up "the directory $o_dir cannot be made"; return 1; }
fi
chmod 0700 -- "$o_dir" 2>/dev/null || { qz_give_up "$o_dir belongs to somebody else; is become missing?"; return 1; }
qz_part() {
  qz_why=$(printf '%s' "$3" | qz_replace "$o_dir/$1" - "$2" "" "") || { qz_put why "$o_dir/$1: $qz_why"; return 1; }
}
if [ -n "$o_sample" ]; then qz_part server-sample.crt 0644 "$o_sample" || return 1; fi
qz_part ca.crt 0644 "$o_cert" || return 1
qz_part ca.key 0600 "$o_key" || return 1
qz_put done 1
"""
)

_REMOVE = r"""
[ ! -h "$o_dir" ] || { qz_put why "$o_dir is a symbolic link"; return 1; }
rm -f -- "$o_dir/ca.key" "$o_dir/ca.crt" "$o_dir/server-sample.crt" "$o_dir"/.quazzar-* 2>/dev/null
if [ -e "$o_dir/ca.key" ] || [ -e "$o_dir/ca.crt" ]; then
  qz_put why "the pair in $o_dir cannot be removed: permission denied or read-only"
  return 1
fi
rmdir -- "$o_dir" 2>/dev/null
qz_put done 1
"""

_IS_PAIR = r"""
if qz_is_pair "$o_dir" && [ "$(qz_sum "$o_dir/ca.crt")" = "$o_expected" ]; then qz_put pair 1; fi
"""

# The pair of o_dir becomes that of o_certs_dir, and the one that was there is kept in o_keep_dir. Nothing leaves the
# host. The certificate goes first: by it the next run sees that the change has begun, and puts the key behind it.
_ACTIVATE = (
    scripts.REPLACE
    + _COMPARE
    + r"""
umask 077
qz_same() { cmp -s -- "$1/ca.crt" "$2/ca.crt" && cmp -s -- "$1/ca.key" "$2/ca.key"; }
qz_give_up() { qz_put why "$1"; return 1; }
qz_copy() {
  qz_why=$(qz_replace "$2" - "$3" "" "" <"$1") || { qz_put why "$2: $qz_why"; return 1; }
}
qz_have openssl || { qz_give_up "openssl is not installed there"; return 1; }
[ -d "$o_dir" ] && [ ! -h "$o_dir" ] || { qz_give_up "$o_dir: there is no such directory"; return 1; }
if ! qz_is_pair "$o_dir"; then
  qz_give_up "$o_dir: its ca.key does not belong to its ca.crt, or one of them cannot be read"
  return 1
fi
if [ "$(qz_sum "$o_dir/ca.crt")" != "$o_expected" ]; then
  qz_give_up "$o_dir/ca.crt changed while it was worked on; run again"
  return 1
fi
if qz_same "$o_dir" "$o_certs_dir"; then qz_put same 1; qz_put done 1; return 0; fi
if [ "$o_check" = 1 ]; then qz_put done 1; return 0; fi
if qz_is_pair "$o_certs_dir" && [ "$(qz_public "$o_certs_dir/ca.crt")" != "$(qz_public "$o_dir/ca.crt")" ]; then
  if [ -e "$o_keep_dir/ca.key" ] && ! qz_same "$o_certs_dir" "$o_keep_dir"; then
    qz_give_up "$o_keep_dir holds the pair of another CA already: move it away, it is not overwritten"
    return 1
  fi
  [ ! -h "$o_keep_dir" ] || { qz_give_up "$o_keep_dir is a symbolic link"; return 1; }
  if [ ! -d "$o_keep_dir" ]; then
    mkdir -m 0700 -- "$o_keep_dir" 2>/dev/null || { qz_give_up "the directory $o_keep_dir cannot be made"; return 1; }
  fi
  chmod 0700 -- "$o_keep_dir" 2>/dev/null || { qz_give_up "$o_keep_dir belongs to somebody else"; return 1; }
  qz_copy "$o_certs_dir/ca.crt" "$o_keep_dir/ca.crt" 0644 || return 1
  qz_copy "$o_certs_dir/ca.key" "$o_keep_dir/ca.key" 0600 || return 1
  # The directory itself may be new, and after this the key lies nowhere else.
  sync -- "${o_keep_dir%/*}/" 2>/dev/null
fi
# What is there keeps its mode; a key that is missing gets the mode of one.
qz_mode=
[ -e "$o_certs_dir/ca.key" ] || qz_mode=0600
qz_copy "$o_dir/ca.crt" "$o_certs_dir/ca.crt" "" || return 1
qz_copy "$o_dir/ca.key" "$o_certs_dir/ca.key" "$qz_mode" || return 1
qz_put done 1
"""
)


@dataclasses.dataclass(frozen=True)
class Found:
    """What a directory holds. C(pair) is None where there is none; C(error) says why, in a sentence with the path.

    C(half): something is there, but no pair: a certificate whose key is missing.
    """

    pair: pairs.Pair | None
    sample: Certificate | None
    error: str
    half: bool
    parent_exists: bool


def checked_dir(path: str, option: str) -> str:
    """An absolute path without a slash at its end. Raises InputError."""
    return checked_path(path.rstrip("/"), option)


def read(host: Host, directory: str) -> Found:
    """The pair in C(directory). Raises InputError when key and certificate do not belong together or cannot be read,
    HostError when the host does not let us see."""
    seal = secrets.token_hex(32)
    answer = host.run(_READ, {"o_dir": directory}, secret={"o_seal": seal})
    cert, cert_error = answer.file("cert")
    key, key_error = answer.file("key")
    parent = answer.text("parent") == "yes"
    sample, _unused = answer.file("sample")
    refuse_key(host, answer, f"{directory}/{CERT}")
    if answer.hidden("cert") or answer.hidden("key"):
        raise HostError(f"{host.name}: {cert_error if answer.hidden('cert') else key_error}")
    if cert is None or key is None:
        return Found(None, None, f"{host.name}: {cert_error or key_error}", cert is not None, parent)
    if answer.text("lack"):
        raise HostError(f"{host.name}: openssl is not installed there, without it no key leaves the host")
    where = f"{host.name}: {directory}"
    pair = pairs.parse(cert, _open(key, seal, where), where)
    return Found(pair, _first(sample), "", False, parent)


def refuse_key(host: Host, answer: Answer, path: str) -> None:
    """Raises HostError where C(qz_certificate) has seen a key in the section C(cert)."""
    if answer.text("cert.error") == "key":
        raise HostError(f"{host.name}: {path}: there is a private key in it, so it was not read; take the key out")


def _open(sealed: bytes, seal: str, where: str) -> bytes:
    """Undo C(openssl enc): "Salted__", eight bytes of salt, AES-256-CBC under key and IV of PBKDF2 (openssl-enc(1))."""
    salt, body = sealed[8 : 8 + _SALT], sealed[8 + _SALT :]
    try:
        both = PBKDF2HMAC(hashes.SHA256(), 32 + _BLOCK, salt, _ITERATIONS).derive(seal.encode())
        decryptor = Cipher(algorithms.AES(both[:32]), modes.CBC(both[32:])).decryptor()
        unpadder = PKCS7(_BLOCK * 8).unpadder()
        padded = decryptor.update(body) + decryptor.finalize()
        return bytes(unpadder.update(padded) + unpadder.finalize())
    except ValueError:
        raise HostError(f"{where}: its key was not read whole; is openssl 1.1.1 or newer installed there?") from None


def _first(data: bytes | None) -> Certificate | None:
    try:
        found = parse_bundle(data or b"").certificates
    except InputError:
        return None
    return found[0] if found else None


def write(host: Host, directory: str, pair: pairs.Pair, sample: Certificate | None = None) -> None:
    """Put the pair into C(directory), which is made with mode 0700 where it is missing; the key gets 0600."""
    variables = {"o_dir": directory, "o_cert": pair.cert_pem, "o_sample": sample.pem() if sample else ""}
    answer = host.run(_WRITE, variables, secret={"o_key": pair.key_pem.decode("ascii", "replace")}, timeout=180)
    _refuse_unless_done(host, answer)


def remove(host: Host, directory: str) -> None:
    _refuse_unless_done(host, host.run(_REMOVE, {"o_dir": directory}, timeout=60))


def is_pair(host: Host, directory: str, expected: str) -> bool:
    """Whether key and certificate of C(directory) belong together, and the certificate file has this SHA-256 (hex)."""
    body = scripts.REPLACE + _COMPARE + _IS_PAIR
    return host.run(body, {"o_dir": directory, "o_expected": expected}).text("pair") == "1"


def activate(host: Host, directory: str, certs_dir: str, keep_dir: str, *, expected: bytes, check: bool) -> bool:
    """Make the pair of C(directory) the active one, and keep the one that was. -> whether anything had to be changed.

    C(expected): SHA-256 (hex) of the certificate file that was looked at before.
    """
    variables = {
        "o_dir": directory,
        "o_certs_dir": certs_dir,
        "o_keep_dir": keep_dir,
        "o_expected": expected.decode("ascii"),
        "o_check": "1" if check else "0",
    }
    answer = host.run(_ACTIVATE, variables, timeout=180)
    _refuse_unless_done(host, answer)
    return answer.text("same") != "1"


def _refuse_unless_done(host: Host, answer: Answer) -> None:
    if answer.text("done") != "1":
        raise HostError(f"{host.name}: {answer.text('why') or answer.stderr.strip() or 'nothing was done'}")


def vault_content(loader: t.Any, path: str) -> bytes:
    """What a file that is encrypted with Ansible Vault holds, in memory only. Raises InputError; a file in the clear is
    refused, because a key does not lie on the disk of a controller."""
    import pathlib

    from ansible.errors import AnsibleError  # pylint: disable=ansible-bad-module-import

    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a pair that is encrypted with ansible-vault") from None
    if not content.lstrip().startswith(b"$ANSIBLE_VAULT;"):
        raise InputError(
            f"{path}: it is not encrypted: run ansible-vault encrypt on it, a CA key does not lie in the clear"
        )
    vault = loader._vault
    if not getattr(vault, "secrets", None):
        raise InputError(f"{path}: no vault secret was given to open it: use --vault-id or --ask-vault-pass")
    try:
        return bytes(vault.decrypt(content))
    except AnsibleError as error:
        raise InputError(f"{path}: it cannot be decrypted with the vault secrets of this run ({error})") from None
