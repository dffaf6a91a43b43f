# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written for people: links, names, the layout, inventories, and every command.

A command is run as it stands by a test that HELD names, or it is of a form that is looked at here (playbooks, make,
ansible-doc), or it stands in NOT_RUN with the reason and with what comes nearest.
"""

from __future__ import annotations

import importlib
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import backups
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.certificates import parse_bundle
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "tools"))
common = importlib.import_module("common")

COLLECTION = "quazzar.ca_rotation"
README_LINES = 200
FILES = tuple(path.as_posix() for path in common.project_files())
FOLDERS = {parent.as_posix() for name in FILES for parent in Path(name).parents}
WRITTEN = [name for name in FILES if name.endswith(".md") and name != "CHANGELOG.md"]
#: Whose commands are held to tests.
PAGES = [name for name in WRITTEN if name in ("README.md", "CONTRIBUTING.md") or re.match(r"docs/[^/]+$", name)]
WITH_INVENTORY = ["README.md", *(f"docs/{page}.md" for page in ("compose", "gitops", "kubernetes", "systemd"))]
KINDS = {"sh", "text", "yaml", "python", "ini", "sudoers"}


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def blocks(name: str) -> tuple[tuple[str, str], ...]:
    """Kind and content of every fenced block."""
    found = re.findall(r"(?ms)^( *)```([^\n`]*)\n(.*?)^\1```$", text_of(name))
    return tuple((kind, content) for _indent, kind, content in found)


def prose(name: str) -> str:
    """Without its fenced blocks."""
    return re.sub(r"(?ms)^( *)```[^\n`]*\n.*?^\1```$", "", text_of(name))


# --- links and names -------------------------------------------------------------------------------------------------


def anchors(name: str) -> set[str]:
    """What its headings are called in a link, as GitHub makes it."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(name))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", WRITTEN)
def test_links_lead_somewhere(name):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(name))):
        if re.match(r"https?://", target):
            continue
        path, _hash, anchor = target.partition("#")
        there = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if there not in FILES and there not in FOLDERS:
            wrong.append(f"{target}: there is no {there}")
        elif anchor and anchor not in anchors(there):
            wrong.append(f"{target}: {there} has no such heading")
    assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_blocks_say_what_they_are(name):
    """So that no command can pass for an output. A line of a block that is not closed would be prose."""
    assert {kind for kind, _content in blocks(name)} <= KINDS
    assert "```" not in prose(name)


@cache
def specs() -> dict[str, Any]:
    """The options of every role, by name."""
    found: dict[str, Any] = {}
    for name in FILES:
        if re.fullmatch(r"roles/[^/]+/meta/argument_specs\.yml", name):
            for entry in yaml.safe_load(text_of(name))["argument_specs"].values():
                found.update(entry.get("options") or {})
    return found


def plugins(kind: str) -> set[str]:
    return {Path(name).stem for name in FILES if re.fullmatch(rf"plugins/{kind}/[^/]+\.(py|yml)", name)}


PLAYBOOKS = {Path(name).stem for name in FILES if re.fullmatch(r"playbooks/[^/]+\.yml", name)}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_variable_that_is_named_exists(name):
    ours = {"quazzar_lab", "quazzar_matrix", "quazzar_nodes", "quazzar_cp", "quazzar_defaults"}
    named = set(re.findall(r"(?<![\w/.])quazzar_[a-z0-9_]*[a-z0-9](?![\w*])", text_of(name)))
    assert sorted(named - ours - {*specs()}) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_part_of_the_collection_that_is_named_exists(name):
    roles = {path.split("/")[1] for path in FILES if path.startswith("roles/")}
    kinds = [plugins(kind) for kind in ("modules", "filter", "inventory", "lookup", "doc_fragments")]
    named = set(re.findall(rf"\b{re.escape(COLLECTION)}\.([a-z0-9_]+)", text_of(name)))
    assert sorted(named - PLAYBOOKS - roles - set().union(*kinds)) == []


def test_the_readme_is_short_and_names_every_playbook_and_module():
    text = text_of("README.md")
    assert len(text.splitlines()) < README_LINES
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == PLAYBOOKS | plugins("modules")


def test_the_runbook_has_a_section_for_each_playbook():
    sections = set(re.findall(r"(?m)^## ([a-z_]+)$", text_of("docs/runbook.md")))
    assert sections == PLAYBOOKS


def test_every_platform_has_every_task_file():
    """The table in CONTRIBUTING.md names them."""
    home = ROOT / "roles/controlplane/tasks/platforms"
    there = {path.name: {file.stem for file in path.glob("*.yml")} for path in home.iterdir()}
    assert {*there} == {*specs()["quazzar_cp_platform"]["choices"]}
    table = text_of("CONTRIBUTING.md").partition("| file | must |")[2].partition("\n\n")[0]
    needed = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")}
    assert needed == there["env_file"]
    for name, files in there.items():
        # ca_backup asks who has no connection of its own
        assert needed <= files and ("connect" in files or f"'{name}'" in text_of("roles/ca_backup/tasks/make.yml")), (
            name
        )


def layout() -> list[str]:
    """The paths of the tree in docs/architecture.md."""
    (tree,) = [
        text for kind, text in blocks("docs/architecture.md") if kind == "text" and text.startswith("playbooks ")
    ]
    paths, above = [], ""
    for line in tree.splitlines():
        name = line.split()[0]
        above = above if line.startswith(" ") else name
        paths.append(f"{above}/{name}" if line.startswith(" ") else name)
    return paths


def test_the_layout_is_that_of_the_repository():
    shown = layout()
    assert [path for path in shown if path not in FOLDERS] == [], "shown, but not there"
    expected = {folder for folder in FOLDERS - {"."} if folder.count("/") < 2}
    inner = {path for path in shown if path.count("/") == 2}
    missing = {path for path in expected - {*shown} if not any(one.startswith(f"{path}/") for one in inner)}
    assert sorted(missing) == [], "there, but not shown"
    assert len(shown) == len({*shown})


# --- inventories and other YAML --------------------------------------------------------------------------------------


def settings(content: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in it that sets variables of ours."""
    if isinstance(content, dict):
        ours = {key: value for key, value in content.items() if key in specs()}
        if ours:
            yield ours
        for value in content.values():
            yield from settings(value)


def refused(values: dict[str, Any]) -> list[str]:
    """What the argument specification has against these values. A template may become anything."""
    known = {key: specs()[key] for key in values if "{{" not in str(values[key])}
    given = {key: values[key] for key in known}
    return ArgumentSpecValidator(known).validate(given).error_messages


@pytest.mark.parametrize("name", WRITTEN)
def test_variables_are_of_their_types(name):
    for kind, content in blocks(name):
        if kind == "yaml":
            for document in yaml.safe_load_all(content):
                for values in settings(document):
                    assert refused(values) == [], values


def test_what_is_not_of_its_type_is_seen():
    assert refused({"quazzar_cp_platform": "systemd"}) and refused({"quazzar_registry_complete": "perhaps"})
    assert not refused({"quazzar_cp_platform": "declared", "quazzar_registry_complete": True})


BOOK = """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.import_role:
        name: quazzar.ca_rotation.quazzar
        tasks_from: settings
"""


def inventory_of(name: str) -> str:
    (found,) = [content for kind, content in blocks(name) if kind == "yaml" and content.startswith("all:\n")]
    return found


@pytest.mark.parametrize("name", WITH_INVENTORY)
def test_an_inventory_is_accepted_by_the_collection(name, tmp_path):
    """With nothing added but the secrets that it takes from a vault. It sets no variable that does not exist."""
    (tmp_path / "inventory.yml").write_text(inventory_of(name), encoding="utf-8")
    (tmp_path / "book.yml").write_text(BOOK, encoding="utf-8")
    vault = dict.fromkeys(re.findall(r"\bvault_\w+", inventory_of(name)), "secret")
    words = ["ansible-playbook", "-i", "inventory.yml", "-e", json.dumps(vault), "book.yml"]
    env = common.environment(Path(sys.prefix), ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".build" / "dev"))
    done = subprocess.run(
        words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    hosts = set(re.findall(r"^(\S+)\s+: ok=", done.stdout, re.MULTILINE))
    assert len(hosts) >= 3 and "WARNING" not in done.stderr, done.stderr


# --- commands --------------------------------------------------------------------------------------------------------

PROGRAMS = {
    "ansible", "ansible-builder", "ansible-doc", "ansible-galaxy", "ansible-playbook", "ansible-vault", "argocd",
    "curl", "docker", "flux", "git", "journalctl", "kubectl", "ls", "make", "openssl", "pip", "python", "rm", "ssh",
    "systemctl", "touch", ".venv/bin/python",
}  # fmt: skip

REHEARSAL = "tests/integration/test_guides.py::test_a_rehearsal"
IN_THE_LAB = "tests/integration/test_guides.py::test_the_rehearsal_in_the_lab"
LOST_VOLUME = "tests/integration/test_backup.py::test_a_lost_volume_is_restored_without_a_rotation"
NEWCOMER = "tests/unit/test_docs.py::test_the_first_ten_minutes"

#: (page, how the command begins) -> the test that runs it as it stands on the page.
HELD = {
    ("CONTRIBUTING.md", "sed -i 's/another run"): NEWCOMER,
    (
        "CONTRIBUTING.md",
        ".venv/bin/python -m pytest -q tests/unit/plugins/module_utils/_core/test_run_lock.py",
    ): NEWCOMER,
    ("CONTRIBUTING.md", "git grep -n 'another run"): NEWCOMER,
    ("CONTRIBUTING.md", "git checkout plugins/"): NEWCOMER,
    (
        "CONTRIBUTING.md",
        'git grep -n "',
    ): "tests/unit/test_docs.py::test_where_a_platform_is_asked_for",
    (
        "docs/kubernetes.md",
        "ansible-vault decrypt --output - FILE.vault | sed",
    ): "tests/unit/test_docs.py::test_a_backup_goes_into_a_pod",
    ("docs/rehearsal.md", "export PATH="): IN_THE_LAB,
    ("docs/rehearsal.md", "python -m quazzar_lab"): IN_THE_LAB,
    ("docs/rehearsal.md", "for host in cp1 cp2; do ssh"): REHEARSAL,
    ("docs/rehearsal.md", "ssh cp1 "): REHEARSAL,
    ("docs/runbook.md", "for host in cp1 cp2; do ssh"): LOST_VOLUME,
    ("docs/runbook.md", "ansible-vault decrypt --output - FILE.vault | sed"): LOST_VOLUME,
    ("docs/runbook.md", "ssh cp1 'sudo sh -c"): LOST_VOLUME,
    ("docs/runbook.md", "ansible-playbook quazzar.ca_rotation.ca_backup -e"): LOST_VOLUME,
    ("docs/runbook.md", "openssl x509 -in"): "tests/unit/test_docs.py::test_the_digest_of_a_ca",
    ("docs/runbook.md", "ls -1 /srv/backup"): "tests/unit/test_docs.py::test_the_newest_three_backups_are_kept",
    ("docs/systemd.md", "ansible-vault create"): "tests/unit/test_docs.py::test_the_vault_beside_an_inventory",
    ("docs/runbook.md", "ansible-vault rekey"): "tests/unit/test_docs.py::test_a_new_vault_password",
}

#: How the command begins -> why nobody runs it here, and what comes nearest.
NOT_RUN = {
    "git clone URL": "the project's own address; everything after it is run in a copy of the checkout",
    f"ansible-galaxy collection install {COLLECTION}": "not published from here; `make package` installs the archive",
    "ansible-galaxy collection install 'kubernetes.core": "needs Galaxy; test_what_is_to_be_installed holds the bound",
    "ansible-builder build": "needs a container engine; section package has ansible-builder make the context",
    "pip install": "needs an index; test_what_is_to_be_installed holds the bounds",
    "systemctl ": "needs systemd; what restarts a replica is run by tests/integration/test_guides.py with a stand-in",
    "journalctl ": "needs systemd; what prints the log is run by tests/integration/test_guides.py with a stand-in",
    "docker compose": "needs Docker; those of the inventory are run by tests/integration/test_guides.py with stand-ins",
    "flux ": "needs Flux",
    "argocd ": "needs Argo CD",
    "kubectl rollout restart": "a name, not a command line",
    "kubectl describe lease": "a name, not a command line",
    "kubectl annotate": "a name, not a command line",
    "kubectl -n quazzar create rolebinding": "tests/kubernetes/accounts.py binds the same Roles by the API",
    "ansible cp -i inventory.yml -m quazzar.ca_rotation.ca_info": "needs a cluster; podfleet.py runs modules so",
    ".venv/bin/python dev/variables.py": "`make lint` runs it with --check",
}


def joined(block: str) -> Iterator[str]:
    """The commands of a block, each on one line. A line that ends with \\, | or && goes on."""
    waiting = ""
    for raw in block.splitlines():
        line = f"{waiting}{raw.strip()}"
        waiting = ""
        if line.endswith("\\"):
            waiting = line[:-1]
        elif line.endswith(("|", "&&")):
            waiting = f"{line} "
        elif line and not line.startswith("#"):
            yield line
    assert not waiting, f"a command that has no end: {waiting}"


def commands(name: str) -> list[str]:
    """Every command of a page: those of its blocks, and those in its text, which begin with the name of a program."""
    found = []
    for kind, content in blocks(name):
        if kind == "sh":
            found += joined(content)
    for span in re.findall(r"(?s)(?<!`)`([^`]+)`(?!`)", prose(name)):
        words = span.split()
        if len(words) > 1 and (words[0] in PROGRAMS or words[0].startswith("ansible-")) and "…" not in span:
            found.append(" ".join(words))
    return found


def test_there_are_commands_to_look_at():
    assert {name: len(commands(name)) for name in PAGES if len(commands(name)) > 2}.keys() >= {
        "README.md", "CONTRIBUTING.md", "docs/compose.md", "docs/gitops.md", "docs/kubernetes.md", "docs/rehearsal.md",
        "docs/runbook.md", "docs/systemd.md",
    }  # fmt: skip


PARSE = """
import importlib, json, sys
KINDS = {"ansible-playbook": "playbook:PlaybookCLI", "ansible-vault": "vault:VaultCLI", "ansible": "adhoc:AdHocCLI"}
answer = []
for words in json.load(sys.stdin):
    module, name = KINDS[words[0]].split(":")
    made = getattr(importlib.import_module("ansible.cli." + module), name)(words)
    made.init_parser()
    found = made.parser.parse_args(words[1:])
    answer.append([found.args if words[0] != "ansible" else [found.module_name], getattr(found, "extra_vars", [])])
print(json.dumps(answer))
"""


def parsed(lines: list[str]) -> list[tuple[list[str], list[str]]]:
    """What Ansible's own parser makes of command lines: (arguments, extra variables) of each."""
    env = common.environment(Path(sys.prefix))
    done = subprocess.run(
        [sys.executable, "-c", PARSE], input=json.dumps([shlex.split(line) for line in lines]), env=env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"one of\n{chr(10).join(lines)}\n{done.stderr}"
    return json.loads(done.stdout)


def extra(texts: list[str]) -> dict[str, Any]:
    """Extra variables as a mapping. What is not JSON must be a text: Ansible hands on key=value as nothing else."""
    found: dict[str, Any] = {}
    for text in texts:
        if text.startswith("{"):
            found.update(json.loads(text))
        else:
            pairs = dict(word.split("=", 1) for word in shlex.split(text))
            assert all(key.startswith("ansible_") or specs()[key]["type"] == "str" for key in pairs), text
            found.update(pairs)
    return found


@cache
def scenarios() -> str:
    return "\n".join(text_of(name) for name in FILES if re.match(r"tests/(integration|kubernetes)/test_.*\.py", name))


@pytest.mark.parametrize("name", PAGES)
def test_playbooks_are_called_as_they_can_be(name):
    """Ansible takes the options, the playbook is there, its variables are documented, and a scenario runs it so."""
    lines = [line for line in commands(name) if re.match(r"ansible-playbook ", line) and not held(name, line)]
    for line, (names, variables) in zip(lines, parsed(lines) if lines else [], strict=True):
        (called,) = names
        namespace, _dot, playbook = called.rpartition(".")
        assert (namespace, playbook in PLAYBOOKS) == (COLLECTION, True), line
        values = extra(variables)
        assert {*values} <= {*specs()}, f"{line}: no such variable"
        assert refused(values) == [], line
        for flag in {"--check", "--diff", "--limit"} & {*shlex.split(line)}:
            assert re.search(rf'\b(?:play|begin)\(\s*"{playbook}",[^)]*"{flag}"', scenarios()), f"no scenario: {line}"
        assert re.search(rf'\b(?:play|begin)\(\s*"{playbook}"', scenarios()), f"no scenario: {line}"


def held(name: str, command: str) -> str:
    """The test that runs this command, empty when HELD names none."""
    return next((test for (page, start), test in HELD.items() if page == name and command.startswith(start)), "")


def is_run(name: str, command: str) -> str:
    """Who runs it, or why nobody does; empty when nobody has thought of it."""
    if test := held(name, command):
        return test
    words = shlex.split(command)
    if words[0] == "ansible-playbook":
        return "test_playbooks_are_called_as_they_can_be"
    if words[0] == "make":
        return "test_make_has_these_targets"
    if words[0] == "ansible-doc":
        return "test_every_part_of_the_collection_that_is_named_exists"
    if words[:3] == [".venv/bin/python", "-m", "pytest"]:
        return "test_tests_that_are_named_are_there"
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), "")


@pytest.mark.parametrize("name", PAGES)
def test_every_command_is_run_or_said_not_to_be(name):
    assert [command for command in commands(name) if not is_run(name, command)] == []


def test_who_is_said_to_run_a_command_is_there_and_reads_the_page():
    for (name, start), test in HELD.items():
        path, _colons, function = test.partition("::")
        assert re.search(rf"^def {function}\(", text_of(path), re.MULTILINE), f"{start}: {test}"
        assert Path(name).name in text_of(path), f"{test} does not read {name}"
        assert any(command.startswith(start) for command in commands(name)), f"{name} has no such command: {start}"
    everything = [command for name in PAGES for command in commands(name)]
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in everything)] == []


@pytest.mark.parametrize("name", PAGES)
def test_make_has_these_targets(name):
    targets = set(re.findall(r"(?m)^([a-z][a-z -]*):", text_of("Makefile")))
    known = {word for line in targets for word in line.split()}
    for command in commands(name):
        if command.startswith("make "):
            asked = [word for word in shlex.split(command)[1:] if "=" not in word]
            assert asked and {*asked} <= known, command


@pytest.mark.parametrize("name", PAGES)
def test_tests_that_are_named_are_there(name):
    for command in commands(name):
        if command.startswith(".venv/bin/python -m pytest"):
            assert [word for word in shlex.split(command)[3:] if "/" in word and word not in FILES] == [], command


def test_what_is_to_be_installed():
    """The bounds on the pages are those of the files that an execution environment is made from."""
    lower = dict(re.findall(r"(?m)^(\w+) >= ([\d.]+)$", text_of("meta/ee-requirements.txt")))
    (other,) = yaml.safe_load(text_of("requirements.yml"))["collections"]
    everything = [command for name in PAGES for command in commands(name)]
    pip = [command for command in everything if command.startswith("pip install")]
    assert sorted(pip) == sorted(
        [
            f"pip install 'kubernetes>={lower['kubernetes']}'",
            "pip install -r ~/.ansible/collections/ansible_collections/quazzar/ca_rotation/meta/ee-requirements.txt",
        ]
    )
    galaxy = [
        shlex.split(command)[-1] for command in everything if command.startswith("ansible-galaxy collection install")
    ]
    assert {*galaxy} == {COLLECTION, f"{other['name']}:{other['version']}"}


def test_the_commands_of_a_guide_are_those_of_its_inventory():
    values = yaml.safe_load(inventory_of("docs/compose.md"))["all"]["vars"]
    typed = [command for command in commands("docs/compose.md") if " --project-directory " in command]
    assert typed == [values["quazzar_cp_restart_command"], values["quazzar_cp_log_command"]]


# --- commands that are run as they stand -----------------------------------------------------------------------------


def command_of(name: str, start: str) -> str:
    """The one command of a page that begins so."""
    (found,) = {command for command in commands(name) if command.startswith(start)}
    return found


def typed(command: str, folder: Path, status: int = 0, **environment: str) -> str:
    env = common.environment(Path(sys.prefix), **environment)
    done = subprocess.run(
        ["bash", "-uo", "pipefail", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == status, f"{command}\nended with {done.returncode}, not {status}:\n{done.stdout[-4000:]}"
    return done.stdout


def on_a_terminal(command: str, folder: Path, **environment: str) -> int:
    """The exit status. What it prints is little, and nobody reads it."""
    ours, theirs = pty.openpty()
    try:
        env = common.environment(Path(sys.prefix), **environment)
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        return subprocess.run(["bash", "-uc", command], cwd=folder, env=env, check=False, **streams).returncode
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("/var/lib/quazzar-cc/certs", lambda cert: cert.fingerprint),  # what quazzar_replaced_ca is given
        ("/var/lib/quazzar/certs", lambda cert: backups.file_name(cert, cert.not_before).partition("-")[0]),
    ],
    ids=["active CA", "pin"],
)
def test_the_digest_of_a_ca(tmp_path, where, shown):
    """docs/runbook.md: the same is said on a CP host, and on a node of the CA whose backups have such names."""
    pem = minting.make_ca(name="Some CA").pem
    (tmp_path / "ca.crt").write_bytes(pem)
    command = command_of("docs/runbook.md", f"openssl x509 -in {where}").replace(where, str(tmp_path))
    assert typed(command, tmp_path).strip().rpartition("=")[2] == shown(parse_bundle(pem).certificates[0])


def test_the_newest_three_backups_are_kept(tmp_path):
    """docs/runbook.md"""
    folder = tmp_path / "srv/backup/quazzar-ca"
    folder.mkdir(parents=True)
    days = [f"757bdd545860ab10-202611{day:02d}T093000Z.vault" for day in (1, 9, 10, 24, 25)]
    assert all(backups.entry(name) for name in days)
    for name in (*days, "0123456789abcdef-20200101T000000Z.vault"):
        (folder / name).touch()
    command = command_of("docs/runbook.md", "ls -1 /srv/backup").replace("/srv/", f"{tmp_path}/srv/")
    typed(command, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["0123456789abcdef-20200101T000000Z.vault", *days[2:]]


def test_a_new_vault_password(tmp_path):
    """docs/runbook.md; passwords come from files here, since there is nobody to type them."""
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"the {name} one\n", encoding="utf-8")
    (tmp_path / "FILE").write_text("a backup\n", encoding="utf-8")
    typed("ansible-vault encrypt --vault-password-file old FILE", tmp_path)
    typed(f"{command_of('docs/runbook.md', 'ansible-vault rekey FILE')} --new-vault-password-file new", tmp_path,
          ANSIBLE_VAULT_PASSWORD_FILE=str(tmp_path / "old"))  # fmt: skip
    assert typed("ansible-vault view --vault-password-file new FILE", tmp_path) == "a backup\n"


def test_a_backup_goes_into_a_pod(tmp_path):
    """docs/kubernetes.md; what kubectl would run in the pod is run here."""
    certificate, key = (
        f"-----BEGIN {kind}-----\n{kind}\n-----END {kind}-----\n" for kind in ("CERTIFICATE", "PRIVATE KEY")
    )
    (tmp_path / "FILE.vault").write_text(certificate + key, encoding="utf-8")
    (tmp_path / "secret").write_text("of this fleet\n", encoding="utf-8")
    (tmp_path / "certs").mkdir()
    (tmp_path / "kubectl").write_text(
        '#!/bin/sh\necho "$@" >>told\n'
        'while [ "$1" != -- ]; do shift; done; shift\nexec "$@"\n', encoding="utf-8"
    )  # fmt: skip
    (tmp_path / "kubectl").chmod(0o755)
    given = {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "secret")}
    typed("ansible-vault encrypt FILE.vault", tmp_path, **given)
    section = text_of("docs/kubernetes.md").partition("## A lost volume")[2]
    pipes = [line for line in joined(re.search(r"(?s)```sh\n(.*?)```", section)[1]) if "kubectl" in line]
    assert len(pipes) == 2
    for pipe in pipes:
        command = pipe.replace("kubectl", "./kubectl").replace("/var/lib/quazzar-cc/certs", str(tmp_path / "certs"))
        assert typed(command, tmp_path, **given) in ("", "Decryption successful\n")
    previous = tmp_path / "certs/previous"
    found = {path.name: (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) for path in previous.iterdir()}
    assert found == {"ca.crt": (certificate, 0o600), "ca.key": (key, 0o600)}
    assert previous.stat().st_mode & 0o777 == 0o700
    assert "PRIVATE" not in (tmp_path / "told").read_text(encoding="utf-8"), "a key in the arguments"


def test_the_vault_beside_an_inventory(tmp_path):
    """docs/systemd.md; an editor that writes by itself."""
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "secret").write_text("of this fleet\n", encoding="utf-8")
    (tmp_path / "editor").write_text('#!/bin/sh\necho "vault_quazzar_cp_password: kept" >"$1"\n', encoding="utf-8")
    (tmp_path / "editor").chmod(0o755)
    (tmp_path / "inventory.yml").write_text(inventory_of("docs/systemd.md"), encoding="utf-8")
    given = {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "secret"), "EDITOR": str(tmp_path / "editor")}
    assert on_a_terminal(command_of("docs/systemd.md", "ansible-vault create"), tmp_path, **given) == 0
    assert "kept" not in (tmp_path / "group_vars/all/vault.yml").read_text(encoding="utf-8")
    ask = "ansible edge-001 -i inventory.yml -c local -m ansible.builtin.debug -a var=quazzar_cp_password"
    assert '"quazzar_cp_password": "kept"' in typed(ask, tmp_path, **given)


def test_where_a_platform_is_asked_for():
    """CONTRIBUTING.md: the command finds every place that decides by the name of a platform."""
    found = typed(command_of("CONTRIBUTING.md", 'git grep -n "'), ROOT)
    asking = re.compile(r"quazzar_cp_platform (?:[!=]=|in|not in) .*env_file")
    there = {
        f"{name}:{number}" for name in FILES if re.match(r"(roles|playbooks|plugins)/", name)
        and not os.path.islink(ROOT / name)
        for number, line in enumerate(text_of(name).splitlines(), 1) if asking.search(line)
    }  # fmt: skip
    assert there and there <= {":".join(line.split(":")[:2]) for line in found.splitlines()}


def test_the_first_ten_minutes(tmp_path):
    """CONTRIBUTING.md: change a message, see the right test fail, fix it; in a copy of the checkout, with its .venv."""
    home = tmp_path / "ca_rotation"
    for name in FILES:
        if (ROOT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / name, follow_symlinks=False)
    (home / ".venv").unlink(missing_ok=True)
    (home / ".venv").symlink_to(sys.prefix)
    typed(".venv/bin/python tests/tools/collection.py link", home)  # make setup
    git = "git -c user.name=x -c user.email=x@example.com"
    typed(f"git init -q && git add -A && {git} commit -q -m Begin", home)
    section = text_of("CONTRIBUTING.md").partition("## The first ten minutes")[2].partition("\n## ")[0]
    typing = [line for kind, block in re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", section) if kind == "sh"
              for line in joined(block)]  # fmt: skip
    clone, demo, setup, change, test, look, back, again = typing
    assert (clone.split()[:2], demo, setup, test) == (["git", "clone"], "make demo", "make setup", again)
    assert "1 passed" in typed(f"{test} -k names_the_first_run", home)
    typed(change, home)
    failed = typed(test, home, status=1)
    (expected,) = [block.strip() for kind, block in blocks("CONTRIBUTING.md") if kind == "text"]
    assert expected in failed and "1 failed" in failed
    named = {line.partition(":")[0] for line in typed(look, home).splitlines()}
    assert {"docs/faults.md", "tests/integration/test_lock.py"} <= named
    typed(back, home)
    assert "failed" not in typed(again, home)
    assert typed("git status --porcelain", home) == ""
