#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_trust_pool
short_description: Say which patches give a Control Panel on Kubernetes another list of additional CA files
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads a workload and the objects that its variable comes from, and returns the strategic merge patches by which the variable gets
    entries more or less, and by which the object with the legacy CAs is mounted. M(kubernetes.core.k8s) applies them, or whoever keeps the
    objects in a repository.
  - It changes nothing itself, and RV(ignore:changed) says whether there is anything to patch.
  - Nothing is proposed for other variables, containers or volumes. What cannot be set is an error that says where the variable comes from.
extends_documentation_fragment:
  - quazzar.ca_rotation.kubernetes
  - quazzar.ca_rotation.kubernetes.container
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.changing_module
  - quazzar.ca_rotation.attributes.controller
  - quazzar.ca_rotation.attributes.actiongroup
options:
  env_source:
    description:
      - What is to be edited when the variable comes from a ConfigMap or a Secret.
      - V(container) refuses such a workload and says where the variable stands, V(follow) names that object.
    type: str
    choices: [container, follow]
    default: container
  legacy_kind:
    description:
      - Where legacy CA certificates are placed, in an object of this kind or as files on a V(volume).
      - An object of either kind that is mounted at O(legacy_dir) already is used, whatever its name.
    type: str
    choices: [ConfigMap, Secret, volume]
    default: ConfigMap
  legacy_name:
    description: Name of that object.
    type: str
    default: quazzar-legacy-cas
  legacy_dir:
    description:
      - Directory at which that object is mounted when entries in it are added. When empty nothing is mounted.
      - It is an error where the mount would hide an entry of the variable, which is neither a key of the object nor one of O(files).
    type: str
    default: ''
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
    description: Paths that are not to be in the list. The variable goes with its last entry.
    type: list
    elements: str
    default: []
  unmount:
    description: Take the mount of that object away again, so that the pods are as they were before it was mounted.
    type: bool
    default: false
  restart:
    description: Where there is nothing to patch, return the patch by which every pod is made anew.
    type: bool
    default: false
  files:
    description:
      - Names of certificates that are keys of that object, or are just being placed in it.
      - RV(missing) says which of them are not there yet.
    type: list
    elements: str
    default: []
seealso:
  - module: quazzar.ca_rotation.k8s_cp_info
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: See what opens the grace window
  quazzar.ca_rotation.k8s_trust_pool:
    namespace: quazzar
    workload: quazzar-cc
    legacy_dir: /var/lib/quazzar-cc/legacy
    add:
      - /var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt
    files:
      - 7d1ed4b0ae2c19c3.crt
  register: pool

- name: Open it
  kubernetes.core.k8s:
    state: patched
    merge_type: strategic-merge
    definition: "{{ item.definition }}"
    hidden_fields: [data, stringData, spec, metadata.annotations]
  loop: "{{ pool.patches }}"
"""

RETURN = r"""
title:
  description: Kind, namespace and name of the workload.
  returned: success
  type: str
  sample: Deployment quazzar/quazzar-cc
value:
  description: The value of the variable after the change.
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
mounts:
  description: Whether a patch mounts the object with the legacy CAs.
  returned: success
  type: bool
  sample: true
missing:
  description: Which of O(files) are no keys of the object with the legacy CAs.
  returned: success
  type: list
  elements: str
  sample: []
patches:
  description: One for each object that has to be changed, in this order.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
      sample: Deployment
    name:
      description: Its name.
      type: str
      sample: quazzar-cc
    secret:
      description: Whether other values in that object are secrets, so that neither it nor its diff may be shown.
      type: bool
      sample: false
    definition:
      description: The strategic merge patch, with the names that a definition needs.
      type: dict
      sample: {}
forms:
  description: The same for people who keep their objects in a repository.
  returned: success
  type: dict
  contains:
    strategic_merge:
      description: Content of a file for each patch, by the name of the file.
      type: dict
      sample: {}
    kustomize:
      description: What a Kustomization needs to apply these files.
      type: dict
      sample: {}
    helm:
      description: Values for a chart, by the names that most charts use.
      type: dict
      sample: {}
"""
