"""A definition: the YAML file of one VM, or of several, read into instances.

The order of things: each source becomes a tree (strict_yaml.py), defaults are merged under the definition
(merge.py), the tree becomes plain values (reader.py and the read_*.py beside it), which are held against the
schema (rules.py); of what is without fault an instance is made.
"""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.faults import error_of
from vmw_cloudinit_metadata.definition.fields import Fields
from vmw_cloudinit_metadata.definition.merge import merge
from vmw_cloudinit_metadata.definition.read_definition import read_definition
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.rules import rule_faults
from vmw_cloudinit_metadata.definition.source import Path, Place, ReadFile, Source
from vmw_cloudinit_metadata.definition.strict_yaml import compose, mapping, place_of
from vmw_cloudinit_metadata.definition.vms import VMFacts, VMs, read_vms
from vmw_cloudinit_metadata.errors import DefinitionError, Fault
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMatch

# The largest user-data that a line carries (checks.MAX_USERDATA), indented as a YAML block.
MAX_DEFINITION = 4 * 1024 * 1024

# So many trees of defaults are kept, and of so long texts: some 100 MB at worst, where each character is a
# value; usually some kilobytes.
CACHED_DEFAULTS = 16
MAX_CACHED = 32 * 1024

# What says for which VMs a definition is.
_NO_DEFAULTS = ("match", "vms")


class Definition:
    """A definition file with the defaults under it, from which instances are made.

    Attributes:
        vms: for which VMs this is, where it says so; None: for the one that the file is named after.
        match: the VM this is for, as its UUIDs say; None where there is none, or it depends on the VM.

    Args:
        source: the definition.
        defaults: each ``_defaults.yaml`` there is on the way to it, the outermost first.
        read_file: reads what a definition names by ``file``; without it such a name is a fault.

    Raises:
        DefinitionError: every fault, one a line: ``web-01.yaml:5: network.address: '10.0.0.300' is not an
            IPv4 address``. User-data, vendor-data, keys and tokens are never quoted.
    """

    def __init__(
        self, source: Source, defaults: Sequence[Source] = (), read_file: ReadFile | None = None
    ) -> None:
        self._name = source.name
        self._read_file = read_file
        tree, faults = _compose(source, defaults)
        if tree is None:
            raise self._error(faults)
        self.vms, tree, places = _take_vms(tree, faults)
        templates = [each.name for each in (*defaults, source) if each is not source or self.vms is not None]
        fields = Fields(tree, templates, self.vms.columns() if self.vms else ())
        reader = Reader(tree, faults + fields.faults, read_file, fields.paths)
        raw = self._read(tree, reader, varying=fields.paths)
        self._places = {**places, **reader.places}
        # One of the two; a tree is ten times as large as what is made of it.
        self._fields = fields if fields.paths else None
        self._instance = None if fields.paths else InstanceData(raw)
        match = None if ("match",) in fields.paths else raw.get("match")
        self.match = None if match is None else InstanceMatch.from_mapping(match)

    @property
    def varies(self) -> bool:
        """Whether the instance depends on the VM."""
        return self._fields is not None

    def instance(self, vm: VMFacts | None = None) -> InstanceData:
        """Return what a VM gets, a fresh instance each time; ``vm`` is needed where that varies.

        Raises:
            DefinitionError: every fault, one a line, as above.
        """
        if self._instance is not None:
            return self._instance.copy()
        if vm is None or self._fields is None:
            raise self._error([Fault(self._name, 0, "", "depends on the VM")])
        tree, faults = self._fields.fill(vm, self.vms.fields(vm.name) if self.vms else {})
        if faults:
            raise self._error(faults)
        reader = Reader(tree, faults, self._read_file)
        return InstanceData(self._read(tree, reader, unquoted=self._fields.unquoted))

    def places(self) -> Mapping[Path, Place]:
        """Return where each key of the merged definition stands, and each member of a list."""
        return self._places

    def _read(
        self,
        tree: yaml.Node,
        reader: Reader,
        varying: Collection[Path] = (),
        unquoted: Collection[Path] = (),
    ) -> dict[str, Any]:
        """Return a tree's plain values; what the reader or the rules find wrong is raised."""
        raw: dict[str, Any] = read_definition(reader, tree)
        faults = [*reader.faults, *rule_faults(raw, reader.places, varying, unquoted)]
        if faults:
            raise self._error(faults)
        return raw

    def _error(self, faults: Sequence[Fault]) -> DefinitionError:
        return error_of(faults, self._name)


def _take_vms(tree: yaml.Node, faults: list[Fault]) -> tuple[VMs | None, yaml.Node, Mapping[Path, Place]]:
    """Return the key ``vms`` of a definition, the tree without it, and the places in it."""
    if not isinstance(tree, yaml.MappingNode) or all(key.value != "vms" for key, _ in tree.value):
        return None, tree, {}
    reader = Reader(tree, faults)
    vms = read_vms(reader, tree)
    others = [(key, value) for key, value in tree.value if key.value != "vms"]
    return vms, mapping(others, place_of(tree), tree.flow_style), reader.places


def _compose(source: Source, defaults: Sequence[Source]) -> tuple[yaml.Node | None, list[Fault]]:
    """Return the tree of a definition merged over its defaults, None if one cannot be read; and faults."""
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
    return compose(source)


def _misplaced(defaults: yaml.Node) -> Iterator[Fault]:
    """Yield what cannot stand in a ``_defaults.yaml``."""
    if not isinstance(defaults, yaml.MappingNode):
        yield Fault(place_of(defaults).source, 1, "", "is not a mapping")
        return
    for key, _ in defaults.value:
        if key.value in _NO_DEFAULTS:
            yield Fault(*place_of(key), key.value, "belongs to one definition; it cannot be a default")


def parse_definition(text: bytes, source: str) -> InstanceData:
    """Return the instance that one definition file describes; ``source`` is its name in faults.

    Both spellings of 0.0.8 are read: dashes, ``tags`` as a list and ``search`` as text (its README), or
    underscores, ``tags`` as a mapping and ``search`` as a list (its code).

    Raises:
        DefinitionError: every fault, as Definition tells them.
    """
    return Definition(Source(source, text)).instance()
