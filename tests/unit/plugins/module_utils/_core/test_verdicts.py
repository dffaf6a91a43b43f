# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import timedelta

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import verdicts


@pytest.mark.parametrize(("number", "words"), [(0, "0 days"), (1, "1 day"), (2, "2 days")])
def test_numbers_and_names(number: int, words: str) -> None:
    assert verdicts.count(number, "day") == words
    assert verdicts.names([str(each) for each in range(number + 5)]).count("more") == (number > 0)


@pytest.mark.parametrize(
    ("hours", "words"), [(-1, "0 hours"), (1, "1 hour"), (23, "23 hours"), (24, "1 day"), (71, "2 days")]
)
def test_days(hours: int, words: str) -> None:
    assert verdicts.days(timedelta(hours=hours)) == words
