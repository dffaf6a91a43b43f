#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_info
short_description: Read the certificates in files of a host
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads files on any host in one round trip and returns every certificate in each of them: a file may be a bundle, of which
    C(openssl x509) would show the first certificate only.
  - The files are parsed on the controller. A private key in a file is noticed and dropped at once.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
options:
  paths:
    description: Absolute paths of the files.
    type: list
    elements: str
    required: true
  include_pem:
    description: Return each certificate in PEM too.
    type: bool
    default: false
  tolerate:
    description: Return a host that cannot be worked on as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.node_info
  - module: quazzar.ca_rotation.trust_file
"""

EXAMPLES = r"""
- name: Read the active CA and a legacy CA on a Control Panel host
  quazzar.ca_rotation.ca_info:
    paths:
      - /var/lib/quazzar-cc/certs/ca.crt
      - /var/lib/quazzar-cc/certs/ca.crt.old
  become: true
  register: cas

- name: Show the digests
  ansible.builtin.debug:
    msg: "{{ cas.files | map(attribute='certificates') | flatten | map(attribute='fingerprint') }}"
"""

RETURN = r"""
files:
  description: One entry for each path, in the same order.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path as it was given.
      type: str
      sample: /var/lib/quazzar-cc/certs/ca.crt
    form:
      description: V(pem), V(der), or V(empty). Empty text when the file could not be read.
      type: str
      sample: pem
    certificates:
      description: The certificates, in the order of the file.
      type: list
      elements: dict
      contains:
        sha256:
          description: SHA-256 of the certificate, in lower-case hex.
          type: str
          sample: 7d1ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9
        fingerprint:
          description: The same as openssl prints it.
          type: str
          sample: '7D:1E:D4:B0:AE:2C:19:C3:CB:9C:34:BD:7C:3F:C2:C2:F2:AC:3D:1E:4A:20:B1:C4:A4:A1:D2:A5:B6:C7:D8:E9'
        spki_sha256:
          description: SHA-256 of the public key. It stays the same when a CA is renewed over the same key.
          type: str
          sample: 0f3b0b6a4fd1a0a4de9f9d2f2b7f5f3d3c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f
        subject:
          description: Subject, in the form of RFC 4514.
          type: str
          sample: CN=Quazzar Control Center CA
        issuer:
          description: Issuer, in the form of RFC 4514.
          type: str
          sample: CN=Quazzar Control Center CA
        serial:
          description: Serial number in hex.
          type: str
          sample: 4f2a
        not_before:
          description: Begin of its validity.
          type: str
          sample: '2026-05-04T09:30:00Z'
        not_after:
          description: End of its validity.
          type: str
          sample: '2036-05-01T09:30:00Z'
        ski:
          description: Subject key identifier in hex, V(null) when it has none.
          type: str
          sample: 9c5e0d5f0e3b9d3c8f1c2a7a5c0f6c1c0b7d8e9f
        aki:
          description: Authority key identifier in hex, V(null) when it has none.
          type: str
          sample: 9c5e0d5f0e3b9d3c8f1c2a7a5c0f6c1c0b7d8e9f
        is_ca:
          description: Whether it says that it is a CA.
          type: bool
          sample: true
        key_usage:
          description: Names of its key usages, V(null) when it does not restrict them.
          type: list
          elements: str
          sample: [keyCertSign, cRLSign]
        self_signed:
          description: Whether its own key signed it.
          type: bool
          sample: true
        signature_hash:
          description: Hash of its signature, V(null) where the signature names none.
          type: str
          sample: sha256
        pem:
          description: The certificate in PEM.
          returned: when O(include_pem=true)
          type: str
          sample: '-----BEGIN CERTIFICATE----- ...'
    has_private_key:
      description: Whether there is a private key in the file, where none belongs.
      type: bool
      sample: false
    notes:
      description: What is unusual about the file.
      type: list
      elements: str
      sample: [CRLF line ends]
    error:
      description: Why the file could not be read, else empty.
      type: str
      sample: ''
reachable:
  description: Whether the host could be worked on.
  returned: success
  type: bool
  sample: true
error:
  description: Why the host could not be worked on (with O(tolerate=true)), else empty.
  returned: success
  type: str
  sample: ''
"""
