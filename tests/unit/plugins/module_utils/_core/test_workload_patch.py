# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import re
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core import pool, workload, workload_patch
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.workload import Source
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.workload_patch import Change, Legacy, Patch
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.module_utils._core.workloads import (
    CP,
    POOL,
    Tree,
    all_of,
    box,
    by,
    made,
    merged,
)

CERTS, LEGACY = "/var/lib/quazzar-cc/certs", "/var/lib/quazzar-cc/legacy"
NAME = "quazzar-legacy-cas"
OTHER_KEY = "DATABASE_PASSWORD"


class Api:
    """The objects, as an API server holds them; patches are applied by the model of one."""

    def __init__(self, found: Tree, objects: t.Mapping[tuple[str, str], Tree] | None = None) -> None:
        self.found, self.held = copy.deepcopy(found), copy.deepcopy(dict(objects or {}))

    @property
    def box(self) -> t.Any:
        return workload.container(self.found, CP)

    @property
    def source(self) -> Source:
        return workload.source(self.box, POOL, self.held)

    def legacy(self, kind: str = "ConfigMap") -> Legacy:
        return workload_patch.legacy(self.found, self.box, LEGACY, kind, NAME)

    def change(
        self,
        add: t.Sequence[str] = (),
        remove: t.Sequence[str] = (),
        env_source: str = "follow",
        place: Legacy | None = None,
        unmount: bool = False,
        keys: t.Collection[str] = ("a.crt", "b.crt"),
    ) -> Change:
        how = {"env_source": env_source, "place": place, "unmount": unmount, "keys": keys}
        return workload_patch.change(self.found, self.box, POOL, self.source, add=add, remove=remove, **how)

    def apply(self, definition: t.Mapping[str, t.Any]) -> None:
        kind, about = definition["kind"], definition["metadata"]
        body = {name: value for name, value in definition.items() if name not in ("apiVersion", "kind")}
        assert set(body.pop("metadata")) == {"name", "namespace"}
        if kind in workload.KINDS:
            assert (kind, about["name"]) == (self.found["kind"], self.found["metadata"]["name"])
            assert definition["apiVersion"] == self.found["apiVersion"]
            self.found = merged(self.found, body)
            return
        assert definition["apiVersion"] == "v1"
        if kind == "Secret":  # written in text, kept with the other values
            body["data"] = body.pop("stringData")
        self.held[kind, about["name"]] = merged(self.held[kind, about["name"]], body)

    def apply_all(self, change: Change) -> None:
        for patch in change.patches:
            self.apply(workload_patch.manifest(patch, "quazzar"))

    def rest(self) -> t.Any:
        """Everything that a change of the pool may not touch."""
        found, held = copy.deepcopy(self.found), copy.deepcopy(self.held)
        spec = found["spec"]["template"]["spec"]
        spec["volumes"] = [each for each in spec.get("volumes") or () if each["name"] != workload.VOLUME]
        for each in spec["containers"]:
            if each["name"] == CP:
                each["env"] = [entry for entry in each.get("env") or () if entry["name"] != POOL]
                each["volumeMounts"] = [m for m in each.get("volumeMounts") or () if m["name"] != workload.VOLUME]
        meta = found["spec"]["template"].get("metadata") or {}
        notes = {key: value for key, value in (meta.get("annotations") or {}).items() if key != workload_patch.STAMP}
        found["spec"]["template"]["metadata"] = {**meta, "annotations": notes}
        for each in held.values():
            each["data"] = {key: value for key, value in each["data"].items() if key not in (POOL, "pool")}
        return found, held


PATHS = [f"{LEGACY}/{name}.crt" for name in ("a", "b")] + [f"{CERTS}/ca.crt.old", "/etc/theirs.pem"]
ENTRIES = st.lists(st.sampled_from(PATHS), unique=True, max_size=3)


@st.composite
def _apis(draw: t.Any) -> Api:
    """A workload with its variable in any place, and legacy CAs mounted from any object, or from none."""
    value = ",".join(draw(ENTRIES))
    stands = draw(st.sampled_from(["nowhere", "value", "key", "whole", "absent key"]))
    kind = draw(st.sampled_from(["ConfigMap", "Secret"]))
    container = box(volumeMounts=[{"name": "certs", "mountPath": CERTS}], env=[{"name": "LOG", "value": "info"}])
    if draw(st.booleans()):
        del container["env"]
    objects: dict[tuple[str, str], Tree] = {(kind, "settings"): {"data": {OTHER_KEY: "hunter22"}}}
    data = objects[kind, "settings"]["data"]
    if stands == "value":
        container.setdefault("env", []).append({"name": POOL, "value": value})
    elif stands == "key":
        data["pool"] = value
        container.setdefault("env", []).append(by(kind, "settings", "pool"))
    elif stands == "absent key":
        container.setdefault("env", []).append(by(kind, "settings", "pool", optional=True))
    elif stands == "whole":
        data[POOL] = value
        container["envFrom"] = [all_of(kind, "settings")]
    elif draw(st.booleans()):
        container["envFrom"] = [all_of(kind, "settings")]
    volumes: list[Tree] = [{"name": "certs", "persistentVolumeClaim": {"claimName": "cp-certs"}}]
    mounted = draw(st.sampled_from([None, {"configMap": {"name": "ours"}}, {"secret": {"secretName": "ours"}}]))
    if mounted:
        volumes.append({"name": "cas", **mounted})
        container["volumeMounts"].append({"name": "cas", "mountPath": LEGACY + draw(st.sampled_from(["", "/"]))})
    side = {"name": "log-shipper", "env": [{"name": POOL, "value": "not this one"}]}
    around = draw(st.permutations([container, side]))
    kinds = draw(st.sampled_from(workload.KINDS))
    found = made(*around, kind=kinds, pod={"volumes": volumes})
    if draw(st.booleans()):
        found["spec"]["template"]["metadata"] = {"labels": {"app": "cc"}, "annotations": {"theirs": "1"}}
    return Api(found, objects)


PLACES = st.sampled_from(["ConfigMap", "Secret", "volume"])


@settings(max_examples=500, deadline=None)
@given(_apis(), ENTRIES, PLACES)
def test_a_change_gives_the_variable_its_value_and_touches_nothing_else(api: Api, add: list[str], place: str) -> None:
    before, rest = api.source, api.rest()
    new = [path for path in add if path not in pool.entries(before.value)]
    wanted = None if place == "volume" else api.legacy(place)
    change = api.change(add, place=wanted)
    assert (change.before, pool.entries(change.value)) == (before.value, (*pool.entries(before.value), *new))
    api.apply_all(change)
    assert api.source.value == change.value and api.rest() == rest
    # Where it stood it stands still, unless it stood nowhere.
    assert (api.source.kind, api.source.name) == (before.kind, before.name) or before.kind == "absent"
    ours = [path for path in add if path.startswith(f"{LEGACY}/")]
    if wanted and ours:
        seen = api.legacy(place)
        assert (seen.kind, seen.name, seen.mounted) == (wanted.kind, wanted.name, True)
    elif place == "volume" or not ours:
        assert workload.VOLUME not in str(api.found)
    # Again: nothing to do.
    again = api.change(add, place=None if place == "volume" else api.legacy(place))
    assert (again.patches, again.rolls, again.value) == ((), False, change.value)
    # And back.
    back = api.change([], new, place=wanted)
    api.apply_all(back)
    assert api.source.value == before.value and api.rest() == rest
    assert back.rolls == bool(new)


@settings(max_examples=300, deadline=None)
@given(_apis(), ENTRIES, PLACES)
def test_whatever_changes_the_pool_makes_the_pods_anew(api: Api, add: list[str], place: str) -> None:
    template = copy.deepcopy(api.found["spec"]["template"])
    change = api.change(add, place=None if place == "volume" else api.legacy(place))
    api.apply_all(change)
    assert change.rolls == (api.found["spec"]["template"] != template)
    assert change.rolls or not change.patches


@settings(max_examples=200, deadline=None)
@given(_apis(), ENTRIES, PLACES)
def test_the_forms_hold_the_same_change(api: Api, add: list[str], place: str) -> None:
    change = api.change(add, place=None if place == "volume" else api.legacy(place))
    told = workload_patch.forms("quazzar", change, POOL, api.box)
    patched, written = Api(api.found, api.held), Api(api.found, api.held)
    patched.apply_all(change)
    for definition in told["strategic_merge"].values():
        assert definition["metadata"]["namespace"] == "quazzar"
        written.apply(definition)
    assert (written.found, written.held) == (patched.found, patched.held)
    assert told["kustomize"] == {"patches": [{"path": name} for name in told["strategic_merge"]]}
    helm = told["helm"]
    if "extraEnv" in helm:
        assert helm["extraEnv"] == ([{"name": POOL, "value": change.value}] if change.value else [])
    spec = patched.found["spec"]["template"]["spec"]
    for mount, volume in zip(helm.get("extraVolumeMounts", ()), helm.get("extraVolumes", ()), strict=True):
        assert mount in patched.box["volumeMounts"]
        assert {name: value for name, value in volume.items() if value is not None} in spec["volumes"]
    for note in helm.get("podAnnotations", {}).items():
        assert note in patched.found["spec"]["template"]["metadata"]["annotations"].items()
    assert bool(helm) == bool(change.patches)
    assert {name for name in helm if " " in name} == {
        f"{patch.kind} {patch.name}" for patch in change.patches if patch.kind not in workload.KINDS
    }


def test_the_forms_of_a_first_opening() -> None:
    api = Api(made())
    change = api.change([f"{LEGACY}/a.crt"], place=api.legacy())
    told = workload_patch.forms("quazzar", change, POOL, api.box)
    assert list(told["strategic_merge"]) == ["deployment-quazzar-cc.yml"]
    mount = {"name": NAME, "mountPath": LEGACY, "readOnly": True}
    assert told["helm"] == {
        "extraEnv": [{"name": POOL, "value": f"{LEGACY}/a.crt"}],
        "extraVolumes": [{"name": NAME, "configMap": {"name": NAME}, "secret": None}],
        "extraVolumeMounts": [mount],
    }
    api.apply_all(change)
    # The chart's list of variables has to lose the entry, which a patch deletes.
    closed = workload_patch.forms("quazzar", api.change([], [f"{LEGACY}/a.crt"]), POOL, api.box)
    assert closed["helm"] == {"extraEnv": []}


# --- an object that the variable comes from --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "key", "hidden"), [("ConfigMap", "data", False), ("Secret", "stringData", True)]
)  # fmt: skip
def test_following_edits_one_key_and_has_the_pods_made_anew(kind: str, key: str, hidden: bool) -> None:
    container = box(env=[by(kind, "settings", "pool")])
    api = Api(made(container), {(kind, "settings"): {"data": {"pool": "/a.crt", OTHER_KEY: "hunter22"}}})
    change = api.change(["/b.crt"])
    held, roll = change.patches
    assert held == Patch("v1", kind, "settings", {key: {"pool": "/a.crt,/b.crt"}}) and held.hidden is hidden
    assert (roll.kind, roll.hidden) == ("Deployment", False)
    assert roll.body["spec"]["template"]["metadata"] == {"annotations": {workload_patch.STAMP: "/a.crt,/b.crt"}}
    assert change.rolls
    told = workload_patch.forms("quazzar", change, POOL, api.box)
    assert told["helm"] == {
        f"{kind} settings": {key: {"pool": "/a.crt,/b.crt"}},
        "podAnnotations": {workload_patch.STAMP: "/a.crt,/b.crt"},
    }
    _held, roll = api.change([], ["/a.crt"]).patches
    assert roll.body["spec"]["template"]["metadata"]["annotations"] == {workload_patch.STAMP: None}
    # What is secret there stays there.
    assert "hunter22" not in str(change.patches)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize("followed", [False, True])
def test_a_first_patch_that_is_taken_back_leaves_the_template_as_it_was(kind: str, followed: bool) -> None:
    """So the pods from before are of the newest template again, and none of them has to be made anew."""
    mount = {"name": "certs", "mountPath": CERTS}
    env = [by("ConfigMap", "settings", "pool")] if followed else [{"name": "CC_OTHER", "value": "1"}]
    volumes = [{"name": "certs", "persistentVolumeClaim": {"claimName": "certs"}}]
    api = Api(made(box(env=env, volumeMounts=[mount])), {("ConfigMap", "settings"): {"data": {"pool": ""}}})
    api.found["spec"]["template"]["spec"]["volumes"] = volumes
    before = copy.deepcopy(api.found)
    entry = f"{LEGACY}/a.crt"
    first = api.change([entry], place=api.legacy(kind))
    assert first.mounts
    for patch in first.patches:
        api.apply(workload_patch.manifest(patch, "quazzar"))
    assert api.legacy(kind).mounted and api.source.value == entry
    for patch in api.change([], [entry], place=api.legacy(kind), unmount=True).patches:
        api.apply(workload_patch.manifest(patch, "quazzar"))
    template = api.found["spec"]["template"]
    assert not (template.get("metadata") or {}).get("annotations")
    template.pop("metadata", None)
    before["spec"]["template"].pop("metadata", None)
    assert api.found == before and api.source.value == ""
    # without it the mount stays: marks of revoked CAs are read there
    assert not api.change([], [entry], place=api.legacy(kind)).patches


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_nobody_may_edit_is_refused(kind: str, whole: bool) -> None:
    fields = {"envFrom": [all_of(kind, "settings")]} if whole else {"env": [by(kind, "settings", POOL)]}
    api = Api(made(box(**fields)), {(kind, "settings"): {"immutable": True, "data": {POOL: "/a.crt"}}})
    words = f"comes from the key {POOL} of the {kind} settings ({'envFrom' if whole else 'valueFrom'}), which is immut"
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        api.change(["/b.crt"])
    assert str(caught.value).startswith(f"Deployment quazzar/quazzar-cc, container {CP}: {POOL} comes from")
    assert "Nothing was changed. Set CC_TRUST_ADDITIONAL_CA_CERTS in the env of the container" in str(caught.value)


def test_an_object_that_is_not_there_is_refused() -> None:
    """A patch of it would do nothing, and the pods would be made anew for nothing. A key that is missing is set."""
    api = Api(made(box(env=[by("ConfigMap", "gone", "pool", optional=True)])))
    with pytest.raises(InputError, match=r"the ConfigMap gone \(valueFrom\); there is no ConfigMap gone. Nothing was"):
        api.change(["/b.crt"])
    api.held["ConfigMap", "gone"] = {"data": {}}
    assert [patch.name for patch in api.change(["/b.crt"]).patches] == ["gone", "quazzar-cc"]


@pytest.mark.parametrize("fields", [{"env": [by("Secret", "s", POOL)]}, {"envFrom": [all_of("Secret", "s")]}])
def test_an_object_is_edited_only_when_that_is_wanted(fields: Tree) -> None:
    api = Api(made(box(**fields)), {("Secret", "s"): {"data": {POOL: "/a.crt"}}})
    with pytest.raises(InputError, match=r"comes from the key .* of the Secret s .*quazzar_k8s_env_source: follow"):
        api.change(["/b.crt"], env_source="container")
    assert workload_patch.refused(api.found, api.box, POOL, api.source, "follow") == ""
    # Where there is nothing to set, nothing is in the way; a restart asks like this.
    for nothing in (api.change(env_source="container"), api.change(["/a.crt"], ["/gone"], env_source="container")):
        assert (nothing.patches, nothing.value) == ((), "/a.crt")


@pytest.mark.parametrize("env_source", ["container", "follow"])
@pytest.mark.parametrize(
    ("env", "words"),
    [
        ([{"name": POOL, "value": "$(DIR)/a.crt"}], "Kubernetes replaces $(NAME) and $$"),
        ([{"name": POOL, "value": "/a"}, {"name": POOL, "value": "/b"}], "is set 2 times in its env"),
        ([{"name": POOL, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}], "which cannot be set"),
    ],
)
def test_what_cannot_be_set_is_refused_either_way(env: list[Tree], words: str, env_source: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        Api(made(box(env=env))).change(["/c.crt"], env_source=env_source)


# --- where the legacy CAs are ----------------------------------------------------------------------------------------


def mounted_at(path: str, volume: Tree, **more: t.Any) -> Api:
    container = box(volumeMounts=[{"name": "cas", "mountPath": path}])
    return Api(made(container, pod={"volumes": [{"name": "cas", **volume}]}, **more))


@pytest.mark.parametrize("path", [LEGACY, f"{LEGACY}/"])
@pytest.mark.parametrize(
    ("volume", "kind"),
    [({"configMap": {"name": "theirs"}}, "ConfigMap"), ({"secret": {"secretName": "theirs"}}, "Secret")],
)
def test_an_object_that_is_mounted_there_already_is_used(path: str, volume: Tree, kind: str) -> None:
    api = mounted_at(path, volume)
    for asked in ("ConfigMap", "Secret"):
        assert api.legacy(asked) == Legacy(kind, "theirs", LEGACY, mounted=True)
    (patch,) = api.change([f"{LEGACY}/a.crt"], place=api.legacy()).patches
    assert "volumes" not in patch.body["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", [CERTS, "/var/lib/quazzar-cc", f"{LEGACY}/below", f"{LEGACY}-2"])
def test_a_volume_elsewhere_is_not_in_the_way(path: str) -> None:
    api = mounted_at(path, {"persistentVolumeClaim": {"claimName": "data"}})
    assert api.legacy("Secret") == Legacy("Secret", NAME, LEGACY, mounted=False)


@pytest.mark.parametrize(
    "volume", [{"persistentVolumeClaim": {"claimName": "cas"}}, {"emptyDir": {}}, {"hostPath": {}}]
)
def test_another_kind_of_volume_is_refused(volume: Tree) -> None:
    with pytest.raises(InputError) as caught:
        mounted_at(LEGACY, volume).legacy()
    assert str(caught.value) == (
        f"Deployment quazzar/quazzar-cc: expected a ConfigMap or a Secret mounted at {LEGACY}, or nothing, found the"
        " volume cas of another kind. Place the legacy CAs as files on it (quazzar_k8s_legacy_source: volume), or set"
        " quazzar_legacy_ca_dir to a directory of their own."
    )


def test_a_claim_of_a_template_is_another_kind_too() -> None:
    container = box(volumeMounts=[{"name": "cas", "mountPath": LEGACY}])
    api = Api(made(container, kind="StatefulSet", volumeClaimTemplates=[{"metadata": {"name": "cas"}}]))
    with pytest.raises(InputError, match="the volume cas of another kind"):
        api.legacy()


@pytest.mark.parametrize("add", [[f"{CERTS}/ca.crt.old"], [f"{CERTS}/ca.crt.old", f"{LEGACY}/a.crt"]])
def test_nothing_is_mounted_over_the_directory_of_a_file_that_is_there(add: list[str]) -> None:
    """It would hide the CA: the files beside the active CA are named in the pool where they are."""
    data = {"persistentVolumeClaim": {"claimName": "data"}}
    api = mounted_at("/var/lib/quazzar-cc", data)
    change = api.change(add, place=api.legacy())
    api.apply_all(change)
    assert workload.volume_of(api.found, api.box, CERTS) == {"name": "cas", **data}
    assert api.legacy().mounted == (len(add) > 1)


def test_a_directory_may_be_written_with_a_sign_at_its_end() -> None:
    api = Api(made())
    place = workload_patch.legacy(api.found, api.box, f"{LEGACY}/", "Secret", NAME)
    assert place == Legacy("Secret", NAME, LEGACY, mounted=False)
    api.apply_all(api.change([f"{LEGACY}//a.crt"], place=place))
    assert workload_patch.legacy(api.found, api.box, f"{LEGACY}/", "Secret", NAME).mounted


PARENT = "/var/lib/quazzar-cc"
HIDES = (
    "Deployment quazzar/quazzar-cc: the ConfigMap quazzar-legacy-cas is to be mounted at {path}, and would hide"
    " {hidden}, of which it has no key. Nothing was changed. Place the legacy CAs as files there too"
    " (quazzar_k8s_legacy_source: volume), or set quazzar_legacy_ca_dir to a directory of their own."
)


@pytest.mark.parametrize(
    ("value", "add", "hidden"),
    [
        (f"{LEGACY}/old.crt", [f"{LEGACY}/a.crt"], [f"{LEGACY}/old.crt"]),
        (f"{LEGACY}/more/old.crt,/etc/theirs.pem", [f"{LEGACY}/a.crt"], [f"{LEGACY}/more/old.crt"]),
        # it lies there already, so nothing is placed, and the object may not be there at all
        ("", [f"{LEGACY}/old.crt"], [f"{LEGACY}/old.crt"]),
        ("", [f"{LEGACY}/a.crt", f"{LEGACY}//old.crt"], [f"{LEGACY}//old.crt"]),
        (f"{LEGACY}/old.crt", [f"{LEGACY}/new.crt"], [f"{LEGACY}/old.crt", f"{LEGACY}/new.crt"]),
    ],
)
def test_nothing_is_mounted_over_a_ca_where_it_lies(value: str, add: list[str], hidden: list[str]) -> None:
    api = mounted_at(PARENT, {"persistentVolumeClaim": {"claimName": "data"}})
    api.box["env"] = [{"name": POOL, "value": value}]
    with pytest.raises(InputError) as caught:
        api.change(add, place=api.legacy())
    assert str(caught.value) == HIDES.format(path=LEGACY, hidden=", ".join(hidden))
    # As files they are all seen.
    (patch,) = api.change(add, place=None).patches
    assert "volumes" not in patch.body["spec"]["template"]["spec"]


def test_what_is_named_beside_the_directory_or_is_a_key_is_not_hidden() -> None:
    api = mounted_at(PARENT, {"persistentVolumeClaim": {"claimName": "data"}})
    api.box["env"] = [{"name": POOL, "value": f"{LEGACY}/a.crt,{LEGACY}-2/old.crt,{CERTS}/ca.crt.old"}]
    assert api.change([f"{LEGACY}/b.crt"], place=api.legacy()).mounts
    # A run may have died when the variable was written elsewhere, and the template was not patched yet.
    assert api.change([f"{LEGACY}/a.crt"], place=api.legacy()).mounts


def test_a_file_that_is_named_already_needs_no_mount() -> None:
    api = mounted_at(PARENT, {"persistentVolumeClaim": {"claimName": "data"}})
    api.box["env"] = [{"name": POOL, "value": f"{LEGACY}/old.crt"}]
    for add in ([f"{LEGACY}/old.crt"], []):
        assert api.change(add, place=api.legacy()).patches == ()
    change = api.change([f"{CERTS}/ca.crt.old"], place=api.legacy())
    assert change.rolls and not change.mounts
    # To take it out mounts nothing either.
    assert not api.change([], [f"{LEGACY}/old.crt"], place=api.legacy()).mounts


@pytest.mark.parametrize("path", [f"{PARENT}//legacy", f"{PARENT}/certs/../legacy/"])
def test_a_directory_may_be_written_in_other_ways(path: str) -> None:
    api = Api(made(box(env=[{"name": POOL, "value": f"{LEGACY}/old.crt"}])))
    place = workload_patch.legacy(api.found, api.box, path, "ConfigMap", NAME)
    with pytest.raises(InputError, match=f"would hide {LEGACY}/old.crt, of which"):
        api.change([f"{path}/a.crt"], place=place)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize("part", ["items", "subPath", "subPathExpr"])
def test_an_object_of_which_a_part_is_mounted_is_refused(kind: str, part: str) -> None:
    volume: Tree = {"configMap": {"name": "theirs"}} if kind == "ConfigMap" else {"secret": {"secretName": "theirs"}}
    mount: Tree = {"name": "cas", "mountPath": LEGACY}
    if part == "items":
        next(iter(volume.values()))["items"] = [{"key": "old.crt", "path": "old.crt"}]
    else:
        mount[part] = "old.crt"
    api = Api(made(box(volumeMounts=[mount]), pod={"volumes": [{"name": "cas", **volume}]}))
    with pytest.raises(InputError) as caught:
        api.legacy()
    assert str(caught.value) == (
        f"Deployment quazzar/quazzar-cc: expected the whole {kind} theirs mounted at {LEGACY}, found a part of it"
        f" ({part}), in which no new CA would appear. Nothing was changed. Mount it whole, or set quazzar_legacy_ca_dir"
        " to a directory of their own."
    )


def test_an_immutable_object_takes_no_more_cas() -> None:
    found, place = made(), Legacy("Secret", "theirs", LEGACY, mounted=True)
    assert workload_patch.immutable(found, place, {"immutable": True}) == (
        "Deployment quazzar/quazzar-cc: the Secret theirs, in which legacy CAs are placed, is immutable. Nothing was"
        " changed. Delete it and make it anew with the same keys and without immutable: true."
    )
    for which, held in ((None, {"immutable": True}), (place, {}), (place, {"immutable": False})):
        assert workload_patch.immutable(found, which, held) == ""


# --- restart and rights ----------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(_apis())
def test_a_restart_changes_one_annotation(api: Api) -> None:
    moment = "2026-05-04T12:00:00Z"
    patch = workload_patch.restart(api.found, moment)
    wanted = copy.deepcopy(api.found)
    notes = wanted["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})
    notes["kubectl.kubernetes.io/restartedAt"] = moment
    api.apply(workload_patch.manifest(patch, "quazzar"))
    assert api.found == wanted


#: What of an object's API a definition of its kind is sent to.
RESOURCES = {
    "Deployment": "apps/deployments",
    "StatefulSet": "apps/statefulsets",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
}


@settings(max_examples=200, deadline=None)
@given(_apis(), ENTRIES, PLACES)
def test_the_rights_are_those_that_the_change_takes(api: Api, add: list[str], place: str) -> None:
    wanted = None if place == "volume" else api.legacy(place)
    change = api.change(add, place=wanted)
    needed = workload_patch.rights(api.found, api.source, {"env_source": "follow"}, wanted)
    for patch in change.patches:
        assert ("patch", RESOURCES[patch.kind], patch.name) in needed
    if wanted is not None:
        its = RESOURCES[wanted.kind]
        assert {("get", its, wanted.name), ("patch", its, wanted.name)} <= {*needed}
        assert (("create", its, "") in needed) == (not wanted.mounted)
    # A pod that does not get ready holds a StatefulSet up, also when its template is put back.
    assert (("delete", "pods", "") in needed) == (api.found["kind"] == "StatefulSet")
    assert len(set(needed)) == len(needed)


def test_the_rights_of_a_workload_that_has_the_variable_itself() -> None:
    api = Api(made(box(env=[{"name": POOL, "value": "/a"}])))
    assert workload_patch.rights(api.found, api.source, {"env_source": "follow"}, None) == [
        ("patch", "apps/deployments", "quazzar-cc")
    ]
    api = Api(made(box(env=[by("Secret", "s", POOL)])), {("Secret", "s"): {"data": {POOL: "/a"}}})
    place = Legacy("Secret", "l", "/l", mounted=False)
    assert workload_patch.rights(api.found, api.source, {"env_source": "container"}, place) == [
        ("patch", "apps/deployments", "quazzar-cc"),
        ("get", "secrets", "l"),
        ("patch", "secrets", "l"),
        ("create", "secrets", ""),
    ]  # fmt: skip
