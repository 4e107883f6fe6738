"""A VM's serial port as the server sees it: whose it is, what came in of a line, what waits to go out.

A port outlives its connection: by vMotion it moves to another one, with all that is in it.
"""

import uuid
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

    __slots__ = ("_output", "carrier", "held", "identity", "lines")

    def __init__(self, max_line: int) -> None:
        self.identity: VMIdentity | None = None  # None: not yet known, and so not served
        self.lines = LineBuffer(max_line)
        self.carrier: object | None = None  # the connection that the port lives on
        self.held = False  # a vMotion is under way: what would be sent waits here
        self._output = bytearray()

    @property
    def unsent(self) -> int:
        """Return how many bytes wait to go out; who sends waits when they are too many."""
        return len(self._output)

    def send(self, data: bytes) -> None:
        """Put serial data behind what already waits."""
        self._output += data

    def take(self, most: int) -> bytes:
        """Take up to ``most`` of the bytes that wait, oldest first."""
        taken = bytes(self._output[:most])
        # Cheap however much waits: a bytearray gives up its front without moving the rest.
        del self._output[:most]
        return taken
