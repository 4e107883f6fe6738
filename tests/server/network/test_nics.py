"""What several cards must not share, and what is doubtful."""

from typing import Any

import pytest

from vmw_cloudinit_metadata import network

LAN: dict[str, Any] = {"address": "192.0.2.10/24"}
DMZ: dict[str, Any] = {"address": "198.51.100.10/24"}


def faults(*cards: dict[str, Any]) -> list[str]:
    return list(network.faults(network.from_raw(list(cards))))


def warnings(*cards: dict[str, Any]) -> list[str]:
    made = network.from_raw(list(cards) if len(cards) > 1 else cards[0])
    assert list(network.faults(made)) == []
    return list(network.warnings(made))


def test_two_cards_are_without_fault_and_without_doubt() -> None:
    assert warnings({**LAN, "gateway": "192.0.2.1"}, DMZ) == []


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ({"name": "lan0"}, {"name": "lan0"}, "network[1].name: is that of network[0], too"),
        ({"name": "eth1"}, {}, "network[1].name: is that of network[0], too"),
        (
            {"mac": "00:50:56:aa:bb:cc"},
            {"mac": "00:50:56:AA:BB:CC"},
            "network[1].mac: is that of network[0], too",
        ),
    ],
)
def test_no_two_cards_have_one_name_or_one_mac(
    first: dict[str, Any], second: dict[str, Any], sentence: str
) -> None:
    assert faults({**LAN, **first}, {**DMZ, **second}) == [sentence]


def test_the_faults_of_each_card_are_told_by_its_place_in_the_list() -> None:
    assert faults(LAN, {"mac": 5}) == [
        "network[1].mac: is not the MAC address of a card, such as 00:50:56:01:02:03",
        "network[1]: has none of address, dhcp4, dhcp6 and slaac",
    ]
    assert faults({"mtu": 1}) == [
        "network[0].mtu: is not a whole number from 68 to 65535",
        "network[0]: has none of address, dhcp4, dhcp6 and slaac",
    ]


def test_a_list_has_cards_in_it() -> None:
    assert faults() == ["network: is an empty list; leave it out where the guest's image is to decide"]


FAR = "is outside the card's networks, which guests with netplan or networkd take from cloud-init 25 on"
LOST = "is lost on guests with netplan, Ubuntu's: use a whole network-config of version 2 there"


@pytest.mark.parametrize(
    ("card", "sentences"),
    [
        ({**LAN, "gateway": "203.0.113.1"}, [f"network.gateway: 203.0.113.1 {FAR}"]),
        ({"address": "2001:db8::10/64", "gateway": "fe80::1"}, []),
        (
            {"address": "2001:db8::10/64", "gateway": "2001:db8:1::1"},
            [f"network.gateway: 2001:db8:1::1 {FAR}"],
        ),
        (
            {"address": "192.0.2.0/24"},
            ["network.address: has 192.0.2.0, which is the address of the network 192.0.2.0/24"],
        ),
        (
            {"address": "192.0.2.255/24"},
            ["network.address: has 192.0.2.255, the broadcast address of the network 192.0.2.0/24"],
        ),
        ({"address": "192.0.2.0/31"}, []),
        ({"address": "192.0.2.1/32"}, []),
        ({"address": "2001:db8::/64"}, []),
        (
            {"address": ["192.0.2.10/24", "192.0.2.10/24"]},
            ["network.address: has 192.0.2.10, as network.address has"],
        ),
        ({**LAN, "mtu": 576}, []),
        (
            {"dhcp4": True, "mtu": 1400},
            ["network.mtu: without a static IPv4 address, is left out on guests with ifupdown, Debian's"],
        ),
        ({**LAN, "slaac": True, "mtu": 1279}, ["network.mtu: is less than the 1280 bytes that IPv6 needs"]),
        (
            {**LAN, "nameservers": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]},
            ["network.nameservers: has more than 3, and resolvers ask no others"],
        ),
        ({**LAN, "routes": [{"to": "203.0.113.0/24", "via": "192.0.2.9"}]}, []),
        (
            {**LAN, "routes": [{"to": "203.0.113.0/24", "via": "198.51.100.9"}]},
            ["network.routes[0].via: 198.51.100.9 is outside the card's networks"],
        ),
        ({**LAN, "dhcp4": True, "routes": [{"to": "203.0.113.0/24", "via": "198.51.100.9"}]}, []),
        (
            {
                "dhcp4": True,
                "nameservers": ["192.0.2.53"],
                "routes": [{"to": "203.0.113.0/24", "via": "192.0.2.9"}],
            },
            [
                f"network.nameservers: without a static address, {LOST}",
                f"network.routes[0]: without a static IPv4 address, {LOST}",
            ],
        ),
        ({"dhcp4": True, "search": "example.org"}, [f"network.search: without a static address, {LOST}"]),
        ({**LAN, "slaac": True, "search": "example.org", "nameservers": ["2001:db8::53"]}, []),
    ],
)
def test_what_is_doubtful_about_a_card_is_said(card: dict[str, Any], sentences: list[str]) -> None:
    assert warnings(card) == sentences


def test_what_is_doubtful_about_cards_together_is_said() -> None:
    assert warnings(
        {**LAN, "gateway": "192.0.2.1"},
        {"address": ["192.0.2.10/24", "2001:db8::10/64"], "gateway": ["192.0.2.1", "2001:db8::1"]},
    ) == [
        "network[1].address: has 192.0.2.10, as network[0].address has",
        "network[1].gateway: rivals that of network[0], of IPv4 too; routes have metrics",
    ]


def test_a_card_is_not_parsed_again_for_each_of_its_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 1,600 addresses and routes that took two minutes.
    parsed = []
    gateways = network.InstanceNetworkData.gateways

    def count(card: network.InstanceNetworkData) -> Any:
        parsed.append(card)
        return gateways(card)

    monkeypatch.setattr(network.InstanceNetworkData, "gateways", count)
    routes = [{"to": f"198.51.100.{number}/32", "via": "203.0.113.1"} for number in range(50)]
    assert len(warnings({**LAN, "routes": routes})) == 50
    assert len(parsed) < 10
