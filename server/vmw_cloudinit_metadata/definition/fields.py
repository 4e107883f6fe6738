"""Fields: ``{{ vm.name }}`` and the like, filled in for one VM.

What is filled in is text and stays text: nothing of it is read as YAML, looked at for fields again, or
executed. In user-data and vendor-data other braces are the guest's own jinja, and are left alone.
"""

import re
from collections.abc import Collection, Mapping

import yaml

from vmw_cloudinit_metadata.definition.source import Path, path_text
from vmw_cloudinit_metadata.definition.strict_yaml import TAG, mapping, place_of, scalar, sequence
from vmw_cloudinit_metadata.definition.vms import CLAIMS, VMFacts
from vmw_cloudinit_metadata.errors import Fault

# What opens an expression, a statement and a comment of jinja, or does with what comes next.
_JINJA = re.compile(r"\{(?:[{%#]|\Z)")

# The text of all values with fields together, for one VM: that of a whole definition (MAX_DEFINITION). A long
# value that a table holds once can be asked for a hundred thousand times.
MAX_FILLED = 4 * 1024 * 1024

# The braces nearest to the name: of "{{{ vm.x }}}" the outer ones are text.
_BRACES = re.compile(r"\{\{(?!\{)(?:[ \t]*(vm\.)(?:([A-Za-z0-9_]+)[ \t]*\}\})?)?")

# So many of a table's fields are named where one is missing.
_MAX_NAMED = 10

# Text that is the guest's: jinja of its own may stand there.
_GUESTS = (("userdata",), ("vendordata",))

# What protects from VMs that are not who they say: against a claim, a claim proves nothing.
_PROTECTING = (("match",), ("token",), ("serve",))

_INSTANCE_ID = (("metadata", "instance-id"), ("metadata", "instance_id"))


# A text with fields: at the odd places the names of fields, between them what stands there anyway.
_Template = list[str]


class Fields:
    """The fields of a tree, found once and filled in for each VM.

    Attributes:
        paths: the values that depend on the VM, and all that hold such a value.
        unquoted: the values that hold what a table says, which may be a secret.
        faults: what is wrong whichever VM it is.
        values: how many the tree has, if fields are filled in there.

    Args:
        root: the tree.
        sources: the names of the sources in which fields are filled in.
        columns: the fields that some VM of the definition's table has; None: any may be there.
    """

    def __init__(self, root: yaml.Node, sources: Collection[str], columns: Collection[str] | None) -> None:
        self.paths: set[Path] = set()
        self.unquoted: set[Path] = set()
        self.faults: list[Fault] = []
        self.values = 0
        self._root = root
        self._sources = sources
        self._columns = columns
        self._templates: dict[int, _Template] = {}  # by the id of the node
        self._instance_id: _Template = []
        self._known = ""
        if sources:
            self._find(root, ())

    def fill(self, vm: VMFacts, table: Mapping[str, str]) -> tuple[yaml.Node, list[Fault]]:
        """Return the tree for one VM, and what is wrong with it; of ``table`` are the VM's other fields."""
        filling = _Filling(vm, table, self._templates, self.paths)
        return filling.node(self._root, ()), filling.faults

    def written_id(self, table: Mapping[str, str]) -> str | None:
        """Return what an operator has written of an instance-id that has claims in it; None of any other.

        The fields of ``table`` are filled in; in the place of a claim its field stays.
        """
        if not set(self._instance_id[1::2]).intersection(CLAIMS):
            return None
        parts = list(self._instance_id)
        parts[1::2] = (
            f"{{{{ vm.{name} }}}}" if name in CLAIMS else table.get(name, "") for name in parts[1::2]
        )
        return "".join(parts)

    def _find(self, node: yaml.Node, path: Path) -> None:
        self.values += 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._find(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._find(value, (*path, number))
        elif (
            isinstance(node, yaml.ScalarNode)
            and "{{" in node.value
            and place_of(node).source in self._sources
        ):
            self._parse(node, path)

    def _parse(self, node: yaml.ScalarNode, path: Path) -> None:
        parts = [""]
        end = 0
        for braces in _BRACES.finditer(node.value):
            is_field, name = braces.groups()
            if name is not None:
                parts[-1] += node.value[end : braces.start()]
                parts += (name, "")
                end = braces.end()
                if name not in CLAIMS and self._columns is not None and name not in self._columns:
                    self._fault(node, path, self._unknown(name))
                if name in CLAIMS and path[:1] in _PROTECTING:
                    self._fault(
                        node, path, f"{{{{ vm.{name} }}}} is what the VM says itself: it protects nothing"
                    )
            elif is_field:
                self._fault(node, path, "{{ vm. is not the beginning of a field such as {{ vm.name }}")
            elif path[:1] not in _GUESTS:
                self._fault(node, path, "{{ is not the beginning of a field such as {{ vm.name }}")
        parts[-1] += node.value[end:]
        if len(parts) > 1:
            self._templates[id(node)] = parts
            if path in _INSTANCE_ID:
                self._instance_id = parts
            self.paths.update(path[:length] for length in range(len(path) + 1))
            if set(parts[1::2]).difference(CLAIMS):
                self.unquoted.add(path)

    def _unknown(self, name: str) -> str:
        if not self._known:
            columns = sorted(self._columns or ())
            more = ["…"] if len(columns) > _MAX_NAMED else []
            self._known = ", ".join([*CLAIMS, *columns[:_MAX_NAMED], *more])
        return f"{{{{ vm.{name} }}}} is no field of this definition (known: {self._known})"

    def _fault(self, node: yaml.ScalarNode, path: Path, text: str) -> None:
        self.faults.append(Fault(*place_of(node), path_text(path), text))


class _Filling:
    """The tree for one VM, as far as it has been made."""

    def __init__(
        self,
        vm: VMFacts,
        table: Mapping[str, str],
        templates: Mapping[int, _Template],
        paths: Collection[Path],
    ) -> None:
        self.faults: list[Fault] = []
        self._vm = vm
        self._table = table
        self._templates = templates
        self._paths = paths
        self._size = 0
        # By the id of the node it was made of: an alias stays one. But not that of text and of a file's name.
        self._made: dict[tuple[int, bool], yaml.Node] = {}

    def node(self, node: yaml.Node, path: Path) -> yaml.Node:
        """Return what becomes of a node; of what does not depend on the VM, the node itself."""
        if path not in self._paths:
            return node
        key = id(node), _names_file(path)
        if key not in self._made:
            self._made[key] = self._make(node, path)
        return self._made[key]

    def _make(self, node: yaml.Node, path: Path) -> yaml.Node:
        if isinstance(node, yaml.MappingNode):
            items = [(key, self.node(value, (*path, key.value))) for key, value in node.value]
            return mapping(items, place_of(node), node.flow_style)
        if isinstance(node, yaml.SequenceNode):
            members = [self.node(value, (*path, number)) for number, value in enumerate(node.value)]
            return sequence(members, place_of(node), node.flow_style)
        return scalar(TAG + "str", self._text(node, path), place_of(node))

    def _text(self, node: yaml.Node, path: Path) -> str:
        parts = list(self._templates[id(node)])
        last = ""  # the character before
        for number in range(1, len(parts), 2):
            name = parts[number]
            last = (last + parts[number - 1][-1:])[-1:]
            value, fault = self._value(name, last)
            last = (last + value[-1:])[-1:]
            if name in CLAIMS and _names_file(path) and ("/" in value or value.startswith(".")):
                fault = "is part of a file's name here, and holds a / or begins with a dot"
            if fault:
                self.faults.append(Fault(*place_of(node), path_text(path), f"{{{{ vm.{name} }}}} {fault}"))
            parts[number] = value
            self._size += len(parts[number - 1]) + len(value)
            if self._size > MAX_FILLED:
                text = f"is too long: what is filled in is more than {MAX_FILLED // 1024 // 1024} MiB"
                self.faults.append(Fault(*place_of(node), path_text(path), text))
                return ""
        return "".join(parts)

    def _value(self, name: str, before: str) -> tuple[str, str]:
        """Return what a field says, or what is wrong with it; ``before`` is the character it comes after."""
        if name not in CLAIMS:
            value = self._table.get(name)
            return (value, "") if value is not None else ("", "is no field of this VM")
        claim = getattr(self._vm, name)
        if claim is None:
            return "", f"is not known: the VM has not told its {name.replace('_', ' ').upper()}"
        text = str(claim)
        # A claim must not be able to add a line to user-data, nor code to a template of the guest's.
        if not text.isprintable():
            return "", "is not printable text: the VM's name holds a line end or another control character"
        if _JINJA.search(before + text):
            return "", "holds braces that would be a template to the guest"
        return text, ""


def _names_file(path: Path) -> bool:
    return path[-1:] == ("file",)
