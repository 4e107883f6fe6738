"""What happens in the middle: a server that restarts, a VM that moves, a second guest."""

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import in_loop
from tests.support.machine import Fetched, Machine, packets
from tests.support.world import World, definition, incompressible
from vmw_cloudinit_wire import options

# Much more than sockets, host and tty hold between them: in version 1 the larger part of the answer is still
# the server's while the line stands still in the middle of it.
LARGE = definition("web-01", userdata=incompressible(1_000_000))
MIDDLE = 200_000


@pytest.fixture(params=["version 1", "version 2"])
def driver(request: pytest.FixtureRequest) -> str:
    """Serve in one line of a megabyte, or in pieces."""
    return "tests.end_to_end.drivers:Version1Driver" if request.param == "version 1" else "file"


def check(fetched: Fetched, expected: dict[str, Any] = LARGE) -> None:
    assert (fetched.exit_code, fetched.complaint) == (0, "")
    assert fetched.seed["user-data"] == expected["userdata"].encode()
    assert json.loads(fetched.seed["meta-data"])["instance-id"] == expected["metadata"]["instance-id"]


def check_line(machine: Machine, expected: dict[str, Any] = LARGE) -> None:
    """Check that no byte was lost or altered: the guest would ask again, and nobody would notice.

    A guest asks again too when it takes the test more than a second to go on.
    """
    whole = expected["userdata"].encode()
    parts = {}
    for packet in packets(machine.line.to_guest):
        if packet.code == "RESPONSE_USERDATA":
            place = options.read_answer(packet) or {}
            plain = gzip.decompress(packet.payload) if place.get("enc") else packet.payload
            parts[int(place.get("offset", 0))] = plain
    assert all(whole.startswith(part, offset) for offset, part in parts.items())
    assert sum(len(part) for part in parts.values()) >= len(whole)


async def held_in_the_middle(machine: Machine) -> "asyncio.Future[Fetched]":
    """Start a guest, and hold the line in the middle of its user-data."""
    machine.line.hold_after(MIDDLE)
    guest = asyncio.ensure_future(await machine.begin_fetch())
    await machine.line.until_held()
    return guest


# The server


@in_loop
async def test_a_server_that_crashes_in_the_middle_of_an_answer_costs_a_second(
    driver: str, tmp_path: Path
) -> None:
    async with World(tmp_path, {"web-01": LARGE}, driver=driver) as world:
        machine = await world.machine("web-01")
        guest = await held_in_the_middle(machine)
        await world.crash_server()
        machine.line.release()
        await world.start_server()
        # Half an answer, then a whole one behind it on the same line.
        check(await guest)


@in_loop
async def test_a_server_that_is_stopped_in_the_middle_of_an_answer_sends_the_rest(
    driver: str, tmp_path: Path
) -> None:
    async with World(tmp_path, {"web-01": LARGE}, driver=driver) as world:
        machine = await world.machine("web-01")
        guest = await held_in_the_middle(machine)
        stop = asyncio.ensure_future(world.server.stop())
        await world.server.logged("stopping")
        machine.line.release()
        assert await stop == 0
        await world.start_server()
        check(await guest)
        check_line(machine)


@in_loop
async def test_a_server_that_starts_after_the_guest_is_in_time(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": LARGE}) as world:
        machine = await world.machine("web-01")
        await world.crash_server()
        guest = await machine.begin_fetch()
        await world.start_server()
        check(await guest)


# vMotion


@pytest.mark.parametrize("source_closes_first", [True, False], ids=["FIN, COMPLETE", "COMPLETE, FIN"])
@in_loop
async def test_a_vm_moves_in_the_middle_of_an_answer(
    source_closes_first: bool, driver: str, tmp_path: Path
) -> None:
    async with World(tmp_path, {"web-01": LARGE}, driver=driver) as world:
        machine = await world.machine("web-01")
        guest = await held_in_the_middle(machine)
        await machine.line.vmotion(source_closes_first=source_closes_first)
        machine.line.release()
        check(await guest)
        await world.server.logged("vMotion completed")
        check_line(machine)


@pytest.mark.parametrize("after_peer", [False, True], ids=["BEGIN, ABORT", "BEGIN, PEER, ABORT"])
@in_loop
async def test_a_vm_begins_to_move_in_the_middle_of_an_answer_and_stays(
    after_peer: bool, driver: str, tmp_path: Path
) -> None:
    async with World(tmp_path, {"web-01": LARGE}, driver=driver) as world:
        machine = await world.machine("web-01")
        guest = await held_in_the_middle(machine)
        await machine.line.abort_vmotion(after_peer=after_peer)
        machine.line.release()
        check(await guest)
        await world.server.logged("vMotion aborted")
        check_line(machine)


@in_loop
async def test_a_vm_moves_again_and_again_in_the_middle_of_an_answer(driver: str, tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": LARGE}, driver=driver) as world:
        machine = await world.machine("web-01")
        guest = await held_in_the_middle(machine)
        for _ in range(5):
            await machine.line.vmotion()
            machine.line.hold_after(MIDDLE // 2)
            await machine.line.until_held()
            await machine.line.abort_vmotion()
        machine.line.release()
        check(await guest)
        check_line(machine)


@in_loop
async def test_a_vm_moves_while_the_driver_is_busy_with_its_answer(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    options = {"directory": str(tmp_path / "definitions"), "gate": str(gate)}
    driver = "tests.end_to_end.drivers:GatedDriver"
    # Open for reading too: a FIFO with a reader takes what is written, and writing does not wait for one.
    opener = os.open(gate, os.O_RDWR)
    try:
        async with World(tmp_path, {"web-01": LARGE}, driver=driver, options=options) as world:
            machine = await world.machine("web-01")
            guest = await machine.begin_fetch()
            await world.server.logged("waiting at the gate")
            await machine.line.vmotion()
            os.write(opener, b"!" * 100)
            check(await guest)
    finally:
        os.close(opener)


@in_loop
async def test_a_guest_that_asks_while_its_vm_stands_still_is_answered_at_the_destination(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, {"web-01": LARGE}) as world:
        machine = await world.machine("web-01")
        moves = asyncio.ensure_future(machine.line.vmotion())
        guest = await machine.begin_fetch()
        await moves
        check(await guest)


# A second guest


@in_loop
async def test_a_guest_whose_port_is_in_use_says_so_and_harms_neither_port_nor_seed(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": LARGE}) as world:
        machine = await world.machine("web-01")
        first = await held_in_the_middle(machine)
        second = await (await machine.begin_fetch(timeout=1))
        assert second.exit_code == 3
        assert "is in use by another program" in second.complaint
        assert second.seed == {}
        machine.line.release()
        check(await first)


@in_loop
async def test_two_guests_at_once_for_one_port_both_get_the_whole_seed(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": LARGE}) as world:
        machine = await world.machine("web-01")
        before = machine.tty_settings()
        one, other = await machine.begin_fetch(), await machine.begin_fetch()
        for fetched in await asyncio.gather(one, other):
            check(fetched)
        assert machine.tty_settings() == before
