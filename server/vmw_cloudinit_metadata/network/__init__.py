"""What network an instance has: cards in the short form, or a whole network-config.

``instance.network`` is None, one ``InstanceNetworkData``, a list of them, or a ``NetworkConfig``; the
functions here take any of these. They know neither YAML nor JSON: definitions are read by definition/,
documents are written by nocloud.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vmw_cloudinit_metadata.checks import Path, Problem, path_text
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.network import nics, render
from vmw_cloudinit_metadata.network.nic import NETWORK_KEYS, Address, InstanceNetworkData
from vmw_cloudinit_metadata.network.route import ROUTE_KEYS
from vmw_cloudinit_metadata.network.whole import NetworkConfig, is_whole

__all__ = [
    "NETWORK_KEYS",
    "ROUTE_KEYS",
    "Address",
    "InstanceNetworkData",
    "Network",
    "NetworkConfig",
    "copy",
    "document",
    "faults",
    "from_raw",
    "is_whole",
    "problems",
    "warnings",
]

Network = InstanceNetworkData | list[InstanceNetworkData] | NetworkConfig

# Where it stands in an instance.
_AT: Path = ("network",)


def from_raw(raw: object) -> Network | None:
    """Return the network of dictionaries and lists, and one that is one already as it is.

    Raises:
        DefinitionError: it is of none of the forms, or has an unknown key.
    """
    if raw is None or isinstance(raw, InstanceNetworkData | NetworkConfig):
        return raw
    if isinstance(raw, list | tuple):
        return [_card(member, f"network[{number}]") for number, member in enumerate(raw)]
    if isinstance(raw, Mapping) and is_whole(raw):
        return NetworkConfig(raw)
    return _card(raw, "network")


def problems(network: Network | None) -> Iterator[Problem]:
    """Yield each fault, and where in the instance it stands."""
    if isinstance(network, NetworkConfig):
        yield from network.problems(_AT)
    elif isinstance(network, list) and not network:
        yield _AT, "is an empty list; leave it out where the guest's image is to decide"
    elif network is not None:
        cards, places = _cards(network)
        # A driver may have put anything into the list.
        strangers = [number for number, card in enumerate(cards) if not isinstance(card, InstanceNetworkData)]
        for number in strangers:
            yield places[number], f"is a {type(cards[number]).__name__}, not InstanceNetworkData"
        if not strangers:
            yield from nics.problems(cards, places)


def faults(network: Network | None) -> Iterator[str]:
    """Yield a line ``network.KEY: what is wrong`` for each fault."""
    return (f"{path_text(path)}: {text}" for path, text in problems(network))


def warnings(network: Network | None) -> Iterator[str]:
    """Yield a line ``network.KEY: what is doubtful`` for what of a faultless network may not be meant."""
    found: Iterator[Problem] = iter(())
    if isinstance(network, NetworkConfig):
        found = network.warnings(_AT)
    elif network is not None:
        found = nics.warnings(*_cards(network))
    return (f"{path_text(path)}: {text}" for path, text in found)


def document(network: Network | None, placeholders: bool) -> dict[str, Any] | None:
    """Return a faultless network as a network-config; None without one.

    A card that nothing tells from others has ``@N`` for its MAC address where ``placeholders`` are wanted, N
    being its place from 1: guests of version 2 of the packets put in that of their N-th card.
    """
    if network is None:
        return None
    if isinstance(network, NetworkConfig):
        return network.document(placeholders)
    return render.document(_cards(network)[0], placeholders)


def copy(network: Network | None) -> Network | None:
    """Return a network that shares nothing that can be changed with this one."""
    return [nic.copy() for nic in network] if isinstance(network, list) else network and network.copy()


def _card(raw: object, where: str) -> InstanceNetworkData:
    if isinstance(raw, InstanceNetworkData):
        return raw
    if not isinstance(raw, Mapping):
        raise DefinitionError(f"{where}: is a {type(raw).__name__}, not a mapping")
    return InstanceNetworkData(raw, where)


def _cards(network: InstanceNetworkData | list[InstanceNetworkData]) -> tuple[nics.NICs, Sequence[Path]]:
    """Return the cards, and where each stands."""
    if isinstance(network, InstanceNetworkData):
        return [network], [_AT]
    return network, [(*_AT, number) for number in range(len(network))]
