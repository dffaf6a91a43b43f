#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Read what a node trusts, who it is, and whether its link is up
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    In one round trip: the pin as a set of digests, the leaf and who really signed it, a live handshake with the Control Panel
    from the node itself with the verdict for each direction, the agent's own view, the log, and the node's clock.
  - >-
    The handshake reads its files from the disk. It proves the files, not the running agent, which may have read them only when it
    was started: for the agent wait for its heartbeat with M(quazzar.ca_rotation.fleet_info).
  - >-
    The result has at most 2 KB. The bytes of the leaf are left out, and sentences are shortened, when it would be more. Only a pin
    with more than a dozen certificates makes it longer, and the bytes of a kept leaf come on top.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
  - quazzar.ca_rotation.node
seealso:
  - module: quazzar.ca_rotation.node_registration
  - module: quazzar.ca_rotation.fleet_info
"""

EXAMPLES = r"""
- name: Read a node
  quazzar.ca_rotation.node_info:
    address: panel.example.com:8443
    os_api_key: "{{ vault_os_api_key }}"
    tolerate: true
  become: true
  register: seen

- name: Try the legacy identity that the node has kept
  quazzar.ca_rotation.node_info:
    address: 10.0.0.11:8443
    server_name: panel.example.com
    cert_path: /var/lib/quazzar-ca-rotation/client.crt
    key_path: /var/lib/quazzar-ca-rotation/client.key
  become: true
"""

RETURN = r"""
node:
  description: The evidence.
  returned: success
  type: dict
  contains:
    taken_at:
      description: When, by the controller's clock.
      type: str
      sample: '2026-05-04T09:30:00Z'
    reachable:
      description: Whether the node could be worked on, and its pin and leaf be read where they are there.
      type: bool
      sample: true
    error:
      description: Why not (with O(tolerate=true)), else empty.
      type: str
      sample: ''
    pin:
      description: The file O(ca_path).
      type: dict
      contains:
        sha256:
          description: SHA-256 of each certificate, in the order of the file.
          type: list
          elements: str
          sample: [7d1ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9]
        form:
          description: V(pem) or V(der), and what is unusual about the file.
          type: str
          sample: pem
        error:
          description: Why the pin cannot be used, else empty.
          type: str
          sample: ''
    leaf:
      description: The first certificate in O(cert_path).
      type: dict
      contains:
        sha256:
          description: SHA-256 of the leaf.
          type: str
          sample: 1b2ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9
        issuer:
          description: Issuer, in the form of RFC 4514.
          type: str
          sample: CN=Quazzar Control Center CA
        not_before:
          description: Begin of its validity.
          type: str
          sample: '2026-05-04T09:30:00Z'
        not_after:
          description: End of its validity.
          type: str
          sample: '2026-08-02T09:30:00Z'
        der:
          description: The leaf in DER, as base64. Empty when the result would become too long.
          type: str
          sample: MIIB...
        signed_by:
          description: SHA-256 of the CA certificates that really signed it, out of the pin and O(cas).
          type: list
          elements: str
          sample: [7d1ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9]
        error:
          description: Why the leaf cannot be used, else empty.
          type: str
          sample: ''
    handshake:
      description: A handshake with O(address) from the node.
      type: dict
      contains:
        address:
          description: The address.
          type: str
          sample: panel.example.com:8443
        server_name:
          description: The name that the server was verified for.
          type: str
          sample: panel.example.com
        trust:
          description: What it was verified by, as O(server_trust).
          type: str
          sample: pin
        to_cp:
          description: Whether the node accepts the server, V(ok), V(refused) or V(unknown).
          type: str
          sample: ok
        to_cp_detail:
          description: Why.
          type: str
          sample: ''
        to_node:
          description: Whether the server accepts the node, V(accepted), V(refused) or V(unknown). Only V(accepted) means up.
          type: str
          sample: accepted
        to_node_detail:
          description: Why.
          type: str
          sample: ''
    sample:
      description: Whether the node would take the server certificate O(server_sample).
      type: dict
      contains:
        verdict:
          description: V(ok), V(refused), or V(unknown) when it was not asked.
          type: str
          sample: unknown
        detail:
          description: Why not, in the words of the node's openssl.
          type: str
          sample: ''
    agent:
      description: The agent's own view, by the OS API.
      type: dict
      contains:
        status:
          description: V(connected), V(disconnected) or V(unknown).
          type: str
          sample: connected
        needs_registration:
          description: Whether the agent wants to be registered again, V(null) when it does not tell.
          type: bool
          sample: false
        detail:
          description: Why the status is unknown.
          type: str
          sample: ''
    log:
      description: The agent's log. A hint, never a proof.
      type: dict
      contains:
        symptom_count:
          description: Lines that match O(log_pattern), V(null) when no log could be read.
          type: int
          sample: 0
        error:
          description: Why no log could be read, else empty.
          type: str
          sample: ''
    clock_skew:
      description: The node's clock minus the controller's in seconds, V(null) when it is not known.
      type: float
      sample: 0.02
    kept_identity:
      description: Whether a legacy identity is kept in O(kept_identity_dir).
      type: bool
      sample: false
    kept_leaf:
      description: The leaf of that identity.
      type: dict
      contains:
        not_after:
          description: End of its validity, empty when none is kept.
          type: str
          sample: ''
        der:
          description: The leaf in DER, as base64, at most 2 KB.
          type: str
          sample: ''
        signed_by:
          description: SHA-256 of the CA certificates that really signed it, out of the pin and O(cas).
          type: list
          elements: str
          sample: []
        error:
          description: Why it cannot be used, else empty.
          type: str
          sample: ''
    tools:
      description: What the node has.
      type: dict
      contains:
        openssl:
          description: Version of openssl, empty without one.
          type: str
          sample: 3.0.19
        http:
          description: What calls the OS API, V(curl), V(bash), V(openssl) or V(none).
          type: str
          sample: curl
"""
