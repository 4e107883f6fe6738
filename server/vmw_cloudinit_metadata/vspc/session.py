"""A VM being served: its packets wait in line, its client answers them one by one.

A session belongs to the port, not to the socket: a vMotion gives it another carrier and nothing else changes.
"""

import asyncio
import logging
import math
from collections import defaultdict
from typing import Any, Protocol

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DriverBusyError
from vmw_cloudinit_metadata.log import ConnectionLog, Throttle, describe
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.run import RUN_SECONDS
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import BROKEN
from vmw_cloudinit_metadata.vspc.workers import Workers
from vmw_cloudinit_wire import Packet, options

# A guest asks for one document at a time; more than a few packets in line are noise or malice.
MAX_WAITING_PACKETS = 32

# How long a driver may take before a guest of version 2 is told to ask again: less than a guest is silent.
DRIVER_SECONDS = 3.0

# When to ask again, then. The next request waits for the driver as long as this one did.
RETRY_SECONDS = 2

# A guest may ask as fast as it likes; the log takes a line of each kind, and of each way a boot can end, only
# this often.
LOG_SECONDS = 10.0


class Carrier(Protocol):
    """The connection a port lives on, as far as a session needs it."""

    logger: ConnectionLog

    def flush(self) -> None:
        """Send what waits in the port, as far as the peer takes it."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, e.g. ``peername``."""


class Session:
    """Serve one VM. Its client is the driver's, made when the VM is identified."""

    def __init__(
        self,
        port: Port,
        carrier: Carrier,
        driver: Driver,
        workers: Workers,
        max_unsent: int,
    ) -> None:
        if port.identity is None:
            raise ValueError("a session needs a VM that is identified")
        self.port = port
        self.carrier = carrier
        self._max_unsent = max_unsent
        # By what they ask, the oldest first: a packet that comes is looked at once, however many wait, for a
        # guest may send thousands.
        self._waiting: dict[object, Packet] = {}
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None
        self._driver = driver
        self._workers = workers
        self._call: asyncio.Task[Snapshot | Refusal | None] | None = (
            None  # of the driver: one at a time for a VM
        )
        self._call_expires = math.inf  # by the clock of the loop, once it has ended
        self._patience: float | None = None  # how long the packet being answered may wait for it
        self._silence: asyncio.TimerHandle | None = None
        self._sent = 0
        self._boots, self._failures = Throttle(LOG_SECONDS), Throttle(LOG_SECONDS)
        self._vmotions: defaultdict[str, Throttle] = defaultdict(lambda: Throttle(LOG_SECONDS))
        self.client = driver.new_client(port.identity.name, SerialWriter(self))
        self.client.vm_vc_uuid = port.identity.vc_uuid
        self.client.vm_bios_uuid = port.identity.bios_uuid
        self.client.vm_token = port.identity.token
        self.client.take_snapshot = self._take_snapshot
        self.client.snapshot_at_hand = self._snapshot_at_hand

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """Return the task that answers the packets in line, None when there are none."""
        return self._task

    def receive(self, packet: Packet) -> None:
        """Put a packet in line, or in the place of one that asks the same: its guest waits for one answer."""
        question = _question(packet)
        if question not in self._waiting and len(self._waiting) >= MAX_WAITING_PACKETS:
            self.carrier.logger.debug("dropped %r: %d packets are in line", packet, len(self._waiting))
            return
        self._waiting[question] = packet
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    def send(self, data: bytes) -> None:
        """Send serial data to the VM, or hold it while the VM moves."""
        self._sent += len(data)
        self.port.send(data)
        self.carrier.flush()

    async def room(self) -> None:
        """Wait until no more than the limit is unsent."""
        while self.port.unsent > self._max_unsent:
            self._room = self._room or asyncio.Event()
            self._room.clear()
            await self._room.wait()

    def output_sent(self) -> None:
        """Take note that the port has got rid of some output."""
        if self._room is not None and self.port.unsent <= self._max_unsent:
            self._room.set()

    def log_vmotion(self, what: str) -> None:
        """Log a step of a vMotion; a host that takes it again and again fills no log."""
        level = logging.INFO if self._vmotions[what].count() else logging.DEBUG
        self.carrier.logger.log(level, "%s", what)

    def close(self) -> None:
        """Stop answering: the VM has gone. A call of the driver that has not begun is not made."""
        self._waiting.clear()
        for task in (self._task, self._call):
            if task is not None:
                task.cancel()
        if self._silence is not None:
            self._silence.cancel()

    async def _answer_all(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        try:
            while self._waiting:
                await self.room()
                await self._answer(self._waiting.pop(next(iter(self._waiting))))
            # Documents of a VM that asks for nothing more need not be kept until it leaves.
            self._silence = asyncio.get_running_loop().call_later(RUN_SECONDS, self._forget)
        finally:
            self._task = None

    def _forget(self) -> None:
        self.client.forget()
        self._drop_old_call()

    def _snapshot_at_hand(self) -> Snapshot | None:
        # What the driver was asked before is waited for: its answer may be on the way.
        return self._driver.snapshot_at_hand(self.client) if self._call is None else None

    async def _take_snapshot(self) -> Snapshot | Refusal | None:
        """Ask the driver in a worker thread, or wait for what it was asked before.

        Raises:
            DriverBusyError: it has not answered in ``DRIVER_SECONDS``, and the guest can be told so.
        """
        self._drop_old_call()
        call = self._call
        if call is None:
            call = asyncio.create_task(self._workers.run(self._driver.get_snapshot, self.client))
            call.add_done_callback(self._call_ended)
            self._call, self._call_expires = call, math.inf
        await asyncio.wait([call], timeout=self._patience)
        if not call.done():
            raise DriverBusyError(f"the driver has not answered in {DRIVER_SECONDS:g} s", RETRY_SECONDS)
        if call is self._call:
            self._call = None
        return call.result()

    def _call_ended(self, call: "asyncio.Task[Any]") -> None:
        if call is self._call:  # what nobody comes for is not kept for ever
            self._call_expires = asyncio.get_running_loop().time() + RUN_SECONDS
        if not call.cancelled():
            call.exception()  # or asyncio would log it, with its text, if nobody comes for it

    def _drop_old_call(self) -> None:
        """Drop what the driver said to a guest that has not come back for it."""
        if asyncio.get_running_loop().time() >= self._call_expires:
            self._call = None

    async def _answer(self, packet: Packet) -> None:
        clock = asyncio.get_running_loop().time
        began, sent = clock(), self._sent
        # Every boot asks for its metadata first; the rest of the dialogue is for those who look closely.
        boots = packet.code == "REQUEST_METADATA"
        # Guests of version 1 cannot be told to ask again: they wait as long as it takes.
        in_version_2 = self.client.answers_in_version_2 and _is_version_2(packet)
        self._patience = DRIVER_SECONDS if in_version_2 else None
        try:
            status = await self.client.receive(packet)
        except (Exception, SystemExit) as error:
            # A driver's own client may raise anything, and its message may quote a secret.
            reason = f"the driver's client raised {describe(error)}"
            if (self._boots if boots else self._failures).count("failed"):
                self.carrier.logger.error("%s not answered: %s", packet.code, reason)
            return
        answered = status or ("ok" if self._sent > sent else "not answered")
        # A line of noise is no boot that ended otherwise.
        news = boots and status != BROKEN and self._boots.count(answered)
        level = logging.INFO if news else logging.DEBUG
        if self._sent > sent:
            word = "" if answered == "ok" else f" {answered}"
            report = "%s answered%s in %.3f s, %d bytes"
            self.carrier.logger.log(level, report, packet.code, word, clock() - began, self._sent - sent)
        else:
            self.carrier.logger.log(level, "%s not answered", packet.code)


def _is_version_2(packet: Packet) -> bool:
    return bool(options.read_request(packet) or options.read_answer(packet))


def _question(packet: Packet) -> object:
    """Return what a packet asks, which is the same when a guest asks again with another id."""
    if given := options.read_request(packet):
        return packet.code, given.get("run")
    if options.read_answer(packet):
        return packet.code, packet.payload  # a report
    return packet


class SerialWriter:
    """What a ``VMClient`` writes to, in the form of asyncio's StreamWriter, which 0.0.8 gave it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def write(self, data: bytes) -> None:
        """Send bytes to the guest's serial port."""
        self._session.send(data)

    async def drain(self) -> None:
        """Wait until the port takes more."""
        await self._session.room()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, e.g. ``peername``."""
        return self._session.carrier.get_extra_info(name, default)
