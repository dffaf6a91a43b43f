# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold for the repository as a whole, so that no file can drift away from another."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "tools"))
common = importlib.import_module("common")

PLUGINS = ROOT / "plugins"
CORE = PLUGINS / "module_utils" / "_core"
LAB = ROOT / "tests" / "lab"
MATRIX = ROOT / "tests" / "matrix"
IO = PLUGINS / "module_utils" / "_io"
PACKAGE = "ansible_collections.quazzar.ca_rotation"

MODULE_CODE_LINES = 80
MAIN_LINES = 40
TASK_FILE_LINES = 80
HEADER_LINES = 8


@cache
def project_files() -> tuple[Path, ...]:
    return tuple(ROOT / name for name in common.project_files())


def files(folder: Path, *suffixes: str) -> list[Path]:
    return [path for path in project_files() if folder in path.parents and path.suffix in suffixes]


def plugin_names(kind: str) -> list[str]:
    return sorted(path.stem for path in files(PLUGINS / kind, ".py") if path.stem != "__init__")


def name_of(path: Path) -> str:
    """For test ids and messages."""
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports anywhere, relative imports resolved to full names."""
    apart = next((home for home in (LAB, MATRIX) if home in path.parents), None)
    start, root = ([], apart) if apart else (PACKAGE.split("."), ROOT)
    package = [*start, *path.relative_to(root).parent.parts]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = [] if not node.level else package[: len(package) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


# --- modules and their actions ---------------------------------------------------------------------------------------


@cache
def documentation() -> dict[str, Any]:
    """What ansible-doc says of every module, fragments merged."""
    names = [f"quazzar.ca_rotation.{name}" for name in plugin_names("modules")]
    home = ROOT / ".build" / "dev"
    env = common.environment(Path(sys.prefix), ANSIBLE_COLLECTIONS_PATH=str(home))
    command = [sys.executable, "-m", "ansible", "doc", "--json", "--type", "module", *names]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {name.rpartition(".")[2]: found[name]["doc"] for name in names if name in found}


def documented_form(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a DOCUMENTATION in the form that they have in an argument specification."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": bool(option.get("required", False)),
            "default": option.get("default"),
            "choices": list(option["choices"]) if option.get("choices") is not None else None,
            "elements": option.get("elements"),
            "aliases": sorted(option.get("aliases", [])),
            "options": documented_form(option["suboptions"]) if option.get("suboptions") else {},
        }
        for name, option in options.items()
    }


def specified_form(options: dict[str, Any]) -> dict[str, Any]:
    """An argument specification in the same form."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": bool(option.get("required", False)),
            "default": option.get("default"),
            "choices": list(option["choices"]) if option.get("choices") is not None else None,
            "elements": option.get("elements"),
            "aliases": sorted(option.get("aliases", [])),
            "options": specified_form(option["options"]) if option.get("options") else {},
        }
        for name, option in options.items()
    }


def action_spec(name: str) -> dict[str, Any]:
    module = importlib.import_module(f"{PACKAGE}.plugins.action.{name}")
    return module.ActionModule.ARGUMENT_SPEC


def test_every_module_is_the_documentation_of_an_action_and_every_action_has_one():
    assert plugin_names("modules") == plugin_names("action")


@pytest.mark.parametrize("name", plugin_names("action"))
def test_argument_spec_equals_documentation(name):
    if name not in documentation():
        pytest.fail(f"ansible-doc does not know quazzar.ca_rotation.{name}")
    assert specified_form(action_spec(name)) == documented_form(documentation()[name].get("options", {}))


@pytest.mark.parametrize("name", plugin_names("action"))
def test_secret_looking_options_say_whether_they_are_secret(name):
    """Ansible hides what is no_log; a name that looks like a secret and is none says so with no_log=False."""
    looks_secret = re.compile(r"passw|secret|(^|_)token(s|$)|bearer|api_key|credential|private", re.IGNORECASE)

    def walk(options: dict[str, Any], inherited: bool) -> Iterator[str]:
        for option, spec in options.items():
            hidden = inherited or "no_log" in spec
            if looks_secret.search(option) and not hidden and not spec.get("options"):
                yield option
            yield from walk(spec.get("options") or {}, bool(spec.get("no_log")) or inherited)

    assert list(walk(action_spec(name), False)) == []


@pytest.mark.parametrize("name", plugin_names("modules"))
def test_a_module_file_holds_documentation_and_nothing_else(name):
    path = PLUGINS / "modules" / f"{name}.py"
    allowed = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    names = []
    for node in parsed(path).body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        assert isinstance(node, ast.Assign), f"{name_of(path)}:{node.lineno}: code in a file that nobody runs"
        names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    assert set(names) == allowed


def lines_of_code(path: Path) -> int:
    """Lines inside functions that are neither empty, comment nor docstring. Declarations are data, not code."""
    tree = parsed(path)
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            inside.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(1 for number in inside if lines[number - 1].strip() and not lines[number - 1].strip().startswith("#"))


@pytest.mark.parametrize("kind", ["action", "inventory", "filter", "lookup"])
def test_what_ansible_calls_is_short(kind):
    """The logic is in module_utils, where it can be tested without Ansible."""
    counted = {name_of(path): lines_of_code(path) for path in files(PLUGINS / kind, ".py")}
    assert {name: count for name, count in counted.items() if count > MODULE_CODE_LINES} == {}


def test_the_action_group_names_every_module():
    groups = loaded(ROOT / "meta" / "runtime.yml")["action_groups"]
    assert groups["all"] == plugin_names("modules"), "meta/runtime.yml: action_groups.all, in alphabetical order"


@pytest.mark.parametrize("name", plugin_names("modules"))
def test_every_module_says_that_it_is_in_the_action_group(name):
    attributes = documentation()[name].get("attributes", {})
    assert attributes.get("action_group", {}).get("membership") == ["quazzar.ca_rotation.all"]
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)


def test_the_collection_needs_no_other():
    assert loaded(ROOT / "galaxy.yml")["dependencies"] == {}
    assert loaded(ROOT / "meta" / "runtime.yml")["requires_ansible"] == ">=2.16.0"


# --- which way the arrows run ----------------------------------------------------------------------------------------

NOT_PURE = {
    "ansible", "asyncio", "http", "logging", "multiprocessing", "os", "pathlib", "random", "requests", "secrets",
    "shutil", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
PURE_PARTS = {"urllib.parse", "urllib.parse.quote", "urllib.parse.unquote", "urllib.parse.urlsplit"}


@pytest.mark.parametrize("path", files(CORE, ".py"), ids=name_of)
def test_core_is_pure(path):
    """No IO, no clock, nothing of Ansible, nothing of ours but itself."""
    core = f"{PACKAGE}.plugins.module_utils._core"
    wrong = set()
    for name in imports(path):
        top = name.split(".")[0]
        if top == "ansible_collections":
            if not name.startswith(core):
                wrong.add(name)
        elif top in NOT_PURE and name not in PURE_PARTS and name != "urllib":
            wrong.add(name)
    assert wrong == set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("open", "print", "input"), f"{name_of(path)}:{node.lineno}"
            assert not re.search(r"\b(datetime|date)\.(now|utcnow|today)$", called), f"{name_of(path)}:{node.lineno}"


@pytest.mark.parametrize("path", files(IO, ".py"), ids=name_of)
def test_io_knows_nothing_of_what_calls_it(path):
    above = (f"{PACKAGE}.plugins.action", f"{PACKAGE}.plugins.inventory", f"{PACKAGE}.plugins.modules")
    assert [name for name in imports(path) if name.startswith(above)] == []


def test_the_plugins_and_what_judges_them_do_not_know_each_other():
    """Else the lab and the matrix would prove only that the code agrees with itself."""
    for path in [*files(LAB / "quazzar_lab", ".py"), *files(MATRIX, ".py")]:
        assert [name for name in imports(path) if name.split(".")[0] in ("ansible", "ansible_collections")] == [], path
    for path in files(PLUGINS, ".py"):
        ours = ("quazzar_lab", "quazzar_matrix", ".tests")
        assert [name for name in imports(path) if any(word in name for word in ours)] == [], path


@pytest.mark.parametrize("path", files(PLUGINS, ".py"), ids=name_of)
def test_code_in_plugins(path):
    """No assert statement (python -O drops it), no print, the same annotations on every Python."""
    tree = parsed(path)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []
    if tree.body:
        assert "__future__" in list(imports(path)), "from __future__ import annotations is missing"
    text = path.read_text(encoding="utf-8")
    if text and (CORE in path.parents or IO in path.parents):
        assert "# This is private to the collection: it may change without notice." in text
        assert "# Do not use it from outside." in text


# --- tests -----------------------------------------------------------------------------------------------------------


def test_unit_tests_mirror_the_plugins_file_by_file():
    """Modules and doc fragments hold documentation only; the tests of this file hold those."""
    tested = [
        path.relative_to(PLUGINS)
        for path in files(PLUGINS, ".py")
        if path.stem != "__init__" and path.relative_to(PLUGINS).parts[0] not in ("modules", "doc_fragments")
    ]
    home = ROOT / "tests" / "unit" / "plugins"
    missing = [str(path) for path in tested if not (home / path.parent / f"test_{path.name}").exists()]
    assert missing == []
    there = {path.relative_to(home) for path in files(home, ".py") if path.name.startswith("test_")}
    expected = {path.parent / f"test_{path.name}" for path in tested}
    across = {Path("action/test_over_ssh.py"), Path("action/test_secrecy.py")}  # of all actions that talk to a host
    assert sorted(map(str, there - expected - across)) == [], "tests of a file that does not exist"


def test_nothing_is_ignored():
    assert [name_of(path) for path in files(ROOT / "tests" / "sanity", ".txt")] == []
    settings = loaded(ROOT / ".ansible-lint")
    assert settings["profile"] == "production"
    assert settings["skip_list"] == []
    assert settings["warn_list"] == []
    assert [name_of(path) for path in project_files() if path.name == ".ansible-lint-ignore"] == []


# --- roles and playbooks ---------------------------------------------------------------------------------------------

ROLES = sorted({path.relative_to(ROOT / "roles").parts[0] for path in files(ROOT / "roles", ".yml", ".md")})
ROLES.remove("quazzar_defaults")  # has no entry point


def specs_of(role: str) -> dict[str, Any]:
    return loaded(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_equal_defaults(role):
    """A default that is a template is documented as the template's text."""
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    defaults = (loaded(path) or {}) if path.exists() else {}
    documented: dict[str, Any] = {}
    for entry, spec in specs_of(role).items():
        for name, option in (spec.get("options") or {}).items():
            if name in defaults or "default" in option:
                assert "default" in option, f"{entry}: {name} has a default that is not documented"
                assert documented.setdefault(name, option["default"]) == option["default"], f"{entry}: {name}"
    assert documented == defaults


@pytest.mark.parametrize("role", ROLES)
def test_every_step_that_is_called_has_an_argument_spec(role):
    steps = {path.stem for path in (ROOT / "roles" / role / "tasks").glob("*.yml")}
    assert set(specs_of(role)) <= steps, "an entry point without a task file"
    called = set()
    for path in [*files(ROOT / "playbooks", ".yml"), *files(ROOT / "roles", ".yml")]:
        for task in tasks_in(loaded(path)):
            for keyword in ("include_role", "import_role"):
                step = task.get(f"ansible.builtin.{keyword}")
                if step and step.get("name") in (role, f"quazzar.ca_rotation.{role}"):
                    called.add(step.get("tasks_from", "main").removesuffix(".yml"))
    called = {step for step in called if "{{" not in step and "/" not in step}
    assert called <= set(specs_of(role)), "called from elsewhere, without an argument specification"


def tasks_in(content: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a task file or playbook that may be a task."""
    if isinstance(content, list):
        for item in content:
            yield from tasks_in(item)
    elif isinstance(content, dict):
        yield content
        for value in content.values():
            yield from tasks_in(value)


def test_every_role_has_the_shared_defaults_and_nobody_their_specification():
    """Ansible copies the specification of a dependency at each inclusion of a role."""
    home = ROOT / "roles" / "quazzar_defaults"
    assert {path.name for path in home.iterdir()} == {"README.md", "defaults", "meta"}
    assert [path.name for path in (home / "defaults").iterdir()] == ["main.yml"]
    assert (home / "defaults" / "main.yml").readlink() == Path("../../quazzar/defaults/main.yml")
    assert loaded(home / "meta" / "argument_specs.yml") == {"argument_specs": {}}
    for role in ROLES:
        needs = loaded(ROOT / "roles" / role / "meta" / "main.yml")["dependencies"]
        assert needs == ([] if role == "quazzar" else [{"role": "quazzar.ca_rotation.quazzar_defaults"}]), role


@pytest.mark.parametrize("role", ROLES)
def test_task_files_are_short(role):
    for path in files(ROOT / "roles" / role / "tasks", ".yml"):
        allowed = MAIN_LINES if path.name == "main.yml" else TASK_FILE_LINES
        assert len(path.read_text(encoding="utf-8").splitlines()) <= allowed, name_of(path)


@pytest.mark.parametrize("path", files(ROOT / "playbooks", ".yml"), ids=name_of)
def test_playbooks_hold_no_logic(path):
    text = path.read_text(encoding="utf-8")
    for opening, closing in (("{{", "}}"), ("{%", "%}")):
        for found in re.finditer(re.escape(opening) + r"(.*?)" + re.escape(closing), text, re.DOTALL):
            assert "\n" not in found.group(1), f"a Jinja expression longer than a line: {found.group(0)}"
    for play in loaded(path) if isinstance(loaded(path), list) else []:
        if "hosts" in play:
            assert play.get("gather_facts") is False, f"gather_facts: {play.get('name')}"
            assert "strategy" not in play, f"strategy: {play.get('name')}"


@pytest.mark.parametrize(
    "path", [*files(ROOT / "roles", ".yml"), *files(ROOT / "playbooks", ".yml")], ids=name_of
)  # fmt: skip
def test_no_failure_is_ignored_and_nothing_sleeps(path):
    for task in tasks_in(loaded(path)):
        assert "ignore_errors" not in task
        assert "ansible.builtin.pause" not in task
        assert "pre_tasks" not in task or "roles" in task


@pytest.mark.parametrize(
    "path", [*files(ROOT / "roles", ".yml"), *files(ROOT / "playbooks", ".yml")], ids=name_of
)  # fmt: skip
def test_what_is_waited_for_is_not_what_the_task_says_of_itself(path):
    """Ansible asks `until` after changed_when and failed_when, so that such a condition would hold at once."""
    for task in tasks_in(loaded(path)):
        for keyword, word in (("changed_when", "changed"), ("failed_when", "failed")):
            if "until" in task and keyword in task:
                assert f" is not {word}" not in str(task["until"]), task.get("name")


def expressions(value: Any, *, bare: bool = False) -> Iterator[str]:
    """The Jinja expressions in a value of a task, without the texts in them. ``bare``: all of it is one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            # Arguments of a module are converted by its specification, and become by Ansible.
            if key != "become" and not (str(key).startswith("quazzar.ca_rotation.") and isinstance(inner, dict)):
                yield from expressions(inner, bare=key in ("when", "until", "failed_when", "changed_when", "that"))
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner, bare=bare)
    elif isinstance(value, str):
        for each in [value] if bare else re.findall(r"\{[{%](.*?)[%}]\}", value, re.DOTALL):
            yield re.sub(r"'[^']*'|\"[^\"]*\"", "''", each)


def is_converted(name: str, kind: str, expression: str, behind: str) -> bool:
    """A mapping is told apart from a text, or only asked whether there is anything in it."""
    if kind == "bool":
        return re.match(r"\s*\|\s*bool\b", behind) is not None
    return f"{name} is string" in expression or behind.startswith(" | default({}, true) | length")


@pytest.mark.parametrize("kind", ["bool", "dict"])
def test_a_variable_that_may_be_text_is_converted_where_a_template_reads_it(kind):
    """An extra variable of AWX may be text, and so is one of -e NAME=VALUE; "false" is true and has no keys."""
    options = specs_of("quazzar")["settings"]["options"]
    names = "|".join(name for name, option in options.items() if option.get("type") == kind)
    paths = [path for path in files(ROOT / "roles", ".yml") if path.parent.name not in ("meta", "defaults")]
    found = [
        (is_converted(use.group(1), kind, expression, expression[use.end() :]), f"{name_of(path)}: {expression}")
        for path in [*paths, *files(ROOT / "playbooks", ".yml")]
        for expression in expressions(loaded(path))
        for use in re.finditer(rf"\b({names})\b", expression)
    ]
    assert [where for fine, where in found if not fine] == []
    assert len(found) > 2


def test_the_order_of_hosts_does_not_decide_where_the_lock_is():
    """Job slices of AWX have the hosts of the Control Panel in another order each, and must share one lock."""
    text = (ROOT / "roles/controlplane/tasks/platforms/env_file/lock.yml").read_text(encoding="utf-8")
    picked = re.findall(r"quazzar_cp_hosts\b[^\]}]*", text)
    assert len(picked) == 2 and {each.strip() for each in picked} == {"quazzar_cp_hosts | sort | first"}


def test_whoever_ignores_an_unreachable_host_fails_with_the_next_task():
    """Ansible goes on with a host that was not there, as if the task had been done."""
    found = 0
    for path in [*files(ROOT / "roles", ".yml"), *files(ROOT / "playbooks", ".yml")]:
        tasks = [task for task in tasks_in(loaded(path)) if "name" in task]
        for task, following in itertools.pairwise([*tasks, {}]):
            if task.get("ignore_unreachable"):
                found += 1
                said = following.get("ansible.builtin.fail", {}).get("msg", "")
                assert "the host of the Control Panel was lost" in said, name_of(path)
                assert following["when"] == f"{task['register']} is unreachable", name_of(path)
    assert found


# --- every file ------------------------------------------------------------------------------------------------------


def test_every_file_that_can_have_a_comment_says_who_holds_the_rights():
    kinds = {".py", ".yml", ".yaml", ".sh", ".toml", ".cfg", ".j2", ".rst", ".go", ".txt", ".md"}
    names = {"Makefile", ".yamllint", ".ansible-lint", "run"}
    written_by_tools = {"CHANGELOG.md", "changelog.yaml"}
    missing = []
    for path in project_files():
        if path.is_symlink() or path.name in written_by_tools or "LICENSES" in path.parts:
            continue
        if path.stat().st_size == 0:  # ansible-test on ansible-core 2.16 wants __init__.py empty
            continue
        if path.suffix in kinds or path.name in names:
            start = "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[:HEADER_LINES])
            if not re.search(r"SPDX-License-Identifier: (GPL-3\.0-or-later)", start) or "Copyright (c)" not in start:
                missing.append(name_of(path))
    assert missing == []


def test_no_private_key_and_no_unfinished_work_is_in_a_file():
    begin = "-----BEGIN "
    key = re.compile(rf"^\s*{begin}(?:[A-Z]+ )?PRIVATE KEY-----\s*\n\s*[A-Za-z0-9+/]{{40}}", re.MULTILINE)
    unfinished = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    for path in project_files():
        if path.is_symlink() or "LICENSES" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not key.search(text), name_of(path)
        assert not unfinished.search(text), f"{name_of(path)}: {unfinished.search(text)}"


def fault_rows():
    """Rows of docs/faults.md: (fault, the fragments of what is read, whether that may be none, test file, function)."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (.+?) \| (.+?) \| `(\S+)` `(\w+)` \|$", text, re.MULTILINE)
    return [
        (fault, re.findall(r"`([^`]+)`", read), read.startswith("nothing"), file, test)
        for fault, read, file, test in found
    ]


@pytest.mark.parametrize(("fault", "words", "nothing", "file", "test"), fault_rows())
def test_every_fault_is_held_to_its_message_by_a_test(fault, words, nothing, file, test):
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^ *def {test}\(", source, re.MULTILINE), f"{fault}: {file} has no {test}"
    assert words or nothing, f"{fault}: what is read is not quoted"
    # A long text is written as several in a row.
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    assert [text for text in words if text not in joined] == [], fault


def test_every_line_of_the_fault_list_is_read():
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|---", "| fault "))]
    assert len(fault_rows()) == len(lines) >= 30
