"""From which snapshot requests are answered, with a clock that tests set; no packet is seen here."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from vmw_cloudinit_metadata.errors import ConfigurationError, DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc import access
from vmw_cloudinit_metadata.vspc.run import (
    FIRST_BOOT_SECONDS,
    MAX_RUN_SECONDS,
    RUN_SECONDS,
    SNAPSHOT_SECONDS,
    Runs,
)
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot
from vmw_cloudinit_metadata.vspc.version2 import Answer, Request, Status

SECRET = "hunter2"
FIRST, SECOND = "00000001", "00000002"

_T = TypeVar("_T")


def web(userdata: str = "#cloud-config\n{}", **parts: Any) -> InstanceData:
    metadata = {"instance-id": "i-0042", "hostname": "web-01"}
    return InstanceData({"metadata": metadata, "userdata": userdata, **parts})


def wait(what: Awaitable[_T]) -> _T:
    async def waiting() -> _T:
        return await what

    return asyncio.run(waiting())


class VM:
    """A VM whose driver says what it is told to, or raises it."""

    def __init__(self, instance: Any) -> None:
        self.logger = logging.getLogger("vm")
        self.vm_name = "web-01"
        self.vm_vc_uuid: uuid.UUID | None = None
        self.vm_bios_uuid: uuid.UUID | None = None
        self.vm_token = ""
        self.now = 1000.0
        self.instance = instance
        self.taken = 0
        self.sentence: str | None = None
        self.asked_for: list[str] = []
        self.clock: Callable[[], float] = lambda: self.now
        self.take_snapshot: Callable[[], Awaitable[InstanceData | None]] = self._take
        self.may_serve: Callable[[InstanceData, str], Awaitable[str | None]] = self._decide
        self.served: list[Snapshot] = []
        self.note_served: Callable[[Snapshot], None] = self.served.append
        self.runs = Runs(self)

    async def _take(self) -> InstanceData | None:
        self.taken += 1
        if isinstance(self.instance, Exception):
            raise self.instance
        return self.instance  # type: ignore[no-any-return]

    async def _decide(self, instance: InstanceData, run: str) -> str | None:
        assert isinstance(instance, InstanceData)
        self.asked_for.append(run)
        return self.sentence

    def ask(self, document: str = "userdata", run: str = FIRST, **more: Any) -> Answer:
        return wait(self.runs.answer(Request(f"REQUEST_{document.upper()}", "0a0a0a0a", run, **more)))


# One snapshot a run


def test_the_snapshot_of_each_run_is_noted_once_and_nothing_of_who_gets_none() -> None:
    vm = VM(web())
    for run in (FIRST, FIRST, SECOND):
        vm.ask("metadata", run)
        vm.ask("userdata", run)
    assert len(vm.served) == 2
    wait(vm.runs.version_1())
    wait(vm.runs.version_1_secrets())
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


def test_who_may_have_secrets_is_asked_once_a_run_and_before_the_first_byte() -> None:
    vm = VM(web("secret", vendordata="secret"))
    for document in ("metadata", "networkdata", "metadata"):
        vm.ask(document)
    assert vm.asked_for == []
    vm.ask("userdata", limit=1)
    vm.ask("userdata", offset=1)
    vm.ask("vendordata")
    assert vm.asked_for == [FIRST]
    vm.ask("vendordata", SECOND)
    assert vm.asked_for == [FIRST, SECOND]


def test_a_run_that_never_ends_is_another_one_after_a_while() -> None:
    vm = VM(web("first"))
    began = vm.now
    while vm.now < began + MAX_RUN_SECONDS:
        assert vm.ask().payload == b"first"
        vm.now += RUN_SECONDS / 2
    vm.instance, vm.sentence = web("second"), "no more"
    assert vm.ask().status is Status.DENIED
    assert vm.asked_for == [FIRST, FIRST]


@pytest.mark.parametrize("document", ["userdata", "vendordata"])
def test_who_may_not_have_secrets_has_the_rest(document: str) -> None:
    vm = VM(web(SECRET, vendordata=SECRET))
    vm.sentence = "served in one run only"
    answer = vm.ask(document)
    assert (answer.status, answer.payload) == (Status.DENIED, b"served in one run only")
    assert vm.ask("metadata").status is Status.OK
    vm.sentence = None
    assert vm.ask(document).status is Status.DENIED
    assert vm.ask(document, SECOND).status is Status.OK


def test_what_the_guest_already_has_is_not_denied_and_not_counted() -> None:
    vm = VM(web("secret"))
    vm.sentence = "no more"
    assert vm.ask(have=Document.of(b"secret").etag).status is Status.UNCHANGED
    assert vm.ask("vendordata").status is Status.NOT_FOUND
    assert vm.asked_for == []


def test_a_decision_that_fails_is_none_and_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    vm = VM(web("secret"))

    async def fail(instance: InstanceData, run: str) -> str | None:
        raise OSError(SECRET)

    decide, vm.may_serve = vm.may_serve, fail
    for _ in range(2):
        assert (vm.ask().status, vm.ask().pairs) == (Status.BUSY, (("retry", "5"),))
    assert len(caplog.messages) == 1
    assert wait(vm.runs.version_1_secrets()) is None
    assert "'web-01' not given its secrets: who decides raised OSError in" in caplog.text
    assert SECRET not in caplog.text
    vm.may_serve = decide
    assert vm.ask().payload == b"secret"


def test_a_decision_that_takes_its_time_is_busy(caplog: pytest.LogCaptureFixture) -> None:
    vm = VM(web("secret"))

    async def wait_for_the_disk(instance: InstanceData, run: str) -> str | None:
        raise DriverBusyError("the disk has not answered in 20 s", 7)

    vm.may_serve = wait_for_the_disk
    assert (vm.ask().status, vm.ask().pairs) == (Status.BUSY, (("retry", "7"),))
    assert caplog.messages == []


def test_user_data_that_takes_longer_than_a_first_boot_waits_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    longest = int(FIRST_BOOT_SECONDS * 8640)  # in base64, 8,640 bytes a second
    vm = VM(web("x" * longest))
    vm.ask(limit=1)
    assert caplog.messages == []
    vm.instance = web("x" * longest, vendordata="x")
    vm.ask("metadata", SECOND)
    assert caplog.messages == []
    for run in (SECOND, FIRST, SECOND):
        vm.ask(run=run, limit=1)
    wait(vm.runs.version_1_secrets())
    assert caplog.messages == [
        "'web-01' gets 1,036,801 bytes of user-data and vendor-data:"
        " 120 s on a line of 115200 baud, less if they compress"
    ]


def test_how_long_it_takes_is_not_said_of_what_is_not_served(caplog: pytest.LogCaptureFixture) -> None:
    vm = VM(web("x" * 2_000_000))
    vm.sentence = "no more"
    vm.ask()
    assert caplog.messages == []


# Version 1


def test_version_1_is_answered_from_a_snapshot_of_five_seconds() -> None:
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


def test_secrets_of_version_1_are_asked_for_once_a_snapshot() -> None:
    vm = VM(web(serve={"until": datetime.now(UTC)}))
    assert wait(vm.runs.version_1())
    assert vm.asked_for == []
    assert wait(vm.runs.version_1_secrets())
    assert wait(vm.runs.version_1_secrets())
    assert vm.asked_for == [""]
    vm.now += SNAPSHOT_SECONDS
    vm.sentence = "no more"
    assert wait(vm.runs.version_1_secrets()) is None
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
