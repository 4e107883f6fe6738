"""What two VMs cannot both have: an address, an identity, a definition.

Claims are all that is kept of a definition once it is checked: those of 100,000 VMs are some 100 MB.
"""

from collections.abc import Iterator
from typing import NamedTuple

from vmw_cloudinit_metadata.checking.network_claims import network_claims
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.checks import Path, path_text
from vmw_cloudinit_metadata.errors import Fault
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import printable

# What is claimed, and what each VM needs instead of somebody else's.
_NEEDS = {
    "address": "each needs an address of its own",
    "mac": "each NIC needs a MAC address of its own",
    "instance-id": "each VM needs one of its own",
    "vc-uuid": "one VM has one UUID, and one definition",
    "bios-uuid": "one VM has one UUID, and one definition",
}


class Claim(NamedTuple):
    """What a definition gives to a VM, and where it says so."""

    kind: str  # "file" and "vms": it is the VM's definition; else of _NEEDS
    value: str  # as it is compared and shown
    vm: str  # as it is shown
    source: str
    line: int
    key: str

    @property
    def place(self) -> str:
        """Where it says so."""
        return f"{self.source}:{self.line}" if self.line else self.source


class Claims:
    """The claims of all VMs, as far as they are the first of their kind."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], Claim] = {}
        self._shared: set[Claim] = set()

    def add(self, claim: Claim) -> Fault | None:
        """Take a claim; return the fault that there is such a claim already."""
        first = self._first.setdefault((claim.kind, claim.value), claim)
        if first is claim:
            return None
        if claim.kind not in _NEEDS:
            text = f"{claim.vm} has another definition, {first.place}; neither is served: remove one"
        elif first.vm == claim.vm:
            return None  # two NICs of it, of which network/ tells; or it has two definitions, which is told
        elif (first.source, first.line, first.key) == (claim.source, claim.line, claim.key):
            if first in self._shared:
                return None
            self._shared.add(first)
            both = f"{first.vm} and {claim.vm} alike"
            text = f"{claim.value} is given to {both}; {_NEEDS[claim.kind]}, by a field as {{{{ vm.name }}}}"
        else:
            other = f"{first.vm} ({first.place})"
            text = f"{claim.value} is given to {claim.vm} and to {other}; {_NEEDS[claim.kind]}"
        return Fault(claim.source, claim.line, claim.key, text)

    def of(self, kind: str, value: str) -> Claim | None:
        """Return the first claim of something."""
        return self._first.get((kind, value))


def claims_of(vm_name: str, instance: InstanceData, places: Places) -> Iterator[Claim]:
    """Yield what an instance gives a VM that others cannot have, too."""
    for kind, value, path in _given(instance):
        path = places.spelt(path)
        place = places.of(path)
        yield Claim(kind, value, printable(vm_name), place.source, place.line, path_text(path))


def _given(instance: InstanceData) -> Iterator[tuple[str, str, Path]]:
    # One that is left out is made of the VM's UUID.
    if instance.metadata and instance.metadata.instance_id is not None:
        yield "instance-id", str(instance.metadata.instance_id), ("metadata", "instance-id")
    if instance.match is not None:
        for key, value in (("vc-uuid", instance.match.vc_uuid), ("bios-uuid", instance.match.bios_uuid)):
            if value is not None:
                yield key, str(value), ("match", key)
    yield from network_claims(instance.network)
