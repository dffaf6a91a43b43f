# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole story on a real cluster: every node keeps its link, whatever happens to the pods."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleets import digest_of

pytestmark = pytest.mark.kubernetes

NODES = 20


@pytest.mark.long
def test_the_accident(pod_fleet: Callable[..., Any]) -> None:
    """World W1, and a controller that can reach nothing but the API server."""
    made = pod_fleet(NODES, "W1", heartbeat=1, with_ssh=True)
    made.accident()
    made.disconnected()
    with made.behind_api_server():
        before = made.objects()
        looked = made.play("drift_report")
        assert set(looked.states.values()) == {"stranded"}, looked.tail
        dry = made.play("ca_rotate", "--check", "--diff")
        assert made.objects() == before, dry.tail

        made.play("grace_open")
        made.connected()
        since = time.time()
        done = made.play("ca_rotate")
        assert done.report["finished"], done.tail
        assert made.missed(since) == {} and made.pool() == ""
        proof = {entry["replica"] for entry in done.report["negative_proof"] if entry["after"] == "refused"}
        assert proof == {f"cp/{pod}" for pod in made.pods()}

        after = made.objects()
        again = made.play("ca_rotate")
        assert again.report["finished"] and not any(again.changed.values()), again.tail
        assert made.objects() == after


@pytest.mark.long
def test_the_accident_that_one_pod_has_not_noticed(pod_fleet: Callable[..., Any]) -> None:
    """It goes on with the CA that it has read at its start, and some nodes have their link by it."""
    made = pod_fleet(NODES, "W1", heartbeat=1)
    made.accident(pods=1)
    opened = made.play("grace_open")
    assert opened.report["phase"] == "window open"
    made.connected()
    since = time.time()
    done = made.play("ca_rotate")
    assert done.report["finished"] and made.missed(since) == {} and made.pool() == ""


@pytest.mark.long
def test_a_planned_rotation(pod_fleet: Callable[..., Any], tmp_path: Path) -> None:
    made = pod_fleet(NODES, "W2", heartbeat=1)
    old, since = made.active(), time.time()
    made.keep_vault_password("right and long enough")
    backup = {"quazzar_backup_dir": str(tmp_path / "backup"), "quazzar_replaced_ca": digest_of(old)}
    checked = made.play("guardrails_check", status=None, **backup)
    assert checked.says("of the workload") or checked.says("reclaim"), checked.tail
    made.play("ca_backup", **backup)
    before = made.objects()
    dry = made.play("ca_replace", "--check", "--diff", **backup)
    assert made.objects() == before and made.active() == old, dry.tail
    done = made.play("ca_replace", **backup)
    assert done.report["finished"], done.tail
    assert made.active() != old and made.missed(since) == {} and made.pool() == ""
    after = made.objects()
    again = made.play("ca_replace", **backup)
    assert not any(again.changed.values()) and made.objects() == after, again.tail


@pytest.mark.long
def test_a_compromise(pod_fleet: Callable[..., Any]) -> None:
    """No window is ever opened, so no pod mounts the object with the mark; a later run knows by it all the same."""
    made = pod_fleet(2, "W2")
    old = made.active()
    made.accident()
    file = made.work / "old.crt"
    file.write_bytes(old)
    known = {"quazzar_legacy_ca_files": [str(file)]}
    stolen = {"quazzar_compromised_cas": [digest_of(old)], "quazzar_tokens_revoked": True, **known}
    done = made.play("ca_revoke", **stolen)
    assert done.report["finished"] and set(done.states.values()) == {"current"}, done.tail
    made.connected()
    marks = made.cluster.core.read_namespaced_config_map("quazzar-legacy-cas", made.namespace).data
    assert [*marks] == [f"{digest_of(old)[:16]}.revoked"]
    again = made.play("ca_revoke", **stolen)
    assert again.report["finished"] and not any(again.changed.values()), again.tail
    # somebody who does not know of it names it as the legacy CA
    made.play("grace_open", status=None, **known)
    assert made.pool() == ""


@pytest.mark.long
def test_the_way_back(pod_fleet: Callable[..., Any]) -> None:
    """The run is killed once the new CA is active; its pair goes from the volume again, and nobody has lost a link."""
    made = pod_fleet(4, "W2")
    old, since = made.active(), time.time()
    play = made.begin("ca_replace", quazzar_replaced_ca=digest_of(old))
    play.until(r"(?s)PLAY \[Activate \| Take.*PLAY \[Move \| Plan")
    play.kill()
    assert made.active() != old
    before = made.objects()
    dry = made.play("rotation_rollback", "--check", "--diff")
    assert dry.says("the active CA again") and made.objects() == before and made.active() != old, dry.tail
    done = made.play("rotation_rollback")
    assert done.report["finished"] and set(done.states.values()) == {"current"}, done.tail
    assert made.active() == old and made.pool() == "" and made.missed(since) == {}
    after = made.objects()
    again = made.play("rotation_rollback")
    assert not any(again.changed.values()) and made.objects() == after, again.tail
