# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import backups, pairs
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting

CA = minting.make_ca()
OTHER = minting.make_ca()
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=timezone.utc)
VAULT = VaultLib([("x", VaultSecret(b"secret"))])
PLAIN = CA.pem + CA.key_pem
FILES = [VAULT.encrypt(PLAIN), VAULT.encrypt(PLAIN, vault_id="prod"), VAULT.encrypt(b"x")]


def entry_of(minted, moment):
    found = backups.entry(backups.file_name(minted.cert, moment))
    assert found is not None
    return found


@given(st.datetimes(datetime(2000, 1, 1), datetime(9999, 12, 31)), st.integers(-12, 14))
def test_a_name_says_whose_backup_it_is_and_from_when(moment, hours):
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    if not 2000 <= moment.astimezone(timezone.utc).year <= 9999:
        return
    found = entry_of(CA, moment)
    assert (found.ca, found.made_at) == (CA.cert.sha256[:16], moment)


def test_the_name():
    assert backups.file_name(CA.cert, NOW) == f"{CA.cert.sha256[:16]}-20261125T093000Z.vault"


@pytest.mark.parametrize(
    "name",
    [
        "", "ca.vault", "0123456789abcdef-20261125T093000Z", "0123456789ABCDEF-20261125T093000Z.vault",
        "0123456789abcdef-20261325T093000Z.vault", "0123456789abcdef-20261125T096000Z.vault",
        ".0123456789abcdef-20261125T093000Z.vault.ab12", "0123456789abcdef-20261125T093000Z.vault\n",
        "0123456789abcdef-\u0662\u0660261125T093000Z.vault",
    ],
)  # fmt: skip
def test_other_files_are_no_backups(name):
    assert backups.entry(name) is None


def test_the_newest_one_of_the_active_ca():
    day = timedelta(days=1)
    mine, older, others = entry_of(CA, NOW - 3 * day), entry_of(CA, NOW - 9 * day), entry_of(OTHER, NOW - day)
    later = entry_of(CA, NOW + day)
    every = [older, later, others, mine]
    assert backups.newest(every, CA.cert, NOW) == mine
    assert backups.newest(every, OTHER.cert, NOW) == others
    # of an active CA that has none, and of one that nobody could look at
    assert backups.newest(every, minting.make_ca().cert, NOW) == others
    assert backups.newest(every, None, NOW) == others
    assert backups.newest([], CA.cert, NOW) is None and backups.newest([later], CA.cert, NOW) is None
    assert backups.from_the_future(every, NOW) == [later]
    # two clocks are never quite the same
    near = entry_of(CA, NOW + timedelta(minutes=4))
    assert backups.newest([near, mine], CA.cert, NOW) == near and backups.from_the_future([near], NOW) == []
    assert backups.age(near.made_at, NOW) == 0 and backups.age(mine.made_at, NOW) == 3 * 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172799, "47 h"), (172800, "2 d")],
)
def test_an_age_in_words(seconds, words):
    assert backups.in_words(seconds) == words


def test_certificate_first_then_the_key():
    assert backups.content(pairs.parse(CA.pem, CA.key_pem, "x")) == PLAIN


@pytest.mark.parametrize("data", [*FILES, *(data.replace(b"\n", b"\r\n") for data in FILES)])
def test_a_whole_file_of_ansible_vault(data):
    assert backups.damage(data) == ""
    assert backups.damage(data.rstrip()) == ""


@given(st.sampled_from(FILES), st.data())
def test_a_file_that_is_cut_off_is_damaged_for_certain(data, draw):
    # A ciphertext may be cut at the end of one of its blocks, and is then told from a wrong password no more.
    length = draw.draw(st.integers(0, len(data) - 2))
    cut = data[:length]
    if backups.damage(cut) == "":
        assert (len(data) - length) >= 64
    if length < 200:
        assert backups.damage(cut)


@given(st.binary(max_size=300))
def test_anything_else_is_damaged(data):
    assert backups.damage(data)


@given(st.sampled_from(FILES[:2]), st.data())
def test_what_is_said_to_be_damaged_cannot_be_decrypted(data, draw):
    """One byte of the body is another one, or gone. (A carriage return is a line's end to Ansible Vault.)"""
    at = draw.draw(st.integers(data.index(b"\n") + 1, len(data) - 2))
    put = draw.draw(st.binary(max_size=1).filter(lambda byte: byte not in (b"\r", b"\n")))
    changed = data[:at] + put + data[at + 1 :]
    if data[at : at + 1] == b"\n" or not backups.damage(changed):
        return
    with pytest.raises(AnsibleError):
        VAULT.decrypt(changed)


@pytest.mark.parametrize(
    ("how", "reasons"),
    [
        ({}, ()),
        ({"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=1)}, ()),
        ({"not_before": NOW + timedelta(days=9)}, ()),
        ({"key_usage": None}, ()),
        ({"is_ca": False}, ("it is not a CA certificate (no CA:TRUE)",)),
        ({"key_usage": False}, ("its key usage does not allow signing certificates (no keyCertSign)",)),
    ],
)
def test_what_is_a_ca(how, reasons):
    assert backups.judge(minting.make_ca(**how).cert, NOW) == reasons
