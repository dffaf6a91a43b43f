# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios with the Control Panel in pods of the cluster that KUBECONFIG names.

A test gets `pod_fleet`, a function that starts a lab with a namespace of its own. The test, its nodes and its
controller must be where the API server and the pods' addresses can be reached; and the directory that the labs are in
(QUAZZAR_K8S_DIR, /tmp) must be on the cluster's node too, for the pods share files with the test.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podfleet import Cluster, PodFleet, holds, load
from quazzar_lab.manifests import Shape

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "tests/lab/debian/image.py"
BUILT = Path(os.environ.get("QUAZZAR_BUILD") or ROOT / ".build").resolve() / "debian"
NEEDED = {
    "KUBECONFIG": "it names no Kubernetes cluster to test on",
    "QUAZZAR_K8S_LOAD": "no command to bring the archive of an image into the Kubernetes cluster",
}


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster, with the image of the lab as it is now."""
    for name, lost in NEEDED.items():
        if not os.environ.get(name):
            pytest.skip(f"{name} is not set: {lost}")
    if not shutil.which("mmdebstrap"):
        pytest.skip("no mmdebstrap here to build the image for Kubernetes with (apt-get install mmdebstrap)")
    done = subprocess.run([sys.executable, IMAGE, BUILT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, archive = done.stdout.split()
    found = Cluster(name)
    with open(BUILT / "load.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not holds(found.core, name):
            load(Path(archive))
    return found


@pytest.fixture(scope="session")
def ansible_environment(ansible_environment: dict[str, str], other_collections: Path) -> dict[str, str]:
    """As for all tests, with kubernetes.core beside the collection."""
    found_in = os.pathsep.join([ansible_environment["ANSIBLE_COLLECTIONS_PATH"], str(other_collections)])
    return {**ansible_environment, "ANSIBLE_COLLECTIONS_PATH": found_in}


@pytest.fixture(scope="session")
def home(cluster: Cluster) -> Iterator[Path]:
    """Where all labs are: a short path, for ssh's control sockets, and one that any controller may enter."""
    made = Path(tempfile.mkdtemp(prefix="qk-", dir=os.environ.get("QUAZZAR_K8S_DIR", "/tmp")))
    made.chmod(0o711)
    yield made
    for fleet in cluster.stopped:
        fleet.clear_away()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def pod_fleet(cluster: Cluster, home: Path, ansible_environment: dict[str, str]) -> Iterator[Callable[..., PodFleet]]:
    """Start a lab: pod_fleet(nodes=4, world="W2", options=[…], heartbeat=0.5, with_ssh=False, kind="StatefulSet", …).

    The rest are the fields of a Shape; ``edit`` is called with all objects before they are created.
    """
    started: list[PodFleet] = []

    def start(
        nodes: int = 4,
        world: str = "W2",
        *,
        options: list[str] | None = None,
        heartbeat: float = 0.5,
        with_ssh: bool = False,
        edit: Callable[[list[dict[str, Any]]], None] | None = None,
        **shape: Any,
    ) -> PodFleet:
        work = home / str(len(cluster.stopped) + len(started))
        work.mkdir()
        made = PodFleet(work, ansible_environment, cluster, work / "lab")
        started.append(made)
        made.start(nodes, world, options or [], heartbeat, shape=Shape(**shape), with_ssh=with_ssh, edit=edit)
        return made

    yield start
    for made in started:
        made.stop()
        cluster.stopped.append(made)
