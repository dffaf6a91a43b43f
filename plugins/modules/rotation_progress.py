#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rotation_progress
short_description: Count what a re-registration has done and say whether it may go on
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads the registered results of M(quazzar.ca_rotation.node_registration) for all nodes that are to be moved, and says what is done, what
    is left, how fast it goes, how much of the failure budget is used, and whether another batch may start.
  - >-
    The budget is counted over the whole run and includes nodes that could not be reached, unlike C(max_fail_percentage), which is counted in
    each batch and does not see them. In the first batch no failure is forgiven.
  - >-
    A stop is asked for by a file (O(stop_file)), or by the first Ctrl-C in a play whose C(serial) comes from
    P(quazzar.ca_rotation.batches#lookup).
  - It runs on the controller and connects to nothing.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.controller
  - quazzar.ca_rotation.attributes.actiongroup
options:
  planned:
    description: All nodes that are to be moved in this run, in their order.
    type: list
    elements: str
    required: true
  lost:
    description: Nodes that could not be reached before the first batch. They use up the budget from the beginning.
    type: list
    elements: str
    default: []
  not_proven:
    description: Nodes whose heartbeat did not come after their registration.
    type: list
    elements: str
    default: []
  outcome_var:
    description: Name of the variable in which a node that was tried has the result of M(quazzar.ca_rotation.node_registration).
    type: str
    default: __node_reregister_result
  failure_budget:
    description: >-
      How many nodes may fail: a number, a share such as V(2%), or a dictionary with C(nodes) and C(percent) of which the larger counts. A
      share is one of all nodes in O(planned) and O(lost).
    type: raw
    default:
      nodes: 2
      percent: 2
  batches:
    description: Sizes of the batches, numbers or shares as C(serial) takes them, as a list or as text. The first one is the canary.
    type: raw
    required: true
  began:
    description: When the first batch began, in RFC 3339.
    type: str
    required: true
  heartbeat_source:
    description: >-
      Who says whether a heartbeat arrives. With V(agent) a node is done only when its own agent says after the registration that it is
      connected.
    type: str
    choices: [registry, agent]
    default: registry
  stop_file:
    description: A file on the controller. When it exists, no further batch may start.
    type: path
  beside:
    description: >-
      What the runs do that share the lock with this one, as RV(quazzar.ca_rotation.run_lock#module:wave) has it. Their failures use up the
      same budget, and shares of it are of the nodes of all of them.
    type: dict
    default: {}
  rate_limit:
    description: How many nodes all these runs may register in a minute. V(0) sets no limit.
    type: int
    default: 0
  batch:
    description: The nodes of the batch that has ended, for O(rate_limit).
    type: list
    elements: str
    default: []
  batch_began:
    description: When that batch began, in RFC 3339.
    type: str
    default: ""
  resume:
    description: >-
      How to go on after a halt, for its message. By default the command line of this run, without extra variables, which may be secret.
    type: str
    default: ""
seealso:
  - module: quazzar.ca_rotation.node_registration
  - module: quazzar.ca_rotation.rotation_plan
"""

EXAMPLES = r"""
- name: Register the nodes again, in batches
  hosts: quazzar_nodes
  gather_facts: false
  serial: "{{ query('quazzar.ca_rotation.batches', 1, '5%', '25%') }}"
  tasks:
    - name: Register the node
      quazzar.ca_rotation.node_registration:
        token: "{{ registration_tokens[inventory_hostname] }}"
        active_ca: "{{ active_ca }}"
        address: panel.example.com:8443
        tolerate: true
      become: true
      register: registration

    - name: Count what was done
      quazzar.ca_rotation.rotation_progress:
        planned: "{{ groups['quazzar_nodes'] }}"
        outcome_var: registration
        batches: [1, "5%", "25%"]
        began: "2026-05-04T09:30:00Z"
        stop_file: /tmp/stop-the-rotation
      run_once: true
      register: progress

    - name: End when no further batch may start
      ansible.builtin.fail:
        msg: "{{ progress.halt }}"
      when: progress.halt != ''
      any_errors_fatal: true
"""

RETURN = r"""
msg:
  description: One line for the operator.
  returned: success
  type: str
  sample: 7 of 24 nodes done, 17 left, 0 failed, 42 nodes a minute, failure budget 0 of 2 used
done:
  description: Nodes that are registered and proven.
  returned: success
  type: list
  elements: str
  sample: [node-1, node-2]
bad:
  description: Nodes that were tried and failed, were unreachable, or are not proven.
  returned: success
  type: list
  elements: str
  sample: []
left:
  description: Nodes that were not tried yet.
  returned: success
  type: list
  elements: str
  sample: [node-3]
halt:
  description: Why no further batch may start. Empty when the run may go on.
  returned: success
  type: str
  sample: ""
counts:
  description: What other runs are to count of this one, for O(quazzar.ca_rotation.run_lock#module:counts).
  returned: success
  type: dict
  sample: {planned: 10, done: 7, bad: 0, rate: 42}
pause:
  description: Seconds that the next batch has to wait for O(rate_limit).
  returned: success
  type: int
  sample: 0
"""
