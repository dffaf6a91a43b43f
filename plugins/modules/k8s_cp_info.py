#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_cp_info
short_description: Read every live pod of a Control Panel on Kubernetes
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads what M(quazzar.ca_rotation.cp_info) reads of a host from every live pod of a Deployment or StatefulSet, each as a replica of its
    own, and what the workload's objects say about its trust pool and its rollout.
  - >-
    A pod is live when its container runs and nobody has asked for its end. A pod on its way out is still listed as running, and still
    serves; it is not read.
  - >-
    Only the API server has to be reached. Files are read by a script on the standard input of C(/bin/sh) in the container (C(exec)), the
    listener is looked at through the API server's port-forward, and the log is the container's own. The container needs a POSIX shell and
    the coreutils, no Python.
  - The trust pool is the one that the container was started with, whatever objects its variable came from.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.attributes.controller
requirements:
  - cryptography (on the controller)
  - kubernetes 29.0 or later (on the controller)
  - openssl 1.1.1 or later (on the controller)
notes:
  - >-
    Where neither O(kubeconfig) nor O(context) is given, these of the environment count: C(K8S_AUTH_HOST) with C(K8S_AUTH_API_KEY),
    C(K8S_AUTH_SSL_CA_CERT) and C(K8S_AUTH_VERIFY_SSL), else C(K8S_AUTH_KUBECONFIG) and C(K8S_AUTH_CONTEXT); then the account of the pod that
    the controller runs in; then C(KUBECONFIG) and C(~/.kube/config).
  - >-
    The account needs C(get) of the workload, C(list) of C(pods), and of C(replicasets) for a Deployment; C(get) and C(create) of C(pods/exec)
    and C(pods/portforward); C(get) of C(pods/log) and C(persistentvolumeclaims); and C(get) of C(configmaps) or C(secrets) only where the
    two variables may come from one. What it may not do is named with the rule that is missing.
options:
  namespace:
    description: Namespace of the Control Panel.
    type: str
    required: true
  workload:
    description: Name of its Deployment or StatefulSet.
    type: str
    required: true
  kind:
    description: Kind of O(workload).
    type: str
    choices:
      - Deployment
      - StatefulSet
    default: Deployment
  container:
    description: Name of the Control Panel's container. Needed where the pods have several.
    type: str
    default: ''
  kubeconfig:
    description: Path on the controller to a kubeconfig.
    type: path
  context:
    description: Context of the kubeconfig. The default is its current one.
    type: str
  port:
    description: Port of the mTLS listener in the container.
    type: int
    default: 8443
  server_name:
    description: Server name to ask for (SNI). Without it none is sent.
    type: str
  certs_dir:
    description: Directory in the container with C(ca.crt). Without it the active CA is not read.
    type: str
  variable:
    description: Name of the variable that holds the trust pool.
    type: str
    default: CC_TRUST_ADDITIONAL_CA_CERTS
  auto_ca_gen_variable:
    description: Name of the variable that allows the Control Panel to make a new CA by itself.
    type: str
    default: CC_ALLOW_AUTO_CA_GEN
  legacy_dir:
    description: >-
      Directory in the container with legacy CA certificates (C(*.crt), C(*.pem)). The documented C(ca.crt.old) in O(certs_dir) is read as
      well.
    type: str
  staged_dir:
    description: Directory of the pair of a staged CA (see M(quazzar.ca_rotation.ca_pair)). Of its key it is only told whether it fits.
    type: str
  previous_dir:
    description: Directory of the pair that was active before a planned rotation, as O(staged_dir).
    type: str
  grace_log_pattern:
    description: Regular expression for the line that is logged at boot for each additional CA.
    type: str
    default: 'loaded additional trusted CA \(rotation grace\)'
  boot_pattern:
    description:
      - >-
        Regular expression for a line that is logged at the start of the process, before O(grace_log_pattern). Lines before the last such
        line are of an earlier boot and do not count.
      - >-
        When no line matches, all lines count and C(boot.since_boot) is V(false). A container that starts again begins another
        log. The first 4 MiB of it are looked at.
    type: str
    default: '(?i)\bstarting\b.*\b(?:control (?:panel|center)|quazzar)|\b(?:control (?:panel|center)|quazzar)\b.*\bstarting\b'
  timeout:
    description: Seconds for a handshake.
    type: float
    default: 15.0
  tolerate:
    description: >-
      Return a failure as RV(workload.error), or as C(error) of one of RV(replicas), instead of failing. What could be read of the other
      pods is returned all the same.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.cp_info
  - module: quazzar.ca_rotation.rotation_plan
"""

EXAMPLES = r"""
- name: Read every live pod
  quazzar.ca_rotation.k8s_cp_info:
    namespace: quazzar
    workload: quazzar-cc
    server_name: panel.example.com
    certs_dir: /var/lib/quazzar-cc/certs
    legacy_dir: /var/lib/quazzar-cc/legacy
  register: cp

- name: Say why a change would not come to every pod
  ansible.builtin.debug:
    var: cp.workload.stalls

- name: One of several containers of a StatefulSet, through a context of its own
  quazzar.ca_rotation.k8s_cp_info:
    namespace: quazzar
    kind: StatefulSet
    workload: quazzar-cc
    container: control-center
    kubeconfig: ~/.kube/production
    context: reader
    certs_dir: /var/lib/quazzar-cc/certs
    tolerate: true
"""

RETURN = r"""
workload:
  description: What the objects say. V(null) when the workload or its pods could not be read.
  returned: success, and on failure with O(tolerate=true)
  type: dict
  contains:
    title:
      description: Its kind, namespace and name.
      type: str
      sample: Deployment quazzar/quazzar-cc
    container:
      description: Name of the Control Panel's container.
      type: str
      sample: control-center
    replicas:
      description: How many there are to be.
      type: int
      sample: 2
    revision:
      description: Its C(metadata.generation), which grows with every change of what it is to be.
      type: str
      sample: '7'
    source:
      description: Where O(variable) comes from, as the objects are now. V(null) when one of them could not be read.
      type: dict
      contains:
        kind:
          description: >-
            V(value) (the container's own C(env)), V(ConfigMap), V(Secret), V(field) (something of the pod, that nobody can set) or V(absent).
          type: str
          sample: ConfigMap
        name:
          description: Name of the ConfigMap or Secret, else empty.
          type: str
          sample: settings
        key:
          description: Key in it, else empty.
          type: str
          sample: CC_TRUST_ADDITIONAL_CA_CERTS
        value:
          description: The value as it stands there. A pod that was started earlier may have another.
          type: str
          sample: /var/lib/quazzar-cc/legacy/0123456789abcdef.crt
        whole:
          description: Whether it comes by C(envFrom), so that other variables come from the same object.
          type: bool
          sample: true
        expands:
          description: Whether the value holds C($(NAME)) or C($$), of which Kubernetes makes something else at the start of a container.
          type: bool
          sample: false
        trouble:
          description: Why there is no value under that key, else empty.
          type: str
          sample: ''
        title:
          description: The same in words.
          type: str
          sample: the key CC_TRUST_ADDITIONAL_CA_CERTS of the ConfigMap settings (envFrom)
    stalls:
      description: Why a change would not come to every pod, a sentence each. V(null) when an object that tells could not be read.
      type: list
      elements: str
      sample: []
    error:
      description: Why RV(workload.source) or RV(workload.stalls) is not known, else empty.
      type: str
      sample: ''
    kept_by:
      description: Who puts a change of the workload back (V(Argo CD), V(Flux)) or overwrites it at the next release (V(Helm)), else empty.
      type: str
      sample: ''
    rolled_out:
      description: Whether the last change has come to every pod and nothing older runs any more.
      type: bool
      sample: true
    rollout:
      description: Why not, else empty.
      type: str
      sample: ''
    rollout_failed:
      description: Whether it will not get there by itself.
      type: bool
      sample: false
replicas:
  description: >-
    Each live pod by its name, as RV(quazzar.ca_rotation.cp_info#module:replica) of M(quazzar.ca_rotation.cp_info), one each. The pool is the
    one that the container was started with, so that C(pool.line) is V(null); C(address) is the pod's own. There is always one at least:
    when no pod is live, or nothing could be read, the one that says so in C(error).
  returned: success, and on failure with O(tolerate=true)
  type: list
  elements: dict
"""
