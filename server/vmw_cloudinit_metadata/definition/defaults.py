"""``_defaults.yaml``: what definitions have in common. How they come under a definition is merge.py's."""

import functools
from collections.abc import Iterator, Sequence

import yaml

from vmw_cloudinit_metadata.definition.faults import told
from vmw_cloudinit_metadata.definition.fields import Fields
from vmw_cloudinit_metadata.definition.guestinfo import lift
from vmw_cloudinit_metadata.definition.merge import merge
from vmw_cloudinit_metadata.definition.payload import make_payloads
from vmw_cloudinit_metadata.definition.read_definition import read_definition
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.rules import rule_faults
from vmw_cloudinit_metadata.definition.source import ReadFile, Source
from vmw_cloudinit_metadata.definition.strict_yaml import compose, place_of
from vmw_cloudinit_metadata.errors import Fault

# The largest user-data that a line carries (checks.MAX_USERDATA), indented as a YAML block.
MAX_DEFINITION = 4 * 1024 * 1024

# So many trees of defaults are kept, and of so long texts: some 100 MB at worst, where each character is a
# value; usually some kilobytes.
CACHED_DEFAULTS = 16
MAX_CACHED = 32 * 1024

# What says for which VMs a definition is.
_NO_DEFAULTS = ("match", "vms")


def check_defaults(source: Source, read_file: ReadFile | None = None) -> list[Fault]:
    """Return what is wrong with a ``_defaults.yaml`` by itself, whatever definitions make of it.

    It may lack anything, and its fields may be those of any definition.
    """
    tree, faults = compose_over(Source(source.name, b"{}"), [source])
    if tree is not None:
        fields = Fields(tree, [source.name], None)
        reader = Reader(tree, faults + fields.faults, read_file, fields.paths)
        raw = read_definition(reader, tree)
        reader.faults.extend(rule_faults(raw, reader.places, fields.paths, partial=True))
        make_payloads(reader, raw)
        faults = reader.faults
    return told(faults, source.name)


def compose_over(source: Source, defaults: Sequence[Source]) -> tuple[yaml.Node | None, list[Fault]]:
    """Return the tree of a definition over its defaults, None if one cannot be read; and the faults."""
    tree, faults = None, []
    readable = True
    for each in (*defaults, source):
        keep = each is not source and len(each.text) <= MAX_CACHED
        root, found = _compose_kept(each) if keep else _compose_one(each)
        faults += found
        readable = readable and root is not None
        if each is not source and root is not None:
            faults += _misplaced(root)
        if isinstance(tree, yaml.MappingNode) and isinstance(root, yaml.MappingNode):
            tree = merge(tree, root)
        else:
            tree = root
    return tree if readable else None, faults


@functools.lru_cache(maxsize=CACHED_DEFAULTS)
def _compose_kept(source: Source) -> tuple[yaml.Node | None, list[Fault]]:
    """Return the tree of a ``_defaults.yaml``, which a thousand definitions share; nobody changes it."""
    return _compose_one(source)


def _compose_one(source: Source) -> tuple[yaml.Node | None, list[Fault]]:
    if len(source.text) > MAX_DEFINITION:
        text = f"the file is longer than {MAX_DEFINITION // 1024 // 1024} MiB"
        return None, [Fault(source.name, 0, "", text)]
    root, faults = compose(source)
    return root and lift(root, faults), faults


def _misplaced(defaults: yaml.Node) -> Iterator[Fault]:
    """Yield what cannot stand in a ``_defaults.yaml``."""
    if not isinstance(defaults, yaml.MappingNode):
        yield Fault(place_of(defaults).source, 1, "", "is not a mapping")
        return
    for key, _ in defaults.value:
        if key.value in _NO_DEFAULTS:
            yield Fault(*place_of(key), key.value, "belongs to one definition; it cannot be a default")
