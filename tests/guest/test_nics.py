from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from tests.guest.conversation import Clock
from tests.guest.machine import Machine
from vmw_cloudinit_guest import nics
from vmw_cloudinit_guest.nics import DRIVER_SECONDS, NAME_SECONDS, NIC, NICs, controllers, find

A, B, C = "00:50:56:00:00:0a", "00:50:56:00:00:0b", "00:50:56:00:00:0c"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def macs(found: List[NIC]) -> List[str]:
    return [nic.mac for nic in found]


class Boot:
    """A boot during which things happen: after so many seconds, what is to be done then."""

    def __init__(self, machine: Machine, boot: bool = True) -> None:
        self.clock = Clock()
        self.began = self.clock()
        self.events: Dict[float, Callable[[], Any]] = {}
        self.nics = NICs(machine.root, boot, self.clock, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.clock.now += seconds
        for second in sorted(self.events):
            if self.clock() >= self.began + second:
                self.events.pop(second)()

    @property
    def seconds(self) -> float:
        return self.clock() - self.began


@pytest.fixture
def boot(machine: Machine) -> Boot:
    return Boot(machine)


def test_nics_come_in_the_order_of_their_pci_addresses_whatever_they_are_called(machine: Machine) -> None:
    machine.has_nic("eth0", B, "0000:0b:00.0")
    machine.has_nic("eth1", C, "0000:13:00.0")
    machine.has_nic("ens160", A, "0000:03:00.0")
    assert find(machine.root) == [NIC("ens160", A, 3), NIC("eth0", B, 1), NIC("eth1", C, 2)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("0000:03:00.0", "0000:03:00.1"),
        ("0000:03:00.7", "0000:03:01.0"),
        ("0000:09:00.0", "0000:0a:00.0"),
        ("0000:ff:00.0", "0001:00:00.0"),
        ("ffff:00:00.0", "10000:00:00.0"),
    ],
)
def test_pci_addresses_are_compared_as_numbers(machine: Machine, first: str, second: str) -> None:
    machine.has_nic("eth0", B, second)
    machine.has_nic("eth1", A, first)
    assert macs(find(machine.root)) == [A, B]


def test_it_is_the_last_pci_address_of_the_way_that_counts(machine: Machine) -> None:
    # Two behind bridges, and one whose driver puts a device of its own between, as virtio's does.
    machine.has_nic("ens224", C, "0000:00:15.0/0000:13:00.0")
    machine.has_nic("ens160", B, "0000:00:16.0/0000:03:00.0")
    machine.has_nic("ens3", A, "0000:00:03.0/virtio0")
    assert macs(find(machine.root)) == [A, B, C]


def test_the_ports_of_one_device_are_in_their_order(machine: Machine) -> None:
    machine.has_nic("eth0", B, "0000:03:00.0", port=10)
    machine.has_nic("eth1", A, "0000:03:00.0", port=9)
    assert macs(find(machine.root)) == [A, B]


def test_nics_of_no_pci_device_come_last_with_their_numbers_as_numbers(machine: Machine) -> None:
    machine.has_nic("enc10", C)
    machine.has_nic("enc9", B)
    machine.has_nic("ens3", A, "0000:03:00.0")
    assert macs(find(machine.root)) == [A, B, C]


def test_a_mac_address_is_in_lower_case(machine: Machine) -> None:
    machine.has_nic("eth0", A.upper())
    assert macs(find(machine.root)) == [A]


def test_what_is_no_physical_ethernet_is_no_nic(machine: Machine) -> None:
    software = machine.path("/sys/devices/virtual/net")
    machine.has_interface("lo", nics._NO_MAC, software / "lo", kind=772)
    machine.has_interface("bond0", A, software / "bond0")
    machine.has_nic("ib0", B, "0000:03:00.0")
    (machine.path("/sys/class/net/ib0") / "type").write_text("32\n")
    assert find(machine.root) == []


@pytest.mark.parametrize("mac", ["", nics._NO_MAC, "00:50:56", f"{A}:01:02"])
def test_a_nic_without_a_mac_address_is_none(machine: Machine, mac: str) -> None:
    machine.has_nic("eth0", mac)
    assert find(machine.root) == []


@pytest.mark.parametrize("attribute", ["address", "type", "ifindex"])
def test_a_nic_that_goes_while_it_is_looked_at_is_none(machine: Machine, attribute: str) -> None:
    machine.has_nic("eth0", A, "0000:03:00.0")
    machine.has_nic("eth1", B, "0000:04:00.0")
    (machine.path("/sys/class/net/eth0") / attribute).unlink()
    assert macs(find(machine.root)) == [B]


def test_without_sysfs_there_are_none(machine: Machine) -> None:
    assert (find(machine.root), controllers(machine.root)) == ([], {})


def test_a_controller_has_its_nic_once_the_driver_is_loaded(machine: Machine) -> None:
    machine.has_controller("0000:00:02.0", kind="0x030000")  # a graphics card
    machine.has_nic("ens160", A, "0000:03:00.0")
    machine.has_controller("0000:0b:00.0")
    assert controllers(machine.root) == {"0000:03:00.0": True, "0000:0b:00.0": False}


def test_what_is_there_already_is_not_waited_for(machine: Machine, boot: Boot) -> None:
    machine.has_nic("eth0", A, "0000:03:00.0")
    machine.has_nic("eth1", B, "0000:0b:00.0")
    assert macs(boot.nics.in_bus_order(2, by_name=False)) == [A, B]
    assert boot.nics.have([B, A])
    assert boot.nics.without_driver == []
    assert boot.seconds == 0


def test_the_first_in_the_order_may_be_the_last_to_come(machine: Machine, boot: Boot) -> None:
    machine.has_nic("eth0", B, "0000:0b:00.0")
    machine.has_controller("0000:03:00.0")
    boot.events[3] = lambda: machine.has_nic("eth1", A, "0000:03:00.0")
    assert macs(boot.nics.in_bus_order(1, by_name=False)) == [A, B]
    assert 3 <= boot.seconds < 3.5


def test_a_driver_that_never_comes_costs_ten_seconds_once(machine: Machine, boot: Boot) -> None:
    machine.has_nic("eth0", B, "0000:0b:00.0")
    machine.has_controller("0000:03:00.0")
    assert macs(boot.nics.in_bus_order(1, by_name=False)) == [B]
    assert boot.nics.without_driver == ["0000:03:00.0"]
    assert not boot.nics.have([A])
    assert DRIVER_SECONDS <= boot.seconds < DRIVER_SECONDS + 0.5


def test_drivers_that_have_had_their_time_while_the_server_was_asked_get_no_more(
    machine: Machine, boot: Boot
) -> None:
    machine.has_controller("0000:03:00.0")
    boot.clock.now += DRIVER_SECONDS
    assert boot.nics.in_bus_order(1, by_name=False) == []
    assert boot.seconds == DRIVER_SECONDS


def test_a_machine_with_fewer_cards_than_are_wanted_is_not_waited_for(machine: Machine, boot: Boot) -> None:
    machine.has_nic("eth0", A, "0000:03:00.0")
    assert macs(boot.nics.in_bus_order(2, by_name=False)) == [A]
    assert not boot.nics.have([A, B])
    assert boot.seconds == 0


def test_where_the_bus_does_not_tell_as_many_as_are_wanted_are_waited_for(
    machine: Machine, boot: Boot
) -> None:
    boot.events[1] = lambda: machine.has_nic("eth0", A)
    boot.events[4] = lambda: machine.has_nic("eth1", B)
    assert macs(boot.nics.in_bus_order(2, by_name=False)) == [A, B]
    assert 4 <= boot.seconds < 4.5


def test_a_mac_address_is_waited_for_and_no_other(machine: Machine, boot: Boot) -> None:
    machine.has_controller("0000:03:00.0")
    machine.has_controller("0000:0b:00.0")
    boot.events[2] = lambda: machine.has_nic("eth0", B, "0000:0b:00.0")
    assert boot.nics.have([B])
    assert 2 <= boot.seconds < 2.5


def test_names_are_waited_for_until_udev_is_done(machine: Machine, boot: Boot) -> None:
    machine.write("/run/udev/control", "")
    machine.has_nic("eth0", A, "0000:03:00.0")

    def rename() -> None:
        machine.loses_nic("eth0")
        machine.has_nic("ens160", A, "0000:03:00.0")
        machine.write("/run/udev/data/n1", "I:1\n")

    boot.events[2] = rename
    assert boot.nics.in_bus_order(1, by_name=False)[0].name == "eth0"
    assert boot.seconds == 0
    assert boot.nics.in_bus_order(1, by_name=True)[0].name == "ens160"
    assert 2 <= boot.seconds < 2.5


def test_a_udev_that_is_never_done_costs_five_seconds(machine: Machine, boot: Boot) -> None:
    machine.write("/run/udev/control", "")
    machine.has_nic("eth0", A, "0000:03:00.0")
    assert macs(boot.nics.in_bus_order(1, by_name=True)) == [A]
    assert NAME_SECONDS <= boot.seconds < NAME_SECONDS + 0.5


def test_where_udev_does_not_run_names_are_what_they_are(machine: Machine, boot: Boot) -> None:
    machine.has_nic("eth0", A, "0000:03:00.0")
    assert macs(boot.nics.in_bus_order(1, by_name=True)) == [A]
    assert boot.seconds == 0


def test_a_machine_that_runs_is_taken_as_it_is(machine: Machine) -> None:
    by_hand = Boot(machine, boot=False)
    machine.write("/run/udev/control", "")
    machine.has_nic("eth0", B, "0000:0b:00.0")
    machine.has_controller("0000:03:00.0")
    assert macs(by_hand.nics.in_bus_order(2, by_name=True)) == [B]
    assert not by_hand.nics.have([A])
    assert by_hand.seconds == 0
