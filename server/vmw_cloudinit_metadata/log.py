"""Logging: set-up, formats, the adapter that says which VM a line is about, a throttle for what repeats.

Payloads, tokens and keys are never handed to a logger, at any level.
"""

import contextlib
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
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
            self._add(record.levelno, self.format(record))
        except Exception:
            self.handleError(record)

    def say(
        self, level: int, name: str, text: str, args: tuple[object, ...], about: Mapping[str, Any]
    ) -> bool:
        """Do what comes of a record of now, without one; return False if that takes one, or fails."""
        form = self.formatter
        if self.filters or self.level or not isinstance(form, LineFormatter):
            return False
        self.acquire()
        try:
            self._add(level, form.line(time.time(), level, name, text % args, about))
        except Exception:
            return False
        finally:
            self.release()
        return True

    def _add(self, level: int, line: str) -> None:
        self._lines.append(line + self.terminator)
        at_once = level >= logging.WARNING or threading.get_ident() != self._thread
        if self._call_soon is None or at_once:
            self.flush()
        elif len(self._lines) == 1:
            self._call_soon(self._end_turn)

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
    """Write times; what does not change within a second is made once in it."""

    def __init__(self, form: str, to_calendar: Callable[[float], time.struct_time]) -> None:
        self._form = form
        self._to_calendar = to_calendar
        self._latest = (-1, "")

    def text(self, moment: float) -> str:
        """Return a time in milliseconds; the form says all up to them."""
        second, text = self._latest
        if second != int(moment):
            second = int(moment)
            text = time.strftime(self._form, self._to_calendar(second))
            self._latest = second, text
        return f"{text}{int((moment - second) * 1000):03d}"


class LineFormatter(logging.Formatter):
    """Make lines: of records, and for ``ConnectionLog`` without one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        text = record.getMessage()
        # Of an exception its place alone: its text may quote a secret.
        if record.exc_info and record.exc_info[1]:
            text += f"\n{describe(record.exc_info[1])}"
        if record.stack_info:
            text += f"\n{record.stack_info}"
        return self.line(record.created, record.levelno, record.name, text, vars(record))

    def line(self, moment: float, level: int, name: str, text: str, about: Mapping[str, Any]) -> str:
        """Return a line of this time, level and logger; ``about`` may have a peer, a VM and its port."""
        raise NotImplementedError


class TextFormatter(LineFormatter):
    """Lines for people: time, level, logger, message."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = _Clock("%Y-%m-%d %H:%M:%S,", time.localtime)

    def line(self, moment: float, level: int, name: str, text: str, about: Mapping[str, Any]) -> str:
        """Return a line as logging writes it by itself."""
        return f"{self._clock.text(moment)} {logging.getLevelName(level)} {name}: {text}"


class JournalFormatter(LineFormatter):
    """Lines for systemd's journal, which knows the time: each begins with its priority (sd-daemon(3))."""

    # Those of syslog(3).
    _PRIORITIES = (
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.NOTSET, 7),
    )

    def line(self, moment: float, level: int, name: str, text: str, about: Mapping[str, Any]) -> str:
        """Return lines, each with the priority, for each is an entry of the journal."""
        priority = next(number for least, number in self._PRIORITIES if level >= least)
        return f"<{priority}>{name}: {text}".replace("\n", f"\n<{priority}>")


class JSONFormatter(LineFormatter):
    """An object a line, for programs: time, level, logger, peer, vm, port, message."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = _Clock("%Y-%m-%dT%H:%M:%S.", time.gmtime)  # RFC 3339

    def line(self, moment: float, level: int, name: str, text: str, about: Mapping[str, Any]) -> str:
        """Return a line of JSON; ``peer``, ``vm`` and ``port`` are null where it is about none."""
        peer, vm, port = (about.get(key) for key in ("peer", "vm", "port"))
        return json.dumps(
            {
                "time": f"{self._clock.text(moment)}Z",
                "level": logging.getLevelName(level).lower(),
                "logger": name,
                "peer": peer,
                "vm": vm or None,
                "port": port or None,
                "message": text.removeprefix(f"{_subject(peer, vm or '', port or '')}: ") if peer else text,
            }
        )


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
        # To make a record and to hand it on takes four times as long as its line, and each VM has three.
        handler = None if kwargs else _only_handler(logger)
        if handler is None or not handler.say(level, logger.name, text, args, about):
            logger.log(level, text, *args, extra=about, **kwargs)


def _only_handler(logger: logging.Logger) -> TurnHandler | None:
    """Return the handler of ``set_up``, if nobody else sees what a logger logs."""
    if logger.filters or logging.getLogRecordFactory() is not logging.LogRecord:
        return None
    while logger.parent and logger.propagate and not logger.handlers:
        logger = logger.parent
    handler = logger.handlers[0] if len(logger.handlers) == 1 and not logger.parent else None
    return handler if isinstance(handler, TurnHandler) else None


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
