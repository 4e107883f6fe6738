"""Metadata as it stands in guestinfo, for cloud-init's DataSourceVMware: a tree in, one of a definition out.

There the network is a part of the metadata, as a mapping or as text that may be encoded, and SSH keys may be
one text of lines. Here both get the places that they have in a definition. Other keys stay as they are.
"""

import yaml

from vmw_cloudinit_metadata.definition.reader import is_null, is_text
from vmw_cloudinit_metadata.definition.source import Place, Source
from vmw_cloudinit_metadata.definition.strict_yaml import TAG, compose, mapping, place_of, scalar, sequence
from vmw_cloudinit_metadata.errors import DefinitionError, Fault
from vmw_cloudinit_metadata.userdata import ENCODINGS, decode

_NETWORK, _ENCODING = "network", "network.encoding"
_PUBLIC_KEYS = ("public-keys", "public_keys")
_KEYS_DATA = ("public-keys-data", "public_keys_data")

# The keys of metadata that are looked at here.
KEYS = (_NETWORK, _ENCODING, *_KEYS_DATA)

_Item = tuple[yaml.ScalarNode, yaml.Node]


def lift(root: yaml.Node, faults: list[Fault]) -> yaml.Node:
    """Return the tree of a source with network and keys where a definition has them; ``faults`` are added to.

    That is before defaults are merged: they may stand in either place.
    """
    if not isinstance(root, yaml.MappingNode):
        return root
    items = _items(root)
    key, metadata = items.get("metadata", (None, None))
    if key is None or not isinstance(metadata, yaml.MappingNode):
        return root
    inner = _items(metadata)
    if inner.keys().isdisjoint(KEYS):
        return root
    network, encoding = inner.pop(_NETWORK, None), inner.pop(_ENCODING, None)
    _lift_keys(inner, faults)
    items["metadata"] = key, _again(metadata, inner)
    if network is not None and not is_null(network[1]):
        if "network" in items and not is_null(items["network"][1]):
            line = place_of(items["network"][0]).line
            faults.append(_fault(network, f"is given on line {line}, too; leave out one of them"))
        elif (node := _decoded(network, encoding, faults)) is not None:
            items["network"] = network[0], node
    return _again(root, items)


def _lift_keys(metadata: dict[str, _Item], faults: list[Fault]) -> None:
    """Let the lines of ``public-keys-data`` follow the members of ``public-keys``."""
    for name in _KEYS_DATA:
        if name not in metadata:
            continue
        said, node = metadata.pop(name)
        if isinstance(node, yaml.SequenceNode):
            keys = node.value
        elif is_text(node) or is_null(node):
            lines = (line.strip() for line in node.value.splitlines())
            # Whoever keeps keys in a file has comments between them.
            keys = [_text(line, place_of(node)) for line in lines if line and not line.startswith("#")]
        else:
            faults.append(_fault((said, node), "is neither text, one key a line, nor a list of keys"))
            continue
        spelt = next((key for key in _PUBLIC_KEYS if key in metadata), None)
        if spelt is None:
            key = _text(_PUBLIC_KEYS[0], place_of(said))
            metadata[_PUBLIC_KEYS[0]] = key, sequence(keys, place_of(node), flow_style=False)
            continue
        key, others = metadata[spelt]
        if isinstance(others, yaml.SequenceNode):
            metadata[spelt] = key, sequence([*others.value, *keys], place_of(others), others.flow_style)


def _decoded(network: _Item, encoding: _Item | None, faults: list[Fault]) -> yaml.Node | None:
    """Return the network's tree, which stands as text where it is encoded; None is a fault."""
    node = network[1]
    if not isinstance(node, yaml.ScalarNode):
        return node
    text = node.value.encode()
    if encoding is not None and not is_null(encoding[1]):
        if encoding[1].value not in ENCODINGS:
            faults.append(_fault(encoding, "is none of base64, gzip and gzip+base64 (or b64, gz, gz+b64)"))
            return None
        try:
            text = decode(text, encoding[1].value)
        except DefinitionError as error:
            faults.append(_fault(network, str(error)))
            return None
    root, found = compose(Source("", text))
    faults += [_fault(network, f"{fault.text} (on line {fault.line} of its text)") for fault in found]
    return None if root is None else _placed(root, place_of(network[0]), {})


def _placed(node: yaml.Node, place: Place, made: dict[int, yaml.Node]) -> yaml.Node:
    """Return a tree all of which stands in one place; an alias stays the same node twice."""
    if id(node) in made:
        return made[id(node)]
    if isinstance(node, yaml.MappingNode):
        items = [(_text(key.value, place), _placed(value, place, made)) for key, value in node.value]
        made[id(node)] = mapping(items, place, node.flow_style)
    elif isinstance(node, yaml.SequenceNode):
        members = [_placed(member, place, made) for member in node.value]
        made[id(node)] = sequence(members, place, node.flow_style)
    else:
        made[id(node)] = scalar(node.tag, node.value, place)
    return made[id(node)]


def _items(node: yaml.MappingNode) -> dict[str, _Item]:
    return {item[0].value: item for item in node.value}


def _again(node: yaml.MappingNode, items: dict[str, _Item]) -> yaml.MappingNode:
    return mapping(list(items.values()), place_of(node), node.flow_style)


def _text(value: str, place: Place) -> yaml.ScalarNode:
    return scalar(TAG + "str", value, place)


def _fault(item: _Item, text: str) -> Fault:
    return Fault(*place_of(item[0]), f"metadata.{item[0].value}", text)
