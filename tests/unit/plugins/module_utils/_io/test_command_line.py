# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command that is printed to go on with a halted run."""

from __future__ import annotations

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import command_line

NAME = "quazzar.ca_rotation.ca_rotate"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"args": (NAME,)}, f"ansible-playbook {NAME}"),
        ({"args": (NAME,), "inventory": ("a b.yml", "c/")}, f"ansible-playbook -i 'a b.yml' -i c/ {NAME}"),
        ({"args": (NAME,), "subset": "a,localhost"}, f"ansible-playbook --limit a,localhost {NAME}"),
        ({"args": (NAME,), "extra_vars": ("@more.yml",)}, f"ansible-playbook -e @more.yml {NAME}"),
        ({}, "run the same playbook again"),
        ({"args": "all"}, "run the same playbook again"),
    ],
)
def test_the_command_as_a_shell_line(arguments, line):
    assert command_line.compose(arguments) == line


def test_extra_variables_may_be_secret():
    line = command_line.compose({"args": (NAME,), "extra_vars": ("@more.yml", "quazzar_cp_password=hunter2")})
    assert line == f"ansible-playbook -e @more.yml {NAME} (with the same --extra-vars as before)"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"args": (NAME, "b.yml")}, f"{NAME} b.yml"),
        ({"args": ()}, "ansible"),
        ({"args": "all"}, "ansible"),
        ({}, "ansible"),
    ],
)
def test_the_playbooks_by_name(monkeypatch, arguments, named):
    monkeypatch.setattr(command_line.context, "CLIARGS", arguments)
    assert command_line.playbooks() == named
