"""A tree of nodes as plain values, and the place of each.

Where text is meant, the characters of the file are the text: ``instance-id: 0123`` is "0123" and
``region: no`` is "no", whatever YAML makes of them. Where any value may stand, those that would change
silently are faults. Which is meant where is not known here: see read_metadata.py and its neighbours.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.source import Path, Place, ReadFile, path_text
from vmw_cloudinit_metadata.definition.strict_yaml import TAG, place_of
from vmw_cloudinit_metadata.errors import DefinitionError, Fault

# The numbers that YAML 1.1 and people read alike; 0123 is 83 to YAML, 12:30 is 750, 1_000 is 1000.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")


class Reader:
    """Turns nodes into plain values and remembers where each stands; faults are collected.

    Attributes:
        places: of every key and every member of a list that was read.
        faults: those that were given, and those that were found.

    Args:
        root: the tree that will be read.
        faults: those that are known already.
        read_file: reads what ``file`` names.
        varying: what has fields that are not filled in yet; nothing is wrong with it so far.
    """

    def __init__(
        self,
        root: yaml.Node,
        faults: list[Fault],
        read_file: ReadFile | None = None,
        varying: Collection[Path] = (),
    ) -> None:
        self.places: dict[Path, Place] = {(): place_of(root)._replace(line=1)}
        self.faults = faults
        self._read_file = read_file
        self._varying = varying

    def items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node, Path]]:
        """Yield key, value and path of each item of a mapping."""
        for key, value in node.value:
            where = (*path, key.value)
            self.places[where] = place_of(key)
            yield key.value, value, where

    def members(self, node: yaml.SequenceNode, path: Path) -> Iterator[tuple[yaml.Node, Path]]:
        """Yield each member of a list and its path."""
        for number, value in enumerate(node.value):
            where = (*path, number)
            self.places[where] = place_of(value)
            yield value, where

    def text(self, node: yaml.Node, path: Path) -> Any:
        """Return the node with all its scalars as the text of the file; an empty one is None."""
        if isinstance(node, yaml.MappingNode):
            return {key: self.text(value, at) for key, value, at in self.items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self.text(value, at) for value, at in self.members(node, path)]
        return None if is_null(node) else node.value

    def json(self, node: yaml.Node, path: Path) -> Any:
        """Return the node as JSON has it; what JSON has not, or YAML changes in silence, is a fault."""
        if isinstance(node, yaml.MappingNode):
            return {key: self.json(value, at) for key, value, at in self.items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self.json(value, at) for value, at in self.members(node, path)]
        value, fault = _json_value(node)
        if fault:
            self.fault(path, fault)
        return value

    def integer(self, node: yaml.Node, path: Path) -> Any:
        """Return the number that the characters of a scalar make, quoted or not; else as ``text`` does."""
        if isinstance(node, yaml.ScalarNode) and len(node.value) <= 18 and _INTEGER.fullmatch(node.value):
            return int(node.value)
        return self.text(node, path)

    def boolean(self, node: yaml.Node, path: Path) -> Any:
        """Return the truth value of a scalar that is true or false, quoted or not; else as ``text`` does."""
        if isinstance(node, yaml.ScalarNode) and node.value in ("true", "false"):
            return node.value == "true"
        return self.text(node, path)

    def varies(self, path: Path) -> bool:
        """Tell whether a value has fields that are not filled in yet."""
        return path in self._varying

    def file(self, name: str, path: Path) -> bytes | None:
        """Return the bytes of the file of this name beside the source that says it; None is a fault."""
        if self._read_file is None:
            self.fault(path, "names a file, and none can be read here")
            return None
        try:
            return self._read_file(self.places[path].source, name)
        except DefinitionError as error:
            self.fault(path, str(error))
            return None

    def fault(self, path: Path, text: str) -> None:
        """Note what is wrong with a value that was read: the end of a sentence."""
        if not self.varies(path):
            self.faults.append(Fault(*self.places[path], path_text(path), text))


def is_null(node: yaml.Node) -> bool:
    """Return whether nothing stands here, or ``~``, or ``null``."""
    return bool(node.tag == TAG + "null")


def is_text(node: yaml.Node) -> bool:
    """Return whether a scalar is text to YAML."""
    return bool(node.tag == TAG + "str")


def given(raw: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return a mapping without those of the known keys that stand there without a value."""
    return {key: value for key, value in raw.items() if value is not None or key not in known}


def _json_value(node: yaml.Node) -> tuple[Any, str | None]:
    """Return the value of a scalar, and what is wrong with it."""
    text = node.value
    kind = node.tag.removeprefix(TAG)
    if kind == "null":
        return None, None
    if kind == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true", None
        return None, "is a truth value to YAML 1.1; write true or false, or quote it"
    if kind == "int":
        if not _INTEGER.fullmatch(text):
            return None, "is another number to YAML 1.1 than it looks; quote it"
        if len(text) > 18:
            return None, "is a number of more than 18 digits; quote it"
        return int(text), None
    if kind == "float":
        if not _DECIMAL.fullmatch(text) or abs(float(text)) == float("inf"):
            return None, "is a number that JSON has not, or not as it looks; quote it"
        return float(text), None
    if kind == "timestamp":
        return None, "is a date to YAML, which JSON has not; quote it"
    return text, None
