"""Fields that nobody fills in: ``{{ vm.name }}`` in a definition without ``vms``."""

import re
from collections.abc import Iterator

import yaml

from vmw_cloudinit_metadata.checks import Path, path_text
from vmw_cloudinit_metadata.definition import Source
from vmw_cloudinit_metadata.definition.strict_yaml import compose, place_of
from vmw_cloudinit_metadata.errors import Fault

_FIELD = re.compile(r"\{\{[ \t]*vm\.")
_BYTES = re.compile(_FIELD.pattern.encode())

_TEXT = "a field {{ vm.… }} is not filled in where there is no vms; name the VM there, or write its value"

# Below these no key is named: it may be a secret.
_SECRET = ("userdata", "vendordata")


def unfilled_fields(source: Source) -> Iterator[Fault]:
    """Yield a warning for each text of a definition without ``vms`` that has a field in it."""
    if not _BYTES.search(source.text):
        return  # as nearly all: the text is not read as YAML once more
    root, _ = compose(source)
    if isinstance(root, yaml.MappingNode) and all(key.value != "vms" for key, _ in root.value):
        for node, path in _texts(root, ()):
            if _FIELD.search(node.value):
                shown = path[:1] if path[0] in _SECRET else path
                yield Fault(*place_of(node), path_text(shown), _TEXT)


def _texts(node: yaml.Node, path: Path) -> Iterator[tuple[yaml.ScalarNode, Path]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _texts(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _texts(value, (*path, number))
    elif isinstance(node, yaml.ScalarNode):
        yield node, path
