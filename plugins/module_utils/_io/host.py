# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Run one shell script on a host through Ansible's own connection, and nothing else.

The script and everything in it, secrets too, travels as in_data on the standard input of C(/bin/sh): nothing is
put into an argument, an environment variable or a temporary file of the host, and the host needs no Python. The answer
comes back as base64 sections, so that neither a login banner nor a binary file can be taken for something else.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import re
import secrets
import shlex
import signal
import threading
import typing as t

from .._core.errors import HostError, Unreachable, Unsupported

try:
    from ansible.errors import AnsibleConnectionFailure, AnsibleError  # pylint: disable=ansible-bad-module-import
except ImportError:  # the import check of ansible-test hides everything but module_utils from this directory
    AnsibleConnectionFailure = AnsibleError = Exception

# How much of a file travels at most. A bundle of 50 CAs has about 60 kB.
MAX_FILE = 262144

# What Ansible has sudo run for every script, and what a sudoers that names commands must allow.
_ALLOW = (
    "its sudoers must allow this login the command '/bin/sh -c echo BECOME-SUCCESS-<32 letters> ; /bin/sh', as"
    " docs/sudo.md of this collection shows"
)

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_WHOLE = re.compile(r"[0-9]{1,15}\Z")

# `printf` and `[` must be builtins wherever a secret is printed: as programs of their own they would show it in /proc.
# `base64 | tr` instead of `base64 -w 0`, which not every base64 has.
_PRELUDE = r"""
qz_mark=@MARK@
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
o_size=
qz_emit() { printf '@%s %s ' "$qz_mark" "$1"; base64 | tr -d '\n'; printf '\n'; }
qz_put() { printf '%s' "$2" | qz_emit "$1"; }
qz_file() {
  qz_put "$1.path" "$2"
  if [ -d "$2" ]; then qz_put "$1.error" directory
  elif [ ! -e "$2" ]; then
    if [ -h "$2" ]; then qz_put "$1.error" dangling
    elif [ -d "${2%/*}/" ] && [ ! -x "${2%/*}/" ]; then qz_put "$1.error" unreadable
    else qz_put "$1.error" missing; fi
  elif [ ! -r "$2" ]; then qz_put "$1.error" unreadable
  elif [ ! -f "$2" ]; then qz_put "$1.error" special
  else head -c @MAX@ "$2" | qz_emit "$1"
  fi
}
qz_have() { command -v "$1" >/dev/null 2>&1; }
"""

_POSTLUDE = r"""
qz_rc=96
case $(command -v printf) in
  */*) qz_lack="a shell with printf built in" ;;
  *) qz_lack=
     for qz_tool in base64 tr head cat timeout sha256sum date; do
       qz_have "$qz_tool" || qz_lack="$qz_lack $qz_tool"
     done ;;
esac
if [ -z "$qz_lack" ]; then qz_main </dev/null; qz_rc=$?; fi
printf '@%s . %s %s\n' "$qz_mark" "$qz_rc" "$qz_lack"
exit 0
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a script said. C(rc) is the return value of the body, never that of the transport."""

    rc: int
    sections: t.Mapping[str, bytes]
    stdout: str
    stderr: str

    def text(self, name: str, default: str = "") -> str:
        """A section as text; bytes that are not UTF-8 are replaced."""
        value = self.sections.get(name)
        return default if value is None else value.decode("utf-8", "replace")

    def number(self, name: str) -> int | None:
        """A section that is a whole number, else None."""
        return whole(self.text(name))

    def file(self, name: str) -> tuple[bytes | None, str]:
        """What C(qz_file) said: (content, "") or (None, reason), the reason as a sentence that names the path."""
        path = self.text(f"{name}.path", name)
        if name in self.sections:
            content = self.sections[name]
            if len(content) >= MAX_FILE:
                return None, f"{path}: longer than {MAX_FILE} bytes, that is not a certificate file"
            return content, ""
        reason = self.text(f"{name}.error")
        return None, f"{path}: " + _FILE_ERRORS.get(reason, "not read")

    def hidden(self, name: str) -> bool:
        """Whether C(qz_file) was not allowed to read the file, or to see whether it is there."""
        return self.text(f"{name}.error") == "unreadable"


_FILE_ERRORS = {
    "missing": "no such file",
    "dangling": "a symbolic link to a file that does not exist",
    "directory": "is a directory, a file was expected",
    "unreadable": "permission denied; is become missing?",
    "special": "is not a regular file",
}


def whole(text: str) -> int | None:
    """A whole number as tools print it, None for anything else. (str.isdigit() takes texts that int() refuses.)"""
    return int(text) if _WHOLE.match(text) else None


def compose(body: str, variables: t.Mapping[str, str], mark: str) -> str:
    """The whole script. Its body is a function: a script cut off on its way is a syntax error, and runs nothing."""
    assignments = []
    for name, value in variables.items():
        if not _NAME.match(name):
            raise HostError(f"{name!r} cannot be the name of a shell variable")
        if "\0" in value:
            raise HostError(f"the value for {name} has a NUL byte in it, which no path and no text of a shell can hold")
        assignments.append(f"{name}={shlex.quote(value)}")
    prelude = _PRELUDE.replace("@MARK@", mark).replace("@MAX@", str(MAX_FILE))
    return "\n".join((prelude, *assignments, "qz_main() {", ":", body, "}", _POSTLUDE))


def parse(stdout: str, mark: str) -> tuple[dict[str, bytes], int | None, str]:
    """Sections, return value of the body (None: the end mark is missing) and the tools that were missing."""
    sections: dict[str, bytes] = {}
    start = f"@{mark} "
    for line in stdout.splitlines():
        # A banner that does not end its line stands before the first mark on the same line.
        position = line.find(start)
        if position < 0:
            continue
        name, _unused, value = line[position + len(start) :].partition(" ")
        if name == ".":
            code, _unused, lack = value.partition(" ")
            return sections, whole(code), lack.strip()
        try:
            sections[name] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
    return sections, None, ""


def redact(text: str, hide: t.Iterable[str]) -> str:
    """Text without the secrets: a shell or a tool may repeat what it was given in an error message."""
    for value in sorted((v for v in hide if len(v) >= 4), key=len, reverse=True):
        text = text.replace(value, "********")
    return text


class Host:
    """The host of the current task. Its connection, become plugin and delegation are what the task says."""

    def __init__(self, action: t.Any, task_vars: t.Mapping[str, t.Any] | None = None) -> None:
        self._action = action
        self._connection = action._connection
        task_vars = task_vars or {}
        delegated = getattr(action._task, "delegate_to", None)
        self.name = str(delegated or task_vars.get("inventory_hostname") or "this host")
        self.round_trips = 0

    @property
    def is_local(self) -> bool:
        return str(getattr(self._connection, "transport", "")) == "local"

    def run(
        self,
        body: str,
        variables: t.Mapping[str, str],
        *,
        secret: t.Mapping[str, str] | None = None,
        timeout: int = 60,
        repeatable: bool = True,
    ) -> Answer:
        """Run C(body) with C(variables) set, in one round trip.

        C(secret) are variables too, whose values are blotted out of every message. C(timeout) in seconds bounds the
        whole run as the controller sees it; the body bounds its own commands. A body that must not run twice says
        C(repeatable=False): then the connection plugin does not try again after a lost connection. Raises Unreachable,
        Unsupported or HostError, all with the host's name.
        """
        secret = secret or {}
        self._refuse_without_pipelining()
        mark = secrets.token_hex(6)
        script = compose(body, {**variables, **secret}, mark)
        with self._options(repeatable), _alarm(timeout, self.name):
            result = self._execute(script, secret.values())
        self.round_trips += 1
        stdout, stderr = result["stdout"], redact(result["stderr"], secret.values())
        sections, code, lack = parse(stdout, mark)
        if lack:
            raise Unsupported(
                f"{self.name}: the host lacks {lack}; the coreutils and a POSIX shell are all that is needed there"
            )
        if code is None:
            raise self._no_end(int(result["rc"]), redact(stdout, secret.values()), stderr)
        return Answer(rc=code, sections=sections, stdout=stdout, stderr=stderr)

    def _execute(self, script: str, hide: t.Iterable[str]) -> dict[str, t.Any]:
        try:
            result: dict[str, t.Any] = self._action._low_level_execute_command(
                "/bin/sh", in_data=script.encode("utf-8", "surrogateescape")
            )
        except AnsibleConnectionFailure as error:
            raise Unreachable(f"{self.name}: {one_line(redact(str(error), hide))}") from None
        except AnsibleError as error:  # pylint: disable=duplicate-except,bad-except-order
            raise self._refusal(redact(str(error), hide)) from None
        return result

    def _refuse_without_pipelining(self) -> None:
        connection = self._connection
        name = _plugin_name(connection) or str(getattr(connection, "transport", "unknown"))
        if not getattr(connection, "has_pipelining", False):
            raise Unsupported(
                f"{self.name}: the connection plugin {name!r} cannot hand a script to the host on standard input (no"
                " pipelining), and a temporary file would leave secrets there."
                " Use ssh, local, kubectl, docker or podman (ansible_connection)."
            )
        become = connection.become
        if become is None:
            return
        name = _plugin_name(become)
        # Older releases of ansible-core do not say it of su themselves.
        terminal = not getattr(become, "pipelining", True) or getattr(become, "require_tty", False)
        if terminal or name.rpartition(".")[2] == "su":
            raise Unsupported(
                f"{self.name}: the become plugin {name!r} needs a terminal and leaves no standard input for a script."
                " Use sudo or doas (ansible_become_method)."
            )

    @contextlib.contextmanager
    def _options(self, repeatable: bool) -> t.Iterator[None]:
        # local: with a become password it would open a terminal unless pipelining is on; ssh decides by in_data alone.
        # ssh: its own retries would send the script again.
        wanted: dict[str, t.Any] = {}
        if self.is_local:
            wanted["pipelining"] = True
        elif not repeatable:
            wanted["reconnection_retries"] = 0
        before: dict[str, t.Any] = {}
        for option, value in wanted.items():
            try:
                before[option] = self._connection.get_option(option)
                self._connection.set_option(option, value)
            except (KeyError, AnsibleError):
                continue
        try:
            yield
        finally:
            for option, value in before.items():
                self._connection.set_option(option, value)

    def _refusal(self, message: str) -> HostError:
        """An error of the connection or become plugin, said so that it can be acted upon."""
        return self._known_refusal(message) or HostError(f"{self.name}: {one_line(message)}")

    def _known_refusal(self, message: str) -> HostError | None:
        lower, said = message.lower(), one_line(message)

        def has(*words: str) -> bool:
            return any(word in lower for word in words)

        if has("must have a tty"):
            return Unsupported(
                f"{self.name}: sudo refuses to run without a terminal (requiretty in its sudoers). Add"
                " 'Defaults:<user> !requiretty' there, or use another become method."
            )
        # Before the passwords: one of these says "try again" too, and another is followed by "a password is required".
        if has("account validation failure", "account or password is expired", "account expired", "password expired"):
            return HostError(
                f"{self.name}: become was refused because the account or its password has expired or is locked there"
                f" (chage -l shows it): {said}"
            )
        if has("is not allowed to execute", "may not run sudo", "not allowed to run sudo", "not in the sudoers file"):
            return HostError(f"{self.name}: become was refused: {_ALLOW}: {said}")
        if has("sudo: unknown user"):
            return HostError(f"{self.name}: become has no such user to become (ansible_become_user): {said}")
        if has("incorrect", "try again", "duplicate become password prompt", "waiting for password prompt"):
            return HostError(f"{self.name}: the become password was refused (ansible_become_password): {said}")
        if has("password is required", "missing sudo password") or ("missing" in lower and has("password")):
            # To who may not give a password sudo says no more than that of a command that it does not allow.
            return HostError(
                f"{self.name}: become needs a password, none was given (ansible_become_password). Where sudo is to ask"
                f" for none, {_ALLOW}: {said}"
            )
        return None

    def _no_end(self, code: int, stdout: str, stderr: str) -> HostError:
        said = one_line(stderr) or one_line(stdout) or "nothing"
        known = self._known_refusal(stderr + "\n" + stdout)
        if known is not None:
            return known
        if code == 1 and self._connection.become is not None:
            # Ansible takes away the line of the prompt, on which sudo has said why. A script does not end like this.
            return HostError(
                f"{self.name}: become was refused (exit status 1), for a reason that did not get through:"
                f" {_ALLOW}; 'sudo -l' as this login shows what it may; the host said: {said}"
            )
        if code in (126, 127):
            return Unsupported(f"{self.name}: /bin/sh could not be run there (exit status {code}); it said: {said}")
        return Unreachable(
            f"{self.name}: the script ended before its last line (exit status {code}); the host said: {said}"
        )


def _plugin_name(plugin: t.Any) -> str:
    name = getattr(plugin, "_load_name", None) or getattr(plugin, "name", None) or getattr(plugin, "transport", None)
    return str(name or type(plugin).__module__.rpartition(".")[2])


def one_line(text: str, limit: int = 400) -> str:
    """The end of a text on one line: the cause stands last."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else "…" + flat[-limit:]


@contextlib.contextmanager
def _alarm(seconds: int, name: str) -> t.Iterator[None]:
    """A host that stops answering in the middle must not hold up the run for ever: ssh itself would wait for hours.

    Left alone where somebody else uses the alarm (the task keyword C(timeout)) and outside of the main thread.
    """
    usable = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    )
    if not usable or seconds <= 0:
        yield
        return

    def ring(signum: int, frame: t.Any) -> t.NoReturn:
        raise Unreachable(f"{name}: no answer within {seconds} s after the script was sent")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
