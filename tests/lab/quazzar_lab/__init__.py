# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference Control Panel and OS nodes that speak the documented contract: a test double with real TLS and processes.

It shares no code with the collection. The documented words it prints are those of the product's public pages.
"""

from __future__ import annotations
