"""Answer every VM the same from an asyncio Protocol: what Python and uvloop cost before any work is done.

As ``least.c``, it knows no VM and trusts that nothing is cut in two:
``python -m tests.bench.fixed PORT ANSWERS``.
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

REQUESTS = (b"!!REQUEST_METADATA#\n", b"!!REQUEST_NETWORKDATA#\n", b"!!REQUEST_USERDATA#\n")

# What a host says first, and what it says when option 232 is agreed; each in one write, as load.c does it.
OFFER = b"\xff\xfb\x25"
OFFER_EXT = b"\xff\xfb\xe8"
DONT_AUTHENTICATION_DO_EXT = b"\xff\xfe\x25\xff\xfd\xe8"
KNOWN_AND_WILL_PROXY = (
    b"\xff\xfa\xe8\x01\x01\x03\xff\xf0"
    b"\xff\xfa\xe8\x51\xff\xf0\xff\xfa\xe8\x53\xff\xf0\xff\xfa\xe8\x55\xff\xf0"
    b"\xff\xfa\xe8\x47\xff\xf0"
)


class FixedAnswers(asyncio.Protocol):
    """Say what is always said."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the host."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer by how a message begins or ends."""
        if data.startswith(b"!!") or data.endswith(b"#\n"):
            self._transport.write(self._answers[data[data.rindex(b"!!") :]])
        elif data.startswith(OFFER):
            self._transport.write(DONT_AUTHENTICATION_DO_EXT)
        elif data.startswith(OFFER_EXT):
            self._transport.write(KNOWN_AND_WILL_PROXY)


async def serve(port: int, answers: dict[bytes, bytes]) -> None:
    """Serve until killed; print the port."""
    server = await asyncio.get_running_loop().create_server(
        lambda: FixedAnswers(answers), "127.0.0.1", port, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_bytes().splitlines(keepends=True)
    uvloop.run(serve(int(sys.argv[1]), dict(zip(REQUESTS, lines, strict=True))))
