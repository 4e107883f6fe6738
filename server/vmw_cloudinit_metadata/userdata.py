"""User-data and vendor-data as bytes: what cloud-init takes them for, parts as one MIME message, encodings.

Pure. What a definition may say of them is the reader's, how they are served nocloud.py's. No fault quotes
what it is about: user-data is a secret.
"""

import base64
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from vmw_cloudinit_metadata.checks import MAX_USERDATA
from vmw_cloudinit_metadata.errors import DefinitionError

# How user-data begins, and what cloud-init takes it for (cloudinit/handlers); the longest that fits counts.
_HEADERS = {
    b"#!": "text/x-shellscript",
    b"#cloud-boothook": "text/cloud-boothook",
    b"#cloud-config": "text/cloud-config",
    b"#cloud-config-archive": "text/cloud-config-archive",
    b"#cloud-config-jsonp": "text/cloud-config-jsonp",
    b"#include": "text/x-include-url",
    b"#include-once": "text/x-include-once-url",
    b"#part-handler": "text/part-handler",
    b"## template: jinja": "text/jinja2",
}
_MOST_SPECIFIC_FIRST = sorted(_HEADERS, key=len, reverse=True)
KNOWN_HEADERS = ", ".join(header.decode() for header in _HEADERS)

GZIP = "application/gzip"
MIME = "multipart/mixed"
_GZIP_MAGIC = b"\x1f\x8b"

# Where cloud-init looks for the sign of a MIME message.
_MIME_SIGN = b"mime-version:"
_MIME_SIGN_WITHIN = 4096

# The names of DataSourceVMware and of cloud-init's write_files.
ENCODINGS = ("base64", "b64", "gzip", "gz", "gzip+base64", "gz+base64", "gzip+b64", "gz+b64")

# A type says what cloud-init does with a part; part handlers bring types of their own. Those that are made of
# other parts have a structure, which a content with this type would not have.
_TYPE = re.compile("(?!multipart/|message/)[a-z]+/[a-z0-9][a-z0-9.+-]{0,63}")

# cloud-init writes scripts under the name of their part; these characters it leaves as they are.
_FILENAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# RFC 5322, 2.1.1: no line of a message is longer; base64's are 76 characters long (RFC 2045, 6.8).
_MAX_LINE = 998
_NOT_7BIT = re.compile(rb"[^\t\n\x20-\x7e]|[^\n]{%d}" % (_MAX_LINE + 1))

# A 16550 at its usual 115200 baud, 8N1: a start bit and a stop bit with each byte.
_LINE_BYTES_A_SECOND = 115200 / 10


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a MIME message.

    Attributes:
        content: as the guest is to have it.
        type: a MIME type; None: what the content's header says.
        filename: what cloud-init calls it, scripts first of all; None: part-001 and so on.
    """

    content: bytes = field(repr=False)
    type: str | None = None
    filename: str | None = None


def content_type(data: bytes) -> str | None:
    """Return the MIME type that cloud-init takes user-data for; None if it has no header that it knows.

    ``GZIP`` and ``MIME`` (whatever multipart it is) stand for what is packed in them.
    """
    if data.startswith(_GZIP_MAGIC):
        return GZIP
    # cloud-init passes over white space before the header, and takes it in any case.
    start = data[:_MIME_SIGN_WITHIN].lstrip().lower()
    for header in _MOST_SPECIFIC_FIRST:
        if start.startswith(header):
            return _HEADERS[header]
    return MIME if is_taken_for_mime(data) else None


def is_taken_for_mime(data: bytes) -> bool:
    """Tell whether cloud-init reads user-data as a MIME message: it does whatever header stands first."""
    return _MIME_SIGN in data[:_MIME_SIGN_WITHIN].lower()


def multipart(parts: Iterable[Part]) -> bytes:
    """Return parts that have no ``part_fault`` as a MIME message (RFC 2046).

    The same parts make the same bytes, of which etags are made: the boundary comes from them, and not from
    chance. A part that is a MIME message itself becomes one within this one.
    """
    entities = [_entity(part) for part in parts]
    digest = hashlib.sha256()
    for entity in entities:
        digest.update(b"%d:%b" % (len(entity), entity))
    # No part holds the boundary: it would have to hold its own digest.
    boundary = b"part-" + digest.hexdigest()[:32].encode()
    head = b'Content-Type: multipart/mixed; boundary="%b"\nMIME-Version: 1.0\n\n' % boundary
    # The line end before a boundary belongs to it: what a part ends with is left to it.
    body = b"".join(b"--%b\n%b\n" % (boundary, entity) for entity in entities)
    return head + body + b"--%b--\n" % boundary


def part_fault(part: Part) -> str | None:
    """Return what is wrong with a part, as the end of a sentence; None if nothing is."""
    kind = part.type or content_type(part.content)
    if kind is None:
        return f"begins with no header that cloud-init knows ({KNOWN_HEADERS}); give it a type"
    if kind == MIME and not part.content.isascii():
        # cloud-init reads the message as text, and takes what is not ASCII for Latin-1 in its parts.
        return "is a MIME message with other than ASCII characters, which cloud-init gets wrong"
    return None


def type_fault(value: object) -> str | None:
    """Return what is wrong with the MIME type of a part, or None."""
    return (
        None
        if isinstance(value, str) and _TYPE.fullmatch(value)
        else "is not the type of one part, such as text/x-shellscript"
    )


def filename_fault(value: object) -> str | None:
    """Return what is wrong with the name of a part, or None."""
    if isinstance(value, str) and _FILENAME.fullmatch(value):
        return None
    return "is not a plain file name (at most 100 letters, digits and . _ -)"


def decode(data: bytes, encoding: str) -> bytes:
    """Return what was encoded with one of ``ENCODINGS``; what is larger than user-data may be is refused.

    Raises:
        DefinitionError: it was not; the text is the end of a sentence.
    """
    if encoding.endswith("64"):
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except ValueError:
            raise DefinitionError("is not base64") from None
    return _gunzip(data) if encoding.startswith("gz") else data


def line_seconds(size: int) -> float:
    """Return the seconds that a document of ``size`` bytes takes on a serial line of 115200 baud, 8N1.

    That is in version 1 of the packets, as base64; version 2 compresses, and is done sooner.
    """
    return 4 * -(-size // 3) / _LINE_BYTES_A_SECOND


def _entity(part: Part) -> bytes:
    """Return a part with its headers (RFC 2045)."""
    kind = part.type or content_type(part.content)
    if kind == MIME:
        return part.content
    headers = [f"Content-Type: {kind}" + ('; charset="utf-8"' if str(kind).startswith("text/") else "")]
    content = part.content
    # Bytes of 8 bits would come out wrong: cloud-init decodes the message before it takes it apart.
    encoding = "base64" if _NOT_7BIT.search(content) else "7bit"
    if encoding == "base64":
        content = base64.encodebytes(content)
    headers.append(f"Content-Transfer-Encoding: {encoding}")
    if part.filename is not None:
        headers.append(f'Content-Disposition: attachment; filename="{part.filename}"')
    return "\n".join([*headers, "", ""]).encode() + content


def _gunzip(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            # A kilobyte can stand for a megabyte: what is too much is not unpacked to its end.
            content = file.read(MAX_USERDATA + 1)
    except (OSError, EOFError, zlib.error):
        content = None
    if content is None or not data:  # of nothing gzip makes nothing
        raise DefinitionError("is not gzip, or not whole")
    if len(content) > MAX_USERDATA:
        raise DefinitionError(f"is more than {MAX_USERDATA:,} bytes when it is unpacked")
    return content
