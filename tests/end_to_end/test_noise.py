"""A serial line is never quiet: kernels, logins, echoes and half lines share it with the packets."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from tests.support import long_tests
from tests.support.loop import in_loop
from tests.support.machine import packets
from tests.support.wired import Noise
from tests.support.world import World, definition, incompressible

ONE_FETCH = ["RESPONSE_METADATA", "RESPONSE_NETWORKDATA", "RESPONSE_USERDATA"]

GUEST_NOISE = [
    b"[    0.000000] Linux version 6.1.0\n[    1.234567] random: crng init done\n",
    b"\nDebian GNU/Linux 12 localhost ttyS1\n\nlocalhost login: ",
    b"!!RESPONSE_METADATA#e30=\n!!REQUEST_\n!!\n!!#\n!!REQUEST_METADATA#%%%\nhalf a line !!REQ",
    bytes(range(256)) * 8 + b"\n",
]


@in_loop
async def test_noise_from_the_host_around_and_within_the_lines_of_the_answers(tmp_path: Path) -> None:
    driver = "tests.end_to_end.drivers:NoisyDriver"
    async with World(tmp_path, {"web-01": definition("web-01")}, driver=driver) as world:
        fetched = await world.fetch("web-01")
    assert (fetched.exit_code, fetched.complaint) == (0, "")
    assert fetched.seed["user-data"] == b"#cloud-config\n# of web-01\n"


@in_loop
async def test_noise_from_the_guest_before_and_between_its_requests(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        machine = await world.machine("web-01")
        for noise in GUEST_NOISE:
            machine.console(noise)
            # The answer stands still in the middle, so that there is a guest in the middle of its fetch.
            machine.line.hold_after(20)
            guest = await machine.begin_fetch()
            await machine.line.until_held()
            machine.console(noise)
            machine.line.release()
            fetched = await guest
            assert (fetched.exit_code, fetched.complaint) == (0, ""), noise
            assert fetched.seed["user-data"] == b"#cloud-config\n# of web-01\n"


@in_loop
async def test_an_answer_that_nobody_reads_comes_back_as_an_echo_and_starts_no_loop(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        machine = await world.machine("web-01")
        # A person tries it: echo '!!REQUEST_METADATA#' >/dev/ttyS1
        machine.console(b"!!REQUEST_METADATA#\n")
        # The tty is cooked: it sends back what comes.
        await machine.line.until_sent(b"!!RESPONSE_METADATA#")
        fetched = await machine.fetch()
        assert fetched.exit_code == 0
        assert [packet.code for packet in packets(machine.line.to_guest)] == ["RESPONSE_METADATA", *ONE_FETCH]


@in_loop
async def test_a_quiet_line_carries_each_packet_once(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        machine = await world.machine("web-01")
        await machine.fetch()
        assert [packet.code for packet in packets(machine.line.to_guest)] == ONE_FETCH
        requests = [packet.code for packet in packets(machine.line.from_guest)]
        assert requests == [code.replace("RESPONSE", "REQUEST") for code in ONE_FETCH]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_guest_that_was_killed_in_the_middle_of_an_answer_the_next_one_gets_its_seed(
    number: signal.Signals, tmp_path: Path
) -> None:
    large = definition("web-01", userdata=incompressible(64 * 1024))

    @in_loop
    async def test() -> None:
        async with World(tmp_path, {"web-01": large}) as world:
            machine = await world.machine("web-01")
            before = machine.tty_settings()
            machine.line.hold_after(40_000)
            process, _ = await machine.start_guest()
            await machine.line.until_held()
            process.send_signal(number)
            await process.communicate()
            assert not machine.seed.exists()
            if number is signal.SIGTERM:
                assert machine.tty_settings() == before
            machine.line.release()
            # What is left of the answer reaches the tty before, while and after the next guest opens it.
            fetched = await (await machine.begin_fetch())
            assert fetched.exit_code == 0
            assert fetched.seed["user-data"] == large["userdata"].encode()

    test()


@in_loop
async def test_a_line_that_nobody_connects_costs_the_time_that_was_given_and_no_more(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        machine = await world.machine("web-01")
        await world.crash_server()
        machine.console(b"login: ")
        began = asyncio.get_running_loop().time()
        fetched = await (await machine.begin_fetch(timeout=1))
        assert fetched.exit_code == 3
        assert asyncio.get_running_loop().time() - began < 10
        await world.start_server()
        # The line is up again, and asks again by itself.
        assert (await (await machine.begin_fetch())).exit_code == 0


# A MiB takes some 6 minutes of which half are waits; test_bad_line.py has many of them on a clock of its own.
SIZE, SECONDS = (700_000, 900.0) if long_tests.WANTED else (15_000, 60.0)


@pytest.mark.system
def test_a_line_that_loses_alters_and_doubles_bytes_a_cut_and_a_vmotion_cost_time_and_no_byte(
    tmp_path: Path,
) -> None:
    chance = random.Random(4711)
    # Hexadecimal digits: compressed, they are half of what they were.
    large = definition("web-01", userdata="#cloud-config\n# " + chance.randbytes(SIZE).hex())
    noise = Noise(1 / 2000, chatter=0.02)

    def spoil(data: bytes) -> bytes:
        return noise.spoil(data + noise.talk(chance), chance)

    async def test() -> None:
        async with World(tmp_path, {"web-01": large}) as world:
            machine = await world.machine("web-01")
            machine.line.spoil = spoil
            guest = await machine.begin_fetch()
            for upheaval in (machine.line.vmotion, world.crash_server, machine.line.abort_vmotion):
                machine.line.hold_after(SIZE // 4)
                await machine.line.until_held()
                await upheaval()
                if upheaval == world.crash_server:
                    await world.start_server()
            machine.line.release()
            fetched = await guest
        assert (fetched.exit_code, fetched.complaint) == (0, "")
        assert fetched.seed["user-data"] == large["userdata"].encode()

    in_loop(test, SECONDS)()
