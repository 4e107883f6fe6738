"""An instance as NoCloud's documents: meta-data, network-config, user-data and vendor-data, as bytes.

Pure functions, named like the files cloud-init reads. They expect an instance that has passed ``validate``;
nothing here knows packets, files or VMs.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from vmw_cloudinit_metadata import network
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMetadata

# cloud-init reads meta-data as YAML, of which JSON is a subset but for these: YAML refuses some of them
# anywhere, and folds the line separators inside quotes to a space. Tabs json escapes by itself.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Documents:
    """One instance, rendered; a document is None where the instance has nothing for it.

    ``network_config_version_1`` is network-config for guests of version 1 of the packets, which has no
    placeholders.
    """

    meta_data: bytes
    network_config: bytes | None
    user_data: bytes
    vendor_data: bytes | None = None
    network_config_version_1: bytes | None = None

    def __repr__(self) -> str:
        """Show sizes: documents are secrets."""
        documents = {
            "meta-data": self.meta_data,
            "network-config": self.network_config,
            "user-data": self.user_data,
            "vendor-data": self.vendor_data,
        }
        sizes = (
            f"no {name}" if document is None else f"{len(document)} bytes of {name}"
            for name, document in documents.items()
        )
        return f"<Documents {', '.join(sizes)}>"


def render(instance: InstanceData) -> Documents:
    """Render all documents of an instance.

    Raises:
        DefinitionError: a value cannot be written as JSON.
    """
    return Documents(
        render_meta_data(instance),
        render_network_config(instance),
        render_user_data(instance),
        render_vendor_data(instance),
        render_network_config(instance, placeholders=False),
    )


def render_meta_data(instance: InstanceData) -> bytes:
    """Render meta-data: a JSON object in UTF-8, on one line, with the keys that are defined.

    ``local-hostname`` is what names the guest, ``hostname`` what 0.0.8 also sends; ``instance-id`` is always
    a string, since cloud-init compares it with the text of a file. A key of ``extra`` never replaces a known
    one.
    """
    metadata = instance.metadata or InstanceMetadata()
    hostname = _text(metadata.hostname)
    known = {
        "ami-id": _text(metadata.ami_id),
        "instance-id": _text(metadata.instance_id),
        "region": _text(metadata.region),
        "availability-zone": _text(metadata.availability_zone),
        "tags": metadata.tags or None,
        "public-keys": [key.strip() for key in metadata.public_keys] or None,
        "hostname": hostname,
        "local-hostname": hostname,
    }
    document = {key: value for key, value in known.items() if value is not None}
    document |= {key: value for key, value in metadata.extra.items() if key not in known}
    return _json(document)


def render_network_config(instance: InstanceData, placeholders: bool = True) -> bytes | None:
    """Render network-config as JSON (which is YAML too); None without network data.

    A card whose MAC address nobody has given has ``@N`` for it, for guests of version 2 of the packets: they
    put that of their N-th card there. Without ``placeholders``, for those of version 1, it is left out, and
    cloud-init configures whatever card has the name.
    """
    document = network.document(instance.network, placeholders)
    return None if document is None else _json(document)


def render_user_data(instance: InstanceData) -> bytes:
    """Render user-data: its bytes, unchanged; text as UTF-8."""
    return _bytes(instance.userdata)


def render_vendor_data(instance: InstanceData) -> bytes | None:
    """Render vendor-data as user-data; None where there is none."""
    return None if instance.vendordata is None else _bytes(instance.vendordata)


def _bytes(data: str | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _json(document: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()
    except (TypeError, ValueError, RecursionError):
        raise DefinitionError(
            "metadata: a value is none that JSON has: text, number, list, mapping"
        ) from None
