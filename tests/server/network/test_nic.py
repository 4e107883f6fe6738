import ipaddress
from typing import Any

import pytest

from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.network import NETWORK_KEYS, InstanceNetworkData

STATIC = {"address": "192.0.2.10/24"}


def faults(raw: dict[str, Any]) -> list[str]:
    return list(InstanceNetworkData(raw).faults())


@pytest.mark.parametrize(
    "raw",
    [
        {"address": "192.0.2.10", "netmask": "255.255.255.0"},
        {"address": "192.0.2.10/24"},
        {"address": "192.0.2.10/24", "netmask": "255.255.255.0"},
        {"address": ["192.0.2.10/24", "198.51.100.10/25"], "gateway": "192.0.2.1"},
        {"address": ["192.0.2.10", "2001:db8::10/64"], "netmask": "255.255.255.0"},
        {"address": ["192.0.2.10/24", "2001:db8::10/64"], "gateway": ["192.0.2.1", "fe80::1"]},
        {"address": ipaddress.ip_interface("192.0.2.10/24"), "gateway": ipaddress.ip_address("192.0.2.1")},
        {"dhcp4": True},
        {"dhcp6": True},
        {"slaac": True},
        {"dhcp4": True, "slaac": True, "nameservers": ["192.0.2.53", "2001:db8::53"]},
        {"dhcp4": True, "address": "2001:db8::10/64", "gateway": "2001:db8::1"},
        {"dhcp4": True, "routes": [{"to": "default", "via": "192.0.2.1"}]},
        {
            **STATIC,
            "mtu": 9000,
            "search": "example.org",
            "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.2"}],
        },
        {**STATIC, "gateway": "192.0.2.1", "routes": [{"to": "default", "via": "192.0.2.2", "metric": 9}]},
        {**STATIC, "mac": "00:50:56:AA:BB:CC", "name": "lan0"},
        {**STATIC, "netmask": None, "mtu": None, "routes": None, "dhcp4": None},
    ],
)
def test_a_whole_card_has_no_fault(raw: dict[str, Any]) -> None:
    assert faults(raw) == []


@pytest.mark.parametrize(
    ("raw", "sentences"),
    [
        ({}, ["network: has none of address, dhcp4, dhcp6 and slaac"]),
        ({"dhcp4": False, "address": []}, ["network: has none of address, dhcp4, dhcp6 and slaac"]),
        (
            {"address": "192.0.2.10"},
            ["network.netmask: is missing, and address has no prefix length, such as /24"],
        ),
        ({"address": "2001:db8::10"}, ["network.address: has no prefix length, such as /64"]),
        (
            {"address": ["192.0.2.10", "2001:db8::10"], "netmask": "255.255.255.0"},
            ["network.address[1]: has no prefix length, such as /64"],
        ),
        (
            {"address": "192.0.2.10/25", "netmask": "255.255.255.0"},
            ["network.address: has another prefix length than netmask, which is /24"],
        ),
        (
            {"address": "2001:db8::10/64", "netmask": "255.255.255.0"},
            ["network.netmask: is there without an IPv4 address"],
        ),
        (
            {"dhcp4": True, "gateway": "192.0.2.1"},
            ["network.gateway: needs an IPv4 address in address"],
        ),
        (
            {**STATIC, "gateway": ["192.0.2.1", "2001:db8::1", "192.0.2.2"]},
            [
                "network.gateway[1]: needs an IPv6 address in address",
                "network.gateway[2]: is the second IPv4 gateway; routes can have a metric",
            ],
        ),
        (
            {**STATIC, "nameservers": ["192.0.2.53", "2001:db8::53"]},
            ["network.nameservers[1]: is IPv6, which this card has not: no address, DHCP or SLAAC"],
        ),
        (
            {"slaac": True, "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.1"}]},
            ["network.routes[0]: is IPv4, which this card has not: no address, DHCP or SLAAC"],
        ),
        (
            {**STATIC, "gateway": "192.0.2.1", "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.2"}]},
            ["network.routes[0]: is the second IPv4 gateway; give it a metric"],
        ),
        (
            {
                **STATIC,
                "mac": "x",
                "name": "a b",
                "netmask": "24",
                "dhcp4": "yes",
                "mtu": "1500",
                "gateway": 5,
                "search": [""],
                "nameservers": "192.0.2.53",
                "routes": {},
            },
            [
                "network.mac: is not the MAC address of a card, such as 00:50:56:01:02:03",
                "network.name: is not the name of an interface, such as eth0"
                " (at most 15 letters, digits and . _ -)",
                "network.netmask: is not a netmask such as 255.255.255.0",
                "network.dhcp4: is neither true nor false",
                "network.mtu: is not a whole number from 68 to 65535",
                "network.gateway: is neither an IPv4 nor an IPv6 address",
                "network.search[0]: is empty",
                "network.nameservers: is not a list",
                "network.routes: is not a list",
            ],
        ),
    ],
)
def test_every_fault_is_a_sentence_with_its_key(raw: dict[str, Any], sentences: list[str]) -> None:
    assert faults(raw) == (sentences)


def test_an_address_that_nobody_understands_brings_no_other_faults_with_it() -> None:
    raw = {"address": ["192.0.2.10/24", "2001:db8::g/64"], "gateway": "2001:db8::1", "nameservers": ["::1"]}
    assert faults(raw) == ["network.address[1]: is not an IPv6 address"]


def test_a_card_is_built_empty_and_filled_by_attributes() -> None:
    card = InstanceNetworkData()
    assert (card.address, card.dhcp4, card.dhcp6, card.slaac, card.mtu) == (None, False, False, False, None)
    card.address = ["192.0.2.10/24"]
    card.routes.append({"to": "default", "via": "192.0.2.1"})
    assert list(card.faults()) == []


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"ip": "x"}, f"network[1]: no such key: ip (known: {', '.join(NETWORK_KEYS)})"),
        ("dhcp", "network[1]: is a str, not a mapping"),
    ],
)
def test_what_is_no_dictionary_of_a_card_is_refused(raw: Any, sentence: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        InstanceNetworkData(raw, "network[1]")
    assert str(caught.value) == sentence


def test_a_route_to_everything_is_the_gateway_where_there_is_a_static_address() -> None:
    routes = [{"to": "default", "via": "192.0.2.1"}, {"to": "198.51.100.0/24", "via": "192.0.2.2"}]
    static = InstanceNetworkData({**STATIC, "routes": routes})
    assert {version: str(address) for version, address in static.gateways().items()} == {4: "192.0.2.1"}
    assert [str(route.to) for route in static.ways()] == ["198.51.100.0/24"]
    dynamic = InstanceNetworkData({"dhcp4": True, "routes": routes})
    assert dynamic.gateways() == {}
    assert [str(route.to) for route in dynamic.ways()] == ["0.0.0.0/0", "198.51.100.0/24"]


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    card = InstanceNetworkData({**STATIC, "address": ["192.0.2.10/24"], "routes": [{"to": "default"}]})
    other = card.copy()
    assert isinstance(other.address, list)
    other.address.append("2001:db8::10/64")
    other.routes.clear()
    other.search.append("example.org")
    assert (card.address, card.routes, card.search) == (["192.0.2.10/24"], [{"to": "default"}], [])


def test_a_repr_shows_the_addresses() -> None:
    card = InstanceNetworkData({"address": ["192.0.2.10/24", "2001:db8::10/64"], "dhcp4": True})
    assert repr(card) == "<InstanceNetworkData 192.0.2.10/24 2001:db8::10/64 dhcp4>"
    assert repr(InstanceNetworkData()) == "<InstanceNetworkData without an address>"
