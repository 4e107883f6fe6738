"""One connection and its transport: whose address it has, and that its end counts once."""

import asyncio
import logging
import re
import socket
from typing import Any

import pytest

from tests.support import peer
from tests.support.peer import Instances, Run, serving
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

    def write(self, data: Any) -> None:
        self.written = getattr(self, "written", b"") + bytes(data)

    def abort(self) -> None:
        pass


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
                data = b"\xff\xfa\xe8\x2c" + token + b"\xff\xf0"
                protocol.get_buffer(-1)[: len(data)] = data
                protocol.buffer_updated(len(data))
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
