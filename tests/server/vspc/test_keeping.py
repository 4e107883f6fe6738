"""Serving windows and reports over a real server; what is decided and kept is tests/server/state's."""

import asyncio
import errno
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import version2
from tests.support.peer import PATIENCE, Instances, Peer, Run, serving
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.reports import Reports
from vmw_cloudinit_metadata.state.windows import HAS_REPORTED, NO_RUNS_LEFT, Windows
from vmw_cloudinit_metadata.vspc import keeping
from vmw_cloudinit_metadata.vspc.keeping import NOT_KEPT, NOT_KNOWN
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.vm_client import VMClient
from vmw_cloudinit_wire import Packet

SECRET = "hunter2"


class Limited(Instances):
    """A driver whose instances have a serving window, and which takes reports."""

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        self.reports: list[tuple[str, Report]] = []
        self.told = threading.Semaphore(0)  # released by every report
        return super().parse_options(opts)

    def instance(self, vm_client: VMClient) -> InstanceData | None:
        made = super().instance(vm_client)
        if made is not None:
            made.serve, made.source = self.options.get("serve"), "the-definition"
        return made

    def take_report(self, vm_client: VMClient, report: Report) -> None:
        if gate := self.held.get("report"):
            self.entered.release()
            gate.wait(PATIENCE)
        self.reports.append((vm_client.vm_name, report))
        self.told.release()
        if report.status == "raise":
            raise ValueError(SECRET)

    async def until_told(self) -> None:
        """Wait for a report."""
        assert await asyncio.to_thread(self.told.acquire, True, PATIENCE)


def limited(**limits: Any) -> Limited:
    return Limited({"serve": ServingWindow(**limits) if limits else None})


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)


def window_of(state: StateDirectory) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((state.path / "windows" / "the-definition.json").read_text())
    return record


async def ask(vm: Peer, packet: Packet) -> version2.Answered:
    await vm.send(version2.line(packet))
    await vm.take(b"\r\n")  # an answer of version 2 begins on a line of its own
    return version2.read(await vm.packet())


async def fetch(vm: Peer, run: int) -> str:
    """Ask for user-data in a run; return the status, or the sentence where there is one."""
    answer = await ask(vm, version2.request("userdata", run=f"{run:08x}"))
    return answer.payload.decode() if answer.status == "denied" else answer.status


async def report(vm: Peer, stage: str = "final", instance_id: str | None = "i-1", **keys: Any) -> str:
    """Report, and return the status of the answer."""
    document = {"stage": stage, "boot-id": "b0", "instance-id": instance_id, **keys}
    return (await ask(vm, version2.report(json.dumps(document).encode()))).status


# Windows


def test_runs_are_counted_whatever_connection_and_server_they_come_to(
    run: Run, state: StateDirectory
) -> None:
    async def test() -> None:
        fetched = []
        for runs in ((1, 1), (1, 2), (2, 3)):
            async with serving(limited(runs=2), state=state) as site:
                for each in runs:
                    vm = await site.vm("web-01")
                    fetched.append(await fetch(vm, each))
                    vm.close()
        assert fetched == ["ok"] * 5 + [NO_RUNS_LEFT]

    run(test())


def test_a_run_is_on_the_disk_before_a_byte_of_it_goes_out(run: Run, state: StateDirectory) -> None:
    async def test() -> None:
        async with serving(limited(runs=2), state=state) as site:
            vm = await site.vm("web-01")
            assert (await ask(vm, version2.request("metadata"))).status == "ok"
            assert not (state.path / "windows").exists()
            await vm.send(version2.line(version2.request("userdata", run="00000001")))
            await vm.take(b"!!RESPONSE_USERDATA#")
            assert (window_of(state)["runs"], window_of(state)["run"]) == (1, "00000001")

    run(test())


def test_what_is_denied_is_user_data_and_vendor_data_that_the_guest_has_not(
    run: Run, state: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(limited(runs=1), state=state) as site:
            vm = await site.vm("web-01")
            served = await ask(vm, version2.request("userdata", run="00000001"))
            assert await fetch(vm, 2) == NO_RUNS_LEFT
            again = {"run": "00000003"}
            assert (await ask(vm, version2.request("metadata", **again))).status == "ok"
            assert (await ask(vm, version2.request("networkdata", **again))).status == "not-found"
            had = await ask(vm, version2.request("userdata", have=served.options["etag"], **again))
            assert had.status == "unchanged"
            for each in range(4, 9):
                assert await fetch(vm, each) == NO_RUNS_LEFT

    with caplog.at_level(logging.INFO):
        run(test())
    assert [line for line in caplog.messages if NO_RUNS_LEFT in line] == [
        f"{line_start(caplog)}: {NO_RUNS_LEFT} by 'vmw-cloudinit-metadata rearm the-definition'"
    ]


def line_start(caplog: pytest.LogCaptureFixture) -> str:
    """The peer and the VM, as each line has them."""
    connected = next(line for line in caplog.messages if ": connected, " in line)
    return connected.partition(": connected, ")[0]


def test_a_window_that_is_re_armed_is_open_at_once(run: Run, state: StateDirectory) -> None:
    async def test() -> None:
        async with serving(limited(runs=1), state=state) as site:
            vm = await site.vm("web-01")
            assert [await fetch(vm, 1), await fetch(vm, 2)] == ["ok", NO_RUNS_LEFT]
            await asyncio.to_thread(Windows(state).rearm, "web-01")
            assert [await fetch(vm, 3), await fetch(vm, 4)] == ["ok", NO_RUNS_LEFT]

    run(test())


def test_in_version_1_each_snapshot_counts_and_a_closed_window_is_silence(
    run: Run, state: StateDirectory
) -> None:
    async def test() -> None:
        async with serving(limited(runs=1), state=state) as site:
            vm = await site.vm("web-01")
            assert (await vm.ask(b"!!REQUEST_USERDATA#\n")).payload.startswith(b"#cloud-config")
            assert (await vm.ask(b"!!REQUEST_USERDATA#\n")).payload.startswith(b"#cloud-config")
            vm.close()
            vm = await site.vm("web-01")
            await vm.send(b"!!REQUEST_USERDATA#\n")
            assert (await vm.ask(b"!!REQUEST_METADATA#\n")).code == "RESPONSE_METADATA"
        assert window_of(state)["runs"] == 1

    run(test())


def test_the_final_report_closes_a_window_until_reported(run: Run, state: StateDirectory) -> None:
    async def test() -> None:
        async with serving(limited(until_reported=True), state=state) as site:
            vm = await site.vm("web-01")
            assert await fetch(vm, 1) == "ok"
            assert await report(vm, "seed") == "ok"
            assert await report(vm, instance_id="i-0") == "ok"
            assert await fetch(vm, 2) == "ok"
            assert await report(vm) == "ok"
            # Not even in the run that was under way.
            assert [await fetch(vm, run) for run in (2, 3)] == [HAS_REPORTED] * 2

    run(test())


def test_a_final_report_that_names_no_instance_closes_it_too(run: Run, state: StateDirectory) -> None:
    async def test() -> None:
        async with serving(limited(until_reported=True), state=state) as site:
            vm = await site.vm("web-01")
            assert await report(vm, instance_id=None) == "ok"
            assert await fetch(vm, 1) == HAS_REPORTED

    run(test())


def test_a_report_is_nothing_to_a_window_that_ends_otherwise(run: Run, state: StateDirectory) -> None:
    async def test() -> None:
        async with serving(limited(runs=1), state=state) as site:
            vm = await site.vm("web-01")
            assert await report(vm) == "ok"
            assert await fetch(vm, 1) == "ok"

    run(test())


def test_without_a_state_directory_no_window_is_open(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving(limited(until_reported=True)) as site:
            vm = await site.vm("web-01")
            assert [await fetch(vm, 1), await fetch(vm, 2)] == [NOT_KEPT] * 2

    run(test())
    (line,) = [line for line in caplog.messages if "serving window" in line]
    assert line.endswith(
        "its serving window cannot be used: there is no state directory: give --state-directory DIR"
    )


def test_a_window_that_cannot_be_used_is_closed_and_the_operator_is_told(
    run: Run, state: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(limited(runs=5), state=state) as site:
            vm = await site.vm("web-01")
            assert await fetch(vm, 1) == "ok"
            file = state.path / "windows" / "the-definition.json"
            file.write_text("")
            assert [await fetch(vm, each) for each in (2, 3)] == [NOT_KNOWN] * 2
            file.unlink()
            (state.path / "windows" / ".lock").unlink()
            (state.path / "windows").rmdir()
            (state.path / "windows").write_text("")
            assert await fetch(vm, 4) == NOT_KNOWN

    run(test())
    faults = [line.partition(" cannot be used: ")[2] for line in caplog.messages if "cannot be used" in line]
    assert faults == [
        f"{state.path}/windows/the-definition.json is damaged; "
        "'vmw-cloudinit-metadata rearm the-definition' makes it anew",
        f"cannot write {state.path}/windows: Not a directory",
    ]


def test_a_disk_that_hangs_holds_up_the_vms_with_a_window_and_no_other(
    run: Run, state: StateDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "STATE_SECONDS", 0.1)
    gate = threading.Event()

    def hang(*arguments: object) -> None:
        gate.wait(PATIENCE)

    monkeypatch.setattr(Windows, "admit", hang)

    async def test() -> None:
        driver = limited(runs=1)
        async with serving(driver, state=state) as site:
            vm = await site.vm("web-01")
            answer = await ask(vm, version2.request("userdata"))
            assert (answer.status, answer.options["retry"]) == ("busy", "5")
            driver.options["serve"] = None
            other = await site.vm("web-02")
            assert await fetch(other, 1) == "ok"
            gate.set()

    run(test())
    sentence = f"the state directory {state.path} has not answered in 0.1 s"
    assert len([line for line in caplog.messages if sentence in line]) == 1


# Reports


def test_a_report_is_kept_logged_once_and_given_to_the_driver(
    run: Run, state: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    driver = limited()

    async def test() -> None:
        async with serving(driver, state=state) as site:
            vm = await site.vm("web-01")
            for _ in range(3):  # the acknowledgement is lost twice
                assert await report(vm, "seed", seconds=0.5) == "ok"
            assert await report(vm, status="done", errors=["x\x1b[2J"]) == "ok"
            for _ in range(2):
                await driver.until_told()

    with caplog.at_level(logging.INFO):
        run(test())
    kept = Reports(state).of("the-definition")
    assert {each.vm_name for each in kept} == {"web-01"}
    assert [(each.report.stage, each.report.result) for each in kept] == [
        ("seed", "seed ready in 0.5 s"),
        ("final", "cloud-init done, 1 error"),
    ]
    assert (str(kept[0].vc_uuid), kept[0].bios_uuid, kept[0].hostname) == (
        "684c916c-5f6c-4c2f-aa50-dfd661a22e0d",
        kept[0].vc_uuid,
        "web-01",
    )
    assert driver.reports == [("web-01", each.report) for each in kept]
    assert [line for line in caplog.messages if "reported" in line] == [
        f"{line_start(caplog)}: reported: seed ready in 0.5 s",
        f"{line_start(caplog)}: reported: cloud-init done, 1 error",
    ]


def test_without_a_state_directory_reports_are_logged_and_given_to_the_driver(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    driver = limited()

    async def test() -> None:
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            assert await report(vm, status="done") == "ok"
            await driver.until_told()

    with caplog.at_level(logging.INFO):
        run(test())
    assert len([line for line in caplog.messages if "reported: cloud-init done" in line]) == 1


def test_a_guest_that_reports_without_end_is_a_line_now_and_then(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            answers = [
                await report(vm, stage, retries=number)
                for number in range(keeping.MAX_REPORTS)
                for stage in ("seed", "final")
            ]
            assert answers == ["ok"] * keeping.MAX_REPORTS + ["busy"] * keeping.MAX_REPORTS
            await driver.until_told()

    driver = limited()
    with caplog.at_level(logging.INFO):
        run(test())
    assert len(driver.reports) == keeping.MAX_REPORTS
    assert len([line for line in caplog.messages if "reported: " in line]) == 2
    (line,) = [line for line in caplog.messages if "reports too often" in line]
    assert line == f"{line_start(caplog)}: reports too often; what is too much is not kept"


def test_a_guest_that_reports_now_and_then_may_do_so_for_ever(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with serving(limited()) as site:
            vm = await site.vm("web-01")
            for number in range(keeping.MAX_REPORTS + 2):
                assert await report(vm, retries=number) == "ok"

    monkeypatch.setattr(keeping, "REPORTS_SECONDS", 0.0)
    run(test())


def test_a_report_that_cannot_be_kept_comes_again(
    run: Run, state: StateDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    driver = limited()

    async def test() -> None:
        async with serving(driver, state=state) as site:
            vm = await site.vm("web-01")
            with monkeypatch.context() as broken:
                broken.setattr(os, "fsync", full)
                assert [await report(vm), await report(vm)] == ["busy", "busy"]
            assert driver.reports == []
            assert await report(vm) == "ok"
            await driver.until_told()

    run(test())
    assert len(Reports(state).of("the-definition")) == 1
    (line,) = [line for line in caplog.messages if "was not kept" in line]
    assert line.endswith(
        f"its report was not kept: cannot write {state.path}/reports: No space left on device"
    )


def test_a_driver_that_raises_is_logged_without_its_words(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    driver = limited()

    async def test() -> None:
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            for number in range(3):
                assert await report(vm, status="raise", retries=number) == "ok"
                await driver.until_told()

    run(test())
    (line,) = [line for line in caplog.messages if "could not take the report" in line]
    assert line.startswith("the driver could not take the report of web-01: ValueError in ")
    assert SECRET not in caplog.text


def test_a_driver_that_takes_its_time_with_a_report_holds_up_no_guest_and_not_the_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "MAX_WAITING_REPORTS", 2)
    driver = limited()
    driver.held["report"] = threading.Event()

    async def test() -> None:
        async with serving(driver, stop_seconds=0.1) as site:
            vm = await site.vm("web-01")
            assert await report(vm) == "ok"
            await driver.until_held()
            for number in range(1, 4):
                assert await report(vm, retries=number) == "ok"
        driver.held["report"].set()

    run(test())
    assert [line for line in caplog.messages if "wait for the driver" in line] == [
        "2 reports wait for the driver; it does not get the next ones"
    ]


def test_what_was_reported_reaches_the_driver_before_the_server_ends(run: Run) -> None:
    driver = limited()
    driver.held["report"] = threading.Event()

    async def test() -> None:
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            assert await report(vm, "seed") == "ok"
            await driver.until_held()
            assert await report(vm) == "ok"
            asyncio.get_running_loop().call_later(0.1, driver.held["report"].set)

    run(test())
    assert [each.stage for _, each in driver.reports] == ["seed", "final"]
    assert driver.closed == 1


def test_a_driver_that_takes_no_reports_has_no_thread_for_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("nobody wants it")

    monkeypatch.setattr(keeping.Keeping, "_tell_driver", fail)
    driver = Instances({})

    async def test() -> None:
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            assert await report(vm) == "ok"
            assert await fetch(vm, 1) == "ok"

    run(test())
