"""What TLS adds to a VM that is held."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.bench import programs
from tests.bench.definitions import write_usual
from tests.bench.programs import Running
from tests.bench.table import Row
from tests.support.tls import client_context, write_certificate
from vmw_cloudinit_metadata.simulator import SimulatedVM

VMS = 500  # of Python, which take their time
AT_ONCE = 20


def measure(_built: Path, scratch: Path) -> Iterator[Row]:
    """Hold VMs with TLS and without."""
    definitions = scratch / "tls"
    write_usual(definitions, 1)
    certificate = str(write_certificate(scratch))
    plain, secret = (
        _memory_each(definitions, context, *arguments)
        for context, arguments in (
            (None, ()),
            (client_context(), ("--tls-listen", "127.0.0.1:0", "--tls-cert", certificate)),
        )
    )
    value = f"{(secret - plain) / 1024:.0f} KiB of memory each"
    yield Row(f"what TLS adds to a VM that is held ({VMS} of them)", value)


def _memory_each(definitions: Path, context: ssl.SSLContext | None, *arguments: str) -> float:
    with programs.ours(definitions, *arguments) as server:
        return asyncio.run(_held(server, context)) / VMS


async def _held(server: Running, context: ssl.SSLContext | None) -> int:
    """Connect them all; return the bytes of memory that this took."""
    before = server.usage().resident
    gate = asyncio.Semaphore(AT_ONCE)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:

        async def connect(number: int) -> None:
            vm = SimulatedVM(f"vm-{number:05d}", programs.URI, port=server.port, tls=context)
            async with gate:
                await vm.start()
            stack.push_async_callback(vm.close)

        tasks = [group.create_task(connect(number)) for number in range(VMS)]
        await asyncio.gather(*tasks)
        return server.usage().resident - before
