"""A peer that does not read: what it makes the server hold, and for how long."""

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import peer
from tests.support.peer import METADATA, USERDATA, Instances, Run, serving
from tests.support.tls import connect, write_certificate
from vmw_cloudinit_metadata.vspc.protocol import SEND_BUFFER, SEND_PIECE, VSPCProtocol
from vmw_cloudinit_metadata.vspc.server import ServerOptions, VSPCServer
from vmw_cloudinit_metadata.vspc.tls import Certificate

UNREAD_SECONDS = 120.0

# What base64 and the line make of user-data.
LARGE = 1_500_000
LARGEST_ANSWER = LARGE * 4 // 3 + 100

CLOSED = r"WARNING 127\.0\.0\.1:\d+ web-01: closed: has read none of its output for [\d.]+ s"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


# By real sockets


@pytest.mark.parametrize("tls", [False, True], ids=["telnet", "telnets"])
def test_a_vm_that_asks_and_does_not_read_is_dropped_in_time_and_the_operator_told(
    run: Run, tls: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {}
    if tls:
        certificate = Certificate(write_certificate(tmp_path))
        options = {"listen": (), "tls_listen": (("127.0.0.1", 0),), "certificate": certificate}

    async def test() -> None:
        driver = Instances({"userdata": "x" * LARGE})
        async with serving(driver, unread_seconds=0.1, **options) as site:
            vm = await (connect if tls else type(site).connect)(site, receive_buffer=4096)
            await vm.send(peer.introduction("web-01"))
            await vm.take(peer.WILL_PROXY)
            await vm.send(USERDATA)
            async with asyncio.timeout(peer.PATIENCE):
                await site.server._empty.wait()
            assert not site.server._sessions

    run(test())
    long, line = warnings(caplog)
    assert "on a line of 115200 baud" in long
    assert re.fullmatch(CLOSED, line)


def test_a_vm_that_does_not_read_holds_no_more_than_is_stated_however_much_it_asks(run: Run) -> None:
    async def test() -> None:
        driver = Instances({"userdata": "x" * LARGE})
        async with serving(driver, max_unsent=1000) as site:
            vm, other = await site.vm("web-01", receive_buffer=4096), await site.vm("web-02")
            (protocol,) = [each for each in site.server._protocols if each.logger.vm == "web-01"]
            await vm.send(*(request for _ in range(100) for request in (USERDATA, METADATA)))
            await vm.take(b"!!RESPONSE_USERDATA#")
            # Between these a client may answer whatever it can, and then waits for room.
            for _ in range(3):
                assert (await other.ask(METADATA)).code == "RESPONSE_METADATA"
            held = protocol.core.port.unsent + protocol.transport.get_write_buffer_size()
            # The escaped form of a piece is at most twice as long.
            assert LARGE / 2 < held < 1000 + LARGEST_ANSWER + SEND_BUFFER + 2 * SEND_PIECE

    run(test())


# By a clock of the test's


class Clockwork:
    """The server's loop, whose timers go off when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now = 0.0
        self._timers: list[tuple[float, asyncio.Handle]] = []

    def call_later(self, seconds: float, call: Callable[..., object], *arguments: Any) -> asyncio.Handle:
        handle = asyncio.Handle(call, arguments, self._loop)
        self._timers.append((self._now + seconds, handle))
        return handle

    def advance(self, seconds: float) -> None:
        self._now += seconds
        due = [timer for timer in self._timers if timer[0] <= self._now]
        self._timers = [timer for timer in self._timers if timer not in due]
        for _, handle in due:
            if not handle.cancelled():
                handle._run()

    @property
    def pending(self) -> int:
        return sum(not handle.cancelled() for _, handle in self._timers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Wire(asyncio.Transport):
    """A transport that holds as many bytes as the test says, and whether it was aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = 0
        self.aborted = False
        self.written = b""
        self.limit: int | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5000) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limit = high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.aborted = True


class Stage:
    """A server with a clock of its own, and connections to it that are none."""

    def __init__(self, server: VSPCServer) -> None:
        self.server = server
        self.clock = Clockwork(server.loop)
        server.loop = self.clock  # type: ignore[assignment]

    def connection(self, *said: bytes) -> tuple[VSPCProtocol, Wire]:
        wire, protocol = Wire(), VSPCProtocol(self.server)
        protocol.connection_made(wire)
        say(protocol, *said)
        return protocol, wire


def say(protocol: VSPCProtocol, *said: bytes) -> None:
    for data in said:
        protocol.get_buffer(-1)[: len(data)] = data
        protocol.buffer_updated(len(data))


def staged(test: Callable[[Stage], None]) -> None:
    async def run() -> None:
        async with serving(Instances({}), unread_seconds=UNREAD_SECONDS) as site:
            loop = site.server.loop
            stage = Stage(site.server)
            try:
                test(stage)
            finally:
                site.server.loop = loop
                for protocol in list(site.server._protocols):
                    protocol.connection_lost(None)

    peer.run("asyncio", run())


def test_who_takes_nothing_has_its_time_and_no_more() -> None:
    def test(stage: Stage) -> None:
        protocol, wire = stage.connection(peer.introduction("web-01"))
        wire.unread = 20_000
        protocol.pause_writing()
        stage.clock.advance(UNREAD_SECONDS - 1)
        assert not wire.aborted
        stage.clock.advance(1)
        assert wire.aborted

    staged(test)


def test_who_takes_a_byte_in_time_stays_however_slow_it_is() -> None:
    def test(stage: Stage) -> None:
        protocol, wire = stage.connection(peer.introduction("web-01"))
        wire.unread = 20_000
        protocol.pause_writing()
        for _ in range(100):
            wire.unread -= 1
            stage.clock.advance(UNREAD_SECONDS)
            assert not wire.aborted
        stage.clock.advance(UNREAD_SECONDS)
        assert wire.aborted

    staged(test)


def test_who_reads_again_has_its_whole_time_the_next_time() -> None:
    def test(stage: Stage) -> None:
        protocol, wire = stage.connection(peer.introduction("web-01"))
        before = stage.clock.pending
        for _ in range(3):
            wire.unread = 20_000
            protocol.pause_writing()
            assert stage.clock.pending == before + 1
            stage.clock.advance(UNREAD_SECONDS - 1)
            wire.unread = 0
            protocol.resume_writing()
            assert stage.clock.pending == before
        stage.clock.advance(10 * UNREAD_SECONDS)
        assert not wire.aborted

    staged(test)


def test_a_vm_that_stands_still_in_its_vmotion_has_as_long_as_the_vmotion() -> None:
    def test(stage: Stage) -> None:
        protocol, wire = stage.connection(peer.introduction("web-01"))
        say(protocol, peer.VMOTION_BEGIN)
        wire.unread = 20_000
        protocol.pause_writing()
        for _ in range(3):
            stage.clock.advance(UNREAD_SECONDS)
            assert not wire.aborted
        say(protocol, peer.VMOTION_ABORT)
        stage.clock.advance(UNREAD_SECONDS)
        assert wire.aborted

    staged(test)


def test_a_source_whose_vm_has_moved_away_has_no_more_than_its_time() -> None:
    def test(stage: Stage) -> None:
        protocol, wire = stage.connection(peer.introduction("web-01"))
        say(protocol, peer.VMOTION_BEGIN)
        token = wire.written.rpartition(b"\xff\xfa\xe8\x29")[2].removesuffix(b"\xff\xf0")
        wire.unread = 20_000
        protocol.pause_writing()
        destination, other = stage.connection(
            b"\xff\xfa\xe8\x2c" + token + b"\xff\xf0", peer.VMOTION_COMPLETE
        )
        assert destination.core.port.identity
        stage.clock.advance(UNREAD_SECONDS)
        assert (wire.aborted, other.aborted) == (True, False)

    staged(test)


def test_the_time_ends_with_the_connection() -> None:
    def test(stage: Stage) -> None:
        before = stage.clock.pending
        protocol, wire = stage.connection(peer.introduction("web-01"))
        wire.unread = 20_000
        protocol.pause_writing()
        protocol.connection_lost(None)
        assert stage.clock.pending == before
        stage.clock.advance(UNREAD_SECONDS)

    staged(test)


def test_the_time_is_an_option_of_two_minutes() -> None:
    assert ServerOptions().unread_seconds == UNREAD_SECONDS


# Guards of the transport's buffer


def test_the_transports_buffer_is_told_to_stay_small() -> None:
    def test(stage: Stage) -> None:
        _, wire = stage.connection()
        assert wire.limit == SEND_BUFFER

    staged(test)


def test_nothing_is_written_behind_a_buffer_that_is_full_before_the_transport_has_said_so() -> None:
    """Uvloop writes at the end of its turn: until then its buffer alone tells."""

    def test(stage: Stage) -> None:
        protocol, wire = stage.connection(peer.introduction("web-01"))
        wire.unread = SEND_BUFFER + 1
        written = wire.written
        say(protocol, b"\xff\xfb\x2c")  # WILL COM-PORT
        assert wire.written == written
        wire.unread = 0
        protocol.flush()
        assert wire.written == written + b"\xff\xfe\x2c"

    staged(test)


def test_a_vm_that_is_known_may_be_silent_for_ever() -> None:
    def test(stage: Stage) -> None:
        _, wire = stage.connection(peer.introduction("web-01"))
        assert stage.clock.pending == 0
        stage.clock.advance(1e6)
        assert not wire.aborted

    staged(test)


# TLS where there is none


def test_a_host_that_speaks_tls_to_a_port_that_does_not_is_closed_at_once_and_the_operator_told(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.vm("web-01")
            host = await site.connect()
            await host.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)))
            await host.until_closed()
            assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())
    (line,) = warnings(caplog)
    assert re.fullmatch(
        r"WARNING 127\.0\.0\.1:\d+: closed: speaks TLS, and this port does not: is its vSPC URI telnet://\?",
        line,
    )


def test_that_byte_is_data_like_any_other_once_a_host_has_spoken(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.vm("web-01")
            await vm.send(b"\x16\x03\x01")
            assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())
    assert warnings(caplog) == []
