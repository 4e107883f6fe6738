"""A session moves with its VM: the whole dance of vMotion, through the server."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from tests.support import peer
from tests.support.peer import METADATA, NETWORKDATA, USERDATA, Instances, Run, serving
from vmw_cloudinit_metadata.vspc import server as server_module
from vmw_cloudinit_metadata.vspc import vmotion as vmotion_module
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer
from vmw_cloudinit_wire import Packet, decode


@asynccontextmanager
async def moving(
    site: peer.Site, name: str = "web-01", source: peer.Peer | None = None
) -> AsyncIterator[tuple[peer.Peer, peer.Peer]]:
    """Bring a VM up to PEER-OK; give its source and its destination."""
    source = source or await site.vm(name)
    await source.send(peer.VMOTION_BEGIN)
    token = await source.go_ahead()
    destination = await site.connect()
    await destination.arrive(token)
    yield source, destination


class Clients(Instances):
    """Remembers the clients it made."""

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        client = super().new_client(vm_name, writer)
        self.options.setdefault("clients", []).append(client)
        return client


def test_a_vm_that_has_moved_is_served_by_the_same_client(run: Run) -> None:
    async def test() -> None:
        driver = Clients({})
        async with serving(driver) as site, moving(site) as (source, destination):
            source.end_stream()
            await destination.send(peer.VMOTION_COMPLETE, METADATA)
            assert (await destination.packet()).code == "RESPONSE_METADATA"
            (client,) = driver.options["clients"]
            host, port = client.writer.get_extra_info("peername")
            assert (host, port) == destination.socket.getsockname()

    run(test())


def test_the_label_of_a_port_is_in_every_line_of_its_session(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.connect()
            labelled = peer.DO_PROXY.replace(b"metadata", b"metadata?port=2")
            await source.send(peer.introduction("web-01").replace(peer.DO_PROXY, labelled))
            await source.take(peer.WILL_PROXY)
            async with moving(site, source=source) as (_, destination):
                await destination.send(peer.VMOTION_COMPLETE)
                await destination.ask(METADATA)
                destination.end_stream()
                await destination.until_closed()

    caplog.set_level(logging.INFO)
    run(test())
    lines = [text.partition(" web-01")[2] for text in caplog.messages if " web-01" in text]
    assert [line.partition(",")[0].partition(" in ")[0] for line in lines] == [
        " port 2: connected",
        " port 2: vMotion began",
        " port 2: vMotion completed",
        " port 2: REQUEST_METADATA answered",
        " port 2: disconnected",
    ]


def test_a_source_may_end_before_complete(run: Run) -> None:
    async def test() -> None:
        driver = Clients({})
        async with serving(driver) as site, moving(site) as (source, destination):
            source.end_stream()
            assert await source.until_closed() == b""
            await destination.send(peer.VMOTION_COMPLETE)
            assert (await destination.ask(METADATA)).code == "RESPONSE_METADATA"
            assert len(driver.options["clients"]) == 1

    run(test())


def test_an_answer_in_the_middle_of_a_vmotion_arrives_whole_over_both_connections(run: Run) -> None:
    userdata = "x" * 1_000_000

    async def test() -> None:
        async with serving(Instances({"userdata": userdata})) as site:
            source = await site.vm("web-01", receive_buffer=4096)
            await source.send(USERDATA)
            first = await source.take(b"!!RESPONSE_USERDATA#")
            first += source.received
            source.received = b""
            async with moving(site, source=source) as (_, destination):
                # All that the source still got came before GOAHEAD.
                await destination.send(peer.VMOTION_COMPLETE)
                rest = await destination.take(b"\r\n")
            whole = decode(first + source.before_go_ahead + rest)
            assert len(source.before_go_ahead) < 300_000
            assert whole == Packet("RESPONSE_USERDATA", userdata.encode())

    run(test())


def test_half_a_request_moves_with_the_vm(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.vm("web-01")
            await source.send(METADATA[:9])
            async with moving(site, source=source) as (_, destination):
                await destination.send(peer.VMOTION_COMPLETE, METADATA[9:])
                assert (await destination.packet()).code == "RESPONSE_METADATA"

    run(test())


def test_an_answer_made_during_a_vmotion_waits_for_the_destination(run: Run) -> None:
    async def test() -> None:
        driver = Instances({})
        driver.held["web-01"] = threading.Event()
        async with serving(driver) as site:
            source = await site.vm("web-01")
            await source.send(METADATA)
            await driver.until_held()
            async with moving(site, source=source) as (_, destination):
                driver.held["web-01"].set()
                # The one worker answers another VM after it: the answer is made by then.
                assert (await (await site.vm("web-02")).ask(METADATA)).code == "RESPONSE_METADATA"
                source.end_stream()
                assert await source.until_closed() == b""
                await destination.send(peer.VMOTION_COMPLETE)
                assert (await destination.packet()).code == "RESPONSE_METADATA"

    run(test())


def test_an_aborted_vmotion_leaves_the_vm_where_it_was(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.vm("web-01")
            await source.send(peer.VMOTION_BEGIN, METADATA)
            await source.go_ahead()
            await source.send(peer.VMOTION_ABORT)
            assert (await source.packet()).code == "RESPONSE_METADATA"
            assert (await source.ask(NETWORKDATA)).code == "RESPONSE_NETWORKDATA"

    run(test())


def test_a_destination_that_leaves_frees_the_token_for_one_other_and_only_once(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.vm("web-01")
            await source.send(peer.VMOTION_BEGIN)
            token = await source.go_ahead()
            first = await site.connect()
            await first.arrive(token)
            first.end_stream()
            assert await first.until_closed() == b""
            second = await site.connect()
            await second.arrive(token)
            # Were the end of the first taken note of twice, the token would be free again.
            third = await site.connect()
            await third.send(
                peer.KNOWN_SUBOPTIONS_1,
                b"\xff\xfa\xe8\x2c" + token.replace(b"\xff", b"\xff\xff") + b"\xff\xf0",
            )
            await second.send(peer.VMOTION_COMPLETE)
            assert (await second.ask(METADATA)).code == "RESPONSE_METADATA"
            third.end_stream()
            assert peer.VMOTION_PEER_OK not in await third.until_closed()

    run(test())


class CountingLoop:
    """An event loop that counts the timers set on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.timers = 0

    def __getattr__(self, name: str) -> Any:
        self.timers += name in ("call_at", "call_later")
        return getattr(self._loop, name)


def test_a_host_that_begins_again_and_again_fills_neither_the_memory_nor_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.vm("web-01")
            loop = CountingLoop(site.server.loop)
            site.server.loop = cast(asyncio.AbstractEventLoop, loop)
            for _ in range(50):
                await source.send(peer.VMOTION_BEGIN)
                await source.go_ahead()
                await source.send(peer.VMOTION_ABORT)
            assert (await source.ask(METADATA)).code == "RESPONSE_METADATA"
            assert loop.timers == 1

    caplog.set_level(logging.INFO)
    run(test())
    assert [text.count("vMotion began") for text in caplog.messages].count(1) == 1
    assert [text.count("vMotion aborted") for text in caplog.messages].count(1) == 1


class NoClients(Instances):
    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        raise ValueError("hunter2")


def test_a_vm_without_a_client_that_moves_at_once_is_closed_and_harms_nobody(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(NoClients({})) as site:
            source = await site.connect()
            # In one read: the vMotion begins before the connection is closed.
            await source.send(peer.introduction("web-01") + peer.VMOTION_BEGIN)
            assert peer.VMOTION_PEER_OK not in await source.until_closed()
            (vmotion,) = site.server._vmotions._by_port.values()
            destination = await site.connect()
            await destination.arrive(vmotion.token)
            await destination.send(peer.VMOTION_COMPLETE)
            await destination.until_closed()

    run(test())
    assert "KeyError" not in caplog.text
    assert "hunter2" not in caplog.text


@pytest.fixture
def short_vmotion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmotion_module, "VMOTION_SECONDS", 1.0)
    monkeypatch.setattr(server_module, "VMOTION_SECONDS", 1.0)


@pytest.mark.usefixtures("short_vmotion")
def test_a_vmotion_that_takes_too_long_is_aborted_while_its_source_is_there(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            source = await site.vm("web-01")
            await source.send(peer.VMOTION_BEGIN, METADATA)
            await source.go_ahead()
            assert (await source.packet()).code == "RESPONSE_METADATA"

    caplog.set_level(logging.INFO)
    run(test())
    assert "web-01: vMotion not completed in 1 s, taken as aborted" in caplog.text


@pytest.mark.usefixtures("short_vmotion")
def test_a_vmotion_that_takes_too_long_is_forgotten_with_its_vm_when_the_source_has_left(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with (
            serving(Instances({}), identify_seconds=0.4) as site,
            moving(site) as (source, destination),
        ):
            source.end_stream()
            # It waits as long as the vMotion may last, and is not the VM's any more after that.
            await destination.until_closed()

    caplog.set_level(logging.INFO)
    run(test())
    messages = caplog.messages
    lost = next(
        number for number, text in enumerate(messages) if "lost: its vMotion was not completed" in text
    )
    closed = next(number for number, text in enumerate(messages) if "closed: did not say which VM" in text)
    assert lost < closed
