"""The names of VMs: how vSphere writes them, and which of them may be a file's."""

import re
from collections.abc import Iterator

from vmw_cloudinit_metadata.drivers.reading import HIDDEN

# How vSphere writes the three characters it does not allow in names.
_ESCAPES = {"%2f": "/", "%5c": "\\", "%25": "%"}
_ESCAPED = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_UNESCAPED = re.compile(r"[/\\%]")
_TO_ESCAPE = {character: escape for escape, character in _ESCAPES.items()}


def unescaped(name: str) -> str:
    """Return the name as people write it, whether it came escaped or not: ``a/b`` for ``a%2fb``."""
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0].lower()], name)


def escaped(name: str) -> str:
    """Return the name as vSphere writes it, whether it came escaped or not: ``a%2fb`` for ``a/b``."""
    return _UNESCAPED.sub(lambda match: _TO_ESCAPE[match[0]], unescaped(name))


def stems(name: str) -> Iterator[str]:
    """Yield how the file of a VM may be called, without suffix: as the VM says it, then in vSphere's form."""
    yield from filter(_is_plain, dict.fromkeys((name, escaped(name))))


def spellings(name: str) -> Iterator[str]:
    """Yield how a definition may write a VM's name: as the VM says it, as people do, as vSphere does."""
    if _is_text(name):
        yield from dict.fromkeys((name, unescaped(name), escaped(name)))


def _is_plain(stem: str) -> bool:
    """Tell whether a name is one file's name, and a VM's."""
    return _is_text(stem) and "/" not in stem and not stem.startswith(HIDDEN)


def _is_text(name: str) -> bool:
    """Tell whether a name is text that a file system can hold."""
    try:
        return bool(name.encode()) and "\0" not in name
    except UnicodeEncodeError:
        return False
