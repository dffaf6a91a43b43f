#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rotation_plan
short_description: Say from evidence where a CA rotation stands and what comes next
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads what other tasks have registered for the nodes, the replicas of the Control Panel and its registry, and says which world the
    Control Panel is in, which state every node is in, whether the gate is open, what is to be done to whom, and what is left to do.
  - >-
    It remembers nothing: the same evidence gives the same plan. So a rotation can be interrupted anywhere and goes on when the same
    playbook is run again.
  - >-
    A certificate that is said to be the legacy CA is a claim. It is believed when it is a CA certificate that has not expired, is not the
    active CA, lies alone in its file, and has signed the leaves of all nodes that are neither on the active CA nor on another CA that is
    believed (at least O(legacy_quorum) of them), or when O(legacy_fingerprints) names it.
  - It runs on the controller, reads variables and the files that it is given, and connects to nothing.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.controller
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
options:
  goal:
    description:
      - What the run is for. It decides what RV(unfinished) asks for.
      - >-
        V(drift), V(close) and V(rotate) ask for a fleet that is wholly on the active CA with the grace window closed, V(close) and V(rotate)
        also for an open gate; V(open) asks for an open grace window; V(reregister) for nodes that are on the active CA.
      - >-
        V(rescue) asks for a link of every node that has none, or of those in O(rescued), and plans nothing but their pins and
        registrations. V(revoke) asks that nothing trusts O(compromised) any more, neither a replica nor a node.
      - >-
        V(replace) asks that the CA in O(replaced) is followed by a new one, which the whole fleet is on. V(rollback) asks that what a rotation
        has begun is taken back as far as no node loses its link by it, and that every node that answers has its link.
    type: str
    choices: [drift, open, reregister, close, rotate, rescue, revoke, replace, rollback]
    default: drift
  nodes:
    description: >-
      The frozen list of inventory names. A node without registered evidence counts as not examined, which keeps the gate closed.
    type: list
    elements: str
    required: true
  share:
    description: >-
      The nodes of this run, where other runs move the rest at the same time. With O(goal=reregister) and O(goal=rescue) the others do not
      count as unfinished. All of them when empty.
    type: list
    elements: str
    default: []
  sliced:
    description: >-
      Whether other runs move nodes that are not in O(nodes) at the same time, as job slices of AWX do. With it, or with O(share), the server
      certificate is not renewed before the registrations, because that costs the links of all nodes.
    type: bool
    default: false
  cp_hosts:
    description: The inventory names of the Control Panel's replicas.
    type: list
    elements: str
    required: true
  node_var:
    description: Name of the variable in which each of O(nodes) has the result of M(quazzar.ca_rotation.node_info).
    type: str
    default: __fleet_evidence_node
  replica_var:
    description: Name of the variable in which each of O(cp_hosts) has the result of M(quazzar.ca_rotation.cp_info).
    type: str
    default: __controlplane_replica
  registry_host:
    description: The host that has the result of M(quazzar.ca_rotation.fleet_info).
    type: str
    default: localhost
  registry_var:
    description: Name of the variable in which O(registry_host) has that result. Without it the gate stays closed.
    type: str
    default: __fleet_evidence_registry
  claims:
    description: Certificates that are said to be a legacy CA, as they were read.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: Where it was read, for messages.
        type: str
        required: true
      content:
        description: The content of the file, in PEM.
        type: str
        required: true
  claim_files:
    description: Files on the controller that are said to hold a legacy CA, in PEM or DER.
    type: list
    elements: path
    default: []
  claim_headers:
    description: >-
      Files on the controller with captured headers of a heartbeat (C(Client-Cert) and C(Client-Cert-Chain) of RFC 9440, Envoy's
      C(X-Forwarded-Client-Cert), or nginx's escaped PEM). CA certificates in them are claims, a leaf is one more witness.
    type: list
    elements: path
    default: []
  legacy_fingerprints:
    description: SHA-256 digests of legacy CAs that the operator vouches for, in any form in which OpenSSL prints them.
    type: list
    elements: str
    default: []
  legacy_quorum:
    description: The least number of different leaves that must have been signed by a legacy CA that nobody vouches for.
    type: int
    default: 2
  legacy_probes:
    description: >-
      How many nodes of each legacy CA keep a copy of their legacy identity for the negative proof. With V(0) the grace window may be closed
      without that proof.
    type: int
    default: 2
  retirable_paths:
    description: >-
      Pool entries that may be taken out again besides those that M(quazzar.ca_rotation.cp_info) names as ours: whole paths, or directories
      with a slash at their end. Any other entry of the trust pool is kept, unless O(legacy_fingerprints) names its certificate.
    type: list
    elements: str
    default: []
  pin_bundle:
    description: >-
      Whether several CAs may be written into a node's pin. V(auto) has it tried on one node first; V(never) accepts that nodes are without
      a link where only a bundle would keep it.
    type: str
    choices: [auto, always, never]
    default: auto
  bundle_works:
    description: What the try on one node has shown.
    type: str
    choices: [unknown, "yes", "no"]
    default: unknown
  roll_reissues:
    description: Whether a restart of a replica renews its server certificate from the active CA.
    type: bool
    default: false
  flip_possible:
    description: Whether the server certificate can be renewed from the active CA by a command.
    type: bool
    default: false
  evidence_max_age:
    description: Evidence older than this proves nothing to the gate. Seconds, or a number with V(s), V(m), V(h) or V(d).
    type: str
    default: 15m
  clock_skew:
    description: How far clocks may be apart, written like O(evidence_max_age).
    type: str
    default: 5m
  leaf_lifetime:
    description: How long the Control Panel's client certificates live at most, written like O(evidence_max_age).
    type: str
    default: 90d
  switched_at:
    description: >-
      When the active CA became active, in RFC 3339. The default is the earliest beginning of validity of all certificates seen that it has
      signed.
    type: str
  heartbeat_interval:
    description: How often a node sends a heartbeat, written like O(evidence_max_age).
    type: str
    default: 60s
  heartbeat_source:
    description: Who says whether a heartbeat arrives, the Control Panel's V(registry) or the V(agent)'s own status.
    type: str
    choices: [registry, agent]
    default: registry
  waivers_file:
    description: >-
      A YAML file on the controller with a list of waivers, each with C(node), C(reason), C(owner) and C(expires). A waiver lets the gate
      open although this node is not proven. One for a name that is neither in O(nodes) nor in the registry, or one that was over when the
      run started (O(run.started), else now), is an error.
    type: path
  rescued:
    description: >-
      For the goal V(rescue): the nodes to rescue, also those whose CA nobody knows. Empty for every node without a link whose CA is
      known.
    type: list
    elements: str
    default: []
  compromised:
    description: >-
      SHA-256 fingerprints of the CA certificates whose key is in wrong hands, beside those of which a mark lies beside the CP. For the
      goal V(revoke) the plan is to end all trust in them at once; any other goal trusts them nowhere, and stops while the CP does.
    type: list
    elements: str
    default: []
  compromised_at:
    description: Since when, in RFC 3339. Leaves by O(compromised) that are younger are named in RV(report).
    type: str
  replaced:
    description: >-
      For the goal V(replace): SHA-256 fingerprint of the CA certificate that is to be replaced. It is believed as a legacy CA as those in
      O(legacy_fingerprints).
    type: list
    elements: str
    default: []
  bridged:
    description: Whether the Control Panel can send a bridge from the CA before along with its server certificate.
    type: bool
    default: false
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
      halt:
        description: Why the run was halted. It is the first of RV(unfinished) then.
        type: str
        default: ""
      negative_proof:
        description: What each replica said to the kept legacy identities after the strip.
        type: list
        elements: dict
        default: []
        suboptions:
          node:
            description: The node that kept the identity.
            type: str
            required: true
          replica:
            description: The replica that was asked.
            type: str
            required: true
          accepted_before:
            description: Whether it is known to have accepted that identity before the strip.
            type: bool
            default: false
          after:
            description: Its answer.
            type: str
            required: true
            choices: [accepted, refused, unknown]
          detail:
            description: How the answer showed.
            type: str
            default: ""
          at:
            description: When it was asked, in RFC 3339.
            type: str
            default: ""
      revocation:
        description: For the goal V(revoke), what was done about it.
        type: dict
        suboptions:
          worked:
            description: Whether there was anything to do.
            type: bool
            default: false
          tokens:
            description: What became of the open registration tokens.
            type: str
            choices: [open, revoked, confirmed]
            default: open
          leaves:
            description: The leaves by O(compromised) that the run has seen before it moved the nodes, as RV(report) has them.
            type: list
            elements: dict
            default: []
          token_ids:
            description: The ids of the registration tokens that were revoked by request.
            type: list
            elements: str
            default: []
          problems:
            description: What could not be done or shown.
            type: list
            elements: str
            default: []
      waivers:
        description: >-
          The waivers of RV(report) of the first plan of this run. They hold until its end, whatever has ended since: O(waivers_file) is not
          read. One whose node is not known any more is a warning.
        type: list
        elements: dict
        suboptions:
          node:
            description: For whom it is.
            type: str
            required: true
          reason:
            description: Why.
            type: str
            required: true
          owner:
            description: Who answers for it.
            type: str
            required: true
          expires:
            description: When it ends, in RFC 3339.
            type: str
            required: true
seealso:
  - module: quazzar.ca_rotation.node_info
  - module: quazzar.ca_rotation.cp_info
  - module: quazzar.ca_rotation.fleet_info
  - module: quazzar.ca_rotation.rotation_progress
"""

EXAMPLES = r"""
- name: Examine the nodes
  hosts: quazzar_nodes
  gather_facts: false
  tasks:
    - name: Examine the node
      quazzar.ca_rotation.node_info:
        address: panel.example.com:8443
        tolerate: true
      become: true
      register: node_evidence

- name: Examine the Control Panel
  hosts: quazzar_cp
  gather_facts: false
  tasks:
    - name: Examine the replica
      quazzar.ca_rotation.cp_info:
        address: panel.example.com:8443
        certs_dir: /var/lib/quazzar-cc/certs
        env_file: /etc/quazzar-cc/environment
        tolerate: true
      become: true
      register: replica_evidence

- name: Say where the rotation stands
  hosts: localhost
  gather_facts: false
  become: false
  tasks:
    - name: Read the registry
      quazzar.ca_rotation.fleet_info:
        api_url: https://panel.example.com/api/
        bearer_token: "{{ vault_panel_token }}"
        registry_complete: true
      register: registry_evidence

    - name: Ask for the plan
      quazzar.ca_rotation.rotation_plan:
        nodes: "{{ groups['quazzar_nodes'] }}"
        cp_hosts: "{{ groups['quazzar_cp'] }}"
        node_var: node_evidence
        replica_var: replica_evidence
        registry_var: registry_evidence
        claim_files: [backup/ca.crt]
      register: plan

    - name: Show it
      ansible.builtin.debug:
        msg: "{{ plan.lines + plan.gate_lines }}"
"""

RETURN = r"""
world:
  description:
    - Which CA the Control Panel's server certificate chains to.
    - >-
      V(W1) a legacy CA, V(W2) the active CA, V(W3) a CA outside of the rotation, V(W4) both by a bridged chain, V(mixed) the replicas
      disagree, V(unknown) none shows a certificate.
  returned: success
  type: str
  sample: W2
phase:
  description: >-
    How far the rotation is: V(drifted), V(window open), V(moved) (every node that can be reached is on the active CA), V(stripped) (the
    grace window is closed, pins or server certificates are left), V(waiting for nodes), or V(finished).
  returned: success
  type: str
  sample: drifted
stops:
  description: Reasons for which nothing may be changed.
  returned: success
  type: list
  elements: str
  sample: []
warnings_found:
  description: What should be known and stops nothing.
  returned: success
  type: list
  elements: str
  sample: ["it is not known when the CA was switched: set quazzar_switched_at"]
idle:
  description: Whether nothing is left to do for the Control Panel and for the nodes that can be reached.
  returned: success
  type: bool
  sample: false
lock:
  description: >-
    The kind of lock (see M(quazzar.ca_rotation.run_lock)) under which the acts of O(goal) may be done, V(exclusive) or V(shared). Empty
    when there is nothing to do for it. With O(sliced) or O(share) it is V(shared) also where there are but lost nodes, of which the others
    have to know.
  returned: success
  type: str
  sample: exclusive
finished:
  description: Whether O(goal) is reached and proven.
  returned: success
  type: bool
  sample: false
unfinished:
  description: What O(goal) still lacks, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["node-7: unreachable, no answer"]
up:
  description: >-
    The nodes whose link is proven: a full handshake in both directions, and a heartbeat that reached the Control Panel.
  returned: success
  type: list
  elements: str
  sample: [node-1, node-2]
gate_open:
  description: Whether the legacy CAs may be retired.
  returned: success
  type: bool
  sample: false
damage:
  description: What those acts of the plan that the goal has cost nodes that have their link, in the order of the acts.
  returned: success
  type: list
  elements: dict
  contains:
    act:
      description: Which kind of act, a key of RV(targets).
      type: str
      sample: flip_first
    nodes:
      description: Nodes that lose their link by it.
      type: list
      elements: str
      sample: [node-1, node-2]
    direction:
      description: V(to_cp) when the node refuses the Control Panel then, V(to_node) when it is refused by it, V(both) for a restart.
      type: str
      sample: to_cp
    until:
      description: Until when, in words.
      type: str
      sample: re-registered
lines:
  description: The plan as an operator reads it.
  returned: success
  type: list
  elements: str
  sample: ["World W2: the CP serves from the active CA. Phase: drifted."]
gate_lines:
  description: The gate as an operator reads it, with each node that keeps it closed.
  returned: success
  type: list
  elements: str
  sample: ["The gate is open: 24 nodes proven."]
ready:
  description: Whether the staged CA may become the active one now.
  returned: success
  type: bool
  sample: false
ready_lines:
  description: The same as an operator reads it, with each node that is not ready. Empty when no CA is staged.
  returned: success
  type: list
  elements: str
  sample: []
drift_lines:
  description: Every node that is not current, with its reason and remedy.
  returned: success
  type: list
  elements: str
  sample: []
summary_lines:
  description: The end of a run as an operator reads it.
  returned: success
  type: list
  elements: str
  sample: ["Fleet: 24 nodes: 24 current."]
replicas:
  description: What the evidence of each replica means. The keys are the names of O(cp_hosts), each value is a dictionary.
  returned: success
  type: dict
  contains:
    name:
      description: >-
        The replica that RV(replicas.address), RV(replicas.listening) and RV(replicas.error) are of. Of several that a host has it is the first
        that does not serve, else the first.
      type: str
      sample: cp1
    address:
      description: Its address.
      type: str
      sample: cp1.example.com:8443
    active:
      description: SHA-256 digest of the active CA of the first replica of the host. Empty when it could not be read.
      type: str
      sample: 7d1ed4b0ae2c19c3f0a2a3c95ba2b7fa4e0a1f3d1f7e0bb2b6f3f1bbd9a5c0e1
    listening:
      description: Whether it serves.
      type: bool
      sample: true
    error:
      description: Why not, or what could not be read. Empty when all is well.
      type: str
      sample: ""
    world:
      description: Like RV(world), for the replicas of this host alone.
      type: str
      sample: W2
    serves_active:
      description: Whether its server certificate can be verified with the active CA alone.
      type: bool
      sample: true
    stale:
      description: Whether it is known to run with another trust pool than its files name.
      type: bool
      sample: false
    stale_reason:
      description: How that is known. Empty when it is not.
      type: str
      sample: ""
    differ:
      description: Whether the replicas that the host has hold different active CAs. Only a Kubernetes workload has several.
      type: bool
      sample: false
targets:
  description: What each act is to be done to. Names are names of hosts in the inventory, certificates are in PEM.
  returned: success
  type: dict
  contains:
    fetch:
      description: CAs that nodes still need and whose certificate is not at hand.
      type: list
      elements: dict
      contains:
        key:
          description: The CA, by the SHA-256 of its certificate.
          type: str
          sample: 7d1ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9
        holders:
          description: Up to three nodes that pin it.
          type: list
          elements: str
          sample: [node-1, node-2, node-3]
    open_window:
      description: Replicas on which the grace window is to be opened.
      type: list
      elements: str
      sample: [cp1, cp2]
    place:
      description: >-
        For each of RV(targets.open_window) the list of legacy CAs that its trust pool lacks. Each has C(name) (a file name), C(pem), and
        C(there): the path of a file beside the Control Panel that holds just this CA already, else empty.
      type: dict
      sample:
        cp1:
          - name: 7d1ed4b0ae2c19c3.crt
            pem: "-----BEGIN CERTIFICATE-----..."
            there: ""
    close_window:
      description: Replicas on which the grace window is to be closed once the gate is open.
      type: list
      elements: str
      sample: []
    retire:
      description: For each of RV(targets.close_window) the entries that leave its trust pool.
      type: dict
      sample:
        cp1: [/var/lib/quazzar-cc/legacy/7d1ed4b0ae2c19c3.crt]
    bundle_test:
      description: The node on which it is tried whether the agents take a bundle, or nothing.
      type: list
      elements: str
      sample: [node-1]
    bundle:
      description: What a pin holds while the rotation runs, what the serving chain needs first.
      type: list
      elements: str
      sample: ["-----BEGIN CERTIFICATE-----..."]
    test_bundle:
      description: What is written for the try, in an order in which only an agent that reads the whole file keeps its link.
      type: list
      elements: str
      sample: ["-----BEGIN CERTIFICATE-----..."]
    registration_pin:
      description: What a pin is to hold right after a registration. Empty when what the registration itself writes will do.
      type: list
      elements: str
      sample: []
    push_pins:
      description: Nodes to which RV(targets.bundle) is to be pushed.
      type: list
      elements: str
      sample: [node-1, node-2]
    keep_identity:
      description:
        - Nodes that are to keep a copy of their legacy identity before they are registered again.
        - At most O(legacy_probes) of each CA, as far as not as many keep one by it that has not expired.
      type: list
      elements: str
      sample: [node-1, node-2]
    held_identity:
      description: For each replica those of RV(targets.kept_identity) whose CA its trust pool still names.
      type: dict
      sample: {cp1: [node-1, node-2]}
    kept_identity:
      description: Nodes that keep one by a CA that is about to be retired, or is compromised, and that has not expired.
      type: list
      elements: str
      sample: []
    register:
      description: Nodes that are to be registered again.
      type: list
      elements: str
      sample: [node-1, node-2]
    flip:
      description: Replicas whose server certificate is still by a legacy CA.
      type: list
      elements: str
      sample: []
    flip_first:
      description: >-
        The same when it has to be renewed before the nodes are registered again, because no bundle is pinned, else empty.
      type: list
      elements: str
      sample: []
    flip_now:
      description: The same when it can be renewed by a command, else empty.
      type: list
      elements: str
      sample: []
    stage:
      description: Replicas on which the pair of the next CA is missing, behind those that have it.
      type: list
      elements: str
      sample: []
    activate:
      description: Replicas that are to start with the staged pair.
      type: list
      elements: str
      sample: []
    reactivate:
      description: Replicas that are to start with the pair of the CA before again.
      type: list
      elements: str
      sample: []
    unstage:
      description: Replicas whose staged pair is to be taken away.
      type: list
      elements: str
      sample: []
    forget_previous:
      description: Replicas on which the pair of the CA before is to be taken away.
      type: list
      elements: str
      sample: []
    revoked:
      description: >-
        Of a revocation the mark of each compromised CA that is to lie beside the CP, as a dictionary with C(name), C(pem) and C(there).
      type: list
      elements: dict
      sample: []
    next_ca:
      description: SHA-256 of the certificate that is to be active on the replicas in C(activate) or C(reactivate), empty for none.
      type: str
      sample: ''
    server_sample:
      description: A server certificate by the staged CA in PEM, for nodes to try. Empty when none is staged.
      type: str
      sample: ''
    leaves_marked:
      description: Whether all leaves that were seen have an authority key id.
      type: bool
      sample: true
    narrow_pins:
      description: Nodes that are on the active CA and pin others too.
      type: list
      elements: str
      sample: []
    narrow_now:
      description: The same once the grace window is closed, else empty.
      type: list
      elements: str
      sample: []
    forget_identity:
      description: Nodes that keep a legacy identity after the grace window was closed.
      type: list
      elements: str
      sample: []
    active_ca:
      description: The active CA. Empty when it is not known.
      type: str
      sample: "-----BEGIN CERTIFICATE-----..."
    known_cas:
      description: Every CA certificate that was seen, believed or not.
      type: list
      elements: str
      sample: ["-----BEGIN CERTIFICATE-----..."]
    witnesses:
      description: Nodes on which a replica can show that it accepts an identity.
      type: dict
      contains:
        legacy:
          description: Up to two for each legacy CA.
          type: list
          elements: str
          sample: [node-1, node-2]
        current:
          description: Up to two on the active CA.
          type: list
          elements: str
          sample: []
    tenants:
      description: >-
        The tenant of each node in the registry, as far as it has one. A token of another tenant would make the node change hands.
      type: dict
      sample:
        node-1: blue
    lost:
      description: Nodes that were tried and cannot be reached.
      type: list
      elements: str
      sample: []
report:
  description: The whole as a JSON document. Its schema is C(docs/report.schema.json) in the collection.
  returned: success
  type: dict
  sample:
    schema_version: "1.0"
    goal: drift
    finished: true
"""
