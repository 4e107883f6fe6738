"""Parts of a definition read alone, for an index: without a look at the rest of it, or at its faults."""

import contextlib
import re
from collections.abc import Callable
from typing import Any, TypeVar

import yaml

from vmw_cloudinit_metadata.definition.defaults import MAX_DEFINITION
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.source import Source
from vmw_cloudinit_metadata.definition.strict_yaml import compose
from vmw_cloudinit_metadata.definition.vms import VMs, read_vms
from vmw_cloudinit_metadata.errors import DefinitionError, Fault
from vmw_cloudinit_metadata.instance import InstanceMatch

# A key of a definition that is written in lines, and the lines that belong to it.
_LINES = {
    key: re.compile(rb"^%b[ \t]*:.*(?:\n(?:[ \t#-].*)?)*" % key.encode(), re.MULTILINE)
    for key in ("match", "vms")
}

_T = TypeVar("_T")


def parse_match(text: bytes) -> InstanceMatch | None:
    """Return the pins of a definition without a look at the rest of it; None if it has none for all its VMs.

    Raises:
        DefinitionError: it cannot be read as YAML, or its pins are none.
    """
    return _part("match", text, _read_match)


def parse_vms(text: bytes) -> VMs | None:
    """Return for which VMs a definition is without a look at the rest of it; None if it does not say so.

    Raises:
        DefinitionError: it cannot be read as YAML, or its ``vms`` has faults.
    """
    return _part("vms", text, read_vms)


def _part(key: str, text: bytes, read: Callable[[Reader, yaml.MappingNode], _T | None]) -> _T | None:
    if key.encode() not in text:
        return None
    # A usual definition takes a millisecond to read, these lines of it a tenth: 10,000 are read in seconds.
    if lines := _LINES[key].search(text):
        with contextlib.suppress(DefinitionError):
            return _read(lines[0], read)
    return _read(text[: MAX_DEFINITION + 1], read)


def _read(text: bytes, read: Callable[[Reader, yaml.MappingNode], _T | None]) -> _T | None:
    root, faults = compose(Source("", text))
    if root is None:
        raise _error(faults)
    if not isinstance(root, yaml.MappingNode):
        return None
    found: list[Fault] = []  # those of the part alone; what is wrong elsewhere is told when a VM asks
    part = read(Reader(root, found), root)
    if found:
        raise _error(found)
    return part


def _error(faults: list[Fault]) -> DefinitionError:
    text = "; ".join(f"line {fault.line}: {fault.text}" for fault in faults)
    return DefinitionError(text, faults=faults)


def _read_match(reader: Reader, root: yaml.MappingNode) -> InstanceMatch | None:
    for key, node, at in reader.items(root, ()):
        if key == "match" and (match := reader.text(node, at)) is not None:
            return None if _has_fields(match) else InstanceMatch.from_mapping(match)
    return None


def _has_fields(match: Any) -> bool:
    """Return whether the pins come from a table, for each VM its own."""
    return isinstance(match, dict) and any(
        "{{" in value for value in match.values() if isinstance(value, str)
    )
