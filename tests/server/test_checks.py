import ipaddress
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.checks import (
    address_fault,
    netmask_fault,
    parse_time,
    parse_uuid,
    time_fault,
    token_fault,
    uuid_fault,
)

VC_UUID = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")


@pytest.mark.parametrize("value", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1"])
def test_some_addresses_are_no_machines(value: str) -> None:
    assert address_fault(value) == "is not the address of one machine"


@pytest.mark.parametrize(
    "value", ["192.0.2", "192.0.2.1/24", "192.0.2.01", "::1", "", " 192.0.2.1", 3221225985]
)
def test_what_is_not_an_ipv4_address_is_said_to_be_none(value: Any) -> None:
    assert address_fault(value) == "is not an IPv4 address"


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
