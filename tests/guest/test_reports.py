import json
import stat
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.guest.machine import Machine
from vmw_cloudinit_guest import __version__, reports, seed
from vmw_cloudinit_guest.errors import ReportError, SeedError
from vmw_cloudinit_guest.reports import MAX_REPORT

BOOT_ID = "0b6c1a1e-6a0f-4d1c-9a53-6f2a9e0e7d10"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGUga2V5OyBpdCBvcGVucyBubyBtYWNoaW5l"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.write("/proc/sys/kernel/random/boot_id", BOOT_ID + "\n")
    return machine


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "seed" / "nocloud")


def made(machine: Machine, stage: str = "final", **values: Any) -> Dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    report = json.loads(reports.make(stage, named, machine.root).decode())
    assert isinstance(report, dict)
    return report


def report(stage: str, boot: str) -> bytes:
    return json.dumps({"stage": stage, "boot-id": boot}).encode()


class Server:
    """Acknowledges so many reports, then no more; remembers all that came."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.came: List[bytes] = []

    def __call__(self, payload: bytes) -> bool:
        self.came.append(payload)
        self.patience -= 1
        return self.patience >= 0


# What a report says


def test_a_report_says_which_boot_and_stage_it_is_of_and_nothing_that_is_empty(machine: Machine) -> None:
    assert made(machine, "seed", instance_id="i-0042", seconds=0.4, retries=0, documents={}) == {
        "stage": "seed",
        "boot-id": BOOT_ID,
        "version": __version__,
        "instance-id": "i-0042",
        "seconds": 0.4,
        "retries": 0,
    }


def test_a_machine_that_does_not_tell_its_boots_apart_makes_no_report(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no report: .*boot_id cannot be read"):
        reports.make("seed", {}, str(tmp_path))


def test_a_report_is_one_line(machine: Machine) -> None:
    assert b"\n" not in reports.make("final", {"hostname": "a\nb\u2028"}, machine.root)


def test_of_many_errors_the_first_ten_are_told(machine: Machine) -> None:
    errors = [f"init: module_{number}: Error" for number in range(12)]
    assert made(machine, errors=errors)["errors"] == [*errors[:10], "and 2 more"]


def test_a_report_that_is_too_large_loses_first_what_the_vm_s_own_logs_tell(machine: Machine) -> None:
    large = "x" * 1500
    values: Dict[str, Any] = {
        "instance_id": "i-0042",
        "hostname": "web-01",
        "datasource": large,
        "status": "done",
        "errors": [large],
        "stages": {large: 1.0},
        "host_keys": [ED25519],
    }
    assert set(made(machine, **values)) == {
        *("stage", "boot-id", "version", "instance-id", "hostname"),
        *("datasource", "status", "errors", "host-keys"),
    }
    values["host_keys"] = [large]
    assert set(made(machine, **values)) == {
        *("stage", "boot-id", "version", "instance-id", "hostname"),
        *("status", "errors", "host-keys"),
    }


def test_whatever_is_in_it_a_report_is_no_larger_than_the_wire_takes(machine: Machine) -> None:
    large = "\u20ac" * MAX_REPORT
    values = dict.fromkeys(reports.DISPENSABLE, large)
    assert len(reports.make("final", dict(values, **{"instance-id": "i-0042"}), machine.root)) <= MAX_REPORT


# What becomes of it


def test_a_report_that_is_acknowledged_leaves_no_file(directory: str) -> None:
    server = Server(1)
    assert reports.deliver(directory, report("seed", "1"), server)
    assert server.came == [report("seed", "1")]
    assert not Path(directory).parent.exists()


def test_one_that_is_not_is_kept_beside_the_seed_for_root_alone(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    assert not reports.deliver(directory, report("seed", "1"), Server(0))
    assert reports.pending(directory) == [report("seed", "1")]
    path = Path(directory + ".report")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["nocloud", "nocloud.report"]


def test_of_each_stage_the_latest_is_kept(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    for boot in ("1", "2"):
        reports.deliver(directory, report("seed", boot), Server(0))
        reports.deliver_all(directory, report("final", boot), Server(0))
    assert reports.pending(directory) == [report("seed", "2"), report("final", "2")]


def test_the_report_of_a_seed_leaves_those_that_wait_where_they_are(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    reports.deliver_all(directory, report("final", "1"), Server(0))
    server = Server(1)
    assert reports.deliver(directory, report("seed", "2"), server)
    assert server.came == [report("seed", "2")]
    assert reports.pending(directory) == [report("final", "1")]


def test_those_that_wait_go_out_in_order_before_the_last_one(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    reports.deliver_all(directory, report("final", "1"), Server(0))
    reports.deliver(directory, report("seed", "2"), Server(0))
    server = Server(3)
    assert reports.deliver_all(directory, report("final", "2"), server)
    assert server.came == [report("final", "1"), report("seed", "2"), report("final", "2")]
    assert not Path(directory + ".report").exists()


def test_one_that_is_refused_keeps_no_other_back_and_is_kept_itself(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    reports.deliver(directory, report("seed", "1"), Server(0))
    assert not reports.deliver_all(directory, report("final", "1"), lambda payload: b"final" in payload)
    assert reports.pending(directory) == [report("seed", "1")]


def test_a_signal_while_it_is_sent_loses_no_report(directory: str) -> None:
    Path(directory).mkdir(parents=True)

    def stopped(payload: bytes) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reports.deliver_all(directory, report("final", "1"), stopped)
    assert reports.pending(directory) == [report("final", "1")]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"{}\n", b'{"stage": 1}\n', b'{"stage": "other"}\n', b"\xff\xfe", b"[" * 100000]
)
def test_a_file_that_makes_no_sense_holds_no_reports(directory: str, content: bytes) -> None:
    Path(directory).mkdir(parents=True)
    Path(directory + ".report").write_bytes(content)
    assert reports.pending(directory) == []
    assert reports.deliver_all(directory, report("final", "1"), Server(1))
    assert not Path(directory + ".report").exists()


def test_a_kept_report_that_is_too_large_is_dropped(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    large = json.dumps({"stage": "seed", "x": "x" * MAX_REPORT}).encode()
    Path(directory + ".report").write_bytes(large + b"\n" + report("final", "1") + b"\n")
    assert reports.pending(directory) == [report("final", "1")]


def test_a_report_that_cannot_be_kept_is_a_sentence(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(directory).mkdir(parents=True)
    Path(directory + ".report").mkdir()
    with pytest.raises(SeedError, match="cannot read the seed"):
        reports.deliver(directory, report("seed", "1"), Server(0))


def test_a_seed_that_is_deleted_takes_the_reports_with_it(directory: str) -> None:
    Path(directory).mkdir(parents=True)
    reports.deliver(directory, report("seed", "1"), Server(0))
    seed.delete(directory)
    assert reports.pending(directory) == []
