"""A whole network-config of version 1: what is wrong with it, and how it is written for every guest.

``config`` is a list of devices and of settings for all of them. Checked is what cloud-init fails at, or what
it passes on to a guest that then has no network; the parameters of bonds and bridges are not.
"""

import contextlib
import ipaddress
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from vmw_cloudinit_metadata import checks
from vmw_cloudinit_metadata.checks import Path, Problem
from vmw_cloudinit_metadata.network.nic import members
from vmw_cloudinit_metadata.network.route import Route, value_problems

# What cloud-init has a handler for; it fails at any other. -> what such a device needs.
TYPES: dict[str, tuple[str, ...]] = {
    "physical": ("name",),
    "loopback": ("name",),
    "infiniband": ("name",),
    "bond": ("name", "bond_interfaces"),
    "bridge": ("name", "bridge_interfaces"),
    "vlan": ("name", "vlan_id", "vlan_link"),
    "nameserver": ("address",),
    "route": ("destination", "gateway"),
}

# Its renderer for sysconfig fails at any other.
SUBNET_TYPES = (
    *("static", "static6", "dhcp", "dhcp4", "dhcp6", "manual", "loopback"),
    *("ipv6_slaac", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless"),
)

# Where a device, or a name server, names others; cloud-init fails where there is none of that name.
_REFERENCES = ("bond_interfaces", "bridge_interfaces", "vlan_link", "interface")


def problems(content: Mapping[str, Any], at: Path) -> Iterator[Problem]:
    """Yield what is wrong, with where it stands; ``content`` has none but plain values."""
    devices = content.get("config")
    if not isinstance(devices, list):
        yield (*at, "config"), "is not a list of devices"
        return
    names: dict[str, Path] = {}
    for number, device in enumerate(devices):
        place = (*at, "config", number)
        if not isinstance(device, Mapping):
            yield place, "is not a mapping"
            continue
        yield from _device_problems(device, place)
        name = device.get("name")
        if isinstance(name, str) and names.setdefault(name, place) != place:
            yield (*place, "name"), f"is that of {checks.path_text(names[name])}, too"
    for number, device in enumerate(devices):
        if isinstance(device, Mapping):
            yield from _reference_problems(device, names, (*at, "config", number))


def normalise(content: dict[str, Any], placeholders: bool) -> dict[str, Any]:
    """Change a config without a fault, in place, to what every guest takes; return it."""
    content["config"] = [device for device in content["config"] if not _moved_to_subnet(device, content)]
    number = 0
    for device in content["config"]:
        if isinstance(device.get("mac_address"), str):
            device["mac_address"] = device["mac_address"].lower()
        if device["type"] == "physical":
            number += 1
            if not device.get("mac_address"):
                device.pop("mac_address", None)
                if placeholders:
                    device["mac_address"] = f"@{number}"
        elif device["type"] in ("bond", "bridge"):
            # cloud-init skips a bond without them, and its own schema wants them of a bridge.
            device["params"] = device.get("params") or {}
        elif device["type"] == "route":
            _normalise_route(device, "destination")
        for subnet in device.get("subnets") or ():
            _normalise_subnet(subnet)
    return content


def _device_problems(device: Mapping[str, Any], at: Path) -> Iterator[Problem]:
    kind = device.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        yield (*at, "type"), f"is none of {', '.join(TYPES)}"
        return
    for key in TYPES[kind]:
        if device.get(key) is None:
            yield at, f"{key} is missing"
    checked: tuple[tuple[str, Callable[[object], str | None]], ...] = (
        ("name", checks.interface_fault),
        ("mac_address", checks.mac_fault),
        ("mtu", checks.mtu_fault),
    )
    for key, check in checked:
        value = device.get(key)
        if value is not None and (fault := check(value)):
            yield (*at, key), fault
    for key in ("bond_interfaces", "bridge_interfaces", "subnets"):
        if device.get(key) is not None and not isinstance(device[key], list):
            yield (*at, key), "is not a list"
    if kind == "nameserver":
        yield from _address_problems(device.get("address"), (*at, "address"))
    elif kind == "route":
        yield from _route_problems(device, at)
    subnets = device.get("subnets")
    for number, subnet in enumerate(subnets if isinstance(subnets, list) else ()):
        yield from _subnet_problems(subnet, (*at, "subnets", number))


def _reference_problems(device: Mapping[str, Any], names: Collection[str], at: Path) -> Iterator[Problem]:
    for key in _REFERENCES:
        for path, name in members(device.get(key), (*at, key)):
            if not isinstance(name, str) or name not in names:
                yield path, "is the name of no device here"


def _subnet_problems(subnet: object, at: Path) -> Iterator[Problem]:
    if not isinstance(subnet, Mapping):
        yield at, "is not a mapping"
        return
    kind = subnet.get("type")
    if kind not in SUBNET_TYPES:
        yield (*at, "type"), f"is none of {', '.join(SUBNET_TYPES)}"
    if kind in ("static", "static6"):
        if subnet.get("address") is None:
            yield at, "address is missing"
        elif fault := checks.own_address_fault(subnet["address"]):
            yield (*at, "address"), fault
    yield from _address_problems(subnet.get("gateway"), (*at, "gateway"))
    servers = subnet.get("dns_nameservers")
    # cloud-init takes a text with spaces, too.
    yield from _address_problems(
        servers.split() if isinstance(servers, str) else servers, (*at, "dns_nameservers")
    )
    routes = subnet.get("routes")
    if routes is not None and not isinstance(routes, list):
        yield (*at, "routes"), "is not a list"
        return
    for number, route in enumerate(routes or ()):
        yield from _route_problems(route, (*at, "routes", number))


def _address_problems(value: object, at: Path) -> Iterator[Problem]:
    for path, address in members(value, at):
        if fault := checks.address_fault(address):
            yield path, fault


def _route_problems(route: object, at: Path) -> Iterator[Problem]:
    if not isinstance(route, Mapping):
        yield at, "is not a mapping"
        return
    key = "destination" if route.get("network") is None else "network"
    values = [(key, _destination(route)), *((name, route.get(name)) for name in ("gateway", "metric"))]
    yield from value_problems(values, at)


def _destination(route: Mapping[str, Any]) -> object:
    """Return where a route leads, as ``checks.parse_destination`` reads it."""
    to = route.get("network", route.get("destination"))
    mask = route.get("netmask", route.get("prefix"))
    if not isinstance(to, str) or "/" in to or mask is None:
        return to
    with_prefix = f"{to}/{mask}"
    try:
        return str(ipaddress.ip_network(with_prefix))  # 255.255.255.0 becomes 24
    except ValueError:
        return with_prefix


def _moved_to_subnet(device: dict[str, Any], content: dict[str, Any]) -> bool:
    """Put a route of the whole guest to the subnet that its gateway is in; say whether there is one.

    netplan, NetworkManager and sysconfig know routes of subnets only.
    """
    gateway = checks.parse_address(device.get("gateway"))
    if device["type"] != "route" or gateway is None:
        return False
    for subnet in (subnet for other in content["config"] for subnet in other.get("subnets") or ()):
        network = _network_of(subnet)
        if network and gateway in network:
            route = {key: value for key, value in device.items() if key != "type"}
            subnet["routes"] = [*(subnet.get("routes") or ()), route]
            return True
    return False


def _network_of(subnet: Mapping[str, Any]) -> checks.Network | None:
    address, prefix = checks.parse_own_address(subnet.get("address")) or (None, None)
    length = subnet.get("netmask", subnet.get("prefix")) if prefix is None else prefix
    if address is None or length is None:
        return None
    with contextlib.suppress(ValueError):
        return ipaddress.ip_network(f"{address}/{length}", strict=False)
    return None


def _normalise_subnet(subnet: dict[str, Any]) -> None:
    if subnet["type"] == "static6":
        # NetworkManager's renderer of cloud-init 22 takes that for SLAAC.
        subnet["type"] = "static"
    for key in ("dns_nameservers", "dns_search"):
        if isinstance(subnet.get(key), str):
            subnet[key] = subnet[key].split()
    for route in subnet.get("routes") or ():
        _normalise_route(route, "network")


def _normalise_route(route: dict[str, Any], key: str) -> None:
    """Write where a route leads in two, as every release reads it; ``key`` is what it calls the network."""
    parsed = Route.of(_destination(route), route.get("gateway"))
    if parsed is None:
        return  # it has a fault
    for other in ("network", "destination", "netmask", "prefix"):
        route.pop(other, None)
    route[key], route["netmask"] = parsed.written()
