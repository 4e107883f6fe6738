"""How ``metadata`` is read: the known keys as text, others as JSON has them."""

from typing import Any

import yaml

from vmw_cloudinit_metadata import instance
from vmw_cloudinit_metadata.definition.reader import Reader, given
from vmw_cloudinit_metadata.definition.source import Path


def read_metadata(reader: Reader, root: yaml.Node, path: Path) -> Any:
    """Return the metadata with its keys as they are spelt; one that is spelt in two ways is a fault."""
    if not isinstance(root, yaml.MappingNode):
        return reader.text(root, path)
    raw = {}
    spelt: dict[str, str] = {}
    for key, node, at in reader.items(root, path):
        name = instance.METADATA_KEYS.get(key)
        raw[key] = reader.text(node, at) if name else reader.json(node, at)
        if name == "hostname" and name in spelt and raw[key] == raw[spelt[name]]:
            continue  # documents of 0.0.8, and many of guestinfo, say it in both ways
        if name in spelt:
            line = reader.places[*path, spelt[name]].line
            reader.fault(at, f"means the same as {spelt[name]} on line {line}")
        elif name:
            spelt[name] = key
    return given(raw, instance.METADATA_KEYS)
