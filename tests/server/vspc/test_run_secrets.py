"""Who may have user-data and vendor-data in a run: asked once, before the first byte goes out."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.server.vspc import runs
from tests.server.vspc.runs import FIRST, SECOND, SECRET, VM, wait
from vmw_cloudinit_metadata.errors import DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.run import (
    FIRST_BOOT_SECONDS,
    MAX_RUN_SECONDS,
    RUN_SECONDS,
    SNAPSHOT_SECONDS,
)
from vmw_cloudinit_metadata.vspc.snapshot import Document
from vmw_cloudinit_metadata.vspc.version2 import Status


def web(userdata: str, **parts: Any) -> InstanceData:
    """Return an instance that says how long its secrets are served."""
    return runs.web(userdata, **{"serve": {"until-reported": True}, **parts})


def test_an_instance_that_does_not_limit_its_secrets_is_asked_about_by_nobody() -> None:
    vm = VM(runs.web("secret"))
    vm.sentence = "no more"
    assert vm.ask().payload == b"secret"
    assert wait(vm.runs.version_1(secrets=True))
    assert vm.asked_for == []


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
    assert wait(vm.runs.version_1(secrets=True)) is None
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
    wait(vm.runs.version_1(secrets=True))
    assert caplog.messages == [
        "'web-01' gets 1,036,801 bytes of user-data and vendor-data:"
        " 120 s on a line of 115200 baud, less if they compress"
    ]


def test_how_long_it_takes_is_not_said_of_what_is_not_served(caplog: pytest.LogCaptureFixture) -> None:
    vm = VM(web("x" * 2_000_000))
    vm.sentence = "no more"
    vm.ask()
    assert caplog.messages == []


def test_secrets_of_version_1_are_asked_for_once_a_snapshot() -> None:
    vm = VM(web("secret", serve={"until": datetime.now(UTC)}))
    assert wait(vm.runs.version_1())
    assert vm.asked_for == []
    assert wait(vm.runs.version_1(secrets=True))
    assert wait(vm.runs.version_1(secrets=True))
    assert vm.asked_for == [""]
    vm.now += SNAPSHOT_SECONDS
    vm.sentence = "no more"
    assert wait(vm.runs.version_1(secrets=True)) is None
    assert wait(vm.runs.version_1()) is not None
