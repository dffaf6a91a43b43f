# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How to reach the Control Panel's API
    DOCUMENTATION = r"""
notes:
  - Certificates of the API are always verified; there is no option to switch that off.
  - >-
    The proxy variables of the environment (C(https_proxy), C(no_proxy)) are honoured, except for a loopback address.
    Redirects are not followed and C(~/.netrc) is not read.
requirements:
  - jmespath (on the controller)
options:
  api_url:
    description:
      - >-
        Base of the Control Panel's API with its path prefix, such as V(https://panel.example.com/api/).
        An address without any path gets V(/api/).
      - Must be C(https); plain C(http) is accepted for a loopback address, a port-forward for example.
    type: str
  api_ca:
    description:
      - >-
        Path on the controller to a PEM file with the CA certificates that verify the API's own server certificate.
        The default is the system's certificate store.
      - This is the CA of the API's HTTPS address, in general not the CA that is being rotated.
    type: path
  username:
    description: Name of the account to log in with.
    type: str
  password:
    description: Password of the account to log in with.
    type: str
  totp_secret:
    description: >-
      Secret (Base32) of the account's second factor. Codes are made by the Control Panel's clock and no code is used twice.
    type: str
  bearer_token:
    description: A token to use as it is, instead of a login.
    type: str
  login_body:
    description:
      - >-
        Body of the login request. A value V({username}), V({password}), V({tenant}) or V({totp}) is replaced by what the
        other options say; V({totp}) is a current code of the second factor.
      - >-
        The default is V({"username": "{username}", "password": "{password}"}).
    type: dict
  login_token_query:
    description: JMESPath expression that finds the bearer token in the answer to the login.
    type: str
    default: access_token
  credentials:
    description:
      - >-
        Credentials for several tenants, because the Control Panel's answers are scoped to the tenant of the account.
        When this is given O(username), O(password), O(totp_secret) and O(bearer_token) are not used.
    type: list
    elements: dict
    suboptions:
      tenant:
        description: A name for the tenant; it appears in results and messages.
        type: str
        default: ''
      username:
        description: Name of the account to log in with.
        type: str
      password:
        description: Password of the account to log in with.
        type: str
      totp_secret:
        description: Secret (Base32) of the account's second factor.
        type: str
      bearer_token:
        description: A token to use as it is, instead of a login.
        type: str
      login_body:
        description: Body of the login request of this account. The default is O(login_body).
        type: dict
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 30.0
  retry_max_wait:
    description:
      - >-
        The most seconds to wait altogether for a request that the Control Panel puts off (429, 502, 503, 504).
        C(Retry-After) is honoured; when it asks for more than this the task fails at once and says so.
    type: float
    default: 60.0
"""

    # What the registry looks like
    REGISTRY = r"""
options:
  instances_query:
    description:
      - >-
        JMESPath expression that turns the answer of C(/api/fleet/instances) (or the content of O(fleet_file)) into a list
        of mappings with the keys C(id), C(name), C(status), C(last_seen) and, where it is known, C(tenant).
    type: str
    default: '[].{id: id, name: name, status: status, last_seen: last_heartbeat}'
  summary_total_query:
    description:
      - >-
        JMESPath expression that finds the number of all instances in the answer of C(/api/fleet/summary).
        A list of another length may be cut and does not count as complete.
    type: str
    default: total || total_instances || instances
  active_statuses:
    description: >-
      Statuses (in any case) of instances that count as active. When empty every status counts but those in
      O(inactive_statuses).
    type: list
    elements: str
    default: []
  inactive_statuses:
    description: Statuses (in any case) of instances that do not count, when O(active_statuses) is empty.
    type: list
    elements: str
    default: [decommissioned, deleted]
  registry_complete:
    description:
      - >-
        State that the list shows every tenant, or that the export is whole. Without this statement the registry counts as
        complete only with O(credentials) for more than one tenant that see different instances.
      - The length of the list must equal the summary's total in any case, unless the list comes from O(fleet_file).
    type: bool
    default: false
  fleet_file:
    description:
      - >-
        Path on the controller to an exported list of instances, JSON or YAML, to be used instead of the API. It has the
        shape of the API's answer, or the one that RV(ignore:registry.instances) of M(quazzar.ca_rotation.fleet_info) has.
      - What it says is as old as the file's modification time.
    type: path
"""
