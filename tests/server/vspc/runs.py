"""A VM in the eyes of its runs: its clock, what its driver says, and who may have its secrets."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.run import Runs
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot, checked, snapshot_for
from vmw_cloudinit_metadata.vspc.version2 import Answer, Request

SECRET = "hunter2"
FIRST, SECOND = "00000001", "00000002"

_T = TypeVar("_T")


def web(userdata: str = "#cloud-config\n{}", **parts: Any) -> InstanceData:
    metadata = {"instance-id": "i-0042", "hostname": "web-01"}
    return InstanceData({"metadata": metadata, "userdata": userdata, **parts})


def wait(what: Awaitable[_T]) -> _T:
    async def waiting() -> _T:
        return await what

    return asyncio.run(waiting())


class VM:
    """A VM whose driver says what it is told to, or raises it."""

    def __init__(self, instance: Any) -> None:
        self.logger = logging.getLogger("vm")
        self.vm_name = "web-01"
        self.vm_vc_uuid: uuid.UUID | None = None
        self.vm_bios_uuid: uuid.UUID | None = None
        self.vm_token = ""
        self.now = 1000.0
        self.instance = instance
        self.at_hand: Snapshot | None = None
        self.taken = 0
        self.sentence: str | None = None
        self.asked_for: list[str] = []
        self.clock: Callable[[], float] = lambda: self.now
        self.take_snapshot: Callable[[], Awaitable[Snapshot | Refusal | None]] = self._take
        self.snapshot_at_hand: Callable[[], Snapshot | None] = lambda: self.at_hand
        self.may_serve: Callable[[InstanceData, str], Awaitable[str | None]] = self._decide
        self.served: list[Snapshot] = []
        self.note_served: Callable[[Snapshot], None] = self.served.append
        self.runs = Runs(self)

    async def _take(self) -> Snapshot | Refusal | None:
        self.taken += 1
        if isinstance(self.instance, Exception):
            raise self.instance
        return None if self.instance is None else snapshot_for(self, checked(self.instance))

    async def _decide(self, instance: InstanceData, run: str) -> str | None:
        assert isinstance(instance, InstanceData)
        self.asked_for.append(run)
        return self.sentence

    def ask(self, document: str = "userdata", run: str = FIRST, **more: Any) -> Answer:
        return wait(self.runs.answer(Request(f"REQUEST_{document.upper()}", "0a0a0a0a", run, **more)))
