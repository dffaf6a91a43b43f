# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things are."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("QUAZZAR_BUILD") or ROOT / ".build").resolve()
GO_SOURCES = ROOT / "tests" / "lab" / "go"
GO_BUILT = BUILD / "go"
REPORTS = BUILD / "reports" / "matrix"
