# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON report, as programs read it."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


def test_reports_have_the_published_shape(fleet, collections_path):
    schema = collections_path / "ansible_collections/quazzar/ca_rotation/docs/report.schema.json"
    if not schema.exists():
        pytest.skip("docs/report.schema.json is not there")
    jsonschema = pytest.importorskip("jsonschema")
    made = fleet(2, "W2", replicas=1)
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    for name, extra in (("drift_report", {}), ("accident", {}), ("ca_rotate", {"quazzar_ticket": "CHG-1"})):
        if name == "accident":
            made.accident()
            made.ghost("edge-lost")
            continue
        run = made.play(name, status=None, **extra)
        assert [error.message for error in validator.iter_errors(run.report)] == []
