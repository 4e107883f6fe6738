"""What each VM was last served, as far as it takes to say what a changed definition changes for it.

Meta-data and network-config are kept as they went out. Of user-data and vendor-data, which hold secrets, only
a keyed digest of each line is: that shows which lines are new, and how many are gone. The key is a record's
own and stands in it, so who may read a record can check a guess of a whole line, and no more.

Best effort: what is not kept is missed by ``show --diff`` alone.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.records import DamagedError, Records
from vmw_cloudinit_metadata.vspc.snapshot import Document

# Twice the VMs of a large site, as of reports; some 60 MB of usual records, 4 GB of the worst there may be.
# As many again of VMs whose names are claims, so that those that are made up push out no others.
MAX_VMS = 20_000

# To count records takes the longer the more there are: so many new ones come until they are counted again.
MAX_UNCOUNTED = 200

# With the limits below the largest record fits records.MAX_RECORD: JSON may triple a text, and of the digests
# base64 makes 43 KB for each of two documents. Of what is larger, etag and size are kept.
MAX_TEXT = 24 * 1024
MAX_LINES = 4000

# 64 bits: two lines of one document never share a digest by chance.
DIGEST_BYTES = 8
KEY_BYTES = 16

# Longer than any of vSphere's (80 characters).
MAX_VM_NAME = 256

PLAIN = ("metadata", "networkdata")
SECRET = ("userdata", "vendordata")


@dataclass(frozen=True, slots=True)
class ServedDocument:
    """What is known of a document that was served.

    Attributes:
        text: all of it, for those of ``PLAIN``; None where it was too long, or is a secret.
        lines: the digest of each line, for those of ``SECRET``; None where it had too many.
    """

    etag: str
    size: int
    text: str | None = None
    lines: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What a VM was last served.

    Attributes:
        vm_name: what it was called then: a claim.
        since: when it was served this for the first time, by the server's wall clock.
        key: of the digests.
        documents: by their names in packets; one that there was none of is not among them.
    """

    vm_name: str
    since: datetime
    key: bytes
    documents: Mapping[str, ServedDocument]


class ServedRecords:
    """What all VMs were last served, by what their definition is called. The methods block.

    ``now`` is the wall clock, ``random_bytes`` a source of keys.
    """

    def __init__(
        self,
        directory: StateDirectory,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._records = directory.records("served", MAX_VMS)
        self._claimed = directory.records("claimed-served", MAX_VMS)
        self._now = now
        self._random_bytes = random_bytes
        self._uncounted = dict.fromkeys(
            (self._records, self._claimed), MAX_UNCOUNTED
        )  # nobody has counted yet

    def note(
        self, name: str, vm_name: str, documents: Mapping[str, Document | None], claimed: bool = False
    ) -> None:
        """Keep what a VM is served, if it is not what it was served before.

        ``claimed`` says that its definition's name may be what the VM claims (``InstanceData.claimed``).

        Raises:
            StateError: it cannot be kept.
        """
        records = self._claimed if claimed else self._records
        try:
            last = _last(records, name)
        except DamagedError:
            last = None
        if last is not None and _etags(last.documents) == _etags(documents):
            return
        key = self._random_bytes(KEY_BYTES)
        kept = {name: _kept(name, document, key) for name, document in documents.items() if document}
        record = _to_json(Served(vm_name[:MAX_VM_NAME], self._now(), key, kept))
        with records.locked():
            if last is None:
                self._make_room(records, name)
            records.note(name, record)

    def last(self, name: str, claimed: bool = False) -> Served | None:
        """Return what a VM was last served, by the name of its definition; None if nothing is known.

        Raises:
            StateError: that cannot be read.
        """
        return _last(self._claimed if claimed else self._records, name)

    def _make_room(self, records: Records, name: str) -> None:
        self._uncounted[records] += 1
        if self._uncounted[records] > MAX_UNCOUNTED:
            records.make_room(name)
            self._uncounted[records] = 1


def _last(records: Records, name: str) -> Served | None:
    record = records.read(name)
    if record is None:
        return None
    try:
        return _from_json(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise records.damaged(name) from None


def lines_of(content: bytes) -> list[bytes]:
    """Return the lines of a document, each with its end: a file without the last one is another file."""
    return content.splitlines(keepends=True)


def digests(lines: list[bytes], key: bytes) -> tuple[bytes, ...]:
    """Return the digest of each line."""
    return tuple(hashlib.blake2b(line, digest_size=DIGEST_BYTES, key=key).digest() for line in lines)


def _etags(documents: Mapping[str, ServedDocument] | Mapping[str, Document | None]) -> dict[str, str]:
    return {name: document.etag for name, document in documents.items() if document is not None}


def _kept(name: str, document: Document, key: bytes) -> ServedDocument:
    content = document.content
    if name in PLAIN:
        text = content.decode(errors="replace") if len(content) <= MAX_TEXT else None
        return ServedDocument(document.etag, len(content), text=text)
    lines = lines_of(content)
    few = len(lines) <= MAX_LINES
    return ServedDocument(document.etag, len(content), lines=digests(lines, key) if few else None)


def _to_json(served: Served) -> dict[str, Any]:
    return {
        "vm": served.vm_name,
        "since": served.since.isoformat(timespec="seconds"),
        "key": served.key.hex(),
        "documents": {
            name: {
                "etag": document.etag,
                "size": document.size,
                "text": document.text,
                "lines": None
                if document.lines is None
                else base64.b64encode(b"".join(document.lines)).decode(),
            }
            for name, document in served.documents.items()
        },
    }


def _from_json(raw: dict[str, Any]) -> Served:
    """Return what ``_to_json`` has written.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it has not.
    """
    since = datetime.fromisoformat(raw["since"])
    if since.tzinfo is None:
        raise ValueError
    documents = {name: _document(each) for name, each in raw["documents"].items()}
    return Served(_text(raw["vm"]), since, bytes.fromhex(raw["key"]), documents)


def _document(raw: dict[str, Any]) -> ServedDocument:
    size, text, lines = raw["size"], raw["text"], raw["lines"]
    if type(size) is not int:
        raise TypeError
    return ServedDocument(
        _text(raw["etag"]),
        size,
        None if text is None else _text(text),
        None if lines is None else _split(base64.b64decode(_text(lines), validate=True)),
    )


def _split(joined: bytes) -> tuple[bytes, ...]:
    if len(joined) % DIGEST_BYTES:
        raise ValueError
    return tuple(joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
