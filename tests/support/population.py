"""Many VMs with lives of their own: they connect, ask, migrate, misbehave and vanish, as chance has it."""

import asyncio
import random
import threading
from collections import Counter
from typing import Any, ClassVar

from tests.support.guests import fetch
from tests.support.peer import PATIENCE, URI
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DefinitionError, SimulatorError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.simulator import SimulatedVM
from vmw_cloudinit_metadata.vspc.server import VSPCServer
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

# More than the sockets, the host and the transport hold of an answer that nobody reads.
LARGE = 3_000_000

# Of the threads that ask the driver so many never come back; others are left for all other VMs.
HANGING_CALLS = 3

# What the driver makes of a VM is told by its name: most are well.
KINDS = ("well", "well", "well", "well", "well", "well", "unknown", "faulty", "raising", "nonsense", "large")


def userdata(name: str) -> bytes:
    return random.Random(name).randbytes(1000 + len(name) * 1000)


class Inventory(Driver):
    """A driver with every fault there is. What hangs is let go by ``release``."""

    thread_safe: ClassVar[bool] = True

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        self.released = threading.Event()
        self._to_hang = threading.Semaphore(HANGING_CALLS)
        return opts

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        name = vm_client.vm_name
        match name.partition("-")[0]:
            case "unknown":
                return None
            case "faulty":
                raise DefinitionError(f"{name}.yaml:1: metadata: hostname is missing")
            case "raising":
                raise RuntimeError("the database says hunter2")
            case "nonsense":
                return "no instance"  # type: ignore[return-value]
            case "hung" if self._to_hang.acquire(blocking=False):
                self.released.wait(PATIENCE * 60)
        data = InstanceData({"metadata": {"instance-id": f"i-{name}", "hostname": name}})
        data.userdata = bytes(LARGE) if name.startswith("large") else userdata(name)
        return data


class Resident:
    """One VM of the population; ``done`` counts what all have done."""

    def __init__(self, number: int, server: VSPCServer, chance: random.Random, done: Counter[str]) -> None:
        kind = "hung" if number < 3 else chance.choice(KINDS)
        self.name = f"{kind}-{number}"
        self._server, self._chance, self._done = server, chance, done
        self._vm: SimulatedVM

    async def live(self, lives: int, port: int) -> None:
        """Connect, do a few things and vanish, so many times."""
        for _ in range(lives):
            self._vm = SimulatedVM(self.name, URI, port=port)
            try:
                await self._vm.start(PATIENCE)
                for _ in range(self._chance.randrange(5)):
                    await self._act()
                await self._vanish()
            except SimulatorError as error:
                self._done[f"let go: {str(error).partition(': ')[2]}"] += 1
            finally:
                await self._vm.close()
            assert not self._vm.violations, list(self._vm.violations)

    async def _act(self) -> None:
        act = self._chance.choice(
            [self._fetch, self._fetch, self._ask, self._chatter, self._move, self._stay]
        )
        await act()
        self._done[act.__name__.strip("_")] += 1

    async def _fetch(self) -> None:
        if not self.name.startswith("well"):
            await self._ask()
            return
        documents = await fetch(self._vm)
        assert documents.instance_id == f"i-{self.name}"
        assert documents.user_data == userdata(self.name)

    async def _ask(self) -> None:
        """Ask as guests of the past do, and do not wait for the answer."""
        await self._vm.write(self._chance.choice([b"!!REQUEST_METADATA#\n", b"!!REQUEST_USERDATA#\n"]))

    async def _chatter(self) -> None:
        await self._vm.write(self._chance.randbytes(500) + b"\nlogin: ")

    async def _move(self) -> None:
        await self._vm.vmotion(source_closes_first=self._chance.random() < 0.5)

    async def _stay(self) -> None:
        await self._vm.abort_vmotion(after_peer=self._chance.random() < 0.5)

    async def _vanish(self) -> None:
        # All come from one host, which may leave only so many vMotions behind.
        ways = ("closed", "lost", "lost in its vMotion", "deaf")
        (way,) = self._chance.choices(ways, weights=(8, 8, 1, 3))
        if way == "deaf" and self.name.startswith("large"):
            await self._be_deaf()
        elif way.startswith("lost") and self._vm._connection:
            if way == "lost in its vMotion":
                await self._vm._leave()
            self._vm._connection.abort()
        self._done[way] += 1

    async def _be_deaf(self) -> None:
        """Ask for more than anyone holds, and read nothing, until the server has had enough of it."""
        sessions = self._server._sessions
        own = {port for port, session in sessions.items() if session.client.vm_name == self.name}
        async with asyncio.timeout(3 * PATIENCE):
            # Who does not read sees no end either: it asks the server itself.
            while own & sessions.keys():
                await self._vm.write(b"!!REQUEST_USERDATA#\n")
                await asyncio.sleep(0.1)
