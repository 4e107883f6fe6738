"""What was made of files, kept within bounds, and what tells whether one of these files has changed."""

import collections
import os
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from vmw_cloudinit_metadata.definition import Definition
from vmw_cloudinit_metadata.drivers.reading import ABSENT, Signature
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData

# What an entry takes in memory besides the bytes that were read for it: some 2 KiB of objects, and as long as
# the definition itself is kept, so much for each of its values: 40,000 in a table of 10,000 VMs.
ENTRY_BYTES = 2048
VALUE_BYTES = 500

Key = TypeVar("Key", bound=Hashable)


class File(NamedTuple):
    """A file as it was when it was read; without a signature there was none."""

    signature: Signature | None
    settled: bool = True  # each change from then on changes the signature
    digest: bytes = b""  # of what was in it; empty if it could not be read

    def is_untouched(self, path: str) -> bool:
        """Return whether nothing can have happened to the file since."""
        if not self.settled:
            return False
        try:
            return Signature.of(os.stat(path)) == self.signature
        except OSError as error:
            return error.errno in ABSENT and self.signature is None


# By path.
Files = Mapping[str, File]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was made of some files: a definition, an instance, or an error that says what is wrong.

    Attributes:
        definition: None where its instance says all there is to know.
        instance: None where each VM has its own.
    """

    files: Files
    definition: Definition | None = None
    instance: InstanceData | None = None
    error: DefinitionError | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes it takes in memory."""
        if self.error is not None:
            return ENTRY_BYTES + len(str(self.error))
        size = sum(file.signature.size for file in self.files.values() if file.signature)
        if self.instance is not None:
            # A small file that is unpacked, or named in many parts, makes large user-data.
            size = max(size, len(self.instance.userdata) + len(self.instance.vendordata or ""))
        return ENTRY_BYTES + size + (VALUE_BYTES * self.definition.values if self.definition else 0)

    def says_the_same(self, other: "Entry | None") -> bool:
        """Return whether the other one has the same faults, and was made of files with the same contents."""
        return other is not None and self._said() == other._said()

    def _said(self) -> tuple[str, dict[str, bytes]]:
        return str(self.error), {path: file.digest for path, file in self.files.items()}


class Cache(Generic[Key]):
    """Entries up to so many bytes; beyond that, the one goes that was used longest ago."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._entries: collections.OrderedDict[Key, Entry] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """Return an entry, which is the one that was used last, then."""
        with self._lock:
            if entry := self._entries.get(key):
                self._entries.move_to_end(key)
            return entry

    def keep(self, key: Key, entry: Entry) -> Entry | None:
        """Keep an entry, unless it alone is too large; return the one it replaces."""
        with self._lock:
            before = self._drop(key)
            if entry.size > self._limit:
                return before  # it would push out all others, and itself
            self._entries[key] = entry
            self.size += entry.size
            while self.size > self._limit:
                self._drop(next(iter(self._entries)))
        return before

    def drop(self, *keys: Key) -> None:
        """Forget entries, as far as there are any."""
        with self._lock:
            for key in keys:
                self._drop(key)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._entries.clear()
            self.size = 0

    def _drop(self, key: Key) -> Entry | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size
        return entry
