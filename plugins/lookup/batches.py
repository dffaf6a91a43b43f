# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: batches
author: Quazzar CA Rotation contributors (@quazzar-ca-rotation)
short_description: The batches of a re-registration, for the keyword serial
version_added: 1.0.0
description:
  - Returns the batches that it is given, for use in the play keyword C(serial).
  - From then on the first Ctrl-C is a request to stop after the current set of nodes
    (see M(quazzar.ca_rotation.rotation_progress)); a second one ends Ansible as ever.
options:
  _terms:
    description:
      - Sizes of batches, numbers or percentages, as C(serial) takes them.
      - A list of them, or a text with commas, which is what an extra variable often is.
    required: true
seealso:
  - module: quazzar.ca_rotation.rotation_progress
"""

EXAMPLES = r"""
- name: Register the nodes again, in batches
  hosts: quazzar_nodes
  gather_facts: false
  serial: "{{ query('quazzar.ca_rotation.batches', 1, '5%', '25%') }}"
  tasks: []
"""

RETURN = r"""
_list:
  description: The sizes as they were given.
  type: list
  elements: raw
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import batches
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import interrupt


class LookupModule(LookupBase):
    def run(self, terms: list[t.Any], variables: t.Any = None, **kwargs: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=kwargs)
        interrupt.arm()
        found: list[t.Any] = []
        for term in terms:
            found += batches.listed(term)
        return [item.strip() if isinstance(item, str) else item for item in found]
