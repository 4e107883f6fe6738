"""One TCP connection of a simulated host: an asyncio Protocol around a HostPort, and nothing of its VM."""

import asyncio
from collections.abc import Callable
from typing import cast

from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator.host import HostPort, Phase

# How long closing waits for what is still to be sent.
CLOSE_SECONDS = 1.0


class Connection(asyncio.Protocol):
    """Move bytes between a socket and a HostPort, and let others wait for what comes of it."""

    def __init__(
        self, port: HostPort, on_serial: Callable[["Connection", bytes], None], on_change: Callable[[], None]
    ) -> None:
        """``on_serial`` takes what comes for the guest; ``on_change``: ``is_writable`` may have changed."""
        self.port = port
        self.is_closed = False
        self._on_serial, self._on_change = on_serial, on_change
        self._transport: asyncio.Transport | None = None
        self._congested = False
        self._changed = asyncio.Event()

    @property
    def is_writable(self) -> bool:
        """Whether the guest may write now."""
        return self.port.phase is Phase.RUNNING and not self._congested and not self.is_closed

    async def reach(self, *phases: Phase) -> Phase:
        """Wait until the port is in one of these phases, and return it.

        Raises:
            SimulatorError: the connection is closed before.
        """
        while self.port.phase not in phases:
            if self.is_closed:
                raise SimulatorError("the server has closed the connection")
            await self._change()
        return self.port.phase

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, by either side."""
        while not self.is_closed:
            await self._change()

    async def close(self) -> None:
        """Close after what is queued was sent, if the peer takes it soon."""
        if self._transport:
            self._transport.close()
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.wait_closed()
            except TimeoutError:
                self.abort()

    def abort(self) -> None:
        """Close at once."""
        if self._transport:
            self._transport.abort()

    def flush(self) -> None:
        """Send what the port has to send."""
        if (data := self.port.data_to_send()) and self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Read no more, so that the server has to wait."""
        if self._transport:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again, if reading was paused."""
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the dialogue (asyncio.Protocol)."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has that form, not that base
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the server (asyncio.Protocol)."""
        self.port.receive_data(data)
        self.flush()
        if serial := self.port.serial_received():
            self._on_serial(self, serial)
        self._notify()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end, whoever made it (asyncio.Protocol)."""
        self.is_closed = True
        self._notify()

    def pause_writing(self) -> None:
        """Stop the guest: the server does not read (asyncio.Protocol)."""
        self._congested = True
        self._notify()

    def resume_writing(self) -> None:
        """Let the guest go on (asyncio.Protocol)."""
        self._congested = False
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._on_change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
