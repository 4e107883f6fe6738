import logging
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient


class Silence:
    """A writer that nobody reads."""

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is to be written")

    async def drain(self) -> None:
        raise AssertionError("nothing is to be written")


class EmptyDriver(Driver):
    """The least a driver can be."""

    def parse_options(self, opts: dict[str, Any]) -> list[str]:
        return sorted(opts)

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        return None


class OneInstance(EmptyDriver):
    """A driver that has one instance, and returns it each time."""

    def __init__(self, opts: dict[str, Any]) -> None:
        super().__init__(opts)
        metadata = {"instance-id": "i-0042", "hostname": "web-01"}
        self.instance = InstanceData({"metadata": metadata, "userdata": "first"})

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        return self.instance


def test_a_driver_implements_two_methods() -> None:
    assert Driver.__abstractmethods__ == {"parse_options", "get_instance"}


def test_options_are_what_parse_options_returns() -> None:
    assert EmptyDriver({"b": 1, "a": 2}).options == ["a", "b"]


def test_the_logger_is_named_after_the_subclass() -> None:
    logger = EmptyDriver({}).logger
    assert isinstance(logger, logging.Logger)
    assert logger.name == f"{__name__}.EmptyDriver"


def test_a_new_client_knows_its_name_its_writer_and_its_driver() -> None:
    driver, writer = EmptyDriver({}), Silence()
    client = driver.new_client("web-01", writer)
    assert type(client) is VMClient
    assert (client.vm_name, client.writer, client.driver) == ("web-01", writer, driver)
    assert client.vm_bios_uuid is None
    assert client.vm_vc_uuid is None


def test_a_driver_is_asked_by_one_thread_at_a_time_unless_it_says_otherwise() -> None:
    assert EmptyDriver.thread_safe is False


def test_what_answers_a_vm_is_made_of_its_instance_each_time_it_is_asked_for() -> None:
    driver = OneInstance({})
    client = driver.new_client("web-01", Silence())
    first = driver.get_snapshot(client)
    driver.instance.userdata = "second"  # it is the driver's own, which may do with it what it likes
    second = driver.get_snapshot(client)
    assert isinstance(first, Snapshot)
    assert isinstance(second, Snapshot)
    assert (first.userdata.content, second.userdata.content) == (b"first", b"second")


def test_a_vm_without_an_instance_has_no_snapshot() -> None:
    driver = EmptyDriver({})
    assert driver.get_snapshot(driver.new_client("web-01", Silence())) is None


def test_a_vm_that_its_instance_is_not_for_gets_no_snapshot() -> None:
    driver = OneInstance({})
    driver.instance.token = "a-token-of-its-own"
    client = driver.new_client("web-01", Silence())
    assert isinstance(driver.get_snapshot(client), Refusal)
    client.vm_token = "a-token-of-its-own"
    assert isinstance(driver.get_snapshot(client), Snapshot)


def test_faults_of_an_instance_are_found_before_anyone_is_refused() -> None:
    driver = OneInstance({})
    driver.instance.token, driver.instance.metadata = "a-token-of-its-own", None
    with pytest.raises(DefinitionError, match="metadata: is missing"):
        driver.get_snapshot(driver.new_client("web-01", Silence()))


def test_nothing_is_at_hand_unless_a_driver_says_so() -> None:
    driver = OneInstance({})
    assert driver.snapshot_at_hand(driver.new_client("web-01", Silence())) is None


def test_take_report_reload_and_close_may_be_left_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    driver = EmptyDriver({})
    driver.take_report(driver.new_client("web-01", Silence()), Report("seed", "b0"))
    driver.reload()
    driver.close()
    assert not caplog.records
