import uuid
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.simulator.scripted_vspc import (
    ABORT,
    BEGIN,
    COMPLETE,
    DO_EXT,
    DO_PROXY,
    DONT_AUTHENTICATION,
    DONT_COM_PORT,
    GET_VM_NAME,
    GOAHEAD,
    KNOWN_SUBOPTIONS_1,
    KNOWN_SUBOPTIONS_2,
    NOTNOW,
    PEER,
    PEER_OK,
    SEQUENCE,
    TOKEN,
    WILL_AUTHENTICATION,
    WILL_COM_PORT,
    WILL_EXT,
    WILL_PROXY,
    WONT_PROXY,
    suboption,
)
from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator import HostPort, Identity, Phase, VMotion
from vmw_cloudinit_metadata.simulator.host import MAX_VIOLATIONS
from vmw_cloudinit_metadata.vspc import vmware_ext as ext

VC_UUID = uuid.UUID("684c916c-5f6c-4c2f-aa50-dfd661a22e0d")
BIOS_UUID = uuid.UUID("564d6cad-5bb6-7d59-dbb5-cbc86be54f5b")
WEB_01 = Identity.of("web-01", VC_UUID, BIOS_UUID)

# "What comes in" -> "what goes out", line by line.
Dialogue = list[tuple[bytes, bytes]]

A_PROXY_THAT_WAITS: Dialogue = [
    (b"", WILL_AUTHENTICATION),
    (DONT_AUTHENTICATION, WILL_EXT),
    (DO_EXT, KNOWN_SUBOPTIONS_1 + DO_PROXY),
    (KNOWN_SUBOPTIONS_2, b""),
    (suboption(b"\x51"), suboption(b"\x5068 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d")),
    (GET_VM_NAME, suboption(b"\x52web-01")),
    (suboption(b"\x55"), suboption(b"\x5456 4d 6c ad 5b b6 7d 59-db b5 cb c8 6b e5 4f 5b")),
    (WILL_PROXY, WILL_COM_PORT),
    (DONT_COM_PORT, b""),
]
A_PROXY_THAT_OPENS: Dialogue = [
    (b"", WILL_AUTHENTICATION),
    (b"\xff\xfb\x00", b"\xff\xfd\x00"),
    (b"\xff\xfb\x03", b"\xff\xfd\x03"),
    (b"\xff\xfd\x00", b"\xff\xfb\x00"),
    (b"\xff\xfd\x03", b"\xff\xfb\x03"),
    (DO_EXT, b""),  # held back until AUTHENTICATION is answered
    (DONT_AUTHENTICATION, WILL_EXT + KNOWN_SUBOPTIONS_1 + DO_PROXY),
    (DO_EXT, b""),
    (WILL_PROXY, WILL_COM_PORT),
    (KNOWN_SUBOPTIONS_2, b""),
]
A_DESTINATION: Dialogue = [
    (b"", WILL_AUTHENTICATION),
    (DONT_AUTHENTICATION, WILL_EXT),
    (DO_EXT, KNOWN_SUBOPTIONS_1 + PEER),
    (KNOWN_SUBOPTIONS_2 + GET_VM_NAME, suboption(b"\x52web-01")),
    (PEER_OK, WILL_COM_PORT),
]


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for i in range(len(data)):
        yield data[i : i + 1]


def talk(port: HostPort, dialogue: Dialogue, cut: Callable[[bytes], Iterator[bytes]] = whole) -> None:
    for received, sent in dialogue:
        for piece in cut(received):
            port.receive_data(piece)
        assert port.data_to_send() == sent


def source() -> HostPort:
    return HostPort(WEB_01, "my-metadata")


def destination() -> HostPort:
    return HostPort(WEB_01, "my-metadata", vmotion=VMotion(SEQUENCE, TOKEN))


def running() -> HostPort:
    port = source()
    talk(port, A_PROXY_THAT_WAITS)
    return port


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("dialogue", [A_PROXY_THAT_WAITS, A_PROXY_THAT_OPENS])
def test_the_first_connect(dialogue: Dialogue, cut: Callable[[bytes], Iterator[bytes]]) -> None:
    port = source()
    talk(port, dialogue, cut)
    assert port.phase is Phase.RUNNING
    assert not port.violations


@pytest.mark.parametrize("dialogue", [A_PROXY_THAT_WAITS, A_PROXY_THAT_OPENS])
def test_the_first_connect_in_one_read_with_serial_data_behind(dialogue: Dialogue) -> None:
    port = source()
    port.receive_data(b"".join(received for received, _ in dialogue) + b"login: ")
    assert port.data_to_send() == b"".join(sent for _, sent in dialogue)
    assert port.serial_received() == b"login: "
    assert port.serial_received() == b""


@pytest.mark.parametrize("answer", [b"\xff\xfe\x25", b"\xff\xfd\x25"])
def test_either_answer_to_authentication_lets_it_go_on(answer: bytes) -> None:
    port = source()
    talk(port, [(b"", WILL_AUTHENTICATION), (answer, WILL_EXT), (answer, b"")])


def test_the_direction_and_a_query_stand_in_do_proxy() -> None:
    port = HostPort(WEB_01, "my-metadata?port=2", "S")
    port.receive_data(DONT_AUTHENTICATION + DO_EXT)
    assert port.data_to_send().endswith(suboption(b"\x46Smy-metadata?port=2"))


@pytest.mark.parametrize("refusal", [DO_EXT + WONT_PROXY, b"\xff\xfe\xe8"])
def test_a_refusal_is_a_phase(refusal: bytes) -> None:
    port = source()
    port.receive_data(DONT_AUTHENTICATION + refusal)
    assert port.phase is Phase.REFUSED


def test_a_refused_option_is_not_offered_again() -> None:
    port = source()
    port.receive_data(DONT_AUTHENTICATION + b"\xff\xfe\xe8")
    port.data_to_send()
    port.receive_data(DONT_AUTHENTICATION + b"\xff\xfe\xe8")
    assert port.data_to_send() == b""


def test_answers_can_be_replaced_withheld_and_given_late() -> None:
    port = HostPort(
        WEB_01,
        "my-metadata",
        answers={ext.Command.GET_VM_NAME: None, ext.Command.GET_VM_VC_UUID: ext.VMVCUUID(None)},
    )
    talk(port, [*A_PROXY_THAT_WAITS[:4], (GET_VM_NAME, b""), (suboption(b"\x51"), suboption(b"\x50"))])
    port.answer(ext.Command.GET_VM_NAME)
    assert port.data_to_send() == suboption(b"\x52web-01")


def test_uuids_come_from_the_name_always_the_same_and_never_twice() -> None:
    one, again, other = Identity.of("web-01"), Identity.of("web-01"), Identity.of("web-02")
    assert one == again
    uuids = {
        one.vc_uuid,
        one.bios_uuid,
        one.location_uuid,
        other.vc_uuid,
        other.bios_uuid,
        other.location_uuid,
    }
    assert len(uuids) == 6
    # Written out: definitions may be found by UUID, and must be found again after an update.
    assert one.vc_uuid == uuid.UUID("66e0071f-3f48-5399-b636-b92b8b022ef8")


def test_the_location_uuid_is_answered() -> None:
    port = running()
    port.receive_data(suboption(b"\x57"))
    sent = port.data_to_send()
    assert ext.decode(sent[3:-2]) == ext.VMLocationUUID(WEB_01.location_uuid)


@pytest.mark.parametrize("code", [200, ext.Command.VM_NAME, ext.Command.DO_PROXY])
def test_a_suboption_that_no_proxy_sends_is_answered_as_unknown(code: int) -> None:
    port = running()
    talk(port, [(suboption(bytes([code]) + b"Cx"), suboption(bytes([2, code])))])


def test_unknown_suboption_from_the_proxy_is_not_answered() -> None:
    talk(running(), [(suboption(b"\x03\x56"), b"")])


def test_serial_data_passes_both_ways_escaped() -> None:
    port = running()
    port.send_serial(b"a\xffb\r\n")
    assert port.data_to_send() == b"a\xff\xffb\r\x00\n"
    port.receive_data(b"a\xff\xffb\r\x00\n")
    assert port.serial_received() == b"a\xffb\r\n"


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (b"early", "5 bytes of serial data"),
        (suboption(b"\x01\x28"), "without 1 or 3"),
        (suboption(b"\x53")[:-1] + b"\xfd\x00", "without IAC SE"),
        (suboption(b""), "without a command"),
        (suboption(b"\x03ab"), "one code"),
        (b"\xff\xfa\x2c\x01\xff\xf0", "option 44"),
        (PEER_OK, "VMOTION_PEER_OK where it does not belong"),
        (GOAHEAD, "VMOTION_GOAHEAD where it does not belong"),
        (NOTNOW, "VMOTION_NOTNOW where it does not belong"),
    ],
    ids=lambda row: "",
)
def test_what_a_proxy_does_wrong_is_kept_and_harms_nothing(received: bytes, reason: str) -> None:
    port = source()
    talk(port, A_PROXY_THAT_WAITS[:3])
    port.receive_data(received)
    assert len(port.violations) == 1
    assert reason in port.violations[0]
    assert port.serial_received() == b""
    port.receive_data(WILL_PROXY)
    assert port.phase is Phase.RUNNING


def test_only_so_many_violations_are_kept() -> None:
    port = source()
    port.receive_data((b"x\xff\xfd\x18") * (MAX_VIOLATIONS + 1))
    assert len(port.violations) == MAX_VIOLATIONS


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_a_vmotion_as_the_source_sees_it(cut: Callable[[bytes], Iterator[bytes]]) -> None:
    port = running()
    port.begin_vmotion(SEQUENCE)
    assert port.data_to_send() == BEGIN
    talk(port, [(b"on its way" + GOAHEAD, b"")], cut)
    assert port.serial_received() == b"on its way"
    assert port.phase is Phase.LEFT
    assert port.vmotion == VMotion(SEQUENCE, TOKEN)
    assert not port.violations


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_a_vmotion_as_the_destination_sees_it(cut: Callable[[bytes], Iterator[bytes]]) -> None:
    port = destination()
    talk(port, A_DESTINATION, cut)
    assert port.phase is Phase.ARRIVED
    port.complete()
    assert port.data_to_send() == COMPLETE
    port.receive_data(b"held back")
    assert port.serial_received() == b"held back"
    assert not port.violations


def test_data_after_goahead_is_lost_and_so_is_data_before_complete() -> None:
    left, arrived = running(), destination()
    left.begin_vmotion(SEQUENCE)
    left.receive_data(GOAHEAD + b"too late")
    talk(arrived, A_DESTINATION)
    arrived.receive_data(b"too early")
    for port in (left, arrived):
        assert port.serial_received() == b""
        assert "which are lost" in port.violations[0]


def test_notnow_lets_the_vm_run_on() -> None:
    port = running()
    port.begin_vmotion(SEQUENCE)
    port.receive_data(NOTNOW)
    assert port.phase is Phase.RUNNING
    port.send_serial(b"still here")


@pytest.mark.parametrize("answer", [b"", GOAHEAD])
def test_after_an_abort_the_vm_runs_on(answer: bytes) -> None:
    port = running()
    port.begin_vmotion(SEQUENCE)
    port.receive_data(answer)
    port.data_to_send()
    port.abort_vmotion()
    assert port.data_to_send() == ABORT
    port.receive_data(b"held back")
    assert port.serial_received() == b"held back"


@pytest.mark.parametrize("answer", [b"\x29\x00\x00\x00\x02secretly", b"\x2b\x00\x00\x00\x02"])
def test_an_answer_to_another_sequence_is_a_violation(answer: bytes) -> None:
    port = running()
    port.begin_vmotion(SEQUENCE)
    port.receive_data(suboption(answer))
    assert port.phase is Phase.LEAVING
    assert port.violations


def test_peer_ok_carries_the_sequence_alone() -> None:
    port = destination()
    port.receive_data(DONT_AUTHENTICATION + DO_EXT + suboption(b"\x2d" + TOKEN))
    assert port.phase is Phase.OPENING
    assert port.violations


def test_a_vm_that_stands_still_says_nothing() -> None:
    port = running()
    port.begin_vmotion(SEQUENCE)
    with pytest.raises(SimulatorError, match="no serial data can be sent"):
        port.send_serial(b"x")
    with pytest.raises(SimulatorError):
        port.begin_vmotion(SEQUENCE)


def test_what_no_vmotion_allows_is_an_error() -> None:
    with pytest.raises(SimulatorError):
        running().abort_vmotion()
    with pytest.raises(SimulatorError):
        running().complete()
    with pytest.raises(SimulatorError):
        source().begin_vmotion(SEQUENCE)


def test_the_token_and_the_data_show_neither_in_a_repr_nor_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    port = running()
    port.receive_data(b"password")
    port.begin_vmotion(SEQUENCE)
    port.receive_data(GOAHEAD)
    port.data_to_send()
    talk(destination(), A_DESTINATION)
    assert "secret" not in repr(port.vmotion)
    assert "web-01 < 8 bytes of serial data" in caplog.messages
    assert "web-01 < VMOTION-GOAHEAD" in caplog.messages
    assert "password" not in caplog.text
    assert "secret" not in caplog.text


@given(st.lists(st.binary()))
def test_garbage_raises_nothing(chunks: list[bytes]) -> None:
    port = running()
    for chunk in chunks:
        port.receive_data(chunk)


@given(st.binary())
def test_a_garbled_suboption_raises_nothing(content: bytes) -> None:
    port = running()
    port.receive_data(suboption(content) + suboption(b"\x53"))
    assert port.data_to_send().endswith(suboption(b"\x52web-01"))
