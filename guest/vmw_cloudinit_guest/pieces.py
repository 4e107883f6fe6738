"""Pieces of version 2: how much to ask for at once, one inflated, and a document put together of them."""

import zlib
from typing import Optional

from vmw_cloudinit_guest import documents
from vmw_cloudinit_guest.course import RefusedError
from vmw_cloudinit_guest.documents import DocumentError

# A piece of the first size takes half a second at 115200 baud. On a bad line small ones get through where
# large ones never do; the smallest is still twice as long as the rest of its line. The largest is what
# servers give at most.
FIRST_SIZE = 4096
SMALLEST_SIZE = 256
LARGEST_SIZE = 16384

# What a line of version 1 carries at most, six minutes at 115200 baud; it is held in memory, at a time when
# there may be no other place.
MAX_DOCUMENT = 3 * 1024 * 1024

# Each piece has a sum of its own: a whole that has another etag all the same is hardly the line's fault.
MAX_MISFITS = 3

_GZIP = 31  # zlib's window bits for a gzip header


class PieceSize:
    """How much to ask for at once, in bytes of the plain document."""

    def __init__(self) -> None:
        self.limit = FIRST_SIZE

    def grow(self) -> None:
        """Ask for twice as much: a piece has arrived whole."""
        self.limit = min(2 * self.limit, LARGEST_SIZE)

    def shrink(self) -> None:
        """Ask for half as much: one has not."""
        self.limit = max(self.limit // 2, SMALLEST_SIZE)


def inflate(payload: bytes, limit: int) -> bytes:
    """Return what a gzip stream holds.

    Raises:
        DocumentError: it is not one whole stream, or holds more than ``limit`` bytes; no more are inflated.
    """
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(payload, limit + 1)
    except zlib.error:
        raise DocumentError("a piece is not gzip") from None
    if len(plain) > limit:
        raise DocumentError(f"a piece inflates to more than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise DocumentError("a piece is not one whole gzip stream")
    return plain


class Assembly:
    """One document, as far as its pieces have come; ``len`` is where the next one begins.

    Attributes:
        etag: what the whole must have; empty until it is known.
    """

    def __init__(self, etag: str = "") -> None:
        self.etag = etag
        self._content = bytearray()
        self._total = 0
        self._misfits = 0

    def __len__(self) -> int:
        """Return how many bytes there are."""
        return len(self._content)

    def add(self, piece: bytes, offset: int, total: int, etag: str) -> Optional[bytes]:
        """Add the next piece; return the document if it is whole now.

        Raises:
            DocumentError: the piece does not fit, or the whole has another etag; then it begins anew.
            RefusedError: it will never be whole.
        """
        if total > MAX_DOCUMENT:
            raise RefusedError("invalid", f"a document of {total} bytes; {MAX_DOCUMENT} are the limit")
        end = offset + len(piece)
        if (
            offset != len(self)
            or end > total
            or (not piece and end < total)
            or (len(self) and total != self._total)
            or (self.etag and etag != self.etag)
        ):
            raise DocumentError("a piece does not fit the others")
        self.etag = etag
        self._total = total
        self._content += piece
        return self._whole() if end == total else None

    def _whole(self) -> bytes:
        content = bytes(self._content)
        if documents.etag(content) != self.etag:
            self._content.clear()
            self._misfits += 1
            if self._misfits == MAX_MISFITS:
                raise RefusedError("invalid", "the pieces of a document do not make what its etag says")
            raise DocumentError("the pieces do not make what their etag says")
        return content
