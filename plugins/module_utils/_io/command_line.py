# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The command by which a halted run goes on. Extra variables may hold secrets, so they are named and not shown."""

from __future__ import annotations

import shlex
import typing as t

try:
    from ansible import context  # pylint: disable=ansible-bad-module-import
except ImportError:  # the import check of ansible-test hides everything but module_utils from this directory
    context = None

OTHERWISE = "run the same playbook again"


def resume() -> str:
    """The command line of this run as a shell line; where there is none (an API, a test), what to do in words."""
    return compose(context.CLIARGS)


def compose(arguments: t.Mapping[str, t.Any]) -> str:
    """``arguments``: what ansible-playbook has parsed. Without playbooks in it, this is no run of ansible-playbook."""
    named = _named(arguments)
    if not named:
        return OTHERWISE
    words = ["ansible-playbook"]
    for inventory in arguments.get("inventory") or ():
        words += ["-i", str(inventory)]
    if arguments.get("subset"):
        words += ["--limit", str(arguments["subset"])]
    extra = [str(each) for each in arguments.get("extra_vars") or ()]
    for each in extra:
        if each.startswith("@"):
            words += ["-e", each]
    line = " ".join(map(shlex.quote, [*words, *named]))
    hidden = any(not each.startswith("@") for each in extra)
    return f"{line} (with the same --extra-vars as before)" if hidden else line


def playbooks() -> str:
    """The playbooks of this run as they were named; where there are none, the program."""
    return " ".join(_named(context.CLIARGS)) or "ansible"


def _named(arguments: t.Mapping[str, t.Any]) -> list[str]:
    """The playbooks. The program ansible has the pattern of hosts there, a text."""
    found = arguments.get("args") or ()
    return [] if isinstance(found, str) else list(map(str, found))
