"""An instance as it was at one moment: its documents, rendered once, with the etags guests know them by.

Answers of both versions of the packets are made from it; who gets which, and when, is not known here.
"""

import copy
import gzip
import hashlib
import uuid
import weakref
from dataclasses import dataclass, field
from typing import NamedTuple

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc import access
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_wire import Packet, encode, options

# Of the SHA-256: no two versions of a definition share so much of it by chance, and nobody gains by making
# them do, since etags say what is new and not what is genuine.
ETAG_DIGITS = 16

# Of a piece of text a tenth less than at the fastest level is sent, 80 ms at 115200 baud, for a millisecond's
# work.
GZIP_LEVEL = 6

# Of a large document guests take pieces of this size.
PIECE_SIZE = 16 * 1024


class Piece(NamedTuple):
    """A part of a document as it goes out in version 2, and the line that begins with it."""

    payload: bytes
    compressed: bool
    begun: tuple[bytes, int]  # of options.begin_answer

    @classmethod
    def of(cls, code: str, content: bytes, compress: bool) -> "Piece":
        """Return the piece with this content, compressed if that is wanted and makes it smaller."""
        # Each piece by itself, so that one that is lost costs no other.
        smaller = gzip.compress(content, GZIP_LEVEL, mtime=0) if compress else content
        compressed = len(smaller) < len(content)
        payload = smaller if compressed else content
        return cls(payload, compressed, options.begin_answer(code, payload))

    def __repr__(self) -> str:
        """Show the size: documents are secrets."""
        return f"<Piece {len(self.payload)} bytes>"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Document:
    """One document as it is served, and its etag. Make it with ``of``."""

    content: bytes
    etag: str
    # What was made of it, for as long as somebody holds it: lines of version 1, by their codes, and pieces.
    _lines: dict[str, bytes] = field(default_factory=dict, init=False, compare=False)
    _pieces: "dict[tuple[str, int, int, bool], Piece]" = field(
        default_factory=dict, init=False, compare=False
    )

    @classmethod
    def of(cls, content: bytes) -> "Document":
        """Return the document with this content: the one there is, as long as somebody holds it.

        A hundred VMs that get the same megabyte hold it once. Any thread may call this; of two that do so at
        the same moment each may get its own.
        """
        digest = hashlib.sha256(content).digest()
        known = _documents.get(digest)
        return known or _documents.setdefault(digest, cls(content, digest.hex()[:ETAG_DIGITS]))

    def line(self, code: str) -> bytes:
        """Return the packet of version 1 that carries it under this code, as it goes out; encoded once."""
        line = self._lines.get(code)
        if line is None:
            line = self._lines[code] = encode(Packet(code, self.content))
        return line

    def piece(self, code: str, offset: int, limit: int, compress: bool) -> Piece:
        """Return up to ``limit`` bytes from an offset on, for packets of this code; made once for all VMs."""
        end = min(offset + limit, len(self.content))
        key = code, offset, end, compress
        piece = self._pieces.get(key)
        if piece is None:
            # Guests that ask as ours do need a few; one that asks for others in turn fills no memory.
            if len(self._pieces) >= 8 + 2 * len(self.content) // PIECE_SIZE:
                self._pieces.clear()
            piece = self._pieces[key] = Piece.of(code, self.content[offset:end], compress)
        return piece

    def __repr__(self) -> str:
        """Show size and etag: documents are secrets."""
        return f"<Document {self.etag} {len(self.content)} bytes>"


_documents: "weakref.WeakValueDictionary[bytes, Document]" = weakref.WeakValueDictionary()


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
    """What one run is answered from. It does not change, so that any number of VMs may share it.

    Attributes:
        instance: as the driver gave it, but for user-data and vendor-data: those are the bytes that are
            served.
        metadata, networkdata, userdata, vendordata: the documents by their names in packets; None where
            there is none.
        networkdata_version_1: network-config for guests of version 1 of the packets, which has no
            placeholders.
        etags: what there is besides metadata, as ``docs=`` says it: ``networkdata:ETAG,…,vendordata:-``.
    """

    __slots__ = (
        *("etags", "instance", "metadata", "networkdata", "networkdata_version_1", "userdata", "vendordata"),
    )

    def __init__(self, instance: InstanceData) -> None:
        """Render an instance that ``checked`` has let through.

        Raises:
            DefinitionError: a value of it cannot be written as JSON.
        """
        rendered = nocloud.render(instance)
        self.metadata = Document.of(rendered.meta_data)
        self.networkdata = _document(rendered.network_config)
        self.networkdata_version_1 = _document(rendered.network_config_version_1)
        self.userdata = Document.of(rendered.user_data)
        self.vendordata = _document(rendered.vendor_data)
        self.instance = copy.copy(instance)
        self.instance.userdata = self.userdata.content  # held once, and not as text as well
        self.instance.vendordata = _content(self.vendordata)
        others = {name: each for name, each in self.by_name.items() if name != "metadata"}
        self.etags = ",".join(f"{name}:{each.etag if each else '-'}" for name, each in others.items())

    def for_vm(self, vc_uuid: uuid.UUID | None, bios_uuid: uuid.UUID | None) -> "Snapshot":
        """Return this snapshot as the VM with these UUIDs gets it: with an ``instance-id``.

        That is this one, unless the instance has none; then meta-data is the VM's own, and the rest shared.

        Raises:
            DefinitionError: it has none, and neither UUID is known.
        """
        instance = self.instance.for_vm(vc_uuid, bios_uuid)
        if instance is self.instance:
            return self
        other = copy.copy(self)
        other.instance, other.metadata = instance, Document.of(nocloud.render_meta_data(instance))
        return other

    def __copy__(self) -> "Snapshot":
        """Return another with the same documents; copy.copy takes four times as long to find out how."""
        other = object.__new__(Snapshot)
        for name in Snapshot.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    @property
    def size(self) -> int:
        """The bytes of all documents."""
        return sum(len(each.content) for each in self.by_name.values() if each)

    @property
    def by_name(self) -> dict[str, Document | None]:
        """The documents by their names in packets."""
        return {
            "metadata": self.metadata,
            "networkdata": self.networkdata,
            "userdata": self.userdata,
            "vendordata": self.vendordata,
        }

    @property
    def documents(self) -> nocloud.Documents:
        """The documents by the names of NoCloud's files."""
        return nocloud.Documents(
            self.metadata.content,
            _content(self.networkdata),
            self.userdata.content,
            _content(self.vendordata),
            _content(self.networkdata_version_1),
        )


def snapshot_for(vm: access.Claims, instance: InstanceData) -> Snapshot | Refusal:
    """Return what a VM is served of an instance that ``checked`` has let through, or why it gets nothing.

    Raises:
        DefinitionError: documents cannot be made of it for this VM.
    """
    if refused := access.refusal(instance, vm):
        return refused
    return Snapshot(instance.for_vm(vm.vm_vc_uuid, vm.vm_bios_uuid))


def _document(content: bytes | None) -> Document | None:
    return None if content is None else Document.of(content)


def _content(document: Document | None) -> bytes | None:
    return None if document is None else document.content
