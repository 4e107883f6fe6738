"""One connection, from its first byte to its end, as the peer sees it."""

import asyncio
import functools
import logging
import os
import threading
import uuid
from typing import Any

import pytest

from tests.support import peer
from tests.support.peer import METADATA, USERDATA, Instances, Run, serving
from tests.support.vspc import Clock
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import Throttle
from vmw_cloudinit_metadata.vspc import admission as admission_module
from vmw_cloudinit_metadata.vspc import connection as connection_module
from vmw_cloudinit_metadata.vspc.events import Limits
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

UUID = uuid.UUID("684c916c-5f6c-4c2f-aa50-dfd661a22e0d")


class Witness(Instances):
    """Remembers what was known of a VM when its instance was asked for."""

    def instance(self, vm_client: VMClient) -> InstanceData | None:
        self.options["seen"] = vm_client.vm_name, vm_client.vm_vc_uuid, vm_client.vm_bios_uuid
        return super().instance(vm_client)


def test_a_vm_says_who_it_is_and_gets_its_documents(run: Run) -> None:
    async def test() -> None:
        driver = Witness({})
        async with serving(driver) as site:
            vm = await site.connect()
            # WILL BINARY, WILL SGA, DO BINARY, DO SGA, DO 232: the server opens.
            assert (
                await vm.take(b"\xff\xfd\xe8")
                == b"\xff\xfb\x00\xff\xfb\x03\xff\xfd\x00\xff\xfd\x03\xff\xfd\xe8"
            )
            await vm.send(peer.WILL_AUTHENTICATION)
            assert await vm.take(b"\x25") == peer.DONT_AUTHENTICATION
            await vm.send(peer.AGREE, peer.KNOWN_SUBOPTIONS_1, peer.DO_PROXY)
            answers = await vm.take(peer.WILL_PROXY)
            # GET-VM-VC-UUID, GET-VM-NAME, GET-VM-BIOS-UUID
            for command in (b"\x51", b"\x53", b"\x55"):
                assert b"\xff\xfa\xe8" + command + b"\xff\xf0" in answers
            await vm.send(peer.vm_name("Büro-01"), peer.BIOS_UUID, peer.VC_UUID)
            metadata = await vm.ask(METADATA)
            assert metadata.code == "RESPONSE_METADATA"
            assert (
                b'"hostname": "B\\u00fcro-01"' in metadata.payload or "Büro-01".encode() in metadata.payload
            )
            assert (await vm.ask(peer.NETWORKDATA)).code == "RESPONSE_NETWORKDATA"
            assert (await vm.ask(USERDATA)).payload == b"#cloud-config\n{}\n"
        assert driver.options["seen"] == ("Büro-01", UUID, UUID)
        assert driver.asked == ["Büro-01"]

    run(test())


def test_one_byte_at_a_time_is_enough(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.connect()
            for byte in peer.introduction("web-01") + METADATA:
                await vm.send(bytes([byte]))
            await vm.take(peer.WILL_PROXY)
            assert (await vm.packet()).code == "RESPONSE_METADATA"

    run(test())


def test_what_a_vm_asks_before_it_is_known_is_answered_after(run: Run) -> None:
    async def test() -> None:
        driver = Witness({})
        async with serving(driver) as site:
            vm = await site.connect()
            await vm.send(
                b"login: \r\n", METADATA, peer.AGREE, USERDATA, peer.KNOWN_SUBOPTIONS_1, peer.DO_PROXY
            )
            await vm.take(peer.WILL_PROXY)
            assert driver.asked == []
            await vm.send(peer.vm_name("web-01"), peer.BIOS_UUID, peer.VC_UUID)
            assert [(await vm.packet()).code for _ in range(2)] == ["RESPONSE_METADATA", "RESPONSE_USERDATA"]
        assert driver.options["seen"] == ("web-01", UUID, UUID)

    run(test())


def test_a_vm_that_does_not_say_its_uuids_is_served_without_them_in_time(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "UUID_SECONDS", 0.02)

    async def test() -> None:
        driver = Witness({})
        async with serving(driver) as site:
            vm = await site.connect()
            await vm.send(
                peer.AGREE, peer.KNOWN_SUBOPTIONS_1, peer.DO_PROXY, peer.vm_name("web-01"), METADATA
            )
            await vm.take(peer.WILL_PROXY)
            assert (await vm.packet()).code == "RESPONSE_METADATA"
        assert driver.options["seen"] == ("web-01", None, None)

    run(test())


def test_telnet_and_vmotion_are_answered_while_the_driver_is_slow(run: Run) -> None:
    async def test() -> None:
        driver = Instances({})
        driver.held["web-01"] = threading.Event()
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            await vm.send(METADATA)
            await driver.until_held()
            await vm.send(b"\xff\xfb\x2c")  # WILL COM-PORT
            await vm.take(b"\xff\xfe\x2c")
            await vm.send(peer.VMOTION_BEGIN)
            await vm.go_ahead()
            await vm.send(peer.VMOTION_ABORT)
            assert b"RESPONSE" not in vm.before_go_ahead
            driver.held["web-01"].set()
            assert (await vm.packet()).code == "RESPONSE_METADATA"

    run(test())


def test_iac_in_a_document_goes_over_doubled(run: Run) -> None:
    class Raw(Instances):
        def new_client(self, vm_name: str, writer: Any) -> VMClient:
            writer.write(b"\xff\x00\r\n")
            return super().new_client(vm_name, writer)

    async def test() -> None:
        async with serving(Raw({})) as site:
            vm = await site.vm("web-01")
            assert (await vm.take(b"\r\n")).endswith(b"\xff\xff\x00\r\n")

    run(test())


def test_a_service_that_is_not_ours_is_refused_and_the_connection_closed(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        driver = Instances({})
        async with serving(driver) as site:
            vm = await site.connect()
            await vm.send(
                peer.AGREE, peer.KNOWN_SUBOPTIONS_1, b"\xff\xfa\xe8\x46Sother\nservice?token=hunter2\xff\xf0"
            )
            answer = await vm.until_closed()
            assert answer.endswith(peer.WONT_PROXY)
            assert peer.WILL_PROXY not in answer
        assert driver.asked == []

    caplog.set_level(logging.DEBUG)
    run(test())
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].endswith(r"refused: asks for the service 'other\nservice?...', this is 'my-metadata'")
    assert "hunter2" not in caplog.text


def test_a_connection_that_does_not_say_which_vm_it_is_is_closed(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), identify_seconds=0.02) as site:
            silent, half, known = await site.connect(), await site.connect(), await site.vm("web-01")
            await half.send(peer.AGREE, peer.vm_name("web-02"), METADATA)
            await silent.until_closed()
            await half.until_closed()
            assert (await known.ask(METADATA)).code == "RESPONSE_METADATA"

    caplog.set_level(logging.INFO)
    run(test())
    closed = [text for text in caplog.messages if "closed:" in text]
    assert len(closed) == 1  # a stranger can come again and again
    assert closed[0].endswith("closed: did not say which VM it is in 0.02 s")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"\x16\x03\x01", "speaks TLS, and this port does not: is its vSPC URI telnet://?"),
        (b"\xff\xfb\x25\xff\xfb\x2c" * 9, "does not read the answers to 20 bytes of telnet commands"),
    ],
    ids=["TLS", "commands"],
)
def test_who_is_closed_again_and_again_does_not_fill_the_log(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, says: bytes, reason: str
) -> None:
    async def test() -> None:
        clock = Clock()
        monkeypatch.setattr(admission_module, "Throttle", functools.partial(Throttle, clock=clock))
        async with serving(Instances({})) as site:
            for seconds in (0, 1, 1, 8):
                clock.now += seconds
                stranger = await site.connect()
                await stranger.send(says)
                await stranger.until_closed()

    monkeypatch.setattr(connection_module, "MAX_UNSENT_CONTROL", 20)
    run(test())
    first, second = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert first.endswith(reason)
    assert second.endswith(f"{reason} (and 2 connections before it)")


def test_a_refused_peer_that_does_not_read_is_closed_in_time(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({"userdata": "x" * 3_000_000}), identify_seconds=0.2) as site:
            vm = await site.vm("web-01", receive_buffer=4096)
            await vm.send(USERDATA)
            await vm.take(b"!!RESPONSE_USERDATA#")
            await vm.send(b"\xff\xfa\xe8\x46Sother\xff\xf0")
            async with asyncio.timeout(peer.PATIENCE):
                await site.server._empty.wait()
            assert len(await vm.until_closed()) < 3_000_000

    run(test())


def test_a_peer_that_asks_by_telnet_and_never_reads_is_cut_off(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            rude, other = await site.connect(receive_buffer=4096), await site.vm("web-02")
            with pytest.raises(OSError, match=r"[Rr]eset|Broken pipe"):
                await rude.send(b"\xff\xfd\x63" * 10_000_000)  # DO 99, which is refused
            assert (await other.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


def test_what_a_vm_does_not_read_waits_within_the_limit_and_it_is_served_again_when_it_reads(
    run: Run,
) -> None:
    size = 1_500_000  # 2 MB in base64, more than the kernels' and the transport's buffers

    async def test() -> None:
        driver = Instances({"userdata": "x" * size})
        async with serving(driver, max_unsent=1000) as site:
            vm, other = await site.vm("web-01", receive_buffer=4096), await site.vm("web-02")
            await vm.send(USERDATA)
            first = await vm.take(b"!!RESPONSE_USERDATA#")
            await vm.send(METADATA, peer.NETWORKDATA)
            await other.ask(METADATA)
            (port,) = [
                port for port in site.server._sessions if port.identity and port.identity.name == "web-01"
            ]
            assert 1000 < port.unsent < size * 4 // 3 + 100
            assert len(first + await vm.take(b"\r\n")) > size * 4 // 3
            assert (await vm.packet()).code == "RESPONSE_METADATA"
            assert (await vm.packet()).code == "RESPONSE_NETWORKDATA"
            assert port.unsent == 0

    run(test())


def test_lines_and_suboptions_over_the_limits_are_dropped_and_the_connection_lives_on(run: Run) -> None:
    async def test() -> None:
        driver = Instances({})
        async with serving(driver, limits=Limits(max_line=100, max_suboption=60)) as site:
            vm = await site.connect()
            await vm.send(peer.vm_name("x" * 61), peer.introduction("web-01"))
            await vm.take(peer.WILL_PROXY)
            await vm.send(METADATA[:-1], b"x" * 100, METADATA[:-1], b"\n", USERDATA)
            assert (await vm.packet()).code == "RESPONSE_USERDATA"
        assert driver.asked == ["web-01"]

    run(test())


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 1001,
        b"\xff\xfa" * 500,
        b"\xff\xfa\xe8\xff\xf0" * 100,
        b"\xff\xfa\xe8\x2e\xff\xf0\xff\xfa\xe8\x30\xff\xf0\xff\xfa\xe8\x2cnone\xff\xf0\xff\xfa\xe8\x28\xff\xf0",
        os.urandom(5000),
    ],
    ids=["HTTP", "IAC", "unended", "empty", "vMotion of nothing", "random"],
)
def test_garbage_disturbs_nobody(run: Run, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm, noise = await site.vm("web-01"), await site.connect()
            await noise.send(garbage)
            assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"
            noise.end_stream()
            await noise.until_closed()
            assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_vm_that_leaves_before_its_uuids_are_due_leaves_nothing_behind(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "UUID_SECONDS", 0.02)

    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.connect()
            await vm.send(peer.AGREE, peer.KNOWN_SUBOPTIONS_1, peer.DO_PROXY, peer.vm_name("web-01"))
            await vm.take(peer.WILL_PROXY)
            vm.end_stream()
            await vm.until_closed()
            # Its deadline passes while this VM waits for its own.
            other = await site.connect()
            await other.send(peer.KNOWN_SUBOPTIONS_1, peer.DO_PROXY, peer.vm_name("web-02"), METADATA)
            await other.take(b"RESPONSE_METADATA")
            assert len(site.server._sessions) == 1

    run(test())
