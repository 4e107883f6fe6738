"""The seed directory that cloud-init's NoCloud reads, written so that a kill or a power cut never harms it.

All new files are first written beside the old ones, then renamed into place, meta-data last: until then
cloud-init sees the old instance-id, and acts on nothing new. meta-data is never removed: without it the
next boot would be that of a new instance, with new host keys and without its network.
"""

import contextlib
import errno
import fcntl
import os
import stat
from typing import Dict, Iterator, Optional

from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import SeedError

# Where every release of cloud-init looks without being told.
DEFAULT_DIRECTORY = "/var/lib/cloud/seed/nocloud"

# User-data is a secret.
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
# Directories on the way that do not exist yet belong to cloud-init, which makes them with this mode.
PARENT_MODE = 0o755

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "mount it writable, or begin after it is",
    errno.EACCES: "run as root, or name another directory with --seed-dir",
    errno.EPERM: "run as root, or name another directory with --seed-dir",
}


def write(directory: str, documents: Documents) -> bool:
    """Make the directory hold these documents and no others; return whether any file had to change.

    A file that holds the same bytes already is not touched.

    Raises:
        SeedError: something cannot be written; cloud-init still sees the old instance.
    """
    contents = {
        "user-data": documents.user_data,
        # Version 1 of the packets carries none: one that lies there belongs to another instance.
        "vendor-data": None,
        "network-config": documents.network_config,
        "meta-data": documents.meta_data,
    }
    try:
        _make_directory(directory)
        with _opened(directory) as descriptor:
            # Another guest may have been answered on another port.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return _update(directory, descriptor, contents)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "name another directory with --seed-dir")
        raise SeedError(f"cannot write the seed {directory}: {error.strerror or error}; {advice}") from None


def _update(directory: str, descriptor: int, contents: Dict[str, Optional[bytes]]) -> bool:
    """Replace what differs; ``contents`` in the order of writing, None for a file that is to be absent."""
    for name in contents:
        _remove(_beside(directory, name))  # left by a run that was killed
    changed = [name for name in contents if _read(os.path.join(directory, name)) != contents[name]]
    try:
        for name in changed:
            _write_beside(directory, name, contents[name])
        for name in changed:
            if name == "meta-data":
                os.fsync(descriptor)  # the others must be in place on the disk, not only in memory, before it
            _put_in_place(directory, name, contents[name])
        if changed:
            os.fsync(descriptor)
    finally:
        for name in changed:
            _remove(_beside(directory, name))
    return bool(changed)


def _beside(directory: str, name: str) -> str:
    return os.path.join(directory, f".{name}.new")


def _read(path: str) -> Optional[bytes]:
    """Return the file's bytes, None if it is absent; put its mode right on the way."""
    try:
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != FILE_MODE:
                os.fchmod(file.fileno(), FILE_MODE)
            return file.read()
    except FileNotFoundError:
        return None


def _write_beside(directory: str, name: str, content: Optional[bytes]) -> None:
    if content is None:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(_beside(directory, name), flags, FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(directory: str, name: str, content: Optional[bytes]) -> None:
    path = os.path.join(directory, name)
    if content is None:
        os.unlink(path)
    else:
        os.replace(_beside(directory, name), path)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _make_directory(directory: str) -> None:
    """Make the seed directory and those above it; one that exists gets its mode put right."""
    _make_missing(os.path.abspath(directory), DIRECTORY_MODE)
    if stat.S_IMODE(os.stat(directory).st_mode) != DIRECTORY_MODE:
        os.chmod(directory, DIRECTORY_MODE)


def _make_missing(directory: str, mode: int) -> None:
    if os.path.isdir(directory):
        return
    parent = os.path.dirname(directory)
    _make_missing(parent, PARENT_MODE)
    with contextlib.suppress(
        FileExistsError
    ):  # made by another guest in this moment; what is no directory fails later
        os.mkdir(directory)
        os.chmod(directory, mode)  # whatever the umask is
    with _opened(parent) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int]:
    """Give a descriptor of a directory, which is what can be synced and locked."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
