"""One connection and its transport: whose address it has, and that its end counts once."""

import asyncio
import gc
import logging
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import peer
from tests.support.peer import Instances, Run, serving
from vmw_cloudinit_metadata.vspc import server as server_module
from vmw_cloudinit_metadata.vspc.protocol import VSPCProtocol


class Wire(asyncio.Transport):
    """A transport that is told when its connection ends, as no loop would tell it."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 5000) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def abort(self) -> None:
        pass


def receive(protocol: VSPCProtocol, *data: bytes) -> None:
    """Let each be what one read brings."""
    for each in data:
        protocol.get_buffer(-1)[: len(each)] = each
        protocol.buffer_updated(len(each))


# What the server opens with: WILL BINARY, WILL SGA, DO BINARY, DO SGA, DO 232.
OPENING = b"\xff\xfb\x00\xff\xfb\x03\xff\xfd\x00\xff\xfd\x03\xff\xfd\xe8"


def test_a_handshake_takes_a_write_for_each_read_that_asks_for_something(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            protocol, wire = VSPCProtocol(site.server), Wire()
            protocol.connection_made(wire)
            assert wire.writes == []
            receive(protocol, peer.WILL_AUTHENTICATION)
            assert wire.writes == [OPENING + peer.DONT_AUTHENTICATION]
            receive(protocol, peer.AGREE)
            assert len(wire.writes) == 1
            receive(protocol, peer.KNOWN_SUBOPTIONS_1 + peer.DO_PROXY)
            assert len(wire.writes) == 2
            assert wire.writes[1].endswith(peer.WILL_PROXY)
            receive(protocol, peer.introduction("web-01"))
            assert len(wire.writes) == 3
            protocol.connection_lost(None)

    run(test())


@pytest.fixture
def garbage() -> Iterator[Callable[[], set[str]]]:
    """Return what says which classes of ours only the garbage collector has found since the test began."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def find() -> set[str]:
        gc.collect()
        types = {type(each) for each in gc.garbage}
        return {each.__name__ for each in types if each.__module__.startswith("vmw_cloudinit")}

    yield find
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def test_what_a_vm_leaves_is_freed_without_the_garbage_collector(
    run: Run, garbage: Callable[[], set[str]]
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            protocol = VSPCProtocol(site.server)
            protocol.connection_made(Wire())
            receive(protocol, peer.introduction("web-01"), peer.METADATA)
            (session,) = site.server._sessions.values()
            while session.task:
                await asyncio.wait([session.task])
            protocol.eof_received()
            protocol.connection_lost(None)
            del protocol, session
            await asyncio.sleep(0)
            assert garbage() == set()

    run(test())


def test_the_garbage_collector_looks_at_what_is_new_after_so_many_events(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        looked: list[int] = []
        monkeypatch.setattr(server_module, "GARBAGE_EVENTS", 8)
        async with serving(Instances({})) as site:
            monkeypatch.setattr(gc, "collect", looked.append)
            protocols = [VSPCProtocol(site.server) for _ in range(7)]
            for number, protocol in enumerate(protocols):
                protocol.connection_made(Wire())
                receive(protocol, peer.introduction(f"web-{number}"))  # an event each
            await asyncio.sleep(0)
            assert looked == []
            for protocol in protocols:
                protocol.connection_lost(None)
            await asyncio.sleep(0)
            assert looked == [1]
            monkeypatch.undo()

    run(test())


def test_a_host_that_waits_for_the_server_is_spoken_to(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.connect()
            await vm.take(OPENING)
            await vm.send(peer.WILL_AUTHENTICATION)
            await vm.take(peer.DONT_AUTHENTICATION)

    run(test())


def test_a_host_that_has_gone_is_not_spoken_to(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            protocol, wire = VSPCProtocol(site.server), Wire()
            protocol.connection_made(wire)
            protocol.eof_received()
            protocol.connection_lost(None)
            vm = await site.connect()
            await vm.take(OPENING)
            assert wire.writes == []

    run(test())


def test_the_end_of_a_stream_counts_once(run: Run) -> None:
    """Between a destination's FIN and the loss of its connection another may take the token it freed."""

    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.vm("web-01")
            await source.send(peer.VMOTION_BEGIN)
            token = (await source.go_ahead()).replace(b"\xff", b"\xff\xff")
            first, second, third = [(VSPCProtocol(site.server), Wire()) for _ in range(3)]

            def show_token(protocol: VSPCProtocol, wire: Wire) -> bytes:
                protocol.connection_made(wire)
                receive(protocol, b"\xff\xfa\xe8\x2c" + token + b"\xff\xf0")
                return wire.written

            assert peer.VMOTION_PEER_OK in show_token(*first)
            first[0].eof_received()
            assert peer.VMOTION_PEER_OK in show_token(*second)
            first[0].connection_lost(None)
            assert peer.VMOTION_PEER_OK not in show_token(*third)
            for protocol, _ in (second, third):
                protocol.connection_lost(None)

    run(test())


def test_an_ipv4_peer_has_its_own_address_on_a_socket_for_both(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        async with serving(Instances({}), inherited=((both.detach(), "for both"),)) as site:
            vm = await site.connect(("127.0.0.1", site.addresses[0][1]))
            await vm.take(b"\xff\xfd\xe8")
            assert site.server._admission._by_address == {"127.0.0.1": 1}

    caplog.set_level(logging.DEBUG)
    run(test())
    assert re.search(r" 127\.0\.0\.1:\d+: connected", caplog.text)
