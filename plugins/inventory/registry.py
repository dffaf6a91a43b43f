# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: registry
short_description: Nodes from the Control Panel's registry
version_added: 1.0.0
author:
  - Quazzar CA Rotation contributors (@quazzar)
description:
  - Makes an inventory of the instances that the Control Panel knows.
  - >-
    The configuration is a YAML file whose name ends with C(quazzar.yml) or C(quazzar.yaml). Its texts may be templates,
    so that a password comes from a lookup or a vault and not from the file. A relative path in it starts at the file's
    own directory.
  - Nothing is cached. An old list hides the nodes that joined since, and those matter most.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - quazzar.ca_rotation.cp_api
  - quazzar.ca_rotation.cp_api.registry
options:
  plugin:
    description: Marks the file as a configuration of this plugin.
    type: str
    required: true
    choices: [quazzar.ca_rotation.registry]
  hostname:
    description:
      - >-
        What to call a host, a Jinja expression over the variables of the instance, C(quazzar_instance_name) and
        C(quazzar_instance_id) among them. The default is the name of the instance.
      - Two instances must not get the same name. That is an error, because one of them would be lost.
    type: str
  active_only:
    description: Leave out instances whose status does not count as active.
    type: bool
    default: true
  group:
    description: A group for all hosts.
    type: str
    default: quazzar_nodes
  group_by_status:
    description: Add a group for each status, C(status_) and its name.
    type: bool
    default: true
  group_by_tenant:
    description: Add a group for each known tenant, C(tenant_) and its name.
    type: bool
    default: true
  require_complete:
    description: Fail when the registry is not known to be complete, instead of a warning.
    type: bool
    default: false
"""

EXAMPLES = r"""
# fleet.quazzar.yml
plugin: quazzar.ca_rotation.registry
api_url: https://panel.example.com/api/
username: rotation
password: "{{ lookup('ansible.builtin.env', 'QUAZZAR_CP_PASSWORD') }}"
registry_complete: true
hostname: quazzar_instance_name ~ '.nodes.example.com'
compose:
  ansible_user: "'ops'"
keyed_groups:
  - key: quazzar_instance_name.split('-')[0]
    prefix: site
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import RotationError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.registry import Instance
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import cp_api, fleet

_ENDINGS = ("quazzar.yml", "quazzar.yaml")
_FLEET_OPTIONS = (*cp_api.ARGUMENT_SPEC, *fleet.ARGUMENT_SPEC)
_PATHS = ("api_ca", "fleet_file")
# These are for jmespath, not for Jinja; a query with a multi-select hash looks like the start of a template.
_NO_TEMPLATES = frozenset(("instances_query", "summary_total_query", "login_token_query"))
_TEMPLATE_MARKS = ("{{", "{%", "{#")


def _plain(name: str) -> str:
    """The name without Ansible's mark, which a host's name must not have.

    Before ansible-core 2.19 ansible-inventory writes a marked name as a dictionary, which nothing reads as a name.
    """
    return "".join([name])


class InventoryModule(BaseInventoryPlugin, Constructable):
    NAME = "quazzar.ca_rotation.registry"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(_ENDINGS)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        config = self._read_config_data(path)
        options = {name: self._value(name) for name in _FLEET_OPTIONS}
        options.update({name: self._path(config.get(name), path) for name in _PATHS})
        try:
            registry = fleet.Fleet(options).read().registry
        except RotationError as exc:
            raise AnsibleParserError(f"{path}: {exc}") from None
        if not registry.complete:
            message = f"{path}: the registry is not known to be complete: {registry.incomplete_reason}"
            if self.get_option("require_complete"):
                raise AnsibleParserError(message)
            self.display.warning(message)
        for instance in registry.instances:
            if instance.active or not self.get_option("active_only"):
                self._add(instance, path)

    def _value(self, name: str) -> Any:
        value = self.get_option(name)
        return value if name in _NO_TEMPLATES else self._templated(value)

    def _path(self, value: Any, config_file: str) -> str | None:
        """A path as the file says it: the option itself was made absolute before its template was looked at."""
        found = self._templated(value)
        if not found:
            return None
        return os.path.join(os.path.dirname(config_file), os.path.expanduser(os.path.expandvars(str(found))))

    def _templated(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.templar.template(value)
        if isinstance(value, Mapping):
            return {key: self._templated(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._templated(item) for item in value]
        return value

    def _add(self, instance: Instance, path: str) -> None:
        variables = {f"quazzar_instance_{key}": wrap_var(value) for key, value in instance.as_dict().items()}
        if any(mark in value for value in variables.values() if isinstance(value, str) for mark in _TEMPLATE_MARKS):
            # A node chooses its own name, and before ansible-core 2.19 a composed variable would be evaluated again.
            raise AnsibleParserError(f"{path}: an instance has a template in its id, name, status or tenant; refused")
        host = self._hostname(variables, path)
        if host in self.inventory.hosts:
            other = self.inventory.get_host(host).get_vars().get("quazzar_instance_id")
            raise AnsibleParserError(
                f"{path}: the instances {other} and {instance.id} would both be the host {host}. Set hostname to what "
                "tells them apart, for example: quazzar_instance_name ~ '-' ~ quazzar_instance_id"
            )
        self.inventory.add_host(host)
        for key, value in variables.items():
            self.inventory.set_variable(host, key, value)
        self._join(str(self.get_option("group") or ""), host)
        if self.get_option("group_by_status") and instance.status:
            self._join(f"status_{instance.status.lower()}", host)
        if self.get_option("group_by_tenant") and instance.tenant:
            self._join(f"tenant_{instance.tenant}", host)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)

    def _hostname(self, variables: dict[str, Any], path: str) -> str:
        # As it is: a copy would lose the mark that Ansible puts on texts which may be templates.
        expression = self.get_option("hostname")
        if not expression:
            return _plain(variables["quazzar_instance_name"])
        where, which = f"{path}: hostname ({expression})", f"the instance {variables['quazzar_instance_id']}"
        try:
            host = self._compose(expression, variables)
        except Exception as exc:
            raise AnsibleParserError(f"{where} does not work for {which}: {exc}") from None
        if not isinstance(host, str) or not host.strip():
            raise AnsibleParserError(f"{where} gives no name for {which}")
        if any(mark in host for mark in _TEMPLATE_MARKS):
            raise AnsibleParserError(f"{where} makes a template out of {which}; refused")
        return _plain(host.strip())

    def _join(self, group: str, host: str) -> None:
        if group:
            self.inventory.add_child(self.inventory.add_group(self._sanitize_group_name(group)), host)
