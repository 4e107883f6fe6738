"""What a server does for many VMs: drivers, limits, fairness, the log. Its end: test_server_end.py."""

import asyncio
import logging
import re
import resource
import socket
import threading
import time
from typing import Any

import pytest

from tests.support import peer, version2
from tests.support.peer import (
    METADATA,
    NETWORKDATA,
    USERDATA,
    Instances,
    Peer,
    Run,
    ThreadSafeInstances,
    serving,
)
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import ListenError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.server import DEFAULT_PORT, ServerOptions, VSPCServer
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer

SECRET = "hunter2"


def logged(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """What was logged at this level, without the peer's address."""
    messages = [record.getMessage() for record in caplog.records if record.levelname == level]
    return [re.sub(r"127\.0\.0\.1:\d+", "PEER", message) for message in messages]


# Drivers at work


def test_a_driver_is_asked_once_for_the_documents_of_one_boot_and_not_in_the_loop(run: Run) -> None:
    async def test() -> None:
        driver = Instances({})
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            await vm.send(METADATA, NETWORKDATA, USERDATA)
            codes = [(await vm.packet()).code for _ in range(3)]
        assert codes == ["RESPONSE_METADATA", "RESPONSE_NETWORKDATA", "RESPONSE_USERDATA"]
        assert driver.asked == ["web-01"]
        assert driver.threads == ["driver-0"] != [threading.current_thread().name]

    run(test())


def test_a_thread_safe_driver_that_is_slow_for_one_vm_delays_no_other(run: Run) -> None:
    async def test() -> None:
        driver = ThreadSafeInstances({})
        driver.held["slow"] = threading.Event()
        async with serving(driver) as site:
            slow, other = await site.vm("slow"), await site.vm("web-01")
            await slow.send(METADATA)
            await driver.until_held()
            assert (await other.ask(METADATA)).code == "RESPONSE_METADATA"
            driver.held["slow"].set()
            assert (await slow.packet()).code == "RESPONSE_METADATA"
        assert driver.most_at_once == 2

    run(test())


def test_a_driver_that_is_not_thread_safe_is_never_asked_twice_at_once(run: Run) -> None:
    async def test() -> None:
        driver = Instances({})
        driver.held["slow"] = threading.Event()
        async with serving(driver) as site:
            vms = [await site.vm(name) for name in ("slow", "web-01", "web-02", "web-03")]
            await vms[0].send(METADATA)
            await driver.until_held()
            for vm in vms[1:]:
                await vm.send(METADATA)
            assert driver.asked == ["slow"]
            driver.held["slow"].set()
            for vm in vms:
                assert (await vm.packet()).code == "RESPONSE_METADATA"
        assert sorted(driver.asked) == ["slow", "web-01", "web-02", "web-03"]
        assert driver.most_at_once == 1

    run(test())


def test_a_vm_that_leaves_while_the_driver_is_busy_with_it_disturbs_no_other(run: Run) -> None:
    async def test() -> None:
        driver = Instances({})
        driver.held["slow"] = threading.Event()
        async with serving(driver) as site:
            slow, other = await site.vm("slow"), await site.vm("web-01")
            await slow.send(METADATA)
            await driver.until_held()
            slow.end_stream()
            await slow.until_closed()
            await other.send(METADATA)
            driver.held["slow"].set()
            assert (await other.packet()).code == "RESPONSE_METADATA"

    run(test())


class Failing(Instances):
    """A driver that raises, for the VM "bad" and in the method it is told."""

    def fail(self, method: str, vm_name: str = "bad") -> None:
        if self.options["in"] == method and vm_name == "bad":
            raise self.options.get("error", ValueError)(SECRET)

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        self.fail("new_client", vm_name)
        client = super().new_client(vm_name, writer)
        if self.options["in"] == "process_packets" and vm_name == "bad":
            client.process_packets = self.process_packets  # type: ignore[method-assign]
        return client

    async def process_packets(self, code: str, data: str) -> None:
        self.fail("process_packets")

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        self.fail("get_instance", vm_client.vm_name)
        return super().get_instance(vm_client)

    def close(self) -> None:
        self.fail("close")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("new_client", ValueError),
        ("process_packets", ValueError),
        ("get_instance", ValueError),
        ("get_instance", StopIteration),
        ("get_instance", SystemExit),
        ("close", ValueError),
        ("close", SystemExit),
    ],
)
def test_a_driver_that_raises_harms_no_other_vm_and_its_words_stay_unsaid(
    run: Run, method: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Failing({"in": method, "error": error})) as site:
            bad, good = await site.connect(), await site.vm("web-01")
            await bad.send(peer.introduction("bad"), METADATA, b"\xff\xfb\x2c")
            if method == "new_client":
                await bad.until_closed()
            else:
                await bad.take(b"\xff\xfe\x2c")  # the answer to what came after the request
            assert (await good.ask(METADATA)).code == "RESPONSE_METADATA"

    caplog.set_level(logging.DEBUG)
    run(test())
    (line,) = logged(caplog, "ERROR")
    assert re.search(rf"(ValueError|RuntimeError) in {re.escape(__file__)}:\d+$", line)
    assert SECRET not in caplog.text


# Limits


def test_connections_over_the_limit_are_refused_until_one_ends(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), max_connections=2) as site:
            first, second = await site.vm("web-01"), await site.connect()
            for _ in range(3):
                assert await (await site.connect()).until_closed() == b""
            assert (await first.ask(METADATA)).code == "RESPONSE_METADATA"
            second.end_stream()
            await second.until_closed()
            third = await site.vm("web-03")
            assert (await third.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())
    # However many are refused, the log takes a line every ten seconds.
    assert logged(caplog, "WARNING") == ["refused 1 connection: 2 connections are open, which is the limit"]


def test_connections_over_the_limit_of_their_address_are_refused(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        listen = ("127.0.0.1", 0), ("::1", 0)
        async with serving(Instances({}), max_connections_per_address=1, listen=listen) as site:
            here = await site.vm("web-01")
            assert await (await site.connect()).until_closed() == b""
            there = await site.vm("web-02", address=site.addresses[1])
            assert (await there.ask(METADATA)).code == "RESPONSE_METADATA"
            here.end_stream()
            await here.until_closed()
            assert (await (await site.vm("web-03")).ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())
    (line,) = logged(caplog, "WARNING")
    assert line == "refused 1 connection: 1 connections of 127.0.0.1 are open, which is the limit"


@pytest.mark.parametrize(("soft", "most"), [(1024, 960), (10, 1)])
def test_by_default_the_limit_is_what_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert VSPCServer(peer.URI, Instances({}))._admission.most == most


# Fairness


def flood(address: tuple[str, int], *data: bytes) -> threading.Thread:
    """Send this from another thread, each piece as a write of its own, and read what comes meanwhile."""

    def work() -> None:
        with socket.create_connection(address) as rude:
            rude.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in data:
                rude.sendall(piece)
            rude.shutdown(socket.SHUT_WR)
            while rude.recv(65536):
                pass

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "data",
    [
        [peer.introduction("rude") + b"x" * 8_000_000],
        [b"x" * 8_000_000],
        [b"\xff\xfd\x63\xff\xfb\x64" * 5] * 5000,
        [b"\xff\xfd\x63" * 100_000],
    ],
    ids=["8 MB without a line end", "8 MB before it is known", "5,000 reads of options", "options in bulk"],
)
def test_a_flood_delays_no_other_vm(run: Run, data: list[bytes]) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.vm("web-01")
            # The driver is asked here, once for the run: how soon its thread gets a turn is not of the loop.
            await ask_in_a_run(vm)
            slowest, rounds = 0.0, 0
            rude = flood(site.addresses[0], *data)
            while rude.is_alive() or not rounds:
                asked = time.thread_time()  # of the loop's work: how busy the machine is does not matter
                await ask_in_a_run(vm)
                slowest = max(slowest, time.thread_time() - asked)
                rounds += 1
            rude.join()
            assert slowest < 0.2

    run(test())


async def ask_in_a_run(vm: Peer) -> None:
    """Ask for metadata in one run of version 2, and wait for the answer."""
    await vm.send(version2.line(version2.request("metadata")))
    await vm.take(b"\r\n")
    assert version2.read(await vm.packet()).status == "ok"


# Listening


def test_a_second_server_on_a_port_is_told_so_and_leaves_nothing_open(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            host, port = site.addresses[0]
            second = VSPCServer(
                peer.URI, Instances({}), peer.options(listen=(("127.0.0.1", 0), (host, port)))
            )
            with pytest.raises(ListenError) as raised:
                await second.listen()
            assert str(raised.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"
            assert (await (await site.vm("web-01")).ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


def test_a_server_listens_on_all_its_addresses(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving(Instances({}), listen=(("127.0.0.1", 0), ("::1", 0), ("127.0.0.1", 0))) as site:
            assert [host for host, _ in site.addresses] == ["127.0.0.1", "::1", "127.0.0.1"]
            for address in site.addresses:
                vm = await site.vm("web-01", address=address)
                assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"
            assert caplog.messages[1] == f"listening on [::1]:{site.addresses[1][1]}"
            assert any(re.match(r"\[::1\]:\d+ web-01: connected", text) for text in caplog.messages)

    caplog.set_level(logging.INFO)
    run(test())


def test_by_default_every_address_is_listened_on() -> None:
    assert ServerOptions().listen == (("", DEFAULT_PORT),)
    assert DEFAULT_PORT == 13370


# The log


def test_a_vm_that_connects_is_served_and_leaves_is_three_lines(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.vm("web-01")
            for request in (METADATA, NETWORKDATA, USERDATA, METADATA):
                await vm.ask(request)
            vm.end_stream()
            await vm.until_closed()

    caplog.set_level(logging.INFO)
    run(test())
    _, connected, served, left = logged(caplog, "INFO")
    uuid = "684c916c-5f6c-4c2f-aa50-dfd661a22e0d"
    assert connected == f"PEER web-01: connected, vc-uuid {uuid}, bios-uuid {uuid}"
    assert re.fullmatch(r"PEER web-01: REQUEST_METADATA answered in 0\.\d{3} s, \d+ bytes", served)
    assert left == "PEER web-01: disconnected"


def test_a_vm_cannot_forge_a_line_of_the_log_and_no_payload_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({"userdata": SECRET})) as site:
            vm = await site.vm("a\nINFO root: forged %s")
            await vm.send(b"!!REQUEST_HUNTER2#aHVudGVyMg==\n", b"aHVudGVyMg==\n", b"!!X#hunter2\n")
            assert (await vm.ask(USERDATA)).payload == SECRET.encode()

    caplog.set_level(logging.DEBUG)
    run(test())
    assert len(caplog.messages) > 20
    assert all("\n" not in message for message in caplog.messages)
    for text in (SECRET, "aHVudGVyMg", str(SECRET.encode())):
        assert text not in caplog.text


def test_a_vmotion_is_two_lines(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source, destination = await site.vm("web-01"), await site.connect()
            await source.send(peer.VMOTION_BEGIN)
            await destination.arrive(await source.go_ahead())
            source.end_stream()
            await source.until_closed()
            await destination.send(peer.VMOTION_COMPLETE)
            await destination.ask(USERDATA)

    caplog.set_level(logging.INFO)
    run(test())
    assert logged(caplog, "INFO")[2:4] == [
        "PEER web-01: vMotion began",
        "PEER web-01: vMotion completed, came from PEER",
    ]


class Field(Driver):
    """A driver as 0.0.8 had them: two methods and nothing more."""

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        return opts

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        return None


def test_a_vm_without_an_instance_is_not_answered(run: Run) -> None:
    async def test() -> None:
        async with serving(Field({})) as site:
            vm = await site.vm("web-01")
            await vm.send(METADATA, USERDATA, b"\xff\xfb\x2c")
            assert b"RESPONSE" not in await vm.take(b"\xff\xfe\x2c")
            while site.server._sessions and any(each.task for each in site.server._sessions.values()):
                await asyncio.sleep(0)
            vm.end_stream()
            assert await vm.until_closed() == b""

    run(test())
