# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some seconds of fuzzing for every change, on the same inputs each time; `make fuzz` does a million new ones."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.quazzar.ca_rotation.tests.fuzz import engine
from ansible_collections.quazzar.ca_rotation.tests.fuzz.targets import READ, TARGETS, Target

SEED = "repeatable"
INPUTS = 2500
SLOW_INPUTS = 800  # of a target that takes milliseconds for one
COUNTS = {name: SLOW_INPUTS if name in ("evidence", "guardrails", "host") else INPUTS for name in TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_gets_the_better_of_its_reader(name: str) -> None:
    count = COUNTS[name]
    outcome = engine.run(TARGETS[name], SEED, count)
    assert not outcome.findings, "\n\n".join(str(finding) for finding in outcome.findings.values())
    # Inputs that are refused at the door would test nothing but the door.
    assert outcome.counts[READ] > count // 20


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_and_a_number_are_an_input(name: str) -> None:
    numbers = (0, 1, 7)
    first = [engine.made(TARGETS[name], SEED, number) for number in numbers]
    engine.made(TARGETS[name], SEED, 99)
    assert [engine.made(TARGETS[name], SEED, number) for number in numbers] == first
    assert [engine.made(TARGETS[name], "other", number) for number in numbers] != first


def _reader(data: bytes) -> str:
    """A reader with every fault that the engine is there to find."""
    kind = data[0] % 5
    if kind == 1:
        raise ValueError("no error of ours")
    if kind == 2:
        assert not data, "an invariant"
    if kind == 3:
        while True:
            pass
    if kind == 4:
        bytearray((engine.MEMORY_MIB + 64) << 20)
    return READ


def test_what_the_engine_finds(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(engine, "CPU_SECONDS", 0.5)
    monkeypatch.setattr(engine, "KEPT", tmp_path)
    bytearray((engine.MEMORY_MIB + 128) << 20)  # what was used before must not hide what an input takes
    faulty = Target("faulty", lambda rng: rng.randbytes(1), _reader, 0)
    found = engine.run(faulty, SEED, 30).findings
    assert {place.split()[0] for place in found} == {"ValueError", "AssertionError", "TooSlow", "memory"}
    for finding in found.values():
        assert finding.path.read_bytes() == engine.made(faulty, SEED, finding.number)
        assert f"--target faulty --seed {SEED} --start {finding.number} --count 1" in str(finding)


def test_the_readme_says_how_many_inputs_there_are() -> None:
    readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
    many = f"{sum(COUNTS.values()):,}".replace(",", " ")
    assert f"the same {many} each time" in readme.read_text(encoding="utf-8")


def test_the_shares_are_of_a_thousand() -> None:
    assert sum(target.share for target in TARGETS.values()) == 1000
