"""Drivers by name and by class, from the server's command line to the guest's seed."""

import asyncio
import json
import uuid
from pathlib import Path

from tests.support.loop import in_loop
from tests.support.old_guest import OldGuest
from tests.support.world import World, definition

VC_UUID = uuid.UUID("5012ab34-0000-4000-8000-0123456789ab")
EVERY_BYTE = bytes(range(256)) * 800  # 200 KiB


def inventory(tmp_path: Path, userdata: bytes) -> dict[str, str]:
    """Write what InventoryDriver wants; return its options."""
    (tmp_path / "userdata").write_bytes(userdata)
    record = {"host": "web-01", "address": "192.0.2.10", "userdata": str(tmp_path / "userdata")}
    (tmp_path / "inventory.json").write_text(json.dumps({str(VC_UUID): record}))
    return {"inventory": str(tmp_path / "inventory.json")}


@in_loop
async def test_the_file_driver_as_0_0_8_named_it(tmp_path: Path) -> None:
    driver = "vmw_cloudinit_metadata.drivers.file:FileDriver"
    async with World(tmp_path, {"web-01": definition("web-01")}, driver=driver) as world:
        fetched = await world.fetch("web-01")
    assert fetched.exit_code == 0


@in_loop
async def test_a_driver_of_a_site_finds_a_vm_by_its_uuid_and_200_kib_of_any_bytes_arrive_exactly(
    tmp_path: Path,
) -> None:
    options = inventory(tmp_path, EVERY_BYTE)
    async with World(tmp_path, driver="tests.end_to_end.drivers:InventoryDriver", options=options) as world:
        machine = await world.machine("whatever it is called", vc_uuid=VC_UUID)
        fetched = await machine.fetch()
    assert (fetched.exit_code, fetched.complaint) == (0, "")
    assert fetched.seed["user-data"] == EVERY_BYTE
    assert json.loads(fetched.seed["meta-data"])["instance-id"] == str(VC_UUID)


@in_loop
async def test_a_code_that_a_site_has_added_is_answered_by_its_client(tmp_path: Path) -> None:
    options = inventory(tmp_path, b"#!/bin/sh\n")

    def talk(port: str) -> tuple[bytes, bytes]:
        with OldGuest(port) as guest:
            return guest.ask("SECURITYDATA"), guest.ask("USERDATA")

    async with World(tmp_path, driver="tests.end_to_end.drivers:InventoryDriver", options=options) as world:
        machine = await world.machine("web-01", vc_uuid=VC_UUID)
        security, userdata = await asyncio.to_thread(talk, machine.port.path)
    assert json.loads(security) == {
        "host-token": "for web-01",
        "bios": str(machine.line.identity.bios_uuid),
    }
    assert userdata == b"#!/bin/sh\n"


@in_loop
async def test_a_client_that_answers_for_a_document_itself_is_followed_to_version_1(tmp_path: Path) -> None:
    driver = "tests.end_to_end.drivers:GreetingDriver"
    async with World(tmp_path, {"web-01": definition("web-01")}, driver=driver) as world:
        fetched = await world.fetch("web-01")
        assert (fetched.exit_code, fetched.complaint) == (0, "")
        assert fetched.seed["user-data"] == b"#!/bin/sh\necho hello\n"
        await world.server.logged("is answered in version 1: its client has its own REQUEST_USERDATA")


@in_loop
async def test_a_vm_that_is_not_in_the_inventory_is_not_served(tmp_path: Path) -> None:
    options = inventory(tmp_path, b"")
    async with World(tmp_path, driver="tests.end_to_end.drivers:InventoryDriver", options=options) as world:
        fetched = await world.fetch("web-01")
        await world.server.logged("no record of ")
    assert fetched.exit_code == 7


@in_loop
async def test_a_changed_definition_is_served_on_the_same_connection(tmp_path: Path) -> None:
    driver = "tests.end_to_end.drivers:ForgetfulDriver"
    async with World(tmp_path, {"web-01": definition("web-01", instance_id="i-1")}, driver=driver) as world:
        await world.fetch("web-01")
        await world.redefine("web-01", definition("web-01", instance_id="i-2"))
        fetched = await world.fetch("web-01")
        connections = [line for line in world.server.log if "connected, vc-uuid" in line]
    assert json.loads(fetched.seed["meta-data"])["instance-id"] == "i-2"
    assert len(connections) == 1


@in_loop
async def test_one_boot_gets_documents_that_fit_together_though_the_definition_changes_meanwhile(
    tmp_path: Path,
) -> None:
    old, new = (definition("web-01", instance_id=f"i-{n}", userdata=f"#cloud-config\n# {n}\n") for n in "12")
    async with World(tmp_path, {"web-01": old}) as world:
        machine = await world.machine("web-01")
        machine.line.hold_after(20)  # somewhere in the first answer
        guest = await machine.begin_fetch()
        await machine.line.until_held()
        world.define("web-01", new)
        machine.line.release()
        fetched = await guest
    assert json.loads(fetched.seed["meta-data"])["instance-id"] == "i-1"
    assert fetched.seed["user-data"] == b"#cloud-config\n# 1\n"
