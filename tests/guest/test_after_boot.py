import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from tests.guest.line import Pty
from tests.guest.machine import UUID, Machine
from vmw_cloudinit_guest import after_boot, binding, handover, report, reports, scrub, seed
from vmw_cloudinit_guest.binding import Scrub, State, Written
from vmw_cloudinit_guest.cloudinit_result import Result
from vmw_cloudinit_guest.documents import Documents, sha256
from vmw_cloudinit_guest.errors import NoPortError, ReportError
from vmw_cloudinit_guest.handover import Handover

BOOT_ID = "0b6c1a1e-6a0f-4d1c-9a53-6f2a9e0e7d10"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGUga2V5OyBpdCBvcGVucyBubyBtYWNoaW5l"
ECDSA = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
DOCUMENTS = Documents(b'{"instance-id": "i-0042"}\n', None, b"#cloud-config\n# hunter2\n")
RESULT = Result(
    "error", "DataSourceNoCloud [seed=/x]", "i-0042", ["modules-final: runcmd: TypeError"], {"init": 0.3}
)
WENT_WELL = RESULT._replace(status="done", errors=[])


class Booted:
    """A VM after cloud-init has ended, with a server that acknowledges at the other end of its line."""

    def __init__(self, machine: Machine, line: Pty) -> None:
        self.machine = machine
        self.line = line
        self.directory = str(machine.path("/seeds/nocloud"))
        self.warnings: List[str] = []
        self.acknowledges = True
        self.came: List[Dict[str, Any]] = []
        machine.has_uuid(UUID)
        machine.write("/proc/sys/kernel/random/boot_id", BOOT_ID + "\n")
        machine.write("/etc/ssh/ssh_host_ed25519_key.pub", HOST_KEY + " root@web-01\n")
        written = {"meta-data": Written("0" * 16, sha256(DOCUMENTS.meta_data))}
        state = State(UUID.replace("-", ""), "i-0042", "ttyS1", 0, written)
        seed.write(self.directory, DOCUMENTS, binding.to_bytes(state))
        handover.write(Handover(line.path, 2), machine.root)

    def send(self, ports: Any, name: str, payload: bytes, seconds: float, clock: Any, trace: Any) -> bool:
        assert ports.open() == [name]
        assert ports.path(name) == self.line.path
        self.came.append(json.loads(payload.decode()))
        return self.acknowledges

    def report(self, result: Result = RESULT) -> str:
        return after_boot.send_report(self.directory, result, lambda line: None, self.machine.root)

    def scrub(self, result: Result = WENT_WELL) -> List[str]:
        return after_boot.scrub_if_it_may_be(self.directory, result, self.warnings.append, self.machine.root)

    def pending(self) -> List[str]:
        return [reports.stage_of(each) for each in reports.pending(self.directory)]


@pytest.fixture
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Booted]:
    with contextlib.closing(Pty()) as line:
        booted = Booted(Machine(tmp_path), line)
        monkeypatch.setattr(report, "send", booted.send)
        yield booted


def test_the_server_is_told_what_became_of_the_boot(booted: Booted) -> None:
    before = booted.line.settings()
    assert booted.report() == f"the server has the report of this boot, sent over {booted.line.path}"
    (came,) = booted.came
    del came["version"]
    assert came == {
        "stage": "final",
        "boot-id": BOOT_ID,
        "instance-id": "i-0042",
        "documents": {"meta-data": "0" * 16},
        "hostname": os.uname().nodename,
        "datasource": "DataSourceNoCloud [seed=/x]",
        "status": "error",
        "errors": ["modules-final: runcmd: TypeError"],
        "stages": {"init": 0.3},
        "host-keys": [HOST_KEY],
    }
    assert booted.pending() == []
    assert booted.line.settings() == before


def test_without_a_state_of_the_seed_the_rest_is_told(booted: Booted) -> None:
    seed.delete(booted.directory)
    booted.report()
    assert "documents" not in booted.came[0]
    assert booted.came[0]["status"] == "error"


def test_what_earlier_boots_have_kept_is_sent_before(booted: Booted) -> None:
    seed.keep_reports(booted.directory, b'{"stage": "seed", "boot-id": "1"}\n')
    booted.report()
    assert [came["boot-id"] for came in booted.came] == ["1", BOOT_ID]


@pytest.mark.parametrize("settled", [None, Handover("/dev/ttyS1", 1)])
def test_where_no_server_takes_reports_none_is_sent_or_kept(
    booted: Booted, settled: Optional[Handover]
) -> None:
    handover.clear(booted.machine.root)
    if settled:
        handover.write(settled, booted.machine.root)
    with pytest.raises(ReportError, match="no server has answered that takes any"):
        booted.report()
    assert (booted.came, booted.pending()) == ([], [])


def test_what_nobody_acknowledges_is_kept_and_said(booted: Booted) -> None:
    booted.acknowledges = False
    with pytest.raises(ReportError, match=r"has acknowledged the report within 30 s: it goes out again"):
        booted.report()
    assert booted.pending() == ["final"]


def test_a_port_that_another_program_keeps_is_waited_for_and_the_report_kept(
    booted: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(after_boot, "REPORT_SECONDS", 0.1)
    other = os.open(booted.line.path, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ReportError, match="nobody on"):
            booted.report()
    finally:
        os.close(other)
    assert (booted.came, booted.pending()) == ([], ["final"])


def test_a_port_that_is_gone_is_said_and_the_report_kept(booted: Booted) -> None:
    handover.write(Handover("/dev/nowhere/ttyS1", 2), booted.machine.root)
    with pytest.raises(NoPortError):
        booted.report()
    assert booted.pending() == ["final"]


# Host keys


def test_host_keys_are_the_public_halves_without_comments(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/etc/ssh/ssh_host_ed25519_key.pub", f"{HOST_KEY} root@web-01\n")
    machine.write("/etc/ssh/ssh_host_ecdsa_key.pub", ECDSA)
    machine.write("/etc/ssh/ssh_host_ed25519_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n")
    assert after_boot.host_keys(machine.root) == [ECDSA, HOST_KEY]


@pytest.mark.parametrize(
    "content", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "ssh-rsa hunter2", "no key\n", "\u20ac"]
)
def test_what_is_no_public_key_is_not_told(tmp_path: Path, content: str) -> None:
    machine = Machine(tmp_path)
    machine.write("/etc/ssh/ssh_host_rsa_key.pub", content)
    machine.path("/etc/ssh/ssh_host_dsa_key.pub").mkdir()
    assert after_boot.host_keys(machine.root) == []


# Scrubbing


def test_after_a_boot_that_went_well_it_is_scrubbed_once(booted: Booted) -> None:
    assert booted.scrub() == ["user-data of i-0042 scrubbed: blank in the seed, cloud-init's copies deleted"]
    assert seed.contents(booted.directory)["user-data"] == b""
    assert booted.scrub() == []
    assert booted.warnings == []


def test_a_boot_that_did_not_go_well_scrubs_nothing_and_says_why(booted: Booted) -> None:
    assert booted.scrub(RESULT) == []
    assert booted.warnings == ["user-data is not scrubbed: cloud-init's status is 'error'"]
    assert seed.contents(booted.directory)["user-data"] == DOCUMENTS.user_data


def test_scrubbing_that_was_broken_off_begins_again(booted: Booted, monkeypatch: pytest.MonkeyPatch) -> None:
    booted.scrub()
    state = binding.from_bytes(seed.state(booted.directory))
    assert state
    blank = DOCUMENTS.blanked()
    seed.write(booted.directory, blank, binding.to_bytes(state._replace(scrub=Scrub.BEGUN)))
    booted.machine.write("/var/lib/cloud/instances/i-0042/obj.pkl", "hunter2")
    assert len(booted.scrub()) == 1
    assert scrub.copies(booted.machine.root) == []


def test_a_seed_that_is_not_ours_is_said_to_stay(booted: Booted) -> None:
    Path(seed.state_path(booted.directory)).unlink()
    assert booted.scrub() == []
    assert booted.warnings == ["user-data is not scrubbed: the seed is bound to no machine"]
