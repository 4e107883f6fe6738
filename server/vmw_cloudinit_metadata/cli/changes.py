"""What a VM would be served, compared with what it was last served, as lines of a unified diff. Pure.

Of user-data and vendor-data as they were, nothing but digests of their lines is known: lines that have gone
are counted.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence

from vmw_cloudinit_metadata.state.served import Served, ServedDocument, digests, lines_of
from vmw_cloudinit_metadata.vspc.snapshot import Document

# As NoCloud calls the files; the names of packets are the keys.
FILES = {
    "metadata": "meta-data",
    "networkdata": "network-config",
    "userdata": "user-data",
    "vendordata": "vendor-data",
}

_CONTEXT = 3


def changes(served: Served, documents: Mapping[str, Document | None]) -> Iterator[str]:
    """Yield the lines that say what is new; none if nothing is."""
    for name, file in FILES.items():
        before, now = served.documents.get(name), documents[name]
        if (before and before.etag) == (now and now.etag):
            continue
        yield f"--- {file}" if before else "--- /dev/null"
        yield f"+++ {file}" if now else "+++ /dev/null"
        yield from _change(before, now, served.key)


def is_text(content: bytes) -> bool:
    """Tell whether a document can be shown: UTF-8, and no character that a terminal acts on."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\n\t" for character in text.replace("\r\n", "\n"))


def _change(before: ServedDocument | None, now: Document | None, key: bytes) -> Iterator[str]:
    if now is None:
        yield f"(is gone: {before.size if before else 0:,} bytes)"
    elif not is_text(now.content) or (before and before.text is None and before.lines is None):
        sizes = f"{before.size:,} bytes before, " if before else ""
        yield f"({sizes}{len(now.content):,} bytes now; what has changed cannot be shown)"
    elif before is None:
        yield from (f"+{_shown(line)}" for line in lines_of(now.content))
    elif before.text is not None:
        old, new = _pretty(before.text), _pretty(now.content.decode())
        yield from list(difflib.unified_diff(old, new, lineterm="", n=_CONTEXT))[2:]
    else:
        yield from _secret_change(before.lines or (), lines_of(now.content), key)


def _secret_change(old: Sequence[bytes], lines: list[bytes], key: bytes) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, old, digests(lines, key), autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        (_, from_old, _, from_new, _), (_, _, to_old, _, to_new) = group[0], group[-1]
        yield f"@@ -{from_old + 1},{to_old - from_old} +{from_new + 1},{to_new - from_new} @@"
        for operation, old_from, old_to, new_from, new_to in group:
            if operation in ("delete", "replace"):
                count = old_to - old_from
                yield f"-({count} {'line' if count == 1 else 'lines'}, of which digests alone are kept)"
            sign = " " if operation == "equal" else "+"
            yield from (f"{sign}{_shown(line)}" for line in lines[new_from:new_to])


def _pretty(text: str) -> list[str]:
    """Return a document's lines; those of JSON, which is served on one, as people read it."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()
    except ValueError:
        return text.splitlines()


def _shown(line: bytes) -> str:
    return line.decode().rstrip("\r\n")
