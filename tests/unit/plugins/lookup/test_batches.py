# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.lookup import batches
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import interrupt


@pytest.fixture
def sigint():
    """What a process started at a terminal has. In the background of a shell the signal is ignored, and stays so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)
    interrupt._asked.clear()


def sizes(terms):
    """As Ansible's loader has it: before ansible-core 2.19 options are looked up by the name that it was loaded by."""
    plugin = batches.LookupModule()
    plugin._load_name = "quazzar.ca_rotation.batches"
    return plugin.run(terms, {})


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([[1, "5%", "25%"]], [1, "5%", "25%"]),
        ([1, "5%"], [1, "5%"]),
        (["1,5%, 25%"], ["1", "5%", "25%"]),
        (['[1, "5%"]'], ["1", "5%"]),
        ([2], [2]),
    ],
)
def test_sizes_come_back_as_serial_takes_them(sigint, terms, expected):
    assert sizes(terms) == expected


def test_the_first_ctrl_c_asks_and_the_second_one_ends(sigint, capfd):
    sizes([1])
    sizes([1])
    assert not interrupt.requested()
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.requested()
    assert "Stopping after the current set of nodes" in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
