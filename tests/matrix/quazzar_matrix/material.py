# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAs, server certificates, identities and pins on disk, each under the name that the truth knows it by."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quazzar_lab import pki

SERVER_NAME = "cp.quazzar.test"
_HOUR = 3600.0


@dataclass(frozen=True)
class Identity:
    """A certificate (a server's: with its chain) and its key."""

    cert: Path
    key: Path


class Material:
    """Everything that one scenario needs.

    CAs: ``old``, ``new``, ``outside`` (has no part in the rotation), ``renewed`` (the new one's name and key under
    other dates), ``over`` (a legacy CA that expired an hour ago). The first two are named alike, as the product names
    them, or apart; ``over`` is named as ``old`` is.
    """

    def __init__(self, directory: Path, *, same_names: bool = True, key_ids: bool = True) -> None:
        self._directory, self._key_ids = directory, key_ids
        directory.mkdir(parents=True, exist_ok=True)
        old, new = (pki.CA_NAME, pki.CA_NAME) if same_names else (f"{pki.CA_NAME} 1", f"{pki.CA_NAME} 2")
        self.cas = {
            "old": pki.make_ca(old, key_ids=key_ids, backdate=400 * 24 * _HOUR),
            "new": pki.make_ca(new, key_ids=key_ids, backdate=_HOUR),
            "outside": pki.make_ca("Company Root CA", key_ids=key_ids),
            "over": pki.make_ca(old, key_ids=key_ids, lifetime=_HOUR, backdate=2 * _HOUR),
        }
        again = pki.cross_sign(self.cas["new"].cert, self.cas["new"], key_ids=key_ids)
        self.cas["renewed"] = pki.Pair(again, self.cas["new"].key)

    def bundle(self, *names: str) -> Path:
        """A file with these CAs in this order: a pin, or a replica's trust pool."""
        path = self._directory / f"{'+'.join(names)}.pem"
        if not path.exists():
            path.write_bytes(b"".join(self.cas[name].pem for name in names))
        return path

    def identity(self, ca: str, name: str = "") -> Identity:
        """A node's leaf by this CA, minted when it is first asked for."""
        name = name or ca
        cert, key = self._paths(f"node-{name}")
        if not cert.exists():
            private = pki.new_key()
            leaf = pki.issue(self.cas[ca], name, private.public_key(), key_ids=self._key_ids)
            pki.Pair(leaf, private).write(cert, key)
        return Identity(cert, key)

    def server(self, kind: str) -> Identity:
        """What a replica serves: a leaf by the CA of this name; ``bridged``: by the new CA, with the new CA
        cross-signed by the old one behind it; ``cn``: by the new CA, its name in the subject alone."""
        cert, key = self._paths(f"server-{kind}")
        if not cert.exists():
            private = pki.new_key()
            ca = self.cas["new" if kind in ("bridged", "cn") else kind]
            public = private.public_key()
            if kind == "cn":
                leaf = _without_alternative_names(ca, public, self._key_ids)
            else:
                leaf = pki.issue(ca, SERVER_NAME, public, server_names=[SERVER_NAME], key_ids=self._key_ids)
            pki.Pair(leaf, private).write(cert, key)
            if kind == "bridged":
                bridge = pki.cross_sign(ca.cert, self.cas["old"], key_ids=self._key_ids)
                cert.write_bytes(cert.read_bytes() + pki.pem(bridge))
        return Identity(cert, key)

    def _paths(self, stem: str) -> tuple[Path, Path]:
        return self._directory / f"{stem}.crt", self._directory / f"{stem}.key"


def _without_alternative_names(ca: pki.Pair, public: object, key_ids: bool) -> x509.Certificate:
    """A server's certificate as they were made twenty years ago."""
    start = pki.now() - dt.timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)]))
        .issuer_name(ca.cert.subject)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if key_ids:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
        builder = builder.add_extension(above, critical=False)
    return builder.sign(ca.key, hashes.SHA256())
