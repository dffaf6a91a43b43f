# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task files of the platforms, run by ansible-playbook with modules that answer what a test has written down.

So a test says what the API server would have shown at each look, and sees what the tasks make of it.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "tools"))
common = importlib.import_module("common")

COLLECTION = "quazzar.ca_rotation"
#: What answers in a test. Everything else of the collection is as it is.
TOLD = ("cp_info", "k8s_cp_info", "k8s_trust_pool", "rotation_plan", "trust_pool")
#: An action plugin that gives the next answer of its file, and the last one again and again, and notes its arguments.
ANSWERING = """
import json, pathlib
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        name = self._task.action.rpartition(".")[2]
        place = pathlib.Path(%r)
        with open(place / "asked.jsonl", "a") as asked:
            asked.write(json.dumps([name, self._task.args]) + "\\n")
        file = place / (name + ".json")
        answers = json.loads(file.read_text())
        if len(answers) > 1:
            file.write_text(json.dumps(answers[1:]))
        return answers[0]
"""


@dataclasses.dataclass
class Run:
    status: int
    output: str
    asked: list[tuple[str, dict[str, Any]]]

    @property
    def text(self) -> str:
        return " ".join(self.output.replace("\\n", " ").split())

    def of(self, module: str) -> list[dict[str, Any]]:
        """The arguments of each task with this module."""
        return [arguments for name, arguments in self.asked if name == module]


def lay_out(home: Path) -> None:
    """The checkout as a collection, but for the action plugins that answer, and a kubernetes.core that does."""
    ours, plugin = home / "ansible_collections" / "quazzar" / "ca_rotation", ANSWERING % str(home)
    (ours / "plugins" / "action").mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name != "plugins" and not path.name.startswith("."):
            (ours / path.name).symlink_to(path)
    for path in (ROOT / "plugins").iterdir():
        if path.name != "action":
            (ours / "plugins" / path.name).symlink_to(path)
    for path in (ROOT / "plugins" / "action").glob("*.py"):
        if path.stem not in TOLD:
            (ours / "plugins" / "action" / path.name).symlink_to(path)
    for name in TOLD:
        (ours / "plugins" / "action" / f"{name}.py").write_text(plugin, encoding="utf-8")
    theirs = home / "ansible_collections" / "kubernetes" / "core" / "plugins"
    for kind in ("action", "modules"):
        (theirs / kind).mkdir(parents=True)
        (theirs / kind / "k8s.py").write_text(plugin, encoding="utf-8")


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Run]:
    """Run a task file of a role on cp1: play("controlplane", "platforms/declared/apply", {"k8s_cp_info": [...]})."""
    lay_out(tmp_path)

    def run(role: str, part: str, answers: dict[str, list[Any]], **variables: Any) -> Run:
        for name, told in answers.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")
        include = {"name": f"{COLLECTION}.{role}", "tasks_from": part, "rolespec_validate": False}
        book = {
            "hosts": "cp1",
            "gather_facts": False,
            "vars_files": [str(ROOT / "roles" / "quazzar" / "defaults" / "main.yml")],
            "tasks": [{"ansible.builtin.include_role": include}],
        }
        (tmp_path / "book.yml").write_text(json.dumps([book]), encoding="utf-8")
        known = {"ansible_connection": "local", "quazzar_k8s_namespace": "quazzar"}
        nobody = {"__fleet_evidence_targets": {"witnesses": {"current": [], "legacy": []}}}
        hosts = {"cp1": known, "localhost": {**nobody, "ansible_connection": "local"}}
        (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
        (tmp_path / "asked.jsonl").write_text("", encoding="utf-8")
        words = ["ansible-playbook", "-i", "hosts.json", "-e", json.dumps(variables), "book.yml"]
        env = common.environment(Path(sys.prefix), ANSIBLE_COLLECTIONS_PATH=str(tmp_path), ANSIBLE_HOME=str(tmp_path))
        done = subprocess.run(
            words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        noted = (tmp_path / "asked.jsonl").read_text(encoding="utf-8").splitlines()
        return Run(done.returncode, done.stdout + done.stderr, [tuple(json.loads(line)) for line in noted])

    return run


RESTART = {"kind": "StatefulSet", "name": "quazzar-cc", "secret": False, "definition": {"spec": {}}}


def workload(**more: Any) -> dict[str, Any]:
    """What k8s_cp_info tells of a workload that is as it should be."""
    told = {
        "title": "Deployment quazzar/quazzar-cc",
        "pods": ["quazzar-cc-0"],
        "uids": ["u1"],
        "rolled_out": True,
        "rollout": "",
        "advice": "",
        "pool": [],
        "behind": [],
        "observed": True,
        "written_by": "",
    }
    return {"workload": {**told, **more}, "replicas": []}


def test_a_restart_that_somebody_else_makes_is_seen_by_new_pods(play: Callable[..., Run]) -> None:
    """A pod of a StatefulSet has its name again, but it is another one."""
    looks = [workload(), {"workload": None, "replicas": [{"error": "503"}]}, workload(uids=["u2"])]
    asked = {"controlplane_patches": [RESTART], "controlplane_forms": {}, "quazzar_k8s_declared_timeout": 5}
    run = play("controlplane", "platforms/declared/apply", {"k8s_cp_info": looks}, **asked)
    assert run.status == 0 and len(run.of("k8s_cp_info")) == 3, run.output
    run = play("controlplane", "platforms/declared/apply", {"k8s_cp_info": [workload()]}, **asked)
    assert run.status == 2, run.output
    assert "expected every pod to be made anew within 5 s, found pods from before among quazzar-cc-0." in run.text


# --- a change that fails ---------------------------------------------------------------------------------------------

PATCH = {"kind": "Deployment", "name": "quazzar-cc", "secret": False, "definition": {"spec": {}}}
WELL = {
    "name": "cp1",
    "address": "10.1.0.7:8443",
    "listening": True,
    "stale": False,
    "serves_active": True,
    "differ": False,
}
JUDGED = [{"replicas": {"cp1": WELL}}]


def pool(entries: list[str], before: list[str], **more: Any) -> dict[str, Any]:
    """What k8s_trust_pool or trust_pool tells."""
    forms = {"kustomize": {"patches": []}, "helm": {"extraEnv": []}}
    told = {"entries": entries, "previous_entries": before, "mounts": False, "forms": forms}
    changed = entries != before
    return {**told, "changed": changed, "patches": [PATCH] if changed else [], "missing": [], "title": "x", **more}


OPENED, TAKEN_BACK, NOTHING = pool(["/new.crt"], []), pool([], ["/new.crt"]), pool([], [])
NOT_UP = workload(rolled_out=False, rollout="it crashes")


def changed(play: Callable[..., Run], answers: dict[str, list[Any]], **variables: Any) -> Run:
    asked = {"grace_window_add": ["/new.crt"], "grace_window_accepts": [], "grace_window_remove": [], **variables}
    return play("grace_window", "change", {"rotation_plan": JUDGED, "k8s_cp_info": [workload()], **answers}, **asked)


def test_a_patch_that_is_refused_has_nothing_restarted(play: Callable[..., Run]) -> None:
    answers = {"k8s_trust_pool": [OPENED, NOTHING], "k8s": [{"failed": True, "msg": "422: not by our policy"}]}
    run = changed(play, answers, quazzar_cp_platform="kubernetes")
    assert run.status == 2 and "422: not by our policy. The CP was not restarted." in run.text, run.output
    assert len(run.of("k8s")) == 1 and not any(asked.get("restart") for asked in run.of("k8s_trust_pool"))


def test_a_change_that_nobody_declares_has_nothing_restarted(play: Callable[..., Run]) -> None:
    """Neither is a restart shown, nor is it waited for one."""
    waiting = [OPENED, OPENED, OPENED, NOTHING]
    declared = {"quazzar_cp_platform": "declared", "quazzar_k8s_declared_timeout": 1}
    run = changed(play, {"k8s_trust_pool": waiting}, **declared)
    assert run.status == 2 and "expected the change within 1 s" in run.text, run.output
    assert "run again, or take it back. The CP was not restarted." in run.text, run.output
    assert run.output.count("nothing is changed by this run. Make this change") == 1


def test_a_rollout_that_fails_is_taken_back(play: Callable[..., Run]) -> None:
    answers = {"k8s_trust_pool": [OPENED, TAKEN_BACK], "k8s": [{"changed": True}], "k8s_cp_info": [NOT_UP]}
    run = changed(play, answers, quazzar_cp_platform="kubernetes")
    assert run.status == 2 and len(run.of("k8s")) == 2, run.output
    assert "The trust pool of cp1 was put back as it was, and the CP restarted." in run.text, run.output


def test_why_a_change_failed_is_told_where_it_cannot_be_put_back(play: Callable[..., Run]) -> None:
    refused = {"failed": True, "msg": "this account may not patch deployments"}
    answers = {"k8s_trust_pool": [OPENED, TAKEN_BACK], "k8s": [{"changed": True}, refused], "k8s_cp_info": [NOT_UP]}
    run = changed(play, answers, quazzar_cp_platform="kubernetes")
    assert run.status == 2 and "found: it crashes." in run.text.rpartition("Fail with both reasons")[2], run.output
    words = "The trust pool of cp1 could not be put back, or the CP not restarted with it: this account may not patch"
    assert words in run.text, run.output
    assert "mend that and run the same playbook again, which finds how it is" in run.text


def test_a_file_that_was_written_is_put_back_and_the_cp_restarted(play: Callable[..., Run], tmp_path: Path) -> None:
    answers = {"trust_pool": [OPENED, TAKEN_BACK], "cp_info": [{"replica": {"listening": True}}]}
    env_file = {"quazzar_cp_platform": "env_file", "quazzar_cp_become": False, "quazzar_cp_env_file": "/etc/cp.env"}
    once = f"test -e {tmp_path}/began || {{ touch {tmp_path}/began; exit 3; }}"
    run = changed(play, answers, quazzar_cp_restart_command=once, **env_file)
    assert run.status == 2 and len(run.of("trust_pool")) == 2, run.output
    assert "The trust pool of cp1 was put back as it was, and the CP restarted." in run.text, run.output
    run = changed(play, answers, quazzar_cp_restart_command="exit 3", **env_file)
    assert "or the CP not restarted with it: cp1: expected quazzar_cp_restart_command (exit 3)" in run.text, run.output
    # a file that could not be written needs neither
    answers["trust_pool"] = [{"failed": True, "msg": "the disk is full"}]
    run = changed(play, answers, quazzar_cp_restart_command=f"touch {tmp_path}/again", **env_file)
    assert "the disk is full. The CP was not restarted." in run.text, run.output
    assert len(run.of("trust_pool")) == 1 and not (tmp_path / "again").exists()


# --- after a rollout -------------------------------------------------------------------------------------------------


def looked(*, behind: tuple[str, ...] = (), listening: tuple[bool, ...] = (True, True)) -> dict[str, Any]:
    """What k8s_cp_info tells of a rollout that has come to its end."""
    pods = [f"quazzar-cc-{number}" for number, _one in enumerate(listening)]
    source = {"title": "the key pool of the ConfigMap settings (valueFrom)"}
    seen = workload(behind=list(behind), source=source, pool=["/new.crt"], pods=pods)
    told = [
        {"name": name, "address": "10.1.0.7:8443", "listening": on} for name, on in zip(pods, listening, strict=True)
    ]
    return {**seen, "replicas": told}


def test_pods_are_waited_for_that_run_with_the_pool_from_before(play: Callable[..., Run]) -> None:
    """The ConfigMap was declared, and the template's stamp comes a moment later."""
    asked = {"quazzar_cp_platform": "declared", "quazzar_k8s_declared_timeout": 5}
    old = looked(behind=("quazzar-cc-1",))
    run = play("controlplane", "platforms/declared/await", {"k8s_cp_info": [old, looked()]}, **asked)
    assert run.status == 0 and len(run.of("k8s_cp_info")) == 2, run.output
    run = play("controlplane", "platforms/declared/await", {"k8s_cp_info": [old]}, **asked)
    assert run.status == 2, run.output
    assert (
        "found another one in quazzar-cc-1. It comes from the key pool of the ConfigMap settings (valueFrom)"
        in run.text
    )
    assert "apply the rest of what was shown, the annotation of the template" in run.text, run.output
    # what can never be read fails at once, with its own words
    unread = {"k8s_cp_info": [{"failed": True, "msg": "expected a container 'x', found none"}]}
    run = play("controlplane", "platforms/declared/await", unread, **asked)
    assert run.status == 2 and "expected a container 'x'" in run.text and len(run.of("k8s_cp_info")) == 1, run.output
    # where a rollout does not come to its end, nothing of that is waited for
    run = play("controlplane", "platforms/kubernetes/await", {"k8s_cp_info": [NOT_UP]})
    assert run.status == 2 and "found: it crashes." in run.text and len(run.of("k8s_cp_info")) == 1, run.output


def test_pods_that_run_with_the_pool_from_before_are_made_anew(play: Callable[..., Run]) -> None:
    """By the next run, for which there is nothing to change."""
    told = {"quazzar_cp_platform": "kubernetes", "__controlplane_pool": {"changed": False}}
    told |= {"__grace_window_before": WELL, "__controlplane_replica": looked(behind=("quazzar-cc-1",))}
    restart = {"k8s_trust_pool": [pool([], [], patches=[PATCH], changed=True)], "k8s": [{"changed": True}]}
    answers = {**restart, "k8s_cp_info": [looked()], "rotation_plan": JUDGED}
    asked = {"grace_window_accepts": [], "grace_window_remove": []}
    run = play("grace_window", "prove", answers, **asked, **told)
    assert run.of("k8s_trust_pool") and run.of("k8s_trust_pool")[0]["restart"] is True, run.output
    run = play("grace_window", "prove", answers, **asked, **{**told, "__controlplane_replica": looked()})
    assert run.status == 0 and not run.of("k8s_trust_pool"), run.output


def test_pods_are_waited_for_that_do_not_listen_yet(play: Callable[..., Run]) -> None:
    """Without a readiness probe a rollout is over as soon as its containers run."""
    asked = {"quazzar_cp_platform": "kubernetes", "quazzar_cp_ready_timeout": 4}
    starting, unread = looked(listening=(True, False)), {"workload": None, "replicas": [{"listening": False}]}
    run = play("controlplane", "platforms/kubernetes/await", {"k8s_cp_info": [starting, unread, looked()]}, **asked)
    assert run.status == 0 and [int(look["wait"]) for look in run.of("k8s_cp_info")] == [600, 0, 0], run.output
    run = play("controlplane", "platforms/kubernetes/await", {"k8s_cp_info": [starting]}, **asked)
    assert run.status == 0 and len(run.of("k8s_cp_info")) == 4, "whoever judges it says what is wrong"
