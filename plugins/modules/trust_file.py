#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_file
short_description: Put a file of CA certificates in place on a host
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Writes a file that holds exactly the given certificates: a legacy CA on a Control Panel host, or the pin of a node. The host
    needs no Python.
  - >-
    The file is replaced as a whole and only if it still is what was read before; it keeps its owner, mode and security context. When
    that cannot be done, because the disk is full for example, the old file stays as it was. A symbolic link is followed.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.changing_module
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
options:
  path:
    description: Absolute path of the file on the host.
    type: str
    required: true
  certificates:
    description:
      - The certificates in PEM, in the order in which they are to stand in the file.
      - Each is written once and in a normal form. An entry with a private key in it is refused.
      - Required with O(state=present).
    type: list
    elements: str
  state:
    description: Whether the file is to be there.
    type: str
    choices: [present, absent]
    default: present
  backup:
    description: >-
      Absolute path of a copy of the old file, made before it is changed for the first time. A copy that is there already
      stays as it is.
    type: str
  mode:
    description:
      - Mode of the file in octal digits, in quotes.
      - An existing file keeps its own when this is not set; a new one gets V(0644).
    type: raw
  owner:
    description: Owner of the file. The default is to keep that of an existing file, and the user of the task for a new one.
    type: str
  group:
    description: Group of the file, as O(owner).
    type: str
  make_directory:
    description: >-
      Make the directory of the file, with mode V(0755), when it does not exist. Only the last part of the path is made. Otherwise a
      missing directory is an error, because it often means a wrong path.
    type: bool
    default: false
  restart_command:
    description: Command to run on the host after the file was changed.
    type: str
  tolerate:
    description: Return a failure, an unreachable host too, as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.trust_pool
  - module: quazzar.ca_rotation.ca_info
"""

EXAMPLES = r"""
- name: Put a legacy CA where the Control Panel can read it
  quazzar.ca_rotation.trust_file:
    path: /var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt
    certificates:
      - "{{ lookup('ansible.builtin.file', 'backup/ca.crt') }}"
    make_directory: true
  become: true

- name: Let a node trust both CAs
  quazzar.ca_rotation.trust_file:
    path: /var/lib/quazzar/certs/ca.crt
    certificates:
      - "{{ active_ca_pem }}"
      - "{{ legacy_ca_pem }}"
    backup: /var/lib/quazzar/certs/ca.crt.before-rotation
    restart_command: systemctl restart quazzar-agent
  become: true
"""

RETURN = r"""
path:
  description: The path.
  returned: success
  type: str
  sample: /var/lib/quazzar/certs/ca.crt
sha256:
  description: SHA-256 of each certificate that the file holds, or in check mode would hold.
  returned: success
  type: list
  elements: str
  sample: [7d1ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9]
previous_sha256:
  description: SHA-256 of each certificate that it held before.
  returned: success
  type: list
  elements: str
  sample: []
backup:
  description: Path of the copy that was made now, else empty.
  returned: success
  type: str
  sample: ''
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
