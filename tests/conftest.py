# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all tests need: the checkout under the name that Python imports it by, and the collection as a user has it."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

import hypothesis
import pytest

# Modules that several test files import; pytest must know of them before anybody does.
pytest.register_assert_rewrite("fleets", "killing", "podfleet", "runner", "witness")

DIGEST = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){16}")
TOOLS = Path(__file__).resolve().parent / "tools"


def _tool(name: str):
    """A module of tests/tools. They are scripts that import each other by bare names, hence sys.path."""
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    return importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes is begun first, so that no worker has it alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_configure(config: pytest.Config) -> None:
    """Make the link to import through, so that a bare `pytest tests/unit` works in a fresh clone."""
    # The same examples in every run. What chance finds belongs to the nightly run, which looks at new ones each time
    # (--hypothesis-profile=searching).
    hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
    hypothesis.settings.register_profile("searching", max_examples=1500, deadline=None)
    hypothesis.settings.load_profile(config.getoption("--hypothesis-profile") or "repeatable")
    config.addinivalue_line("markers", "integration: playbooks of the installed collection against the lab")
    config.addinivalue_line("markers", "long: takes minutes, so it is begun before what does not")
    home = str(_tool("collection").link())
    os.environ.setdefault("ANSIBLE_COLLECTIONS_PATH", home)
    # Python remembers directories that were not there when it looked.
    importlib.invalidate_caches()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A digest is no name for a test: it differs in each process, and workers could not agree on what there is."""
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    return argname if isinstance(text, str) and DIGEST.search(text) else None


@pytest.fixture(scope="session")
def collections_path() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH: the collection built from this checkout and installed.

    QUAZZAR_COLLECTIONS names one that is there already; else it is built and installed, once for all workers.
    """
    named = os.environ.get("QUAZZAR_COLLECTIONS")
    return Path(named) if named else _tool("collection").install()


@pytest.fixture(scope="session")
def other_collections() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH: what a user of some platforms has from Galaxy (kubernetes.core)."""
    return _tool("collection").others()


@pytest.fixture(scope="session")
def ansible_environment(collections_path: Path) -> dict[str, str]:
    """An environment to run ansible-playbook in: the installed collection, none of the user's own settings."""
    return _tool("common").environment(Path(sys.prefix), ANSIBLE_COLLECTIONS_PATH=str(collections_path))
