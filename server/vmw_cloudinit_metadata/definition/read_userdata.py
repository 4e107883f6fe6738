"""How ``userdata`` and ``vendordata`` are read: text, cloud-config, a source, or a list of these, its parts.

A mapping is cloud-config unless it has the key ``file`` or ``content``, which cloud-config has not: then it
is a source, which says where the bytes are, and how they are encoded. What becomes of it is payload.py's.
"""

from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.reader import Reader, is_null, is_text
from vmw_cloudinit_metadata.definition.source import Path


def read_userdata(reader: Reader, node: yaml.Node, path: Path) -> Any:
    """Return text, a mapping of a source, or a list of these; None where there is none."""
    if is_null(node):
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_read_part(reader, member, at) for member, at in reader.members(node, path)]
    return _read_part(reader, node, path)


def is_source(node: yaml.MappingNode) -> bool:
    """Tell a source from cloud-config."""
    return any(key.value in ("file", "content") for key, _ in node.value)


def _read_part(reader: Reader, node: yaml.Node, path: Path) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return _read_text(reader, node, path)
    if not is_source(node):
        return _cloud_config(reader, node, path)
    return {
        key: _read_content(reader, value, at) if key == "content" else reader.text(value, at)
        for key, value, at in reader.items(node, path)
    }


def _read_content(reader: Reader, node: yaml.Node, path: Path) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _cloud_config(reader, node, path)
    return _read_text(reader, node, path)


def _read_text(reader: Reader, node: yaml.Node, path: Path) -> Any:
    if isinstance(node, yaml.ScalarNode) and is_text(node):
        return reader.text(node, path)
    return False  # what it is does not matter: the schema's sentence fits any


def _cloud_config(reader: Reader, node: yaml.MappingNode, path: Path) -> str:
    _note_places(reader, node, path)
    # The tree is written as it was read, not loaded and dumped: `permissions: 0644` stays what it is.
    # So is a long text: without a width no line is broken.
    text: str = yaml.serialize(node, Dumper=yaml.CSafeDumper, allow_unicode=True, width=-1)
    return "#cloud-config\n" + text


def _note_places(reader: Reader, node: yaml.Node, path: Path) -> None:
    """Let the reader know where each key stands: of one mapping some may come from defaults."""
    if isinstance(node, yaml.MappingNode):
        for _, value, at in reader.items(node, path):
            _note_places(reader, value, at)
