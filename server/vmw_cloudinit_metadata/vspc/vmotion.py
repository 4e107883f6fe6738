"""The vMotions under way: which port moves, and the token that its destination has to show.

This is the table alone. Which message changes it when is connection.py's; the clock and the source of
secrets are passed in.
"""

import secrets
from collections import Counter
from collections.abc import Callable

from vmw_cloudinit_metadata.vspc.port import Port

# ESXi waits 5 s for an answer and a VM moves in seconds; what has not ended after this never will.
VMOTION_SECONDS = 120.0

SECRET_BYTES = 8

# vMotions begun on one host and connected at neither end: each holds a port until the time limit. ESXi moves
# 8 VMs at once.
MAX_ORPHANS = 64


class VMotion:
    """One vMotion, from BEGIN to COMPLETE, ABORT or the time limit."""

    __slots__ = ("deadline", "ended", "has_destination", "is_orphan", "peer", "port", "sequence", "token")

    def __init__(self, port: Port, peer: str, sequence: bytes, secret: bytes, deadline: float) -> None:
        self.port = port
        self.peer = peer  # the address of the host it began on
        self.sequence = sequence
        self.token = sequence + secret
        self.deadline = deadline
        self.has_destination = False
        self.is_orphan = False  # neither source nor destination is connected
        self.ended = False

    @property
    def source_open(self) -> bool:
        """Tell whether the source is still connected. Until COMPLETE it alone carries the port."""
        return self.port.carrier is not None


class VMotionTable:
    """All vMotions of one server. A token is used once; free again if its destination leaves early.

    One that is connected at either end takes a connection, of which there is a limit. An orphan takes none:
    of these each host may have ``max_orphans``, and what one host does makes no VM of another stay.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        capacity: int,
        max_orphans: int = MAX_ORPHANS,
        new_secret: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._clock = clock
        self._capacity = capacity  # for the orphans of all hosts: addresses may be many
        self._max_orphans = max_orphans
        self._new_secret = new_secret
        self._orphans: Counter[str] = Counter()  # by the hosts they began on
        self._by_token: dict[bytes, VMotion] = {}  # those that wait for their destination
        self._by_port: dict[Port, VMotion] = {}  # all, the oldest first

    def __len__(self) -> int:
        return len(self._by_port)

    @property
    def deadline(self) -> float | None:
        """Return when the oldest vMotion is over the time limit; None if there is none."""
        return next((vmotion.deadline for vmotion in self._by_port.values()), None)

    def begin(self, port: Port, peer: str, sequence: bytes) -> VMotion | None:
        """Begin a vMotion and hold the port's output, or return None: not now.

        A new BEGIN replaces one that has no destination yet; one that has is not disturbed. ``peer`` is the
        address of the host.
        """
        if (previous := self._by_port.get(port)) is not None:
            if previous.has_destination:
                return None
            self._end(previous)
        secret = self._new_secret(SECRET_BYTES)
        vmotion = VMotion(port, peer, sequence, secret, self._clock() + VMOTION_SECONDS)
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
            self._set_orphan(vmotion, False)
        return vmotion

    def lose_source(self, vmotion: VMotion) -> bool:
        """Wait for the destination without the source; return False if that is one too many: it has ended."""
        return vmotion.has_destination or self._abandon(vmotion)

    def lose_destination(self, vmotion: VMotion) -> bool:
        """Free the token for another try: the destination went away before COMPLETE.

        Return False if the source has gone too, and the vMotion is an orphan too many: it has ended.
        """
        if vmotion.ended:
            return True
        vmotion.has_destination = False
        self._by_token[vmotion.token] = vmotion
        return vmotion.source_open or self._abandon(vmotion)

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

    def _abandon(self, vmotion: VMotion) -> bool:
        if self._orphans[vmotion.peer] >= self._max_orphans or self._orphans.total() >= self._capacity:
            self.end(vmotion)
            return False
        self._set_orphan(vmotion, True)
        return True

    def _set_orphan(self, vmotion: VMotion, is_orphan: bool) -> None:
        if vmotion.is_orphan != is_orphan:
            vmotion.is_orphan = is_orphan
            self._orphans[vmotion.peer] += 1 if is_orphan else -1
            if not self._orphans[vmotion.peer]:
                del self._orphans[vmotion.peer]

    def _end(self, vmotion: VMotion) -> None:
        vmotion.ended = True
        self._set_orphan(vmotion, False)
        self._by_token.pop(vmotion.token, None)
        self._by_port.pop(vmotion.port, None)
