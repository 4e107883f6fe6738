"""What fetch leaves in /run for the second unit of the same boot: the port that settled on version 2.

Only then may a report be sent: its third field disconnects a server of 0.0.8.
"""

import contextlib
import json
import os
from typing import NamedTuple, Optional

from vmw_cloudinit_guest import paths

# Not in the seed or beside it: the next boot must not find it.
PATH = "/run/vmw-cloudinit-guest/fetch.json"


class Handover(NamedTuple):
    """How this boot's fetch ended."""

    port: str  # the path of the serial port that answered
    version: int  # of the packets


def write(handover: Handover, root: str = "/") -> None:
    """Leave it, at once and for root alone.

    Raises:
        OSError: it cannot be written.
    """
    path = paths.under(root, PATH)
    new = path + ".new"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(new, "wb", opener=_private) as file:
        file.write(json.dumps(handover._asdict()).encode())
    os.replace(new, path)


def read(root: str = "/") -> Optional[Handover]:
    """Return what this boot's fetch has left; None if that is nothing that can be used."""
    try:
        with open(paths.under(root, PATH), "rb") as file:
            values = json.loads(file.read().decode())
        port, version = values["port"], values["version"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return Handover(port, version) if isinstance(port, str) and isinstance(version, int) else None


def clear(root: str = "/") -> None:
    """Forget an earlier fetch: one that fails must leave nothing."""
    with contextlib.suppress(OSError):
        os.unlink(paths.under(root, PATH))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
