"""What the tests of FileDriver begin with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.server.drivers.indexed import Directory
from tests.server.drivers.store import Store
from vmw_cloudinit_metadata.definition import Definition, ReadFile, Source
from vmw_cloudinit_metadata.drivers import index, loading


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A directory and a driver, whose index is refreshed by the test alone."""
    monkeypatch.setattr(index, "REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(index, "FIRST_LOOK_SECONDS", 20.0)
    monkeypatch.setattr(index.Index, "hurry", lambda _: None)
    directory = tmp_path / "instances"
    directory.mkdir()
    made = Store(directory)
    yield made
    made.driver.close()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    monkeypatch.setattr(index, "REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(index, "FIRST_LOOK_SECONDS", 20.0)
    made = Directory(tmp_path)
    yield made
    made.index.close()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, in order."""
    seen: list[str] = []

    def note(source: Source, defaults: Sequence[Source], read_file: ReadFile) -> Definition:
        seen.append(Path(source.name).name)
        return Definition(source, defaults, read_file)

    monkeypatch.setattr(loading, "Definition", note)
    return seen
