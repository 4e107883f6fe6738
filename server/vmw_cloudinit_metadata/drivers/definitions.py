"""What is known of definitions: made of their files when it is asked for, and kept until one of them changes.

Faults are logged once a change. Whose a definition is, is finding.py's business.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers.cache import Cache, Entry, Key
from vmw_cloudinit_metadata.drivers.loading import Loader
from vmw_cloudinit_metadata.errors import DefinitionError

# 10,000 usual definitions (4 KiB, and some 2 KiB of objects) fit, so that a boot storm parses each once; a
# few with megabytes of user-data do not fill the memory. The instances of definitions that vary have as much
# for themselves: VMs' names are claims, and those that are made up push no definition out.
CACHE_BYTES = 64 * 1024 * 1024


class Definitions:
    """The definitions of a directory and their instances. Several threads may ask at once.

    ``check_directory`` raises where the directory itself cannot be read: then a file that is not there, or
    cannot be read, says nothing.
    """

    def __init__(
        self,
        loader: Loader,
        check_directory: Callable[[], None],
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
    ) -> None:
        self._loader = loader
        self._check_directory = check_directory
        self._logger = logger
        self._by_path: Cache[str] = Cache(CACHE_BYTES)
        self._by_vm: Cache[tuple[str, VMFacts]] = Cache(CACHE_BYTES)

    def get(self, path: str, vm_name: str) -> Entry | None:
        """Return the definition in a file, or its faults; None if the file is gone. The name is for the log.

        Raises:
            DriverBusyError: the file changes all the time, or the directory is away.
        """
        if known := self._kept(self._by_path, path):
            return known
        with self._loader.noting() as files:
            try:
                definition = self._loader.load(path)
                if definition is None:
                    self.forget(path)
                    return None
                instance = None if definition.varies else definition.instance()
                # Where the instance says it all the definition, which is larger, is not kept.
                entry = Entry(files, definition if definition.varies else None, instance)
            except DefinitionError as error:
                self._check_directory()
                entry = Entry(files, error=error)
        return self._keep(self._by_path, path, entry, vm_name)

    def instance(self, path: str, entry: Entry, vm: VMFacts) -> Entry:
        """Return the instance that a definition has for a VM, or the faults of that.

        Raises:
            DriverBusyError: a file that it names changes all the time.
        """
        if entry.definition is None or not entry.definition.varies:
            return entry
        known = self._kept(self._by_vm, (path, vm))
        if known and known.definition is entry.definition:
            return known
        with self._loader.noting() as files:
            try:
                made = Entry(files, entry.definition, entry.definition.instance(vm))
            except DefinitionError as error:
                made = Entry(files, entry.definition, error=error)
        return self._keep(self._by_vm, (path, vm), made, vm.name)

    def forget(self, *paths: str) -> None:
        """Forget what was made of files that are gone."""
        self._by_path.drop(*paths)

    def forget_all(self) -> None:
        """Forget what was made of any file, and what was logged of it."""
        self._by_path.clear()
        self._by_vm.clear()

    def _kept(self, cache: Cache[Key], key: Key) -> Entry | None:
        """Return what is kept, if its files are still the same; also where they were merely touched."""
        known = cache.get(key)
        if known is None:
            return None
        files = self._loader.renewed(known.files)
        if files is None or files is known.files:
            return known if files else None
        renewed = replace(known, files=files)
        cache.keep(key, renewed)
        return renewed

    def _keep(self, cache: Cache[Key], key: Key, entry: Entry, vm_name: str) -> Entry:
        before = cache.keep(key, entry)
        if entry.error and not entry.says_the_same(before):
            self._logger.error("%r is not served: %s", vm_name, entry.error)
        return entry
