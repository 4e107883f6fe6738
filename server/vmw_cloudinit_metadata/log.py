"""Logging: set-up, formats, the adapter that says which VM a line is about, a throttle for what repeats.

Payloads, tokens and keys are never handed to a logger, at any level.
"""

import datetime
import json
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

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
    handler = logging.StreamHandler()
    if form == "auto" and systemd.stderr_is_journal():
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # What the event loop says at DEBUG is not about any VM.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, logger, message."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
        super().__init__(form)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return what was raised and where, as everywhere: its text may quote a secret."""
        return describe(ei[1]) if ei[1] else ""


class JournalFormatter(TextFormatter):
    """Lines for systemd's journal, which knows the time: each begins with its priority (sd-daemon(3))."""

    # Those of syslog(3).
    _PRIORITIES = (
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.NOTSET, 7),
    )

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, each with the priority, for each is an entry of the journal."""
        priority = next(number for level, number in self._PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).split("\n"))


class JSONFormatter(TextFormatter):
    """An object a line, for programs: time, level, logger, peer, vm, port, message."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; ``peer``, ``vm`` and ``port`` are null where a line is about none."""
        peer, vm, port = (getattr(record, name, None) for name in ("peer", "vm", "port"))
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        text = super().format(record)
        return json.dumps(
            {
                "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "level": record.levelname.lower(),
                "logger": record.name,
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
        super().__init__(logger, {})
        self.peer = peer
        self.vm = ""
        self.port = ""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log the message with its subject in front, which is no part of the format: a name may hold "%"."""
        if self.isEnabledFor(level):
            about = {"peer": self.peer, "vm": self.vm, "port": self.port}  # for JSONFormatter
            self.logger.log(level, f"%s: {msg}", _subject(**about), *args, extra=about, **kwargs)


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
