"""What VMs are served, on its way to the disk: for ``show --diff``, and no VM waits for it.

A VM that boots as it did before costs neither a task nor a look at the disk. What is written, and how, is
state/served.py's.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.log import describe
from vmw_cloudinit_metadata.state.served import MAX_VMS, ServedRecords
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.workers import Workers

# Documents of all VMs that wait for the disk. While a disk hangs, what is more than this is not kept. The
# smaller number is what waits beside the documents of each VM.
MAX_UNKEPT_BYTES = 64 * 1024 * 1024
UNKEPT_BYTES = 4096

# What the thread writes before it is given the next: after a power failure thousands boot at once, and to
# hand one over costs the loop some 50 us. So many take 20 ms, and hold up nobody but the end of the server.
BATCH = 100


class Noting:
    """Write what VMs are served, in a thread of its own.

    ``complain`` takes a sentence for the operator, and what is at fault, which others may have as well.
    """

    def __init__(self, served: ServedRecords, complain: Callable[[str, str], None]) -> None:
        self._served = served
        self._complain = complain
        self._workers = Workers(1)
        self._waiting: deque[tuple[str, Snapshot]] = deque()  # a VM's name, and what it is served
        self._bytes = 0  # of what waits, or is being written
        self._task: asyncio.Task[None] | None = None
        # A hash of the etags that each definition was last served with, by its name. Names that are claims
        # have a table of their own, so that those that are made up push out no others.
        self._noted: dict[str, int] = {}
        self._claimed: dict[str, int] = {}

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The task that waits for the thread; None where nothing is to be written."""
        return self._task

    def note(self, vm_name: str, snapshot: Snapshot) -> None:
        """Have it written what a VM is served, unless that is what it was served before."""
        noted, name = self._known(vm_name, snapshot)
        etags = hash((snapshot.metadata.etag, snapshot.etags))
        if noted.get(name) == etags:
            return
        size = snapshot.size + UNKEPT_BYTES
        if self._bytes + size > MAX_UNKEPT_BYTES:
            return
        self._bytes += size
        noted[name] = etags
        if len(noted) > MAX_VMS:
            del noted[next(iter(noted))]
        self._waiting.append((vm_name, snapshot))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    def close(self) -> None:
        """Write no more than what has begun, and let the thread end."""
        if self._task is not None:
            self._task.cancel()
        self._workers.close()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                faults = await self._workers.run(self._write, batch)
                for (vm_name, snapshot), fault in zip(batch, faults, strict=True):
                    self._bytes -= snapshot.size + UNKEPT_BYTES
                    if fault is not None:
                        noted, name = self._known(vm_name, snapshot)
                        noted.pop(name, None)  # its next boot tries again
                        self._complain(f"what VMs are served is not kept for 'show --diff': {fault}", fault)
        finally:
            self._task = None

    def _write(self, batch: list[tuple[str, Snapshot]]) -> list[str | None]:
        """Write all of these; return what was at fault with each. It runs in the thread."""
        faults: list[str | None] = []
        for vm_name, snapshot in batch:
            instance = snapshot.instance
            try:
                self._served.note(instance.source or vm_name, vm_name, snapshot.by_name, instance.claimed)
                faults.append(None)
            except Exception as error:
                faults.append(str(error) if isinstance(error, StateError) else describe(error))
        return faults

    def _known(self, vm_name: str, snapshot: Snapshot) -> tuple[dict[str, int], str]:
        instance = snapshot.instance
        return (self._claimed if instance.claimed else self._noted), instance.source or vm_name
