"""The machine's NICs in bus order, as the kernel shows them in /sys, waited for while udev loads drivers.

The kernel numbers NICs (eth0, eth1 …) in the order in which their drivers find them, and udev renames them:
early at boot neither is settled. Where a NIC is plugged in is.
"""

import os
import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Set, Tuple

from vmw_cloudinit_guest import paths

_NETWORK = "/sys/class/net"
_PCI = "/sys/bus/pci/devices"
_UDEV_RUNS = "/run/udev/control"
_UDEV_DONE = "/run/udev/data/n{}"  # by the NIC's index; udev writes it when it has renamed the NIC

# For the drivers, from the beginning of a fetch on: an emulated machine needs a second or two.
DRIVER_SECONDS = 10.0
# For the names of NICs that are there.
NAME_SECONDS = 5.0
_POLL = 0.1  # seconds between two looks

_ETHERNET = "1"  # ARPHRD_ETHER in the kernel's if_arp.h
_ETHERNET_CONTROLLER = "0x0200"  # class and subclass of PCI
_PCI_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NO_MAC = "00:00:00:00:00:00"


class NIC(NamedTuple):
    """A physical Ethernet card."""

    name: str  # as it is called at the moment
    mac: str  # in lower case
    ifindex: int


class NICs:
    """The NICs of a machine, and the patience for those that are not there yet.

    Args:
        root: where /sys and /run are.
        boot: whether the machine is booting; nothing is waited for on one that runs.
        clock: monotonic seconds.
        sleep: waits for so many of them.
    """

    def __init__(
        self, root: str, boot: bool, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._root = root
        self._boot = boot
        self._clock = clock
        self._sleep = sleep
        # One limit for all that waits for drivers: they go on loading while the server is asked.
        self._deadline = clock() + DRIVER_SECONDS

    def have(self, macs: Iterable[str]) -> bool:
        """Wait until there are NICs with all these MAC addresses, or no other can come; return whether."""
        wanted = set(macs)
        self._wait(lambda: wanted <= self._macs() or self._all_driven(), self._deadline)
        return wanted <= self._macs()

    def in_bus_order(self, count: int, by_name: bool) -> List[NIC]:
        """Wait until the bus order is settled; return the NICs in it.

        Args:
            count: how many to wait for, on a machine that does not say how many controllers it has.
            by_name: whether to wait for their names, too.
        """
        # All of them, not only as many as are needed: the first in the order may be the last to come.
        self._wait(
            lambda: self._all_driven() or (not controllers(self._root) and len(find(self._root)) >= count),
            self._deadline,
        )
        if by_name:
            self._wait(self._all_named, self._clock() + NAME_SECONDS)
        return find(self._root)

    @property
    def without_driver(self) -> List[str]:
        """The PCI addresses of the controllers that have no NIC."""
        return [address for address, driven in controllers(self._root).items() if not driven]

    def _macs(self) -> Set[str]:
        return {nic.mac for nic in find(self._root)}

    def _all_driven(self) -> bool:
        """Whether each controller has its NIC; False where it cannot be told."""
        driven = controllers(self._root).values()
        return bool(driven) and all(driven)

    def _all_named(self) -> bool:
        """Whether udev, where it runs, is done with all NICs."""
        if not os.path.exists(paths.under(self._root, _UDEV_RUNS)):
            return True
        done = (paths.under(self._root, _UDEV_DONE.format(nic.ifindex)) for nic in find(self._root))
        return all(map(os.path.exists, done))

    def _wait(self, done: Callable[[], bool], deadline: float) -> None:
        while self._boot and not done() and self._clock() < deadline:
            self._sleep(_POLL)


def find(root: str = "/") -> List[NIC]:
    """Return the NICs that there are, in bus order.

    That is by PCI address and port; those of no PCI device come after them. Not among them are bridges,
    bonds, VLANs and other NICs of software alone.
    """
    found = []
    for name, device in _interfaces(root):
        directory = os.path.join(paths.under(root, _NETWORK), name)
        mac, index = _read(directory, "address").lower(), _read(directory, "ifindex")
        if (
            _read(directory, "type") == _ETHERNET
            and _MAC.fullmatch(mac)
            and mac != _NO_MAC
            and index.isdigit()
        ):
            port = _read(directory, "dev_port")
            position = (*_position(device), int(port) if port.isdigit() else 0, _natural(name))
            found.append((position, NIC(name, mac, int(index))))
    return [nic for _, nic in sorted(found)]


def controllers(root: str = "/") -> Dict[str, bool]:
    """Return the PCI addresses of the Ethernet controllers, and whether each has its NIC.

    One that has none still waits for its driver, or there is no driver for it.
    """
    directory = paths.under(root, _PCI)
    devices = [device + "/" for _, device in _interfaces(root)]
    found = {}
    for address in _names(directory):
        if _read(os.path.join(directory, address), "class").startswith(_ETHERNET_CONTROLLER):
            controller = os.path.realpath(os.path.join(directory, address)) + "/"
            found[address] = any(device.startswith(controller) for device in devices)
    return found


def _interfaces(root: str) -> Iterator[Tuple[str, str]]:
    """Yield name and device of each network interface that has a device."""
    directory = paths.under(root, _NETWORK)
    for name in _names(directory):
        device = os.path.join(directory, name, "device")
        if os.path.exists(device):
            yield name, os.path.realpath(device)


def _position(device: str) -> Tuple[Any, ...]:
    """Return what puts devices into bus order: the last PCI address on the way to it, else the way itself."""
    addresses = _PCI_ADDRESS.findall(device)
    if addresses:
        return (0, [int(number, 16) for number in addresses[-1]], [])
    return (1, [], _natural(device))


def _natural(text: str) -> List[Any]:
    """Return a text so that its numbers sort as numbers: text and number take turns."""
    return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", text)]


def _names(directory: str) -> List[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _read(directory: str, name: str) -> str:
    """Return an attribute; empty without it, or when its NIC has just gone or been renamed."""
    try:
        with open(os.path.join(directory, name), "rb") as file:
            return file.read().decode("ascii", "replace").strip()
    except OSError:
        return ""
