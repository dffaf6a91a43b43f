# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mTLS port as openssl sees it: names, tickets, versions, the two directions."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from quazzar_lab import lab


def s_client(panel: Any, *words: str, node: str = "node01") -> str:
    address = panel.facts["endpoints"]["cp1"]
    with subprocess.Popen(["sleep", "0.4"], stdout=subprocess.PIPE) as pause:
        done = subprocess.run(
            [
                *("timeout", "5", "openssl", "s_client", "-connect", address, "-servername", "cp.quazzar.test"),
                *("-CAfile", str(panel.node_path(node, "ca.crt")), *words),
            ],
            stdin=pause.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return done.stdout


def identity(panel: Any, node: str = "node01") -> tuple[str, ...]:
    return (
        *("-cert", str(panel.node_path(node, "client.crt"))),
        *("-key", str(panel.node_path(node, "client.key"))),
    )


@pytest.fixture(scope="module")
def panel(start_shared_lab: Callable[..., Any]) -> Any:
    """After the accident, with the old CA in the pool; node01 has re-registered, node02 has not."""
    made = start_shared_lab("ca_names=same")
    lab.regenerate_ca(made.dir)
    made.set_pool(str(made.legacy()))
    assert made.register("node01")[0] == 200
    return made


def test_both_cas_are_named_though_they_share_the_name(panel: Any) -> None:
    shown = s_client(panel)
    names = shown.split("Acceptable client certificate CA names")[1].split("Requested")[0]
    assert names.count("Quazzar Control Center CA") == 2


def test_old_and_new_leaf_are_accepted(panel: Any) -> None:
    assert "New Session Ticket arrived" in s_client(panel, *identity(panel))
    shown = s_client(panel, *identity(panel, "node02"), node="node01")
    assert "New Session Ticket arrived" in shown and "Verify return code: 0 (ok)" in shown


def test_without_a_certificate_it_is_refused(panel: Any) -> None:
    assert "SSL alert number 116" in s_client(panel)


@pytest.mark.parametrize(("alert", "number"), [("bad_certificate", 42), ("unknown_ca", 48)])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_after_the_strip_the_old_leaf_is_refused(panel: Any, alert: str, number: int, version: str) -> None:
    panel.option(f"refusal_alert={alert}", f"tls_max={version}")
    panel.set_pool("")
    assert f"SSL alert number {number}" in s_client(panel, *identity(panel, "node02"))
    shown = s_client(panel, *identity(panel))
    assert "SSL alert" not in shown and f"TLSv{version}" in shown


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_without_tickets(panel: Any, version: str) -> None:
    panel.option("tickets=false", f"tls_max={version}", "refusal_alert=bad_certificate")
    panel.set_pool(str(panel.legacy()))
    for node in ("node01", "node02"):
        shown = s_client(panel, *identity(panel, node), node="node01")
        assert "icket" not in shown.replace("No ALPN", ""), shown
        assert "SSL alert" not in shown
    assert panel.register("node01")[0] == 200
    panel.set_pool("")
    assert "SSL alert number" in s_client(panel, *identity(panel, "node02"))
    assert "ECDSA verification failure" in panel.cp_log(boot=True)
    panel.option("tickets=true", "tls_max=1.3")
