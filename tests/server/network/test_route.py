from typing import Any

import pytest

from vmw_cloudinit_metadata.network.route import ROUTE_KEYS, Route, route_problems

AT = ("network", "routes", 0)


def made(**values: Any) -> Route:
    route = Route.of(*(values.get(key) for key in ROUTE_KEYS))
    assert route is not None
    return route


@pytest.mark.parametrize(
    ("to", "via", "written"),
    [
        ("198.51.100.0/24", "192.0.2.1", ("198.51.100.0", "255.255.255.0")),
        ("198.51.100.7", "192.0.2.1", ("198.51.100.7", "255.255.255.255")),
        ("2001:db8:1::/48", "2001:db8::1", ("2001:db8:1::", "48")),
        ("default", "192.0.2.1", ("0.0.0.0", "0.0.0.0")),
        ("default", "fe80::1", ("::", "0")),
    ],
)
def test_a_route_is_written_as_network_and_netmask(to: str, via: str, written: tuple[str, str]) -> None:
    route = made(to=to, via=via)
    assert route.written() == written
    assert route.version == (6 if ":" in via else 4)
    assert list(route_problems({"to": to, "via": via}, AT)) == []


@pytest.mark.parametrize(("to", "default"), [("default", True), ("0.0.0.0/0", True), ("0.0.0.0/1", False)])
def test_a_route_to_everything_is_a_default_one(to: str, default: bool) -> None:
    assert made(to=to, via="192.0.2.1", metric=5).is_default is default
    assert made(to=to, via="192.0.2.1", metric=5).metric == 5


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("198.51.100.0/24", [(AT, "is not a route such as {to: 198.51.100.0/24, via: 192.0.2.1}")]),
        ({}, [(AT, "to is missing"), (AT, "via is missing")]),
        (
            {"to": "x", "via": 5, "metric": "1", "gateway": "192.0.2.1"},
            [
                ((*AT, "gateway"), "is not a known key (known: to, via, metric)"),
                ((*AT, "to"), "is neither a network such as 198.51.100.0/24 nor default"),
                ((*AT, "via"), "is neither an IPv4 nor an IPv6 address"),
                ((*AT, "metric"), "is not a whole number from 0 to 4294967295"),
            ],
        ),
        (
            {"to": "2001:db8::/32", "via": "192.0.2.1"},
            [(AT, "to and via are not of one version of IP")],
        ),
    ],
)
def test_what_is_no_route_is_said_to_be_none(raw: Any, found: list[Any]) -> None:
    assert list(route_problems(raw, AT)) == found
    if isinstance(raw, dict):
        assert Route.of(*(raw.get(key) for key in ROUTE_KEYS)) is None
