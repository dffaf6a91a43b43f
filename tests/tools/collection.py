# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a checkout, as a copy, as an archive and as something installed.

usage: collection.py link|copy|build|install|others|verify

link     .build/dev/ansible_collections/quazzar/ca_rotation, a link to this checkout, to import from while developing
copy     .build/ansible_collections/quazzar/ca_rotation, a real copy with its own git repository, for ansible-test
build    .build/quazzar-ca_rotation-VERSION.tar.gz
install  .build/installed, from that archive, as a user installs it
others   .build/collections, other collections that the tests need, such as a user has from Galaxy
verify   ask the installed collection for the documentation of everything in it by its full name
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from common import (
    BUILD,
    DEV,
    FQCN,
    INSTALLED,
    NAME,
    NAMESPACE,
    ROOT,
    TREE,
    VENV,
    ToolError,
    Word,
    environment,
    project_files,
    run,
    venv_python,
)

# Needed by the platform kubernetes alone
OTHERS = ("kubernetes.core",)

# Kinds of plugin that ansible-doc knows, with the directory each is in
PLUGIN_KINDS = {"module": "modules", "inventory": "inventory", "filter": "filter", "lookup": "lookup", "test": "test"}


def link() -> Path:
    """Make the link; a directory for ANSIBLE_COLLECTIONS_PATH and PYTHONPATH is returned."""
    target = DEV / "ansible_collections" / NAMESPACE / NAME
    if not target.is_symlink() or target.resolve() != ROOT:
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target.unlink()
        target.symlink_to(os.path.relpath(ROOT, target.parent))
    return DEV


def _fill(target: Path) -> None:
    """Make `target` hold the project's files and nothing else. What is the same already stays untouched."""
    wanted = set(project_files())
    if target.exists():
        for folder, folders, files in os.walk(target, topdown=False):
            here = Path(folder).relative_to(target)
            if here.parts[:1] == (".git",):
                continue
            for entry in [*files, *(name for name in folders if (target / here / name).is_symlink())]:
                if here / entry not in wanted:
                    (target / here / entry).unlink()
            if here != Path(".") and not os.listdir(folder):
                os.rmdir(folder)
    for name in wanted:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() or os.path.lexists(copy):
            if _same(source, copy):
                continue
            copy.unlink(missing_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)


def _same(source: Path, copy: Path) -> bool:
    if source.is_symlink() or copy.is_symlink():
        return source.is_symlink() and copy.is_symlink() and os.readlink(source) == os.readlink(copy)
    if not copy.exists():
        return False
    one, other = source.stat(), copy.stat()
    return (one.st_size, one.st_mtime_ns, one.st_mode) == (other.st_size, other.st_mtime_ns, other.st_mode)


def copy() -> Path:
    """Make the copy; the collection's directory is returned. ansible-test asks git what there is, so git must know."""
    _fill(TREE)
    if not (TREE / ".git").is_dir():
        run(["git", "init", "-q", "-b", "main", TREE], env=environment())
    run(["git", "add", "-A"], cwd=TREE, env=environment())
    return TREE


def build() -> Path:
    """Build the archive and return its path. From a copy: rubbish in the checkout must not end in it."""
    source = BUILD / "source"
    _fill(source)
    for old in BUILD.glob(f"{NAMESPACE}-{NAME}-*.tar.gz"):
        old.unlink()
    run(
        [VENV / "bin" / "ansible-galaxy", "collection", "build", source, "--output-path", BUILD, "--force"],
        env=environment(),
    )
    (archive,) = BUILD.glob(f"{NAMESPACE}-{NAME}-*.tar.gz")
    return archive


def _state() -> str:
    """A digest over the project's files as they are now."""
    digest = hashlib.sha256()
    for name in project_files():
        path = ROOT / name
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        digest.update(b"%d %d " % (len(bytes(name)), len(content)) + bytes(name) + content)
    return digest.hexdigest()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Only one process at a time builds and installs; test workers may all ask at once."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / "install.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install() -> Path:
    """Build and install unless just this is installed already; a directory for ANSIBLE_COLLECTIONS_PATH is returned."""
    with _alone():
        stamp = BUILD / "installed.state"
        state = _state()
        if INSTALLED.is_dir() and stamp.exists() and stamp.read_text(encoding="utf-8") == state:
            return INSTALLED
        stamp.unlink(missing_ok=True)
        archive = build()
        shutil.rmtree(INSTALLED, ignore_errors=True)
        # The collection must not be found anywhere else, or ansible-galaxy says that there is nothing to do.
        env = environment(ANSIBLE_COLLECTIONS_PATH=str(INSTALLED))
        command: list[Word] = [
            VENV / "bin" / "ansible-galaxy",
            "collection",
            "install",
            archive,
            "--collections-path",
            INSTALLED,
        ]
        run([*command, "--offline", "--force"], env=env)
        if not (INSTALLED / "ansible_collections" / NAMESPACE / NAME / "MANIFEST.json").exists():
            raise ToolError(f"ansible-galaxy said that it installed {archive.name}, but nothing is in {INSTALLED}")
        stamp.write_text(state, encoding="utf-8")
    return INSTALLED


def others() -> Path:
    """Have the other collections; a directory for ANSIBLE_COLLECTIONS_PATH is returned.

    Not from Galaxy, which not every machine that tests can reach, but out of the package `ansible` on PyPI, which holds
    them as files. Of that the newest for this Python is taken, and nothing but these collections is kept.
    """
    target = BUILD / "collections"
    with _alone():
        missing = [name for name in OTHERS if not (target / "ansible_collections" / name.replace(".", "/")).is_dir()]
        if missing:
            with tempfile.TemporaryDirectory(dir=BUILD) as folder:
                download: list[Word] = [venv_python(), "-m", "pip", "download", "--quiet", "--no-deps"]
                run([*download, "--only-binary", ":all:", "--dest", folder, "ansible"], env=environment())
                (wheel,) = Path(folder).glob("ansible-*.whl")
                with zipfile.ZipFile(wheel) as archive:
                    wanted = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in missing)
                    found = [name for name in archive.namelist() if name.startswith(wanted)]
                    archive.extractall(Path(folder) / "all", found)
                for name in missing:
                    here = Path("ansible_collections", *name.split("."))
                    if not (Path(folder) / "all" / here).is_dir():
                        raise ToolError(f"{wheel.name} does not hold the collection {name}")
                    (target / here).parent.mkdir(parents=True, exist_ok=True)
                    (Path(folder) / "all" / here).rename(target / here)
    return target


def _plugins(kind: str, env: dict[str, str]) -> list[str]:
    """The full names of all plugins of a kind that Ansible finds in the collection; a file may hold several filters."""
    listed = run(
        [VENV / "bin" / "ansible-doc", "--type", kind, "--list", "--json", FQCN], env=env, cwd=BUILD, quiet=True
    )
    return sorted(json.loads(listed.stdout))


def verify() -> list[str]:
    """Everything that the installed collection has, by full name; ToolError names what cannot be called."""
    home = install() / "ansible_collections" / NAMESPACE / NAME
    env = environment(ANSIBLE_COLLECTIONS_PATH=str(INSTALLED))
    doc = VENV / "bin" / "ansible-doc"
    found: list[str] = []
    for kind, folder in PLUGIN_KINDS.items():
        if not (home / "plugins" / folder).is_dir():
            continue
        names = _plugins(kind, env)
        if not names:
            raise ToolError(f"Ansible finds nothing in plugins/{folder} of the installed collection")
        documented = json.loads(run([doc, "--type", kind, "--json", *names], env=env, cwd=BUILD, quiet=True).stdout)
        missing = [name for name in names if not (documented.get(name) or {}).get("doc")]
        if missing:
            raise ToolError(f"ansible-doc --type {kind} shows nothing of {', '.join(missing)}")
        found += [f"{kind} {name}" for name in names]
    for role in sorted(path.parent.parent.name for path in (home / "roles").glob("*/meta/main.yml")):
        if not (home / "roles" / role / "tasks").is_dir():
            continue
        shown = run([doc, "--type", "role", f"{FQCN}.{role}"], env=env, cwd=BUILD).stdout
        if "ENTRY POINT:" not in shown:
            raise ToolError(f"ansible-doc shows no entry point of the role {FQCN}.{role}:\n{shown}")
        found.append(f"role {FQCN}.{role}")
    for playbook in sorted((home / "playbooks").glob("*.yml")):
        name = f"{FQCN}.{playbook.stem}"
        run([VENV / "bin" / "ansible-playbook", "--syntax-check", "-i", "localhost,", name], env=env, cwd=BUILD)
        found.append(f"playbook {name}")
    return found


def main() -> int:
    commands = {"link": link, "copy": copy, "build": build, "install": install, "others": others, "verify": verify}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        answer = commands[sys.argv[1]]()
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(answer) if isinstance(answer, list) else answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
