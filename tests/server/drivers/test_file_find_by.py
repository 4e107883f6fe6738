"""FileDriver that finds definitions by UUID, and that demands pins."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.drivers.store import GOOD, Store
from vmw_cloudinit_metadata.drivers import index as index_module
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.errors import DriverBusyError, DriverLoadError
from vmw_cloudinit_metadata.vspc.access import refusal

VC = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
BIOS = uuid.UUID("4212ab34-cd56-4e78-9012-3456789abcde")
OTHER = uuid.UUID("00000000-0000-4000-8000-000000000001")

Open = Callable[..., Store]


@pytest.fixture
def open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return what opens the directory with some options; its index is refreshed by the test alone."""
    monkeypatch.setattr(index_module, "REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(index_module, "FIRST_LOOK_SECONDS", 20.0)
    monkeypatch.setattr(index_module.Index, "hurry", lambda _: None)
    directory = tmp_path / "instances"
    directory.mkdir()
    opened: list[Store] = []

    def open_with(**options: Any) -> Store:
        opened.append(Store(directory, **{key.replace("_", "-"): value for key, value in options.items()}))
        return opened[-1]

    yield open_with
    for store in opened:
        store.driver.close()


def pinned(hostname: str, **pins: uuid.UUID) -> str:
    match = ", ".join(f"{key.replace('_', '-')}: {value}" for key, value in pins.items())
    return GOOD.format(hostname) + f"match: {{{match}}}\n"


def hostname(
    store: Store, name: str, vc: uuid.UUID | None = None, bios: uuid.UUID | None = None
) -> str | None:
    instance = store.ask(name, vc, bios)
    return instance.metadata.hostname if instance and instance.metadata else None


def test_by_default_a_definition_is_found_by_name_and_nothing_else_is_looked_at(open_store: Open) -> None:
    store = open_store()
    store.write("other.yaml", pinned("other", vc_uuid=VC))
    store.write("web-01.yaml", GOOD.format("web"))
    assert hostname(store, "web-01", VC) == "web"
    assert store.driver._finder._index._thread is None
    assert hostname(store, "web-02", VC) is None


def test_by_default_nobody_hears_of_pins_that_are_none(
    open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    store.write("other.yaml", GOOD.format("other") + "match: x\n")
    assert hostname(store, "web-02", VC) is None
    assert caplog.messages == [f"{store.directory} has no definition for the VM 'web-02'"]


def test_ways_are_tried_in_their_order(open_store: Open) -> None:
    by_name = open_store(find_by=["name", "bios-uuid", "vc-uuid"])
    by_uuid = open_store(find_by=["vc-uuid", "bios-uuid", "name"])
    by_name.write("web-01.yaml", GOOD.format("name"))
    by_name.write("a.yaml", pinned("vc", vc_uuid=VC))
    by_name.write("b.yaml", pinned("bios", bios_uuid=BIOS))
    assert hostname(by_name, "web-01", VC, BIOS) == "name"
    assert hostname(by_name, "web-02", VC, BIOS) == "bios"
    assert hostname(by_name, "web-02", VC) == "vc"
    assert hostname(by_uuid, "web-01", VC, BIOS) == "vc"
    assert hostname(by_uuid, "web-01", OTHER, BIOS) == "bios"
    assert hostname(by_uuid, "web-01", OTHER, OTHER) == "name"
    assert hostname(by_uuid, "web-02") is None


def test_without_name_a_name_finds_nothing(open_store: Open) -> None:
    store = open_store(find_by=["vc-uuid"])
    store.write("web-01.yaml", pinned("web", vc_uuid=VC))
    assert hostname(store, "web-01") is None
    assert hostname(store, "web-01", OTHER) is None
    assert hostname(store, "renamed", VC) == "web"


def test_what_the_index_found_is_read_as_it_is_now(open_store: Open) -> None:
    store = open_store(find_by=["vc-uuid", "name"])
    store.write("a.yaml", pinned("old", vc_uuid=VC))
    assert hostname(store, "web-01", VC) == "old"
    store.write("a.yaml", pinned("newer", vc_uuid=VC))
    assert hostname(store, "web-01", VC) == "newer"


@pytest.mark.parametrize(
    "text", [pinned("a", vc_uuid=OTHER), GOOD.format("a")], ids=["another pin", "no pin"]
)
def test_who_is_not_pinned_any_more_waits_until_the_index_has_seen_that(open_store: Open, text: str) -> None:
    store = open_store(find_by=["vc-uuid", "name"])
    store.write("web-01.yaml", GOOD.format("name"))
    path = store.write("a.yaml", pinned("a", vc_uuid=VC))
    assert hostname(store, "web-01", VC) == "a"
    store.write("new", text).rename(path)
    with pytest.raises(DriverBusyError, match=r"a\.yaml has just changed, or was moved$"):
        store.ask("web-01", VC)
    store.driver._finder._index.refresh()
    assert hostname(store, "web-01", VC) == "name"


def test_a_pinned_definition_that_is_moved_or_removed_leaves_its_vm_to_no_other(open_store: Open) -> None:
    store = open_store(find_by=["vc-uuid", "name"])
    store.write("web-01.yaml", GOOD.format("of another of that name"))
    path = store.write("a.yaml", pinned("a", vc_uuid=VC))
    assert hostname(store, "web-01", VC) == "a"
    moved = path.rename(path.with_name("b.yaml"))
    with pytest.raises(DriverBusyError):
        store.ask("web-01", VC)
    store.driver._finder._index.refresh()
    assert hostname(store, "web-01", VC) == "a"
    moved.unlink()
    with pytest.raises(DriverBusyError):
        store.ask("web-01", VC)


def test_a_definition_that_is_found_by_uuid_and_has_faults_is_a_fault(open_store: Open) -> None:
    store = open_store(find_by=["vc-uuid", "name"])
    store.write("a.yaml", f"metadata: {{}}\nmatch: {{vc-uuid: {VC}}}\n")
    store.write("web-01.yaml", GOOD.format("name"))
    assert store.ask("web-01", VC) is None
    (fault,) = store.faults
    assert "a.yaml:1: metadata: hostname is missing" in fault


def test_a_uuid_that_two_definitions_claim_finds_neither(
    open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(find_by=["vc-uuid", "name"])
    store.write("a.yaml", pinned("a", vc_uuid=VC))
    store.write("b.yaml", pinned("b", vc_uuid=VC))
    assert hostname(store, "web-01", VC) is None
    assert hostname(store, "a", VC) == "a"
    assert "a.yaml and " in caplog.text
    assert f"claim the same vc-uuid, {VC}" in caplog.text


def test_an_instance_says_which_definition_it_came_from(open_store: Open) -> None:
    store = open_store(find_by=["vc-uuid", "name"])
    store.write("db%2f1.yml", pinned("db", vc_uuid=VC))
    for instance in (store.ask("renamed", VC), store.ask("db/1")):
        assert instance is not None
        assert instance.source == "db%2f1"


def test_a_file_whose_name_begins_with_an_underscore_is_no_vms(open_store: Open) -> None:
    store = open_store(find_by=["name", "vc-uuid"])
    store.write("_defaults.yaml", pinned("defaults", vc_uuid=VC))
    assert store.ask("_defaults", VC) is None


def test_a_definition_without_pins_is_denied_where_they_are_demanded(open_store: Open) -> None:
    store = open_store(require_match=True)
    store.write("web-01.yaml", GOOD.format("web"))
    store.write("web-02.yaml", pinned("web", vc_uuid=VC))
    vm: Any = type("VM", (), {"vm_vc_uuid": VC, "vm_bios_uuid": None, "vm_token": ""})
    open_to_all, only_one = store.ask("web-01"), store.ask("web-02")
    assert open_to_all is not None
    assert only_one is not None
    refused = refusal(open_to_all, vm)
    assert refused is not None
    assert refused.log == "denied: its definition has no match, which require-match demands"
    assert refusal(only_one, vm) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"find_by": "name"}, "FileDriver: find-by is a list of some of name, vc-uuid, bios-uuid"),
        ({"find_by": []}, "FileDriver: find-by is a list of some of name, vc-uuid, bios-uuid"),
        ({"find_by": ["uuid"]}, "FileDriver: find-by is a list of some of name, vc-uuid, bios-uuid"),
        ({"find_by": [["name"]]}, "FileDriver: find-by is a list of some of name, vc-uuid, bios-uuid"),
        ({"require_match": "yes"}, "FileDriver: require-match is true or false"),
        ({"require_match": 1}, "FileDriver: require-match is true or false"),
    ],
)
def test_options_that_are_none_are_refused(open_store: Open, options: Any, sentence: str) -> None:
    with pytest.raises(DriverLoadError) as caught:
        open_store(**options)
    assert str(caught.value) == sentence


def test_a_way_that_is_named_twice_is_tried_once(tmp_path: Path) -> None:
    driver = FileDriver({"directory": str(tmp_path), "find-by": ["name", "vc-uuid", "name"]})
    assert driver.options.find_by == ("name", "vc-uuid")


def test_a_reload_looks_at_the_directory_at_once(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(find_by=["vc-uuid"])
    hurried: list[bool] = []
    monkeypatch.setattr(store.driver._finder._index, "hurry", lambda: hurried.append(True))
    store.driver.reload()
    assert hurried == [True]
