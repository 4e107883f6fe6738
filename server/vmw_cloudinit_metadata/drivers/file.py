"""FileDriver: YAML definitions in a directory and in those below it, read when a VM asks.

Nothing watches the directory: files are looked at (``stat``) when their VM asks, which works on every file
system, and costs the same whatever else lies there. Which definition is a VM's is finding.py's business, what
is made of it definitions.py's; this module is the driver, and what commands want of it.
"""

import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vmw_cloudinit_metadata.definition import Definition, VMFacts
from vmw_cloudinit_metadata.drivers.complaints import Complaints
from vmw_cloudinit_metadata.drivers.definitions import Definitions
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.finding import WAYS, Finder, Found
from vmw_cloudinit_metadata.drivers.loading import Loader
from vmw_cloudinit_metadata.drivers.names import escaped
from vmw_cloudinit_metadata.drivers.reading import can_read
from vmw_cloudinit_metadata.drivers.recent import Recent
from vmw_cloudinit_metadata.drivers.tree import Tree
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError, DriverLoadError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.vspc import access
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot, checked, snapshot_for
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

_OPTIONS = ("directory", "find-by", "require-match")


@dataclass(frozen=True)
class FileOptions:
    """The options of FileDriver."""

    directory: str
    find_by: tuple[str, ...] = ("name",)  # ways to find a definition, in the order they are tried
    require_match: bool = False  # a definition that names no UUID is served to nobody


class FileDriver(Driver):
    """Serve the definition ``<vm name>.yaml``, or ``<vm name>.yml``, wherever it lies below a directory.

    Options: ``{"directory": PATH, "find-by": ["name"], "require-match": false}``. The ways of ``find-by``, of
    ``name``, ``vc-uuid`` and ``bios-uuid``, are tried in their order: a UUID finds the definition that has it
    in ``match``, whatever its name. With ``require-match`` a definition without ``match`` is denied to all.

    A name is looked up as the VM gave it, if it is a plain file name; then in vSphere's escaped form, in
    lower case (``a/b`` and ``a%2Fb`` are ``a%2fb.yaml``); then among the names in ``vms`` of definitions, and
    then among the patterns there. The first that is found is the VM's, with or without faults; of two that
    fit as well, such as files of one name in two directories, neither is. Links are followed as long as they
    end inside the directory, as those of a Kubernetes ConfigMap do. A file or directory whose name begins
    with ``_`` or ``.`` is no VM's.

    What was made of a definition is kept until one of its files changes: itself, a ``_defaults.yaml`` on the
    way to it, or what it names by ``file``. Faults are logged once a change, a missing definition once until
    it appears. Replace files by renaming: what an editor writes in place can be read half written, and is
    then served as it stands, or is a fault, until the rest is there.
    """

    thread_safe: ClassVar[bool] = True

    def __init__(self, opts: dict[str, Any]) -> None:
        super().__init__(opts)
        self.clock_ns: Callable[[], int] = time.time_ns
        self.clock: Callable[[], float] = time.monotonic

        def now_ns() -> int:
            return self.clock_ns()

        self._tree = tree = Tree(self.options.directory, self.logger, now_ns)
        self._loader = loader = Loader(self.options.directory, now_ns)
        self._definitions = Definitions(loader, tree.check_root, self.logger)
        self._complaints = Complaints(self.logger)
        self._finder = Finder(tree, self._definitions, self.options.find_by, self._complaints, self.logger)
        self._recent = Recent(lambda: self.clock())
        # A subclass that decides itself what a VM gets is asked each time.
        self._decides = type(self).get_instance is FileDriver.get_instance
        self._knows_by_name = (
            self._decides
            and type(self).get_snapshot is FileDriver.get_snapshot
            and self.options.find_by == ("name",)
        )

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
        if not isinstance(find_by, list) or not find_by or any(way not in WAYS for way in find_by):
            raise DriverLoadError(f"FileDriver: find-by is a list of some of {', '.join(WAYS)}")
        if not isinstance(require_match, bool):
            raise DriverLoadError("FileDriver: require-match is true or false")
        path = os.path.abspath(directory)
        if not os.path.isdir(path):
            raise DriverLoadError(f"FileDriver: {path} is not a directory, or cannot be reached")
        if not can_read(path):
            raise DriverLoadError(f"FileDriver: {path} cannot be read by this user")
        return FileOptions(path, tuple(dict.fromkeys(find_by)), require_match)

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        """Return the instance that the VM's definition describes; a copy, which the caller may change.

        Raises:
            DefinitionError: it has faults, or there are two of them, which was logged.
            DriverBusyError: the directory is not there, as while it is replaced or mounted; or definitions
                are just being changed.
        """
        found = self._finder.find(_facts(vm_client))
        return None if found is None else self._instance(found, vm_client.vm_name)

    def get_snapshot(self, vm_client: VMClient) -> Snapshot | Refusal | None:
        """Return the documents of the VM's definition, why the VM is refused, or None.

        What is the same for all VMs of a definition is rendered once. Errors are those of ``get_instance``.
        """
        if not self._decides:
            return super().get_snapshot(vm_client)
        recent, asked = self._recent, self.clock()
        found = self._finder.find(_facts(vm_client))
        if found is None:
            return None
        same = found.entry.instance
        if same is None:  # each VM has its own
            return snapshot_for(vm_client, checked(self._instance(found, vm_client.vm_name)))
        self._complaints.settle(vm_client.vm_name)
        instance = self._marked(copy.copy(same), found)
        if refused := access.refusal(instance, vm_client):
            return refused
        snapshot = recent.snapshot(found.path, same, lambda: Snapshot(checked(instance)))
        if found.says_vms:  # it is called as the VM is
            snapshot = copy.copy(snapshot)
            snapshot.instance = self._marked(copy.copy(snapshot.instance), found)
        if self._knows_by_name and found.by_written_name and found.vm.name == vm_client.vm_name:
            recent.keep_at_hand(vm_client.vm_name, asked, snapshot)
        return snapshot.for_vm(vm_client.vm_vc_uuid, vm_client.vm_bios_uuid)

    def snapshot_at_hand(self, vm_client: VMClient) -> Snapshot | None:
        """Return what ``get_snapshot`` would, if a VM of this name has asked within the last second."""
        snapshot = self._recent.at_hand(vm_client.vm_name)
        if snapshot is None or access.refusal(snapshot.instance, vm_client):
            return None
        try:
            return snapshot.for_vm(vm_client.vm_vc_uuid, vm_client.vm_bios_uuid)
        except DefinitionError:  # which is get_snapshot's to raise
            return None

    def reload(self) -> None:
        """Forget what was parsed, rendered and logged."""
        self._definitions.forget_all()
        self._recent = Recent(lambda: self.clock())  # what is looked up at this moment is kept in the old one
        self._complaints.forget()
        self._finder.hurry()

    def close(self) -> None:
        """End the thread of the index."""
        self._finder.close()

    def definitions(self) -> Iterator[str]:
        """Yield the path of each definition there is, directory by directory, in the order of names."""
        return self._tree.definitions()

    def directories(self) -> Sequence[str]:
        """Return the directories that definitions may lie in, the outermost first."""
        return self._tree.directories(now=True)

    def left_out(self) -> Sequence[str]:
        """Return which directories were not looked into, and why, each a sentence; they were logged, too."""
        return self._tree.left_out()

    def load(self, path: str) -> Definition:
        """Return the definition in a file, with the defaults on the way to it, as it is now.

        Raises:
            DefinitionError: it has faults, or cannot be read; that is not logged.
            DriverBusyError: it changes all the time.
        """
        path = os.path.abspath(path)
        if not Path(path).is_relative_to(self.options.directory):
            raise DefinitionError(f"{printable(path)}: is not in the directory {self.options.directory}")
        definition = self._loader.load(path)
        if definition is None:
            raise DefinitionError(f"{printable(path)}: cannot be read: there is no such file")
        return definition

    def find(self, vm: VMFacts) -> tuple[str, Definition] | None:
        """Return the path of a VM's definition, and the definition; None if there is none.

        Raises:
            DefinitionError: it has faults, or there are several.
            DriverBusyError: definitions are just being changed, or the directory is away.
        """
        try:
            found = self._finder.find(vm)
        except DriverBusyError:
            if not self._finder.wait():
                raise
            found = self._finder.find(vm)
        return None if found is None else (found.path, self.load(found.path))

    def read_file(self, source: str, relative: str) -> bytes:
        """Return what is in a file that another one names: a ``definition.ReadFile``.

        Raises:
            DefinitionError: it cannot be read, or is not inside the directory; the end of a sentence.
            DriverBusyError: it changes all the time.
        """
        return self._loader.read_file(source, relative)

    def _instance(self, found: Found, vm_name: str) -> InstanceData:
        """Return the instance of a definition that was found for a VM, a fresh one each time.

        Raises:
            DefinitionError: it has faults, which were logged.
            DriverBusyError: a file that it names changes all the time.
        """
        try:
            instance = found.instance()
        except DefinitionError as error:
            if not error.logged:
                self._complaints.tell(vm_name, f"{vm_name!r} is not served: {error}")
            raise DefinitionError(str(error), logged=True, faults=error.faults) from None
        self._complaints.settle(vm_name)
        return self._marked(instance, found)

    def _marked(self, instance: InstanceData, found: Found) -> InstanceData:
        """Note in an instance what the driver knows of it beside what it says, and return it."""
        instance.source = escaped(found.vm.name) if found.says_vms else found.stem
        instance.claimed, instance.source_claimed = found.by_claim, found.source_claimed
        if self.options.require_match and instance.match is None:
            instance.denied = "its definition has no match, which require-match demands"
        return instance


def _facts(vm_client: VMClient) -> VMFacts:
    return VMFacts(vm_client.vm_name, vm_client.vm_vc_uuid, vm_client.vm_bios_uuid)
