"""YAML text as a tree of nodes, with limits, and with the faults that YAML itself passes over in silence.

It knows nothing of what a definition says. The tree is composed here from libyaml's events instead of by
``yaml.compose``, which recurses in C: 200,000 opening brackets end the process. So nesting, aliases and the
number of values are checked while the text is read, and whoever walks the tree may simply recurse: keys are
text and stand once, merge keys (``<<``) are resolved, and no alias leads in a circle.

A fault never quotes a value, an alias or a tag: an unquoted password may begin with ``*`` or ``!``.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import yaml

from vmw_cloudinit_metadata.definition.source import Path, Place, Source, path_text
from vmw_cloudinit_metadata.errors import Fault

# cloud-init's deepest modules nest less than ten deep; Python's recursion limit is 1,000 frames.
MAX_DEPTH = 64

# Counted with every alias expanded: nine lines of aliases can stand for a billion values. A definition has
# some dozens, a large user-data some thousands; 100,000 are checked within a second.
MAX_VALUES = 100_000

# YAML reads "key: value" only up to a key of 1,024 characters, and escapes make keys longer.
MAX_KEY = 128

TAG = "tag:yaml.org,2002:"


def scalar(tag: str, value: str, place: Place, style: str | None = None) -> yaml.ScalarNode:
    """Return a node of a text, a number or nothing."""
    mark: Any = place  # which has what is needed of a yaml.Mark, and the file's name
    return yaml.ScalarNode(tag, value, mark, None, style)


def sequence(members: list[yaml.Node], place: Place, flow_style: bool | None) -> yaml.SequenceNode:
    """Return a node of a list."""
    mark: Any = place
    return yaml.SequenceNode(TAG + "seq", members, mark, None, flow_style)


def mapping(
    items: list[tuple[yaml.ScalarNode, yaml.Node]], place: Place, flow_style: bool | None
) -> yaml.MappingNode:
    """Return a node of a mapping."""
    mark: Any = place
    return yaml.MappingNode(TAG + "map", items, mark, None, flow_style)


def place_of(node: yaml.Node) -> Place:
    """Return where a node stands."""
    return cast("Place", node.start_mark)


class _UnreadableError(Exception):
    """A fault after which the rest of the text means nothing."""


@dataclass(slots=True)
class _Open:
    """A sequence or mapping whose end has not come."""

    node: yaml.SequenceNode | yaml.MappingNode
    anchor: str | None
    values_before: int
    height: int = 1
    key: yaml.Node | None = None  # of a mapping, the key whose value comes next
    key_fits: bool = False  # that key is text
    key_lines: dict[str, int] = field(default_factory=dict)
    merged: list[yaml.MappingNode] = field(default_factory=list)  # of a mapping, what it merges (<<)


class _Anchored(NamedTuple):
    node: yaml.Node
    values: int
    height: int


def compose(source: Source) -> tuple[yaml.Node | None, list[Fault]]:
    """Return the tree of the one document in a source and the faults found; no tree if it cannot be read.

    The text is UTF-8, with or without a byte order mark. Aliases are the same node twice.
    """
    name, text = source
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [Fault(name, _line_of(text, error.start), "", "not UTF-8 text")]
    loader = yaml.CSafeLoader(text)
    composer = _Composer(name, loader)
    try:
        composer.run()
    except _UnreadableError as error:
        return None, [*composer.faults, Fault(name, composer.line, "", str(error))]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return None, [*composer.faults, Fault(name, line, "", _syntax_sentence(text, line, error))]
    except yaml.reader.ReaderError as error:
        line = _line_of(text, error.position)
        return None, [*composer.faults, Fault(name, line, "", "a control character, which YAML refuses")]
    finally:
        loader.dispose()
    if composer.root is None:
        return None, [Fault(name, 1, "", "the file is empty")]
    return composer.root, composer.faults


class _Composer:
    """Turns events into nodes; what is open is a list, not the call stack."""

    def __init__(self, name: str, loader: yaml.CSafeLoader) -> None:
        self._name = name
        self.root: yaml.Node | None = None
        self.faults: list[Fault] = []
        self.line = 1
        self._loader: Any = loader  # whose methods are not typed
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}  # None while the anchored node is open
        self._values = 0
        self._documents = 0

    def run(self) -> None:
        while self._loader.check_event():
            event: Any = self._loader.get_event()
            self.line = event.start_mark.line + 1
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _UnreadableError("a second YAML document begins here; a file holds one")

    def _scalar(self, event: Any) -> None:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        else:
            self._check_tag(tag, "str")
        if tag == TAG + "value":
            tag = TAG + "str"  # a lone "=", which PyYAML resolves but cannot load
        node = scalar(tag, event.value, Place(self._name, self.line), event.style)
        self._count(1, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 1)
        self._attach(node, 1)

    def _begin(self, event: Any) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        kind, make = ("map", mapping) if is_mapping else ("seq", sequence)
        if event.tag not in (None, "!"):
            self._check_tag(event.tag, kind)
        node = make([], Place(self._name, self.line), event.flow_style)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        before = self._values
        self._count(1, 1)
        self._open.append(_Open(node, event.anchor, before))

    def _end(self) -> None:
        done = self._open.pop()
        if isinstance(done.node, yaml.MappingNode):
            _settle(done.node, done.merged)
        if done.anchor is not None:
            self._anchors[done.anchor] = _Anchored(done.node, self._values - done.values_before, done.height)
        self._attach(done.node, done.height)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise _UnreadableError(
                "an alias (*…) stands here without its anchor; quote a text that begins with *"
            )
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise _UnreadableError("an alias stands inside the value it repeats")
        self._count(anchored.values, anchored.height)
        self._attach(anchored.node, anchored.height)

    def _count(self, values: int, height: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _UnreadableError(f"more than {MAX_VALUES:,} values up to here, with what aliases repeat")
        if len(self._open) + height > MAX_DEPTH:
            raise _UnreadableError(f"nested more than {MAX_DEPTH} deep")

    def _attach(self, node: yaml.Node, height: int) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.height = max(parent.height, height + 1)
        if isinstance(parent.node, yaml.SequenceNode):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = node
            parent.key_fits = self._check_key(parent, node)
        else:
            self._attach_item(parent, parent.key, node)
            parent.key = None

    def _check_key(self, parent: _Open, key: yaml.Node) -> bool:
        """Note what is wrong with a key; return whether its item can be kept."""
        if not isinstance(key, yaml.ScalarNode):
            # What stands in {{ }} without quotes is a mapping in a mapping to YAML.
            braces = isinstance(key, yaml.MappingNode) and key.flow_style
            hint = "; quote a text that begins with {{" if braces else ""
            self._fault(f"a key is text, not a list or mapping{hint}")
            return False
        if len(key.value) > MAX_KEY:
            self._fault(f"a key is longer than {MAX_KEY} characters")
            return False
        if key.value in parent.key_lines:
            self._fault(f"is given twice (first on line {parent.key_lines[key.value]})")
        else:
            parent.key_lines[key.value] = self.line
        return True

    def _attach_item(self, parent: _Open, key: yaml.Node, value: yaml.Node) -> None:
        if not parent.key_fits:
            return
        if key.tag != TAG + "merge":
            parent.node.value.append((key, value))
            return
        parent.key = None  # the fault is the mapping's
        for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(other, yaml.MappingNode):
                parent.merged.append(other)
            else:
                self._fault("merges (<<) what is not a mapping")

    def _check_tag(self, tag: str, expected: str) -> None:
        if tag != TAG + expected:
            self._fault("has a YAML tag (!…), which is not supported; quote a text that begins with !")

    def _fault(self, text: str) -> None:
        self.faults.append(Fault(self._name, self.line, self._path(), text))

    def _path(self) -> str:
        steps: Path = ()
        for parent in self._open:
            if isinstance(parent.node, yaml.SequenceNode):
                steps += (len(parent.node.value),)
            elif isinstance(parent.key, yaml.ScalarNode) and len(parent.key.value) <= MAX_KEY:
                steps += (parent.key.value,)
        return path_text(steps)


def _settle(node: yaml.MappingNode, merged: list[yaml.MappingNode]) -> None:
    """Let each key stand once: of two the last, and before any that is merged, of which the first."""
    items = {key.value: (key, value) for key, value in node.value}
    for other in merged:
        for key, value in other.value:
            if key.value not in items:
                # A key of its own: a node that stands twice would be written as an alias.
                items[key.value] = scalar(key.tag, key.value, place_of(key), key.style), value
    if merged or len(items) < len(node.value):
        node.value = list(items.values())


def _line_of(text: bytes, position: int) -> int:
    return text.count(b"\n", 0, position) + 1


def _syntax_sentence(text: bytes, line: int, error: yaml.MarkedYAMLError) -> str:
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else b""
    if b"\t" in here[: len(here) - len(here.lstrip())]:
        return "a tab stands where YAML wants spaces"
    return f"not YAML: {error.problem}"
