"""Which addresses a network gives to a VM, and to which MAC addresses, in every form that a network has."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from vmw_cloudinit_metadata.checks import Path
from vmw_cloudinit_metadata.network import InstanceNetworkData, Network, NetworkConfig

# Where a whole network-config says whom to ask and where to send: addresses of others.
_OF_OTHERS = ("nameservers", "dns_nameservers", "routes")
_TYPES_OF_OTHERS = ("nameserver", "route")


def network_claims(network: Network | None) -> Iterator[tuple[str, str, Path]]:
    """Yield ``address`` or ``mac``, its value as it is compared, and where in the definition it stands."""
    if isinstance(network, NetworkConfig):
        yield from _of_whole(network.raw, ("network",))
    elif isinstance(network, InstanceNetworkData):
        yield from _of_nic(network, ("network",))
    else:
        for number, nic in enumerate(network or ()):
            yield from _of_nic(nic, ("network", number))


def _of_nic(nic: InstanceNetworkData, path: Path) -> Iterator[tuple[str, str, Path]]:
    for interface in nic.interfaces():
        yield from _address(str(interface.ip), (*path, "address"))
    if nic.mac is not None:
        yield "mac", nic.mac.lower(), (*path, "mac")


def _of_whole(value: Any, path: Path) -> Iterator[tuple[str, str, Path]]:
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _of_whole(each, (*path, number))
    if not isinstance(value, dict) or value.get("type") in _TYPES_OF_OTHERS:
        return
    for key, each in value.items():
        at = (*path, key)
        if key == "address":
            yield from _address(each, at)
        elif key == "addresses" and isinstance(each, list):
            # Netplan takes an address with options, too, as a mapping with it for a key.
            for number, address in enumerate(each):
                address = next(iter(address), None) if isinstance(address, dict) else address
                yield from _address(address, (*at, number))
        elif key in ("mac_address", "macaddress"):
            yield "mac", str(each).lower(), at
        elif key not in _OF_OTHERS:
            yield from _of_whole(each, at)


def _address(value: Any, path: Path) -> Iterator[tuple[str, str, Path]]:
    try:
        # A number would be one, too.
        address = ipaddress.ip_interface(value if isinstance(value, str) else "").ip
    except ValueError:
        return
    # These mean something else on every link and in every machine.
    if not address.is_link_local and not address.is_loopback:
        yield "address", str(address), path
