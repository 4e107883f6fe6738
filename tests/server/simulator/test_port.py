import asyncio
import contextlib
import os
import socket
import stat
import termios
import tty
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.simulator.scripted_vspc import Caller, listening
from tests.support.loop import in_loop
from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator import SimulatedVM
from vmw_cloudinit_metadata.simulator.port import PtyPort, SerialPort, UnixPort, until_first

# 200 KiB with every byte there is, and the troublesome ones together.
DATA = (bytes(range(256)) + b"\xff\xff\xff\r\x00\r\n\x11\x13\x00") * 770
ON_THE_WIRE = DATA.replace(b"\xff", b"\xff\xff")


@contextlib.asynccontextmanager
async def bridged(port: SerialPort) -> AsyncIterator[Caller]:
    """Bridge a port to a server that serves it."""
    async with listening() as server:
        web_01 = SimulatedVM("web-01", "my-metadata", port=server.port)
        starting = asyncio.create_task(web_01.start())
        caller = await server.caller()
        await caller.serve(binary=True)
        await starting
        bridging = asyncio.create_task(port.bridge(web_01))
        try:
            yield caller
        finally:
            bridging.cancel()
            await asyncio.gather(bridging, return_exceptions=True)
            await web_01.close()


class Guest:
    """Whoever has opened the slave: raw, in blocking calls that run in a thread."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.descriptor)

    async def write(self, data: bytes) -> None:
        def write_all() -> None:
            rest = data
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

        await asyncio.to_thread(write_all)

    async def expect(self, expected: bytes) -> None:
        def read_all() -> bytes:
            data = b""
            while len(data) < len(expected):
                data += os.read(self.descriptor, len(expected) - len(data))
            return data

        assert await asyncio.to_thread(read_all) == expected

    def close(self) -> None:
        os.close(self.descriptor)


@in_loop
async def test_a_pty_carries_every_byte_both_ways_at_once() -> None:
    with PtyPort() as port:
        async with bridged(port) as caller:
            guest = Guest(port.path)
            await asyncio.gather(
                guest.write(DATA), caller.expect(ON_THE_WIRE), caller.send(ON_THE_WIRE), guest.expect(DATA)
            )
            guest.close()


@in_loop
async def test_a_guest_may_close_and_open_its_port_again() -> None:
    with PtyPort() as port:
        async with bridged(port) as caller:
            for _ in range(3):
                guest = Guest(port.path)
                await guest.write(b"!!REQUEST_METADATA#\n")
                await caller.expect(b"!!REQUEST_METADATA#\n")
                await caller.send(b"!!RESPONSE_METADATA#\r\n")
                await guest.expect(b"!!RESPONSE_METADATA#\r\n")
                guest.close()


@in_loop
async def test_a_pty_is_left_cooked_and_echoing_as_at_boot() -> None:
    with PtyPort() as port:
        descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
        local_flags = termios.tcgetattr(descriptor)[3]
        os.close(descriptor)
        assert local_flags & termios.ECHO
        assert local_flags & termios.ICANON
        async with bridged(port) as caller:
            await caller.send(b"echo\n")
            await caller.expect(b"echo\r\n")


def test_a_link_leads_to_the_pty_and_is_removed(tmp_path: Path) -> None:
    link = tmp_path / "web-01.tty"
    with PtyPort(link) as port:
        assert port.path == str(link)
        assert stat.S_ISCHR(link.stat().st_mode)
    assert not link.is_symlink()


def test_a_link_that_a_killed_run_left_behind_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "web-01.tty"
    link.symlink_to("/dev/pts/99999")
    with PtyPort(link):
        assert link.is_char_device()


def test_a_link_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "web-01.tty"
    with PtyPort(link):
        link.unlink()
        link.symlink_to("/dev/pts/99999")
    assert link.is_symlink()


def test_a_file_in_the_place_of_the_link_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(SimulatorError, match=r"cannot link .* to a pty: File exists"), PtyPort(path):
            pass
    assert link.read_text() == "mine"


@in_loop
async def test_a_unix_socket_carries_every_byte_both_ways_at_once(tmp_path: Path) -> None:
    with UnixPort(tmp_path / "web-01.sock") as port:
        async with bridged(port) as caller:
            reader, writer = await asyncio.open_unix_connection(port.path)
            writer.write(DATA)
            await asyncio.gather(writer.drain(), caller.expect(ON_THE_WIRE), caller.send(ON_THE_WIRE))
            assert await reader.readexactly(len(DATA)) == DATA
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("killed", [False, True])
def test_the_next_qemu_is_served_when_the_first_has_gone(killed: bool, tmp_path: Path) -> None:
    @in_loop
    async def test() -> None:
        with UnixPort(tmp_path / "web-01.sock") as port:
            async with bridged(port) as caller:
                first_reader, first = await asyncio.open_unix_connection(port.path)
                _, second = await asyncio.open_unix_connection(port.path)
                second.write(b"second")
                first.write(b"first, ")
                await caller.expect(b"first, ")
                await caller.send(b"unread")
                if not killed:
                    assert await first_reader.readexactly(6) == b"unread"
                first.transport.abort()
                await caller.expect(b"second")
                second.close()

    test()


def test_a_unix_socket_is_ours_alone_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "web-01.sock"
    with UnixPort(path):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()


def test_a_unix_socket_that_a_killed_run_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "web-01.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with UnixPort(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_unix_socket_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "web-01.sock"
    with UnixPort(path):
        path.rename(tmp_path / "kept, so that its inode is not used again")
        path.touch()
    assert path.exists()


def test_a_path_that_cannot_be_listened_on_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("mine")
    used = tmp_path / "used"
    for path, reason in [
        (file, "Address already in use"),
        (tmp_path / "none" / "socket", "No such file or directory"),
        (tmp_path / ("x" * 120), "AF_UNIX path too long"),
        (used, "another program does"),
    ]:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
            if path is used:
                other.bind(str(used))
                other.listen()
            with pytest.raises(SimulatorError, match=f"^cannot listen on {path}: {reason}$"), UnixPort(path):
                pass
    assert file.read_text() == "mine"


@in_loop
async def test_the_first_failure_ends_what_runs_beside_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise SimulatorError("no more")

    with pytest.raises(SimulatorError, match="no more"):
        await until_first(work(), fail())
    assert ended.is_set()
