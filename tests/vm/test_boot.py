"""A VM from a template with vmw-cloudinit-guest in it: its boots, with a server at its serial port or none.

What is asserted is reported from inside the VM. Each boot but the first begins with what the first has left
on the disk.
"""

import logging
import re
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.installed_server import serving
from tests.support.vm import VM, Disk, Hardware, Image, Report

pytestmark = [pytest.mark.system, pytest.mark.vm]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMga2V5IGlzIGZvciB0ZXN0cyBvbmx5ISEh admin@example.org"

# Two cards, in the order of their PCI addresses; the kernel mostly finds the second one first, by its driver.
MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
MODELS = ("virtio-net-pci", "vmxnet3")
PRODUCT_UUID = uuid.UUID("420a0000-0000-4000-8000-000000000001")

UNIT = "vmw-cloudinit-guest.service"
REPORT_UNIT = "vmw-cloudinit-guest-report.service"

# What Python may take to start early at boot in an emulated machine, beside others on a busy one.
START_SECONDS = 60
# What of it the program may compute itself: it was 2 s, and a busy machine counts more for the same.
CPU_SECONDS = 10

DEFINITION = f"""
metadata:
  instance-id: {{instance_id}}
  hostname: {{hostname}}.example.org
  public-keys: [{KEY}]
network: {{network}}
userdata:
  users:
    - default
    - name: deploy
      ssh_authorized_keys: [{KEY}]
  write_files:
    # A clone waits as long as a first boot does: two minutes, if nothing else is said.
    - path: /etc/vmw-cloudinit-guest.conf
      content: |
        first-boot-timeout = 15
        scrub = yes
  runcmd:
    - echo {{instance_id}} >> /var/log/made-by-user-data
    - "true hunter2"
vendordata: "#cloud-config\\n# hunter2\\n"
"""

# By names that mean nothing where udev calls cards after their places: the guest says which they are.
IN_ORDER = """
  - {name: eth0, address: 192.0.2.10/24, gateway: 192.0.2.1, nameservers: [192.0.2.53]}
  - {name: eth1, address: 198.51.100.10, netmask: 255.255.255.0}
"""
BY_MAC = f"""
  mac: {MACS[1].upper()}
  name: lan0
  address: 192.0.2.11
  netmask: 255.255.255.0
  gateway: 192.0.2.1
"""


_logger = logging.getLogger(__name__)


class Booted(NamedTuple):
    report: Report
    console: str
    disk: Disk


def boot(disk: Disk, hardware: Hardware) -> Booted:
    """Boot a VM from the disk, and shut it down; log how long it took."""
    with VM("VM", disk, hardware) as vm:
        report = vm.report()
        # Where pytest keeps it if a test fails: the journal is a part of it.
        report.save(disk.path.parent / "report")
        vm.power_off()
    took = (report.seconds(UNIT), report.cpu_seconds(UNIT))
    _logger.info("%s took %.1f s, %.1f s of CPU, of this boot:\n%s", UNIT, *took, report.text("startup"))
    return Booted(report, vm.console.output, disk)


def served_boot(disk: Disk, host: Image, definition: str, directory: Path) -> Booted:
    """Boot a VM whose serial port leads to the installed server."""
    definitions = directory / "instances"
    definitions.mkdir()
    (definitions / "web-01.yaml").write_text(definition)
    with serving(host.root, definitions, vm="web-01") as port:
        return boot(disk, Hardware(PRODUCT_UUID, MACS, MODELS, metadata_port=port))


def assert_healthy(report: Report, failed: str = "") -> None:
    """Assert that in this boot nothing failed, but the unit that had to."""
    assert report.text("failed-units").partition(" ")[0] == failed
    assert len(report.text("failed-units").splitlines()) <= 1
    assert report.text("state") == ("degraded" if failed else "running")
    assert report.logged("ordering cycle") == []
    assert report.logged("Traceback") == []
    assert "status: done" in report.text("cloud-init-status")
    assert report.json("result.json")["v1"]["errors"] == []
    # The second unit has begun when cloud-init had ended, and ended well; systemd has forgotten it since.
    steps = ["Finished .*cloud-final", f"Started .*{REPORT_UNIT}", f"{REPORT_UNIT}: Deactivated successfully"]
    in_order = [line for line in report.logged("|".join(steps)) if "systemd[1]" in line]
    assert len(in_order) == len(steps), in_order
    assert all(re.search(step, line) for step, line in zip(steps, in_order, strict=True)), in_order


def assert_cards_in_order(report: Report) -> None:
    """Assert that each card has the name and the address that IN_ORDER gives it."""
    assert report.addresses == {
        "eth0": (MACS[0], ["192.0.2.10/24"]),
        "eth1": (MACS[1], ["198.51.100.10/24"]),
    }
    assert report.gateways == [("192.0.2.1", "eth0")]


@pytest.fixture(scope="module")
def first(template: Image, host: Image, tmp_path_factory: pytest.TempPathFactory) -> Booted:
    """The first boot of a VM from the template, with a server."""
    directory = tmp_path_factory.mktemp("first")
    definition = DEFINITION.format(instance_id="i-0042", hostname="web-01", network=IN_ORDER)
    return served_boot(template.disk(directory / "disk"), host, definition, directory)


def test_a_first_boot_goes_without_an_error(first: Booted) -> None:
    assert_healthy(first.report)


def test_it_takes_its_name(first: Booted) -> None:
    assert first.report.text("fqdn") == "web-01.example.org"


def test_its_users_have_their_keys(first: Booted) -> None:
    assert first.report.text("authorized-keys.debian").endswith(KEY)
    assert first.report.text("authorized-keys.deploy").endswith(KEY)


def test_cards_without_a_mac_address_are_the_machine_s_in_their_order(first: Booted) -> None:
    # Predictable names are on: the kernel's did not last until cloud-init came.
    assert first.report.logged("(ens|enp).*: renamed from eth")
    assert_cards_in_order(first.report)
    assert "in the seed, eth0 is {}, eth1 is {}".format(*MACS) in first.report.text("guest-status")


def test_its_user_data_runs_once(first: Booted) -> None:
    assert first.report.text("made-by-user-data") == "i-0042"


def test_the_seed_is_readable_by_root_alone(first: Booted) -> None:
    assert sorted(first.report.text("seed").splitlines()) == [
        "600 nocloud.state",
        "600 nocloud/meta-data",
        "600 nocloud/network-config",
        "600 nocloud/user-data",
        "600 nocloud/vendor-data",
        "700 nocloud",
    ]


def test_its_unit_takes_little_of_it(first: Booted) -> None:
    # Emulated: on a real processor the fetch takes a few hundredths of a second.
    assert first.report.seconds(UNIT) < START_SECONDS
    assert first.report.cpu_seconds(UNIT) < CPU_SECONDS


def test_the_server_has_its_report(first: Booted) -> None:
    assert first.report.logged("the server has the report of this boot, sent over /dev/ttyS1")
    assert "reports:     unit enabled; none to be sent again" in first.report.text("guest-status")


def test_once_used_user_data_is_nowhere_left(first: Booted) -> None:
    assert first.report.logged("user-data of i-0042 scrubbed")
    assert first.report.text("secrets") == ""


def test_the_console_says_what_happened(first: Booted) -> None:
    assert "seed for i-0042 written from ttyS1" in first.console


def test_without_a_server_it_boots_as_the_vm_it_was(first: Booted, tmp_path: Path) -> None:
    report = boot(first.disk.clone(tmp_path / "disk"), Hardware(PRODUCT_UUID, MACS, MODELS)).report
    assert_healthy(report)
    assert report.text("fqdn") == "web-01.example.org"
    assert_cards_in_order(report)
    assert report.text("host-keys") == first.report.text("host-keys") != ""
    assert report.text("made-by-user-data") == "i-0042"
    assert report.text("secrets") == ""
    assert report.logged("no answer within 10 s: .* the seed of i-0042 stays")
    assert report.seconds(UNIT) < 10 + START_SECONDS


def test_with_another_instance_id_it_becomes_that_instance(
    first: Booted, host: Image, tmp_path: Path
) -> None:
    definition = DEFINITION.format(instance_id="i-0043", hostname="web-02", network=BY_MAC)
    report = served_boot(first.disk.clone(tmp_path / "disk"), host, definition, tmp_path).report
    assert_healthy(report)
    assert report.text("fqdn") == "web-02.example.org"
    assert report.addresses["lan0"] == (MACS[1], ["192.0.2.11/24"])
    assert report.gateways == [("192.0.2.1", "lan0")]
    assert report.text("made-by-user-data").split() == ["i-0042", "i-0043"]
    assert report.logged("user-data of i-0043 scrubbed")
    assert report.text("secrets") == ""
    assert report.text("host-keys") != first.report.text("host-keys")


def test_a_clone_without_a_server_is_not_its_parent(first: Booted, tmp_path: Path) -> None:
    # With the MAC addresses of its parent, even.
    report = boot(first.disk.clone(tmp_path / "disk"), Hardware(uuid.uuid4(), MACS, MODELS)).report
    assert_healthy(report, failed=UNIT)
    assert report.logged("the seed of i-0042 was another machine's")
    assert report.logged("no answer within 15 s: .* without a seed")
    addresses = [address for _, addresses in report.addresses.values() for address in addresses]
    assert "192.0.2.10/24" not in addresses
    assert report.text("host-keys") not in ("", first.report.text("host-keys"))
