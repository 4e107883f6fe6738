"""Time-outs of many who wait equally long: one timer of the event loop for all of them.

A timer for each, set and cancelled by every VM that boots, costs as much as its identification.
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")


class Timeouts(Generic[_T]):
    """Call ``expired`` with each who has waited for ``seconds``; then it waits no longer."""

    def __init__(
        self, loop: "asyncio.AbstractEventLoop", seconds: float, expired: Callable[[_T], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expired = expired
        self._deadlines: dict[_T, float] = {}  # the earliest first
        self._timer: asyncio.TimerHandle | None = None  # of the earliest, or of one that waits no longer

    def __contains__(self, one: _T) -> bool:
        """Tell whether it waits."""
        return one in self._deadlines

    def start(self, one: _T) -> None:
        """Let it wait from now on, which it does not do yet."""
        self._deadlines[one] = deadline = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check)

    def stop(self, one: _T) -> None:
        """Let it wait no longer, if it does."""
        self._deadlines.pop(one, None)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        due = list(itertools.takewhile(lambda one: self._deadlines[one] <= now, self._deadlines))
        try:
            for one in due:
                # What expires may end another's wait, or begin one.
                if self._deadlines.pop(one, None) is not None:
                    self._expired(one)
        finally:
            earliest = next(iter(self._deadlines.values()), None)
            self._timer = None if earliest is None else self._loop.call_at(earliest, self._check)
