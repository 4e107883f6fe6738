"""A simulated host with its VMs, in the foreground: signals, vMotion on demand, an orderly end."""

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator.port import SerialPort, until_first
from vmw_cloudinit_metadata.simulator.vm import SimulatedVM

# Connections that are being made at once: a server's backlog often holds a hundred.
MAX_CONNECTING = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM and the port its guest opens."""

    vm: SimulatedVM
    port: SerialPort


@dataclass(frozen=True, slots=True)
class _Migration:
    what: str
    migrate: Callable[[SimulatedVM], Coroutine[Any, Any, None]]


_MIGRATE = _Migration("migrated", SimulatedVM.vmotion)
_ABORT = _Migration("a migration was begun and aborted", SimulatedVM.abort_vmotion)


async def run(
    machines: Sequence[Machine],
    announce: Callable[[Machine], None],
    *,
    wait: float = 0.0,
    vmotion_every: float | None = None,
) -> None:
    """Run these VMs until SIGINT or SIGTERM; then close their connections and remove their ports.

    SIGUSR1 migrates every VM once; SIGUSR2 begins a migration of every VM and aborts it.

    Args:
        machines: the VMs.
        announce: called for each VM once the server serves it and its port can be opened.
        wait: for how many seconds a server that cannot be reached is tried again.
        vmotion_every: seconds from one migration of every VM to the next.

    Raises:
        SimulatorError: the server cannot be reached or refuses a VM, or a port cannot be made.
    """
    _raise_descriptor_limit()
    connecting = asyncio.Semaphore(MAX_CONNECTING)
    stopped = asyncio.Event()
    migrations: asyncio.Queue[_Migration] = asyncio.Queue()
    handlers: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGINT: stopped.set,
        signal.SIGTERM: stopped.set,
        signal.SIGUSR1: lambda: migrations.put_nowait(_MIGRATE),
        signal.SIGUSR2: lambda: migrations.put_nowait(_ABORT),
    }

    async def live(machine: Machine) -> None:
        async with connecting:
            await machine.vm.start(wait)
        announce(machine)
        await until_first(machine.vm.wait_ended(), machine.port.bridge(machine.vm))

    async def migrate(vm: SimulatedVM, migration: _Migration) -> None:
        try:
            async with connecting:
                await migration.migrate(vm)
        except SimulatorError as error:
            logger.warning("%s", error)
        else:
            logger.info("%s: %s", vm.name, migration.what)

    async def migrate_on_demand() -> None:
        while True:
            migration = _MIGRATE
            # Without an order in time, the time itself is one; the clock stands still meanwhile.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(vmotion_every):
                    migration = await migrations.get()
            await asyncio.gather(*(migrate(machine.vm, migration) for machine in machines))

    with contextlib.ExitStack() as ports, _signals(handlers):
        for machine in machines:
            ports.enter_context(machine.port)
        try:
            await until_first(stopped.wait(), migrate_on_demand(), *map(live, machines))
        finally:
            await asyncio.gather(*(machine.vm.close() for machine in machines))


@contextlib.contextmanager
def _signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


def _raise_descriptor_limit() -> None:
    # A VM takes up to four descriptors, and the usual soft limit is 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The kernel refuses a hard limit that is above fs.nr_open by now, even if it is the one we have.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
