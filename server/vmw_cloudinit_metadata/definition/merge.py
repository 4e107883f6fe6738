"""Defaults: the trees of ``_defaults.yaml`` merged under the tree of a definition.

Mappings merge, lists and texts replace, and null removes what stands under it. Two spellings of a key are one
key. What has several forms is merged only where both have the same one.
"""

from collections.abc import Callable

import yaml

from vmw_cloudinit_metadata import instance
from vmw_cloudinit_metadata.definition.read_userdata import is_source
from vmw_cloudinit_metadata.definition.reader import is_null
from vmw_cloudinit_metadata.definition.source import Path
from vmw_cloudinit_metadata.definition.strict_yaml import mapping, place_of

# What decides who gets secrets: an empty value is never meant here. It stays, and is a fault.
_KEPT = ("match", "token", "serve")


def merge(under: yaml.MappingNode, over: yaml.MappingNode, path: Path = ()) -> yaml.MappingNode:
    """Return a tree with the items of both, those of ``over`` first; neither is changed."""
    name = _SPELLINGS.get(path, str)
    defaults = {name(key.value): value for key, value in under.value}
    items = []
    for key, value in over.value:
        where = (*path, key.value)
        default = defaults.get(name(key.value))
        if default is None:
            items.append((key, value))
        elif not is_null(value) or where[0] in _KEPT:
            items.append((key, _merged(default, value, where)))
    said = {name(key.value) for key, _ in over.value}
    items.extend((key, value) for key, value in under.value if name(key.value) not in said)
    return mapping(items, place_of(over), over.flow_style)


def _merged(default: yaml.Node | None, value: yaml.Node, path: Path) -> yaml.Node:
    if isinstance(default, yaml.MappingNode) and isinstance(value, yaml.MappingNode):
        form = _FORMS.get(path)
        if form is None or form(default) == form(value):
            return merge(default, value, path)
    return value


def _metadata_name(key: str) -> str:
    return instance.METADATA_KEYS.get(key, key)


def _network_form(node: yaml.MappingNode) -> str:
    """Tell one NIC from a whole network-config of a version, and from one below another key."""
    values = {key.value: value for key, value in node.value}
    if "version" in values:
        return f"version {values['version'].value}"
    return "below a key" if "network" in values or "config" in values else "one NIC"


def _userdata_form(node: yaml.MappingNode) -> object:
    """Tell cloud-config from a source, which is one value and is like no other."""
    return node if is_source(node) else "cloud-config"


_SPELLINGS: dict[Path, Callable[[str], str]] = {("metadata",): _metadata_name}
_FORMS: dict[Path, Callable[[yaml.MappingNode], object]] = {
    ("network",): _network_form,
    ("userdata",): _userdata_form,
    ("vendordata",): _userdata_form,
}
