from typing import Any

import pytest

from vmw_cloudinit_metadata import network

MAC = "00:50:56:aa:bb:01"


def made(**sections: Any) -> network.Network | None:
    return network.from_raw({"version": 2, **sections})


def served(placeholders: bool = False, **sections: Any) -> dict[str, Any]:
    assert list(network.faults(made(**sections))) == []
    document = network.document(made(**sections), placeholders)
    assert document is not None
    return document


def card(**keys: Any) -> dict[str, Any]:
    found: dict[str, Any] = served(ethernets={"eth0": keys})["ethernets"]["eth0"]
    return found


def faults(device: Any, key: str = "eth0", section: str = "ethernets") -> list[str]:
    prefix = f"network.{section}."
    return [fault.removeprefix(prefix) for fault in network.faults(made(**{section: {key: device}}))]


def test_what_every_guest_takes_is_served_as_it_is() -> None:
    sections: dict[str, Any] = {
        "renderer": "networkd",
        "ethernets": {
            "lan0": {
                "match": {"macaddress": MAC},
                "set-name": "lan0",
                "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
                "gateway4": "192.0.2.1",
                "gateway6": "2001:db8::1",
                "nameservers": {"addresses": ["192.0.2.53"], "search": ["example.org"]},
                "routes": [
                    {"to": "198.51.100.0/24", "via": "192.0.2.2", "metric": 9},
                    {"to": "203.0.113.0/24", "scope": "link"},
                ],
                "mtu": 9000,
                "dhcp4": False,
                "accept-ra": False,
                "dhcp4-overrides": {"use-dns": False},
                "unknown": {"key": None},
            },
            "all others": {"match": {"name": "en*"}, "dhcp4": True, "dhcp6": True},
        },
        "bonds": {"bond0": {"interfaces": ["lan0"], "parameters": {"mode": "active-backup"}}},
    }
    assert served(**sections) == {"version": 2, **sections}
    assert served(placeholders=True, **sections) == {"version": 2, **sections}


def test_a_card_that_nothing_tells_from_others_is_told_by_its_place() -> None:
    cards: dict[str, Any] = {
        "eth0": {"dhcp4": True},
        "eth1": {"match": {"macaddress": MAC.upper()}, "dhcp4": True},
        "nic2": {"match": {}, "set-name": "lan2"},
        "nic3": {"match": None, "dhcp4": True},
    }
    assert served(placeholders=True, ethernets=cards)["ethernets"] == {
        "eth0": {"dhcp4": True, "match": {"macaddress": "@1"}, "set-name": "eth0"},
        "eth1": {"dhcp4": True, "match": {"macaddress": MAC}},
        "lan2": {"match": {"macaddress": "@3"}, "set-name": "lan2"},
        "nic3": {"dhcp4": True, "match": {"macaddress": "@4"}, "set-name": "nic3"},
    }
    assert served(ethernets=cards)["ethernets"] == {
        "eth0": {"dhcp4": True},
        "eth1": {"dhcp4": True, "match": {"macaddress": MAC}},
        "lan2": {},
        "nic3": {"dhcp4": True},
    }


def test_a_card_has_its_name_as_key_and_what_refers_to_it_follows() -> None:
    document = served(
        ethernets={
            "nic0": {"match": {"macaddress": MAC}, "set-name": "nic1"},
            "nic1": {"match": {"name": "ens224"}, "set-name": "nic0"},
            "ens256": {"match": {"name": "ens256"}},
        },
        bonds={"bond0": {"interfaces": ["nic0", "nic1", "ens256"], "parameters": {"primary": "nic0"}}},
        bridges={
            "br0": {
                "interfaces": ["nic1", "bond0"],
                "parameters": {
                    "path-cost": {"nic1": 5, "bond0": 6},
                    "port-priority": {"nic0": 1},
                    "stp": True,
                },
            }
        },
        vlans={"nic0.9": {"id": 9, "link": "nic0"}, "v8": {"id": 8, "link": "bond0"}},
        vrfs={"vrf0": {"table": 9, "interfaces": ["nic0"]}},
    )
    assert list(document["ethernets"]) == ["nic1", "nic0", "ens256"]
    assert document["bonds"]["bond0"] == {
        "interfaces": ["nic1", "nic0", "ens256"],
        "parameters": {"primary": "nic1"},
    }
    assert document["bridges"]["br0"] == {
        "interfaces": ["nic0", "bond0"],
        "parameters": {"path-cost": {"nic0": 5, "bond0": 6}, "port-priority": {"nic1": 1}, "stp": True},
    }
    assert document["vlans"] == {"nic0.9": {"id": 9, "link": "nic1"}, "v8": {"id": 8, "link": "bond0"}}
    assert document["vrfs"]["vrf0"]["interfaces"] == ["nic1"]


@pytest.mark.parametrize("to", ["default", "0.0.0.0/0"])
def test_a_default_route_of_ipv4_leads_to_all_addresses(to: str) -> None:
    route = {"via": "192.0.2.1", "metric": 5, "on-link": True}
    assert card(addresses=["192.0.2.10/24"], routes=[{"to": to, **route}])["routes"] == [
        {"to": "0.0.0.0/0", **route}
    ]


@pytest.mark.parametrize("to", ["default", "::/0"])
def test_a_default_route_of_ipv6_is_a_gateway_beside_a_static_address(to: str) -> None:
    other = {"to": "2001:db8:1::/48", "via": "2001:db8::2"}
    static = card(addresses=["2001:db8::10/64"], routes=[{"to": to, "via": "fe80::1", "metric": 5}, other])
    assert static == {"addresses": ["2001:db8::10/64"], "routes": [other], "gateway6": "fe80::1"}
    assert card(dhcp6=True, routes=[{"to": to, "via": "fe80::1"}])["routes"] == [
        {"to": "::/0", "via": "fe80::1"}
    ]


@pytest.mark.parametrize(
    "keys",
    [
        {"gateway6": "fe80::2", "routes": [{"to": "default", "via": "fe80::1"}]},
        {"routes": [{"to": "default", "via": "fe80::1", "table": 9}]},
    ],
)
def test_a_default_route_of_ipv6_that_is_more_than_a_gateway_stays_a_route(keys: Any) -> None:
    shown = card(addresses=["2001:db8::10/64"], **keys)
    assert shown["routes"] == [{**keys["routes"][0], "to": "::/0"}]
    assert shown.get("gateway6") == keys.get("gateway6")


def test_mac_addresses_are_in_lower_case() -> None:
    assert card(match={"macaddress": MAC.upper()}, macaddress="00:50:56:AA:BB:FF") == {
        "match": {"macaddress": MAC},
        "macaddress": "00:50:56:aa:bb:ff",
    }


@pytest.mark.parametrize(
    ("device", "sentences"),
    [
        ("dhcp", ["eth0: is not a mapping"]),
        ({"match": "ens*"}, ["eth0.match: is not a mapping"]),
        ({"match": {"macaddress": 5}}, ["eth0.match.macaddress: is not the MAC address of a card,"]),
        (
            {"set-name": "a b", "macaddress": "x", "mtu": "1", "dhcp4": "yes", "gateway4": "x"},
            [
                "eth0.set-name: is not the name of an interface,",
                "eth0.macaddress: is not the MAC address of a card,",
                "eth0.mtu: is not a whole number from 68",
                "eth0.dhcp4: is neither true nor false",
                "eth0.gateway4: is neither an IPv4 nor an IPv6 address",
            ],
        ),
        ({"addresses": "192.0.2.10/24"}, ["eth0.addresses: is not a list"]),
        (
            {"addresses": ["192.0.2.10", "192.0.2.300/24", {"2001:db8::10/64": {"label": "x"}}, {}]},
            [
                "eth0.addresses[0]: has no prefix length, such as /24",
                "eth0.addresses[1]: is not an IPv4 address",
                "eth0.addresses[3]: is neither an IPv4 nor an IPv6 address",
            ],
        ),
        (
            {"nameservers": ["192.0.2.53"]},
            ["eth0.nameservers: is not a mapping with addresses, search or both"],
        ),
        (
            {"nameservers": {"addresses": ["x"], "search": "example.org"}},
            [
                "eth0.nameservers.addresses[0]: is neither an IPv4 nor an IPv6 address",
                "eth0.nameservers.search: is not a list",
            ],
        ),
        ({"routes": {}}, ["eth0.routes: is not a list"]),
        ({"routes": ["default"]}, ["eth0.routes[0]: is not a mapping"]),
        (
            {"routes": [{"to": "default"}, {"to": "198.51.100.7/24", "via": "192.0.2.1"}]},
            ["eth0.routes[0]: via is missing", "eth0.routes[1].to: is not a network; write 198.51.100.0/24"],
        ),
        (
            {"routes": [{"to": "2001:db8::/32", "via": "192.0.2.1"}]},
            ["eth0.routes[0]: to and via are not of one version of IP"],
        ),
    ],
)
def test_what_guests_fail_at_is_a_fault(device: Any, sentences: list[str]) -> None:
    found = faults(device)
    assert len(found) == len(sentences), found
    for fault, sentence in zip(found, sentences, strict=True):
        assert fault.startswith(sentence)


def test_a_key_is_the_name_of_a_card_unless_something_else_tells_it() -> None:
    assert faults({"dhcp4": True}, "my card")[0].startswith("my card: is not the name of an interface")
    assert faults({}, "my bond", "bonds")[0].startswith("my bond: is not the name of an interface")
    assert faults({"match": {"macaddress": MAC}}, "my card") == []
    assert faults({"set-name": "lan0"}, "my card") == []


def test_what_refers_to_others_refers_to_devices_that_there_are_by_key_or_by_name() -> None:
    sections: dict[str, Any] = {
        "ethernets": {"nic0": {"match": {"macaddress": MAC}, "set-name": "lan0"}, "eth1": {}},
        "bonds": {"bond0": {"interfaces": ["lan0", "eth1"]}},
        "bridges": {"br0": {"interfaces": ["bond0", "eth9", 5]}, "br1": {"interfaces": "eth1"}},
        "vlans": {"v9": {"id": 9, "link": "nic0"}, "v8": {"id": 8, "link": "ens192"}},
    }
    assert list(network.faults(made(**sections))) == [
        "network.bridges.br1.interfaces: is not a list",
        "network.bridges.br0.interfaces[1]: is the name of no device here",
        "network.bridges.br0.interfaces[2]: is the name of no device here",
        "network.vlans.v8.link: is the name of no device here",
    ]


def test_two_devices_have_not_one_name() -> None:
    cards = {"lan0": {}, "nic1": {"set-name": "lan0"}}
    assert list(network.faults(made(ethernets=cards))) == [
        "network.ethernets.nic1: has the name of network.ethernets.lan0, too"
    ]


def test_sections_are_known_and_one_has_a_device() -> None:
    assert list(network.faults(made(ethernet={}))) == [
        "network.ethernet: is not a known key (known: ethernets, bonds, bridges, vlans, dummy-devices,"
        " modems, nm-devices, openvswitch, tunnels, virtual-ethernets, vrfs, wifis)",
        "network: has no device in it; leave it out where the guest's image is to decide",
    ]
    assert list(network.faults(made(ethernets=["eth0"]))) == [
        "network.ethernets: is not a mapping of names to devices"
    ]


def test_what_netplan_alone_takes_is_doubtful() -> None:
    tunnels = made(ethernets={"eth0": {}}, tunnels={"tun0": {"mode": "gre"}})
    assert list(network.faults(tunnels)) == []
    assert list(network.warnings(tunnels)) == [
        "network.tunnels: is taken by guests with netplan only; cloud-init fails on others"
    ]
