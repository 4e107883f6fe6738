"""Logging: set-up, formats, the adapter that says which VM a line is about, a throttle for what repeats.

Payloads, tokens and keys are never handed to a logger, at any level.
"""

import contextlib
import functools
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from vmw_cloudinit_metadata import systemd

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "text", "json")

# Of one throttle, logged in its time: more than there are words for an answer; what is beyond is made up.
MAX_OUTCOMES = 16


def set_up(level: str, form: str = "auto") -> None:
    """Log to standard error from this level on.

    ``form`` is ``text``, lines for people; ``json``, an object a line; or ``auto``, which is text, and for
    systemd's journal text without what the journal notes itself.
    """
    handler = TurnHandler()
    if form == "auto" and systemd.stderr_is_journal():
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # What the event loop says at DEBUG is not about any VM.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class TurnHandler(logging.StreamHandler[TextIO]):
    """Write lines to standard error; those of one turn of an event loop together, ``by_turns``.

    A warning goes out at once, and so does what is logged in other threads, before the loop and after it: all
    behind the lines that wait, so that none overtakes another.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []  # that wait for the end of the turn
        self._call_soon: Callable[[Callable[[], None]], object] | None = None  # of the loop, while it runs
        self._thread = 0  # the loop's

    @contextlib.contextmanager
    def by_turns(self, call_soon: Callable[[Callable[[], None]], object]) -> Iterator[None]:
        """Collect the lines of this thread's event loop until ``call_soon`` calls back, in its next turn."""
        self._thread, self._call_soon = threading.get_ident(), call_soon
        try:
            yield
        finally:
            self._call_soon = None
            self._end_turn()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, or let it wait."""
        try:
            self._lines.append(self.format(record) + self.terminator)
            at_once = record.levelno >= logging.WARNING or threading.get_ident() != self._thread
            if self._call_soon is None or at_once:
                self.flush()
            elif len(self._lines) == 1:
                self._call_soon(self._end_turn)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write the lines that wait; logging calls it at the end of the process, too."""
        self.acquire()
        try:
            text = "".join(self._lines)
            self._lines.clear()
            self.stream.write(text)
            self.stream.flush()
        finally:
            self.release()

    def _end_turn(self) -> None:
        # A log that cannot be written has nowhere to say so.
        with contextlib.suppress(OSError, ValueError):
            self.flush()


@contextlib.contextmanager
def by_turns(call_soon: Callable[[Callable[[], None]], object]) -> Iterator[None]:
    """Write what this thread's event loop logs in a turn together, where ``set_up`` was called."""
    with contextlib.ExitStack() as stack:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, TurnHandler):
                stack.enter_context(handler.by_turns(call_soon))
        yield


class _Clock:
    """Write the times of records; what does not change within a second is made once in it."""

    def __init__(self, form: str, to_calendar: Callable[[float], time.struct_time]) -> None:
        self._form = form
        self._to_calendar = to_calendar
        self._latest = (-1, "")

    def text(self, record: logging.LogRecord) -> str:
        """Return the time of a record, without its milliseconds."""
        second, text = self._latest
        if second != int(record.created):
            second = int(record.created)
            text = time.strftime(self._form, self._to_calendar(second))
            self._latest = second, text
        return text


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, logger, message."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = _Clock("%Y-%m-%d %H:%M:%S", time.localtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        moment = f"{self._clock.text(record)},{record.msecs:03.0f}"
        return f"{moment} {record.levelname} {record.name}: {_message(record)}"


class JournalFormatter(logging.Formatter):
    """Lines for systemd's journal, which knows the time: each begins with its priority (sd-daemon(3))."""

    # Those of syslog(3).
    _PRIORITIES = (
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.NOTSET, 7),
    )

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, each with the priority, for each is an entry of the journal."""
        priority = next(number for level, number in self._PRIORITIES if record.levelno >= level)
        return f"<{priority}>{record.name}: {_message(record)}".replace("\n", f"\n<{priority}>")


class JSONFormatter(logging.Formatter):
    """An object a line, for programs: time, level, logger, peer, vm, port, message."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = _Clock("%Y-%m-%dT%H:%M:%S", time.gmtime)  # RFC 3339

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; ``peer``, ``vm`` and ``port`` are null where a line is about none."""
        peer, vm, port = (getattr(record, name, None) for name in ("peer", "vm", "port"))
        text = _message(record)
        return json.dumps(
            {
                "time": f"{self._clock.text(record)}.{record.msecs:03.0f}Z",
                "level": record.levelname.lower(),
                "logger": record.name,
                "peer": peer,
                "vm": vm or None,
                "port": port or None,
                "message": text.removeprefix(f"{_subject(peer, vm or '', port or '')}: ") if peer else text,
            }
        )


def _message(record: logging.LogRecord) -> str:
    """Return what a record says, and of an exception its place alone: the text of one may quote a secret."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        text += f"\n{describe(record.exc_info[1])}"
    return f"{text}\n{record.stack_info}" if record.stack_info else text


def printable(text: str) -> str:
    """Return text that a peer chose, fit for a line of a log: escaped, if a character is not."""
    return text if text.isprintable() else ascii(text)


def address_text(host: str, port: int) -> str:
    """Return an address as an operator writes it, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def describe(error: BaseException) -> str:
    """Return an exception's type and where it was raised, without its text, which may quote a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} in {frames[-1].filename}:{frames[-1].lineno}"
        if frames
        else type(error).__name__
    )


class ConnectionLog(logging.LoggerAdapter[logging.Logger]):
    """Put the peer, and the VM once it is known, before each message; with its port, if that has a label."""

    def __init__(self, logger: logging.Logger, peer: str) -> None:
        super().__init__(logger)
        self.peer = peer
        self.is_about("")

    def is_about(self, vm: str, port: str = "") -> None:
        """Name the VM, and its port by its label, in the lines to come."""
        self.vm = vm
        self.port = port
        self._subject = _subject(self.peer, vm, port)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log the message with its subject in front, which is no part of the format: a name may hold "%"."""
        logger = self.logger
        if not logger.isEnabledFor(level):
            return
        about = {"peer": self.peer, "vm": self.vm, "port": self.port}  # for JSONFormatter
        text, args = f"%s: {msg}", (self._subject, *args)
        if kwargs or logging.getLogRecordFactory() is not logging.LogRecord:
            logger.log(level, text, *args, extra=about, **kwargs)
        else:
            logger.handle(_record(logger.name, level, text, args, about))


def _record(name: str, level: int, text: str, args: tuple[object, ...], about: dict[str, str]) -> Any:
    """Return the record that Logger.log would make, in a third of the time: of every VM there are three."""
    now = time.time()
    common = _in_common(name, level, threading.get_ident())
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ = {
        **common,
        **about,
        "msg": text,
        "args": args,
        "created": now,
        "msecs": now % 1 * 1000 // 1,
        "relativeCreated": common["relativeCreated"] + (now - common["created"]) * 1000,
        "taskName": None,  # from Python 3.12 on; it would be another's
    }
    return record


@functools.lru_cache(maxsize=64)
def _in_common(name: str, level: int, thread: int) -> dict[str, Any]:
    """Return what is the same in all records: a thread's name, say; and when it was made."""
    # Who has called would be looked for among the callers, and found to be this module.
    return vars(logging.LogRecord(name, level, __file__, 0, "", (), None, "log"))


def _subject(peer: str, vm: str, port: str) -> str:
    subject = f"{peer} {printable(vm)}".rstrip()
    return f"{subject} port {printable(port)}" if port else subject


class Throttle:
    """Count what happens often and say when to log it: an outcome at once, then at most every ``seconds``."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._quiet: dict[str, float] = {}  # until when, by outcome
        self._count = 0

    def count(self, outcome: str = "") -> int:
        """Count one; return how many, of all outcomes, to log now, or 0.

        An outcome that was not logged lately is logged at once, so that a change is seen; one that comes and
        goes is not, or who causes it could fill the log.
        """
        self._count += 1
        now = self._clock()
        self._quiet = {each: end for each, end in self._quiet.items() if end > now}
        if outcome in self._quiet or len(self._quiet) >= MAX_OUTCOMES:
            return 0
        self._quiet[outcome] = now + self._seconds
        due, self._count = self._count, 0
        return due
