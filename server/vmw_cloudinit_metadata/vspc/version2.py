"""Packets of version 2: what a request asks for, and the answer a snapshot gives (wire, section 3).

Pure functions of a request and a snapshot. Who may ask, how long a snapshot is kept and what version 1 is
answered are the VMClient's.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vmw_cloudinit_metadata.errors import ProtocolError
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot
from vmw_cloudinit_wire import Packet, options

# What a line of 115200 baud carries in two seconds: a broken piece costs no more to send again.
MAX_PIECE = 16 * 1024

REQUEST, RESPONSE = "REQUEST_", "RESPONSE_"

# What can be asked for, by the names in the codes; as Snapshot has them.
DOCUMENTS = ("metadata", "networkdata", "userdata", "vendordata")

# Longest code of a packet (wire): an answer's is one longer than its request's.
_MAX_CODE = 64

_ID = re.compile("[0-9a-f]{8}")
_NUMBER = re.compile("[0-9]{1,10}")


class Status(enum.StrEnum):
    """The word an answer begins with."""

    OK = "ok"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    NOT_FOUND = "not-found"
    INVALID = "invalid"
    BUSY = "busy"
    DENIED = "denied"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose sum is right.

    Attributes:
        code: the packet's; ``document`` is the name in it.
        id: of this attempt; ``run``: of the fetch it belongs to.
        offset, limit: which bytes of the document are asked for.
        etag: of the document these bytes must be of; ``have``: of the one the guest has; "" where it does
            not say.
        gzip: whether the guest inflates.
        fault: why nothing but ``invalid`` can be answered; "" where there is no fault.
    """

    code: str
    id: str
    run: str = ""
    offset: int = 0
    limit: int = MAX_PIECE
    etag: str = ""
    have: str = ""
    gzip: bool = False
    fault: str = ""

    @property
    def document(self) -> str:
        """Name the document: ``userdata`` for ``REQUEST_USERDATA``."""
        return self.code.removeprefix(REQUEST).lower()

    @property
    def response_code(self) -> str:
        """Return the code of the answer."""
        return _response_code(self.code)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, its payload (a piece of a document, or a sentence for the guest's console), other options."""

    status: Status
    payload: bytes = b""
    pairs: tuple[tuple[str, str], ...] = ()
    begun: tuple[bytes, int] | None = None  # its line, if the payload was encoded for others before

    def __repr__(self) -> str:
        """Show no payload: it may be a secret."""
        return f"<Answer {self.status} {len(self.payload)} bytes>"

    def line(self, code: str, request_id: str) -> bytes:
        """Return the answer to the request with this id, as the line of a packet of this code."""
        head = ("v", "2"), ("id", request_id), ("status", self.status.value)
        begun = self.begun or options.begin_answer(code, self.payload)
        return options.end_answer(begun, (*head, *self.pairs))


def refusal(status: Status, sentence: str, retry: int | None = None) -> Answer:
    """Return an answer without a document: a sentence says why."""
    return Answer(status, sentence.encode(), () if retry is None else (("retry", str(retry)),))


def read_request(packet: Packet) -> Request | None:
    """Return the request of version 2 that a packet is; None for one of version 1.

    Raises: as ``request_of``.
    """
    return request_of(packet, options.read_request(packet))


def request_of(packet: Packet, given: Mapping[str, str] | None) -> Request | None:
    """Return the same for who has read its options already, as ``vmw_cloudinit_wire.options`` does.

    0.0.8 ignores a request's payload, so anything that does not look like options is version 1.

    Raises:
        ProtocolError: it was one of version 2, but is broken: nobody can tell what it asked for.
    """
    code, payload = packet.code, packet.payload
    if not code.startswith(REQUEST) or len(_response_code(code)) > _MAX_CODE:
        return None
    if given is None:
        if b"sum=" in payload or payload.startswith(b"v="):
            raise ProtocolError(f"{code} arrived broken")
        return None
    request_id = given.get("id", "")
    if not _ID.fullmatch(request_id):
        raise ProtocolError(f"{code} has no id that an answer could carry")
    if not _ID.fullmatch(given.get("run", "")):
        return Request(code, request_id, fault="run= is not eight hexadecimal digits")
    offset, limit = given.get("offset", "0"), given.get("limit", str(MAX_PIECE))
    if not _NUMBER.fullmatch(offset) or not _NUMBER.fullmatch(limit) or not int(limit):
        return Request(code, request_id, fault="offset= or limit= is not a number of bytes")
    return Request(
        code,
        request_id,
        given["run"],
        int(offset),
        min(int(limit), MAX_PIECE),
        given.get("etag", ""),
        given.get("have", ""),
        "gzip" in given.get("accept", "").split(","),
    )


def read_report_id(packet: Packet) -> str | None:
    """Return the id of a report; None if the packet is none, or is broken."""
    given = options.read_answer(packet) if packet.code == "REPORT_STATUS" else None
    request_id = given.get("id", "") if given else ""
    return request_id if _ID.fullmatch(request_id) else None


def answer(request: Request, snapshot: Snapshot) -> Answer:
    """Return what the snapshot has to say to a request for one of its documents."""
    document: Document | None = getattr(snapshot, request.document)
    etag = document.etag if document else ""
    if request.etag and request.etag != etag:
        return refusal(Status.CHANGED, "the definition of this VM has changed meanwhile")
    if document is None:
        return refusal(Status.NOT_FOUND, f"this VM has no {request.document}")
    docs = (("docs", snapshot.etags),) if request.document == "metadata" else ()
    if request.have == etag:
        return Answer(Status.UNCHANGED, b"", (("etag", etag), *docs))
    total = len(document.content)
    if request.offset > total:
        # How long it is stays unsaid: it may be a secret that is not served any more.
        return refusal(Status.INVALID, f"offset= is beyond the end of {request.document}")
    piece = document.piece(request.response_code, request.offset, request.limit, request.gzip)
    place = ("offset", str(request.offset)), ("total", str(total)), ("etag", etag)
    encoding = (("enc", "gzip"),) if piece.compressed else ()
    return Answer(Status.OK, piece.payload, (*place, *encoding, *docs), piece.begun)


def _response_code(code: str) -> str:
    return RESPONSE + code.removeprefix(REQUEST)
