"""What is known of definitions: made of their files when it is asked for, and kept until one of them changes.

Faults are logged once a change. Whose a definition is, is finding.py's business.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vmw_cloudinit_metadata.drivers.cache import Cache, Entry
from vmw_cloudinit_metadata.drivers.loading import Loader
from vmw_cloudinit_metadata.errors import DefinitionError

# 10,000 usual definitions (4 KiB, and some 2 KiB of objects) fit, so that a boot storm parses each once; a
# few with megabytes of user-data do not fill the memory.
CACHE_BYTES = 64 * 1024 * 1024


class Definitions:
    """The definitions of a directory. Several threads may ask at once.

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
        self._kept: Cache[str] = Cache(CACHE_BYTES)

    def get(self, path: str, vm_name: str) -> Entry | None:
        """Return the definition in a file, or its faults; None if the file is gone. The name is for the log.

        Raises:
            DriverBusyError: the file changes all the time, or the directory is away.
        """
        known = self._kept.get(path)
        files = self._loader.renewed(known.files) if known else None
        if known and files:
            if files is not known.files:  # some were merely touched
                known = replace(known, files=files)
                self._kept.keep(path, known)
            return known
        entry = self._made(path)
        if entry is None:
            self._kept.drop(path)
            return None
        before = self._kept.keep(path, entry)
        if entry.error and not entry.says_the_same(before):
            self._logger.error("%r is not served: %s", vm_name, entry.error)
        return entry

    def forget(self, *paths: str) -> None:
        """Forget what was made of files that are gone."""
        self._kept.drop(*paths)

    def forget_all(self) -> None:
        """Forget what was made of any file, and what was logged of it."""
        self._kept.clear()

    def _made(self, path: str) -> Entry | None:
        with self._loader.noting() as files:
            try:
                definition = self._loader.load(path)
                if definition is None:
                    return None
                # One instance is for all VMs, or each has its own: that is made when it asks, which it does
                # once a boot, and is not kept: names are claims, as many as anyone makes up.
                instance = None if definition.varies else definition.instance()
            except DefinitionError as error:
                self._check_directory()
                return Entry(files, error=error)
        # Where the instance says it all, the definition, which is much larger, is not kept.
        needed = definition.varies or definition.vms is not None
        return Entry(files, definition if needed else None, instance)
