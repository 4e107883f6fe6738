from typing import Any

import pytest

from vmw_cloudinit_metadata import network


def made(*devices: Any) -> network.Network | None:
    return network.from_raw({"version": 1, "config": list(devices)})


def faults(*devices: Any) -> list[str]:
    return list(network.faults(made(*devices)))


def served(*devices: Any, placeholders: bool = False) -> list[dict[str, Any]]:
    assert faults(*devices) == []
    document = network.document(made(*devices), placeholders)
    assert document is not None
    config: list[dict[str, Any]] = document["config"]
    return config


def card(*subnets: Any, **keys: Any) -> dict[str, Any]:
    return {"type": "physical", "name": "eth0", "subnets": list(subnets), **keys}


def subnet_served(**subnet: Any) -> dict[str, Any]:
    (device,) = served(card(subnet))
    served_subnet: dict[str, Any] = device["subnets"][0]
    return served_subnet


def test_what_every_guest_takes_is_served_as_it_is() -> None:
    devices = [
        card(
            {"type": "dhcp4", "metric": 5},
            {"type": "static", "address": "192.0.2.10/24", "dns_search": ["example.org"], "control": "auto"},
            {"type": "ipv6_slaac"},
            mac_address="00:50:56:aa:bb:cc",
            mtu=9000,
            unknown={"key": None},
        ),
        {"type": "vlan", "name": "eth0.9", "vlan_id": 9, "vlan_link": "eth0"},
        {"type": "bond", "name": "bond0", "bond_interfaces": ["eth0"], "params": {"bond-mode": 1}},
        {"type": "loopback", "name": "lo"},
        {"type": "nameserver", "address": "192.0.2.53", "search": "example.org", "interface": "eth0"},
    ]
    assert served(*devices) == devices


def test_cards_are_told_apart_by_mac_address_in_lower_case_or_by_place() -> None:
    devices = [
        card(name="eth0"),
        {"type": "loopback", "name": "lo"},
        card(name="eth1", mac_address="00:50:56:AA:BB:CC"),
        card(name="eth2", mac_address=None),
        {"type": "bond", "name": "bond0", "bond_interfaces": [], "mac_address": "00:50:56:AA:BB:DD"},
    ]
    macs = [device.get("mac_address") for device in served(*devices, placeholders=True)]
    assert macs == ["@1", None, "00:50:56:aa:bb:cc", "@3", "00:50:56:aa:bb:dd"]
    assert [device.get("mac_address") for device in served(*devices)] == [None, None, macs[2], None, macs[4]]


@pytest.mark.parametrize(
    ("route", "written"),
    [
        ({"network": "198.51.100.0/24"}, {"network": "198.51.100.0", "netmask": "255.255.255.0"}),
        ({"destination": "198.51.100.0/24"}, {"network": "198.51.100.0", "netmask": "255.255.255.0"}),
        (
            {"network": "198.51.100.0", "netmask": "255.255.255.0", "metric": 9},
            {"network": "198.51.100.0", "netmask": "255.255.255.0", "metric": 9},
        ),
        ({"network": "198.51.100.0", "prefix": 24}, {"network": "198.51.100.0", "netmask": "255.255.255.0"}),
        ({"network": "0.0.0.0", "netmask": "0.0.0.0"}, {"network": "0.0.0.0", "netmask": "0.0.0.0"}),
        ({"network": "default"}, {"network": "0.0.0.0", "netmask": "0.0.0.0"}),
        ({"network": "198.51.100.7"}, {"network": "198.51.100.7", "netmask": "255.255.255.255"}),
    ],
)
def test_where_a_route_leads_is_written_in_two(route: dict[str, Any], written: dict[str, Any]) -> None:
    subnet = subnet_served(type="dhcp4", routes=[{**route, "gateway": "192.0.2.1"}])
    assert subnet["routes"] == [{**written, "gateway": "192.0.2.1"}]


def test_of_ipv6_the_netmask_of_a_route_is_its_prefix_length() -> None:
    for route in ({"network": "2001:db8::/32"}, {"destination": "2001:db8::", "netmask": "32"}):
        subnet = subnet_served(type="dhcp6", routes=[{**route, "gateway": "fe80::1"}])
        assert subnet["routes"] == [{"network": "2001:db8::", "netmask": "32", "gateway": "fe80::1"}]


def test_a_route_of_the_guest_moves_to_the_subnet_that_its_gateway_is_in() -> None:
    static = {"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.0"}
    near = {"type": "route", "destination": "198.51.100.0/24", "gateway": "192.0.2.1", "metric": 3}
    far = {"type": "route", "destination": "198.51.100.0/24", "gateway": "203.0.113.1"}
    device, left = served(card({"type": "dhcp6"}, static), near, far)
    assert device["subnets"][1]["routes"] == [
        {"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "metric": 3}
    ]
    assert left == {
        "type": "route",
        "destination": "198.51.100.0",
        "netmask": "255.255.255.0",
        "gateway": "203.0.113.1",
    }


def test_a_static_ipv6_subnet_is_static() -> None:
    assert subnet_served(type="static6", address="2001:db8::10/64")["type"] == "static"


def test_dns_of_a_subnet_is_written_as_lists() -> None:
    subnet = subnet_served(type="dhcp4", dns_nameservers="192.0.2.53 192.0.2.54", dns_search="a.example")
    assert subnet["dns_nameservers"] == ["192.0.2.53", "192.0.2.54"]
    assert subnet["dns_search"] == ["a.example"]


def test_bonds_and_bridges_have_parameters() -> None:
    bond = {"type": "bond", "name": "bond0", "bond_interfaces": ["eth0"]}
    bridge = {"type": "bridge", "name": "br0", "bridge_interfaces": ["bond0"], "params": None}
    assert [device["params"] for device in served(card(), bond, bridge)[1:]] == [{}, {}]


def test_what_refers_to_others_refers_to_devices_that_there_are() -> None:
    assert faults(
        card(),
        {"type": "bond", "name": "bond0", "bond_interfaces": ["eth0", "eth1"]},
        {"type": "bridge", "name": "br0", "bridge_interfaces": [7, "bond0"]},
        {"type": "vlan", "name": "v9", "vlan_id": 9, "vlan_link": "ens192"},
        {"type": "nameserver", "address": "192.0.2.53", "interface": "ens192"},
    ) == [
        "network.config[1].bond_interfaces[1]: is the name of no device here",
        "network.config[2].bridge_interfaces[0]: is the name of no device here",
        "network.config[3].vlan_link: is the name of no device here",
        "network.config[4].interface: is the name of no device here",
    ]


@pytest.mark.parametrize(
    ("device", "sentences"),
    [
        ("eth0", ["[0]: is not a mapping"]),
        (
            {"type": "wifi", "name": "wlan0"},
            ["[0].type: is none of physical, loopback, infiniband, bond, bridge, vlan, nameserver, route"],
        ),
        ({"type": ["physical"]}, ["[0].type: is none of"]),
        ({"type": "physical"}, ["[0]: name is missing"]),
        ({"type": "vlan", "name": "v"}, ["[0]: vlan_id is missing", "[0]: vlan_link is missing"]),
        (
            card(mac_address="x", mtu="9000", name="a b"),
            [
                "[0].name: is not the name",
                "[0].mac_address: is not the MAC",
                "[0].mtu: is not a whole number",
            ],
        ),
        ({"type": "bond", "name": "b", "bond_interfaces": "b"}, ["[0].bond_interfaces: is not a list"]),
        (card(subnets={}), ["[0].subnets: is not a list"]),
        (card("dhcp"), ["[0].subnets[0]: is not a mapping"]),
        (card({"type": "dhcpv4"}), ["[0].subnets[0].type: is none of static, static6, dhcp, dhcp4"]),
        (card({"type": ["dhcp"]}), ["[0].subnets[0].type: is none of"]),
        (card({"type": "static"}), ["[0].subnets[0]: address is missing"]),
        (
            card(
                {"type": "static", "address": "192.0.2.300", "gateway": "x", "dns_nameservers": "x 192.0.2.1"}
            ),
            [
                "[0].subnets[0].address: is not an IPv4 address",
                "[0].subnets[0].gateway: is neither an IPv4 nor an IPv6 address",
                "[0].subnets[0].dns_nameservers[0]: is neither an IPv4 nor an IPv6 address",
            ],
        ),
        (card({"type": "dhcp", "routes": {}}), ["[0].subnets[0].routes: is not a list"]),
        (card({"type": "dhcp", "routes": [5]}), ["[0].subnets[0].routes[0]: is not a mapping"]),
        (
            card({"type": "dhcp", "routes": [{"network": "198.51.100.0", "netmask": "255.0.255.0"}]}),
            [
                "[0].subnets[0].routes[0]: gateway is missing",
                "[0].subnets[0].routes[0].network: is neither a network",
            ],
        ),
        (
            {"type": "route", "destination": "2001:db8::/32", "gateway": "192.0.2.1"},
            ["[0]: destination and gateway are not of one version of IP"],
        ),
        ({"type": "nameserver", "address": ["x"]}, ["[0].address[0]: is neither an IPv4 nor"]),
    ],
)
def test_what_guests_fail_at_is_a_fault(device: Any, sentences: list[str]) -> None:
    found = faults(device)
    assert sorted(found) == sorted(
        next(fault for fault in found if fault.startswith(f"network.config{sentence}"))
        for sentence in sentences
    )


def test_two_devices_have_not_one_name() -> None:
    assert faults(card(), card()) == ["network.config[1].name: is that of network.config[0], too"]


def test_the_devices_are_a_list() -> None:
    assert list(network.faults(network.from_raw({"version": 1, "config": {}}))) == [
        "network.config: is not a list of devices"
    ]
    assert list(network.faults(network.from_raw({"version": 1}))) == [
        "network.config: is not a list of devices"
    ]
