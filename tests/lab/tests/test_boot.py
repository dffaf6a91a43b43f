# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a replica starts: CA, trust pool, environment file; and how a roll of two loses no beat."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quazzar_lab import lab, pki, processes

BOOT_LINE = "loaded additional trusted CA (rotation grace)"


@pytest.fixture(scope="module")
def panel(start_shared_lab: Callable[..., Any]) -> Any:
    return start_shared_lab(nodes=1)


@pytest.fixture(autouse=True)
def _as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "panel" in request.fixturenames:
        made = request.getfixturevalue("panel")
        made.clear()
        lab.write_json(made.layout.options, {"heartbeat": 0.3})


def bundle(path: Path, count: int) -> Path:
    path.write_bytes(b"".join(pki.make_ca().pem for _number in range(count)))
    return path


def test_pool_of_several_files(panel: Any, tmp_path: Path) -> None:
    """Spaces, an empty element, a duplicate, quotes and ``export`` do no harm; a bundle's first certificate counts."""
    one, two = bundle(tmp_path / "one.pem", 1), bundle(tmp_path / "two.pem", 2)
    panel.set_pool(f"'{one}, {two},,{one},'")
    assert panel.cp_log(boot=True).count(BOOT_LINE) == 2
    assert len(lab.status(panel.dir)["replicas"]["cp1"]["pool"]) == 2
    panel.option("pool_bundle=all")
    file = panel.env_file()
    file.write_text(file.read_text().replace("CC_TRUST", "export CC_TRUST"))
    lab.restart(panel.dir, "cp1")
    assert panel.cp_log(boot=True).count(BOOT_LINE) == 3
    assert panel.cp_log().count(BOOT_LINE) > 3, "the whole log keeps earlier boots"


def test_a_missing_pool_file_fails_or_warns(panel: Any) -> None:
    with pytest.raises(processes.LabError, match="No such file"):
        panel.set_pool("/nowhere/old.crt")
    panel.option("missing_pool_file=warn")
    panel.set_pool("/nowhere/old.crt")
    assert "skipped" in panel.cp_log(boot=True)
    panel.set_pool("")


def test_a_bundle_in_the_pool_may_be_refused(panel: Any, tmp_path: Path) -> None:
    panel.option("pool_bundle=fail")
    with pytest.raises(processes.LabError, match="2 certificates in one file"):
        panel.set_pool(str(bundle(tmp_path / "two.pem", 2)))
    panel.set_pool("")


def test_a_replica_stuck_on_the_old_pool(panel: Any, tmp_path: Path) -> None:
    panel.set_pool("")
    panel.fault("cp1", "ignore-pool")
    panel.set_pool(str(bundle(tmp_path / "one.pem", 1)))
    assert not lab.status(panel.dir)["replicas"]["cp1"]["pool"]
    panel.clear()
    panel.fault("cp1", "silent-boot")
    lab.restart(panel.dir, "cp1")
    assert lab.status(panel.dir)["replicas"]["cp1"]["pool"]
    assert BOOT_LINE not in panel.cp_log(boot=True)


def test_a_replica_that_does_not_come_up(panel: Any) -> None:
    panel.fault("cp1", "no-boot", count=1)
    with pytest.raises(processes.LabError, match="ended while it was started"):
        lab.restart(panel.dir, "cp1")
    lab.restart(panel.dir, "cp1")


def test_without_a_ca_it_refuses_to_start(panel: Any) -> None:
    home, file = Path(panel.facts["certs_dirs"]["cp1"]), panel.env_file()
    aside = home.rename(home.with_name("aside"))
    before = file.read_text()
    file.write_text(before.replace("CC_ALLOW_AUTO_CA_GEN=true", ""))
    with pytest.raises(processes.LabError, match="refusing to generate a new CA"):
        lab.restart(panel.dir, "cp1")
    assert not home.exists()
    aside.rename(home)
    file.write_text(before)
    lab.restart(panel.dir, "cp1")
    panel.settle(node01=True)


def test_probes_of_the_balancer_are_debug(panel: Any) -> None:
    panel.option("lb_probe_interval=100ms")
    line = panel.until(lambda: re.search(r".*didn't provide a certificate", panel.cp_log()))
    assert f" DEBUG TLS handshake error from {panel.facts['block']}.0.100:" in line[0]
    panel.option("internal_cidrs=10.0.0.0/8")
    lab.restart(panel.dir, "cp1")
    panel.until(lambda: re.search(r" ERROR TLS .*\.0\.100:.*didn't provide", panel.cp_log(boot=True)))


def test_a_roll_of_two_replicas_misses_no_beat(start_lab: Callable[..., Any]) -> None:
    """The shared CA, registry and volume carry over; whoever is not ready gets nothing new."""
    pair = start_lab("heartbeat=1", replicas=2, nodes=12)
    started = time.time()
    for name in ("cp1", "cp2"):
        lab.restart(pair.dir, name)
    pair.settle(node01=True, node12=True)
    report = lab.beats(pair.dir, since=started, mark=False)
    total = report["total"]
    assert total["delivered"] > 12
    assert total["missed"] - total["starved"] == 0, report
    assert all(entry["cp_delivered_ever"] >= entry["delivered"] for entry in report["nodes"].values())
    states = lab.status(pair.dir)["replicas"]
    assert states["cp1"]["active_ca"] == states["cp2"]["active_ca"]

    # One replica alone carries them all too.
    started = time.time()
    lab.stop_replica(pair.dir, "cp2")
    pair.settle(node01=True)
    total = lab.beats(pair.dir, since=started, mark=True)["total"]
    assert total["missed"] - total["starved"] == 0
    lab.stop_replica(pair.dir, "cp1")
    pair.settle(node01=False)
    assert lab.beats(pair.dir, since=None, mark=False)["nodes"]["node01"]["without_link"] > 0
