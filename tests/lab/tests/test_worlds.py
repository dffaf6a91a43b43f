# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the trust table, as heartbeats see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quazzar_lab import lab, pki
from quazzar_lab.paths import write_atomic

DOCUMENTED = (
    'tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of "x509: '
    'ECDSA verification failure" while trying to verify candidate authority certificate "Quazzar Control Center CA")'
)
NODE_LINE = "CC no longer trusts this node\u2019s client certificate — the CA was likely rotated on the Control Panel."
BOOT_LINE = "loaded additional trusted CA (rotation grace)"
REMOTE_ALERT = "remote error: tls: bad certificate"


def pin_both(world: Any, name: str) -> None:
    """Push a bundle, the CA that the serving chain needs now first."""
    old, new = world.cas()[:2]
    write_atomic(world.node_path(name, "ca.crt"), pki.pem(new) + pki.pem(old))


def test_w1_serves_from_the_legacy_ca(start_lab: Callable[..., Any]) -> None:
    world = start_lab("world=W1")
    lab.regenerate_ca(world.dir)
    world.settle(node01=False, node02=False)
    assert f": {DOCUMENTED}" in world.cp_log(boot=True), "row 3: the CP refuses the old leaf"
    assert NODE_LINE in world.node_log("node01")
    assert world.links()["node01"]["needs_registration"]

    world.set_pool(str(world.legacy()))
    assert world.cp_log(boot=True).count(BOOT_LINE) == 1
    world.settle(node01=True, node02=True)  # row 5

    assert world.register("node01")[0] == 200
    world.settle(node01=False, node02=True)  # row 6: the new pin alone refuses the old server certificate
    assert DOCUMENTED in world.node_log("node01")
    assert REMOTE_ALERT in world.cp_log(boot=True)
    pin_both(world, "node01")
    world.settle(node01=True, node02=True)

    lab.flip(world.dir, "cp1")
    world.settle(node01=True, node02=False)  # rows 7 and 4: the pool does not help a node that pins the old CA only
    pin_both(world, "node02")
    world.settle(node02=True)


def test_w2_serves_from_the_active_ca(start_lab: Callable[..., Any]) -> None:
    world = start_lab("world=W2")
    lab.regenerate_ca(world.dir)
    world.settle(node01=False)
    assert DOCUMENTED in world.node_log("node01"), "row 2: the node refuses the CP"
    assert REMOTE_ALERT in world.cp_log(boot=True)
    assert DOCUMENTED not in world.cp_log(boot=True)

    world.set_pool(str(world.legacy()))
    world.settle(node01=False, node02=False)  # row 4
    pin_both(world, "node01")
    world.settle(node01=True, node02=False)  # row 7
    assert world.register("node01")[0] == 200
    world.settle(node01=True)

    world.set_pool("")
    assert BOOT_LINE not in world.cp_log(boot=True)
    pin_both(world, "node02")
    world.settle(node01=True, node02=False)
    assert DOCUMENTED in world.cp_log(boot=True), "after the strip the legacy leaf is refused"


def test_w3_serves_from_an_outside_ca(start_lab: Callable[..., Any]) -> None:
    world = start_lab("world=W3")
    lab.regenerate_ca(world.dir)
    world.settle(node01=False)
    assert DOCUMENTED in world.cp_log(boot=True)
    world.set_pool(str(world.legacy()))
    world.settle(node01=True, node02=True)
    assert world.register("node01")[0] == 200
    world.settle(node01=True, node02=True)


def test_w4_serves_a_bridged_chain(start_lab: Callable[..., Any]) -> None:
    world = start_lab("world=W4")
    lab.regenerate_ca(world.dir)
    world.settle(node01=False)
    assert DOCUMENTED in world.cp_log(boot=True), "the node trusts the bridge, the CP refuses its leaf"
    assert DOCUMENTED not in world.node_log("node01")
    world.set_pool(str(world.legacy()))
    world.settle(node01=True, node02=True)  # row 8, the old pin
    assert world.register("node01")[0] == 200
    world.settle(node01=True, node02=True)  # row 8, the new pin


@pytest.mark.parametrize("key_ids", ["true", "false"])
def test_distinct_names_look_like_a_probe_without_a_certificate(start_lab: Callable[..., Any], key_ids: str) -> None:
    world = start_lab("world=W1", "ca_names=distinct", f"key_ids={key_ids}", nodes=1)
    lab.regenerate_ca(world.dir)
    world.settle(node01=False)
    log = world.cp_log(boot=True)
    assert f"TLS handshake error from {world.node('node01')['address']}" in log
    assert "tls: client didn't provide a certificate" in log
    assert "ECDSA verification failure" not in log


def test_a_w1_replica_may_reissue_at_boot(start_lab: Callable[..., Any]) -> None:
    world = start_lab("world=W1", "reissue_at_boot=true", nodes=1)
    served = lab.status(world.dir)["replicas"]["cp1"]["serving"]
    lab.regenerate_ca(world.dir)
    assert lab.status(world.dir)["replicas"]["cp1"]["serving"] == served
    world.set_pool(str(world.legacy()))
    assert lab.status(world.dir)["replicas"]["cp1"]["serving"] != served
