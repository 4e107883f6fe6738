"""An instance as it was at one moment: its documents, rendered once, with the etags guests know them by.

Answers of both versions of the packets are made from it; it knows neither packets nor VMs.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData

# Of the SHA-256: no two versions of a definition share so much of it by chance, and nobody gains by making
# them do, since etags say what is new and not what is genuine.
ETAG_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it is served, and its etag."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> "Document":
        """Return the document with this content."""
        return cls(content, hashlib.sha256(content).hexdigest()[:ETAG_DIGITS])

    def __repr__(self) -> str:
        """Show size and etag: documents are secrets."""
        return f"<Document {self.etag} {len(self.content)} bytes>"


def checked(instance: object) -> InstanceData:
    """Return what a driver gave, if documents can be made of it.

    Raises:
        DefinitionError: they cannot, and why.
    """
    if not isinstance(instance, InstanceData):
        raise DefinitionError(f"the driver returned a {type(instance).__name__}, not an InstanceData")
    instance.validate()
    return instance


class Snapshot:
    """What one run is answered from.

    Attributes:
        instance: as the driver gave it; ``documents``: what was rendered of it.
    """

    def __init__(self, instance: InstanceData) -> None:
        """Render an instance that ``checked`` has let through.

        Raises:
            DefinitionError: a value of it cannot be written as JSON.
        """
        self.instance = instance
        self.documents = nocloud.render(instance)

    @property
    def size(self) -> int:
        """The bytes of all documents; what a snapshot takes of memory, or nearly."""
        documents = self.documents
        each = (documents.meta_data, documents.network_config, documents.user_data, documents.vendor_data)
        return sum(len(content) for content in each if content is not None)

    @cached_property
    def by_name(self) -> dict[str, Document | None]:
        """The documents by their names in packets, None where there is none; version 2 alone needs them."""
        contents = {
            "metadata": self.documents.meta_data,
            "networkdata": self.documents.network_config,
            "userdata": self.documents.user_data,
            "vendordata": self.documents.vendor_data,
        }
        return {name: None if content is None else Document.of(content) for name, content in contents.items()}

    @property
    def etags(self) -> str:
        """What there is besides metadata, as ``docs=`` says it: ``networkdata:ETAG,…,vendordata:-``."""
        return ",".join(
            f"{name}:{document.etag if document else '-'}"
            for name, document in self.by_name.items()
            if name != "metadata"
        )
