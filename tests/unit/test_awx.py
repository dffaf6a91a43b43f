# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What extensions/awx says is true of the collection: names of playbooks, variables, types, and each other."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
AWX = ROOT / "extensions" / "awx"
PROJECT = AWX / "project"
DANGEROUS = {"ca_revoke", "ca_replace", "rotation_rollback", "grace_close"}
#: How AWX finds the playbooks of a project: awx/main/utils/ansible.py. By another spelling it offers none.
OFFERED = re.compile(r"^\s*?-?\s*?(?:hosts|include|import_playbook):\s*?.*?$", re.MULTILINE)
#: Types of survey questions, and the variables that take their answers: text and choices arrive as text.
TAKEN_BY = {
    "text": {"str", "path", "list", "raw"},
    "multiplechoice": {"bool", "str"},
    "integer": {"int"},
}


class Loader(yaml.SafeLoader):
    """Also what Ansible is told not to template."""


Loader.add_constructor("!unsafe", lambda _loader, node: node.value)


@cache
def data(name: str) -> Any:
    (found,) = yaml.load((AWX / f"{name}.yml").read_text(encoding="utf-8"), Loader).values()
    return found


@cache
def variables() -> dict[str, Any]:
    spec = yaml.safe_load((ROOT / "roles/quazzar/meta/argument_specs.yml").read_text(encoding="utf-8"))
    return dict(spec["argument_specs"]["settings"]["options"])


def templates() -> dict[str, dict[str, Any]]:
    found = {template["name"]: template for template in data("job_templates")}
    assert len(found) == len(data("job_templates"))
    return found


def playbook(template: dict[str, Any]) -> str:
    return Path(template["playbook"]).stem


def test_the_project_has_every_playbook_of_the_collection_and_imports_it_by_its_full_name():
    ours = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert {path.stem for path in PROJECT.glob("*.yml")} == ours
    for name in ours:
        text = (PROJECT / f"{name}.yml").read_text(encoding="utf-8")
        (play,) = yaml.safe_load(text)
        assert play["import_playbook"] == f"quazzar.ca_rotation.{name}" and set(play) == {"name", "import_playbook"}
        assert OFFERED.search(text)
    needs = yaml.safe_load((PROJECT / "collections" / "requirements.yml").read_text(encoding="utf-8"))
    (collection,) = needs["collections"]
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    version = galaxy["version"]
    assert collection["name"] == f"{galaxy['namespace']}.{galaxy['name']}"
    assert collection["version"] == f">={version},<{int(version.split('.')[0]) + 1}.0.0"


def test_every_playbook_has_a_template_and_every_template_a_playbook():
    assert {playbook(template) for template in templates().values()} == {path.stem for path in PROJECT.glob("*.yml")}


def test_nothing_is_sliced_by_awx_or_limited_or_run_twice_at_once():
    for name, template in templates().items():
        assert template["job_slice_count"] == 1, name
        for never in ("allow_simultaneous", "ask_limit_on_launch", "ask_variables_on_launch", "use_fact_cache"):
            assert template[never] is False, f"{name}: {never}"
        assert not {key for key in template if key.startswith("ask_")} - {
            "ask_limit_on_launch",
            "ask_variables_on_launch",
        }
        assert "limit" not in template, name


def test_only_the_dangerous_ones_ask():
    asking = {playbook(template) for template in templates().values() if template.get("survey_enabled")}
    assert asking == DANGEROUS
    for template in templates().values():
        assert ("survey_spec" in template) is bool(template.get("survey_enabled"))


def questions() -> list[Any]:
    return [
        pytest.param(question, id=f"{playbook(template)}-{question['variable']}")
        for template in templates().values()
        for question in template.get("survey_spec", {}).get("spec", [])
    ]


@pytest.mark.parametrize("question", questions())
def test_what_a_survey_asks_is_a_variable_of_the_collection_that_takes_the_answer(question):
    option = variables()[question["variable"]]
    assert option.get("type", "str") in TAKEN_BY[question["type"]]
    if question["type"] == "multiplechoice":
        assert option.get("type") != "bool" or question["choices"] == ["true", "false"]
        assert question.get("default") in (None, *question["choices"])
        assert question.get("default") in (None, str(option["default"]).lower())
    else:
        assert "default" not in question
    assert question["question_description"].endswith(".")


@pytest.mark.parametrize("question", questions())
def test_an_optional_question_has_no_default(question):
    """AWX makes an extra variable of each default where nobody is asked, even of an empty one, and an extra variable
    hides what the inventory says."""
    assert question["required"] or "default" not in question


def test_no_job_of_a_workflow_hides_what_the_inventory_says():
    """What asks the gate has no survey, so it and the job that closes must both go by the inventory."""
    (workflow,) = data("workflows")
    used = {node.get("unified_job_template") for node in workflow["simplified_workflow_nodes"]} - {None}
    asked = [question for name in used for question in templates()[name].get("survey_spec", {}).get("spec", [])]
    assert asked and not [each["variable"] for each in asked if each["required"] or "default" in each]


def test_variables_of_templates_are_documented():
    slices = []
    for template in templates().values():
        for name, value in template.get("extra_vars", {}).items():
            assert name in variables()
            if name == "quazzar_slice":
                slices.append(value)
                assert playbook(template) in {"nodes_reregister", "nodes_rescue"}
    assert sorted(slices) == [f"{number}/{len(slices)}" for number in range(1, len(slices) + 1)]


def test_credentials_inject_variables_of_the_collection_and_keep_secrets_secret():
    for kind in data("credential_types"):
        fields = {field["id"]: field for field in kind["inputs"]["fields"]}
        assert set(kind["inputs"]["required"]) <= set(fields)
        assert set(kind["injectors"]) == {"extra_vars"}
        used = set()
        for name, value in kind["injectors"]["extra_vars"].items():
            (field,) = re.findall(r"^\{\{ (\w+) \}\}$", value)
            used.add(field)
            assert name in variables()
            assert bool(fields[field].get("secret")) is bool(re.search(r"password|secret|key", name)), name
        assert used == set(fields)


def test_names_of_one_file_are_those_of_the_others():
    (environment,), (project,) = data("execution_environments"), data("projects")
    for template in templates().values():
        assert template["execution_environment"] == environment["name"] == project["default_environment"]
        assert template["project"] == project["name"]
    settings = yaml.safe_load((AWX / "settings.yml").read_text(encoding="utf-8"))
    used = {name for path in AWX.glob("*.yml") for name in re.findall(r"\{\{ (ca_rotation_\w+)", path.read_text())}
    assert used == set(settings)
    # What is in it is said by the collection itself, where ansible-builder looks for it.
    described = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text(encoding="utf-8"))
    assert all((ROOT / path).exists() for path in described["dependencies"].values())
    guide = (ROOT / "docs" / "awx.md").read_text(encoding="utf-8")
    assert f"--tag {settings['ca_rotation_image']}" in guide


def test_the_workflow_goes_the_safe_way():
    (workflow,) = data("workflows")
    nodes = {node["identifier"]: node for node in workflow["simplified_workflow_nodes"]}
    names = {key: node.get("unified_job_template") for key, node in nodes.items()}
    assert {name for name in names.values() if name} <= set(templates())
    # AWX tells slices by the name alone, so no workflow may have that of a template
    assert workflow["name"] not in templates()
    parents: dict[str, set[tuple[str, str]]] = {key: set() for key in nodes}
    for key, node in nodes.items():
        for way in ("success_nodes", "failure_nodes"):
            for child in node.get(way, []):
                parents[child].add((key, way))

    def on(template: str, **more: Any) -> set[str]:
        return {
            key
            for key, name in names.items()
            if name
            and playbook(templates()[name]) == template
            and all(templates()[name].get(field) == value for field, value in more.items())
        }

    (approval,) = (key for key, node in nodes.items() if "approval_node" in node)
    assert nodes[approval]["approval_node"]["timeout"] > 0
    (close,), (ask,), (opened,) = (
        on("grace_close", job_type="run"),
        on("grace_close", job_type="check"),
        on("grace_open"),
    )
    halves = on("nodes_reregister")
    assert parents[close] == {(approval, "success_nodes")} and parents[approval] == {(ask, "success_nodes")}
    assert parents[ask] == {(half, "success_nodes") for half in halves} and nodes[ask]["all_parents_must_converge"]
    assert all(parents[half] == {(opened, "success_nodes")} for half in halves) and len(halves) == 2
    assert {templates()[names[half]]["extra_vars"]["quazzar_slice"] for half in halves} == {"1/2", "2/2"}
    (first,) = (key for key in nodes if not parents[key])
    assert {first} < on("drift_report") and parents[opened] == {(first, "success_nodes")}
    # whatever else fails ends with a look at what is left
    (last,) = on("drift_report") - {first}
    assert parents[last] == {(key, "failure_nodes") for key in set(nodes) - {first, last}}


def test_an_artefact_is_never_read():
    """It comes back as a variable of the next job, and whoever may start one may claim anything in it."""
    found = {}
    for folder in ("roles", "playbooks", "plugins"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".py") and "quazzar_report_of" in path.read_text(encoding="utf-8"):
                found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8").count("quazzar_report_of")
    assert found == {"roles/rotation_report/tasks/hand_on.yml": 1, "roles/rotation_report/meta/argument_specs.yml": 1}
    assert not [name for name in variables() if name.startswith("quazzar_report_of")]
