# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, as people and playbooks call it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quazzar_lab import cli

PACKAGE_PARENT = Path(__file__).resolve().parent.parent


def call(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}
    return subprocess.run(
        [sys.executable, "-m", "quazzar_lab", *words], capture_output=True, text=True, env=environment, check=False
    )


def here(*words: str) -> subprocess.CompletedProcess[str]:
    """The same without a process of its own, which costs a quarter of a second each."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(list(words))
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def test_help_names_every_command() -> None:
    shown = call("--help").stdout
    for word in ("start", "stop", "status", "regenerate-ca", "restart", "add-node", "set-fault", "beats", "backup-ca"):
        assert f"\n    {word}" in shown
    assert "| CP API base, path prefix |" in here("options").stdout
    assert "no-boot" in here("faults").stdout


def test_a_lab_from_start_to_stop(tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path / "lab"))
    done = call("start", *where, "--nodes", "2", "--replicas", "1", "--block", "auto", "--heartbeat", "0.3")
    assert done.returncode == 0, done.stderr
    try:
        again = here("start", *where)
        assert again.returncode == 1 and "runs here already" in again.stderr
        facts = json.loads((tmp_path / "lab/lab.json").read_text())
        busy = here("start", "--dir", str(tmp_path / "other"), "--block", facts["block"])
        assert busy.returncode == 1 and "--block auto" in busy.stderr

        state = json.loads(here("status", *where, "--json").stdout)
        assert len(state["running"]) == 3 and len(state["cas"]) == 1
        assert "2 of 2 nodes connected" in here("status", *where).stdout
        assert call("restart", "cp1", *where).returncode == 0
        assert here("restart", "cp7", *where).returncode == 1
        backup = here("backup-ca", *where).stdout.split()
        assert [oct(Path(path).stat().st_mode & 0o777) for path in backup] == ["0o644", "0o600"]
        assert here("regenerate-ca", *where).returncode == 0
        beats = json.loads(here("beats", *where, "--json", "--mark").stdout)
        assert beats["total"]["nodes"] == 2 and "mark" in beats
        assert "of them after the link was up" in here("beats", *where).stdout
        assert here("set-fault", *where, "--target", "node01", "--fault", "nonsense").returncode == 1
        assert here("set-fault", *where, "--target", "cp", "--fault", "503", "--path", "/api").returncode == 0
        assert here("clear-fault", *where).stdout == "1 cleared\n"
        made = json.loads(here("mint-token", *where, "--expires-in", "30m").stdout)
        secrets = here("secrets", *where).stdout.splitlines()
        assert {made["token"], facts["cp_users"][0]["password"], facts["nodes"][0]["api_key"]} <= set(secrets)
        assert here("revoke-token", made["id"], *where).returncode == 0
        assert made["token"] not in here("tokens", *where).stdout
    finally:
        stopped = call("stop", *where)
    assert stopped.returncode == 0
    assert not _processes_in(tmp_path / "lab")


def _processes_in(directory: Path) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found += [entry.name] if str(directory) in os.readlink(entry / "cwd") else []
        except OSError:
            continue
    return found


@pytest.mark.parametrize("pair", ["nonsense=1", "world=W9", "node01.world=W1", "list_cap=many", "world"])
def test_options_are_checked(tmp_path: Path, pair: str) -> None:
    done = here("start", "--dir", str(tmp_path), "--option", pair)
    assert done.returncode == 1 and done.stderr.startswith("error: ")


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    done = here("start", "--dir", str(tmp_path), "--block", "auto")
    assert done.returncode == 1 and "not a lab" in done.stderr


def test_inventory_is_what_ansible_reads(start_lab: Any) -> None:
    """Only that it is YAML with the groups; the integration tests use it in earnest."""
    yaml = pytest.importorskip("yaml")
    made = start_lab(nodes=1)
    tree = yaml.safe_load(made.layout.inventory.read_text(encoding="utf-8"))["all"]
    assert list(tree["children"]["quazzar_nodes"]["hosts"]) == ["node01"]
    assert tree["children"]["quazzar_cp"]["hosts"]["cp1"]["quazzar_cp_env_file"].endswith("cp1.env")
    assert made.layout.inventory.stat().st_mode & 0o77 == 0
