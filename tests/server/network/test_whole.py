"""Whole network-configs: how they are told from cards, and what both versions have in common."""

import contextlib
import ipaddress
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata import network
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.network import NetworkConfig
from vmw_cloudinit_metadata.network.whole import MAX_DEPTH

VERSION_1: dict[str, Any] = {"version": 1, "config": [{"type": "physical", "name": "eth0"}]}
VERSION_2: dict[str, Any] = {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}


def faults(raw: Any) -> list[str]:
    made = network.from_raw(raw)
    assert isinstance(made, NetworkConfig)
    return list(network.faults(made))


@pytest.mark.parametrize("content", [VERSION_1, VERSION_2])
@pytest.mark.parametrize("wrapper", [None, "network", "config"])
def test_a_config_may_stand_below_a_key_and_is_served_without(content: Any, wrapper: str | None) -> None:
    made = network.from_raw({wrapper: content} if wrapper else content)
    assert isinstance(made, NetworkConfig)
    assert made.wrapper == wrapper
    assert list(network.faults(made)) == []
    assert network.document(made, placeholders=False) == content


def test_a_config_that_is_served_is_not_changed_itself() -> None:
    made = NetworkConfig(VERSION_2)
    document = made.document(placeholders=True)
    assert document["ethernets"]["eth0"]["set-name"] == "eth0"
    assert VERSION_2 == {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}
    other = made.copy()
    other.raw["ethernets"]["eth0"].clear()
    assert made.raw["ethernets"]["eth0"] == {"dhcp4": True}


@pytest.mark.parametrize("raw", [{"config": "disabled"}, {"network": {"version": 1, "config": "disabled"}}])
def test_a_guest_may_be_told_to_leave_its_network_alone(raw: Any) -> None:
    made = network.from_raw(raw)
    assert list(network.faults(made)) == list(network.warnings(made)) == []
    assert network.document(made, placeholders=True) == {"config": "disabled"}
    assert faults({"config": "disabled", "ethernets": {}}) == [
        "network.ethernets: stands beside config: disabled"
    ]


def test_a_repr_shows_the_version_alone() -> None:
    wifi = {"version": 2, "wifis": {"wlan0": {"access-points": {"x": {"password": "hunter2"}}}}}
    assert repr(NetworkConfig({"network": wifi})) == "<NetworkConfig version 2>"


@pytest.mark.parametrize(
    ("raw", "sentences"),
    [
        ({"config": []}, ["network: version is missing; it is 1 or 2"]),
        ({"network": {}}, ["network.network: version is missing; it is 1 or 2"]),
        ({"network": {"version": 3}}, ["network.network.version: is neither 1 nor 2"]),
        ({"version": True}, ["network.version: is neither 1 nor 2"]),
        ({"version": "2"}, ["network.version: is neither 1 nor 2"]),
        ({"version": [2]}, ["network.version: is neither 1 nor 2"]),
        (
            {"network": VERSION_2, "address": "192.0.2.10"},
            ["network.address: stands beside network, which holds the whole of it"],
        ),
        (
            {"version": 2, "ethernets": {"eth0": {"x": [b"", {1: 2}, float("nan"), "\ud800"]}}},
            [
                "network.ethernets.eth0.x[0]: is none of text, number, list and mapping",
                "network.ethernets.eth0.x[1]: has a key that is not text",
                "network.ethernets.eth0.x[2]: is none of text, number, list and mapping",
                "network.ethernets.eth0.x[3]: is not Unicode text",
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_key(raw: Any, sentences: list[str]) -> None:
    assert faults(raw) == sentences


def test_what_nests_too_deep_is_a_fault() -> None:
    deep: Any = []
    for _ in range(50_000):
        deep = [deep]
    (fault,) = faults({**VERSION_2, "x": deep})
    assert fault.endswith(f"is nested more than {MAX_DEPTH} levels deep")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
with_prefixes = st.builds(
    lambda address, prefix: f"{address}/{prefix}", st.ip_addresses(), st.integers(1, 32)
)
addresses = with_prefixes | st.ip_addresses().map(str) | plain
networks = (
    with_prefixes.map(lambda text: str(ipaddress.ip_network(text, strict=False))) | st.just("default") | plain
)


def some(keys: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=keys) | plain


devices_1 = some(
    {
        "type": st.sampled_from(["physical", "bond", "bridge", "vlan", "nameserver", "route"]),
        "name": st.sampled_from(["eth0", "eth1", "bond0"]),
        "mac_address": st.just("00:50:56:AA:BB:CC") | plain,
        "subnets": st.lists(
            some(
                {
                    "type": st.sampled_from(["static", "static6", "dhcp4", "manual"]) | plain,
                    "address": addresses,
                    "netmask": st.just("255.255.255.0") | plain,
                    "gateway": addresses,
                    "dns_nameservers": st.lists(addresses) | plain,
                    "routes": st.lists(some({"network": networks, "gateway": addresses, "netmask": plain})),
                }
            ),
            max_size=2,
        )
        | plain,
        "destination": networks,
        "gateway": addresses,
        "address": addresses,
        "bond_interfaces": st.just(["eth0"]) | plain,
        "bridge_interfaces": plain,
        "vlan_id": plain,
        "vlan_link": plain,
    }
)
devices_2 = some(
    {
        "match": some({"macaddress": st.just("00:50:56:AA:BB:CC") | plain}),
        "set-name": st.sampled_from(["eth0", "lan0"]) | plain,
        "addresses": st.lists(addresses, max_size=2) | plain,
        "gateway6": addresses,
        "nameservers": some({"addresses": st.lists(addresses, max_size=2) | plain, "search": plain}),
        "routes": st.lists(some({"to": networks, "via": addresses, "metric": plain}), max_size=2) | plain,
        "interfaces": st.just(["eth0"]) | plain,
        "link": st.just("eth0") | plain,
        "parameters": some({"primary": plain, "path-cost": plain}),
        "macaddress": plain,
    }
)
names = st.sampled_from(["eth0", "eth1", "id0", "x y"])
configs = st.fixed_dictionaries(
    {"version": st.just(1), "config": st.lists(devices_1, max_size=3) | plain}
) | (
    st.fixed_dictionaries(
        {"version": st.just(2)},
        optional={
            section: st.dictionaries(names, devices_2, max_size=3) | plain
            for section in ("ethernets", "bonds", "vlans", "bridges", "wifis")
        },
    )
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(configs | st.dictionaries(st.sampled_from(["network", "config", "version"]), configs | plain))
def test_what_has_no_fault_can_be_served_and_served_again(raw: Any) -> None:
    made: Any = None
    with contextlib.suppress(DefinitionError):
        made = network.from_raw(raw)
    if list(network.faults(made)):
        return
    list(network.warnings(made))
    document = network.document(made, placeholders=False)
    assert json.loads(json.dumps(document)) == document
    # What was made fit for every guest is fit, and is not changed again.
    again = network.from_raw(document)
    assert list(network.faults(again)) == []
    assert network.document(again, placeholders=False) == document
