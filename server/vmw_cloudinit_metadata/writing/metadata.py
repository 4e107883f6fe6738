"""Meta-data as cloud-init has read it -> the metadata of a definition that is served as the same."""

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from vmw_cloudinit_metadata.definition.faults import error_of
from vmw_cloudinit_metadata.definition.source import Source
from vmw_cloudinit_metadata.definition.strict_yaml import compose
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import METADATA_KEYS

# cloud-init knows these by their dashes only; a definition would take either spelling.
_UNDERSCORES = {key for key in METADATA_KEYS if "_" in key}

# Only DataSourceVMware knows these, and a definition does.
_OF_GUESTINFO = ("network", "network.encoding", "public-keys-data")

# More digits than these are another number to programs that read JSON.
_MAX_DIGITS = 18

Note = Callable[[str], None]


def load_mapping(text: bytes, name: str) -> dict[str, Any]:
    """Return the mapping that a document is, as cloud-init reads it; {} for an empty one.

    Raises:
        DefinitionError: it is none; what it holds is not quoted.
    """
    if all(not line.strip() or line.startswith(b"#") for line in text.splitlines()):
        return {}
    # PyYAML itself takes any depth, and ends the process where that is too much.
    root, faults = compose(Source(name, text))
    if root is None:
        raise error_of(faults, name)
    try:
        loaded = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise DefinitionError(f"{name}{where}: a value is none that cloud-init reads") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise DefinitionError(f"{name}: is not a mapping")
    return {str(key): value for key, value in loaded.items()}


def definition_metadata(document: Mapping[str, Any], note: Note) -> dict[str, Any]:
    """Return the metadata of a definition; ``note`` is told what is left out or written otherwise."""
    metadata: dict[str, Any] = {}
    for key, value in document.items():
        if key in _UNDERSCORES:
            note(f"{key} is left out: cloud-init does not know it, only {key.replace('_', '-')}")
        elif key in _OF_GUESTINFO:
            note(f"{key} is left out: cloud-init's NoCloud does not know it")
        elif key == "public-keys":
            metadata[key] = _keys(value)
        elif key == "tags":
            metadata[key] = _tags(value)
        elif key in METADATA_KEYS:
            if value is not None:
                metadata[key] = _text(value)
        else:
            metadata[key] = plain(value)
    hostname, local = metadata.pop("hostname", None), metadata.pop("local-hostname", None)
    if hostname and local and hostname != local:
        note("hostname is left out: cloud-init names the machine by local-hostname")
    metadata = {"hostname": local or hostname, **metadata}
    order = ("instance-id", "hostname", "public-keys")
    known = {key: metadata.pop(key) for key in order if metadata.get(key)}
    return {**known, **{key: value for key, value in metadata.items() if key not in order}}


def plain(value: Any) -> Any:
    """Return a value that YAML has read as one that JSON has, too; dates and the like as text."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and len(str(abs(value))) <= _MAX_DIGITS:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _keys(value: Any) -> list[str]:
    """Return public keys in one list; cloud-init takes them as lines, as a list, and by name (EC2's form)."""
    if isinstance(value, str):
        return [line for line in value.splitlines() if line.strip()]
    if isinstance(value, dict):
        return [key for each in value.values() for key in _keys(each)]
    if isinstance(value, list | tuple | set):
        return [line for each in value if isinstance(each, str) for line in each.splitlines() if line.strip()]
    return []


def _tags(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _text(each) for key, each in value.items()}
    return [_text(each) for each in value] if isinstance(value, list) else [_text(value)]
