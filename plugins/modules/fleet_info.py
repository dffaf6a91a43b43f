#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_info
short_description: Read the Control Panel's registry of nodes
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads all instances that the Control Panel knows, together with what makes the list worth something as evidence: whether it
    is complete and if not why, names that more than one instance bears, and the Control Panel's own clock.
  - It can wait for heartbeats. That is how a re-registered node is known to be up in the running agent, not only on disk.
  - It runs on the controller.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.cp_api
  - quazzar.ca_rotation.cp_api.registry
options:
  wait_for:
    description:
      - >-
        Read the list again and again until each of these was seen, or time is up. One that was not seen is no failure: it is in
        RV(missing).
      - >-
        In check mode nothing was changed that a heartbeat would have to be newer than, so the list is read once and nobody is waited
        for.
      - Exactly one of O(wait_for.names) and O(wait_for.hosts) is needed.
    type: dict
    suboptions:
      names:
        description: Names or ids of instances.
        type: list
        elements: str
      hosts:
        description: >-
          Inventory hosts. Each is looked for by its variable C(quazzar_instance_id), else C(quazzar_instance_name), else by its own
          name.
        type: list
        elements: str
      node_var:
        description: >-
          Name of the variable in which O(wait_for.hosts) have the result of M(quazzar.ca_rotation.node_info). When given, a host whose
          handshake failed there is not waited for, because it cannot send a heartbeat.
        type: str
      after:
        description: >-
          A time in RFC 3339 by the Control Panel's clock, such as an earlier RV(registry.clock); the default is its clock now. A
          heartbeat within the same second does not count, because it may have come before.
        type: str
      heartbeat_interval:
        description: How often a node sends a heartbeat, such as V(60s); it sets the defaults of the next two.
        type: str
        default: 60s
      timeout:
        description: The most seconds to wait. The default is three times O(wait_for.heartbeat_interval).
        type: float
      interval:
        description: Seconds between two looks. The default is a quarter of O(wait_for.heartbeat_interval), at most 5.
        type: float
  tolerate:
    description: Return a failure as RV(registry.error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.registration_token
  - module: quazzar.ca_rotation.cp_info
"""

EXAMPLES = r"""
- name: Read the registry with one account
  quazzar.ca_rotation.fleet_info:
    api_url: https://panel.example.com/api/
    username: rotation
    password: "{{ vault_panel_password }}"
    registry_complete: true
  delegate_to: localhost
  become: false
  register: fleet

- name: Wait until two nodes were heard of again
  quazzar.ca_rotation.fleet_info:
    api_url: https://panel.example.com/api/
    bearer_token: "{{ vault_panel_token }}"
    wait_for:
      names: [node-1, node-2]
      after: "{{ fleet.registry.clock }}"
      timeout: 180
  delegate_to: localhost
  become: false
  register: beats

- name: Use an export where the API cannot be reached
  quazzar.ca_rotation.fleet_info:
    fleet_file: exports/instances.json
    registry_complete: true
  delegate_to: localhost
  become: false
"""

RETURN = r"""
registry:
  description: The registry.
  returned: success, and on failure with O(tolerate=true)
  type: dict
  contains:
    taken_at:
      description: When the list was read, by the controller's clock; with O(fleet_file) the time the file was last written.
      type: str
      sample: '2026-05-04T09:30:00Z'
    clock:
      description: The Control Panel's clock at that moment, V(null) with O(fleet_file).
      type: str
      sample: '2026-05-04T09:30:01Z'
    source:
      description: Where the list comes from, V(api) or V(file).
      type: str
      sample: api
    instances:
      description: The instances.
      type: list
      elements: dict
      contains:
        id:
          description: The Control Panel's id.
          type: str
          sample: inst_abc123
        name:
          description: The name.
          type: str
          sample: node-1
        status:
          description: The status in the Control Panel's own word.
          type: str
          sample: online
        last_seen:
          description: Last heartbeat by the Control Panel's clock, V(null) when there was none.
          type: str
          sample: '2026-05-04T09:29:41Z'
        tenant:
          description: The tenant, empty when it is not known.
          type: str
          sample: ''
        active:
          description: Whether the status counts as active.
          type: bool
          sample: true
    summary_total:
      description: What the summary says how many there are, V(null) when it could not be learned.
      type: int
      sample: 24
    complete:
      description: Whether the list is known to be complete.
      type: bool
      sample: true
    incomplete_reason:
      description: Why it is not known to be complete, else empty.
      type: str
      sample: ''
    duplicates:
      description: Names that several active instances of one tenant bear.
      type: list
      elements: dict
      contains:
        name:
          description: The name.
          type: str
          sample: node-1
        ids:
          description: The ids of the instances with this name.
          type: list
          elements: str
          sample: [inst_abc123, inst_def456]
    error:
      description: Why the registry could not be read (with O(tolerate=true)), else empty.
      type: str
      sample: ''
    waited_for:
      description: The names (or hosts) of O(wait_for) that were waited for.
      returned: when O(wait_for) is given
      type: list
      elements: str
      sample: [node-1, node-2]
    arrived:
      description: The same as RV(arrived).
      returned: when O(wait_for) is given
      type: list
      elements: str
      sample: [node-1]
    missing:
      description: The same as RV(missing).
      returned: when O(wait_for) is given
      type: list
      elements: str
      sample: [node-2]
arrived:
  description: Those of O(wait_for) that were seen after O(wait_for.after).
  returned: when O(wait_for) is given
  type: list
  elements: str
  sample: [node-1]
missing:
  description: Those of O(wait_for) that were not.
  returned: when O(wait_for) is given
  type: list
  elements: str
  sample: [node-2]
"""
