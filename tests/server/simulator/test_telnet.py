import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.simulator.telnet import (
    MAX_SUBOPTION,
    Data,
    Malformed,
    Negotiated,
    Option,
    Suboption,
    Telnet,
    Token,
    Verb,
)

BINARY_BOTH_WAYS = b"\xff\xfb\x00\xff\xfd\x00"


def client() -> Telnet:
    return Telnet(held=frozenset())


def read(telnet: Telnet, *chunks: bytes) -> list[Token]:
    """Return the tokens of these reads, neighbouring data joined: where a read ends means nothing."""
    tokens: list[Token] = []
    for chunk in chunks:
        for token in telnet.receive_data(chunk):
            if isinstance(token, Data) and tokens and isinstance(tokens[-1], Data):
                token = Data(tokens.pop().data + token.data)  # type: ignore[union-attr]
            if token != Data(b""):
                tokens.append(token)
    return tokens


STREAM = [
    (b"hello", [Data(b"hello")]),
    (b"\xff\xff", [Data(b"\xff")]),
    (b"a\xff\xffb\xff\xff\xff\xff", [Data(b"a\xffb\xff\xff")]),
    (b"\xff\xfd\x18", [Negotiated(Verb.DO, 24)]),
    (b"\xff\xfb\xff", [Negotiated(Verb.WILL, 255)]),
    (b"\xff\xfa\xe8\x29\x01\xff\xff\x02\xff\xf0", [Suboption(232, b"\x29\x01\xff\x02")]),
    (b"\xff\xfa\xe8\xff\xff\xff\xf0", [Suboption(232, b"\xff")]),
    (b"a\xff\xf1b\xff\xf9c", [Data(b"abc")]),
    (b"\xff\xf0", []),
    (b"\xff\xfa\xff\xf0", [Malformed("a suboption has no option")]),
    (
        b"\xff\xfa\xe8\x29\xff\xfd\x00x",
        [Malformed("a suboption ends without IAC SE"), Negotiated(Verb.DO, 0), Data(b"x")],
    ),
    (b"a\r\x00b\r\nc\rd", [Data(b"a\rb\r\nc\rd")]),
    (b"\r\x00\x00\r\r\x00", [Data(b"\r\x00\r\r")]),
    (b"\r\xff\xf1\x00x", [Data(b"\rx")]),
]


@pytest.mark.parametrize(("stream", "tokens"), STREAM, ids=lambda row: "")
def test_a_stream_means_the_same_whole_byte_by_byte_and_with_more_behind(
    stream: bytes, tokens: list[Token]
) -> None:
    assert read(client(), stream) == tokens
    assert read(client(), *(stream[i : i + 1] for i in range(len(stream)))) == tokens
    more = [*tokens, Negotiated(Verb.DONT, 99), Data(b"more")]
    assert read(client(), stream + b"\xff\xfe\x63more") == more


@given(st.lists(st.binary(min_size=1)))
def test_garbage_is_read_the_same_however_it_is_cut(chunks: list[bytes]) -> None:
    assert read(client(), *chunks) == read(client(), b"".join(chunks))


# Bytes that mean something come up more often than by chance.
@given(
    st.lists(st.sampled_from([b"\xff", b"\xfa", b"\xf0", b"\xe8", b"\xfb", b"\xfd", b"\r", b"\x00", b"a"]))
)
def test_commands_in_any_order_are_read_the_same_however_they_are_cut(chunks: list[bytes]) -> None:
    assert read(client(), *chunks) == read(client(), b"".join(chunks))


@given(st.binary())
def test_what_is_sent_comes_back_without_binary(data: bytes) -> None:
    telnet = client()
    telnet.send_data(data)
    sent = telnet.data_to_send()
    assert b"\r" not in sent.replace(b"\r\x00", b"")
    assert read(client(), sent) == ([Data(data)] if data else [])


@given(st.binary(min_size=1))
def test_in_binary_mode_every_byte_but_iac_passes_unchanged(data: bytes) -> None:
    telnet = client()
    read(telnet, BINARY_BOTH_WAYS)
    assert telnet.data_to_send() == b"\xff\xfd\x00\xff\xfb\x00"
    telnet.send_data(data)
    escaped = data.replace(b"\xff", b"\xff\xff")
    assert telnet.data_to_send() == escaped
    assert read(telnet, escaped) == [Data(data)]


def test_data_before_binary_was_agreed_is_read_by_the_old_rule() -> None:
    assert read(client(), b"\r\x00" + b"\xff\xfb\x00" + b"\r\x00") == [
        Data(b"\r"),
        Negotiated(Verb.WILL, 0),
        Data(b"\r\x00"),
    ]


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_an_endless_suboption_is_dropped_and_the_stream_goes_on(size: int) -> None:
    telnet = client()
    chunk = b"\xff\xff" * size + b"x" * size
    assert read(telnet, b"\xff\xfa\xe8", *([chunk] * (3 * MAX_SUBOPTION // size + 1))) == []
    assert read(telnet, b"\xff\xff\xff", b"\xf0after") == [
        Malformed(f"a suboption is longer than {MAX_SUBOPTION} bytes"),
        Data(b"after"),
    ]
    assert read(telnet, b"\xff\xfa\xe8\x47\xff\xf0") == [Suboption(232, b"\x47")]


def test_a_suboption_of_the_greatest_size_is_read_byte_by_byte() -> None:
    content = b"\xff" * MAX_SUBOPTION
    stream = b"\xff\xfa" + content * 2 + b"\xff\xf0"
    whole = [Suboption(255, content[1:])]
    assert read(client(), stream) == whole
    assert read(client(), stream[:-3], stream[-3:-1], stream[-1:]) == whole
    assert read(client(), stream[:-2] + b"\xff\xff" + stream[-2:]) == [
        Malformed(f"a suboption is longer than {MAX_SUBOPTION} bytes")
    ]


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (b"\xff\xfb\x00", b"\xff\xfd\x00"),  # WILL BINARY: DO
        (b"\xff\xfd\x03", b"\xff\xfb\x03"),  # DO SGA: WILL
        (b"\xff\xfb\x01", b"\xff\xfe\x01"),  # WILL ECHO: DONT
        (b"\xff\xfd\x18", b"\xff\xfc\x18"),  # DO TERMINAL-TYPE: WONT
        (b"\xff\xfe\x00", b""),  # DONT, WONT of what is off: nothing
        (b"\xff\xfc\x00", b""),
        (b"\xff\xfd\x00" * 3, b"\xff\xfb\x00"),  # what is on already is not answered again
        (b"\xff\xfb\x00" * 3, b"\xff\xfd\x00"),
        (b"\xff\xfd\x00\xff\xfe\x00\xff\xfe\x00", b"\xff\xfb\x00\xff\xfc\x00"),  # and is turned off once
        (b"\xff\xfb\x00\xff\xfc\x00\xff\xfc\x00", b"\xff\xfd\x00\xff\xfe\x00"),
    ],
    ids=lambda row: "",
)
def test_a_request_is_answered_once(received: bytes, answer: bytes) -> None:
    telnet = client()
    read(telnet, received)
    assert telnet.data_to_send() == answer


@pytest.mark.parametrize(("verb", "agreed"), [(b"\xfd", True), (b"\xfe", False)])
def test_the_answer_to_an_offer_is_not_answered(verb: bytes, agreed: bool) -> None:
    telnet = client()
    telnet.offer(Option.COM_PORT)
    telnet.offer(Option.COM_PORT)
    assert telnet.data_to_send() == b"\xff\xfb\x2c"
    read(telnet, b"\xff" + verb + b"\x2c")
    assert telnet.data_to_send() == b""
    assert (Option.COM_PORT in telnet.ours) is agreed


def test_a_held_option_is_offered_when_it_is_released() -> None:
    telnet = Telnet(held=frozenset({Option.VMWARE_EXT}))
    assert telnet.data_to_send() == b""
    telnet.release(Option.VMWARE_EXT)
    assert telnet.data_to_send() == b"\xff\xfb\xe8"
    assert Option.VMWARE_EXT not in telnet.ours


@pytest.mark.parametrize(
    ("asked", "in_force"), [(b"\xff\xfd\xe8", True), (b"\xff\xfd\xe8\xff\xfe\xe8", False)]
)
def test_a_held_option_that_was_asked_for_is_in_force_when_released(asked: bytes, in_force: bool) -> None:
    telnet = Telnet(held=frozenset({Option.VMWARE_EXT}))
    read(telnet, asked)
    assert telnet.data_to_send() == b""
    telnet.release(Option.VMWARE_EXT)
    assert telnet.data_to_send() == b"\xff\xfb\xe8"
    assert (Option.VMWARE_EXT in telnet.ours) is in_force


@given(st.lists(st.sampled_from(Option)), st.lists(st.sampled_from(Option)), st.binary(max_size=20))
def test_two_of_them_never_make_a_loop(offers: list[Option], others: list[Option], noise: bytes) -> None:
    left, right = client(), client()
    for option in offers:
        left.offer(option)
    for option in others:
        right.offer(option)
    read(left, noise + b"\xff\xf0")
    for _ in range(3):
        read(right, left.data_to_send())
        read(left, right.data_to_send())
    assert left.data_to_send() == right.data_to_send() == b""


def test_the_payload_shows_in_no_repr() -> None:
    for token in (Data(b"secret"), Suboption(232, b"secret")):
        assert "secret" not in repr(token)
