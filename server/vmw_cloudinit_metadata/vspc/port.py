"""A VM's serial port as the server sees it: whose it is, what came in of a line, what waits to go out.

A port outlives its connection: by vMotion it moves to another one, with all that is in it.
"""

import uuid
from collections import deque
from dataclasses import dataclass, field

from vmw_cloudinit_wire import LineBuffer


@dataclass(frozen=True, slots=True)
class VMIdentity:
    """Who a VM says it is; all of it is a claim. ``None``: it did not say."""

    name: str
    vc_uuid: uuid.UUID | None = None
    bios_uuid: uuid.UUID | None = None
    location_uuid: uuid.UUID | None = None
    port: str = ""  # "port=" in the service URI: the operator's label for one of several ports of a VM
    token: str = field(default="", repr=False)  # "token=" there: a secret it was given


class Port:
    """What belongs to a VM and not to the socket. Compared by identity."""

    __slots__ = ("_begun", "_output", "carrier", "held", "identity", "lines", "unsent")

    def __init__(self, max_line: int) -> None:
        self.identity: VMIdentity | None = None  # None: not yet known, and so not served
        self.lines = LineBuffer(max_line)
        self.carrier: object | None = None  # the connection that the port lives on
        self.held = False  # a vMotion is under way: what would be sent waits here
        self.unsent = 0  # bytes that wait to go out; who sends waits when they are too many
        # What was sent is not copied: the same megabyte may wait in a hundred ports. None while nothing does.
        self._output: deque[bytes] | None = None
        self._begun = 0  # how much of its first was taken

    def send(self, data: bytes) -> None:
        """Put serial data, which nobody changes afterwards, behind what already waits."""
        if not data:
            return
        if self._output is None:
            self._output = deque()
        self._output.append(data)
        self.unsent += len(data)

    def take(self, most: int) -> bytes:
        """Take up to ``most`` of the bytes that wait, oldest first."""
        taken = []
        room = min(most, self.unsent)
        self.unsent -= room
        while room and self._output:
            first, begun = self._output[0], self._begun
            piece = first[begun : begun + room]  # no copy either, if that is all of it
            taken.append(piece)
            room -= len(piece)
            self._begun += len(piece)
            if self._begun == len(first):
                self._output.popleft()
                self._begun = 0
        if not self.unsent:
            self._output = None
        return b"".join(taken)
