# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    ApiError,
    InputError,
    RotationError,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import cp_api, fleet_evidence, tokens
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.action import EvidenceAction

ARGUMENT_SPEC: dict[str, Any] = {
    **cp_api.ARGUMENT_SPEC,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "nodes": {"type": "list", "elements": "str", "required": True},
    "tenants": {"type": "dict", "default": {}},
    "registry_host": {"type": "str", "default": "localhost"},
    "registry_var": {"type": "str"},
    "per": {"type": "str", "choices": ["node", "batch"], "default": "node"},
    "tokens": {"type": "raw", "no_log": True},
    "ids": {"type": "dict", "default": {}},
    "token_body": {"type": "dict", "default": {}, "no_log": False},
    "token_query": {"type": "str", "default": "token", "no_log": False},
    "token_id_query": {"type": "str", "default": "id", "no_log": False},
    "expires_in": {"type": "int"},
    "uses": {"type": "int"},
    "revoke_request": {
        "type": "dict",
        "options": {
            "method": {"type": "str", "choices": ["DELETE", "POST", "PUT", "PATCH"], "default": "DELETE"},
            "path": {"type": "str", "required": True},
            "body": {"type": "dict"},
            "gone_status": {"type": "list", "elements": "int", "default": [404, 409, 410]},
        },
    },
    "tolerate": {"type": "bool", "default": False},
}


class ActionModule(EvidenceAction):
    ARGUMENT_SPEC = ARGUMENT_SPEC

    def perform(self, options: dict[str, Any]) -> dict[str, Any]:
        nodes = list(dict.fromkeys(options["nodes"]))
        if options["registry_var"] and len(options["credentials"] or ()) > 1:
            options = {**options, "tenants": {**self.known_tenants(options, nodes), **options["tenants"]}}
        if options["state"] == "absent":
            return self.revoke(options, nodes)
        if options["tokens"] is not None:
            given = tokens.by_hand(options["tokens"], nodes)
            return _result(False, {node: tokens.Minted(token, "") for node, token in given.items()})
        if not nodes or self.check_mode:
            return _result(bool(nodes), {})
        return _result(True, self.mint(options, nodes))

    def known_tenants(self, options: dict[str, Any], nodes: list[str]) -> dict[str, str]:
        hostvars = self.task_vars["hostvars"]
        return fleet_evidence.tenants(hostvars, options["registry_host"], options["registry_var"], nodes)

    def mint(self, options: dict[str, Any], nodes: list[str]) -> dict[str, tokens.Minted]:
        minted: dict[str, tokens.Minted] = {}
        made = 0
        for client, group in tokens.clients_for(options, nodes):
            # One token for each set: a node, or all nodes of a tenant with one multi-use token.
            for names in [group] if options["per"] == "batch" else [[name] for name in group]:
                uses = options["uses"] if options["uses"] or options["per"] == "node" else len(names)
                try:
                    token = tokens.mint(client, options, names[0] if len(names) == 1 else "", uses)
                except ApiError as error:
                    note = tokens.unused_note(made, options["expires_in"])
                    raise ApiError(f"no registration token for {', '.join(names)}: {error}{note}") from None
                made += 1
                minted.update(dict.fromkeys(names, token))
        return minted

    def revoke(self, options: dict[str, Any], nodes: list[str]) -> dict[str, Any]:
        if options["tokens"] is None:
            raise InputError("state: absent needs tokens, what an earlier task minted: a mapping from node to token")
        given = tokens.by_hand(options["tokens"], nodes)
        if options["revoke_request"] is None:
            return {**_result(False, {}), "manual_step": _manual_step(nodes)}
        ids = {node: str(options["ids"].get(node) or "") for node in nodes}
        if self.check_mode or not nodes:
            return {**_result(bool(nodes), {}), "manual_step": ""}
        changed = False
        for client, group in tokens.clients_for(options, nodes):
            for token, node in {given[node]: node for node in group}.items():
                changed |= tokens.revoke(client, options, tokens.Minted(token, ids[node]), node)
        return {**_result(changed, {}), "manual_step": ""}

    def tolerated(self, error: RotationError, options: dict[str, Any]) -> dict[str, Any]:
        found = {**_result(False, {}), "error": str(error)}
        if options["state"] == "absent":
            found["manual_step"] = f"{_manual_step(options['nodes'])} ({error})"
        return found


def _manual_step(nodes: list[str]) -> str:
    return "Revoke in the Control Panel the registration tokens of: " + ", ".join(nodes) if nodes else ""


def _result(changed: bool, minted: dict[str, tokens.Minted]) -> dict[str, Any]:
    return {
        "changed": changed,
        "tokens": {node: item.token for node, item in minted.items()},
        "ids": {node: item.id for node, item in minted.items()},
        "error": "",
    }
