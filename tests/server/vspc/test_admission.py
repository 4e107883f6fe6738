import ipaddress
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.vspc.admission import (
    MAX_TOKENS,
    Admission,
    Tokens,
    is_allowed,
    is_loopback,
    parse_network,
)

SECRET = "correct-horse"


# Networks


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
    ],
)
def test_a_network_is_written_as_usual(text: str, network: str) -> None:
    assert parse_network(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize(
    "text", ["", "esx-01", "192.0.2", "192.0.2.0/33", "[::1]", "192.0.2.1-9", "192.0.2.0/24/24"]
)
def test_anything_else_is_no_network(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_network(text)
    assert str(caught.value) == f"'{text}' is not a network such as 192.0.2.0/24 or 2001:db8::/32"


def test_an_address_with_the_length_of_a_network_is_ambiguous() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_network("192.0.2.7/24")
    assert str(caught.value) == "'192.0.2.7/24' is not a network: write 192.0.2.0/24, or 192.0.2.7 alone"


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.255", True),
        ("::ffff:192.0.2.1", True),
        ("192.0.3.0", False),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("fe80::1%eth0", True),
        ("gone", False),
        ("", False),
    ],
)
def test_an_address_is_allowed_in_any_of_the_networks(address: str, allowed: bool) -> None:
    networks = [parse_network(text) for text in ("192.0.2.0/24", "2001:db8::/32", "fe80::/10")]
    assert is_allowed(address, networks) is allowed


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True)),
        *(("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("gone", False)),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


# Connections


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_who_comes_from_elsewhere_is_refused_and_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    admission = Admission([parse_network("192.0.2.0/24")], most=2, most_per_address=None)
    for _ in range(3):
        assert not admission.admit("198.51.100.7")
    assert admission.admit("192.0.2.7")
    assert admission.admit("192.0.2.7")
    # One line for the three: who is refused tries again at once.
    assert messages(caplog) == ["refused 1 connection: 198.51.100.7 is in no network that --allow names"]


def test_strangers_do_not_hide_that_the_limit_is_reached(caplog: pytest.LogCaptureFixture) -> None:
    admission = Admission([parse_network("192.0.2.0/24")], most=1, most_per_address=None)
    assert admission.admit("192.0.2.7")
    for _ in range(3):
        assert not admission.admit("198.51.100.7")
        assert not admission.admit("192.0.2.8")
    assert messages(caplog) == [
        "refused 1 connection: 198.51.100.7 is in no network that --allow names",
        "refused 1 connection: 1 connections are open, which is the limit",
    ]


def test_a_place_is_free_again_when_its_connection_has_ended() -> None:
    admission = Admission((), most=2, most_per_address=1)
    assert admission.admit("192.0.2.7")
    assert not admission.admit("192.0.2.7")
    assert admission.admit("192.0.2.8")
    assert not admission.admit("192.0.2.9")
    admission.dismiss("192.0.2.7")
    assert admission.admit("192.0.2.7")
    admission.dismiss("192.0.2.7")
    admission.dismiss("192.0.2.8")
    assert admission._by_address == {}


# Tokens


def test_without_tokens_everyone_is_accepted() -> None:
    tokens = Tokens()
    assert not tokens
    assert tokens.accept("")
    assert tokens.accept("anything")
    tokens.reload()


def test_one_of_several_tokens_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# the new one\n{SECRET}-2\n\n  {SECRET}  # until March\n")
    tokens = Tokens(file=file)
    assert tokens
    assert [tokens.accept(token) for token in (SECRET, f"{SECRET}-2")] == [True, True]
    assert [tokens.accept(token) for token in ("", SECRET[:-1], f"{SECRET}-3", "größe\ud800")] == [False] * 4
    assert SECRET not in repr(tokens)


def test_a_file_is_read_again_and_one_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(SECRET)
    tokens = Tokens(file=file)
    file.write_text("battery-staple")
    assert tokens.accept(SECRET)
    tokens.reload()
    assert not tokens.accept(SECRET)
    file.write_text("")
    with pytest.raises(ConfigurationError):
        tokens.reload()
    assert tokens.accept("battery-staple")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "FILE: holds no token; one a line"),
        (b"# none\n\n", "FILE: holds no token; one a line"),
        (b"correct-horse\nhunter2\n", "FILE:2: the token is not 8 to 128 characters long"),
        (
            b"hunter2 hunter2\n",
            "FILE:1: the token has a character other than letters, digits and - . _ ~ + / =",
        ),
        (b"correct-horse-\xff", "FILE: not UTF-8 text"),
        (b"correct-horse\n" * (MAX_TOKENS + 1), "FILE: holds 65 tokens; at most 64 are accepted"),
    ],
)
def test_a_file_without_usable_tokens_is_a_sentence_that_quotes_none(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Tokens(file=file)
    assert str(caught.value).replace(str(file), "FILE") == sentence


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Tokens(file=tmp_path / "missing")
    assert str(caught.value) == f"cannot read {tmp_path}/missing: No such file or directory"


def test_a_token_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Tokens(["hunter2"])
    assert str(caught.value) == "the token is not 8 to 128 characters long"
