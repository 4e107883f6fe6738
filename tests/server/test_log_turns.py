"""Lines and the turns of an event loop: what is written when, and in how many writes."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from vmw_cloudinit_metadata import log
from vmw_cloudinit_metadata.log import TurnHandler

logger = logging.getLogger("test.turns")


class Stream(io.StringIO):
    """Standard error that notes each write; ``fault`` is what writing raises."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.flushed = 0
        self.fault: Exception | None = None

    def write(self, text: str) -> int:
        if self.fault:
            raise self.fault
        if text:
            self.written.append(text)
        return len(text)

    def flush(self) -> None:
        self.flushed += 1


class Loop:
    """An event loop whose turns a test ends."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def turn(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def handler(stream: Stream) -> Iterator[TurnHandler]:
    handler = TurnHandler()
    handler.setStream(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)


def test_without_a_loop_each_line_is_written_at_once(handler: TurnHandler, stream: Stream) -> None:
    logger.info("one")
    logger.debug("two")
    assert stream.written == ["one\n", "two\n"]
    assert stream.flushed == 2


def test_the_lines_of_a_turn_are_one_write(handler: TurnHandler, stream: Stream, loop: Loop) -> None:
    with handler.by_turns(loop.call_soon):
        for turn in range(2):
            for line in range(100):
                logger.info("%d %d", turn, line)
            assert len(stream.written) == turn
            assert len(loop.callbacks) == 1
            loop.turn()
    assert stream.written == ["".join(f"{turn} {line}\n" for line in range(100)) for turn in range(2)]


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_a_warning_is_written_at_once_behind_what_waits(
    handler: TurnHandler, stream: Stream, loop: Loop, level: int
) -> None:
    with handler.by_turns(loop.call_soon):
        logger.info("one")
        logger.log(level, "two")
        assert stream.written == ["one\ntwo\n"]
        logger.info("three")
        loop.turn()
        assert stream.written[1:] == ["three\n"]


def test_a_line_of_another_thread_is_written_at_once_behind_what_waits(
    handler: TurnHandler, stream: Stream, loop: Loop
) -> None:
    with handler.by_turns(loop.call_soon):
        logger.info("one")
        thread = threading.Thread(target=logger.info, args=("two",))
        thread.start()
        thread.join()
        assert stream.written == ["one\ntwo\n"]


def test_what_waits_is_written_when_the_loop_ends(handler: TurnHandler, stream: Stream, loop: Loop) -> None:
    with handler.by_turns(loop.call_soon):
        logger.info("one")
    assert stream.written == ["one\n"]
    logger.info("two")
    assert stream.written == ["one\n", "two\n"]


def test_what_waits_is_written_when_the_loop_ends_by_an_exception(
    handler: TurnHandler, stream: Stream, loop: Loop
) -> None:
    def log_and_end() -> None:
        logger.info("one")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), handler.by_turns(loop.call_soon):
        log_and_end()
    assert stream.written == ["one\n"]


def test_a_line_that_waits_is_of_the_moment_it_was_logged_in(
    handler: TurnHandler, stream: Stream, loop: Loop
) -> None:
    packets = ["REQUEST_METADATA"]
    with handler.by_turns(loop.call_soon):
        logger.info("%s", packets)
        packets.clear()
    assert stream.written == ["['REQUEST_METADATA']\n"]


@pytest.mark.parametrize("fault", [OSError("no space left"), ValueError("closed")], ids=repr)
def test_a_log_that_cannot_be_written_ends_no_loop(
    handler: TurnHandler, stream: Stream, loop: Loop, fault: Exception
) -> None:
    with handler.by_turns(loop.call_soon):
        logger.info("lost")
        stream.fault = fault
        loop.turn()
        stream.fault = None
        logger.info("written")
        loop.turn()
    assert stream.written == ["written\n"]


def test_nor_does_a_line_that_cannot_be_made(
    handler: TurnHandler, stream: Stream, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with handler.by_turns(loop.call_soon):
        logger.info("%d", "text")
        logger.info("written")
    assert stream.written == ["written\n"]


def test_handlers_of_others_go_on_as_they_do(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    with log.by_turns(loop.call_soon):
        logger.warning("said")
        assert caplog.messages == ["said"]
    assert loop.callbacks == []


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGINT)", "1 / 0"])
def test_no_line_is_lost_at_the_end_of_the_process(end: str) -> None:
    code = (
        "import logging, os, signal, sys; from vmw_cloudinit_metadata import log; log.set_up('info'); "
        "turns = log.by_turns(lambda callback: None); turns.__enter__(); "
        f"logging.info('one'); logging.info('two'); {end}"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert [line[-4:].strip() for line in ended.stderr.splitlines() if " INFO root: " in line] == [
        "one",
        "two",
    ]
