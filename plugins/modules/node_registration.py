#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_registration
short_description: Register a node again with the Control Panel and prove it
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Hands a registration token to the OS of a node, waits on the node for the new leaf, and proves the result by the same evidence as
    M(quazzar.ca_rotation.node_info).
  - >-
    It does nothing when the node is proven already: its leaf is by the active CA, the active CA is in its pin, and a handshake is
    accepted both ways.
  - >-
    The request is sent again only after an answer that says that it was not taken (429, 503 with C(Retry-After), one 401). After
    silence the leaf on the node's disk decides, because the token may be good for one use.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.node
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - RV(node) is the evidence after the registration; compare it with that of M(quazzar.ca_rotation.node_info).
  idempotent:
    support: full
    details:
      - With O(force=true) every run registers again.
options:
  token:
    description: The registration token. It is needed only when the node is to be registered.
    type: str
  active_ca:
    description: The active CA's certificate in PEM.
    type: str
    required: true
  register_path:
    description: Path of the OS API that takes the token.
    type: str
    default: /api/cc/register
  register_body:
    description:
      - Fields of the request's body. C({token}) in a text is replaced by the token.
      - Without a C({token}) anywhere the field C(token) is added.
    type: dict
    default: {}
  register_status:
    description: HTTP status codes that mean that the registration was accepted.
    type: list
    elements: int
    default: [200, 201, 202, 204]
  register_from:
    description: Who calls O(os_url), the V(node) itself or the V(controller).
    type: str
    choices: [node, controller]
    default: node
  pin_certificates:
    description:
      - CA certificates in PEM to write into the pin as soon as the registration has put its own there.
      - >-
        Needed while the Control Panel's server certificate is still by the legacy CA: a node that pins only the active CA would refuse
        it. Must hold the active CA.
    type: list
    elements: str
    default: []
  restart_command:
    description: Command to run on the node after its pin or leaf was changed.
    type: str
  wait:
    description: The most seconds to wait for the new leaf after the registration was accepted, or left without an answer.
    type: int
    default: 30
  retry_max_wait:
    description: The most seconds to spend on waiting as C(Retry-After) says, all together.
    type: int
    default: 60
  force:
    description: Register again even though the node is proven.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.registration_token
  - module: quazzar.ca_rotation.node_info
"""

EXAMPLES = r"""
- name: Register a node again
  quazzar.ca_rotation.node_registration:
    address: panel.example.com:8443
    active_ca: "{{ active_ca_pem }}"
    token: "{{ registration_tokens[inventory_hostname] }}"
    os_api_key: "{{ vault_os_api_key }}"
    tolerate: true
  become: true
  register: registration

- name: Register a node while the server certificate is still by the legacy CA
  quazzar.ca_rotation.node_registration:
    address: panel.example.com:8443
    active_ca: "{{ active_ca_pem }}"
    pin_certificates:
      - "{{ legacy_ca_pem }}"
      - "{{ active_ca_pem }}"
    token: "{{ registration_tokens[inventory_hostname] }}"
    os_username: admin
    os_password: "{{ vault_os_password }}"
  become: true
"""

RETURN = r"""
outcome:
  description:
    - V(registered) means proven after the registration, V(already) proven before it, V(predicted) would be registered (check mode).
    - V(failed) means not proven, and V(unreachable) that the node did not answer.
  returned: always
  type: str
  sample: registered
detail:
  description: What is missing or went wrong, else empty.
  returned: always
  type: str
  sample: ''
pin_written:
  description: Whether the pin holds O(pin_certificates) now.
  returned: always
  type: bool
  sample: false
node:
  description: The evidence after the registration, or before it when nothing was sent, as RV(quazzar.ca_rotation.node_info#module:node).
  returned: always
  type: dict
  sample: {}
"""
