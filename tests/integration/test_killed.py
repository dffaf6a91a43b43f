# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller is killed wherever it can be killed, and the same playbook is run again: see killing.py."""

from __future__ import annotations

import os

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from killing import MOMENTS, Scenario, acts, at_each_world, at_every_boundary

pytestmark = [pytest.mark.integration, pytest.mark.long]


def accident(made) -> None:
    made.accident()
    made.disconnected()


def window(made) -> None:
    """The grace window is open, and all nodes have their link."""
    accident(made)
    made.play("grace_open")
    made.connected()


def moved(made) -> None:
    """All nodes are on the new CA, and the window is still open."""
    window(made)
    made.play("nodes_reregister")


def all_current(made, run) -> None:
    assert run.report["finished"] and set(run.states.values()) == {"current"}


def window_is_open(made, run) -> None:
    old = made.cas()[0]["sha256"]
    assert all(old in pool for pool in made.loaded().values())


def window_is_shut(made, run) -> None:
    all_current(made, run)
    old = made.cas()[0]["sha256"]
    assert not any(old in pool for pool in made.loaded().values())


def the_active_one(made) -> dict[str, object]:
    return {"quazzar_replaced_ca": made.cas()[0]["sha256"]}


def half_active(made) -> None:
    """A planned rotation was cut off when one replica had the new CA and the other had not."""
    play = made.begin("ca_replace", **the_active_one(made))
    play.until(r"(?s)PLAY \[Activate \| Make.*PLAY \[Activate \| Make")
    play.kill()


def replaced(made, run) -> None:
    all_current(made, run)
    assert made.active() != made.pair(1).pem and made.beside() == set()


def back(made, run) -> None:
    all_current(made, run)
    assert made.active() == made.pair(1).pem and made.beside() == set()


def with_a_vault(made) -> None:
    password = made.work / "vault-password"
    password.write_text("only here\n", encoding="utf-8")
    made._environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(password)


def somewhere(made) -> dict[str, object]:
    return {"quazzar_backup_dir": str(made.dir / "backup")}


def backups_are_whole(made) -> None:
    """There may be one of each run; what a death has cut off has another name."""
    vault = VaultLib([("default", VaultSecret(b"only here"))])
    for found in (made.dir / "backup").glob("[!.]*"):
        assert b"PRIVATE KEY" in vault.decrypt(found.read_bytes())


def backed_up(made, run) -> None:
    assert run.says("key and certificate belong together.")
    assert list((made.dir / "backup").glob("[!.]*")) == list((made.dir / "backup").iterdir())


def the_old_one(made) -> dict[str, object]:
    return {"quazzar_compromised_cas": [made.cas()[0]["sha256"]], "quazzar_tokens_revoked": True}


SCENARIOS = [
    Scenario("ca_rotate", accident, window_is_shut),
    Scenario("ca_revoke", window, window_is_shut, world="W4", extra=the_old_one, keeps_links=False),
    Scenario("ca_replace", lambda _made: None, replaced, extra=the_active_one, planned=True),
    Scenario("rotation_rollback", half_active, back, planned=True),
    Scenario("ca_backup", with_a_vault, backed_up, nodes=1, extra=somewhere, same=backups_are_whole, planned=True),
]
AT_NIGHT = [
    # The main job, which is died in by day, is the first three; a rescue is the second one over other connections.
    Scenario("grace_open", accident, window_is_open, world="W4"),
    Scenario("nodes_reregister", window, all_current, world="W4"),
    Scenario("grace_close", moved, window_is_shut, world="W4"),
    Scenario("nodes_rescue", accident, all_current, replicas=1),
    Scenario(
        "ca_revoke", lambda _made: None, replaced, extra=the_old_one, keeps_links=False, called="ca_revoke, active CA"
    ),
]
BY_NAME = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
ALL_BY_NAME = pytest.mark.parametrize("scenario", [*SCENARIOS, *AT_NIGHT], ids=lambda scenario: scenario.name)


def of_its_own(worlds: list[str]) -> list[str]:
    """Of a planned rotation what it does until the new CA is active, and the end of the pair before. Between are
    the acts of the main job; they are died in at night."""
    gone = next(number for number, world in enumerate(worlds) if "-cp/staged/" in world)
    return [*worlds[: gone + 1], *(world for world in worlds[gone + 1 :] if "cp/previous/" in world)]


CHOSEN = {"ca_rotate": list, "ca_replace": of_its_own}


@BY_NAME
def test_killed_between_tasks(fleet, scenario):
    """The main job, which is the three steps and a rescue too, in every world; of the others every act."""
    at_each_world(fleet, scenario, chosen=CHOSEN.get(scenario.playbook, acts), how="between tasks")


@pytest.mark.nightly
@ALL_BY_NAME
def test_killed_inside_tasks_too(fleet, scenario):
    at_each_world(fleet, scenario, moments=MOMENTS, how="between and inside tasks")


@pytest.mark.nightly
@pytest.mark.skipif("QUAZZAR_EVERY_BOUNDARY" not in os.environ, reason="hours; set QUAZZAR_EVERY_BOUNDARY=1 for it")
@ALL_BY_NAME
def test_killed_at_every_boundary(fleet, scenario):
    at_every_boundary(fleet, scenario)
