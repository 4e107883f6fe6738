"""A VM being served: its packets wait in line, its client answers them one by one.

A session belongs to the port, not to the socket: a vMotion gives it another carrier and nothing else changes.
"""

import asyncio
import logging
import math
import weakref
from typing import Any, NamedTuple, Protocol

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import ConnectionLog, Throttle, describe
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.keeping import Keeper, Keeping
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.run import RUN_SECONDS, NotAtHandError
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.timeouts import Timeouts
from vmw_cloudinit_metadata.vspc.vm_client import BROKEN, VMClient
from vmw_cloudinit_metadata.vspc.workers import Workers
from vmw_cloudinit_wire import Packet, options

# A guest asks for one document at a time; more than a few packets in line are noise or malice.
MAX_WAITING_PACKETS = 32

# How long a driver may take before a guest of version 2 is told to ask again: less than a guest is silent.
DRIVER_SECONDS = 3.0

# When to ask again, then. The next request waits for the driver as long as this one did.
RETRY_SECONDS = 2

# What every boot asks for first; the rest of its dialogue is for those who look closely at the log.
FIRST_REQUEST = "REQUEST_METADATA"

# Packets that are answered before other VMs have their turn again.
MAX_AT_ONCE = 8

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


class _InLine(NamedTuple):
    """A packet that waits, with its options if it is a request of version 2 whose sum is right."""

    packet: Packet
    given: dict[str, str] | None


class Session:
    """Serve one VM. Its client is the driver's, made when the VM is identified; this is the client's shell.

    ``keeping`` is what outlives it; None: nothing does. ``silent`` are the sessions whose VMs have asked for
    nothing since; they are told to ``forget``.
    """

    # Thousands are idle, and most of them for ever: what is seldom used is made when it is needed.
    __slots__ = (
        *("__weakref__", "_at_hand", "_call", "_call_expires", "_driver", "_keeper", "_keeping"),
        *("_loop", "_max_unsent", "_patience", "_room", "_sent", "_silent", "_task", "_throttles"),
        *("_waiting", "_workers", "carrier", "client", "port"),
    )

    def __init__(
        self,
        port: Port,
        carrier: Carrier,
        driver: Driver,
        workers: Workers,
        max_unsent: int,
        keeping: Keeping | None = None,
        silent: "Timeouts[Session] | None" = None,
    ) -> None:
        identity = port.identity
        if identity is None:
            raise ValueError("a session needs a VM that is identified")
        self.port = port
        self.carrier = carrier
        self._max_unsent = max_unsent
        # By what they ask, the oldest first: a packet that comes is looked at once, however many wait, for a
        # guest may send thousands.
        self._waiting: dict[object, _InLine] = {}
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None
        self._driver = driver
        self._workers = workers
        self._keeping = keeping
        self._keeper: Keeper | None = None
        self._call: asyncio.Task[Snapshot | Refusal | None] | None = None  # of the driver: one at a time
        self._call_expires = math.inf  # by the clock of the loop, once it has ended
        self._patience: float | None = None  # how long the packet being answered may wait for it
        self._silent = silent or Timeouts(self._loop, RUN_SECONDS, Session.forget)
        self._sent = 0
        self._throttles: dict[str, Throttle] | None = None
        self.client = driver.new_client(identity.name, SerialWriter(self))
        self.client.vm_vc_uuid = identity.vc_uuid
        self.client.vm_bios_uuid = identity.bios_uuid
        self.client.vm_token = identity.token
        self.client.shell = self
        self._at_hand = self.client.answers_at_hand

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """Return the task that answers the packets in line, None when there are none."""
        return self._task

    def receive(self, packet: Packet) -> None:
        """Put a packet in line, or in the place of one that asks the same: its guest waits for one answer."""
        given = options.read_request(packet)
        question = _question(packet, given)
        if question not in self._waiting and len(self._waiting) >= MAX_WAITING_PACKETS:
            self.carrier.logger.debug("dropped %r: %d packets are in line", packet, len(self._waiting))
            return
        self._waiting[question] = _InLine(packet, given)

    def answer(self) -> None:
        """Answer what is in line: a few packets at once, if nothing has to be waited for, others in a task.

        Called when all of a read was received.
        """
        if self._task is not None:
            return
        for _ in range(MAX_AT_ONCE):
            if not self._waiting:
                self._watch_silence()
                return
            if not self._answer_at_hand(next(iter(self._waiting.values()))):
                break
            del self._waiting[next(iter(self._waiting))]
        self._task = self._loop.create_task(self._answer_all())

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
        level = logging.INFO if self._throttle(what).count() else logging.DEBUG
        self.carrier.logger.log(level, "%s", what)

    def close(self) -> None:
        """Stop answering: the VM has gone. A call of the driver that has not begun is not made."""
        self._waiting.clear()
        for task in (self._task, self._call):
            if task is not None:
                task.cancel()
        self._silent.stop(self)
        # The client holds us, and so does its writer: unless we let go of it, all wait to be freed together.
        # Whoever has the client yet, as a driver that is told of a report, does not need its documents.
        VMClient.forget(self.client)
        self._keeper = None
        self.client = weakref.proxy(self.client)

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                await self.room()
                await self._answer(self._waiting.pop(next(iter(self._waiting))))
            self._watch_silence()
        finally:
            self._task = None

    def _watch_silence(self) -> None:
        # Documents of a VM that asks for nothing more need not be kept until it leaves.
        self._silent.stop(self)
        self._silent.start(self)

    def forget(self) -> None:
        """Drop what is kept for a VM that goes on asking: it has been silent for ``RUN_SECONDS``."""
        if self._task is None:  # or it is being answered, and its silence begins after that
            self._throttles = None
            self.client.forget()
            self._drop_old_call()

    # What its client asks for

    def snapshot_at_hand(self) -> Snapshot | None:
        """Ask the driver what it has at hand, unless its answer to an earlier question is on the way."""
        return self._driver.snapshot_at_hand(self.client) if self._call is None else None

    async def take_snapshot(self) -> Snapshot | Refusal | None:
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

    async def may_serve(self, instance: InstanceData, run: str) -> str | None:
        """Ask whoever keeps serving windows."""
        return await self._the_keeper().may_serve(instance, run)

    async def take_report(self, instance: InstanceData, report: Report) -> None:
        """Give a report to whoever keeps it."""
        await self._the_keeper().take_report(instance, report)

    def note_served(self, snapshot: Snapshot) -> None:
        """Have what a run is answered from kept."""
        if self._keeping is not None:
            self._keeping.note_served(self.client.vm_name, snapshot)

    def _the_keeper(self) -> Keeper:
        if self._keeper is None:
            keeping = self._keeping or Keeping(None, self._driver)
            self._keeper = keeping.keeper(self.client, lambda: self.carrier.logger)
        return self._keeper

    def _call_ended(self, call: "asyncio.Task[Any]") -> None:
        if call is self._call:  # what nobody comes for is not kept for ever
            self._call_expires = asyncio.get_running_loop().time() + RUN_SECONDS
        if not call.cancelled():
            call.exception()  # or asyncio would log it, with its text, if nobody comes for it

    def _drop_old_call(self) -> None:
        """Drop what the driver said to a guest that has not come back for it."""
        if asyncio.get_running_loop().time() >= self._call_expires:
            self._call = None

    def _answer_at_hand(self, waiting: _InLine) -> bool:
        """Answer a packet if nothing has to be waited for; tell whether that is done."""
        if not self._at_hand or self.port.unsent > self._max_unsent:
            return False
        began, sent = self._loop.time(), self._sent
        try:
            status = self.client.answer_at_hand(*waiting)
        except NotAtHandError:
            return False
        self._log_answer(waiting.packet.code, status, began, sent)
        return True

    async def _answer(self, waiting: _InLine) -> None:
        packet = waiting.packet
        began, sent = self._loop.time(), self._sent
        # Guests of version 1 cannot be told to ask again: they wait as long as it takes.
        is_version_2 = waiting.given is not None or options.read_answer(packet) is not None
        self._patience = DRIVER_SECONDS if is_version_2 and self.client.answers_in_version_2 else None
        try:
            status = await self.client.receive(packet)
        except (Exception, SystemExit) as error:
            # A driver's own client may raise anything, and its message may quote a secret.
            reason = f"the driver's client raised {describe(error)}"
            if self._throttle("boots" if packet.code == FIRST_REQUEST else "failures").count("failed"):
                self.carrier.logger.error("%s not answered: %s", packet.code, reason)
            return
        self._log_answer(packet.code, status, began, sent)

    def _log_answer(self, code: str, status: str, began: float, sent: int) -> None:
        size = self._sent - sent
        answered = status or ("ok" if size else "not answered")
        # A line of noise is no boot that ended otherwise.
        boots = code == FIRST_REQUEST and status != BROKEN
        level = logging.INFO if boots and self._throttle("boots").count(answered) else logging.DEBUG
        if not self.carrier.logger.isEnabledFor(level):
            return
        if size:
            word = "" if answered == "ok" else f" {answered}"
            seconds = self._loop.time() - began
            self.carrier.logger.log(level, "%s answered%s in %.3f s, %d bytes", code, word, seconds, size)
        else:
            self.carrier.logger.log(level, "%s not answered", code)

    def _throttle(self, kind: str) -> Throttle:
        if self._throttles is None:
            self._throttles = {}
        if kind not in self._throttles:
            self._throttles[kind] = Throttle(LOG_SECONDS)
        return self._throttles[kind]


def _question(packet: Packet, given: dict[str, str] | None) -> object:
    """Return what a packet asks, which is the same when a guest asks again with another id."""
    if given:
        return packet.code, given.get("run")
    if packet.options and options.read_answer(packet):
        return packet.code, packet.payload  # a report
    return packet


class SerialWriter:
    """What a ``VMClient`` writes to, in the form of asyncio's StreamWriter, which 0.0.8 gave it."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def write(self, data: bytes) -> None:
        """Send bytes to the guest's serial port."""
        self._session.send(bytes(data))  # which a client may have in a buffer of its own

    async def drain(self) -> None:
        """Wait until the port takes more."""
        await self._session.room()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, e.g. ``peername``."""
        return self._session.carrier.get_extra_info(name, default)
