"""Many VMs for a long time: whatever they do, nothing is left of them."""

import asyncio
import gc
import logging
import os
import random
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvloop

from tests.support import long_tests
from tests.support.peer import PATIENCE, URI, options, warm_up
from tests.support.population import Inventory, Resident
from vmw_cloudinit_metadata.simulator import SimulatedVM, vm
from vmw_cloudinit_metadata.vspc import session, vmotion
from vmw_cloudinit_metadata.vspc.connection import VSPCConnection
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.protocol import VSPCProtocol
from vmw_cloudinit_metadata.vspc.server import VSPCServer
from vmw_cloudinit_metadata.vspc.session import Session
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

_logger = logging.getLogger("soak")

# VMs at once, and how often each of them connects.
POPULATION, LIVES = (2000, 12) if long_tests.WANTED else (300, 3)
VMOTION_SECONDS = 30.0 if long_tests.WANTED else 10.0

# What the server holds for a VM, and must not hold when it has gone.
KINDS = (VSPCProtocol, VSPCConnection, Port, Session, VMClient, Snapshot, SimulatedVM)

# The log of the server may say that these went wrong; anything else is a fault.
EXPECTED = (
    "not answered: faulty-",
    "not answered: the driver raised RuntimeError",
    "not answered: the driver returned a str",
    "has to wait: the driver has not answered",
    "closed: has read none of its output",
    "the server has closed the connection; connecting again",
    "which nobody answers",
    "vMotion not completed",
    "gets 3,000,000 bytes of user-data",
)


class Unexpected(logging.Handler):
    """Keep what was logged that nobody expects; pytest would keep all of it, which is memory too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.exc_info or not any(each in line for each in EXPECTED):
            self.lines.append(self.format(record))


@contextmanager
def logs_watched() -> Iterator[Unexpected]:
    unexpected = Unexpected()
    loggers = [logging.getLogger(name) for name in ("vmw_cloudinit_metadata", "asyncio")]
    for logger in loggers:
        logger.addHandler(unexpected)
        logger.propagate = False
    try:
        yield unexpected
    finally:
        for logger in loggers:
            logger.removeHandler(unexpected)
            logger.propagate = True


@contextmanager
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def alive() -> list[object]:
    """Return what there is of the kinds that a VM takes."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, KINDS)]


def count(objects: list[object], without: list[object]) -> Counter[str]:
    others = {id(each) for each in without}
    return Counter(type(each).__name__ for each in objects if id(each) not in others)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_kib() -> int:
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


async def until_forgotten(server: VSPCServer, driver: Inventory) -> None:
    """Wait until the last connection has ended, and the last vMotion that nobody completes is over.

    A driver that hangs holds on to the VM it was asked for, and to nothing else: it is let go.
    """
    driver.released.set()
    async with asyncio.timeout(PATIENCE + VMOTION_SECONDS):
        while server._protocols or server._sessions or len(server._vmotions) or server._workers._busy:
            await asyncio.sleep(0.05)
    driver.released.clear()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up("uvloop")


@pytest.mark.system
def test_vms_that_come_ask_move_misbehave_and_vanish_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # So many VMs in one process are slow; an orphan's end is waited for.
    monkeypatch.setattr(vmotion, "VMOTION_SECONDS", VMOTION_SECONDS)
    monkeypatch.setattr(vm, "VMOTION_SECONDS", VMOTION_SECONDS)
    monkeypatch.setattr(session, "DRIVER_SECONDS", 0.5)
    chance = random.Random(4711)
    done: Counter[str] = Counter()
    driver = Inventory({})

    async def live(server: VSPCServer, port: int, population: int, lives: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(population):
                resident = Resident(number, server, random.Random(chance.random()), done)
                group.create_task(resident.live(lives, port))
        await until_forgotten(server, driver)

    async def soak(server: VSPCServer) -> None:
        ((_, port),) = await server.listen()
        await live(server, port, 50, 1)  # what the first VM of a kind makes for all is no leak
        before, memory = descriptors(), resident_kib()
        await live(server, port, POPULATION, LIVES)
        assert count(alive(), without=others) == {}
        assert descriptors() == before
        _logger.info("done: %s; memory: %d KiB before, %d KiB after", dict(done), memory, resident_kib())

    async def test() -> None:
        tasks = asyncio.all_tasks()
        server = VSPCServer(URI, driver, options(unread_seconds=1.0))
        try:
            await soak(server)
        finally:
            driver.released.set()
            await server.close()
            for thread in server._workers._threads:
                thread.join(PATIENCE)
        assert asyncio.all_tasks() == tasks

    others = alive()  # what tests before this one have left, as hypothesis does of its examples
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with logs_watched() as unexpected, many_descriptors(), runner:
        runner.run(test())
    assert unexpected.lines == []
    assert done["fetch"] > POPULATION
    for way in ("move", "stay", "closed", "lost", "lost in its vMotion", "deaf"):
        assert done[way], way
