"""What the driver asks of the file system, counted."""

import collections
import os
from typing import Any

import pytest

_CALLS = ("stat", "scandir", "listdir", "open", "lstat", "access", "readlink")


class Counted:
    """How often each function of ``os`` was called, since it was asked for last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls: collections.Counter[str] = collections.Counter()
        for name in _CALLS:
            monkeypatch.setattr(os, name, self._counting(name, getattr(os, name)))

    def take(self) -> dict[str, int]:
        """Return the numbers, and begin anew."""
        calls, self._calls = self._calls, collections.Counter()
        return dict(calls)

    def _counting(self, name: str, function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self._calls[name] += 1
            return function(*args, **options)

        return call
