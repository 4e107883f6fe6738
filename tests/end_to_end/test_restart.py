"""The server goes away under load and comes back: every VM connects again, and every guest gets its seed."""

import asyncio
import base64
import contextlib
import functools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.guests import fetch
from tests.support.loop import in_loop
from tests.support.machine import WatchedVM
from tests.support.world import World, definition
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_metadata.errors import SimulatorError

# Guests that are programs on a tty, and such that are coroutines of the test.
PROGRAMS = [f"web-{number:02}" for number in range(3)]
COROUTINES = [f"db-{number:02}" for number in range(20)]

SIZE = 100_000
# What a guest has read when its line is held: anything from the first bytes to nearly all.
LEAST, MOST = 20, SIZE * 9 // 10


# On an idle machine they take a tenth of this: guests wait up to 4 s before they ask again.
SECONDS = 120.0


@functools.cache
def userdata(name: str) -> str:
    """Return text that does not get smaller by compression."""
    noise = base64.encodebytes(random.Random(name).randbytes(SIZE * 3 // 4)).decode()
    return f"#cloud-config\n# of {name}\n" + "".join(f"# {line}\n" for line in noise.splitlines())


async def crash(world: World, release: Callable[[], None]) -> None:
    await world.crash_server()
    release()


async def stop(world: World, release: Callable[[], None]) -> None:
    stopping = asyncio.ensure_future(world.server.stop())
    await world.server.logged("stopping")
    release()
    assert await stopping == 0


async def move(vm: WatchedVM) -> None:
    with contextlib.suppress(SimulatorError):  # in the middle of it the server has gone
        await vm.vmotion()


@pytest.mark.parametrize("end", [crash, stop], ids=["SIGKILL", "SIGTERM"])
def test_a_restart_in_the_middle_of_all_answers_and_of_vmotions_loses_no_vm(
    end: Callable[[World, Callable[[], None]], Awaitable[None]], tmp_path: Path
) -> None:
    async def test() -> None:
        seeds = random.Random(4711)
        definitions = {name: definition(name, userdata=userdata(name)) for name in PROGRAMS + COROUTINES}
        async with World(tmp_path, definitions) as world, asyncio.TaskGroup() as tasks:
            machines = [await world.machine(name) for name in PROGRAMS]
            vms = [await world.vm(name) for name in COROUTINES]
            lines = [machine.line for machine in machines] + vms
            for line in lines:
                line.hold_after(seeds.randrange(LEAST, MOST))
            fetched = {name: tasks.create_task(fetch(vm)) for name, vm in zip(COROUTINES, vms, strict=True)}
            guests = [await machine.begin_fetch() for machine in machines]
            await asyncio.gather(*(line.until_held() for line in lines))
            for vm in vms[::5]:
                tasks.create_task(move(vm))

            def release() -> None:
                for line in lines:
                    line.release()

            await end(world, release)
            await world.start_server()

            for name, guest in zip(PROGRAMS, guests, strict=True):
                program = await guest
                assert (program.exit_code, program.complaint) == (0, "")
                assert program.seed["user-data"] == userdata(name).encode()
            for name, task in fetched.items():
                check(await task, name)

    in_loop(test, SECONDS)()


def check(documents: Documents, name: str) -> None:
    assert documents.instance_id == f"i-{name}"
    assert documents.user_data == userdata(name).encode()


@functools.partial(in_loop, seconds=SECONDS)
async def test_a_server_that_goes_away_again_and_again_serves_every_vm_in_the_end(tmp_path: Path) -> None:
    names = COROUTINES[:10]
    async with World(tmp_path, {name: definition(name, userdata=userdata(name)) for name in names}) as world:
        async with asyncio.TaskGroup() as tasks:
            vms = [await world.vm(name) for name in names]
            fetched = {name: tasks.create_task(fetch(vm)) for name, vm in zip(names, vms, strict=True)}
            for _ in range(4):
                for vm in vms:
                    vm.hold_after(SIZE // 5)
                await asyncio.gather(*(vm.until_held() for vm in vms))
                await world.crash_server()
                await world.start_server()
            for vm in vms:
                vm.release()
        for name, task in fetched.items():
            check(task.result(), name)
