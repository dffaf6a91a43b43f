# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook is killed again and again, and then finishes what it has begun.

Between two boundaries at which a later run finds the same world, byte for byte, a death leaves the same; so one stands
for all of them. One run in peace shows which worlds there are. Then a lab is made ready once more, and each run dies
where it has brought about the next of them, so that most runs start in the middle of something. What holds at any
moment is looked at after each death.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from quazzar_lab import lab, pki

BUILD = Path(os.environ.get("QUAZZAR_BUILD") or Path(__file__).resolve().parents[2] / ".build").resolve()
REPORTS = BUILD / "reports" / "kills"
NODE_FILES = {"ca.crt", "client.crt", "client.key"}
#: So long after a task began, what it does on a host is about to start, under way, about to end.
MOMENTS = (0.05, 0.15, 0.4)
RUN_SECONDS = 600.0
#: A lock that a dead run has left is nobody's: the next run of this controller that needs one takes it over, and others
#: when it expires. A run that finds nothing to do takes none, and lets it be.
LIVELY = ("run/", "logs/", "reports/", "cp/rotation-lock")


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is killed.

    ready        brings a lab that has just started to where the playbook has something to do
    done         looks at the lab and at the run that has come to its end
    extra        extra vars, of the lab that is ready
    same         what else holds at any moment
    keeps_links  no node that all replicas trust loses its link; else only who has got its new certificate keeps it
    planned      nothing has happened before: no node misses a beat from the start
    called       its name, where the playbook has more than one
    """

    playbook: str
    ready: Callable[[Any], None]
    done: Callable[[Any, Any], None]
    world: str = "W2"
    nodes: int = 3
    replicas: int = 2
    extra: Callable[[Any], Mapping[str, Any]] = lambda _made: {}
    same: Callable[[Any], None] = lambda _made: None
    keeps_links: bool = True
    planned: bool = False
    called: str = ""

    @property
    def name(self) -> str:
        return self.called or self.playbook


@dataclasses.dataclass
class Tally:
    """What has been done, for the table."""

    playbook: str
    boundaries: int = 0
    worlds: list[str] = dataclasses.field(default_factory=list)
    kills: dict[str, int] = dataclasses.field(default_factory=lambda: {"boundary": 0, "inside": 0})
    rounds: int = 0
    beats: int = 0
    missed: int = 0
    starved: int = 0
    seconds: float = 0.0

    def write(self, how: str) -> None:
        REPORTS.mkdir(parents=True, exist_ok=True)
        kills = sum(self.kills.values())
        text = (
            f"{self.playbook}, {how}: {self.boundaries} boundaries in {len(self.worlds) + 1} worlds; "
            f"{self.kills['boundary']} kills at a boundary, {self.kills['inside']} inside a task, "
            f"{self.rounds} times from the beginning; "
            f"{self.seconds:.0f} s, {self.seconds / max(1, kills):.1f} s a kill; "
            f"{self.beats} beats, {self.missed} missed, {self.starved} of these for want of a processor\n"
        )
        (REPORTS / f"{self.playbook}-{how}.txt").write_text(text + "".join(f"  {w}\n" for w in self.worlds), "utf-8")
        print(text)


class Killing:
    """One scenario in one lab."""

    def __init__(self, fleet: Callable[..., Any], scenario: Scenario) -> None:
        self.scenario = scenario
        self.made = made = fleet(scenario.nodes, scenario.world, replicas=scenario.replicas)
        self.partner = f"{made.layout.root}/partner.crt"
        Path(self.partner).write_bytes(pki.make_ca("Partner CA").pem)
        self.replicas = [f"cp{number}" for number in range(1, scenario.replicas + 1)]
        for replica in self.replicas:
            with open(made.env_file(replica), "a", encoding="utf-8") as file:
                file.write(f"CC_TRUST_ADDITIONAL_CA_CERTS={self.partner}\n")
        self.env_names = {path.name for path in made.env_file("cp1").parent.iterdir()}
        scenario.ready(made)
        self.registry = set(made.registry())
        self.since: dict[str, float] = dict.fromkeys(made.names, time.time()) if scenario.planned else {}
        self.told = made.work / "boundaries.json"
        self.extra = scenario.extra(made)
        made._environment |= {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "boundaries",
            "QUAZZAR_BOUNDARIES": str(self.told),
        }
        self.runs = 0
        self.tidy()

    def run(self, **stop: Any) -> tuple[Any, list[dict[str, Any]]]:
        """The play, which has ended by itself or by its death, and its boundaries."""
        self.runs += 1
        record = self.made.work / f"boundaries-{self.runs}.jsonl"
        paths = {"lab": str(self.made.dir), "start": str(self.made.work / "start.json"), "record": str(record)}
        self.told.write_text(json.dumps({"at": 0, "worlds": [], "inside": [], "hosts": True, **paths, **stop}), "utf-8")
        play = self.made.begin(self.scenario.playbook, **self.extra)
        try:
            play.process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            play.kill()
            pytest.fail(f"not finished after {RUN_SECONDS:.0f} s:\n{play.output[-6000:]}")
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        return play, [json.loads(line) for line in lines]

    def whole(self) -> None:
        """Every file is whole, and somebody else's entry and all instances are where they were."""
        made = self.made
        old = made.cas()[0]["sha256"]
        running = lab.status(str(made.dir))["replicas"].values()
        trusted = self.scenario.keeps_links and all(old in replica.get("pool", ()) for replica in running)
        active = pki.load_certificates(made.active())[0]
        stays = pki.fingerprint(active) not in self.extra.get("quazzar_compromised_cas", ())
        for name in made.names:
            folder = made.node_file(name, "ca.crt").parent
            assert {path.name for path in folder.iterdir()} >= NODE_FILES, name
            assert pki.load_certificates((folder / "ca.crt").read_bytes()), name
            (leaf,) = pki.load_certificates((folder / "client.crt").read_bytes())
            pki.load_key((folder / "client.key").read_bytes())
            if name not in self.since and (trusted or (stays and signed_by(leaf, active))):
                self.since[name] = time.time()
        for kept in made.layout.nodes.glob("*/var/lib/quazzar/rotation-probe/client.crt"):
            assert len(pki.load_certificates(kept.read_bytes())) == 1, kept
        for replica in self.replicas:
            entries = made.pool(replica).split(",")
            most = 3 if self.scenario.planned else 2
            assert self.partner in entries and len(entries) == len(set(entries)) <= most, (replica, entries)
            pki.load_pair(made.certs(replica) / "ca.crt", made.certs(replica) / "ca.key")
            for entry in [*entries, *Path(made.facts["legacy_dir"]).glob("*.crt")]:
                assert len(pki.load_certificates(Path(entry).read_bytes())) == 1, entry
        assert set(made.registry()) >= self.registry
        self.scenario.same(made)

    def tidy(self) -> None:
        """As ``whole``, and nothing lies beside the files."""
        self.whole()
        for name in self.made.names:
            assert {path.name for path in self.made.node_file(name, "ca.crt").parent.iterdir()} == NODE_FILES, name
        assert {path.name for path in self.made.env_file("cp1").parent.iterdir()} == self.env_names

    def finish(self, play: Any, tally: Tally) -> None:
        """The run has come to its end: it has converged, and nobody was stranded on the way."""
        run = play.finish()
        assert run.status == 0, f"after {tally.kills}:\n{run.tail}"
        self.tidy()
        self.scenario.done(self.made, run)
        self.made.connected()
        for name, since in self.since.items():
            beats = self.made.beats(since)[name]
            assert beats["missed_since_up"] <= beats["starved"], (name, beats)
            tally.beats += beats["delivered"]
            tally.missed += beats["missed_since_up"]
            tally.starved += beats["starved"]

    def files(self) -> set[str]:
        """Every file and directory but those of the lab itself, without the names that chance has given."""
        found = (path.relative_to(self.made.dir).as_posix() for path in self.made.dir.rglob("*"))
        return {re.sub(r"[0-9a-f]{12,}|\d{8}T\d{6}Z", "#", name) for name in found if not name.startswith(LIVELY)}


def signed_by(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError):
        return False
    return True


def changed(world: str) -> list[str]:
    """What a task has changed to bring about a world of this name."""
    return world.partition(": ")[2].rpartition(" (")[0].split(", ")


def acts(worlds: list[str]) -> list[str]:
    """Without those behind the last act: the lock is given back, the report is written. A run that is made anew finds
    nothing to do there, and so never comes to them."""
    own = re.compile(r"[-+]?(the .*lock$|reports/)")
    last = max(number for number, world in enumerate(worlds) if not all(map(own.match, changed(world))))
    return worlds[: last + 1]


def at_each_world(
    fleet: Callable[..., Any],
    scenario: Scenario,
    *,
    moments: tuple[float, ...] = (),
    chosen: Callable[[list[str]], list[str]] = list,
    how: str,
) -> None:
    """Kill it in each world that a run leaves between two of its tasks, and so long after each acting task began."""
    began, tally = time.monotonic(), Tally(scenario.name)
    peaceful = Killing(fleet, scenario)
    play, boundaries = peaceful.run()
    peaceful.finish(play, tally)
    tally.boundaries = len(boundaries)
    tally.worlds = [line["world"] for line in boundaries if line["world"]]
    assert len(tally.worlds) == len(set(tally.worlds)) > 0, tally.worlds
    acting = dict.fromkeys(world.partition(": ")[0] for world in tally.worlds)
    files = peaceful.files()

    worlds = chosen(tally.worlds)
    inside = [[place, seconds] for place in acting for seconds in moments]
    first = True
    while worlds or inside:
        tally.rounds += 1
        left = len(worlds) + len(inside)
        killing = Killing(fleet, scenario)
        while True:
            # by turns with what runs on the hosts and without it; at its very first boundary once
            hosts, at = bool(tally.kills["inside"] % 2), int(first)
            play, boundaries = killing.run(worlds=worlds, inside=inside, hosts=hosts, at=at)
            if play.process.returncode != -signal.SIGKILL:
                break
            first = False
            if boundaries[-1]["dies"]:
                tally.kills["boundary"] += 1
                worlds = [world for world in worlds if world != boundaries[-1]["world"]]
                killing.tidy()
            else:
                tally.kills["inside"] += 1
                entered = next(line["inside"] for line in boundaries if line["inside"])
                inside = [pair for pair in inside if pair != entered]
                killing.whole()
        # A task that was to be died in may have ended the run before its time had come.
        for line in boundaries:
            inside = [pair for pair in inside if pair != line["inside"]]
        killing.finish(play, tally)
        assert killing.files() == files
        assert len(worlds) + len(inside) < left, f"never reached: {worlds} {inside}"
    tally.seconds = time.monotonic() - began
    tally.write(how)


def at_every_boundary(fleet: Callable[..., Any], scenario: Scenario, *, step: int = 1) -> None:
    """Kill it at each boundary, by number, whatever it has changed."""
    began, tally = time.monotonic(), Tally(scenario.name)
    peaceful = Killing(fleet, scenario)
    play, boundaries = peaceful.run()
    peaceful.finish(play, tally)
    tally.boundaries, number, files = len(boundaries), 1, peaceful.files()
    tally.worlds = [line["world"] for line in boundaries if line["world"]]
    while number <= tally.boundaries:
        tally.rounds += 1
        killing, before = Killing(fleet, scenario), number
        while True:
            play, boundaries = killing.run(at=number)
            if play.process.returncode != -signal.SIGKILL:
                break
            tally.kills["boundary"], number = tally.kills["boundary"] + 1, number + step
            killing.tidy()
        killing.finish(play, tally)
        assert killing.files() == files
        if number == before:  # a run may be some tasks shorter than the one that was counted
            break
    assert tally.kills["boundary"] >= tally.boundaries // step - 3
    tally.seconds = time.monotonic() - began
    tally.write("at every boundary")
