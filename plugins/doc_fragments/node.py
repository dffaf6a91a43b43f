# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Where a node keeps its files, and how it is probed
    DOCUMENTATION = r"""
requirements:
  - cryptography (on the controller)
  - jmespath (on the controller)
  - A POSIX shell, the coreutils and openssl on the node; curl or bash for the OS's own API. No Python there.
notes:
  - >-
    The node is reached through the task's own connection and become plugins. Everything travels as a script on standard input, so
    they must support pipelining: ssh, local, kubectl, docker and podman do, paramiko, aws_ssm and su do not and are refused.
  - Certificates of a server are always verified; there is no option to switch that off.
options:
  ca_path:
    description: Path on the node of the pin, the file with the CA certificates by which the node verifies the Control Panel.
    type: str
    default: /var/lib/quazzar/certs/ca.crt
  cert_path:
    description: Path on the node of the leaf, its own client certificate.
    type: str
    default: /var/lib/quazzar/certs/client.crt
  key_path:
    description: Path on the node of the leaf's key. It is used by openssl on the node and never leaves it.
    type: str
    default: /var/lib/quazzar/certs/client.key
  address:
    description:
      - Address of the Control Panel's mTLS listener as the node reaches it, C(host:port).
      - Without it no handshake is made, and both directions are V(unknown).
    type: str
  server_name:
    description: Name, or IP address, that the server's certificate must bear. The default is the host of O(address).
    type: str
  server_trust:
    description:
      - What the node verifies the server by.
      - V(pin) is the file O(ca_path), V(system) the node's own certificate store, and an absolute path a PEM file on the node.
    type: str
    default: pin
  hold:
    description: >-
      Seconds for which the probe stays connected after the handshake. A refusal arrives only after it, so let this be two
      round trips to the Control Panel at least. When neither a session ticket nor a refusal came, it is tried once more,
      four times as long.
    type: float
    default: 1.0
  timeout:
    description: The most seconds that one handshake may take, and the reading of the log.
    type: int
    default: 15
  probe_request:
    description:
      - >-
        A request to send in a second handshake when the first one has verified the server but not shown whether the node was
        accepted, which happens when the server's session tickets are switched off.
      - C(\\r\\n) stands for a line end.
    type: str
  cas:
    description: >-
      Further CA certificates, each in PEM. C(node.leaf.signed_by) in the result says which of them, and of the certificates
      in the pin, really signed the leaf.
    type: list
    elements: str
    default: []
  server_sample:
    description:
      - >-
        A server certificate in PEM, by a CA that does not serve yet. C(node.sample) in the result says whether the node's own openssl would
        take it with nothing but the pin.
      - Not looked at unless O(server_trust=pin).
    type: str
  os_status_path:
    description: Path of the OS API that tells whether the node is connected to a Control Panel. Empty means that it is not asked.
    type: str
    default: /api/auth/cp-status
  os_status_query:
    description: JMESPath expression that finds the connection's state in the answer of O(os_status_path).
    type: str
    default: connected
  os_needs_registration_query:
    description: JMESPath expression that finds in the same answer whether the agent wants to be registered again.
    type: str
  log_command:
    description:
      - Command on the node that prints the agent's log.
      - The default is the last 2000 lines of the journal of units named C(quazzar*), else of the agent's log file when one is found.
    type: str
  log_pattern:
    description: >-
      Part of the line by which an agent complains of a changed CA. Its words must occur in this order in one line;
      punctuation between them does not matter.
    type: str
    default: CC no longer trusts this node
  kept_identity_dir:
    description: Directory on the node in which M(quazzar.ca_rotation.kept_identity) keeps a legacy identity.
    type: str
    default: /var/lib/quazzar-ca-rotation
  os_url:
    description:
      - Base of the OS's own API. From the node this is a loopback address in general.
      - Must be C(https) unless it is a loopback address.
    type: str
    default: http://localhost:8080
  os_ca:
    description: >-
      Path of a PEM file with the CA certificates for an C(https) O(os_url), on the machine that calls it. The default is that
      machine's certificate store.
    type: str
  os_api_key:
    description: API key of the OS. It is used instead of a login.
    type: str
  os_username:
    description: Name of the account to log in to the OS with.
    type: str
  os_password:
    description: Password of that account.
    type: str
  os_totp_secret:
    description: Base32 secret of that account's second factor.
    type: str
  os_timeout:
    description: The most seconds that one request to the OS may take.
    type: int
    default: 15
  tolerate:
    description: Return a failure, an unreachable node too, as data instead of failing.
    type: bool
    default: false
"""

    # Only the leaf and its key
    IDENTITY = r"""
options:
  cert_path:
    description: Path on the node of the leaf, its own client certificate.
    type: str
    default: /var/lib/quazzar/certs/client.crt
  key_path:
    description: Path on the node of the leaf's key. It is copied on the node and never leaves it.
    type: str
    default: /var/lib/quazzar/certs/client.key
"""
