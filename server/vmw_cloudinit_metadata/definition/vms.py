"""The key ``vms``: for which VMs a definition is, and the fields of each."""

import fnmatch
import re
import string
import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.source import Path
from vmw_cloudinit_metadata.definition.strict_yaml import MAX_KEY

# Each VM that no definition names is held against every pattern there is. Names may be as many as a file
# holds: they are looked up.
MAX_PATTERNS = 100

# What the VM itself says, beside which a table's fields stand.
CLAIMS = ("name", "vc_uuid", "bios_uuid")

# "web-*" is best shown as "web-1".
_CHARACTERS = "1234567890" + string.ascii_letters + string.punctuation + " é中"

_COLUMN = re.compile("[A-Za-z0-9_]+")


class VMFacts(NamedTuple):
    """What a VM says it is; all of them are claims."""

    name: str
    vc_uuid: uuid.UUID | None = None
    bios_uuid: uuid.UUID | None = None


class VMs:
    """The names and patterns of VMs, and what fields each has.

    Args:
        raw: a list of names and patterns, or a mapping of each to its fields, without fault.
    """

    def __init__(self, raw: Any) -> None:
        table = raw if isinstance(raw, dict) else dict.fromkeys(raw)
        self._names = {name: fields or {} for name, fields in table.items() if not _is_pattern(name)}
        self._patterns = [
            (pattern, re.compile(fnmatch.translate(pattern)), fields or {})
            for pattern, fields in table.items()
            if _is_pattern(pattern)
        ]

    @property
    def names(self) -> Collection[str]:
        """The plain names, in the order of the file."""
        return self._names.keys()

    @property
    def patterns(self) -> Collection[str]:
        """The patterns, in the order of the file."""
        return [pattern for pattern, _, _ in self._patterns]

    def rank(self, name: str) -> int:
        """Return how well a VM's name fits: 2 by a name, 1 by a pattern, 0 not at all; case counts."""
        if name in self._names:
            return 2
        return int(any(fits.match(name) for _, fits, _ in self._patterns))

    def fields(self, name: str) -> Mapping[str, str]:
        """Return the fields of a VM: those of its own name over those of the patterns that it fits.

        Of several patterns the later ones win.
        """
        found: dict[str, str] = {}
        for _, fits, fields in self._patterns:
            if fits.match(name):
                found |= fields
        return found | self._names.get(name, {})

    def columns(self) -> set[str]:
        """Return the names of all fields that some VM has."""
        tables = [*self._names.values(), *(fields for _, _, fields in self._patterns)]
        return {column for fields in tables for column in fields}

    def samples(self) -> list[VMFacts]:
        """Return what VMs could say: each of the names, a made-up one for each pattern; UUIDs are made up."""
        names = [*self._names, *(_sample(pattern) for pattern, _, _ in self._patterns)]
        return [
            VMFacts(name, uuid.uuid5(uuid.NAMESPACE_URL, name), uuid.uuid5(uuid.NAMESPACE_DNS, name))
            for name in dict.fromkeys(names)
        ]


def read_vms(reader: Reader, root: yaml.MappingNode) -> VMs | None:
    """Return the key ``vms`` of a definition; None if there is none, or it has faults, which are noted."""
    for key, node, at in reader.items(root, ()):
        if key == "vms":
            raw = reader.text(node, at)
            faults = list(_faults(raw))
            for where, text in faults:
                reader.fault((*at, *where), text)
            return None if faults else VMs(raw)
    return None


def _faults(raw: Any) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with the plain values of ``vms``: where below it, and the end of a sentence."""
    if not isinstance(raw, list | dict) or not raw:
        yield (), "is not a list of names and patterns, or a mapping of each to its fields, with at least one"
        return
    seen: dict[object, int] = {}
    for number, name in enumerate(raw):
        at: Path = (name,) if isinstance(raw, dict) else (number,)
        if not isinstance(name, str) or not name:
            yield at, "is not the name of a VM, nor a pattern such as web-*"
        elif len(name) > MAX_KEY:
            yield at, f"is longer than {MAX_KEY} characters"
        elif seen.setdefault(name, number) != number:
            yield at, f"is the same as the {seen[name] + 1}. of the list"
        elif _is_pattern(name) and not re.match(fnmatch.translate(name), _sample(name)):
            yield at, "is a pattern that no name fits"
    if sum(isinstance(name, str) and _is_pattern(name) for name in raw) > MAX_PATTERNS:
        yield (), f"has more than {MAX_PATTERNS} patterns"
    if isinstance(raw, dict):
        for name, fields in raw.items():
            yield from _table_faults(name, fields)


def _table_faults(name: str, fields: Any) -> Iterator[tuple[Path, str]]:
    if fields is not None and not isinstance(fields, dict):
        yield (name,), "is not a mapping of fields to text"
        return
    for column, value in (fields or {}).items():
        if not _COLUMN.fullmatch(column):
            yield (name, column), "is not the name of a field (letters, digits and _)"
        elif column in CLAIMS:
            yield (name, column), "is what the VM says itself; give the field another name"
        elif not isinstance(value, str):
            yield (name, column), "is not text; quote an empty one"


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")


def _sample(pattern: str) -> str:
    """Return a name that fits a pattern, if there is one."""
    return re.sub(r"\[!?\]?[^\]]*\]|[*?]", lambda part: _sample_character(part[0]), pattern)


def _sample_character(part: str) -> str:
    """Return a character that fits ``*``, ``?`` or ``[…]``."""
    fits = re.compile(fnmatch.translate(part))
    return next((character for character in _CHARACTERS + part if fits.match(character)), "")
