# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What the attributes mean. A module that uses this alone says itself how far it supports them.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changes that it would make, without making them.
  diff_mode:
    description: Returns what changed, or in C(check_mode) would change, when the task runs in diff mode.
  idempotent:
    description: Running it twice in a row, with nothing changed in between, changes nothing the second time.
  platform:
    description: Systems that it can work on.
    support: full
    platforms: posix
    details:
      - >-
        It is an action: it runs in the controller's own Python. A host that it reads or changes needs a POSIX shell, no Python.
"""

    # For everything that only reads
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - It only reads, so it does the same in C(check_mode).
  diff_mode:
    support: N/A
    details:
      - It changes nothing, so there is nothing to compare.
  idempotent:
    support: full
    details:
      - It changes nothing. What it finds differs as soon as the world does.
"""

    # For everything that changes something, predicts it truly in check mode, and shows it in diff mode
    CHANGING_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    # For everything, so that module_defaults can give the shared options once
    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/quazzar.ca_rotation.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - quazzar.ca_rotation.all
"""

    # For what reaches its host through the task's own connection
    CONNECTION = r"""
options: {}
attributes:
  connection:
    description: Uses the connection of the task, with its C(become), to reach the host.
    support: full
    details:
      - >-
        The connection and become plugins must support pipelining (C(ssh), C(local), C(kubectl), C(docker), C(podman); C(sudo)):
        everything travels on standard input and nothing is put into a temporary file on the host.
"""

    # For what only talks to the Control Panel's addresses
    CONTROLLER = r"""
options: {}
attributes:
  connection:
    description: Uses the connection of the task, with its C(become), to reach the host.
    support: none
    details:
      - It runs on the controller whatever host the task is for, whatever C(delegate_to), C(become) and interpreter say.
"""
