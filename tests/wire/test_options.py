import zlib
from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_wire import Packet, PacketError, decode, encode, options

PAIRS = [("v", "2"), ("run", "7c01aa52"), ("id", "5f3a9c01")]


def test_a_request_carries_its_options_as_payload_with_the_sum_of_code_and_options() -> None:
    packet = options.request("REQUEST_METADATA", PAIRS)
    text = b"v=2;run=7c01aa52;id=5f3a9c01"
    total = f"{zlib.crc32(b'REQUEST_METADATA#' + text):08x}".encode()
    assert packet == Packet("REQUEST_METADATA", text + b";sum=" + total)
    assert options.read_request(packet) == dict(PAIRS)


def test_an_answer_carries_them_as_third_field_with_the_sum_of_its_line() -> None:
    packet = options.answer("RESPONSE_METADATA", b"{}", [("v", "2"), ("status", "ok")])
    line = b"!!RESPONSE_METADATA#e30=#v=2;status=ok"
    assert encode(packet, end=b"") == line + b";sum=%08x" % zlib.crc32(line)
    assert options.read_answer(decode(encode(packet))) == {"v": "2", "status": "ok"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"anything a driver of its own takes",
        b";sum=00000000",
        b"v=2",
        b"v=2;sum=00000000",
        b"v=2;sum=0000000",
        "v=2;ü;sum=00000000".encode(),
        b"\xff;sum=00000000",
    ],
)
def test_a_payload_that_is_not_of_version_2_has_no_options(payload: bytes) -> None:
    assert options.read_request(Packet("REQUEST_METADATA", payload)) is None
    assert options.read_answer(Packet("RESPONSE_METADATA", payload)) is None


def test_the_sum_of_another_code_is_wrong() -> None:
    packet = options.request("REQUEST_METADATA", PAIRS)
    assert options.read_request(packet._replace(code="REQUEST_USERDATA")) is None


def test_a_value_may_hold_equals_signs_and_unknown_keys_are_kept() -> None:
    packet = options.request("REQUEST_X", [("v", "2"), ("new", "a=b")])
    assert options.read_request(packet) == {"v": "2", "new": "a=b"}


def test_of_a_key_that_stands_there_twice_the_first_one_counts() -> None:
    packet = options.request("REQUEST_X", [("id", "1"), ("id", "2")])
    assert options.read_request(packet) == {"id": "1"}


@pytest.mark.parametrize("pair", [("a", "b;c"), ("a", "b#c"), ("a", "!!"), ("a", "ü"), ("", ""), ("A b", "")])
def test_what_would_break_the_line_apart_is_refused(pair: Tuple[str, str]) -> None:
    with pytest.raises(PacketError):
        options.request("REQUEST_X", [pair])
    with pytest.raises(PacketError):
        options.answer("RESPONSE_X", b"", [pair])
    with pytest.raises(PacketError):
        options.end_answer(options.begin_answer("RESPONSE_X", b""), [pair])


values = st.text(st.characters(min_codepoint=32, max_codepoint=126, blacklist_characters="#!;"), max_size=20)
pairs_of_any_kind = st.lists(
    st.tuples(st.from_regex("[a-z][a-z0-9-]{0,8}", fullmatch=True), values), min_size=1
)


@given(pairs_of_any_kind, st.binary(max_size=200))
def test_what_is_sent_is_what_is_read(pairs: List[Tuple[str, str]], payload: bytes) -> None:
    expected = dict(reversed(pairs))
    assert options.read_request(decode(encode(options.request("REQUEST_X", pairs)))) == expected
    assert options.read_answer(decode(encode(options.answer("RESPONSE_X", payload, pairs)))) == expected


@given(pairs_of_any_kind, st.binary(max_size=200))
def test_a_line_that_is_begun_once_ends_as_each_answer_does(
    pairs: List[Tuple[str, str]], payload: bytes
) -> None:
    begun = options.begin_answer("RESPONSE_X", payload)
    for some in (pairs, pairs[:1]):
        assert options.end_answer(begun, some) == encode(options.answer("RESPONSE_X", payload, some))


@given(st.binary(max_size=40), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_of_a_line_is_never_taken_for_another_answer(
    payload: bytes, where: int, change: int
) -> None:
    packet = options.answer("RESPONSE_USERDATA", payload, [("v", "2"), ("status", "ok"), ("offset", "0")])
    line = bytearray(encode(packet, end=b""))
    line[where % len(line)] ^= change
    try:
        changed = decode(bytes(line))
    except PacketError:
        return
    assert options.read_answer(changed) is None
