"""A VM that is connected to a scripted server, for the tests of SimulatedVM."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.server.simulator.scripted_vspc import (
    Caller,
    ScriptedVSPC,
)
from vmw_cloudinit_metadata.simulator import SimulatedVM
from vmw_cloudinit_metadata.simulator.connection import Connection

# More than the sockets of both ends hold.
PLENTY = 32 * 1024 * 1024


async def at_once(seconds: float) -> None:
    """Do not wait between two tries."""


@contextlib.asynccontextmanager
async def connected(
    server: ScriptedVSPC, *, binary: bool = False, **options: Any
) -> AsyncIterator[tuple[SimulatedVM, Caller]]:
    """Start a VM and serve it."""
    web_01 = SimulatedVM("web-01", "my-metadata", port=server.port, **{"sleep": at_once, **options})
    starting = asyncio.create_task(web_01.start())
    caller = await server.caller()
    await caller.serve(binary=binary)
    await starting
    try:
        yield web_01, caller
    finally:
        await web_01.close()


async def read_exactly(web_01: SimulatedVM, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await web_01.read(size - len(data))
    return data


def watch_pauses(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event that is set when a VM stops reading."""
    paused = asyncio.Event()
    pause_reading = Connection.pause_reading

    def pause(connection: Connection) -> None:
        pause_reading(connection)
        paused.set()

    monkeypatch.setattr(Connection, "pause_reading", pause)
    return paused
