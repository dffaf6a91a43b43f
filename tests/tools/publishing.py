# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others do with the collection once it is published, done here before: import it, and build it into an image.

usage: publishing.py imported|introspected|context

imported      what Galaxy does with the archive (galaxy-importer); what it found of each kind
introspected  what ansible-builder takes from the installed collection for an execution environment
context       .build/ee, all that an image of execution-environment.yml is built of
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import collection
from common import BUILD, FQCN, INSTALLED, NAME, NAMESPACE, ROOT, VENV, ToolError, environment, run, shown, venv_python

DEFINITION = ROOT / "execution-environment.yml"

IMPORTER = """\
[galaxy-importer]
ansible_local_tmp = {folder}/tmp
check_changelog = true
check_required_tags = true
require_v1_or_greater = true
run_ansible_doc = true
# The importer gives up on it after three minutes, and skips rules; the section lint does neither.
run_ansible_lint = false
# It wants a container. What it would run there is run by the section sanity.
run_ansible_test = false
"""


def _archive() -> Path:
    """The archive that is installed."""
    collection.install()
    found = sorted(BUILD.glob(f"{NAMESPACE}-{NAME}-*.tar.gz"))
    return found[0] if found else collection.build()


def imported(archive: Path | None = None) -> dict[str, list[str]]:
    """What Galaxy finds in the archive, by kind; ToolError with each line in which its importer warns or complains."""
    archive = archive or _archive()
    folder = BUILD / "importer"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    settings = folder / "galaxy-importer.cfg"
    settings.write_text(IMPORTER.format(folder=folder), encoding="utf-8")
    env = environment(GALAXY_IMPORTER_CONFIG=str(settings), HOME=str(folder))
    done = run([venv_python(), "-m", "galaxy_importer.main", archive], cwd=folder, env=env, check=False)
    told = re.findall(r"^(?:WARNING|ERROR|CRITICAL):.*$", done.stdout, re.MULTILINE)
    result = folder / "importer_result.json"
    if done.returncode or told or not result.exists():
        shown = "\n".join(told) or done.stdout.strip()
        raise ToolError(f"galaxy-importer does not take {archive.name} (exit status {done.returncode}):\n{shown}")
    found: dict[str, list[str]] = {}
    for item in json.loads(result.read_text(encoding="utf-8"))["contents"]:
        found.setdefault(item["content_type"], []).append(item["name"])
    missing = [name for name in collection.verify() if not _has(found, name)]
    if missing:
        raise ToolError(f"galaxy-importer does not see {', '.join(missing)} in {archive.name}")
    return {kind: sorted(names) for kind, names in sorted(found.items())}


def _has(found: Mapping[str, list[str]], full: str) -> bool:
    """`full` as collection.verify names it, such as "module quazzar.ca_rotation.ca_info"."""
    kind, name = full.split(" ", 1)
    return name.removeprefix(f"{FQCN}.").removesuffix(".yml") in [
        there.removesuffix(".yml") for there in found.get(kind, [])
    ]


def _lines(name: str) -> list[str]:
    """The requirements in a file of meta, without comments."""
    text = (ROOT / "meta" / name).read_text(encoding="utf-8")
    return sorted(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def introspected() -> dict[str, list[str]]:
    """What ansible-builder takes from the installed collection: `python` and `system`; ToolError if not all of it."""
    collection.install()
    command = [VENV / "bin" / "ansible-builder", "introspect", INSTALLED]
    said = run(command, env=environment(), quiet=True).stdout
    found: dict[str, list[str]] = {}
    kind = ""
    for line in said.splitlines():
        if re.fullmatch(r"[a-z_]+:.*", line):
            kind = line.partition(":")[0]
        elif (entry := re.fullmatch(r"- '?(.+?) *# from collection (\S+?)'?", line)) and entry.group(2) == FQCN:
            found.setdefault(kind, []).append(entry.group(1).strip())
    found = {kind: sorted(entries) for kind, entries in found.items()}
    expected = {"python": _lines("ee-requirements.txt"), "system": _lines("ee-bindep.txt")}
    if found != expected:
        raise ToolError(f"ansible-builder introspect: expected {expected} of {FQCN}, found {found} in\n{said}")
    return found


def context(definition: Path = DEFINITION, folder: Path = BUILD / "ee") -> Path:
    """The directory that an image is built of; ToolError when what it needs is not in it. No image is built."""
    shutil.rmtree(folder, ignore_errors=True)
    create = ["create", "--file", definition, "--context", folder, "--output-filename", "Containerfile"]
    run([VENV / "bin" / "ansible-builder", *create], env=environment())
    expected = {
        "Containerfile": ("FROM $EE_BASE_IMAGE", "ansible-core>=2.16", "ansible-runner>=", "ENTRYPOINT"),
        "_build/requirements.yml": (FQCN, "kubernetes.core"),
        "_build/requirements.txt": tuple(_lines("ee-requirements.txt")),
        "_build/bindep.txt": tuple(_lines("ee-bindep.txt")),
    }
    missing = [
        f"{name}: {word}"
        for name, words in expected.items()
        for word in words
        if not (folder / name).is_file() or word not in (folder / name).read_text(encoding="utf-8")
    ]
    if missing:
        raise ToolError(f"ansible-builder create {definition.name} made {folder} without " + "; ".join(missing))
    return folder


def main() -> int:
    commands = {"imported": imported, "introspected": introspected, "context": context}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return shown(commands[sys.argv[1]])  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
