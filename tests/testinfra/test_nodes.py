# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node at the end of a scenario: it belongs to the CP's active CA, and to no other."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://quazzar_nodes?force_ansible=false"]

HOME = "/var/lib/quazzar/certs"
PIN, LEAF, KEY = (f"{HOME}/{name}" for name in ("ca.crt", "client.crt", "client.key"))
MODES = {PIN: 0o644, LEAF: 0o644, KEY: 0o600}


def test_the_pin_is_the_active_ca(host: Any, active_ca: str) -> None:
    assert host.file(PIN).content_string == active_ca


def test_the_leaf_is_by_the_active_ca(host: Any) -> None:
    verified = host.run(f"openssl verify -partial_chain -no-CApath -no-CAstore -CAfile {PIN} {LEAF}")
    assert verified.rc == 0, verified.stdout + verified.stderr


def test_the_leaf_belongs_to_the_key(host: Any) -> None:
    leaf, key = f"openssl x509 -in {LEAF} -noout -pubkey", f"openssl pkey -in {KEY} -pubout"
    assert host.check_output(leaf) == host.check_output(key)


@pytest.mark.parametrize("path", MODES)
def test_the_mode_of_a_file(host: Any, path: str) -> None:
    assert oct(host.file(path).mode) == oct(MODES[path])


@pytest.mark.parametrize("path", MODES)
def test_the_owner_of_a_file(host: Any, path: str) -> None:
    assert (host.file(path).user, host.file(path).group) == ("root", "root")


def test_nothing_lies_beside_the_files(host: Any) -> None:
    assert sorted(host.check_output(f"ls -A {HOME}").split()) == ["ca.crt", "client.crt", "client.key"]


def test_no_identity_is_kept_for_a_proof(host: Any) -> None:
    assert host.run("ls -A /var/lib/quazzar-ca-rotation").stdout == ""


def test_the_agent_runs(host: Any) -> None:
    assert host.service("quazzar-agent").is_running


def test_there_is_no_python(host: Any) -> None:
    assert host.run("command -v python3 python python2").stdout == ""


def test_who_logs_in_is_not_root(host: Any) -> None:
    with host.sudo("deploy"):
        assert host.check_output("id -u") != "0"


def test_who_logs_in_cannot_read_the_key(host: Any) -> None:
    with host.sudo("deploy"):
        assert host.run(f"cat {KEY}").rc != 0
