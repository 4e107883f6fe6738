"""Worker threads for the driver's blocking calls, so that the event loop never waits for a disk.

Not concurrent.futures: its threads are joined when the interpreter exits, and a driver that hangs would keep
the server from stopping. These are daemons.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """At most ``count`` threads, started as they are needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0  # calls that were given to a thread and not yet taken back

    async def run(self, function: Callable[..., _T], *args: Any) -> _T:
        """Call the function in a worker thread; return or raise what it does."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._under_way += 1
        if self._under_way > len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"driver-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._calls.put((future, function, args))
        try:
            return await future
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Let the threads end after the calls under way."""
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, args = call
            result: Any = None
            error: BaseException | None = None
            try:
                result = function(*args)
            except BaseException as raised:  # a driver's SystemExit, too, belongs to who asked
                error = raised
            loop = future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # who asked has gone
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception):
        future.set_exception(error)
    else:
        future.set_exception(RuntimeError(f"the driver raised {type(error).__name__}"))
