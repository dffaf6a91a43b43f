# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import HostError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import pool_file
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer, Host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of


@pytest.fixture
def host():
    return Host(action_of("trust_pool"), {"inventory_hostname": "cp1"})


@pytest.fixture
def env(tmp_path):
    return tmp_path / "cc env"


def there(host, env, content=None, **options):
    if content is not None:
        env.write_bytes(content)
    return pool_file.PoolFile(host, {"env_file": str(env), "variable": "V", "create": False, **options})


@pytest.mark.parametrize(
    ("content", "line", "after", "number"),
    [
        (b"A=1\nV=/a\nB=2\n", "V=/b", b"A=1\nV=/b\nB=2\n", 2),
        (b"V=/a\nB=2", "V=/b", b"V=/b\nB=2", 1),
        (b"A=1\nV=/a", "V=/b", b"A=1\nV=/b", 2),
        (b"A=1\nV=/a\nB=2\n", None, b"A=1\nB=2\n", None),
        (b"A=1\nV=/a", None, b"A=1\n", None),
        (b"V=/a\n", None, b"", None),
        (b"A=1\n", "V=/b", b"A=1\nV=/b\n", 2),
        (b"A=1", "V=/b", b"A=1\nV=/b\n", 2),
        (b"A=1\r\nB=2\r\n", "V=/b", b"A=1\r\nB=2\r\nV=/b\r\n", 3),
        (b"A=1\r\nV=/\xff\r\n", "V=/b\r", b"A=1\r\nV=/b\r\n", 2),
    ],
)
def test_one_line_is_put_in_changed_or_taken_out(host, env, content, line, after, number):
    found = there(host, env, content)
    assert found.line_number(line) == number
    found.write(line)
    assert env.read_bytes() == after
    assert host.round_trips == 2
    assert list(env.parent.iterdir()) == [env]


class Printing:
    """A host whose tools print something else than expected."""

    name = "cp1"

    def __init__(self, **sections):
        self.sections = {"dir": b"yes", "sum": b"0", "size": b"9", "count": b"2", "hits": b" 2", "line.2": b"V=/a\n"}
        self.sections.update({name.replace("_", "."): text.encode() for name, text in sections.items()})

    def run(self, *_words, **_more):
        return Answer(0, self.sections, "", "")


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"size": ""}, "told no size of it"),
        ({"size": "9" * 5000}, "told no size of it"),
        ({"count": "²"}, "told no count of lines of it"),
        ({"hits": " 2 x"}, "told no lines of it"),
        ({"hits": " 2 3"}, "did not send line 3"),
    ],
)
def test_a_host_that_prints_something_else(sections, why):
    options = {"env_file": "/env", "variable": "V", "create": False}
    assert pool_file.PoolFile(Printing(), options).value == "/a"
    with pytest.raises(HostError, match=rf"^cp1: /env: the host {why}"):
        pool_file.PoolFile(Printing(**sections), options)


def test_bytes_that_are_no_text_come_back_as_they_went(host, env):
    found = there(host, env, b"V=/\xff\xfe,/a\n")
    value = found.new_value({"state": "present", "add": ["/b"], "remove": ["/a"]})
    found.write(found.new_line(value))
    assert env.read_bytes() == b"V=/\xff\xfe,/b\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"V=/a\n", None),
        (b"# V=/z\nV=/a\n", None),
        (b"A=1\n", None),
        # The earlier one would come into force, and the comment would be lost.
        (b"V=/z\nV=/a\n", "V="),
        (b"V=/a # who put it here\n", "V= # who put it here"),
    ],
)
def test_the_line_goes_with_its_last_entry_only_when_nothing_else_goes(host, env, content, line):
    assert there(host, env, content).new_line("") == line


def test_absent_means_no_entry_whatever_the_lists_say(host, env):
    found = there(host, env, b"V=/a,/b\n")
    assert (found.value, found.old_line()) == ("/a,/b", "V=/a,/b")
    assert found.new_value({"state": "absent", "add": ["/c"], "remove": []}) == ""
    assert found.new_value({"state": "present", "add": ["/c"], "remove": ["/a"]}) == "/b,/c"


def test_a_file_that_is_not_there_is_made_of_the_one_line(host, env):
    there(host, env, create=True).write("V=/b")
    assert env.read_bytes() == b"V=/b\n"


def test_a_file_that_appeared_since_is_not_overwritten(host, env):
    found = there(host, env, create=True)
    assert (found.value, found.old_line(), found.line_number("V=/b")) == ("", None, 1)
    env.write_bytes(b"SOMEBODY=else\n")
    with pytest.raises(HostError, match=r"cp1: .*cc env: appeared while .*; nothing was changed"):
        found.write("V=/b")
    assert env.read_bytes() == b"SOMEBODY=else\n"


def test_a_line_of_the_file_is_blamed_by_host_and_file(host, env):
    with pytest.raises(InputError, match=r"cp1: .*cc env: "):
        there(host, env, b"V=$HOME/x\n")


def test_a_name_that_is_none_or_a_path_that_is_none_is_refused_before_the_host_is_asked(host, env):
    for options in ({"variable": "V=1"}, {"variable": ""}, {"env_file": "env"}):
        with pytest.raises(InputError):
            there(host, env, **options)
    assert host.round_trips == 0
