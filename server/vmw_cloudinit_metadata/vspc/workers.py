"""Worker threads for the driver's blocking calls, so that the event loop never waits for a disk.

Not concurrent.futures: its threads are joined when the interpreter exits, and a driver that hangs would keep
the server from stopping. These are daemons.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """At most ``count`` threads, started as they are needed.

    Who waits for a thread waits in the event loop, and leaves no call behind when it is cancelled. A call
    that a thread has begun keeps that thread until it ends, whether anyone still waits for it or not.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._busy = 0  # calls that threads have begun and not ended
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    async def run(self, function: Callable[..., _T], *args: Any) -> _T:
        """Call the function in a worker thread; return or raise what it does.

        Raises:
            RuntimeError: the function raised what an event loop cannot pass on: SystemExit, StopIteration …;
                or the system has no thread to spare.
        """
        await self._free.acquire()
        if self._busy == len(self._threads):
            thread = threading.Thread(target=self._work, name=f"driver-{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads for this process at the moment; the next call tries again
                self._free.release()
                raise
            self._threads.append(thread)
        self._busy += 1
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, function, args))
        return await future

    def close(self) -> None:
        """Let the threads end after the calls under way."""
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, args = call
            result: Any = None
            error: Exception | None = None
            try:
                result = function(*args)
            except BaseException as raised:  # a driver's SystemExit, too, belongs to who asked
                error = _passable(raised)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it who asked
                future.get_loop().call_soon_threadsafe(self._settle, future, result, error)
            del call, future, function, args, result, error  # or an idle thread would keep them

    def _settle(self, future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
        self._busy -= 1
        self._free.release()
        if future.done():
            return  # who asked has gone
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _passable(error: BaseException) -> Exception:
    """Return the exception, or one that stands for it where a future does not take it or a loop would end."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    substitute = RuntimeError(f"the driver raised {type(error).__name__}")
    return substitute.with_traceback(error.__traceback__)
