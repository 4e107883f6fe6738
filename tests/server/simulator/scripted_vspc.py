"""A vSPC that says what a test tells it to, byte for byte: written from the protocol, not from our server."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

WILL_AUTHENTICATION = b"\xff\xfb\x25"
DONT_AUTHENTICATION = b"\xff\xfe\x25"
WILL_EXT = b"\xff\xfb\xe8"
DO_EXT = b"\xff\xfd\xe8"
WILL_COM_PORT = b"\xff\xfb\x2c"
DONT_COM_PORT = b"\xff\xfe\x2c"


def suboption(content: bytes) -> bytes:
    """Return ``IAC SB 232 content IAC SE``."""
    return b"\xff\xfa\xe8" + content.replace(b"\xff", b"\xff\xff") + b"\xff\xf0"


# Every code of VMware's table.
KNOWN_SUBOPTIONS_1 = suboption(
    b"\x00\x00\x01\x02\x03\x28\x29\x2b\x2c\x2d\x2e\x30\x46\x47\x49\x50\x51\x52\x53\x54\x55\x56\x57"
)
KNOWN_SUBOPTIONS_2 = suboption(
    b"\x01\x01\x03\x28\x29\x2b\x2c\x2d\x2e\x30\x46\x47\x49\x50\x51\x52\x53\x54\x55"
)
DO_PROXY = suboption(b"\x46Cmy-metadata")
WILL_PROXY = suboption(b"\x47")
WONT_PROXY = suboption(b"\x49")
GET_VM_NAME = suboption(b"\x53")
ABORT = suboption(b"\x30")

# The first sequence of a simulated VM, and the token that goes with it: both hold an IAC.
SEQUENCE = b"\xff\x00\x00\x01"
TOKEN = SEQUENCE + b"secret\xff!"
BEGIN = suboption(b"\x28" + SEQUENCE)
GOAHEAD = suboption(b"\x29" + TOKEN)
NOTNOW = suboption(b"\x2b" + SEQUENCE)
PEER = suboption(b"\x2c" + TOKEN)
PEER_OK = suboption(b"\x2d" + SEQUENCE)
COMPLETE = suboption(b"\x2e" + SEQUENCE)


class Caller:
    """One connection of a host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def expect(self, expected: bytes) -> None:
        """Read that many bytes: they are these."""
        assert await self._reader.readexactly(len(expected)) == expected

    async def read_until(self, end: bytes) -> bytes:
        """Read up to this mark, and return what stands before it."""
        return (await self._reader.readuntil(end)).removesuffix(end)

    async def expect_end(self) -> None:
        """Read the end of the stream, and nothing before it."""
        assert await self._reader.read() == b""

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def open(self, introduction: bytes) -> None:
        """Have the telnet dance, up to DO-PROXY or PEER."""
        await self.expect(WILL_AUTHENTICATION)
        await self.send(DONT_AUTHENTICATION)
        await self.expect(WILL_EXT)
        await self.send(DO_EXT)
        await self.expect(KNOWN_SUBOPTIONS_1 + introduction)

    async def serve(self, *, binary: bool = False) -> None:
        """Have the whole dance; from then on everything is serial data."""
        await self.open(DO_PROXY)
        await self.send(KNOWN_SUBOPTIONS_2 + WILL_PROXY)
        await self.expect(WILL_COM_PORT)
        await self.send(DONT_COM_PORT)
        if binary:
            await self.send(b"\xff\xfb\x00\xff\xfd\x00")
            await self.expect(b"\xff\xfd\x00\xff\xfb\x00")

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        self._writer.transport.abort()


class ScriptedVSPC:
    """The listening socket; ``caller`` returns the hosts' connections in the order they came in."""

    def __init__(self, port: int, callers: "asyncio.Queue[Caller]") -> None:
        self.port = port
        self._callers = callers

    async def caller(self) -> Caller:
        """Return the next connection."""
        return await self._callers.get()


@contextlib.asynccontextmanager
async def listening(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedVSPC]:
    """Listen, on a free port unless one is named."""
    callers: asyncio.Queue[Caller] = asyncio.Queue()
    accepted: list[Caller] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(Caller(reader, writer))
        callers.put_nowait(accepted[-1])

    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls)
    try:
        yield ScriptedVSPC(server.sockets[0].getsockname()[1], callers)
    finally:
        server.close()
        for caller in accepted:
            await caller.close()
        await server.wait_closed()
