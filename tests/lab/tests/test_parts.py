# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small parts that need no process."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from quazzar_lab import auth, faults, pki, start
from quazzar_lab.beats import BeatLog
from quazzar_lab.options import OPTIONS, OptionError, Options, option_table, parse, seconds
from quazzar_lab.paths import node_address, write_json
from quazzar_lab.processes import LabError, parse_env

CONTRACT_ROWS = """
CP API base, path prefix
login body, token path in the answer
a ready-made bearer token instead of a login
token request body; where the token is in the answer
tokens supplied by hand (UI only)
instance list: id, name, status, last seen
which statuses are active
how an instance maps to an inventory host
register path, body, success
called from where
OS credentials
agent status endpoint and its meaning
node files: pin, leaf, leaf key
node log and the documented line
CP files, where to put legacy CAs
which platform, hosts, environment file, restart
mTLS address, API CA, TOTP secret, tenants
is the registry list complete; list without API access
revoke a token
heartbeat interval; agent's view needs registration
server name to verify
agent restart needed after a pin change
boot log line, drift log pattern
""".strip().splitlines()


def test_every_open_point_has_an_option() -> None:
    """Kubernetes names, replicas to probe and LB CIDRs are no habits of the product but of where it runs."""
    assert {option.row for option in OPTIONS.values()} - {""} == set(CONTRACT_ROWS)


def test_go_finds_the_right_one_of_two_cas_with_one_name() -> None:
    old, new = pki.make_ca(key_ids=False), pki.make_ca(key_ids=False)
    leaf = pki.issue(new, "inst_1", pki.new_key().public_key(), key_ids=False)
    at = pki.now()
    assert pki.verify(leaf, [old.cert, new.cert], at) == pki.verify(leaf, [new.cert, old.cert], at) == ""
    assert "ECDSA verification failure" in pki.verify(leaf, [old.cert], at)
    other = pki.make_ca("Another CA")
    assert pki.verify(leaf, [other.cert], at) == pki.UNKNOWN_AUTHORITY


def test_a_bridge_leads_from_the_new_leaf_to_the_old_ca() -> None:
    old, new = pki.make_ca(), pki.make_ca()
    bridge = pki.cross_sign(new.cert, old)
    leaf = pki.issue(new, "cp", pki.new_key().public_key(), server_names=["cp.test"])
    at = pki.now()
    assert pki.verify(leaf, [old.cert], at, intermediates=[bridge], server_name="cp.test") == ""
    assert pki.verify(leaf, [old.cert], at, server_name="cp.test")
    assert "valid for cp.test, not other" in pki.verify(leaf, [new.cert], at, server_name="other")


def test_go_refuses_names_in_the_subject_alone_and_late_cas() -> None:
    ca = pki.make_ca(lifetime=60)
    leaf = pki.issue(ca, "cp.test", pki.new_key().public_key())
    assert "legacy Common Name" in pki.verify(leaf, [ca.cert], pki.now(), server_name="cp.test")
    late = pki.now() + dt.timedelta(seconds=90)
    assert "has expired" in pki.verify(leaf, [ca.cert], late)


def test_environment_files_are_read_as_systemd_does() -> None:
    text = (
        '# c=1\n; c=1\nA=1\nexport B=\'x y\'\nC="q \\"z\\""\r\nA=2\nD=/a,/b # no comment here\nnonsense\nE=one\\\ntwo\n'
    )
    assert parse_env(text, "systemd") == {
        "A": "2", "B": "x y", "C": 'q "z"', "D": "/a,/b # no comment here", "E": "onetwo",
    }  # fmt: skip
    assert parse_env("D=/a,/b # a comment\nF='x' # y\n", "compose") == {"D": "/a,/b", "F": "x"}


def test_options_for_the_lab_and_for_one_node(tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    write_json(path, parse(["bundle=first", "node03.bundle=refuse", "tickets=off"]))
    options = Options(path)
    assert (options.get("bundle"), options.get("bundle", "node03"), options.get("tickets")) == (
        "first",
        "refuse",
        False,
    )
    write_json(path, {})
    assert options.get("bundle", "node03") == "all", "the file is read again when it changes"
    assert [seconds(text) for text in ("90d", "1.5s", "500ms", "2", "1h")] == [7776000, 1.5, 0.5, 2, 3600]
    with pytest.raises(OptionError):
        seconds("soon")


def test_faults_wear_out_and_match(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    faults.add(path, "cp", "503", count=1, path="/api/fleet")
    mine = faults.Faults(path, "cp", "cp1")
    assert mine.get("http", path="/api/auth") is None
    assert (mine.get("http", path="/api/fleet/x") or {})["value"] == "503"
    assert mine.get("http", path="/api/fleet/x") is None
    faults.add(path, "node01", "clock", value="5")
    assert mine.value("clock") == 0 and mine.value("clock", "node01") == 5
    assert faults.clear(path, "node01", None) == 1
    with pytest.raises(ValueError, match="unknown fault"):
        faults.add(path, "cp", "nonsense")


def test_totp_is_that_of_rfc_6238() -> None:
    assert auth.totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 59) == "287082"
    token = auth.make_jwt({"kind": "cp"}, "key", 60)
    assert auth.read_jwt(token, "key", "cp") and not auth.read_jwt(token, "other", "cp")
    assert not auth.read_jwt(token, "key", "os") and not auth.read_jwt("x.y", "key", "cp")
    assert not auth.read_jwt(auth.make_jwt({"kind": "cp"}, "key", -1), "key", "cp")


def test_addresses_go_on_in_the_next_net() -> None:
    assert [node_address("127.20", number) for number in (1, 250, 251)] == ["127.20.1.1", "127.20.1.250", "127.20.2.1"]


def test_beats_are_counted_from_the_restored_link() -> None:
    log = BeatLog()
    log.delivered.extend([100.0, 110.0, 111.0, 113.0])
    log.missed.extend([(101.0, "a"), (105.0, "b"), (112.0, "c")])
    report = log.report(100.5, 1.0, [(112.1, 112.9)])
    assert (report["delivered"], report["missed"], report["missed_since_up"], report["starved"]) == (3, 3, 1, 1)
    assert report["without_link"] == 9.0 and report["last_reason"] == "c" and not report["up"]


def test_the_readme_lists_the_options() -> None:
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    assert readme.endswith(option_table() + "\n"), "python -m quazzar_lab options >> README.md"


def test_a_block_is_of_one_lab_from_the_first_moment_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before anything listens there: pods come up first."""
    monkeypatch.setattr(start, "AUTO_BLOCKS", range(121, 123))
    with start._claimed("auto") as first, start._claimed("auto") as second:
        assert {first, second} == {"127.121", "127.122"}
        with pytest.raises(LabError, match=r"no free block of loopback addresses between 127\.121 and 127\.122"):
            start._claimed("auto").__enter__()
        with pytest.raises(LabError, match=rf"^{first}\.0\.200:8099 is in use: another lab runs on block {first};"):
            start._claimed(first).__enter__()
    with start._claimed(first) as again:
        assert again == first
