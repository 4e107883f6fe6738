"""A definition: the YAML file of one VM, read into an instance.

The rules are definition.schema.json, which editors read too; what they cannot say (a netmask's ones and
zeros) is a format here. Each rule carries its own sentence, so that an editor and the log say the same.

Where text is meant, the characters of the file are the text: ``instance-id: 0123`` is "0123" and
``region: no`` is "no", whatever YAML makes of them. Where any value may stand, those that would change
silently are faults.
"""

import contextlib
import difflib
import functools
import importlib.resources
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import jsonschema
import yaml

from vmw_cloudinit_metadata import checks, instance
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMatch
from vmw_cloudinit_metadata.strict_yaml import MAX_KEY, TAG, Fault, compose, path_text

# The largest user-data that a line carries (checks.MAX_USERDATA), indented as a YAML block.
MAX_DEFINITION = 4 * 1024 * 1024

# Garbage can have a fault on every line; a person reads the first screens.
MAX_FAULTS = 100

_FORMATS: dict[str, Callable[[object], str | None]] = {
    "mac": checks.mac_fault,
    "interface": checks.interface_fault,
    "ipv4": checks.address_fault,
    "ipv4-netmask": checks.netmask_fault,
    "ssh-public-key": checks.public_key_fault,
    "user-data": checks.userdata_fault,
    "uuid": checks.uuid_fault,
    "time": checks.time_fault,
    "token": checks.token_fault,
}

# A key that is given without a value is a key left out; but not one of those that protect: what a template
# has left empty by mistake would let everyone in.
_MAY_BE_EMPTY = ("metadata", "network", "userdata", "vendordata")

# Nothing inside these is named in a fault: keys inside user-data are user-data.
_SECRET = re.compile(r"(userdata|vendordata|token)[.\[]")

# The key ``match`` of a definition that is written in lines, and the lines that belong to it.
_MATCH_LINES = re.compile(rb"^match[ \t]*:.*(?:\n(?:[ \t#].*)?)*", re.MULTILINE)

_Path = tuple[str | int, ...]


def parse_definition(text: bytes, source: str) -> InstanceData:
    """Return the instance that a definition file describes; ``source`` is its name in faults.

    Both spellings of 0.0.8 are read: dashes, ``tags`` as a list and ``search`` as text (its README), or
    underscores, ``tags`` as a mapping and ``search`` as a list (its code).

    Raises:
        DefinitionError: every fault, one a line: ``web-01.yaml:5: network.address: '10.0.0.300' is not an
            IPv4 address``. User-data, vendor-data, keys and tokens are never quoted.
    """
    if len(text) > MAX_DEFINITION:
        raise DefinitionError(f"{source}: the file is longer than {MAX_DEFINITION // 1024 // 1024} MiB")
    root, faults = compose(text)
    if root is not None:
        reader = _Reader(faults)
        raw = reader.read(root)
        faults.extend(_schema_faults(raw, reader.lines))
    if faults:
        raise DefinitionError(_report(source, faults))
    return InstanceData(raw)


def parse_match(text: bytes) -> InstanceMatch | None:
    """Return the pins of a definition file without a look at the rest of it; None if it has none.

    Raises:
        DefinitionError: it cannot be read as YAML, or its pins are none.
    """
    if b"match" not in text:
        return None
    # A usual definition takes 1.5 ms to read, its lines of match a tenth of that: 10,000 are read in seconds.
    if lines := _MATCH_LINES.search(text):
        with contextlib.suppress(DefinitionError):
            return _read_match(lines[0])
    return _read_match(text[: MAX_DEFINITION + 1])


def _read_match(text: bytes) -> InstanceMatch | None:
    root, faults = compose(text)
    if root is None:
        raise DefinitionError("; ".join(f"line {fault.line}: {fault.text}" for fault in faults))
    match = _Reader([]).read_match(root)
    return None if match is None else InstanceMatch.from_mapping(match)


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a definition."""
    file = importlib.resources.files(__package__).joinpath("definition.schema.json")
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


class _Reader:
    """Turns nodes into plain values, by where they stand, and remembers the line of each."""

    def __init__(self, faults: list[Fault]) -> None:
        self.lines: dict[_Path, int] = {(): 1}
        self._faults = faults

    def read(self, root: yaml.Node) -> Any:
        """Return the definition as dictionaries, lists and text; a known key without a value is left out."""
        if not isinstance(root, yaml.MappingNode):
            return None
        readers = {
            "metadata": self._metadata,
            "network": self._network,
            "userdata": self._userdata,
            "vendordata": self._userdata,
            "serve": self._serve,
        }
        raw = {key: readers.get(key, self._text)(node, at) for key, node, at in self._items(root, ())}
        return _given(raw, _MAY_BE_EMPTY)

    def read_match(self, root: yaml.Node) -> Any:
        """Return the definition's ``match`` alone."""
        if not isinstance(root, yaml.MappingNode):
            return None
        return next((self._text(node, at) for key, node, at in self._items(root, ()) if key == "match"), None)

    def _network(self, root: yaml.Node, path: _Path) -> Any:
        raw = self._text(root, path)
        return _given(raw, instance.NETWORK_KEYS) if isinstance(raw, dict) else raw

    def _metadata(self, root: yaml.Node, path: _Path) -> Any:
        if not isinstance(root, yaml.MappingNode):
            return self._text(root, path)
        raw = {}
        spelt: dict[str, str] = {}
        for key, node, at in self._items(root, path):
            name = instance.METADATA_KEYS.get(key)
            raw[key] = self._text(node, at) if name else self._any(node, at)
            if name in spelt:
                self._fault(at, f"means the same as {spelt[name]} on line {self.lines[*path, spelt[name]]}")
            elif name:
                spelt[name] = key
        return _given(raw, instance.METADATA_KEYS)

    def _userdata(self, node: yaml.Node, path: _Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            # The tree is written as it was read, not loaded and dumped: `permissions: 0644` stays what it is.
            return "#cloud-config\n" + yaml.serialize(node, Dumper=yaml.CSafeDumper, allow_unicode=True)
        if isinstance(node, yaml.ScalarNode) and node.tag in (TAG + "str", TAG + "null"):
            return self._text(node, path)
        return []  # what it is does not matter: the schema's sentence fits any

    def _serve(self, root: yaml.Node, path: _Path) -> Any:
        if not isinstance(root, yaml.MappingNode):
            return self._text(root, path)
        return {
            key: self._text(node, at) if key == "until" else self._any(node, at)
            for key, node, at in self._items(root, path)
        }

    def _text(self, node: yaml.Node, path: _Path) -> Any:
        """Return the node with all its scalars as the text of the file; an empty one is None."""
        if isinstance(node, yaml.MappingNode):
            return {key: self._text(value, at) for key, value, at in self._items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._text(value, at) for value, at in self._members(node, path)]
        return None if node.tag == TAG + "null" else node.value

    def _any(self, node: yaml.Node, path: _Path) -> Any:
        """Return the node as JSON has it; what JSON has not, or YAML changes in silence, is a fault."""
        if isinstance(node, yaml.MappingNode):
            return {key: self._any(value, at) for key, value, at in self._items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._any(value, at) for value, at in self._members(node, path)]
        value, fault = _json_value(node)
        if fault:
            self._fault(path, fault)
        return value

    def _items(self, node: yaml.MappingNode, path: _Path) -> Iterator[tuple[str, yaml.Node, _Path]]:
        for key, value in self._merged(node, path):
            where = (*path, key.value)
            self.lines[where] = key.start_mark.line + 1
            yield key.value, value, where

    def _members(self, node: yaml.SequenceNode, path: _Path) -> Iterator[tuple[yaml.Node, _Path]]:
        for number, value in enumerate(node.value):
            where = (*path, number)
            self.lines[where] = value.start_mark.line + 1
            yield value, where

    def _merged(self, node: yaml.MappingNode, path: _Path) -> Iterable[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return a mapping's items, ``<<`` resolved: its own keys win over those it merges."""
        items: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or len(key.value) > MAX_KEY:
                continue  # a fault already, found by compose()
            if key.tag == TAG + "merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                items[key.value] = (key, value)
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                self._fault(path, "merges (<<) what is not a mapping")
                continue
            for key, value in self._merged(other, path):
                items.setdefault(key.value, (key, value))
        return items.values()

    def _fault(self, path: _Path, text: str) -> None:
        self._faults.append(Fault(self.lines[path], path_text(list(path)), text))


def _given(raw: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if value is not None or key not in known}


# The numbers that YAML 1.1 and people read alike; 0123 is 83 to YAML, 12:30 is 750, 1_000 is 1000.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")


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


@functools.cache
def _validator() -> jsonschema.protocols.Validator:
    checker = jsonschema.FormatChecker(formats=())
    for name, fault in _FORMATS.items():
        checker.checks(name)(functools.partial(_is_faultless, fault))
    draft = jsonschema.Draft202012Validator
    # To JSON schema 3.0 is a whole number.
    types = draft.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    extend: Any = jsonschema.validators.extend  # which is not typed
    validator: jsonschema.protocols.Validator = extend(draft, type_checker=types)(
        schema(), format_checker=checker
    )
    return validator


def _is_faultless(fault: Callable[[object], str | None], value: object) -> bool:
    # A format is about text; what is not text at all is the fault of another rule.
    return not isinstance(value, str) or fault(value) is None


def _schema_faults(raw: Any, lines: dict[_Path, int]) -> Iterator[Fault]:
    seen = set()
    for error in _validator().iter_errors(raw):
        for path, text in _sentences(error):
            # Several rules about one value have one sentence.
            if (path, text) not in seen:
                seen.add((path, text))
                yield Fault(lines[path], path_text(list(path)), text)


def _sentences(error: jsonschema.ValidationError) -> Iterator[tuple[_Path, str]]:
    path = tuple(error.absolute_path)
    rule: Any = error.schema
    value: Any = error.instance
    if error.validator == "additionalProperties":
        known = list(rule["properties"])
        for key in value:
            if key not in known:
                yield (*path, key), f"is not a known key{_suggestion(key, known)}"
    elif error.validator == "required":
        for key in rule["required"]:
            if key not in value:
                yield path, f"{key} is missing"
    else:
        text = rule["errorMessage"]
        if error.validator == "format":
            text = _FORMATS[rule["format"]](value)
        if isinstance(value, str) and error.validator != "type" and not rule.get("writeOnly"):
            text = f"{_quoted(value)} {text}"
        yield path, text


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key.lower().replace("_", "-"), known, n=1)
    return f"; did you mean {near[0]}?" if near else f" (known: {', '.join(known)})"


def _quoted(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:59] + "…")


def _report(source: str, faults: list[Fault]) -> str:
    lines = []
    for line, key, text in sorted(faults, key=lambda fault: (fault.line, fault.key))[:MAX_FAULTS]:
        if secret := _SECRET.match(key):
            key = secret[1]
        lines.append(f"{source}:{line}: {key}: {text}" if key else f"{source}:{line}: {text}")
    if len(faults) > MAX_FAULTS:
        lines.append(f"{source}: and {len(faults) - MAX_FAULTS:,} more faults")
    return "\n".join(lines)
