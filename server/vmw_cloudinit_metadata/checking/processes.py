"""One function for each of many things, in several processes, with the results in order.

A process is forked with its whole share, and only sends results: it never waits for work that does not come,
and ends with its next result when the parent is gone. The parent takes a share as well, and that of a process
that has ended too early: what made it end happens here then, where it is told, or never again.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")

# Sent at once: the results of some 20 KiB, so that a pipe (64 KiB) holds them while its other end is busy.
BATCH = 25

# A process is forked within some milliseconds; so many things take longer.
WORTH_IT = 200


def map_in_processes(
    function: Callable[[_Thing], _Result], things: Sequence[_Thing], processes: int | None = None
) -> Iterator[_Result]:
    """Yield the result of each thing, in their order; by default with one process for each CPU."""
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if len(things) >= WORTH_IT else 1
    batches = [things[start : start + BATCH] for start in range(0, len(things), BATCH)]
    # The parent is number 0.
    shares = [batches[number::processes] for number in range(1, processes)]
    with _Workers(lambda batch: list(map(function, batch)), shares) as workers:
        for number, batch in enumerate(batches):
            worker = number % processes - 1
            results = workers.receive(worker) if worker >= 0 else None
            yield from map(function, batch) if results is None else results


class _Workers:
    """The other processes, each with the pipe that its results come through."""

    def __init__(self, function: Callable[[Any], Any], shares: Sequence[Sequence[Any]]) -> None:
        context = multiprocessing.get_context("fork")
        self._receivers: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        # A terminal sends Ctrl-C to all of them. It is for this process, which ends the others.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        for share in shares:
            receiver, sender = context.Pipe(duplex=False)
            self._receivers.append(receiver)
            process = context.Process(
                target=_work, args=(function, share, sender, self._receivers), daemon=True
            )
            process.start()
            self._processes.append(process)
            sender.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for receiver in self._receivers:
            receiver.close()

    def receive(self, number: int) -> Any:
        """Return the next result of a process; None from one that has ended."""
        try:
            return self._receivers[number].recv()
        except (EOFError, OSError):
            return None


def _work(
    function: Callable[[Any], Any], share: Sequence[Any], sender: Connection, receivers: Sequence[Connection]
) -> None:
    for receiver in receivers:
        receiver.close()  # else this process itself would keep the pipe open when the parent is gone
    with contextlib.suppress(Exception):  # the parent tries again, and tells
        for thing in share:
            sender.send(function(thing))
