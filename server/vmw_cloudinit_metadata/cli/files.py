"""Files that commands write: definitions and documents, which hold secrets.

Each is complete or not there, is read by its owner alone, and takes no other's place unless it is told to.
Where a directory is its group's alone, as the service's directory of definitions is, the group may read too:
else the server could not.
"""

import contextlib
import os
import stat
from pathlib import Path

from vmw_cloudinit_metadata.errors import OutputError
from vmw_cloudinit_metadata.log import printable

_EXISTS = "exists already; --force replaces it"


def check_new(paths: list[Path], force: bool) -> None:
    """Check that none of these files exists, unless they may be replaced: so that all are written, or none.

    Raises:
        OutputError: some do, all of which are named.
    """
    if existing := [path for path in paths if os.path.lexists(path)] if not force else []:
        raise OutputError("\n".join(f"{printable(str(path))} {_EXISTS}" for path in existing))


def write_file(path: Path, content: bytes, force: bool) -> None:
    """Write a file, in place of one that is there if ``force`` says so.

    Raises:
        OutputError: it exists, or cannot be written; nothing has changed.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.new")
    try:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                _give_to_readers(file.fileno(), path.parent)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if force:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # which fails where a rename would replace
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    except FileExistsError:
        raise OutputError(f"{printable(str(path))} {_EXISTS}") from None
    except OSError as error:
        raise OutputError(f"cannot write {printable(str(path))}: {error.strerror}") from None


def remove_file(path: Path) -> None:
    """Remove a file, if there is one.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {printable(str(path))}: {error.strerror}") from None


def _give_to_readers(descriptor: int, directory: Path) -> None:
    # A group that one is not in gets nothing: then the file is its owner's.
    with contextlib.suppress(PermissionError):
        if (readers := readers_of(os.stat(directory), os.geteuid(), os.getegid())) is not None:
            owner, group, mode = readers
            os.fchown(descriptor, owner, group)
            os.fchmod(descriptor, mode)


def readers_of(directory: os.stat_result, user: int, group: int) -> tuple[int, int, int] | None:
    """Return owner (-1: who writes), group and mode of a file for those who read a directory.

    They are the directory's owner, where root writes, and a group that has it to itself. None: who writes.
    """
    owner = directory.st_uid if user == 0 else -1
    if stat.S_IMODE(directory.st_mode) & 0o057 == 0o050 and directory.st_gid != group:
        return owner, directory.st_gid, 0o640
    return (owner, directory.st_gid, 0o600) if owner > 0 else None
