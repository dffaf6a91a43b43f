# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CP's registry: instances, tokens, commands and users, in one SQLite file that all replicas share."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, registered_at REAL NOT NULL,
  last_heartbeat REAL, decommissioned INTEGER NOT NULL DEFAULT 0, leaf_sha256 TEXT, beats INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS instances_name ON instances (tenant, name);
CREATE TABLE IF NOT EXISTS tokens (
  id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL,
  max_uses INTEGER, uses INTEGER NOT NULL DEFAULT 0, revoked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS commands (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, instance_id TEXT NOT NULL, command TEXT NOT NULL,
  status TEXT NOT NULL, created_at REAL NOT NULL, result TEXT);
CREATE INDEX IF NOT EXISTS commands_open ON commands (instance_id, status);
CREATE TABLE IF NOT EXISTS users (
  username TEXT PRIMARY KEY, digest TEXT NOT NULL, tenant TEXT NOT NULL, role TEXT NOT NULL, totp_secret TEXT NOT NULL);
"""


class TokenError(Exception):
    """A registration token that does not work, with the status that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Store:
    """All reads and writes. Short transactions; the file's own lock keeps replicas apart."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._db.execute(sql, args)]

    # users

    def add_user(self, username: str, password: str, tenant: str, role: str, totp_secret: str) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?)",
            (username, digest(password), tenant, role, totp_secret),
        )

    def user(self, username: str) -> dict[str, Any] | None:
        return next(iter(self._rows("SELECT * FROM users WHERE username = ?", username)), None)

    # tokens

    def mint_token(self, tenant: str, *, expires_in: float | None, max_uses: int | None) -> tuple[str, str]:
        """A new token: its id and the secret itself, which is not kept."""
        number, token = f"tok_{secrets.token_hex(6)}", f"qzt_{secrets.token_urlsafe(24)}"
        at = time.time()
        self._db.execute(
            "INSERT INTO tokens (id, digest, tenant, created_at, expires_at, max_uses) VALUES (?, ?, ?, ?, ?, ?)",
            (number, digest(token), tenant, at, at + expires_in if expires_in is not None else None, max_uses),
        )
        return number, token

    def revoke_token(self, number: str, tenant: str | None = None) -> bool:
        found = self._db.execute(
            "UPDATE tokens SET revoked = 1 WHERE id = ? AND (? IS NULL OR tenant = ?)", (number, tenant, tenant)
        )
        return found.rowcount > 0

    def tokens(self) -> list[dict[str, Any]]:
        return self._rows("SELECT id, tenant, created_at, expires_at, max_uses, uses, revoked FROM tokens")

    def register(self, token: str, name: str, *, keep_id: bool, at: float, expired: bool = False) -> tuple[str, str]:
        """Use a token up and enter the node: its instance id and tenant, in one transaction."""
        with self._transaction():
            found = self._rows("SELECT * FROM tokens WHERE digest = ?", digest(token))
            if not found:
                raise TokenError(401, "invalid registration token")
            row = found[0]
            if row["revoked"]:
                raise TokenError(403, "registration token revoked")
            if expired or (row["expires_at"] is not None and row["expires_at"] <= at):
                raise TokenError(410, "registration token expired")
            if row["max_uses"] is not None and row["uses"] >= row["max_uses"]:
                raise TokenError(409, "registration token already used")
            self._db.execute("UPDATE tokens SET uses = uses + 1 WHERE id = ?", (row["id"],))
            known = self._rows(
                "SELECT id FROM instances WHERE tenant = ? AND name = ? AND decommissioned = 0 "
                "ORDER BY registered_at DESC",
                row["tenant"],
                name,
            )
            if known and keep_id:
                number = str(known[0]["id"])
                self._db.execute("UPDATE instances SET registered_at = ? WHERE id = ?", (at, number))
            else:
                number = f"inst_{secrets.token_hex(6)}"
                self._db.execute(
                    "INSERT INTO instances (id, tenant, name, registered_at) VALUES (?, ?, ?, ?)",
                    (number, row["tenant"], name, at),
                )
        return number, str(row["tenant"])

    def note_leaf(self, number: str, sha256: str) -> None:
        self._db.execute("UPDATE instances SET leaf_sha256 = ? WHERE id = ?", (sha256, number))

    # instances

    def instances(self, tenant: str | None = None) -> list[dict[str, Any]]:
        return self._rows(
            "SELECT * FROM instances WHERE ? IS NULL OR tenant = ? ORDER BY registered_at, id", tenant, tenant
        )

    def instance(self, number: str) -> dict[str, Any] | None:
        return next(iter(self._rows("SELECT * FROM instances WHERE id = ?", number)), None)

    def beats(self, seen: dict[str, tuple[float, int]]) -> None:
        """Heartbeats since the last call: instance -> last time, how many."""
        with self._transaction():
            self._db.executemany(
                "UPDATE instances SET last_heartbeat = MAX(COALESCE(last_heartbeat, 0), ?), beats = beats + ? "
                "WHERE id = ?",
                [(at, count, number) for number, (at, count) in seen.items()],
            )

    def set_instance(self, number: str, **fields: Any) -> bool:
        """Used by the lab's command line only: decommission, rename, age."""
        columns = ", ".join(f"{name} = ?" for name in fields)
        return self._db.execute(f"UPDATE instances SET {columns} WHERE id = ?", (*fields.values(), number)).rowcount > 0

    def add_instance(self, tenant: str, name: str) -> str:
        """A row without a node behind it: in the registry, not in the inventory."""
        number = f"inst_{secrets.token_hex(6)}"
        self._db.execute(
            "INSERT INTO instances (id, tenant, name, registered_at) VALUES (?, ?, ?, ?)",
            (number, tenant, name, time.time()),
        )
        return number

    def delete_instances(self, name: str) -> int:
        return self._db.execute("DELETE FROM instances WHERE name = ? OR id = ?", (name, name)).rowcount

    # commands

    def add_command(self, tenant: str, instance: str, command: str) -> dict[str, Any]:
        number = f"cmd_{secrets.token_hex(6)}"
        self._db.execute(
            "INSERT INTO commands VALUES (?, ?, ?, ?, 'Pending', ?, NULL)",
            (number, tenant, instance, command, time.time()),
        )
        return self._rows("SELECT * FROM commands WHERE id = ?", number)[0]

    def commands(self, tenant: str) -> list[dict[str, Any]]:
        return self._rows("SELECT * FROM commands WHERE tenant = ? ORDER BY created_at", tenant)

    def hand_out(self, instance: str) -> list[dict[str, Any]]:
        """Pending commands of an instance, which run from now on."""
        rows = self._rows("SELECT id, command FROM commands WHERE instance_id = ? AND status = 'Pending'", instance)
        if rows:
            self._db.execute(
                "UPDATE commands SET status = 'Running' WHERE instance_id = ? AND status = 'Pending'", (instance,)
            )
        return rows

    def finish(self, instance: str, results: list[dict[str, Any]]) -> None:
        for item in results:
            self._db.execute(
                "UPDATE commands SET status = ?, result = ? WHERE id = ? AND instance_id = ?",
                (item["status"], item.get("result"), item["id"], instance),
            )
