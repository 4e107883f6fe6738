import contextlib
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_wire import LineBuffer, Packet, PacketError, decode, encode

REQUEST = b"!!REQUEST_METADATA#"


def test_a_request_of_0_0_8_is_a_code_and_an_empty_payload() -> None:
    assert decode(REQUEST) == Packet("REQUEST_METADATA")


def test_the_server_ends_with_cr_lf_and_the_guest_with_lf() -> None:
    assert encode(Packet("RESPONSE_USERDATA", b"hi")) == b"!!RESPONSE_USERDATA#aGk=\r\n"
    assert encode(Packet("REQUEST_METADATA"), end=b"\n") == b"!!REQUEST_METADATA#\n"


def test_a_third_field_is_kept_as_it_stands() -> None:
    line = b"!!RESPONSE_METADATA##v=2;id=5f3a9c01;status=unchanged;sum=00000000"
    packet = decode(line)
    assert packet.payload == b""
    assert packet.options == "v=2;id=5f3a9c01;status=unchanged;sum=00000000"
    assert encode(packet, end=b"") == line


@pytest.mark.parametrize(
    "line", [REQUEST + b"\n", REQUEST + b"\r\n", b"\r" + REQUEST + b"\n", b"\r" + REQUEST]
)
def test_every_line_end_in_use_is_understood(line: bytes) -> None:
    assert decode(line) == Packet("REQUEST_METADATA")


@pytest.mark.parametrize(
    "before", [b"web-01 login: ", b"!!REQUEST_USER", b"[    1.2] usb 1-1: \xff\xfe", b"!", b"!!!"]
)
def test_a_packet_begins_at_the_last_two_exclamation_marks(before: bytes) -> None:
    assert decode(before + REQUEST) == Packet("REQUEST_METADATA")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\r\n",
        b"Debian GNU/Linux 12 web-01 ttyS1",
        b"!!",
        b"!!REQUEST_METADATA",
        b"!!REQUEST_METADATA###",
        b"!!REQUEST METADATA#",
        b"!!#",
        b"!!" + b"A" * 65 + b"#",
        b"!!REQUEST_\xc3\xa9#",
        b"!!REQUEST_METADATA#abc",
        b"!!REQUEST_METADATA#ab\x00=",
        b"!!REQUEST_METADATA#aGk= ",
        b"!!REQUEST_METADATA#=aGk",
        b"!!REQUEST_METADATA#aGl=",
        b"!!REQUEST_METADATA##sum=\xff",
        b"!!REQUEST_METADATA##a\x1b[0m",
    ],
)
def test_what_is_not_a_packet_raises_packet_error(line: bytes) -> None:
    with pytest.raises(PacketError):
        decode(line)


@pytest.mark.parametrize(
    "packet", [Packet(""), Packet("A#B"), Packet("A\nB"), Packet("A", b"", "x#y"), Packet("A", b"", "x!!y")]
)
def test_a_packet_that_would_break_its_line_is_not_sent(packet: Packet) -> None:
    with pytest.raises(PacketError):
        encode(packet)


def test_neither_repr_nor_errors_show_the_payload() -> None:
    secret = b"hunter2"
    packet = Packet("RESPONSE_USERDATA", secret)
    assert repr(packet) == "<Packet RESPONSE_USERDATA 7 bytes>"
    with pytest.raises(PacketError) as caught:
        decode(b"!!RESPONSE_USERDATA#hunter2$")
    assert "hunter2" not in str(caught.value)


CODES = st.from_regex(r"\A[0-9A-Za-z_.:-]{1,64}\Z")
OPTIONS = st.from_regex(r"\A[a-z0-9=;:,-]{0,80}\Z")


@given(CODES, st.binary(), OPTIONS, st.sampled_from([b"\n", b"\r\n", b"\n\r"]))
def test_what_is_encoded_is_decoded(code: str, payload: bytes, options: str, end: bytes) -> None:
    packet = Packet(code, payload, options)
    assert LineBuffer().feed(encode(packet, end)) == [encode(packet, b"")]
    assert decode(encode(packet, b"")) == packet


@given(st.binary())
def test_garbage_raises_packet_error_and_nothing_else(line: bytes) -> None:
    with contextlib.suppress(PacketError):
        decode(b"!!" + line)


STREAM = b"noise\r\n!!REQUEST_METADATA#\n\r!!REQUEST_USERDATA#\n\r\n\n!!half"
LINES = [b"noise", b"!!REQUEST_METADATA#", b"!!REQUEST_USERDATA#"]


def test_lines_come_out_whole_whether_fed_whole_byte_by_byte_or_with_more_behind() -> None:
    assert LineBuffer().feed(STREAM) == LINES

    buffer = LineBuffer()
    assert [line for byte in STREAM for line in buffer.feed(bytes([byte]))] == LINES

    buffer = LineBuffer()
    assert buffer.feed(STREAM) == LINES
    assert buffer.feed(b" a line\n!!more") == [b"!!half a line"]
    assert len(buffer) == len(b"!!more")


def test_an_unfinished_line_can_be_asked_how_much_of_a_packet_it_holds() -> None:
    buffer = LineBuffer()
    buffer.feed(b"!!RESPONSE_METADATA#aGk=\nlogin: !!RESPONSE_USER")
    assert buffer.size_from(b"!!RESPONSE_USERDATA#") == 0
    buffer.feed(b"DATA#aG")
    assert buffer.size_from(b"!!RESPONSE_USERDATA#") == 22
    assert buffer.size_from(b"!!RESPONSE_METADATA#") == 0
    buffer.feed(b"!!RESPONSE_USERDATA#")
    assert buffer.size_from(b"!!RESPONSE_USERDATA#") == 20


class CountedBytes(bytearray):
    """A buffer that counts the bytes that are searched."""

    searched = 0

    def rfind(self, *arguments: Any) -> int:
        self.searched += len(self) - (arguments[1] if len(arguments) > 1 else 0)
        return super().rfind(*arguments)


def test_to_ask_again_after_each_read_looks_at_each_byte_about_once() -> None:
    buffer = LineBuffer()
    buffer._rest = counted = CountedBytes()
    buffer.feed(b"!!RESPONSE_USERDATA#")
    for reads in range(1, 5001):
        buffer.feed(b"A" * 64)
        assert buffer.size_from(b"!!RESPONSE_USERDATA#") == 20 + 64 * reads
    # One byte less than what is sought, before what is new, is looked at again.
    assert counted.searched <= 20 + 5000 * (64 + 19)


@given(st.lists(st.sampled_from([b"!!A#", b"!", b"!A#", b"x", b"\n", b"!!A#!!A#", b"!!B#"])), st.booleans())
def test_what_is_found_bit_by_bit_is_what_is_found_at_once(pieces: List[bytes], changing: bool) -> None:
    buffer = LineBuffer(limit=30)
    for number, piece in enumerate(pieces):
        buffer.feed(piece)
        sought = b"!!B#" if changing and number % 2 else b"!!A#"
        start = buffer._rest.rfind(sought)
        assert buffer.size_from(sought) == (len(buffer) - start if start >= 0 else 0)


@given(st.lists(st.integers(0, len(STREAM))))
def test_cuts_in_the_stream_do_not_matter(cuts: List[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})
    buffer = LineBuffer()
    assert [line for a, b in zip(edges, edges[1:]) for line in buffer.feed(STREAM[a:b])] == LINES


def test_a_line_over_the_limit_is_dropped_counted_and_the_next_one_is_whole() -> None:
    buffer = LineBuffer(limit=10)
    assert buffer.feed(b"0123456789\n") == [b"0123456789"]
    assert buffer.feed(b"01234") == []
    assert buffer.feed(b"56789a") == []
    assert (len(buffer), buffer.dropped) == (0, 1)
    assert buffer.feed(b"still the long one") == []
    assert buffer.feed(b" its end\nnext\n") == [b"next"]
    assert buffer.dropped == 1


def test_a_flood_without_a_line_end_holds_no_memory() -> None:
    buffer = LineBuffer(limit=1000)
    for _ in range(1000):
        buffer.feed(b"x" * 999)
        assert len(buffer) <= 1000
    assert buffer.dropped == 1
