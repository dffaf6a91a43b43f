# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accident and its repair on a lab of real processes and real TLS: what C(make demo) runs.

Exit status 0 means that everything that is said at the end was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent


class Demo:
    def __init__(self, work: pathlib.Path, nodes: int, world: str, collections: str) -> None:
        self.work, self.nodes, self.world = work, nodes, world
        self.lab_dir = work / "lab"
        self.env = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(ROOT / "tests" / "lab"),
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_FORKS": "25",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOWS": "1",
            "ANSIBLE_LOCAL_TEMP": str(work / "ansible-tmp"),
        }

    def say(self, text: str) -> None:
        print(f"\n=== {text}", flush=True)

    def lab(self, *words: str, capture: bool = False) -> str:
        command = [sys.executable, "-m", "quazzar_lab", *words, "--dir", str(self.lab_dir)]
        done = subprocess.run(command, env=self.env, check=True, text=True, stdout=subprocess.PIPE if capture else None)
        return done.stdout or ""

    def play(self, name: str) -> int:
        command = ["ansible-playbook", "-i", str(self.lab_dir / "inventory.yml"), f"quazzar.ca_rotation.{name}"]
        print(f"$ {' '.join(command)}", flush=True)
        return subprocess.run(command, env=self.env, check=False, cwd=self.work).returncode

    def beats(self) -> dict[str, dict[str, object]]:
        nodes: dict[str, dict[str, object]] = json.loads(self.lab("beats", "--json", capture=True))["nodes"]
        return nodes

    def run(self) -> int:
        self.say(
            f"A lab: one Control Panel with two replicas, {self.nodes} nodes, a heartbeat a second, world {self.world}"
        )
        self.lab("start", "--nodes", str(self.nodes), "--world", self.world, "--block", "auto")
        self.lab("status")
        self.say("The accident: the volume with the CA is lost, and the Control Panel makes a new CA by itself")
        self.lab("regenerate-ca")
        time.sleep(2)
        print("\n".join(self.lab("status", capture=True).splitlines()[:6]), flush=True)
        self.say("What does the fleet look like now? (changes nothing)")
        if self.play("drift_report") != 0:
            return self.fail("drift_report failed")
        self.say("The rotation: one command, from wherever the fleet is")
        self.lab("beats", "--mark", capture=True)
        began = time.monotonic()
        if self.play("ca_rotate") != 0:
            return self.fail("ca_rotate did not finish")
        seconds = time.monotonic() - began
        return self.prove(seconds)

    def prove(self, seconds: float) -> int:
        report = max((self.lab_dir / "reports").glob("*.json"), key=lambda path: path.stat().st_mtime)
        document = json.loads(report.read_text(encoding="utf-8"))
        beats = self.beats()
        missed = sum(int(str(node["missed_since_up"])) for node in beats.values())
        without = sorted(float(str(node["without_link"])) for node in beats.values())
        on_legacy = [node["name"] for node in document["nodes"] if node["state"] != "current"]
        proofs = document["negative_proof"]
        refusing = sorted({proof["replica"] for proof in proofs if proof["after"] == "refused"})
        kept = ROOT / "demo-report"
        kept.mkdir(exist_ok=True)
        shutil.copy(report, kept / "report.json")
        self.say("The proof")
        print(f"nodes on the legacy CA: {len(on_legacy)}")
        print(f"legacy identity refused by: {', '.join(refusing) or 'nobody'} ({len(proofs)} full handshakes)")
        print(f"missed heartbeats after the window opened: {missed}")
        print(f"time without a link before that, a node: {without[0]:.1f} to {without[-1]:.1f} s")
        print(f"seconds from the command to the end: {seconds:.0f}")
        print(f"report: {kept / 'report.json'}")
        good = not on_legacy and refusing == ["cp1", "cp2"] and missed == 0 and document["finished"]
        return 0 if good else self.fail("the proof is not complete")

    @staticmethod
    def fail(reason: str) -> int:
        print(f"\nThe demo failed: {reason}.", file=sys.stderr)
        return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=24)
    parser.add_argument("--world", choices=["W1", "W2", "W3", "W4"], default="W2")
    parser.add_argument("--collections", default=os.environ.get("QUAZZAR_COLLECTIONS", str(ROOT / ".build" / "dev")))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quazzar-demo-") as work:
        demo = Demo(pathlib.Path(work), options.nodes, options.world, options.collections)
        try:
            return demo.run()
        finally:
            subprocess.run(
                [sys.executable, "-m", "quazzar_lab", "stop", "--dir", str(demo.lab_dir)], env=demo.env, check=False
            )


if __name__ == "__main__":
    sys.exit(main())
