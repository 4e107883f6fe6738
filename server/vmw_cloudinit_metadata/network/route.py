"""A route: a network, through which address it is reached, and how it ranks among others."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from vmw_cloudinit_metadata import checks
from vmw_cloudinit_metadata.checks import Address, Network, Path, Problem

ROUTE_KEYS = ("to", "via", "metric")

EVERYTHING: dict[int, Network] = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}


class Route(NamedTuple):
    """``to`` and ``via`` are of one version of IP; of routes to the same, that of the least metric wins."""

    to: Network
    via: Address
    metric: int | None = None

    @property
    def version(self) -> int:
        """The version of IP: 4 or 6."""
        return self.via.version

    @property
    def is_default(self) -> bool:
        """Whether everything is reached by it that is not reached otherwise."""
        return self.to.prefixlen == 0

    def written(self) -> tuple[str, str]:
        """Return network and netmask as every release of cloud-init reads them.

        Of IPv6 the netmask is the prefix length: without that key the renderer for sysconfig fails in
        cloud-init 20, and with ffff:: it writes nonsense.
        """
        mask = str(self.to.netmask) if self.version == 4 else str(self.to.prefixlen)
        return str(self.to.network_address), mask

    @classmethod
    def of(cls, to: object, via: object, metric: object = None) -> Self | None:
        """Return the route of these values, ``to`` a network or ``default``; None if one has a fault."""
        gateway = checks.parse_address(via)
        if gateway is None or (metric is not None and checks.metric_fault(metric)):
            return None
        network = EVERYTHING[gateway.version] if to == "default" else checks.parse_destination(to)
        if network is None or network.version != gateway.version:
            return None
        return cls(network, gateway, metric if isinstance(metric, int) else None)


def route_problems(raw: object, at: Path) -> Iterator[Problem]:
    """Yield what is wrong with a route of the short form, a dictionary with the keys of ``ROUTE_KEYS``."""
    if not isinstance(raw, Mapping):
        yield at, "is not a route such as {to: 198.51.100.0/24, via: 192.0.2.1}"
        return
    for key in raw:
        if key not in ROUTE_KEYS:
            yield (*at, str(key)), f"is not a known key (known: {', '.join(ROUTE_KEYS)})"
    yield from value_problems([(key, raw.get(key)) for key in ROUTE_KEYS], at)


def value_problems(values: Sequence[tuple[str, Any]], at: Path) -> Iterator[Problem]:
    """Yield what is wrong with a route's values, given with their keys in the order of ``ROUTE_KEYS``."""
    found = []
    checked = (checks.destination_fault, checks.address_fault, checks.metric_fault)
    for (key, value), check in zip(values, checked, strict=True):
        if value is None:
            if check is not checks.metric_fault:
                found.append((at, f"{key} is missing"))
        elif fault := check(value):
            found.append(((*at, key), fault))
    if not found and Route.of(*(value for _, value in values)) is None:
        (to, _), (via, _), _ = values
        found.append((at, f"{to} and {via} are not of one version of IP"))
    yield from found
