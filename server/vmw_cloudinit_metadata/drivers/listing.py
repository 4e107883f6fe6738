"""Which definitions there are, for the index: found out again and again without a look at each of them.

A file that comes, goes or is replaced changes the time of its directory: only directories that have changed
are listed. One that is written in place changes nothing but itself: for that the files take turns at being
looked at. What is in them is the index's business.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vmw_cloudinit_metadata.drivers.reading import Signature, is_definition

# Beyond any site's number of VMs: some 50 MB of index.
MAX_FILES = 100_000


class Changes(NamedTuple):
    """What is new in the directories that were listed."""

    came: set[str]
    gone: set[str]
    suspects: set[str]  # which may be other files than they were


@dataclass(frozen=True, slots=True)
class _Directory:
    signature: Signature | None = None  # None: it cannot be read
    settled: bool = False  # each change from then on changes the signature
    inodes: Mapping[str, int] = field(default_factory=dict)  # by the path of a definition; 0 for a link


class Listing:
    """The definitions in some directories. Of one thread."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._directories: dict[str, _Directory] = {}
        self._turns: Iterator[str] = iter(())

    def __len__(self) -> int:
        return sum(len(directory.inodes) for directory in self._directories.values())

    def renew(self, directories: Sequence[str]) -> Changes:
        """List what has changed of the directories; others than these there are no more."""
        changes = Changes(set(), set(), set())
        for path in self._directories.keys() - set(directories):
            changes.gone.update(self._directories.pop(path).inodes)
        for path in directories:
            known = self._directories.get(path, _UNKNOWN)
            listed = self._directories[path] = self._listed(path, known)
            if listed is known:
                continue
            changes.came.update(listed.inodes.keys() - known.inodes.keys())
            changes.gone.update(known.inodes.keys() - listed.inodes.keys())
            changes.suspects.update(
                path for path, inode in listed.inodes.items() if known.inodes.get(path) != inode or not inode
            )
        return changes

    def next(self, number: int) -> list[str]:
        """Return the definitions whose turn it is to be looked at: so many, each once."""
        paths = list(itertools.islice(self._turns, number))
        if len(paths) < number:
            self._turns = self._all()
            paths += itertools.islice(self._turns, number - len(paths))
        return paths

    def _all(self) -> Iterator[str]:
        """Yield each definition that is still there when its turn comes."""
        for directory, listed in list(self._directories.items()):
            for path in listed.inodes:
                if path in self._directories.get(directory, _UNKNOWN).inodes:
                    yield path

    def _listed(self, path: str, known: _Directory) -> _Directory:
        try:
            signature = Signature.of(os.stat(path))
            if known.settled and known.signature == signature:
                return known
            room = MAX_FILES - len(self) + len(known.inodes)
            with os.scandir(path) as entries:
                definitions = itertools.islice(
                    (entry for entry in entries if is_definition(entry.name)), room
                )
                # What a link leads to may be replaced, and the link itself stays.
                inodes = {each.path: 0 if each.is_symlink() else each.inode() for each in definitions}
        except OSError:  # of which the tree tells
            return _UNKNOWN
        return _Directory(signature, signature.is_settled(self._clock_ns()), inodes)


_UNKNOWN = _Directory()
