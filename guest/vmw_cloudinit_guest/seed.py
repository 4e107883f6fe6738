"""The seed directory that cloud-init's NoCloud reads, written so that a kill or a power cut never harms it.

All new files are first written beside the old ones, then renamed into place, meta-data last: until then
cloud-init sees the old instance-id, and acts on nothing new. meta-data is removed only from a seed that is
another machine's: without it the next boot is that of a new instance, with new host keys and without its
network.

Beside the directory lies the state, which binds the seed to the machine (``binding.py``). It is written
before the seed and deleted after it: whatever the moment, a seed of ours is a bound one. Another file there
holds the reports that nobody has acknowledged (``reports.py``); it goes with the seed, being of this machine.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
from typing import Dict, Iterator, List, Optional

from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import SeedError

# What NoCloud reads, in the order of deletion.
FILES = ("meta-data", "user-data", "vendor-data", "network-config")
# User-data is a secret.
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
# Directories on the way that do not exist yet belong to cloud-init, which makes them with this mode.
PARENT_MODE = 0o755

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "mount it writable, or begin after it is",
    errno.EACCES: "run as root, or name another seed directory",
    errno.EPERM: "run as root, or name another seed directory",
}


def write(directory: str, documents: Documents, state: bytes) -> bool:
    """Make the directory hold these documents and no others, and the state file beside it these bytes.

    Returns whether any document had to change. A file that holds the same bytes already is not touched.

    Raises:
        SeedError: something cannot be written; cloud-init still sees the old instance.
    """
    contents = documents.files()
    with _errors_told("write", directory):
        _make_directory(directory)
        with _locked(directory) as descriptor:
            _replace(state_path(directory), state)
            return _update(directory, descriptor, contents)


def holds(directory: str, documents: Documents) -> bool:
    """Return whether the seed is made of these documents already.

    Raises:
        SeedError: it cannot be read.
    """
    with _errors_told("read", directory):
        return not _differing(directory, documents.files())


def delete(directory: str) -> bool:
    """Delete the seed, then what is beside it; return whether there was any seed or state.

    meta-data goes first, since without it there is no seed for cloud-init; the state last, so that a deletion
    that was broken off is known for one, and done again.

    Raises:
        SeedError: something cannot be deleted.
    """
    deleted = False
    with _errors_told("delete", directory):
        if os.path.isdir(directory):
            with _locked(directory) as descriptor:
                for name in FILES:
                    deleted |= _remove(os.path.join(directory, name))
                    if deleted and name == "meta-data":
                        os.fsync(descriptor)
                    _remove(_beside(directory, name))
                os.fsync(descriptor)
        _replace(reports_path(directory), None)
        deleted |= _replace(state_path(directory), None)
    return deleted


def contents(directory: str) -> Dict[str, bytes]:
    """Return the files that there are, by their names.

    Raises:
        SeedError: one cannot be read.
    """
    with _errors_told("read", directory):
        found = {name: _read(os.path.join(directory, name)) for name in FILES}
    return {name: content for name, content in found.items() if content is not None}


def instance_id(directory: str) -> Optional[str]:
    """Return the instance-id of the seed that is there; None without a seed, empty if it cannot be told.

    Raises:
        SeedError: it cannot be read.
    """
    with _errors_told("read", directory):
        content = _read(os.path.join(directory, "meta-data"))
    if content is None:
        return None
    try:
        return str(json.loads(content.decode())["instance-id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""  # written by hand, in YAML


def state(directory: str) -> Optional[bytes]:
    """Return the content of the state file, None if there is none.

    Raises:
        SeedError: it cannot be read.
    """
    with _errors_told("read", directory):
        return _read(state_path(directory))


def state_path(directory: str) -> str:
    """Return where the state is that belongs to a seed directory."""
    return os.path.abspath(directory) + ".state"


def reports(directory: str) -> Optional[bytes]:
    """Return the content of the file of reports, None if there is none.

    Raises:
        SeedError: it cannot be read.
    """
    with _errors_told("read", directory):
        return _read(reports_path(directory))


def keep_reports(directory: str, content: Optional[bytes]) -> None:
    """Make the file of reports hold these bytes; None deletes it.

    Raises:
        SeedError: it cannot be written; it is as it was.
    """
    with _errors_told("write the reports beside", directory):
        _replace(reports_path(directory), content)


def reports_path(directory: str) -> str:
    """Return where the reports are kept that belong to a seed directory."""
    return os.path.abspath(directory) + ".report"


def _replace(path: str, content: Optional[bytes]) -> bool:
    """Make a file beside the seed hold these bytes, or be absent; return whether it had to change."""
    parent, name = os.path.split(path)
    _remove(_beside(parent, name))  # left by a run that was killed
    _protect(path)
    if _read(path) == content:
        return False
    try:
        _write_beside(parent, name, content)
        _put_in_place(parent, name, content)
    finally:
        _remove(_beside(parent, name))
    with _opened(parent) as descriptor:
        os.fsync(descriptor)
    return True


def _differing(directory: str, contents: Dict[str, Optional[bytes]]) -> List[str]:
    return [name for name in contents if _read(os.path.join(directory, name)) != contents[name]]


def _update(directory: str, descriptor: int, contents: Dict[str, Optional[bytes]]) -> bool:
    """Replace what differs."""
    for name in contents:
        _remove(_beside(directory, name))  # left by a run that was killed
        _protect(os.path.join(directory, name))
    changed = _differing(directory, contents)
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
    """Return the file's bytes, None if it is absent."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _protect(path: str) -> None:
    """Put the mode of a file that exists right."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_IMODE(os.stat(path).st_mode) != FILE_MODE:
            os.chmod(path, FILE_MODE)


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


def _remove(path: str) -> bool:
    """Delete a file; return whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _make_directory(directory: str) -> None:
    """Make the seed directory and those above it; one that exists gets its mode put right."""
    _make_missing(os.path.abspath(directory), DIRECTORY_MODE)
    with _opened(
        directory
    ) as descriptor:  # which refuses a file of that name: its mode is not ours to change
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != DIRECTORY_MODE:
            os.fchmod(descriptor, DIRECTORY_MODE)


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
def _errors_told(action: str, directory: str) -> Iterator[None]:
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "name another seed directory")
        raise SeedError(
            f"cannot {action} the seed {directory}: {error.strerror or error}; {advice}"
        ) from None


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[int]:
    """Give a descriptor of the directory, and keep other guests out, who were answered on other ports."""
    with _opened(directory) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int]:
    """Give a descriptor of a directory, which is what can be synced and locked."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
