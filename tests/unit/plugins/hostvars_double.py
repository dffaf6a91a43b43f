# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's own hostvars, for code that reads registered results out of them."""

from __future__ import annotations

import typing as t

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager


def hostvars(of: t.Mapping[str, t.Mapping[str, t.Any]]) -> HostVars:
    """For an inventory of these hosts. What Ansible may template is in the variables, what tasks registered too."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=None, parse=False)
    variables = VariableManager(loader=loader, inventory=inventory, version_info={})
    for host, values in of.items():
        if host != "localhost":
            inventory._inventory.add_host(host)
        variables.set_nonpersistent_facts(host, dict(values))
    return HostVars(inventory, variables, loader)
