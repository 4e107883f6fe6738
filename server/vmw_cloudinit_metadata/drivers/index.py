"""Which definitions say for which VMs they are, by ``vms`` or by ``match``: an index of these two keys.

A thread of its own looks at definitions every few seconds, as long as somebody asks, and reads what has
changed, and of that these keys alone. Which there are is listing.py's business; whether one is without fault,
and what it says when it is asked for, is definitions.py's.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vmw_cloudinit_metadata.definition import VMs, parse_match, parse_vms
from vmw_cloudinit_metadata.drivers.listing import MAX_FILES, Listing
from vmw_cloudinit_metadata.drivers.loading import Loader
from vmw_cloudinit_metadata.drivers.reading import Signature, can_read, read_whole
from vmw_cloudinit_metadata.drivers.tree import Tree
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError, MetadataError
from vmw_cloudinit_metadata.instance import InstanceMatch
from vmw_cloudinit_metadata.log import describe, printable

# A change is seen within five seconds: what comes, goes or is replaced, and what names VMs, by the next look;
# any other file that is written in place when its turn comes, which is the second look for 10,000 of them. A
# turn costs 3 µs: so looks take 0.8 % of a processor however many files there are. On a disk that makes them
# take long, they take a tenth of the time.
REFRESH_SECONDS = 2.0
MAX_TURNS = 5_000
BUSY_SHARE = 0.1

# When nobody has asked for so long, the thread waits until somebody does. A look at all, as the next question
# needs one then, costs as much as looks of ten seconds.
IDLE_SECONDS = 5.0

# The first look reads all: 10,000 files in half a second, on a slow disk in a minute. The server has a few
# threads for all VMs: those that have a file of their own wait no longer than this for others that have none.
FIRST_LOOK_SECONDS = 2.0
# When these ask again.
FIRST_LOOK_RETRY = 2

# So many definitions that claim one UUID are named, and so many new faults are logged at once.
MAX_NAMED = 5
MAX_LOGGED = 100

# How often directories are listed, at once, while definitions come and go.
MAX_LOOKS = 3

# Each VM that no definition names is held against each pattern of each definition, which takes a microsecond.
MAX_PATTERNS = 1_000

# What most definitions say: neither match nor vms.
_NOTHING = (None, None)

_Pin = tuple[str, uuid.UUID]  # the key of match, and its value


@dataclass(frozen=True, slots=True)
class _File:
    """What a file says, and whether it has to be looked at again; ``fault`` is logged."""

    signature: Signature
    settled: bool
    match: InstanceMatch | None
    vms: VMs | None
    fault: str = ""

    def pins(self) -> Iterator[_Pin]:
        """Yield the UUIDs that the definition is pinned to."""
        if self.match is not None:
            if self.match.vc_uuid is not None:
                yield "vc-uuid", self.match.vc_uuid
            if self.match.bios_uuid is not None:
                yield "bios-uuid", self.match.bios_uuid


@dataclass(frozen=True, slots=True)
class _Found:
    """Where things are, made anew by each look."""

    pins: Mapping[_Pin, list[str]]
    names: Mapping[str, list[str]]
    patterns: list[tuple[VMs, str]]
    naming: list[str]  # the paths of those that have vms


class Index:
    """Find definitions by the UUIDs they are pinned to, and by the VMs they name.

    The thread starts with the first question, for which all is read once, and stops looking when there are no
    more. Whoever would have to wait for long until all was looked at has to ask again.
    A definition that names VMs is found by these names alone; of two others that are pinned to one UUID
    neither is found by it, and an error names both. ``with_pins``: whether anybody asks for UUIDs.
    """

    def __init__(
        self,
        tree: Tree,
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
        clock_ns: Callable[[], int] = time.time_ns,
        with_pins: bool = True,
    ) -> None:
        self._tree = tree
        self._loader = Loader(tree.root, clock_ns)
        self._with_pins = with_pins
        self._logger = logger
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked = self._began = (
            0.0  # by the monotonic clock: the last question, the look that some wait for
        )
        self._idle = True
        self._built = threading.Event()  # what is known is a few seconds old
        self._wake = threading.Event()
        self._closed = threading.Event()
        # Of the thread alone, but for _found, which it replaces as a whole.
        self._listing = Listing(clock_ns)
        self._files: dict[str, _File] = {}
        self._changed = False  # since _found was made
        self._found = _Found({}, {}, [], [])
        self._complaints: set[str] = set()

    def pinned(self, key: str, value: uuid.UUID) -> str | None:
        """Return the path of the definition with this ``vc-uuid`` or ``bios-uuid``, None without one.

        Raises:
            DriverBusyError: nobody knows yet.
        """
        paths = self._ask().pins.get((key, value), ())
        return paths[0] if len(paths) == 1 else None

    def naming(self, name: str) -> tuple[int, list[str]]:
        """Return the paths of the definitions whose ``vms`` fit a name best, and how well: ``VMs.rank``.

        Raises:
            DriverBusyError: nobody knows yet.
        """
        found = self._ask()
        if paths := found.names.get(name):
            return 2, paths
        paths = [path for vms, path in found.patterns if vms.rank(name)]
        return (1, paths) if paths else (0, [])

    def _ask(self) -> _Found:
        now = time.monotonic()
        with self._lock:
            self._asked = now
            if self._idle and not self._closed.is_set():
                self._resume(now)
        self._built.wait(max(0.0, self._began + FIRST_LOOK_SECONDS - now))
        if not self._built.is_set():
            raise DriverBusyError("all definitions are being looked at", FIRST_LOOK_RETRY)
        return self._found

    def _resume(self, now: float) -> None:
        self._built.clear()
        if self._thread is not None:
            self._wake.set()
        else:
            thread = threading.Thread(target=self._run, name="definitions", daemon=True)
            thread.start()  # or there is no thread to spare; the next question tries again
            self._thread = thread
        self._idle, self._began = False, now

    def wait(self) -> bool:
        """Wait until all was looked at; return whether it was not."""
        if self._built.is_set() or self._thread is None:
            return False
        self._built.wait()
        return True

    def hurry(self) -> None:
        """Look at the directory now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread; one that a disk holds up ends by itself, or with the process."""
        with self._lock:
            self._closed.set()
        self._built.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def refresh(self, turns: int = MAX_TURNS) -> None:
        """Look once at what may have changed, and at so many others in turn. For the thread, and for tests.

        A definition that is moved meanwhile can be seen nowhere or twice: until none is new or gone,
        directories are listed once more. While the directory is away, which the tree logs, what was known
        stays.
        """
        if not can_read(self._tree.root):
            return
        for _ in range(MAX_LOOKS):
            if not self._look():
                break
        self._look_at({*self._found.naming, *self._listing.next(turns)})
        if self._changed:
            self._changed = False
            self._sort()

    def _look(self) -> bool:
        """Look at what has come, gone or been replaced; return whether any has come or gone."""
        changes = self._listing.renew(self._tree.directories(now=True))
        self._look_at(changes.suspects)
        for path in changes.gone:
            self._forget(path)
        return bool(changes.came or changes.gone)

    def _look_at(self, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                signature = Signature.of(os.stat(path))
            except OSError:  # it has just gone, or is a link to nothing
                self._forget(path)
                continue
            known = self._files.get(path)
            if known is None or not known.settled or known.signature != signature:
                self._files[path] = self._read(path, signature)
                self._changed = True

    def _forget(self, path: str) -> None:
        if self._files.pop(path, None):
            self._changed = True

    def _sort(self) -> None:
        pins: dict[_Pin, list[str]] = {}
        names: dict[str, list[str]] = {}
        patterns: list[tuple[VMs, str]] = []
        number = 0
        for path, file in self._files.items():
            for pin in file.pins():
                pins.setdefault(pin, []).append(path)
            if file.vms is not None:
                for name in file.vms.names:
                    names.setdefault(name, []).append(path)
                number += len(file.vms.patterns)
                if file.vms.patterns and number <= MAX_PATTERNS:
                    patterns.append((file.vms, path))
        naming = [path for path, file in self._files.items() if file.vms is not None]
        self._found = _Found(pins, names, patterns, naming)
        self._complain(number)

    def _complain(self, patterns: int) -> None:
        """Log what is wrong, once until it is right."""
        complaints = {f"{printable(path)}: {file.fault}" for path, file in self._files.items() if file.fault}
        for (key, value), paths in self._found.pins.items():
            if len(paths) > 1:
                named = " and ".join(map(printable, sorted(paths)[:MAX_NAMED]))
                complaints.add(f"{named} claim the same {key}, {value}: none of them is found by it")
        root = self._tree.root
        if len(self._listing) >= MAX_FILES:
            complaints.add(f"{root}: more than {MAX_FILES:,} definitions; not all are found by UUID or vms")
        if patterns > MAX_PATTERNS:
            complaints.add(f"{root}: more than {MAX_PATTERNS:,} patterns in all vms; not all count")
        news = sorted(complaints - self._complaints)
        for complaint in news[:MAX_LOGGED]:
            self._logger.error("%s", complaint)
        if len(news) > MAX_LOGGED:
            self._logger.error("%s: and %d more such faults", root, len(news) - MAX_LOGGED)
        self._complaints = complaints

    def _run(self) -> None:
        turns = MAX_FILES
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self.refresh(turns)
            except Exception as error:  # the thread must live: the server asks it for as long as it runs
                self._logger.error("definitions cannot be looked up by UUID or vms: %s", describe(error))
            # However often somebody is in a hurry, it takes its share of the time and no more; but not for
            # the first look, which reads all: there is no other like it.
            pause = 0.0 if not self._built.is_set() else (time.monotonic() - began) / BUSY_SHARE
            self._built.set()
            self._closed.wait(pause)
            with self._lock:
                self._idle = idle = time.monotonic() > self._asked + IDLE_SECONDS
            self._wake.wait(None if idle else max(0.0, REFRESH_SECONDS - pause))
            turns = MAX_FILES if idle else MAX_TURNS  # meanwhile any may have been written in place
            self._wake.clear()

    def _read(self, path: str, signature: Signature) -> _File:
        """Read a file; what it said still holds until it says something else, or nothing, without fault.

        A slip in a definition, or half of one, must not leave its VMs to another, such as one with a pattern.
        """
        known = self._files.get(path)
        said = (known.match, known.vms) if known else _NOTHING
        try:
            signature, text = read_whole(self._tree.root, path)
        except OSError as error:
            return _File(signature, False, *said, f"cannot be read: {error.strerror}")
        except MetadataError as error:
            return _File(signature, False, *said, f"is not found by UUID or vms: {error}")
        settled = signature.is_settled(self._clock_ns())
        try:
            vms = parse_vms(text)
        except DefinitionError as error:
            return _File(signature, settled, *said, f"is not found by its vms: {error}")
        try:
            match = parse_match(text) if vms is None and self._with_pins else None
        except DefinitionError as error:
            return _File(signature, settled, *said, f"is not found by UUID: {error}")
        if (match, vms) == _NOTHING != said and not self._is_faultless(path):
            return _File(signature, False, *said)
        return _File(signature, settled, match, vms)

    def _is_faultless(self, path: str) -> bool:
        try:
            return self._loader.load(path) is not None
        except MetadataError:
            return False
