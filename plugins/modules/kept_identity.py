#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kept_identity
short_description: Keep a node's identity on the node for the negative proof
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Copies the leaf and its key into a directory that only root can read, on the node itself, before the node is registered again. With
    this copy M(quazzar.ca_rotation.node_info) shows that the legacy identity is accepted before its CA is retired, and refused after.
  - The key is copied by the node and never leaves it.
  - >-
    A copy that is there already stays as it is without O(replace=true), because the files it was made from may belong to a new
    identity by now.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.node.identity
requirements:
  - cryptography (on the controller)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is nothing to show of a key.
  idempotent:
    support: full
options:
  state:
    description: Whether the copy is to be there.
    type: str
    choices: [present, absent]
    default: present
  dir:
    description: Directory on the node. It is made with mode V(0700), and removed with the copy when nothing else is in it.
    type: str
    default: /var/lib/quazzar-ca-rotation
  replace:
    description:
      - Replace a copy that is there by the identity that the node has now.
      - RV(quazzar.ca_rotation.rotation_plan#module:targets.keep_identity) names a node with a copy only where that one proves nothing.
    type: bool
    default: false
  tolerate:
    description: Return a failure, an unreachable node too, as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.node_info
"""

EXAMPLES = r"""
- name: Keep the legacy identity
  quazzar.ca_rotation.kept_identity:
  become: true

- name: Delete it again
  quazzar.ca_rotation.kept_identity:
    state: absent
  become: true
"""

RETURN = r"""
dir:
  description: The directory.
  returned: success
  type: str
  sample: /var/lib/quazzar-ca-rotation
sha256:
  description: SHA-256 of the leaf that is kept, or in check mode would be. Empty with O(state=absent).
  returned: success
  type: str
  sample: 1b2ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9
reachable:
  description: Whether the node could be reached.
  returned: success
  type: bool
  sample: true
error:
  description: What went wrong (with O(tolerate=true)), else empty.
  returned: success
  type: str
  sample: ''
"""
