# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The pair of the next CA: made and put into a directory of its own, made the active one, taken away again.

Replicas with volumes of their own need one pair on several hosts. The items of a loop all run in one process of the
controller, so the pair that the first item made, read or was given is kept in the memory of that process for the next
ones: it stands in no result, no variable and no file.
"""

from __future__ import annotations

import hashlib
import typing as t

from .._core import durations, pairs
from .._core.certificates import Certificate, normalise_fingerprint, parse_bundle, signed_by
from .._core.errors import HostError, InputError, RotationError
from . import files
from . import pairs as host_pairs
from .action import utc_now
from .host import Host

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError:  # said by certificates.py, which every reader of a pair comes by first
    pass

ARGUMENT_SPEC: dict[str, t.Any] = {
    "dir": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "active", "absent"], "default": "present"},
    "certs_dir": {"type": "str", "default": "/var/lib/quazzar-cc/certs"},
    "keep_dir": {"type": "str"},
    "sha256": {"type": "str"},
    "file": {"type": "path"},
    "common_name": {"type": "str"},
    "lifetime": {"type": "str", "default": "3650d"},
    "leaf_lifetime": {"type": "str", "default": "90d"},
    "leaves_marked": {"type": "bool", "default": True},
    "server_name": {"type": "str"},
    "bridge_path": {"type": "str"},
    "shared_as": {"type": "str"},
    "tolerate": {"type": "bool", "default": False},
}

Options = t.Mapping[str, t.Any]
Result = dict[str, t.Any]

#: Pairs of this process, by O(shared_as), and the tasks of which a host has failed. A worker of Ansible ends with its
#: task, and its memory with it.
_SHARED: dict[str, pairs.Pair] = {}
_FAILED: set[str] = set()


def present(host: Host, options: Options, *, loader: t.Any, check: bool) -> Result:
    """A pair that may become the next CA is in C(dir), and where asked for, a bridge to it beside the CP."""
    shared = options["shared_as"] or ""
    if shared in _FAILED:
        # It may be the one that holds the pair: a second CA would be made here.
        raise HostError(f"{host.name}: nothing was done here, because a host before it in this task has failed")
    try:
        return _present(host, options, loader=loader, check=check)
    except RotationError:
        if shared:
            _FAILED.add(shared)
        raise


def _present(host: Host, options: Options, *, loader: t.Any, check: bool) -> Result:
    directory = host_pairs.checked_dir(options["dir"], "dir")
    certs_dir = _another(directory, options["certs_dir"], "certs_dir")
    active = _certificate(host, certs_dir)
    found = host_pairs.read(host, directory)
    pair, origin = _choose(host, options, active, found, loader)
    if found.pair is None and not found.parent_exists:
        raise HostError(f"{host.name}: {directory}: the directory above it does not exist; create it, or correct dir")
    sample = found.sample if _is_sample(found.sample, pair) else None
    if sample is None and options["server_name"]:
        sample = _sample(pair, options)
    write = found.pair is None or sample != found.sample
    bridge = _bridge(host, options, certs_dir, active, pair)
    if not check:
        if write:
            host_pairs.write(host, directory, pair, sample)
        if bridge is not None:
            bridge[0].write(bridge[1].pem().encode("ascii"), backup="", make_directory=True)
    if options["shared_as"]:
        _SHARED[options["shared_as"]] = pair
    # In check mode nothing is kept of a pair that was made only to see whether it can be.
    known = None if origin == "made" and check else pair.certificate
    return {
        **_about(directory, known),
        "changed": write or bridge is not None,
        "origin": origin,
        "bridge": "" if bridge is None or (check and known is None) else bridge[1].sha256,
        "diff": _diff(directory, found.pair.certificate if found.pair else None, pair.certificate if known else None),
    }


def active(host: Host, options: Options, *, loader: t.Any, check: bool) -> Result:
    """The pair in C(dir) is the CP's active one from its next start on, the one before is kept in C(keep_dir).

    Where C(sha256) names the certificate that is to be active, no other one becomes so; and when it is already, nothing
    is asked of C(dir).
    """
    directory = host_pairs.checked_dir(options["dir"], "dir")
    certs_dir = _another(directory, options["certs_dir"], "certs_dir")
    keep_dir = _another(directory, options["keep_dir"], "keep_dir")
    if keep_dir == certs_dir:
        raise InputError(f"certs_dir and keep_dir are both {certs_dir}: the pair before would be overwritten")
    wanted = normalise_fingerprint(options["sha256"]) if options["sha256"] else ""
    content, before = _first_certificate(host, certs_dir)
    known = hashlib.sha256(content).hexdigest() if before.sha256 == wanted else ""
    expected, after = "", before
    if not known or not host_pairs.is_pair(host, certs_dir, known):
        known = ""
        content, after = _first_certificate(host, directory)
        expected = hashlib.sha256(content).hexdigest()
        if wanted and after.sha256 != wanted:
            raise HostError(
                f"{host.name}: {directory} holds the pair of the CA {after.sha256[:16]}, expected {wanted[:16]};"
                " nothing was changed"
            )
    changed = not known and host_pairs.activate(
        host, directory, certs_dir, keep_dir, expected=expected.encode(), check=check
    )
    return {
        **_about(directory, after),
        "changed": changed,
        "origin": "found",
        "bridge": "",
        "diff": _diff(f"{certs_dir}/{host_pairs.CERT}", before, after),
    }


def absent(host: Host, options: Options, *, loader: t.Any, check: bool) -> Result:
    """No pair is in C(dir). Refuses the directory of the active one."""
    directory = host_pairs.checked_dir(options["dir"], "dir")
    _another(directory, options["certs_dir"], "certs_dir")
    answer = host.run(_LOOK, {"o_dir": directory})
    content, _unused = answer.file("cert")
    there = answer.text("there") == "1"
    if answer.hidden("cert"):
        raise HostError(f"{host.name}: {directory}: permission denied; is become missing?")
    before = _parsed(content)
    if there and not check:
        host_pairs.remove(host, directory)
    return {
        **_about(directory, None),
        "changed": there,
        "origin": "",
        "bridge": "",
        "diff": _diff(directory, before, None),
    }


_LOOK = (
    host_pairs.CERTIFICATE
    + r"""
qz_certificate cert "$o_dir/ca.crt"
for qz_f in ca.key ca.crt server-sample.crt; do
  if [ -e "$o_dir/$qz_f" ] || [ -h "$o_dir/$qz_f" ]; then qz_put there 1; return 0; fi
done
"""
)


def _another(directory: str, path: str, option: str) -> str:
    other = host_pairs.checked_dir(path, option)
    if other == directory:
        raise InputError(f"dir and {option} are both {directory}: a pair needs a directory of its own")
    return other


def _certificate(host: Host, directory: str) -> Certificate:
    return _first_certificate(host, directory)[1]


def _first_certificate(host: Host, directory: str) -> tuple[bytes, Certificate]:
    answer = host.run(host_pairs.CERTIFICATE + 'qz_certificate cert "$o_dir/ca.crt"\n', {"o_dir": directory})
    host_pairs.refuse_key(host, answer, f"{directory}/{host_pairs.CERT}")
    content, error = answer.file("cert")
    if content is None:
        raise HostError(f"{host.name}: {error}")
    certificate = _parsed(content)
    if certificate is None:
        raise HostError(f"{host.name}: {directory}/{host_pairs.CERT}: expected the certificate of a CA, found none")
    return content, certificate


def _parsed(content: bytes | None) -> Certificate | None:
    try:
        certificates = parse_bundle(content or b"").certificates
    except InputError:
        return None
    return certificates[0] if certificates else None


def _choose(
    host: Host, options: Options, active: Certificate, found: host_pairs.Found, loader: t.Any
) -> tuple[pairs.Pair, str]:
    """What is there, else what an earlier host of this task has, else the operator's, else a new one."""
    shared = _SHARED.get(options["shared_as"] or "")
    if found.pair is not None:
        other = shared is not None and shared.certificate.sha256 != found.pair.certificate.sha256
        if other:
            raise HostError(
                f"{host.name}: {options['dir']} holds the pair {found.pair.certificate.sha256[:16]}, and another host"
                f" {shared.certificate.sha256[:16] if shared else ''}: expected one CA for all; remove the wrong one"
            )
        # What is active already was judged before it became so.
        if found.pair.certificate.sha256 != active.sha256:
            _judge(found.pair, active, options, f"{host.name}: {options['dir']}")
        return found.pair, "found"
    if shared is not None:
        return shared, "shared"
    if options["file"]:
        content = host_pairs.vault_content(loader, options["file"])
        pair = pairs.parse(content, content, options["file"])
        _judge(pair, active, options, options["file"])
        return pair, "file"
    subject = (
        pairs.named(options["common_name"])
        if options["common_name"]
        else pairs.new_subject(active, options["leaves_marked"])
    )
    pair = pairs.make_ca(
        ec.generate_private_key(ec.SECP256R1()),
        subject,
        now=utc_now(),
        lifetime=durations.parse(options["lifetime"], "lifetime"),
        serial=x509.random_serial_number(),
    )
    _judge(pair, active, options, "a new CA")
    return pair, "made"


def _judge(pair: pairs.Pair, active: Certificate, options: Options, where: str) -> None:
    least = durations.parse(options["leaf_lifetime"], "leaf_lifetime")
    reasons = pairs.judge(pair.certificate, active=active, now=utc_now(), least=least)
    if reasons:
        raise InputError(
            f"{where}: the CA {pair.certificate.sha256[:16]} ({pair.certificate.subject}) cannot be the next one:"
            f" {'; '.join(reasons)}"
        )


def _is_sample(sample: Certificate | None, pair: pairs.Pair) -> bool:
    return sample is not None and signed_by(sample, pair.certificate) and sample.not_after > utc_now()


def _sample(pair: pairs.Pair, options: Options) -> Certificate:
    nobody = ec.generate_private_key(ec.SECP256R1()).public_key()
    lifetime = durations.parse(options["leaf_lifetime"], "leaf_lifetime")
    serial = x509.random_serial_number()
    return pairs.server_sample(pair, nobody, options["server_name"], now=utc_now(), lifetime=lifetime, serial=serial)


def _bridge(
    host: Host, options: Options, certs_dir: str, active: Certificate, pair: pairs.Pair
) -> tuple[files.CertificateFile, Certificate] | None:
    """The file to write and the bridge from the CA that is active now; None: none is wanted, or it is there."""
    if not options["bridge_path"] or active.spki_sha256 == pair.certificate.spki_sha256:
        return None
    file = files.CertificateFile(host, {"path": options["bridge_path"], "mode": "0644"})
    if any(pairs.is_bridge(c, pair.certificate, active, utc_now()) for c in file.bundle().certificates):
        return None
    old = host_pairs.read(host, certs_dir)
    if old.pair is None:
        raise HostError(f"{old.error}; without the key of the active CA there is no bridge: unset bridge_path")
    made = pairs.bridge(pair.certificate, old.pair, now=utc_now(), serial=x509.random_serial_number())
    return file, made


def _about(directory: str, certificate: Certificate | None) -> Result:
    return {
        "dir": directory,
        "sha256": certificate.sha256 if certificate else "",
        "subject": certificate.subject if certificate else "",
        "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}" if certificate else "",
    }


def _diff(header: str, before: Certificate | None, after: Certificate | None) -> dict[str, str]:
    return {
        "before_header": header,
        "after_header": header,
        "before": files.summary([before] if before else []),
        "after": files.summary([after] if after else []),
    }
