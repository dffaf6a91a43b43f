# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal
import threading

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import interrupt


@pytest.fixture
def calls():
    """Ctrl-C goes to a handler of the test's own, as it goes to Ansible's in a run; everything is put back."""
    before, calls = signal.getsignal(signal.SIGINT), []

    def handler(number, frame):
        calls.append(number)

    signal.signal(signal.SIGINT, handler)
    yield calls
    signal.signal(signal.SIGINT, before)
    interrupt._asked.clear()


def test_the_second_one_goes_to_the_handler_that_was_there(calls):
    ansibles = signal.getsignal(signal.SIGINT)
    interrupt.arm()
    assert not interrupt.requested()
    signal.raise_signal(signal.SIGINT)
    assert interrupt.requested() and calls == []
    assert signal.getsignal(signal.SIGINT) is ansibles
    signal.raise_signal(signal.SIGINT)
    assert calls == [signal.SIGINT]


def test_armed_twice_is_armed_once(calls):
    interrupt.arm()
    first = signal.getsignal(signal.SIGINT)
    interrupt.arm()
    assert signal.getsignal(signal.SIGINT) is first
    for _turn in range(2):
        signal.raise_signal(signal.SIGINT)
    assert calls == [signal.SIGINT]


def test_it_can_be_armed_again_for_the_next_set_and_stays_asked(calls):
    interrupt.arm()
    signal.raise_signal(signal.SIGINT)
    interrupt.arm()
    assert interrupt.requested()
    signal.raise_signal(signal.SIGINT)
    assert calls == []


def test_another_thread_leaves_everything_as_it_is(calls):
    before, raised = signal.getsignal(signal.SIGINT), []

    def elsewhere():
        try:
            interrupt.arm()
        except ValueError as error:  # what signal.signal says to any thread but the main one
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert raised == []
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_that_is_not_pythons_is_replaced_by_the_default(calls, monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    interrupt.arm()
    monkeypatch.undo()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
