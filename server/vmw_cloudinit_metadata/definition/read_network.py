"""How ``network`` is read: all of it as text."""

from typing import Any

import yaml

from vmw_cloudinit_metadata import instance
from vmw_cloudinit_metadata.definition.reader import Reader, given
from vmw_cloudinit_metadata.definition.source import Path


def read_network(reader: Reader, root: yaml.Node, path: Path) -> Any:
    """Return the network data; a key without a value is left out."""
    raw = reader.text(root, path)
    return given(raw, instance.NETWORK_KEYS) if isinstance(raw, dict) else raw
