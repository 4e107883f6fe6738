"""A definition of 0.0.8 -> one that is served as 0.0.8 serves it.

Almost all of them are taken as they are, comments included. 0.0.8 reads YAML 1.1 as PyYAML does, and takes a
number for text: a file that means something else here, or that is refused here, is written anew.
"""

import json
from typing import Any, NamedTuple

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.metadata import load_mapping
from vmw_cloudinit_metadata.writing.yaml_text import definition_text

# The keys of 0.0.8's code; its README has dashes, with which it refuses its own example.
_METADATA = {
    "instance_id": "instance-id",
    "hostname": "hostname",
    "public_keys": "public-keys",
    "ami_id": "ami-id",
    "region": "region",
    "availability_zone": "availability-zone",
    "tags": "tags",
}
_NETWORK = ("address", "netmask", "gateway", "search", "nameservers")


class Taken(NamedTuple):
    """What becomes of a file: its text, and why that is not the same as it was (None: it is)."""

    text: bytes
    why: str | None

    def __repr__(self) -> str:
        """Show no text: it holds secrets."""
        return f"<Taken {'as it is' if self.why is None else self.why}>"


def take_definition(text: bytes, source: str) -> Taken:
    """Return a definition of 0.0.8 as this release reads it; ``source`` is its name in faults.

    Raises:
        DefinitionError: neither release can serve it; the faults are those of this one.
    """
    fault, ours = None, None
    try:
        ours = nocloud.render(parse_definition(text, source))
    except DefinitionError as error:
        fault = error
    try:
        definition = _as_read_by_0_0_8(text)
        theirs = _rendered(definition_text(definition).encode(), source)
    except DefinitionError as error:
        if ours is not None:
            return Taken(text, None)  # 0.0.8 has never served it; this release does
        raise fault or error from None
    if ours is not None and _same(ours, theirs):
        return Taken(text, None)
    why = str(fault).splitlines()[0] if fault else f"{source}: YAML 1.1 reads a value otherwise than it looks"
    return Taken(definition_text(definition).encode(), why)


def _rendered(text: bytes, source: str) -> nocloud.Documents:
    return nocloud.render(parse_definition(text, source))


def _as_read_by_0_0_8(text: bytes) -> dict[str, Any]:
    """Return what 0.0.8 makes of a file.

    Raises:
        DefinitionError: it refuses it.
    """
    raw = load_mapping(text, "")
    metadata, network, userdata = (
        raw.pop("metadata", None),
        raw.pop("network", None),
        raw.pop("userdata", None),
    )
    if raw or not isinstance(metadata, dict) or not isinstance(network, dict):
        raise DefinitionError("0.0.8 knows metadata, network and userdata, and needs the first two")
    if metadata.keys() - _METADATA.keys() or network.keys() - set(_NETWORK):
        raise DefinitionError("0.0.8 does not know one of the keys")
    definition: dict[str, Any] = {
        "metadata": {
            new: _cast(metadata[old]) for old, new in _METADATA.items() if metadata.get(old) is not None
        },
        "network": {key: _cast(network[key]) for key in _NETWORK if network.get(key) is not None},
    }
    if userdata is not None:
        if not isinstance(userdata, str | int):
            raise DefinitionError("0.0.8 takes nothing but text for userdata")
        definition["userdata"] = str(userdata).encode(errors="surrogatepass")
    return definition


def _cast(value: Any) -> Any:
    """Return a value with all its scalars as the text that 0.0.8 makes of them.

    Raises:
        DefinitionError: it makes none of one.
    """
    if isinstance(value, dict):
        return {str(key): _cast(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cast(each) for each in value]
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    raise DefinitionError("0.0.8 takes nothing but text and whole numbers")


def _same(one: nocloud.Documents, other: nocloud.Documents) -> bool:
    # 0.0.8 strips user-data; that its last line end is served as well is meant.
    return (json.loads(one.meta_data), one.network_config, one.user_data.strip()) == (
        json.loads(other.meta_data),
        other.network_config,
        other.user_data.strip(),
    )
