"""A whole network-config of version 2 (netplan's form): what is wrong with it, and how every guest takes it.

Each section (``ethernets``, ``bonds`` …) holds devices by their names. netplan takes all of it; the other
renderers of cloud-init take less, and fail at some of the rest.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from vmw_cloudinit_metadata import checks
from vmw_cloudinit_metadata.checks import Path, Problem
from vmw_cloudinit_metadata.network.nic import members
from vmw_cloudinit_metadata.network.route import ROUTE_KEYS, Route, value_problems

# What all renderers know; at any other section those that are not netplan's fail.
SECTIONS = ("ethernets", "bonds", "bridges", "vlans")
NETPLAN_SECTIONS = (
    *("dummy-devices", "modems", "nm-devices", "openvswitch"),
    *("tunnels", "virtual-ethernets", "vrfs", "wifis"),
)

_REFERRING = ("bonds", "bridges", "vlans")

_OF_ALL = ("version", "renderer")

# Where ``parameters`` of a bond or a bridge names cards: as a value, or as the keys of a mapping.
_PARAMETERS = ("primary", "path-cost", "port-priority")

# A default route with any other key (a table, a type) is more than a gateway.
_OF_A_GATEWAY = {"to", "via", "metric"}


def problems(content: Mapping[str, Any], at: Path) -> Iterator[Problem]:
    """Yield what is wrong, with where it stands; ``content`` has none but plain values."""
    names: dict[str, Path] = {}
    for section, devices in content.items():
        if section in _OF_ALL:
            continue
        if section not in SECTIONS + NETPLAN_SECTIONS:
            known = ", ".join(SECTIONS + NETPLAN_SECTIONS)
            yield (*at, section), f"is not a known key (known: {known})"
            continue
        if not isinstance(devices, Mapping):
            yield (*at, section), "is not a mapping of names to devices"
            continue
        for key, device in devices.items():
            place = (*at, section, key)
            if not isinstance(device, Mapping):
                yield place, "is not a mapping"
                continue
            yield from _device_problems(device, place)
            name = name_of(key, device)
            if names.setdefault(name, place) != place:
                yield place, f"has the name of {checks.path_text(names[name])}, too"
    yield from _reference_problems(content, names, at)
    if not any(devices for section, devices in content.items() if section not in _OF_ALL):
        yield at, "has no device in it; leave it out where the guest's image is to decide"


def warnings(content: Mapping[str, Any], at: Path) -> Iterator[Problem]:
    """Yield what of a faultless config guests without netplan cannot take."""
    for section in content:
        if section in NETPLAN_SECTIONS:
            yield (*at, section), "is taken by guests with netplan only; cloud-init fails on others"


def normalise(content: dict[str, Any], placeholders: bool) -> dict[str, Any]:
    """Change a config without a fault, in place, to what every guest takes; return it."""
    _rename(content)
    for section in SECTIONS:
        for device in content.get(section, {}).values():
            if isinstance(device.get("macaddress"), str):
                device["macaddress"] = device["macaddress"].lower()
            _normalise_routes(device)
    for number, (name, device) in enumerate(content.get("ethernets", {}).items(), 1):
        match = device.get("match")
        if match:
            # Without set-name it stays: to netplan the key is no name then, and must not become one.
            if isinstance(match.get("macaddress"), str):
                match["macaddress"] = match["macaddress"].lower()
            continue
        device.pop("match", None)
        device.pop("set-name", None)  # which netplan refuses without a match; the key is that name now
        if placeholders:
            device |= {"match": {"macaddress": f"@{number}"}, "set-name": name}
    return content


def name_of(key: str, device: Mapping[str, Any]) -> str:
    """Return what a device is called in the guest, as far as the config says."""
    name = device.get("set-name")
    return name if isinstance(name, str) else key


def _rename(content: dict[str, Any]) -> None:
    """Make each card's key its ``set-name``, and rename what refers to it.

    Renderers other than netplan's know cards by the names they get: what refers to another key of one would
    refer to nothing.
    """
    cards = content.get("ethernets", {})
    names = {key: name_of(key, card) for key, card in cards.items()}
    if all(key == name for key, name in names.items()):
        return
    content["ethernets"] = {names[key]: card for key, card in cards.items()}
    for section, devices in content.items():
        for device in devices.values() if isinstance(devices, dict) and section != "ethernets" else ():
            if isinstance(device.get("interfaces"), list):
                device["interfaces"] = [_renamed(key, names) for key in device["interfaces"]]
            if "link" in device:
                device["link"] = _renamed(device["link"], names)
            parameters = device.get("parameters")
            for key in _PARAMETERS if isinstance(parameters, dict) else ():
                if isinstance(parameters.get(key), dict):
                    parameters[key] = {_renamed(card, names): cost for card, cost in parameters[key].items()}
                elif key in parameters:
                    parameters[key] = _renamed(parameters[key], names)


def _renamed(key: object, names: Mapping[str, str]) -> object:
    return names.get(key, key) if isinstance(key, str) else key


def _normalise_routes(device: dict[str, Any]) -> None:
    """Write default routes as every release takes them.

    ``to: default`` makes cloud-init 22.4 to 25 fail. ``::/0`` is ::/64 to cloud-init before 23, and with a
    metric NetworkManager's renderer fails in 25 and 26 where an IPv4 address comes first: so it becomes
    gateway6, and its metric, which says nothing while there is one such route, is lost.
    """
    kept = []
    static6 = any(isinstance(address, str) and ":" in address for address in device.get("addresses") or ())
    for raw in device.get("routes") or ():
        route = Route.of(raw.get("to"), raw.get("via"))
        if route and route.is_default:
            is_gateway = route.version == 6 and static6 and set(raw) <= _OF_A_GATEWAY
            if is_gateway and not device.get("gateway6"):
                device["gateway6"] = str(route.via)
                continue
            raw["to"] = str(route.to)
        kept.append(raw)
    if "routes" in device:
        device["routes"] = kept


def _device_problems(device: Mapping[str, Any], at: Path) -> Iterator[Problem]:
    *_, section, name = at
    match = device.get("match")
    if match is not None and not isinstance(match, Mapping):
        yield (*at, "match"), "is not a mapping"
    elif match and match.get("macaddress") is not None and (fault := checks.mac_fault(match["macaddress"])):
        yield (*at, "match", "macaddress"), fault
    # With a match and no set-name the key of a card is no name, and may be anything.
    is_name = section in SECTIONS and not match and device.get("set-name") is None
    if is_name and (fault := checks.interface_fault(name)):
        yield at, fault
    for key, check in _CHECKS.items():
        value = device.get(key)
        if value is not None and (fault := check(value)):
            yield (*at, key), fault
    nameservers = device.get("nameservers")
    if nameservers is not None and not isinstance(nameservers, Mapping):
        yield (*at, "nameservers"), "is not a mapping with addresses, search or both"
    elif nameservers:
        yield from _list_problems(nameservers, "addresses", checks.address_fault, (*at, "nameservers"))
        yield from _list_problems(nameservers, "search", checks.text_fault, (*at, "nameservers"))
    yield from _list_problems(device, "addresses", _address_fault, at)
    if device.get("interfaces") is not None and not isinstance(device["interfaces"], list):
        yield (*at, "interfaces"), "is not a list"
    yield from _list_problems(device, "routes", _route_fault, at)
    routes = device.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else ()):
        # Without via they lead to the link itself, or nowhere: netplan's alone.
        if isinstance(route, Mapping) and (route.get("via") is not None or route.get("to") == "default"):
            yield from value_problems([(key, route.get(key)) for key in ROUTE_KEYS], (*at, "routes", number))


def _reference_problems(content: Mapping[str, Any], names: Collection[str], at: Path) -> Iterator[Problem]:
    """Yield where a device is named, by key or name, that there is not: netplan takes nothing of it all."""
    sections = {section: devices for section, devices in content.items() if isinstance(devices, Mapping)}
    known = {*names, *(key for devices in sections.values() for key in devices)}
    for section in _REFERRING:
        for key, device in sections.get(section, {}).items():
            for word in ("interfaces", "link") if isinstance(device, Mapping) else ():
                for path, name in members(device.get(word), (*at, section, key, word)):
                    if not isinstance(name, str) or name not in known:
                        yield path, "is the name of no device here"


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "set-name": checks.interface_fault,
    "macaddress": checks.mac_fault,
    "mtu": checks.mtu_fault,
    "dhcp4": checks.truth_fault,
    "dhcp6": checks.truth_fault,
    "accept-ra": checks.truth_fault,
    "gateway4": checks.address_fault,
    "gateway6": checks.address_fault,
}


def _list_problems(
    device: Mapping[str, Any], key: str, check: Callable[[object], str | None], at: Path
) -> Iterator[Problem]:
    values = device.get(key)
    if values is not None and not isinstance(values, list):
        yield (*at, key), "is not a list"
        return
    for number, value in enumerate(values or ()):
        if fault := check(value):
            yield (*at, key, number), fault


def _address_fault(value: object) -> str | None:
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value  # with a lifetime or a label, which netplan alone takes
    if fault := checks.own_address_fault(value):
        return fault
    return None if "/" in str(value) else "has no prefix length, such as /24"


def _route_fault(value: object) -> str | None:
    return None if isinstance(value, Mapping) else "is not a mapping"
