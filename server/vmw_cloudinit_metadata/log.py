"""Logging: its set-up, the adapter that says which VM a line is about, a throttle for what repeats.

Payloads, tokens and keys are never handed to a logger, at any level.
"""

import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LEVELS = ("debug", "info", "warning", "error")


def set_up(level: str) -> None:
    """Log to standard error from this level on."""
    logging.basicConfig(format=FORMAT, level=level.upper(), force=True)
    # What the event loop says at DEBUG is not about any VM.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


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
    """Put the peer, and the VM once it is known, before each message."""

    def __init__(self, logger: logging.Logger, peer: str) -> None:
        super().__init__(logger, {})
        self.peer = peer
        self.vm = ""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log the message with its subject in front, which is no part of the format: a name may hold "%"."""
        if self.isEnabledFor(level):
            subject = f"{self.peer} {printable(self.vm)}".rstrip()
            self.logger.log(level, f"%s: {msg}", subject, *args, **kwargs)


class Throttle:
    """Count what happens often and say when to log it: at once, then at most every ``seconds``."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = 0.0
        self._count = 0

    def count(self) -> int:
        """Count one; return how many to log now, or 0."""
        self._count += 1
        now = self._clock()
        if now < self._next:
            return 0
        self._next = now + self._seconds
        due, self._count = self._count, 0
        return due
