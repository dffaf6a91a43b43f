# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What the kernel says is mounted where, and what such a file system is worth to a CA's key."""

from __future__ import annotations

import re

#: Gone with the machine's next start.
MEMORY = frozenset({"tmpfs", "ramfs", "rootfs", "devtmpfs"})
#: The writable layer that a container gets on top of its image, and loses with it.
LAYERS = frozenset({"overlay", "overlayfs", "aufs", "fuse.fuse-overlayfs"})
#: File systems on disks, and those that come over a network or from the host of a virtual machine.
LASTING = frozenset(
    (
        "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "ocfs2", "gfs2",
        "nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.ceph-fuse", "fuse.glusterfs", "lustre", "gpfs", "9p", "virtiofs",
    )
)  # fmt: skip

_ESCAPED = re.compile(r"\\([0-7]{3})")
_SEPARATOR = " - "
_MOUNT_POINT = 4


def file_system(mountinfo: str, mount: str) -> str:
    """The type of the file system that is mounted at ``mount``; empty when no line says it.

    ``mountinfo`` are lines of /proc/self/mountinfo (proc(5)). Of several mounts at one place the last one is seen.
    """
    found = ""
    for line in mountinfo.splitlines():
        # The first one: in what stands before it a blank is escaped, the name of a source may be anything.
        before, separator, behind = line.partition(_SEPARATOR)
        fields, kind = before.split(" "), behind.split(" ")[0]
        if separator and kind and len(fields) > _MOUNT_POINT and _plain(fields[_MOUNT_POINT]) == mount:
            found = kind
    return found


def _plain(text: str) -> str:
    """Blanks and the like are octal there."""
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text)
