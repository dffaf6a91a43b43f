#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cp_info
short_description: Read one replica of the Control Panel
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Reads in one round trip what the files and the log of a Control Panel host say about its CA certificates, and looks at the
    replica's mTLS listener from the controller, without a client certificate.
  - >-
    The listener shows which certificate chain is really served, and by the names of the acceptable CAs roughly how many CAs the
    running process trusts.
  - >-
    The host needs no Python. A CA key never leaves the host, and is read there only while a pair is in O(staged_dir) or O(previous_dir):
    then the host's own openssl says of each pair, the active one too, whether key and certificate belong together. A certificate file with
    a private key in it is named and left alone. Of the environment file only the lines that mention the two variables leave the host.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.info_module
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
  - openssl 1.1.1 or later (on the controller, with O(address))
options:
  name:
    description: Name of the replica in the result. The default is the name of the host.
    type: str
  address:
    description: >-
      Address of the mTLS listener as seen from the controller, such as V(panel-1.example.com:8443). Without it the listener is not
      looked at.
    type: str
  server_name:
    description: Server name to ask for (SNI). The default is the host part of O(address).
    type: str
  certs_dir:
    description: Directory on the host with C(ca.crt). Without it the active CA is not read.
    type: str
  env_file:
    description: Environment file (C(KEY=VALUE)) of the Control Panel on the host. Without it the trust pool is not read.
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
      Directory on the host with legacy CA certificates (C(*.crt), C(*.pem)). The documented C(ca.crt.old) in O(certs_dir) is read as
      well.
    type: str
  staged_dir:
    description: Directory of the pair of a staged CA (see M(quazzar.ca_rotation.ca_pair)). Of its key it is only told whether it fits.
    type: str
  previous_dir:
    description: Directory of the pair that was active before a planned rotation, as O(staged_dir).
    type: str
  log_command:
    description:
      - >-
        Shell command that prints the replica's log on the host and ends, such as
        V(journalctl -u quazzar-cc -b --no-pager). Without it RV(replica.boot.loaded_count) is V(null).
      - Its exit status must be 0. The last 4 MiB count.
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
      - When no line matches, all lines count and RV(replica.boot.since_boot) is V(false).
    type: str
    default: '(?i)\bstarting\b.*\b(?:control (?:panel|center)|quazzar)|\b(?:control (?:panel|center)|quazzar)\b.*\bstarting\b'
  timeout:
    description: Seconds for the handshake, and for O(log_command).
    type: float
    default: 15.0
  tolerate:
    description: Return a failure as RV(replica.error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.node_info
  - module: quazzar.ca_rotation.trust_pool
  - module: quazzar.ca_rotation.handshake_log_info
"""

EXAMPLES = r"""
- name: Read every replica
  quazzar.ca_rotation.cp_info:
    address: "{{ inventory_hostname }}:8443"
    server_name: panel.example.com
    certs_dir: /var/lib/quazzar-cc/certs
    env_file: /etc/quazzar-cc/environment
    legacy_dir: /var/lib/quazzar-cc/legacy
    log_command: journalctl -u quazzar-cc --no-pager
  become: true
  register: cp

- name: Only look at a listener
  quazzar.ca_rotation.cp_info:
    address: panel.example.com:8443
  delegate_to: localhost
  become: false
"""

RETURN = r"""
replica:
  description: The replica.
  returned: success, and on failure with O(tolerate=true)
  type: dict
  contains:
    name:
      description: O(name).
      type: str
      sample: cp1
    taken_at:
      description: When this was read, by the controller's clock.
      type: str
      sample: '2026-05-04T09:30:00Z'
    reachable:
      description: Whether the host answered.
      type: bool
      sample: true
    error:
      description: Why the host could not be read, else empty.
      type: str
      sample: ''
    address:
      description: O(address).
      type: str
      sample: cp1:8443
    listening:
      description: Whether the listener showed a certificate.
      type: bool
      sample: true
    listener_error:
      description: Why it did not, else empty.
      type: str
      sample: ''
    chain:
      description: The certificates that the listener shows, in its order.
      type: list
      elements: dict
      contains:
        sha256:
          description: SHA-256 of the certificate, hex.
          type: str
        subject:
          description: Subject (RFC 4514).
          type: str
        issuer:
          description: Issuer (RFC 4514).
          type: str
        not_before:
          description: Start of validity.
          type: str
        not_after:
          description: End of validity.
          type: str
        pem:
          description: The certificate.
          type: str
    acceptable_ca_names:
      description: Names of the CAs whose clients the listener would accept. A server in Go names two CAs of the same name twice, one with OpenSSL once.
      type: list
      elements: str
      sample: [CN=Quazzar Control Center CA]
    acceptable_ca_count:
      description: How many names those are, V(null) when the listener does not tell.
      type: int
      sample: 1
    active_ca:
      description: The certificate in C(ca.crt) of O(certs_dir), V(null) when it was not read.
      type: dict
      contains:
        sha256:
          description: SHA-256 of the certificate, hex.
          type: str
        fingerprint:
          description: The same in openssl's form.
          type: str
        spki_sha256:
          description: SHA-256 of its public key, hex.
          type: str
        subject:
          description: Subject (RFC 4514).
          type: str
        issuer:
          description: Issuer (RFC 4514).
          type: str
        serial:
          description: Serial number, hex.
          type: str
        not_before:
          description: Start of validity.
          type: str
        not_after:
          description: End of validity.
          type: str
        ski:
          description: Subject key identifier, hex, V(null) without one.
          type: str
        aki:
          description: Authority key identifier, hex, V(null) without one.
          type: str
        is_ca:
          description: Whether it is a CA certificate.
          type: bool
        key_usage:
          description: Key usages, V(null) when the extension is missing.
          type: list
          elements: str
        self_signed:
          description: Whether it is signed by its own key.
          type: bool
        signature_hash:
          description: Hash of its signature.
          type: str
        pem:
          description: The certificate.
          type: str
    active_ca_error:
      description: Why the active CA is not known, else empty.
      type: str
      sample: ''
    pool:
      description: The trust pool as the environment file says, which need not be what the running process has loaded.
      type: dict
      contains:
        raw:
          description: Value of O(variable), V(null) when it is not set.
          type: str
          sample: /var/lib/quazzar-cc/legacy/0123456789abcdef.crt
        entries:
          description: The files that the value names, in its order.
          type: list
          elements: dict
          contains:
            path:
              description: The file.
              type: str
            sha256:
              description: SHA-256 of the certificates in it, hex.
              type: list
              elements: str
            pem:
              description: The certificates in it.
              type: list
              elements: str
            since:
              description: When the file was last written, by the clock of the host. V(null) when that is not known.
              type: str
              sample: "2026-11-23T10:12:00Z"
            error:
              description: Why the file is of no use, else empty.
              type: str
        line:
          description: Number of the line that counts, V(null) when the variable is not set.
          type: int
          sample: 12
        error:
          description: Why the pool is not known, else empty.
          type: str
          sample: ''
    active_key_matches:
      description: >-
        Whether C(ca.key) of O(certs_dir) belongs to C(ca.crt). Only looked at while a pair is in O(staged_dir) or O(previous_dir), else
        V(null).
      type: bool
      sample: null
    legacy_dir:
      description: Certificate files in O(legacy_dir), and C(ca.crt.old*) in O(certs_dir).
      type: list
      elements: dict
      contains:
        path:
          description: The file.
          type: str
        sha256:
          description: SHA-256 of the certificates in it, hex.
          type: list
          elements: str
        pem:
          description: The certificates in it.
          type: list
          elements: str
        error:
          description: Why the file is of no use, else empty.
          type: str
    revoked:
      description: >-
        The marks of revoked CAs, as RV(replica.legacy_dir) has its files. They are the files in O(legacy_dir) whose names end with C(.revoked).
      type: list
      elements: dict
      sample: []
    ours:
      description: >-
        Places for legacy CAs that belong to the rotation, C(ca.crt.old) in O(certs_dir) and directories (with a slash at the end). Pool
        entries from elsewhere are somebody else's.
      type: list
      elements: str
      sample: [/var/lib/quazzar-cc/legacy/, /var/lib/quazzar-cc/certs/ca.crt.old]
    staged:
      description: The pair in O(staged_dir), V(null) when there is none.
      type: dict
      contains:
        pem:
          description: Its certificate, empty when it cannot be read.
          type: str
        sha256:
          description: SHA-256 of that.
          type: str
        usable:
          description: Whether the key is there and belongs to the certificate.
          type: bool
        sample:
          description: A server certificate by that CA, for nodes to try. Empty when there is none.
          type: str
        error:
          description: Why the certificate cannot be read, else empty.
          type: str
    previous:
      description: The pair in O(previous_dir), V(null) when there is none.
      type: dict
      contains:
        pem:
          description: Its certificate, empty when it cannot be read.
          type: str
        sha256:
          description: SHA-256 of that.
          type: str
        usable:
          description: Whether the key is there and belongs to the certificate.
          type: bool
        sample:
          description: A server certificate by that CA, for nodes to try. Empty when there is none.
          type: str
        error:
          description: Why the certificate cannot be read, else empty.
          type: str
    boot:
      description: What the replica logged at its start.
      type: dict
      contains:
        loaded_count:
          description: How many additional CAs it says to have loaded, V(null) when there is no log.
          type: int
          sample: 1
        since_boot:
          description: Whether the last start was found in the log. When not, lines of several boots may have been counted.
          type: bool
          sample: true
        error:
          description: Why there is no number or why it is to be taken with care, else empty.
          type: str
          sample: ''
    auto_ca_gen:
      description: Whether O(auto_ca_gen_variable) is set to true in O(env_file), V(null) when that was not read.
      type: bool
      sample: false
    storage:
      description: How the files of the Control Panel are kept, as far as O(certs_dir) is given. Only names, modes and owners.
      type: dict
      contains:
        path:
          description: O(certs_dir). Empty when it was not looked at.
          type: str
          sample: /var/lib/quazzar-cc/certs
        error:
          description: Why nothing is known of that directory, else empty.
          type: str
          sample: ''
        mount:
          description: Where its file system is mounted. Empty when that is not known.
          type: str
          sample: /var/lib/quazzar-cc
        file_system:
          description: Type of that file system, as the kernel names it. Empty when that is not known.
          type: str
          sample: ext4
        container:
          description: Whether the host shows signs of being a container.
          type: bool
          sample: false
        mode:
          description: Mode of the directory, octal.
          type: str
          sample: "700"
        owner:
          description: Owner of the directory.
          type: str
          sample: quazzar
        key:
          description: >-
            The active CA's key, C(ca.key) in O(certs_dir), as a file. What is in it is only compared on the host, for C(active_key_matches).
          type: dict
          contains:
            path:
              description: The file.
              type: str
              sample: /var/lib/quazzar-cc/certs/ca.key
            mode:
              description: Its mode, octal.
              type: str
              sample: "600"
            owner:
              description: Its owner.
              type: str
              sample: quazzar
            error:
              description: Why neither is known, else empty.
              type: str
              sample: ''
        key_copies:
          description: Files in O(legacy_dir), in the trust pool or in the place of a certificate in which there is a private key.
          type: list
          elements: str
          sample: []
        key_copies_error:
          description: Why there may be more of them, else empty.
          type: str
          sample: ''
"""
