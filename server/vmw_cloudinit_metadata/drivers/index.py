"""Which definition of a directory is for the VM with a UUID: an index of ``match``, kept in the background.

A thread of its own looks at the directory every few seconds and reads what has changed, and of that ``match``
alone. Whether a definition is without fault, and what it says when it is asked for, is FileDriver's business.
"""

import collections
import contextlib
import itertools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vmw_cloudinit_metadata.definition import parse_match
from vmw_cloudinit_metadata.drivers.reading import Signature, is_definition, read_whole
from vmw_cloudinit_metadata.errors import DefinitionError, MetadataError
from vmw_cloudinit_metadata.instance import InstanceMatch
from vmw_cloudinit_metadata.log import describe, printable

# A change is seen within five seconds. Looking at 10,000 files takes 0.1 s or two; where it takes long, it
# takes a tenth of the time.
REFRESH_SECONDS = 3.0
BUSY_SHARE = 0.1

# Beyond any site's number of VMs: some 50 MB of index.
MAX_FILES = 100_000

# So many definitions that claim one UUID are named, and so many new faults are logged at once.
MAX_NAMED = 5
MAX_LOGGED = 100

_Claim = tuple[str, uuid.UUID]  # the key of match, and its value


@dataclass(frozen=True, slots=True)
class _File:
    """What a file says, and whether it has to be looked at again; ``fault`` was logged."""

    signature: Signature
    settled: bool
    match: InstanceMatch | None
    fault: str

    def claims(self) -> Iterator[_Claim]:
        """Yield what the definition claims to be for."""
        if self.match is not None:
            if self.match.vc_uuid is not None:
                yield "vc-uuid", self.match.vc_uuid
            if self.match.bios_uuid is not None:
                yield "bios-uuid", self.match.bios_uuid


class MatchIndex:
    """Find definitions by the UUIDs they are pinned to.

    The thread starts with the first question, which waits until all is read once; no other question waits.
    Of two definitions that claim one UUID neither is found by it: an error names both.
    """

    def __init__(
        self,
        directory: str,
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._directory = directory
        self._logger = logger
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._built = threading.Event()
        self._wake = threading.Event()
        self._closed = False
        # Of the thread alone, but for _found, which it replaces as a whole.
        self._files: dict[str, _File] = {}
        self._found: dict[_Claim, str] = {}
        self._complaints: set[str] = set()

    def find(self, key: str, value: uuid.UUID) -> str | None:
        """Return the path of the definition with this ``vc-uuid`` or ``bios-uuid``, None without one."""
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="definitions", daemon=True)
                thread.start()  # or there is no thread to spare; the next question tries again
                self._thread = thread
        self._built.wait()
        name = self._found.get((key, value))
        return None if name is None else os.path.join(self._directory, name)

    def hurry(self) -> None:
        """Look at the directory now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread; one that a disk holds up ends by itself, or with the process."""
        with self._lock:
            self._closed = True
        self._built.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def refresh(self) -> None:
        """Look at the directory once, and read what has changed. For the thread, and for tests."""
        files = {}
        for name, signature in self._list():
            known = self._files.get(name)
            if known is None or not known.settled or known.signature != signature:
                known = self._read(name, signature)
            files[name] = known
        self._files = files
        claims: collections.defaultdict[_Claim, list[str]] = collections.defaultdict(list)
        for name, file in files.items():
            for claim in file.claims():
                claims[claim].append(name)
        self._found = {claim: names[0] for claim, names in claims.items() if len(names) == 1}
        self._complain({claim: names for claim, names in claims.items() if len(names) > 1})

    def _complain(self, disputed: dict[_Claim, list[str]]) -> None:
        """Log what is wrong, once until it is right."""
        complaints = {
            f"{printable(self._path(name))}: {file.fault}" for name, file in self._files.items() if file.fault
        }
        for (key, value), names in disputed.items():
            paths = " and ".join(printable(self._path(name)) for name in sorted(names)[:MAX_NAMED])
            complaints.add(f"{paths} claim the same {key}, {value}: none of them is found by it")
        if len(self._files) >= MAX_FILES:
            complaints.add(
                f"{self._directory}: more than {MAX_FILES:,} definitions; some are not found by UUID"
            )
        news = sorted(complaints - self._complaints)
        for complaint in news[:MAX_LOGGED]:
            self._logger.error("%s", complaint)
        if len(news) > MAX_LOGGED:
            self._logger.error("%s: and %d more such faults", self._directory, len(news) - MAX_LOGGED)
        self._complaints = complaints

    def _run(self) -> None:
        while not self._closed:
            began = time.monotonic()
            try:
                self.refresh()
            except Exception as error:  # the thread must live: the server asks it for as long as it runs
                self._logger.error("definitions cannot be looked up by UUID: %s", describe(error))
            self._built.set()
            self._wake.wait(max(REFRESH_SECONDS, (time.monotonic() - began) / BUSY_SHARE))
            self._wake.clear()

    def _list(self) -> Iterator[tuple[str, Signature]]:
        """Yield the definitions there are. A directory that cannot be read has none; its driver logs that."""
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            definitions = (entry for entry in entries if is_definition(entry.name))
            for entry in itertools.islice(definitions, MAX_FILES):
                with contextlib.suppress(OSError):  # it has just gone, or is a link to nothing
                    yield entry.name, Signature.of(entry.stat())

    def _read(self, name: str, signature: Signature) -> _File:
        try:
            signature, text = read_whole(self._directory, self._path(name))
        except OSError as error:
            return _File(signature, False, None, f"cannot be read: {error.strerror}")
        except MetadataError as error:
            return _File(signature, False, None, f"is not found by UUID: {error}")
        match, fault = None, ""
        try:
            match = parse_match(text)
        except DefinitionError as error:
            fault = f"is not found by UUID: {error}"
        return _File(signature, signature.is_settled(self._clock_ns()), match, fault)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)
