# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No token, password, session, API key or private key is shown at -vvv, is written, or is an argument of a program."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from quazzar_lab import lab

pytestmark = pytest.mark.integration

TICK = 0.05
SHORTEST = 12  # the last line of a key can be so short that it is anywhere
HAS_SSHD = bool(shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin") and shutil.which("ssh"))


class Watch(threading.Thread):
    """Looks at every program's arguments, and into the directories for temporary files, while something runs."""

    def __init__(self, *places: Path) -> None:
        super().__init__(daemon=True)
        self.places = places
        self.arguments: set[bytes] = set()
        self.files: dict[tuple[str, int, int], bytes] = {}
        self.rounds = 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            self.look()
            self._end.wait(max(0.0, TICK - (time.monotonic() - began)))

    def look(self) -> None:
        self.rounds += 1
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.arguments.add(process.read_bytes())
            except OSError:
                continue
        for place in self.places:
            for folder, _unused, names in os.walk(place):
                for name in names:
                    self._remember(os.path.join(folder, name))

    def _remember(self, path: str) -> None:
        try:
            stat = os.lstat(path)
            mark = (path, stat.st_mtime_ns, stat.st_size)
            if os.path.isfile(path) and mark not in self.files:
                self.files[mark] = Path(path).read_bytes()
        except OSError:
            return

    def finish(self) -> None:
        self._end.set()
        self.join()
        self.look()


def forms(secrets: list[str]) -> list[bytes]:
    """Each secret as it is, and as base64 of a header or of a script would have it."""
    plain = [secret.encode() for secret in secrets if len(secret) >= SHORTEST]
    return [*plain, *(base64.b64encode(secret) for secret in plain)]


def leaks(texts: Mapping[str, bytes], secrets: list[str]) -> list[str]:
    """Where a secret is. Never which."""
    wanted = forms(secrets)
    return sorted(where for where, text in texts.items() if any(form in text for form in wanted))


def _program(words: bytes) -> str:
    """The name of a program, without what may be secret in its arguments."""
    return os.path.basename(words.split(b"\0")[0]).decode(errors="replace").split(" ")[0]


def trees(made: Any) -> dict[str, bytes]:
    """Every file of the nodes, of the CP and of the reports, without the places where the product keeps its secrets."""
    found = {}
    layout = made.layout
    for place in (layout.nodes, layout.cp, layout.logs, layout.root / "reports", layout.root / "ssh"):
        for path in place.rglob("*"):
            name = path.relative_to(layout.root).as_posix()
            own = name.endswith(".key") or name.startswith("cp/data/") or path.name in ("host_key", "id_ed25519")
            if path.is_file() and not path.is_symlink() and not own:
                found[name] = path.read_bytes()
    return found


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short path, for ssh's control sockets."""
    home = Path(tempfile.mkdtemp(prefix="qz-", dir="/tmp"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize(
    "transport",
    [
        "local",
        pytest.param(
            "ssh", marks=[pytest.mark.ssh, pytest.mark.skipif(not HAS_SSHD, reason="no OpenSSH server and client here")]
        ),
    ],
)
def test_secrets(transport: str, fleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    start = lab.start
    over = {"with_ssh": transport == "ssh"}
    monkeypatch.setattr(lab, "start", lambda *args, **kw: start(*args, **{**kw, **over}))
    made = fleet(3, "W2", options=["totp=true", "node02.os_totp=true", "register_error_status=0"])
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    for place in (temporary, home):
        place.mkdir()
    made._environment |= {"TMPDIR": str(temporary), "ANSIBLE_LOCAL_TEMP": str(temporary), "HOME": str(home)}
    admin = made.facts["os_users"]["admin"]
    made.group_vars["all"] |= {"quazzar_cp_totp_secret": made.facts["cp_users"][0]["totp_secret"]}
    by_password = {"quazzar_os_api_key": "", "quazzar_os_username": "admin"}
    by_password |= {"quazzar_os_password": admin["password"], "quazzar_os_totp_secret": admin["totp_secret"]}
    made.host_vars["node02"] = by_password
    wrong = "wrong-but-secret-" + base64.b32encode(os.urandom(10)).decode()
    made.accident()

    watch = Watch(temporary, home)
    watch.start()
    try:
        # logins that fail, at the CP and at a node
        made.host_vars["node01"] = {"quazzar_os_api_key": f"qzr_{wrong}"}
        made.group_vars["all"]["quazzar_cp_password"] = wrong
        runs = [made.play("drift_report", "-vvv")]
        runs.append(made.play("ca_rotate", "-vvv", status=2))
        del made.host_vars["node01"], made.group_vars["all"]["quazzar_cp_password"]
        # a node whose registration fails, then all of it
        made.fault("node03", "register-fail")
        runs.append(made.play("ca_rotate", "-vvv", "--diff", status=2))
        made.clear()
        runs.append(made.play("guardrails_check", "-vvv", status=2))
        runs.append(made.play("ca_rotate", "-vvv", "--diff"))
    finally:
        watch.finish()
    assert runs[-1].report["finished"] and runs[1].says("401")

    secrets = [*lab.all_secrets(str(made.dir)), wrong]
    # there was something to find: tokens, sessions, API keys and keys of certificates
    assert sum(secret.startswith("qzt_") for secret in secrets) > 3
    for beginning in ("qzr_", "eyJ", "MI"):
        assert any(secret.startswith(beginning) for secret in secrets), beginning
    assert watch.rounds > 20 and any(b"ansible-playbook" in words for words in watch.arguments)
    assert leaks({"here": f"x{secrets[0]}x".encode()}, secrets) == ["here"]

    output = {path.name: path.read_bytes() for path in made.work.glob("*.log")}
    assert len(output) == len(runs) and all(b"TASK" in text for text in output.values())
    shown = {f"program {number}: {_program(words)}": words for number, words in enumerate(watch.arguments)}
    files = {f"{name} at {when}": text for (name, when, _size), text in watch.files.items()}
    assert leaks(output, secrets) == []
    assert leaks(shown, secrets) == []
    assert leaks(files, secrets) == []
    assert leaks(trees(made), secrets) == []


def pieces(key: bytes) -> list[str]:
    """By what a key in PEM shows: as it is, in base64 once more from whichever byte on, and the number itself."""
    lines = [line for line in key.decode().splitlines() if not line.startswith("-----") and len(line) >= SHORTEST]
    doubled = [base64.b64encode(key[at:])[60:100].decode() for at in range(3)]
    return [*lines, *doubled, base64.b64decode("".join(lines))[36:68].hex()]


def talkative(made: Any, tmp_path: Path) -> tuple[Path, Path]:
    """Have Ansible say and log all that it can, and keep its temporary files, and what else it writes, in these two."""
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    for place in (temporary, home):
        place.mkdir()
    (home / "vault-password").write_text("right and long enough\n", encoding="utf-8")
    made._environment |= {
        "TMPDIR": str(temporary),
        "ANSIBLE_LOCAL_TEMP": str(temporary),
        "HOME": str(home),
        "ANSIBLE_DEBUG": "1",
        "ANSIBLE_LOG_PATH": str(home / "ansible.log"),
        "ANSIBLE_VAULT_PASSWORD_FILE": str(home / "vault-password"),
    }
    return temporary, home


def test_the_key_of_the_ca(fleet: Callable[..., Any], tmp_path: Path) -> None:
    """A backup, with everything that Ansible can be made to say, and its drill."""
    made = fleet(1, "W2")
    temporary, home = talkative(made, tmp_path)
    backups = tmp_path / "backups"
    backups.mkdir()
    made.group_vars["all"]["quazzar_backup_dir"] = str(backups)
    key = (made.layout.root / "cp/certs/ca.key").read_bytes()
    secrets = [*pieces(key), "right and long enough"]

    watch = Watch(temporary, home, backups)
    watch.start()
    try:
        # written and restored, restored again, and two that fail after the key was read or judged
        runs = [made.play("ca_backup", "-vvvvv", "--diff", *more) for more in (["--check"], [], [])]
        made._environment["ANSIBLE_DEBUG"] = "0"
        (made.layout.root / "cp/certs/ca.crt").write_bytes((made.layout.root / "cp/certs/ca.crt").read_bytes() + key)
        runs.append(made.play("ca_backup", "-vvvvv", status=2))
    finally:
        watch.finish()
    assert runs[1].says("restored in a drill on cp1") and runs[3].says("there is a private key in it")
    assert watch.rounds > 20 and any(b"ansible-playbook" in words for words in watch.arguments)
    output = {path.name: path.read_bytes() for path in made.work.glob("*.log")}
    # debugging did write down what the commands of the CP host printed
    assert b"_low_level_execute_command() done: rc=" in output[min(output)]
    assert leaks({"here": key}, secrets) == ["here"]
    shown = {f"program {number}: {_program(words)}": words for number, words in enumerate(watch.arguments)}
    password = home / "vault-password"
    files = {f"{at[0]} at {at[1]}": text for at, text in watch.files.items() if at[0] != str(password)}
    for found in (output, shown, files):
        assert leaks(found, secrets) == []
    assert any(name.startswith(str(backups)) for name in files) and (home / "ansible.log").stat().st_size > 1000


def test_the_keys_of_a_planned_rotation(fleet: Callable[..., Any], tmp_path: Path, digest: Any) -> None:
    """The new key is made and given to both replicas, the old one signs the bridge, and the pair is activated."""
    made = fleet(1, "W4", options=["certs_volume=own"])
    made.copy_ca_to_cp2()
    temporary, home = talkative(made, tmp_path)
    old = (made.certs() / "ca.key").read_bytes()

    watch = Watch(temporary, home)
    watch.start()
    try:
        play = made.begin("ca_replace", "-vvvvv", "--diff", quazzar_replaced_ca=digest(made.active()))
        play.until(r"(?s)PLAY \[Activate \| Take.*PLAY \[Move \| Plan")
        play.kill()
    finally:
        watch.finish()
    new = (made.certs() / "ca.key").read_bytes()
    assert new != old and new == (made.certs("cp2") / "ca.key").read_bytes()
    assert (made.layout.cp / "bridge/bridge.crt").exists()
    secrets = [*pieces(new), *pieces(old)]
    assert leaks({"here": new}, secrets) == leaks({"here": old}, secrets) == ["here"]
    assert watch.rounds > 20 and any(b"ansible-playbook" in words for words in watch.arguments)
    output = {path.name: path.read_bytes() for path in made.work.glob("*.log")}
    assert b"_low_level_execute_command() done: rc=" in output[max(output)]
    shown = {f"program {number}: {_program(words)}": words for number, words in enumerate(watch.arguments)}
    files = {f"{at[0]} at {at[1]}": text for at, text in watch.files.items()}
    for found in (output, shown, files, trees(made)):
        assert leaks(found, secrets) == []
    assert (home / "ansible.log").stat().st_size > 1000
