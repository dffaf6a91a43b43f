# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three steps of the main job on their own, what the looking playbooks answer on the way, and the pool's file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from quazzar_lab import lab as lab_module
from quazzar_lab import pki

pytestmark = pytest.mark.integration


def with_variable(file: Path, line: bytes, *, ends: bytes = b"\n") -> None:
    """Put an assignment into the middle of an environment file, behind a comment that looks like one."""
    lines = file.read_bytes().splitlines()
    lines[2:2] = [b"# CC_TRUST_ADDITIONAL_CA_CERTS=/not/this", line]
    file.write_bytes(ends.join(lines) + ends)


def test_the_three_steps_do_what_the_main_job_does(fleet):
    made = fleet(3, "W4", options=["reregister=new", "env_dialect=compose"])
    legacy_dir, trust_dir = Path(made.facts["legacy_dir"]), made.layout.root / "cp/trust"
    trust_dir.mkdir()
    # another department's CA is in the pool already, written in the ways that people write such files
    partner = pki.make_ca("Partner CA")
    (trust_dir / "partner ca.crt").write_bytes(partner.pem)
    first = b"export CC_TRUST_ADDITIONAL_CA_CERTS='%s/partner ca.crt,'   # asked for by Jo, 2024" % bytes(trust_dir)
    second = b'CC_TRUST_ADDITIONAL_CA_CERTS = "%s/partner ca.crt"' % bytes(trust_dir)
    with_variable(made.env_file("cp1"), first)
    with_variable(made.env_file("cp2"), second, ends=b"\r\n")
    for name, mode in (("cp1", 0o640), ("cp2", 0o600)):
        os.chmod(made.env_file(name), mode)
        if os.geteuid() == 0:
            os.chown(made.env_file(name), 12345, 54321)
    made.accident()
    theirs, old = pki.fingerprint(partner.cert), made.cas()[0]["sha256"]
    assert made.loaded() == {"cp1": [theirs], "cp2": [theirs]}
    files, owners = made.environments(), _owners(made)

    # drift is a fact, not a failure, unless it was asked for
    run = made.play("drift_report")
    assert set(run.states.values()) == {"legacy"} or set(run.states.values()) == {"stranded"}
    assert set(run.changed.values()) == {0} and not run.report["finished"]
    run = made.play("drift_report", status=2, quazzar_fail_on_drift=True)
    assert run.says("Not finished: node01: ")

    # open
    run = made.play("grace_open", "--diff")
    assert run.report["finished"] and run.report["grace_window"]["open"] and run.batches == []
    assert made.loaded() == {"cp1": [theirs, old], "cp2": [theirs, old]}
    path = b"%s/%s.crt" % (bytes(legacy_dir), old[:16].encode())
    opened = made.environments()
    assert opened["cp1"] == files["cp1"].replace(b"partner ca.crt,'", b"partner ca.crt,%s'" % path)
    assert opened["cp2"] == files["cp2"].replace(b'partner ca.crt"\r\n', b'partner ca.crt,%s"\r\n' % path)
    assert _owners(made) == owners
    assert set(made.play("grace_open").changed.values()) == {0}

    # could I close now?
    run = made.play("grace_close", "--check", status=2)
    assert run.says("The gate is closed: the legacy CA stays in the trust pool.") and made.environments() == opened
    for name in made.names:
        moment = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
        line = rf"- {name}: legacy; its leaf is not by the active CA; last seen {moment}; leaf expires {moment};"
        assert re.search(rf"{line} free at {moment}; register the node again", run.text)

    # move
    run = made.play("nodes_reregister")
    assert run.report["finished"] and run.batches[-1].startswith("3 of 3 nodes done")
    assert made.environments() == opened
    ids = {name: [number for known, number in made.registry() if known == name] for name in made.names}
    assert {entry["name"]: sorted(entry["ids"]) for entry in run.report["duplicates"]} == ids
    assert all(len(both) == 2 for both in ids.values()) and run.says("Duplicate instances of node01: inst_")

    # yes, and close
    before = made.digest()
    run = made.play("grace_close", "--check")
    assert run.says("The gate is open: 3 nodes proven.") and made.digest() == before
    run = made.play("grace_close")
    assert run.report["finished"] and {proof["after"] for proof in run.report["negative_proof"]} == {"refused"}
    # an empty element at the end is what the new one was put in place of
    files["cp1"] = files["cp1"].replace(b"partner ca.crt,'", b"partner ca.crt'")
    assert made.environments() == files and _owners(made) == owners
    assert made.loaded() == {"cp1": [theirs], "cp2": [theirs]}

    run = made.play("drift_report", quazzar_fail_on_drift=True)
    assert run.report["finished"] and set(run.states.values()) == {"current"}


def _owners(made) -> list[tuple[int, int, int]]:
    stats = [os.stat(made.env_file(name)) for name in lab_module.names_of(made.facts)]
    return [(stat.st_uid, stat.st_gid, stat.st_mode) for stat in stats]
