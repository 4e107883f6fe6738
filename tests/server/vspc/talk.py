"""A session and whom it talks to: a VM whose answers are read, a driver that can be held or made to raise."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from tests.server.vspc.test_session import UUID, Line
from tests.support.peer import Instances
from tests.support.version2 import Answered, read_line, request
from vmw_cloudinit_metadata.vspc.port import Port, VMIdentity
from vmw_cloudinit_metadata.vspc.session import Session
from vmw_cloudinit_metadata.vspc.vm_client import VMClient
from vmw_cloudinit_metadata.vspc.workers import Workers
from vmw_cloudinit_wire import Packet


class Moody(Instances):
    """A driver that is held for a VM when a test says so, and then may raise."""

    def instance(self, vm_client: VMClient) -> Any:
        if error := self.options.get("raises"):
            raise error
        return super().instance(vm_client)

    def hold(self, name: str = "web-01") -> Callable[[], None]:
        """Hold the calls for this VM; return what lets them go on."""
        gate = self.held[name] = threading.Event()

        def release() -> None:
            del self.held[name]
            gate.set()

        return release


class Talk:
    """A session under test, with a driver in one worker thread."""

    def __init__(
        self, driver: Moody | None = None, workers: Workers | None = None, name: str = "web-01"
    ) -> None:
        self.driver = driver or Moody({})
        self.workers = workers or Workers(1)
        self.line = Line()
        self.line.port = Port(1000)
        self.line.port.identity = VMIdentity(name, UUID, None, token="between-us")
        self.session = Session(self.line.port, self.line, self.driver, self.workers, 1_000_000)

    def receive(self, *packets: Packet) -> None:
        for packet in packets:
            self.session.receive(packet)
        self.session.answer()

    async def answers(self) -> list[Answered]:
        """Wait until no packet is in line; return the answers since the last call."""
        if self.session.task:
            await asyncio.wait([self.session.task])
        sent, self.line.sent = self.line.sent, b""
        return [read_line(line) for line in sent.split(b"\r\n") if line]

    async def ask(self, document: str, **more: Any) -> Answered:
        self.receive(request(document, **more))
        (answer,) = await self.answers()
        return answer


async def turns() -> None:
    """Let the loop do what it can do now."""
    for _ in range(20):
        await asyncio.sleep(0)
