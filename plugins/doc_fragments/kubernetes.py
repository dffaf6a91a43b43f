# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description: Namespace of the workload.
    type: str
    required: true
  workload:
    description: Name of the Deployment or StatefulSet that runs the Control Panel.
    type: str
    required: true
  kind:
    description: Kind of the workload.
    type: str
    choices: [Deployment, StatefulSet]
    default: Deployment
  kubeconfig:
    description: Path of a kubeconfig file on the controller.
    type: path
  context:
    description: Context in the kubeconfig. The default is its current one.
    type: str
requirements:
  - kubernetes 29.0 or later (on the controller)
notes:
  - >-
    Without O(kubeconfig) and O(context) the API server is found by the environment variables E(K8S_AUTH_HOST), E(K8S_AUTH_API_KEY),
    E(K8S_AUTH_SSL_CA_CERT), E(K8S_AUTH_VERIFY_SSL), E(K8S_AUTH_KUBECONFIG) and E(K8S_AUTH_CONTEXT), then, in a pod, by its own service
    account, and then by the kubeconfig that C(kubectl) would use.
  - >-
    Other variables by which C(kubernetes.core) would come to another cluster or account are an error. So is any of these beside
    O(kubeconfig) or O(context), unless it says the same.
"""

    # For what looks into the pods, or changes their template
    CONTAINER = r"""
options:
  container:
    description: Name of the container that is the Control Panel. It may be left out where the pods have only one.
    type: str
    default: ''
"""
