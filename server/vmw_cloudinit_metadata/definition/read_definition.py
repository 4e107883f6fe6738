"""How a definition is read, key by key: which reads each part of it, and what an empty key means."""

from collections.abc import Callable
from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.read_metadata import read_metadata
from vmw_cloudinit_metadata.definition.read_network import read_network
from vmw_cloudinit_metadata.definition.read_userdata import read_userdata
from vmw_cloudinit_metadata.definition.reader import Reader, given
from vmw_cloudinit_metadata.definition.source import Path

# A key that is given without a value is a key left out; but not one of those that protect: what a template
# has left empty by mistake would let everyone in.
_MAY_BE_EMPTY = ("metadata", "network", "userdata", "vendordata")


def read_definition(reader: Reader, root: yaml.Node) -> Any:
    """Return a definition as dictionaries, lists and text; None if it is no mapping."""
    if not isinstance(root, yaml.MappingNode):
        return None
    raw = {key: _READERS.get(key, Reader.text)(reader, node, at) for key, node, at in reader.items(root, ())}
    return given(raw, _MAY_BE_EMPTY)


def read_serve(reader: Reader, root: yaml.Node, path: Path) -> Any:
    """Return how long secrets are served; a moment is text."""
    if not isinstance(root, yaml.MappingNode):
        return reader.text(root, path)
    return {
        key: reader.text(node, at) if key == "until" else reader.json(node, at)
        for key, node, at in reader.items(root, path)
    }


_READERS: dict[str, Callable[[Reader, yaml.Node, Path], Any]] = {
    "metadata": read_metadata,
    "network": read_network,
    "userdata": read_userdata,
    "vendordata": read_userdata,
    "serve": read_serve,
}
