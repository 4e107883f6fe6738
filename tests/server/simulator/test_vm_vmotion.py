"""SimulatedVM: its migrations, and what keeps them from being completed."""

import asyncio

import pytest

from tests.server.simulator.connected import connected, read_exactly, watch_pauses
from tests.server.simulator.scripted_vspc import (
    ABORT,
    BEGIN,
    COMPLETE,
    GET_VM_NAME,
    GOAHEAD,
    KNOWN_SUBOPTIONS_2,
    NOTNOW,
    PEER,
    PEER_OK,
    WILL_COM_PORT,
    listening,
    suboption,
)
from tests.support.loop import in_loop
from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator import SimulatedVM, vm


@pytest.mark.parametrize("source_closes_first", [True, False])
def test_a_vmotion_in_the_order_of_the_wire(source_closes_first: bool) -> None:
    @in_loop
    async def test() -> None:
        async with listening() as server, connected(server) as (web_01, source):
            moving = asyncio.create_task(web_01.vmotion(source_closes_first=source_closes_first))
            await source.expect(BEGIN)
            writing = asyncio.create_task(web_01.write(b"from the new host"))
            await source.send(b"on its way, " + GOAHEAD)
            destination = await server.caller()
            await destination.open(PEER)
            await destination.send(KNOWN_SUBOPTIONS_2 + PEER_OK)
            await destination.expect(WILL_COM_PORT)
            if source_closes_first:
                await source.expect_end()
                await destination.expect(COMPLETE)
            else:
                await destination.expect(COMPLETE)
                await source.expect_end()
            await destination.expect(b"from the new host")
            await destination.send(b"held back")
            await moving
            await writing
            assert await read_exactly(web_01, 21) == b"on its way, held back"
            assert not web_01.violations

    test()


@in_loop
async def test_before_peer_ok_the_source_is_open() -> None:
    async with listening() as server, connected(server) as (web_01, source):
        moving = asyncio.create_task(web_01.vmotion())
        await source.expect(BEGIN)
        await source.send(GOAHEAD)
        destination = await server.caller()
        await destination.open(PEER)
        await source.send(GET_VM_NAME)
        await source.expect(suboption(b"\x52web-01"))
        await destination.send(PEER_OK)
        await source.expect_end()
        await moving


@in_loop
async def test_each_vmotion_has_a_sequence_of_its_own() -> None:
    async with listening() as server, connected(server) as (web_01, source):
        for number in (1, 2):
            moving = asyncio.create_task(web_01.vmotion())
            sequence = b"\xff\x00\x00" + bytes([number])
            await source.expect(suboption(b"\x28" + sequence))
            await source.send(suboption(b"\x29" + sequence + b"secretly"))
            destination = await server.caller()
            await destination.open(suboption(b"\x2c" + sequence + b"secretly"))
            await destination.send(suboption(b"\x2d" + sequence))
            await destination.expect(WILL_COM_PORT + suboption(b"\x2e" + sequence))
            await moving
            source = destination


@in_loop
async def test_the_vm_connects_again_after_a_vmotion() -> None:
    async with listening() as server, connected(server) as (web_01, source):
        moving = asyncio.create_task(web_01.vmotion())
        await source.expect(BEGIN)
        await source.send(GOAHEAD)
        destination = await server.caller()
        await destination.open(PEER)
        await destination.send(PEER_OK)
        await moving
        destination.abort()
        again = await server.caller()
        await again.serve()
        await web_01.write(b"hello")
        await again.expect(b"hello")


@in_loop
async def test_notnow_leaves_the_vm_where_it_is() -> None:
    async with listening() as server, connected(server) as (web_01, source):
        moving = asyncio.create_task(web_01.vmotion())
        await source.expect(BEGIN)
        await source.send(NOTNOW)
        with pytest.raises(SimulatorError, match="web-01: the server answers VMOTION-NOTNOW"):
            await moving
        await web_01.write(b"still here")
        await source.expect(b"still here")


@in_loop
async def test_an_unanswered_begin_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "VMOTION_SECONDS", 0.01)
    async with listening() as server, connected(server) as (web_01, source):
        with pytest.raises(SimulatorError, match="web-01: the server does not answer VMOTION-BEGIN"):
            await web_01.vmotion()
        await web_01.write(b"still here")
        await source.expect(BEGIN + ABORT + b"still here")


@pytest.mark.parametrize("answer", ["silence", "close"])
def test_a_peer_that_is_not_accepted_aborts_the_vmotion(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @in_loop
    async def test() -> None:
        async with listening() as server, connected(server) as (web_01, source):
            moving = asyncio.create_task(web_01.vmotion())
            await source.expect(BEGIN)
            if answer == "silence":
                monkeypatch.setattr(vm, "VMOTION_SECONDS", 0.05)
            await source.send(GOAHEAD)
            if answer == "close":
                await (await server.caller()).close()
            with pytest.raises(SimulatorError, match=r"PEER-OK|has closed the connection"):
                await moving
            await web_01.write(b"still here")
            await source.expect(ABORT + b"still here")

    test()


@in_loop
async def test_a_source_that_is_lost_before_goahead_connects_again() -> None:
    async with listening() as server, connected(server) as (web_01, source):
        moving = asyncio.create_task(web_01.vmotion())
        await source.expect(BEGIN)
        source.abort()
        with pytest.raises(SimulatorError, match="has closed the connection"):
            await moving
        again = await server.caller()
        await again.serve()
        await web_01.write(b"hello")
        await again.expect(b"hello")


@pytest.mark.parametrize("after_peer", [False, True])
def test_an_aborted_vmotion_leaves_the_vm_where_it_is(after_peer: bool) -> None:
    @in_loop
    async def test() -> None:
        async with listening() as server, connected(server) as (web_01, source):
            aborting = asyncio.create_task(web_01.abort_vmotion(after_peer=after_peer))
            await source.expect(BEGIN)
            await source.send(GOAHEAD)
            if after_peer:
                destination = await server.caller()
                await destination.open(PEER)
                await destination.send(PEER_OK)
                await destination.expect(WILL_COM_PORT)
                await destination.expect_end()
            await source.expect(ABORT)
            await source.send(b"held back")
            await aborting
            assert await read_exactly(web_01, 9) == b"held back"
            await web_01.write(b"still here")
            await source.expect(b"still here")
            assert not web_01.violations

    test()


@in_loop
async def test_a_vm_that_is_not_connected_does_not_migrate() -> None:
    with pytest.raises(SimulatorError, match="web-01 is not connected"):
        await SimulatedVM("web-01", "my-metadata").vmotion()


@in_loop
async def test_a_guest_that_does_not_read_does_not_hold_up_a_vmotion(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = watch_pauses(monkeypatch)
    data = bytes(range(255)) * 8192
    async with listening() as server, connected(server, binary=True) as (web_01, source):
        sending = asyncio.create_task(source.send(data))
        await paused.wait()
        moving = asyncio.create_task(web_01.vmotion())
        await source.expect(BEGIN)
        await sending
        await source.send(GOAHEAD)
        destination = await server.caller()
        await destination.open(PEER)
        await destination.send(PEER_OK)
        await destination.expect(WILL_COM_PORT + COMPLETE)
        await moving
        await destination.send(b"end")
        assert await read_exactly(web_01, len(data) + 3) == data + b"end"
