# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods the balancer is told of, when the API server's answers fail it. The rest is in tests/kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from quazzar_lab import pods


class Enough(BaseException):
    """Ends what goes on for ever."""


def a_pod(name: str, address: str, *, ready: bool = True) -> Any:
    condition = SimpleNamespace(type="Ready", status="True" if ready else "False")
    return SimpleNamespace(
        metadata=SimpleNamespace(name=name, deletion_timestamp=None),
        status=SimpleNamespace(pod_ip=address, conditions=[condition]),
    )


def test_a_watch_that_breaks_off_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # No event is what the client makes of a line that it cannot read.
    watches: list[Any] = [[{"type": "ADDED", "object": a_pod("b", "10.0.0.2")}, None], Enough()]
    listed = SimpleNamespace(items=[a_pod("a", "10.0.0.1")], metadata=SimpleNamespace(resource_version="7"))

    class Watch:
        def stream(self, *_args: Any, **_options: Any) -> Iterator[Any]:
            now = watches.pop(0)
            if isinstance(now, Enough):
                raise now
            yield from now

    core = SimpleNamespace(list_namespaced_pod=lambda *_args, **_options: listed)
    monkeypatch.setattr(pods.client, "CoreV1Api", lambda: core)
    monkeypatch.setattr(pods.watch, "Watch", Watch)
    monkeypatch.setattr(pods, "RETRY_SECONDS", 0.0)
    told: list[list[str]] = []
    with pytest.raises(Enough):
        pods.follow("ns", "app=x", told.append)
    assert told == [["10.0.0.1"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.1"]]
    assert "TypeError" in capsys.readouterr().err


def test_who_does_not_serve() -> None:
    leaving = a_pod("a", "10.0.0.1")
    leaving.metadata.deletion_timestamp = "now"
    assert not any(map(pods.serves, [leaving, a_pod("a", ""), a_pod("a", "10.0.0.1", ready=False)]))
