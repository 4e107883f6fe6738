"""Network cards as a network-config of version 1: the form that every renderer of cloud-init takes.

What goes where was found by trying cloud-init 20.4, 22.4, 25.1 and 26.2 with eni, netplan, networkd,
NetworkManager and sysconfig; the reasons stand beside it.
"""

import ipaddress
from typing import Any

from vmw_cloudinit_metadata.network.nic import InstanceNetworkData, Interface
from vmw_cloudinit_metadata.network.nics import NICs, name_of
from vmw_cloudinit_metadata.network.route import Route


def document(nics: NICs, placeholders: bool) -> dict[str, Any]:
    """Return the cards as a network-config of version 1.

    A card without a MAC address has ``@N`` for it, N being its place from 1, where ``placeholders`` are
    wanted: a guest of version 2 of the packets puts that of its N-th card there. Others configure what card
    has the name.
    """
    config = [_device(nic, number, placeholders) for number, nic in enumerate(nics)]
    return {"version": 1, "config": [*config, *_global_dns(nics)]}


def _device(nic: InstanceNetworkData, number: int, placeholders: bool) -> dict[str, Any]:
    device: dict[str, Any] = {"type": "physical", "name": name_of(nic, number)}
    if nic.mac is not None:
        # cloud-init compares it with what the kernel says, which is lower case.
        device["mac_address"] = nic.mac.lower()
    elif placeholders:
        device["mac_address"] = f"@{number + 1}"
    if nic.mtu is not None:
        device["mtu"] = nic.mtu
    device["subnets"] = _subnets(nic)
    return device


def _subnets(nic: InstanceNetworkData) -> list[dict[str, Any]]:
    # Static ones first, of these IPv4: ifupdown takes the MTU from the first, for the card if that is static
    # and IPv4; and sysconfig switches SLAAC off at a static IPv6 address, unless SLAAC comes later.
    subnets = []
    first: dict[int, dict[str, Any]] = {}  # of each version of IP
    for interface in sorted(nic.interfaces(), key=lambda interface: interface.version):
        subnets.append(_static(interface))
        first.setdefault(interface.version, subnets[-1])
    for given, kind, version in (
        (nic.dhcp4, "dhcp4", 4),
        (nic.dhcp6, "dhcp6", 6),
        (nic.slaac, "ipv6_slaac", 6),
    ):
        if given:
            subnets.append({"type": kind})
            first.setdefault(version, subnets[-1])
    for version, gateway in nic.gateways().items():
        first[version]["gateway"] = str(gateway)
    # Each beside an address of its own version of IP: NetworkManager's renderer puts it into that section.
    for route in nic.ways():
        first[route.version].setdefault("routes", []).append(_route(route))
    # All in one place, since sysconfig's numbering begins anew in each; a static one, since netplan looks
    # nowhere else.
    if nic.search:
        subnets[0]["dns_search"] = [str(domain) for domain in nic.search]
    if nic.nameservers:
        subnets[0]["dns_nameservers"] = [str(address) for address in nic.nameservers]
    return subnets


def _static(interface: Interface) -> dict[str, Any]:
    # Not static6: NetworkManager's renderer of cloud-init 22 takes that for SLAAC.
    if isinstance(interface, ipaddress.IPv6Interface):
        return {"type": "static", "address": str(interface)}
    # In two, as 0.0.8 has it.
    return {"type": "static", "address": str(interface.ip), "netmask": str(interface.netmask)}


def _route(route: Route) -> dict[str, Any]:
    network, mask = route.written()
    written: dict[str, Any] = {"network": network, "netmask": mask, "gateway": str(route.via)}
    if route.metric is not None:
        written["metric"] = route.metric
    return written


def _global_dns(nics: NICs) -> list[dict[str, Any]]:
    """Return the DNS of all cards for the guest as a whole, where one has some and no static address.

    networkd's renderer looks for a subnet's only beside a static address, as does sysconfig's before
    cloud-init 25; and where sysconfig's finds some for the guest, it forgets those of cards.
    """
    if not any((nic.nameservers or nic.search) and not nic.static_versions() for nic in nics):
        return []
    addresses = dict.fromkeys(str(address) for nic in nics for address in nic.nameservers)
    search = dict.fromkeys(str(domain) for nic in nics for domain in nic.search)
    return [{"type": "nameserver", "address": list(addresses), "search": list(search)}]
