import logging
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.report import Report
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


def test_take_report_reload_and_close_may_be_left_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    driver = EmptyDriver({})
    driver.take_report(driver.new_client("web-01", Silence()), Report("seed", "b0"))
    driver.reload()
    driver.close()
    assert not caplog.records
