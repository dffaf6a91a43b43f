# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Read the registered evidence of a fleet out of hostvars, without a detour through Jinja.

A template over the results of thousands of nodes costs seconds each time; the raw variables cost microseconds.
"""

from __future__ import annotations

import pathlib
import typing as t
from datetime import datetime

from .._core import durations, waivers
from .._core.certificates import Certificate, normalise_fingerprint
from .._core.errors import InputError
from .._core.evidence import Settings
from .._core.headers import parse_dump
from .._core.intake import Raw, RawClaim
from .._core.registry import parse_time
from .action import utc_now
from .fleet import read_yaml

Options = t.Mapping[str, t.Any]


def variables(hostvars: t.Any, host: str) -> t.Mapping[str, t.Any]:
    """The variables of a host, not templated. A host that the inventory does not know has none; raw_get would fail for
    it in one way or another, depending on the version of Ansible."""
    if host not in hostvars:
        return {}
    found: t.Mapping[str, t.Any] = hostvars.raw_get(host)
    return found


def result(hostvars: t.Any, host: str, variable: str) -> dict[str, t.Any]:
    """All that a task registered for a host; an empty mapping when there is nothing."""
    found = variables(hostvars, host).get(variable)
    return dict(found) if isinstance(found, t.Mapping) else {}


def registered(hostvars: t.Any, host: str, variable: str, part: str) -> dict[str, t.Any]:
    """One part of what a task registered for a host; an empty mapping when there is nothing."""
    result = variables(hostvars, host).get(variable)
    found = result.get(part) if isinstance(result, t.Mapping) else None
    return dict(found) if isinstance(found, t.Mapping) else {}


def outcome(hostvars: t.Any, host: str, variable: str) -> tuple[str, str]:
    """How the re-registration of a host ended (empty: not tried in this run), and what its agent said after it."""
    result = variables(hostvars, host).get(variable)
    if not isinstance(result, t.Mapping):
        return "", ""
    agent = registered(hostvars, host, variable, "node").get("agent") or {}
    return str(result.get("outcome") or ""), str(agent.get("status") or "")


def handshake_up(hostvars: t.Any, host: str, variable: str) -> bool:
    """Whether the registered evidence of a node shows a handshake that is up in both directions."""
    shake = registered(hostvars, host, variable, "node").get("handshake") or {}
    return shake.get("to_cp") == "ok" and shake.get("to_node") == "accepted"


def identity(hostvars: t.Any, host: str) -> tuple[str, str]:
    """How a host is named in the CP's registry: (id or "", name)."""
    raw = variables(hostvars, host)
    known = hostvars[host] if "quazzar_instance_id" in raw or "quazzar_instance_name" in raw else {}
    return str(known.get("quazzar_instance_id") or ""), str(known.get("quazzar_instance_name") or host)


def tenants(hostvars: t.Any, host: str, variable: str, nodes: t.Iterable[str]) -> dict[str, str]:
    """In whose list of the registered registry each node is. A node that is in none, or in several, is left out."""
    owners: dict[tuple[str, str], set[str]] = {}
    for item in registered(hostvars, host, variable, "registry").get("instances") or ():
        for kind in ("id", "name"):
            owners.setdefault((kind, str(item.get(kind))), set()).add(str(item.get("tenant") or ""))
    found = {}
    for node in nodes:
        instance_id, name = identity(hostvars, node)
        mine = owners.get(("id", instance_id) if instance_id else ("name", name), set())
        if len(mine) == 1:
            found[node] = next(iter(mine))
    return found


def raw_evidence(options: Options, hostvars: t.Any) -> Raw:
    """Everything that was gathered for the frozen list. InputError when a file or an option cannot be used."""
    strangers = sorted({*options["rescued"]} - {*options["nodes"]})
    if strangers:
        raise InputError(f"quazzar_rescue_nodes names {', '.join(strangers)}, which is no host of quazzar_nodes")
    claims, witnesses, notes = _claims(options)
    registry = registered(hostvars, options["registry_host"], options["registry_var"], "registry")
    nodes = {name: registered(hostvars, name, options["node_var"], "node") for name in options["nodes"]}
    found, hosts = replicas(options, hostvars)
    known = {*nodes, *(str(item.get("name")) for item in registry.get("instances") or ())}
    held, gone = _waivers(options, known)
    return Raw(
        nodes=nodes,
        replicas=found,
        hosts=hosts,
        registry=registry or None,
        claims=claims,
        identities={name: identity(hostvars, name) for name in nodes},
        named=frozenset(normalise_fingerprint(t) for t in [*options["legacy_fingerprints"], *options["replaced"]]),
        retirable_paths=tuple(options["retirable_paths"]),
        quorum=options["legacy_quorum"],
        heartbeat_interval=durations.parse(options["heartbeat_interval"], "heartbeat_interval"),
        beats_from=options["heartbeat_source"],
        waivers=held,
        witnesses=witnesses,
        notes=notes + gone,
    )


def replicas(options: Options, hostvars: t.Any) -> tuple[dict[str, dict[str, t.Any]], dict[str, str]]:
    """The results of all replicas by name, and the host of each that has another name than its host (a pod)."""
    found: dict[str, dict[str, t.Any]] = {}
    hosts: dict[str, str] = {}
    for host in options["cp_hosts"]:
        several = result(hostvars, host, options["replica_var"]).get("replicas")
        if not several:
            found[host] = registered(hostvars, host, options["replica_var"], "replica")
            continue
        for each in several:
            name = f"{host}/{each.get('name')}"
            found[name], hosts[name] = dict(each), host
    return found, hosts


def workloads(options: Options, hostvars: t.Any) -> dict[str, dict[str, t.Any]]:
    """What the objects of each host that stands for a workload say; ``error`` where they could not be read."""
    found = {}
    for host in options["cp_hosts"]:
        told = result(hostvars, host, options["replica_var"])
        if told.get("replicas"):
            found[host] = dict(told.get("workload") or {"error": told["replicas"][0].get("error")})
    return found


def settings(options: Options) -> Settings:
    return Settings(
        pin_bundle=options["pin_bundle"],
        bundle_works={"unknown": None, "yes": True, "no": False}[options["bundle_works"]],
        roll_reissues=options["roll_reissues"],
        flip_possible=options["flip_possible"],
        evidence_max_age=durations.parse(options["evidence_max_age"], "evidence_max_age"),
        clock_skew=durations.parse(options["clock_skew"], "clock_skew"),
        leaf_lifetime=durations.parse(options["leaf_lifetime"], "leaf_lifetime"),
        switched_at=parse_time(options["switched_at"], "switched_at"),
        legacy_probes=options["legacy_probes"],
        rescued=frozenset(options["rescued"]),
        share=frozenset(options["share"]),
        sliced=options["sliced"] or bool(options["share"]),
        compromised=frozenset(normalise_fingerprint(text) for text in options["compromised"]),
        compromised_at=parse_time(options["compromised_at"], "compromised_at"),
        revoking=options["goal"] == "revoke",
        replaced=frozenset(normalise_fingerprint(text) for text in options["replaced"]),
        bridged=options["bridged"],
    )


def _claims(options: Options) -> tuple[tuple[RawClaim, ...], tuple[Certificate, ...], tuple[str, ...]]:
    """What is said to be the legacy CA. A header dump gives the CA certificates in it, its leaf as a witness, notes."""
    claims = [RawClaim(str(item["source"]), str(item["content"]).encode()) for item in options["claims"]]
    claims += [RawClaim(f"file {path}", _read(path)) for path in options["claim_files"]]
    witnesses: list[Certificate] = []
    notes: list[str] = []
    for path in options["claim_headers"]:
        try:
            dump = parse_dump(_read(path).decode("utf-8", "replace"))
        except InputError as error:
            raise InputError(f"headers in {path}: {error}") from error
        notes += [f"headers in {path}: {note}" for note in dump.notes]
        if dump.leaf is not None:
            witnesses.append(dump.leaf)
        claims += [RawClaim(f"headers in {path}", cert.pem().encode()) for cert in dump.chain if cert.is_ca]
    return tuple(claims), tuple(witnesses), tuple(notes)


def _read(path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file on the controller: {error.strerror}") from error


def _waivers(options: Options, known: t.Collection[str]) -> tuple[tuple[waivers.Waiver, ...], tuple[str, ...]]:
    """The waivers of this run, and notes. They are judged by its first plan, against the start of the run: one that
    ends, or loses its node, before the last plan must not break a run off whose acts it has let go ahead."""
    began = parse_time(options["run"].get("started"), "started") or utc_now()
    judged = options["run"].get("waivers")
    if judged is None:
        return _waivers_in(options["waivers_file"], known, began), ()
    held = waivers.parse(judged, known_nodes={str(item["node"]) for item in judged}, now=began)
    notes = (
        f"the waiver for {waiver.node} names nobody any more: the Control Panel's registry has listed that name when"
        " this run began, and not when it was read last; the next run would refuse it"
        for waiver in held
        if waiver.node not in known
    )
    return held, tuple(notes)


def _waivers_in(path: str | None, known: t.Collection[str], began: datetime) -> tuple[waivers.Waiver, ...]:
    if not path:
        return ()
    try:
        data = read_yaml(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"waivers file {path}: {error}") from error
    try:
        return waivers.parse(data, known_nodes=known, now=began)
    except InputError as error:
        raise InputError(f"waivers file {path}: {error}") from error
