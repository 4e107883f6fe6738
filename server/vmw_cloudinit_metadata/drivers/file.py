"""FileDriver: one YAML definition a VM, in one directory, read when the VM asks.

Nothing watches the directory: a file is looked at (``stat``) when its VM asks, which works on every file
system, and costs the same whatever else lies there. Only who wants definitions found by UUID gets an index
(index.py), which looks at all of them.
"""

import collections
import errno
import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.index import MatchIndex
from vmw_cloudinit_metadata.drivers.reading import SUFFIXES, Signature, read_whole
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError, DriverLoadError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

# 10,000 usual definitions (4 KiB, and some 2 KiB of objects) fit, so that a boot storm parses each once; a
# few with megabytes of user-data do not fill the memory.
CACHE_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 2048

# Names of VMs without a definition that were logged. Names are claims: anyone who connects can make them up.
MAX_MISSING = 10_000

# When a guest asks again while the directory is away.
RETRY_SECONDS = 5

# How vSphere writes the three characters it does not allow in names.
_ESCAPES = {"%2f": "/", "%5c": "\\", "%25": "%"}
_ESCAPED = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_UNESCAPED = re.compile(r"[/\\%]")
_TO_ESCAPE = {character: escape for escape, character in _ESCAPES.items()}

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


# The options, and the ways to find a definition.
_OPTIONS = ("directory", "find-by", "require-match")
_WAYS = ("name", "vc-uuid", "bios-uuid")


@dataclass(frozen=True)
class FileOptions:
    """The options of FileDriver."""

    directory: str
    find_by: tuple[str, ...] = ("name",)  # ways to find a definition, in the order they are tried
    require_match: bool = False  # a definition that names no UUID is served to nobody


class _Entry(NamedTuple):
    """What became of a file: an instance, or the faults that were logged."""

    signature: Signature | None
    settled: bool
    digest: bytes
    instance: InstanceData | None
    faults: str = ""

    @property
    def size(self) -> int:
        return ENTRY_BYTES + (self.signature.size if self.signature and self.instance else len(self.faults))


class FileDriver(Driver):
    """Serve the definition ``<vm name>.yaml``, else ``<vm name>.yml``, of one directory.

    Options: ``{"directory": PATH, "find-by": ["name"], "require-match": false}``. The ways of ``find-by``, of
    ``name``, ``vc-uuid`` and ``bios-uuid``, are tried in their order: a UUID finds the definition that has it
    in ``match``, whatever its name. With ``require-match`` a definition without ``match`` is denied to all.

    A name is looked up as the VM gave it, if it is a plain file name; then in vSphere's escaped form, in
    lower case (``a/b`` and ``a%2Fb`` are ``a%2fb.yaml``). The first file that exists is the VM's, with or
    without faults. Links are followed as long as they end inside the directory, as those of a Kubernetes
    ConfigMap do. A file whose name begins with ``_`` is no VM's.

    A parsed definition is kept until its file changes. Faults are logged once a change, a missing definition
    once until it appears. Replace files by renaming: what an editor writes in place can be read half written,
    and is then served as it stands, or is a fault, until the rest is there.
    """

    thread_safe: ClassVar[bool] = True

    def __init__(self, opts: dict[str, Any]) -> None:
        super().__init__(opts)
        self.clock_ns: Callable[[], int] = time.time_ns
        self._lock = threading.Lock()  # guards what follows; never held while a file is read or parsed
        self._entries: collections.OrderedDict[str, _Entry] = collections.OrderedDict()
        self._entries_size = 0
        self._missing: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._directory_missing = False  # and that was logged
        self._index = MatchIndex(self.options.directory, self.logger)

    def parse_options(self, opts: dict[str, Any]) -> FileOptions:
        """Check that there is a directory, and nothing that is not known."""
        unknown = sorted(key for key in opts if key not in _OPTIONS)
        if unknown:
            raise DriverLoadError(
                f"FileDriver has no option {', '.join(unknown)}; it has {', '.join(_OPTIONS)}"
            )
        directory = opts.get("directory")
        if not isinstance(directory, str | Path) or not str(directory):
            raise DriverLoadError(
                'FileDriver needs the option directory, as in {"directory": "/srv/instances"}'
            )
        find_by, require_match = opts.get("find-by", ["name"]), opts.get("require-match", False)
        if not isinstance(find_by, list) or not find_by or any(way not in _WAYS for way in find_by):
            raise DriverLoadError(f"FileDriver: find-by is a list of some of {', '.join(_WAYS)}")
        if not isinstance(require_match, bool):
            raise DriverLoadError("FileDriver: require-match is true or false")
        path = os.path.abspath(directory)
        if not os.path.isdir(path):
            raise DriverLoadError(f"FileDriver: {path} is not a directory, or cannot be reached")
        if not os.access(path, os.R_OK | os.X_OK):
            raise DriverLoadError(f"FileDriver: {path} cannot be read by this user")
        return FileOptions(path, tuple(dict.fromkeys(find_by)), require_match)

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        """Return the instance that the VM's definition describes; a copy, which the caller may change.

        Raises:
            DefinitionError: it has faults, which are logged.
            DriverBusyError: the directory is not there, as while it is replaced or mounted.
        """
        name = vm_client.vm_name
        for way, path in self._candidates(vm_client):
            entry = self._look(path, name)
            if entry is None or not _is_found_by(way, entry.instance, vm_client):
                continue  # there is none; or it has changed since the index has seen it
            with self._lock:
                self._missing.pop(name, None)
                self._directory_missing = False
            if entry.instance is None:
                raise DefinitionError(entry.faults, logged=True)
            return self._copy(entry.instance, path)
        self._check_directory()
        self._note_missing(name)
        return None

    def _copy(self, instance: InstanceData, path: str) -> InstanceData:
        copy = instance.copy()
        copy.source = os.path.splitext(os.path.basename(path))[0]
        if self.options.require_match and instance.match is None:
            copy.denied = "its definition has no match, which require-match demands"
        return copy

    def reload(self) -> None:
        """Forget what was parsed and what was logged."""
        with self._lock:
            self._entries.clear()
            self._entries_size = 0
            self._missing.clear()
            self._directory_missing = False
        self._index.hurry()

    def close(self) -> None:
        """End the thread of the index."""
        self._index.close()

    def _candidates(self, vm: VMClient) -> Iterator[tuple[str, str]]:
        """Yield what may be the VM's definition, as it is found and its path, in the order of ``find-by``."""
        for way in self.options.find_by:
            if way == "name":
                yield from (("name", path) for path in self._named(vm.vm_name))
            elif claim := _claim(way, vm):
                path = self._index.find(way, claim)
                if path is not None:
                    yield way, path

    def _named(self, name: str) -> Iterator[str]:
        for stem in dict.fromkeys((name, _escaped(name))):
            if _is_plain(stem):
                for suffix in SUFFIXES:
                    yield os.path.join(self.options.directory, stem + suffix)

    def _look(self, path: str, name: str) -> _Entry | None:
        """Return what is known of a VM's file, reading it if it has changed; None if there is none."""
        with self._lock:
            known = self._entries.get(path)
            if known is not None:
                self._entries.move_to_end(path)
        try:
            signature = Signature.of(os.stat(path))
            if known is not None and known.settled and known.signature == signature:
                return known
            entry = self._read(path, known)
        except OSError as error:
            if error.errno in _ABSENT or not _can_read(self.options.directory):
                with self._lock:
                    self._drop(path)
                return None
            entry = _Entry(None, False, b"", None, f"{printable(path)}: cannot be read: {error.strerror}")
        except DefinitionError as error:
            entry = _Entry(None, False, b"", None, f"{printable(path)}: {error}")
        before = self._keep(path, entry)
        news = before is None or (before.digest, before.faults) != (entry.digest, entry.faults)
        if entry.faults and news:
            self.logger.error("%r is not served: %s", name, entry.faults)
        return entry

    def _read(self, path: str, known: _Entry | None) -> _Entry:
        signature, text = read_whole(self.options.directory, path)
        digest = hashlib.blake2b(text, digest_size=16).digest()
        settled = signature.is_settled(self.clock_ns())
        if known is not None and known.digest == digest:
            return known._replace(signature=signature, settled=settled)
        try:
            # A name may hold line ends, and a log must not.
            return _Entry(signature, settled, digest, parse_definition(text, printable(path)))
        except DefinitionError as error:
            return _Entry(signature, settled, digest, None, str(error))

    def _keep(self, path: str, entry: _Entry) -> _Entry | None:
        """Remember an entry; return the one it replaces."""
        with self._lock:
            before = self._drop(path)
            self._entries[path] = entry
            self._entries_size += entry.size
            while self._entries_size > CACHE_BYTES:
                self._drop(next(iter(self._entries)))
        return before

    def _drop(self, path: str) -> _Entry | None:
        entry = self._entries.pop(path, None)
        if entry is not None:
            self._entries_size -= entry.size
        return entry

    def _check_directory(self) -> None:
        """Raise a DriverBusyError if there is no directory; that is logged once, until it is back."""
        missing = not _can_read(self.options.directory)
        with self._lock:
            news = missing and not self._directory_missing
            self._directory_missing = missing
        if news:
            self.logger.error(
                "no VM is served: the directory %s does not exist or cannot be read", self.options.directory
            )
        if missing:
            raise DriverBusyError("the directory of definitions cannot be read", RETRY_SECONDS)

    def _note_missing(self, name: str) -> None:
        with self._lock:
            logged = name in self._missing
            self._missing[name] = None
            self._missing.move_to_end(name)
            if len(self._missing) > MAX_MISSING:
                self._missing.popitem(last=False)
        if not logged:
            self.logger.error("%s has no definition for the VM %r", self.options.directory, name)


def _can_read(directory: str) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.R_OK | os.X_OK)


def _claim(way: str, vm: VMClient) -> uuid.UUID | None:
    return vm.vm_vc_uuid if way == "vc-uuid" else vm.vm_bios_uuid


def _is_found_by(way: str, instance: InstanceData | None, vm: VMClient) -> bool:
    """Tell whether what was found in some way still is; where it has faults, they are told."""
    if way == "name" or instance is None:
        return True
    if instance.match is None:
        return False
    return _claim(way, vm) == (instance.match.vc_uuid if way == "vc-uuid" else instance.match.bios_uuid)


def _escaped(name: str) -> str:
    """Return the name as vSphere writes it, whether it came escaped or not."""
    plain = _ESCAPED.sub(lambda match: _ESCAPES[match[0].lower()], name)
    return _UNESCAPED.sub(lambda match: _TO_ESCAPE[match[0]], plain)


def _is_plain(stem: str) -> bool:
    """Tell whether a name is one file's name, of text that a file system can hold, and a VM's."""
    if not stem or "/" in stem or "\0" in stem or stem.startswith("_"):
        return False
    try:
        stem.encode()
    except UnicodeEncodeError:
        return False
    return True
