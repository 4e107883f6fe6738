"""A serial line of the kernel's own making, for the tests that need a real tty."""

import os
import select
import termios
from typing import Any, List


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
