"""The same dialogue by telnets://, on both event loops, as the peer sees it."""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import peer
from tests.support.peer import METADATA, USERDATA, Instances, Peer, Run, serving
from tests.support.tls import client_context, connect, write_certificate
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.log import JournalFormatter, JSONFormatter, TextFormatter
from vmw_cloudinit_metadata.vspc.server import ServerOptions
from vmw_cloudinit_metadata.vspc.tls import Certificate


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    """What makes a server listen for TLS, and for nothing else."""
    certificate = Certificate(write_certificate(tmp_path))
    return {"listen": (), "tls_listen": (("127.0.0.1", 0),), "certificate": certificate}


def logged(caplog: pytest.LogCaptureFixture, level: str = "WARNING") -> list[str]:
    messages = [record.getMessage() for record in caplog.records if record.levelname == level]
    return [re.sub(r"127\.0\.0\.1:\d+", "PEER", message) for message in messages]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(peer.PATIENCE):
        while not condition():
            await asyncio.sleep(0)


async def identified(vm: Peer, name: str = "web-01") -> Peer:
    await vm.send(peer.introduction(name))
    await vm.take(peer.WILL_PROXY)
    return vm


def test_a_vm_is_served_by_tls_and_another_without(run: Run, tls: dict[str, Any]) -> None:
    async def test() -> None:
        async with serving(Instances({}), **{**tls, "listen": (("127.0.0.1", 0),)}) as site:
            secret = await identified(await connect(site), "web-01")
            plain = await identified(await site.connect(site.addresses[0]), "web-02")
            assert b"web-01" in (await secret.ask(METADATA)).payload
            assert b"web-02" in (await plain.ask(METADATA)).payload

    run(test())


def test_an_answer_of_a_mebibyte_arrives_whole(run: Run, tls: dict[str, Any]) -> None:
    userdata = "#cloud-config\n" + "0123456789abcdef" * 65536

    async def test() -> None:
        async with serving(Instances({"userdata": userdata}), **tls) as site:
            vm = await identified(await connect(site))
            assert (await vm.ask(USERDATA)).payload == userdata.encode()

    run(test())


def test_a_vm_that_does_not_read_has_little_in_the_buffers_below(run: Run, tls: dict[str, Any]) -> None:
    async def test() -> None:
        userdata = "#" * 2_000_000
        async with serving(Instances({"userdata": userdata}), **tls) as site:
            vm = await identified(await connect(site, receive_buffer=4096))
            await vm.send(USERDATA)
            (protocol,) = site.server._protocols
            (session,) = site.server._sessions.values()
            await until(lambda: session.port.unsent and not protocol._writable)
            # The rest waits in the port, where a vMotion can take it along.
            assert protocol.transport.get_write_buffer_size() < 64 * 1024
            assert session.port.unsent > 2_000_000
            assert (await vm.packet()).payload == userdata.encode()

    run(test())


def test_a_vm_moves_in_the_middle_of_an_answer(run: Run, tls: dict[str, Any]) -> None:
    async def test() -> None:
        userdata = "#" * 2_000_000
        async with serving(Instances({"userdata": userdata}), **tls) as site:
            source = await identified(await connect(site, receive_buffer=4096))
            destination = await connect(site)
            await source.send(USERDATA)
            await source.take(b"RESPONSE_USERDATA#")
            await source.send(peer.VMOTION_BEGIN)
            token = await source.go_ahead()
            await destination.arrive(token)
            source.close()
            await destination.send(peer.VMOTION_COMPLETE)
            rest = await destination.take(b"\r\n")
            encoded = 4 * (len(userdata) + 2) // 3 // 4 * 4
            assert len(source.before_go_ahead) + len(rest) - 2 == encoded
            assert (await destination.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


def test_one_byte_at_a_time_is_enough(run: Run, tls: dict[str, Any]) -> None:
    async def test() -> None:
        async with serving(Instances({}), **tls) as site:
            vm = await connect(site)
            for byte in peer.introduction("web-01") + METADATA:
                await vm.send(bytes([byte]))
            await vm.take(peer.WILL_PROXY)
            assert (await vm.packet()).code == "RESPONSE_METADATA"

    run(test())


def test_the_end_is_told_with_close_notify(run: Run, tls: dict[str, Any]) -> None:
    async def test() -> None:
        async with serving(Instances({}), **tls) as site:
            vm = await identified(await connect(site))
            await site.server.close()
            assert await vm._read() == b""  # it would raise, were there none

    run(test())


def test_a_peer_that_says_goodbye_or_hangs_up_is_gone(
    run: Run, tls: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), **tls) as site:
            polite, rude = await identified(await connect(site)), await identified(await connect(site))
            await polite.say_goodbye()  # type: ignore[attr-defined]
            rude.close()
            await until(lambda: not site.server._protocols)

    caplog.set_level(logging.INFO)
    run(test())
    assert logged(caplog, "INFO").count("PEER web-01: disconnected") == 2
    assert logged(caplog) == []


@pytest.mark.parametrize("formatter", [TextFormatter(), JournalFormatter(), JSONFormatter()], ids=type)
def test_no_payload_is_logged_in_any_format(
    run: Run, tls: dict[str, Any], caplog: pytest.LogCaptureFixture, formatter: logging.Formatter
) -> None:
    async def test() -> None:
        async with serving(Instances({"userdata": "hunter2"}), **tls) as site:
            vm = await identified(await connect(site))
            await vm.send(b"!!REQUEST_METADATA#aHVudGVyMg==\n", b"hunter2\n")
            assert (await vm.ask(USERDATA)).code == "RESPONSE_METADATA"
            assert (await vm.packet()).payload == b"hunter2"

    caplog.set_level(logging.DEBUG)
    run(test())
    lines = [formatter.format(record) for record in caplog.records]
    assert len(lines) > 10
    for text in ("hunter2", "aHVudGVyMg"):
        assert not [line for line in lines if text in line]


# Handshakes


def test_a_vm_without_tls_is_closed_and_the_operator_told(
    run: Run, tls: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), **tls) as site:
            vm = await site.connect()
            await vm.send(peer.introduction("web-01"))
            assert await vm.until_closed() == b""

    run(test())
    assert logged(caplog) == ["PEER: closed: does not speak TLS: is its vSPC URI telnets://?"]


def test_a_host_that_does_not_trust_us_is_closed_and_the_operator_told(
    run: Run, tls: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), **tls) as site:
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(site, client_context(trustme.CA()))
            await until(lambda: not site.server._protocols)

    run(test())
    (line,) = logged(caplog)
    assert line.startswith("PEER: closed: the TLS handshake failed: ")
    assert line.endswith("alert unknown ca")


def test_a_connection_in_its_handshake_counts_and_has_its_time(
    run: Run, tls: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), max_connections=1, identify_seconds=0.2, **tls) as site:
            first, second = await site.connect(), await site.connect()
            await first.send(b"\x16\x03\x01\x02\x00")  # the first bytes of a handshake
            assert await second.until_closed() == b""
            assert await first.until_closed() == b""

    caplog.set_level(logging.INFO)
    run(test())
    assert "refused 1 connection: 1 connections are open, which is the limit" in logged(caplog)
    assert "PEER: closed: did not finish the TLS handshake in 0.2 s" in logged(caplog, "INFO")


def test_after_its_handshake_a_connection_has_to_say_which_vm_it_is(
    run: Run, tls: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), identify_seconds=0.5, **tls) as site:
            vm = await connect(site)
            await vm.until_closed()

    caplog.set_level(logging.INFO)
    run(test())
    assert "PEER: closed: did not say which VM it is in 0.5 s" in logged(caplog, "INFO")


# Options


def test_tls_without_a_certificate_and_a_certificate_without_tls_are_refused(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path))
    for options, sentence in (
        ({"tls_listen": (("", 1),)}, "TLS needs a certificate: give --tls-cert FILE"),
        ({"inherited": ((3, "tls"),)}, "TLS needs a certificate: give --tls-cert FILE"),
        (
            {"certificate": certificate},
            "there is a certificate, but nothing listens for TLS: give --tls-listen HOST:PORT",
        ),
        (
            {"certificate": certificate, "tls_listen": (("", 1),), "inherited": ((3, "x"),)},
            "there is a certificate, but no socket of systemd's has FileDescriptorName=tls",
        ),
    ):
        with pytest.raises(ConfigurationError, match=f"^{re.escape(sentence)}$"):
            ServerOptions(**options)
    ServerOptions(certificate=certificate, inherited=((3, "x"), (4, "tls")))
