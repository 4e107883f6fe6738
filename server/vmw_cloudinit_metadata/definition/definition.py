"""A definition: the YAML file of one VM, or of several, read into instances.

The order of things: each source becomes a tree (strict_yaml.py, guestinfo.py), defaults are merged under the
definition (defaults.py, merge.py), fields are filled in (fields.py, vms.py), the tree becomes plain values
(reader.py and the read_*.py), which are held against the schema (rules.py), files and parts become user-data
(payload.py); of these an instance is made.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.defaults import compose_over
from vmw_cloudinit_metadata.definition.faults import error_of
from vmw_cloudinit_metadata.definition.fields import Fields
from vmw_cloudinit_metadata.definition.payload import make_payloads
from vmw_cloudinit_metadata.definition.read_definition import read_definition
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.rules import rule_faults
from vmw_cloudinit_metadata.definition.source import Path, Place, ReadFile, Source
from vmw_cloudinit_metadata.definition.strict_yaml import mapping, place_of
from vmw_cloudinit_metadata.definition.vms import VMFacts, VMs, read_vms
from vmw_cloudinit_metadata.errors import DefinitionError, Fault
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMatch


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
        tree, faults = compose_over(source, defaults)
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
        table = self.vms.fields(vm.name) if self.vms else {}
        tree, faults = self._fields.fill(vm, table)
        if faults:
            raise self._error(faults)
        reader = Reader(tree, faults, self._read_file)
        instance = InstanceData(self._read(tree, reader, unquoted=self._fields.unquoted))
        if instance.metadata is not None:
            instance.metadata.written_id = self._fields.written_id(table)
        return instance

    @property
    def values(self) -> int:
        """About how many values are kept, which take more memory than the text does."""
        return len(self._places) + (self._fields.values if self._fields else 0)

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
        reader.faults.extend(rule_faults(raw, reader.places, varying, unquoted))
        make_payloads(reader, raw)
        if reader.faults:
            raise self._error(reader.faults)
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


def parse_definition(text: bytes, source: str) -> InstanceData:
    """Return the instance that one definition file describes; ``source`` is its name in faults.

    Both spellings of 0.0.8 are read: dashes, ``tags`` as a list and ``search`` as text (its README), or
    underscores, ``tags`` as a mapping and ``search`` as a list (its code).

    Raises:
        DefinitionError: every fault, as Definition tells them.
    """
    return Definition(Source(source, text)).instance()
