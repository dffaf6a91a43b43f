# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import mounts

ROOT = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard"
DATA = r"91 27 8:17 / /srv/cc\040data rw,relatime shared:2 master:1 - xfs /dev/sdb1 rw"


@pytest.mark.parametrize(
    ("mount", "lines", "kind"),
    [
        ("/", (ROOT, DATA), "ext4"),
        ("/srv/cc data", (ROOT, DATA), "xfs"),
        ("/srv", (ROOT, DATA), ""),
        ("", (ROOT,), ""),
        ("/", (), ""),
        ("/", (ROOT, "28 27 0:31 / / rw - overlay overlay rw,lowerdir=/a"), "overlay"),
        ("/mnt", ("99 27 0:40 / /mnt rw - fuse.sshfs me@host:/a\\040-\\040b rw",), "fuse.sshfs"),
        ("/mnt", ("99 27 0:40 / /mnt rw - nfs4 host:/a - b rw",), "nfs4"),
        ("/mnt", ("99 27 0:40 / /mnt rw nonsense",), ""),
        ("/mnt", ("99 27 - nfs4 host:/mnt rw",), ""),
    ],
)
def test_the_last_mount_at_a_place_counts(mount: str, lines: tuple[str, ...], kind: str) -> None:
    assert mounts.file_system("\n".join(lines), mount) == kind


@given(st.text(), st.text())
def test_any_text_is_read(text: str, mount: str) -> None:
    assert "\n" not in mounts.file_system(text, mount)


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\")))
def test_a_mount_point_is_found_under_its_own_name(name: str) -> None:
    mount = "/" + name + " x"
    line = f"1 2 3:4 / {mount.replace(' ', chr(92) + '040')} rw - btrfs /dev/x rw"
    assert mounts.file_system(line, mount) == "btrfs"


def test_nothing_is_both_lasting_and_not() -> None:
    assert not mounts.LASTING & (mounts.MEMORY | mounts.LAYERS)
    assert not mounts.MEMORY & mounts.LAYERS
