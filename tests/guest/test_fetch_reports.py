"""What fetch tells the server, and the second unit, once the seed is written."""

import json
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.guest.fetching import DOCUMENTS, Fetch
from tests.guest.machine import UUID, Machine
from vmw_cloudinit_guest import client, handover, report, reports, seed
from vmw_cloudinit_guest.documents import etag
from vmw_cloudinit_guest.errors import NoAnswerError
from vmw_cloudinit_guest.handover import Handover

BOOT_ID = "0b6c1a1e-6a0f-4d1c-9a53-6f2a9e0e7d10"


class Server:
    """The far end of ``report.send``: what came, and for how long somebody would have waited."""

    def __init__(self) -> None:
        self.acknowledges = True
        self.came: List[Dict[str, Any]] = []
        self.seed_when_it_came: List[List[str]] = []
        self.seconds: List[float] = []
        self.run: Any = None

    def send(self, ports: Any, name: str, payload: bytes, seconds: float, clock: Any, trace: Any) -> bool:
        assert (ports.path(name), name) == ("/dev/ttyS1", "ttyS1")
        self.came.append(json.loads(payload.decode()))
        self.seed_when_it_came.append(self.run.files())
        self.seconds.append(seconds)
        return self.acknowledges


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(report, "send", server.send)
    return server


@pytest.fixture
def run(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    machine = Machine(tmp_path)
    machine.has_uuid(UUID)
    machine.write("/proc/sys/kernel/random/boot_id", BOOT_ID + "\n")
    run = server.run = Fetch(machine)
    monkeypatch.setattr(client, "fetch", run.ask)
    return run


def pending(run: Fetch) -> List[str]:
    return [json.loads(report.decode())["boot-id"] for report in reports.pending(str(run.directory))]


def test_a_boot_s_fetch_reports_what_it_has_written_once_it_is_written(run: Fetch, server: Server) -> None:
    run(boot=True)
    (came,) = server.came
    del came["version"]
    assert came == {
        "stage": "seed",
        "boot-id": BOOT_ID,
        "instance-id": "i-0042",
        "documents": {"meta-data": etag(DOCUMENTS.meta_data), "user-data": etag(DOCUMENTS.user_data)},
        "seconds": 0.1,
        "retries": 0,
    }
    assert server.seed_when_it_came == [["meta-data", "user-data"]]
    assert server.seconds == [1.0]
    assert run.trace == ["the server has the report"]
    assert pending(run) == []


def test_a_reboot_with_nothing_new_reports_too_and_still_touches_no_file(run: Fetch, server: Server) -> None:
    run(boot=True)
    before = {path: path.stat().st_mtime_ns for path in run.directory.parent.rglob("*")}
    run(boot=True)
    assert len(server.came) == 2
    assert {path: path.stat().st_mtime_ns for path in run.directory.parent.rglob("*")} == before


def test_the_second_unit_is_told_port_and_version(run: Fetch) -> None:
    run(boot=True)
    assert handover.read(run.machine.root) == Handover("/dev/ttyS1", 2)


def test_a_fetch_by_hand_reports_nothing(run: Fetch, server: Server) -> None:
    run()
    assert server.came == []
    assert handover.read(run.machine.root) is None


def test_a_server_of_version_1_is_sent_no_report_which_would_disconnect_it(
    run: Fetch, server: Server
) -> None:
    run.in_version_2 = False
    run(boot=True)
    assert server.came == []
    assert handover.read(run.machine.root) == Handover("/dev/ttyS1", 1)


def test_a_report_that_nobody_acknowledges_is_kept_and_the_boot_goes_on(run: Fetch, server: Server) -> None:
    server.acknowledges = False
    assert run(boot=True).startswith("seed for i-0042 written")
    assert pending(run) == [BOOT_ID]
    assert run.warnings == []
    assert run.trace == ["nobody has acknowledged the report"]


def test_a_fetch_that_fails_leaves_the_second_unit_nothing_of_an_earlier_one(run: Fetch) -> None:
    run(boot=True)

    def answer() -> Any:
        raise NoAnswerError("no answer")

    run.answer = answer
    with pytest.raises(NoAnswerError):
        run(boot=True)
    assert handover.read(run.machine.root) is None


@pytest.mark.parametrize("fault", ["no boot id", "no /run", "no file", "a mistake of ours"])
def test_nothing_that_goes_wrong_with_a_report_fails_a_boot(
    run: Fetch, server: Server, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.acknowledges = False
    if fault == "no boot id":
        run.machine.path("/proc/sys/kernel/random/boot_id").unlink()
    elif fault == "no /run":
        run.machine.write("/run", "")
    elif fault == "no file":
        Path(seed.reports_path(str(run.directory))).mkdir(parents=True)
    else:
        monkeypatch.setattr(report, "send", lambda *arguments: arguments[17])
    assert run(boot=True).startswith("seed for i-0042 written")
    assert run.files() == ["meta-data", "user-data"]
    assert run.warnings == []
    assert len(run.trace) == 1
    assert run.trace[0].startswith("no report: ")


def test_the_time_that_is_told_is_that_of_the_fetch_alone(
    run: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def send(*arguments: Any) -> bool:
        now[0] += 1.0
        return False

    monkeypatch.setattr(report, "send", send)
    assert run(boot=True).endswith("in 0.0 s")


def test_a_clone_does_not_report_for_its_parent(run: Fetch, server: Server) -> None:
    server.acknowledges = False
    run(boot=True)
    run.machine.write("/proc/sys/kernel/random/boot_id", "of-the-clone")
    run.machine.has_uuid("564d0123-4567-89ab-cdef-00000000ffff")
    run(boot=True)
    assert pending(run) == ["of-the-clone"]
