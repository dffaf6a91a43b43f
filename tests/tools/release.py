# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build what would be published, check it as Galaxy does, and say what it is. Nothing is published.

usage: release.py

First all that keeps this commit from being a release is named; when there is nothing, the archive is built of a clone
of the commit, and not of what lies about in the checkout.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

import collection
import publishing
import yaml
from common import BUILD, FQCN, GIT, NAME, NAMESPACE, ROOT, VENV, ToolError, Word, environment, run, shown

#: What a user can notice. A change of it since the last release is a release's, and has a fragment.
VISIBLE = ("meta", "playbooks", "plugins", "roles")
NUMBER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


def _git(root: Path, *words: str) -> str:
    return run([*GIT, "-C", root, *words], env=environment()).stdout.strip()


def _tags(root: Path) -> dict[str, str]:
    """version -> commit, for every tag that is one, with or without a v before it."""
    found = {}
    for line in _git(
        root, "for-each-ref", "--format=%(refname:short) %(objectname) %(*objectname)", "refs/tags"
    ).splitlines():
        name, commit, *peeled = line.split()
        if NUMBER.fullmatch(name.removeprefix("v")):
            found[name.removeprefix("v")] = peeled[0] if peeled else commit
    return found


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def version_of(root: Path) -> str:
    """The version in galaxy.yml; ToolError when it is none that can be released."""
    version = str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8")).get("version"))
    if not NUMBER.fullmatch(version):
        raise ToolError(f"galaxy.yml: version: expected three numbers such as 1.2.3, found {version}")
    return version


def refusals(root: Path) -> list[str]:
    """Why the commit that is checked out in `root` cannot be released: one line each, with what to do."""
    found = []
    for line in _git(root, "status", "--porcelain", "--untracked-files=all").splitlines():
        found.append(f"{line.strip().split(maxsplit=1)[1]}: is not as it was committed; commit it, or take it away")
    try:
        version = version_of(root)
    except ToolError as error:
        return [*found, str(error)]
    return [*found, *_of_tags(root, version), *_of_changelog(root, version), *_of_texts(root, version)]


def _of_tags(root: Path, version: str) -> list[str]:
    found = []
    head, tags = _git(root, "rev-parse", "HEAD"), _tags(root)
    if tags.get(version, head) != head:
        said = f"the tag {version} is on {tags[version][:12]}, and this is {head[:12]}"
        found.append(f"galaxy.yml: version {version}: {said}; give this one a higher version")
    for other, commit in tags.items():
        if commit == head and other != version:
            found.append(f"galaxy.yml: version {version}: this commit has the tag {other}; one of them is wrong")
    earlier = sorted((other for other in tags if _order(other) < _order(version)), key=_order)
    later = sorted((other for other in tags if _order(other) > _order(version)), key=_order)
    if later:
        found.append(f"galaxy.yml: version {version}: {later[-1]} is released already; give this one a higher version")
    if earlier:
        changed = _git(root, "diff", "--name-only", tags[earlier[-1]], "HEAD", "--", *VISIBLE).splitlines()
        changes = _releases(root).get(version, {}).get("changes") or {}
        if changed and not {*changes} - {"release_summary", "trivial"}:
            said = f"{len(changed)} files that a user can notice changed since {earlier[-1]}, such as {changed[0]}"
            found.append(
                f"changelogs/changelog.yaml: {version}: {said}, and no fragment says how; write them, make changelog"
            )
    return found


def _releases(root: Path) -> dict[str, dict]:
    path = root / "changelogs" / "changelog.yaml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("releases") or {} if path.exists() else {}


def _of_changelog(root: Path, version: str) -> list[str]:
    found = []
    releases = _releases(root)
    if version not in releases:
        there = ", ".join(releases) or "none"
        found.append(f"changelogs/changelog.yaml: expected a release {version}, found {there}; run make changelog")
    elif max(releases, key=_order) != version:
        newest = max(releases, key=_order)
        found.append(f"galaxy.yml: version {version}: changelogs/changelog.yaml has {newest}; expected the same")
    listed = {name for release in releases.values() for name in release.get("fragments") or []}
    for path in sorted((root / "changelogs" / "fragments").glob("*.y*ml")):
        if path.name not in listed:
            found.append(f"changelogs/fragments/{path.name}: is in no release; run make changelog")
    return found


def _of_texts(root: Path, version: str) -> list[str]:
    found = []
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## v{version.replace('.', chr(92) + '.')}\n" not in changelog:
        found.append(f"CHANGELOG.md: has no section for {version}; run make changelog")
    readme = (root / "README.md").read_text(encoding="utf-8")
    for text in (f"ansible-galaxy collection install {FQCN}", "(CHANGELOG.md)"):
        if text not in readme:
            found.append(f'README.md: expected "{text}", found it nowhere')
    return found


def _clone() -> Path:
    """The commit that is checked out, and nothing else, in a directory of the name that Ansible wants."""
    folder = BUILD / "release" / "ansible_collections" / NAMESPACE / NAME
    shutil.rmtree(BUILD / "release", ignore_errors=True)
    folder.parent.mkdir(parents=True)
    run([*GIT, "clone", "--quiet", "--no-hardlinks", ROOT, folder], env=environment())
    return folder


def _changelog_is_true(source: Path, version: str) -> None:
    """ToolError unless the changelog is what its fragments and the plugins make of it."""
    date = str(_releases(source)[version]["release_date"])
    command: list[Word] = [VENV / "bin" / "antsibull-changelog", "release", "--update-existing", "--refresh"]
    env = environment(ANSIBLE_COLLECTIONS_PATH=str(source.parents[2]))
    run([*command, "--reload-plugins", "--date", date], cwd=source, env=env)
    differs = _git(source, "diff", "--stat", "--", "CHANGELOG.md", "changelogs/changelog.yaml")
    if differs:
        raise ToolError(
            f"The changelog is not what the fragments and plugins make of it; run make changelog.\n{differs}"
        )
    _git(source, "clean", "-fdxq")


def _build(source: Path) -> Path:
    target = source.parents[2]
    galaxy = [VENV / "bin" / "ansible-galaxy", "collection", "build", source, "--output-path", target]
    run(galaxy, env=environment())
    (archive,) = target.glob("*.tar.gz")
    return archive


def checked() -> tuple[Path, dict[str, list[str]]]:
    """-> the archive, what is in it by kind; ToolError with everything that keeps it from being published."""
    reasons = refusals(ROOT)
    if reasons:
        raise ToolError("This cannot be released:\n" + "\n".join(f"  {reason}" for reason in reasons))
    version = version_of(ROOT)
    source = _clone()
    _changelog_is_true(source, version)
    run([VENV / "bin" / "reuse", "lint", "--lines"], cwd=source, env=environment())
    strict: list[Word] = ["--offline", "--strict", "--profile", "production", "--nocolor", "-q"]
    found_in = os.pathsep.join([str(source.parents[2]), str(collection.others())])
    run([VENV / "bin" / "ansible-lint", *strict], cwd=source, env=environment(ANSIBLE_COLLECTIONS_PATH=found_in))
    run([VENV / "bin" / "antsibull-changelog", "lint"], cwd=source, env=environment())
    _git(source, "clean", "-fdxq")
    archive = _build(source)
    if archive.name != f"{NAMESPACE}-{NAME}-{version}.tar.gz":
        raise ToolError(f"expected {NAMESPACE}-{NAME}-{version}.tar.gz, found {archive.name}")
    found = publishing.imported(archive)
    publishing.introspected()
    publishing.context()
    return archive, found


def told(archive: Path, found: dict[str, list[str]]) -> str:
    """What would be published, and by which commands."""
    content = archive.read_bytes()
    version, head = version_of(ROOT), _git(ROOT, "rev-parse", "HEAD")
    tagged = version in _tags(ROOT)
    lines = [
        f"{FQCN} {version} would be published:",
        f"  file     {archive}",
        f"  size     {len(content)} bytes",
        f"  sha256   {hashlib.sha256(content).hexdigest()}",
        f"  commit   {head}{'' if tagged else ', which has no tag yet'}",
        *(f"  {kind:<14}{len(names):>4}  {', '.join(names)}" for kind, names in found.items()),
        "To publish it (the server and its token from ansible.cfg or ANSIBLE_GALAXY_SERVER_*, never as an argument):",
        *(
            []
            if tagged
            else [f"  git tag --annotate {version} --message 'Release {version}' {head} && git push origin {version}"]
        ),
        f"  ansible-galaxy collection publish {archive}",
        "Nothing was published.",
    ]
    return "\n".join(lines)


def main() -> int:
    if len(sys.argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    return shown(lambda: told(*checked()))


if __name__ == "__main__":
    sys.exit(main())
