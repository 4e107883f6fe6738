"""What the tests of FileDriver begin with."""

from pathlib import Path

import pytest

from tests.server.drivers.store import Store
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.drivers import file as file_module
from vmw_cloudinit_metadata.instance import InstanceData


@pytest.fixture
def store(tmp_path: Path) -> Store:
    directory = tmp_path / "instances"
    directory.mkdir()
    return Store(directory)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, in order."""
    seen: list[str] = []

    def note(text: bytes, source: str) -> InstanceData:
        seen.append(Path(source).name)
        return parse_definition(text, source)

    monkeypatch.setattr(file_module, "parse_definition", note)
    return seen
