# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make docs/variables.md out of the argument specification of the role quazzar.

``--check`` writes nothing and fails when the page is stale, when a default of any role differs between its argument
specification and its defaults/main.yml, or when a variable or an entry point is in one of them only.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "variables.md"
SHARED = "quazzar"
ENTRY = "settings"
PREFIX = "quazzar_"

HEAD = """\
<!--
Copyright (c) 2026, Quazzar CA Rotation contributors
GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later

Made by dev/variables.py out of roles/quazzar/meta/argument_specs.yml. Do not edit it here.
-->

# Variables

Every variable that an operator may set. Set them in the inventory; nothing here asks for a change of code.

* A **duration** is a number of seconds or a text such as `90s`, `15m`, `36h`, `90d`.
* **secret**: never shown in a result, a report, a log or an argument of a process. Keep it in a vault.
* Which of them stand for something that the product's documentation leaves open: [open points](open-points.md).
"""

#: Where the variables of each group are looked up. The groups are the comments in defaults/main.yml.
PLACES = {
    "The fleet": "Looked up on each node, except `quazzar_nodes`, which is looked up on the controller.",
    "The API of the nodes": "Looked up on each node.",
    "The Control Panel": (
        "Looked up on the hosts of `quazzar_cp_hosts`; `quazzar_cp_hosts`, `quazzar_cp_platform`, "
        "`quazzar_cp_mtls_address` and `quazzar_cp_server_name` on all hosts, so set these four in `group_vars/all`."
    ),
    "Kubernetes": "Looked up on the host of `quazzar_cp_hosts` that stands for the workload.",
    "The API of the Control Panel": (
        "Set these for all hosts (`group_vars/all`): the controller and the nodes look them up."
    ),
    "The rotation": "Set these for all hosts (`group_vars/all`): they are one decision for the whole run.",
}


def load(path: pathlib.Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def groups(defaults: pathlib.Path) -> dict[str, list[str]]:
    """Heading to variables, in the order of the file. A heading is the comment after an empty line."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in defaults.read_text(encoding="utf-8").splitlines():
        comment = re.fullmatch(r"# ([A-Z][A-Za-z ]+)", line)
        if comment:
            heading = comment.group(1)
        variable = re.match(r"(\w+):", line)
        if variable:
            found.setdefault(heading, []).append(variable.group(1))
    return found


def markdown(text: str) -> str:
    """Ansible's markup as Markdown."""
    text = re.sub(r"\b[OVC]\(((?:[^()\\]|\\.)*)\)", lambda m: "`" + re.sub(r"\\(.)", r"\1", m.group(1)) + "`", text)
    text = re.sub(r"\bM\(([^()]+)\)", r"`\1`", text)
    return text.replace("<", "&lt;") if "`" not in text else text


def sentences(description: Any) -> list[str]:
    lines = [description] if isinstance(description, str) else list(description)
    return [markdown(" ".join(str(line).split())) for line in lines]


def literal(value: Any) -> str:
    """A default as YAML in one line."""
    if value == "":
        return "empty"
    if isinstance(value, str):
        return f"`{value}`"
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False).strip()
    return f"`{text.removesuffix('...').strip()}`"


def rows(name: str, option: Mapping[str, Any], level: str = "###") -> Iterator[str]:
    yield f"{level} `{name}`"
    yield ""
    yield from (line + "\n" for line in sentences(option["description"]))
    kind = {"raw": "several forms"}.get(option["type"], option["type"])
    facts = [f"Type: {kind} of {option['elements']}" if "elements" in option else f"Type: {kind}"]
    if "choices" in option:
        facts.append("choices: " + ", ".join(f"`{choice}`" for choice in option["choices"]))
    facts.append(f"default: {literal(option.get('default', ''))}")
    if option.get("no_log"):
        facts.append("**secret**")
    yield "; ".join(facts) + "."
    yield ""
    for key, inner in (option.get("options") or {}).items():
        secret = ", **secret**" if inner.get("no_log") else ""
        yield f"* `{key}` ({inner['type']}{secret}): {' '.join(sentences(inner['description']))}"
    if option.get("options"):
        yield ""


def page() -> str:
    role = ROOT / "roles" / SHARED
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"][ENTRY]["options"]
    lines = [HEAD]
    for heading, names in groups(role / "defaults" / "main.yml").items():
        lines += [f"## {heading}", "", PLACES.get(heading, ""), ""]
        for name in names:
            lines += rows(name, options[name])
    return "\n".join(lines).rstrip() + "\n"


def differences() -> Iterator[str]:
    """What does not fit between the argument specifications, the defaults and the task files of the roles."""
    for role in sorted((ROOT / "roles").iterdir()):
        spec_file, defaults_file = role / "meta" / "argument_specs.yml", role / "defaults" / "main.yml"
        if not (role / "tasks").exists() and defaults_file.is_symlink():
            continue  # has the defaults of another role, and no entry point
        if not spec_file.is_file():
            yield f"{role.name}: no meta/argument_specs.yml"
            continue
        defaults = (load(defaults_file) if defaults_file.is_file() else None) or {}
        entries = load(spec_file)["argument_specs"]
        seen: set[str] = set()
        for entry, spec in entries.items():
            if not (role / "tasks" / f"{entry}.yml").is_file():
                yield f"{role.name}: the entry point {entry} has no tasks/{entry}.yml"
            for name, option in (spec.get("options") or {}).items():
                seen.add(name)
                if not name.startswith(f"{role.name}_"):
                    yield f"{role.name}: {entry} names {name}, which is not a variable of this role"
                said = option.get("default")
                if name in defaults and said != defaults[name]:
                    yield f"{role.name}: default of {name} is {defaults[name]!r}, {entry} says {said!r}"
                if name not in defaults and not option.get("required"):
                    yield f"{role.name}: {name} of {entry} is neither required nor in defaults/main.yml"
        for name in defaults:
            if name not in seen:
                yield f"{role.name}: {name} is in defaults/main.yml and in no entry point"


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when something is stale")
    check = parser.parse_args().check
    problems = list(differences())
    if not problems and check and (not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page()):
        problems.append(f"{PAGE.relative_to(ROOT)} is stale: run dev/variables.py")
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    if not check:
        PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
