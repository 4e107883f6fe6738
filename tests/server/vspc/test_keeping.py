"""Serving windows over a real server; what is decided and kept is tests/server/state's."""

import asyncio
import logging
import threading

import pytest

from tests.server.vspc.limited import ask, fetch, limited, line_start, report, window_of
from tests.support import version2
from tests.support.peer import PATIENCE, Run, serving
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.windows import HAS_REPORTED, NO_RUNS_LEFT, Windows
from vmw_cloudinit_metadata.vspc import keeping
from vmw_cloudinit_metadata.vspc.keeping import NOT_KEPT, NOT_KNOWN


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
