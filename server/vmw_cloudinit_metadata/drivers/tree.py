"""The directory of definitions and those below it: in which of them definitions lie, and where a file is.

Which directories there are is remembered; what lies in them is not. A file is looked for (``stat``) in each
of them when it is asked for: that works on every file system, and costs the same whatever else lies there.
"""

import collections
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from vmw_cloudinit_metadata.drivers.reading import (
    ABSENT,
    HIDDEN,
    SUFFIXES,
    Signature,
    can_read,
    is_definition,
    is_inside,
)
from vmw_cloudinit_metadata.errors import DriverBusyError
from vmw_cloudinit_metadata.log import printable

# Each directory costs each question two looks of some 4 µs on a local disk: so many cost 8 ms.
MAX_DIRECTORIES = 1_000

# Sites sort by place, stage and role. What is deeper is a mistake, such as a backup of all within itself.
MAX_DEPTH = 8

# New directories are looked for this often. What tells of them is the time of the directory above, which a
# new file changes, too: while 10,000 definitions are copied into one, each look is a listing of that one.
LISTING_SECONDS = 3.0

# When a guest asks again while the directory itself is away.
AWAY_SECONDS = 5


class _Below(NamedTuple):
    """What was found in a directory."""

    signature: Signature  # before it was listed
    lasting: bool  # what was found holds as long as the signature does
    directories: list[tuple[str, bool]]  # by name, and whether each is a link


class _Listing(NamedTuple):
    directories: list[str]
    signatures: dict[str, Signature]  # of the same, and of those that cannot be read yet
    settled: bool  # each change from now on changes a signature
    away: set[str]  # those that cannot be read, and could be before
    below: dict[str, _Below]
    checked: float = 0.0  # by the monotonic clock


class Tree:
    """A directory and those below it, but for those whose names begin with ``_`` or ``.``.

    Links to directories are followed as long as they end inside, as those of a Kubernetes ConfigMap do. A
    directory that can be reached in several ways is one, in the shortest way without links.
    """

    def __init__(
        self,
        root: str,
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
        clock_ns: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self._logger = logger
        self._clock_ns = clock_ns
        self._clock = clock
        self._lock = threading.Lock()  # one thread lists, and the others use what it has found
        self._listing: _Listing | None = None
        self._complaints: set[str] = set()
        self._is_away = False  # and that was logged

    def directories(self, now: bool = False) -> list[str]:
        """Return the directories, the outermost first: as they are ``now``, or were a few seconds ago."""
        asked = self._clock()
        with self._lock:
            known = self._listing
            if known is None or known.checked < (asked if now else asked - LISTING_SECONDS):
                self._listing = known = self._renewed(known, now)
            return known.directories

    def left_out(self) -> list[str]:
        """Return which directories are not looked into, and why, each a sentence."""
        return sorted(self._complaints)

    def definitions(self) -> Iterator[str]:
        """Yield the path of each definition there is, directory by directory, in the order of names."""
        for directory in self.directories(now=True):
            try:
                names = sorted(filter(is_definition, os.listdir(directory)))
            except OSError:
                continue  # it has just gone
            for name in names:
                yield f"{directory}/{name}"

    def find(self, stem: str) -> list[str]:
        """Return the paths of the definitions of this name: one, none, or too many.

        A file that is being moved can be seen nowhere or twice, and its new directory may be a new one: then
        all is looked at once more.
        """
        paths = self._look(stem, self.directories())
        return paths if len(paths) == 1 else self._look(stem, self.directories(now=True))

    def paths(self, stem: str) -> Iterator[str]:
        """Yield where a definition of this name may be."""
        for directory in self.directories():
            for suffix in SUFFIXES:
                yield f"{directory}/{stem}{suffix}"

    def check_root(self) -> None:
        """Check that the directory is there; that it is not is logged once, until it is back.

        Raises:
            DriverBusyError: it is not, as while it is replaced or mounted.
        """
        away = not can_read(self.root)
        news, self._is_away = away and not self._is_away, away
        if news:
            self._logger.error(
                "no VM is served: the directory %s does not exist or cannot be read", self.root
            )
        if away:
            raise DriverBusyError("the directory of definitions cannot be read", AWAY_SECONDS)

    def check(self) -> None:
        """Check that what was not found is not there.

        Raises:
            DriverBusyError: the directory is away, or one below it that could be read before: who has a
                definition there must be left to no other.
        """
        self.check_root()
        listing = self._listing
        if listing and listing.away:
            raise DriverBusyError(f"{printable(min(listing.away))} cannot be read", AWAY_SECONDS)

    def note_presence(self) -> None:
        """Take note that something of the directory was read: when it is away again, that is news."""
        self._is_away = False

    def _look(self, stem: str, directories: list[str]) -> list[str]:
        paths = []
        for directory in directories:
            for suffix in SUFFIXES:
                path = f"{directory}/{stem}{suffix}"
                try:
                    os.stat(path)
                except OSError as error:
                    # A directory that cannot be read any more harms no VM whose definition is elsewhere.
                    if error.errno in ABSENT or not can_read(directory):
                        continue
                paths.append(path)
        return paths

    def _renewed(self, known: _Listing | None, now: bool) -> _Listing:
        checked = self._clock()
        # What changes in the same tick of the file system's clock as something before is found in a few
        # seconds: to find it at once, each VM without a definition would cost a listing while files change.
        if known and (now or known.settled) and _is_unchanged(known):
            return known._replace(checked=checked)
        listing, complaints = self._list()
        for complaint in sorted(complaints - self._complaints):
            self._logger.error("%s", complaint)
        self._complaints = complaints
        return listing._replace(checked=checked)

    def _list(self) -> tuple[_Listing, set[str]]:
        """List the directories, level by level, links last; return also what is wrong with some."""
        known = self._listing or _Listing([], {}, False, set(), {})
        directories: list[str] = []
        signatures: dict[str, Signature] = {}
        complaints: set[str] = set()
        away: set[str] = set()
        below: dict[str, _Below] = {}
        seen: set[tuple[int, ...]] = set()
        now_ns = self._clock_ns()
        waiting, links = collections.deque([self.root]), collections.deque[str]()
        while waiting or links:
            is_link = not waiting
            path = links.popleft() if is_link else waiting.popleft()
            if len(signatures) == MAX_DIRECTORIES:
                complaints.add(
                    f"{self.root} has more than {MAX_DIRECTORIES:,} directories; not all are looked into"
                )
                break
            try:
                signature = Signature.of(os.stat(path))
                if signature[:2] in seen:
                    continue
                if fault := self._fault(path, is_link):
                    complaints.add(f"{printable(path)} {fault}{_NOT_SERVED}")
                    continue
                seen.add(signature[:2])
                signatures[path] = signature
                if not can_read(path):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                found = known.below.get(path)
                if found is None or found.signature != signature:
                    found = _list(path, signature, now_ns)
                if found.lasting:
                    below[path] = found
                for name, leads_on in found.directories:
                    (links if leads_on else waiting).append(f"{path}/{name}")
                directories.append(path)
            except OSError as error:
                # The root is the driver's only directory, and check() tells of it; any other has just gone.
                if path != self.root and error.errno not in ABSENT:
                    complaints.add(f"{printable(path)} cannot be read: {error.strerror}{_NOT_SERVED}")
                    if path in known.directories or path in known.away:
                        away.add(path)
        settled = all(signature.is_settled(now_ns) for signature in signatures.values())
        return _Listing(directories, signatures, settled, away, below), complaints

    def _fault(self, path: str, is_link: bool) -> str | None:
        if path.count("/") - self.root.count("/") > MAX_DEPTH:
            return f"is more than {MAX_DEPTH} directories deep"
        if is_link and not is_inside(self.root, path):
            return "is a link that leads out of the directory"
        return None


_NOT_SERVED = ": what is in it is not served"


def _list(path: str, signature: Signature, now_ns: int) -> _Below:
    """Return the directories in a directory.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(path) as entries:
        # The name first: to look at each of 10,000 files would take long where they are links.
        others = [
            entry for entry in entries if not entry.name.endswith(SUFFIXES) and entry.name[0] not in HIDDEN
        ]
    # Where a link leads may change without any directory that is looked into.
    lasting = signature.is_settled(now_ns) and not any(entry.is_symlink() for entry in others)
    found = sorted((entry.name, entry.is_symlink()) for entry in others if _is_directory(entry))
    return _Below(signature, lasting, found)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link in a circle
        return False


def _is_unchanged(known: _Listing) -> bool:
    if known.away or not known.directories:
        return False
    try:
        return all(Signature.of(os.stat(path)) == signature for path, signature in known.signatures.items())
    except OSError:
        return False
