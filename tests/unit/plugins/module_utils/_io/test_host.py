# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import pathlib
import signal
import subprocess
import time

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.loader import become_loader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import (
    HostError,
    Unreachable,
    Unsupported,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of

NAMES = {"inventory_hostname": "node-7"}


@pytest.fixture
def host():
    return io_host.Host(action_of("ca_info"), NAMES)


class Connection:
    """A connection that answers what it is told to."""

    transport = "scripted"
    has_pipelining = True
    allow_executable = True
    become = None
    _load_name = "ansible.builtin.scripted"

    def __init__(self, answer=None, error=None, **attributes):
        self.answer, self.error = answer, error
        self.options = {"reconnection_retries": 3}
        self.seen = {}
        self.__dict__.update(attributes)

    def get_option(self, name):
        return self.options[name]

    def set_option(self, name, value):
        self.options[name] = value

    def exec_command(self, cmd, in_data=None, sudoable=True):
        self.seen = {"cmd": cmd, "in_data": in_data, "options": dict(self.options)}
        if self.error:
            raise self.error
        return self.answer

    @property
    def _shell(self):
        return action_of("ca_info")._connection._shell


def over(connection):
    return io_host.Host(action_of("ca_info", connection=connection), NAMES)


def test_values_come_back_as_they_went(host):
    values = {
        "a": 'it\'s "quoted" $HOME `id` \\ * ? [x] ~ ! # & ; | < >',
        "b": "\nlines\n\n",
        "c": "",
        "d": "-n",
        "e": "%s %d \\n",
        "f": "ä€😀",
    }
    answer = host.run("\n".join(f'qz_put {name} "${name}"' for name in values), values)
    assert {name: answer.text(name) for name in values} == values
    assert answer.rc == 0 and host.round_trips == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30), max_size=8))
def test_any_text_comes_back(values):
    variables = {f"v{number}": value for number, value in enumerate(values)}
    script = io_host.compose("\n".join(f'qz_put {name} "${name}"' for name in variables), variables, "mark")
    done = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=False)
    sections, code, lack = io_host.parse(done.stdout.decode(), "mark")
    assert (done.returncode, code, lack) == (0, 0, "")
    assert {name: value.decode() for name, value in sections.items()} == variables


@given(st.text(max_size=300), st.sampled_from(["m", "mark"]))
def test_no_output_breaks_the_parser(text, mark):
    for noise in (text, f"@{mark} " + text, f"@{mark} . " + text, f"@{mark} x {text}"):
        io_host.parse(noise, mark)


@given(st.text(max_size=60), st.binary(max_size=60))
def test_banners_do_not_matter(banner, content):
    encoded = base64.b64encode(content).decode()
    sections, code, lack = io_host.parse(f"{banner}\n{banner}@m-1 x {encoded}\n@m-1 . 7 \n", "m-1")
    assert sections["x"] == content and code == 7 and lack == ""


@pytest.mark.parametrize("code", ["²", "9" * 5000, "", "-1", "x"])
def test_an_end_without_a_return_value_is_no_end(code):
    assert io_host.parse(f"@m . {code} ", "m") == ({}, None, "")


def test_return_values_and_no_255(host):
    assert host.run("return 255", {}).rc == 255
    assert host.run("false", {}).rc == 1
    done = subprocess.run(
        ["/bin/sh"], input=io_host.compose("return 255", {}, "m").encode(), capture_output=True, check=False
    )
    assert done.returncode == 0


def test_a_child_cannot_eat_the_script(host):
    answer = host.run('qz_put eaten "$(cat)"\nqz_put after yes', {})
    assert answer.text("eaten") == "" and answer.text("after") == "yes"


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_nor_the_end_of_it_in_a_shell_that_reads_byte_by_byte(shell):
    if not pathlib.Path(shell).exists():
        pytest.skip(f"no {shell} here")
    script = io_host.compose("cat >/dev/null", {}, "m").encode()
    done = subprocess.run([shell], input=script, capture_output=True, check=False)
    assert io_host.parse(done.stdout.decode(), "m")[1] == 0


def test_a_script_cut_off_runs_nothing(tmp_path):
    script = io_host.compose('touch "$o_path"', {"o_path": str(tmp_path / "done")}, "m")
    for length in range(0, len(script) - 60, 97):
        subprocess.run(["/bin/sh"], input=script[:length].encode(), capture_output=True, check=False)
        assert not (tmp_path / "done").exists()


def test_files(host, tmp_path):
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 5)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "large").write_bytes(b"x" * 300000)
    names = ("binary", "no such", "dangling", "large", "")
    body = "\n".join(f'qz_file f{n} "$p{n}"' for n in range(len(names)))
    answer = host.run(body, {f"p{n}": str(tmp_path / name) for n, name in enumerate(names)})
    assert answer.file("f0") == (bytes(range(256)) * 5, "")
    for number, words in ((1, "no such file"), (2, "symbolic link"), (3, "longer than"), (4, "is a directory")):
        content, error = answer.file(f"f{number}")
        assert content is None and words in error and str(tmp_path) in error
    content, error = host.run("qz_file f /dev/zero", {}).file("f")
    assert content is None and "regular file" in error


def test_names_and_values_that_cannot_be(host):
    with pytest.raises(HostError, match="name of a shell variable"):
        host.run(":", {"a b": "x"})
    with pytest.raises(HostError, match="NUL"):
        host.run(":", {"a": "x\0y"})


def test_a_tool_that_is_missing_is_named(host, monkeypatch, tmp_path):
    prelude = io_host._PRELUDE
    monkeypatch.setattr(io_host, "_PRELUDE", prelude.replace("LC_ALL=C\n", f"LC_ALL=C\nPATH={tmp_path}\n", 1))
    with pytest.raises(Unsupported, match=r"node-7: the host lacks base64 tr head cat timeout sha256sum date"):
        host.run(":", {})


def test_secrets_are_blotted_out_of_what_the_shell_says(host):
    answer = host.run('echo "curl: (3) bad $s" >&2', {}, secret={"s": "sehr-geheim"})
    assert "sehr-geheim" not in answer.stderr and "bad ********" in answer.stderr


def test_an_answer_without_its_end_is_unreachable():
    with pytest.raises(Unreachable, match=r"node-7: the script ended before its last line \(exit status 137\)"):
        over(Connection((137, b"@x a YQ==\n", b""))).run(":", {})
    with pytest.raises(Unsupported, match="/bin/sh could not be run"):
        over(Connection((127, b"", b"sh: not found"))).run(":", {})


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (AnsibleConnectionFailure("ssh: connect to host x port 22: Connection refused"), Unreachable, "refused"),
        (AnsibleError("Incorrect sudo password"), HostError, "become password was refused"),
        (AnsibleError("Missing sudo password"), HostError, "become needs a password"),
        (AnsibleError("sudo: sorry, you must have a tty to run sudo"), Unsupported, "requiretty"),
        (AnsibleError("something else geheim-7"), HostError, r"something else \*\*\*\*"),
    ],
)
def test_errors_of_the_connection(error, kind, words):
    with pytest.raises(kind, match=words) as caught:
        over(Connection(error=error)).run(":", {}, secret={"s": "geheim-7"})
    assert str(caught.value).startswith("node-7: ") and caught.type is kind


@pytest.mark.parametrize(
    "stderr", [b"sudo: sorry, you must have a tty to run sudo\n", b"Sorry, try again.\nsudo: 3 incorrect"]
)
def test_sudo_that_refuses_only_on_stderr(stderr):
    with pytest.raises(HostError, match=r"requiretty|become password was refused") as caught:
        over(Connection((1, b"", stderr))).run(":", {})
    assert not isinstance(caught.value, Unreachable)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Sorry, user ops is not allowed to execute '/bin/sh -c echo BECOME-SUCCESS-x ; /bin/sh' as root on n.",
            "allow",
        ),
        ("ops is not in the sudoers file.  This incident will be reported.", "allow"),
        ("Sorry, user ops may not run sudo on n.", "allow"),
        ("sudo: a password is required", "none was given"),
        ("sudo: Account or password is expired, reset your password and try again", "expired or is locked"),
        (
            "sudo: account validation failure, is your account locked?\nsudo: a password is required",
            "expired or is locked",
        ),
        ("sudo: unknown user nobody-here", "no such user to become"),
        ("Sorry, try again.\nsudo: 1 incorrect password attempt", "the become password was refused"),
    ],
)
def test_each_refusal_of_sudo_is_told_from_the_others(said, words):
    """On the standard error of a command that ended, and as an error of the plugin."""
    for connection in (Connection((1, b"", said.encode())), Connection(error=AnsibleError(said))):
        with pytest.raises(HostError, match=r"^node-7: (the )?become ") as caught:
            over(connection).run(":", {})
        assert caught.type is HostError and words in str(caught.value)
        assert " ".join(said.split()) in str(caught.value)
        told = "'/bin/sh -c echo BECOME-SUCCESS-<32 letters> ; /bin/sh', as docs/sudo.md" in str(caught.value)
        assert told is (words in ("allow", "none was given"))


def test_a_refusal_that_was_on_the_line_of_the_prompt():
    refused = Connection((1, b"", b"a banner"), become=become_loader.get("sudo"))
    with pytest.raises(HostError, match=r"^node-7: become was refused .*as docs/sudo\.md.*: a banner$") as caught:
        over(refused).run(":", {})
    assert caught.type is HostError
    with pytest.raises(Unreachable):
        over(Connection((255, b"", b"a banner"), become=become_loader.get("sudo"))).run(":", {})


@pytest.mark.parametrize("name", ["paramiko_ssh", "community.aws.aws_ssm"])
def test_a_connection_without_pipelining_is_refused_by_name(name):
    connection = Connection(has_pipelining=False, _load_name=name)
    with pytest.raises(Unsupported, match=name):
        over(connection).run(":", {})
    assert connection.seen == {}


def test_su_is_refused_by_name(tmp_path):
    become = become_loader.get("su")
    with pytest.raises(Unsupported, match=r"su.*terminal"):
        over(Connection(become=become)).run(":", {})


def test_what_must_not_run_twice_is_not_retried_by_ssh():
    connection = Connection((0, b"", b""))
    for repeatable, retries in ((True, 3), (False, 0)):
        with pytest.raises(Unreachable):
            over(connection).run(":", {}, repeatable=repeatable)
        assert connection.seen["options"]["reconnection_retries"] == retries
        assert connection.options["reconnection_retries"] == 3


def test_nothing_but_the_shell_is_in_the_command():
    connection = Connection((0, b"", b""))
    with pytest.raises(Unreachable):
        over(connection).run("qz_put a b", {"v": "value"}, secret={"s": "geheim"})
    assert "geheim" not in connection.seen["cmd"] and "value" not in connection.seen["cmd"]
    assert b"geheim" in connection.seen["in_data"]


def test_a_host_that_never_answers(host):
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="node-7: no answer within 1 s"):
        host.run("sleep 20", {}, timeout=1)
    assert time.monotonic() - begin < 5
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_alarm_of_the_task_is_left_alone(host):
    def ring(signum, frame):
        return

    signal.signal(signal.SIGALRM, ring)
    try:
        signal.alarm(30)
        host.run(":", {}, timeout=1)
        assert signal.getsignal(signal.SIGALRM) is ring and signal.alarm(0) > 20
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_the_name_is_that_of_the_host_delegated_to():
    action = action_of("ca_info")
    action._task.delegate_to = "cp1"
    assert io_host.Host(action, NAMES).name == "cp1"


def test_redact_takes_the_longest_first():
    assert io_host.redact("tokenlong token abc", ["token", "tokenlong", "abc"]) == "******** ******** abc"


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_shells(shell, tmp_path):
    path = next((p for p in (f"/bin/{shell}", f"/usr/bin/{shell}") if pathlib.Path(p).exists()), None)
    if path is None:
        pytest.skip(f"no {shell} here")
    command = [path, "sh"] if shell == "busybox" else [path]
    script = io_host.compose('qz_put a "$v"; return 3', {"v": "x y"}, "m")
    done = subprocess.run(command, input=script.encode(), capture_output=True, check=False)
    assert io_host.parse(done.stdout.decode(), "m") == ({"a": b"x y"}, 3, "")
