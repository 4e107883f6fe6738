import ipaddress
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.checks import (
    address_fault,
    destination_fault,
    metric_fault,
    mtu_fault,
    netmask_fault,
    own_address_fault,
    parse_address,
    parse_destination,
    parse_own_address,
    parse_time,
    parse_uuid,
    path_text,
    time_fault,
    token_fault,
    truth_fault,
    uuid_fault,
)

VC_UUID = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")


@pytest.mark.parametrize("value", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1"])
def test_some_addresses_are_no_machines(value: str) -> None:
    assert address_fault(value) == "is not the address of one machine"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("192.0.2", "is not an IPv4 address"),
        ("192.0.2.1/24", "is not an IPv4 address"),
        ("192.0.2.01", "is not an IPv4 address"),
        ("2001:db8::/64", "is not an IPv6 address"),
        ("2001:db8::g", "is not an IPv6 address"),
        ("fe80::1%eth0", "is not an IPv6 address"),
        ("", "is neither an IPv4 nor an IPv6 address"),
        (" 192.0.2.1", "is neither an IPv4 nor an IPv6 address"),
        (3221225985, "is neither an IPv4 nor an IPv6 address"),
        (ipaddress.ip_interface("192.0.2.1/24"), "is neither an IPv4 nor an IPv6 address"),
    ],
)
def test_what_is_no_address_is_said_to_be_none(value: Any, what: str) -> None:
    assert address_fault(value) == what


@pytest.mark.parametrize("value", ["192.0.2.1", "127.0.0.53", "::1", "fe80::1", "2001:DB8::1"])
def test_an_address_is_text_or_an_object(value: str) -> None:
    assert address_fault(value) is None
    assert parse_address(value) == parse_address(ipaddress.ip_address(value)) == ipaddress.ip_address(value)


def test_the_longest_address_is_read_and_nothing_longer() -> None:
    longest = ":".join(["ffff"] * 6) + ":255.255.255.254"
    assert len(longest) == 45
    assert parse_address(longest) is not None
    assert parse_address(longest + "0") is None
    assert parse_address("1" * 1_000_000) is None


@pytest.mark.parametrize(
    ("value", "address", "prefix"),
    [
        ("192.0.2.1", "192.0.2.1", None),
        ("192.0.2.1/24", "192.0.2.1", 24),
        ("192.0.2.1/32", "192.0.2.1", 32),
        ("2001:db8::1/64", "2001:db8::1", 64),
        ("2001:db8::1/128", "2001:db8::1", 128),
        (ipaddress.ip_interface("192.0.2.1/24"), "192.0.2.1", 24),
        (ipaddress.ip_address("2001:db8::1"), "2001:db8::1", None),
    ],
)
def test_an_own_address_may_have_a_prefix_length(value: Any, address: str, prefix: int | None) -> None:
    assert own_address_fault(value) is None
    assert parse_own_address(value) == (ipaddress.ip_address(address), prefix)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("192.0.2.300/24", "is not an IPv4 address"),
        ("192.0.2.1/33", "has no prefix length from 1 to 32 behind its slash"),
        ("192.0.2.1/0", "has no prefix length from 1 to 32 behind its slash"),
        ("192.0.2.1/", "has no prefix length from 1 to 32 behind its slash"),
        ("192.0.2.1/+24", "has no prefix length from 1 to 32 behind its slash"),
        ("192.0.2.1/255.255.255.0", "has no prefix length from 1 to 32 behind its slash"),
        ("2001:db8::1/129", "has no prefix length from 1 to 128 behind its slash"),
        ("2001:db8::1/64/64", "has no prefix length from 1 to 128 behind its slash"),
        ("ff02::1/64", "is not the address of one machine"),
        ("dhcp", "is neither an IPv4 nor an IPv6 address"),
        (24, "is neither an IPv4 nor an IPv6 address"),
        (None, "is neither an IPv4 nor an IPv6 address"),
    ],
)
def test_what_is_no_own_address_is_said_to_be_none(value: Any, what: str) -> None:
    assert own_address_fault(value) == what
    assert parse_own_address(value) is None or "machine" in what


@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("198.51.100.7", "198.51.100.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8:1::/48", "2001:db8:1::/48"),
        (ipaddress.ip_network("198.51.100.0/24"), "198.51.100.0/24"),
    ],
)
def test_a_route_leads_to_a_network_or_one_machine(value: Any, network: str) -> None:
    assert destination_fault(value) is None
    assert parse_destination(value) == ipaddress.ip_network(network)


def test_a_route_may_lead_to_everything() -> None:
    assert destination_fault("default") is None


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("198.51.100.7/24", "is not a network; write 198.51.100.0/24"),
        ("198.51.100.0/255.255.255.0", "is not a network; write 198.51.100.0/24"),
        ("2001:db8::1/64", "is not a network; write 2001:db8::/64"),
        ("Default", "is neither a network such as 198.51.100.0/24 nor default"),
        ("198.51.100.0/33", "is neither a network such as 198.51.100.0/24 nor default"),
        ("fe80::%eth0/64", "is neither a network such as 198.51.100.0/24 nor default"),
        ("", "is neither a network such as 198.51.100.0/24 nor default"),
        (24, "is neither a network such as 198.51.100.0/24 nor default"),
        (None, "is neither a network such as 198.51.100.0/24 nor default"),
    ],
)
def test_what_is_no_destination_is_said_to_be_none(value: Any, what: str) -> None:
    assert destination_fault(value) == what


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (mtu_fault, [68, 1500, 65535], [67, 65536, "1500", True, 1500.0, None]),
        (metric_fault, [0, 100, 2**32 - 1], [-1, 2**32, "100", True, None]),
        (truth_fault, [True, False], [0, 1, "true", "yes", None]),
    ],
)
def test_numbers_and_truth_values_are_no_text(check: Any, good: list[Any], bad: list[Any]) -> None:
    assert [check(value) for value in good] == [None] * len(good)
    assert None not in [check(value) for value in bad]


def test_a_path_is_written_as_people_do_on_one_line() -> None:
    assert path_text(()) == ""
    assert path_text(("network", 1, "nameservers", 0)) == "network[1].nameservers[0]"
    assert path_text(("a\nb", "c")) == "a\\nb.c"


@pytest.mark.parametrize("prefix", range(1, 33))
def test_a_netmask_is_ones_then_zeros(prefix: int) -> None:
    mask = ipaddress.IPv4Network(f"0.0.0.0/{prefix}").netmask
    assert netmask_fault(mask) is None
    assert netmask_fault(str(mask)) is None


@pytest.mark.parametrize("value", ["255.0.255.0", "0.0.0.255", "0.0.0.0", "24", 24, None, "255.255.255.256"])
def test_anything_else_is_no_netmask(value: Any) -> None:
    assert netmask_fault(value) == "is not a netmask such as 255.255.255.0"


@pytest.mark.parametrize(
    "text",
    [
        "5012ab34-cd56-4e78-9012-3456789abcde",
        "5012AB34-CD56-4E78-9012-3456789ABCDE",
        "5012ab34cd564e7890123456789abcde",
        "50 12 ab 34 cd 56 4e 78-90 12 34 56 78 9a bc de",
        " {5012ab34-cd56-4e78-9012-3456789abcde}\n",
    ],
)
def test_a_uuid_may_be_written_in_any_usual_way(text: str) -> None:
    assert parse_uuid(text) == VC_UUID
    assert uuid_fault(text) is None


def test_a_uuid_is_one_already() -> None:
    assert parse_uuid(VC_UUID) is VC_UUID


@pytest.mark.parametrize("value", ["", "5012ab34", "g" * 32, "5" * 33, "\uff15" * 32, 5, None, b"5" * 32])
def test_anything_else_is_no_uuid(value: Any) -> None:
    assert parse_uuid(value) is None
    assert uuid_fault(value) == "is not a UUID"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-12-31T18:00:00Z", datetime(2030, 12, 31, 18, tzinfo=UTC)),
        ("2030-12-31 18:00", datetime(2030, 12, 31, 18, tzinfo=UTC)),
        ("2030-12-31", datetime(2030, 12, 31, tzinfo=UTC)),
        ("2030-12-31T18:00+05:30", datetime(2030, 12, 31, 18, tzinfo=timezone(timedelta(hours=5.5)))),
    ],
)
def test_a_time_without_a_zone_is_utc_and_a_day_begins_at_midnight(text: str, moment: datetime) -> None:
    parsed = parse_time(text)
    assert parsed == moment
    assert parsed.tzinfo is not None
    assert time_fault(text) is None


@pytest.mark.parametrize(
    "value", ["", "tomorrow", "2030-02-30", "18:00", "2030-12-31T25:00", 1924970400, None]
)
def test_anything_else_is_no_time(value: Any) -> None:
    assert parse_time(value) is None
    assert time_fault(value) == "is not a time such as 2030-12-31T18:00:00Z"


@pytest.mark.parametrize("value", ["12345678", "correct-horse", "a" * 128, "AZaz09-._~+/=="])
def test_a_token_is_what_a_uri_holds_as_it_stands(value: str) -> None:
    assert token_fault(value) is None


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "is not 8 to 128 characters long"),
        ("1234567", "is not 8 to 128 characters long"),
        ("a" * 129, "is not 8 to 128 characters long"),
        ("correct horse", "has a character other than letters, digits and - . _ ~ + / ="),
        ("correct&horse", "has a character other than letters, digits and - . _ ~ + / ="),
        ("100%horse", "has a character other than letters, digits and - . _ ~ + / ="),
        ("pferd-öse", "has a character other than letters, digits and - . _ ~ + / ="),
        ("correct-horse\n", "has a character other than letters, digits and - . _ ~ + / ="),
        (12345678, "is not text"),
        (b"correct-horse", "is not text"),
    ],
)
def test_anything_else_is_no_token(value: Any, sentence: str) -> None:
    assert token_fault(value) == sentence


@given(st.text() | st.binary() | st.integers() | st.none())
def test_whatever_is_checked_nothing_is_raised(value: Any) -> None:
    for check in (token_fault, uuid_fault, time_fault, address_fault, netmask_fault):
        fault = check(value)
        assert fault is None or fault.startswith(("is ", "has "))
