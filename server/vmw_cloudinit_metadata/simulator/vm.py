"""A VM with one serial port on a simulated ESXi host: it connects, reconnects and migrates.

To its user the port is one stream, whichever connection carries it.
"""

import asyncio
import itertools
import logging
import math
import os
import ssl
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping

from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator.connection import Connection
from vmw_cloudinit_metadata.simulator.host import MAX_VIOLATIONS, HostPort, Identity, Phase, VMotion
from vmw_cloudinit_metadata.vspc import vmware_ext as ext

DEFAULT_PORT = 13370

# What the guest has not read yet; beyond it TCP is not read, and the server has to wait.
MAX_UNREAD = 64 * 1024

# A host gives up a vMotion that is not answered within 5 s; a server that is merely slow may take longer to
# accept a connection.
VMOTION_SECONDS = 5.0
CONNECT_SECONDS = 10.0

logger = logging.getLogger(__name__)


class RefusedError(SimulatorError):
    """The server serves another service URI, or no VMware ports at all: trying again is of no use."""


class SimulatedVM:
    """One VM: ``start`` it, ``read`` and ``write`` its serial line, ``close`` it.

    While there is no connection, and while the VM stands still in a vMotion, ``write`` waits.
    """

    def __init__(
        self,
        name: str,
        uri: str,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        direction: str = "C",
        vc_uuid: uuid.UUID | None = None,
        bios_uuid: uuid.UUID | None = None,
        tls: ssl.SSLContext | None = None,
        answers: Mapping[ext.Command, ext.Message | None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Set up the VM; nothing is connected yet.

        Args:
            name: the VM's name; UUIDs that are not given are derived from it, stably.
            uri: the service URI of the port.
            host: the server's host name or address.
            port: the server's TCP port.
            direction: ``C`` or ``S``.
            vc_uuid: the VM's UUID in vCenter.
            bios_uuid: the VM's BIOS UUID.
            tls: makes the connection ``telnets://``.
            answers: as HostPort takes it: other answers to GET-* than the true ones; None withholds one.
            sleep: waits between two tries to connect.
        """
        self.identity = Identity.of(name, vc_uuid, bios_uuid)
        # What the server has done against the protocol, on whichever connection.
        self.violations: deque[str] = deque(maxlen=MAX_VIOLATIONS)
        self._uri, self._direction, self._answers = uri, direction, answers
        self._host, self._port, self._tls = host, port, tls
        self._sleep = sleep
        self._connection: Connection | None = None
        self._paused: Connection | None = None  # not read from, since too much is unread
        self._keeper: asyncio.Task[None] | None = None
        # Held while connections change on purpose: the keeper must not take that for a loss.
        self._changing = asyncio.Lock()
        # An IAC in the sequence, which is opaque: it has to come back doubled.
        self._sequences = itertools.count(0xFF000001)
        self._unread = bytearray()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._closed = False
        self._failure: SimulatorError | None = None

    @property
    def name(self) -> str:
        """The VM's name."""
        return self.identity.name

    async def start(self, wait: float = 0.0) -> None:
        """Connect, and stay connected until ``close``.

        Args:
            wait: for how many seconds a server that cannot be reached is tried again.

        Raises:
            SimulatorError: the server cannot be reached, or refuses.
        """
        self._connection = await self._connect_before(asyncio.get_running_loop().time() + wait)
        self._keeper = asyncio.create_task(self._keep_connected(), name=f"{self.name}: keep connected")
        self._update_writable()

    async def wait_ended(self) -> None:
        """Wait until the VM is closed.

        Raises:
            SimulatorError: it has ended by itself: asked again, the server has refused.
        """
        if self._keeper:
            await asyncio.wait([self._keeper])
        if self._failure:
            raise self._failure

    async def close(self) -> None:
        """Close the connection after what is queued was sent; reading ends, writing fails."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        async with self._changing:
            if self._connection:
                await self._connection.close()
            self._closed = True
            self._wake()

    async def read(self, limit: int = MAX_UNREAD) -> bytes:
        """Return 1 to ``limit`` bytes that the serial line has brought, or none after ``close``.

        Raises:
            SimulatorError: the VM has ended by itself.
        """
        while not self._unread and not self._closed:
            if self._failure:
                raise self._failure
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._unread[:limit])
        del self._unread[:limit]
        if len(self._unread) <= MAX_UNREAD:
            self._resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes over the serial line, as soon as there is one and it takes them.

        Raises:
            SimulatorError: the VM is closed or has ended by itself.
        """
        while not self._writable.is_set():
            await self._writable.wait()
        if self._failure:
            raise self._failure
        if self._closed or not self._connection:
            raise SimulatorError(f"{self.name} is closed")
        self._connection.port.send_serial(data)
        self._connection.flush()

    def answer(self, command: ext.Command) -> None:
        """Send the answer to a question that ``answers`` withholds."""
        if self._connection:
            self._connection.port.answer(command)
            self._connection.flush()

    async def vmotion(self, *, source_closes_first: bool = True) -> None:
        """Migrate the VM to another host: a new connection takes the port over.

        Args:
            source_closes_first: whether the source's connection ends before COMPLETE, as ESXi does it.

        Raises:
            SimulatorError: it could not be done; the VM stays where it is.
        """
        async with self._changing:
            source = await self._leave()
            destination = await self._arrive(source)
            try:
                if source_closes_first:
                    await source.close()
                destination.port.complete()
                destination.flush()
            except BaseException:
                destination.abort()
                raise
            self._connection = destination
            self._update_writable()
            await source.close()

    async def abort_vmotion(self, *, after_peer: bool = False) -> None:
        """Begin a migration and give it up, so that the VM stays where it is.

        Args:
            after_peer: whether the destination has connected before.

        Raises:
            SimulatorError: it could not even be begun.
        """
        async with self._changing:
            source = await self._leave()
            destination = await self._arrive(source) if after_peer else None
            self._stay(source)
            if destination:
                await destination.close()

    async def _leave(self) -> Connection:
        """Return the source's connection, which has GOAHEAD."""
        source = self._connection
        if source is None or source.is_closed:
            raise SimulatorError(f"{self.name} is not connected")
        source.port.begin_vmotion(next(self._sequences).to_bytes(4))
        source.flush()
        self._update_writable()
        # GOAHEAD comes behind what the guest has not read: that is taken in now, whatever its size, which
        # the socket's buffers limit.
        self._resume_reading()
        try:
            async with asyncio.timeout(VMOTION_SECONDS):
                phase = await source.reach(Phase.LEFT, Phase.RUNNING)
        except BaseException as error:
            self._stay(source)
            if isinstance(error, TimeoutError):
                raise SimulatorError(f"{self.name}: the server does not answer VMOTION-BEGIN") from None
            raise
        if phase is Phase.RUNNING:
            raise SimulatorError(f"{self.name}: the server answers VMOTION-NOTNOW")
        return source

    async def _arrive(self, source: Connection) -> Connection:
        """Return the destination's connection, which has PEER-OK."""
        try:
            return await self._connect(source.port.vmotion)
        except BaseException:
            self._stay(source)
            raise

    def _stay(self, source: Connection) -> None:
        # NOTNOW may have come at the last moment.
        if source.port.phase is not Phase.RUNNING:
            source.port.abort_vmotion()
            source.flush()
        self._update_writable()

    async def _connect(self, vmotion: VMotion | None = None) -> Connection:
        """Return a connection on which the server serves the port, or takes it over."""
        port = HostPort(self.identity, self._uri, self._direction, vmotion=vmotion, answers=self._answers)
        port.violations = self.violations
        connection = Connection(port, self._deliver, self._update_writable)
        where = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout(VMOTION_SECONDS if vmotion else CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, self._host, self._port, ssl=self._tls
                )
                phase = await connection.reach(Phase.RUNNING, Phase.ARRIVED, Phase.REFUSED)
        except TimeoutError:
            connection.abort()
            answer = "VMOTION-PEER-OK" if vmotion else "WILL-PROXY"
            raise SimulatorError(f"{self.name}: no {answer} from {where} in time: is it a vSPC?") from None
        except ssl.SSLError as error:
            raise SimulatorError(f"{self.name}: {_tls_sentence(where, error)}") from None
        except OSError as error:
            raise SimulatorError(f"{self.name}: cannot connect to {where}: {_reason(error)}") from None
        except SimulatorError as error:
            raise SimulatorError(f"{self.name}: {where}: {error}") from None
        except BaseException:
            connection.abort()
            raise
        if phase is Phase.REFUSED:
            connection.abort()
            service = self._uri.partition("?")[0]  # what stands behind it may be a token
            raise RefusedError(
                f"{self.name}: {where} does not serve the service URI {service!r}, or not without its token"
            )
        return connection

    async def _connect_before(self, deadline: float) -> Connection:
        delays = _delays()
        while True:
            delay = next(delays)
            try:
                return await self._connect()
            except SimulatorError as error:
                late = asyncio.get_running_loop().time() + delay > deadline
                if late or isinstance(error, RefusedError):
                    raise
                logger.info("%s; trying again", error)
            await self._sleep(delay)

    async def _keep_connected(self) -> None:
        try:
            while self._connection:
                await self._connection.wait_closed()
                async with self._changing:
                    if self._connection.is_closed:
                        await self._reconnect()
        except SimulatorError as error:
            self._failure = error
            self._wake()

    async def _reconnect(self) -> None:
        logger.warning("%s: the server has closed the connection; connecting again", self.name)
        # A server that serves and closes at once must not be called in a tight loop.
        await self._sleep(next(_delays()))
        self._connection = await self._connect_before(math.inf)
        self._update_writable()

    def _deliver(self, connection: Connection, data: bytes) -> None:
        self._unread += data
        self._readable.set()
        if len(self._unread) > MAX_UNREAD and connection.port.phase is Phase.RUNNING:
            self._paused = connection
            connection.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused:
            self._paused.resume_reading()
            self._paused = None

    def _wake(self) -> None:
        self._readable.set()
        self._update_writable()

    def _update_writable(self) -> None:
        ended = self._closed or self._failure
        if ended or (self._connection and self._connection.is_writable):
            self._writable.set()
        else:
            self._writable.clear()


def _delays() -> Iterator[float]:
    """Yield the seconds between two tries to connect, without end: soon at first, seldom later."""
    delay = 0.25
    while True:
        yield delay
        delay = min(2 * delay, 8.0)


def _tls_sentence(where: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {error.verify_message.rstrip('.')}"
    # What OpenSSL makes of a first byte that is none of TLS's: since 3.2 the second.
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return f"{where} does not speak TLS"
    reason = (error.reason or "it is not as it must be").replace("_", " ").lower()
    return f"the TLS handshake with {where} failed: {reason}"


def _reason(error: OSError) -> str:
    # asyncio puts "Connect call failed" and the address where the reason stood.
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error)
