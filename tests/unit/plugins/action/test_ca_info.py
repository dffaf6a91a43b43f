# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import Unreachable
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import host as io_host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import act


@pytest.fixture(scope="module")
def cas(make_ca):
    return make_ca(name="First CA"), make_ca(name="Second CA")


def look(*paths, **options):
    found = act("ca_info", paths=[str(path) for path in paths], **options)
    assert "PRIVATE KEY" not in json.dumps(found)
    return found


def test_a_bundle_keeps_its_order_and_der_is_read_too(tmp_path, cas):
    bundle, der = tmp_path / "it's a bundle.pem", tmp_path / "one.der"
    bundle.write_bytes(cas[1].pem + b"\n" + cas[0].pem)
    der.write_bytes(cas[0].der)
    found = look(bundle, der, bundle)
    assert (found["changed"], found["reachable"], found["error"]) == (False, True, "")
    assert [file["path"] for file in found["files"]] == [str(bundle), str(der), str(bundle)]
    first, second, third = found["files"]
    assert first == third
    assert (first["form"], second["form"]) == ("pem", "der")
    assert [shown["sha256"] for shown in first["certificates"]] == [cas[1].cert.sha256, cas[0].cert.sha256]
    assert second["certificates"] == [cas[0].cert.as_dict()]
    assert first["error"] == second["error"] == ""


def test_pem_only_on_demand(tmp_path, cas):
    path = tmp_path / "one.der"
    path.write_bytes(cas[0].der)
    (plain,) = look(path)["files"][0]["certificates"]
    (full,) = look(path, include_pem=True)["files"][0]["certificates"]
    assert full == {**plain, "pem": cas[0].cert.pem()}
    assert "pem" not in plain


def test_a_private_key_is_flagged_and_stays_behind(tmp_path, cas):
    both, key = tmp_path / "both.pem", tmp_path / "ca.key"
    both.write_bytes(cas[0].key_pem + cas[0].pem)
    key.write_bytes(cas[0].key_pem)
    found = look(both, key, include_pem=True)
    assert [file["has_private_key"] for file in found["files"]] == [True, True]
    assert [len(file["certificates"]) for file in found["files"]] == [1, 0]
    secret = cas[0].key_pem.decode().splitlines()[1]
    assert secret not in json.dumps(found)


def test_one_bad_file_does_not_hide_the_others(tmp_path, cas):
    good, text, empty = (tmp_path / name for name in ("good.crt", "text.crt", "empty.crt"))
    good.write_bytes(cas[0].pem)
    text.write_text("geheim, no certificate")
    empty.write_bytes(b"")
    missing = tmp_path / "missing.crt"
    found = look(missing, tmp_path, text, empty, good)
    assert found.get("failed") is None
    errors = [file["error"] for file in found["files"]]
    assert errors[0] == f"{missing}: no such file"
    assert errors[1] == f"{tmp_path}: is a directory, a file was expected"
    assert errors[2].startswith(f"{text}: no certificate found") and "geheim" not in errors[2]
    assert errors[3:] == ["", ""]
    assert found["files"][3]["form"] == "empty" and found["files"][3]["notes"] == ["the file is empty"]
    assert [len(file["certificates"]) for file in found["files"]] == [0, 0, 0, 0, 1]
    assert len({tuple(file) for file in found["files"]}) == 1


def test_a_lost_host_fails_or_is_data_of_the_same_shape(tmp_path, cas, monkeypatch):
    path = tmp_path / "ca.crt"
    path.write_bytes(cas[0].pem)
    shape = look(path)["files"][0].keys()

    def run(self, *args, **more):
        raise Unreachable("node-7: no route")

    monkeypatch.setattr(io_host.Host, "run", run)
    assert look(path)["unreachable"] is True
    found = look(path, "/other.crt", tolerate=True)
    assert (found["reachable"], found["error"]) == (False, "node-7: no route")
    assert [(file["path"], file["error"]) for file in found["files"]] == [
        (str(path), "node-7: no route"),
        ("/other.crt", "node-7: no route"),
    ]
    assert all(file.keys() == shape for file in found["files"])


@pytest.mark.parametrize("check", [False, True])
def test_check_mode_looks_as_well(tmp_path, cas, check):
    path = tmp_path / "ca.crt"
    path.write_bytes(cas[0].pem)
    assert len(look(path, check=check)["files"][0]["certificates"]) == 1
