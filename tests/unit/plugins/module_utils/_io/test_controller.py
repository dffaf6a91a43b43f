# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import socket
import subprocess
import sys

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import command_line, controller

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def of(pid):
    return dataclasses.replace(controller.process(), pid=pid, start=controller._stat(pid)[1])


def test_a_process_that_lives_and_then_does_not(sleeper):
    it = of(sleeper.pid)
    assert not controller.has_ended(it)
    sleeper.kill()
    while controller._stat(sleeper.pid)[0] != "Z":
        pass
    # a zombie does nothing any more
    assert controller.has_ended(it)
    sleeper.wait()
    assert controller.has_ended(it)


def test_a_process_id_that_was_used_again_is_another_process(sleeper):
    it = of(sleeper.pid)
    assert controller.has_ended(dataclasses.replace(it, start=it.start - 1))


@pytest.mark.parametrize("other", [{"machine": "another boot"}, {"user": 4_000_000}])
def test_nothing_is_known_of_the_processes_of_others(sleeper, other):
    it = of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert controller.has_ended(it)
    assert not controller.has_ended(dataclasses.replace(it, **other))


def test_nothing_is_known_of_a_process_with_a_number_that_none_has(sleeper):
    assert not controller.has_ended(dataclasses.replace(of(sleeper.pid), pid=99_999_999_999))


def test_a_process_whose_state_cannot_be_read_may_live(sleeper, monkeypatch):
    it = dataclasses.replace(of(sleeper.pid), start=1)
    monkeypatch.setattr(controller, "_stat", lambda pid: None)
    assert not controller.has_ended(it)


def test_a_name_with_parentheses_and_spaces(tmp_path):
    script = tmp_path / "a) Z (b"
    script.write_text("#!/bin/sh\nsleep 600\nexit\n")
    script.chmod(0o755)
    process = subprocess.Popen([str(script)], start_new_session=True)
    try:
        state, start = controller._stat(process.pid)
        assert state in "SDR" and start > 0
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_the_process_of_a_run_is_the_one_that_forked_the_worker():
    def tell(pipe):
        pipe.send(controller.process())

    here, there = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(target=tell, args=(there,))
    worker.start()
    told = here.recv()
    worker.join()
    assert told == controller.process()
    assert told.pid == os.getpid() and told.user == os.getuid() and not controller.has_ended(told)


def test_without_proc_nothing_is_known(tmp_path, monkeypatch, sleeper):
    it = of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    monkeypatch.setattr(controller, "_PROC", tmp_path)
    assert controller.process() is None
    assert not controller.has_ended(it)


def test_who_names_playbook_user_and_controller(monkeypatch):
    monkeypatch.setattr(command_line, "playbooks", lambda: "quazzar.ca_rotation.ca_rotate")
    monkeypatch.setenv("LOGNAME", "alice")
    assert controller.who() == f"quazzar.ca_rotation.ca_rotate by alice on {socket.gethostname()}"

    def nobody():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(controller.getpass, "getuser", nobody)
    assert f"by {os.getuid()} on" in controller.who()


def test_outside_of_a_playbook_there_is_still_a_name():
    package = "ansible_collections.quazzar.ca_rotation.plugins.module_utils._io"
    code = (
        f"from ansible import context; context.CLIARGS = {{}};from {package} import controller; print(controller.who())"
    )
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True
    )
    assert done.stdout.startswith("ansible by ")
