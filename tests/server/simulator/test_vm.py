import asyncio
import contextlib
import re
import resource
import ssl

import pytest

from tests.server.simulator.connected import PLENTY, connected, read_exactly, watch_pauses
from tests.server.simulator.scripted_vspc import (
    DO_PROXY,
    GET_VM_NAME,
    WILL_PROXY,
    WONT_PROXY,
    ScriptedVSPC,
    listening,
    suboption,
)
from tests.support.loop import in_loop
from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator import RefusedError, SimulatedVM, vm
from vmw_cloudinit_metadata.simulator.vm import MAX_UNREAD
from vmw_cloudinit_metadata.vspc.vmware_ext import Command


@in_loop
async def test_the_port_is_a_stream() -> None:
    async with listening() as server, connected(server) as (web_01, caller):
        await web_01.write(b"!!REQUEST_\xff\n")
        await caller.expect(b"!!REQUEST_\xff\xff\n")
        await caller.send(b"!!RESPONSE_\xff\xff\n")
        assert await read_exactly(web_01, 13) == b"!!RESPONSE_\xff\n"
        assert not web_01.violations


@in_loop
async def test_closing_ends_the_connection_and_the_stream() -> None:
    async with listening() as server, connected(server) as (web_01, caller):
        reading = asyncio.create_task(web_01.read())
        await web_01.write(b"last words")
        await web_01.close()
        await caller.expect(b"last words")
        await caller.expect_end()
        assert await reading == b""
        with pytest.raises(SimulatorError, match="web-01 is closed"):
            await web_01.write(b"x")
        await web_01.wait_ended()


@in_loop
async def test_a_withheld_answer_is_given_when_the_test_wants_it() -> None:
    withheld = {Command.GET_VM_NAME: None}
    async with listening() as server, connected(server, answers=withheld) as (web_01, caller):
        await caller.send(GET_VM_NAME)
        await web_01.write(b"before")
        await caller.expect(b"before")
        web_01.answer(Command.GET_VM_NAME)
        await caller.expect(suboption(b"\x52web-01"))


@in_loop
async def test_a_refusal_is_one_sentence() -> None:
    async with listening() as server:
        starting = asyncio.create_task(SimulatedVM("web-01", "my-metadata", port=server.port).start(wait=60))
        caller = await server.caller()
        await caller.open(DO_PROXY)
        await caller.send(WONT_PROXY)
        with pytest.raises(RefusedError) as refusal:
            await starting
        where = f"127.0.0.1:{server.port}"
        assert (
            str(refusal.value)
            == f"web-01: {where} does not serve the service URI 'my-metadata', or not without its token"
        )


@in_loop
async def test_no_server_is_one_sentence() -> None:
    async with listening() as server:
        port = server.port
    with pytest.raises(SimulatorError) as failure:
        await SimulatedVM("web-01", "my-metadata", port=port).start()
    assert str(failure.value) == f"web-01: cannot connect to 127.0.0.1:{port}: Connection refused"


@in_loop
async def test_a_name_that_is_none_is_one_sentence() -> None:
    with pytest.raises(SimulatorError, match=r"web-01: cannot connect to no\.such\.invalid:13370: "):
        await SimulatedVM("web-01", "my-metadata", "no.such.invalid").start()


@in_loop
async def test_a_server_that_closes_at_once_is_one_sentence() -> None:
    async with listening() as server:
        starting = asyncio.create_task(SimulatedVM("web-01", "my-metadata", port=server.port).start())
        await (await server.caller()).close()
        with pytest.raises(SimulatorError, match="the server has closed the connection"):
            await starting


@in_loop
async def test_a_server_that_says_nothing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "CONNECT_SECONDS", 0.01)
    async with listening() as server:
        with pytest.raises(SimulatorError, match=r"no WILL-PROXY from .* in time: is it a vSPC"):
            await SimulatedVM("web-01", "my-metadata", port=server.port).start()


@in_loop
async def test_a_server_without_tls_is_one_sentence() -> None:
    async with listening() as server:
        web_01 = SimulatedVM("web-01", "my-metadata", port=server.port, tls=ssl.create_default_context())
        starting = asyncio.create_task(web_01.start())
        await (await server.caller()).send(b"\xff\xfb\x00 this is telnet, not TLS")
        with pytest.raises(SimulatorError) as raised:
            await starting
        assert str(raised.value) == f"web-01: 127.0.0.1:{server.port} does not speak TLS"


@in_loop
async def test_a_handshake_that_fails_otherwise_is_one_sentence() -> None:
    async with listening() as server:
        web_01 = SimulatedVM("web-01", "my-metadata", port=server.port, tls=ssl.create_default_context())
        starting = asyncio.create_task(web_01.start())
        await (await server.caller()).send(b"\x15\x03\x03\x00\x02\x02\x28")  # a fatal alert
        with pytest.raises(SimulatorError) as raised:
            await starting
        where = f"127.0.0.1:{server.port}"
        assert re.fullmatch(rf"web-01: the TLS handshake with {where} failed: [a-z0-9 /]+", str(raised.value))


@in_loop
async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    async with listening() as server:
        port = server.port
    delays: list[float] = []
    async with contextlib.AsyncExitStack() as servers:

        async def sleep(seconds: float) -> None:
            delays.append(seconds)
            if len(delays) == 3:
                started.set_result(await servers.enter_async_context(listening(port)))

        started: asyncio.Future[ScriptedVSPC] = asyncio.get_running_loop().create_future()
        web_01 = SimulatedVM("web-01", "my-metadata", port=port, sleep=sleep)
        starting = asyncio.create_task(web_01.start(wait=3600))
        await (await (await started).caller()).serve()
        await starting
        await web_01.close()
    assert delays == [0.25, 0.5, 1.0]


@in_loop
async def test_the_vm_connects_again_when_the_server_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as server, connected(server) as (web_01, caller):
        await caller.close()
        again = await server.caller()
        writing = asyncio.create_task(web_01.write(b"not lost"))
        await again.serve()
        await writing
        await again.expect(b"not lost")
        assert "web-01: the server has closed the connection; connecting again" in caplog.messages


@in_loop
async def test_no_server_is_called_in_a_tight_loop() -> None:
    calls: asyncio.Queue[float] = asyncio.Queue()
    go_on = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        calls.put_nowait(seconds)
        await go_on.acquire()

    async with listening() as server, connected(server, sleep=sleep) as (_, caller):
        for _ in range(2):
            caller.abort()
            assert await calls.get() == 0.25
            go_on.release()
            caller = await server.caller()
            await caller.serve()
        caller.abort()
        delays = []
        for _ in range(8):
            delays.append(await calls.get())
            go_on.release()
            (await server.caller()).abort()
        assert delays == [0.25, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


@in_loop
async def test_a_refusal_when_connecting_again_ends_the_vm() -> None:
    async with listening() as server, connected(server) as (web_01, caller):
        reading = asyncio.create_task(web_01.read())
        await caller.close()
        again = await server.caller()
        await again.open(DO_PROXY)
        await again.send(WONT_PROXY)
        with pytest.raises(RefusedError):
            await web_01.wait_ended()
        with pytest.raises(RefusedError):
            await reading
        with pytest.raises(RefusedError):
            await web_01.write(b"x")


@in_loop
async def test_what_the_guest_does_not_read_the_server_has_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = watch_pauses(monkeypatch)
    async with listening() as server, connected(server, binary=True) as (web_01, caller):
        sending = asyncio.create_task(caller.send(bytes(PLENTY)))
        await paused.wait()
        received = len(await web_01.read(PLENTY))
        assert MAX_UNREAD < received < MAX_UNREAD + 1024 * 1024
        assert not sending.done()
        while received < PLENTY:
            received += len(await web_01.read())
        assert received == PLENTY
        await sending


@in_loop
async def test_a_server_that_does_not_read_stops_the_guest() -> None:
    async with listening() as server, connected(server, binary=True) as (web_01, caller):

        async def write_plenty() -> None:
            for _ in range(PLENTY // MAX_UNREAD):
                await web_01.write(bytes(MAX_UNREAD))

        writing = asyncio.create_task(write_plenty())
        await caller.expect(bytes(1))
        assert not writing.done()
        await caller.expect(bytes(PLENTY - 1))
        await writing


@in_loop
async def test_a_thousand_vms_live_in_one_process() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with listening() as server:

        async def serve() -> None:
            caller = await server.caller()
            await caller.open(DO_PROXY)
            await caller.send(GET_VM_NAME + WILL_PROXY)

        vms = [SimulatedVM(f"vm-{n}", "my-metadata", port=server.port) for n in range(1000)]
        for first in range(0, 1000, 50):
            few = vms[first : first + 50]
            await asyncio.gather(*(one.start() for one in few), *(serve() for _ in few))
        await asyncio.gather(*(one.write(b"hello") for one in vms))
        await asyncio.gather(*(one.close() for one in vms))
