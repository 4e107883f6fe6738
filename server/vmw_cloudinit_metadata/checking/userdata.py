"""What cloud-init would not make of user-data what is meant, as far as that can be told before a boot.

It is given the bytes that are served, and knows no definitions. Nothing it says quotes them; a key is named
where it is one of cloud-init's own.
"""

import email
import email.message
import re
from collections.abc import Iterator

from vmw_cloudinit_metadata.checking.cloud_config import check_cloud_config
from vmw_cloudinit_metadata.checking.cloudinit import CloudInit
from vmw_cloudinit_metadata.checking.remarks import Remark
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.userdata import GZIP, MIME, content_type, decode

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

# Every second byte of ASCII in UTF-16 is 0.
_WITHOUT_MARK = re.compile(rb"(\0[\x09-\x7e]){4}|([\x09-\x7e]\0){4}")

_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{8,}={0,2}\s*")

# Packed in one another; and parts of a message: whoever has more has made them by a program.
_MAX_LAYERS = 4
_MAX_PARTS = 200


def check_user_data(data: bytes, cloud_init: CloudInit | None, layers: int = _MAX_LAYERS) -> Iterator[Remark]:
    """Yield what is wrong with user-data or vendor-data; with nothing in it nothing is."""
    if not data.strip() or not layers:
        return
    kind = content_type(data)
    if kind is None:
        yield _without_header(data)
    elif kind == GZIP:
        try:
            yield from check_user_data(decode(data, "gzip"), cloud_init, layers - 1)
        except DefinitionError as error:
            yield Remark(f"begins as gzip does, but {error}", serious=True)
    elif kind == MIME:
        yield from _check_message(data, cloud_init, layers - 1)
    else:
        yield from _check_typed(data, kind, cloud_init)


def _check_typed(data: bytes, kind: str, cloud_init: CloudInit | None) -> Iterator[Remark]:
    if kind == "text/cloud-config":
        yield from check_cloud_config(data, cloud_init)
    elif kind == "text/x-shellscript" and data.lstrip().partition(b"\n")[0].endswith(b"\r"):
        text = "its first line ends with CR LF, and no interpreter's name with CR; save it with LF alone"
        yield Remark(text, serious=True, line=1)


def _without_header(data: bytes) -> Remark:
    if data.startswith(_UTF_16) or _WITHOUT_MARK.match(data):
        return Remark("is UTF-16, which cloud-init does not read; save it as UTF-8", serious=True)
    if data.startswith(_BOM):
        text = "begins with a byte order mark, behind which cloud-init sees no header; save it without"
        return Remark(text, serious=True)
    if _is_base64(data):
        text = "is base64, which cloud-init does not decode; say so with content: and encoding: base64"
        return Remark(text, serious=True)
    return Remark(
        "begins with no header that cloud-init knows, such as #cloud-config or #!, and so does nothing"
    )


def _is_base64(data: bytes) -> bool:
    """Tell whether user-data was encoded: a word alone may look so, but hides no user-data."""
    if not _BASE64.fullmatch(data):
        return False
    try:
        return content_type(decode(data, "base64")) is not None
    except DefinitionError:
        return False


def _check_message(data: bytes, cloud_init: CloudInit | None, layers: int) -> Iterator[Remark]:
    """Yield what is wrong with the parts of a MIME message."""
    try:
        message = email.message_from_bytes(data)
        parts = [part for part in message.walk() if part.get_content_maintype() != "multipart"]
        contents = [_content(part) for part in parts[:_MAX_PARTS]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        yield Remark("is no MIME message that can be read, though it says MIME-Version", serious=True)
        return
    if not parts:
        yield Remark("is a MIME message without parts: its boundary is missing, or another one", serious=True)
    for number, (kind, content) in enumerate(contents, start=1):
        remarks = (
            # What has no type of its own is taken for what it begins with.
            check_user_data(content, cloud_init, layers)
            if kind in ("text/plain", "text/x-not-multipart", GZIP)
            else _check_typed(content, kind, cloud_init)
        )
        for remark in remarks:
            yield remark._replace(part=(number, *remark.part))


def _content(part: email.message.Message) -> tuple[str, bytes]:
    content = part.get_payload(decode=True)
    return part.get_content_type(), content if isinstance(content, bytes) else b""
