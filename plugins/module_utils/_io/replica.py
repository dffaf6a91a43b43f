# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""One replica of the Control Panel: what its files and its log say (one round trip), and what its listener shows.

Of the environment file only the lines that mention the two variables travel, of the log only its end, and of a file
with a private key in it nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .._core import certificates, mounts, pool
from .._core.errors import HostError, InputError, RotationError, Unreachable
from . import logs, pairs, tls_probe
from .action import rfc3339, utc_now
from .host import Answer, Host, whole

DEFAULT_GRACE_PATTERN = r"loaded additional trusted CA \(rotation grace\)"
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    "address": {"type": "str"},
    "server_name": {"type": "str"},
    "certs_dir": {"type": "str"},
    "env_file": {"type": "str"},
    "variable": {"type": "str", "default": "CC_TRUST_ADDITIONAL_CA_CERTS"},
    "auto_ca_gen_variable": {"type": "str", "default": "CC_ALLOW_AUTO_CA_GEN"},
    "legacy_dir": {"type": "str"},
    "staged_dir": {"type": "str"},
    "previous_dir": {"type": "str"},
    "log_command": {"type": "str"},
    "grace_log_pattern": {"type": "str", "default": DEFAULT_GRACE_PATTERN},
    "boot_pattern": {"type": "str", "default": logs.DEFAULT_BOOT_PATTERN},
    "timeout": {"type": "float", "default": 15.0},
    "tolerate": {"type": "bool", "default": False},
}

_ENV_PROBLEMS = {
    "missing": "no such file",
    "directory": "is a directory",
    "unreadable": "permission denied; is become missing?",
}
_STORAGE_PROBLEMS = {
    "missing": "no such file",
    "file": "is not a directory",
    "unreadable": "permission denied; is become missing?",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ENTRIES_LIMIT = 64

# Certificate files only. A private key in one of them is a mistake to be named, never content to be moved.
_CERT_FILE = r"""
qz_cert() {
  if [ -f "$2" ]; then qz_put "$1.since" "$(stat -c %Y -- "$2" 2>/dev/null)"; fi
  if [ -f "$2" ] && [ -r "$2" ] && grep -q 'PRIVATE KEY-----' "$2" 2>/dev/null; then
    qz_put "$1.path" "$2"; qz_put "$1.error" key
  else qz_file "$1" "$2"; fi
}
"""

# The files of the pool, from a value on standard input.
_POOL_FILES = r"""
qz_entries() {
  qz_n=0
  tr -d '\r' | tr ',' '\n' | head -n @ENTRIES@ |
  sed -e 's/[[:blank:]]#.*$//' -e "s/^[[:blank:]\"']*//" -e "s/[[:blank:]\"']*$//" |
  while IFS= read -r qz_entry; do
    if [ -n "$qz_entry" ]; then qz_n=$((qz_n + 1)); qz_cert "pool.$qz_n" "$qz_entry"; fi
  done
}
"""

_FILES = r"""
if [ -n "$certs_dir" ]; then qz_cert active "$certs_dir/ca.crt"; fi
if [ -n "$environment" ]; then
  # What a container was started with is what a shell in it finds.
  eval "qz_value=\${$variable-}"
  if [ -n "$qz_value" ]; then qz_put value "$qz_value"; printf '%s\n' "$qz_value" | qz_entries; fi
  eval "qz_put flag \"\${$auto_ca_gen_variable-}\""
fi
if [ -n "$env_file" ]; then
  qz_put env.path "$env_file"
  if [ -d "$env_file" ]; then qz_put env.error directory
  elif [ ! -e "$env_file" ]; then qz_put env.error missing
  elif [ ! -r "$env_file" ]; then qz_put env.error unreadable
  else
    grep -n -e "$variable" -e "$auto_ca_gen_variable" "$env_file" | qz_emit env
    sed -n "s/^[^=#]*$variable[[:blank:]]*=//p" "$env_file" | qz_entries
  fi
fi
qz_n=0
: "${legacy_dir:=/nonexistent}" "${certs_dir:=/nonexistent}"
for qz_f in "$legacy_dir"/*.crt "$legacy_dir"/*.pem "$certs_dir"/ca.crt.old*; do
  if [ -f "$qz_f" ] && [ "$qz_n" -lt @ENTRIES@ ]; then qz_n=$((qz_n + 1)); qz_cert "legacy.$qz_n" "$qz_f"; fi
done
qz_n=0
for qz_f in "$legacy_dir"/*.revoked; do
  if [ -f "$qz_f" ] && [ "$qz_n" -lt @ENTRIES@ ]; then qz_n=$((qz_n + 1)); qz_cert "revoked.$qz_n" "$qz_f"; fi
done
if [ "$certs_dir" != /nonexistent ]; then qz_storage; fi
if [ -n "$log_command" ]; then qz_read_log; fi
# Of a planned rotation. Keys are compared on the host, and only while there is one.
for qz_n in staged previous; do
  if [ "$qz_n" = staged ]; then qz_f=$staged_dir; else qz_f=$previous_dir; fi
  if [ -n "$qz_f" ] && [ -d "$qz_f" ]; then
    qz_pair_info "$qz_n" "$qz_f"
    if qz_is_pair "$certs_dir"; then qz_put active.matches 1; else qz_put active.matches 0; fi
  fi
done
return 0
"""

# What the prevention rules ask of the host: modes, owners and names. Of a file with a key only its name travels.
_STORAGE = r"""
qz_storage() {
  if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || [ -n "$KUBERNETES_SERVICE_HOST" ]; then
    qz_put storage.container yes
  fi
  if [ -d "$certs_dir/" ]; then
    qz_put storage.mode "$(stat -L -c '%a %U' -- "$certs_dir" 2>/dev/null)"
    qz_mount=$(stat -L -c %m -- "$certs_dir" 2>/dev/null)
    qz_put storage.mount "$qz_mount"
    # /proc/self/mountinfo has blanks in octal. Of several mounts at one place the last one is seen.
    qz_mount=$(printf '%s' "$qz_mount" | sed 's/ /\\040/g')
    while read -r qz_f1 qz_f2 qz_f3 qz_f4 qz_f5 qz_f6; do
      [ "$qz_f5" != "$qz_mount" ] || printf '%s %s %s %s %s %s\n' "$qz_f1" "$qz_f2" "$qz_f3" "$qz_f4" "$qz_f5" "$qz_f6"
    done 2>/dev/null </proc/self/mountinfo | tail -n 1 | qz_emit storage.mounts
    if [ -e "$certs_dir/ca.key" ]; then
      qz_put storage.key "$(stat -L -c '%a %U' -- "$certs_dir/ca.key" 2>/dev/null)"
    elif [ ! -x "$certs_dir/" ]; then qz_put storage.key_error unreadable
    else qz_put storage.key_error missing; fi
  elif [ -e "$certs_dir" ]; then qz_put storage.error file
  elif [ -d "${certs_dir%/*}/" ] && [ ! -x "${certs_dir%/*}/" ]; then qz_put storage.error unreadable
  else qz_put storage.error missing; fi
  if [ -d "$legacy_dir/" ] && { [ ! -r "$legacy_dir/" ] || [ ! -x "$legacy_dir/" ]; }; then
    qz_put storage.copies_error unreadable
  fi
  qz_n=0
  for qz_f in "$legacy_dir"/* "$legacy_dir"/.[!.]*; do
    [ -f "$qz_f" ] && [ "$qz_n" -lt @ENTRIES@ ] || continue
    if [ ! -r "$qz_f" ]; then qz_put storage.copies_error unreadable
    elif grep -q 'PRIVATE KEY-----' "$qz_f" 2>/dev/null; then qz_n=$((qz_n + 1)); qz_put "copy.$qz_n" "$qz_f"; fi
  done
}
"""

_MORE_FILES = r"""
printf '%s\n' "$paths" | while IFS= read -r qz_entry; do
  qz_n=$((${qz_n:-0} + 1)); qz_cert "pool.$qz_n" "$qz_entry"
done
return 0
"""


def gather(host: Host, options: Mapping[str, Any]) -> dict[str, Any]:
    """The replica as data. Raises HostError (Unreachable) unless ``tolerate``; the listener is looked at either way."""
    result = _nothing(str(options["name"] or host.name), str(options["address"] or ""))
    _listener(result, options)
    if not any(options.get(key) for key in ("certs_dir", "env_file", "environment", "legacy_dir", "log_command")):
        return result
    try:
        _files(host, result, options)
    except HostError as error:
        if not options["tolerate"]:
            raise
        _fail(result, error)
    return result


def not_read(host_name: str, options: Mapping[str, Any], error: RotationError) -> dict[str, Any]:
    """The shape of a replica about which nothing could be learned."""
    result = _nothing(str(options["name"] or host_name), str(options["address"] or ""))
    result["listener_error"] = str(error)
    _fail(result, error)
    return result


def _fail(result: dict[str, Any], error: RotationError) -> None:
    result["reachable"] = not isinstance(error, Unreachable)
    result["error"] = result["active_ca_error"] = str(error)
    result["pool"]["error"] = result["boot"]["error"] = str(error)
    result["storage"]["error"] = result["storage"]["key"]["error"] = str(error)
    result["storage"]["key_copies_error"] = str(error)


def _nothing(name: str, address: str) -> dict[str, Any]:
    return {
        "name": name,
        "taken_at": rfc3339(utc_now()),
        "reachable": True,
        "error": "",
        "address": address,
        "listening": False,
        "listener_error": "",
        "chain": [],
        "acceptable_ca_names": [],
        "acceptable_ca_count": None,
        "active_ca": None,
        "active_ca_error": "",
        "pool": {"raw": None, "entries": [], "line": None, "error": ""},
        "active_key_matches": None,
        "legacy_dir": [],
        "revoked": [],
        "ours": [],
        "staged": None,
        "previous": None,
        "boot": {"loaded_count": None, "since_boot": False, "error": ""},
        "auto_ca_gen": None,
        "storage": {
            "path": "",
            "error": "",
            "mount": "",
            "file_system": "",
            "container": False,
            "mode": "",
            "owner": "",
            "key": {"path": "", "mode": "", "owner": "", "error": ""},
            "key_copies": [],
            "key_copies_error": "",
        },
    }


def _listener(result: dict[str, Any], options: Mapping[str, Any]) -> None:
    if not result["address"]:
        result["listener_error"] = "not looked at: no address was given"
        return
    found = tls_probe.probe(result["address"], str(options["server_name"] or ""), timeout=options["timeout"])
    result["listening"], result["listener_error"] = found.listening, found.error
    if found.shown is not None:
        result["chain"] = [_shown(cert) for cert in found.shown.chain]
        result["acceptable_ca_names"] = list(found.shown.acceptable_ca_names)
        result["acceptable_ca_count"] = found.shown.acceptable_ca_count


def _shown(cert: certificates.Certificate) -> dict[str, Any]:
    return {
        "sha256": cert.sha256,
        "subject": cert.subject,
        "issuer": cert.issuer,
        "not_before": rfc3339(cert.not_before),
        "not_after": rfc3339(cert.not_after),
        "pem": cert.pem(),
    }


def _files(host: Host, result: dict[str, Any], options: Mapping[str, Any]) -> None:
    for key in ("variable", "auto_ca_gen_variable"):
        if not _VARIABLE.match(str(options[key])):
            raise InputError(f"{key} should be the name of an environment variable, found {options[key]!r}")
    patterns = {key: logs.pattern(options[key], key) for key in ("grace_log_pattern", "boot_pattern")}
    log_timeout = max(1, int(options["timeout"]))
    names = (
        "certs_dir",
        "env_file",
        "legacy_dir",
        "staged_dir",
        "previous_dir",
        "log_command",
        "variable",
        "auto_ca_gen_variable",
    )
    variables = {name: str(options[name] or "") for name in names}
    variables["environment"] = "1" if options.get("environment") else ""
    for name in ("certs_dir", "legacy_dir", "staged_dir", "previous_dir"):
        variables[name] = variables[name].rstrip("/") or variables[name]
    body = _CERT_FILE + pairs.INFO + logs.SCRIPT
    body += (_POOL_FILES + _STORAGE + _FILES).replace("@ENTRIES@", str(_ENTRIES_LIMIT))
    answer = host.run(body, {**variables, "log_timeout": str(log_timeout)}, timeout=60 + log_timeout)
    result["ours"] = [f"{variables['legacy_dir']}/"] if variables["legacy_dir"] else []
    if variables["certs_dir"]:
        result["ours"].append(f"{variables['certs_dir']}/ca.crt.old")
        _active(result, answer)
        result["storage"] = _storage(answer, variables["certs_dir"], variables["legacy_dir"])
    if variables["env_file"]:
        _pool(host, result, answer, variables)
    if variables["environment"]:
        _environment(host, result, answer)
    result["legacy_dir"] = _numbered(answer, "legacy")
    result["revoked"] = _numbered(answer, "revoked")
    for name in ("staged", "previous"):
        result[name] = _pair(answer, name)
    matches = answer.text("active.matches")
    result["active_key_matches"] = matches == "1" if matches else None
    if variables["log_command"]:
        result["boot"] = _boot(answer, patterns["grace_log_pattern"], patterns["boot_pattern"], log_timeout)


def _certificates(answer: Answer, name: str) -> tuple[tuple[certificates.Certificate, ...], str]:
    """The certificates of one file of the answer, and what is wrong with it."""
    if answer.text(f"{name}.error") == "key":
        return (), f"{answer.text(name + '.path')}: there is a private key in it, so it was not read; take the key out"
    content, error = answer.file(name)
    if content is None:
        return (), error
    path = answer.text(f"{name}.path")
    try:
        bundle = certificates.parse_bundle(content)
    except RotationError as exc:
        return (), f"{path}: {exc}"
    if bundle.has_private_key:
        return (), f"{path}: there is a private key in this file; take it out"
    return bundle.certificates, "" if bundle.certificates else f"{path}: the file is empty"


def _active(result: dict[str, Any], answer: Answer) -> None:
    found, error = _certificates(answer, "active")
    result["active_ca_error"] = error
    if found:
        # A server that loads the pair takes the first certificate of the file as its own.
        result["active_ca"] = {**found[0].as_dict(), "pem": found[0].pem()}


def _pair(answer: Answer, name: str) -> dict[str, Any] | None:
    """A pair beside the active one; None: nothing is there."""
    if answer.text(f"{name}.error") in ("", "missing") and name not in answer.sections:
        return None
    found, error = _certificates(answer, name)
    sample, _unused = _certificates(answer, f"{name}.sample")
    return {
        "pem": found[0].pem() if found else "",
        "sha256": found[0].sha256 if found else "",
        "usable": answer.text(f"{name}.matches") == "1",
        "sample": sample[0].pem() if sample else "",
        "error": error,
    }


def _entry(answer: Answer, name: str) -> dict[str, Any]:
    found, error = _certificates(answer, name)
    return {
        "path": answer.text(f"{name}.path"),
        "sha256": [cert.sha256 for cert in found],
        "pem": [cert.pem() for cert in found],
        "since": _since(answer.text(f"{name}.since")),
        "error": error,
    }


def entry(path: str, content: str) -> dict[str, Any]:
    """The same of a file that came by another way, and has no time."""
    try:
        found, error = certificates.parse_bundle(content.encode()).certificates, ""
    except RotationError as exc:
        found, error = (), f"{path}: {exc}"
    return {
        "path": path,
        "sha256": [cert.sha256 for cert in found],
        "pem": [cert.pem() for cert in found],
        "since": None,
        "error": error,
    }


def _since(seconds: str) -> str | None:
    """When the file was last written: for a file that only ever gets placed, when the grace window was opened."""
    number = whole(seconds)
    try:
        return None if number is None else rfc3339(datetime.fromtimestamp(number, timezone.utc))
    except (ValueError, OverflowError):
        return None  # a file system can hold a time that no calendar has


def _numbered(answer: Answer, prefix: str) -> list[dict[str, Any]]:
    names = [key[: -len(".path")] for key in answer.sections if re.fullmatch(prefix + r"\.\d+\.path", key)]
    return [_entry(answer, name) for name in sorted(names, key=lambda name: int(name.rpartition(".")[2]))]


def _pool(host: Host, result: dict[str, Any], answer: Answer, variables: Mapping[str, str]) -> None:
    path = answer.text("env.path")
    problem = answer.text("env.error")
    if problem:
        result["pool"]["error"] = f"{path}: {_ENV_PROBLEMS.get(problem, problem)}"
        return
    lines = _lines(answer.text("env"))
    try:
        assignments = pool.find_assignments(lines, variables["variable"])
        flags = pool.find_assignments(lines, variables["auto_ca_gen_variable"])
        result["auto_ca_gen"] = bool(flags) and pool.is_true(flags[-1].value)
        if not assignments:
            return
        result["pool"]["raw"], result["pool"]["line"] = assignments[-1].value, assignments[-1].number
        wanted = pool.entries(assignments[-1].value)
    except RotationError as exc:
        result["pool"]["error"] = f"{path}: {exc}"
        return
    _entries(host, result, answer, wanted)


def _environment(host: Host, result: dict[str, Any], answer: Answer) -> None:
    """The two variables as the container was started with them."""
    result["auto_ca_gen"] = pool.is_true(answer.text("flag"))
    value = answer.text("value")
    if value:
        result["pool"]["raw"] = value
        _entries(host, result, answer, pool.entries(value))


def _entries(host: Host, result: dict[str, Any], answer: Answer, wanted: Sequence[str]) -> None:
    """The certificates of each file that the variable names."""
    known = {entry["path"]: entry for entry in _numbered(answer, "pool")}
    missed = [entry for entry in wanted if entry not in known]
    if missed:
        # The shell there splits the value in a simpler way than the parser here: rare, and worth a second look.
        again = host.run(_CERT_FILE + _MORE_FILES, {"paths": "\n".join(missed)})
        known.update({entry["path"]: entry for entry in _numbered(again, "pool")})
        copies = {*result["storage"]["key_copies"], *_with_key(again)}
        result["storage"]["key_copies"] = sorted(copies)
    result["pool"]["entries"] = [known[entry] for entry in wanted if entry in known]


def _storage(answer: Answer, certs_dir: str, legacy_dir: str) -> dict[str, Any]:
    """Where the certificates of the host lie, who may touch them, and which other files hold a private key."""
    mode, _blank, owner = answer.text("storage.mode").partition(" ")
    key_mode, _blank, key_owner = answer.text("storage.key").partition(" ")
    key = f"{certs_dir}/ca.key"
    problem = _STORAGE_PROBLEMS.get(answer.text("storage.error"), "")
    key_problem = _STORAGE_PROBLEMS.get(answer.text("storage.key_error"), "")
    hidden = bool(answer.text("storage.copies_error"))
    mount = answer.text("storage.mount")
    copied = {answer.text(name) for name in answer.sections if name.startswith("copy.")}
    return {
        "path": certs_dir,
        "error": f"{certs_dir}: {problem}" if problem else "",
        "mount": mount,
        "file_system": mounts.file_system(answer.text("storage.mounts"), mount),
        "container": bool(answer.text("storage.container")),
        "mode": mode,
        "owner": owner,
        "key": {
            "path": key,
            "mode": key_mode,
            "owner": key_owner,
            "error": f"{key}: {key_problem}" if key_problem else f"{certs_dir}: {problem}" if problem else "",
        },
        "key_copies": sorted(copied | _with_key(answer)),
        "key_copies_error": f"{legacy_dir}: a file in it may not be read; is become missing?" if hidden else "",
    }


def _with_key(answer: Answer) -> set[str]:
    """The certificate files of an answer in which there is a private key too."""
    found = set()
    for name in {key.rpartition(".")[0] for key in answer.sections if key.endswith(".path")}:
        if answer.text(f"{name}.error") == "key" or _private(answer.sections.get(name, b"")):
            found.add(answer.text(f"{name}.path"))
    return found


def _private(content: bytes) -> bool:
    try:
        return certificates.parse_bundle(content).has_private_key
    except RotationError:
        return False


def _lines(text: str) -> list[tuple[int, str]]:
    """``grep -n`` output as (line number, line), the carriage return of a Windows line kept."""
    found = []
    for line in text.split("\n"):
        before, colon, rest = line.partition(":")
        number = whole(before)
        if colon and number is not None:
            found.append((number, rest))
    return found


def _boot(
    answer: Answer, grace: re.Pattern[str] | None, boot: re.Pattern[str] | None, log_timeout: int
) -> dict[str, Any]:
    """How many boot lines there are since the last start. A log that is missing or empty gives None, never 0."""
    nothing = {"loaded_count": None, "since_boot": False}
    text, error = logs.read(answer, log_timeout)
    if text is None:
        return {**nothing, "error": error}
    return _counted(text, grace, boot)


def boot(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a log that came by another way."""
    patterns = [logs.pattern(options[key], key) for key in ("grace_log_pattern", "boot_pattern")]
    return _counted(text, *patterns)


def _counted(text: str, grace: re.Pattern[str] | None, boot: re.Pattern[str] | None) -> dict[str, Any]:
    if grace is None:
        return {"loaded_count": None, "since_boot": False, "error": "grace_log_pattern is empty"}
    lines, since_boot = logs.since_boot(text, boot)
    note = "" if since_boot else "no line of a start was found (boot_pattern), so all lines of the log were counted"
    return {"loaded_count": sum(1 for line in lines if grace.search(line)), "since_boot": since_boot, "error": note}
