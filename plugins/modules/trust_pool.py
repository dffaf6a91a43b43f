#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_pool
short_description: Edit the list of additional CA files that a Control Panel trusts
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Edits one comma-separated variable in a C(KEY=VALUE) file on a Control Panel host, as systemd, Compose and shells read it. Every other
    entry, the quoting, C(export), comments, the order of the lines, owner and mode stay as they are. The host needs no Python.
  - >-
    Only the lines that mention the variable travel to the controller: the other lines of such a file may hold secrets. The file
    is replaced as a whole, and only if it still is what was read before.
  - A line that systemd, Compose and a shell would read differently is refused instead of being edited.
  - The Control Panel reads the variable when it starts. This module does not restart it.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.changing_module
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
options:
  env_file:
    description: Absolute path of the file on the host. A symbolic link is followed.
    type: str
    required: true
  variable:
    description: Name of the variable.
    type: str
    default: CC_TRUST_ADDITIONAL_CA_CERTS
  add:
    description: Paths that are to be in the list. One that is missing is added at the end.
    type: list
    elements: str
    default: []
  remove:
    description:
      - Paths that are not to be in the list.
      - >-
        The line goes with its last entry, unless there is a comment on it or the same variable is set by an earlier line, which
        would come into force.
    type: list
    elements: str
    default: []
  state:
    description: V(absent) takes out all entries, and the line as O(remove) does.
    type: str
    choices: [present, absent]
    default: present
  create:
    description: Make the file when it does not exist. Otherwise a missing file is an error, because it often means a wrong path.
    type: bool
    default: false
  tolerate:
    description: Return a failure, an unreachable host too, as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.trust_file
  - module: quazzar.ca_rotation.cp_info
"""

EXAMPLES = r"""
- name: Open the grace window
  quazzar.ca_rotation.trust_pool:
    env_file: /etc/quazzar-cc/environment
    add:
      - /var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt
  become: true

- name: Close it
  quazzar.ca_rotation.trust_pool:
    env_file: /etc/quazzar-cc/environment
    remove:
      - /var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt
  become: true
"""

RETURN = r"""
value:
  description: The value after the change, or in check mode what it would be.
  returned: success
  type: str
  sample: /var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt
entries:
  description: The paths in it.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt]
previous_entries:
  description: The paths before.
  returned: success
  type: list
  elements: str
  sample: []
line:
  description: Number of the line that is in force after the change, V(null) when there is none.
  returned: success
  type: int
  sample: 12
reachable:
  description: Whether the host could be reached.
  returned: success
  type: bool
  sample: true
error:
  description: What went wrong (with O(tolerate=true)), else empty.
  returned: success
  type: str
  sample: ''
"""
