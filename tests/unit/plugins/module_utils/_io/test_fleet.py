# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import ApiError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import cp_api, fleet

TEN = datetime(2026, 5, 3, 10, tzinfo=timezone.utc)


def options(**more: t.Any) -> dict[str, t.Any]:
    return {name: spec.get("default") for name, spec in fleet.ARGUMENT_SPEC.items()} | more


def test_what_a_file_says_is_never_newer_than_the_clock(tmp_path: pathlib.Path) -> None:
    export = tmp_path / "fleet.json"
    export.write_text(json.dumps([{"id": "a", "name": "node1", "status": "online", "last_heartbeat": None}]))
    for age, expected in ((timedelta(hours=1), TEN - timedelta(hours=1)), (-timedelta(hours=1), TEN)):
        stamp = (TEN - age).timestamp()
        os.utime(export, (stamp, stamp))
        assert fleet.Fleet(options(fleet_file=str(export)), lambda: TEN).read().taken_at == expected


@pytest.mark.parametrize("text", ["- {id: a, name: b, last_heartbeat: 2026-02-30}", "[" * 5000, "a: [", "&a [*b]"])
def test_an_export_that_cannot_be_read_is_named(tmp_path: pathlib.Path, text: str) -> None:
    export = tmp_path / "fleet.yml"
    export.write_text(text)
    with pytest.raises(InputError, match=r"fleet\.yml: is neither JSON nor YAML \(.+\)\. Is the export whole\?$"):
        fleet.Fleet(options(fleet_file=str(export)), lambda: TEN).read()


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds

    def monotonic(self) -> float:
        return self.time


class Source:
    """A fleet whose readings are told beforehand: a time at which node1 was seen, or an error."""

    def __init__(self, *readings: t.Any) -> None:
        self.readings = list(readings)

    def read(self) -> t.Any:
        reading = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        if isinstance(reading, Exception):
            raise reading
        instance = fleet.registry.Instance("i", "node1", "online", reading, "", True)
        merged = fleet.registry.merge((fleet.registry.Listing("", (instance,), 1),), stated_complete=True)
        return fleet.Reading(TEN, TEN, "api", merged)


def wait(source: Source, clock: Clock) -> fleet.Arrival:
    return fleet.wait_for(
        t.cast(fleet.Fleet, source),
        ["node1"],
        TEN,
        timeout=10,
        interval=4,
        sleep=clock.sleep,
        monotonic=clock.monotonic,
    )


LATER = TEN + timedelta(seconds=2)
PASSING = cp_api.TransportError("rolled", sent=False, passing=True)
FINAL = cp_api.HttpError("locked", 403)


def test_waits_no_longer_than_needed_and_no_longer_than_allowed() -> None:
    clock = Clock()
    assert wait(Source(TEN, LATER), clock).arrived == ("node1",) and clock.time == 4
    clock = Clock()
    assert wait(Source(TEN), clock).missing == ("node1",) and clock.time == 10


def test_a_panel_that_is_away_costs_time_only() -> None:
    assert wait(Source(PASSING, LATER), Clock()).arrived == ("node1",)
    assert wait(Source(TEN, FINAL, LATER), Clock()).arrived == ("node1",)
    assert wait(Source(TEN, FINAL), Clock()).missing == ("node1",)


def test_without_any_reading_the_error_is_shown() -> None:
    clock = Clock()
    with pytest.raises(ApiError, match="rolled"):
        wait(Source(PASSING), clock)
    assert clock.time == 10
    clock = Clock()
    with pytest.raises(ApiError, match="locked"):
        wait(Source(FINAL), clock)
    assert clock.time == 0
