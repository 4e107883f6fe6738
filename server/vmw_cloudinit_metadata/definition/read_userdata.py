"""How ``userdata`` and ``vendordata`` are read: as text, or as a mapping that becomes cloud-config."""

from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.reader import Reader, is_null, is_text
from vmw_cloudinit_metadata.definition.source import Path


def read_userdata(reader: Reader, node: yaml.Node, path: Path) -> Any:
    """Return the text of user-data or vendor-data, None where there is none, a list if it is neither."""
    if isinstance(node, yaml.MappingNode):
        # The tree is written as it was read, not loaded and dumped: `permissions: 0644` stays what it is.
        return "#cloud-config\n" + yaml.serialize(node, Dumper=yaml.CSafeDumper, allow_unicode=True)
    if isinstance(node, yaml.ScalarNode) and (is_text(node) or is_null(node)):
        return reader.text(node, path)
    return []  # what it is does not matter: the schema's sentence fits any
