"""Lines and the turns of an event loop: what is written when, and in how many writes."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vmw_cloudinit_metadata import log
from vmw_cloudinit_metadata.log import (
    ConnectionLog,
    JournalFormatter,
    JSONFormatter,
    TextFormatter,
    TurnHandler,
)

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


# A connection's line is made without a record where nobody else would see it.


@pytest.fixture
def root() -> logging.Logger:
    """Return a tree of loggers of its own: pytest listens to the usual one."""
    return logging.RootLogger(logging.DEBUG)


@pytest.fixture
def own(root: logging.Logger) -> logging.Logger:
    own = logging.Logger("test.turns")
    own.parent = root
    return own


@pytest.fixture
def alone(root: logging.Logger, stream: Stream) -> TurnHandler:
    """The only handler there is, as ``set_up`` leaves it."""
    handler = TurnHandler()
    handler.setStream(stream)
    handler.setFormatter(TextFormatter())
    root.addHandler(handler)
    return handler


@pytest.fixture
def connection(own: logging.Logger, alone: TurnHandler) -> ConnectionLog:
    connection = ConnectionLog(own, "192.0.2.1:5000")
    connection.is_about("web-01", "2")
    return connection


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What records were made for, by whatever logger."""
    made: list[str] = []
    make = logging.Logger.makeRecord

    def note(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(self, *args, **kwargs)
        made.append(record.getMessage())
        return record

    monkeypatch.setattr(logging.Logger, "makeRecord", note)
    return made


@pytest.mark.parametrize("formatter", [TextFormatter(), JournalFormatter(), JSONFormatter()], ids=repr)
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, 35])
def test_a_line_without_a_record_is_as_with_one(
    alone: TurnHandler,
    connection: ConnectionLog,
    stream: Stream,
    records: list[str],
    formatter: logging.Formatter,
    level: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 1795426725.0719)
    alone.setFormatter(formatter)
    said = "%s answered%s in %.3f s", "REQUEST_METADATA", " 50%s\nforged", 0.5
    connection.log(level, *said)
    assert records == []
    connection.log(level, *said, stacklevel=1)  # logging's own way
    assert len(records) == 1
    first, second = stream.written
    assert first == second


def test_what_is_not_logged_makes_no_line(
    own: logging.Logger, connection: ConnectionLog, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.setLevel(logging.WARNING)
    connection.info("quiet")
    monkeypatch.setattr(own, "disabled", True)
    connection.warning("disabled")
    assert stream.written == []


Change = Callable[[TurnHandler, logging.Logger, pytest.MonkeyPatch], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda alone, own, patch: own.parent.addHandler(logging.NullHandler()),
        lambda alone, own, patch: own.addHandler(logging.NullHandler()),
        lambda alone, own, patch: own.addFilter(lambda record: True),
        lambda alone, own, patch: alone.addFilter(lambda record: True),
        lambda alone, own, patch: alone.setLevel(logging.INFO),
        lambda alone, own, patch: alone.setFormatter(logging.Formatter()),
        lambda alone, own, patch: patch.setattr(
            logging, "_logRecordFactory", lambda *args: logging.LogRecord(*args)
        ),
    ],
    ids=["a handler of root's", "a handler", "a filter", "our filter", "our level", "a format", "a factory"],
)
def test_a_record_is_made_where_somebody_may_look_at_it(
    alone: TurnHandler,
    own: logging.Logger,
    connection: ConnectionLog,
    stream: Stream,
    records: list[str],
    change: Change,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(alone, own, monkeypatch)
    connection.info("connected")
    assert records == ["192.0.2.1:5000 web-01 port 2: connected"]
    assert len(stream.written) == 1


def test_a_logger_that_keeps_its_records_to_itself_writes_nothing(
    own: logging.Logger, connection: ConnectionLog, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "propagate", False)
    connection.info("connected")
    assert stream.written == []


def test_lines_with_and_without_a_record_keep_their_order(
    alone: TurnHandler, own: logging.Logger, connection: ConnectionLog, stream: Stream, loop: Loop
) -> None:
    with alone.by_turns(loop.call_soon):
        connection.info("one")
        own.info("two")
        connection.info("three")
    (written,) = stream.written
    assert [line.rsplit(" ", 1)[1] for line in written.splitlines()] == ["one", "two", "three"]


def test_a_connections_line_that_cannot_be_made_is_reported_as_logging_does(
    connection: ConnectionLog, stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    connection.info("%d", "text")
    connection.info("written")
    (line,) = stream.written
    assert line.endswith("written\n")
    assert "--- Logging error ---" in capsys.readouterr().err
