# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run an action plugin as a task would, on this machine through the real local connection."""

from __future__ import annotations

import typing as t

from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.connection.local import Connection
from ansible.template import Templar


def act(
    plugin: type,
    args: dict[str, t.Any],
    *,
    check_mode: bool = False,
    diff: bool = False,
    host: str = "cp1",
    task_vars: dict[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """The result of one task with ``args`` on ``host``, an inventory name for this machine."""
    loader = DataLoader()
    task = Task()
    task.action = plugin.__module__.rpartition(".")[2]
    task.args = dict(args)
    task.check_mode = check_mode
    task.diff = diff
    context = PlayContext()
    # Not by the plugin loader: that would put Ansible's own import machinery in the place of pytest's.
    connection = Connection(context, "/dev/null")
    connection._load_name = "local"
    connection.set_options(direct={"pipelining": False})
    action = plugin(
        task=task,
        connection=connection,
        play_context=context,
        loader=loader,
        templar=Templar(loader),
        shared_loader_obj=None,
    )
    return action.run(task_vars={"inventory_hostname": host, **(task_vars or {})})
