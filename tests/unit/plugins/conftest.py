# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures shared by all unit tests: certificates minted on the spot. No secret is stored in the repository."""

from __future__ import annotations

import pytest

from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting


@pytest.fixture(scope="session")
def make_ca():
    """``make_ca(name=..., key_ids=True, ...)`` -> Minted with .pem, .key_pem, .der, .cert (see minting.make_ca)."""
    return minting.make_ca


@pytest.fixture(scope="session")
def make_leaf():
    """``make_leaf(ca, name=..., ...)`` -> Minted with .pem, .key_pem, .der, .cert (see minting.make_leaf)."""
    return minting.make_leaf


@pytest.fixture(scope="session")
def now():
    """An aware UTC time at which everything that minting makes by default is valid."""
    return minting.NOW


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: many repetitions of what one run of the tests does a few times")
    # ansible-test does not read pyproject.toml.
    config.addinivalue_line("markers", "ssh: runs over a real OpenSSH server on loopback, without root")
    config.addinivalue_line("markers", "sudo: as ssh, with sudo; needs root")


def pytest_collection_modifyitems(config, items):
    """Leave the nightly ones out unless an expression with -m asks for them."""
    if "nightly" in config.getoption("markexpr"):
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly:
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
