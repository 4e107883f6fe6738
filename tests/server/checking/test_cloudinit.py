import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.checking.installed import CLOUD_CONFIG, install
from tests.support.definitions import SECRET
from vmw_cloudinit_metadata.checking import cloudinit
from vmw_cloudinit_metadata.checking.cloudinit import CloudInit, Schema, find_cloud_init


def objections(cloud_init: CloudInit, document: Any) -> list[str]:
    found = list(cloud_init.check_cloud_config(document))
    assert [each.shown for each in found] == [cloud_init.shown(each.path) for each in found]
    return [f"{each.shown}: {each.text}" for each in found]


def test_what_the_schema_allows_is_not_mentioned(cloud_init: CloudInit) -> None:
    document = {
        "packages": ["nginx", "vim"],
        "package_update": True,
        "users": ["default", {"name": "admin", "uid": 7, "sudo": None}],
        "groups": {"wheel": ["admin"]},
        "power_state": {"mode": "reboot", "delay": "now", "message": "Bye"},
        "write_files": object(),
    }
    assert objections(cloud_init, document) == []
    assert objections(cloud_init, {}) == []


@pytest.mark.parametrize(
    ("document", "sentences"),
    [
        ({"pakages": []}, ["…: is not a known key; did you mean packages?"]),
        ({SECRET: 1}, ["…: is not a known key"]),
        ({"packages": SECRET}, ["packages: is not a list"]),
        ({"packages": []}, ["packages: is empty"]),
        ({"packages": [SECRET, SECRET]}, ["packages: holds something twice"]),
        ({"packages": [[SECRET]]}, ["packages[0]: is not text"]),
        ({"package_update": SECRET}, ["package_update: is not true or false"]),
        ({"users": [{"uid": 1}]}, ["users[0]: lacks the key name"]),
        ({"users": [7]}, ["users[0]: is not text or a mapping"]),
        ({"users": [{"name": "a", SECRET: 1}]}, ["users[0].…: is not a known key"]),
        ({"users": [{"name": "a", "uid": [SECRET]}]}, ["users[0].uid: is not a whole number or text"]),
        ({"users": [{"name": "a", "sudo": [SECRET]}]}, ["users[0].sudo: is not text or empty"]),
        ({"groups": {SECRET: SECRET}}, ["groups.…: is not a list"]),
        ({"power_state": {"mode": SECRET}}, ["power_state.mode: is not poweroff or reboot"]),
        ({"power_state": {"delay": -1}}, ["power_state.delay: has none of the forms that it may have"]),
        ({"power_state": {"message": SECRET}}, ["power_state.message: does not fit the pattern ^[A-Z]"]),
        ({"power_state": {"message": "X" * 21}}, ["power_state.message: is longer than 20"]),
    ],
)
def test_what_it_does_not_allow_is_told_by_key_and_rule(
    document: Any, sentences: list[str], cloud_init: CloudInit
) -> None:
    assert objections(cloud_init, document) == sentences


def test_modules_that_a_document_names_are_checked_whichever_came_before(cloud_init: CloudInit) -> None:
    for _ in range(2):
        assert objections(cloud_init, {"packages": "x"}) == ["packages: is not a list"]
        assert objections(cloud_init, {"users": "x"}) == ["users: is not a list"]
        assert objections(cloud_init, {"users": "x", "packages": "x"}) == [
            "users: is not a list",
            "packages: is not a list",
        ]


def test_what_was_found_is_kept_for_so_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud_init = find_cloud_init([install(tmp_path)])
    assert cloud_init is not None
    monkeypatch.setattr(cloudinit, "_MAX_KEPT", 3)
    for number in range(10):
        assert objections(cloud_init, {"packages": number}) == ["packages: is not a list"]
        assert len(cloud_init._cloud_config._kept) <= 3


def test_a_long_list_of_what_a_value_may_be_is_not_told(tmp_path: Path) -> None:
    schema = Schema({"properties": {"a": {"enum": list(range(13))}, "b": {"enum": [None, True, 1.5, "x"]}}})
    assert [f"{each.shown} {each.text}" for each in schema.objections({"a": 99, "b": 99})] == [
        "a breaks the rule enum",
        "b is not null, true, 1.5 or x",
    ]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ([{"type": "physical", "name": "eth0", "mtu": "x"}], "config[0].mtu: is not a whole number or empty"),
        ([{"type": "physical"}], "config[0]: lacks the key name"),
        ([{"type": "vlan"}], "config[0].type: is not physical or nameserver"),
    ],
)
def test_a_network_config_is_held_against_the_schema_of_its_version(
    config: Any, sentence: str, cloud_init: CloudInit
) -> None:
    (objection,) = cloud_init.check_network_config({"version": 1, "config": config})
    assert f"{objection.shown}: {objection.text}" == sentence
    assert list(cloud_init.check_network_config({"version": 2, "config": config})) == []


# Where it is looked for


def test_it_is_found_in_the_first_directory_that_has_it(tmp_path: Path) -> None:
    directories = [str(tmp_path / "gone"), install(tmp_path / "a", "22.4.2"), install(tmp_path / "b")]
    found = find_cloud_init(directories)
    assert found is not None
    assert found.release == "22.4.2"


def test_the_release_is_the_distribution_s_where_that_says_one(tmp_path: Path) -> None:
    found = find_cloud_init([install(tmp_path, packaged="25.1.4-0ubuntu0~24.04.1")])
    assert found is not None
    assert found.release == "25.1.4-0ubuntu0~24.04.1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"$ref": "#/$defs/a"}', '{"$ref": "other.json#/a"}'])
def test_one_that_cannot_be_read_is_as_if_there_were_none(text: str, tmp_path: Path) -> None:
    directory = install(tmp_path)
    (tmp_path / "cloudinit/config/schemas/schema-cloud-config-v1.json").write_text(text)
    assert find_cloud_init([directory]) is None


def test_nor_is_one_whose_definitions_make_a_circle(tmp_path: Path) -> None:
    directory = install(tmp_path)
    circle = {
        **CLOUD_CONFIG,
        "$defs": {**CLOUD_CONFIG["$defs"], "texts": {"items": {"$ref": "#/$defs/texts"}}},
    }
    (tmp_path / "cloudinit/config/schemas/schema-cloud-config-v1.json").write_text(json.dumps(circle))
    assert find_cloud_init([directory]) is None


def test_one_without_schemas_of_networks_has_nothing_to_say_of_them(tmp_path: Path) -> None:
    directory = install(tmp_path)
    (tmp_path / "cloudinit/config/schemas/schema-network-config-v1.json").unlink()
    found = find_cloud_init([directory])
    assert found is not None
    assert list(found.check_network_config({"version": 1, "config": 3})) == []


@pytest.mark.system
def test_debian_s_own_schemas_are_found_and_used() -> None:
    found = find_cloud_init()
    assert found is not None
    assert objections(found, {"packages": SECRET, "runcmd": ["true"]}) == ["packages: is not a list"]
    assert objections(found, {"users": [{"name": "a", "uid": [SECRET]}]}) != []
