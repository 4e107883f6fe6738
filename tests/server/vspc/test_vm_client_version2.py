"""A client's answers to packets of version 2, and what clients of drivers' own make of them."""

import asyncio
import base64
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.vspc.test_vm_client import SECRET, Dialogue, web
from tests.support.version2 import RUN, Answered, id_of, read, read_line, report, request
from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.snapshot import Document
from vmw_cloudinit_metadata.vspc.vm_client import BROKEN, PacketCode, VMClient
from vmw_cloudinit_wire import Packet, decode, options

REPORT = b'{"stage": "seed", "boot-id": "0a0a"}'

# A busy machine is no fault of what is tested.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Guest(Dialogue):
    """A guest of version 2 in a dialogue with a client."""

    def __init__(self, answer: Any, client: type[VMClient] = VMClient) -> None:
        super().__init__(answer)
        self.client = client("web-01", self.serial, self.driver)
        self.client.clock = lambda: self.now
        self.reports: list[Report] = []

    def sends(self, packet: Packet) -> str:
        """Send one packet; return the word that the client says of it."""
        self.serial.sent = b""
        return asyncio.run(self.client.receive(packet))

    def asks(self, document: str, **more: Any) -> Answered:
        """Send a request; return its answer, a line by itself."""
        asked = request(document, **more)
        word = self.sends(asked)
        start, line, end = self.serial.sent.partition(self.serial.sent.strip(b"\r\n"))
        assert (start, end) == (b"\r\n", b"\r\n")
        answered = read_line(line)
        assert (answered.options["id"], answered.status) == (id_of(asked), word)
        return answered

    def reports_of_itself(self, payload: bytes = REPORT) -> Answered:
        packet = report(payload)
        self.sends(packet)
        answered = read_line(self.serial.sent)
        assert (answered.code, answered.options["id"]) == ("RESPONSE_REPORT", id_of(packet))
        return answered

    def listens(self) -> "Guest":
        async def keep(instance: InstanceData, report: Report) -> None:
            assert instance.metadata is not None
            assert instance.metadata.hostname == "web-01"
            self.reports.append(report)

        self.client.take_report = keep  # type: ignore[method-assign]
        return self


# Requests


def test_a_boot_is_answered_document_by_document_from_one_snapshot() -> None:
    guest = Guest(web(userdata="first" * 2000, vendordata="#cloud-config\n{}"))
    metadata = guest.asks("metadata", accept="gzip")
    etags = dict(each.split(":") for each in metadata.options["docs"].split(","))
    assert etags["networkdata"] == "-"
    guest.driver.options["answer"] = web(userdata="second")
    userdata = b""
    while len(userdata) < 10_000:
        piece = guest.asks(
            "userdata", accept="gzip", offset=len(userdata), limit=4096, etag=etags["userdata"]
        )
        userdata += piece.payload
    assert userdata == b"first" * 2000
    assert Document.of(userdata).etag == etags["userdata"]
    assert guest.asks("vendordata", etag=etags["vendordata"]).payload == b"#cloud-config\n{}"
    assert guest.asks("networkdata").status == "not-found"
    assert guest.driver.asked == 1


def test_a_reboot_with_nothing_new_is_one_question_and_one_answer() -> None:
    guest = Guest(web())
    have = guest.asks("metadata").options
    answer = guest.asks("metadata", run="00000002", have=have["etag"])
    assert (answer.status, answer.payload) == ("unchanged", b"")
    assert (answer.options["etag"], answer.options["docs"]) == (have["etag"], have["docs"])


@pytest.mark.parametrize("document", ["metadata", "networkdata", "userdata", "vendordata"])
def test_each_code_has_its_answer(document: str) -> None:
    network = {"address": "192.0.2.10", "netmask": "255.255.255.0"}
    answer = Guest(web(network=network, vendordata="x")).asks(document)
    assert (answer.code, answer.status) == (f"RESPONSE_{document.upper()}", "ok")


def test_a_vm_without_an_instance_is_told_so() -> None:
    assert Guest(None).asks("metadata").status == "not-found"


def test_a_value_that_is_wrong_is_invalid_and_why_is_said() -> None:
    guest = Guest(web())
    answer = guest.asks("userdata", offset="many")
    assert (answer.status, answer.payload) == ("invalid", b"offset= or limit= is not a number of bytes")
    assert guest.driver.asked == 0


def test_a_code_that_nobody_answers_is_unsupported(caplog: pytest.LogCaptureFixture) -> None:
    guest = Guest(web())
    answer = guest.asks("securitydata")
    assert (answer.code, answer.status) == ("RESPONSE_SECURITYDATA", "unsupported")
    assert answer.payload == b"this server does not answer REQUEST_SECURITYDATA"
    assert caplog.messages == ["'web-01' sent the packet code 'REQUEST_SECURITYDATA', which nobody answers"]
    assert guest.driver.asked == 0


def test_a_broken_request_is_not_answered_and_not_taken_for_version_1(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guest = Guest(web())
    whole = request("userdata")
    with caplog.at_level(logging.DEBUG):
        assert guest.sends(whole._replace(payload=whole.payload[:-1])) == BROKEN
    assert guest.serial.sent == b""
    assert "'web-01' not answered: REQUEST_USERDATA arrived broken" in caplog.messages


@pytest.mark.parametrize("code", ["REUEST_USERDATA", "REQUEST_USSERDATA"])
def test_a_code_that_arrived_broken_is_noise_and_no_news_to_an_operator(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    guest = Guest(web())
    guest.sends(request("userdata")._replace(code=code))
    assert guest.serial.sent == b""
    assert caplog.messages == []


@pytest.mark.parametrize("payload", [b"", b"hello"])
def test_version_1_is_answered_byte_for_byte_as_before(payload: bytes) -> None:
    guest = Guest(web(userdata="x"))
    guest.asks("userdata")
    assert guest.sends(Packet("REQUEST_USERDATA", payload)) == ""
    assert guest.serial.sent == b"!!RESPONSE_USERDATA#eA==\r\n"


def test_vendor_data_in_version_1_is_empty_where_there_is_none() -> None:
    guest = Guest(web(vendordata="x"))
    guest.sends(Packet("REQUEST_VENDORDATA"))
    assert guest.serial.sent == b"!!RESPONSE_VENDORDATA#eA==\r\n"
    guest = Guest(web())
    guest.sends(Packet("REQUEST_VENDORDATA"))
    assert guest.serial.sent == b"!!RESPONSE_VENDORDATA#\r\n"


def test_an_echo_is_never_answered() -> None:
    guest = Guest(web())
    for packet in (
        options.answer("RESPONSE_METADATA", b"{}", [("v", "2"), ("id", "0a0a0a0a"), ("status", "ok")]),
        options.request("RESPONSE_METADATA", [("v", "2"), ("run", RUN), ("id", "0a0a0a0a")]),
    ):
        assert guest.sends(packet) == ""
        assert guest.serial.sent == b""


def test_the_log_holds_the_dialogue_with_its_words_and_never_a_payload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guest = Guest(web(userdata=SECRET))
    with caplog.at_level(logging.DEBUG):
        guest.asks("userdata")
        guest.asks("networkdata")
    assert [record.getMessage() for record in caplog.records if "vmw_cloudinit" in record.name] == [
        "'web-01' < REQUEST_USERDATA",
        "'web-01' > RESPONSE_USERDATA ok, 7 bytes",
        "'web-01' < REQUEST_NETWORKDATA",
        "'web-01' > RESPONSE_NETWORKDATA not-found, 26 bytes",
    ]
    assert SECRET not in caplog.text


# For how long secrets are served


def test_a_definition_that_limits_its_serving_is_denied_where_nobody_counts() -> None:
    guest = Guest(web(userdata=SECRET, serve={"runs": 1}))
    answer = guest.asks("userdata")
    assert answer.status == "denied"
    assert answer.payload == b"this server does not keep what 'serve' in this VM's definition asks for"
    assert guest.asks("metadata").status == "ok"
    assert guest.ask("REQUEST_USERDATA", "REQUEST_VENDORDATA") == []
    assert guest.ask("REQUEST_METADATA") != []


# Clients of drivers' own


class Security(VMClient):
    """Adds a code, as clients of 0.0.8 do."""

    async def process_packets(self, code: str, data: str) -> None:
        if code == "REQUEST_SECURITYDATA":
            await self.write("RESPONSE_SECURITYDATA", data)
        else:
            await super().process_packets(code, data)


def test_a_client_that_adds_a_code_speaks_version_2_for_the_others() -> None:
    guest = Guest(web(), Security)
    assert guest.asks("metadata").status == "ok"
    assert guest.asks("nonsense").status == "unsupported"
    assert guest.sends(Packet("REQUEST_SECURITYDATA", b"x")) == ""
    assert guest.serial.sent == b"!!RESPONSE_SECURITYDATA#eA==\r\n"


def test_a_client_gets_the_payload_of_its_own_code_whatever_is_in_it() -> None:
    guest = Guest(web(), Security)
    asked = request("securitydata")
    for packet in (asked, asked._replace(payload=asked.payload[:-1])):
        guest.sends(packet)
        assert guest.serial.packets() == [Packet("RESPONSE_SECURITYDATA", packet.payload)]


class Loud(VMClient):
    async def write_userdata(self) -> None:
        await self.write("RESPONSE_USERDATA", "#cloud-config\n# loud\n")


class Counting(VMClient):
    async def write(self, code: Any, text: Any) -> None:
        self.logger.info("one more")
        await super().write(code, text)


@pytest.mark.parametrize("client", [Loud, Counting])
def test_a_client_that_writes_documents_its_own_way_is_one_of_version_1(client: type[VMClient]) -> None:
    guest = Guest(web(), client)
    assert guest.sends(request("metadata")) == ""
    assert [packet.options for packet in guest.serial.packets()] == [""]
    assert guest.sends(request("metadata", run="")) == ""
    guest.sends(request("userdata"))
    assert [packet.code for packet in guest.serial.packets()] == ["RESPONSE_USERDATA"]
    assert guest.sends(request("nonsense")) == ""
    assert guest.serial.sent == b""


class Greeting(VMClient):
    """Answers for a document in ``process_packets``, as clients of 0.0.8 may."""

    async def process_packets(self, code: str, data: str) -> None:
        if code == "REQUEST_USERDATA":
            await self.write("RESPONSE_USERDATA", "#!/bin/sh\necho hello\n")
        else:
            await super().process_packets(code, data)


def test_a_client_that_answers_for_a_document_itself_takes_its_guest_back_to_version_1(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guest = Guest(web(), Greeting)
    assert guest.asks("metadata").status == "ok"
    with caplog.at_level(logging.INFO):
        assert guest.sends(request("userdata")) == "changed"
    own, changed = guest.serial.packets()
    assert own == Packet("RESPONSE_USERDATA", b"#!/bin/sh\necho hello\n")
    assert read(changed).status == "changed"
    assert caplog.messages == ["'web-01' is answered in version 1: its client has its own REQUEST_USERDATA"]
    assert guest.sends(request("userdata")) == "changed"  # it has asked again before it was told
    for document in ("metadata", "userdata", "networkdata"):
        assert guest.sends(request(document, run="00000002")) == ""
        (packet,) = guest.serial.packets()
        assert (packet.code, packet.options) == (f"RESPONSE_{document.upper()}", "")


def test_one_that_answers_metadata_itself_is_of_version_1_from_the_beginning() -> None:
    class OwnMetadata(VMClient):
        async def process_packets(self, code: str, data: str) -> None:
            if code == "REQUEST_METADATA":
                await self.write("RESPONSE_METADATA", '{"instance-id": "i-7"}')
            else:
                await super().process_packets(code, data)

    guest = Guest(web(), OwnMetadata)
    for document in ("metadata", "userdata", "metadata"):
        assert guest.sends(request(document)) == ""
        (packet,) = guest.serial.packets()
        assert (packet.code, packet.options) == (f"RESPONSE_{document.upper()}", "")


def test_a_broken_request_that_such_a_client_answers_takes_nobody_back() -> None:
    guest = Guest(web(), Greeting)
    guest.sends(Packet("REQUEST_USERDATA"))
    whole = request("userdata")
    guest.sends(whole._replace(payload=whole.payload[:-1]))
    assert guest.asks("metadata").status == "ok"


# Reports


def test_a_report_of_a_vm_that_is_served_is_handed_on() -> None:
    guest = Guest(web()).listens()
    answer = guest.reports_of_itself()
    assert (answer.status, answer.payload) == ("ok", b"")
    assert guest.reports == [Report("seed", "0a0a")]


def test_a_report_needs_nobody_to_take_it() -> None:
    assert Guest(web()).reports_of_itself().status == "ok"


def test_a_report_that_is_none_is_invalid_and_costs_the_driver_nothing() -> None:
    guest = Guest(web()).listens()
    answer = guest.reports_of_itself(b'{"stage": "seed"}')
    assert (answer.status, answer.payload) == ("invalid", b"the report has no 'boot-id'")
    assert (guest.reports, guest.driver.asked) == ([], 0)


@pytest.mark.parametrize(
    ("instance", "status"),
    [(None, "not-found"), (web(token="a-secret-of-some-length"), "denied"), ({}, "invalid")],
)
def test_a_report_of_a_vm_that_is_not_served_is_not_taken(instance: Any, status: str) -> None:
    guest = Guest(instance).listens()
    assert guest.reports_of_itself().status == status
    assert guest.reports == []


def test_a_report_that_cannot_be_kept_is_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(instance: InstanceData, report: Report) -> None:
        raise StateError("no space left on device")

    guest = Guest(web())
    monkeypatch.setattr(guest.client, "take_report", fail)
    answer = guest.reports_of_itself()
    assert (answer.status, answer.options["retry"]) == ("busy", "5")
    assert answer.payload == b"the server cannot keep reports; see its log"


def test_a_broken_report_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    guest = Guest(web()).listens()
    whole = report(REPORT)
    for packet in (whole._replace(payload=b"{}"), whole._replace(options=""), report(REPORT, "1")):
        assert guest.sends(packet) == ""
        assert guest.serial.sent == b""
    assert guest.reports == []
    assert caplog.messages == []


# Whatever comes


codes = st.sampled_from([*PacketCode, "REQUEST_" + "X" * 55, "REQUEST_" + "X" * 56, "REQUEST_", "LOGIN:"])
keys = st.sampled_from(["v", "run", "id", "offset", "limit", "etag", "have", "accept"])
values = st.text("0123456789af-,;=#!é\n", max_size=9) | st.sampled_from(["2", RUN, "gzip"])
payloads = st.binary(max_size=40) | st.sampled_from([b"", REPORT])


@patient
@given(codes, st.lists(st.tuples(keys, values), max_size=6), payloads, st.sampled_from("12r"))
def test_any_packet_is_answered_with_whole_lines_or_not_at_all(
    code: str, pairs: list[tuple[str, str]], payload: bytes, kind: str
) -> None:
    text = ";".join(f"{key}={value}" for key, value in pairs)
    guest = Guest(web(userdata=SECRET))
    if kind == "2":
        total = options._crc32(f"{code}#{text}".encode())
        packet = Packet(code, f"{text};sum={total}".encode())
    elif kind == "r":
        text = "".join(character for character in text if character not in "#!\n" and character.isascii())
        beginning = f"!!{code}#{base64.b64encode(payload).decode()}#{text}"
        packet = Packet(code, payload, f"{text};sum={options._crc32(beginning.encode())}")
    else:
        packet = Packet(code, payload)
    word = guest.sends(packet)
    lines = [decode(line) for line in guest.serial.sent.split(b"\r\n") if line]
    assert all(line.code.startswith("RESPONSE_") for line in lines)
    if word in ("", BROKEN):
        assert all(line.options == "" for line in lines)
    else:
        (answer,) = lines
        assert read(answer).status == word
