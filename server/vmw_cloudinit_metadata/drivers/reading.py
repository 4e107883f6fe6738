"""How files of definitions are read: whole, from inside their directory; and what tells of a change."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from vmw_cloudinit_metadata.definition import MAX_DEFINITION
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.log import printable

SUFFIXES = (".yaml", ".yml")

# A file changed this short ago can change again without its size or times telling: clocks of file systems
# tick in milliseconds, of some in one or two seconds. Until it has settled it is read again each time.
SETTLED_NS = 2_000_000_000

# How often a file that changes while it is read is read again before the VM has to ask once more.
READ_ATTEMPTS = 3

_READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class Signature(NamedTuple):
    """What changes when a file does."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """Return the signature of a file with this status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Return whether every change from now on changes the signature."""
        # A time in the future (clocks differ, on NFS) has not settled either.
        return now_ns - max(self.mtime_ns, self.ctime_ns) > SETTLED_NS


def is_definition(name: str) -> bool:
    """Return whether a file of this name is a VM's: one that begins with "_" is for something else."""
    return name.endswith(SUFFIXES) and not name.startswith("_")


def read_whole(directory: str, path: str) -> tuple[Signature, bytes]:
    """Read a file through one descriptor, none of whose properties changed meanwhile.

    Raises:
        DefinitionError: it is none that is read.
        DriverBusyError: it changes all the time.
        OSError: it cannot be read.
    """
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(directory)):
        raise DefinitionError("is a link that leads out of the directory")
    for _ in range(READ_ATTEMPTS):
        # First, because opening a device can set it going. O_NONBLOCK is for a FIFO put here just now.
        if not stat.S_ISREG(os.stat(target).st_mode):
            raise DefinitionError("is not a file")
        with open(os.open(target, _READ_ONLY), "rb") as file:
            before = Signature.of(os.fstat(file.fileno()))
            text = file.read(MAX_DEFINITION + 1)
            if before == Signature.of(os.fstat(file.fileno())):
                return before, text
    raise DriverBusyError(f"{printable(path)} changes while it is read", retry=1)
