"""The VM's side of a connection to the server, in literal bytes: what a test sends is what stands here.

A ``Peer`` reads only when it is told to, so a test can be a VM that does not read. ``serving`` runs a server
for the time of a ``with`` block; ``run`` runs a test's coroutine on one of the two event loops.
"""

import asyncio
import contextlib
import functools
import os
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.server import ServerOptions, VSPCServer
from vmw_cloudinit_metadata.vspc.vm_client import VMClient
from vmw_cloudinit_wire import Packet, decode

URI = "my-metadata"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

# Far beyond what anything here takes: a test that waits this long has failed.
PATIENCE = 20.0

UUID_TEXT = b"68 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d"

WILL_AUTHENTICATION, DONT_AUTHENTICATION = b"\xff\xfb\x25", b"\xff\xfe\x25"
# DO BINARY, DO SGA, WILL BINARY, WILL SGA, WILL 232: agreed to all the server opens with.
AGREE = b"\xff\xfd\x00\xff\xfd\x03\xff\xfb\x00\xff\xfb\x03\xff\xfb\xe8"
KNOWN_SUBOPTIONS_1 = (
    b"\xff\xfa\xe8\x00\x00\x01\x02\x03\x28\x29\x2b\x2c\x2d\x2e\x30"
    b"\x46\x47\x49\x50\x51\x52\x53\x54\x55\xff\xf0"
)
DO_PROXY = b"\xff\xfa\xe8\x46Smy-metadata\xff\xf0"
WILL_PROXY = b"\xff\xfa\xe8\x47\xff\xf0"
WONT_PROXY = b"\xff\xfa\xe8\x49\xff\xf0"
VMOTION_BEGIN = b"\xff\xfa\xe8\x28\x00\x00\x00\x07\xff\xf0"
VMOTION_PEER_OK = b"\xff\xfa\xe8\x2d\x00\x00\x00\x07\xff\xf0"
VMOTION_COMPLETE = b"\xff\xfa\xe8\x2e\x00\x00\x00\x07\xff\xf0"
VMOTION_ABORT = b"\xff\xfa\xe8\x30\xff\xf0"

METADATA, NETWORKDATA, USERDATA = (
    b"!!REQUEST_METADATA#\n",
    b"!!REQUEST_NETWORKDATA#\n",
    b"!!REQUEST_USERDATA#\n",
)


def vm_name(name: str) -> bytes:
    return b"\xff\xfa\xe8\x52" + name.encode() + b"\xff\xf0"


VC_UUID = b"\xff\xfa\xe8\x50" + UUID_TEXT + b"\xff\xf0"
BIOS_UUID = b"\xff\xfa\xe8\x54" + UUID_TEXT + b"\xff\xf0"


def introduction(name: str) -> bytes:
    """All that a VM says of itself, in the order in which ESXi says it."""
    return WILL_AUTHENTICATION + AGREE + KNOWN_SUBOPTIONS_1 + DO_PROXY + vm_name(name) + VC_UUID + BIOS_UUID


class Peer:
    """One TCP connection of an ESXi host; ``received`` is what was read and not yet taken."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = b""
        self.before_go_ahead = b""

    async def send(self, *data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(self.socket, b"".join(data))

    async def take(self, end: bytes) -> bytes:
        """Read up to ``end`` and return all up to it."""
        while end not in self.received:
            data = await self._read()
            assert data, f"closed before {end!r} came; {self.received!r} came"
            self.received += data
        taken, _, self.received = self.received.partition(end)
        return taken + end

    async def packet(self) -> Packet:
        """Read one packet."""
        return decode((await self.take(b"\r\n")).replace(b"\xff\xff", b"\xff"))

    async def ask(self, request: bytes) -> Packet:
        await self.send(request)
        return await self.packet()

    async def until_closed(self) -> bytes:
        """Read until the server closes; return what has come."""
        with contextlib.suppress(ConnectionError):
            while data := await self._read():
                self.received += data
        taken, self.received = self.received, b""
        return taken

    async def go_ahead(self) -> bytes:
        """Read GOAHEAD; return its token. What came before it is in ``before_go_ahead``."""
        begin = b"\xff\xfa\xe8\x29"
        self.before_go_ahead = (await self.take(begin))[: -len(begin)]
        token = b""
        # A random secret may hold what looks like an IAC SE, its IAC doubled.
        while not re.fullmatch(rb"(?:[^\xff]|\xff\xff)*\xff\xf0", token, re.DOTALL):
            token += await self.take(b"\xff\xf0")
        return token[:-2].replace(b"\xff\xff", b"\xff")

    async def arrive(self, token: bytes) -> None:
        """Be a vMotion's destination up to PEER-OK."""
        peer = b"\xff\xfa\xe8\x2c" + token.replace(b"\xff", b"\xff\xff") + b"\xff\xf0"
        await self.send(WILL_AUTHENTICATION, AGREE, KNOWN_SUBOPTIONS_1, peer)
        await self.take(VMOTION_PEER_OK)

    def end_stream(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    async def _read(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65536)


class Site:
    """A server and the connections to it."""

    def __init__(self, server: VSPCServer, addresses: list[tuple[str, int]]) -> None:
        self.server = server
        self.addresses = addresses
        self._peers: list[Peer] = []

    async def connect(self, address: tuple[str, int] | None = None, receive_buffer: int = 0) -> Peer:
        """Connect and say nothing."""
        address = address or self.addresses[0]
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        self._peers.append(Peer(connection))
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connection, address)
        return self._peers[-1]

    async def vm(self, name: str, **options: Any) -> Peer:
        """Connect a VM and say who it is."""
        peer = await self.connect(**options)
        await peer.send(introduction(name))
        await peer.take(WILL_PROXY)
        return peer

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


class Instances(Driver):
    """A driver whose instances are named like their VMs. A VM in ``held`` is answered when its event is set.

    Attributes:
        asked: the names of the VMs it was asked for, in order; ``threads``: in which thread.
        most_at_once: how many calls there have been at once.
    """

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        self.asked: list[str] = []
        self.threads: list[str] = []
        self.held: dict[str, threading.Event] = {}
        self.entered = threading.Semaphore(0)  # released by every call that is held
        self.closed = self.reloaded = 0
        self.at_once = self.most_at_once = 0
        return opts

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        self.asked.append(vm_client.vm_name)
        self.threads.append(threading.current_thread().name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if gate := self.held.get(vm_client.vm_name):
            self.entered.release()
            gate.wait(PATIENCE)
        self.at_once -= 1
        return self.instance(vm_client)

    def instance(self, vm_client: VMClient) -> InstanceData | None:
        return InstanceData(
            {
                "metadata": {"instance-id": "i-1", "hostname": vm_client.vm_name},
                "userdata": self.options.get("userdata", "#cloud-config\n{}\n"),
            }
        )

    async def until_held(self) -> None:
        """Wait until a call is held."""
        assert await asyncio.to_thread(self.entered.acquire, True, PATIENCE)

    def reload(self) -> None:
        self.reloaded += 1

    def close(self) -> None:
        self.closed += 1


class ThreadSafeInstances(Instances):
    thread_safe = True


def options(**changes: Any) -> ServerOptions:
    return ServerOptions(**{"listen": (("127.0.0.1", 0),), **changes})


@contextlib.asynccontextmanager
async def serving(driver: Driver, **changes: Any) -> AsyncIterator[Site]:
    """Serve from the driver; at the end nothing of it may be left."""
    others = asyncio.all_tasks()
    server = VSPCServer(URI, driver, options(**changes))
    site = Site(server, await server.listen())
    try:
        yield site
    finally:
        site.close()
        await server.close()
    assert asyncio.all_tasks() == others


Run = Callable[[Coroutine[Any, Any, None]], None]


def run(loop: str, test: Coroutine[Any, Any, None]) -> None:
    """Run a test on an event loop of this name; not a descriptor may be left of it."""
    warm_up(loop)
    before = _descriptors()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(test)
    assert _descriptors() == before


@functools.cache
def warm_up(loop: str) -> None:
    """Have opened what a loop opens once for the process."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.sleep(0))


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
