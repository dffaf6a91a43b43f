#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_pair
short_description: Put the pair of the next CA in place on a Control Panel host, make it the active one, or take it away
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    A pair is the certificate of a CA, C(ca.crt), and its private key, C(ca.key), in a directory that only its owner can enter. The
    host needs no Python.
  - >-
    V(present) keeps the pair that is there, or puts one there that was handed in or is newly made: ECDSA on P-256, with key ids. What
    OpenSSL or Go would refuse of it is refused before anything is written.
  - >-
    V(active) copies the pair to O(certs_dir), on the host itself. The Control Panel reads it at its next start. The pair that was there
    is kept in O(keep_dir). Certificate and key are two files, each replaced as a whole, one right after the other.
  - >-
    A new key is made in the memory of the controller and travels to the host on standard input. It is in no argument, no result, no
    temporary file of the controller and no log. Where a key has to come from a host (to give it to another host, or to sign a
    bridge), it is encrypted on its way, because what a command prints is what debugging writes down.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.changing_module
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
  - openssl 1.1.1 or newer (on the host)
options:
  dir:
    description:
      - Absolute path of the pair's directory on the host. It gets mode V(0700) and is made when only its last part is missing.
    type: str
    required: true
  state:
    description:
      - V(present) for a pair in O(dir), V(active) for a Control Panel that starts with it, V(absent) for none in O(dir).
    type: str
    choices: [present, active, absent]
    default: present
  certs_dir:
    description: Where the Control Panel has its active pair. It is never what V(absent) removes.
    type: str
    default: /var/lib/quazzar-cc/certs
  keep_dir:
    description:
      - Where V(active) keeps the pair that was active until then. The pair of a third CA that lies there is not overwritten.
      - Required with O(state=active).
    type: str
  sha256:
    description:
      - >-
        For V(active), SHA-256 of the certificate that is to be active, in any form in which OpenSSL prints it. No other one becomes so, and
        nothing is asked of O(dir) when it is active already.
    type: str
  file:
    description:
      - >-
        A file on the controller with certificate and key in PEM, encrypted with Ansible Vault: the pair to put in place when there is none. It
        is decrypted in memory with the vault secrets of the run. A file in the clear is refused.
    type: path
  common_name:
    description:
      - Common name of a newly made CA.
      - >-
        The default is the subject of the active CA. Where no key ids tell the two apart (see O(leaves_marked)), the next generation is
        put behind its common name, as in C(Quazzar Control Center CA G2).
    type: str
  lifetime:
    description: How long a newly made CA is valid, as a number with a unit.
    type: str
    default: 3650d
  leaf_lifetime:
    description: How long leaves are valid. A CA that ends earlier is refused.
    type: str
    default: 90d
  leaves_marked:
    description: Whether all leaves of the active CA have an authority key id.
    type: bool
    default: true
  server_name:
    description:
      - >-
        Also put a certificate for a server of this name beside the pair, signed by it, whose private key was thrown away: nodes can try by
        it whether they would accept the Control Panel's next certificate.
    type: str
  bridge_path:
    description:
      - >-
        Also put the new CA, cross-signed by the active one, into this file, for a Control Panel that can send it along with its server
        certificate. This needs the key of the active CA.
    type: str
  shared_as:
    description:
      - >-
        A name under which the hosts of one looped task share one pair: the first one's. Hosts that hold the pair already must come first.
        Give it something that is different in each run.
    type: str
  tolerate:
    description: Return a failure, an unreachable host too, as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.trust_file
  - module: quazzar.ca_rotation.cp_info
"""

EXAMPLES = r"""
- name: Have the pair of the next CA on both replicas
  quazzar.ca_rotation.ca_pair:
    dir: /var/lib/quazzar-cc/staged
    server_name: panel.example.com
    shared_as: planned-rotation-2026
  delegate_to: "{{ item }}"
  become: true
  loop: [cp1, cp2]
  run_once: true

- name: Start the Control Panel with it from the next restart on
  quazzar.ca_rotation.ca_pair:
    state: active
    dir: /var/lib/quazzar-cc/staged
    keep_dir: /var/lib/quazzar-cc/previous
  become: true

- name: Take the pair of the former CA away
  quazzar.ca_rotation.ca_pair:
    state: absent
    dir: /var/lib/quazzar-cc/previous
  become: true
"""

RETURN = r"""
dir:
  description: O(dir).
  returned: success
  type: str
  sample: /var/lib/quazzar-cc/staged
sha256:
  description: SHA-256 of the certificate, empty when there is none, or in check mode none yet.
  returned: success
  type: str
  sample: 7d1ed4b0ae2c19c3cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9
subject:
  description: Its subject (RFC 4514).
  returned: success
  type: str
  sample: CN=Quazzar Control Center CA
not_after:
  description: Until when it is valid.
  returned: success
  type: str
  sample: '2036-11-22T09:39:25Z'
origin:
  description: >-
    Where the pair comes from: V(found) there, V(shared) by an earlier host of the task, V(file), or V(made) now. Empty with
    O(state=absent).
  returned: success
  type: str
  sample: made
bridge:
  description: SHA-256 of the bridge that was written now, else empty.
  returned: success
  type: str
  sample: ''
reachable:
  description: Whether the host could be reached.
  returned: success
  type: bool
  sample: true
error:
  description: What went wrong (with O(tolerate=true)), else empty.
  returned: success
  type: str
  sample: ''
"""
