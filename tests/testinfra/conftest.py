# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Molecule's verifier asks of hosts at the end of a scenario. It knows nothing of the collection and the lab."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import testinfra


@pytest.fixture(scope="session")
def panel(request: pytest.FixtureRequest) -> Any:
    """The first host of the Control Panel, as root."""
    given = request.config.getoption("--ansible-inventory")
    return testinfra.get_host("ansible://cp1?force_ansible=false", ansible_inventory=given, sudo=True)


@pytest.fixture(scope="session")
def active_ca(panel: Any) -> str:
    """The certificate of the CP's active CA, as its file has it."""
    return str(panel.file("/var/lib/quazzar-cc/certs/ca.crt").content_string)


@pytest.fixture(scope="session")
def fingerprint(active_ca: str) -> str:
    """SHA-256 of the active CA in lower case, without colons."""
    words = ["openssl", "x509", "-noout", "-fingerprint", "-sha256"]
    done = subprocess.run(words, input=active_ca, capture_output=True, text=True, check=True)
    return done.stdout.strip().partition("=")[2].replace(":", "").lower()
