"""VMs whose snapshot is at hand: what their answers cost, in tasks, threads, sums, encodings and copies."""

import asyncio
import gc
import logging
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.vspc.talk import Moody, Talk
from tests.server.vspc.test_session import SECRET
from tests.support.peer import Run
from tests.support.version2 import request
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.vspc.session import MAX_AT_ONCE
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer
from vmw_cloudinit_wire import Packet, encode, options

VERSION_1 = [Packet("REQUEST_METADATA"), Packet("REQUEST_NETWORKDATA"), Packet("REQUEST_USERDATA")]


def web(**parts: Any) -> InstanceData:
    return InstanceData({"metadata": {"instance-id": "i-1", "hostname": "web-01"}, **parts})


class Ready(Moody):
    """A driver that has the same snapshot at hand for all VMs."""

    def __init__(self, instance: InstanceData | None = None) -> None:
        super().__init__({})
        self.snapshot = Snapshot(instance or web(userdata="x" * 10_000))

    def snapshot_at_hand(self, vm_client: VMClient) -> Snapshot | None:
        return self.snapshot


class Counted:
    """Count the tasks that are made in this loop."""

    def __init__(self) -> None:
        self.tasks = 0
        asyncio.get_running_loop().set_task_factory(self._make)

    def _make(self, loop: asyncio.AbstractEventLoop, what: Any, **more: Any) -> "asyncio.Task[Any]":
        self.tasks += 1
        return asyncio.Task(what, loop=loop, **more)


def encodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the codes of the documents that are encoded from now on."""
    encoded: list[str] = []

    def count(packet: Packet) -> bytes:
        encoded.append(packet.code)
        return encode(packet)

    monkeypatch.setattr("vmw_cloudinit_metadata.vspc.snapshot.encode", count)
    return encoded


def of_its_own(size: int = 100_000) -> str:
    """Return user-data that no other test has."""
    return uuid.uuid4().hex * (size // 32)


def test_a_boot_is_answered_without_a_task_a_thread_or_a_turn_of_the_loop(run: Run) -> None:
    async def test() -> None:
        counted = Counted()
        talk = Talk(Ready())
        for packet in (*VERSION_1, *map(request, ("metadata", "networkdata", "userdata", "vendordata"))):
            talk.receive(packet)
            assert talk.line.sent
            talk.line.sent = b""
        assert (counted.tasks, talk.workers._threads, talk.driver.asked) == (0, [], [])

    run(test())


def test_a_document_is_encoded_once_for_all_vms_that_get_it_in_version_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = encodings(monkeypatch)

    async def test() -> None:
        driver = Ready(web(userdata=of_its_own()))
        talks = [Talk(driver, name=f"web-{number}") for number in range(50)]
        for talk in talks:
            talk.line.reads = False
            talk.receive(*VERSION_1)
        assert encoded.count("RESPONSE_USERDATA") == 1
        # Nor is it copied: each port holds the same bytes.
        assert len({id(talk.line.port._output[2]) for talk in talks if talk.line.port._output}) == 1

    run(test())


@pytest.mark.parametrize("at_hand", [True, False])
def test_documents_of_equal_content_are_encoded_once_whoever_made_them(
    run: Run, monkeypatch: pytest.MonkeyPatch, at_hand: bool
) -> None:
    encoded = encodings(monkeypatch)

    async def test() -> None:
        talks, userdata = [], of_its_own()
        for number in range(5):
            driver = Ready(web(userdata=userdata)) if at_hand else Moody({"userdata": userdata})
            talks.append(Talk(driver, name=f"web-{number}"))
            talks[-1].receive(Packet("REQUEST_USERDATA"))
            if task := talks[-1].session.task:
                await asyncio.wait([task])
            assert talks[-1].line.sent.startswith(b"!!RESPONSE_USERDATA#")
        assert encoded.count("RESPONSE_USERDATA") == 1

    run(test())


def test_a_sum_is_computed_once_a_request_and_none_in_version_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums: list[str] = []
    compute = options._request_sum

    def count(code: str, text: str) -> str:
        sums.append(code)
        return compute(code, text)

    monkeypatch.setattr(options, "_request_sum", count)
    asked = request("metadata")
    sums.clear()

    async def test() -> None:
        talk = Talk(Ready())
        talk.receive(*VERSION_1)
        assert sums == []
        talk.receive(asked)
        assert sums == ["REQUEST_METADATA"]

    run(test())


def test_a_session_that_has_ended_is_freed_without_the_garbage_collector(run: Run) -> None:
    async def test() -> None:
        talk = Talk(Ready())
        talk.receive(*VERSION_1, request("metadata"))
        kept = weakref.ref(talk.session), weakref.ref(talk.session.client)
        gc.collect()
        gc.disable()
        try:
            talk.session.close()
            del talk
            assert [reference() for reference in kept] == [None, None]
        finally:
            gc.enable()

    run(test())


def test_a_client_that_is_still_at_work_when_its_vm_has_gone_writes_nowhere(run: Run) -> None:
    async def test() -> None:
        talk = Talk(Ready())
        client = talk.session.client
        line = talk.line
        talk.session.close()
        client.writer.write(b"late")
        await client.writer.drain()
        assert await client.take_snapshot()
        client.note_served(Snapshot(web()))
        assert line.sent == b"late"

    run(test())


def test_many_packets_of_a_read_let_other_vms_have_their_turn(run: Run) -> None:
    async def test() -> None:
        talk = Talk(Ready())
        talk.receive(*(request("metadata", run=f"{number:08x}") for number in range(MAX_AT_ONCE + 2)))
        assert talk.line.sent.count(b"!!") == MAX_AT_ONCE
        assert len(await talk.answers()) == MAX_AT_ONCE + 2

    run(test())


def test_a_vm_that_does_not_read_waits_whatever_is_at_hand(run: Run) -> None:
    async def test() -> None:
        talk = Talk(Ready(web(userdata="x" * 1_000_000)))
        talk.line.reads = False
        talk.receive(Packet("REQUEST_USERDATA"), Packet("REQUEST_METADATA"))
        assert talk.line.port._output
        assert len(talk.line.port._output) == 1
        talk.line.reads = True
        talk.line.flush()
        talk.session.output_sent()
        assert talk.session.task
        await asyncio.wait([talk.session.task])
        assert b"!!RESPONSE_METADATA#" in talk.line.sent

    run(test())


def test_secrets_with_a_serving_window_are_waited_for_and_the_rest_is_at_hand(run: Run) -> None:
    async def test() -> None:
        limited = web()
        limited.serve = ServingWindow(runs=1)
        talk = Talk(Ready(limited))
        talk.receive(Packet("REQUEST_METADATA"))
        assert talk.session.task is None
        talk.receive(Packet("REQUEST_USERDATA"))
        assert talk.session.task
        await asyncio.wait([talk.session.task])
        assert b"RESPONSE_USERDATA" not in talk.line.sent  # nobody keeps windows here

    run(test())


def test_what_not_every_guest_sends_is_answered_by_the_client_itself(run: Run) -> None:
    async def test() -> None:
        talk = Talk(Ready())
        for packet in (Packet("X"), Packet("RESPONSE_METADATA"), request("metadata", limit="0")):
            talk.receive(packet)
            assert talk.session.task
            await asyncio.wait([talk.session.task])

    run(test())


def test_a_driver_that_fails_at_what_is_at_hand_is_asked_in_a_thread_and_named_once(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Ready):
        def snapshot_at_hand(self, vm_client: VMClient) -> Snapshot | None:
            raise ValueError(SECRET)

    async def test() -> None:
        talk = Talk(Failing())
        for number in range(2):
            assert (await talk.ask("metadata", run=f"0000000{number}")).status == "ok"
        assert talk.driver.asked == ["web-01"] * 2

    run(test())
    assert SECRET not in caplog.text
    assert len([line for line in caplog.messages if "the driver raised ValueError" in line]) >= 1


class Own(VMClient):
    """A client that answers nothing its own way."""

    def of_its_own(self) -> str:
        return self.vm_name


class OwnPackets(VMClient):
    async def process_packets(self, code: str, data: str) -> None:
        await super().process_packets(code, data)


class OwnReceive(VMClient):
    async def receive(self, packet: Packet) -> str:
        return await super().receive(packet)


class OwnMetadata(VMClient):
    async def write_metadata(self) -> None:
        await super().write_metadata()


def patched(vm_name: str, writer: Writer, driver: Any) -> VMClient:
    """Return a client whose method was replaced, on this object alone."""
    client = VMClient(vm_name, writer, driver)
    client.write_userdata = client.write_vendordata  # type: ignore[method-assign]
    return client


@pytest.mark.parametrize(
    ("make", "at_hand"),
    [(Own, True), (OwnPackets, False), (OwnReceive, False), (OwnMetadata, False), (patched, False)],
)
def test_a_client_with_answers_of_its_own_gives_them_itself(
    run: Run, make: Callable[..., VMClient], at_hand: bool
) -> None:
    class Driver(Ready):
        def new_client(self, vm_name: str, writer: Writer) -> VMClient:
            return make(vm_name, writer, self)

    async def test() -> None:
        talk = Talk(Driver())
        talk.receive(Packet("REQUEST_METADATA"))
        assert (talk.session.task is None) is at_hand
        if talk.session.task:
            await asyncio.wait([talk.session.task])
        assert talk.line.sent.startswith(b"!!RESPONSE_METADATA#")

    run(test())


def test_a_boot_at_hand_is_a_line_of_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        talk = Talk(Ready())
        talk.receive(*VERSION_1)

    caplog.set_level(logging.INFO)
    run(test())
    (line,) = caplog.messages
    assert "REQUEST_METADATA answered in 0.000 s, " in line
