# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat

import pytest

from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import act


@pytest.fixture
def home(tmp_path, make_ca, make_leaf):
    home = tmp_path / "it's here"
    make_leaf(make_ca(), name="node-7").write(home, "client")
    return home


def keep(home, **options):
    return act(
        "kept_identity",
        dir=str(home / "kept copy"),
        cert_path=str(home / "client.crt"),
        key_path=str(home / "client.key"),
        **options,
    )


def test_twelve_steps(home, make_ca, make_leaf):
    kept = home / "kept copy"
    assert not keep(home, state="absent", check=True)["changed"]
    assert not keep(home, state="absent")["changed"]
    for _turn in range(2):
        assert keep(home, check=True)["changed"]
        assert not kept.exists()
    made = keep(home)
    assert made["changed"]
    assert made["dir"] == str(kept)
    assert len(made["sha256"]) == 64
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in kept.iterdir()} == {
        "client.crt": 0o600,
        "client.key": 0o600,
    }
    first = (kept / "client.key").read_bytes()
    assert first == (home / "client.key").read_bytes()
    assert not keep(home)["changed"]
    assert not keep(home, check=True)["changed"]
    # Changed: the node was registered again. What was kept stays.
    make_leaf(make_ca(), name="node-7").write(home, "client")
    again = keep(home)
    assert not again["changed"]
    assert again["sha256"] == made["sha256"]
    assert (kept / "client.key").read_bytes() == first
    for _turn in range(2):
        assert keep(home, state="absent", check=True)["changed"]
        assert kept.exists()
    assert keep(home, state="absent")["changed"]
    assert not kept.exists()
    assert not keep(home, state="absent")["changed"]


def test_the_key_does_not_travel(home):
    key = (home / "client.key").read_text()
    made = keep(home)
    assert key.splitlines()[1] not in str(made)


def test_half_a_copy_is_made_whole(home):
    kept = home / "kept copy"
    kept.mkdir()
    (kept / "client.key").write_text("left over")
    assert keep(home)["changed"]
    assert (kept / "client.key").read_bytes() == (home / "client.key").read_bytes()


def test_somebody_elses_file_keeps_the_directory(home):
    keep(home)
    (home / "kept copy" / "other").write_text("x")
    assert keep(home, state="absent")["changed"]
    assert [p.name for p in (home / "kept copy").iterdir()] == ["other"]


@pytest.mark.parametrize("lost", ["client.crt", "client.key"])
@pytest.mark.parametrize("check", [True, False])
def test_nothing_to_keep(home, lost, check):
    (home / lost).unlink()
    found = keep(home, check=check)
    assert found["failed"]
    assert "no identity to keep" in found["msg"]
    assert not (home / "kept copy").exists()
    assert keep(home, check=check, tolerate=True)["error"] == found["msg"]


def test_a_link_is_no_safe_place(home, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (home / "kept copy").symlink_to(tmp_path / "elsewhere")
    found = keep(home)
    assert found["failed"]
    assert "symbolic link" in found["msg"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
