"""Both halves wired together in memory: guest, ESXi host, server and driver, on a clock nobody waits for.

    line = Line(driver, random.Random(4711), noise=Noise(1 / 2000), upheavals=[(10_000, "cut")])
    result = client.fetch(line, 120, line.clock, trace, {}, line.ids)

All of it is real but sockets, tty and event loop: the guest's fetch, the simulator's ``HostPort``, the
server's ``VSPCConnection``, its table of vMotions, and the driver's ``VMClient``.
"""

import logging
import random
from collections.abc import Coroutine, Sequence
from typing import Any, Literal

from vmw_cloudinit_guest.client import Ports
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.simulator.host import HostPort, Identity, Phase, VMotion
from vmw_cloudinit_metadata.vspc import events
from vmw_cloudinit_metadata.vspc.connection import VSPCConnection
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.vm_client import VMClient
from vmw_cloudinit_metadata.vspc.vmotion import VMotionTable

URI = "my-metadata"
NAME = "ttyS1"

# What an emulated UART takes in a second, and what a host holds for a guest that has not read it yet.
BYTES_PER_SECOND = 100 * 1024
HOST_BUFFER = 64 * 1024

Upheaval = Literal["cut", "vmotion", "source stays longer", "abort", "abort after peer"]

# What shares a serial line with the packets. The first ones end a line, the last ones do not.
CHATTER = (
    b"[    1.234567] random: crng init done\r\n",
    b"[   12.000001] e1000: eth0 NIC Link is Up 1000 Mbps Full Duplex, Flow Control: None\r\n",
    b"!!\r\n!!#\r\n!!REQUEST_\r\n!!RESPONSE_METADATA#e30=\r\n",
    b"\xff\xfe\x00\x11\x13\x1b[2J\r\n",
    b"\r\nDebian GNU/Linux 12 localhost ttyS1\r\n\r\nlocalhost login: ",
    b"!!RESPONSE_USERDATA#QUJD",
)


class Noise:
    """Lose, alter or double single bytes, and talk between packets. Without arguments it does neither."""

    def __init__(
        self,
        rate: float = 0.0,
        kinds: Sequence[str] = ("lost", "altered", "doubled"),
        *,
        chatter: float = 0.0,
        said: Sequence[bytes] = CHATTER,
    ) -> None:
        self.rate, self.kinds = rate, tuple(kinds)
        self.chatter, self.said = chatter, said

    def spoil(self, data: bytes, chance: random.Random) -> bytes:
        """Return what is left of the bytes."""
        if not self.rate:
            return data
        spoiled = bytearray()
        position = 0
        while (hit := position + int(chance.expovariate(self.rate))) < len(data):
            spoiled += data[position:hit]
            kind = chance.choice(self.kinds)
            if kind == "altered":
                spoiled.append(data[hit] ^ chance.randrange(1, 256))
            elif kind == "doubled":
                spoiled += data[hit : hit + 1] * 2
            position = hit + 1
        return bytes(spoiled + data[position:])

    def talk(self, chance: random.Random) -> bytes:
        """Return what somebody else has to say at this moment, mostly nothing."""
        return chance.choice(self.said) if chance.random() < self.chatter else b""


class _Connection:
    """One TCP connection: its two ends."""

    def __init__(self, host: HostPort, proxy: VSPCConnection) -> None:
        self.host, self.proxy = host, proxy


class _Writer:
    """What a VMClient writes to: its port, which is not full as long as memory is not."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def write(self, data: bytes) -> None:
        self._port.send(data)

    async def drain(self) -> None:
        return


class Line(Ports):
    """A VM's serial line, from the guest to the driver and back; to the guest it is its only port.

    Attributes:
        now: the time, which passes as bytes go to the guest, and as the guest waits.
        requests, bytes_up, bytes_down: what went over the line.
        violations: what either half has done against the protocol.
    """

    def __init__(
        self,
        driver: Driver,
        chance: random.Random,
        *,
        noise: Noise | None = None,
        upheavals: Sequence[tuple[int, Upheaval]] = (),
    ) -> None:
        """``upheavals``: what happens once so many bytes have come to the guest, in this order."""
        self.now = 1000.0
        self.requests = self.bytes_up = self.bytes_down = 0
        self.violations: list[str] = []
        self._driver = driver
        self._chance = chance
        self._noise = noise or Noise()
        self._upheavals = list(upheavals)
        self._identity = Identity.of("web-01")
        self._vmotions = VMotionTable(self.clock, 10, new_secret=chance.randbytes)
        self._clients: dict[Port, VMClient] = {}
        self._to_guest = bytearray()
        self._connection: _Connection | None = None
        self._connects = self.now
        self._sequence = 0xFF000000

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def ids(self) -> str:
        """Return another eight hexadecimal digits."""
        return f"{self._chance.getrandbits(32):08x}"

    # The guest's port

    def open(self) -> list[str]:
        return [NAME]

    def write(self, name: str, data: bytes) -> None:
        self.requests += 1
        self.bytes_up += len(data)
        self._connect_if_due()
        if self._connection is None:
            return  # nobody is there to take it
        said = self._noise.talk(self._chance) + data + self._noise.talk(self._chance)
        if spoiled := self._noise.spoil(said, self._chance):
            self._connection.host.send_serial(spoiled)
        self._exchange()

    def read(self, seconds: float, gather: bool = False) -> list[tuple[str, bytes]]:
        deadline = self.now + seconds
        while self.now < deadline:
            self._connect_if_due()
            self._exchange()
            if not self._to_guest:
                # Nothing is under way: the next thing to happen is a connection, or the end of the wait.
                self.now = min(deadline, self._connects) if self._connection is None else deadline
                continue
            size = self._chance.choice((1, 2, 100, 1000, 4096))
            data = bytes(self._to_guest[:size])
            del self._to_guest[:size]
            self.now += len(data) / BYTES_PER_SECOND
            self.bytes_down += len(data)
            if self._upheavals and self.bytes_down >= self._upheavals[0][0]:
                self._upheave(self._upheavals.pop(0)[1])
            if spoiled := self._noise.spoil(self._talked_over(data), self._chance):
                return [(NAME, spoiled)]
        return []

    def keep(self, name: str) -> None:
        return

    def closed(self) -> dict[str, str]:
        return {}

    def _talked_over(self, data: bytes) -> bytes:
        return b"".join(
            line + (self._noise.talk(self._chance) if line.endswith(b"\n") else b"")
            for line in data.splitlines(keepends=True)
        )

    # Connections

    def _connect_if_due(self) -> None:
        if self._connection is None and self.now >= self._connects:
            self._connection = self._connect()
            self._exchange()

    def _connect(self, vmotion: VMotion | None = None) -> _Connection:
        logger = logging.getLogger(__name__)
        proxy = VSPCConnection(URI, self._vmotions, self.clock, events.Limits(), logger)
        return _Connection(HostPort(self._identity, URI, vmotion=vmotion), proxy)

    def _exchange(self, connection: _Connection | None = None) -> None:
        """Carry bytes between host and server, in pieces of any size, until neither has anything to say."""
        connection = connection or self._connection
        while connection is not None:
            up = connection.host.data_to_send()
            for piece in self._pieces(up):
                connection.proxy.receive_data(piece)
                self._handle(connection.proxy)
            full = connection is self._connection and len(self._to_guest) > HOST_BUFFER
            down = b"" if full else connection.proxy.data_to_send(4096)
            for piece in self._pieces(down):
                connection.host.receive_data(piece)
            self._to_guest += connection.host.serial_received()
            self.violations += connection.host.violations
            connection.host.violations.clear()
            if not up and not down:
                return

    def _pieces(self, data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = self._chance.choice((1, 3, 1000, 4096))
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    def _handle(self, proxy: VSPCConnection) -> None:
        for event in proxy.events_received():
            match event:
                case events.VMIdentified(port) if port.identity:
                    client = self._driver.new_client(port.identity.name, _Writer(port))
                    client.clock = self.clock
                    self._clients[port] = client
                case events.PacketReceived(port, packet):
                    _run(self._clients[port].receive(packet))
                case events.VMLeft(port):
                    del self._clients[port]
                case events.ProtocolViolated(reason):
                    self.violations.append(reason)

    # What happens to connections

    def _upheave(self, what: Upheaval) -> None:
        if self._connection is None:
            return
        self._exchange()
        if what == "cut":
            self._cut()
        elif what in ("vmotion", "source stays longer"):
            self._move(self._connection, source_closes_first=what == "vmotion")
        else:
            self._stay(self._connection, after_peer=what == "abort after peer")

    def _cut(self) -> None:
        """Lose the connection and what is under way, some of what the host holds included."""
        if self._connection:
            self._end(self._connection)
        self._connection = None
        self._connects = self.now + self._chance.uniform(0.0, 5.0)
        del self._to_guest[self._chance.randrange(len(self._to_guest) + 1) :]

    def _move(self, source: _Connection, *, source_closes_first: bool) -> None:
        destination = self._connect(self._leave(source))
        self._exchange(destination)
        if source_closes_first:
            self._end(source)
        destination.host.complete()
        self._connection = destination
        self._exchange()
        if not source_closes_first:
            self._end(source)

    def _stay(self, source: _Connection, *, after_peer: bool) -> None:
        vmotion = self._leave(source)
        destination = self._connect(vmotion) if after_peer else None
        if destination:
            self._exchange(destination)
        source.host.abort_vmotion()
        self._exchange(source)
        if destination:
            self._end(destination)

    def _leave(self, source: _Connection) -> VMotion | None:
        self._sequence += 1
        source.host.begin_vmotion(self._sequence.to_bytes(4))
        while source.host.phase is Phase.LEAVING:
            # What is under way comes before GOAHEAD, whatever its size.
            up = source.host.data_to_send()
            source.proxy.receive_data(up)
            self._handle(source.proxy)
            source.host.receive_data(source.proxy.data_to_send())
            self._to_guest += source.host.serial_received()
        self.now += self._chance.uniform(0.0, 4.0)
        return source.host.vmotion

    def _end(self, connection: _Connection) -> None:
        connection.proxy.receive_eof()
        self._handle(connection.proxy)


def _run(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run what waits for nothing to its end."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")
