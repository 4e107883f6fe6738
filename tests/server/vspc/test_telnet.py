import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.vspc.telnet import (
    Decoder,
    Malformed,
    Negotiation,
    Negotiator,
    Option,
    Suboption,
    Token,
    Verb,
    escape,
    escape_nvt,
)

WILL_BINARY = Negotiation(Verb.WILL, Option.BINARY)


def joined(tokens: Iterable[Token]) -> list[Token]:
    """Join data tokens that stand side by side: where the stream was cut does not matter."""
    result: list[Token] = []
    for token in tokens:
        if isinstance(token, bytes) and result and isinstance(last := result[-1], bytes):
            result[-1] = last + token
        else:
            result.append(token)
    return result


def binary(max_suboption: int = 4096) -> Decoder:
    decoder = Decoder(max_suboption)
    decoder.binary = True
    return decoder


STREAM = (
    b"one\xff\xfb\x00two\xff\xff\xff\xfa\xe8\x52web\xff\xff01\xff\xf0\xff\xf1"
    b"\xff\xff\xff\xffthree\xff\xfd\xff\xff\xfe\x03\x00\x11four"
)
TOKENS = [
    b"one",
    WILL_BINARY,
    b"two\xff",
    Suboption(232, b"\x52web\xff01"),
    b"\xff\xffthree",
    Negotiation(Verb.DO, 255),
    Negotiation(Verb.DONT, Option.SUPPRESS_GO_AHEAD),
    b"\x00\x11four",
]


def test_a_stream_is_cut_into_tokens_whole_byte_by_byte_and_with_more_behind() -> None:
    assert joined(binary().feed(STREAM)) == TOKENS

    decoder = binary()
    assert joined(token for byte in STREAM for token in decoder.feed(bytes([byte]))) == TOKENS

    decoder = binary()
    assert joined(decoder.feed(STREAM + b"\xff")) == TOKENS
    assert joined(decoder.feed(b"\xfb\x00")) == [WILL_BINARY]


@given(st.lists(st.integers(0, len(STREAM))))
def test_cuts_in_the_stream_do_not_matter(cuts: list[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})
    decoder = binary()
    pieces = (STREAM[a:b] for a, b in itertools.pairwise(edges))
    assert joined(token for piece in pieces for token in decoder.feed(piece)) == TOKENS


@given(st.binary())
def test_escaped_data_comes_back_as_it_was(data: bytes) -> None:
    assert b"".join(token for token in binary().feed(escape(data)) if isinstance(token, bytes)) == data
    assert b"".join(token for token in Decoder().feed(escape_nvt(data)) if isinstance(token, bytes)) == data


@given(st.integers(0, 255), st.binary())
def test_a_suboption_comes_back_as_it_was(option: int, content: bytes) -> None:
    # An option of 255 cannot be told from a doubled IAC; no standard uses it with a suboption.
    if option < 255:
        assert list(binary().feed(bytes(Suboption(option, content)))) == [Suboption(option, content)]


def test_a_suboption_does_not_show_its_content() -> None:
    assert "hunter2" not in repr(Suboption(232, b"FCuri?token=hunter2"))


@given(st.lists(st.binary()), st.booleans())
def test_garbage_yields_tokens_and_never_raises(pieces: list[bytes], is_binary: bool) -> None:
    decoder = Decoder(max_suboption=20)
    decoder.binary = is_binary
    for piece in pieces:
        for token in decoder.feed(piece):
            assert isinstance(token, bytes | Negotiation | Suboption | Malformed)


def test_commands_of_two_bytes_are_passed_over() -> None:
    no_operation, go_ahead, are_you_there, end_of_suboption = (
        b"\xff\xf1",
        b"\xff\xf9",
        b"\xff\xf6",
        b"\xff\xf0",
    )
    stream = b"a" + no_operation + go_ahead + b"b" + are_you_there + end_of_suboption + b"c"
    assert joined(binary().feed(stream)) == [b"abc"]


def test_without_binary_cr_nul_is_cr_also_when_the_two_come_apart() -> None:
    assert joined(Decoder().feed(b"a\r\x00b\r\nc\x00d")) == [b"a\rb\r\nc\x00d"]
    decoder = Decoder()
    assert [list(decoder.feed(piece)) for piece in (b"a\r", b"\x00", b"\x00b")] == [[b"a\r"], [], [b"\x00b"]]
    decoder = Decoder()
    assert [list(decoder.feed(piece)) for piece in (b"a\r\xff\xf1\x00b",)] == [[b"a\r", b"b"]]


def test_with_binary_nul_and_xon_are_data() -> None:
    assert list(binary().feed(b"\r\x00\x11\x13\x00")) == [b"\r\x00\x11\x13\x00"]


def test_a_nul_behind_a_cr_of_binary_data_is_data_also_after_binary() -> None:
    decoder = Decoder()
    received = list(decoder.feed(b"\r"))
    for is_binary, data in ((True, b"x"), (False, b"\x00"), (True, b"\r"), (False, b"\x00")):
        decoder.binary = is_binary
        received += decoder.feed(data)
    assert received == [b"\r", b"x", b"\x00", b"\r", b"\x00"]


def test_binary_holds_for_the_byte_behind_the_negotiation() -> None:
    decoder = Decoder()
    received = []
    for token in decoder.feed(b"\r\x00" + bytes(WILL_BINARY) + b"\r\x00"):
        decoder.binary = decoder.binary or token == WILL_BINARY
        received.append(token)
    assert received == [b"\r", WILL_BINARY, b"\r\x00"]


def test_without_binary_a_bare_cr_is_sent_as_cr_nul() -> None:
    assert escape_nvt(b"a\rb\r\nc\r") == b"a\r\x00b\r\nc\r\x00"


def test_a_suboption_over_the_limit_is_dropped_and_what_follows_is_whole() -> None:
    decoder = binary(max_suboption=10)
    exactly, longer = Suboption(232, b"0123456789"), Suboption(232, b"0123456789a")
    assert list(decoder.feed(bytes(exactly))) == [exactly]
    tokens = [token for byte in bytes(longer) + b"data" for token in decoder.feed(bytes([byte]))]
    assert joined(tokens) == [Malformed("a suboption longer than 10 bytes was dropped"), b"data"]


def test_a_suboption_without_an_end_is_dropped() -> None:
    lost_its_end = b"\xff\xfa\xe8\x52web" + bytes(WILL_BINARY) + b"data"
    assert list(binary().feed(lost_its_end)) == [Malformed("a suboption without an end was dropped"), b"data"]


def test_a_suboption_that_begins_in_another_one_is_whole() -> None:
    stream = b"\xff\xfa\xe8\x52lost its end" + bytes(Suboption(232, b"\x52web")) + b"data"
    tokens = [Malformed("a suboption without an end was dropped"), Suboption(232, b"\x52web"), b"data"]
    assert list(binary().feed(stream)) == tokens
    decoder = binary()
    assert joined(token for byte in stream for token in decoder.feed(bytes([byte]))) == tokens


def test_the_limit_of_a_suboption_does_not_outlive_one_that_was_dropped() -> None:
    decoder = binary(max_suboption=10)
    stream = b"\xff\xfa\xe8" + b"x" * 20 + bytes(Suboption(232, b"short"))
    assert list(decoder.feed(stream))[1:] == [Suboption(232, b"short")]


def test_a_flood_of_one_suboption_holds_no_memory() -> None:
    decoder = binary(max_suboption=100)
    assert list(decoder.feed(b"\xff\xfa\xe8")) == []
    for _ in range(100):
        assert list(decoder.feed(b"x" * 10_000)) == []
    assert decoder._suboption is not None
    assert len(decoder._suboption) <= 101


# Negotiation (RFC 1143): `we` perform BINARY when asked, and let the peer perform BINARY and VMWARE-EXT.


class Side:
    """One of two sides, and what it has agreed on so far."""

    def __init__(self, ours: Iterable[int], theirs: Iterable[int]) -> None:
        self.negotiator = Negotiator(frozenset(ours), frozenset(theirs))

    def offer(self, option: int) -> list[Negotiation]:
        return self._go_on(self.negotiator.offer(option))

    def request(self, option: int) -> list[Negotiation]:
        return self._go_on(self.negotiator.request(option))

    def receive(self, negotiation: Negotiation) -> list[Negotiation]:
        return self._go_on(self.negotiator.receive(negotiation))

    def performs(self, option: int) -> bool:
        return self.negotiator.performs(option)

    def peer_performs(self, option: int) -> bool:
        return self.negotiator.peer_performs(option)

    def _go_on(self, step: tuple[Negotiator, Negotiation | None]) -> list[Negotiation]:
        self.negotiator, said = step
        return [] if said is None else [said]


@pytest.fixture
def we() -> Side:
    return Side({Option.BINARY}, {Option.BINARY, Option.VMWARE_EXT})


def test_an_offer_we_like_is_accepted_once(we: Side) -> None:
    offer = Negotiation(Verb.WILL, Option.VMWARE_EXT)
    assert we.receive(offer) == [Negotiation(Verb.DO, Option.VMWARE_EXT)]
    assert we.peer_performs(Option.VMWARE_EXT)
    assert we.receive(offer) == []


def test_an_offer_we_do_not_like_is_refused_every_time(we: Side) -> None:
    offer = Negotiation(Verb.WILL, Option.AUTHENTICATION)
    for _ in range(2):
        assert we.receive(offer) == [Negotiation(Verb.DONT, Option.AUTHENTICATION)]
        assert not we.peer_performs(Option.AUTHENTICATION)


def test_a_request_is_answered_alike(we: Side) -> None:
    assert we.receive(Negotiation(Verb.DO, Option.BINARY)) == [Negotiation(Verb.WILL, Option.BINARY)]
    assert we.performs(Option.BINARY)
    assert we.receive(Negotiation(Verb.DO, Option.BINARY)) == []
    assert we.receive(Negotiation(Verb.DO, 99)) == [Negotiation(Verb.WONT, 99)]


def test_an_answer_to_our_question_is_not_answered(we: Side) -> None:
    assert we.request(Option.BINARY) == [Negotiation(Verb.DO, Option.BINARY)]
    assert not we.peer_performs(Option.BINARY)
    assert we.request(Option.BINARY) == []
    assert we.receive(Negotiation(Verb.WILL, Option.BINARY)) == []
    assert we.peer_performs(Option.BINARY)
    assert we.offer(Option.BINARY) == [Negotiation(Verb.WILL, Option.BINARY)]
    assert we.receive(Negotiation(Verb.DO, Option.BINARY)) == []
    assert we.performs(Option.BINARY)


def test_a_refusal_of_our_question_is_not_answered(we: Side) -> None:
    we.request(Option.BINARY)
    assert we.receive(Negotiation(Verb.WONT, Option.BINARY)) == []
    assert not we.peer_performs(Option.BINARY)
    assert we.request(Option.BINARY) == [Negotiation(Verb.DO, Option.BINARY)]


def test_what_was_agreed_can_be_taken_back(we: Side) -> None:
    we.receive(Negotiation(Verb.WILL, Option.BINARY))
    assert we.receive(Negotiation(Verb.WONT, Option.BINARY)) == [Negotiation(Verb.DONT, Option.BINARY)]
    assert not we.peer_performs(Option.BINARY)
    assert we.receive(Negotiation(Verb.WONT, Option.BINARY)) == []


NEGOTIATIONS = st.builds(Negotiation, st.sampled_from(Verb), st.sampled_from([0, 3, 37, 232]))
QUESTIONS = st.builds(
    lambda side, option: (side, option), st.sampled_from(["offer", "request"]), st.sampled_from([0, 3])
)


@given(st.lists(QUESTIONS), st.lists(QUESTIONS), st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_two_negotiators_end_in_agreement_and_never_loop(
    asks: list[tuple[str, int]], other_asks: list[tuple[str, int]], ours: set[int], theirs: set[int]
) -> None:
    one = Side(ours, theirs)
    other = Side(theirs, {0})
    to_other = [n for side, option in asks for n in getattr(one, side)(option)]
    to_one = [n for side, option in other_asks for n in getattr(other, side)(option)]
    for _ in range(20):
        to_other, to_one = (
            [n for received in to_one for n in one.receive(received)],
            [n for received in to_other for n in other.receive(received)],
        )
    # `to_other` was replaced before `other` had read it in the first round: both lists were taken at once.
    assert (to_other, to_one) == ([], [])
    for option in (0, 3):
        assert one.performs(option) == other.peer_performs(option)
        assert other.performs(option) == one.peer_performs(option)


def test_what_was_agreed_before_stays_as_it_was(we: Side) -> None:
    before = we.negotiator
    we.receive(Negotiation(Verb.WILL, Option.BINARY))
    assert we.negotiator.peer_performs(Option.BINARY)
    assert not before.peer_performs(Option.BINARY)


def test_connections_that_agree_on_the_same_share_it(we: Side) -> None:
    opened = we.negotiator
    said = [Negotiation(verb, Option.BINARY) for verb in (Verb.WILL, Verb.DO)]
    ends = []
    for order in (said, reversed(said)):
        we.negotiator = opened
        for each in order:
            we.receive(each)
        ends.append(we.negotiator)
    assert ends[0] is ends[1]
    we.receive(Negotiation(Verb.WONT, Option.BINARY))
    we.receive(Negotiation(Verb.DONT, Option.BINARY))
    assert we.negotiator is opened


@given(st.lists(st.one_of(NEGOTIATIONS, QUESTIONS)))
def test_a_peer_fills_no_memory(said: list[Negotiation | tuple[str, int]]) -> None:
    first = Negotiator(frozenset({0}), frozenset({0, 232}))
    we = Side((), ())
    we.negotiator = first
    for each in said:
        _ = we.receive(each) if isinstance(each, Negotiation) else getattr(we, each[0])(each[1])
    for verb, option in itertools.product(Verb, range(256)):
        we.receive(Negotiation(verb, option))
    others = first._others.values()
    assert len(others) <= 3**5  # three options of two sides, and two that we ask for all the same
    assert all(len(each._steps) <= len(Verb) * len(Option) for each in others)


@given(st.lists(NEGOTIATIONS))
def test_each_received_negotiation_gets_one_answer_at_most(received: list[Negotiation]) -> None:
    side = Side({0}, {0, 232})
    for negotiation in received:
        assert len(side.receive(negotiation)) <= 1


def test_negotiations_have_a_text_for_the_log() -> None:
    assert str(WILL_BINARY) == "WILL BINARY"
    assert str(Negotiation(Verb.DONT, 99)) == "DONT 99"
