# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What all actions share: argument validation, errors as results, and no temporary directory on the host."""

from __future__ import annotations

import abc
import copy
import datetime
import typing as t

from .._core.errors import HostError, RotationError, Unreachable
from .host import Host

try:
    from ansible.plugins.action import ActionBase  # pylint: disable=ansible-bad-module-import
except ImportError:  # the import check of ansible-test hides everything but module_utils from this directory
    ActionBase = object

Result = dict[str, t.Any]


class EvidenceAction(ActionBase):  # type: ignore[misc]
    """Base of the actions: set C(ARGUMENT_SPEC) (and C(SPEC_RULES) where needed), write C(perform).

    C(perform) returns the result, or raises RotationError: that becomes a failed result, or an unreachable one for
    Unreachable.
    An action with the option C(tolerate) gets the failure as data instead, by C(tolerated).
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {}
    # mutually_exclusive, required_together, required_one_of, required_if, required_by
    SPEC_RULES: t.ClassVar[dict[str, t.Any]] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        result: Result = super().run(tmp, task_vars) or {}
        del tmp
        # A copy: the validation hands out the defaults of the specification themselves, and writes into them.
        spec = copy.deepcopy(self.ARGUMENT_SPEC)
        _unused, options = self.validate_argument_spec(argument_spec=spec, **self.SPEC_RULES)
        self.task_vars: dict[str, t.Any] = task_vars or {}
        self.host = Host(self, self.task_vars)
        try:
            result.update(self.perform(options))
        except RotationError as error:
            if options.get("tolerate"):
                result.update(self.tolerated(error, options))
            else:
                result.update(failure(error))
        return result

    @property
    def check_mode(self) -> bool:
        return bool(self._task.check_mode)

    @property
    def wants_diff(self) -> bool:
        return bool(self._task.diff)

    @abc.abstractmethod
    def perform(self, options: dict[str, t.Any]) -> Result:
        """The work of the action. C(options) are validated, with their defaults."""

    def tolerated(self, error: RotationError, options: dict[str, t.Any]) -> Result:
        """The failure as data, for O(tolerate=true). An action with a shape of its own extends it."""
        return {"changed": False, "reachable": not isinstance(error, Unreachable), "error": str(error)}


def failure(error: RotationError) -> Result:
    """The result of an action that could not do its work."""
    if isinstance(error, Unreachable):
        return {"unreachable": True, "changed": False, "msg": str(error)}
    return {"failed": True, "changed": False, "msg": str(error), "host_error": isinstance(error, HostError)}


def utc_now() -> datetime.datetime:
    """The clock. Everything below _io gets the time handed in."""
    return datetime.datetime.now(tz=datetime.timezone.utc)


def rfc3339(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with seconds and Z."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
