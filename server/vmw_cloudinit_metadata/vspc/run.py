"""From which snapshot a request is answered: one a run, so that the documents of a boot fit together.

A run is one fetch of a guest. This module knows how long one lasts, what becomes of a driver that has no
instance, a faulty one or none yet, and who is refused; how answers look is version2.py's.
"""

import logging
import math
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError, MetadataError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import describe, printable
from vmw_cloudinit_metadata.userdata import line_seconds
from vmw_cloudinit_metadata.vspc import version2
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.version2 import Answer, Request, Status

# A guest of version 1 asks for three documents one after the other and cannot say that they belong together.
# One rendering answers them all, if it asks within this time. With the second that drivers may have something
# at hand, an edited definition waits no longer than five.
SNAPSHOT_SECONDS = 4.0

# A guest of version 2 says what belongs together. A run is over when the guest has been silent for longer
# than it ever is in one: 30 s without progress end it (wire, Timers).
RUN_SECONDS = 60.0

# However often a guest asks, its run ends then, and what it may have is asked for anew: the guest chooses the
# id, and one that keeps it must not be served for ever.
MAX_RUN_SECONDS = 900.0

# When to ask again after a driver has failed: what it needs may be down, and soon be back.
RETRY_SECONDS = 5
# The longest that a guest waits when it is told to.
MAX_RETRY_SECONDS = 30

# A first boot waits so long for its first answer, a guest of 0.0.8 half as long for a whole one. What takes
# longer to send may be meant, but nobody would guess why that boot takes minutes.
FIRST_BOOT_SECONDS = 120.0

# These hold secrets, and a definition may say for how long they are served.
SECRET_DOCUMENTS = ("userdata", "vendordata")


class VM(Protocol):
    """A VM and what its shell does for it; a ``VMClient``, which says what that is."""

    logger: logging.Logger
    vm_name: str
    clock: Callable[[], float]

    def take_snapshot(self) -> Awaitable[Snapshot | Refusal | None]:
        """Fetch what answers this VM."""

    def snapshot_at_hand(self) -> Snapshot | None:
        """Return the same, if nothing has to be waited for."""

    def may_serve(self, instance: InstanceData, run: str) -> Awaitable[str | None]:
        """Say why secrets may not go out in a run; None if they may."""

    def note_served(self, snapshot: Snapshot) -> None:
        """Take note of what a run is answered from."""


class NotAtHandError(Exception):
    """Something has to be waited for: ask again by the method of the same name that is a coroutine."""


@dataclass(slots=True)
class Run:
    """One fetch of a guest, and the snapshot that answers it."""

    id: str  # "" in version 1, which has none
    snapshot: Snapshot
    began: float
    asked: bool = False  # whether secrets may go out in it
    denied: str | None = None  # the answer to that: None, or a sentence


class Runs:
    """The runs of one VM: the latest of version 2, and the latest of version 1."""

    __slots__ = (
        *("_complaint", "_noted_length", "_version_1", "_version_1_ends", "_version_2", "_version_2_ends"),
        "_vm",
    )

    def __init__(self, vm: VM) -> None:
        # It has us, and is to be freed when nobody else has it, without the garbage collector.
        self._vm: VM = weakref.proxy(vm)
        self._version_1: Run | None = None
        self._version_2: Run | None = None
        # By the VM's clock; of version 1 the absence of a run ends then, too.
        self._version_1_ends = self._version_2_ends = -math.inf
        self._complaint = ""
        self._noted_length = 0

    def answer_at_hand(self, request: Request) -> Answer:
        """Answer a request of version 2 for one of the documents.

        Raises:
            NotAtHandError: its run begins with a snapshot that is not at hand, or nobody has said yet whether
                secrets may go out in it.
        """
        run = self._under_way()
        if run is None or run.id != request.run:
            run = self._begin(request.run, self._snapshot_at_hand())
        now = self._vm.clock()
        self._version_2_ends = min(now + RUN_SECONDS, run.began + MAX_RUN_SECONDS)
        answer = version2.answer(request, run.snapshot)
        if request.document in SECRET_DOCUMENTS and answer.status is Status.OK and self._denied(run):
            return version2.refusal(Status.DENIED, run.denied or "")
        return answer

    async def answer(self, request: Request) -> Answer:
        """Answer a request of version 2 for one of the documents."""
        while True:
            try:
                return self.answer_at_hand(request)
            except NotAtHandError:
                run = self._under_way()
                if run is not None and run.id == request.run:
                    refused = await self._ask(run)
                else:
                    source = await self._take()
                    refused = source if isinstance(source, Answer) else None
                    if isinstance(source, Snapshot):
                        self._begin(request.run, source)
            if refused:
                return refused  # a run begins with a snapshot: the next request asks the driver again

    def version_1_at_hand(self, secrets: bool = False) -> Snapshot | None:
        """Return the snapshot a request of version 1 is answered from; None where it is not answered.

        It is kept for ``SNAPSHOT_SECONDS``, and so is its absence. With ``secrets`` the request is for a
        document that holds some: it is not answered, either, where they are not served.

        Raises:
            NotAtHandError: as ``answer_at_hand``.
        """
        if self._vm.clock() >= self._version_1_ends:
            self._begin_version_1(self._snapshot_at_hand())
        run = self._version_1
        return None if run is None or (secrets and self._denied(run)) else run.snapshot

    async def version_1(self, secrets: bool = False) -> Snapshot | None:
        """Return the snapshot a request of version 1 is answered from; None where it is not answered."""
        while True:
            try:
                return self.version_1_at_hand(secrets)
            except NotAtHandError:
                if self._version_1 is None or self._vm.clock() >= self._version_1_ends:
                    source = await self._take()
                    self._begin_version_1(source if isinstance(source, Snapshot) else None)
                elif await self._ask(self._version_1):
                    return None

    async def current(self) -> Snapshot | Answer:
        """Return the snapshot of the run under way, or one that is taken now, or why there is none."""
        if run := self._under_way():
            return run.snapshot
        try:
            return self._snapshot_at_hand()
        except NotAtHandError:
            return await self._take()

    def forget(self) -> None:
        """Drop the snapshots: the VM has been silent for long enough."""
        self._version_1 = self._version_2 = None
        self._version_1_ends = self._version_2_ends = -math.inf

    def _under_way(self) -> Run | None:
        return self._version_2 if self._vm.clock() < self._version_2_ends else None

    def _begin(self, run_id: str, snapshot: Snapshot) -> Run:
        run = self._version_2 = Run(run_id, snapshot, self._vm.clock())
        self._version_2_ends = run.began + RUN_SECONDS
        self._vm.note_served(snapshot)
        return run

    def _begin_version_1(self, snapshot: Snapshot | None) -> None:
        now = self._vm.clock()
        self._version_1 = Run("", snapshot, now) if snapshot else None
        self._version_1_ends = now + SNAPSHOT_SECONDS
        if snapshot:
            self._vm.note_served(snapshot)

    def _snapshot_at_hand(self) -> Snapshot:
        try:
            snapshot = self._vm.snapshot_at_hand()
        except Exception as error:
            self._complain(logging.ERROR, f"is served more slowly: the driver raised {describe(error)}")
            snapshot = None
        if snapshot is None:
            raise NotAtHandError
        self._complaint = ""
        return snapshot

    async def _take(self) -> Snapshot | Answer:
        """Ask the driver; return the snapshot it gives, or what is answered where that is none."""
        try:
            taken = await self._vm.take_snapshot()
        except DriverBusyError as busy:
            self._complain(logging.WARNING, f"has to wait: {busy}")
            return _busy("the server is still looking for this VM's definition", busy.retry)
        except MetadataError as error:
            if isinstance(error, DefinitionError) and error.logged:
                self._complain(logging.DEBUG, "not answered: its definition has faults")
            else:
                self._complain(logging.ERROR, f"not answered: {error}")
            return version2.refusal(
                Status.INVALID, "the definition of this VM has faults; see the server's log"
            )
        except Exception as error:
            # Anything may come out of a driver. Its message stays unsaid: it may quote a password.
            self._complain(logging.ERROR, f"not answered: the driver raised {describe(error)}")
            return _busy("the server cannot look for this VM's definition; see its log", RETRY_SECONDS)
        if taken is None:
            # Why is the driver's to log, if there is more to say; the session logs what was answered.
            self._complain(logging.DEBUG, "not answered: the driver has no instance for this VM")
            name = printable(self._vm.vm_name)
            return version2.refusal(Status.NOT_FOUND, f"the server has no definition for the VM '{name}'")
        if isinstance(taken, Refusal):
            self._complain(logging.WARNING, taken.log)
            return version2.refusal(Status.DENIED, taken.sentence)
        self._complaint = ""
        return taken

    def _denied(self, run: Run) -> bool:
        """Tell whether a run may not have secrets; ``NotAtHandError``: who decides has not been asked."""
        if not run.asked:
            if run.snapshot.instance.serve is not None:
                raise NotAtHandError
            self._decided(run, None)
        return run.denied is not None

    async def _ask(self, run: Run) -> Answer | None:
        """Ask, once a run, whether it may have secrets; return what is answered if nobody can tell."""
        try:
            denied = await self._vm.may_serve(run.snapshot.instance, run.id)
        except DriverBusyError as busy:
            return _busy("the server does not know yet whether this VM may be served", busy.retry)
        except Exception as error:
            self._complain(logging.ERROR, f"not given its secrets: who decides raised {describe(error)}")
            return _busy("the server cannot tell whether this VM may be served; see its log", RETRY_SECONDS)
        self._decided(run, denied)
        return None

    def _decided(self, run: Run, denied: str | None) -> None:
        run.asked, run.denied = True, denied
        if denied is None:
            self._note_length(run.snapshot)

    def _note_length(self, snapshot: Snapshot) -> None:
        """Say once how long what is about to be served will take, if that is long."""
        secrets = [snapshot.userdata, snapshot.vendordata]
        length = sum(len(document.content) for document in secrets if document)
        seconds = line_seconds(length)
        if seconds > FIRST_BOOT_SECONDS and length != self._noted_length:
            self._noted_length = length
            what = f"{length:,} bytes of user-data and vendor-data"
            takes = f"{seconds:.0f} s on a line of 115200 baud, less if they compress"
            self._vm.logger.warning("%r gets %s: %s", self._vm.vm_name, what, takes)

    def _complain(self, level: int, text: str) -> None:
        # Guests ask again every few seconds; the log hears of a fault once.
        if text != self._complaint:
            self._vm.logger.log(level, "%r %s", self._vm.vm_name, text)
            self._complaint = text


def _busy(sentence: str, retry: int) -> Answer:
    return version2.refusal(Status.BUSY, sentence, max(1, min(retry, MAX_RETRY_SECONDS)))
