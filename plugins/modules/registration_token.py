#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registration_token
short_description: Mint or revoke registration tokens at the Control Panel
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - Mints registration tokens for a batch of nodes, one for each node or one multi-use token for all of them.
  - >-
    Where tokens can only be made by hand in the Control Panel, O(tokens) takes them; this module then checks that each node has
    one and gives them back in the same shape.
  - A token admits a node to the fleet. Set C(no_log) on the task; no message of this module ever holds a token.
  - It runs on the controller.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.cp_api
attributes:
  check_mode:
    support: full
    details: Nothing is minted or revoked; RV(tokens) is empty unless O(tokens) is given.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: A token is minted anew each time, unless O(tokens) is given.
options:
  state:
    description:
      - V(present) mints tokens, or hands on those of O(tokens).
      - >-
        V(absent) revokes those of O(tokens) with O(revoke_request). The documentation of the Control Panel has no such request: without
        O(revoke_request) nothing is done and RV(manual_step) says what to do by hand.
    type: str
    choices: [present, absent]
    default: present
  nodes:
    description: Names of the nodes that need a token.
    type: list
    elements: str
    required: true
  tenants:
    description: >-
      Mapping from node to the name of its tenant in O(credentials). It is needed when O(credentials) has several entries, because a
      node that registers with another tenant's token would change hands.
    type: dict
    default: {}
  registry_var:
    description: >-
      Variable with the registered result of M(quazzar.ca_rotation.fleet_info). With several O(credentials) the tenant of a node that
      O(tenants) does not name is the one in whose list it is, found by C(quazzar_instance_id) or C(quazzar_instance_name).
    type: str
  registry_host:
    description: Host that has O(registry_var).
    type: str
    default: localhost
  per:
    description:
      - V(node) mints a token of its own for each node.
      - V(batch) mints one multi-use token (for each tenant) with O(uses), or the number of nodes, as its limit.
    type: str
    choices: [node, batch]
    default: node
  tokens:
    description:
      - Tokens that exist already, a mapping from node to token or one multi-use token for all nodes.
      - With O(state=present) these are handed on and the API is not asked. With O(state=absent) these are revoked.
    type: raw
  ids:
    description: With O(state=absent) a mapping from node to the id of its token, as RV(ids) of the task that minted them.
    type: dict
    default: {}
  token_body:
    description:
      - >-
        Body of the request for a token. V({node}), V({uses}), V({expires_in}) (seconds) and V({expires_at}) (RFC 3339) are replaced in
        its values.
      - >-
        When O(uses) is set and not mentioned it is added as C(max_uses), and when O(expires_in) is set and not mentioned it is added as
        C(expires_in).
    type: dict
    default: {}
  token_query:
    description: JMESPath expression that finds the token in the answer.
    type: str
    default: token
  token_id_query:
    description: >-
      JMESPath expression that finds the token's id in the answer, for a later revocation. It may find nothing. With O(state=absent) it is
      named where an id is missing in O(ids).
    type: str
    default: id
  expires_in:
    description: Lifetime of a token in seconds. When unset the Control Panel decides.
    type: int
  uses:
    description: How often a token may be used. When unset the Control Panel decides, but see O(per).
    type: int
  revoke_request:
    description: The request that revokes one token. V({id}) and V({token}) are replaced in O(revoke_request.path) and O(revoke_request.body).
    type: dict
    suboptions:
      method:
        description: HTTP method.
        type: str
        choices: [DELETE, POST, PUT, PATCH]
        default: DELETE
      path:
        description: Path below O(api_url), such as V(fleet/tokens/{id}).
        type: str
        required: true
      body:
        description: Body of the request.
        type: dict
      gone_status:
        description: Statuses which mean that the token is used up or gone already. They are no failure and no change.
        type: list
        elements: int
        default: [404, 409, 410]
  tolerate:
    description: Return a failure as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.node_registration
  - module: quazzar.ca_rotation.fleet_info
"""

EXAMPLES = r"""
- name: One token for each node, valid for half an hour
  quazzar.ca_rotation.registration_token:
    api_url: https://panel.example.com/api/
    username: rotation
    password: "{{ vault_panel_password }}"
    nodes: [node-1, node-2]
    expires_in: 1800
    uses: 1
  delegate_to: localhost
  become: false
  no_log: true
  register: minted

- name: Tokens made by hand in the user interface
  quazzar.ca_rotation.registration_token:
    nodes: [node-1, node-2]
    tokens: "{{ vault_registration_tokens }}"
  delegate_to: localhost
  become: false
  no_log: true

- name: Revoke what was not used
  quazzar.ca_rotation.registration_token:
    state: absent
    api_url: https://panel.example.com/api/
    username: rotation
    password: "{{ vault_panel_password }}"
    nodes: [node-2]
    tokens: "{{ minted.tokens }}"
    ids: "{{ minted.ids }}"
    revoke_request:
      method: DELETE
      path: fleet/tokens/{id}
  delegate_to: localhost
  become: false
  no_log: true
"""

RETURN = r"""
tokens:
  description: The token of each node. Empty with O(state=absent), and in check mode unless O(tokens) is given.
  returned: success
  type: dict
  sample: {node-1: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER}
ids:
  description: The id of each node's token, empty where it is not known.
  returned: success
  type: dict
  sample: {node-1: tok_abc123}
error:
  description: Why there are no tokens (with O(tolerate=true)), else empty.
  returned: success, and on failure with O(tolerate=true)
  type: str
  sample: ''
manual_step:
  description: What is to be done by hand because there is no O(revoke_request), or because it failed, else empty.
  returned: with O(state=absent), and there also on failure with O(tolerate=true)
  type: str
  sample: ''
"""
