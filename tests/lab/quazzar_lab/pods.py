# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balancer in front of a Control Panel in pods. It needs the package ``kubernetes``.

Which pods there are the API server says: one that is not Ready, or is on its way out, gets nothing new. What is asked
of each of them beyond that is as for every replica. Their addresses are no loopback ones, so a pod sees the balancer as
the source of all connections, as it does behind most balancers in front of a cluster.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch

from . import stalls
from .balancer import Balancer, serve
from .logs import to_stderr
from .paths import Layout

RETRY_SECONDS = 0.5
# After these it lists anew, so that an event which was lost is not lost for long
WATCH_SECONDS = 10
ANSWER_SECONDS = WATCH_SECONDS + 5
Tell = Callable[[list[str]], None]


def serves(pod: Any) -> bool:
    """Does the API server say that the pod takes connections."""
    if pod.metadata.deletion_timestamp or not pod.status.pod_ip:
        return False
    return any(item.type == "Ready" and item.status == "True" for item in pod.status.conditions or [])


def _follow_for_a_while(core: client.CoreV1Api, namespace: str, selector: str, tell: Tell) -> None:
    asked = {"label_selector": selector, "_request_timeout": ANSWER_SECONDS}
    listed = core.list_namespaced_pod(namespace, **asked)
    pods = {pod.metadata.name: pod for pod in listed.items}
    tell([pod.status.pod_ip for pod in pods.values() if serves(pod)])
    events = watch.Watch().stream(
        core.list_namespaced_pod,
        namespace,
        **asked,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=WATCH_SECONDS,
    )
    for event in events:
        pod = event["object"]
        pods[pod.metadata.name] = pod
        if event["type"] == "DELETED":
            del pods[pod.metadata.name]
        tell([pod.status.pod_ip for pod in pods.values() if serves(pod)])


def follow(namespace: str, selector: str, tell: Tell) -> None:
    """For ever: call ``tell`` with the addresses of the pods that serve, at first and at each change.

    Whatever goes wrong is written down and begun anew: a balancer that follows no longer would let all nodes hang.
    """
    core = client.CoreV1Api()
    while True:
        try:
            _follow_for_a_while(core, namespace, selector, tell)
        except Exception:
            traceback.print_exc()
            time.sleep(RETRY_SECONDS)


async def _balance(layout: Layout, block: str, namespace: str, selector: str) -> None:
    loop = asyncio.get_running_loop()
    balancer = Balancer(layout, block, loopback=False)

    def tell(addresses: list[str]) -> None:
        loop.call_soon_threadsafe(balancer.follow, addresses)

    threading.Thread(target=follow, args=(namespace, selector, tell), daemon=True).start()
    await serve(layout, block, balancer)


def main() -> int:
    to_stderr()
    stalls.prefer_me()
    config.load_kube_config()
    layout = Layout(Path(os.environ["CC_LAB_ROOT"]))
    where = [os.environ[f"CC_LAB_{name}"] for name in ("BLOCK", "NAMESPACE", "SELECTOR")]
    asyncio.run(_balance(layout, *where))
    return 0


if __name__ == "__main__":
    sys.exit(main())
