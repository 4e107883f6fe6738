"""What is doubtful in metadata: a host name that is none elsewhere, a key that looks like a known one."""

import difflib
import functools
import re
from collections.abc import Iterator

from vmw_cloudinit_metadata.checks import Path
from vmw_cloudinit_metadata.instance import METADATA_KEYS, InstanceMetadata

# RFC 1123, section 2.1, in either case; with a dot at the end, as some write names that are complete.
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")

# Less alike are keys that are meant: instance-type is 0.75 like instance-id.
_ALIKE = 0.85


def check_metadata(metadata: InstanceMetadata) -> Iterator[tuple[Path, str]]:
    """Yield the place of each doubtful value, and what is doubtful."""
    if metadata.hostname and not _HOSTNAME.fullmatch(metadata.hostname):
        text = (
            "is no name as DNS has them: letters, digits and -, in parts of up to 63 with dots between them"
        )
        yield ("metadata", "hostname"), text
    for key in metadata.extra:
        if meant := _known_key(key):
            yield (
                ("metadata", key),
                f"reaches the guest as it stands; did you mean {meant}?",
            )


@functools.lru_cache(maxsize=1_000)
def _known_key(key: str) -> str | None:
    """Return the key that another one was probably meant to be; definitions of a site have the same ones."""
    known = [each for each in METADATA_KEYS if "_" not in each]
    near = difflib.get_close_matches(key.lower().replace("_", "-"), known, n=1, cutoff=_ALIKE)
    return near[0] if near else None
