# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the pages of the collection's documentation, as they would be published, under .build/docsite.

usage: docsite.py
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from collection import copy
from common import BUILD, FQCN, VENV, Word, environment, run, shown

CONF = """\
project = "{fqcn}"
extensions = ["sphinx_antsibull_ext"]
html_title = "{fqcn}"
# Nothing is fetched: references into other projects stay unresolved, and only those may.
intersphinx_mapping = {{}}
suppress_warnings = ["ref.ref"]
"""

INDEX = """\
{fqcn}
{line}

.. toctree::
   :glob:

   collections/{folder}/index
"""


def build() -> Path:
    """-> the directory with the pages; ToolError with what Sphinx said when it has anything to complain about."""
    tree = copy()
    folder = BUILD / "docsite"
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "rst" / "collections" / FQCN.replace(".", "/")
    pages.mkdir(parents=True, mode=0o700)
    pages.chmod(0o700)  # antsibull-docs wants to be alone in it
    env = environment(ANSIBLE_COLLECTIONS_PATH=str(tree.parents[2]))
    render: list[Word] = [
        "collection",
        "--use-current",
        "--fail-on-error",
        "--squash-hierarchy",
        "--dest-dir",
        pages,
        FQCN,
    ]
    run([VENV / "bin" / "antsibull-docs", *render], env=env, cwd=folder)
    (folder / "rst" / "conf.py").write_text(CONF.format(fqcn=FQCN), encoding="utf-8")
    index = INDEX.format(fqcn=FQCN, line="=" * len(FQCN), folder=FQCN.replace(".", "/"))
    (folder / "rst" / "index.rst").write_text(index, encoding="utf-8")
    options = ["-q", "-W", "--keep-going", "-b", "html"]
    run([VENV / "bin" / "sphinx-build", *options, folder / "rst", folder / "html"], env=env, cwd=folder)
    return folder / "html"


def main() -> int:
    return shown(build)


if __name__ == "__main__":
    sys.exit(main())
