"""Which definition is a VM's: by the name of its file, by its ``vms``, or by its ``match``."""

import contextlib
import logging
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers.cache import Entry
from vmw_cloudinit_metadata.drivers.complaints import Complaints
from vmw_cloudinit_metadata.drivers.definitions import Definitions
from vmw_cloudinit_metadata.drivers.index import Index
from vmw_cloudinit_metadata.drivers.names import spellings, stems
from vmw_cloudinit_metadata.drivers.tree import Tree
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import printable

# The ways to find a definition, as the option find-by calls them.
WAYS = ("name", "vc-uuid", "bios-uuid")

# So many of several definitions are named.
MAX_NAMED = 5

# When a guest asks again while definitions are being changed: the index has looked at them once more by then,
# and what was moved by copying and removing it is in one place, or has settled in two.
CHANGING_SECONDS = 3

# How well ``vms`` may fit a name (``VMs.rank``), and what is said of several definitions that fit as well.
BY_PATTERN, BY_NAME = 1, 2
_FITS = {BY_NAME: "name it in vms", BY_PATTERN: "have a pattern in vms that it fits"}


class Found(NamedTuple):
    """A VM's definition, as it is known; and the VM, with its name as the definition spells it."""

    path: str
    entry: Entry
    vm: VMFacts

    @property
    def stem(self) -> str:
        """The name of the file without its suffix."""
        return os.path.splitext(os.path.basename(self.path))[0]

    @property
    def says_vms(self) -> bool:
        """Whether the definition says itself for which VMs it is."""
        return self.entry.definition is not None and self.entry.definition.vms is not None

    @property
    def source_claimed(self) -> bool:
        """Whether the definition is for this VM because of a pattern that fits the name it claims."""
        vms = self.entry.definition.vms if self.entry.definition else None
        return vms is not None and vms.rank(self.vm.name) != BY_NAME

    @property
    def by_claim(self) -> bool:
        """Whether what the VM gets depends on a name that it claims, and that no operator has written."""
        definition = self.entry.definition
        if definition is None or definition.vms is not None:
            return self.source_claimed
        return self.stem not in stems(self.vm.name)

    @property
    def by_written_name(self) -> bool:
        """Whether the VM's name is just as an operator has written it, which no name is that is made up."""
        if self.says_vms:
            return not self.source_claimed
        return self.stem == self.vm.name

    def instance(self) -> InstanceData:
        """Return the VM's instance, a fresh one each time.

        Raises:
            DefinitionError: it has faults; those that are the definition's were logged.
            DriverBusyError: a file that it names changes all the time.
        """
        entry = self.entry
        if entry.instance is not None:
            return entry.instance.copy()
        if entry.definition is not None:
            return entry.definition.instance(self.vm)
        raise DefinitionError(str(entry.error), logged=True, faults=entry.error.faults if entry.error else ())


class Finder:
    """Finds definitions in the ways an operator has chosen, in their order; for several threads at once."""

    def __init__(
        self,
        tree: Tree,
        definitions: Definitions,
        ways: Sequence[str],
        complaints: Complaints,
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
    ) -> None:
        self._tree = tree
        self._definitions = definitions
        self._ways = ways
        self._complaints = complaints
        self._index = Index(tree, logger, with_pins=any(way != "name" for way in ways))

    def find(self, vm: VMFacts) -> Found | None:
        """Return a VM's definition, with or without faults; None if there is none, which is logged once.

        Raises:
            DefinitionError: there are several; that was logged.
            DriverBusyError: definitions are just being changed, or the directory is away.
        """
        for way in self._ways:
            found = self._by_name(vm) or self._by_vms(vm) if way == "name" else self._by_uuid(way, vm)
            if found is not None:
                self._tree.note_presence()
                return found
        self._tree.check()
        self._complaints.tell(vm.name, f"{self._tree.root} has no definition for the VM {vm.name!r}")
        return None

    def wait(self) -> bool:
        """Wait for the index, if it is being made; return whether it was."""
        return self._index.wait()

    def hurry(self) -> None:
        """Look at all definitions now."""
        self._index.hurry()

    def close(self) -> None:
        """End the thread of the index."""
        self._index.close()

    def _by_name(self, vm: VMFacts) -> Found | None:
        """Find the file that is called like the VM; where it says for which VMs it is, that means nothing."""
        for stem in stems(vm.name):
            paths = self._tree.find(stem)
            if not paths:
                self._definitions.forget(*self._tree.paths(stem))
            found = [Found(path, self._get(path, vm), vm) for path in paths]
            if found := [each for each in found if not each.says_vms]:
                return self._one_of(vm, found, "have its name")
        return None

    def _by_vms(self, vm: VMFacts) -> Found | None:
        """Find the definition whose ``vms`` has the VM's name, or else a pattern that it fits."""
        self._tree.check()  # or its own file may merely be out of reach
        fits = [(*self._index.naming(name), vm._replace(name=name)) for name in spellings(vm.name)]
        rank, paths, spelt = max(fits, key=lambda fit: fit[0], default=(0, [], vm))
        if rank == 0:
            return None
        found = []
        for path in sorted(paths):
            entry = self._get(path, vm)
            # What has faults is told; what says something else by now is looked for once more.
            vms = entry.definition.vms if entry.definition else None
            if entry.error is None and (vms is None or vms.rank(spelt.name) != rank):
                raise self._changing(path)
            found.append(Found(path, entry, spelt))
        return self._one_of(vm, found, _FITS[rank])

    def _by_uuid(self, way: str, vm: VMFacts) -> Found | None:
        """Find the definition that is pinned to what the VM says is its UUID."""
        claim = vm.vc_uuid if way == "vc-uuid" else vm.bios_uuid
        path = None if claim is None else self._index.pinned(way, claim)
        if path is None:
            return None
        found = Found(path, self._get(path, vm), vm)
        if found.says_vms:
            raise self._changing(path)
        with contextlib.suppress(DefinitionError):  # whose it is, is not known then; the faults are told
            match = found.instance().match
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
        self._complaints.tell(vm.name, text)
        raise DefinitionError(text, logged=True)

    def _changing(self, path: str) -> DriverBusyError:
        """Return the error for a definition that is not what it was a moment ago."""
        self._tree.check()
        self._index.hurry()
        return DriverBusyError(f"{printable(path)} has just changed, or was moved", CHANGING_SECONDS)
