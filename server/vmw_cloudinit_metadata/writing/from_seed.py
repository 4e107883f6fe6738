"""A NoCloud seed -> a definition that is served as the same documents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.metadata import Note, definition_metadata, load_mapping, plain

# The guest's first card, its second … (wire, Placeholders)
_PLACEHOLDER = re.compile("@[0-9]+")


@dataclass(frozen=True, slots=True)
class Seed:
    """The files of a seed, None for one that is not there."""

    meta_data: bytes
    user_data: bytes | None = None
    vendor_data: bytes | None = None
    network_config: bytes | None = None

    def __repr__(self) -> str:
        """Show no document: they are secrets."""
        return "<Seed>"


def seed_definition(seed: Seed, vm_name: str, note: Note) -> dict[str, Any]:
    """Return the definition of a seed, for ``definition_text``; ``note`` is told what is not taken over.

    Raises:
        DefinitionError: meta-data or network-config are not what cloud-init takes.
    """
    metadata = definition_metadata(load_mapping(seed.meta_data, "meta-data"), note)
    definition = {"metadata": with_hostname(metadata, vm_name, note)}
    if seed.network_config is not None:
        definition |= network_part(load_mapping(seed.network_config, "network-config"))
    return definition | documents_part(seed.user_data, seed.vendor_data)


def with_hostname(metadata: dict[str, Any], vm_name: str, note: Note) -> dict[str, Any]:
    """Return metadata that has a host name, which a definition needs: the VM's, if there is none."""
    if "hostname" in metadata:
        return metadata
    note(f"there is no local-hostname: the VM's name {vm_name} is taken for it")
    instance_id = {key: metadata[key] for key in ("instance-id",) if key in metadata}
    return {**instance_id, "hostname": vm_name, **metadata}


def network_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``network`` of a definition, or nothing where a configuration says nothing.

    Raises:
        DefinitionError: it has no version.
    """
    while isinstance(inner := config.get("network"), dict) and "version" not in config:
        config = inner
    if not config:
        return {}
    if "version" not in config and config.get("config") != "disabled":
        raise DefinitionError("network-config: version is missing; 1 and 2 are what cloud-init takes")
    network = plain(config)
    _drop_placeholders(network)
    return {"network": network}


def _drop_placeholders(config: dict[str, Any]) -> None:
    """Take off what stands for the MAC addresses of the guest's cards, as ``show --output`` writes it.

    It comes back by itself: cards without a MAC address have a placeholder when they are served.
    """
    devices, ethernets = config.get("config"), config.get("ethernets")
    for device in devices if isinstance(devices, list) else ():
        if isinstance(device, dict) and _is_placeholder(device.get("mac_address")):
            del device["mac_address"]
    for device in ethernets.values() if isinstance(ethernets, dict) else ():
        match = device.get("match") if isinstance(device, dict) else None
        if isinstance(match, dict) and _is_placeholder(match.get("macaddress")):
            del device["match"]
            device.pop("set-name", None)


def _is_placeholder(value: object) -> bool:
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None


def documents_part(user_data: bytes | None, vendor_data: bytes | None) -> dict[str, bytes]:
    """Return user-data and vendor-data of a definition; an empty vendor-data is none."""
    documents = {"userdata": b"" if user_data is None else user_data}
    return documents | ({"vendordata": vendor_data} if vendor_data else {})
