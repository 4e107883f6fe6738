"""How ``network`` is read: a card as text but for numbers and truth values; what is whole as JSON."""

from collections.abc import Callable
from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.reader import Reader, given
from vmw_cloudinit_metadata.definition.source import Path
from vmw_cloudinit_metadata.definition.strict_yaml import TAG
from vmw_cloudinit_metadata.network import NETWORK_KEYS, ROUTE_KEYS, is_whole


def read_network(reader: Reader, root: yaml.Node, path: Path) -> Any:
    """Return the network of any form; a key of a card without a value is left out."""
    if isinstance(root, yaml.SequenceNode):
        return [_read_card(reader, node, at) for node, at in reader.members(root, path)]
    if isinstance(root, yaml.MappingNode) and is_whole({key.value: None for key, _ in root.value}):
        return _read_whole(reader, root, path)
    return _read_card(reader, root, path)


def _read_card(reader: Reader, root: yaml.Node, path: Path) -> Any:
    if not isinstance(root, yaml.MappingNode):
        return reader.text(root, path)
    raw = {key: _CARD.get(key, Reader.text)(reader, node, at) for key, node, at in reader.items(root, path)}
    return given(raw, NETWORK_KEYS)


def _read_routes(reader: Reader, root: yaml.Node, path: Path) -> Any:
    if not isinstance(root, yaml.SequenceNode):
        return reader.text(root, path)
    return [_read_route(reader, node, at) for node, at in reader.members(root, path)]


def _read_route(reader: Reader, root: yaml.Node, path: Path) -> Any:
    if not isinstance(root, yaml.MappingNode):
        return reader.text(root, path)
    raw = {
        key: (reader.integer if key == "metric" else reader.text)(node, at)
        for key, node, at in reader.items(root, path)
    }
    return given(raw, ROUTE_KEYS)


_CARD: dict[str, Callable[[Reader, yaml.Node, Path], Any]] = {
    "dhcp4": Reader.boolean,
    "dhcp6": Reader.boolean,
    "slaac": Reader.boolean,
    "mtu": Reader.integer,
    "routes": _read_routes,
}

# In a whole network-config these are text, and so is what is in a list below them: to YAML 10:50:56:01:02:03
# is a number.
_TEXT = (
    *("address", "addresses", "destination", "gateway", "gateway4", "gateway6", "mac_address", "macaddress"),
    *("name", "netmask", "network", "to", "via"),
)


def _read_whole(reader: Reader, root: yaml.Node, path: Path) -> Any:
    if isinstance(root, yaml.MappingNode):
        return {key: _read_whole(reader, node, at) for key, node, at in reader.items(root, path)}
    if isinstance(root, yaml.SequenceNode):
        return [_read_whole(reader, node, at) for node, at in reader.members(root, path)]
    if next(step for step in reversed(path) if isinstance(step, str)) in _TEXT:
        return reader.text(root, path)
    # cloud-init reads YAML 1.1, as people know: dhcp4: yes is true there, and common.
    if root.tag == TAG + "bool":
        return root.value.lower() in ("true", "yes", "on")
    return reader.json(root, path)
