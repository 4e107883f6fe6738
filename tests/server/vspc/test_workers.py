import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support import peer
from vmw_cloudinit_metadata.log import describe
from vmw_cloudinit_metadata.vspc.workers import Workers


@asynccontextmanager
async def workers_of(count: int) -> AsyncIterator[Workers]:
    workers = Workers(count)
    try:
        yield workers
    finally:
        workers.close()


class Gate:
    """A call that says when it has begun, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.opened = threading.Event()
        self.calls = 0
        self.thread = threading.current_thread()

    def __call__(self) -> str:
        self.calls += 1
        self.thread = threading.current_thread()
        self.begun.set()
        self.opened.wait(peer.PATIENCE)
        return threading.current_thread().name

    async def until_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, peer.PATIENCE)


def test_a_call_runs_in_a_thread_and_returns_what_it_returns(run: peer.Run) -> None:
    async def test() -> None:
        async with workers_of(1) as workers:
            assert await workers.run(lambda a, b: (a, b, threading.current_thread().name), 1, 2) == (
                1,
                2,
                "driver-0",
            )

    run(test())


def test_a_call_that_hangs_keeps_no_interpreter_from_its_end(run: peer.Run) -> None:
    async def test() -> None:
        async with workers_of(1) as workers:
            assert await workers.run(lambda: threading.current_thread().daemon)

    run(test())


def test_what_a_call_raises_is_raised(run: peer.Run) -> None:
    async def test() -> None:
        async with workers_of(1) as workers:
            with pytest.raises(ZeroDivisionError):
                await workers.run(lambda: 1 / 0)
            assert await workers.run(lambda: "the next call") == "the next call"

    run(test())


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, asyncio.CancelledError])
def test_what_a_loop_cannot_pass_on_is_raised_as_a_runtime_error_that_says_where(
    run: peer.Run, error: type[BaseException]
) -> None:
    def lookup() -> None:
        raise error("hunter2")

    async def test() -> None:
        async with workers_of(1) as workers:
            with pytest.raises(RuntimeError, match=error.__name__) as raised:
                await workers.run(lookup)
            assert f"{__file__}:{lookup.__code__.co_firstlineno + 1}" in describe(raised.value)
            assert "hunter2" not in str(raised.value)
            assert await workers.run(lambda: "the next call") == "the next call"

    run(test())


def test_one_worker_makes_one_call_at_a_time_in_the_order_they_came(run: peer.Run) -> None:
    async def test() -> None:
        made: list[int] = []
        gate = Gate()
        async with workers_of(1) as workers:
            first = asyncio.create_task(workers.run(gate))
            others = [asyncio.create_task(workers.run(made.append, number)) for number in range(5)]
            await gate.until_begun()
            assert made == []
            gate.opened.set()
            await asyncio.gather(first, *others)
        assert made == [0, 1, 2, 3, 4]

    run(test())


def test_several_workers_make_calls_at_once_and_no_more_than_their_number(run: peer.Run) -> None:
    async def test() -> None:
        gates = [Gate() for _ in range(3)]
        async with workers_of(2) as workers:
            calls = [asyncio.create_task(workers.run(gate)) for gate in gates]
            await gates[0].until_begun()
            await gates[1].until_begun()
            assert not gates[2].begun.is_set()
            for gate in gates:
                gate.opened.set()
            assert set(await asyncio.gather(*calls)) == {"driver-0", "driver-1"}

    run(test())


def test_an_idle_thread_is_used_before_another_is_started(run: peer.Run) -> None:
    async def test() -> None:
        async with workers_of(8) as workers:
            names = {await workers.run(lambda: threading.current_thread().name) for _ in range(20)}
        assert names == {"driver-0"}

    run(test())


def test_a_thread_that_the_system_refuses_costs_one_call_only(
    run: peer.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def test() -> None:
        async with workers_of(1) as workers, asyncio.timeout(peer.PATIENCE):
            with monkeypatch.context() as refusing:
                refusing.setattr(threading.Thread, "start", refuse)
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    await workers.run(str)
            assert await workers.run(str, 1) == "1"

    run(test())


def test_a_call_that_nobody_waits_for_any_more_is_not_made(run: peer.Run) -> None:
    async def test() -> None:
        gate, late = Gate(), Gate()
        async with workers_of(1) as workers:
            first = asyncio.create_task(workers.run(gate))
            await gate.until_begun()
            second = asyncio.create_task(workers.run(late))
            await asyncio.wait([second], timeout=0)
            second.cancel()
            await asyncio.wait([second])
            gate.opened.set()
            await first
            await workers.run(lambda: None)
        assert late.calls == 0

    run(test())


def test_a_call_that_hangs_for_nobody_does_not_keep_the_other_threads_from_work(
    run: peer.Run,
) -> None:
    async def test() -> None:
        hung = Gate()
        async with workers_of(2) as workers:
            call = asyncio.create_task(workers.run(hung))
            await hung.until_begun()
            call.cancel()
            await asyncio.wait([call])
            async with asyncio.timeout(peer.PATIENCE):
                assert await workers.run(lambda: threading.current_thread().name) == "driver-1"
            hung.opened.set()

    run(test())


def test_an_idle_thread_keeps_nothing_of_its_last_call(run: peer.Run) -> None:
    class Document:
        pass

    async def test() -> None:
        async with workers_of(1) as workers:
            document = await workers.run(Document)
            gone = weakref.ref(document)
            await workers.run(lambda _: None, document)
            del document
            # The thread clears its names after it has reported, so ask it for one thing more.
            await workers.run(gc.collect)
            assert gone() is None

    gc.collect()  # what earlier tests have left, and may be open, goes before the descriptors are counted
    run(test())


@pytest.mark.parametrize("loop", list(peer.LOOPS))
def test_a_call_that_outlives_the_loop_ends_without_a_word(loop: str) -> None:
    gate = Gate()

    async def test() -> None:
        workers = Workers(1)
        call = asyncio.create_task(workers.run(gate))
        await gate.until_begun()
        call.cancel()
        workers.close()

    peer.run(loop, test())
    gate.opened.set()
    gate.thread.join(peer.PATIENCE)
    assert not gate.thread.is_alive()
