"""Reports over a real server: kept, logged, given to the driver; what is kept is tests/server/state's."""

import asyncio
import errno
import logging
import os
import threading

import pytest

from tests.server.vspc.limited import SECRET, fetch, limited, line_start, report
from tests.support.peer import Instances, Run, serving
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.reports import Reports
from vmw_cloudinit_metadata.vspc import keeping


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


def test_what_a_vm_by_a_claimed_name_reports_and_uses_up_is_kept_apart(
    run: Run, state: StateDirectory
) -> None:
    driver = limited(runs=1)
    driver.options["claimed"] = True

    async def test() -> None:
        async with serving(driver, state=state) as site:
            vm = await site.vm("web-01")
            assert await fetch(vm, 1) == "ok"
            assert await report(vm, status="done") == "ok"

    run(test())
    assert [each.claimed for each in Reports(state).of("the-definition")] == [True]
    kept = [path.relative_to(state.path) for path in sorted(state.path.glob("*/*.json"))]
    assert [str(path.parent) for path in kept if path.parent.name != "served"] == [
        "claimed-reports",
        "claimed-served",
        "claimed-windows",
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


def test_reports_that_wait_for_the_driver_are_bounded_in_bytes(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "MAX_WAITING_BYTES", 2 * keeping.REPORT_BYTES + 4000)
    driver = limited()
    driver.held["report"] = threading.Event()

    async def test() -> None:
        async with serving(driver) as site:
            vm = await site.vm("web-01")
            for number in range(4):
                assert await report(vm, errors=["x" * 1500], retries=number) == "ok"
            driver.held["report"].set()

    run(test())
    assert len(driver.reports) == 2
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
