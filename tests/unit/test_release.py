# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make release` refuses, each on a small repository in which nothing else is wrong."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
checks = importlib.import_module("checks")
common = importlib.import_module("common")
cores = importlib.import_module("cores")
publishing = importlib.import_module("publishing")
release = importlib.import_module("release")


class Repository:
    """A repository that can be released as 1.1.0, after 1.0.0."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.releases = {
            "1.0.0": {"fragments": ["1.0.0.yml"], "changes": {"release_summary": "The first."}},
            "1.1.0": {"fragments": ["gate.yml"], "changes": {"minor_changes": ["The gate is told its reason."]}},
        }
        self.git("init", "-q", "-b", "main")
        self.write("README.md", "ansible-galaxy collection install quazzar.ca_rotation [changes](CHANGELOG.md)\n")
        self.write("plugins/filter/rotation.py", "")
        self.write("changelogs/fragments/1.0.0.yml", "release_summary: The first.\n")
        self.version("1.0.0", only="1.0.0")
        self.commit()
        self.git("tag", "--annotate", "1.0.0", "--message", "Release 1.0.0")
        self.write("plugins/filter/rotation.py", "REASON = True\n")
        self.write("changelogs/fragments/gate.yml", "minor_changes: [The gate is told its reason.]\n")
        self.version("1.1.0")
        self.commit()

    def git(self, *words: str) -> None:
        person = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a"}
        env = {**os.environ, **person, "GIT_COMMITTER_EMAIL": "a@b.c", "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", *words], cwd=self.root, env=env, check=True, capture_output=True)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")

    def changelog(self, releases: dict) -> None:
        self.write("changelogs/changelog.yaml", yaml.safe_dump({"ancestor": None, "releases": releases}))

    def version(self, version: str, only: str = "") -> None:
        self.write("galaxy.yml", f"version: {version}\n")
        self.changelog({name: content for name, content in self.releases.items() if name == (only or name)})
        escaped = version.replace(".", "\\.")
        self.write("CHANGELOG.md", f'<a id="v"></a>\n## v{escaped}\n')

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a step")

    def refused(self) -> list[str]:
        return release.refusals(self.root)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_commit_with_nothing_wrong_is_not_refused(repository):
    assert repository.refused() == []
    repository.git("tag", "v1.1.0")
    assert repository.refused() == []


def test_what_is_not_committed(repository):
    repository.write("README.md", (repository.root / "README.md").read_text("utf-8") + "more\n")
    repository.write("plugins/filter/new.py", "")
    first, second = repository.refused()
    assert first.startswith("README.md: is not as it was committed")
    assert second.startswith("plugins/filter/new.py: is not as it was committed")


@pytest.mark.parametrize("version", ["1.1", "1.1.0-rc1", "one", "01.1.0"])
def test_a_version_that_is_none(repository, version):
    repository.write("galaxy.yml", f"version: '{version}'\n")
    repository.commit()
    assert repository.refused() == [f"galaxy.yml: version: expected three numbers such as 1.2.3, found {version}"]


def test_a_version_that_is_released_already(repository):
    repository.git("tag", "1.1.0", "HEAD~1")
    assert any("the tag 1.1.0 is on" in reason and "a higher version" in reason for reason in repository.refused())


def test_a_commit_with_the_tag_of_another_version(repository):
    repository.git("tag", "1.2.0")
    first, second = repository.refused()
    assert first == "galaxy.yml: version 1.1.0: this commit has the tag 1.2.0; one of them is wrong"
    assert second.startswith("galaxy.yml: version 1.1.0: 1.2.0 is released already")


def test_a_version_that_the_changelog_does_not_have(repository):
    repository.version("1.2.0")
    repository.commit()
    expected = "changelogs/changelog.yaml: expected a release 1.2.0, found 1.0.0, 1.1.0; run make changelog"
    assert expected in repository.refused()


def test_a_changelog_that_is_ahead(repository):
    repository.changelog({**repository.releases, "1.10.0": {"changes": {"bugfixes": ["One."]}}})
    repository.commit()
    (reason,) = repository.refused()
    assert reason == "galaxy.yml: version 1.1.0: changelogs/changelog.yaml has 1.10.0; expected the same"


def test_a_fragment_that_is_in_no_release(repository):
    repository.write("changelogs/fragments/later.yaml", "bugfixes: [Later.]\n")
    repository.commit()
    assert repository.refused() == ["changelogs/fragments/later.yaml: is in no release; run make changelog"]


def test_a_change_that_a_user_can_notice_without_a_fragment(repository):
    told = {"fragments": ["gate.yml"], "changes": {"release_summary": "A second."}}
    repository.changelog({**repository.releases, "1.1.0": told})
    repository.commit()
    (reason,) = repository.refused()
    assert reason.startswith("changelogs/changelog.yaml: 1.1.0: 1 files that a user can notice changed since 1.0.0")
    assert "plugins/filter/rotation.py" in reason


def test_a_page_of_changes_without_the_version(repository):
    repository.write("CHANGELOG.md", "## v1\\.0\\.0\n")
    repository.commit()
    assert repository.refused() == ["CHANGELOG.md: has no section for 1.1.0; run make changelog"]


def test_a_readme_that_does_not_say_how_to_install_it(repository):
    repository.write("README.md", "[changes](CHANGELOG.md)\n")
    repository.commit()
    (reason,) = repository.refused()
    assert reason == 'README.md: expected "ansible-galaxy collection install quazzar.ca_rotation", found it nowhere'


def test_all_reasons_are_told_at_once_and_the_status_is_not_0(repository, monkeypatch, capsys):
    repository.write("changelogs/fragments/later.yaml", "bugfixes: [Later.]\n")
    repository.write("CHANGELOG.md", "")
    monkeypatch.setattr(release, "ROOT", repository.root)
    monkeypatch.setattr(sys, "argv", ["release.py"])
    assert release.main() == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("This cannot be released:\n")
    assert [line.split(":")[0].strip() for line in told.err.splitlines()[1:]] == [
        "CHANGELOG.md",
        "changelogs/fragments/later.yaml",
        "changelogs/fragments/later.yaml",
        "CHANGELOG.md",
    ]


def test_what_would_be_published_is_told_with_its_digest(repository, monkeypatch, tmp_path):
    archive = tmp_path / "quazzar-ca_rotation-1.1.0.tar.gz"
    archive.write_bytes(b"abc")
    monkeypatch.setattr(release, "ROOT", repository.root)
    told = release.told(archive, {"module": ["ca_info", "ca_pair"], "role": ["quazzar"]})
    assert "3 bytes" in told
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in told
    assert "  module           2  ca_info, ca_pair\n" in told
    assert "git tag --annotate 1.1.0" in told
    assert f"ansible-galaxy collection publish {archive}\n" in told
    assert told.endswith("Nothing was published.")
    repository.git("tag", "1.1.0")
    assert "git tag" not in release.told(archive, {})


# --- what ansible-test and ansible-builder are told ------------------------------------------------------------------


def requirements(name: str) -> set[str]:
    text = (common.ROOT / name).read_text(encoding="utf-8")
    return {line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("#", "-r"))}


def test_what_ansible_test_installs_is_what_the_collection_needs():
    assert requirements("tests/integration/requirements.txt") == requirements("meta/ee-requirements.txt")
    assert requirements("tests/unit/requirements.txt") - requirements("test-requirements.txt") <= requirements(
        "meta/ee-requirements.txt"
    )
    assert requirements("tests/unit/requirements.txt") > requirements("meta/ee-requirements.txt")


def test_the_execution_environment_is_complete():
    image = yaml.safe_load(publishing.DEFINITION.read_text(encoding="utf-8"))
    meta = yaml.safe_load((common.ROOT / "meta" / "execution-environment.yml").read_text(encoding="utf-8"))
    others = yaml.safe_load((common.ROOT / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    needs = image["dependencies"]
    assert image["version"] == 3
    assert image["images"]["base_image"]["name"]
    assert {"python_interpreter", "ansible_core", "ansible_runner", "galaxy", "python", "system"} == set(needs)
    assert {kind: needs[kind] for kind in ("python", "system")} == meta["dependencies"]
    assert needs["galaxy"]["collections"] == [{"name": common.FQCN, "version": ">=1.0.0"}, *others]
    oldest = yaml.safe_load((common.ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    assert needs["ansible_core"]["package_pip"].startswith("ansible-core" + oldest.removesuffix(".0"))


def test_a_definition_without_the_collection_is_refused(tmp_path):
    """The check of the context can fail."""
    image = yaml.safe_load(publishing.DEFINITION.read_text(encoding="utf-8"))
    image["dependencies"] = {**image["dependencies"], "python": [], "galaxy": {"collections": [{"name": "a.b"}]}}
    image["dependencies"]["system"] = str(common.ROOT / "meta" / "ee-bindep.txt")
    path = tmp_path / "execution-environment.yml"
    path.write_text(yaml.safe_dump(image), encoding="utf-8")
    with pytest.raises(common.ToolError, match=r"_build/requirements.yml: quazzar\.ca_rotation"):
        publishing.context(path, tmp_path / "context")


def test_an_interpreter_that_is_missing_is_skipped_by_name_and_the_checks_go_on(monkeypatch, tmp_path):
    there = tmp_path / "2.21-py3.13"
    monkeypatch.setattr(cores, "venv", lambda _core, python: there if python == "3.13" else None)
    section = checks.Section("sanity")
    assert checks.ends(section) == [common.VENV, there]
    assert section.skipped == ["ansible-core 2.16: there is no Python 3.10 on this machine"]
    monkeypatch.undo()
    monkeypatch.setattr(cores, "find_python", lambda _version: None)
    section = checks.Section("sanity")
    assert checks.ends(section) == [common.VENV]
    assert len(section.skipped) == 2


def test_a_target_that_was_not_run_is_a_failure(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "TREE", tmp_path)
    answer = (0, "Running ca_info integration test role\nRunning run_lock integration test role\n")
    monkeypatch.setattr(checks, "execute", lambda *_words, **_how: answer)
    monkeypatch.setattr(checks.collection, "copy", lambda: None)
    monkeypatch.setattr(checks.ansibletest, "command", lambda *_words: ([], {}))
    monkeypatch.setattr(checks.ansibletest, "targets", lambda: ["ca_info", "run_lock", "trust_file"])
    section = checks.Section("ansible-test")
    checks.target_tests(section, Path("2.21-py3.13"))
    assert section.passed == 2
    assert section.failed == ["ansible-test integration, 2.21-py3.13: trust_file: was not run"]
