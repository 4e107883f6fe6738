"""The guestinfo variables of a VM (cloud-init's DataSourceVMware) -> a definition.

As they stand in files: plain, or as the variables have them, compressed, in base64, or both.
"""

import contextlib
from typing import Any

from vmw_cloudinit_metadata import userdata
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.from_seed import documents_part, network_part, with_hostname
from vmw_cloudinit_metadata.writing.metadata import Note, definition_metadata, load_mapping

# What metadata tells DataSourceVMware, and nobody else.
_INSTRUCTIONS = ("cleanup-guestinfo", "wait-on-network")


def guestinfo_definition(
    metadata: bytes, user_data: bytes | None, vendor_data: bytes | None, vm_name: str, note: Note
) -> dict[str, Any]:
    """Return the definition of a VM's guestinfo, for ``definition_text``.

    Raises:
        DefinitionError: metadata is not what cloud-init takes, or something cannot be unpacked.
    """
    text = unpacked(metadata, "metadata")
    if text.startswith(b"#cloud-config"):
        raise DefinitionError("metadata: begins as user-data does; the file of metadata comes first")
    document = load_mapping(text, "metadata")
    network, encoding = document.pop("network", None), document.pop("network.encoding", None)
    keys = document.pop("public-keys-data", None)
    for key in _INSTRUCTIONS:
        if document.pop(key, None) is not None:
            note(f"{key} is left out: it is for guestinfo alone")
    part = definition_metadata(document, note)
    if isinstance(keys, str):
        lines = [line.strip() for line in keys.splitlines() if line.strip()]
        part["public-keys"] = [*part.get("public-keys", ()), *lines]
    definition = {"metadata": with_hostname(part, vm_name, note)}
    if network is not None:
        definition |= network_part(_network(network, encoding))
    return definition | documents_part(
        None if user_data is None else unpacked(user_data, "userdata"),
        None if vendor_data is None else unpacked(vendor_data, "vendordata"),
    )


def unpacked(content: bytes, name: str) -> bytes:
    """Return what a variable means, whether it is plain, in base64, compressed, or both.

    Raises:
        DefinitionError: it is gzip, but not whole, or stands for more than user-data may be.
    """
    plain = content
    if content.strip():
        # By accident no document is base64: each has a character that base64 has not.
        with contextlib.suppress(DefinitionError):
            plain = userdata.decode(content, "base64")
    if userdata.content_type(plain) != userdata.GZIP:
        return plain
    try:
        return userdata.decode(plain, "gzip")
    except DefinitionError as error:
        raise DefinitionError(f"{name}: {error}") from None


def _network(network: Any, encoding: Any) -> dict[str, Any]:
    if isinstance(network, dict):
        return network
    if not isinstance(network, str):
        raise DefinitionError("metadata: network is neither a mapping nor text")
    text = network.encode()
    if encoding is not None:
        if encoding not in userdata.ENCODINGS:
            known = ", ".join(userdata.ENCODINGS)
            raise DefinitionError(f"metadata: network.encoding is none that cloud-init knows ({known})")
        try:
            text = userdata.decode(text, encoding)
        except DefinitionError as error:
            raise DefinitionError(f"metadata: network {error}, as network.encoding says") from None
    return load_mapping(text, "metadata: network")
