"""One network card, as the short form of a definition and drivers describe it.

The class of 0.0.8 with more in it, mutable as that was. This module knows what makes a card whole. What
several of them must not share, and what is doubtful about whole ones, is nics.py's; how they are written down
for cloud-init is render.py's.
"""

import copy
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vmw_cloudinit_metadata import checks
from vmw_cloudinit_metadata.checks import Path, Problem
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.network.route import ROUTE_KEYS, Route, route_problems

Address = ipaddress.IPv4Address | ipaddress.IPv6Address | str
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

NETWORK_KEYS = (
    *("mac", "name", "address", "netmask", "gateway", "search", "nameservers"),
    *("dhcp4", "dhcp6", "slaac", "mtu", "routes"),
)


class InstanceNetworkData:
    """One network card; it has an address, DHCP or SLAAC, or several of them.

    Addresses are text or objects of ``ipaddress``.

    Attributes:
        mac: which card of the VM is meant; None: the one at its place among the instance's cards.
        name: what the card is called in the guest: it is renamed; None: eth0, eth1 … by that place.
        address: one, or a list: IPv4 or IPv6 with /PREFIX, or IPv4 with ``netmask``.
        netmask: of the IPv4 addresses without /PREFIX.
        gateway: one, or a list with one of each version of IP; each of a version that ``address`` has.
        search: the domains that short names are looked up in.
        nameservers: addresses, of versions of IP that the card has.
        dhcp4, dhcp6, slaac: whether addresses come by DHCP, DHCPv6, router advertisements.
        mtu: in bytes.
        routes: dictionaries with ``to`` (a network or ``default``), ``via`` and perhaps ``metric``.

    Raises:
        DefinitionError: a dictionary has an unknown key; ``where`` says where it stands.
    """

    def __init__(self, raw: Mapping[str, Any] | None = None, where: str = "network") -> None:
        self.mac: str | None = None
        self.name: str | None = None
        self.address: Address | list[Any] | None = None
        self.netmask: Address | None = None
        self.gateway: Address | list[Any] | None = None
        self.search: list[str] = []
        self.nameservers: list[Address] = []
        self.dhcp4 = False
        self.dhcp6 = False
        self.slaac = False
        self.mtu: int | None = None
        self.routes: list[Mapping[str, Any]] = []
        if raw is not None and not isinstance(raw, Mapping):
            raise DefinitionError(f"{where}: is a {type(raw).__name__}, not a mapping")
        raw = raw or {}
        if unknown := [str(key) for key in raw if key not in NETWORK_KEYS]:
            known = ", ".join(NETWORK_KEYS)
            raise DefinitionError(f"{where}: no such key: {', '.join(unknown)} (known: {known})")
        for key, value in raw.items():
            if value is not None:
                setattr(self, key, value)
        if isinstance(self.search, str):
            self.search = self.search.split()

    def __repr__(self) -> str:
        parts = [str(value) for value in listed(self.address)]
        parts += [key for key in ("dhcp4", "dhcp6", "slaac") if getattr(self, key) is True]
        return f"<InstanceNetworkData {' '.join(parts) or 'without an address'}>"

    def copy(self) -> "InstanceNetworkData":
        """Return network data that shares nothing that can be changed with this one."""
        return copy.deepcopy(self)

    def faults(self) -> Iterator[str]:
        """Yield a line ``network.KEY: what is wrong`` for each fault."""
        return (f"{checks.path_text(path)}: {text}" for path, text in self.problems(("network",)))

    def problems(self, at: Path) -> Iterator[Problem]:
        """Yield each fault and where it stands, ``at`` being where the card does."""
        yield from self._value_problems(at)
        yield from self._address_problems(at)
        yield from self._version_problems(at)

    # What a card has, parsed; values with a fault are left out.

    def interfaces(self) -> list[Interface]:
        """Return the static addresses, each with its network."""
        found: list[Interface] = []
        for address, prefix in filter(None, map(checks.parse_own_address, listed(self.address))):
            length: object = prefix
            if prefix is None and address.version == 4 and not checks.netmask_fault(self.netmask):
                length = self.netmask
            if length is not None:
                found.append(ipaddress.ip_interface(f"{address}/{length}"))
        return found

    def gateways(self) -> dict[int, checks.Address]:
        """Return the default gateway of each version of IP."""
        given = [address for address in map(checks.parse_address, listed(self.gateway)) if address]
        given += [route.via for route in self.routes_by_place().values() if self._is_gateway(route)]
        return {address.version: address for address in reversed(given)}

    def ways(self) -> list[Route]:
        """Return the routes, but for those that are default gateways."""
        return [route for route in self.routes_by_place().values() if not self._is_gateway(route)]

    def routes_by_place(self) -> dict[int, Route]:
        """Return all routes, each by its place in ``routes``."""
        given = {number: raw for number, raw in enumerate(listed(self.routes)) if isinstance(raw, Mapping)}
        parsed = {number: Route.of(*(raw.get(key) for key in ROUTE_KEYS)) for number, raw in given.items()}
        return {number: route for number, route in parsed.items() if route}

    def static_versions(self) -> set[int]:
        """Return the versions of IP, 4 and 6, of which there is a static address."""
        return {parsed[0].version for parsed in map(checks.parse_own_address, listed(self.address)) if parsed}

    def versions(self) -> set[int]:
        """Return the versions of IP that the card has: by a static address, DHCP or SLAAC."""
        return self.static_versions() | {version for version in (4, 6) if self.is_dynamic(version)}

    def is_dynamic(self, version: int) -> bool:
        """Say whether addresses of this version of IP come by DHCP or SLAAC."""
        return self.dhcp4 is True if version == 4 else self.dhcp6 is True or self.slaac is True

    def _is_gateway(self, route: Route) -> bool:
        # With DHCP alone there is no gateway to be given (_version_problems), but routes are.
        return route.is_default and route.metric is None and route.version in self.static_versions()

    # What is wrong.

    def _value_problems(self, at: Path) -> Iterator[Problem]:
        """Yield what is wrong with each value by itself."""
        one: tuple[tuple[str, Callable[[object], str | None]], ...] = (
            *(("mac", checks.mac_fault), ("name", checks.interface_fault), ("netmask", checks.netmask_fault)),
            *((key, checks.truth_fault) for key in ("dhcp4", "dhcp6", "slaac")),
            ("mtu", checks.mtu_fault),
        )
        for key, check in one:
            value = getattr(self, key)
            if value is not None and (fault := check(value)):
                yield (*at, key), fault
        for key, check in (("address", checks.own_address_fault), ("gateway", checks.address_fault)):
            for path, value in members(getattr(self, key), (*at, key)):
                if fault := check(value):
                    yield path, fault
        for key, check in (("search", checks.text_fault), ("nameservers", checks.address_fault)):
            values = getattr(self, key)
            if not isinstance(values, list | tuple):
                yield (*at, key), "is not a list"
                continue
            for number, value in enumerate(values):
                if fault := check(value):
                    yield (*at, key, number), fault
        if not isinstance(self.routes, list | tuple):
            yield (*at, "routes"), "is not a list"
            return
        for number, route in enumerate(self.routes):
            yield from route_problems(route, (*at, "routes", number))

    def _address_problems(self, at: Path) -> Iterator[Problem]:
        """Yield what keeps the card from having an address."""
        if not listed(self.address) and not self.versions():
            yield at, "has none of address, dhcp4, dhcp6 and slaac"
        masks = not checks.netmask_fault(self.netmask)
        bare = []
        for path, value in members(self.address, (*at, "address")):
            address, prefix = checks.parse_own_address(value) or (None, None)
            if address is None:
                continue
            if prefix is None and address.version == 6:
                yield path, "has no prefix length, such as /64"
            elif prefix is None:
                bare.append(path)
            elif address.version == 4 and masks:
                network = ipaddress.ip_network(f"0.0.0.0/{self.netmask}")
                if network.prefixlen != prefix:
                    yield path, f"has another prefix length than netmask, which is /{network.prefixlen}"
        if bare and self.netmask is None:
            yield (*at, "netmask"), "is missing, and address has no prefix length, such as /24"
        understood = all(map(checks.parse_own_address, listed(self.address)))
        if masks and understood and 4 not in self.static_versions():
            yield (*at, "netmask"), "is there without an IPv4 address"

    def _version_problems(self, at: Path) -> Iterator[Problem]:
        """Yield what is of a version of IP that the card has not, and gateways that rival each other."""
        if not all(map(checks.parse_own_address, listed(self.address))):
            return  # who knows what is meant
        seen: set[int] = set()
        for path, value in members(self.gateway, (*at, "gateway")):
            address = checks.parse_address(value)
            if address is None:
                continue
            if address.version in seen:
                yield path, f"is the second IPv{address.version} gateway; routes can have a metric"
            elif address.version not in self.static_versions():
                # Renderers put a gateway beside a static address; with DHCP and SLAAC the router says which.
                yield path, f"needs an IPv{address.version} address in address"
            seen.add(address.version)
        # NetworkManager refuses a connection with a name server of a version of IP that it has disabled.
        for path, value in members(self.nameservers, (*at, "nameservers")):
            address = checks.parse_address(value)
            if address and address.version not in self.versions():
                yield path, f"is IPv{address.version}, which this card has not: no address, DHCP or SLAAC"
        for number, route in self.routes_by_place().items():
            path = (*at, "routes", number)
            if route.version not in self.versions():
                yield path, f"is IPv{route.version}, which this card has not: no address, DHCP or SLAAC"
            if route.is_default and route.metric is None:
                if route.version in seen:
                    yield path, f"is the second IPv{route.version} gateway; give it a metric"
                seen.add(route.version)


def listed(value: Any) -> list[Any]:
    """Return a list as it is, nothing as an empty list, and anything else as the only member of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def members(value: Any, at: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the members of a list, or the one value there is, and where each stands."""
    if isinstance(value, list | tuple):
        yield from (((*at, number), member) for number, member in enumerate(value))
    elif value is not None:
        yield at, value
