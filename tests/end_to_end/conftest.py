"""What every test of the whole path keeps to: it leaves nothing behind."""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Compare processes, threads, sockets, pipes and ttys before and after."""
    before = _threads(), _processes(), _descriptors()
    yield
    assert (_threads(), _processes(), _descriptors()) == before


def _processes() -> set[str]:
    children: set[str] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            children.update((thread / "children").read_text().split())
    return children


def _threads() -> set[str]:
    for thread in threading.enumerate():
        if "waitpid-" in thread.name:  # "waitpid-1" up to Python 3.11.2, then "asyncio-waitpid-1"
            thread.join(timeout=5)  # asyncio's, which ends with the process it has waited for
    return {thread.name for thread in threading.enumerate()}


def _descriptors() -> Counter[str]:
    """Return what this process has open, sockets and pipes by their kind."""
    names: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            names[os.readlink(entry).partition(":")[0]] += 1
        except FileNotFoundError:
            continue  # the listing's own
    return names
