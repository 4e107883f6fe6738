"""FileDriver while somebody changes the directory between its look at a file and its opening it."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.drivers.store import GOOD, Store

PATIENCE = 20.0


@pytest.fixture
def just_before_opening(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Return what sets an act for the last moment before the driver opens a file, once."""
    really_open = os.open

    def prepare(act: Callable[[], None]) -> None:
        def open_late(path: str, flags: int, dir_fd: int | None = None) -> int:
            if not flags & os.O_DIRECTORY:
                monkeypatch.setattr(os, "open", really_open)
                act()
            return really_open(path, flags, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", open_late)

    return prepare


def replace(path: Path, make: Callable[[Path], object]) -> Callable[[], None]:
    def act() -> None:
        path.unlink()
        make(path)

    return act


def test_a_file_that_becomes_a_link_out_of_the_directory_is_not_followed(
    store: Store, tmp_path_factory: pytest.TempPathFactory, just_before_opening: Callable[..., None]
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "another.yaml"
    outside.write_text(GOOD.format("another-secret"))
    path = store.write("web-01.yaml", GOOD.format("own"))
    just_before_opening(replace(path, lambda path: path.symlink_to(outside)))
    assert store.hostname("web-01") is None


def test_a_file_that_becomes_a_fifo_holds_up_nobody(
    store: Store, just_before_opening: Callable[..., None]
) -> None:
    path = store.write("web-01.yaml", GOOD.format("own"))
    just_before_opening(replace(path, os.mkfifo))
    served: list[str | None] = []
    asking = threading.Thread(target=lambda: served.append(store.hostname("web-01")), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if not served:  # let it go before failing
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        asking.join(PATIENCE)
        pytest.fail("it waited for somebody to write into the FIFO")
    assert served == [None]
    path.unlink()
    store.write("web-01.yaml", GOOD.format("own"))
    assert store.hostname("web-01") == "own"
