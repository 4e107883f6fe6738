"""A run of version 2 of the packets: all documents of one snapshot, in pieces, and of them only what is new.

The answer to METADATA lists the etags of the other documents. What the guest holds already is not asked for.
"""

import re
from typing import Dict

from vmw_cloudinit_guest.course import BusyError, ChangedError, Course, RefusedError
from vmw_cloudinit_guest.documents import (
    META_DATA,
    NETWORK_CONFIG,
    USER_DATA,
    VENDOR_DATA,
    DocumentError,
    Held,
    Kind,
    instance_id,
)
from vmw_cloudinit_guest.pieces import Assembly, PieceSize, inflate
from vmw_cloudinit_wire.options import Pairs

# A console line; what a server says goes on after what the guest says.
MAX_SENTENCE = 200
# Longer than this a busy server has no say in how long a boot waits.
MAX_RETRY = 30

_ETAG = re.compile("[0-9a-f]{16}")
_NUMBER = re.compile("[0-9]{1,9}")
_NONE = "-"  # in place of an etag: there is no such document

# What a server says it will not change its mind about.
_REFUSALS = ("not-found", "invalid", "denied", "unsupported")


class Version2(Course):
    """Ask for METADATA, then for what it lists and is not held, piece by piece."""

    def __init__(self, held: Dict[str, Held], size: PieceSize) -> None:
        super().__init__()
        self._held = held
        self._size = size
        self._listed: Dict[str, str] = {}
        self._assembly = Assembly()

    @property
    def part(self) -> str:
        """The piece that is asked for; see ``Course``."""
        return f" from {len(self._assembly)}, at most {self._size.limit} bytes"

    def options(self) -> Pairs:
        """Return which piece is asked for; see ``Course``."""
        pairs = [("accept", "gzip")]
        if self._may_be_unchanged():
            pairs.append(("have", self._held[META_DATA.file].etag))
        pairs += [("offset", str(len(self._assembly))), ("limit", str(self._size.limit))]
        if self._assembly.etag:
            pairs.append(("etag", self._assembly.etag))
        return pairs

    def missed(self) -> None:
        """Ask for less; see ``Course``."""
        self._size.shrink()

    def take(self, payload: bytes, options: Dict[str, str]) -> None:
        """Take the answer to the latest request; see ``Course``."""
        if self.kind is None:
            return
        status = options.get("status", "")
        if status == "ok":
            self._take_piece(self.kind, payload, options)
        elif status == "unchanged" and self._may_be_unchanged():
            self._take_unchanged(options)
        elif status == "changed":
            raise ChangedError
        elif status == "busy":
            raise BusyError(min(_number(options, "retry"), MAX_RETRY), _sentence(payload))
        elif status == "not-found" and self.kind is not META_DATA:
            # It was listed: what lists it is there no longer, and what has come of it is to be discarded.
            raise ChangedError
        elif status == "unsupported" and self.kind is not META_DATA:
            self._contents[self.kind.file] = None
            self._ask_for_next()
        elif status in _REFUSALS:
            raise RefusedError(status, _sentence(payload))
        else:
            raise DocumentError("an answer with a status that makes no sense here")

    def _may_be_unchanged(self) -> bool:
        return self.kind is META_DATA and META_DATA.file in self._held and not len(self._assembly)

    def _take_piece(self, kind: Kind, payload: bytes, options: Dict[str, str]) -> None:
        if kind is META_DATA:
            self._listed = _listed(options)
        piece = self._plain(payload, options)
        etag = _etag(options.get("etag", ""))
        whole = self._assembly.add(piece, _number(options, "offset"), _number(options, "total"), etag)
        self._size.grow()
        if whole is None:
            return
        try:
            self._contents[kind.file] = kind.check(whole)
        except DocumentError as error:
            raise RefusedError("invalid", str(error)) from None  # it is as the server has it
        self.etags[kind.file] = etag
        self._ask_for_next()

    def _plain(self, payload: bytes, options: Dict[str, str]) -> bytes:
        encoding = options.get("enc")
        if encoding == "gzip":
            return inflate(payload, self._size.limit)
        if encoding is not None or len(payload) > self._size.limit:
            raise DocumentError("a piece larger than asked for, or of an encoding not asked for")
        return payload

    def _take_unchanged(self, options: Dict[str, str]) -> None:
        if options.get("etag") != self._held[META_DATA.file].etag:
            raise DocumentError("another etag is unchanged than was asked about")
        self._listed = _listed(options)
        self._take_held(META_DATA)
        self._ask_for_next()

    def _take_held(self, kind: Kind) -> None:
        held = self._held[kind.file]
        self.etags[kind.file], self._contents[kind.file] = held.etag, held.content

    def _is_held(self, kind: Kind, etag: str) -> bool:
        held = self._held.get(kind.file)
        instance = instance_id(self._contents[META_DATA.file] or b"")
        return held is not None and held.etag == etag and held.instance_id in (None, instance)

    def _ask_for_next(self) -> None:
        """Go on with the first document that is listed and not there yet."""
        for kind in (NETWORK_CONFIG, USER_DATA, VENDOR_DATA):
            if kind.file in self._contents:
                continue
            etag = self._listed.get(kind.code.lower(), _NONE)
            if etag == _NONE:
                self._contents[kind.file] = None
            elif self._is_held(kind, etag):
                self._take_held(kind)
            else:
                self.kind = kind
                self._assembly = Assembly(etag)
                return
        self.kind = None


def _listed(options: Dict[str, str]) -> Dict[str, str]:
    """Return the etags that ``docs`` lists, ``-`` for a document that there is not."""
    listed = {}
    for item in options.get("docs", "").split(","):
        name, _, etag = item.partition(":")
        listed[name] = etag if etag == _NONE else _etag(etag)
    return listed


def _etag(text: str) -> str:
    if not _ETAG.fullmatch(text):
        raise DocumentError("an answer with a broken etag")
    return text


def _number(options: Dict[str, str], key: str) -> int:
    text = options.get(key, "")
    if not _NUMBER.fullmatch(text):
        raise DocumentError(f"an answer without {key}")
    return int(text)


def _sentence(payload: bytes) -> str:
    """Return what the server says to people, bounded; the console sees to the characters."""
    text = payload.decode("utf-8", "replace").strip()
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"
