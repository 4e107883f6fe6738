import asyncio
import enum
import logging
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.run import SNAPSHOT_SECONDS
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import (
    MAX_UNKNOWN_CODES,
    PacketCode,
    VMClient,
)
from vmw_cloudinit_wire import Packet, PacketError, decode

SECRET = "hunter2"
NETWORK = {"address": "192.0.2.10", "netmask": "255.255.255.0"}


class Serial:
    """A writer that remembers."""

    def __init__(self) -> None:
        self.sent = b""
        self.drained = 0

    def write(self, data: bytes) -> None:
        self.sent += data

    async def drain(self) -> None:
        self.drained += 1

    def packets(self) -> list[Packet]:
        assert not self.sent or self.sent.endswith(b"\r\n")
        return [decode(line) for line in self.sent.split(b"\r\n") if line]


class OneInstance(Driver):
    """A driver that returns what it was given, or raises it, and counts how often it was asked."""

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        return opts

    def get_instance(self, vm_client: VMClient) -> Any:
        self.asked = getattr(self, "asked", 0) + 1
        answer = self.options["answer"]
        if isinstance(answer, Exception):
            raise answer
        return answer


def web(**parts: Any) -> InstanceData:
    return InstanceData({"metadata": {"instance-id": "i-0042", "hostname": "web-01"}, **parts})


class Dialogue:
    """A client at work: what it is asked, what it answers, and a clock that tests set."""

    def __init__(self, answer: Any) -> None:
        self.driver = OneInstance({"answer": answer})
        self.driver.asked = 0
        self.serial = Serial()
        self.client = self.driver.new_client("web-01", self.serial)
        self.now = 1000.0
        self.client.clock = lambda: self.now

    def ask(self, *codes: str) -> list[Packet]:
        self.serial.sent = b""
        for code in codes:
            asyncio.run(self.client.process_packets(code, ""))
        return self.serial.packets()


@pytest.mark.parametrize(
    ("request_code", "response_code", "payload"),
    [
        (
            "REQUEST_METADATA",
            "RESPONSE_METADATA",
            b'{"instance-id": "i-0042", "hostname": "web-01", "local-hostname": "web-01"}',
        ),
        (
            "REQUEST_NETWORKDATA",
            "RESPONSE_NETWORKDATA",
            b'{"version": 1, "config": [{"type": "physical", "name": "eth0", "subnets": '
            b'[{"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.0"}]}]}',
        ),
        ("REQUEST_USERDATA", "RESPONSE_USERDATA", b"#!/bin/sh\nexit\n"),
    ],
)
def test_each_request_is_answered_with_its_document(
    request_code: str, response_code: str, payload: bytes
) -> None:
    dialogue = Dialogue(web(network=NETWORK, userdata="#!/bin/sh\nexit\n"))
    assert dialogue.ask(request_code) == [Packet(response_code, payload)]
    assert dialogue.serial.drained == 1


def test_an_instance_without_a_network_is_answered_with_nothing_in_the_packet() -> None:
    assert Dialogue(web()).ask("REQUEST_NETWORKDATA") == [Packet("RESPONSE_NETWORKDATA", b"")]


def test_a_packet_code_is_its_string() -> None:
    assert PacketCode("REQUEST_METADATA") is PacketCode.REQUEST_METADATA
    assert PacketCode.REQUEST_METADATA.value == "REQUEST_METADATA"
    assert PacketCode.REQUEST_METADATA == "REQUEST_METADATA"  # type: ignore[comparison-overlap,unused-ignore]
    assert Dialogue(web()).ask(PacketCode.REQUEST_USERDATA)[0].code == "RESPONSE_USERDATA"
    with pytest.raises(ValueError, match="REQUEST_SECURITYDATA"):
        PacketCode("REQUEST_SECURITYDATA")


def test_the_documents_of_one_boot_come_from_one_snapshot() -> None:
    dialogue = Dialogue(web(userdata="first"))
    dialogue.ask("REQUEST_METADATA")
    dialogue.driver.options["answer"] = web(userdata="second")
    dialogue.now += SNAPSHOT_SECONDS - 0.1
    assert dialogue.ask("REQUEST_USERDATA") == [Packet("RESPONSE_USERDATA", b"first")]
    assert dialogue.driver.asked == 1
    dialogue.now += 0.1
    assert dialogue.ask("REQUEST_USERDATA") == [Packet("RESPONSE_USERDATA", b"second")]
    assert dialogue.driver.asked == 2


def test_a_slow_driver_does_not_shorten_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    dialogue = Dialogue(web())

    async def slow() -> Snapshot:
        dialogue.now += 60
        dialogue.driver.asked += 1
        return Snapshot(web())

    monkeypatch.setattr(dialogue.client, "take_snapshot", slow)
    dialogue.ask("REQUEST_METADATA", "REQUEST_USERDATA", "REQUEST_NETWORKDATA")
    assert dialogue.driver.asked == 1


def test_the_snapshot_is_taken_before_the_driver_can_change_its_mind() -> None:
    instance = web(userdata="first")
    dialogue = Dialogue(instance)
    dialogue.ask("REQUEST_METADATA")
    instance.userdata = "changed in place"
    assert dialogue.ask("REQUEST_USERDATA") == [Packet("RESPONSE_USERDATA", b"first")]


def test_a_vm_without_an_instance_gets_silence_and_why_is_the_drivers_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dialogue = Dialogue(None)
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            assert dialogue.ask("REQUEST_METADATA", "REQUEST_USERDATA") == []
            dialogue.now += SNAPSHOT_SECONDS
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert caplog.messages.count("'web-01' not answered: the driver has no instance for this VM") == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"metadata": {}}, "'web-01' not answered: the driver returned a dict, not an InstanceData"),
        (InstanceData(), "'web-01' not answered: metadata: is missing"),
        (
            InstanceData({"metadata": {"hostname": "web-01"}}),
            "'web-01' not answered: metadata.instance-id: is missing, and the VM has not told a UUID"
            " to make it of",
        ),
        (
            InstanceData({"metadata": {"hostname": "web-01", "instance-id": "i", "x": {SECRET}}}),
            "'web-01' not answered: metadata: a value is none that JSON has: text, number, list, mapping",
        ),
        (DefinitionError("web-01.yaml:5: no"), "'web-01' not answered: web-01.yaml:5: no"),
    ],
)
def test_what_a_driver_gives_wrongly_is_an_error_that_names_the_vm_and_silence(
    answer: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    dialogue = Dialogue(answer)
    assert dialogue.ask("REQUEST_METADATA", "REQUEST_USERDATA") == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == said


def test_a_driver_that_raises_is_named_by_line_and_its_message_is_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dialogue = Dialogue(RuntimeError(f"login with {SECRET} failed"))
    assert dialogue.ask("REQUEST_METADATA") == []
    (record,) = caplog.records
    assert "not answered: the driver raised RuntimeError in " in record.getMessage()
    assert "test_vm_client.py:" in record.getMessage()
    assert record.exc_info is None
    assert SECRET not in caplog.text


def test_a_fault_is_said_again_after_it_was_gone(caplog: pytest.LogCaptureFixture) -> None:
    dialogue = Dialogue(None)
    with caplog.at_level(logging.INFO):
        for answer in (InstanceData(), web(), InstanceData()):
            dialogue.driver.options["answer"] = answer
            dialogue.ask("REQUEST_METADATA")
            dialogue.now += SNAPSHOT_SECONDS
    assert len(caplog.records) == 2


def test_an_unknown_code_is_logged_once_and_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    dialogue = Dialogue(web())
    assert dialogue.ask("REQUEST_SECURITYDATA", "REQUEST_SECURITYDATA", "LOGIN:") == []
    assert [record.getMessage() for record in caplog.records] == [
        "'web-01' sent the packet code 'REQUEST_SECURITYDATA', which nobody answers",
        "'web-01' sent the packet code 'LOGIN:', which nobody answers",
    ]
    assert dialogue.driver.asked == 0


def test_a_vm_that_makes_up_codes_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Dialogue(web()).ask(*(f"CODE{number}" for number in range(100)))
    assert len(caplog.records) == MAX_UNKNOWN_CODES


@pytest.mark.parametrize("code", ["RESPONSE_METADATA", "RESPONSE_SECURITYDATA"])
def test_a_response_is_never_answered(code: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Dialogue(web()).ask(code) == []
    assert not caplog.records


def test_write_takes_any_enumeration_or_string_and_text_or_bytes() -> None:
    class Codes(enum.Enum):
        RESPONSE_SECURITYDATA = "RESPONSE_SECURITYDATA"

    dialogue = Dialogue(web())

    async def write() -> None:
        await dialogue.client.write(Codes.RESPONSE_SECURITYDATA, "größe")
        await dialogue.client.write("RESPONSE_X", b"\x00\xff")
        await dialogue.client.write(PacketCode.RESPONSE_USERDATA, "")

    asyncio.run(write())
    assert dialogue.serial.packets() == [
        Packet("RESPONSE_SECURITYDATA", "größe".encode()),
        Packet("RESPONSE_X", b"\x00\xff"),
        Packet("RESPONSE_USERDATA", b""),
    ]
    assert dialogue.serial.drained == 3


def test_a_code_that_would_break_the_line_is_not_sent() -> None:
    dialogue = Dialogue(web())
    with pytest.raises(PacketError):
        asyncio.run(dialogue.client.write("A#B\n", "x"))
    assert dialogue.serial.sent == b""


def test_the_log_holds_the_dialogue_and_never_a_payload(caplog: pytest.LogCaptureFixture) -> None:
    dialogue = Dialogue(web(userdata=SECRET))
    with caplog.at_level(logging.DEBUG):
        dialogue.ask("REQUEST_USERDATA")
    assert [record.getMessage() for record in caplog.records if "vmw_cloudinit" in record.name] == [
        "'web-01' < REQUEST_USERDATA",
        "'web-01' > RESPONSE_USERDATA, 7 bytes",
    ]
    assert SECRET not in caplog.text


def test_a_name_cannot_break_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    dialogue = Dialogue(None)
    dialogue.client.vm_name = "web\n01\x1b[2J"
    dialogue.ask("LOGIN")
    assert "\\n" in caplog.records[0].getMessage()
    assert "\n" not in caplog.records[0].getMessage()
