"""What the tests of FileDriver begin with."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.server.drivers.store import Store
from vmw_cloudinit_metadata.definition import Definition, ReadFile, Source
from vmw_cloudinit_metadata.drivers import loading


@pytest.fixture
def store(tmp_path: Path) -> Store:
    directory = tmp_path / "instances"
    directory.mkdir()
    return Store(directory)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, in order."""
    seen: list[str] = []

    def note(source: Source, defaults: Sequence[Source], read_file: ReadFile) -> Definition:
        seen.append(Path(source.name).name)
        return Definition(source, defaults, read_file)

    monkeypatch.setattr(loading, "Definition", note)
    return seen
