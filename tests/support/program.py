"""A program that runs beside a test, whose output is kept and can be waited for."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_logger = logging.getLogger("program")


class Program:
    """A context manager that starts a program, and ends it; its standard output and error are one text."""

    def __init__(self, name: str, command: Sequence[str | Path], directory: Path | None = None) -> None:
        self.name = name
        self.lines: list[str] = []
        self._command = [str(argument) for argument in command]
        self._directory = directory
        self._changed = threading.Condition()
        self._over = False

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def output(self) -> str:
        """What it has written so far."""
        return "\n".join(self.lines)

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        if self._process.stdin is not None:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def until_line(self, matches: Callable[[str], object], seconds: float) -> str:
        """Wait for a line, which may have come already, and return it.

        Raises:
            AssertionError: it has ended, or the time is over, without that line; with the output's end.
        """
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    _logger.debug("%s: %s", self.name, line)
                    if matches(line):
                        return line
                seen = len(self.lines)
                if self._over:
                    raise AssertionError(f"{self.name} has ended:\n{self._end()}")
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{self.name}: nothing came in {seconds:g} s:\n{self._end()}")

    def until_end(self, seconds: float) -> int:
        """Wait until it ends by itself; return its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended in {seconds:g} s:\n{self._end()}") from None

    def _end(self) -> str:
        return "\n".join(self.lines[-100:])

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                with self._changed:
                    self.lines.append(line.rstrip("\r\n"))
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()
