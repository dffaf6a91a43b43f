# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action's tests do not see: the certificate beside a pair, and what a dry run leaves in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import ca_pair
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Host
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins import minting
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.hosts_double import action_of

DEFAULTS = {name: spec.get("default") for name, spec in ca_pair.ARGUMENT_SPEC.items()}


@pytest.fixture
def host():
    return Host(action_of("ca_info"), {"inventory_hostname": "cp1"})


@pytest.fixture
def options(tmp_path, make_ca):
    make_ca().write(tmp_path / "certs", "ca")
    return {**DEFAULTS, "dir": str(tmp_path / "staged"), "certs_dir": str(tmp_path / "certs")}


def present(host, options, **more):
    check = more.pop("check", False)
    return ca_pair.present(host, {**options, **more}, loader=None, check=check)


def sample_of(options):
    path = minting.pathlib.Path(options["dir"]) / "server-sample.crt"
    return minting.certificates.parse_bundle(path.read_bytes()).certificates[0] if path.exists() else None


def test_a_sample_is_made_only_for_a_name_and_again_when_it_is_of_no_use(host, options, make_ca, make_leaf):
    present(host, options)
    assert sample_of(options) is None
    assert present(host, options, server_name="cp.test")["changed"]
    first = sample_of(options)
    assert not present(host, options, server_name="cp.test")["changed"] and sample_of(options) == first

    path = minting.pathlib.Path(options["dir"]) / "server-sample.crt"
    stranger = make_leaf(make_ca(), names=["cp.test"])
    over = minting.NOW - timedelta(days=1)
    for content in (stranger.pem, b"garbage", b""):
        path.write_bytes(content)
        assert present(host, options, server_name="cp.test")["changed"]
        assert sample_of(options).issuer == first.issuer and sample_of(options).not_after > over


def test_a_dry_run_shows_nothing_of_a_pair_that_it_made_only_to_see_whether_it_can_be(host, options):
    told = present(host, options, check=True, server_name="cp.test")
    assert (told["sha256"], told["origin"], told["bridge"], told["changed"]) == ("", "made", "", True)
    assert told["diff"]["after"] == "" and not minting.pathlib.Path(options["dir"]).exists()


def test_there_is_no_bridge_to_the_ca_that_is_active_already(host, options, tmp_path):
    bridge = tmp_path / "bridge.crt"
    present(host, options)
    active = {**options, "keep_dir": str(tmp_path / "previous")}
    assert ca_pair.active(host, active, loader=None, check=False)["changed"]
    assert not present(host, options, bridge_path=str(bridge))["changed"] and not bridge.exists()


@pytest.mark.parametrize("path", ["staged", "", "/a\nb"])
def test_a_path_that_is_none_is_refused(host, options, path):
    for work in (ca_pair.present, ca_pair.active, ca_pair.absent):
        with pytest.raises(InputError, match="expected the absolute path"):
            work(host, {**options, "dir": path, "keep_dir": "/x"}, loader=None, check=True)


def test_what_is_shared_is_kept_for_its_own_task_only(host, options):
    present(host, options, shared_as="one run")
    kept = ca_pair._SHARED["one run"]
    assert kept.key_pem.decode() not in repr(kept) and b"PRIVATE" in kept.key_pem
    ca_pair.absent(host, options, loader=None, check=False)
    assert present(host, options, shared_as="another run")["origin"] == "made"
    ca_pair.absent(host, options, loader=None, check=False)
    assert present(host, options, shared_as="one run")["sha256"] == kept.certificate.sha256
