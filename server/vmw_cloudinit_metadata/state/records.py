"""Records: small JSON objects, one file each, that survive a crash and are shared between processes.

A record is replaced as a whole: who reads sees the old one or the new one, and the disk has the new one
before ``write`` returns (``note`` is for what nobody misses after a crash). Who changes a record holds the
lock from reading to writing.

Root may work here for the directory's owner, the server's user: what it makes belongs to the owner, and no
link that lies here leads it anywhere else.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vmw_cloudinit_metadata.errors import StateError

# The largest is of served.py, which says why it fits; so do eight reports of at most 4 KiB each, which JSON's
# escapes may triple. What is longer was not written here.
MAX_RECORD = 256 * 1024

# File systems allow 255 bytes; ".json" and what a temporary's name has in addition come on top of this.
MAX_PLAIN_NAME = 200

_SUFFIX = ".json"
_LOCK = ".lock"
_UNSAFE = re.compile(rb"^\.|[^A-Za-z0-9_.-]")
_SAFE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC

Record = dict[str, Any]


class DamagedError(StateError):
    """A record is not what was written."""


class Records:
    """The records of one kind, by name: any text, such as the name of a VM."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.limit = limit

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes from changing records; wait for one that does.

        Raises:
            StateError: there is no lock to be had.
        """
        with self._faults("write"), self._opened(make=True) as directory:
            lock = _open_lock(directory)
        try:
            with self._faults("lock"):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def read(self, name: str) -> Record | None:
        """Return a record, or None if there is none.

        Raises:
            DamagedError: it is not what was written.
            StateError: it cannot be read.
        """
        with self._faults("read"):
            try:
                with self._opened() as directory:
                    return self._read(directory, file_name(name))[1]
            except FileNotFoundError:
                return None

    def read_all(self) -> Iterator[tuple[str, Record] | StateError]:
        """Yield each record with its name, in the order of the file names; for one that is damaged, why.

        Raises:
            StateError: the directory cannot be read.
        """
        with self._faults("read"):
            try:
                with self._opened() as directory:
                    for file in sorted(_files(directory)):
                        with contextlib.suppress(FileNotFoundError):  # it has gone since it was listed
                            yield self._read_or_say_why(directory, file)
            except FileNotFoundError:
                return

    def write(self, name: str, record: Record) -> None:
        """Write a record, or replace it. Hold the lock.

        Raises:
            StateError: it cannot be written, or there are as many as there may be; nothing has changed.
        """
        file, text = self._as_text(name, record)
        with self._faults("write"), self._opened(make=True) as directory:
            if self._has_no_room(directory, file):
                raise StateError(f"{self.path} has {self.limit:,} files, which is the limit")
            _replace(directory, file, text, durably=True)

    def note(self, name: str, record: Record) -> None:
        """Write or replace a record that a crash may lose, however many there are. Hold the lock.

        Raises:
            StateError: it cannot be written; nothing has changed.
        """
        file, text = self._as_text(name, record)
        with self._faults("write"), self._opened(make=True) as directory:
            _replace(directory, file, text, durably=False)

    def remove(self, name: str) -> None:
        """Remove a record, if there is one. Hold the lock.

        Raises:
            StateError: it cannot be removed.
        """
        with self._faults("write"), self._opened(make=True) as directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file_name(name), dir_fd=directory)
            os.fsync(directory)

    def make_room(self, name: str) -> None:
        """Remove the records that were written longest ago, until there is room for this one. Hold the lock.

        Raises:
            StateError: they cannot be removed.
        """
        with self._faults("write"), self._opened(make=True) as directory:
            if self._has_no_room(directory, file_name(name)):
                files = _files(directory)
                files.sort(key=lambda file: _written(directory, file), reverse=True)
                for file in files[self.limit - 1 :]:
                    os.unlink(file, dir_fd=directory)

    def damaged(self, name: str) -> DamagedError:
        """Return the error for a record that holds something else than its writer writes."""
        return DamagedError(f"{self.path / file_name(name)} is damaged")

    @contextlib.contextmanager
    def _opened(self, make: bool = False) -> Iterator[int]:
        """Open the directory: files are reached from there, not by a path that may change meanwhile."""
        flags = os.O_RDONLY | os.O_DIRECTORY
        parent = os.open(self.path.parent, flags | os.O_CLOEXEC)
        try:
            try:
                directory = os.open(self.path.name, flags | _SAFE_FLAGS, dir_fd=parent)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.mkdir(self.path.name, 0o700, dir_fd=parent)
                directory = os.open(self.path.name, flags | _SAFE_FLAGS, dir_fd=parent)
                _give_to_owner_of(parent, directory)
        finally:
            os.close(parent)
        try:
            yield directory
        finally:
            os.close(directory)

    def _as_text(self, name: str, record: Record) -> tuple[str, bytes]:
        file, text = file_name(name), json.dumps({"name": name, **record}, separators=(",", ":")).encode()
        if len(text) > MAX_RECORD:
            raise StateError(f"{self.path / file} would be larger than {MAX_RECORD // 1024} KiB")
        return file, text

    def _has_no_room(self, directory: int, file: str) -> bool:
        try:
            os.stat(file, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return len(_files(directory)) >= self.limit
        return False

    def _read_or_say_why(self, directory: int, file: str) -> tuple[str, Record] | StateError:
        try:
            return self._read(directory, file)
        except StateError as error:
            return error

    def _read(self, directory: int, file: str) -> tuple[str, Record]:
        try:
            # O_NONBLOCK is for a FIFO that somebody has put here.
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | _SAFE_FLAGS, dir_fd=directory)
            with open(descriptor, "rb") as opened:
                text = opened.read(MAX_RECORD + 1)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StateError(f"cannot read {self.path / file}: {error.strerror}") from error
        try:
            record = json.loads(text) if len(text) <= MAX_RECORD else None
        except (ValueError, RecursionError):
            record = None
        name = record.pop("name", None) if isinstance(record, dict) else None
        if record is None or not isinstance(name, str) or file_name(name) != file:
            raise DamagedError(f"{self.path / file} is damaged")
        return name, record

    @contextlib.contextmanager
    def _faults(self, verb: str) -> Iterator[None]:
        """Make sentences of what the system says."""
        try:
            yield
        except OSError as error:
            raise StateError(f"cannot {verb} {self.path}: {error.strerror}") from error


def file_name(name: str) -> str:
    """Return the name of a record's file: plain ASCII, and another one for each name.

    What is not plain is escaped as in a URI. A name that gets too long by that ends in its SHA-256, behind a
    tilde, which is in no other.
    """
    plain = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], name.encode(errors="surrogatepass")).decode()
    if len(plain) > MAX_PLAIN_NAME:
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        plain = f"{plain[: MAX_PLAIN_NAME // 2]}~{digest}"
    return (plain or "%") + _SUFFIX


def _files(directory: int) -> list[str]:
    return [file for file in os.listdir(directory) if file.endswith(_SUFFIX) and not file.startswith(".")]


def _written(directory: int, file: str) -> int:
    return os.stat(file, dir_fd=directory, follow_symlinks=False).st_mtime_ns


def _open_lock(directory: int) -> int:
    try:
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS, 0o600, dir_fd=directory)
    except FileExistsError:
        return os.open(_LOCK, os.O_RDWR | _SAFE_FLAGS, dir_fd=directory)
    _give_to_owner_of(directory, lock)
    return lock


def _replace(directory: int, file: str, text: bytes, durably: bool) -> None:
    temporary = f".{file}.new"
    with contextlib.suppress(FileNotFoundError):  # what a crash has left
        os.unlink(temporary, dir_fd=directory)
    try:
        _write_new(directory, temporary, text, durably)
        os.rename(temporary, file, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    if durably:
        os.fsync(directory)


def _write_new(directory: int, file: str, text: bytes, durably: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS
    with open(os.open(file, flags, 0o600, dir_fd=directory), "wb") as new:
        _give_to_owner_of(directory, new.fileno())
        new.write(text)
        if durably:
            new.flush()
            os.fsync(new.fileno())


def _give_to_owner_of(directory: int, descriptor: int) -> None:
    """Give what root has made to the owner of the directory it is in."""
    owner = os.fstat(directory)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
