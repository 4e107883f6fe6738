"""How a server begins and ends: close, start and stop, signals, systemd."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import peer
from tests.support.peer import METADATA, USERDATA, Instances, Run, ThreadSafeInstances, options, serving
from vmw_cloudinit_metadata.errors import ListenError
from vmw_cloudinit_metadata.vspc import server as server_module
from vmw_cloudinit_metadata.vspc.server import VSPCServer

ROOT = Path(__file__).parents[3]


# close()


def test_what_was_asked_is_answered_and_what_is_queued_is_sent(run: Run) -> None:
    async def test() -> None:
        driver = Instances({"userdata": "x" * 500_000})
        driver.held["web-01"] = threading.Event()
        async with serving(driver) as site:
            vms = [await site.vm(name, receive_buffer=4096) for name in ("web-01", "web-02")]
            for vm in vms:
                await vm.send(USERDATA, b"\xff\xfb\x2c")
                await vm.take(b"\xff\xfe\x2c")
            await driver.until_held()
            closing = asyncio.create_task(site.server.close())
            await asyncio.sleep(0)  # it has begun
            driver.held["web-01"].set()
            for vm in vms:
                assert len((await vm.packet()).payload) == 500_000
                assert await vm.until_closed() == b""
            await closing
        assert driver.closed == 1

    run(test())


def test_a_driver_that_hangs_does_not_keep_the_server(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        driver = Instances({})
        hung = driver.held["web-01"] = threading.Event()
        async with serving(driver, stop_seconds=0.1) as site:
            vm = await site.vm("web-01")
            await vm.send(METADATA)
            await driver.until_held()
            began = time.monotonic()
            await site.server.close()
            assert 0.1 <= time.monotonic() - began < 0.1 + 1 + 0.5
            assert await vm.until_closed() == b""
        assert driver.closed == 0
        hung.set()

    run(test())
    assert "the driver was not closed: it is still busy" in caplog.text


def test_a_peer_that_does_not_read_does_not_keep_the_server(run: Run) -> None:
    async def test() -> None:
        driver = Instances({"userdata": "x" * 3_000_000})
        async with serving(driver, stop_seconds=0.1) as site:
            deaf, other = await site.vm("web-01", receive_buffer=4096), await site.vm("web-02")
            await deaf.send(USERDATA, METADATA)
            await deaf.take(b"!!RESPONSE_USERDATA#")
            assert (await other.ask(METADATA)).code == "RESPONSE_METADATA"
            began = time.monotonic()
            await site.server.close()
            assert time.monotonic() - began < 0.1 + 1
        assert driver.closed == 1

    run(test())


def test_a_server_without_connections_closes_at_once_and_its_driver_once(run: Run) -> None:
    async def test() -> None:
        driver = ThreadSafeInstances({})
        async with serving(driver, stop_seconds=1000) as site:
            async with asyncio.timeout(peer.PATIENCE):
                await site.server.close()
                await site.server.close()
            assert driver.closed == 1

    run(test())


def test_who_connects_at_the_last_moment_is_closed_too(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({}), stop_seconds=1000) as site:
            late = [await site.connect() for _ in range(10)]
            async with asyncio.timeout(peer.PATIENCE):
                await site.server.close()
            for connection in late:
                await connection.until_closed()

    run(test())


def test_the_middle_of_a_vmotion_does_not_keep_the_server(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({}), stop_seconds=1000) as site:
            source = await site.vm("web-01")
            await source.send(peer.VMOTION_BEGIN, METADATA)
            destination = await site.connect()
            await destination.arrive(await source.go_ahead())
            await (await site.vm("web-02")).ask(METADATA)
            async with asyncio.timeout(peer.PATIENCE):
                await site.server.close()
            assert await destination.until_closed() == b""

    run(test())


# start() and stop()


@pytest.fixture(params=list(peer.LOOPS))
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The loop that ``start`` runs on."""
    monkeypatch.setattr(server_module, "_loop_factory", lambda: peer.LOOPS[request.param])
    return str(request.param)


def until_listening(server: VSPCServer, caplog: pytest.LogCaptureFixture) -> tuple[str, int]:
    """Return the address once it is logged."""
    deadline = time.monotonic() + peer.PATIENCE
    while time.monotonic() < deadline:
        for message in caplog.messages:
            if message.startswith("listening on "):
                host, _, port = message.removeprefix("listening on ").rpartition(":")
                return host, int(port)
        time.sleep(0.001)
    raise TimeoutError


@pytest.mark.usefixtures("loop")
def test_compatibility_with_008_start_serves_until_stop_is_called_from_another_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    driver = Instances({})
    server = VSPCServer(peer.URI, driver, options())
    thread = threading.Thread(target=server.start)
    thread.start()
    address = until_listening(server, caplog)
    with socket.create_connection(address, peer.PATIENCE) as vm:
        vm.sendall(peer.introduction("web-01") + METADATA)
        received = b""
        while b"!!RESPONSE_METADATA#" not in received or not received.endswith(b"\r\n"):
            received += vm.recv(65536)
        server.stop()
        while vm.recv(65536):
            pass
    thread.join(peer.PATIENCE)
    assert not thread.is_alive()
    assert driver.closed == 1
    server.stop()  # once more, of a server that has ended


@pytest.mark.usefixtures("loop")
def test_a_server_that_is_stopped_before_it_has_got_far_ends_all_the_same() -> None:
    server = VSPCServer(peer.URI, Instances({}), options())
    server.stop()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join(peer.PATIENCE)
    assert not thread.is_alive()


@pytest.mark.usefixtures("loop")
def test_start_says_that_an_address_cannot_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(ListenError, match="Address already in use"):
            VSPCServer(peer.URI, Instances({}), options(listen=(address,))).start()


def test_uvloop_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_module._loop_factory() is peer.LOOPS["uvloop"]
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert server_module._loop_factory() is asyncio.new_event_loop


# A process of its own, under signals and a supervisor

PROGRAM = """
import logging, sys
from tests.support import peer
from vmw_cloudinit_metadata import log
from vmw_cloudinit_metadata.vspc import server
class Driver(peer.Instances):
    def reload(self):
        logging.info("reload called")
        if self.options.get("error"):
            raise ValueError("hunter2")
    def close(self):
        logging.info("close called")
log.set_up("info")
server._loop_factory = lambda: peer.LOOPS[sys.argv[1]]
server.VSPCServer(peer.URI, Driver({"error": sys.argv[2:]}), peer.options()).start()
"""


class Supervised:
    """A server in a process of its own, and what it tells its supervisor."""

    def __init__(self, process: subprocess.Popen[str], notify: socket.socket) -> None:
        self.process = process
        self._notify = notify

    def told(self) -> str:
        return self._notify.recv(1024).decode()

    def end(self, number: signal.Signals) -> str:
        """Send a signal that ends it; return what it has logged."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=peer.PATIENCE)
        assert self.process.returncode == 0, errors
        assert "Traceback" not in errors
        return errors


@pytest.fixture(params=list(peer.LOOPS))
def supervised(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(peer.PATIENCE)
        processes: list[subprocess.Popen[str]] = []

        def start(*arguments: str, **environment: str) -> Supervised:
            command = [sys.executable, "-W", "error", "-c", PROGRAM, request.param, *arguments]
            environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), **environment}
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=-1, text=True))
            return Supervised(processes[0], notify)

        with ending(processes):
            yield start


@contextmanager
def ending(processes: list[subprocess.Popen[str]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_exit_0(
    supervised: Callable[..., Supervised], number: signal.Signals
) -> None:
    server = supervised()
    assert server.told() == "READY=1"
    errors = server.end(number)
    assert server.told() == "STOPPING=1"
    assert [line.split(": ", 1)[1] for line in errors.splitlines()][1:] == ["stopping", "close called"]


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [([], "reloaded"), (["error"], "the driver could not reload: ValueError in <string>:")],
)
def test_sighup_makes_the_driver_reload(
    supervised: Callable[..., Supervised], arguments: list[str], outcome: str
) -> None:
    server = supervised(*arguments)
    assert server.told() == "READY=1"
    for _ in range(2):
        server.process.send_signal(signal.SIGHUP)
        assert server.told().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert server.told() == "READY=1"
    errors = server.end(signal.SIGTERM)
    assert errors.count("reload called") == 2
    assert errors.count(outcome) == 2
    assert "hunter2" not in errors


def test_the_watchdog_is_fed_until_the_end(supervised: Callable[..., Supervised]) -> None:
    server = supervised(WATCHDOG_USEC="100000")
    assert [server.told() for _ in range(4)] == ["READY=1", *["WATCHDOG=1"] * 3]
    began = time.monotonic()
    assert server.told() == "WATCHDOG=1"
    assert time.monotonic() - began < 1
    server.end(signal.SIGTERM)
    said = server.told()
    while said == "WATCHDOG=1":
        said = server.told()
    assert said == "STOPPING=1"
