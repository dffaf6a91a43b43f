# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Encrypted backups of the CA pair in a directory of the controller, and the drill that shows that one can be restored.

What reaches the controller's disk is ciphertext: the pair is encrypted in memory, and decrypted in memory. A key is
asked of a CP host only when a backup is going to be written; whether one is needed is told by public halves.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import secrets as random
import typing as t

from .._core import backups, durations, pairs
from .._core.certificates import Certificate, parse_bundle
from .._core.errors import HostError, InputError, RotationError
from . import fleet_evidence
from . import pairs as host_pairs
from .action import rfc3339, utc_now
from .host import Host

ARGUMENT_SPEC: dict[str, t.Any] = {
    "dir": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "certs_dir": {"type": "str", "default": "/var/lib/quazzar-cc/certs"},
    "max_age": {"type": "str", "default": "30d"},
    "vault_id": {"type": "str", "default": ""},
    "cp_hosts": {"type": "list", "elements": "str", "default": []},
    "replica_var": {"type": "str", "default": "__controlplane_replica"},
    "tolerate": {"type": "bool", "default": False},
}

Options = t.Mapping[str, t.Any]
Result = dict[str, t.Any]

_LOOK = (
    host_pairs.INFO
    + r"""
qz_put cert.path "$o_dir/ca.crt"
if [ -f "$o_dir/ca.crt" ] && grep -q 'PRIVATE KEY-----' "$o_dir/ca.crt" 2>/dev/null; then qz_put cert.error key
else qz_file cert "$o_dir/ca.crt"; fi
qz_put key.path "$o_dir/ca.key"
qz_have openssl || { qz_put lack openssl; return 0; }
if [ ! -e "$o_dir/ca.key" ]; then
  if [ -d "$o_dir/" ] && [ ! -x "$o_dir/" ]; then qz_put key.error unreadable; else qz_put key.error missing; fi
elif [ ! -r "$o_dir/ca.key" ]; then qz_put key.error unreadable
elif [ ! -f "$o_dir/ca.key" ]; then qz_put key.error special
elif qz_is_pair "$o_dir"; then qz_put match yes
elif openssl pkey -in "$o_dir/ca.key" -passin pass:none -noout >/dev/null 2>&1; then qz_put match other
elif grep -q ENCRYPTED "$o_dir/ca.key" 2>/dev/null; then qz_put match encrypted
else qz_put match none; fi
return 0
"""
)

# The two sed commands and the order of the two parts are those of the runbook's restore. The scratch directory is gone
# before anything is said, so that a connection which breaks cannot keep it there. `-trusted` also keeps the system's
# own store out; `-config`: without a configuration file of its own openssl req refuses to work.
_DRILL = r"""
umask 077
qz_scratch= qz_why=
qz_clean() { if [ -n "$qz_scratch" ]; then rm -rf -- "$qz_scratch"; fi; }
trap qz_clean 0
trap 'exit 1' 1 2 13 15
qz_ssl() { timeout 30 openssl "$@" </dev/null 2>/dev/null; }
qz_place() {
  for qz_base in /dev/shm /run "${o_dir%/*}"; do
    case $qz_base in /dev/shm | /run) [ "$(stat -f -c %T -- "$qz_base" 2>/dev/null)" = tmpfs ] || continue ;; esac
    qz_scratch=$(mktemp -d "$qz_base/quazzar-drill.XXXXXXXXXX" 2>/dev/null) && return 0
    qz_scratch=
  done
  return 1
}
qz_drill() {
  qz_have openssl || { qz_why="openssl is not installed there"; return 1; }
  qz_place || { qz_why="no scratch directory could be made in /dev/shm, /run or ${o_dir%/*}"; return 1; }
  qz_why="the pair could not be written into $qz_scratch; is the disk full?"
  printf '%s' "$o_pair" >"$qz_scratch/pair" || return 1
  sed '/^-----END CERTIFICATE-----/q' "$qz_scratch/pair" >"$qz_scratch/ca.crt" || return 1
  sed '1,/^-----END CERTIFICATE-----/d' "$qz_scratch/pair" >"$qz_scratch/ca.key" || return 1
  qz_why="the restored key does not belong to the restored certificate"
  qz_ssl x509 -in "$qz_scratch/ca.crt" -noout -pubkey >"$qz_scratch/public" || return 1
  qz_ssl pkey -in "$qz_scratch/ca.key" -passin pass:none -pubout >"$qz_scratch/half" || return 1
  [ -s "$qz_scratch/half" ] && cmp -s -- "$qz_scratch/public" "$qz_scratch/half" || return 1
  qz_why="the restored certificate is not that of $o_dir/ca.crt"
  qz_ssl x509 -in "$qz_scratch/ca.crt" -outform DER >"$qz_scratch/restored" || return 1
  qz_ssl x509 -in "$o_dir/ca.crt" -outform DER >"$qz_scratch/live" || return 1
  [ -s "$qz_scratch/live" ] && cmp -s -- "$qz_scratch/restored" "$qz_scratch/live" || return 1
  qz_why="the restored key could not sign a certificate"
  printf '[req]\ndistinguished_name=name\n[name]\n' >"$qz_scratch/config" || return 1
  qz_ssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$qz_scratch/nobody.key" || return 1
  qz_ssl req -new -config "$qz_scratch/config" -subj "/CN=restore drill" -key "$qz_scratch/nobody.key" \
    -out "$qz_scratch/request" || return 1
  qz_ssl x509 -req -in "$qz_scratch/request" -CA "$qz_scratch/ca.crt" -CAkey "$qz_scratch/ca.key" -passin pass:none \
    -set_serial 1 -days 1 -out "$qz_scratch/signed" || return 1
  qz_why="what the restored key signed is not verified by $o_dir/ca.crt"
  qz_ssl verify -no_check_time -partial_chain -trusted "$o_dir/ca.crt" "$qz_scratch/signed" >/dev/null || return 1
  qz_why=
}
qz_drill
qz_place_was=${qz_scratch%/*}
qz_clean
if [ -n "$qz_scratch" ] && [ -e "$qz_scratch" ]; then qz_why="$qz_scratch could not be removed: remove it by hand"; fi
trap - 0 1 2 13 15
qz_put where "$qz_place_was"
qz_put why "$qz_why"
qz_put done 1
"""

_KEY_PROBLEMS = {
    "missing": "no such file; expected the key of the active CA beside its certificate",
    "unreadable": "permission denied; is become missing?",
    "special": "is not a regular file",
}


class Opened:
    """One backup as it lies on the disk. C(pair) is None when it has none that could be had; C(error) says why.

    C(damaged): it is so for certain. Otherwise a wrong password may be the reason.
    """

    def __init__(self, path: str, made_at: datetime.datetime, loader: t.Any) -> None:
        self.path, self.made_at = path, made_at
        self.pair: pairs.Pair | None = None
        self.error, self.damaged, self.decrypted = "", False, False
        try:
            what = backups.damage(pathlib.Path(path).read_bytes())
        except OSError as error:
            self.error = f"{path}: {error.strerror}"
            return
        if what:
            self.error, self.damaged = f"{path} is damaged: {what}", True
            return
        try:
            content = host_pairs.vault_content(loader, path)
            self.decrypted = True
            self.pair = pairs.parse(content, content, path)
        except InputError as error:
            self.error, self.damaged = str(error), self.decrypted


class Backup:
    """The work of the action ca_backup. C(result) is what is known at any moment, also when an error ends it."""

    def __init__(self, host: Host, options: Options, loader: t.Any, task_vars: t.Mapping[str, t.Any]) -> None:
        self._host, self._options, self._loader, self._task_vars = host, options, loader, task_vars
        self._now = utc_now()
        self.result: Result = {
            "changed": False,
            "reason": "",
            "backup": _about(None, None, self._now),
            "drill": {"ok": None, "detail": "not made"},
            "summary": "",
        }
        self.diff: dict[str, str] | None = None
        self._listed = False

    def failed(self, error: RotationError) -> None:
        """What ended the work is also why nothing is known of the newest backup. What was seen of it before stays, and
        so does that there is none."""
        backup = self.result["backup"]
        if not backup["judged"] and (backup["path"] or not self._listed):
            backup["error"] = str(error)

    def work(self, *, check: bool) -> None:
        """Write a backup where one is due, then show that the newest one can be restored. Raises RotationError."""
        options = self._options
        self._dir = _directory(options["dir"])
        self._certs_dir = host_pairs.checked_dir(options["certs_dir"], "certs_dir")
        max_age = durations.parse(options["max_age"], "max_age")
        entries = self._entries()
        self._listed = True
        self._found(backups.newest(entries, None, self._now))
        active = look(self._host, self._certs_dir)
        self._refuse_other_cas(active)
        newest = backups.newest(entries, active, self._now)
        self._named_for(newest, active)
        secret = vault_secret(self._loader, options["vault_id"])
        opened = self._found(newest, active)
        self.result["reason"] = self._due(opened, active, max_age, entries)
        if self.result["reason"]:
            opened = self._write(active, secret, check=check) or opened
        self._say(active, check=check)
        if not check:
            self._drill(opened)
            self._say(active, check=check)

    def _entries(self) -> list[backups.Entry]:
        try:
            names = sorted(each.name for each in os.scandir(self._dir) if each.is_file())
        except FileNotFoundError:
            self._refuse_missing_parent()
            return []
        except OSError as error:
            raise InputError(f"{self._dir}: {error.strerror}; expected a directory for backups") from None
        entries = [found for found in map(backups.entry, names) if found]
        later = backups.from_the_future(entries, self._now)
        if later:
            listed = ", ".join(each.name for each in later)
            self.result["warnings"] = [
                f"{self._dir}: {listed}: dated later than the clock of this controller, so it does not count"
            ]
        return entries

    def _refuse_missing_parent(self) -> None:
        above = os.path.dirname(self._dir)
        if not os.path.isdir(above):
            raise InputError(
                f"{self._dir}: the directory above it does not exist; create {above}, or correct quazzar_backup_dir"
            )

    def _found(self, entry: backups.Entry | None, active: Certificate | None = None) -> Opened | None:
        """The newest backup goes into the result; with C(active) it is opened and judged too."""
        if entry is None:
            return None
        path = os.path.join(self._dir, entry.name)
        if active is None:
            self.result["backup"].update(path=path, made_at=rfc3339(entry.made_at))
            self.result["backup"]["age_seconds"] = backups.age(entry.made_at, self._now)
            return None
        opened = Opened(path, entry.made_at, self._loader)
        self.result["backup"] = _about(opened, active, self._now)
        return opened

    def _named_for(self, entry: backups.Entry | None, active: Certificate) -> None:
        """That no file is even named as a backup of the active CA is seen without a vault secret."""
        self._found(entry)
        if entry is not None and entry.ca != active.sha256[:16]:
            error = f"{self.result['backup']['path']} is of another CA ({entry.ca}), by its name"
            self.result["backup"].update(judged=True, error=error)

    def _refuse_other_cas(self, active: Certificate) -> None:
        hostvars = self._task_vars.get("hostvars") or {}
        held = {self._host.name: active.sha256}
        replicas, _hosts = fleet_evidence.replicas(self._options, hostvars)
        for name, replica in replicas.items():
            if name == self._host.name:
                continue
            if not replica.get("active_ca"):
                why = replica.get("active_ca_error") or "it was not looked at"
                raise HostError(f"{name}: the active CA of this replica cannot be read: {why}")
            held[name] = str(replica["active_ca"]["sha256"])
        if len({*held.values()}) > 1:
            listed = ", ".join(f"{name} {digest[:16]}" for name, digest in held.items())
            raise HostError(
                f"the replicas hold different active CAs ({listed}): give them one certs volume first."
                " Nothing was written"
            )

    def _due(
        self, opened: Opened | None, active: Certificate, max_age: datetime.timedelta, entries: list[backups.Entry]
    ) -> str:
        """Why a backup is to be written now; empty when the newest one will do."""
        if opened is None:
            return f"there is none in {self._dir}"
        if opened.pair is not None:
            if opened.pair.certificate.sha256 != active.sha256:
                return f"the newest one is of another CA ({opened.pair.certificate.sha256[:16]})"
            if self._now - opened.made_at > max_age:
                return f"the newest one is older than {self._options['max_age']}"
            return ""
        if not opened.damaged and not self._opens_any(entries, opened):
            # A new one under a mistyped password would be a backup that nobody can open, and look like a good one.
            raise InputError(
                f"{opened.error}. No other backup in {self._dir} can be decrypted either, so the vault secret is taken"
                " for the wrong one, and nothing was written. Give the right one; when it was changed on purpose, run"
                " ansible-vault rekey on the backups, or move them elsewhere"
            )
        return opened.error

    def _opens_any(self, entries: list[backups.Entry], but: Opened) -> bool:
        paths = {os.path.join(self._dir, each.name): each.made_at for each in entries}
        return any(Opened(path, at, self._loader).decrypted for path, at in paths.items() if path != but.path)

    def _write(self, active: Certificate, secret: tuple[str, t.Any], *, check: bool) -> Opened | None:
        path = os.path.join(self._dir, backups.file_name(active, self._now))
        header = {"before_header": path, "after_header": path}
        self.diff = {**header, "before": "", "after": f"the pair of CA {active.sha256} ({active.subject}), encrypted\n"}
        self.result["changed"] = True
        if check:
            return None
        self.result["changed"] = False
        found = host_pairs.read(self._host, self._certs_dir)
        if found.pair is None:
            raise HostError(found.error)
        if found.pair.certificate.sha256 != active.sha256:
            raise HostError(f"{self._host.name}: {self._certs_dir}/ca.crt changed while it was worked on; run again")
        name, key = secret
        sealed: bytes = self._loader._vault.encrypt(backups.content(found.pair), secret=key, vault_id=name)
        write_file(path, sealed)
        self.result["changed"] = True
        opened = Opened(path, self._now.replace(microsecond=0), self._loader)
        self.result["backup"] = _about(opened, active, self._now)
        if not self.result["backup"]["current"]:
            raise InputError(f"{opened.error or path}: what was written is not what was read back; look at the disk")
        return opened

    def _drill(self, opened: Opened | None) -> None:
        pair = opened.pair if opened else None
        if pair is None:
            raise InputError("there is no backup to be restored in a drill")
        self.result["drill"] = drill(self._host, self._certs_dir, pair)
        if not self.result["drill"]["ok"]:
            raise HostError(
                f"{self._host.name}: {self.result['backup']['path']} was not restored in the drill:"
                f" {self.result['drill']['detail']}"
            )

    def _say(self, active: Certificate, *, check: bool) -> None:
        backup, drilled = self.result["backup"], self.result["drill"]
        if check and self.result["changed"]:
            self.result["summary"] = (
                f"Backup of CA {active.sha256[:16]}… in {self._dir}: one would be made now, because:"
                f" {self.result['reason']}."
            )
            return
        how = (
            f"restored in a drill on {self._host.name}, key and certificate belong together."
            if drilled["ok"]
            else "decrypted, key and certificate belong together; no drill was made."
        )
        age = backups.in_words(backup["age_seconds"])
        self.result["summary"] = (
            f"Backup of CA {active.sha256[:16]}… from {backup['made_at']} ({age} old) in {backup['path']}: {how}"
        )


def _about(opened: Opened | None, active: Certificate | None, now: datetime.datetime) -> Result:
    if opened is None:
        empty = {"path": "", "sha256": "", "made_at": None, "age_seconds": None}
        return {**empty, "current": False, "judged": False, "error": ""}
    held = opened.pair.certificate.sha256 if opened.pair else ""
    other = active is not None and held not in ("", active.sha256)
    return {
        "path": opened.path,
        "sha256": held,
        "made_at": rfc3339(opened.made_at),
        "age_seconds": backups.age(opened.made_at, now),
        "current": active is not None and held == active.sha256,
        "judged": opened.pair is not None or opened.damaged,
        "error": f"{opened.path} is of another CA ({held[:16]})" if other else opened.error,
    }


def _directory(path: str) -> str:
    if not path.strip() or "\n" in path:
        raise InputError("dir is empty, expected a directory on the controller; set quazzar_backup_dir")
    return os.path.abspath(path)


def look(host: Host, directory: str) -> Certificate:
    """The CA certificate in C(directory), when its key is beside it and belongs to it. The key stays on the host."""
    answer = host.run(_LOOK, {"o_dir": directory})
    cert_path, key_path = answer.text("cert.path"), answer.text("key.path")
    if answer.text("cert.error") == "key":
        raise HostError(f"{host.name}: {cert_path}: there is a private key in it, so it was not read; take the key out")
    content, error = answer.file("cert")
    if content is None:
        raise HostError(f"{host.name}: {error}")
    if answer.text("lack"):
        raise HostError(f"{host.name}: openssl is not installed there, without it no pair can be judged")
    try:
        found = parse_bundle(content).certificates
    except InputError as failed:
        raise HostError(f"{host.name}: {cert_path}: {failed}") from None
    if not found:
        raise HostError(f"{host.name}: {cert_path}: expected the certificate of a CA, found none")
    problem = answer.text("key.error")
    if problem:
        raise HostError(f"{host.name}: {key_path}: {_KEY_PROBLEMS.get(problem, problem)}")
    said = {
        "other": f"the private key does not belong to the certificate {found[0].sha256[:16]} ({found[0].subject});"
        " they are of two different CAs, or one of the files is damaged",
        "encrypted": "the private key is protected by a password, which nothing here can ask for",
        "none": "expected a private key in PEM, found none that openssl can read",
    }.get(answer.text("match"), "")
    if said or answer.text("match") != "yes":
        raise HostError(f"{host.name}: {key_path}: {said or 'it was not judged'}. Nothing was written")
    reasons = backups.judge(found[0], utc_now())
    if reasons:
        raise HostError(f"{host.name}: {cert_path}: {'; '.join(reasons)}. Nothing was written")
    return found[0]


def vault_secret(loader: t.Any, vault_id: str) -> tuple[str, t.Any]:
    """Id and secret by which to encrypt, out of those that the run was given. Raises InputError."""
    given = [(str(name), secret) for name, secret in getattr(loader._vault, "secrets", None) or ()]
    names = list(dict.fromkeys(name for name, _unused in given))
    if not given:
        raise InputError(
            "no vault secret was given to encrypt the backup with: use --vault-id or --ask-vault-pass, or give the job"
            " a vault credential"
        )
    if vault_id and vault_id not in names:
        raise InputError(
            f"vault_id (quazzar_backup_vault_id) is {vault_id}: expected one of the vault ids of this run, which are"
            f" {', '.join(names)}"
        )
    if not vault_id and len(names) > 1:
        raise InputError(
            f"several vault ids were given ({', '.join(names)}): say in quazzar_backup_vault_id which one encrypts the"
            " backup"
        )
    wanted = vault_id or names[0]
    matching = [secret for name, secret in given if name == wanted]
    if len({secret.bytes for secret in matching}) > 1:
        # One of the command line and one of the configuration, for example: the backup may be under the wrong one.
        raise InputError(
            f"several different secrets were given under the vault id {wanted}: which of them encrypts the backup"
            " cannot be told; give one"
        )
    return wanted, matching[0]


def write_file(path: str, content: bytes) -> None:
    """All of it or nothing, and on the disk before anybody is told. Raises InputError."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{random.token_hex(6)}")
    try:
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
        if os.path.lexists(path):
            raise InputError(f"{path} is there already, and is not overwritten; run again")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
        _sync_directory(folder)
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror}; nothing was written there") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _sync_directory(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drill(host: Host, directory: str, pair: pairs.Pair) -> Result:
    """Restore the pair into a scratch directory of the host and use it there. -> ok and detail."""
    pem = backups.content(pair).decode("ascii", "replace")
    try:
        answer = host.run(_DRILL, {"o_dir": directory}, secret={"o_pair": pem}, timeout=240)
    except RotationError as error:
        return {"ok": False, "detail": str(error)}
    why = answer.text("why")
    if answer.text("done") != "1" or why:
        return {"ok": False, "detail": why or answer.stderr.strip() or "the drill was not finished"}
    where = answer.text("where")
    return {
        "ok": True,
        "detail": f"restored in {where} on {host.name}: key and certificate belong together, the certificate is the"
        " active CA's, and what the key signed is verified by it",
    }
