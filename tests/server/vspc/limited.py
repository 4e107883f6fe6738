"""VMs whose instances have a serving window, and what they ask and report."""

import asyncio
import json
import threading
from typing import Any

import pytest

from tests.support import version2
from tests.support.peer import PATIENCE, Instances, Peer
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.vm_client import VMClient
from vmw_cloudinit_wire import Packet

SECRET = "hunter2"


class Limited(Instances):
    """A driver whose instances have a serving window, and which takes reports."""

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        self.reports: list[tuple[str, Report]] = []
        self.told = threading.Semaphore(0)  # released by every report
        return super().parse_options(opts)

    def instance(self, vm_client: VMClient) -> InstanceData | None:
        made = super().instance(vm_client)
        if made is not None:
            made.serve, made.source = self.options.get("serve"), "the-definition"
            made.claimed = made.source_claimed = self.options.get("claimed", False)
        return made

    def take_report(self, vm_client: VMClient, report: Report) -> None:
        if gate := self.held.get("report"):
            self.entered.release()
            gate.wait(PATIENCE)
        self.reports.append((vm_client.vm_name, report))
        self.told.release()
        if report.status == "raise":
            raise ValueError(SECRET)

    async def until_told(self) -> None:
        """Wait for a report."""
        assert await asyncio.to_thread(self.told.acquire, True, PATIENCE)


def limited(**limits: Any) -> Limited:
    return Limited({"serve": ServingWindow(**limits) if limits else None})


def window_of(state: StateDirectory) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((state.path / "windows" / "the-definition.json").read_text())
    return record


async def ask(vm: Peer, packet: Packet) -> version2.Answered:
    await vm.send(version2.line(packet))
    await vm.take(b"\r\n")  # an answer of version 2 begins on a line of its own
    return version2.read(await vm.packet())


async def fetch(vm: Peer, run: int) -> str:
    """Ask for user-data in a run; return the status, or the sentence where there is one."""
    answer = await ask(vm, version2.request("userdata", run=f"{run:08x}"))
    return answer.payload.decode() if answer.status == "denied" else answer.status


async def report(vm: Peer, stage: str = "final", instance_id: str | None = "i-1", **keys: Any) -> str:
    """Report, and return the status of the answer."""
    document = {"stage": stage, "boot-id": "b0", "instance-id": instance_id, **keys}
    return (await ask(vm, version2.report(json.dumps(document).encode()))).status


def line_start(caplog: pytest.LogCaptureFixture) -> str:
    """The peer and the VM, as each line has them."""
    connected = next(line for line in caplog.messages if ": connected, " in line)
    return connected.partition(": connected, ")[0]
