"""The vMotions under way: which port moves, and the token that its destination has to show.

This is the table alone. Which message changes it when is connection.py's; the clock and the source of
secrets are passed in.
"""

import secrets
from collections.abc import Callable

from vmw_cloudinit_metadata.vspc.port import Port

# ESXi waits 5 s for an answer and a VM moves in seconds; what has not ended after this never will.
VMOTION_SECONDS = 120.0

SECRET_BYTES = 8


class VMotion:
    """One vMotion, from BEGIN to COMPLETE, ABORT or the time limit."""

    __slots__ = ("deadline", "ended", "has_destination", "port", "sequence", "token")

    def __init__(self, port: Port, sequence: bytes, secret: bytes, deadline: float) -> None:
        self.port = port
        self.sequence = sequence
        self.token = sequence + secret
        self.deadline = deadline
        self.has_destination = False
        self.ended = False

    @property
    def source_open(self) -> bool:
        """Tell whether the source is still connected. Until COMPLETE it alone carries the port."""
        return self.port.carrier is not None


class VMotionTable:
    """All vMotions of one server. A token is used once; free again if its destination leaves early."""

    def __init__(
        self,
        clock: Callable[[], float],
        capacity: int,
        new_secret: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._clock = clock
        # A source may leave before its destination comes: without a bound, ports would gather here.
        self._capacity = capacity
        self._new_secret = new_secret
        self._by_token: dict[bytes, VMotion] = {}  # those that wait for their destination
        self._by_port: dict[Port, VMotion] = {}  # all, the oldest first

    def __len__(self) -> int:
        return len(self._by_port)

    @property
    def deadline(self) -> float | None:
        """Return when the oldest vMotion is over the time limit; None if there is none."""
        return next((vmotion.deadline for vmotion in self._by_port.values()), None)

    def begin(self, port: Port, sequence: bytes) -> VMotion | None:
        """Begin a vMotion and hold the port's output, or return None: not now.

        A new BEGIN replaces one that has no destination yet; one that has is not disturbed.
        """
        if (previous := self._by_port.get(port)) is not None:
            if previous.has_destination:
                return None
            self._end(previous)
        elif len(self._by_port) >= self._capacity:
            return None
        vmotion = VMotion(port, sequence, self._new_secret(SECRET_BYTES), self._clock() + VMOTION_SECONDS)
        self._by_token[vmotion.token] = vmotion
        self._by_port[port] = vmotion
        port.held = True
        return vmotion

    def under_way(self, port: Port) -> VMotion | None:
        """Return the vMotion by which this port moves, if it does."""
        return self._by_port.get(port)

    def peer(self, token: bytes) -> VMotion | None:
        """Give the vMotion with this token its destination, or return None: unknown, or used already."""
        vmotion = self._by_token.pop(token, None)
        if vmotion is not None:
            vmotion.has_destination = True
        return vmotion

    def lose_destination(self, vmotion: VMotion) -> None:
        """Free the token for another try: the destination went away before COMPLETE."""
        if not vmotion.ended:
            vmotion.has_destination = False
            self._by_token[vmotion.token] = vmotion

    def end(self, vmotion: VMotion) -> None:
        """End a vMotion by COMPLETE or ABORT: what was held may go out."""
        self._end(vmotion)
        vmotion.port.held = False

    def expire(self) -> list[VMotion]:
        """End those over the time limit; return them.

        With its source open one ends as by ABORT; else its port is lost, and the caller forgets the VM.
        """
        now = self._clock()
        expired = []
        for vmotion in self._by_port.values():
            if vmotion.deadline > now:
                break
            expired.append(vmotion)
        for vmotion in expired:
            self.end(vmotion)
        return expired

    def _end(self, vmotion: VMotion) -> None:
        vmotion.ended = True
        self._by_token.pop(vmotion.token, None)
        self._by_port.pop(vmotion.port, None)
