"""The whole path on one machine: definitions, server, ESXi host, serial lines, guests, seeds.

    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        fetched = await world.fetch("web-01")
    assert fetched.exit_code == 0

Server and guests are processes, started as users start them; the host is the simulator, in the test's own
event loop, so that a test can hold a line, move a VM, or pull a plug at the very byte it wants to.
"""

import asyncio
import base64
import json
import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.cloudinit_sandbox import MAC
from tests.support.machine import Fetched, Machine, WatchedVM
from tests.support.server_process import URI, ServerProcess

# Server and guest may take their time on a busy machine; whatever takes longer than this is stuck.
STOP_SECONDS = 15.0

Definition = Mapping[str, Any] | str


def definition(
    name: str, *, instance_id: str = "", address: str = "192.0.2.10", userdata: str | None = None
) -> dict[str, Any]:
    """Return the definition of a VM, with all three documents.

    With a MAC address: without one it is for a network card of the machine that the test runs on.
    """
    return {
        "metadata": {"instance-id": instance_id or f"i-{name}", "hostname": name},
        "network": {"mac": MAC, "address": address, "netmask": "255.255.255.0", "gateway": "192.0.2.1"},
        "userdata": userdata if userdata is not None else f"#cloud-config\n# of {name}\n",
    }


def incompressible(size: int) -> str:
    """Return user-data that hardly gets smaller on the line, so that it can be held in the middle."""
    return "#cloud-config\n# " + base64.b64encode(random.Random(0).randbytes(size * 3 // 4)).decode() + "\n"


class World:
    """A server with its definitions, and the VMs that were switched on; all of it ends with the block.

    It must end well: the server with exit code 0 and without a traceback, and the protocol kept throughout.
    """

    def __init__(
        self,
        directory: Path,
        definitions: Mapping[str, Definition] | None = None,
        *,
        driver: str = "file",
        options: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """Write the definitions below ``directory``.

        ``options`` are the driver's, instead of its ``directory``; ``arguments`` are more of the server's.
        """
        self.definitions = directory / "definitions"
        self.definitions.mkdir()
        self._disks = directory / "disks"
        for name, each in (definitions or {}).items():
            self.define(name, each)
        self.server = ServerProcess(driver, options or {"directory": str(self.definitions)}, *arguments)
        self._machines: dict[str, Machine] = {}
        self._off: list[Machine] = []
        self._vms: list[WatchedVM] = []
        self._server_is_up = asyncio.Event()

    def define(self, name: str, what: Definition) -> None:
        """Write or replace a definition: JSON is YAML, text is taken as it is."""
        text = what if isinstance(what, str) else json.dumps(what)
        new = self.definitions / f".{name}.new"
        new.write_text(text)
        new.replace(self.definitions / f"{name}.yaml")

    async def redefine(self, name: str, what: Definition) -> None:
        """Replace a definition that a VM may just have got: the server has it at hand for a second."""
        self.define(name, what)
        await self.server.reload()

    async def machine(self, name: str, *, vc_uuid: uuid.UUID | None = None, uri: str = URI) -> Machine:
        """Return the VM of this name, switched on."""
        if name not in self._machines:
            disk = self._disks / name
            disk.mkdir(parents=True, exist_ok=True)
            machine = Machine(self.new_vm(name, vc_uuid, uri), disk)
            await machine.power_on()
            self._machines[name] = machine
        return self._machines[name]

    async def vm(self, name: str) -> WatchedVM:
        """Return a VM without tty and disk, switched on: its guest is the test."""
        vm = self.new_vm(name)
        self._vms.append(vm)
        await vm.start()
        return vm

    async def power_off(self, name: str) -> None:
        """Switch a VM off; its disk stays."""
        machine = self._machines.pop(name)
        self._off.append(machine)
        await machine.power_off()

    async def fetch(self, name: str, timeout: float = 20) -> Fetched:
        """Run the guest of a VM to its end, having switched the VM on if it was off."""
        return await (await self.machine(name)).fetch(timeout)

    async def crash_server(self) -> None:
        """Kill the server: connections break, nothing is said."""
        self._server_is_up.clear()
        await self.server.crash()

    async def start_server(self) -> None:
        """Start the server, after a crash on the same port; the VMs connect again."""
        await self.server.start()
        self._server_is_up.set()

    async def __aenter__(self) -> Self:
        try:
            await self.start_server()
        except BaseException:
            await self.server.crash()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for name in list(self._machines):
                await self.power_off(name)
            await asyncio.gather(*(vm.close() for vm in self._vms))
            async with asyncio.timeout(STOP_SECONDS):
                exit_code = await self.server.stop()
        finally:
            await self.server.crash()
        if kind is None:
            assert exit_code == 0, self.server.log
            assert not [line for line in self.server.log if "Traceback" in line]
            for vm in [machine.line for machine in self._off] + self._vms:
                assert not vm.violations

    def new_vm(self, name: str, vc_uuid: uuid.UUID | None = None, uri: str = URI) -> WatchedVM:
        """Return a VM that is off, and is the test's to switch on and off."""
        return WatchedVM(name, uri, port=self.server.port, vc_uuid=vc_uuid, sleep=self._wait_for_the_server)

    async def _wait_for_the_server(self, seconds: float) -> None:
        # Instead of trying again and again: no test waits longer than it has to.
        await self._server_is_up.wait()
