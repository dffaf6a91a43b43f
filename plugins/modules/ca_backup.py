#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_backup
short_description: Back the CA pair of the Control Panel up, encrypted, and show that the backup can be restored
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Writes certificate and key of the active CA into one file in a directory of the controller. The file is encrypted with Ansible Vault
    in memory: no file of the controller ever holds the key in the clear.
  - >-
    A new file is written when the newest backup of the active CA is damaged, holds something else or is older than O(max_age), or
    when there is none. Otherwise nothing is written. Old files are never changed or deleted.
  - >-
    Each run that is not in check mode then makes a drill: the newest backup is read from the controller's disk, decrypted, and
    restored into a scratch directory of the host. There openssl shows that certificate and key belong together, that the certificate
    is the one in O(certs_dir), and that what the key signs is verified by it. The scratch directory lies in a tmpfs where there is
    one, only its owner can enter it, and it is removed also when the drill fails or the connection breaks. Nothing else of the host
    is changed.
  - >-
    Before anything is written the pair on the host is judged there: the key must belong to the certificate, the certificate must be
    that of a CA, and every host in O(cp_hosts) must hold the same one. The key leaves the host only when a backup is going to be
    written, encrypted on its way.
  - >-
    When a backup cannot be decrypted though its form is right, either it is damaged or the vault secret is the wrong one. When no
    other backup in O(dir) can be decrypted either, nothing is written: a backup under a mistyped password could be opened by nobody.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
requirements:
  - cryptography (on the controller)
  - openssl 1.1.1 or newer, C(sed), C(grep), C(cmp), C(mktemp) (on the host)
attributes:
  check_mode:
    support: full
    details:
      - >-
        Nothing is written, no drill is made, and the key stays on the host. The newest backup is decrypted in memory and judged.
  diff_mode:
    support: full
    details:
      - It shows the path of the new file and the digest of the CA, never what is in the file.
  idempotent:
    support: full
    details:
      - Until the backup is older than O(max_age).
options:
  dir:
    description:
      - Directory on the controller. When only its last part is missing it is made, with mode V(0700).
      - >-
        A file in it is named C(SHA256-TIME.vault): the first 16 hex digits of the certificate's SHA-256, and the time in UTC, as in
        C(757bdd545860ab10-20261125T093000Z.vault). Other files are left alone.
    type: path
    required: true
  state:
    description: That there is a backup. Backups are not removed by this module.
    type: str
    choices: [present]
    default: present
  certs_dir:
    description: Directory on the host with the active pair, C(ca.crt) and C(ca.key).
    type: str
    default: /var/lib/quazzar-cc/certs
  max_age:
    description: When the newest backup is older a new one is written. Seconds, or a number with V(s), V(m), V(h) or V(d).
    type: str
    default: 30d
  vault_id:
    description:
      - >-
        Which of the vault secrets of the run encrypts the backup, by its vault id. The secrets are those of C(--vault-id),
        C(--ask-vault-pass) or C(--vault-password-file), or of the vault credentials of a job.
      - >-
        When empty it is the one vault id that was given. Without any, with several, and with different secrets under the one, the
        module fails.
    type: str
    default: ''
  cp_hosts:
    description: >-
      Inventory names of all hosts of the Control Panel. What M(quazzar.ca_rotation.cp_info) has registered for each of them must show
      the same active CA as the host of this task has.
    type: list
    elements: str
    default: []
  replica_var:
    description: Name of the variable in which the result of M(quazzar.ca_rotation.cp_info) is registered.
    type: str
    default: __controlplane_replica
  tolerate:
    description: Return a failure, an unreachable host too, as RV(error) instead of failing.
    type: bool
    default: false
seealso:
  - module: quazzar.ca_rotation.ca_pair
    description: Its option O(quazzar.ca_rotation.ca_pair#module:file) takes such a file.
  - module: quazzar.ca_rotation.cp_info
"""

EXAMPLES = r"""
- name: Back the CA pair up, and restore it in a drill
  quazzar.ca_rotation.ca_backup:
    dir: /srv/backup/quazzar-ca
  become: true

- name: Say how old the newest backup is, and whether it is of the active CA
  quazzar.ca_rotation.ca_backup:
    dir: /srv/backup/quazzar-ca
    vault_id: backup
    tolerate: true
  become: true
  check_mode: true
  register: backup
"""

RETURN = r"""
reason:
  description: Why a backup was written, or in check mode would be. Empty when the newest one is good enough.
  returned: always
  type: str
  sample: there is none in /srv/backup/quazzar-ca
backup:
  description:
    - The newest backup of the active CA after this task. In check mode it is the one that is there.
    - >-
      Where there is none of the active CA, or the host did not say which that is, it is the newest of any CA.
  returned: always
  type: dict
  contains:
    path:
      description: Its path on the controller. Empty when there is none.
      type: str
      sample: /srv/backup/quazzar-ca/757bdd545860ab10-20261125T093000Z.vault
    sha256:
      description: SHA-256 of the CA certificate in it. Empty when it was not decrypted.
      type: str
      sample: 757bdd545860ab10cb9c34bd7c3fc2c2f2ac3d1e4a20b1c4a4a1d2a5b6c7d8e9
    made_at:
      description: When it was made, in RFC 3339. Null when there is none.
      type: str
      sample: '2026-11-25T09:30:00Z'
    age_seconds:
      description: How old it is. Null when there is none.
      type: int
      sample: 0
    current:
      description: Whether it was decrypted and holds the pair of the active CA. Its age does not matter to this.
      type: bool
      sample: true
    judged:
      description: >-
        Whether RV(backup.current) is known. It is not where the backup could not be opened, since that takes the right vault secret, or where
        the host did not say which CA is active. A file that is damaged for certain, or is named as one of another CA, is judged.
      type: bool
      sample: true
    error:
      description: Why it is not current, or why that could not be told, else empty.
      type: str
      sample: ''
drill:
  description: The verdict of the drill.
  returned: always
  type: dict
  contains:
    ok:
      description: Whether the backup was restored and its key used. Null when no drill was made.
      type: bool
      sample: true
    detail:
      description: What was shown, or what went wrong.
      type: str
      sample: >-
        restored in /dev/shm on cp1: key and certificate belong together, the certificate is the active CA's, and what the key signed
        is verified by it
summary:
  description: All of it in one line. Empty when the work was not finished.
  returned: always
  type: str
  sample: >-
    Backup of CA 757bdd545860ab10… from 2026-11-25T09:30:00Z (0 s old) in /srv/backup/quazzar-ca/757bdd545860ab10-20261125T093000Z.vault:
    restored in a drill on cp1, key and certificate belong together.
reachable:
  description: Whether the host could be reached.
  returned: always
  type: bool
  sample: true
error:
  description: What went wrong (with O(tolerate=true)), else empty.
  returned: always
  type: str
  sample: ''
"""
