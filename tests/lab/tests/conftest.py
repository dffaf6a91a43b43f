# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real labs on blocks of their own, so that tests run beside each other and beside any other lab."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quazzar_lab import faults, lab, pki, processes
from quazzar_lab.options import parse

WAIT_SECONDS = 15.0


class Lab:
    """A running lab and the few things that the tests do with it."""

    def __init__(self, directory: Path) -> None:
        self.dir = str(directory)
        self.layout = lab.layout_of(directory)

    @property
    def facts(self) -> dict[str, Any]:
        return lab.load(self.layout)

    def node(self, name: str) -> dict[str, Any]:
        return next(node for node in self.facts["nodes"] if node["name"] == name)

    def until(self, good: Callable[[], Any], what: str = "it") -> Any:
        """Poll; no fixed sleeps."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (value := good()):
            assert time.monotonic() < deadline, f"{what} did not happen: {self.links()}"
            time.sleep(0.05)
        return value

    def links(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in lab.control(self.facts, "GET", "/status")["nodes"]}

    def settle(self, **wanted: bool) -> None:
        """Each named node's next two beats go as wanted (up or down)."""
        before = self.links()

        def fresh() -> bool:
            after = self.links()
            return all(
                after[name]["delivered" if up else "missed"] >= before[name]["delivered" if up else "missed"] + 2
                and after[name]["connected"] == up
                for name, up in wanted.items()
            )

        self.until(fresh, f"links {wanted}")

    def cp_log(self, name: str = "cp1", *, boot: bool = False) -> str:
        return (self.layout.logs / f"{name}{'.boot' if boot else ''}.log").read_text(encoding="utf-8")

    def node_path(self, name: str, part: str) -> Path:
        return self.layout.nodes / name / "var/lib/quazzar/certs" / part

    def node_log(self, name: str) -> str:
        return (self.layout.nodes / name / "var/log/quazzar/agent.log").read_text(encoding="utf-8")

    def env_file(self, name: str = "cp1") -> Path:
        return Path(self.facts["env_files"][name])

    def set_pool(self, value: str, name: str = "cp1") -> None:
        """Write the variable as an operator would, and restart."""
        file = self.env_file(name)
        lines = [line for line in file.read_text().splitlines() if "CC_TRUST_ADDITIONAL" not in line]
        file.write_text("\n".join([*lines, f"CC_TRUST_ADDITIONAL_CA_CERTS={value}"]) + "\n")
        lab.restart(self.dir, name)

    def legacy(self) -> Path:
        """The first CA's certificate where an operator would have put it."""
        path = Path(self.facts["legacy_dir"]) / "old.crt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((self.layout.hidden / "ca-1.crt").read_bytes())
        return path

    def cas(self) -> list[Any]:
        return [pki.load_certificates(Path(entry["path"]).read_bytes())[0] for entry in lab.ca_history(self.layout)]

    def token(self, **limits: Any) -> str:
        return lab.mint_token(
            self.dir,
            tenant=limits.pop("tenant", ""),
            expires_in=limits.pop("expires_in", 600),
            uses=limits.pop("uses", 1),
        )["token"]

    def fault(self, target: str, fault: str, **fields: Any) -> None:
        faults.add(self.layout.faults, target, fault, **fields)

    def clear(self) -> None:
        faults.clear(self.layout.faults, None, None)

    def option(self, *pairs: str) -> None:
        lab.set_options(self.dir, parse(list(pairs)))

    # HTTP

    def call(
        self, method: str, url: str, body: Any = None, token: str = "", timeout: float = 10
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON (or text) and headers."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(
            url, method=method, headers=headers, data=json.dumps(body).encode() if body is not None else None
        )
        context = ssl.create_default_context(cafile=self.facts["api_ca"])
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
                status, data, got = answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            status, data, got = error.code, error.read(), dict(error.headers)
        try:
            return status, json.loads(data) if data else None, got
        except json.JSONDecodeError:
            return status, data.decode(), got

    def login(self, user: int = 0) -> str:
        facts = self.facts
        body = {key: facts["cp_users"][user][key] for key in ("username", "password")}
        return str(self.call("POST", f"{facts['api_url']}/auth/login", body)[1]["access_token"])

    def api(self, method: str, path: str, body: Any = None, user: int = 0) -> tuple[int, Any, dict[str, str]]:
        return self.call(method, self.facts["api_url"] + path, body, self.login(user))

    def os(
        self, name: str, method: str, path: str, body: Any = None, key: str = "api_key"
    ) -> tuple[int, Any, dict[str, str]]:
        node = self.node(name)
        return self.call(method, f"http://{node['address']}:8080{path}", body, node[key])

    def register(self, name: str, token: str | None = None) -> tuple[int, Any, dict[str, str]]:
        return self.os(name, "POST", "/api/cc/register", {"token": token or self.token()})


def _labs(factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """A factory of labs; all are stopped at the end, and none may leave a process."""
    made: list[Lab] = []

    def start(*options: str, replicas: int = 1, nodes: int = 2, with_ssh: bool = False) -> Lab:
        directory = factory.mktemp("lab") / "lab"
        values = parse(["heartbeat=0.3", *options])
        made.append(Lab(directory))
        lab.start(
            str(directory),
            replicas=replicas,
            nodes=nodes,
            block="auto",
            values=values,
            with_ssh=with_ssh,
            ssh_login="",
            timeout=30,
        )
        return made[-1]

    yield start
    for item in made:
        lab.stop(item.dir)
        assert not [name for name in processes.known(item.layout) if processes.pid_of(item.layout, name)]


@pytest.fixture
def start_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Labs for one test."""
    yield from _labs(tmp_path_factory)


@pytest.fixture(scope="module")
def start_shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Labs for all tests of a file."""
    yield from _labs(tmp_path_factory)
