"""Cards as a network-config of version 1; what cloud-init makes of it is seen in test_seeds.py."""

from typing import Any

import pytest

from vmw_cloudinit_metadata import network


def document(raw: Any, placeholders: bool = False) -> dict[str, Any]:
    made = network.from_raw(raw)
    assert list(network.faults(made)) == []
    rendered = network.document(made, placeholders)
    assert rendered is not None
    assert rendered["version"] == 1
    return rendered


def subnets(raw: dict[str, Any]) -> list[dict[str, Any]]:
    (device,) = (device for device in document(raw)["config"] if device["type"] == "physical")
    found: list[dict[str, Any]] = device["subnets"]
    return found


def test_an_ipv4_address_is_written_in_two_as_by_0_0_8_and_an_ipv6_address_in_one() -> None:
    raw = {"address": ["192.0.2.10/25", "2001:DB8::10/64"], "gateway": ["2001:db8::1", "192.0.2.1"]}
    assert subnets(raw) == [
        {"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.128", "gateway": "192.0.2.1"},
        {"type": "static", "address": "2001:db8::10/64", "gateway": "2001:db8::1"},
    ]


def test_what_comes_by_dhcp_and_slaac_stands_behind_what_is_static() -> None:
    raw = {"dhcp4": True, "dhcp6": True, "slaac": True, "address": "192.0.2.10/24"}
    assert [subnet["type"] for subnet in subnets(raw)] == ["static", "dhcp4", "dhcp6", "ipv6_slaac"]
    assert subnets({"slaac": True, "dhcp4": False}) == [{"type": "ipv6_slaac"}]


def test_ipv4_stands_first_so_that_ifupdown_takes_the_mtu_for_the_card_s() -> None:
    raw = {"address": ["2001:db8::10/64", "192.0.2.10/24", "2001:db8::11/64", "192.0.2.11/24"]}
    assert [subnet["address"] for subnet in subnets(raw)] == [
        *("192.0.2.10", "192.0.2.11", "2001:db8::10/64", "2001:db8::11/64"),
    ]


def test_a_gateway_stands_beside_the_first_address_of_its_version_of_ip() -> None:
    raw = {"address": ["2001:db8::10/64", "192.0.2.10/24", "192.0.2.11/24"], "gateway": "192.0.2.1"}
    assert [subnet.get("gateway") for subnet in subnets(raw)] == ["192.0.2.1", None, None]


def test_dns_stands_in_one_place_beside_a_static_address() -> None:
    raw = {
        "dhcp4": True,
        "address": "2001:db8::10/64",
        "search": "a.example b.example",
        "nameservers": ["192.0.2.53", "2001:db8::53"],
    }
    dns = {"dns_search": ["a.example", "b.example"], "dns_nameservers": ["192.0.2.53", "2001:db8::53"]}
    assert subnets(raw) == [{"type": "static", "address": "2001:db8::10/64", **dns}, {"type": "dhcp4"}]
    assert len(document(raw)["config"]) == 1


def test_routes_stand_beside_an_address_of_their_version_of_ip() -> None:
    routes = [
        {"to": "2001:db8:1::/48", "via": "2001:db8::2"},
        {"to": "198.51.100.0/24", "via": "192.0.2.2", "metric": 0},
        {"to": "default", "via": "192.0.2.3", "metric": 9},
        {"to": "default", "via": "2001:db8::1"},
    ]
    raw = {"dhcp4": True, "address": "2001:db8::10/64", "routes": routes}
    assert subnets(raw) == [
        {
            "type": "static",
            "address": "2001:db8::10/64",
            "gateway": "2001:db8::1",
            "routes": [{"network": "2001:db8:1::", "netmask": "48", "gateway": "2001:db8::2"}],
        },
        {
            "type": "dhcp4",
            "routes": [
                {
                    "network": "198.51.100.0",
                    "netmask": "255.255.255.0",
                    "gateway": "192.0.2.2",
                    "metric": 0,
                },
                {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.3", "metric": 9},
            ],
        },
    ]


def test_dns_without_a_static_address_stands_there_for_the_whole_guest_too() -> None:
    cards = [
        {"dhcp4": True, "nameservers": ["192.0.2.53", "192.0.2.54"], "search": ["example.org"]},
        {"address": "198.51.100.10/24", "nameservers": ["192.0.2.54", "198.51.100.53"]},
    ]
    first, _, dns = document(cards)["config"]
    assert first["subnets"] == [
        {"type": "dhcp4", "dns_nameservers": ["192.0.2.53", "192.0.2.54"], "dns_search": ["example.org"]}
    ]
    assert dns == {
        "type": "nameserver",
        "address": ["192.0.2.53", "192.0.2.54", "198.51.100.53"],
        "search": ["example.org"],
    }


@pytest.mark.parametrize("placeholders", [True, False])
def test_cards_are_told_apart_by_mac_address_or_by_place(placeholders: bool) -> None:
    cards = [
        {"dhcp4": True},
        {"dhcp4": True, "mac": "00:50:56:AA:BB:CC", "mtu": 9000},
        {"dhcp4": True, "name": "lan0"},
    ]
    seen = [
        (device["name"], device.get("mac_address"), device.get("mtu"))
        for device in document(cards, placeholders)["config"]
    ]
    first, third = ("@1", "@3") if placeholders else (None, None)
    assert seen == [("eth0", first, None), ("eth1", "00:50:56:aa:bb:cc", 9000), ("lan0", third, None)]


def test_what_is_not_there_is_left_out() -> None:
    device = {"type": "physical", "name": "eth0", "subnets": [{"type": "dhcp4"}]}
    assert document({"dhcp4": True}) == {"version": 1, "config": [device]}
