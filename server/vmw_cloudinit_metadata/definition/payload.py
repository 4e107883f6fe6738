"""User-data made of what a definition says of it: files are read, encodings undone, parts joined."""

from typing import Any

from vmw_cloudinit_metadata import checks, userdata
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.source import Path
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.userdata import Part


def make_payloads(reader: Reader, raw: Any) -> None:
    """Put the text or bytes that a guest gets in the place of what a definition says of them.

    What is wrong is noted with the reader. Of what the schema has a fault with, nothing is made.

    Args:
        reader: it has read the definition.
        raw: the plain values of a definition, as read_definition.py has made them.
    """
    given = raw if isinstance(raw, dict) else {}
    for key in ("userdata", "vendordata"):
        if isinstance(given.get(key), dict | list) and not any(
            fault.key.startswith(key) for fault in reader.faults
        ):
            raw[key] = _make(reader, raw[key], (key,))


def _make(reader: Reader, raw: Any, path: Path) -> str | bytes:
    """Return what a guest gets of a source or of parts; nothing where that cannot be had."""
    made = _join(reader, raw, path) if isinstance(raw, list) else _content(reader, raw, path)
    if made is None:
        return b""
    if fault := checks.userdata_fault(made):
        reader.fault(path, fault)
    return made


def _join(reader: Reader, raw: list[Any], path: Path) -> bytes | None:
    """Return several parts as one MIME message, None where they cannot be joined."""
    parts: list[Part] = []
    size = 0
    for number, each in enumerate(raw):
        at = (*path, number)
        content = _content(reader, each, at)
        if content is None:
            continue
        size += len(content)
        if size > checks.MAX_USERDATA:
            # Each part may name the same large file: what is too long already does not get longer.
            reader.fault(at, f"brings the parts to more than {checks.MAX_USERDATA:,} bytes")
            return None
        part = _part(each, content)
        if fault := _part_fault(part, parts):
            reader.fault(at, fault)
        parts.append(part)
    return userdata.multipart(parts)


def _part(raw: Any, content: str | bytes) -> Part:
    said = raw if isinstance(raw, dict) else {}
    return Part(_bytes(content), said.get("type"), said.get("filename"))


def _part_fault(part: Part, before: list[Part]) -> str | None:
    if part.filename is not None and part.filename in (other.filename for other in before):
        return "has the filename of another part, over which cloud-init would write it"
    return userdata.part_fault(part)


def _content(reader: Reader, raw: Any, path: Path) -> str | bytes | None:
    """Return the text or bytes of user-data or of a part of it, None where they cannot be had."""
    if reader.varies(path):
        return None  # nobody knows yet what it will be, or whether the schema has a fault with it
    if isinstance(raw, str):
        return raw
    key = "file" if "file" in raw else "content"
    content = reader.file(raw[key], (*path, key)) if key == "file" else raw[key]
    if content is None or "encoding" not in raw:
        return content
    try:
        return userdata.decode(_bytes(content), raw["encoding"])
    except DefinitionError as error:
        reader.fault((*path, key), str(error))
        return None


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()
