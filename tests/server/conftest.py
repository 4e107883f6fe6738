"""What holds for all tests of the server."""

from collections.abc import Iterator
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers.file import FileDriver


@pytest.fixture(autouse=True)
def drivers_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close each FileDriver that a test has made: the thread of its index would open files in later tests."""
    made: list[FileDriver] = []
    make = FileDriver.__init__

    def note(driver: FileDriver, *arguments: Any, **options: Any) -> None:
        make(driver, *arguments, **options)
        made.append(driver)

    monkeypatch.setattr(FileDriver, "__init__", note)
    yield
    for driver in made:
        driver.close()
