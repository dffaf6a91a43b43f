#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_handshake_log_info
short_description: Classify and count log lines about handshakes in the pods of a Control Panel
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Does what M(quazzar.ca_rotation.handshake_log_info) does with the log of every live pod of a workload.
  - >-
    The log of a workload as a whole may be that of a pod on its way out, or the text of an error. Each live pod is asked by its name.
  - >-
    Of each log the last 20,000 lines count, and of these the last 4 MiB. How a pod has started is read by
    M(quazzar.ca_rotation.k8s_cp_info), however long ago that was.
extends_documentation_fragment:
  - quazzar.ca_rotation.kubernetes
  - quazzar.ca_rotation.kubernetes.container
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.controller
  - quazzar.ca_rotation.attributes.actiongroup
options:
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
  tolerate:
    description: Return a failure as RV(error), with V(null) for every number, instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.handshake_log_info
  - module: quazzar.ca_rotation.k8s_cp_info
"""

EXAMPLES = r"""
- name: Count what the pods of the Control Panel have logged
  quazzar.ca_rotation.k8s_handshake_log_info:
    namespace: quazzar
    workload: quazzar-cc
  register: log
"""

RETURN = r"""
pods:
  description: The same for each live pod, by its name.
  returned: success, and on failure with O(tolerate=true)
  type: dict
  sample: {}
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
  description: What was loaded at the last start, of all pods that of the last of them.
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
