# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.panel_double import PASSWORD, Panel, Reply

# Run as a user does: only a real ansible-inventory has the trust rules of its version of ansible-core.
INVENTORY = pathlib.Path(sys.executable).with_name("ansible-inventory")
ROOT = pathlib.Path(__file__).parents[4]
# A checkout has a link to itself there; an installed collection is where Ansible finds it already.
COLLECTIONS = str(ROOT / ".build" / "dev" if (ROOT / ".build" / "dev").is_dir() else ROOT.parents[2])


def row(name: str, status: str = "online", **more: t.Any) -> dict[str, t.Any]:
    return {"id": f"inst_{name}", "name": name, "status": status, "last_heartbeat": "2026-05-03T10:00:00Z", **more}


@pytest.fixture
def panel(tmp_path: pathlib.Path) -> t.Iterator[Panel]:
    double = Panel(tmp_path)
    double.on("GET", "fleet/instances", Reply(data=[row("eu-1"), row("us-1", "off line"), row("us-2", "deleted")]))
    double.on("GET", "fleet/summary", Reply(data={"total": 3}))
    yield double
    double.stop()


class Source:
    """A configuration file, and what ansible-inventory makes of it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory

    def run(self, config: dict[str, t.Any], name: str = "fleet.quazzar.yml") -> tuple[dict[str, t.Any], str]:
        path = self.directory / name
        path.write_text(yaml.safe_dump({"plugin": "quazzar.ca_rotation.registry", **config}))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        done = subprocess.run(
            [str(INVENTORY), "-i", str(path), "--list"],
            capture_output=True, text=True, check=False, cwd=self.directory,
            env={**inherited, "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS, "PANEL_PASSWORD": PASSWORD,
                 "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"},
        )  # fmt: skip
        assert PASSWORD not in done.stdout + done.stderr
        return (json.loads(done.stdout) if done.returncode == 0 else {}), " ".join(done.stderr.split())

    def hosts(self, config: dict[str, t.Any]) -> dict[str, t.Any]:
        found, errors = self.run(config)
        assert found, errors
        return {host: _plain(values) for host, values in found["_meta"]["hostvars"].items()}


def _plain(value: t.Any) -> t.Any:
    """Without the mark of ansible-inventory for what came from outside."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"]
            if set(value) == {"__ansible_unsafe"}
            else {k: _plain(v) for k, v in value.items()}
        )
    return value


@pytest.fixture
def source(tmp_path: pathlib.Path) -> Source:
    (tmp_path / "inventory").mkdir()
    return Source(tmp_path / "inventory")


def login(panel: Panel) -> dict[str, t.Any]:
    password = "{{ lookup('ansible.builtin.env', 'PANEL_PASSWORD') }}"
    return panel.options(password=password, registry_complete=True)


def test_active_instances_with_their_groups(panel: Panel, source: Source) -> None:
    found, errors = source.run(login(panel))
    assert sorted(found["_meta"]["hostvars"]) == ["eu-1", "us-1"], errors
    assert found["quazzar_nodes"]["hosts"] == ["eu-1", "us-1"]
    assert (found["status_online"]["hosts"], found["status_off_line"]["hosts"]) == (["eu-1"], ["us-1"])
    assert "not known to be complete" not in errors
    assert panel.requests[0].body["password"] == PASSWORD


def test_host_variables(panel: Panel, source: Source) -> None:
    assert source.hosts(login(panel))["eu-1"] == {
        "quazzar_instance_id": "inst_eu-1",
        "quazzar_instance_name": "eu-1",
        "quazzar_instance_status": "online",
        "quazzar_instance_last_seen": "2026-05-03T10:00:00Z",
        "quazzar_instance_tenant": "",
        "quazzar_instance_active": True,
    }


def test_names_and_groups_are_the_operators(panel: Panel, source: Source) -> None:
    found, errors = source.run(
        {
            **login(panel),
            "hostname": "quazzar_instance_name ~ '.example.com'",
            "active_only": False,
            "group": "",
            "group_by_status": False,
            "compose": {"ansible_user": "'ops'", "site": "quazzar_instance_name[:2]"},
            "groups": {"gone": "not quazzar_instance_active"},
            "keyed_groups": [{"key": "quazzar_instance_name.split('-')[0]", "prefix": "site"}],
        }
    )
    hostvars = found["_meta"]["hostvars"]
    assert sorted(hostvars) == ["eu-1.example.com", "us-1.example.com", "us-2.example.com"], errors
    assert _plain(hostvars["eu-1.example.com"])["site"] == "eu"
    assert found["gone"]["hosts"] == ["us-2.example.com"]
    assert found["site_us"]["hosts"] == ["us-1.example.com", "us-2.example.com"]
    assert not {"quazzar_nodes", "status_online"} & set(found)


def test_tenants_are_groups(panel: Panel, source: Source) -> None:
    query = "[].{id: id, name: name, status: status, last_seen: last_heartbeat, tenant: org}"
    panel.on("GET", "fleet/instances", Reply(data=[row("eu-1", org="acme inc")]))
    found, _errors = source.run({**login(panel), "instances_query": query})
    assert found["tenant_acme_inc"]["hosts"] == ["eu-1"]


def test_an_export_beside_the_configuration(source: Source) -> None:
    (source.directory / "fleet.json").write_text(json.dumps([row("eu-1")]))
    assert list(source.hosts({"fleet_file": "fleet.json"})) == ["eu-1"]


def test_an_incomplete_registry_warns_or_fails(panel: Panel, source: Source) -> None:
    panel.on("GET", "fleet/summary", Reply(data={"total": 9}))
    found, errors = source.run(login(panel))
    assert found and "summary counts 9" in errors
    found, errors = source.run({**login(panel), "require_complete": True})
    assert not found and "summary counts 9" in errors


def test_two_instances_must_not_become_one_host(panel: Panel, source: Source) -> None:
    panel.on("GET", "fleet/instances", Reply(data=[row("eu-1"), {**row("eu-1"), "id": "inst_new"}]))
    found, errors = source.run(login(panel))
    assert not found and "inst_eu-1 and inst_new would both be the host eu-1" in errors
    assert sorted(source.hosts({**login(panel), "hostname": "quazzar_instance_id"})) == ["inst_eu-1", "inst_new"]


@pytest.mark.parametrize("expression", ["nosuchvariable", "quazzar_instance_active"])
def test_a_hostname_that_gives_nothing_names_the_instance(panel: Panel, source: Source, expression: str) -> None:
    found, errors = source.run({**login(panel), "hostname": expression})
    assert not found and f"hostname ({expression})" in errors and "inst_eu-1" in errors


def test_a_hostname_that_is_a_template_only_when_composed_is_refused(panel: Panel, source: Source) -> None:
    panel.on("GET", "fleet/instances", Reply(data=[row("eu-1{")]))
    found, errors = source.run({**login(panel), "hostname": "quazzar_instance_name ~ quazzar_instance_name[-1:]"})
    assert not found
    assert "makes a template out of the instance inst_eu-1{; refused" in errors


def test_a_name_with_a_template_is_refused(panel: Panel, source: Source) -> None:
    mark = source.directory / "owned"
    panel.on("GET", "fleet/instances", Reply(data=[row("{{ lookup('pipe', 'touch " + str(mark) + "') }}")]))
    found, errors = source.run({**login(panel), "compose": {"x": "quazzar_instance_name"}})
    assert not found and "template in its id, name, status or tenant" in errors
    assert not mark.exists()


def test_an_api_error_is_shown(panel: Panel, source: Source) -> None:
    panel.on("POST", "auth/login", Reply(401, {"error": "no such user"}))
    found, errors = source.run(login(panel))
    assert not found and "401 (no such user)" in errors and "check username, password and login_body" in errors


def test_other_files_are_left_alone(source: Source) -> None:
    found, errors = source.run({"fleet_file": "fleet.json"}, name="other.yml")
    assert not found and "cannot be read on the controller" not in errors
