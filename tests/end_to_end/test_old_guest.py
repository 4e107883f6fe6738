"""A guest that was made for 0.0.8, against this server: it cannot be updated together with it."""

import asyncio
import json
from pathlib import Path

from tests.support import old_guest
from tests.support.loop import in_loop
from tests.support.old_guest import OldGuest
from tests.support.world import World, definition


@in_loop
async def test_an_old_guest_gets_all_its_documents(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        machine = await world.machine("web-01")
        documents = await asyncio.to_thread(old_guest.boot, machine.port.path)
    assert json.loads(documents["METADATA"])["instance-id"] == "i-web-01"
    assert json.loads(documents["METADATA"])["hostname"] == "web-01"
    assert json.loads(documents["NETWORKDATA"])["config"][0]["subnets"][0]["address"] == "192.0.2.10"
    assert documents["USERDATA"] == b"#cloud-config\n# of web-01\n"


@in_loop
async def test_an_old_guest_and_a_new_one_use_the_port_one_after_the_other(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        machine = await world.machine("web-01")
        first = await machine.fetch()
        documents = await asyncio.to_thread(old_guest.boot, machine.port.path)
        second = await (await machine.begin_fetch())  # the old one has left the tty raw
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.seed == second.seed
    assert first.seed["user-data"] == documents["USERDATA"]


@in_loop
async def test_no_line_ever_begins_with_two_marks_and_lacks_its_field(tmp_path: Path) -> None:
    without_network = {"metadata": definition("web-01")["metadata"], "userdata": ""}
    async with World(tmp_path, {"web-01": without_network}) as world:
        machine = await world.machine("web-01")

        def talk() -> tuple[bytes, bytes]:
            with OldGuest(machine.port.path) as guest:
                return guest.ask("NETWORKDATA"), guest.ask("USERDATA")

        assert await asyncio.to_thread(talk) == (b"", b"")
        line = bytes(machine.line.to_guest)
    assert all(b"#" in each for each in line.splitlines() if each.startswith(b"!!"))
