#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guardrails_info
short_description: Say from evidence which prevention rules are kept, and what expires when
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads what other tasks have registered for the nodes, the replicas of the Control Panel, their logs and its registry, and checks the
    rules that keep a CA from being lost. Each rule gets a verdict, what was found, and what to do about it.
  - >-
    V(fail) is only what was seen to be wrong. What nobody could look at is V(unknown): it is named, and breaks no rule.
  - >-
    The rules are V(persistent-volume), V(auto-ca-gen), V(ca-backup), V(drift-log), V(ca-key-mode), V(key-copies), V(certs-dir-mode),
    V(same-active-ca), V(replicas-serve), V(running-files), V(pool-entries), V(grace-window-age), V(ca-expiry), V(server-expiry),
    V(leaf-expiry), V(node-pins) and V(served-certificate). An id never changes.
  - >-
    For a Control Panel on Kubernetes there are besides V(claim-bound), V(reclaim-policy) and V(access-mode), and V(persistent-volume) and
    V(auto-ca-gen) look at the objects of the workload too. Its pods are replicas, named C(host/pod).
  - >-
    An active CA is due a year before its end, a CA in a trust pool 90 days, a server certificate and a node's leaf 30 days before it; a
    certificate that was made for less is due in the last third of its life. Besides, all that end within 365, 90 and 30 days are counted.
  - It runs on the controller, reads variables, and connects to nothing.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.controller
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
options:
  nodes:
    description: The inventory names of the nodes. A node without registered evidence is V(unknown).
    type: list
    elements: str
    required: true
  cp_hosts:
    description: The inventory names of the Control Panel's replicas, or of the hosts that stand for a workload on Kubernetes.
    type: list
    elements: str
    required: true
  node_var:
    description: Name of the variable in which each of O(nodes) has the result of M(quazzar.ca_rotation.node_info).
    type: str
    default: __fleet_evidence_node
  replica_var:
    description: >-
      Name of the variable in which each of O(cp_hosts) has the result of M(quazzar.ca_rotation.cp_info), or C(replicas) and C(workload) of
      what examines a workload on Kubernetes.
    type: str
    default: __controlplane_replica
  log_var:
    description: >-
      Name of the variable in which each of O(cp_hosts) has the result of M(quazzar.ca_rotation.handshake_log_info), of a workload that of
      the logs of all its pods.
    type: str
    default: __controlplane_logs
  registry_host:
    description: The host that has the result of M(quazzar.ca_rotation.fleet_info).
    type: str
    default: localhost
  registry_var:
    description: Name of the variable in which O(registry_host) has that result. A node that only it knows is V(unknown).
    type: str
    default: __fleet_evidence_registry
  legacy_fingerprints:
    description: SHA-256 digests of legacy CAs, wherever their files lie, in any form in which OpenSSL prints them.
    type: list
    elements: str
    default: []
  leaf_lifetime:
    description: >-
      How long the Control Panel's client certificates live at most. A legacy CA is needed in a trust pool for no longer than that. Seconds,
      or a number with V(s), V(m), V(h) or V(d).
    type: str
    default: 90d
  clock_skew:
    description: How far clocks may be apart, written like O(leaf_lifetime).
    type: str
    default: 5m
  drift_lines:
    description: >-
      From how many lines on, in what one replica's log command prints, certificates of an unknown CA from outside are a steady stream.
    type: int
    default: 10
  backup:
    description: >-
      The newest backup of the CA pair, with C(path), C(made_at), C(age_seconds), C(current), C(judged) (whether C(current) is known; without
      it that is so where there is no C(error)) and C(error). Empty when none was looked for.
    type: dict
    default: {}
  backup_max_age:
    description: How old a backup may be, written like O(leaf_lifetime).
    type: str
    default: 30d
  run:
    description: What the run knows about itself, for RV(report).
    type: dict
    default: {}
    suboptions:
      id:
        description: Its name.
        type: str
        default: ""
      started:
        description: When it began, in RFC 3339.
        type: str
        default: ""
      ticket:
        description: Free text, such as the number of a change request.
        type: str
        default: ""
      owner:
        description: Free text, such as who is responsible.
        type: str
        default: ""
seealso:
  - module: quazzar.ca_rotation.cp_info
  - module: quazzar.ca_rotation.node_info
  - module: quazzar.ca_rotation.handshake_log_info
  - module: quazzar.ca_rotation.rotation_plan
"""

EXAMPLES = r"""
- name: Examine the Control Panel
  hosts: quazzar_cp
  gather_facts: false
  tasks:
    - name: Examine the replica
      quazzar.ca_rotation.cp_info:
        address: panel.example.com:8443
        certs_dir: /var/lib/quazzar-cc/certs
        env_file: /etc/quazzar-cc/environment
        legacy_dir: /var/lib/quazzar-cc/legacy
        tolerate: true
      become: true
      register: replica_evidence

- name: Check the prevention rules
  hosts: localhost
  gather_facts: false
  become: false
  tasks:
    - name: Check them
      quazzar.ca_rotation.guardrails_info:
        nodes: []
        cp_hosts: "{{ groups['quazzar_cp'] }}"
        replica_var: replica_evidence
      register: guardrails

    - name: Show what was found
      ansible.builtin.debug:
        msg: "{{ guardrails.lines }}"
"""

RETURN = r"""
kept:
  description: Whether no rule is broken.
  returned: success
  type: bool
  sample: false
broken:
  description: The rules that are broken, each with what breaks it.
  returned: success
  type: list
  elements: str
  sample: ["auto-ca-gen (cp1: CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA)"]
unknown:
  description: The ids of the rules of which it is not known whether they are kept.
  returned: success
  type: list
  elements: str
  sample: [ca-backup]
lines:
  description: Everything as an operator reads it, the broken rules first and at the end what expires when.
  returned: success
  type: list
  elements: str
  sample: ["Guard rails: 15 pass, 1 unknown, 1 fail."]
report:
  description: The same for programs; its schema is C(docs/guardrails.schema.json).
  returned: success
  type: dict
  sample: {schema_version: "1.0", goal: guardrails, kept: false}
"""
