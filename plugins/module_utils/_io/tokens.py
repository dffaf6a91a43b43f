# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Registration tokens: minted by the Control Panel's API, or made by hand in its user interface.

A token admits a node to the fleet, so no message and no file ever holds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from .._core.errors import InputError
from .._core.registry import describe, format_time
from .cp_api import Client, credentials_from, fill, search, search_text, uses_placeholder

TOKEN_PATH = "fleet/tokens"

_METHODS = ("DELETE", "POST", "PUT", "PATCH")
# Besides success: it is gone or used up already, and that is what was wanted.
_ALREADY_GONE = (404, 409, 410)


@dataclass(frozen=True)
class Minted:
    """A token and what the Control Panel calls it (for a later revocation; empty when the answer does not say)."""

    token: str = field(repr=False)
    id: str


def by_hand(tokens: Any, nodes: Sequence[str]) -> dict[str, str]:
    """Tokens that were made in the user interface: a mapping node → token, or one multi-use token for all.

    Raises InputError with the names of the nodes that have none. Never with a token.
    """
    if isinstance(tokens, str):
        if not tokens.strip():
            raise InputError("tokens is an empty text: give one multi-use token, or a mapping from node to token")
        return {node: tokens.strip() for node in nodes}
    if not isinstance(tokens, Mapping):
        raise InputError(
            f"tokens should be one multi-use token or a mapping from node to token, found {describe(tokens)}"
        )
    found = {node: tokens.get(node) for node in nodes}
    missing = [node for node, token in found.items() if not isinstance(token, str) or not token.strip()]
    if missing:
        raise InputError(
            f"tokens has no token for: {', '.join(missing)}. Make a token for each of them in the Control Panel, "
            "or give one multi-use token for all."
        )
    return {node: str(token).strip() for node, token in found.items()}


def mint_body(
    template: Mapping[str, Any], *, node: str, uses: int | None, expires_in: int | None, clock: datetime
) -> dict[str, Any]:
    """The body of one request for a token.

    ``template`` may say where things go with {node}, {uses}, {expires_in} (seconds) and {expires_at} (RFC 3339); a
    limit that it does not mention is added as ``max_uses`` and ``expires_in``. Raises InputError when the template
    mentions a limit that is not set.
    """
    values: dict[str, Any] = {"node": node}
    if uses is not None:
        values["uses"] = uses
    if expires_in is not None:
        values["expires_in"] = expires_in
        values["expires_at"] = format_time(clock + timedelta(seconds=expires_in))
    for name, option in (("uses", uses), ("expires_in", expires_in), ("expires_at", expires_in)):
        if option is None and uses_placeholder(template, name):
            raise InputError(f"token_body uses {{{name}}}, so {'uses' if name == 'uses' else 'expires_in'} must be set")
    body: dict[str, Any] = fill(template, values)
    if uses is not None and not uses_placeholder(template, "uses"):
        body.setdefault("max_uses", uses)
    if expires_in is not None and not uses_placeholder(template, "expires_in", "expires_at"):
        body.setdefault("expires_in", expires_in)
    return body


def clients_for(options: Mapping[str, Any], nodes: Sequence[str]) -> tuple[tuple[Client, list[str]], ...]:
    """The session that serves each group of nodes. A token may be scoped to its tenant, and a node that registers with
    another tenant's token would change hands: with several credentials ``tenants`` must say whose each node is."""
    credentials = credentials_from(options)
    if len(credentials) == 1:
        return ((Client(options, credentials[0]), list(nodes)),)
    by_tenant = {credential.tenant: credential for credential in credentials if credential.tenant}
    tenants = {node: str((options.get("tenants") or {}).get(node) or "") for node in nodes}
    lost = [node for node, tenant in tenants.items() if tenant not in by_tenant]
    if lost:
        raise InputError(
            f"There are credentials for {len(credentials)} tenants, and it is not known whose these nodes are: "
            f"{', '.join(lost)}. Give each of them in tenants, by the tenant names in credentials."
        )
    groups = ((credential, [n for n in nodes if tenants[n] == name]) for name, credential in by_tenant.items())
    return tuple((Client(options, credential), group) for credential, group in groups if group)


def mint(client: Client, options: Mapping[str, Any], node: str, uses: int | None) -> Minted:
    """One token. ``options``: token_body, token_query, token_id_query, expires_in."""
    body = mint_body(
        options["token_body"] or {},
        node=node,
        uses=uses,
        expires_in=options["expires_in"],
        clock=client.now(),
    )
    answer = client.post(TOKEN_PATH, body)
    token = search_text(options["token_query"], answer.data, "token_query", answer.url)
    client.hide(token)
    found = search(options["token_id_query"], answer.data, "token_id_query") if options["token_id_query"] else None
    known = isinstance(found, (str, int)) and not isinstance(found, bool)
    return Minted(token, str(found) if known else "")


def revoke(client: Client, options: Mapping[str, Any], minted: Minted, node: str) -> bool:
    """Carry out the operator's revoke_request for the token of a node: whether it was revoked, and not gone already.
    ``options``: revoke_request, and token_id_query, by which its id was looked for."""
    request = options["revoke_request"]
    method = str(request.get("method") or "DELETE").upper()
    path = str(request.get("path") or "")
    if method not in _METHODS or not path:
        raise InputError(f"revoke_request should have a path, and a method out of {', '.join(_METHODS)}")
    client.hide(minted.token)
    if not minted.id and uses_placeholder([path, request.get("body")], "id"):
        raise InputError(
            f"quazzar_cp_token_revoke_request uses {{id}}, but the answer to the request for {node}'s token had none at"
            f" {options['token_id_query']!r}: set quazzar_cp_token_id_query, or use {{token}}"
        )
    values = {"token": minted.token, "id": minted.id}
    body = fill(request["body"], values) if request.get("body") is not None else None
    answer = client.request(
        method,
        _path(path, values),
        body,
        expected=tuple(request.get("gone_status") or _ALREADY_GONE),
        shown=path,
    )
    return 200 <= answer.status < 300


def _path(template: str, values: Mapping[str, str]) -> str:
    return str(fill(template, {key: quote(value, safe="") for key, value in values.items()}))


def unused_note(minted: int, expires_in: int | None) -> str:
    """What to do about tokens that were made before a later one failed."""
    if not minted:
        return ""
    until = f" They expire {expires_in} s after they were made." if expires_in else ""
    return f" Made before that and not used: {minted}. Revoke them in the Control Panel.{until}"
