"""Drivers that the server process of a test loads as ``tests.end_to_end.drivers:NAME``."""

import itertools
import json
from enum import Enum
from pathlib import Path
from typing import Any

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.run import SNAPSHOT_SECONDS
from vmw_cloudinit_metadata.vspc.vm_client import (
    InstanceMetadata,
    InstanceNetworkData,
    VMClient,
    Writer,
)


class SecurityPacket(Enum):
    """The codes that a site has added."""

    REQUEST_SECURITYDATA = "REQUEST_SECURITYDATA"
    RESPONSE_SECURITYDATA = "RESPONSE_SECURITYDATA"


class SecurityClient(VMClient):
    """A client that answers a code of its own, and leaves the others to its base."""

    async def process_packets(self, code: str, data: str) -> None:
        if code == SecurityPacket.REQUEST_SECURITYDATA.value:
            answer = json.dumps({"host-token": f"for {self.vm_name}", "bios": str(self.vm_bios_uuid)})
            await self.write(SecurityPacket.RESPONSE_SECURITYDATA, answer)
        else:
            await super().process_packets(code, data)


class InventoryDriver(Driver):
    """A driver as the field has them: an inventory by VC UUID, and an instance filled by attributes.

    Options: ``inventory``, a JSON file: VC UUID -> ``{"host", "address", "userdata"}``, the last one a path.
    """

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        if "inventory" not in opts:
            raise ValueError("inventory is required")
        return opts

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return SecurityClient(vm_name, writer, self)

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        inventory = json.loads(Path(self.options["inventory"]).read_text())
        record = inventory.get(str(vm_client.vm_vc_uuid))
        if record is None:
            self.logger.error("no record of %s", vm_client.vm_vc_uuid)
            return None
        data = InstanceData()
        data.metadata = InstanceMetadata()
        data.metadata.instance_id = str(vm_client.vm_vc_uuid)
        data.metadata.hostname = record["host"]
        data.network = InstanceNetworkData()
        data.network.address = record["address"]
        data.network.netmask = "255.255.255.0"
        data.userdata = Path(record["userdata"]).read_bytes()
        return data


class ForgetfulDriver(FileDriver):
    """Definitions as they stand at every single request: time flies."""

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        client = super().new_client(vm_name, writer)
        clock = itertools.count(step=SNAPSHOT_SECONDS)
        client.clock = lambda: next(clock)
        return client


class GatedDriver(FileDriver):
    """Definitions that are given out only after a byte has come through a FIFO.

    Options: ``directory`` and ``gate``, the FIFO.
    """

    def parse_options(self, opts: dict[str, Any]) -> Any:
        self._gate = opts.pop("gate")
        return super().parse_options(opts)

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        self.logger.info("waiting at the gate")
        with open(self._gate, "rb", buffering=0) as gate:
            gate.read(1)
        return super().get_instance(vm_client)


class Version1Driver(FileDriver):
    """Definitions, served by a client that answers for a document itself: in version 1, a line for each."""

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return _Version1Client(vm_name, writer, self)


class _Version1Client(VMClient):
    async def write_userdata(self) -> None:
        await super().write_userdata()


class GreetingDriver(FileDriver):
    """Definitions, served by a client that answers for the user-data before its base sees the packet."""

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return _GreetingClient(vm_name, writer, self)


class _GreetingClient(VMClient):
    async def process_packets(self, code: str, data: str) -> None:
        if code == "REQUEST_USERDATA":
            await self.write("RESPONSE_USERDATA", "#!/bin/sh\necho hello\n")
        else:
            await super().process_packets(code, data)


class NoisyDriver(FileDriver):
    """Definitions on a line that others write to as well: a console server, or a person at a terminal."""

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return _NoisyClient(vm_name, writer, self)


class _NoisyClient(VMClient):
    async def process_packets(self, code: str, data: str) -> None:
        self.writer.write(b"\x00\xff\xfe[    1.5] eth0: link up\r\n\r\nlogin: ")
        self.writer.write(f"!!{code}#\r\n".encode())  # an echo of what was asked
        self.writer.write(b"!!RESPONSE_SECURITYDATA#bm90IGZvciB5b3U=\r\n")  # an answer, but to something else
        self.writer.write(b"!!RESPONSE_METADATA\r\n!!##\r\n!!!!#\xe9#\n\r" + b"x" * 5000)
        await super().process_packets(code, data)  # begins in the middle of a line
        self.writer.write(b"!!RESPONSE_METADATA#e30=")  # and half a line behind it


class TalkativeDriver(FileDriver):
    """Definitions; of some VMs it raises, or returns, nothing but its own password.

    Options: ``directory`` and ``password``.
    """

    def parse_options(self, opts: dict[str, Any]) -> Any:
        self._password = opts.pop("password")
        return super().parse_options(opts)

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        if vm_name == "clientless":
            raise RuntimeError(self._password)
        if vm_name == "own-client":
            return _TalkativeClient(vm_name, writer, self)
        return super().new_client(vm_name, writer)

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        match vm_client.vm_name:
            case "raising":
                raise RuntimeError(f"cannot log in with {self._password}")
            case "key-error":
                return {}[self._password]
            case "exiting":
                raise SystemExit(self._password)
            case "nonsense":
                return self._password  # type: ignore[no-any-return]
        return super().get_instance(vm_client)


class _TalkativeClient(VMClient):
    async def process_packets(self, code: str, data: str) -> None:
        raise RuntimeError(self.driver.options)
