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
  - quazzar.ca_rotation.kubernetes
  - quazzar.ca_rotation.kubernetes.container
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.attributes.controller
requirements:
  - cryptography (on the controller)
  - openssl 1.1.1 or later (on the controller)
notes:
  - >-
    The account needs C(get) of the workload, C(list) of C(pods), and of C(replicasets) for a Deployment; C(get) and C(create) of C(pods/exec)
    and C(pods/portforward); C(get) of C(pods/log) and C(persistentvolumeclaims); and C(get) of C(configmaps) or C(secrets) only where the
    two variables may come from one. What it may not do is named with the rule that is missing.
  - >-
    For RV(workload.storage) it needs C(get) of C(persistentvolumes) as well, which only a ClusterRole can allow. Without it that one value
    is empty and says why.
options:
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
  replicas:
    description: Whether to look into the pods. Without that RV(replicas) is empty, and only the objects are read.
    type: bool
    default: true
  wait:
    description: >-
      Seconds to wait for the end of a rollout before anything is read. It is not waited for one that will not come to its end by itself, nor
      is it a failure when the time is up: RV(workload.rolled_out) tells. Within that time the API server is asked again when it cannot be
      reached, or answers with the status 429 or one from 500 on.
    type: int
    default: 0
  env_source:
    description:
      - What is to be edited when O(variable) comes from a ConfigMap or a Secret, for RV(workload.refusals).
      - V(container) refuses such a workload, V(follow) allows it where that object can be edited.
    type: str
    choices: [container, follow]
    default: container
  legacy_kind:
    description:
      - Where legacy CA certificates are placed, in an object of this kind or as files on a V(volume), for RV(workload.legacy).
      - An object of either kind that is mounted at O(legacy_dir) already is used, whatever its name.
    type: str
    choices: [ConfigMap, Secret, volume]
    default: ConfigMap
  legacy_name:
    description: Name of that object.
    type: str
    default: quazzar-legacy-cas
  preflight:
    description: Whether RV(workload.refusals) is to name the controller that would put a change back, and the rights that are missing for one.
    type: bool
    default: false
  keeper_accepted:
    description: State that this controller is suspended, so that it is no refusal.
    type: bool
    default: false
  one_node:
    description: State that all pods run on one node, so that a claim which one node may mount is none of RV(workload.stalls).
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
    pods:
      description: Names of the live pods.
      type: list
      elements: str
      sample: [quazzar-cc-66b7c9f5d-8xk2p, quazzar-cc-66b7c9f5d-tq4vz]
    uids:
      description: The C(metadata.uid) of each, in the same order. A pod of a StatefulSet that is made anew has its name again, and another UID.
      type: list
      elements: str
      sample: [6f1d2c1e-7a30-4f0a-9d0b-0c4d5f8e2b11, 0b9f6a52-3b61-4c0e-8f57-2a5d1c7e9d42]
    stuck_pods:
      description: >-
        Names of the pods of a StatefulSet that are not ready and are not of its template. Its controller waits for them for ever, until they
        are deleted.
      type: list
      elements: str
      sample: []
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
        gone:
          description: Whether there is no object of that name.
          type: bool
          sample: false
        immutable:
          description: Whether nobody may edit the object.
          type: bool
          sample: false
        title:
          description: The same in words.
          type: str
          sample: the key CC_TRUST_ADDITIONAL_CA_CERTS of the ConfigMap settings (envFrom)
    stalls:
      description: Why a change would not come to every pod, a sentence each. V(null) when an object that tells could not be read.
      type: list
      elements: str
      sample: []
    pool:
      description: The paths in RV(workload.source.value). V(null) when that could not be read.
      type: list
      elements: str
      sample: [/var/lib/quazzar-cc/legacy/0123456789abcdef.crt]
    behind:
      description: >-
        Names of the live pods that were started with other paths than RV(workload.pool), because they take no note of a ConfigMap or a
        Secret before they are made anew. Empty where the value stands in the workload itself, which a rollout brings to every pod, and
        with O(replicas=false).
      type: list
      elements: str
      sample: []
    legacy:
      description: >-
        The object in which legacy CAs are placed. V(null) with O(legacy_kind=volume), without O(legacy_dir), and when another kind of volume is
        mounted there.
      type: dict
      contains:
        kind:
          description: V(ConfigMap) or V(Secret).
          type: str
          sample: ConfigMap
        name:
          description: Its name.
          type: str
          sample: quazzar-legacy-cas
        path:
          description: O(legacy_dir).
          type: str
          sample: /var/lib/quazzar-cc/legacy
        mounted:
          description: Whether it is mounted there already.
          type: bool
          sample: true
    refusals:
      description: Why the trust pool must not be changed, a sentence each with what to do. With O(preflight=true) there are more of them.
      type: list
      elements: str
      sample: []
    error:
      description: Why some of the values from RV(workload.source) to RV(workload.refusals) are not known, else empty.
      type: str
      sample: ''
    storage:
      description: What the objects say about the volume that the certificates are on. V(null) without O(certs_dir).
      type: dict
      contains:
        path:
          description: O(certs_dir).
          type: str
          sample: /var/lib/quazzar-cc/certs
        mount:
          description: Where the volume is mounted, as the container says it. Empty when the path is on its own file system.
          type: str
          sample: /var/lib/quazzar-cc
        volume:
          description: Name of the volume in the pod, else empty.
          type: str
          sample: data
        kind:
          description: >-
            Kind of the volume as a pod has it, for example V(persistentVolumeClaim) or V(emptyDir), V(volumeClaimTemplate) for one that each pod
            of a StatefulSet has for itself, or V(none).
          type: str
          sample: persistentVolumeClaim
        claims:
          description: The claims behind it, one, or one a pod.
          type: list
          elements: dict
          contains:
            name:
              description: Its name.
              type: str
              sample: cp-data
            found:
              description: Whether there is a claim of that name.
              type: bool
              sample: true
            error:
              description: Why it could not be read, else empty.
              type: str
              sample: ''
            phase:
              description: Its phase. Empty when it is not known.
              type: str
              sample: Bound
            access_modes:
              description: Its access modes.
              type: list
              elements: str
              sample: [ReadWriteMany]
            storage_class:
              description: Its storage class, else empty.
              type: str
              sample: nfs
            volume:
              description: Name of the PersistentVolume that it is bound to, else empty.
              type: str
              sample: pv-1
            reclaim_policy:
              description: What becomes of that when the claim is deleted, V(Retain), V(Delete) or V(Recycle). Empty when it is not known.
              type: str
              sample: Retain
            volume_error:
              description: Why that could not be read, else empty.
              type: str
              sample: ''
        conflicts:
          description: Why the number of replicas and the strategy do not fit the claims, a sentence each.
          type: list
          elements: str
          sample: []
    auto_ca_gen:
      description: >-
        Every source of O(auto_ca_gen_variable) in every container, the one that counts first. One that may not be read and is hidden by another
        is left out.
      type: list
      elements: dict
      contains:
        container:
          description: Name of the container.
          type: str
          sample: control-center
        init:
          description: Whether it is an init container.
          type: bool
          sample: false
        source:
          description: Where it comes from, in words.
          type: str
          sample: the workload's own env
        'on':
          description: Whether it allows to make a CA. V(null) when that is not known.
          type: bool
          sample: false
        hidden:
          description: Whether another source of the container comes before it.
          type: bool
          sample: false
        error:
          description: Why the object could not be read, else empty.
          type: str
          sample: ''
    kept_by:
      description: Who puts a change of the workload back (V(Argo CD), V(Flux)) or overwrites it at the next release (V(Helm)), else empty.
      type: str
      sample: ''
    written_by:
      description: Who wrote its C(spec) last, and when, as the API server has noted it. Empty where it has not.
      type: str
      sample: kubectl-patch at 2026-05-04T12:00:00Z
    shared:
      description: Whether a file in O(certs_dir) is the same in every pod, and stays when they are made anew.
      type: bool
      sample: true
    observed:
      description: Whether the controller of the workload has seen the change that was made last.
      type: bool
      sample: true
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
    advice:
      description: >-
        How to find out why it is not rolled out, of a container that was restarted the last line of its log before that. Empty when all is
        well.
      type: str
      sample: ''
replicas:
  description: >-
    Each live pod by its name, as RV(quazzar.ca_rotation.cp_info#module:replica) of M(quazzar.ca_rotation.cp_info), one each. The pool is the
    one that the container was started with, so that C(pool.line) is V(null); C(address) is the pod's own. There is always one at least:
    when no pod is live, or nothing could be read, the one that says so in C(error). Empty with O(replicas=false).
  returned: success, and on failure with O(tolerate=true)
  type: list
  elements: dict
"""
