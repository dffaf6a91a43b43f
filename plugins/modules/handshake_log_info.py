#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: handshake_log_info
short_description: Classify and count log lines about handshakes
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Sorts the lines of a log of the Control Panel or of a node into classes and counts them, by class and by source address.
  - >-
    Logs are a hint where to look, never proof. The documented drift line appears only when both CAs share a name and the Control Panel is
    the side that refuses; and a source address says little behind NAT. A handshake proves: see M(quazzar.ca_rotation.node_info).
  - >-
    The classes are V(grace_boot) (a legacy CA was loaded), V(node_symptom) (a node says that it is no longer trusted), V(remote_alert) (the
    other side refused), V(no_certificate) (a client showed none), V(drift) (a certificate by an unknown CA), V(expired), V(probe) (a client
    that went away, as health probes do) and V(other). A line is of the first class that fits.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.actiongroup
options:
  log_command:
    description:
      - Shell command that prints the log on the host and ends. Its exit status must be 0. The last 4 MiB count.
      - Exactly one of O(log_command) and O(text) is needed.
    type: str
  text:
    description: The log itself. Then nothing is run on the host.
    type: str
  patterns:
    description: >-
      Regular expressions in the place of the default ones, by class. They match without regard to case and to the kind of quotation marks
      and dashes.
    type: dict
    default: {}
  boot_pattern:
    description: Regular expression for a line that is logged at the start of the process, for RV(boot).
    type: str
    default: '(?i)\bstarting\b.*\b(?:control (?:panel|center)|quazzar)|\b(?:control (?:panel|center)|quazzar)\b.*\bstarting\b'
  internal_cidrs:
    description: Networks of load balancers and the like. Addresses in them are left out of RV(outside_sources).
    type: list
    elements: str
    default:
      - 10.0.0.0/8
      - 172.16.0.0/12
      - 192.168.0.0/16
      - 100.64.0.0/10
      - 127.0.0.0/8
      - 169.254.0.0/16
      - fc00::/7
      - ::1/128
      - fe80::/10
  timeout:
    description: Seconds that O(log_command) may take.
    type: float
    default: 15.0
  tolerate:
    description: Return a failure as RV(error), with V(null) for every number, instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.cp_info
  - module: quazzar.ca_rotation.node_info
"""

EXAMPLES = r"""
- name: Count what the Control Panel logged today
  quazzar.ca_rotation.handshake_log_info:
    log_command: journalctl -u quazzar-cc --since today --no-pager
  become: true
  register: log

- name: Show from where unknown certificates come
  ansible.builtin.debug:
    var: log.outside_sources.drift

- name: Look at a log that was collected elsewhere
  quazzar.ca_rotation.handshake_log_info:
    text: "{{ lookup('ansible.builtin.file', 'collected/panel.log') }}"
  delegate_to: localhost
  become: false
"""

RETURN = r"""
summary:
  description: The counts, and the most frequent addresses in RV(outside_sources), on one line for people.
  returned: success, and on failure with O(tolerate=true)
  type: str
  sample: "in its log: 12 drift, 3 probe; from outside: 192.0.2.7 (12). A hint where to look, no proof."
lines:
  description: How many lines there are.
  returned: success, and V(null) on failure with O(tolerate=true)
  type: int
  sample: 1200
counts:
  description: Lines by class.
  returned: success, and V(null) on failure with O(tolerate=true)
  type: dict
  sample: {grace_boot: 1, node_symptom: 0, remote_alert: 0, no_certificate: 0, drift: 12, expired: 0, probe: 3, other: 1184}
sources:
  description: Lines by class and source address.
  returned: success, and V(null) on failure with O(tolerate=true)
  type: dict
  sample: {drift: {192.0.2.7: 12}}
outside_sources:
  description: The same without the addresses in O(internal_cidrs).
  returned: success, and V(null) on failure with O(tolerate=true)
  type: dict
  sample: {drift: {192.0.2.7: 12}}
symptom_count:
  description: Lines in which a node says that the Control Panel no longer trusts it.
  returned: success, and V(null) on failure with O(tolerate=true)
  type: int
  sample: 0
boot:
  description: What was loaded at the last start.
  returned: success, and on failure with O(tolerate=true)
  type: dict
  contains:
    loaded_count:
      description: Lines of the class V(grace_boot) since the last start, V(null) when there is no log.
      type: int
      sample: 1
    since_boot:
      description: Whether a start was found in the log. When not, all lines were counted.
      type: bool
      sample: true
last:
  description: The last line of each class but V(other), cut to 300 characters.
  returned: success, and on failure with O(tolerate=true)
  type: dict
  sample: {grace_boot: loaded additional trusted CA (rotation grace)}
error:
  description: Why there is no log (with O(tolerate=true)), else empty.
  returned: success, and on failure with O(tolerate=true)
  type: str
  sample: ''
"""
