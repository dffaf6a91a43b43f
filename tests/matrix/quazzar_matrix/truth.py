# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must come of each cell, as a table: which pin takes which server certificate, which pool takes which leaf.

Written down from how TLS works and from what was measured, not from the collection's code. A pin or a pool is named by
its CAs in the order of the file, "new+old".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .matrix import Truth
from .nodes import Verdict

#: What a replica serves -> the pins that take it, whoever verifies.
NODE_TAKES = {
    "old": {"old", "old+new", "new+old"},
    "new": {
        "new",
        "old+new",
        "new+old",
        "renewed",
        "renewed+old",
        "old+renewed",
        "renewed+new",
        "new+renewed",
        "new+over",
        "over+new",
    },
    # the new leaf, and behind it the new CA cross-signed by the old one
    "bridged": {"old", "new", "old+new", "new+old"},
    "outside": {"outside"},
    "over": set[str](),
}

#: A replica's pool -> the leaves that it takes, by the CA that signed them.
CP_TAKES = {
    "old": {"old"},
    "new": {"new"},
    "new+old": {"new", "old"},
    "old+new": {"new", "old"},
    # a renewal over the same key is the same CA
    "renewed": {"new"},
    "renewed+new": {"new"},
    "new+renewed": {"new"},
    "renewed+old": {"new", "old"},
    "old+renewed": {"new", "old"},
    # a legacy CA that has expired helps nobody, and harms nobody else
    "new+over": {"new"},
    "over+new": {"new"},
    "over": set[str](),
}

#: The server's name in its subject alone: OpenSSL still takes that, Go does not.
NODE_TAKES_CN = {"openssl": {"new", "old+new", "new+old"}, "go": set[str]()}

#: With two CAs of one name and no key identifiers OpenSSL takes the first one of that name, and no other, for the
#: issuer (openssl#16304). Go tries each. (what is served, pin), and (the leaf's CA, pool).
OPENSSL_NODE_TAKES_NOT = {
    *(("old", "new+old"), ("new", "old+new"), ("new", "old+renewed"), ("cn", "old+new")),
    # the old CA bears the name of the leaf's issuer, so the bridge is never looked at
    *(("bridged", "old"), ("bridged", "old+new")),
}
OPENSSL_CP_TAKES_NOT = {("old", "new+old"), ("new", "old+new"), ("old", "renewed+old"), ("new", "old+renewed")}


@dataclass(frozen=True)
class Phase:
    """What the replicas serve and trust."""

    serves: str
    trusts: str

    @property
    def title(self) -> str:
        return f"CP serves {self.serves}, trusts {self.trusts}"


def truth_of(phase: Phase, *, ambiguous: bool = False, signed_by: Mapping[str, str] | None = None) -> Truth:
    """What must come of each cell of this phase.

    ``ambiguous``: the CAs share their name and have no key identifiers; then a replica whose name begins with "openssl"
    verifies as OpenSSL does. ``signed_by``: the CA of each identity that does not bear its CA's name.
    """
    signers = signed_by or {}

    def expected(identity: str, pin: str, replica: str, verifier: str) -> Verdict:
        ca = signers.get(identity, identity)
        node = pin in (NODE_TAKES_CN[verifier] if phase.serves == "cn" else NODE_TAKES[phase.serves])
        if ambiguous and verifier == "openssl":
            node = node and (phase.serves, pin) not in OPENSSL_NODE_TAKES_NOT
        cp = ca in CP_TAKES[phase.trusts]
        if ambiguous and replica.startswith("openssl"):
            cp = cp and (ca, phase.trusts) not in OPENSSL_CP_TAKES_NOT
        return Verdict("ok" if node else "refused", "accepted" if cp else "refused")

    return expected


#: The rows of the table of the two directions: row, what the CP serves and trusts, the node's leaf and pin, result.
ROWS = (
    ("1", "old", "old", "old", "old", "up"),
    ("2", "new", "new", "old", "old", "both refuse"),
    ("3", "old", "new", "old", "old", "CP refuses"),
    ("4", "new", "new+old", "old", "old", "node refuses"),
    ("5", "old", "new+old", "old", "old", "up"),
    ("6", "old", "new+old", "new", "new", "node refuses"),
    ("7", "new", "new+old", "old", "old+new", "up"),
    ("8a", "bridged", "new+old", "old", "old", "up"),
    ("8b", "bridged", "new+old", "new", "new", "up"),
)

#: What the replicas serve and trust on the way through each world, phase by phase.
WORLDS = {
    "W1": {
        "before": Phase("old", "old"),
        "accident": Phase("old", "new"),
        "window": Phase("old", "new+old"),
        "flip": Phase("new", "new+old"),
        "strip": Phase("new", "new"),
    },
    "W2": {
        "before": Phase("old", "old"),
        "accident": Phase("new", "new"),
        "window": Phase("new", "new+old"),
        "strip": Phase("new", "new"),
    },
    "W3": {
        "before": Phase("outside", "old"),
        "accident": Phase("outside", "new"),
        "window": Phase("outside", "new+old"),
        "strip": Phase("outside", "new"),
    },
    "W4": {
        "before": Phase("old", "old"),
        "accident": Phase("bridged", "new"),
        "window": Phase("bridged", "new+old"),
        "strip": Phase("bridged", "new"),
    },
    # planned rotations: "window" is the time from the staging of the new CA on
    "W1 planned": {
        "before": Phase("old", "old"),
        "window": Phase("old", "old+new"),
        "active": Phase("old", "new+old"),
        "flip": Phase("new", "new+old"),
        "strip": Phase("new", "new"),
    },
    "W2 planned": {
        "before": Phase("old", "old"),
        "window": Phase("old", "old+new"),
        "active": Phase("new", "new+old"),
        "strip": Phase("new", "new"),
    },
    "W4 planned": {
        "before": Phase("old", "old"),
        "window": Phase("old", "old+new"),
        "active": Phase("bridged", "new+old"),
        "strip": Phase("bridged", "new"),
    },
}
