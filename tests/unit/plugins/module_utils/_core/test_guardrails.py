# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import guardrails
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.evidence import Evidence, Replica, Settings
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.guardrails import (
    FAIL,
    PASS,
    UNKNOWN,
    Backup,
    Certificate,
    Checked,
    Dates,
    Facts,
    Limits,
    Log,
    Rule,
    Served,
    Storage,
)
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.guardrails_workload import (
    Claim,
    Flag,
    Workload,
)
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core import fleets
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.fleets import ACTIVE, DAY, NOW, OLD

KEPT = Storage(
    path="/certs", mount="/var", file_system="ext4", mode="700", owner="cc", key_path="/certs/ca.key",
    key_mode="600", key_owner="cc",
)  # fmt: skip
SERVED = Served("a" * 64, "CN=cp", NOW - 10 * DAY, NOW + 80 * DAY, False, "sha256", ("cp",), ("1.3.6.1.5.5.7.3.1",))
BACKUP = Backup("/backup/a.enc", NOW - DAY, DAY, True)
UNOPENED = replace(BACKUP, current=False, judged=False, error="/backup/a.enc: bad passphrase")


def replica(name: str = "cp1", **more: t.Any) -> Replica:
    fields = {"taken_at": NOW, "auto_ca_gen": False, "active_sha256": ACTIVE, "advertised": 1, **more}
    return fleets.replica(name, **fields)


def facts(*replicas: Replica, nodes: t.Iterable[t.Any] = (), more: t.Any = None, **parts: t.Any) -> Facts:
    """Everything as it should be, but for what is said otherwise."""
    evidence = fleets.evidence(*nodes, replicas=replicas or (replica(),), **(more or {}))
    names = [each.name for each in evidence.replicas]
    fields: dict[str, t.Any] = {
        "storage": dict.fromkeys(names, KEPT), "served": dict.fromkeys(names, (SERVED,)),
        "logs": dict.fromkeys(names, Log()), "backup": BACKUP,
        "dates": {ACTIVE: Dates(NOW - 300 * DAY, NOW + 3000 * DAY), OLD: Dates(NOW - 300 * DAY, NOW + 3000 * DAY)},
        **parts,
    }  # fmt: skip
    return Facts(evidence, **fields)


def rule(found: Facts, name: str) -> Rule:
    return next(each for each in guardrails.check(found).rules if each.id == name)


def said(found: Facts, name: str) -> list[tuple[str, str, str]]:
    return [(point.subject, point.verdict, point.found) for point in rule(found, name).points]


def test_all_is_well() -> None:
    checked = guardrails.check(facts(replica(), replica("cp2"), nodes=[fleets.node("n1"), fleets.node("n2")]))
    assert {each.verdict for each in checked.rules} == {PASS}
    assert {each.remedies for each in checked.rules} == {()}
    assert (checked.broken, checked.unknown) == ((), ())
    assert [cert.name for cert in checked.certificates] == [f"active CA {ACTIVE[:16]}", "cp1", "cp2", "n1", "n2"]


def test_nothing_is_known_of_a_replica_that_was_not_looked_at() -> None:
    blind = Replica("cp1", "", False, "not examined in this run", "unknown", None, None, (), "", None, None)
    checked = guardrails.check(Facts(Evidence(NOW, None, replicas=(blind,), nodes=(fleets.unreachable(),))))
    assert {each.verdict for each in checked.rules} == {UNKNOWN}
    assert all(each.remedies for each in checked.rules) and checked.certificates == ()
    nothing = guardrails.check(Facts(Evidence(NOW, None)))
    assert {each.verdict for each in nothing.rules} == {UNKNOWN}


def test_every_id_is_one_of_its_own() -> None:
    ids = [each.id for each in guardrails.RULES]
    assert len(set(ids)) == len(ids) == 17
    assert all(each.remedy and each.title for each in guardrails.RULES)


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({"file_system": "ext4", "mount": "/"}, PASS, "/certs is on ext4, mounted at /"),
        ({"file_system": "nfs4"}, PASS, "/certs is on nfs4, mounted at /var"),
        ({"file_system": "tmpfs"}, FAIL, "/certs is on tmpfs, mounted at /var: gone with the next start of the host"),
        ({"file_system": "ramfs"}, FAIL, "/certs is on ramfs, mounted at /var: gone with the next start of the host"),
        (
            {"file_system": "overlay", "mount": "/"}, FAIL,
            "/certs is on overlay, mounted at /: the writable layer of a container, gone with it",
        ),
        (
            {"file_system": "overlay"}, UNKNOWN,
            "/certs is on overlay, mounted at /var, of which it is not known whether it lasts",
        ),
        (
            {"file_system": "xfs", "mount": "/", "container": True}, UNKNOWN,
            "/certs is on xfs, mounted at /, and the host looks like a container, whose own file system may go with it",
        ),
        ({"file_system": "xfs", "container": True}, PASS, "/certs is on xfs, mounted at /var"),
        (
            {"file_system": "newfs"}, UNKNOWN,
            "/certs is on newfs, mounted at /var, of which it is not known whether it lasts",
        ),
        ({"file_system": "", "mount": ""}, UNKNOWN, "/certs: its mount point is not known"),
        ({"error": "/certs: no such file"}, UNKNOWN, "/certs: no such file"),
    ],
)  # fmt: skip
def test_the_volume(more: dict[str, t.Any], verdict: str, words: str) -> None:
    found = facts(storage={"cp1": replace(KEPT, **more)})
    assert said(found, "persistent-volume") == [("cp1", verdict, words)]


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [
        ("600", PASS),
        ("400", PASS),
        ("640", FAIL),
        ("604", FAIL),
        ("2600", PASS),
        ("610", FAIL),
        ("", UNKNOWN),
        ("x", UNKNOWN),
    ],
)
def test_the_mode_of_the_key(mode: str, verdict: str) -> None:
    [(_subject, found, words)] = said(facts(storage={"cp1": replace(KEPT, key_mode=mode)}), "ca-key-mode")
    assert found == verdict
    assert ("belongs to cc" in words) is (verdict != UNKNOWN)
    assert words.endswith(": not its owner alone may use it") is (verdict == FAIL)


def test_a_key_that_may_not_be_seen_is_not_known() -> None:
    hidden = replace(KEPT, key_mode="", key_error="/certs/ca.key: no such file")
    assert said(facts(storage={"cp1": hidden}), "ca-key-mode") == [("cp1", UNKNOWN, "/certs/ca.key: no such file")]


@pytest.mark.parametrize(
    ("mode", "verdict"), [("755", PASS), ("770", PASS), ("757", FAIL), ("1777", FAIL), ("", UNKNOWN)]
)
def test_the_mode_of_the_directory(mode: str, verdict: str) -> None:
    assert rule(facts(storage={"cp1": replace(KEPT, mode=mode)}), "certs-dir-mode").verdict == verdict


def test_copies_of_a_key() -> None:
    hidden = "/legacy: a file in it may not be read; is become missing?"
    one = replace(KEPT, copies=("/legacy/a.key", "/legacy/b.pem"), copies_error=hidden)
    words = "there is a private key in /legacy/a.key, /legacy/b.pem"
    assert said(facts(storage={"cp1": one}), "key-copies") == [("cp1", FAIL, words)]
    assert said(facts(storage={"cp1": replace(KEPT, copies_error=hidden)}), "key-copies") == [("cp1", UNKNOWN, hidden)]


def test_a_ca_that_makes_itself() -> None:
    unread = replica("cp3", auto_ca_gen=None, pool_error="/env: no such file")
    found = facts(replica(auto_ca_gen=True), replica("cp2"), unread, replica("cp4", auto_ca_gen=None))
    assert said(found, "auto-ca-gen") == [
        ("cp1", FAIL, "CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA"),
        ("cp2", PASS, "it is unset, or not true"),
        ("cp3", UNKNOWN, "/env: no such file"),
        ("cp4", UNKNOWN, "its environment file was not read"),
    ]
    assert rule(found, "auto-ca-gen").verdict == FAIL


@pytest.mark.parametrize(
    ("backup", "verdict", "words"),
    [
        (None, UNKNOWN, "quazzar_backup_dir is not set, so no backup was looked for"),
        (BACKUP, PASS, "/backup/a.enc is of the active CA and 1 day old"),
        (replace(BACKUP, age=timedelta(hours=5)), PASS, "/backup/a.enc is of the active CA and 5 hours old"),
        (replace(BACKUP, age=30 * DAY), PASS, "/backup/a.enc is of the active CA and 30 days old"),
        (replace(BACKUP, age=31 * DAY), FAIL, "/backup/a.enc is 31 days old, 30 days are allowed"),
        (replace(BACKUP, age=None), UNKNOWN, "it is not known when /backup/a.enc was made"),
        (replace(BACKUP, age=-DAY), UNKNOWN, "/backup/a.enc seems to be made in the future"),
        (replace(BACKUP, age=timedelta(seconds=-1)), PASS, "/backup/a.enc is of the active CA and 0 hours old"),
        (replace(BACKUP, current=False), FAIL, "/backup/a.enc is not of the active CA, or is damaged"),
        (replace(BACKUP, current=False, error="/backup/a.enc is damaged"), FAIL, "/backup/a.enc is damaged"),
        (replace(UNOPENED, age=30 * DAY), UNKNOWN, "/backup/a.enc: bad passphrase"),
        (replace(UNOPENED, age=31 * DAY), FAIL, "/backup/a.enc is 31 days old, 30 days are allowed"),
        (replace(UNOPENED, error=""), UNKNOWN, "nobody could look into /backup/a.enc"),
        (Backup(error="/backup: permission denied"), UNKNOWN, "/backup: permission denied"),
        (Backup(), FAIL, "there is none in quazzar_backup_dir"),
    ],
)
def test_the_backup(backup: Backup | None, verdict: str, words: str) -> None:
    assert said(facts(backup=backup), "ca-backup") == [("backup", verdict, words)]


def test_each_case_of_the_backup_says_what_to_do() -> None:
    def remedy(backup: Backup | None) -> tuple[str, ...]:
        return rule(facts(backup=backup), "ca-backup").remedies

    assert remedy(BACKUP) == ()
    assert remedy(replace(BACKUP, current=False)) == ("run ca_backup",)
    assert remedy(UNOPENED)[0].startswith("give this run the vault secret of the backups, and see that the file, and ")
    assert remedy(Backup(error="no")) == ("see that the controller may read quazzar_backup_dir, then run ca_backup",)
    assert remedy(None)[0].startswith("set quazzar_backup_dir, ")


@pytest.mark.parametrize(
    ("log", "verdict", "words"),
    [
        (Log(), PASS, "none from outside"),
        (Log(500), PASS, "none from outside"),  # all of them from internal networks
        (Log(9, outside={"192.0.2.1": 9}), PASS, "9 lines from 192.0.2.1 (9), too few for a steady stream"),
        (
            Log(12, outside={"192.0.2.1": 4, "192.0.2.2": 8}), FAIL,
            "12 lines on certificates of an unknown CA, from 192.0.2.2 (8), 192.0.2.1 (4)",
        ),
        (
            Log(12, nameless=10, outside={"192.0.2.1": 2}), UNKNOWN,
            "10 lines on certificates of an unknown CA that name no address",
        ),
        (Log(error="the log command gave no log"), UNKNOWN, "the log command gave no log"),
        (None, UNKNOWN, "its log was not read: quazzar_cp_log_command is not set"),
    ],
)  # fmt: skip
def test_the_log(log: Log | None, verdict: str, words: str) -> None:
    assert said(facts(logs={"cp1": log} if log else {}), "drift-log") == [("cp1", verdict, words)]


def test_how_many_lines_are_a_stream_is_the_operators() -> None:
    few = {"cp1": Log(3, outside={"192.0.2.1": 3})}
    assert rule(facts(logs=few, limits=Limits(drift_lines=3)), "drift-log").verdict == FAIL
    assert rule(facts(logs=few, limits=Limits(drift_lines=4)), "drift-log").verdict == PASS
    assert rule(facts(limits=Limits(drift_lines=0)), "drift-log").verdict == PASS


def test_replicas_that_differ() -> None:
    found = facts(replica(), replica("cp2", active=OLD, active_sha256=OLD), replica("cp3", active=None, error="lost"))
    assert said(found, "same-active-ca") == [
        ("cp1", FAIL, f"its active CA is {ACTIVE[:16]}"),
        ("cp2", FAIL, f"its active CA is {OLD[:16]}"),
        ("cp3", UNKNOWN, "lost"),
    ]
    one = facts(replica(), replica("cp2", active=None, error="lost"))
    assert rule(one, "same-active-ca").verdict == UNKNOWN


def test_a_replica_that_does_not_serve() -> None:
    down = replica("cp2", listening=False, error="connection refused")
    found = facts(replica(), down, served={"cp1": (SERVED,)})
    assert said(found, "replicas-serve")[1] == ("cp2", FAIL, "it does not serve at cp:8443: connection refused")
    assert said(found, "served-certificate")[1] == ("cp2", UNKNOWN, "connection refused")
    assert said(found, "server-expiry")[-1] == ("cp2", UNKNOWN, "connection refused")


def test_a_process_that_runs_with_something_else() -> None:
    pool = (fleets.entry(OLD),)
    stale = "expected the listener to advertise 2 CA names, found 1"
    found = facts(
        replica(pool=pool),
        replica("cp2", pool=pool, advertised=2),
        replica("cp3", pool=pool, advertised=None, loaded=1),
        replica("cp4", pool=pool, advertised=0),
        replica("cp5", pool_error="/env: no such file"),
    )
    assert said(found, "running-files") == [
        ("cp1", FAIL, stale),
        ("cp2", PASS, "its listener advertises 2 CA names, as its files say"),
        ("cp3", PASS, "its log tells of 1 additional CA, as its files do"),
        ("cp4", UNKNOWN, "neither its listener nor its log shows which CAs it has loaded"),
        ("cp5", UNKNOWN, "/env: no such file"),
    ]


def test_the_entries_of_the_pool() -> None:
    gone = fleets.entry(OLD, path="/gone.crt", keys=(), error="/gone.crt: no such file")
    over = fleets.entry(OLD, path="/over.crt", digests=(OLD,))
    dates = {ACTIVE: Dates(NOW - DAY, NOW + 3000 * DAY), OLD: Dates(NOW - 9 * DAY, NOW - DAY)}
    found = facts(replica(pool=(gone, over), advertised=2), replica("cp2"), dates=dates)
    assert said(found, "pool-entries") == [
        ("cp1", FAIL, "/gone.crt: no such file"),
        ("cp1", FAIL, f"/over.crt: the CA in it expired on {NOW - DAY:%Y-%m-%d}"),
        ("cp2", PASS, "0 entries, each of use"),
    ]
    assert said(found, "ca-expiry")[1] == (f"legacy CA {OLD[:16]}", FAIL, f"it expired on {NOW - DAY:%Y-%m-%d}")


def test_a_window_that_is_open_for_too_long() -> None:
    def pool(since: datetime | None, **more: t.Any) -> tuple[t.Any, ...]:
        return (fleets.entry(OLD, path="/legacy/old.crt", since=since, **more),)

    found = facts(
        replica(pool=pool(NOW - 91 * DAY), advertised=2),
        replica("cp2", pool=pool(NOW - 89 * DAY), advertised=2),
        replica("cp3", pool=pool(None), advertised=2),
        replica("cp4", pool=pool(NOW - 999 * DAY, retirable=False), advertised=2),
        replica("cp5", pool_error="/env: no such file"),
    )
    words = "/legacy/old.crt is there for 91 days, and no leaf lives longer than 90 days: nothing can still need it"
    assert said(found, "grace-window-age") == [
        ("cp1", FAIL, words),
        ("cp2", PASS, "/legacy/old.crt is there for 89 days"),
        ("cp3", UNKNOWN, "it is not known since when /legacy/old.crt is there"),
        ("cp4", PASS, "no grace window is open"),
        ("cp5", UNKNOWN, "/env: no such file"),
    ]
    patient = facts(replica(pool=pool(NOW - 91 * DAY)), more={"settings": Settings(leaf_lifetime=92 * DAY)})
    assert rule(patient, "grace-window-age").verdict == PASS


def test_pins() -> None:
    nodes = [
        fleets.node("good"),
        fleets.node("bridged", pins=(OLD, ACTIVE)),
        fleets.node("old", pins=(OLD,)),
        fleets.node("retired", pins=(ACTIVE, fleets.OLDER)),
        fleets.node("broken", pins=(), pin_error="/ca.crt: no such file"),
        fleets.unreachable("down"),
        fleets.Node("skipped"),
    ]
    stranger = fleets.instance("stranger")
    found = facts(replica(pool=(fleets.entry(OLD),), advertised=2), nodes=nodes, more={"strangers": (stranger,)})
    assert said(found, "node-pins") == [
        ("old", FAIL, "its pin does not hold the active CA"),
        ("retired", FAIL, f"its pin holds {fleets.OLDER[:16]}, which is retired"),
        ("broken", FAIL, "/ca.crt: no such file"),
        ("down", UNKNOWN, "no route"),
        ("skipped", UNKNOWN, "not examined in this run"),
        ("stranger", UNKNOWN, "in the Control Panel's registry, but not in the inventory"),
        ("nodes", PASS, "2 of 7 nodes pin the active CA and none that is retired"),
    ]
    closed = facts(nodes=nodes[:2])
    assert said(closed, "node-pins")[0] == ("bridged", FAIL, f"its pin holds {OLD[:16]}, which is retired")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"names": None}, "its certificate (CN=cp) has no subject alternative name"),
        ({"names": ()}, "its certificate (CN=cp) has no subject alternative name"),
        ({"signature_hash": "sha1"}, "its certificate (CN=cp) is signed with SHA1"),
        ({"signature_hash": "md5"}, "its certificate (CN=cp) is signed with MD5"),
        (
            {"usages": ("1.3.6.1.5.5.7.3.2",)},
            "the extended key usage of its certificate (CN=cp) is not that of a server",
        ),
        ({"usages": None}, ""),
        ({"usages": ("2.5.29.37.0",)}, ""),
        ({"signature_hash": "sha1", "self_signed": True}, ""),
    ],
)
def test_what_go_refuses(more: dict[str, t.Any], words: str) -> None:
    found = said(facts(served={"cp1": (replace(SERVED, **more),)}), "served-certificate")
    assert found == [("cp1", FAIL, words) if words else ("cp1", PASS, "CN=cp for cp")]


def test_the_rest_of_the_chain_needs_no_name() -> None:
    above = replace(SERVED, sha256="b" * 64, subject="CN=between", names=None, usages=None, signature_hash="sha1")
    [(_subject, verdict, words)] = said(facts(served={"cp1": (SERVED, above)}), "served-certificate")
    assert (verdict, words) == (FAIL, "the certificate CN=between in its chain is signed with SHA1")
    checked = guardrails.check(facts(served={"cp1": (SERVED, above, replace(above, sha256=ACTIVE))}))
    assert [cert.name for cert in checked.certificates if cert.kind == "server"] == ["cp1", "cp1: CN=between"]


@pytest.mark.parametrize(
    ("lived", "left", "verdict"),
    [(3000, 366, PASS), (3000, 364, FAIL), (200, 165, PASS), (300, 65, FAIL), (3000, -1, FAIL)],
)
def test_the_end_of_the_active_ca(lived: int, left: int, verdict: str) -> None:
    """A year before its end, or in the last third of a shorter life."""
    found = facts(dates={ACTIVE: Dates(NOW - lived * DAY, NOW + left * DAY)})
    assert rule(found, "ca-expiry").verdict == verdict


@pytest.mark.parametrize(("left", "verdict"), [(31, PASS), (29, FAIL), (-1, FAIL)])
def test_the_end_of_a_leaf(left: int, verdict: str) -> None:
    end = NOW + left * DAY
    node = fleets.node("n1", leaf_not_before=end - 90 * DAY, leaf_not_after=end)
    assert rule(facts(nodes=[node]), "leaf-expiry").verdict == verdict
    served = replace(SERVED, not_before=end - 90 * DAY, not_after=end)
    assert rule(facts(served={"cp1": (served,)}), "server-expiry").verdict == verdict
    undated = replace(node, leaf_not_before=None)
    assert rule(facts(nodes=[undated]), "leaf-expiry").verdict == verdict


def test_the_leaves() -> None:
    bare = fleets.node("bare", leaf_not_after=None, leaf_error="/client.crt: no such file")
    found = facts(nodes=[fleets.node("n1"), bare, fleets.unreachable("down")])
    assert said(found, "leaf-expiry") == [
        ("bare", UNKNOWN, "/client.crt: no such file"),
        ("down", UNKNOWN, "no route"),
        ("nodes", PASS, "the certificates of 1 of 3 nodes are not due"),
    ]


def test_a_ca_in_the_pool_is_due_when_a_leaf_by_it_could_outlive_it() -> None:
    theirs = fleets.entry(fleets.THEIRS, retirable=False, digests=(fleets.THEIRS,))
    pool = (fleets.entry(OLD, digests=(OLD,)), theirs)
    dates = {
        ACTIVE: Dates(NOW - DAY, NOW + 3000 * DAY),
        OLD: Dates(NOW - 3000 * DAY, NOW + 91 * DAY),
        fleets.THEIRS: Dates(NOW - 3000 * DAY, NOW + 89 * DAY),
    }
    found = {s: (v, w) for s, v, w in said(facts(replica(pool=pool, advertised=3), dates=dates), "ca-expiry")}
    assert found[f"legacy CA {OLD[:16]}"][0] == PASS
    assert found[f"other CA {fleets.THEIRS[:16]}"] == (FAIL, f"it expires in 89 days, on {NOW + 89 * DAY:%Y-%m-%d}")


DAYS = st.integers(-400, 4000)


@given(st.lists(DAYS, max_size=30))
def test_each_horizon_holds_the_one_before_it(lefts: list[int]) -> None:
    certs = [Certificate("node", str(number), NOW + left * DAY, DAY) for number, left in enumerate(lefts)]
    expired, *within = [
        {cert.name for cert in guardrails.ends_within(certs, NOW, days)} for days in (0, *guardrails.HORIZONS)
    ]
    assert within[0] <= within[1] <= within[2]
    assert not expired & within[2]
    assert {cert.name for cert in certs} - within[2] - expired == {
        c.name for c in certs if c.not_after > NOW + 365 * DAY
    }


@given(st.integers(1, 4000), st.floats(0, 0.66))
def test_no_certificate_is_due_in_the_first_two_thirds_of_its_life(life: int, share: float) -> None:
    born = NOW - share * life * DAY
    found = facts(
        nodes=[fleets.node("n1", leaf_not_before=born, leaf_not_after=born + life * DAY)],
        served={"cp1": (replace(SERVED, not_before=born, not_after=born + life * DAY),)},
        dates={ACTIVE: Dates(born, born + life * DAY)},
    )
    assert {rule(found, name).verdict for name in ("ca-expiry", "server-expiry", "leaf-expiry")} == {PASS}


@given(st.data())
def test_what_nobody_looked_at_breaks_no_rule(data: st.DataObject) -> None:
    """Take any part of the evidence of a good fleet away: a rule becomes unknown or stays as it is."""
    nodes = [fleets.node("n1"), fleets.node("n2")]
    whole = facts(replica(), replica("cp2"), nodes=nodes)
    lost = Replica("cp2", "", False, "no route", "unknown", None, None, (), "", None, None)
    replicas = [
        data.draw(st.sampled_from([replica(), replace(lost, name="cp1")])),
        data.draw(st.sampled_from([replica("cp2"), lost])),
    ]
    seen = [data.draw(st.sampled_from([node, fleets.unreachable(node.name), fleets.Node(node.name)])) for node in nodes]
    active = ACTIVE if any(each.active for each in replicas) else None
    parts = {
        "storage": data.draw(st.sampled_from([whole.storage, {}])),
        "served": data.draw(st.sampled_from([whole.served, {}])),
        "logs": data.draw(st.sampled_from([whole.logs, {}])),
        "dates": data.draw(st.sampled_from([whole.dates, {}])),
        "backup": data.draw(st.sampled_from([BACKUP, None])),
    }
    checked = guardrails.check(facts(*replicas, nodes=seen, more={"active": active}, **parts))
    assert checked.broken == ()
    assert [each.id for each in checked.rules] == [each.id for each in guardrails.RULES]


@given(st.lists(st.sampled_from([PASS, UNKNOWN, FAIL])))
def test_a_rule_is_as_good_as_the_worst_thing(verdicts: list[str]) -> None:
    points = tuple(guardrails.Point(str(number), verdict, "x") for number, verdict in enumerate(verdicts))
    made = guardrails._rule(guardrails.RULES[0], points)
    worst = FAIL if FAIL in verdicts else UNKNOWN if UNKNOWN in verdicts or not verdicts else PASS
    assert made.verdict == worst
    assert bool(made.remedies) == any(verdict != PASS for verdict in verdicts)
    assert Checked((made,), ()).broken == ((made,) if worst == FAIL else ())


CLAIM = Claim("certs", True, "", "Bound", ("ReadWriteMany",), "fast", "pv-1", "Retain")
IN_PODS = Workload("Deployment q/cc", "", 2, "/certs", "persistentVolumeClaim", "certs", (CLAIM,))


def pod(name: str, **more: t.Any) -> Replica:
    return replica(f"cp/{name}", runs_on="cp", **more)


def test_pods_as_they_should_be() -> None:
    checked = guardrails.check(facts(pod("a"), pod("b"), workloads={"cp": IN_PODS}))
    assert [each.id for each in checked.rules] == [each.id for each in (*guardrails.RULES, *guardrails.WORKLOAD_RULES)]
    assert {each.verdict for each in checked.rules if each.id not in ("leaf-expiry", "node-pins")} == {PASS}


def test_the_volume_of_a_pod_says_more_than_its_file_system() -> None:
    emptied = replace(IN_PODS, kind="emptyDir", claims=())
    words = "/certs is on the emptyDir volume certs: gone with the pod"
    found = facts(pod("a"), pod("b"), replica(), workloads={"cp": emptied})
    assert said(found, "persistent-volume") == [
        ("cp/a", FAIL, words),
        ("cp/b", FAIL, words),
        ("cp1", PASS, "/certs is on ext4, mounted at /var"),
    ]
    # what was seen in a pod stands, whatever its objects say, and a pod that nobody looked into has its objects
    seen = facts(pod("a"), pod("b"), storage={"cp/a": replace(KEPT, file_system="tmpfs")}, workloads={"cp": IN_PODS})
    assert [each[:2] for each in said(seen, "persistent-volume")] == [("cp/a", FAIL), ("cp/b", PASS)]
    unread = facts(pod("a"), workloads={"cp": Workload(error="forbidden")})
    assert said(unread, "persistent-volume") == [("cp/a", PASS, "/certs is on ext4, mounted at /var")]


def test_a_switch_elsewhere_in_the_workload() -> None:
    flag = Flag("migrate", "the workload's own env", True, init=True)
    found = facts(pod("a", auto_ca_gen=True), pod("b"), workloads={"cp": replace(IN_PODS, flags=(flag,))})
    assert said(found, "auto-ca-gen") == [
        ("cp/a", FAIL, "CC_ALLOW_AUTO_CA_GEN is true: with its volume lost it makes a new CA"),
        ("cp/b", PASS, "it is unset, or not true"),
        ("cp", FAIL, "init container migrate: CC_ALLOW_AUTO_CA_GEN is true, from the workload's own env"),
    ]
    assert rule(found, "auto-ca-gen").remedies == (
        "take CC_ALLOW_AUTO_CA_GEN out of the workload, wherever it is set, and wait for the rollout",
    )
    unread = facts(pod("a", auto_ca_gen=None), workloads={"cp": IN_PODS})
    assert said(unread, "auto-ca-gen")[0] == ("cp/a", UNKNOWN, "its environment was not read")


def test_what_is_to_be_done_in_a_pod_is_said_for_pods() -> None:
    stale = pod("a", pool=(fleets.entry(OLD),))
    down = pod("b", listening=False, error="connection refused")
    found = facts(stale, down, logs={"cp/a": Log(error="forbidden")}, workloads={"cp": IN_PODS})
    for name, words in (
        ("running-files", "delete that pod"),
        ("replicas-serve", "kubectl describe pod"),
        ("drift-log", "pods/log"),
    ):
        assert words in rule(found, name).remedies[0], name
    assert said(found, "drift-log") == [("cp/a", UNKNOWN, "forbidden"), ("cp/b", UNKNOWN, "its log was not read")]


def test_one_log_of_all_pods_is_the_workloads() -> None:
    log = Log(12, outside={"192.0.2.2": 12})
    found = facts(pod("a"), pod("b"), logs={"cp": log}, workloads={"cp": IN_PODS})
    assert said(found, "drift-log") == [("cp", FAIL, "12 lines on certificates of an unknown CA, from 192.0.2.2 (12)")]


@given(st.sampled_from(["", "none", "emptyDir", "csi", "persistentVolumeClaim"]), st.sampled_from([None, KEPT]))
def test_a_rule_on_pods_says_one_thing_of_each(kind: str, storage: Storage | None) -> None:
    stored = {"cp/a": storage} if storage else {}
    found = facts(pod("a"), replica(), storage=stored, workloads={"cp": replace(IN_PODS, kind=kind)})
    assert [point[0] for point in said(found, "persistent-volume")] == ["cp/a", "cp1"]
