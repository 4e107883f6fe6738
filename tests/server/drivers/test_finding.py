"""Whose a definition is, with definitions in several directories; by UUID: test_file_find_by.py."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.server.drivers.store import GOOD, Store, vm
from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers import finding
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError


def test_a_definition_is_found_in_whatever_directory_it_is(store: Store) -> None:
    store.write("prod/db/db-01.yaml", GOOD.format("db"))
    store.write("test/web-01.yml", GOOD.format("web"))
    store.write("_templates/web-02.yaml", GOOD.format("template"))
    assert store.hostname("db-01") == "db"
    assert store.hostname("web-01") == "web"
    assert store.hostname("web-02") is None


def test_a_name_names_no_directory(store: Store) -> None:
    store.write("prod/web-01.yaml", GOOD.format("web"))
    for name in ("prod/web-01", "prod", "./prod/web-01", "..%2fprod%2fweb-01"):
        assert store.hostname(name) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("web-01.yaml", "web-01.yml"),
        ("web-01.yaml", "a/web-01.yaml"),
        ("a/web-01.yaml", "a/b/web-01.yml"),
        ("a/100%25.yaml", "b/100%25.yaml"),
    ],
)
def test_of_two_definitions_of_one_name_neither_is_served_and_both_are_named_once(
    store: Store, caplog: pytest.LogCaptureFixture, one: str, other: str
) -> None:
    name = "100%" if "%" in one else "web-01"
    first, second = store.write(one, GOOD.format("one")), store.write(other, GOOD.format("other"))
    sentence = f"'{name}' is not served: {first} and {second} have its name; it has to be one"
    for _ in range(2):
        with pytest.raises(DefinitionError) as raised:
            store.driver.get_instance(vm(name))
        assert str(raised.value) == sentence
        assert raised.value.logged
    assert caplog.messages == [sentence]
    second.unlink()
    assert store.hostname(name) == "one"
    store.write(other, "broken")
    assert store.hostname(name) is None
    assert sentence in store.faults


def test_of_many_definitions_of_one_name_some_are_named(store: Store) -> None:
    for number in range(10):
        store.write(f"{number}/web-01.yaml", GOOD.format("x"))
    assert store.hostname("web-01") is None
    assert store.faults[0].count("web-01.yaml") == finding.MAX_NAMED


def test_what_is_there_twice_for_a_moment_makes_its_vm_wait(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (store.directory / "new").mkdir()
    old = store.write("old/web-01.yaml", GOOD.format("one"))
    assert store.hostname("web-01") == "one"
    store.write("new/web-01.yaml", GOOD.format("one"))  # copied, and about to be removed
    store.age = 0
    with pytest.raises(DriverBusyError, match="have its name") as busy:
        store.ask("web-01")
    assert busy.value.retry == finding.CHANGING_SECONDS
    old.unlink()
    assert store.hostname("web-01") == "one"
    assert caplog.messages == []


def test_a_definition_that_is_moved_is_served_from_where_it_is(store: Store) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    assert store.hostname("web-01") == "one"
    for target in ("new/web-01.yaml", "new/deeper/web-01.yml", "web-01.yml"):
        (store.directory / target).parent.mkdir(exist_ok=True)
        path = path.rename(store.directory / target)
        assert store.hostname("web-01") == "one"


def test_a_definition_that_goes_between_looking_and_reading_makes_its_vm_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    find = store.driver._tree.find

    def find_then_move(stem: str) -> list[str]:
        found = find(stem)
        path.rename(path.with_name("web-02.yaml"))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(store.driver._tree, "find", find_then_move)
        with pytest.raises(DriverBusyError, match=r"web-01\.yaml has just changed, or was moved"):
            store.ask("web-01")
    assert store.hostname("web-01") is None
    assert store.hostname("web-02") == "one"


def test_a_directory_that_cannot_be_read_harms_no_vm_of_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("closed/web-01.yaml", GOOD.format("one"))
    store.write("open/web-02.yaml", GOOD.format("two"))
    really_access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not str(path).endswith("closed") and really_access(path, mode)
    )
    assert store.hostname("web-01") is None
    assert store.hostname("web-02") == "two"


def test_a_vm_whose_directory_is_away_is_left_to_no_pattern(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.write("nfs/web-01.yaml", GOOD.format("one"))
    store.write("fleet.yaml", GOOD.format("fleet") + "vms: ['web-*']\n")
    assert store.hostname("web-01") == "one"
    store.driver.clock_ns = lambda: 0
    really_stat, really_access = os.stat, os.access

    def stale(path: Any, **options: Any) -> os.stat_result:
        if "/nfs" in str(path):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return really_stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stale)
        patch.setattr(os, "access", lambda path, mode: "/nfs" not in str(path) and really_access(path, mode))
        for name in ("web-01", "web-02", "db-01"):
            with pytest.raises(DriverBusyError, match=r"instances/nfs cannot be read$"):
                store.ask(name)
    assert caplog.messages == [
        f"{store.directory}/nfs cannot be read: Stale file handle: what is in it is not served"
    ]
    assert [store.hostname(name) for name in ("web-01", "web-02", "db-01")] == ["one", "fleet", None]


def test_a_directory_that_leads_out_is_not_looked_into(store: Store, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others/web-01.yaml").write_text(GOOD.format("another's"))
    (store.directory / "out").symlink_to(tmp_path / "others")
    assert store.hostname("web-01") is None


# What commands ask


def test_commands_get_the_path_and_the_definition_of_a_vm(store: Store) -> None:
    path = store.write("a/web-01.yaml", GOOD.format("one"))
    store.write("a/_defaults.yaml", "metadata: {region: x}\n")
    found = store.driver.find(VMFacts("web-01"))
    assert found is not None
    assert found[0] == str(path)
    metadata = found[1].instance().metadata
    assert metadata is not None
    assert (metadata.hostname, metadata.region) == ("one", "x")
    assert store.driver.find(VMFacts("web-02")) is None


def test_commands_get_all_definitions_and_each_of_them_loaded(store: Store) -> None:
    for name in ("b", "a", "c/d", "_x/y"):
        store.write(f"{name}.yaml", GOOD.format(Path(name).name))
    paths = list(store.driver.definitions())
    assert [os.path.relpath(path, store.directory) for path in paths] == ["a.yaml", "b.yaml", "c/d.yaml"]
    loaded = [store.driver.load(path).instance().metadata for path in paths]
    assert [metadata.hostname for metadata in loaded if metadata] == ["a", "b", "d"]


def test_what_cannot_be_loaded_is_a_fault_that_is_not_logged(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = store.write("web-01.yaml", "metadata: {}\n")
    with pytest.raises(DefinitionError, match="hostname is missing"):
        store.driver.load(str(path))
    with pytest.raises(DefinitionError, match=r"web-02\.yaml: cannot be read: there is no such file$"):
        store.driver.load(str(store.directory / "web-02.yaml"))
    with pytest.raises(DefinitionError, match=r"other\.yaml: is not in the directory .*instances$"):
        store.driver.load(str(tmp_path / "other.yaml"))
    assert caplog.messages == []


def test_commands_read_what_a_definition_names(store: Store) -> None:
    path = store.write("a/web-01.yaml", GOOD.format("one"))
    store.write("a/motd", "hello")
    assert store.driver.read_file(str(path), "motd") == b"hello"
    with pytest.raises(DefinitionError, match="leads out of the directory"):
        store.driver.read_file(str(path), "../../secret")
