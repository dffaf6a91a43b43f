# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Service accounts with exactly the rules that they are given, and those of the documentation."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

PAGE = Path(__file__).resolve().parents[2] / "docs/kubernetes.md"
TOKEN_SECONDS = 20.0


def documented(name: str) -> list[dict[str, Any]]:
    """The rules of the Role of this name in the documentation."""
    blocks = re.findall(r"(?s)```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    roles = [item for block in blocks for item in yaml.safe_load_all(block) if item.get("kind") == "Role"]
    return next(role["rules"] for role in roles if role["metadata"]["name"] == name)


def kubeconfig(fleet: Any, name: str, rules: list[dict[str, Any]], directory: Path) -> str:
    """Make an account with a Role of these rules in the fleet's namespace. -> the path of a kubeconfig for it"""
    space = fleet.namespace
    about = {"name": name, "namespace": space}
    fleet.cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
    group = "rbac.authorization.k8s.io"
    fleet.cluster.create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": about, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": name, "namespace": space}
    binding = {"roleRef": {"apiGroup": group, "kind": "Role", "name": name}, "subjects": [subject]}
    fleet.cluster.create({"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": about, **binding})
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"}
    notes = {"kubernetes.io/service-account.name": name}
    fleet.cluster.create({**secret, "metadata": {"name": f"{name}-token", "namespace": space, "annotations": notes}})
    path = directory / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(_config(fleet, _token(fleet, f"{name}-token"))), encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _token(fleet: Any, secret: str) -> str:
    deadline = time.monotonic() + TOKEN_SECONDS
    while True:
        data = fleet.cluster.core.read_namespaced_secret(secret, fleet.namespace).data or {}
        if "token" in data:
            return base64.b64decode(data["token"]).decode("ascii")
        assert time.monotonic() < deadline, f"no token for {secret}"
        time.sleep(0.2)


def _config(fleet: Any, token: str) -> dict[str, Any]:
    """The cluster of the fleet, with this token as the only credential."""
    settings = client.Configuration()
    config.load_kube_config(config_file=fleet.cluster.kubeconfig, client_configuration=settings)
    server = {"server": settings.host}
    if settings.ssl_ca_cert:
        held = Path(settings.ssl_ca_cert).read_bytes()
        server["certificate-authority-data"] = base64.b64encode(held).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": server}],
        "users": [{"name": "account", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "account"}}],
        "current-context": "lab",
    }
