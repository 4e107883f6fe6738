"""Sessions by themselves, with a carrier that remembers; how they move is in test_session_vmotion.py."""

import asyncio
import logging
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer import Instances, Run
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.log import ConnectionLog
from vmw_cloudinit_metadata.vspc.port import Port, VMIdentity
from vmw_cloudinit_metadata.vspc.session import MAX_WAITING_PACKETS, Session
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer
from vmw_cloudinit_metadata.vspc.workers import Workers
from vmw_cloudinit_wire import Packet

SECRET = "hunter2"
UUID = uuid.UUID("684c916c-5f6c-4c2f-aa50-dfd661a22e0d")


class Line:
    """A carrier that takes everything at once, unless it is told not to."""

    def __init__(self) -> None:
        self.logger = ConnectionLog(logging.getLogger("test"), "192.0.2.1:5000")
        self.port: Port
        self.sent = b""
        self.reads = True

    def flush(self) -> None:
        if self.reads:
            self.sent += self.port.take(self.port.unsent)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 5000)}.get(name, default)


class Echo(VMClient):
    """A client that writes back what it is asked, and waits or fails on demand."""

    async def process_packets(self, code: str, data: str) -> None:
        self.driver.options.setdefault("seen", []).append((code, data, self.vm_vc_uuid, self.vm_bios_uuid))
        if gate := self.driver.options.get("gate"):
            await gate.wait()
        if "FAIL" in (code, data):
            raise ValueError(SECRET)
        if code == "EXIT":
            raise SystemExit(SECRET)
        if code == "RUSH":
            self.writer.write(data.encode())  # and no drain(), as clients of 0.0.8 may do
        elif "SILENCE" not in (code, data):
            await self.write(code, data.encode(errors="surrogateescape"))


class EchoDriver(Instances):
    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return Echo(vm_name, writer, self)


class Talk:
    """A session under test, its line and its driver."""

    def __init__(self, max_unsent: int = 1000, **options: Any) -> None:
        self.driver = EchoDriver(options)
        self.line = Line()
        self.line.port = self.port = Port(1000)
        self.port.identity = VMIdentity("web-01", UUID, None)
        self.workers = Workers(1)
        self.session = Session(self.port, self.line, self.driver, self.workers, max_unsent)

    def receive(self, *packets: Packet) -> None:
        for packet in packets:
            self.session.receive(packet)
        self.session.answer()

    async def answered(self) -> bytes:
        """Wait until no packet is in line; return what was sent."""
        if self.session.task:
            await asyncio.wait([self.session.task])
        return self.line.sent

    def seen(self) -> list[str]:
        return [code for code, *_ in self.driver.options.get("seen", [])]


def test_packets_are_answered_one_by_one_in_their_order(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        talk.receive(Packet("A", b"1"), Packet("B", b"2"), Packet("C"))
        assert await talk.answered() == b"!!A#MQ==\r\n!!B#Mg==\r\n!!C#\r\n"
        talk.receive(Packet("D"))
        assert (await talk.answered()).endswith(b"!!D#\r\n")

    run(test())


def test_the_client_knows_the_uuids_before_its_first_packet(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        talk.receive(Packet("A"))
        await talk.answered()
        assert talk.driver.options["seen"] == [("A", "", UUID, None)]

    run(test())


def test_a_payload_that_is_no_text_comes_back_unharmed(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        talk.receive(Packet("A", b"\xff\x00\xc3\xbc"))
        assert await talk.answered() == b"!!A#/wDDvA==\r\n"

    run(test())


def test_a_packet_that_is_in_line_already_is_answered_once(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        talk.receive(*[Packet("A"), Packet("B"), Packet("A", b"other")] * 5)
        await talk.answered()
        assert talk.seen() == ["A", "B", "A"]

    run(test())


def test_a_packet_that_comes_again_while_it_is_answered_is_answered_again(run: Run) -> None:
    async def test() -> None:
        gate = asyncio.Event()
        talk = Talk(gate=gate)
        talk.receive(Packet("A"))
        while not talk.seen():
            await asyncio.sleep(0)
        talk.receive(Packet("A"), Packet("A"))
        gate.set()
        await talk.answered()
        assert talk.seen() == ["A", "A"]

    run(test())


def test_packets_beyond_the_line_are_dropped(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        talk = Talk(max_unsent=100_000)
        talk.receive(*(Packet("A", b"%d" % number) for number in range(MAX_WAITING_PACKETS + 1)))
        await talk.answered()
        assert [int(data) for _, data, *_ in talk.driver.options["seen"]] == list(range(MAX_WAITING_PACKETS))
        assert f"dropped <Packet A 2 bytes>: {MAX_WAITING_PACKETS} packets are in line" in caplog.text

    caplog.set_level(logging.DEBUG)
    run(test())


def test_a_client_that_raises_answers_the_next_packet_and_its_exception_stays_unsaid(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        talk = Talk()
        talk.receive(Packet("FAIL"), Packet("FAIL", b"again"), Packet("B"))
        assert await talk.answered() == b"!!B#\r\n"

    caplog.set_level(logging.DEBUG)
    run(test())
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1  # a VM may make it fail as often as it likes
    assert f"FAIL not answered: the driver's client raised ValueError in {__file__}:" in errors[0]
    assert SECRET not in caplog.text


def test_a_client_that_wants_to_exit_does_not_end_the_server(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        talk = Talk()
        talk.receive(Packet("EXIT"), Packet("B"))
        assert await talk.answered() == b"!!B#\r\n"

    run(test())
    assert "EXIT not answered: the driver's client raised SystemExit in" in caplog.text
    assert SECRET not in caplog.text


def test_a_boot_is_one_line_of_the_log_however_often_the_guest_asks(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        talk = Talk()
        for number in range(5):
            talk.receive(Packet("REQUEST_METADATA", b"%d" % number), Packet("REQUEST_USERDATA"))
        talk.receive(Packet("SILENCE"))
        await talk.answered()

    caplog.set_level(logging.DEBUG)
    run(test())
    lines = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert len(lines) == 1
    assert "REQUEST_METADATA answered in 0.0" in lines[0]
    assert lines[0].endswith(" s, 25 bytes")
    assert "192.0.2.1:5000: SILENCE not answered" in caplog.messages


def test_a_boot_that_ends_otherwise_than_those_before_is_logged_at_once(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        talk = Talk()
        for data in (b"FAIL", b"FAIL", b"SILENCE", b"SILENCE", b"served", b"served", b"SILENCE", b"FAIL"):
            talk.receive(Packet("REQUEST_METADATA", data))
            await talk.answered()

    caplog.set_level(logging.INFO)
    run(test())
    outcomes = [re.sub(r"^.*METADATA | in .*", "", message) for message in caplog.messages]
    failed = "not answered: the driver's client raised ValueError"
    assert outcomes == [failed, "not answered", "answered"]


@pytest.mark.parametrize("definition", ["metadata: {}", None], ids=["with faults", "missing"])
def test_a_vm_that_is_not_served_is_one_line_of_the_driver_and_one_of_the_session(
    run: Run, caplog: pytest.LogCaptureFixture, tmp_path: Path, definition: str | None
) -> None:
    if definition:
        (tmp_path / "web-01.yaml").write_text(definition)

    async def test() -> None:
        talk = Talk()
        talk.session = Session(
            talk.port, talk.line, FileDriver({"directory": str(tmp_path)}), talk.workers, 1000
        )
        for code in ("REQUEST_METADATA", "REQUEST_NETWORKDATA", "REQUEST_USERDATA", "REQUEST_METADATA"):
            talk.receive(Packet(code))
            await talk.answered()

    caplog.set_level(logging.INFO)
    run(test())
    of_the_driver, of_the_session = caplog.records
    assert (of_the_driver.levelname, of_the_driver.name.rpartition(".")[2]) == ("ERROR", "FileDriver")
    assert "'web-01'" in of_the_driver.getMessage()
    assert (of_the_session.levelname, of_the_session.name) == ("INFO", "test")
    assert of_the_session.getMessage().endswith(": REQUEST_METADATA not answered")


def test_a_vm_that_does_not_read_gets_one_answer_beyond_the_limit(run: Run) -> None:
    async def test() -> None:
        talk = Talk(max_unsent=20)
        talk.line.reads = False
        talk.receive(Packet("A", b"x" * 30), Packet("B"), Packet("C"))
        while not talk.port.unsent:
            await asyncio.sleep(0)
        talk.port.take(talk.port.unsent - 21)
        talk.session.output_sent()
        for _ in range(10):
            await asyncio.sleep(0)
        assert (talk.seen(), talk.port.unsent) == (["A"], 21)
        talk.line.reads = True
        talk.line.flush()
        talk.session.output_sent()
        await talk.answered()
        assert talk.seen() == ["A", "B", "C"]

    run(test())


def test_a_client_that_does_not_wait_for_room_gets_no_further_packet_all_the_same(run: Run) -> None:
    async def test() -> None:
        talk = Talk(max_unsent=20)
        talk.line.reads = False
        talk.receive(Packet("RUSH", b"x" * 21), Packet("B"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert (talk.seen(), talk.port.unsent) == (["RUSH"], 21)
        talk.line.reads = True
        talk.line.flush()
        talk.session.output_sent()
        await talk.answered()
        assert talk.seen() == ["RUSH", "B"]

    run(test())


def test_room_that_is_gone_again_is_waited_for_again(run: Run) -> None:
    async def test() -> None:
        talk = Talk(max_unsent=10)
        talk.line.reads = False
        talk.session.send(b"x" * 20)
        waiting = asyncio.create_task(talk.session.room())
        await asyncio.sleep(0)
        talk.port.take(15)
        talk.session.output_sent()
        talk.session.send(b"x" * 20)
        await asyncio.wait([waiting], timeout=0)
        await asyncio.sleep(0)
        assert not waiting.done()
        talk.port.take(20)
        talk.session.output_sent()
        await waiting

    run(test())


def test_a_vm_that_has_gone_is_not_answered(run: Run) -> None:
    async def test() -> None:
        talk = Talk(gate=asyncio.Event())
        talk.receive(Packet("A"), Packet("B"))
        while not talk.seen():
            await asyncio.sleep(0)
        task = talk.session.task
        talk.session.close()
        assert task is not None
        await asyncio.wait([task])
        assert task.cancelled()
        assert talk.session.task is None
        assert (talk.seen(), talk.line.sent) == (["A"], b"")

    run(test())


def test_the_writer_is_what_a_stream_writer_was(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        writer = talk.session.client.writer
        writer.write(b"hello")
        await writer.drain()
        assert talk.line.sent == b"hello"
        assert writer.get_extra_info("peername") == ("192.0.2.1", 5000)  # type: ignore[attr-defined]
        assert writer.get_extra_info("cipher", "none") == "none"  # type: ignore[attr-defined]

    run(test())


def test_a_vm_that_is_not_known_has_no_session() -> None:
    with pytest.raises(ValueError, match="identified"):
        Session(Port(100), Line(), EchoDriver({}), Workers(1), 100)
