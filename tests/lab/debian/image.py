# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Control Panel as a container image, without a registry and without a container engine.

usage: image.py DIRECTORY

Debian's packages (see archives.py) and the lab's own Python on top, as one layer in a docker-archive. Prints the name
of the image and the path of the archive in DIRECTORY, which is the one of an earlier run when neither has changed. The
name holds a digest of what is in the image, so that a cluster never starts an older one. Standard library only.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from archives import PYTHON, alone, archive, digest

LAB = Path(__file__).resolve().parent.parent / "quazzar_lab"
NAME = "registry.local/quazzar-lab"
HOME = "opt/quazzar"
ENVIRONMENT = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    f"PYTHONPATH=/{HOME}",
    "PYTHONDONTWRITEBYTECODE=1",
    "PYTHONUNBUFFERED=1",
]
COMMAND = ["python3", "-m", "quazzar_lab.cp"]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _sources() -> dict[str, bytes]:
    """The lab's files by their names in the image."""
    return {f"{HOME}/quazzar_lab/{path.name}": path.read_bytes() for path in sorted(LAB.glob("*.py"))}


def _add(files: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    files.addfile(entry, io.BytesIO(content))


def _write(path: Path, base: Path, name: str, sources: dict[str, bytes]) -> None:
    """The archive as ``docker save`` writes it, of one layer."""
    layer, new = path.with_suffix(".layer"), path.with_suffix(".new")
    shutil.copyfile(base, layer)
    with tarfile.open(layer, "a") as files:
        for source, content in sources.items():
            _add(files, source, content)
    layer_digest = hashlib.sha256()
    with open(layer, "rb") as file:
        while block := file.read(1 << 20):
            layer_digest.update(block)
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ENVIRONMENT, "Cmd": COMMAND},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest.hexdigest()}"]},
        "history": [{"created_by": "image.py"}],
    }
    described = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(new, "w") as whole:
        whole.add(layer, "layer.tar")
        _add(whole, config_name, described)
        _add(whole, "manifest.json", json.dumps(manifest).encode())
    layer.unlink()
    new.rename(path)


def image(directory: Path) -> tuple[str, Path]:
    """Build what is not there yet. -> (name of the image, its archive)"""
    with alone(directory):
        base = archive(directory, PYTHON)
        sources = _sources()
        known = [part for name, content in sources.items() for part in (name.encode(), content)]
        tag = digest(base.name.encode(), Path(__file__).read_bytes(), *known)
        path, name = directory / f"quazzar-lab-{tag}.tar", f"{NAME}:{tag}"
        if not path.exists():
            for old in directory.glob("quazzar-lab-*"):
                old.unlink()
            _write(path, base, name, sources)
        return name, path


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        name, path = image(Path(os.path.abspath(sys.argv[1])))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no image: {error}", file=sys.stderr)
        return 1
    print(name, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
