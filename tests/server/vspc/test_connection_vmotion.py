"""vMotion, as dialogues of two hosts with one proxy: ``here`` the VM lives first, ``there`` it goes."""

from collections.abc import Callable

import pytest

from tests.support.vspc import (
    AGREES,
    DONT_AUTHENTICATION,
    DONT_BINARY,
    GET_VM_BIOS_UUID,
    GET_VM_NAME,
    GET_VM_VC_UUID,
    KNOWN_SUBOPTIONS_1,
    KNOWN_SUBOPTIONS_2,
    OPENING,
    REQUEST,
    REQUESTED,
    VM_BIOS_UUID,
    VM_VC_UUID,
    VMOTION_ABORT,
    WILL_AUTHENTICATION,
    Host,
    begins,
    completes,
    ext,
    is_served,
    unknown_suboption_rcvd_2,
    violation,
    vm_name,
    vmotion_begin,
    vmotion_complete,
    vmotion_goahead,
    vmotion_peer,
    vmotion_peer_ok,
)
from vmw_cloudinit_metadata.vspc.connection import MAX_EARLY_DATA
from vmw_cloudinit_metadata.vspc.events import (
    PacketReceived,
    VMLeft,
    VMotionAborted,
    VMotionBegan,
    VMotionCompleted,
)
from vmw_cloudinit_wire import Packet

# The dance


def test_a_vmotion_is_a_dialogue_in_the_documented_order(here: Host, there: Host) -> None:
    port = here.connection.port
    here.says(vmotion_begin())
    assert here.hears() == vmotion_goahead()
    assert here.events() == [VMotionBegan(port)]

    assert there.hears() == OPENING
    there.says(WILL_AUTHENTICATION)
    assert there.hears() == DONT_AUTHENTICATION
    there.says(AGREES, KNOWN_SUBOPTIONS_1, vmotion_peer())
    assert (
        there.hears()
        == KNOWN_SUBOPTIONS_2 + GET_VM_VC_UUID + GET_VM_NAME + GET_VM_BIOS_UUID + vmotion_peer_ok()
    )
    assert there.connection.awaits_vmotion
    there.says(VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    assert there.events() == []

    here.leaves()
    assert here.events() == []
    there.says(vmotion_complete())
    assert there.events() == [VMotionCompleted(port)]
    assert there.connection.port is port
    assert not there.connection.awaits_vmotion
    assert is_served(there)
    there.leaves()
    assert there.events() == [VMLeft(port)]


def test_a_sequence_and_a_secret_with_iac_are_doubled_on_the_wire(here: Host, there: Host) -> None:
    here.says(b"\xff\xfa\xe8\x28\x00\xff\xff\x00\x07\xff\xf0")
    assert here.hears() == b"\xff\xfa\xe8\x29\x00\xff\xff\x00\x07\xff\xff\xf0hidden\x01\xff\xf0"
    there.hears()
    there.says(b"\xff\xfa\xe8\x2c\x00\xff\xff\x00\x07\xff\xff\xf0hidden\x01\xff\xf0")
    assert there.hears() == b"\xff\xfa\xe8\x2d\x00\xff\xff\x00\x07\xff\xf0"
    there.says(b"\xff\xfa\xe8\x2e\x00\xff\xff\x00\x07\xff\xf0")
    assert there.events() == [VMotionCompleted(here.connection.port)]


@pytest.mark.parametrize("sequence", [b"", b"\x01", b"\xff" * 100])
def test_a_sequence_is_opaque_and_of_any_length(here: Host, there: Host, sequence: bytes) -> None:
    here.says(vmotion_begin(sequence))
    assert here.hears() == vmotion_goahead(1, sequence)
    there.hears()
    there.says(vmotion_peer(1, sequence))
    assert there.hears() == vmotion_peer_ok(sequence)
    there.says(vmotion_complete(sequence))
    assert there.events() == [VMotionCompleted(here.connection.port)]


def test_the_destination_keeps_the_identity_of_the_source(here: Host, there: Host) -> None:
    identity = here.connection.port.identity
    begins(here)
    there.arrives()
    there.says(vm_name("db-01"), ext(80), ext(84))
    completes(there)
    there.says(vm_name("db-02"))
    assert there.connection.port.identity is identity
    assert there.events() == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_source_may_leave_before_complete_and_after(here: Host, there: Host, when: str) -> None:
    port = here.connection.port
    begins(here)
    there.arrives()
    if when == "before":
        here.leaves()
    completes(there)
    if when == "after":
        here.leaves()
    assert here.events() == []
    assert there.connection.port is port
    assert is_served(there)


def test_a_source_may_leave_before_its_destination_connects(here: Host, there: Host) -> None:
    begins(here)
    here.leaves()
    there.arrives()
    completes(there)
    assert here.events() == []
    assert is_served(there)


def test_a_vm_moves_twice_and_back(connect: Callable[[], Host]) -> None:
    hosts = [connect().connects("web-01")]
    port = hosts[0].connection.port
    for number in (1, 2, 3):
        begins(hosts[-1], number)
        hosts.append(connect().arrives(number))
        completes(hosts[-1])
        assert hosts[-1].connection.port is port
        assert is_served(hosts[-1])
        assert not is_served(hosts[-2])
    for host in hosts:
        host.leaves()
    assert [host.events() for host in hosts] == [[], [], [], [VMLeft(port)]]


# What is sent and received on the way


def test_what_is_held_goes_to_the_destination_once_and_in_order(here: Host, there: Host) -> None:
    here.connection.send_serial(b"sent before, ")
    assert here.hears() == b"sent before, "
    here.connection.send_serial(b"held ")
    begins(here)
    here.connection.send_serial(b"one, ")
    there.arrives()
    here.connection.send_serial(b"held two, ")
    assert here.hears() == there.hears() == b""
    there.says(vmotion_complete())
    here.connection.send_serial(b"sent after")
    assert here.hears() == b""
    assert there.hears() == b"held one, held two, sent after"
    assert here.hears() == there.hears() == b""


def test_a_packet_half_sent_goes_on_at_the_destination(here: Host, there: Host) -> None:
    here.connection.send_serial(b"!!RESPONSE_USERDATA#QUJD\r\n")
    assert here.connection.data_to_send(most=12) == b"!!RESPONSE_U"
    begins(here)
    there.arrives()
    there.says(vmotion_complete())
    assert there.hears() == b"SERDATA#QUJD\r\n"


def test_what_is_held_takes_the_form_the_destination_agreed_to(here: Host, there: Host) -> None:
    begins(here)
    here.connection.send_serial(b"a\rb\xff")
    there.arrives()
    there.says(DONT_BINARY, vmotion_complete())
    assert there.hears().endswith(b"a\r\x00b\xff\xff")


def test_a_line_half_received_is_finished_at_the_destination(here: Host, there: Host) -> None:
    here.says(b"!!REQUEST_MET", vmotion_begin())
    there.arrives()
    there.says(vmotion_complete(), b"ADATA#\n")
    port = here.connection.port
    assert there.events() == [VMotionCompleted(port), PacketReceived(port, REQUESTED)]


def test_what_the_destination_says_before_complete_comes_behind_it(here: Host, there: Host) -> None:
    here.says(b"!!REQUEST_MET")
    begins(here)
    there.arrives()
    there.says(b"ADATA#\n!!REQUEST_USERDATA#\n")
    assert there.events() == []
    there.says(vmotion_complete())
    port = here.connection.port
    received = [REQUESTED, Packet("REQUEST_USERDATA")]
    assert there.events() == [VMotionCompleted(port), *(PacketReceived(port, each) for each in received)]


def test_what_the_destination_says_before_complete_is_bounded(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    there.says(REQUEST + b"\n" * MAX_EARLY_DATA + REQUEST)
    there.says(vmotion_complete(), REQUEST)
    assert [type(event) for event in there.events()] == [VMotionCompleted, PacketReceived, PacketReceived]


def test_the_vm_is_heard_on_its_source_until_complete_and_not_after(here: Host, there: Host) -> None:
    begins(here)
    here.says(REQUEST)
    assert here.events() == [PacketReceived(here.connection.port, REQUESTED)]
    there.arrives()
    completes(there)
    here.says(REQUEST)
    assert here.events() == []


def test_telnet_is_answered_while_serial_data_is_held(here: Host) -> None:
    begins(here)
    here.connection.send_serial(b"held")
    here.says(ext(99))
    assert here.hears() == unknown_suboption_rcvd_2(99)


# ABORT


def test_after_an_abort_the_source_lives_on_and_gets_what_was_held(here: Host, there: Host) -> None:
    begins(here)
    here.connection.send_serial(b"held")
    there.arrives()
    here.says(VMOTION_ABORT)
    assert here.events() == [VMotionAborted(here.connection.port)]
    assert here.hears() == b"held"
    assert not there.connection.awaits_vmotion
    assert is_served(here)
    there.leaves()
    assert there.events() == []
    begins(here, number=2)


def test_complete_after_an_abort_has_no_effect(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    here.says(VMOTION_ABORT)
    here.events()
    there.says(vmotion_complete())
    assert violation(there.events())
    assert is_served(here)
    assert not is_served(there)


def test_the_token_of_an_aborted_vmotion_is_forgotten(here: Host, there: Host) -> None:
    begins(here)
    here.says(VMOTION_ABORT)
    there.hears()
    there.says(vmotion_peer())
    assert there.hears() == b""
    assert violation(there.events())


def test_a_destination_may_try_again_after_an_abort(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    here.says(VMOTION_ABORT)
    here.events()
    begins(here, number=2)
    there.says(vmotion_peer(2))
    assert there.hears() == vmotion_peer_ok()
    completes(there)
    assert is_served(there)


def test_an_abort_from_the_destination_has_no_effect(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    there.says(VMOTION_ABORT)
    assert violation(there.events())
    completes(there)
    there.says(VMOTION_ABORT)
    assert violation(there.events())
    assert is_served(there)


def test_an_abort_from_the_source_after_complete_has_no_effect(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    completes(there)
    begins(there, number=2)  # the next one is none of the old source's business
    here.says(VMOTION_ABORT)
    assert violation(here.events())
    there.connection.send_serial(b"held")
    assert there.hears() == b""


def test_an_abort_without_a_vmotion_has_no_effect(here: Host) -> None:
    here.says(VMOTION_ABORT)
    assert violation(here.events())
    assert is_served(here)
