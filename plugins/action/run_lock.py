# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of quazzar.ca_rotation.run_lock; its documentation is in plugins/modules/run_lock.py."""

from __future__ import annotations

import typing as t

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import run_lock as lock_core
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction, Result
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.run_lock import Found, RunLock


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        "path": {"type": "str", "required": True},
        "run_id": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "renewed", "absent"], "default": "present"},
        "kind": {"type": "str", "choices": list(lock_core.KINDS), "default": lock_core.EXCLUSIVE},
        "expires_in": {"type": "int", "default": 1800},
        "who": {"type": "str", "default": ""},
        "tolerate": {"type": "bool", "default": False},
    }

    def perform(self, options: dict[str, t.Any]) -> Result:
        lock = RunLock(self.host, options)
        if options["state"] == "absent":
            found = lock.look()
            if found.decision.mine and not self.check_mode:
                lock.release()
            return self._result(lock, options, found, changed=found.decision.mine is not None)
        renew = options["state"] == "renewed"
        found = lock.look() if self.check_mode else lock.take(renew=renew)
        refused = lock.refusal(found, renew=renew)
        if refused:
            how = {"error": refused} if options["tolerate"] else {"failed": True, "msg": refused, "error": refused}
            return {**self._result(lock, options, found, changed=False), **how}
        mine = found.decision.mine
        changed = mine is None or mine.kind != options["kind"] or bool(found.decision.over)
        return {**self._result(lock, options, found, changed=changed), "until": lock_core.moment(lock.until(found))}

    def _result(self, lock: RunLock, options: dict[str, t.Any], found: Found, *, changed: bool) -> Result:
        others = [holder for holder in found.holders if holder.run_id != options["run_id"]]
        gone = found.decision.over if changed and options["state"] != "absent" else ()
        result: Result = {
            "changed": changed,
            "path": lock.path,
            "until": "",
            "holders": [
                {
                    "run_id": holder.run_id,
                    "kind": holder.kind,
                    "who": holder.who,
                    "since": lock_core.moment(holder.since) if holder.since is not None else "",
                    "until": lock_core.moment(holder.until),
                }
                for holder in others
            ],
            "taken_over": [lock_core.taken_over(holder, now=found.now) for holder in gone if holder in others],
            "reachable": True,
            "error": "",
        }
        if self.wants_diff and changed:
            result["diff"] = self._diff(options, found)
        return result

    @staticmethod
    def _diff(options: dict[str, t.Any], found: Found) -> Result:
        """Without times: a prediction would differ from what is done a second later."""

        def lines(pairs: t.Iterable[tuple[str, str]]) -> str:
            return "".join(sorted(f"{kind} {run_id}\n" for kind, run_id in pairs))

        before = {(holder.kind, holder.run_id or holder.name) for holder in found.holders}
        after = {pair for pair in before if pair[1] != options["run_id"]}
        if options["state"] != "absent":
            after -= {(holder.kind, holder.run_id or holder.name) for holder in found.decision.over}
            after.add((options["kind"], options["run_id"]))
        header = {"before_header": options["path"], "after_header": options["path"]}
        return {**header, "before": lines(before), "after": lines(after)}

    def tolerated(self, error: RotationError, options: dict[str, t.Any]) -> Result:
        nothing: Result = {"path": options["path"], "until": "", "holders": [], "taken_over": []}
        return {**super().tolerated(error, options), **nothing}
