"""The cards of an instance together: what they must not share, and what of them is doubtful.

Doubtful is what can be meant, but usually is not, and what some guests cannot do. It is served, and the
command ``validate`` says so. How the cards are written down is render.py's.
"""

from collections.abc import Collection, Iterator, Sequence

from vmw_cloudinit_metadata import checks
from vmw_cloudinit_metadata.checks import Path, Problem
from vmw_cloudinit_metadata.network.nic import InstanceNetworkData

# resolv.conf(5), MAXNS: what comes behind the third is never asked.
MAX_NAMESERVERS = 3

# What RFC 8200 wants of a link that carries IPv6.
MIN_IPV6_MTU = 1280

NICs = Sequence[InstanceNetworkData]


def name_of(nic: InstanceNetworkData, number: int) -> str:
    """Return what the card at this place, from 0, is called in the guest."""
    return nic.name or f"eth{number}"


def problems(nics: NICs, places: Sequence[Path]) -> Iterator[Problem]:
    """Yield each fault of the cards, which stand at these places, and what only one of them can have."""
    for nic, place in zip(nics, places, strict=True):
        yield from nic.problems(place)
    names = [name_of(nic, number) for number, nic in enumerate(nics)]
    macs = [nic.mac.lower() if isinstance(nic.mac, str) else None for nic in nics]
    for key, values in (("name", names), ("mac", macs)):
        seen: dict[str, int] = {}
        for number, value in enumerate(values):
            if value is not None and (first := seen.setdefault(value, number)) < number:
                yield (*places[number], key), f"is that of {checks.path_text(places[first])}, too"


def warnings(nics: NICs, places: Sequence[Path]) -> Iterator[Problem]:
    """Yield what is doubtful about cards without a fault."""
    addresses: dict[object, Path] = {}
    gateways: dict[int, Path] = {}
    for nic, place in zip(nics, places, strict=True):
        for interface in nic.interfaces():
            if other := addresses.get(interface.ip):
                yield (*place, "address"), f"has {interface.ip}, as {checks.path_text(other)} has"
            addresses.setdefault(interface.ip, (*place, "address"))
        for version in nic.gateways():
            if other := gateways.get(version):
                rival = checks.path_text(other)
                yield (*place, "gateway"), f"rivals that of {rival}, of IPv{version} too; routes have metrics"
            gateways.setdefault(version, place)
        yield from _address_warnings(nic, place)
        yield from _reach_warnings(nic, place)
        yield from _guest_warnings(nic, place)


def _address_warnings(nic: InstanceNetworkData, at: Path) -> Iterator[Problem]:
    for interface in nic.interfaces():
        network = interface.network
        # Networks of two addresses, or of one, have neither (RFC 3021); IPv6 knows no broadcast.
        if interface.version == 4 and network.num_addresses > 2:
            if interface.ip == network.network_address:
                yield (*at, "address"), f"has {interface.ip}, which is the address of the network {network}"
            elif interface.ip == network.broadcast_address:
                yield (*at, "address"), f"has {interface.ip}, the broadcast address of the network {network}"
    if 6 in nic.versions() and nic.mtu is not None and nic.mtu < MIN_IPV6_MTU:
        yield (*at, "mtu"), f"is less than the {MIN_IPV6_MTU} bytes that IPv6 needs"


def _reach_warnings(nic: InstanceNetworkData, at: Path) -> Iterator[Problem]:
    """Yield the next hops that are in no network of the card's."""
    networks = {interface.network for interface in nic.interfaces()}
    gateways, versions = nic.gateways().values(), nic.static_versions()
    for gateway in gateways:
        if not _is_near(gateway, networks):
            # eni and NetworkManager set it on-link by themselves.
            text = f"{gateway} is outside the card's networks, which guests with netplan or networkd take"
            yield (*at, "gateway"), f"{text} from cloud-init 25 on"
    for number, route in nic.routes_by_place().items():
        known = route.version in versions and not nic.is_dynamic(route.version)
        if known and route.via not in gateways and not _is_near(route.via, networks):
            yield (*at, "routes", number, "via"), f"{route.via} is outside the card's networks"


def _guest_warnings(nic: InstanceNetworkData, at: Path) -> Iterator[Problem]:
    """Yield what some guests leave out."""
    versions = nic.static_versions()
    if len(nic.nameservers) > MAX_NAMESERVERS:
        yield (*at, "nameservers"), f"has more than {MAX_NAMESERVERS}, and resolvers ask no others"
    if nic.mtu is not None and 4 not in versions:
        yield (*at, "mtu"), "without a static IPv4 address, is left out on guests with ifupdown, Debian's"
    # Of version 1 netplan gets these with static addresses only; of version 2 the other renderers get less.
    lost = "lost on guests with netplan, Ubuntu's: use a whole network-config of version 2 there"
    if (nic.nameservers or nic.search) and not versions:
        yield (*at, "nameservers" if nic.nameservers else "search"), f"without a static address, is {lost}"
    for number, route in nic.routes_by_place().items():
        if route.version not in versions:
            path = (*at, "routes", number)
            yield path, f"without a static IPv{route.version} address, is {lost}"


def _is_near(address: checks.Address, networks: Collection[checks.Network]) -> bool:
    # fe80:: is on every card.
    on_link = address.version == 6 and address.is_link_local
    return on_link or any(address in network for network in networks)
