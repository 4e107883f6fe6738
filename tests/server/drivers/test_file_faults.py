"""FileDriver where something is wrong: with a definition, the directory, or its own options."""

import logging
import os

import pytest

from tests.server.drivers.store import GOOD, LATER_NS, Store, refused, vm
from vmw_cloudinit_metadata.drivers import complaints
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError


def test_a_broken_file_is_logged_once_per_change(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    path = store.write("web-01.yaml", "metadata: {}\ntoken: x\n")
    for store.age in (0, LATER_NS, LATER_NS):
        assert store.ask("web-01") is None
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    first, last = record.getMessage().splitlines()[0], record.getMessage().splitlines()[-1]
    assert first.startswith(f"'web-01' is not served: {path}:1: metadata: ")
    assert last.startswith(f"{path}:2: token: ")
    store.write("web-01.yaml", GOOD.format("good"))
    assert store.hostname("web-01") == "good"
    store.write("web-01.yaml", "metadata: {}\ntoken: x\n")
    assert store.ask("web-01") is None
    assert len(caplog.records) == 2


@pytest.mark.parametrize("text", ["metadata: [", "metadata: {}"])
def test_a_name_with_line_ends_makes_no_lines_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    store.write("web\n2026 ERROR forged.yaml", text)
    (store.directory / "link\nforged.yaml").symlink_to("/etc/passwd")
    for name in ("web\n2026 ERROR forged", "link\nforged"):
        assert store.ask(name) is None
    assert "\\nforged" in caplog.text
    assert "\nforged" not in caplog.text
    assert "\n2026 ERROR" not in caplog.text


def test_faults_are_raised_and_none_is_returned_where_there_is_no_file(store: Store) -> None:
    path = store.write("web-01.yaml", "metadata: {}\n")
    for _ in range(2):
        with pytest.raises(DefinitionError, match="hostname is missing") as raised:
            store.driver.get_instance(vm("web-01"))
        assert raised.value.logged
    path.unlink()
    assert store.driver.get_instance(vm("web-01")) is None


def test_a_broken_file_harms_no_other_vm(store: Store) -> None:
    store.write("web-01.yaml", "[" * 100_000)
    store.write("web-02.yaml", GOOD.format("two"))
    assert store.ask("web-01") is None
    assert store.hostname("web-02") == "two"


def test_a_missing_definition_is_logged_once_until_it_appears(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.write("other.yaml", GOOD.format("x"))
    for name in ("web-01", "web-01", "web\n02", "web-01"):
        assert store.ask(name) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{store.directory} has no definition for the VM 'web-01'",
        f"{store.directory} has no definition for the VM 'web\\n02'",
    ]
    path = store.write("web-01.yaml", GOOD.format("one"))
    assert store.hostname("web-01") == "one"
    path.unlink()
    assert store.ask("web-01") is None
    assert len(caplog.records) == 3


@pytest.mark.parametrize("fate", ["removed", "replaced by a file", "without permission"])
def test_a_directory_that_is_gone_is_said_once_until_it_is_back(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    store.write("web-02.yaml", "x")
    store.driver.clock_ns = lambda: 0
    away = store.directory.with_name("away")
    assert store.hostname("web-01") == "one"
    with monkeypatch.context() as patch:
        if fate == "without permission":  # root may do anything, so the refusal is made here
            patch.setattr(os, "access", lambda *_: False)
            patch.setattr(os, "open", refused)
            patch.setattr(os, "scandir", refused)
        else:
            store.directory.rename(away)
        if fate == "replaced by a file":
            store.directory.touch()
        for name in ("web-01", "web-02", "web-03", "..", "web-01"):
            with pytest.raises(DriverBusyError):  # it may come back: no guest gives up at once
                store.ask(name)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"no VM is served: the directory {store.directory} does not exist or cannot be read"
    )
    if fate == "replaced by a file":
        store.directory.unlink()
    if away.exists():
        away.rename(store.directory)
    assert store.hostname("web-01") == "one"
    assert store.ask("web-03") is None
    assert caplog.messages[1:] == [f"{store.directory} has no definition for the VM 'web-03'"]
    store.directory.rename(away)
    with pytest.raises(DriverBusyError):
        store.ask("web-01")
    assert caplog.messages[2:] == caplog.messages[:1]


def test_names_that_are_made_up_do_not_fill_the_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "MAX_COMPLAINTS", 10)
    store.driver.logger.disabled = True
    try:
        for number in range(50):
            store.ask(f"vm-{number}")
    finally:
        store.driver.logger.disabled = False
    assert list(store.driver._complaints._logged) == [hash(f"vm-{number}") for number in range(40, 50)]


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.write("web-01.yaml", GOOD.format("old"))
    real, calls = os.fstat, 0

    def fstat(descriptor: int) -> os.stat_result:
        nonlocal calls
        calls += 1
        if calls == 2:  # after the first reading
            path.write_text(GOOD.format("new") + "#")
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    assert store.hostname("web-01") == "new"
    assert calls == 4


def test_a_file_that_never_rests_is_not_served_torn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    real, calls = os.fstat, 0

    def fstat(descriptor: int) -> os.stat_result:
        nonlocal calls
        calls += 1
        path.write_text(GOOD.format("one") + "#" * calls)
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(DriverBusyError, match=r"web-01\.yaml changes while it is read$") as busy:
        store.ask("web-01")
    assert busy.value.retry == 1
    monkeypatch.setattr(os, "fstat", real)
    assert store.hostname("web-01") == "one"


def test_a_file_without_permission_is_said_once_and_served_when_there_is_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    real = os.open
    # Root may read anything, so the refusal is made here.
    monkeypatch.setattr(os, "open", refused)
    assert store.ask("web-01") is None
    assert store.ask("web-01") is None
    (record,) = caplog.records
    assert record.getMessage().endswith(f"{path}: cannot be read: Permission denied")
    monkeypatch.setattr(os, "open", real)
    assert store.hostname("web-01") == "one"
