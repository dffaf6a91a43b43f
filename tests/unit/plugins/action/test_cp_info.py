# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import pwd
import shutil
import tempfile
import typing as t

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.action.cp_info import ActionModule
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as host_module
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import replica
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.acting import act

GRACE = "loaded additional trusted CA (rotation grace)"


class Cp:
    """The files of a Control Panel host."""

    def __init__(self, root: pathlib.Path, ca: t.Any) -> None:
        self.certs, self.legacy = root / "certs", root / "legacy dir"
        self.env, self.log = root / "environment", root / "cp.log"
        for directory in (self.certs, self.legacy):
            directory.mkdir()
        self.ca = ca
        (self.certs / "ca.crt").write_bytes(_bytes(ca.pem))
        (self.certs / "ca.key").write_bytes(_bytes(ca.key_pem))
        self.env.write_text("# nothing here\nSECRET_OF_THE_PANEL=hunter22\n")

    def args(self, **more: t.Any) -> dict[str, t.Any]:
        return {"certs_dir": str(self.certs), "env_file": str(self.env), "legacy_dir": str(self.legacy), **more}

    def read(self, **more: t.Any) -> dict[str, t.Any]:
        result = act(ActionModule, self.args(**more))
        assert not result.get("failed"), result
        text = json.dumps(result)
        assert "hunter22" not in text and "PRIVATE KEY" not in text
        return result["replica"]


def _bytes(content: t.Any) -> bytes:
    return content.encode() if isinstance(content, str) else content


@pytest.fixture
def cp(tmp_path: pathlib.Path, make_ca: t.Any) -> Cp:
    return Cp(tmp_path, make_ca())


def test_nothing_but_the_active_ca(cp: Cp) -> None:
    found = cp.read()
    assert (found["name"], found["reachable"], found["error"]) == ("cp1", True, "")
    assert found["active_ca"]["sha256"] == cp.ca.cert.sha256
    assert found["active_ca"]["pem"] == cp.ca.cert.pem()
    assert found["active_ca_error"] == ""
    assert found["pool"] == {"raw": None, "entries": [], "line": None, "error": ""}
    assert (found["legacy_dir"], found["auto_ca_gen"]) == ([], False)
    assert found["boot"] == {"loaded_count": None, "since_boot": False, "error": ""}
    assert found["listening"] is False and "no address" in found["listener_error"]


def test_the_pool_and_each_of_its_files(cp: Cp, tmp_path: pathlib.Path, make_ca: t.Any) -> None:
    old, older = make_ca(), make_ca(name="Older CA")
    first, second = cp.legacy / "first one.crt", tmp_path / "second.pem"
    first.write_bytes(_bytes(old.pem))
    second.write_bytes(_bytes(older.pem) + b"\n" + _bytes(old.pem))
    cp.env.write_text(
        "A=1\nCC_TRUST_ADDITIONAL_CA_CERTS=/ignored\r\n\n"
        f"export CC_TRUST_ADDITIONAL_CA_CERTS='{first}, {second},,/gone.crt,'\n"
        "CC_ALLOW_AUTO_CA_GEN=True\nCC_TRUST_ADDITIONAL_CA_CERTS_OTHER=/other\n"
    )
    found = cp.read()
    assert (found["pool"]["line"], found["pool"]["error"]) == (4, "")
    assert found["pool"]["raw"] == f"{first}, {second},,/gone.crt,"
    assert [entry["path"] for entry in found["pool"]["entries"]] == [str(first), str(second), "/gone.crt"]
    assert found["pool"]["entries"][0]["sha256"] == [old.cert.sha256]
    assert found["pool"]["entries"][1]["pem"] == [older.cert.pem(), old.cert.pem()]
    assert found["pool"]["entries"][2] == {
        "path": "/gone.crt",
        "sha256": [],
        "pem": [],
        "since": None,
        "error": "/gone.crt: no such file",
    }
    assert found["auto_ca_gen"] is True
    assert [entry["path"] for entry in found["legacy_dir"]] == [str(first)]


@pytest.mark.parametrize(
    "line",
    [
        'CC_TRUST_ADDITIONAL_CA_CERTS="{a},{b}" # both',
        "CC_TRUST_ADDITIONAL_CA_CERTS={a},{b} # both",
        " export CC_TRUST_ADDITIONAL_CA_CERTS={a},{b}\r",
        "CC_TRUST_ADDITIONAL_CA_CERTS= {a} , {b}",
    ],
)
def test_the_pool_in_every_usual_style_takes_one_round_trip(
    cp: Cp, make_ca: t.Any, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [cp.legacy / "a.crt", cp.legacy / "b.crt"]
    for file in files:
        file.write_bytes(_bytes(make_ca().pem))
    # Quotes are for blanks in a path; without quotes there are none.
    plain = cp.legacy.parent / "plain"
    cp.legacy.rename(plain)
    text = line.replace("{a}", str(plain / "a.crt")).replace("{b}", str(plain / "b.crt"))
    cp.env.write_text(text + "\n", newline="")
    trips: list[int] = []
    original = host_module.Host.run
    monkeypatch.setattr(host_module.Host, "run", lambda self, *a, **k: (trips.append(1), original(self, *a, **k))[1])
    found = cp.read(legacy_dir=str(plain))
    assert [entry["error"] for entry in found["pool"]["entries"]] == ["", ""], found["pool"]
    assert len(trips) == 1


def test_a_value_that_the_shell_splits_otherwise_is_looked_at_again(cp: Cp, make_ca: t.Any) -> None:
    odd = cp.legacy / "with # mark.crt"
    odd.write_bytes(_bytes(make_ca().pem))
    cp.env.write_text(f"CC_TRUST_ADDITIONAL_CA_CERTS='{odd}'\n")
    entries = cp.read()["pool"]["entries"]
    assert [(entry["path"], entry["error"]) for entry in entries] == [(str(odd), "")]


def test_other_names_for_the_variables(cp: Cp) -> None:
    cp.env.write_text("POOL=/gone.crt\nAUTO=0\n")
    found = cp.read(variable="POOL", auto_ca_gen_variable="AUTO")
    assert found["pool"]["raw"] == "/gone.crt" and found["auto_ca_gen"] is False
    result = act(ActionModule, cp.args(variable="A; rm -rf /"))
    assert result["failed"] and "variable" in result["msg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"", "empty"), (b"nonsense", "ca.crt"), ("key", "private key")],
)
def test_an_unusable_active_ca_says_why(cp: Cp, content: t.Any, words: str) -> None:
    path = cp.certs / "ca.crt"
    path.unlink()
    if content == "key":
        path.write_bytes(_bytes(cp.ca.pem) + _bytes(cp.ca.key_pem))
    elif content is not None:
        path.write_bytes(content)
    found = cp.read()
    assert found["active_ca"] is None
    assert str(path) in found["active_ca_error"] and words in found["active_ca_error"]


def test_a_key_in_a_legacy_file_never_travels(cp: Cp, monkeypatch: pytest.MonkeyPatch) -> None:
    (cp.legacy / "pair.pem").write_bytes(_bytes(cp.ca.pem) + _bytes(cp.ca.key_pem))
    (cp.certs / "ca.crt.old").write_bytes(_bytes(cp.ca.pem))
    answers: list[t.Any] = []
    original = host_module.Host.run

    def run(self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        answers.append(original(self, *args, **more))
        return answers[-1]

    monkeypatch.setattr(host_module.Host, "run", run)
    found = cp.read()["legacy_dir"]
    assert [pathlib.Path(entry["path"]).name for entry in found] == ["pair.pem", "ca.crt.old"]
    assert "private key" in found[0]["error"] and found[0]["pem"] == []
    assert found[1]["sha256"] == [cp.ca.cert.sha256]
    assert all(b"PRIVATE" not in content for answer in answers for content in answer.sections.values())
    assert all(b"hunter22" not in content for answer in answers for content in answer.sections.values())


def test_pairs_beside_the_active_one_are_told_and_their_keys_only_compared(
    cp: Cp, tmp_path: pathlib.Path, make_ca: t.Any, make_leaf: t.Any
) -> None:
    staged, previous = tmp_path / "staged", tmp_path / "previous"
    dirs = {"staged_dir": f"{staged}/", "previous_dir": str(previous)}
    found = cp.read(**dirs)
    assert (found["staged"], found["previous"], found["active_key_matches"]) == (None, None, None)

    new, old = make_ca(), make_ca("Old CA")
    new.write(staged, "ca")
    sample = make_leaf(new, names=["cp.test"])
    (staged / "server-sample.crt").write_bytes(sample.pem)
    old.write(previous, "ca")
    found = cp.read(**dirs)
    assert found["staged"] == {
        "pem": new.cert.pem(), "sha256": new.cert.sha256, "usable": True, "sample": sample.cert.pem(), "error": "",
    }  # fmt: skip
    assert found["previous"]["sha256"] == old.cert.sha256 and found["previous"]["sample"] == ""
    assert found["active_key_matches"] is True

    # halves and strangers
    (staged / "ca.key").unlink()
    (previous / "ca.key").write_bytes(new.key_pem)
    (cp.certs / "ca.key").write_bytes(new.key_pem)
    found = cp.read(**dirs)
    assert not found["staged"]["usable"] and not found["previous"]["usable"]
    assert found["active_key_matches"] is False
    (staged / "ca.crt").write_bytes(new.pem + new.key_pem)
    assert "there is a private key in it, so it was not read" in cp.read(**dirs)["staged"]["error"]


@pytest.mark.parametrize(("kind", "words"), [("missing", "no such file"), ("directory", "is a directory")])
def test_an_unusable_environment_file_says_why(cp: Cp, kind: str, words: str) -> None:
    cp.env.unlink()
    if kind == "directory":
        cp.env.mkdir()
    found = cp.read()
    assert found["pool"]["error"] == f"{cp.env}: {words}"
    assert found["auto_ca_gen"] is None and found["pool"]["raw"] is None


def log(cp: Cp, *lines: str) -> str:
    cp.log.write_text("".join(line + "\n" for line in lines))
    return f"cat {cp.log}"


START = "2026-05-03T10:00:00Z INFO  starting Quazzar Control Center version=1.2"


@pytest.mark.parametrize(
    ("lines", "count", "since_boot"),
    [
        ([START, f"x {GRACE} a", f"x {GRACE} b", "listening"], 2, True),
        ([START, f"x {GRACE} a", START, "listening"], 0, True),
        ([START, f"x {GRACE} a", START, f"x {GRACE} a", f"x {GRACE} b", "other"], 2, True),
        ([f"x {GRACE} a", "listening"], 1, False),
        (["listening"], 0, False),
    ],
)
def test_boot_lines_since_the_last_start(cp: Cp, lines: list[str], count: int, since_boot: bool) -> None:
    boot = cp.read(log_command=log(cp, *lines))["boot"]
    assert (boot["loaded_count"], boot["since_boot"]) == (count, since_boot)
    assert ("boot_pattern" in boot["error"]) is not since_boot


def test_the_patterns_are_the_operators(cp: Cp) -> None:
    command = log(cp, "BOOT", "extra CA 1", "extra CA 2", "BOOT", "extra CA 1")
    assert (
        cp.read(log_command=command, grace_log_pattern="^extra CA", boot_pattern="^BOOT$")["boot"]["loaded_count"] == 1
    )
    result = act(ActionModule, cp.args(log_command=command, grace_log_pattern="("))
    assert result["failed"] and "grace_log_pattern" in result["msg"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cat /nonexistent/cp.log", "No such file"),
        ("true", "printed nothing"),
        ("echo some; exit 3", "exit status 3"),
        ("sleep 30", "must not follow the log"),
        ("no-such-command-here", "not found"),
    ],
)
def test_a_missing_log_is_null_not_zero(cp: Cp, command: str, words: str) -> None:
    boot = cp.read(log_command=command, timeout=1)["boot"]
    assert boot["loaded_count"] is None and words in boot["error"]


def test_a_long_log_counts_its_end(cp: Cp) -> None:
    command = f"yes 'another line of the log' | head -n 300000; cat {cp.log}"
    log(cp, START, f"x {GRACE} a")
    assert cp.read(log_command=command)["boot"]["loaded_count"] == 1


class Lost(ActionModule):
    def perform(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        def run(*args: t.Any, **more: t.Any) -> t.NoReturn:
            raise Unreachable("cp1: no route")

        self.host.run = run
        return super().perform(options)


def test_an_unreachable_host(cp: Cp) -> None:
    result = act(Lost, cp.args())
    assert result["unreachable"] is True and "cp1: no route" in result["msg"]


def test_an_unreachable_host_as_data_keeps_the_shape(cp: Cp) -> None:
    found = act(Lost, cp.args(tolerate=True))["replica"]
    assert found["reachable"] is False and found["error"] == "cp1: no route"
    assert found["active_ca_error"] == found["pool"]["error"] == found["boot"]["error"] == "cp1: no route"
    storage = found["storage"]
    assert storage["error"] == storage["key"]["error"] == storage["key_copies_error"] == "cp1: no route"
    assert set(found) == set(cp.read())


def test_a_wrong_address_fails_or_is_data() -> None:
    assert "panel.example.com:8443" in act(ActionModule, {"address": "panel"})["msg"]
    found = act(ActionModule, {"address": "panel", "tolerate": True, "name": "one"})["replica"]
    assert found["name"] == "one" and found["reachable"] is True and "address" in found["error"]


def test_only_the_listener_needs_no_host() -> None:
    found = act(Lost, {"address": "127.0.0.1:1", "timeout": 5})["replica"]
    assert found["listening"] is False and "refused" in found["listener_error"]
    assert found["reachable"] is True


def mounted(path: pathlib.Path) -> tuple[str, str]:
    """Where the file system of a path is mounted, and its type, as the kernel says it."""
    place = path.resolve()
    while not os.path.ismount(place):
        place = place.parent
    rows = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    return str(place), [row[row.index("-") + 1] for row in rows if row[4] == str(place)][-1]


def test_where_the_certificates_lie_and_who_may_touch_them(cp: Cp) -> None:
    cp.certs.chmod(0o750)
    (cp.certs / "ca.key").chmod(0o640)
    owner = pwd.getpwuid(os.getuid()).pw_name
    mount, kind = mounted(cp.certs)
    found = cp.read()["storage"]
    container = found.pop("container")
    assert found == {
        "path": str(cp.certs),
        "error": "",
        "mount": mount,
        "file_system": kind,
        "mode": "750",
        "owner": owner,
        "key": {"path": f"{cp.certs}/ca.key", "mode": "640", "owner": owner, "error": ""},
        "key_copies": [],
        "key_copies_error": "",
    }
    assert container == any(os.path.exists(mark) for mark in ("/.dockerenv", "/run/.containerenv"))


def test_a_directory_behind_a_link_is_where_it_really_is(cp: Cp) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        real = pathlib.Path(memory) / "with blank"
        shutil.copytree(cp.certs, real)
        shutil.rmtree(cp.certs)
        cp.certs.symlink_to(real)
        found = cp.read()["storage"]
    assert (found["mount"], found["file_system"]) == ("/dev/shm", "tmpfs")


def test_a_directory_that_is_not_there(cp: Cp) -> None:
    gone = str(cp.certs) + "-gone"
    found = cp.read(certs_dir=gone)["storage"]
    assert found["error"] == found["key"]["error"] == f"{gone}: no such file"
    assert (found["mount"], found["mode"], found["key"]["mode"]) == ("", "", "")
    found = cp.read(certs_dir=str(cp.env))["storage"]
    assert found["error"] == f"{cp.env}: is not a directory"
    (cp.certs / "ca.key").unlink()
    assert cp.read()["storage"]["key"]["error"] == f"{cp.certs}/ca.key: no such file"
    assert cp.read(certs_dir="")["storage"] == replica._nothing("x", "")["storage"]


def test_every_copy_of_a_key_is_named_and_none_travels(
    cp: Cp, tmp_path: pathlib.Path, make_ca: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, pem = _bytes(cp.ca.key_pem), _bytes(cp.ca.pem)
    old = make_ca()
    (cp.legacy / "old.crt").write_bytes(_bytes(old.pem))
    (cp.legacy / "ca.key").write_bytes(key)
    (cp.legacy / ".hidden").write_bytes(b"text before\n" + key)
    (cp.legacy / "pair.pem").write_bytes(pem + key)
    (cp.certs / "ca.crt.old").write_bytes(pem + key)
    der = tmp_path / "old.der"
    der.write_bytes(old.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    odd, elsewhere = tmp_path / "with # mark.pem", tmp_path / "pool.pem"
    odd.write_bytes(pem + key)
    elsewhere.write_bytes(pem + key)
    cp.env.write_text(f"CC_TRUST_ADDITIONAL_CA_CERTS='{elsewhere},{odd},{der},{cp.legacy}/old.crt'\n")
    answers: list[t.Any] = []
    original = host_module.Host.run

    def run(self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        answers.append(original(self, *args, **more))
        return answers[-1]

    monkeypatch.setattr(host_module.Host, "run", run)
    found = cp.read()["storage"]
    inside = [cp.legacy / name for name in ("ca.key", ".hidden", "pair.pem")]
    copies = [*inside, cp.certs / "ca.crt.old", elsewhere, odd, der]
    assert found["key_copies"] == sorted(str(path) for path in copies)
    assert all(b"PRIVATE" not in content for answer in answers for content in answer.sections.values())


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_any_text_of_grep_is_read(text: str) -> None:
    for number, _line in replica._lines(text):
        assert number >= 0
