"""From which snapshot requests are answered, with a clock that tests set; no packet is seen here."""

import logging
import uuid
from typing import Any

import pytest

from tests.server.vspc.runs import FIRST, SECOND, SECRET, VM, wait, web
from vmw_cloudinit_metadata.errors import ConfigurationError, DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc import access
from vmw_cloudinit_metadata.vspc.run import (
    RUN_SECONDS,
    SNAPSHOT_SECONDS,
)
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot
from vmw_cloudinit_metadata.vspc.version2 import Answer, Status

# One snapshot a run


def test_the_snapshot_of_each_run_is_noted_once_and_nothing_of_who_gets_none() -> None:
    vm = VM(web())
    for run in (FIRST, FIRST, SECOND):
        vm.ask("metadata", run)
        vm.ask("userdata", run)
    assert len(vm.served) == 2
    wait(vm.runs.version_1())
    wait(vm.runs.version_1(secrets=True))
    assert len(vm.served) == 3
    assert all(isinstance(snapshot, Snapshot) for snapshot in vm.served)
    vm = VM(None)
    vm.ask("metadata")
    wait(vm.runs.version_1())
    wait(vm.runs.current())
    assert vm.served == []


def test_a_run_is_answered_from_one_snapshot() -> None:
    vm = VM(web("first"))
    vm.ask("metadata")
    vm.instance = web("second")
    assert (vm.ask().status, vm.ask().payload, vm.taken) == (Status.OK, b"first", 1)


def test_the_next_run_is_answered_from_the_next_snapshot() -> None:
    vm = VM(web("first"))
    vm.ask("metadata")
    vm.instance = web("second")
    assert vm.ask(run=SECOND).payload == b"second"
    assert vm.taken == 2


def test_a_run_lasts_as_long_as_its_guest_asks() -> None:
    vm = VM(web("first"))
    for _ in range(10):
        assert vm.ask().payload == b"first"
        vm.instance = web("second")
        vm.now += RUN_SECONDS - 0.1
    vm.now += 0.1
    assert vm.ask().payload == b"second"


def test_a_guest_in_the_middle_of_a_document_is_told_that_it_has_changed() -> None:
    vm = VM(web("first"))
    etag = Document.of(b"first").etag
    vm.ask(etag=etag, limit=2)
    vm.instance = web("second")
    vm.now += RUN_SECONDS
    assert vm.ask(etag=etag, offset=2).status is Status.CHANGED
    assert vm.ask(run=SECOND).payload == b"second"


def test_a_vm_that_is_silent_is_forgotten() -> None:
    vm = VM(web("first"))
    vm.ask()
    wait(vm.runs.version_1())
    vm.runs.forget()
    vm.instance = web("second")
    assert vm.ask().payload == b"second"
    assert wait(vm.runs.version_1())


def test_a_snapshot_that_is_at_hand_is_not_asked_for() -> None:
    vm = VM(web("first"))
    vm.at_hand = Snapshot(web("at hand"))
    assert vm.ask().payload == b"at hand"
    assert wait(vm.runs.version_1()) is vm.at_hand
    assert vm.served == [vm.at_hand] * 2
    assert wait(VM(web("first")).runs.current()) is not vm.at_hand
    assert vm.taken == 0
    vm.at_hand = None
    assert vm.ask(run=SECOND).payload == b"first"
    assert vm.taken == 1


# Where there is no snapshot


def test_a_driver_that_knows_no_instance_is_asked_with_every_request() -> None:
    vm = VM(None)
    for _ in range(2):
        answer = vm.ask("metadata")
        assert (answer.status, answer.payload) == (
            Status.NOT_FOUND,
            b"the server has no definition for the VM 'web-01'",
        )
    vm.instance = web()
    assert vm.ask("metadata").status is Status.OK
    assert vm.taken == 3


def test_a_name_cannot_write_on_the_console_what_it_likes() -> None:
    vm = VM(None)
    vm.vm_name = "web\x1b[2J\ud800"
    assert vm.ask().payload.isascii()
    assert b"\x1b" not in vm.ask().payload


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ({"metadata": {}}, "the driver returned a dict, not an InstanceData"),
        (web(userdata=7), "userdata: is neither text nor bytes"),  # type: ignore[arg-type]
        (DefinitionError("web-01.yaml:5: no"), "web-01.yaml:5: no"),
        (ConfigurationError("no database"), "no database"),
    ],
)
def test_a_faulty_instance_is_invalid_and_its_faults_are_for_the_operator(
    instance: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    vm = VM(instance)
    answer = vm.ask()
    assert (answer.status, answer.payload) == (
        Status.INVALID,
        b"the definition of this VM has faults; see the server's log",
    )
    vm.ask()
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"'web-01' not answered: {said}")


def test_an_instance_id_that_is_left_out_is_the_vm_s_uuid() -> None:
    vm = VM(InstanceData({"metadata": {"hostname": "web-01"}}))
    vm.vm_bios_uuid = uuid.UUID(int=7)
    assert b'"instance-id": "00000000-0000-0000-0000-000000000007"' in vm.ask("metadata").payload
    vm.vm_vc_uuid = uuid.UUID(int=8)
    assert b'"00000000-0000-0000-0000-000000000008"' in vm.ask("metadata", SECOND).payload
    snapshot = wait(vm.runs.version_1())
    assert snapshot is not None
    assert b'"00000000-0000-0000-0000-000000000008"' in snapshot.documents.meta_data


def test_without_a_uuid_to_make_it_of_it_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    assert VM(InstanceData({"metadata": {"hostname": "web-01"}})).ask().status is Status.INVALID
    (said,) = caplog.messages
    assert said.startswith("'web-01' not answered: metadata.instance-id: is missing, and the VM has not told")


def test_faults_that_the_driver_has_logged_are_not_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    vm = VM(DefinitionError("no", logged=True))
    with caplog.at_level(logging.DEBUG, "vm"):
        assert vm.ask().status is Status.INVALID
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "DEBUG",
        "'web-01' not answered: its definition has faults",
    )


def test_a_driver_that_raises_is_asked_again_soon_and_its_text_is_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vm = VM(RuntimeError(f"login with {SECRET} failed"))
    answer = vm.ask()
    assert (answer.status, answer.pairs) == (Status.BUSY, (("retry", "5"),))
    assert SECRET not in caplog.text + answer.payload.decode()
    assert "the driver raised RuntimeError in" in caplog.text
    vm.instance = web()
    assert vm.ask().status is Status.OK


@pytest.mark.parametrize(("given", "said"), [(2, "2"), (0, "1"), (-5, "1"), (3600, "30")])
def test_a_driver_that_takes_its_time_is_busy(
    given: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    vm = VM(DriverBusyError("the driver has not answered in 3 s", given))
    answer = vm.ask()
    assert (answer.status, answer.pairs) == (Status.BUSY, (("retry", said),))
    vm.ask()
    assert caplog.messages == ["'web-01' has to wait: the driver has not answered in 3 s"]


def test_a_run_that_has_its_snapshot_does_not_ask_the_driver() -> None:
    vm = VM(web())
    vm.ask("metadata")
    vm.instance = DriverBusyError("busy", 2)
    assert vm.ask().status is Status.OK
    assert vm.ask(run=SECOND).status is Status.BUSY


def test_a_fault_is_said_again_after_it_was_gone(caplog: pytest.LogCaptureFixture) -> None:
    vm = VM(DefinitionError("no"))
    for instance in (vm.instance, vm.instance, web(), vm.instance):
        vm.instance = instance
        vm.ask(run=SECOND if instance is vm.instance else FIRST)
        vm.runs.forget()
    assert caplog.messages == ["'web-01' not answered: no"] * 2


# Who is refused


def test_a_vm_that_the_definition_is_not_for_is_denied_and_why_is_for_the_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vm = VM(web(match={"bios-uuid": str(uuid.UUID(int=7))}))
    for document in ("metadata", "userdata"):
        answer = vm.ask(document)
        assert (answer.status, answer.payload) == (Status.DENIED, access.SENTENCE.encode())
    assert wait(vm.runs.version_1()) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("'web-01' denied: its bios-uuid is not known")
    vm.vm_bios_uuid = uuid.UUID(int=7)
    assert vm.ask().status is Status.OK


def test_for_a_vm_that_is_refused_nothing_is_rendered() -> None:
    metadata = {"instance-id": "i-0042", "hostname": "web-01", "odd": object()}  # which rendering refuses
    instance = InstanceData({"metadata": metadata, "token": "a-token-of-its-own"})
    assert VM(instance).ask().status is Status.DENIED


# Version 1


def test_version_1_is_answered_from_a_snapshot_of_four_seconds() -> None:
    vm = VM(web("first"))
    first = wait(vm.runs.version_1())
    vm.instance = web("second")
    vm.now += SNAPSHOT_SECONDS - 0.1
    assert wait(vm.runs.version_1()) is first
    vm.now += 0.1
    second = wait(vm.runs.version_1())
    assert second is not None
    assert second.documents.user_data == b"second"


def test_its_absence_is_kept_as_long() -> None:
    vm = VM(None)
    assert wait(vm.runs.version_1()) is None
    vm.instance = web()
    vm.now += SNAPSHOT_SECONDS - 0.1
    assert wait(vm.runs.version_1()) is None
    vm.now += 0.1
    assert wait(vm.runs.version_1()) is not None


# Reports


def test_a_report_is_held_against_the_run_under_way_or_a_new_snapshot() -> None:
    vm = VM(web())
    vm.ask()
    vm.instance = None
    assert isinstance(wait(vm.runs.current()), Snapshot)
    vm.now += RUN_SECONDS
    source = wait(vm.runs.current())
    assert isinstance(source, Answer)
    assert source.status is Status.NOT_FOUND


def test_a_report_begins_no_run() -> None:
    vm = VM(web())
    wait(vm.runs.current())
    wait(vm.runs.current())
    assert vm.taken == 2
