"""For whom it is printed: what would be denied, by the definition and by windows; and drivers of any kind."""

import json
import logging
import uuid
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.server.cli.commands import Commands, Done
from tests.server.cli.shown import SECRET, USUAL, Site
from vmw_cloudinit_metadata.cli import asking
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.windows import Windows
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

UUID = "5012ab34-cd56-4e78-9012-3456789abcde"
OTHER = "421e1d88-73cf-4d9f-9ae4-55ce6a5b220d"


class Own(Driver):
    """A driver of an operator's own, which does as it is told."""

    busy: ClassVar[int] = 0
    closed: ClassVar[int] = 0

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        return opts

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        if Own.busy:
            Own.busy -= 1
            raise DriverBusyError("the inventory has not answered", retry=0)
        if self.options.get("raises"):
            raise ValueError(SECRET)
        if self.options.get("logs"):
            self.logger.warning("the inventory is %s", "old")
            self.logger.info("not said")
        if self.options.get("none"):
            return None
        if self.options.get("text"):
            return "text"  # type: ignore[return-value]
        return InstanceData({"metadata": {"instance-id": "i-1", "hostname": vm_client.vm_name}})

    def close(self) -> None:
        Own.closed += 1


class OwnClient(VMClient):
    async def write_metadata(self) -> None:
        return


class OwnWithClient(Own):
    def new_client(self, vm_name: str, writer: Any) -> VMClient:
        return OwnClient(vm_name, writer, self)


@pytest.fixture
def site(tmp_path: Path, command: Commands) -> Site:
    return Site(tmp_path, command)


def own(site: Site, *arguments: str, **options: Any) -> Done:
    """Ask the driver above."""
    return site.show(*arguments, driver=f"{__name__}:Own", **options)


# Who asks


def test_a_vm_without_a_definition_is_a_sentence(site: Site) -> None:
    done = site.show(vm="none")
    assert (done.exit_code, done.output) == (1, "")
    assert done.error.splitlines()[-1] == (
        "vmw-cloudinit-metadata: the driver has no instance for the VM none"
    )


def test_faults_are_told_once_and_nothing_is_printed(site: Site) -> None:
    site.define(
        f"metadata: {{instance-id: i, hostname: a, x: {SECRET}}}\nnetwork: {{address: 192.0.2.300}}\n"
    )
    done = site.show()
    assert (done.exit_code, done.output) == (1, "")
    assert done.error.count("192.0.2.300") == 1
    assert f"{site.instances}/web-01.yaml:2: network.address: " in done.error
    assert SECRET not in done.error


def test_an_instance_id_is_made_of_the_uuid(site: Site) -> None:
    site.define("metadata: {hostname: web-01}\n")
    done = site.show("--vc-uuid", UUID.replace("-", " "), "--document", "meta-data")
    assert json.loads(done.output)["instance-id"] == UUID
    done = site.show("--bios-uuid", OTHER.upper(), "--document", "meta-data")
    assert json.loads(done.output)["instance-id"] == OTHER


def test_without_a_uuid_a_person_sees_zeros_and_a_program_nothing(site: Site) -> None:
    site.define("metadata: {hostname: web-01}\n")
    done = site.show()
    assert f'"instance-id": "{uuid.UUID(int=0)}"' in done.output
    assert done.error == (
        "web-01: instance-id is made from the VM's UUID; zeros stand for it until --vc-uuid gives it\n"
    )
    for option in (["--document", "meta-data"], ["--output", str(site.state / "seed")], ["--diff"]):
        done = site.show(*option)
        assert (done.exit_code, done.output) == (1, "")
        assert done.error == (
            "vmw-cloudinit-metadata: metadata.instance-id: is missing, "
            "and the VM has not told a UUID to make it of: give --vc-uuid UUID\n"
        )


def test_who_would_be_denied_is_shown_it_and_told_why(site: Site) -> None:
    site.define(f"{USUAL}match: {{vc-uuid: {UUID}}}\ntoken: {SECRET}-{SECRET}\n")
    token = "web-01: served only to a VM whose service URI carries the definition's token: URI?token=TOKEN\n"
    done = site.show("--document", "user-data")
    assert done == (0, "#!/bin/sh\nexit\n", f"web-01: served only to the VM with the vc-uuid {UUID}\n{token}")
    done = site.show("--document", "user-data", "--vc-uuid", UUID)
    assert done == (0, "#!/bin/sh\nexit\n", token)
    done = site.show("--vc-uuid", OTHER)
    assert done.error == (
        f"web-01: the VM would be denied: its vc-uuid is {OTHER}, the definition is for {UUID}\n{token}"
    )
    pinned: dict[str, Any] = {"require-match": True}
    site.define(USUAL, "web-02.yaml")
    done = site.show(vm="web-02", **pinned)
    assert "web-02: the VM would be denied: its definition has no match" in done.error


def test_the_uuid_that_match_demands_is_the_vm_s(site: Site) -> None:
    site.define(f"metadata: {{hostname: web-01}}\nmatch: {{bios-uuid: {OTHER}}}\n")
    assert json.loads(site.show("--document", "meta-data").output)["instance-id"] == OTHER


# Serving windows


def test_a_closed_window_is_told(site: Site) -> None:
    site.define(f"{USUAL}serve: {{runs: 1}}\n")
    assert site.show().error == ""
    instance = parse_definition(USUAL.encode(), "")
    instance.serve, instance.source = ServingWindow(runs=1), "web-01"
    windows = Windows(StateDirectory(site.state))
    windows.admit(instance, "web-01", "00000001")
    for _ in range(2):
        done = site.show("--document", "user-data")
        assert done.output == "#!/bin/sh\nexit\n"
        assert done.error == (
            "web-01: user-data is not served to this VM any more: it was served as often as it may be; "
            "the operator can re-arm it by 'vmw-cloudinit-metadata rearm web-01'\n"
        )
    windows.rearm("web-01")
    assert site.show().error == ""


def test_a_window_that_nobody_knows_is_told_too(site: Site) -> None:
    site.define(f"{USUAL}serve: {{runs: 1}}\n")
    site.state.rmdir()
    done = site.show()
    assert done.exit_code == 0
    assert done.error.startswith(
        "web-01: how far its serving window is used up is not known: there is no state directory"
    )


# Other drivers


def test_any_driver_is_asked_and_closed(site: Site) -> None:
    Own.closed = 0
    assert json.loads(own(site, "--document", "meta-data").output)["hostname"] == "web-01"
    assert Own.closed == 1


def test_a_driver_that_is_busy_is_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Own, "busy", 3)
    assert own(site).exit_code == 0
    monkeypatch.setattr(asking, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(Own, "busy", 2)
    assert own(site) == (1, "", "vmw-cloudinit-metadata: the inventory has not answered\n")


def test_what_a_driver_does_wrong_is_a_sentence_without_a_secret(site: Site) -> None:
    done = own(site, raises=True)
    assert done.exit_code == 1
    assert done.error.startswith("vmw-cloudinit-metadata: the driver raised ValueError in ")
    assert SECRET not in done.error
    assert own(site, none=True).error == (
        "vmw-cloudinit-metadata: the driver has no instance for the VM web-01\n"
    )
    assert own(site, text=True).error == (
        "vmw-cloudinit-metadata: the driver returned a str, not an InstanceData\n"
    )


def test_what_a_driver_logs_is_told_from_warnings_on(site: Site) -> None:
    handlers = list(logging.getLogger().handlers)
    assert own(site, logs=True).error == "vmw-cloudinit-metadata: the inventory is old\n"
    assert logging.getLogger().handlers == handlers


def test_a_client_of_the_driver_s_own_may_send_something_else(site: Site) -> None:
    done = site.show(driver=f"{__name__}:OwnWithClient")
    assert done.error == (
        "web-01: this driver's VMs are answered by a client of its own, which may send something else\n"
    )
