"""Version 2 over the wire: a real server, and VMs that ask it as guests do."""

import threading
from pathlib import Path
from typing import Any

import pytest

import vmw_cloudinit_metadata
from tests.support import peer
from tests.support.peer import METADATA, Instances, Run, ThreadSafeInstances, serving
from tests.support.version2 import Answered, line, read, report, request
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.vspc import session as session_module
from vmw_cloudinit_metadata.vspc.server import DRIVER_THREADS
from vmw_cloudinit_metadata.vspc.snapshot import Document
from vmw_cloudinit_wire import Packet

EXAMPLES = Path(vmw_cloudinit_metadata.__file__).parent / "examples"


async def ask(vm: peer.Peer, packet: Packet) -> Answered:
    """Send a request and read its answer, which is a line by itself."""
    await vm.send(line(packet))
    assert await vm.take(b"\r\n") == b"\r\n"
    return read(await vm.packet())


async def fetch(vm: peer.Peer, limit: int = 256, **more: Any) -> dict[str, bytes]:
    """Fetch all there is, in small pieces."""
    documents = {}
    metadata = await ask(vm, request("metadata", **more))
    etags = dict(each.split(":") for each in metadata.options["docs"].split(","))
    for name, etag in {"metadata": metadata.options["etag"], **etags}.items():
        if etag == "-":
            continue
        document, total = b"", 1
        while len(document) < total:
            piece = request(name, offset=len(document), limit=limit, etag=etag, **{"accept": "gzip", **more})
            answer = await ask(vm, piece)
            assert answer.status == "ok"
            document += answer.payload
            total = int(answer.options["total"])
        assert Document.of(document).etag == etag
        documents[name] = document
    return documents


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a driver that does not answer at once be one that takes its time."""
    monkeypatch.setattr(session_module, "DRIVER_SECONDS", 0.0)


def test_the_examples_are_served_as_in_version_1_but_for_placeholders(run: Run) -> None:
    async def test() -> None:
        async with serving(FileDriver({"directory": str(EXAMPLES)})) as site:
            for name in ("web-01", "worker-01"):
                vm = await site.vm(name)
                documents = await fetch(vm)
                assert set(documents) >= {"metadata", "userdata"}
                for document, content in documents.items():
                    answer = await vm.ask(b"!!REQUEST_%b#\n" % document.upper().encode())
                    content = content.replace(b'"mac_address": "@1", ', b"")
                    assert answer == Packet(f"RESPONSE_{document.upper()}", content)

    run(test())


def test_a_run_outlives_a_vmotion_and_a_change_of_the_definition(run: Run, tmp_path: Path) -> None:
    definition = tmp_path / "web-01.yaml"
    text = "metadata: {instance-id: i-1, hostname: web-01}\nuserdata: '%s'\n"
    definition.write_text(text % ("a" * 1000))

    async def test() -> None:
        driver = FileDriver({"directory": str(tmp_path)})
        async with serving(driver) as site:
            source = await site.vm("web-01")
            etag = (await ask(source, request("userdata", limit=500))).options["etag"]
            definition.write_text(text % ("b" * 1000))
            driver.reload()  # or the old text is at hand for a second
            await source.send(peer.VMOTION_BEGIN)
            token = await source.go_ahead()
            destination = await site.connect()
            await destination.arrive(token)
            source.end_stream()
            await destination.send(peer.VMOTION_COMPLETE)
            rest = await ask(destination, request("userdata", offset=500, etag=etag))
            assert rest.payload == b"a" * 500
            new = await ask(destination, request("userdata", run="00000002", etag=etag))
            assert new.status == "changed"
            assert (await fetch(destination, run="00000002"))["userdata"] == b"b" * 1000

    run(test())


def test_a_definition_with_faults_is_invalid_and_one_that_is_missing_is_not_found(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "web-01.yaml").write_text("metadata: {}")

    async def test() -> None:
        async with serving(FileDriver({"directory": str(tmp_path)})) as site:
            assert (await ask(await site.vm("web-01"), request("metadata"))).status == "invalid"
            assert (await ask(await site.vm("web-02"), request("metadata"))).status == "not-found"

    run(test())


def test_a_report_is_acknowledged(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({})) as site:
            vm = await site.vm("web-01")
            answer = await ask(vm, report(b'{"stage": "final", "boot-id": "0a"}'))
            assert (answer.code, answer.status) == ("RESPONSE_REPORT", "ok")

    run(test())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("driver", "threads"), [(Instances, 1), (ThreadSafeInstances, DRIVER_THREADS)])
def test_a_driver_that_hangs_holds_up_no_vm_and_no_end_and_takes_no_more_threads(
    run: Run, monkeypatch: pytest.MonkeyPatch, driver: type[Instances], threads: int
) -> None:
    async def test() -> None:
        instances = driver({})
        gate = threading.Event()
        async with serving(instances, stop_seconds=0.2) as site:
            served = await site.vm("served")
            with monkeypatch.context() as patient:
                patient.setattr(session_module, "DRIVER_SECONDS", peer.PATIENCE)
                assert (await ask(served, request("metadata"))).status == "ok"
            others = [await site.vm(f"vm-{number}") for number in range(2 * threads + 2)]
            for number, vm in enumerate(others):
                instances.held[f"vm-{number}"] = gate
                for _ in range(3):
                    assert (await ask(vm, request("metadata"))).status == "busy"
            for _ in range(threads):
                await instances.until_held()
            assert (await ask(served, request("userdata"))).status == "ok"
            assert len(site.server._workers._threads) == instances.most_at_once == threads
            # One that waits for a thread leaves, and one that has begun: its call is not made, or goes on.
            for vm in (others[-1], others[0]):
                vm.end_stream()
                await vm.until_closed()
            await others[1].send(METADATA)  # of version 1, and so not answered before the server ends
        gate.set()
        assert f"vm-{len(others) - 1}" not in instances.asked

    run(test())
