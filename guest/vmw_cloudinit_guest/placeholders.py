"""The placeholders of a network-config: which NIC is meant where the definition gives no MAC address.

Version 2 of the packets serves ``@1`` for the machine's first NIC, ``@2`` for the second. The MAC address in
its place makes cloud-init find the NIC whatever it is called, and rename it: so ``eth0`` of a definition is
what the kernel calls ``ens192``. Nothing here looks at the machine: ``nics.py`` does.
"""

import json
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from vmw_cloudinit_guest import documents
from vmw_cloudinit_guest.nics import NIC

_PLACEHOLDER = re.compile("@([1-9][0-9]{0,3})")
# What the kernel calls NICs in the order of their probing: early at boot such a name says nothing.
_KERNEL_NAME = re.compile("eth[0-9]+")

# Linux has no longer names of NICs (IFNAMSIZ). A console at 115200 baud takes two seconds for a hundred
# lines: what a server makes up is no reason for a boot to wait.
_MAX_NAME = 15
_MAX_SENTENCES = 10


class Needs(NamedTuple):
    """What must be known of the machine to fill a document."""

    nics: int  # so many the document speaks of
    names: bool  # whether what they are called matters


class Filled(NamedTuple):
    """A document without placeholders."""

    content: bytes
    # By the name that the document gives it, the MAC address of each NIC that was filled in; None where there
    # was no NIC.
    macs: Dict[str, Optional[str]]
    sentences: List[str]  # what an administrator should know


class _Device(NamedTuple):
    """An Ethernet device in the document, and where its MAC address or placeholder stands."""

    name: str
    address: str
    place: Dict[str, Any]
    key: str
    entry: Dict[str, Any]
    without: Tuple[str, ...]  # the keys of the entry that make no sense without a MAC address

    @property
    def number(self) -> int:
        """The number of the placeholder; 0 if there is none."""
        match = _PLACEHOLDER.fullmatch(self.address)
        return int(match.group(1)) if match else 0

    def fill(self, mac: Optional[str]) -> None:
        """Put a MAC address in place; without one, leave out what makes no sense then."""
        if mac:
            self.place[self.key] = mac
        else:
            for key in self.without:
                self.entry.pop(key, None)


def needs(content: Optional[bytes]) -> Optional[Needs]:
    """Return what must be known to fill a document; None if it has no placeholder."""
    devices = list(_devices(_parsed(content)))
    names = [device.name for device in devices if device.number]
    if not names:
        return None
    nics = max(len(devices), *(device.number for device in devices))
    return Needs(nics, not all(map(_KERNEL_NAME.fullmatch, names)))


def fill(content: bytes, nics: List[NIC], earlier: Dict[str, Optional[str]]) -> Filled:
    """Put MAC addresses in the place of placeholders; a document without one stays as it is, byte for byte.

    A device that is called as a NIC is, and not eth0, eth1 …, means that NIC. One that was filled earlier
    keeps its NIC, so that another one in front of it changes nothing. ``@N`` of any other is the N-th in bus
    order; unless one of those is spoken for, by its MAC address or so, or is not there: then the NICs that
    are left go to them in the order of their numbers. Where none is left, the key is left out.

    Args:
        content: the network-config, version 1 or 2, as JSON.
        nics: in bus order.
        earlier: the MAC addresses that were filled in before, by the names of devices.

    Raises:
        DocumentError: it cannot be written again.
    """
    values = _parsed(content)
    named = {device.address.lower() for device in _devices(values)}
    devices = [device for device in _devices(values) if device.number]
    if not devices:
        return Filled(content, {}, [])
    macs = _assigned(devices, nics, named, earlier)
    for device in devices:
        device.fill(macs[device.name])
    wanting = [device for device in devices if not macs[device.name]]
    sentences = [_no_nic(device, len(nics)) for device in wanting[:_MAX_SENTENCES]]
    if len(wanting) > _MAX_SENTENCES:
        sentences.append(f"and so it is with {len(wanting) - _MAX_SENTENCES} more of the definition's cards")
    return Filled(documents.to_json(values, "network data"), macs, sentences)


def shown(name: str) -> str:
    """Return what a document calls a NIC, as far as it is a name of one."""
    return name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "…"


def _assigned(
    devices: List[_Device], nics: List[NIC], named: Set[str], earlier: Dict[str, Optional[str]]
) -> Dict[str, Optional[str]]:
    """Return the MAC address for each device by its name, None where no NIC is left for it."""
    free = [nic for nic in nics if nic.mac not in named]
    by_name = {nic.name: nic.mac for nic in free if not _KERNEL_NAME.fullmatch(nic.name)}
    known = {device.number: by_name[device.name] for device in devices if device.name in by_name}
    for device in devices:
        mac = earlier.get(device.name)
        if mac in {nic.mac for nic in free} - set(known.values()):
            known.setdefault(device.number, mac)
    left = [nic.mac for nic in free if nic.mac not in known.values()]
    numbers = sorted(device.number for device in devices if device.number not in known)
    known.update(_by_place(numbers, nics, left) or dict(zip(numbers, left)))
    return {device.name: known.get(device.number) for device in devices}


def _by_place(numbers: List[int], nics: List[NIC], left: List[str]) -> Dict[int, str]:
    """Return the MAC address of the N-th NIC for each number; none if one of them is not left."""
    places = {number: nic.mac for number, nic in enumerate(nics, 1) if nic.mac in left}
    return {number: places[number] for number in numbers} if places.keys() >= set(numbers) else {}


def _no_nic(device: _Device, count: int) -> str:
    return (
        f"{shown(device.name)} of the definition is for network card {device.number}, "
        f"and this machine has {count}: its network data is written without a MAC address, and may configure "
        "nothing; add the card, or correct the definition"
    )


def _parsed(content: Optional[bytes]) -> Dict[str, Any]:
    """Return the document's values; none if it has no placeholder, as all have that are not JSON."""
    if not content or b'"@' not in content:
        return {}
    try:
        values = json.loads(content.decode())
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _devices(values: Dict[str, Any]) -> Iterator[_Device]:
    """Yield the Ethernet devices that say, by MAC address or placeholder, which NIC they are."""
    for item in _mappings(values.get("config")):
        address = item.get("mac_address")
        if item.get("type") == "physical" and isinstance(address, str):
            yield _Device(str(item.get("name")), address, item, "mac_address", item, ("mac_address",))
    ethernets = values.get("ethernets")
    for key, entry in ethernets.items() if isinstance(ethernets, dict) else ():
        for match in _mappings([entry.get("match")] if isinstance(entry, dict) else []):
            address = match.get("macaddress")
            if isinstance(address, str):
                name = str(entry.get("set-name", key))
                yield _Device(name, address, match, "macaddress", entry, ("match", "set-name"))


def _mappings(values: Any) -> List[Dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []
