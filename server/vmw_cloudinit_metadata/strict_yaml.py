"""YAML text as a tree of nodes, with limits, and with the faults that YAML itself passes over in silence.

It knows nothing of definitions. The tree is composed here from libyaml's events instead of by
``yaml.compose``, which recurses in C: 200,000 opening brackets end the process. So nesting, aliases and the
number of values are checked while the text is read, and whoever walks the tree may simply recurse.

A fault never quotes a value, an alias or a tag: an unquoted password may begin with ``*`` or ``!``.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

# cloud-init's deepest modules nest less than ten deep; Python's recursion limit is 1,000 frames.
MAX_DEPTH = 64

# Counted with every alias expanded: nine lines of aliases can stand for a billion values. A definition has
# some dozens, a large user-data some thousands; 100,000 are checked within a second.
MAX_VALUES = 100_000

# YAML reads "key: value" only up to a key of 1,024 characters, and escapes make keys longer.
MAX_KEY = 128

TAG = "tag:yaml.org,2002:"


class Fault(NamedTuple):
    """What is wrong: on which line (from 1), under which key ('' for the file), as the end of a sentence."""

    line: int
    key: str
    text: str


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
    key_lines: dict[str, int] = field(default_factory=dict)


class _Anchored(NamedTuple):
    node: yaml.Node
    values: int
    height: int


def compose(text: bytes) -> tuple[yaml.Node | None, list[Fault]]:
    """Return the tree of the one document in ``text`` and the faults found; no tree if it cannot be read.

    The text is UTF-8, with or without a byte order mark. Aliases are the same node twice, never a circle.
    """
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [Fault(_line_of(text, error.start), "", "not UTF-8 text")]
    loader = yaml.CSafeLoader(text)
    composer = _Composer(loader)
    try:
        composer.run()
    except _UnreadableError as error:
        return None, [*composer.faults, Fault(composer.line, "", str(error))]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return None, [*composer.faults, Fault(line, "", _syntax_sentence(text, line, error))]
    except yaml.reader.ReaderError as error:
        line = _line_of(text, error.position)
        return None, [*composer.faults, Fault(line, "", "a control character, which YAML refuses")]
    finally:
        loader.dispose()
    if composer.root is None:
        return None, [Fault(1, "", "the file is empty")]
    return composer.root, composer.faults


class _Composer:
    """Turns events into nodes; what is open is a list, not the call stack."""

    def __init__(self, loader: yaml.CSafeLoader) -> None:
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
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark, event.style)
        self._count(1, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 1)
        self._attach(node, 1)

    def _begin(self, event: Any) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        kind, node_type = ("map", yaml.MappingNode) if mapping else ("seq", yaml.SequenceNode)
        if event.tag not in (None, "!"):
            self._check_tag(event.tag, kind)
        node = node_type(TAG + kind, [], event.start_mark, event.end_mark, event.flow_style)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        before = self._values
        self._count(1, 1)
        self._open.append(_Open(node, event.anchor, before))

    def _end(self) -> None:
        done = self._open.pop()
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
            self._check_key(parent, node)
        else:
            parent.node.value.append((parent.key, node))
            parent.key = None

    def _check_key(self, parent: _Open, key: yaml.Node) -> None:
        if not isinstance(key, yaml.ScalarNode):
            self._fault("a key is text, not a list or mapping")
        elif len(key.value) > MAX_KEY:
            self._fault(f"a key is longer than {MAX_KEY} characters")
        elif key.value in parent.key_lines:
            self._fault(f"is given twice (first on line {parent.key_lines[key.value]})")
        else:
            parent.key_lines[key.value] = self.line

    def _check_tag(self, tag: str, expected: str) -> None:
        if tag != TAG + expected:
            self._fault("has a YAML tag (!…), which is not supported; quote a text that begins with !")

    def _fault(self, text: str) -> None:
        self.faults.append(Fault(self.line, self._path(), text))

    def _path(self) -> str:
        steps: list[str | int] = []
        for parent in self._open:
            if isinstance(parent.node, yaml.SequenceNode):
                steps.append(len(parent.node.value))
            elif isinstance(parent.key, yaml.ScalarNode) and len(parent.key.value) <= MAX_KEY:
                steps.append(parent.key.value)
        return path_text(steps)


def path_text(steps: list[str | int]) -> str:
    """Return a path as people write it: ``network.nameservers[1]``; on one line, whatever the keys hold."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if step.isprintable() else repr(step)[1:-1]
            text += f".{name}" if text else name
    return text


def _line_of(text: bytes, position: int) -> int:
    return text.count(b"\n", 0, position) + 1


def _syntax_sentence(text: bytes, line: int, error: yaml.MarkedYAMLError) -> str:
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else b""
    if b"\t" in here[: len(here) - len(here.lstrip())]:
        return "a tab stands where YAML wants spaces"
    return f"not YAML: {error.problem}"
