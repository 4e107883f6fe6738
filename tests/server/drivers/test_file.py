import concurrent.futures
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.server.drivers.store import GOOD, Store, vm
from vmw_cloudinit_metadata.drivers import definitions, reading
from vmw_cloudinit_metadata.drivers.cache import ENTRY_BYTES
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.errors import DefinitionError, DriverLoadError


def test_a_vm_gets_the_definition_of_its_name(store: Store) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    store.write("web-02.yml", GOOD.format("two"))
    assert store.hostname("web-01") == "one"
    assert store.hostname("web-02") == "two"
    assert store.hostname("web-03") is None


@pytest.mark.parametrize(
    "name", ["größe-1", "サーバー", "🐘", "web 01", "-rf", "a:b", "web-01.example.org", "a\\b"]
)
def test_a_name_may_be_any_text(store: Store, name: str) -> None:
    store.write(f"{name}.yaml", GOOD.format("here"))
    assert store.hostname(name) == "here"


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("a%2fb", ["a/b", "a%2fb", "a%2Fb"]),
        ("a%5cb", ["a\\b", "a%5cb", "a%5Cb"]),
        ("100%25", ["100%", "100%25"]),
        ("%252f", ["%252f"]),
    ],
)
def test_vspheres_escapes_are_understood_in_either_case(store: Store, file: str, names: list[str]) -> None:
    store.write(f"{file}.yaml", GOOD.format("here"))
    for name in names:
        assert store.hostname(name) == "here", name


def test_the_name_as_given_comes_before_its_escaped_form(store: Store) -> None:
    store.write("100%25.yaml", GOOD.format("escaped"))
    store.write("100%.yml", GOOD.format("given"))
    assert store.hostname("100%") == "given"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            ".",
            "",
            "../secret",
            "../instances/../secret",
            "..%2fsecret",
            "..%2Fsecret",
            "x/../../secret",
        ),
        *(
            "\0",
            "web-01\0",
            "web-01.yaml\0x",
            "a" * 300,
            "ü" * 130,
            "\udc80",
            "\ud800x",
            "%2e%2e/secret",
            "..\\secret",
        ),
    ],
)
def test_a_name_never_leaves_the_directory(store: Store, name: str, parsed: list[str]) -> None:
    (store.directory.parent / "secret.yaml").write_text(GOOD.format("secret"))
    store.write("web-01.yaml", GOOD.format("other"))
    assert store.ask(name) is None
    assert store.ask(str(store.directory.parent / "secret")) is None
    assert parsed == []


def test_a_link_that_leads_out_is_refused_and_said_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    secret = store.directory.parent / "instances-secret.yaml"
    secret.write_text(GOOD.format("secret"))
    (store.directory / "web-01.yaml").symlink_to(secret)
    assert store.ask("web-01") is None
    assert store.ask("web-01") is None
    (record,) = caplog.records
    assert record.getMessage().endswith("web-01.yaml: is a link that leads out of the directory")


def test_links_inside_are_followed_as_those_of_a_config_map_are(store: Store) -> None:
    for version, hostname in (("..v1", "old"), ("..v2", "new")):
        (store.directory / version).mkdir()
        (store.directory / version / "web-01.yaml").write_text(GOOD.format(hostname))
    data = store.directory / "..data"
    data.symlink_to("..v1")
    (store.directory / "web-01.yaml").symlink_to("..data/web-01.yaml")
    assert store.hostname("web-01") == "old"
    data.unlink()
    data.symlink_to("..v2")
    assert store.hostname("web-01") == "new"


def test_the_directory_itself_may_be_a_link_that_is_switched(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "web-01.yaml").write_text(GOOD.format(name))
    link = tmp_path / "current"
    link.symlink_to("one")
    store = Store(link)
    assert store.hostname("web-01") == "one"
    link.unlink()
    link.symlink_to("two")
    assert store.hostname("web-01") == "two"


def test_a_link_in_a_circle_is_said_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    (store.directory / "web-01.yaml").symlink_to("web-01.yaml")
    store.driver.clock_ns = lambda: 0
    assert store.ask("web-01") is None
    assert store.ask("web-01") is None
    (record,) = caplog.records
    assert "cannot be read: Too many levels of symbolic links" in record.getMessage()


def test_what_is_no_file_is_not_opened(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(store.directory / "fifo.yaml")
    (store.directory / "folder.yaml").mkdir()
    for name in ("fifo", "folder"):
        assert store.ask(name) is None
    assert [record.getMessage().endswith(".yaml: is not a file") for record in caplog.records] == [True, True]


def test_a_device_is_not_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    real = os.stat
    monkeypatch.setattr(
        os,
        "stat",
        lambda target, **options: real("/dev/null") if target == path.name else real(target, **options),
    )
    opened: list[str] = []
    really_open = os.open

    def note(target: str, flags: int, **options: Any) -> int:
        opened.append(target)
        return really_open(target, flags, **options)

    monkeypatch.setattr(os, "open", note)
    with pytest.raises(DefinitionError, match="is not a file"):
        store.driver.get_instance(vm("web-01"))
    assert path.name not in opened


def test_a_changed_file_is_served_at_the_next_request(store: Store, parsed: list[str]) -> None:
    store.write("web-01.yaml", GOOD.format("old"))
    assert store.hostname("web-01") == "old"
    assert store.hostname("web-01") == "old"
    assert parsed == ["web-01.yaml"]
    store.write("new.tmp", GOOD.format("new")).rename(store.directory / "web-01.yaml")
    assert store.hostname("web-01") == "new"
    assert len(parsed) == 2


def test_a_change_that_size_and_times_do_not_tell_is_seen_while_the_file_is_young(
    store: Store, parsed: list[str]
) -> None:
    path = store.write("web-01.yaml", GOOD.format("old"))
    status = path.stat()
    frozen = reading.Signature.of(status)
    store.age = 0
    assert store.hostname("web-01") == "old"
    path.write_text(GOOD.format("new"))
    with pytest.MonkeyPatch.context() as patch:
        # A file system whose clock has not ticked since.
        patch.setattr(reading.Signature, "of", lambda _: frozen)
        assert store.hostname("web-01") == "new"
        assert store.hostname("web-01") == "new"
    assert len(parsed) == 2, "the same bytes are not parsed again"


def test_a_touched_file_is_not_parsed_again(store: Store, parsed: list[str]) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    store.ask("web-01")
    os.utime(path, ns=(1, 1))
    assert store.hostname("web-01") == "one"
    assert len(parsed) == 1


def test_a_definition_that_is_gone_is_not_served_any_more(store: Store) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    assert store.hostname("web-01") == "one"
    path.unlink()
    assert store.driver._definitions._kept.size > 0
    store.write("other.yaml", "x")
    assert store.hostname("web-01") is None
    assert store.driver._definitions._kept.size == 0


def test_the_cache_is_bounded_and_forgets_what_was_asked_for_longest_ago(
    store: Store, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = GOOD.format("x")
    monkeypatch.setattr(definitions, "CACHE_BYTES", 3 * (ENTRY_BYTES + len(text)))
    store = Store(store.directory)
    for name in "abc":
        store.write(f"{name}.yaml", text)
        store.ask(name)
    store.ask("a")
    store.write("d.yaml", text)
    store.ask("d")
    assert parsed == ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]
    for name in "acd":
        store.ask(name)
    assert len(parsed) == 4
    store.ask("b")
    assert len(parsed) == 5
    assert store.driver._definitions._kept.size == 3 * (ENTRY_BYTES + len(text))


def test_reload_forgets_what_was_parsed_and_what_was_logged(
    store: Store, parsed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    store.write("web-02.yaml", "x")
    for _ in range(2):
        for name in ("web-01", "web-02", "web-03"):
            store.ask(name)
        store.driver.reload()
        assert store.driver._definitions._kept.size == 0
    assert parsed == ["web-01.yaml", "web-02.yaml"] * 2
    assert len(caplog.records) == 4


def test_what_is_returned_may_be_changed_without_harm(store: Store) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    first = store.ask("web-01")
    assert first is not None
    assert first.metadata is not None
    first.metadata.hostname = "changed"
    first.metadata.public_keys.append("key")
    again = store.ask("web-01")
    assert again is not None
    assert again.metadata is not None
    assert again.metadata.hostname == "one"
    assert again.metadata.public_keys == []


def test_several_threads_may_ask_at_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    assert FileDriver.thread_safe is True
    names = [f"vm-{number}" for number in range(20)]
    for name in names:
        store.write(f"{name}.yaml", GOOD.format(name))
    store.write("broken.yaml", "x")
    store.driver.clock_ns = lambda: 0
    together = threading.Barrier(8)

    def work(thread: int) -> list[str | None]:
        together.wait()
        return [store.hostname(name) for name in [*names, "broken", "missing"]]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    assert answers == [[*names, None, None]] * 8
    assert len(caplog.records) == 2
    assert store.driver._definitions._kept.size == sum(
        entry.size for entry in store.driver._definitions._kept._entries.values()
    )


@pytest.mark.parametrize(
    ("opts", "sentence"),
    [
        ({}, 'FileDriver needs the option directory, as in {"directory": "/srv/instances"}'),
        ({"directory": ""}, 'FileDriver needs the option directory, as in {"directory": "/srv/instances"}'),
        ({"directory": 5}, 'FileDriver needs the option directory, as in {"directory": "/srv/instances"}'),
        (
            {"directory": "/nonexistent/instances"},
            "FileDriver: /nonexistent/instances is not a directory, or cannot be reached",
        ),
        (
            {"directory": "/dev/null", "dir": 1, "cache": 2},
            "FileDriver has no option cache, dir; it has directory, find-by, require-match",
        ),
        ({"directory": "/dev/null"}, "FileDriver: /dev/null is not a directory, or cannot be reached"),
    ],
)
def test_options_are_checked_at_the_start(opts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DriverLoadError) as caught:
        FileDriver(opts)
    assert str(caught.value) == sentence


def test_a_directory_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DriverLoadError, match="cannot be read by this user"):
        FileDriver({"directory": str(tmp_path)})


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web-01.yaml").write_text(GOOD.format("one"))
    driver = FileDriver({"directory": "."})
    monkeypatch.chdir("/")
    assert driver.get_instance(vm("web-01")) is not None
