"""How files of definitions are read: whole, from inside their directory; and what tells of a change."""

import errno
import os
import stat
from typing import NamedTuple

from vmw_cloudinit_metadata.definition import MAX_DEFINITION
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.log import printable

SUFFIXES = (".yaml", ".yml")

# What begins so is no VM's: it is for something else, as _defaults.yaml is, or is just being written, as by
# Ansible and others, which take a name with a dot and rename the file when it is whole.
HIDDEN = ("_", ".")

# What a path is that leads to nothing. A name that is too long for a file is no file's.
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

# A file changed this short ago can change again without its size or times telling: clocks of file systems
# tick in milliseconds, of some in one or two seconds. Until it has settled it is read again each time.
SETTLED_NS = 2_000_000_000

# How often a file that changes while it is read is read again before the VM has to ask once more.
READ_ATTEMPTS = 3

# What the system says of a link where a file or a directory was asked for.
_LINK = (errno.ELOOP, errno.ENOTDIR)

_READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
# A directory that one may pass through, but not list, will do, where the system can say so.
_PASS_THROUGH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
    """Return whether a file of this name is a VM's."""
    return name.endswith(SUFFIXES) and not name.startswith(HIDDEN)


def can_read(directory: str) -> bool:
    """Return whether a path is a directory that this user can list and pass through."""
    return os.path.isdir(directory) and os.access(directory, os.R_OK | os.X_OK)


def is_inside(directory: str, path: str) -> bool:
    """Return whether a path ends inside a directory, whatever links are on the way."""
    root = os.path.realpath(directory)
    return os.path.commonpath((root, os.path.realpath(path))) == root


def read_whole(directory: str, path: str) -> tuple[Signature, bytes]:
    """Read a file of a directory, or of one below it, through one descriptor; none of its properties changed.

    Links are followed as long as they end inside the directory. Of a longer file one byte more than
    ``MAX_DEFINITION`` is read.

    Raises:
        DefinitionError: it is none that is read; the text is the end of a sentence.
        DriverBusyError: it changes all the time.
        OSError: it cannot be read.
    """
    for _ in range(READ_ATTEMPTS):
        descriptor = _open(directory, path)
        try:
            before = Signature.of(os.fstat(descriptor))
            text = _read(descriptor, before.size)
            if before == Signature.of(os.fstat(descriptor)):
                return before, text
        finally:
            os.close(descriptor)
    raise DriverBusyError(f"{printable(path)} changes while it is read", retry=1)


def _read(descriptor: int, size: int) -> bytes:
    """Read a file of about this size to its end, or one byte beyond the largest definition."""
    pieces = []
    room = MAX_DEFINITION + 1
    # One that says it is empty may be of a file system that does not know sizes.
    while room > 0 and (piece := os.read(descriptor, min(room, max(size, 4095) + 1))):
        pieces.append(piece)
        room -= len(piece)
    return b"".join(pieces)


def _open(directory: str, path: str) -> int:
    """Open a file of a directory for reading.

    Usually there is no link on the way: to find out where each path ends, and whether that is inside, takes
    three times as long as to open it.
    """
    if path.startswith(f"{directory}/"):
        way = path[len(directory) + 1 :].split("/")
        if not {"", ".", ".."}.intersection(way):
            try:
                return _walk(directory, way)
            except OSError as error:
                if error.errno not in _LINK:
                    raise
    root, target = os.path.realpath(directory), os.path.realpath(path, strict=True)
    if os.path.commonpath((root, target)) != root:
        raise DefinitionError("is a link that leads out of the directory")
    return _walk(root, os.path.relpath(target, root).split("/"))


def _walk(root: str, way: list[str]) -> int:
    """Open a file step by step, so that no link is followed, not even one that was put in its way just now.

    Raises:
        DefinitionError: it is none.
        OSError: it cannot be opened; of a link the number is one of ``_LINK``.
    """
    parent = os.open(root, _PASS_THROUGH & ~os.O_NOFOLLOW)
    try:
        for name in way[:-1]:
            child = os.open(name, _PASS_THROUGH, dir_fd=parent)
            os.close(parent)
            parent = child
        # First, because opening a device can set it going. O_NONBLOCK is for a FIFO put here just now.
        mode = os.stat(way[-1], dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not stat.S_ISREG(mode):
            raise DefinitionError("is not a file")
        return os.open(way[-1], _READ_ONLY, dir_fd=parent)
    finally:
        os.close(parent)
