"""Why VMs are served nothing, logged once until that changes."""

import collections
import logging
import threading
from typing import Any

# Names are claims: anyone who connects can make them up. The log hears again of what was forgotten.
MAX_COMPLAINTS = 10_000


class Complaints:
    """What was logged of each VM, by its name."""

    def __init__(self, logger: "logging.Logger | logging.LoggerAdapter[Any]") -> None:
        self._logger = logger
        self._lock = threading.Lock()
        # Hashes alone: a name may have 4 KiB, and a text a hundred lines.
        self._logged: collections.OrderedDict[int, int] = collections.OrderedDict()

    def tell(self, vm_name: str, text: str) -> None:
        """Log why a VM is served nothing, unless that was the last thing that was logged of it."""
        with self._lock:
            name, said = hash(vm_name), hash(text)
            is_news = self._logged.get(name) != said
            self._logged[name] = said
            self._logged.move_to_end(name)
            if len(self._logged) > MAX_COMPLAINTS:
                self._logged.popitem(last=False)
        if is_news:
            self._logger.error("%s", text)

    def settle(self, vm_name: str) -> None:
        """Take note that a VM is served: should it not be again, that is news."""
        with self._lock:
            self._logged.pop(hash(vm_name), None)

    def forget(self) -> None:
        """Forget what was logged."""
        with self._lock:
            self._logged.clear()
