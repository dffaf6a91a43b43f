#!/usr/bin/python
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lock
short_description: Hold the lock of a run on a Control Panel host
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - >-
    Takes, renews or lets go of a lock, so that two runs do not change the same Control Panel at once. The lock is a directory on a host;
    the host needs no Python, and its clock is the only one that counts.
  - >-
    A lock is exclusive, or shared with other runs that want it shared. It expires unless it is renewed, so that a run which died
    stops nobody for ever. Of several runs that want an expired lock at the same time exactly one gets it.
  - >-
    The lock of a run whose process has ended on the same controller is taken over at once. That is told by the process id, its start,
    the user, the boot of the kernel and the namespace of process ids, so it takes a controller with C(/proc) (Linux). The process is
    the C(ansible-playbook) that took the lock first; on that controller the lock does not outlive it.
  - >-
    A lock is a hint that saves time. Nothing in this collection relies on it to be safe.
extends_documentation_fragment:
  - quazzar.ca_rotation.attributes
  - quazzar.ca_rotation.attributes.changing_module
  - quazzar.ca_rotation.attributes.connection
  - quazzar.ca_rotation.attributes.actiongroup
options:
  path:
    description:
      - >-
        Absolute path of the lock on the host. It must be a directory of its own: where anything else is found in it, the module fails and
        touches nothing. It is there only while somebody holds the lock.
      - The directory above it must exist.
    type: str
    required: true
  run_id:
    description:
      - Name of the run, up to 64 letters, digits and any of C(._:-). Each run needs another one.
      - Whoever uses the same name is the same run.
    type: str
    required: true
  state:
    description:
      - V(present) takes the lock, or renews it when the run holds it already.
      - V(renewed) renews it, and fails when the run holds it no more.
      - V(absent) lets go of it. What other runs hold is never touched.
      - To renew alone is not reported as a change.
    type: str
    choices: [present, renewed, absent]
    default: present
  kind:
    description:
      - V(exclusive) can be had while no other run holds the lock, V(shared) while no other run holds it exclusively.
      - A lock that the run holds already becomes one of this kind.
    type: str
    choices: [exclusive, shared]
    default: exclusive
  expires_in:
    description: >-
      Seconds from now after which other runs may take the lock. A file that is in its directory without being the entry of a lock counts
      as held for so long after it was written.
    type: int
    default: 1800
  who:
    description: What other runs are told of this one. By default the playbook, the user and the controller.
    type: str
    default: ""
  counts:
    description: >-
      What this run has done, for those that share the lock with it: C(planned), C(done), C(bad) and C(rate), numbers of nodes. Without it
      what was said before stays.
    type: dict
    default: {}
  tolerate:
    description: Return a failure, a refusal or an unreachable host too, as RV(error) instead of failing.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Take the lock
  quazzar.ca_rotation.run_lock:
    path: /var/lib/quazzar-cc/rotation-lock
    run_id: 20260504T093000Z-17
  become: true

- name: Renew it between two steps
  quazzar.ca_rotation.run_lock:
    path: /var/lib/quazzar-cc/rotation-lock
    run_id: 20260504T093000Z-17
    state: renewed
  become: true

- name: Let go of it
  quazzar.ca_rotation.run_lock:
    path: /var/lib/quazzar-cc/rotation-lock
    run_id: 20260504T093000Z-17
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The path.
  returned: success
  type: str
  sample: /var/lib/quazzar-cc/rotation-lock
until:
  description: When the lock of this run expires, by the clock of the host. Empty when it holds none.
  returned: success
  type: str
  sample: "2026-05-04T10:00:00Z"
holders:
  description: The other runs whose entries were found, expired ones too. A dictionary for each.
  returned: always
  type: list
  elements: dict
  contains:
    run_id:
      description: Name of the run; empty for a file that is no entry of a lock.
      type: str
      sample: 20260504T091500Z-4
    kind:
      description: V(exclusive) or V(shared).
      type: str
      sample: exclusive
    who:
      description: What that run says of itself.
      type: str
      sample: quazzar.ca_rotation.ca_rotate by alice on control01
    since:
      description: When it took the lock, by the clock of the host. Empty when unknown.
      type: str
      sample: "2026-05-04T09:15:00Z"
    until:
      description: When its lock expires.
      type: str
      sample: "2026-05-04T09:45:00Z"
wave:
  description: >-
    What the others have done that share the lock: C(runs), how many there are, and the sums of C(planned), C(done), C(bad) and C(rate). A
    run that lets go while others go on still counts, until the last of them has let go, but no longer for what it has left undone.
  returned: success
  type: dict
  sample: {runs: 1, planned: 12, done: 7, bad: 1, rate: 30}
taken_over:
  description: Locks of other runs that were taken over now, with the reason, one sentence each.
  returned: success
  type: list
  elements: str
  sample: []
reachable:
  description: Whether the host could be reached.
  returned: success
  type: bool
  sample: true
error:
  description: Why the lock cannot be had (with O(tolerate=true)), else empty.
  returned: success
  type: str
  sample: ''
"""
