"""Which definition is a VM's: by the name of its file, or by its ``match``."""

import collections
import logging
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers.cache import Entry
from vmw_cloudinit_metadata.drivers.definitions import Definitions
from vmw_cloudinit_metadata.drivers.index import Index
from vmw_cloudinit_metadata.drivers.names import stems
from vmw_cloudinit_metadata.drivers.tree import Tree
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.log import printable

# The ways to find a definition, as the option find-by calls them.
WAYS = ("name", "vc-uuid", "bios-uuid")

# VMs that are served nothing because they have no definition, or several, and for which that was logged. VMs'
# names are claims: anyone who connects can make them up.
MAX_COMPLAINTS = 10_000

# So many of several definitions are named.
MAX_NAMED = 5

# When a guest asks again while definitions are being changed: the index has looked at them once more by then,
# and what was moved by copying and removing it is in one place, or has settled in two.
CHANGING_SECONDS = 3


class Found(NamedTuple):
    """A VM's definition, as it is known; and the VM, with its name as the definition spells it."""

    path: str
    entry: Entry
    vm: VMFacts


class Finder:
    """Finds definitions in the ways an operator has chosen, in their order; for several threads at once."""

    def __init__(
        self,
        tree: Tree,
        definitions: Definitions,
        ways: Sequence[str],
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
    ) -> None:
        self._tree = tree
        self._definitions = definitions
        self._ways = ways
        self._logger = logger
        self._index = Index(tree, logger)
        self._lock = threading.Lock()  # guards what follows
        self._complaints: collections.OrderedDict[str, str] = collections.OrderedDict()  # by the VM's name

    def find(self, vm: VMFacts) -> Found | None:
        """Return a VM's definition, with or without faults; None if there is none, which is logged once.

        Raises:
            DefinitionError: there are several; that was logged.
            DriverBusyError: definitions are just being changed, or the directory is away.
        """
        for way in self._ways:
            found = self._by_name(vm) if way == "name" else self._by_uuid(way, vm)
            if found is not None:
                self._tree.note_presence()
                with self._lock:
                    self._complaints.pop(vm.name, None)
                return found
        self._tree.check()
        self._complain(vm.name, f"{self._tree.root} has no definition for the VM {vm.name!r}")
        return None

    def forget(self) -> None:
        """Forget what was logged, and look at all definitions now."""
        with self._lock:
            self._complaints.clear()
        self._index.hurry()

    def close(self) -> None:
        """End the thread of the index."""
        self._index.close()

    def _by_name(self, vm: VMFacts) -> Found | None:
        """Find the file that is called like the VM."""
        for stem in stems(vm.name):
            paths = self._tree.find(stem)
            if not paths:
                self._definitions.forget(*self._tree.paths(stem))
            if found := [Found(path, self._get(path, vm), vm) for path in paths]:
                return self._one_of(vm, found, "have its name")
        return None

    def _by_uuid(self, way: str, vm: VMFacts) -> Found | None:
        """Find the definition that is pinned to what the VM says is its UUID."""
        claim = vm.vc_uuid if way == "vc-uuid" else vm.bios_uuid
        path = None if claim is None else self._index.pinned(way, claim)
        if path is None:
            return None
        found = Found(path, self._get(path, vm), vm)
        instance = self._definitions.instance(*found).instance
        if instance is not None:  # or it has faults, which are told
            match = instance.match
            if match is None or claim != (match.vc_uuid if way == "vc-uuid" else match.bios_uuid):
                raise self._changing(path)
        return found

    def _get(self, path: str, vm: VMFacts) -> Entry:
        """Return what is known of a definition that was there a moment ago."""
        entry = self._definitions.get(path, vm.name)
        if entry is None:
            raise self._changing(path)
        return entry

    def _one_of(self, vm: VMFacts, found: Sequence[Found], what: str) -> Found:
        """Return the one definition that was found; of several none is anybody's."""
        if len(found) == 1:
            return found[0]
        paths = " and ".join(printable(each.path) for each in found[:MAX_NAMED])
        text = f"{vm.name!r} is not served: {paths} {what}; it has to be one"
        if not all(each.entry.files[each.path].settled for each in found):
            raise DriverBusyError(text, CHANGING_SECONDS)
        self._complain(vm.name, text)
        raise DefinitionError(text, logged=True)

    def _changing(self, path: str) -> DriverBusyError:
        """Return the error for a definition that is not what it was a moment ago."""
        self._tree.check()
        self._index.hurry()
        return DriverBusyError(f"{printable(path)} has just changed, or was moved", CHANGING_SECONDS)

    def _complain(self, name: str, text: str) -> None:
        """Log why a VM is served nothing, once until that changes."""
        with self._lock:
            before = self._complaints.get(name)
            self._complaints[name] = text
            self._complaints.move_to_end(name)
            if len(self._complaints) > MAX_COMPLAINTS:
                self._complaints.popitem(last=False)
        if text != before:
            self._logger.error("%s", text)
