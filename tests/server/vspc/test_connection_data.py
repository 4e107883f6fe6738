"""What goes over one connection: telnet's bytes, serial data both ways, and the log of it."""

import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.vspc import (
    AGREES,
    DO_BINARY,
    DONT_AUTHENTICATION,
    DONT_BINARY,
    DONT_COM_PORT,
    KNOWN_SUBOPTIONS_1,
    KNOWN_SUBOPTIONS_2,
    OPENING,
    REQUEST,
    REQUESTED,
    UUID_TEXT,
    VM_BIOS_UUID,
    VM_VC_UUID,
    WILL_AUTHENTICATION,
    WILL_BINARY,
    WILL_COM_PORT,
    WILL_EXT,
    WONT_BINARY,
    Host,
    do_proxy,
    ext,
    identified,
    packets,
    unknown_suboption_rcvd_2,
    violation,
    vm_name,
)
from vmw_cloudinit_metadata.vspc.connection import MAX_EARLY_DATA, MAX_UNSENT_CONTROL, UUID_SECONDS
from vmw_cloudinit_metadata.vspc.events import (
    Limits,
    PacketReceived,
    ProtocolViolated,
    VMIdentified,
    VMLeft,
)
from vmw_cloudinit_metadata.vspc.telnet import Decoder
from vmw_cloudinit_wire import Packet


@pytest.fixture
def host() -> Host:
    return Host()


# Telnet


def test_iac_is_doubled_in_data_both_ways(host: Host) -> None:
    host.connects()
    host.connection.send_serial(b"\xff\xf0 \xff")
    assert host.hears() == b"\xff\xff\xf0 \xff\xff"
    host.says(b"noise \xff\xff\xff\xff" + REQUEST)
    assert packets(host.events()) == [REQUESTED]


def test_iac_is_undoubled_in_suboptions(host: Host) -> None:
    host.hears()
    host.says(AGREES, ext(40, b"\xff\xf0\xff"))
    assert host.hears() == b"\xff\xfa\xe8\x2b\xff\xff\xf0\xff\xff\xff\xf0"


def serial_data_sent(host: Host, most: int = 64 * 1024) -> list[bytes]:
    """Return the pieces the proxy sends until nothing is left."""
    return list(iter(lambda: host.connection.data_to_send(most), b""))


def test_with_binary_every_byte_is_sent_as_it_is(host: Host) -> None:
    host.connects()
    host.connection.send_serial(b"\x00\r\x00\r\n\x11\x13\r")
    assert serial_data_sent(host) == [b"\x00\r\x00\r\n\x11\x13\r"]


def test_without_binary_a_bare_cr_is_sent_as_cr_nul(host: Host) -> None:
    host.connects()
    host.says(DONT_BINARY)
    assert host.hears() == WONT_BINARY
    host.connection.send_serial(b"a\rb\r\nc\r")
    assert serial_data_sent(host) == [b"a\r\x00b\r\nc\r\x00"]


@given(st.binary().map(lambda data: data + b"\r\n\r\r\nx\r"), st.integers(1, 9))
def test_without_binary_the_vm_receives_what_was_sent_wherever_it_is_cut(data: bytes, most: int) -> None:
    host = Host().connects()
    host.says(DONT_BINARY)
    host.hears()
    host.connection.send_serial(data)
    vm = Decoder()
    sent = [token for piece in serial_data_sent(host, most) for token in vm.feed(piece)]
    assert b"".join(token for token in sent if isinstance(token, bytes)) == data


def test_a_line_end_is_not_torn_into_a_bare_cr_and_a_bare_lf(host: Host) -> None:
    host.connects()
    host.says(DONT_BINARY)
    host.hears()
    host.connection.send_serial(b"a\r\nb\r\n")
    for most in (1, 1, 1, 1):
        assert host.connection.data_to_send(most) in (b"a", b"\r\n", b"b")
    assert host.hears() == b""


def test_before_binary_is_agreed_the_nvt_rule_holds_and_the_byte_behind_the_agreement_is_binary() -> None:
    host = Host()
    host.says(KNOWN_SUBOPTIONS_1, do_proxy(), VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    host.hears()
    host.events()
    # CR NUL is the end of a line here, and part of one behind WILL BINARY.
    host.says(b"!!A#\r\x00\n", WILL_BINARY, b"!!B#\r\x00\n!!C#\n")
    assert packets(host.events()) == [Packet("A"), Packet("C")]
    host.connection.send_serial(b"a\r")
    assert host.hears() == b"a\r\x00"
    host.connection.send_serial(b"a\r")
    host.says(DO_BINARY)
    assert host.hears() == b"a\r"


def test_binary_refused_by_the_peer_leaves_it_an_nvt(host: Host) -> None:
    host.says(WONT_BINARY, DONT_BINARY, WILL_EXT, KNOWN_SUBOPTIONS_1, do_proxy())
    host.says(VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    host.hears()
    host.events()
    host.says(b"!!A#\r")
    host.says(b"\x00\n!!B#\r\n")
    assert packets(host.events()) == [Packet("A"), Packet("B")]
    host.connection.send_serial(b"\r")
    assert host.hears() == b"\r\x00"


def test_the_two_directions_of_binary_are_agreed_one_by_one(host: Host) -> None:
    host.connects()
    host.says(WONT_BINARY)
    assert host.hears() == DONT_BINARY
    host.connection.send_serial(b"a\r")
    assert host.hears() == b"a\r"  # ours holds
    host.says(b"!!A#\r\x00\n")
    assert packets(host.events()) == [Packet("A")]  # theirs does not


def test_a_telnet_answer_goes_out_before_serial_data(host: Host) -> None:
    host.connects()
    host.connection.send_serial(b"data")
    host.says(ext(99))
    assert host.hears() == unknown_suboption_rcvd_2(99) + b"data"


def test_telnet_answers_go_out_though_no_serial_data_may(host: Host) -> None:
    host.connects()
    host.connection.send_serial(b"data")
    host.says(WILL_COM_PORT)
    assert host.connection.data_to_send(0) == DONT_COM_PORT
    assert host.connection.port.unsent == 4


def test_a_peer_that_reads_no_answers_is_cut_off(host: Host) -> None:
    host.connects()
    flood = ext(99) * 10_000
    for _ in range(MAX_UNSENT_CONTROL // 70_000):
        host.says(flood)
    assert host.events() == []
    host.says(flood, REQUEST)
    (event,) = host.events()
    assert isinstance(event, ProtocolViolated)
    assert event.fatal
    host.says(flood, REQUEST)
    assert host.events() == []
    assert len(host.hears()) <= MAX_UNSENT_CONTROL + 10
    host.leaves()
    assert host.events() == [VMLeft(host.connection.port)]


def test_a_peer_is_cut_off_once_though_several_answers_are_too_many(host: Host) -> None:
    almost = (MAX_UNSENT_CONTROL - len(OPENING)) // len(unknown_suboption_rcvd_2(99))
    host.says(ext(99) * almost)
    assert host.events() == []
    host.says(KNOWN_SUBOPTIONS_1)
    (event,) = host.events()
    assert isinstance(event, ProtocolViolated)
    assert event.fatal


def test_a_peer_that_reads_its_answers_may_ask_for_ever(host: Host) -> None:
    host.connects()
    for _ in range(20):
        host.says(ext(99) * 10_000)
        assert host.hears() == unknown_suboption_rcvd_2(99) * 10_000
    assert host.events() == []


# Serial data


def test_data_from_before_the_vm_is_known_waits_and_comes_behind_the_identification(host: Host) -> None:
    host.says(AGREES, b"boot noise\n!!A#\n!!B", KNOWN_SUBOPTIONS_1, do_proxy(), b"#\n!!C#")
    assert host.events() == []
    host.says(VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID, b"\n")
    first, *others = host.events()
    assert identified([first]).name == "web-01"
    assert packets(others) == [Packet("A"), Packet("B"), Packet("C")]


def test_early_data_is_bounded_and_its_beginning_is_kept(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vspc")
    host.says(AGREES, REQUEST, b"x" * (MAX_EARLY_DATA - len(REQUEST) - 1), b"\n" + REQUEST)
    host.says(b"x" * 1_000_000)
    assert f"< {len(REQUEST)} bytes dropped" in caplog.text
    assert "< 1000000 bytes dropped" in caplog.text
    host.says(KNOWN_SUBOPTIONS_1, do_proxy(), VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID, REQUEST)
    assert packets(host.events()[1:]) == [REQUESTED, REQUESTED]


@pytest.mark.parametrize(
    "said",
    [
        [],
        [KNOWN_SUBOPTIONS_1],
        [KNOWN_SUBOPTIONS_1, vm_name("web-01"), VM_VC_UUID, VM_BIOS_UUID],
        [KNOWN_SUBOPTIONS_1, do_proxy(), VM_VC_UUID, VM_BIOS_UUID],
    ],
)
def test_nothing_is_served_before_the_vm_has_a_name_and_will_proxy(host: Host, said: list[bytes]) -> None:
    host.says(AGREES, *said, REQUEST)
    host.clock.now += 1000
    host.connection.check_deadline()
    assert host.events() == []
    host.leaves()
    assert host.events() == []


def test_noise_is_passed_over(host: Host) -> None:
    host.connects()
    host.says(
        b"\r\nDebian GNU/Linux 12 web-01 ttyS1\r\n\r\nweb-01 login: " + REQUEST, b"!!\n!!A\n!!A#%\n\xfe\x80\n"
    )
    assert packets(host.events()) == [REQUESTED]


def test_a_line_over_the_limit_is_dropped_and_the_operator_hears_of_it_once() -> None:
    host = Host(limits=Limits(max_line=100)).connects()
    for _ in range(10):
        host.says(b"x" * 99)
    assert "more than 100 bytes" in violation(host.events())
    host.says(b"\n" + REQUEST)
    assert packets(host.events()) == [REQUESTED]


def test_after_the_end_nothing_is_taken_and_nothing_is_told_twice(host: Host) -> None:
    host.connects()
    host.leaves()
    assert host.events() == [VMLeft(host.connection.port)]
    host.says(REQUEST, ext(99))
    host.leaves()
    host.connection.check_deadline()
    assert host.events() == []
    assert host.hears() == b""


def test_a_vm_that_leaves_before_its_uuids_were_due_is_never_identified(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), vm_name("web-01"))
    host.leaves()
    assert host.connection.deadline is None
    host.clock.now += UUID_SECONDS
    host.connection.check_deadline()
    assert host.events() == []


# However the bytes come


SCRIPT = b"".join(
    [
        WILL_AUTHENTICATION,
        b"early \xff\xff\n!!EARLY#\n",
        AGREES,
        KNOWN_SUBOPTIONS_1,
        do_proxy("my-metadata?port=1"),
        vm_name("web-01"),
        ext(99, b"\xff\xf0\xff"),
        VM_VC_UUID,
        VM_BIOS_UUID.replace(UUID_TEXT, b"?"),
        ext(84),
        WILL_COM_PORT,
        b"\r\nlogin: !!REQUEST_METADATA#\r\n",
        b"\xff\xf1!!REQUEST_\xff\xf1USERDATA#\xff\xfb\x2cAA\xff\xfd\x63==\n",
        b"\xff\xfa\xe8\x52lost its end",
        ext(40, b"\xff\xff"),
        b"!!B#\n",
    ]
)


def outcome(*reads: bytes) -> tuple[bytes, list[object]]:
    """Return all the bytes and events that come of these reads."""
    host = Host()
    for read in reads:
        host.says(read)
    told: list[object] = []
    for event in host.events():
        if isinstance(event, VMIdentified | PacketReceived):
            assert event.port is host.connection.port
        # Two hosts have two ports, which are never equal.
        told.append(event.packet if isinstance(event, PacketReceived) else type(event))
    return host.hears(), told


def test_the_script_has_something_of_everything() -> None:
    sent, told = outcome(SCRIPT)
    assert sent.startswith(OPENING + DONT_AUTHENTICATION + KNOWN_SUBOPTIONS_2)
    assert [entry for entry in told if isinstance(entry, Packet)] == [
        Packet("EARLY"),
        Packet("REQUEST_METADATA"),
        Packet("REQUEST_USERDATA", b"\x00"),
        Packet("B"),
    ]
    assert told.count(VMIdentified) == 1
    assert told.count(ProtocolViolated) == 2


def test_byte_by_byte_and_with_more_behind_all_comes_out_alike() -> None:
    whole = outcome(SCRIPT)
    assert outcome(*(bytes([byte]) for byte in SCRIPT)) == whole
    assert outcome(SCRIPT + b"\xff\xfa\xe8\x52half a na") == whole


@given(st.lists(st.integers(0, len(SCRIPT))))
def test_cuts_in_the_stream_do_not_matter(cuts: list[int]) -> None:
    edges = sorted({0, len(SCRIPT), *cuts})
    assert outcome(*(SCRIPT[a:b] for a, b in itertools.pairwise(edges))) == outcome(SCRIPT)


def test_the_log_has_the_dialogue_and_no_payload(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "vspc")
    host = Host()
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy("my-metadata?token=hunter2"), vm_name("web\n01"))
    host.says(VM_VC_UUID, VM_BIOS_UUID, b"hunter2\n!!REQUEST_METADATA#aHVudGVyMg==\n")
    host.connection.send_serial(b"hunter2")
    host.hears()
    assert host.events()
    for line in (
        "> DO VMWARE_EXT",
        "< WILL VMWARE_EXT",
        "< DO-PROXY C 'my-metadata?...'",
        "> WILL-PROXY",
        r"< VM-NAME 'web\n01'",
        "< <Packet REQUEST_METADATA 7 bytes>",
    ):
        assert line in caplog.messages
    assert "hunter2" not in caplog.text
