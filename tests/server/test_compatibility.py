"""What 0.0.8 promised to those who wrote drivers, clients and definitions for it.

The drivers and clients here are written as its users wrote them, against its names.
The command line and ``VSPCServer`` have their own tests.
"""

import asyncio
import base64
import enum
import inspect
import ipaddress
import json
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers import file as file_driver
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.loader import load_driver
from vmw_cloudinit_metadata.errors import DriverLoadError
from vmw_cloudinit_metadata.vspc import vm_client as vm_client_module
from vmw_cloudinit_metadata.vspc.vm_client import (
    InstanceData,
    InstanceMetadata,
    InstanceNetworkData,
    PacketCode,
    VMClient,
)

VC_UUID = uuid.UUID("5012ab34-0000-4000-8000-0123456789ab")


class InventoryDriver(Driver):
    """A driver as the field has them: it looks up the VC UUID, and fills an instance by attributes."""

    def parse_options(self, opts: Any) -> Any:
        if "inventory" not in opts:
            raise ValueError("inventory is required")
        return opts

    def new_client(self, vm_name: Any, writer: Any) -> VMClient:
        return SecurityClient(vm_name, writer, self)

    def get_instance(self, vm_client: Any) -> Any:
        record = self.options["inventory"].get(str(vm_client.vm_vc_uuid))
        if record is None:
            self.logger.error("no record of %s", vm_client.vm_name)
            return None
        data: Any = InstanceData()
        data.metadata = InstanceMetadata()
        data.metadata.ami_id = record["image"]
        data.metadata.instance_id = str(vm_client.vm_vc_uuid)
        data.metadata.region = "eu"
        data.metadata.availability_zone = "eu-1"
        data.metadata.hostname = vm_client.vm_name
        data.metadata.tags["role"] = record["role"]
        data.metadata.public_keys.append("ssh-ed25519 AAAA")
        data.network = InstanceNetworkData()
        data.network.address = ipaddress.IPv4Address(record["address"])
        data.network.netmask = "255.255.255.0"
        data.network.gateway = "192.0.2.1"
        data.network.nameservers = [ipaddress.IPv4Address("192.0.2.53")]
        data.validate()
        return data


class SecurityCode(enum.Enum):
    REQUEST_SECURITYDATA = "REQUEST_SECURITYDATA"
    RESPONSE_SECURITYDATA = "RESPONSE_SECURITYDATA"


class SecurityClient(VMClient):
    """A client as the field has them: it adds a packet code, and leaves the others to 0.0.8."""

    async def process_packets(self, code: Any, data: Any) -> None:
        if code == SecurityCode.REQUEST_SECURITYDATA.value:
            await self.write(SecurityCode.RESPONSE_SECURITYDATA, json.dumps({"token": "x", "asked": data}))
        else:
            await super().process_packets(code, data)


class Lines:
    """A writer as asyncio's, of which 0.0.8 uses two methods."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, data: bytes) -> None:
        self.text += data.decode("ascii")

    async def drain(self) -> None:
        return


def inventory_client() -> Any:
    record = {"image": "debian-12", "role": "web", "address": "192.0.2.10"}
    driver = load_driver(f"{__name__}:InventoryDriver", {"inventory": {str(VC_UUID): record}})
    client = driver.new_client("web-01", Lines())
    client.vm_vc_uuid = VC_UUID
    client.vm_bios_uuid = uuid.UUID(int=1)
    return client


def ask_as_an_old_guest(client: Any, code: str, data: str = "") -> Any:
    """Ask, and read the answer as guests of 0.0.8 do: by lines that start with ``!!``, the second field."""
    client.writer.text = ""
    asyncio.run(client.process_packets(code, data))
    answers = [line.split("#") for line in client.writer.text.split("\n") if line.startswith("!!")]
    return {fields[0][2:]: base64.b64decode(fields[1]) for fields in answers}


def test_a_driver_that_looks_up_by_vc_uuid_and_fills_an_instance_by_attributes_serves_it() -> None:
    client = inventory_client()
    answer = ask_as_an_old_guest(client, "REQUEST_METADATA")
    assert json.loads(answer["RESPONSE_METADATA"]) == {
        "ami-id": "debian-12",
        "instance-id": str(VC_UUID),
        "region": "eu",
        "availability-zone": "eu-1",
        "tags": {"role": "web"},
        "public-keys": ["ssh-ed25519 AAAA"],
        "hostname": "web-01",
        "local-hostname": "web-01",
    }
    answer = ask_as_an_old_guest(client, "REQUEST_NETWORKDATA")
    (device,) = json.loads(answer["RESPONSE_NETWORKDATA"])["config"]
    assert device["subnets"][0]["address"] == "192.0.2.10"
    assert device["subnets"][0]["dns_nameservers"] == ["192.0.2.53"]
    answer = ask_as_an_old_guest(client, "REQUEST_USERDATA")
    assert answer == {"RESPONSE_USERDATA": b"#cloud-config\n{}"}


def test_a_vm_that_the_driver_does_not_know_gets_silence() -> None:
    client = inventory_client()
    client.vm_vc_uuid = None
    assert ask_as_an_old_guest(client, "REQUEST_METADATA") == {}


def test_a_client_may_answer_codes_of_its_own() -> None:
    client = inventory_client()
    assert isinstance(client, SecurityClient)
    answer = ask_as_an_old_guest(client, "REQUEST_SECURITYDATA", "payload")
    assert json.loads(answer["RESPONSE_SECURITYDATA"]) == {"token": "x", "asked": "payload"}


def test_a_client_may_override_how_a_document_is_written() -> None:
    class Shouting(VMClient):
        async def write_userdata(self) -> None:
            await self.write(PacketCode.RESPONSE_USERDATA, "#cloud-config\n# loud\n")

    client = Shouting("web-01", Lines(), inventory_client().driver)
    assert ask_as_an_old_guest(client, "REQUEST_USERDATA") == {
        "RESPONSE_USERDATA": b"#cloud-config\n# loud\n"
    }


def test_a_driver_that_raises_value_error_for_its_options_is_a_sentence() -> None:
    with pytest.raises(DriverLoadError, match="ValueError: inventory is required"):
        load_driver(f"{__name__}:InventoryDriver", {})


def test_the_file_driver_may_be_subclassed_to_change_what_it_read(tmp_path: Path) -> None:
    class Renaming(FileDriver):
        def get_instance(self, vm_client: Any) -> Any:
            instance: Any = super().get_instance(vm_client)
            if instance is not None:
                instance.metadata.hostname += ".example.org"
            return instance

    (tmp_path / "web-01.yaml").write_text("metadata: {instance-id: i, hostname: web-01}")
    driver = Renaming({"directory": str(tmp_path)})
    assert driver.options.directory == str(tmp_path)
    client: Any = SimpleNamespace(vm_name="web-01", vm_vc_uuid=None, vm_bios_uuid=None)
    for _ in range(2):
        assert driver.get_instance(client).metadata.hostname == "web-01.example.org"


def test_the_names_are_where_they_were() -> None:
    for name in ("InstanceData", "InstanceMetadata", "InstanceNetworkData", "PacketCode", "VMClient"):
        assert name in vm_client_module.__all__
        assert hasattr(vm_client_module, name)
    assert issubclass(file_driver.FileDriver, Driver)
    assert [code.name for code in PacketCode] == [code.value for code in PacketCode]


@pytest.mark.parametrize(
    "name", ["process_packets", "write", "write_metadata", "write_networkdata", "write_userdata"]
)
def test_what_was_awaited_is_still_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(VMClient, name))


def test_positional_arguments_have_their_order() -> None:
    def order(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)[1:]

    assert order(VMClient.__init__) == ["vm_name", "writer", "driver"]
    assert order(Driver.__init__) == ["opts"]
    assert order(Driver.parse_options) == ["opts"]
    assert order(Driver.get_instance) == ["vm_client"]
    assert order(Driver.new_client) == ["vm_name", "writer"]
    assert order(VMClient.process_packets) == ["code", "data"]
