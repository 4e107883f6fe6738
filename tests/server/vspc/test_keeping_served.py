"""What VMs are served is kept beside the dialogue, over a real server; how is tests/server/state's."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.server.vspc.limited import ask, fetch, limited
from tests.support import version2
from tests.support.peer import METADATA, PATIENCE, USERDATA, Instances, Run, serving
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.served import Served, ServedRecords
from vmw_cloudinit_metadata.vspc import noting
from vmw_cloudinit_metadata.vspc.keeping import Keeping
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

WELL = b"#cloud-config\n{}\n"


def of(state: StateDirectory, name: str) -> Served | None:
    return ServedRecords(state).last(name)


def etag(state: StateDirectory, name: str = "the-definition", document: str = "userdata") -> str:
    served = of(state, name)
    assert served is not None
    return served.documents[document].etag


def test_what_a_run_is_answered_from_is_kept_by_its_definition_s_name(
    run: Run, state: StateDirectory
) -> None:
    async def test() -> None:
        async with serving(limited(), state=state) as site:
            vm = await site.vm("web-01")
            assert (await ask(vm, version2.request("metadata"))).status == "ok"

    before = datetime.now(UTC).replace(microsecond=0)
    run(test())
    served = of(state, "the-definition")
    assert served is not None
    assert served.vm_name == "web-01"
    assert before <= served.since <= datetime.now(UTC)
    assert etag(state) == Document.of(WELL).etag


def test_a_vm_that_is_what_it_claims_is_kept_apart(run: Run, state: StateDirectory) -> None:
    class Claimed(Instances):
        def instance(self, vm_client: VMClient) -> InstanceData | None:
            made = super().instance(vm_client)
            if made is not None:
                made.claimed = True
            return made

    async def test() -> None:
        async with serving(Claimed({}), state=state) as site:
            vm = await site.vm("web-01")
            assert (await ask(vm, version2.request("metadata"))).status == "ok"

    run(test())
    assert of(state, "web-01") is None
    assert ServedRecords(state).last("web-01", claimed=True) is not None


def test_in_version_1_too_and_by_the_vm_s_name_where_the_driver_names_no_definition(
    run: Run, state: StateDirectory
) -> None:
    async def test() -> None:
        async with serving(Instances({}), state=state) as site:
            vm = await site.vm("web-01")
            await vm.ask(METADATA)
            await vm.ask(USERDATA)

    run(test())
    assert etag(state, "web-01") == Document.of(WELL).etag


def test_a_run_goes_on_with_what_it_began_with_and_the_next_one_is_kept(
    run: Run, state: StateDirectory
) -> None:
    etags = []

    async def test() -> None:
        for number, userdata in enumerate(("one", "two")):
            driver = limited()
            driver.options["userdata"] = userdata
            async with serving(driver, state=state) as site:
                vm = await site.vm("web-01")
                assert await fetch(vm, number) == "ok"
            etags.append(etag(state))

    run(test())
    assert etags == [Document.of(b"one").etag, Document.of(b"two").etag]


def test_who_is_denied_or_unknown_is_served_nothing(run: Run, state: StateDirectory) -> None:
    class Denying(Instances):
        def instance(self, vm_client: object) -> None:
            return None

    async def test() -> None:
        async with serving(Denying({}), state=state) as site:
            vm = await site.vm("web-01")
            assert (await ask(vm, version2.request("metadata"))).status == "not-found"

    run(test())
    assert not (state.path / "served").exists()


def test_without_a_state_directory_nothing_is_kept(run: Run, state: StateDirectory) -> None:
    async def test() -> None:
        async with serving(limited()) as site:
            vm = await site.vm("web-01")
            assert (await ask(vm, version2.request("metadata"))).status == "ok"

    run(test())
    assert list(state.path.iterdir()) == []


def test_a_disk_that_hangs_holds_up_no_vm_and_no_memory(
    run: Run, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, entered, noted = threading.Event(), threading.Semaphore(0), []

    def hang(records: ServedRecords, name: str, vm_name: str, documents: object, claimed: bool) -> None:
        entered.release()
        gate.wait(PATIENCE)
        noted.append(vm_name)

    monkeypatch.setattr(ServedRecords, "note", hang)
    monkeypatch.setattr(noting, "MAX_UNKEPT_BYTES", 2 * (noting.UNKEPT_BYTES + 200))

    async def test() -> None:
        async with serving(limited(), state=state) as site:
            for number in range(5):
                vm = await site.vm(f"web-0{number}")
                assert await fetch(vm, 1) == "ok"
            assert await asyncio.to_thread(entered.acquire, True, PATIENCE)
            gate.set()

    run(test())
    assert noted == ["web-00", "web-01"]


def test_a_disk_that_is_full_is_told_once_and_harms_no_vm(
    run: Run, state: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    (state.path / "served").write_text("")

    async def test() -> None:
        async with serving(limited(), state=state) as site:
            vm = await site.vm("web-01")
            for number in range(4):
                assert await fetch(vm, number) == "ok"

    run(test())
    lines = [line for line in caplog.messages if "show --diff" in line]
    assert lines == [
        f"what VMs are served is not kept for 'show --diff': cannot read {state.path}/served: Not a directory"
    ]


def test_a_bug_in_it_harms_no_vm_either(
    run: Run, state: StateDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise ValueError("hunter2")

    monkeypatch.setattr(ServedRecords, "note", broken)

    async def test() -> None:
        async with serving(limited(), state=state) as site:
            vm = await site.vm("web-01")
            assert await fetch(vm, 1) == "ok"

    run(test())
    (line,) = [line for line in caplog.messages if "show --diff" in line]
    assert line.startswith("what VMs are served is not kept for 'show --diff': ValueError in ")
    assert "hunter2" not in caplog.text


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the VMs that the disk is asked about from now on."""
    noted: list[str] = []
    note = ServedRecords.note

    def count(records: ServedRecords, name: str, vm_name: str, *more: Any) -> None:
        noted.append(vm_name)
        note(records, name, vm_name, *more)

    monkeypatch.setattr(ServedRecords, "note", count)
    return noted


def snapshot(name: str, userdata: str = "x", claimed: bool = False) -> Snapshot:
    instance = InstanceData({"metadata": {"instance-id": "i-1", "hostname": "web"}, "userdata": userdata})
    instance.source, instance.claimed = name, claimed
    return Snapshot(instance)


def test_a_vm_that_boots_as_before_costs_neither_task_nor_disk(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = counted(monkeypatch)

    async def test() -> None:
        keeping = Keeping(state, Instances({}))
        for userdata in ("one", "one", "two", "two", "one"):
            keeping.note_served("web-01", snapshot("web-01", userdata))
            keeping.note_served("web-01", snapshot("web-01", userdata))
            if task := keeping._noting and keeping._noting.task:
                await task
        await keeping.close(1.0)

    asyncio.run(test())
    assert len(noted) == 3
    assert etag(state, "web-01") == Document.of(b"one").etag


def test_what_many_vms_are_served_is_written_by_one_task(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = counted(monkeypatch)

    async def test() -> None:
        keeping = Keeping(state, Instances({}))
        for number in range(2 * noting.BATCH + 1):
            keeping.note_served(f"web-{number}", snapshot(f"web-{number}"))
        assert len(asyncio.all_tasks()) == 2  # with this one
        await keeping.close(20.0)

    asyncio.run(test())
    assert len(noted) == 2 * noting.BATCH + 1


def test_names_that_are_made_up_push_out_no_others(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "MAX_VMS", 3)
    noted = counted(monkeypatch)

    async def test() -> None:
        keeping = Keeping(state, Instances({}))
        keeping.note_served("web-01", snapshot("web-01"))
        for number in range(10):
            keeping.note_served(f"made-up-{number}", snapshot(f"made-up-{number}", claimed=True))
        assert keeping._noting
        assert (len(keeping._noting._noted), len(keeping._noting._claimed)) == (1, 3)
        keeping.note_served("web-01", snapshot("web-01"))
        await keeping.close(20.0)

    asyncio.run(test())
    assert noted.count("web-01") == 1
