# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica's host at the end of a scenario: one CA, no window, and nothing that a run has left."""

from __future__ import annotations

import re
from typing import Any

import pytest

testinfra_hosts = ["ansible://quazzar_cp?force_ansible=false"]

HOME = "/var/lib/quazzar-cc"
CA, KEY, ENVIRONMENT = f"{HOME}/certs/ca.crt", f"{HOME}/certs/ca.key", "/etc/quazzar-cc/cc.env"
NAME = "cp.quazzar.test"
START = "Quazzar Control Center starting"


def boot(host: Any) -> str:
    """What the journal has of the replica since its last start."""
    return str(host.check_output("journalctl -u quazzar-cc -o cat --no-pager")).rpartition(START)[2]


def test_it_runs(host: Any) -> None:
    assert host.service("quazzar-cc").is_running


def test_it_has_the_active_ca(host: Any, active_ca: str) -> None:
    assert host.file(CA).content_string == active_ca


def test_it_has_loaded_the_active_ca(host: Any, fingerprint: str) -> None:
    assert re.findall(r"active CA loaded .*sha256=(\w+)", boot(host)) == [fingerprint]


def test_it_has_loaded_no_other_ca(host: Any) -> None:
    assert "loaded additional trusted CA" not in boot(host)


def test_its_listener_serves_a_chain_by_the_active_ca(host: Any) -> None:
    address = host.ansible.get_variables()["ansible_host"]
    words = f"-CAfile {CA} -no-CApath -no-CAstore -verify_return_error -verify_hostname {NAME} -servername {NAME}"
    shown = host.run(f"openssl s_client -connect {address}:8443 {words} </dev/null 2>&1")
    assert "Verify return code: 0 (ok)" in shown.stdout, shown.stdout


def test_its_environment_names_no_legacy_ca(host: Any) -> None:
    text = host.file(ENVIRONMENT).content_string
    assert re.findall(r"^\s*(?:export )?CC_TRUST_ADDITIONAL_CA_CERTS=\S+", text, re.MULTILINE) == []


def test_its_environment_keeps_what_was_there(host: Any) -> None:
    assert "CC_SMTP_FROM='Control Center <noreply@quazzar.test>'" in host.file(ENVIRONMENT).content_string


@pytest.mark.parametrize(("path", "mode"), [(ENVIRONMENT, 0o640), (KEY, 0o600), (CA, 0o644)])
def test_the_mode_of_a_file(host: Any, path: str, mode: int) -> None:
    assert oct(host.file(path).mode) == oct(mode)


@pytest.mark.parametrize("path", [ENVIRONMENT, KEY, CA])
def test_the_owner_of_a_file(host: Any, path: str) -> None:
    assert (host.file(path).user, host.file(path).group) == ("root", "root")


def test_nothing_lies_beside_the_environment(host: Any) -> None:
    assert host.check_output("ls -A /etc/quazzar-cc") == "cc.env"


@pytest.mark.parametrize("name", ["staged", "previous"])
def test_nothing_is_left_of_a_planned_rotation(host: Any, name: str) -> None:
    assert not host.file(f"{HOME}/{name}").exists


def test_there_is_no_python(host: Any) -> None:
    assert host.run("command -v python3 python python2").stdout == ""
