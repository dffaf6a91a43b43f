# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

import pytest
from ansible.errors import AnsibleError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    ApiError,
    EvidenceError,
    HostError,
    InputError,
    Unreachable,
    Unsupported,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import action
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act


class Probe(action.EvidenceAction):
    """Does what ``behave`` says, and shows what it was given."""

    ARGUMENT_SPEC = {  # noqa: RUF012
        "number": {"type": "int", "default": 3},
        "other": {"type": "str"},
        "tolerate": {"type": "bool", "default": False},
        "part": {"type": "dict", "default": {}, "options": {"size": {"type": "int", "default": 1}}},
    }
    SPEC_RULES = {"mutually_exclusive": [("number", "other")]}  # noqa: RUF012
    behave: Exception | None = None

    def perform(self, options):
        if self.behave:
            raise self.behave  # pylint: disable=raising-bad-type
        return {"changed": False, "seen": options, "modes": (self.check_mode, self.wants_diff), "who": self.host.name}


def failing(error):
    return type("Failing", (Probe,), {"behave": error})


@pytest.mark.parametrize("kind", [InputError, EvidenceError, ApiError, HostError, Unsupported])
def test_an_error_is_a_failure_that_says_whether_the_host_is_to_blame(kind):
    expected = {"failed": True, "changed": False, "msg": "why", "host_error": issubclass(kind, HostError)}
    assert action.failure(kind("why")) == expected
    assert expected.items() <= act(failing(kind("why")), {}).items()


def test_a_lost_host_is_unreachable_and_not_failed():
    found = act(failing(Unreachable("cp1: no route")), {})
    assert found["unreachable"] is True and found["msg"] == "cp1: no route"
    assert "failed" not in found


@pytest.mark.parametrize(("kind", "reachable"), [(Unreachable, False), (HostError, True), (ApiError, True)])
def test_a_tolerated_error_is_data(kind, reachable):
    found = act(failing(kind("why")), {"tolerate": True})
    assert {"changed": False, "reachable": reachable, "error": "why"}.items() <= found.items()
    assert not {"failed", "unreachable", "msg"} & found.keys()


def test_a_bug_is_neither_hidden_nor_tolerated():
    with pytest.raises(ZeroDivisionError):
        act(failing(ZeroDivisionError()), {"tolerate": True})


@pytest.mark.parametrize("modes", [(True, False), (False, True)])
def test_the_work_gets_validated_options_modes_and_its_host(modes):
    found = act(Probe, {"number": "7"}, check_mode=modes[0], diff=modes[1], host="node-7")
    assert found["seen"] == {"number": 7, "other": None, "tolerate": False, "part": {"size": 1}}
    assert (found["modes"], found["who"]) == (modes, "node-7")


def test_a_run_leaves_the_specification_as_it_was():
    act(Probe, {})["seen"]["part"]["size"] = 9
    assert Probe.ARGUMENT_SPEC["part"]["default"] == {}
    assert act(Probe, {})["seen"]["part"] == {"size": 1}


@pytest.mark.parametrize("args", [{"number": "many"}, {"nmber": 1}, {"number": 1, "other": "x"}])
def test_wrong_options_stop_before_the_work(args):
    with pytest.raises(AnsibleError):
        act(failing(ZeroDivisionError()), {**args, "tolerate": True})


@given(st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2999, 1, 1)), st.integers(-840, 840))
def test_times_are_utc_with_seconds_and_z(moment, minutes):
    zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    text = action.rfc3339(moment.replace(tzinfo=datetime.timezone.utc).astimezone(zone))
    assert text == moment.replace(microsecond=0).isoformat() + "Z"


def test_the_clock_is_aware():
    assert action.utc_now().utcoffset() == datetime.timedelta(0)
