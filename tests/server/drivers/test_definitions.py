"""FileDriver's definitions while the files that they are made of change."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.drivers.store import GOOD, Store


def region(store: Store, name: str = "web-01") -> str | None:
    instance = store.ask(name)
    return instance.metadata.region if instance and instance.metadata else None


def defaults(value: str) -> str:
    return f"metadata: {{region: {value}}}\n"


def test_a_change_of_any_defaults_on_the_way_is_seen_at_the_next_request(
    store: Store, parsed: list[str]
) -> None:
    store.write("a/b/web-01.yaml", GOOD.format("one"))
    store.write("c/_defaults.yaml", defaults("another way"))
    assert region(store) is None
    outer = store.write("_defaults.yaml", defaults("outer"))
    assert region(store) == "outer"
    inner = store.write("a/_defaults.yaml", defaults("inner"))
    assert region(store) == "inner"
    store.write("a/b/_defaults.yaml", defaults("innermost"))
    assert region(store) == "innermost"
    store.write("_new", defaults("new")).rename(store.directory / "a/b/_defaults.yaml")
    assert region(store) == "new"
    (store.directory / "a/b/_defaults.yaml").unlink()
    assert region(store) == "inner"
    inner.unlink()
    assert region(store) == "outer"
    outer.unlink()
    assert region(store) is None
    assert len(parsed) == 8
    assert region(store) is None
    assert len(parsed) == 8


def test_defaults_that_were_merely_touched_are_not_parsed_again(store: Store, parsed: list[str]) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    path = store.write("_defaults.yaml", defaults("x"))
    assert region(store) == "x"
    os.utime(path, ns=(1, 1))
    assert region(store) == "x"
    assert parsed == ["web-01.yaml"]


def test_a_definition_that_moves_has_the_defaults_of_where_it_is(store: Store) -> None:
    store.write("a/_defaults.yaml", defaults("a"))
    store.write("b/_defaults.yaml", defaults("b"))
    path = store.write("a/web-01.yaml", GOOD.format("one"))
    assert region(store) == "a"
    path.rename(store.directory / "b/web-01.yaml")
    assert region(store) == "b"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_text("xyz: x\n"), ":1: xyz: is not a known key"),
        (lambda path: path.symlink_to("/etc/passwd"), ": is a link that leads out of the directory"),
        (lambda path: path.mkdir(), ": is not a file"),
        (os.mkfifo, ": is not a file"),
    ],
)
def test_faulty_defaults_harm_those_below_and_no_other(
    store: Store, caplog: pytest.LogCaptureFixture, make: Callable[[Path], object], sentence: str
) -> None:
    store.write("a/web-01.yaml", GOOD.format("one"))
    store.write("web-02.yaml", GOOD.format("two"))
    path = store.directory / "a/_defaults.yaml"
    make(path)
    for _ in range(2):
        assert store.hostname("web-01") is None
        assert store.hostname("web-02") == "two"
    (message,) = caplog.messages
    assert message.startswith(f"'web-01' is not served: {path}{sentence}")
    path.rename(store.directory / "_away")
    assert store.hostname("web-01") == "one"


def test_defaults_through_links_are_those_of_a_config_map(store: Store) -> None:
    for version in ("..v1", "..v2"):
        store.write(f"{version}/_defaults.yaml", defaults(version))
        store.write(f"{version}/web-01.yaml", GOOD.format("one"))
    data = store.directory / "..data"
    data.symlink_to("..v1")
    for name in ("_defaults.yaml", "web-01.yaml"):
        (store.directory / name).symlink_to(f"..data/{name}")
    assert region(store) == "..v1"
    (store.directory / "new").symlink_to("..v2")
    (store.directory / "new").rename(data)
    assert region(store) == "..v2"


def test_a_definition_is_forgotten_when_it_is_gone(store: Store) -> None:
    path = store.write("a/web-01.yaml", GOOD.format("one"))
    store.ask("web-01")
    assert len(store.driver._definitions._kept) == 1
    path.unlink()
    assert store.hostname("web-01") is None
    assert len(store.driver._definitions._kept) == 0
