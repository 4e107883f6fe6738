"""A serial line of the kernel's own making with the guest at its end, for the tests that need a real tty."""

import os
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any, Callable, List, Sequence

import vmw_cloudinit_guest
from tests.guest.conversation import ASKED, Version2Server, asked_for

GUEST = Path(vmw_cloudinit_guest.__file__).parent.parent
PATIENCE = 20


class Pty:
    """A serial line: ``host`` is its far end, ``path`` what the guest opens; cooked and echoing at first."""

    def __init__(self) -> None:
        self.host, self.guest = os.openpty()
        self.path = os.ttyname(self.guest)

    def settings(self) -> List[Any]:
        return termios.tcgetattr(self.guest)

    def received(self) -> bytes:
        """Return what the host gets within a moment."""
        ready, _, _ = select.select([self.host], [], [], 0.05)
        return os.read(self.host, 65536) if ready else b""

    def hang_up(self) -> None:
        os.close(self.host)
        self.host = -1

    def close(self) -> None:
        for descriptor in (self.host, self.guest):
            if descriptor >= 0:
                os.close(descriptor)


class Guest:
    """The command as a process of its own, while the test plays the host at the other end of the line."""

    def __init__(
        self,
        line: Pty,
        *arguments: str,
        python: str = sys.executable,
        path: str = "",
        command: Sequence[str] = (),
    ) -> None:
        self.line = line
        self.process = subprocess.Popen(
            [*(command or [python, "-B", "-m", "vmw_cloudinit_guest"]), "fetch", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(GUEST), path])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        self.heard = b""

    def next_request(self) -> str:
        """Wait for a request; return the document it asks for."""
        return asked_for(self.next_line())[0]

    def next_line(self) -> bytes:
        """Wait for a request; return its line."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.heard:
            ready, _, _ = select.select([self.line.host], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no request; heard {self.heard!r}"
            self.heard += os.read(self.line.host, 4096)
        request, _, self.heard = self.heard.partition(b"\n")
        return request

    def say(self, data: bytes) -> None:
        """Send at the pace at which the guest reads: a pty holds 4 KiB."""
        while data:
            _, ready, _ = select.select([], [self.line.host], [], PATIENCE)
            assert ready
            data = data[os.write(self.line.host, data[:2048]) :]

    def serve(self, answer: Callable[[str], bytes]) -> None:
        """Answer a whole fetch, in version 1."""
        for _ in ASKED:
            self.say(answer(self.next_request()))

    def serve_version_2(self, server: Version2Server, requests: int) -> None:
        """Answer so many requests."""
        for _ in range(requests):
            self.say(server.answer(self.next_line()))

    def end(self) -> "subprocess.CompletedProcess[str]":
        out, error = self.process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess([], self.process.returncode, out, error)

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()
